//! The two halves of one ring, on two threads.

use crate::driver::{PATIENCE, Record, config, nop, prepare, quiet_pipe, record, transfer};
use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use uring_core::arenas::NewArena;
use uring_core::ring::Ring;
use uring_core::setup::Config;
use uring_core::shared::Word;
use uring_core::split::{Delivered, Freed, Refused, Split};

/// What JavaScript keeps on the submitting side: which indexes are free.
struct Submitter<'a> {
    split: &'a Split,
    free: Vec<u32>,
    next: u32,
}

impl<'a> Submitter<'a> {
    fn new(split: &'a Split) -> Submitter<'a> {
        Submitter {
            split,
            free: Vec::new(),
            next: 0,
        }
    }

    fn reclaim(&mut self) {
        let free = &mut self.free;
        self.split
            .take_freed(usize::MAX, |_, Freed { index, .. }| free.push(index));
    }

    fn has_room(&self) -> bool {
        let room = |ring: &mut Ring| Ok(ring.shared().prepared() < ring.shared().sq_capacity());
        self.split.with(room).unwrap()
    }

    /// Prepares an operation with a number; `make` gets its index.
    fn prepare(&mut self, number: u64, make: impl FnOnce(u32) -> Record) {
        let index = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        // SAFETY: fewer operations than IN_FLIGHT_MAX are in flight here, and the mapping has a word for each.
        unsafe {
            let words = self.split.user_data().start().cast::<u64>();
            words.add(index as usize).write(number);
        }
        let record = make(index);
        self.split
            .with(|ring| {
                prepare(ring, record);
                Ok(())
            })
            .unwrap();
    }
}

fn open(entries: u32, cq_entries: u32) -> Split {
    let split = Split::open(&config(entries, cq_entries)).unwrap();
    split.open_taking().unwrap();
    split
}

fn close(split: &Split) {
    split.close_submitting();
    split.close_taking(&[]);
}

fn take(split: &Split) -> Vec<Delivered> {
    let mut batch = Vec::new();
    split.take(64, &mut batch).unwrap();
    batch
}

/// Takes until `count` completions are there, waiting in between.
fn take_many(split: &Split, count: usize) -> Vec<Delivered> {
    let mut all = Vec::new();
    let deadline = Instant::now() + PATIENCE * 3;
    while all.len() < count {
        assert!(Instant::now() < deadline, "{} of {count}", all.len());
        split.wait(1, Some(PATIENCE), || true).unwrap();
        all.extend(take(split));
    }
    all
}

/// One thread submits `count` operations as fast as it can, another takes their completions: every number arrives once.
fn hammer(sizes: Config, count: u64, make: impl Fn(u32, u64) -> Record + Sync, split: &Split) {
    assert!(sizes.entries > 0);
    let all = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut submitter = Submitter::new(split);
            for number in 0..count {
                submitter.prepare(number, |index| make(index, number));
                while !submitter.has_room() {
                    let _full_for_now = split.submit();
                    submitter.reclaim();
                }
            }
            split.submit().unwrap();
        });
        take_many(split, count as usize)
    });
    let mut seen: HashMap<u64, i32> = HashMap::new();
    for delivered in all {
        assert_eq!(seen.insert(delivered.user_data, delivered.record[1] as i32), None);
    }
    assert_eq!(seen.len() as u64, count);
    assert!((0..count).all(|number| seen.contains_key(&number)));
}

#[test]
fn every_completion_arrives_once_whatever_the_sizes_of_the_queues() {
    for (entries, cq_entries, count) in [
        (256, 4096, 200_000),
        (8, 16, 50_000),
        (1, 4, 20_000),
        (1, 1, 5_000),
    ] {
        let split = open(entries, cq_entries);
        hammer(config(entries, cq_entries), count, |index, _| nop(index), &split);
        close(&split);
    }
}

#[test]
fn reads_on_two_threads_bring_what_the_file_holds() {
    let split = open(64, 64);
    let arena: NewArena = split.with(|ring| ring.create_arena(1 << 16, true)).unwrap();
    let file = File::open("/proc/self/exe").unwrap();
    let make = |index: u32, number: u64| {
        let range = ((number as u32 % 128) * 512, 512);
        transfer("read", file.as_raw_fd(), index, &arena, range, number * 512)
    };
    hammer(config(64, 64), 1000, make, &split);
    close(&split);
}

#[test]
fn a_wait_ends_when_the_other_thread_submits_what_completes() {
    let split = open(4, 8);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            let mut submitter = Submitter::new(&split);
            submitter.prepare(7, nop);
            assert_eq!(split.submit().unwrap(), 1);
        });
        assert_eq!(split.wait(1, None, || true).unwrap(), 1);
        assert_eq!(take(&split)[0].user_data, 7);
    });
    close(&split);
}

#[test]
fn completions_of_a_pipe_come_while_the_submitting_thread_is_busy_elsewhere() {
    // No COOP_TASKRUN: that thread makes no system call, and still runs the task work of its reads.
    let split = open(4, 8);
    let arena = split.with(|ring| ring.create_arena(4096, false)).unwrap();
    let (reader, mut writer) = quiet_pipe();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut submitter = Submitter::new(&split);
            let fd = reader.as_raw_fd();
            submitter.prepare(1, |index| transfer("read", fd, index, &arena, (0, 8), 0));
            split.submit().unwrap();
            writer.write_all(b"abc").unwrap();
            while !done.load(Ordering::Relaxed) {
                std::hint::spin_loop();
            }
        });
        let completions = take_many(&split, 1);
        done.store(true, Ordering::Relaxed);
        assert_eq!((completions[0].user_data, completions[0].record[1]), (1, 3));
    });
    close(&split);
}

