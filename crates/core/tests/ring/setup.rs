//! Every setup flag on the real kernel: what is granted works, what is refused is refused whole.

use crate::driver::{
    PATIENCE, config, flagged, nop, prepare, prepare_all, read, record, results, sqpoll, wait,
};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use uring_core::bufring::RingOptions;
use uring_core::enter::{End, Wait};
use uring_core::relocate::Entries;
use uring_core::ring::Ring;
use uring_core::setup::{Config, ENTRIES_MAX, unknown_flags};
use uring_core::shared::LargeRecord;
use uring_core::uapi::{self, SETUP_FLAGS};

fn with(required: u32) -> Config {
    Config {
        required,
        ..config(8, 16)
    }
}

/// Nops, a chain that fails and a timer come back, three times around the queues.
fn assert_usable(ring: &mut Ring) {
    let rounds = 3 * ring.shared().sq_capacity() / 4 + 1;
    for _ in 0..rounds {
        let failing = flagged(record("fsync", -1, 0), crate::driver::LINK);
        prepare_all(ring, &[failing, nop(1), nop(2)]);
        let completions = wait(ring, 3);
        assert_eq!(results(&completions)[1..], [(1, -libc::ECANCELED), (2, 0)]);
    }
    assert_eq!(ring.in_flight(), 0);
}

fn assert_refused(required: u32) {
    let error = Ring::open(&with(required))
        .err()
        .map(|error| error.raw_os_error());
    assert_eq!(error, Some(Some(libc::EINVAL)), "{required:#x}");
}

#[test]
fn every_flag_of_this_kernel_is_granted_and_the_ring_works() {
    let alone = [
        uapi::SETUP_CLAMP,
        uapi::SETUP_SUBMIT_ALL,
        uapi::SETUP_COOP_TASKRUN,
        uapi::SETUP_SQE128,
        uapi::SETUP_CQE32,
        uapi::SETUP_SINGLE_ISSUER,
        uapi::SETUP_DEFER_TASKRUN,
        uapi::SETUP_TASKRUN_FLAG,
        uapi::SETUP_NO_MMAP,
        uapi::SETUP_NO_MMAP | uapi::SETUP_REGISTERED_FD_ONLY,
        uapi::SETUP_NO_SQARRAY,
        uapi::SETUP_CQE_MIXED,
        uapi::SETUP_SQE128 | uapi::SETUP_CQE32,
        uapi::SETUP_SQE128 | uapi::SETUP_CQE_MIXED | uapi::SETUP_NO_MMAP,
    ];
    for required in alone {
        let mut ring = Ring::open(&with(required)).unwrap();
        assert_eq!(ring.setup_flags() & required, required, "{required:#x}");
        assert_usable(&mut ring);
        assert!(ring.drain(PATIENCE));
    }
}

#[test]
fn every_flag_works_without_the_ones_that_are_tried_besides() {
    let forbidden = uapi::SETUP_NO_SQARRAY | uapi::SETUP_SINGLE_ISSUER | uapi::SETUP_SUBMIT_ALL;
    for required in [0, uapi::SETUP_SQE128, uapi::SETUP_CQE32, uapi::SETUP_NO_MMAP] {
        let config = Config {
            forbidden,
            ..with(required)
        };
        let mut ring = Ring::open(&config).unwrap();
        assert_eq!(ring.setup_flags() & (forbidden | uapi::SETUP_DEFER_TASKRUN), 0);
        assert_usable(&mut ring);
    }
}

#[test]
fn a_submission_thread_serves_every_shape_of_queue() {
    for required in [
        uapi::SETUP_NO_MMAP,
        uapi::SETUP_NO_MMAP | uapi::SETUP_REGISTERED_FD_ONLY,
        uapi::SETUP_SQE128 | uapi::SETUP_CQE32,
        uapi::SETUP_CQE_MIXED,
        uapi::SETUP_R_DISABLED,
    ] {
        let config = Config {
            required,
            ..sqpoll(5)
        };
        let mut ring = Ring::open(&config).unwrap();
        if required & uapi::SETUP_R_DISABLED != 0 {
            prepare(&ring, nop(0));
            assert!(ring.submit().is_err());
            ring.enable().unwrap();
            assert_eq!(results(&wait(&mut ring, 1)), [(0, 0)]);
        }
        assert_usable(&mut ring);
        assert!(ring.drain(PATIENCE));
    }
}

