//! Records in, completions out: chains, refusals, queues of the smallest size, overflow.

use crate::driver::{
    LINK, PATIENCE, config, flagged, nop, prepare, prepare_all, read, record, results, transfer, wait,
};
use std::fs::File;
use std::os::fd::AsRawFd;
use uring_core::inflight::INTERNAL;
use uring_core::reject::Reject;
use uring_core::ring::Ring;
use uring_core::setup::{CQ_ENTRIES_MAX, ENTRIES_MAX};
use uring_core::shared::{CompletionRecord, EXTRA_IS_LOCAL, Word};

fn local(index: u32, errno: i32, reject: Reject) -> CompletionRecord {
    CompletionRecord {
        index,
        res: -errno,
        flags: 0,
        extra: EXTRA_IS_LOCAL | reject as u32,
    }
}

/// A nop that Rust refuses.
fn bad(index: u32) -> [u32; 16] {
    let mut record = nop(index);
    record[15] = 1;
    record
}

#[test]
fn nops_come_back_under_the_indexes_they_were_given() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    prepare_all(&ring, &[nop(5), nop(0), nop(300)]);
    assert_eq!(ring.submit().unwrap(), 3);
    assert_eq!(results(&wait(&mut ring, 3)), [(0, 0), (5, 0), (300, 0)]);
    assert_eq!((ring.in_flight(), ring.shared().get(Word::InFlight)), (0, 0));
    let stats = ring.stats();
    assert_eq!((stats.enters, stats.submitted, stats.completed), (1, 3, 3));
}

#[test]
fn submitting_nothing_does_not_enter_the_kernel() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    assert_eq!(ring.submit().unwrap(), 0);
    assert_eq!(ring.submit_and_wait(0, None).unwrap(), 0);
    ring.collect().unwrap();
    assert!(!ring.has_work());
    assert_eq!(ring.stats().enters, 0);
}

#[test]
fn a_read_fills_its_part_of_the_arena_and_not_a_byte_besides() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let zero = File::open("/dev/zero").unwrap();
    for register in [false, true] {
        let arena = ring.create_arena(8192, register).unwrap();
        // SAFETY: 8192 bytes is the size of the arena; the slice is gone before the kernel writes.
        unsafe { arena.mapping.start().write_bytes(0xee, 8192) };
        prepare(
            &ring,
            transfer("read", zero.as_raw_fd(), 0, &arena, (100, 1000), 0),
        );
        assert_eq!(results(&wait(&mut ring, 1)), [(0, 1000)]);
        // SAFETY: nothing is in flight, so nobody writes to the arena while the slice exists.
        let bytes = unsafe { std::slice::from_raw_parts(arena.mapping.start(), 8192) };
        let written: Vec<usize> = (0..8192).filter(|at| bytes[*at] == 0).collect();
        assert_eq!(written, (100..1100).collect::<Vec<_>>());
    }
}

#[test]
fn a_chain_that_finds_too_little_room_waits_and_goes_whole() {
    let mut ring = Ring::open(&config(4, 8)).unwrap();
    let nop_of_nobody = [0xffff_ffff << 32, 0, 0, 0, INTERNAL, 0, 0, 0];
    // Three places of four are taken before the block is looked at.
    for _ in 0..3 {
        // SAFETY: nops name no memory.
        assert!(unsafe { ring.push_foreign(nop_of_nobody) });
    }
    // The first link fails in the kernel. Had the chain been split over two calls, the second would not know.
    let failing = flagged(record("fsync", -1, 0), LINK);
    prepare_all(&ring, &[failing, nop(1), nop(2)]);
    assert_eq!(ring.submit().unwrap(), 3);
    let expected = [(0, -libc::EBADF), (1, -libc::ECANCELED), (2, 0)];
    assert_eq!(results(&wait(&mut ring, 3)), expected);
    assert!(ring.stats().enters >= 2, "the chain did not wait");
}

