//! What the table of operations believes of the kernel's effects, asked of the kernel.

use crate::driver::{PATIENCE, Record, config, nop, prepare, record, wait};
use std::fs::File;
use std::io::{PipeReader, Read};
use std::os::fd::{AsRawFd, BorrowedFd};
use uring_core::arenas::NewArena;
use uring_core::reject::Reject;
use uring_core::ring::Ring;
use uring_core::shared::{CompletionRecord, EXTRA_IS_FD, EXTRA_IS_PIPE};
use uring_core::split::Split;

/// IORING_OP_PIPE (6.16).
const PIPE: u8 = 62;

/// IOSQE_FIXED_FILE and IOSQE_BUFFER_SELECT, as a record's first word has them.
const FIXED_FILE: u32 = 1 << 8;
const BUFFER_SELECT: u32 = 1 << 13;

fn run(ring: &mut Ring, record: Record) -> i32 {
    prepare(ring, record);
    wait(ring, 1)[0].res
}

fn naming(mut record: Record, arena: &NewArena, len: u32) -> Record {
    (record[5], record[6]) = (arena.handle, len);
    record
}

#[test]
fn an_update_that_stops_at_a_bad_descriptor_has_emptied_its_slot() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    ring.register_files(4, 0).unwrap();
    let null = File::open("/dev/null").unwrap();
    let handles: Vec<u32> = (0..3)
        .map(|slot| ring.set_file(Some(slot), null.as_raw_fd(), None).unwrap())
        .collect();
    let arena = ring.tables.arenas.create(4096, None).unwrap();
    // SAFETY: the arena was just made and has room for three words.
    unsafe {
        arena
            .mapping
            .start()
            .cast::<[i32; 3]>()
            .write([null.as_raw_fd(), 9999, 9999])
    };
    let update = naming(record("filesUpdate", -1, 0), &arena, 3);
    assert_eq!(run(&mut ring, update), 1);
    // By bare number it is the kernel that says whether there is a file.
    let held = [0, 1, 2].map(|slot| {
        let mut fsync = record("fsync", slot, 0);
        fsync[0] |= FIXED_FILE;
        run(&mut ring, fsync) != -libc::EBADF
    });
    assert_eq!(held, [true, false, true]);
    let files = ring.tables.files.as_ref().unwrap();
    assert_eq!(files.in_use(), 2);
    assert_eq!(files.resolve(handles[2]), Ok(2));
    assert!(files.resolve(handles[1]).is_err());
}

#[test]
fn the_kernel_counts_the_buffers_that_it_removes_right_where_we_believe_it() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let group = ring.tables.legacy.create().unwrap();
    let arena = ring.tables.arenas.create(4096, None).unwrap();
    let mut provide = naming(record("provideBuffers", 3, 0), &arena, 64);
    provide[10] = u32::from(group);
    assert_eq!(run(&mut ring, provide), 0);
    assert!(!ring.tables.legacy.remove(group));
    let mut remove = record("removeBuffers", 9, 0);
    remove[10] = u32::from(group);
    let removed = run(&mut ring, remove);
    let believed = 3..=3 + i32::from(ring.tables.legacy.counts_one_too_many);
    assert!(believed.contains(&removed), "{removed} of 3");
    assert!(ring.tables.legacy.remove(group));
}

#[test]
fn a_buffer_is_counted_by_the_completion_that_uses_it_up() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let group = ring.tables.legacy.create().unwrap();
    let arena = ring.tables.arenas.create(4096, None).unwrap();
    let mut provide = naming(record("provideBuffers", 1, 0), &arena, 64);
    provide[10] = u32::from(group);
    assert_eq!(run(&mut ring, provide), 0);
    let zero = File::open("/dev/zero").unwrap();
    let mut read = record("read", zero.as_raw_fd(), 0);
    read[0] |= BUFFER_SELECT;
    (read[6], read[10]) = (64, u32::from(group));
    assert_eq!(run(&mut ring, read), 64);
    assert!(ring.tables.legacy.remove(group), "the kernel has none left");
}

/// Makes a pipe; answers its read end once more, which says when the last write end is closed.
fn pipe(arena: &NewArena) -> impl FnOnce() -> PipeReader + use<> {
    let mapping = arena.mapping.clone();
    move || {
        // SAFETY: the operation has completed, so the two ends stand at the start of the arena.
        let [read, _write] = unsafe { mapping.start().cast::<[i32; 2]>().read() };
        // SAFETY: nobody has closed the end yet; the copy is ours.
        unsafe { BorrowedFd::borrow_raw(read) }
            .try_clone_to_owned()
            .unwrap()
            .into()
    }
}

fn pipe_record(arena: &NewArena) -> Record {
    let mut record = naming(record("pipe", 0, 0), arena, 0);
    record[7] = libc::O_NONBLOCK as u32;
    record
}

#[test]
fn a_pipe_that_nobody_read_from_the_block_is_closed_at_both_ends() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    if !ring.supports(PIPE) {
        return;
    }
    let arena = ring.tables.arenas.create(4096, None).unwrap();
    let read_end = pipe(&arena);
    prepare(&ring, pipe_record(&arena));
    ring.submit_and_wait(1, Some(PATIENCE)).unwrap();
    let mut read_end = read_end();
    assert!(read_end.read(&mut [0]).is_err(), "the other end is open");
    assert!(ring.drain(PATIENCE));
    assert_eq!(read_end.read(&mut [0]).unwrap(), 0, "the other end is closed");
}

