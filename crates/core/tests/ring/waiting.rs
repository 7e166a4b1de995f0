//! Blocking waits, and a kernel thread that sleeps.

use crate::driver::{PATIENCE, config, nop, prepare, quiet_pipe, read, results, sqpoll, transfer, wait};
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};
use uring_core::ring::Ring;

#[test]
fn a_wait_ends_when_the_time_is_up_and_leaves_the_operation_in_flight() {
    let mut ring = Ring::open(&config(4, 8)).unwrap();
    let (reader, mut writer) = quiet_pipe();
    let arena = ring.create_arena(4096, false).unwrap();
    prepare(&ring, transfer("read", reader.as_raw_fd(), 0, &arena, (0, 10), 0));
    let started = Instant::now();
    let taken = ring.submit_and_wait(1, Some(Duration::from_millis(30))).unwrap();
    let waited = started.elapsed();
    assert_eq!((taken, ring.in_flight(), ring.ready()), (1, 1, 0));
    assert!(
        waited >= Duration::from_millis(30) && waited < PATIENCE,
        "{waited:?}"
    );
    writer.write_all(b"abc").unwrap();
    assert_eq!(results(&wait(&mut ring, 1)), [(0, 3)]);
}

#[test]
fn a_wait_of_no_time_only_looks() {
    let mut ring = Ring::open(&config(4, 8)).unwrap();
    let (reader, _writer) = quiet_pipe();
    let arena = ring.create_arena(4096, false).unwrap();
    prepare(&ring, transfer("read", reader.as_raw_fd(), 0, &arena, (0, 10), 0));
    prepare(&ring, nop(1));
    assert_eq!(ring.submit_and_wait(2, Some(Duration::ZERO)).unwrap(), 2);
    assert_eq!(results(&read(&ring)), [(1, 0)]);
    assert!(ring.drain(PATIENCE));
}

#[test]
fn a_wait_counts_what_nobody_has_read_yet() {
    let mut ring = Ring::open(&config(4, 8)).unwrap();
    prepare(&ring, nop(0));
    ring.submit().unwrap();
    assert_eq!(ring.shared().unread(), 1);
    let enters = ring.stats().enters;
    // One is there already: waiting for it must not wait for another.
    ring.submit_and_wait(1, None).unwrap();
    assert_eq!(ring.stats().enters, enters);
    prepare(&ring, nop(1));
    ring.submit_and_wait(2, None).unwrap();
    assert_eq!(results(&read(&ring)), [(0, 0), (1, 0)]);
}

#[test]
fn a_wait_ends_early_when_another_thread_makes_the_operation_complete() {
    let mut ring = Ring::open(&config(4, 8)).unwrap();
    let (reader, mut writer) = quiet_pipe();
    let arena = ring.create_arena(4096, false).unwrap();
    prepare(&ring, transfer("read", reader.as_raw_fd(), 0, &arena, (0, 10), 0));
    let other = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(30));
        writer.write_all(b"xy").unwrap();
        writer
    });
    // One completion is unread already: together with the read's they are the two that are waited for.
    prepare(&ring, nop(1));
    ring.submit().unwrap();
    let started = Instant::now();
    assert_eq!(results(&wait(&mut ring, 2)), [(0, 2), (1, 0)]);
    assert!(started.elapsed() < PATIENCE / 2, "it waited for more");
    drop(other.join().unwrap());
}

#[test]
fn a_wait_for_more_than_the_completion_queue_holds_ends() {
    let mut ring = Ring::open(&config(4, 4)).unwrap();
    (0..4).for_each(|index| prepare(&ring, nop(index)));
    ring.submit().unwrap();
    (4..8).for_each(|index| prepare(&ring, nop(index)));
    ring.submit_and_wait(8, Some(PATIENCE)).unwrap();
    assert_eq!(read(&ring).len(), 8);
}

#[test]
fn a_sleeping_submission_thread_is_woken_for_new_work() {
    let mut ring = Ring::open(&sqpoll(1)).unwrap();
    for round in 0..3 {
        let started = Instant::now();
        loop {
            if ring.queues().submission.needs_wakeup() {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "the thread does not go to sleep");
            std::thread::sleep(Duration::from_millis(2));
        }
        prepare(&ring, nop(round));
        assert_eq!(results(&wait(&mut ring, 1)), [(round, 0)]);
    }
    assert!(ring.drain(PATIENCE));
}

#[test]
fn a_submission_thread_that_is_awake_needs_no_system_call_to_submit() {
    let mut ring = Ring::open(&sqpoll(10_000)).unwrap();
    prepare(&ring, nop(0));
    wait(&mut ring, 1);
    let started = Instant::now();
    prepare(&ring, nop(1));
    ring.submit().unwrap();
    while ring.shared().unread() == 0 {
        assert!(started.elapsed() < PATIENCE, "nothing was submitted");
        std::thread::yield_now();
        ring.reap();
    }
    assert_eq!(results(&read(&ring)), [(1, 0)]);
}

#[test]
fn a_thread_that_lags_behind_never_loses_a_record() {
    let mut ring = Ring::open(&sqpoll(50)).unwrap();
    let mut seen = vec![0; 2000];
    let mut next = 0;
    let started = Instant::now();
    while seen.contains(&0) {
        assert!(started.elapsed() < PATIENCE, "records are stuck");
        while next < 2000 && ring.shared().prepared() < ring.shared().sq_capacity() {
            prepare(&ring, nop(next));
            next += 1;
        }
        ring.submit_and_wait(1, Some(PATIENCE)).unwrap();
        for completion in read(&ring) {
            seen[completion.index as usize] += 1;
        }
    }
    assert!(seen.iter().all(|times| *times == 1));
    assert_eq!(ring.in_flight(), 0);
}