#[test]
fn a_refused_record_wakes_the_thread_that_waits() {
    let split = open(4, 8);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(30));
            let mut submitter = Submitter::new(&split);
            submitter.prepare(3, |index| {
                let mut stale = record("read", 0, index);
                stale[5..7].copy_from_slice(&[7, 16]);
                stale
            });
            split.submit().unwrap();
        });
        let completions = take_many(&split, 1);
        assert_eq!(completions[0].user_data, 3);
        assert_eq!(completions[0].record[1] as i32, -libc::EINVAL);
    });
    close(&split);
}

#[test]
fn an_index_is_free_when_its_completion_was_taken_and_not_before() {
    let split = open(4, 8);
    let mut submitter = Submitter::new(&split);
    submitter.prepare(5, nop);
    split.submit().unwrap();
    assert_eq!(split.ready(), 1);
    assert_eq!(split.take_freed(8, |_, _| {}), 0);
    assert_eq!(take(&split).len(), 1);
    let mut freed = Vec::new();
    split.take_freed(8, |_, one| freed.push(one));
    assert_eq!(freed, [Freed { index: 0, res: 0 }]);
    close(&split);
}

#[test]
fn closing_the_submitting_half_cancels_and_the_other_learns_of_it() {
    let split = open(4, 8);
    let arena = split.with(|ring| ring.create_arena(4096, false)).unwrap();
    let (reader, _writer) = quiet_pipe();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut submitter = Submitter::new(&split);
            let fd = reader.as_raw_fd();
            submitter.prepare(1, |index| transfer("read", fd, index, &arena, (0, 8), 0));
            split.submit().unwrap();
            // Prepared and never submitted.
            submitter.prepare(2, nop);
            std::thread::sleep(Duration::from_millis(30));
            split.close_submitting();
        });
        let mut completions = take_many(&split, 2);
        completions.sort_by_key(|one| one.user_data);
        for (at, delivered) in completions.iter().enumerate() {
            assert_eq!(delivered.user_data, at as u64 + 1);
            assert_eq!(delivered.record[1] as i32, -libc::ECANCELED);
        }
        let ended = split.wait(1, None, || true).unwrap_err();
        assert_eq!(ended.raw_os_error(), Some(libc::EBADF));
    });
    split.close_taking(&[]);
    assert_eq!(split.open_taking(), Err(Refused::Closed));
}

#[test]
fn a_thread_that_ends_with_operations_in_flight_leaves_them_to_the_other() {
    let split = open(4, 8);
    let arena = split.with(|ring| ring.create_arena(4096, false)).unwrap();
    let (reader, mut writer) = quiet_pipe();
    std::thread::scope(|scope| {
        let submits = scope.spawn(|| {
            let mut submitter = Submitter::new(&split);
            let fd = reader.as_raw_fd();
            submitter.prepare(1, |index| transfer("read", fd, index, &arena, (0, 8), 0));
            split.submit().unwrap();
        });
        submits.join().unwrap();
    });
    writer.write_all(b"abc").unwrap();
    // The kernel may run what was waiting in another thread's name, or give it up with the thread.
    let completions = take_many(&split, 1);
    let res = completions[0].record[1] as i32;
    assert!(res == 3 || res == -libc::ECANCELED, "{res}");
    close(&split);
}

#[test]
fn halves_that_are_closed_at_any_moment_leave_nothing_behind() {
    let opened = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = opened();
    for round in 0..100u64 {
        let split = open(8, 8);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut submitter = Submitter::new(&split);
                for number in 0..round * 10 {
                    submitter.prepare(number, nop);
                    while !submitter.has_room() {
                        let _full = split.submit();
                        submitter.reclaim();
                    }
                }
                split.close_submitting();
            });
            // Ends in the middle, and leaves one of those it has taken unread.
            let mut batch = Vec::new();
            for _ in 0..round % 7 * 10 {
                if split.wait(1, Some(Duration::from_millis(1)), || true).is_err() {
                    break;
                }
                batch.clear();
                split.take(4, &mut batch).unwrap();
            }
            split.close_taking(&batch[batch.len().min(1)..]);
        });
        assert!(split.with(|_| Ok(())).is_err(), "the ring is still there");
    }
    // Other tests of this binary open and close descriptors meanwhile.
    let deadline = Instant::now() + PATIENCE;
    while opened() > before && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(opened() <= before, "{} descriptors, {before} before", opened());
}

#[test]
fn a_head_that_makes_no_sense_loses_nothing_of_the_memory() {
    let split = open(4, 8);
    let mut submitter = Submitter::new(&split);
    for number in 0..3 {
        submitter.prepare(number, nop);
    }
    split.submit().unwrap();
    split
        .with(|ring| {
            ring.shared().set(Word::CqHead, 0x8000_0000);
            Ok(())
        })
        .unwrap();
    // Whatever that program gets to see, it ends.
    let _nonsense = take(&split);
    close(&split);
}