#[test]
fn a_chain_as_long_as_the_queue_goes_in_one_call() {
    let mut ring = Ring::open(&config(4, 8)).unwrap();
    for _ in 0..3 {
        let failing = flagged(record("fsync", -1, 0), LINK);
        prepare_all(
            &ring,
            &[failing, flagged(nop(1), LINK), flagged(nop(2), LINK), nop(3)],
        );
        let enters = ring.stats().enters;
        assert_eq!(ring.submit().unwrap(), 4);
        assert_eq!(ring.stats().enters, enters + 1);
        let cancelled = -libc::ECANCELED;
        let expected = [(0, -libc::EBADF), (1, cancelled), (2, cancelled), (3, cancelled)];
        assert_eq!(results(&wait(&mut ring, 4)), expected);
    }
}

#[test]
fn a_refused_link_refuses_its_chain_and_nothing_else() {
    for culprit in 0..3 {
        let mut ring = Ring::open(&config(8, 16)).unwrap();
        let mut links = [nop(1), nop(2), nop(3)];
        links[culprit] = bad(culprit as u32 + 1);
        let chain = [flagged(links[0], LINK), flagged(links[1], LINK), links[2]];
        prepare(&ring, nop(0));
        prepare_all(&ring, &chain);
        prepare(&ring, nop(4));
        assert_eq!(ring.submit().unwrap(), 5);
        let completions = wait(&mut ring, 5);
        assert_eq!(results(&completions[..1]), [(0, 0)]);
        for (at, completion) in completions[1..4].iter().enumerate() {
            let expected = if at == culprit {
                local(at as u32 + 1, libc::EINVAL, Reject::BadField)
            } else {
                local(at as u32 + 1, libc::ECANCELED, Reject::ChainBroken)
            };
            assert_eq!(*completion, expected);
        }
        assert_eq!(results(&completions[4..]), [(4, 0)]);
        assert_eq!((ring.in_flight(), ring.stats().submitted), (0, 2));
    }
}

#[test]
fn a_refused_chain_lets_go_of_the_memory_of_its_good_links() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let zero = File::open("/dev/zero").unwrap();
    let arena = ring.create_arena(4096, true).unwrap();
    let good = transfer("read", zero.as_raw_fd(), 0, &arena, (0, 64), 0);
    prepare_all(&ring, &[flagged(good, LINK), bad(1)]);
    ring.submit().unwrap();
    ring.release_arena(arena.handle);
    assert_eq!(std::sync::Arc::strong_count(&arena.mapping), 1);
    let expected = [(0, -libc::ECANCELED), (1, -libc::EINVAL)];
    assert_eq!(results(&wait(&mut ring, 2)), expected);
}

#[test]
fn refusals_are_delivered_beyond_the_room_in_the_block() {
    let mut ring = Ring::open(&config(64, 64)).unwrap();
    let room = ring.shared().cq_capacity();
    let mut read_back = Vec::new();
    for round in 0..3 {
        let first = round * 64;
        (first..first + 64).for_each(|index| prepare(&ring, bad(index)));
        assert_eq!(ring.submit().unwrap(), 64);
        assert_eq!(ring.stats().enters, 0);
    }
    assert_eq!(ring.shared().unread(), room);
    assert_eq!(ring.shared().get(Word::InFlight), 192 - room);
    for _ in 0..3 {
        read_back.extend(read(&ring));
        ring.collect().unwrap();
    }
    let expected: Vec<_> = (0..192)
        .map(|index| local(index, libc::EINVAL, Reject::BadField))
        .collect();
    assert_eq!(read_back, expected);
    assert_eq!(ring.shared().get(Word::InFlight), 0);
}