/// The number of a place in the table is not a descriptor, although a file may have it: 0 is both the first place of a
/// thread and the standard input.
#[test]
fn a_ring_without_a_descriptor_maps_nothing_of_a_file_that_has_the_number_of_its_place() {
    let mut ring = Ring::open(&with(uapi::SETUP_NO_MMAP | uapi::SETUP_REGISTERED_FD_ONLY)).unwrap();
    let number = ring.registrar().fd();
    assert_eq!((number, ring.fd()), (-1, -1));
    let options = RingOptions {
        mmap: true,
        ..RingOptions::new(4, 64)
    };
    let refused = ring.register_group(options).err();
    assert_eq!(refused.and_then(|error| error.raw_os_error()), Some(libc::EBADF));
    // The number is free again, and a ring of entries in our own memory is still to be had.
    let (group, _) = ring.register_group(RingOptions::new(4, 64)).unwrap();
    assert_eq!(group, uring_core::bufring::FIRST_GROUP);
    assert!(ring.drain(PATIENCE));
}

#[test]
fn hybrid_polling_needs_polling() {
    let mut ring = Ring::open(&with(uapi::SETUP_IOPOLL | uapi::SETUP_HYBRID_IOPOLL)).unwrap();
    prepare(&ring, nop(0));
    assert_eq!(results(&wait(&mut ring, 1)), [(0, 0)]);
    assert_refused(uapi::SETUP_HYBRID_IOPOLL);
}

#[test]
fn combinations_that_exclude_each_other_are_refused_and_not_weakened() {
    assert_refused(uapi::SETUP_CQE32 | uapi::SETUP_CQE_MIXED);
    assert_refused(uapi::SETUP_REGISTERED_FD_ONLY);
    let polled = Config {
        required: uapi::SETUP_COOP_TASKRUN,
        ..sqpoll(1)
    };
    assert!(Ring::open(&polled).is_err());
}

#[test]
fn flags_that_this_kernel_does_not_know_are_told_apart_from_bad_combinations() {
    let all = (1 << SETUP_FLAGS.len()) - 1;
    let unknown = unknown_flags(all);
    for bit in 0..SETUP_FLAGS.len() {
        let flag = 1 << bit;
        // Those of the first kernels are never tried.
        if unknown & flag != 0 {
            assert_refused(flag);
        }
    }
    assert_eq!(
        unknown & (uapi::SETUP_NO_MMAP | uapi::SETUP_CQE32 | uapi::SETUP_IOPOLL),
        0
    );
    assert_eq!(
        unknown_flags(uapi::SETUP_CQE32 | uapi::SETUP_CQE_MIXED) & uapi::SETUP_CQE32,
        0
    );
    assert_eq!(unknown_flags(0), 0);
}

#[test]
fn sizes_too_large_are_reduced_with_clamp_and_refused_without() {
    for required in [uapi::SETUP_CLAMP, uapi::SETUP_CLAMP | uapi::SETUP_NO_MMAP] {
        let large = Config {
            entries: 1 << 20,
            cq_entries: 1 << 21,
            ..with(required)
        };
        let mut ring = Ring::open(&large).unwrap();
        assert_eq!(
            (ring.shared().sq_capacity(), ring.cq_entries()),
            (ENTRIES_MAX, 65_536)
        );
        prepare(&ring, nop(0));
        assert_eq!(results(&wait(&mut ring, 1)), [(0, 0)]);
        let without = Config {
            required: required & !uapi::SETUP_CLAMP,
            ..large
        };
        assert!(Ring::open(&without).is_err());
    }
}

/// A nop whose completion has 32 bytes (IORING_NOP_CQE32), or 16, entered into the table by hand.
fn push_nop(ring: &mut Ring, index: u32, is_large: bool) {
    const NOP_CQE32: u64 = 1 << 5;
    let flags = if is_large { NOP_CQE32 } else { 0 };
    let (_, user_data) = ring.tables.in_flight.insert(index, 0).unwrap();
    let words = [u64::from(u32::MAX) << 32, 11, 22, flags << 32, user_data, 0, 0, 0];
    // SAFETY: a nop names no memory.
    assert!(unsafe { ring.push_foreign(words) });
}