/// Overwrites a completion record that nobody has read, as JavaScript can.
fn forge(ring: &Ring, at: usize, completion: CompletionRecord) {
    let shared = ring.shared();
    let CompletionRecord {
        index,
        res,
        flags,
        extra,
    } = completion;
    assert!((at as u32) < shared.unread());
    // SAFETY: a place of the completion records, which start at offsets()[1] of the mapping, four words each.
    unsafe {
        let records = shared.mapping().start().add(shared.offsets()[1] as usize);
        let place = records.cast::<[u32; 4]>().add(at);
        place.write([index, res as u32, flags, extra]);
    }
}

#[test]
fn what_is_closed_at_the_end_is_what_was_made_whatever_the_block_says() {
    for resizes in [false, true] {
        let mut ring = Ring::open(&config(8, 16)).unwrap();
        if !ring.supports(PIPE) {
            return;
        }
        let (_reader, mine) = std::io::pipe().unwrap();
        let arena = ring.tables.arenas.create(4096, None).unwrap();
        let read_end = pipe(&arena);
        prepare(&ring, pipe_record(&arena));
        prepare(&ring, nop(1));
        ring.submit_and_wait(2, Some(PATIENCE)).unwrap();
        let mut read_end = read_end();
        let forged = CompletionRecord {
            index: 1,
            res: mine.as_raw_fd(),
            flags: 0,
            extra: EXTRA_IS_FD,
        };
        forge(&ring, 0, forged);
        forge(
            &ring,
            1,
            CompletionRecord {
                extra: EXTRA_IS_FD | EXTRA_IS_PIPE,
                index: 0,
                ..forged
            },
        );
        if resizes {
            ring.resize(16, 32).unwrap();
        }
        assert!(read_end.read(&mut [0]).is_err(), "the other end is open");
        assert!(ring.drain(PATIENCE));
        assert_eq!(read_end.read(&mut [0]).unwrap(), 0, "the other end is closed");
        assert!(mine.try_clone().is_ok(), "what is not the ring's is open");
    }
}

#[test]
fn a_pipe_that_was_read_from_the_block_stays_open() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    if !ring.supports(PIPE) {
        return;
    }
    let arena = ring.tables.arenas.create(4096, None).unwrap();
    let mut ends = Vec::new();
    for _ in 0..3 {
        let read_end = pipe(&arena);
        assert_eq!(run(&mut ring, pipe_record(&arena)), 0);
        ends.push(read_end());
    }
    assert!(ring.tables.pipes.is_empty(), "nothing is kept of what was read");
    assert!(ring.drain(PATIENCE));
    for mut end in ends {
        assert!(end.read(&mut [0]).is_err(), "the other end is closed");
    }
}

#[test]
fn a_pipe_that_a_half_took_and_nobody_read_is_closed_at_both_ends() {
    let split = Split::open(&config(8, 16)).unwrap();
    let made = split.with(|ring| {
        let arena = ring.tables.arenas.create(4096, None)?;
        prepare(ring, pipe_record(&arena));
        Ok((ring.supports(PIPE), pipe(&arena)))
    });
    let (supported, read_end) = made.unwrap();
    if !supported {
        return;
    }
    split.open_taking().unwrap();
    split.submit().unwrap();
    assert_eq!(split.wait(1, Some(PATIENCE), || true).unwrap(), 1);
    let mut batch = Vec::new();
    split.take(8, &mut batch).unwrap();
    assert_eq!(batch.len(), 1);
    let mut read_end = read_end();
    split.close_taking(&batch);
    assert!(read_end.read(&mut [0]).is_err(), "the other end is open");
    split.close_submitting();
    assert_eq!(read_end.read(&mut [0]).unwrap(), 0, "the other end is closed");
}

/// MADV_DONTNEED for the first page of an arena: the reason why it was refused, or 0.
fn drop_page(ring: &mut Ring, handle: u32) -> u32 {
    let mut advice = record("madvise", -1, 0);
    (advice[5], advice[6], advice[7]) = (handle, 4096, libc::MADV_DONTNEED as u32);
    prepare(ring, advice);
    let completion = wait(ring, 1)[0];
    assert_eq!(completion.extra == 0, completion.res == 0);
    completion.extra & 0xffff
}

#[test]
fn pages_that_another_ring_has_registered_are_not_taken_away() {
    let refused = Reject::Registered as u32;
    let mut first = Ring::open(&config(8, 16)).unwrap();
    let (mine, token) = first.create_shared(4096).unwrap();
    assert!(mine.registered, "RLIMIT_MEMLOCK is too low");
    assert_eq!(drop_page(&mut first, mine.handle), refused);
    // By a clone, by the token, and until the other ring is closed.
    for ends in ["released", "closed"] {
        let mut second = Ring::open(&config(8, 16)).unwrap();
        if !mine.mapping.is_registered() {
            first.register_arena(mine.handle, None).unwrap();
        }
        let clone = second.share_arena(&first, mine.handle).unwrap();
        let theirs = second.open_shared(token).unwrap().0;
        first.unregister_arena(mine.handle).unwrap();
        assert_eq!(drop_page(&mut first, mine.handle), refused, "{ends}");
        second.release_arena(clone);
        assert_eq!(drop_page(&mut first, mine.handle), refused, "{ends}");
        if ends == "released" {
            second.release_arena(theirs.handle);
        }
        drop(second);
        assert_eq!(drop_page(&mut first, mine.handle), 0, "{ends}");
    }
}