#[test]
fn ten_thousand_nops_through_the_smallest_queues_lose_nothing() {
    const TOTAL: u32 = 10_000;
    // Completions are read only now and then, so that block, queue and the kernel's backlog all fill up.
    const READ_EVERY: u32 = 250;
    let mut ring = Ring::open(&config(1, 4)).unwrap();
    let params = ring.queues().params();
    assert_eq!((params.sq_entries, params.cq_entries), (1, 4));
    let mut seen = vec![0; TOTAL as usize];
    for index in 0..TOTAL {
        prepare(&ring, nop(index));
        assert_eq!(ring.submit().unwrap(), 1);
        if (index + 1) % READ_EVERY == 0 {
            while ring.in_flight() > 0 || ring.shared().unread() > 0 {
                let completions = wait(&mut ring, 1);
                completions
                    .iter()
                    .for_each(|completion| seen[completion.index as usize] += 1);
            }
        }
    }
    assert!(seen.iter().all(|times| *times == 1));
    let stats = ring.stats();
    assert_eq!(
        (stats.submitted, stats.completed),
        (u64::from(TOTAL), u64::from(TOTAL))
    );
    assert!(
        stats.overflows >= u64::from(TOTAL / READ_EVERY),
        "{} overflows",
        stats.overflows
    );
}

#[test]
fn completions_that_overflow_a_full_queue_are_flagged_and_recovered() {
    let mut ring = Ring::open(&config(4, 4)).unwrap();
    let room = ring.shared().cq_capacity();
    let nops = |ring: &mut Ring, first: u32, count: u32| {
        for index in first..first + count {
            prepare(ring, nop(index));
            ring.submit().unwrap();
        }
    };
    // The block takes the first ones; after that 12 nops meet a completion queue of 4.
    nops(&mut ring, 0, room);
    assert_eq!(
        (ring.shared().unread(), ring.shared().get(Word::Overflowed)),
        (room, 0)
    );
    nops(&mut ring, room, 12);
    assert_eq!(ring.shared().get(Word::Overflowed), 1);
    assert_eq!((ring.stats().overflows, ring.in_flight()), (1, 12));
    assert!(ring.has_work());
    let mut indexes = Vec::new();
    while indexes.len() < room as usize + 12 {
        let completions = wait(&mut ring, 1);
        indexes.extend(completions.iter().map(|completion| completion.index));
    }
    assert_eq!(indexes, (0..room + 12).collect::<Vec<_>>());
    ring.collect().unwrap();
    assert_eq!((ring.shared().get(Word::Overflowed), ring.in_flight()), (0, 0));
    assert!(!ring.has_work());
}

#[test]
fn the_largest_queues_open_and_take_as_many_operations_as_they_have_places() {
    let mut ring = Ring::open(&config(ENTRIES_MAX, CQ_ENTRIES_MAX)).unwrap();
    (0..ENTRIES_MAX).for_each(|index| prepare(&ring, nop(index)));
    assert_eq!(ring.submit().unwrap(), ENTRIES_MAX);
    let mut count = 0;
    while count < ENTRIES_MAX as usize {
        ring.submit_and_wait(1, Some(PATIENCE)).unwrap();
        count += read(&ring).len();
    }
    assert_eq!((ring.in_flight(), ring.stats().overflows), (0, 0));
}

#[test]
fn a_chain_in_flight_counts_until_its_last_link_is_done() {
    let mut ring = Ring::open(&config(4, 8)).unwrap();
    let (reader, writer) = crate::driver::quiet_pipe();
    let arena = ring.create_arena(4096, false).unwrap();
    let first = transfer("read", reader.as_raw_fd(), 0, &arena, (0, 2), 0);
    prepare_all(&ring, &[flagged(first, LINK), nop(1)]);
    ring.submit().unwrap();
    assert_eq!((ring.in_flight(), ring.shared().unread()), (2, 0));
    std::io::Write::write_all(&mut &writer, b"ab").unwrap();
    assert_eq!(results(&wait(&mut ring, 2)), [(0, 2), (1, 0)]);
    assert_eq!(ring.in_flight(), 0);
}