fn large(ring: &Ring) -> Vec<LargeRecord> {
    std::iter::from_fn(|| ring.shared().pop_completion()).collect()
}

#[test]
fn large_completions_bring_their_extra_words() {
    let mut ring = Ring::open(&with(uapi::SETUP_CQE32)).unwrap();
    assert!(ring.shared().is_large());
    for round in 0..20 {
        push_nop(&mut ring, round, true);
        ring.submit_and_wait(1, Some(PATIENCE)).unwrap();
        let completions = large(&ring);
        assert_eq!(completions.len(), 1);
        assert_eq!(
            (completions[0].record.index, completions[0].extra),
            (round, [11, 22])
        );
    }
}

#[test]
fn small_and_large_completions_mix_and_none_is_lost_at_the_end_of_the_ring() {
    let mut ring = Ring::open(&with(uapi::SETUP_CQE_MIXED)).unwrap();
    // Two of three are large: places 1, 2, 2 of 16, so that a large one meets the last place now and then.
    for round in 0..40u32 {
        let first = round * 3;
        for at in 0..3 {
            push_nop(&mut ring, first + at, at > 0);
        }
        ring.submit_and_wait(3, Some(PATIENCE)).unwrap();
        let completions = large(&ring);
        let indexes: Vec<_> = completions
            .iter()
            .map(|completion| completion.record.index)
            .collect();
        assert_eq!(indexes, [first, first + 1, first + 2]);
        for (at, completion) in completions.iter().enumerate() {
            let is_large = completion.record.flags & uapi::CQE_F_32 != 0;
            assert_eq!(is_large, at > 0);
            assert_eq!(completion.extra, if is_large { [11, 22] } else { [0, 0] });
        }
    }
    assert_eq!((ring.in_flight(), ring.ready()), (0, 0));
}

#[test]
fn what_is_ready_counts_completions_and_not_places() {
    let mut ring = Ring::open(&with(uapi::SETUP_CQE_MIXED)).unwrap();
    let room = ring.shared().cq_capacity();
    for index in 0..room {
        prepare(&ring, nop(index));
        ring.submit().unwrap();
    }
    for index in 0..3 {
        push_nop(&mut ring, room + index, index != 1);
    }
    ring.submit().unwrap();
    assert_eq!(ring.ready(), room + 3);
}

#[test]
fn a_disabled_ring_takes_records_and_gives_none_to_the_kernel_before_it_is_enabled() {
    let mut ring = Ring::open(&with(uapi::SETUP_R_DISABLED)).unwrap();
    assert_ne!(ring.setup_flags() & uapi::SETUP_R_DISABLED, 0);
    prepare(&ring, nop(0));
    let refused = ring.submit().unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EBADFD));
    assert_eq!((ring.shared().prepared(), ring.in_flight()), (1, 0));
    ring.enable().unwrap();
    assert_eq!(ring.setup_flags() & uapi::SETUP_R_DISABLED, 0);
    assert_eq!(results(&wait(&mut ring, 1)), [(0, 0)]);
    assert_eq!(ring.enable().unwrap_err().raw_os_error(), Some(libc::EBADFD));
}

#[test]
fn a_disabled_ring_with_prepared_records_ends() {
    let mut ring = Ring::open(&with(uapi::SETUP_R_DISABLED)).unwrap();
    prepare(&ring, nop(0));
    assert!(ring.drain(PATIENCE));
}

#[test]
fn a_ring_named_by_the_table_of_the_thread_works_with_and_without_a_descriptor() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    for _ in 0..3 {
        ring.register_ring_fd().unwrap();
        ring.register_ring_fd().unwrap();
        assert_usable(&mut ring);
        ring.unregister_ring_fd().unwrap();
        ring.unregister_ring_fd().unwrap();
        assert_usable(&mut ring);
    }
    // The table has 16 places (io_uring/tctx.h, IO_RINGFD_REG_MAX): rings that are gone have left theirs.
    for _ in 0..40 {
        let mut ring = Ring::open(&config(2, 4)).unwrap();
        ring.register_ring_fd().unwrap();
        prepare(&ring, nop(0));
        assert_eq!(results(&wait(&mut ring, 1)), [(0, 0)]);
        let nameless = with(uapi::SETUP_NO_MMAP | uapi::SETUP_REGISTERED_FD_ONLY);
        let mut nameless = Ring::open(&nameless).unwrap();
        assert_eq!(nameless.fd(), -1);
        let arena = nameless.create_arena(4096, true).unwrap();
        assert!(arena.registered);
        assert!(nameless.unregister_ring_fd().is_err());
        assert_usable(&mut nameless);
    }
}

