//! Queues that get other sizes while they are in use.

use crate::driver::{PATIENCE, config, nop, prepare, prepare_all, quiet_pipe, read, results, transfer, wait};
use std::os::fd::AsRawFd;
use uring_core::ring::Ring;
use uring_core::setup::{Config, TaskRun};
use uring_core::shared::{LargeRecord, Word};
use uring_core::uapi;

const SIZES: [(u32, u32); 6] = [(8, 16), (64, 4096), (1, 4), (4, 4), (32_768, 65_536), (2, 8)];

#[test]
fn a_ring_has_the_sizes_that_it_was_given_last() {
    for required in [
        0,
        uapi::SETUP_NO_MMAP,
        uapi::SETUP_SQE128 | uapi::SETUP_CQE32,
        uapi::SETUP_CQE_MIXED,
        uapi::SETUP_NO_MMAP | uapi::SETUP_REGISTERED_FD_ONLY,
    ] {
        let config = Config {
            required,
            ..config(8, 16)
        };
        let mut ring = Ring::open(&config).unwrap();
        for (entries, cq_entries) in SIZES {
            ring.resize(entries, cq_entries).unwrap();
            assert_eq!(
                (ring.shared().sq_capacity(), ring.cq_entries()),
                (entries, cq_entries)
            );
            assert_eq!(ring.setup_flags() & required, required);
            for _ in 0..3 {
                let count = entries.min(100);
                (0..count).for_each(|index| prepare(&ring, nop(index)));
                let mut seen = 0;
                while seen < count as usize {
                    ring.submit_and_wait(1, Some(PATIENCE)).unwrap();
                    seen += read(&ring).len();
                }
                assert_eq!(ring.in_flight(), 0);
            }
        }
    }
}

#[test]
fn completions_in_the_block_in_the_queue_and_held_back_all_survive() {
    for required in [0, uapi::SETUP_CQE32, uapi::SETUP_CQE_MIXED] {
        let config = Config {
            required,
            ..config(4, 4)
        };
        let mut ring = Ring::open(&config).unwrap();
        let total = ring.shared().cq_capacity() + 12;
        for index in 0..total {
            prepare(&ring, nop(index));
            ring.submit().unwrap();
        }
        // The block is full, the queue of four is, and the kernel holds eight back.
        assert_eq!((ring.shared().get(Word::Overflowed), ring.in_flight()), (1, 12));
        ring.resize(8, 64).unwrap();
        let mut indexes = Vec::new();
        while indexes.len() < total as usize {
            ring.submit_and_wait(1, Some(PATIENCE)).unwrap();
            indexes.extend(read(&ring).iter().map(|completion| completion.index));
        }
        assert_eq!(indexes, (0..total).collect::<Vec<_>>());
        assert_eq!((ring.in_flight(), ring.shared().get(Word::InFlight)), (0, 0));
    }
}

#[test]
fn operations_in_flight_complete_after_a_resize() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let arena = ring.create_arena(4096, true).unwrap();
    let pipes: Vec<_> = (0..4).map(|_| quiet_pipe()).collect();
    for (index, (reader, _)) in (0u32..).zip(&pipes) {
        prepare(
            &ring,
            transfer("read", reader.as_raw_fd(), index, &arena, (index * 8, 8), 0),
        );
    }
    ring.submit().unwrap();
    for (turn, (_, writer)) in pipes.iter().enumerate() {
        ring.resize(SIZES[turn].0, SIZES[turn].1).unwrap();
        std::io::Write::write_all(&mut &*writer, b"12345678").unwrap();
        // One has finished while nobody looked, and the queues change once more before it is read.
        ring.resize(16, 32).unwrap();
        assert_eq!(results(&wait(&mut ring, 1)), [(turn as u32, 8)]);
    }
    // SAFETY: nothing is in flight any more, and the arena has more than 32 bytes.
    let bytes = unsafe { std::slice::from_raw_parts(arena.mapping.start(), 32) };
    assert_eq!(bytes, b"12345678".repeat(4));
}

#[test]
fn large_completions_keep_their_extra_words() {
    let config = Config {
        required: uapi::SETUP_CQE32,
        ..config(4, 4)
    };
    let mut ring = Ring::open(&config).unwrap();
    let total = ring.shared().cq_capacity() + 4;
    for index in 0..total {
        let (_, user_data) = ring.tables.in_flight.insert(index, 0).unwrap();
        let words = [
            u64::from(u32::MAX) << 32,
            u64::from(index),
            7,
            (1 << 5) << 32,
            user_data,
            0,
            0,
            0,
        ];
        // SAFETY: a nop (IORING_NOP_CQE32) names no memory.
        assert!(unsafe { ring.push_foreign(words) });
        ring.submit().unwrap();
    }
    ring.resize(8, 8).unwrap();
    let mut seen: Vec<LargeRecord> = Vec::new();
    while seen.len() < total as usize {
        ring.submit_and_wait(1, Some(PATIENCE)).unwrap();
        seen.extend(std::iter::from_fn(|| ring.shared().pop_completion()));
    }
    for (index, completion) in (0u32..).zip(&seen) {
        assert_eq!(
            (completion.record.index, completion.extra),
            (index, [u64::from(index), 7])
        );
    }
}

#[test]
fn a_resize_with_something_prepared_is_refused_and_changes_nothing() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    prepare(&ring, nop(0));
    let refused = ring.resize(16, 32).unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(libc::EBUSY));
    assert_eq!((ring.shared().sq_capacity(), ring.cq_entries()), (8, 16));
    assert_eq!(results(&wait(&mut ring, 1)), [(0, 0)]);
}

#[test]
fn what_the_kernel_refuses_leaves_the_ring_as_it_was() {
    let coop = Config {
        task_run: TaskRun::Coop,
        ..config(8, 16)
    };
    let mut ring = Ring::open(&coop).unwrap();
    assert_eq!(
        ring.resize(16, 32).unwrap_err().raw_os_error(),
        Some(libc::EINVAL)
    );
    prepare_all(&ring, &[nop(0), nop(1)]);
    assert_eq!(results(&wait(&mut ring, 2)), [(0, 0), (1, 0)]);
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    for (entries, cq_entries) in [(65_536, 65_536), (8, 131_072), (16, 8), (0, 4)] {
        assert!(
            ring.resize(entries, cq_entries).is_err(),
            "{entries}, {cq_entries}"
        );
        prepare(&ring, nop(0));
        assert_eq!(results(&wait(&mut ring, 1)), [(0, 0)]);
    }
}

#[test]
fn free_running_counts_go_on_after_a_resize() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    prepare_all(&ring, &[nop(0), nop(1)]);
    wait(&mut ring, 2);
    let before = [Word::SqHead, Word::CqTail].map(|word| ring.shared().get(word));
    ring.resize(16, 32).unwrap();
    let after = [Word::SqTail, Word::CqHead].map(|word| ring.shared().get(word));
    assert_eq!(before, after);
}