#[test]
fn waits_find_their_limits_in_registered_memory() {
    for required in [0, uapi::SETUP_NO_MMAP, uapi::SETUP_R_DISABLED] {
        let config = Config {
            registered_wait: true,
            ..with(required)
        };
        let mut ring = Ring::open(&config).unwrap();
        if required & uapi::SETUP_R_DISABLED != 0 {
            ring.enable().unwrap();
        }
        assert_eq!(ring.setup_flags() & uapi::SETUP_R_DISABLED, 0);
        assert_waits(&mut ring);
    }
}

#[test]
fn waits_end_in_time_however_their_end_is_said() {
    for no_io_wait in [false, true] {
        let config = Config {
            no_io_wait,
            ..config(8, 16)
        };
        assert_waits(&mut Ring::open(&config).unwrap());
    }
    assert_waits(&mut Ring::open(&sqpoll(1)).unwrap());
}

#[test]
fn deadlines_count_on_the_clock_that_the_ring_was_given() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    for clock in [libc::CLOCK_BOOTTIME, libc::CLOCK_MONOTONIC] {
        ring.set_clock(clock).unwrap();
        assert_waits(&mut ring);
    }
    let refused = ring.set_clock(libc::CLOCK_REALTIME).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EINVAL));
}

fn assert_waits(ring: &mut Ring) {
    const SHORT: Duration = Duration::from_millis(20);
    let (reader, writer) = crate::driver::quiet_pipe();
    let arena = ring.create_arena(4096, false).unwrap();
    prepare(
        ring,
        crate::driver::transfer("read", reader.as_raw_fd(), 0, &arena, (0, 2), 0),
    );
    let timed = |ring: &mut Ring, want: u32, wait: Wait| {
        let started = Instant::now();
        ring.submit_and_wait_for(want, wait).unwrap();
        started.elapsed()
    };
    let none = Duration::ZERO;
    let after = |time| Wait {
        end: End::After(time),
        min_wait: none,
    };
    assert!(timed(ring, 1, after(SHORT)) >= SHORT);
    let at = Wait {
        end: End::At(ring.clock_ns() + SHORT.as_nanos() as u64),
        min_wait: none,
    };
    assert!(timed(ring, 1, at) >= SHORT);
    assert!(ring.clock_ns() >= u64::try_from(SHORT.as_nanos()).unwrap());
    let past = Wait {
        end: End::At(1),
        min_wait: none,
    };
    assert!(timed(ring, 1, past) < PATIENCE);
    // One of two is there: that is enough as soon as the minimum is over, and not before.
    prepare(ring, nop(1));
    let minimum = Wait {
        end: End::After(PATIENCE),
        min_wait: SHORT,
    };
    let waited = timed(ring, 2, minimum);
    assert!(waited >= SHORT && waited < PATIENCE, "{waited:?}");
    assert_eq!(results(&read(ring)), [(1, 0)]);
    // None is there, and none comes: the end counts.
    let hopeless = Wait {
        end: End::After(SHORT * 2),
        min_wait: SHORT,
    };
    assert!(timed(ring, 2, hopeless) >= SHORT * 2);
    std::io::Write::write_all(&mut &writer, b"ab").unwrap();
    assert!(timed(ring, 1, after(PATIENCE)) < PATIENCE);
    assert_eq!(results(&read(ring)), [(0, 2)]);
}

#[test]
fn the_table_of_operations_knows_the_size_of_the_entries() {
    let small = Ring::open(&with(0)).unwrap();
    assert_eq!(small.tables.entries, Entries::Small);
    let large = Ring::open(&with(uapi::SETUP_SQE128)).unwrap();
    assert_eq!(large.tables.entries, Entries::Large);
}
