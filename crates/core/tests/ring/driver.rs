//! What JavaScript does, in Rust: writes records into the shared block, reads completion records out of it.

use std::time::Duration;
use uring_core::arenas::NewArena;
use uring_core::ops::all;
use uring_core::ring::Ring;
use uring_core::setup::{Config, Sqpoll};
use uring_core::shared::{CompletionRecord, RECORD_WORDS, Word};

pub type Record = [u32; RECORD_WORDS];

/// IOSQE_IO_DRAIN, IO_LINK, IO_HARDLINK, ASYNC, as a record's first word has them.
pub const DRAIN: u32 = 1 << 9;
pub const LINK: u32 = 1 << 10;

/// Longer than anything here takes, so that a test which waits for nothing fails instead of hanging.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub fn config(entries: u32, cq_entries: u32) -> Config {
    Config {
        entries,
        cq_entries,
        ..Config::default()
    }
}

pub fn sqpoll(idle_ms: u32) -> Config {
    Config {
        sqpoll: Some(Sqpoll { idle_ms, cpu: None }),
        ..config(8, 16)
    }
}

/// A record with a name, a descriptor and an in-flight index; what else it needs is set by word.
pub fn record(name: &str, fd: i32, index: u32) -> Record {
    let spec = all().find(|spec| spec.name == name).unwrap();
    let mut record = [0; RECORD_WORDS];
    record[0] = u32::from(spec.opcode);
    record[1] = fd as u32;
    record[8] = index;
    record
}

pub fn nop(index: u32) -> Record {
    record("nop", -1, index)
}

/// A read or write of arena memory at a file offset.
pub fn transfer(
    name: &str,
    fd: i32,
    index: u32,
    arena: &NewArena,
    range: (u32, u32),
    file_offset: u64,
) -> Record {
    let mut record = record(name, fd, index);
    record[2] = file_offset as u32;
    record[3] = (file_offset >> 32) as u32;
    record[4] = range.0;
    record[5] = arena.handle;
    record[6] = range.1;
    record
}

pub fn flagged(mut record: Record, flags: u32) -> Record {
    record[0] |= flags;
    record
}

/// Writes a record at the tail; panics when the block is full.
pub fn prepare(ring: &Ring, record: Record) {
    let shared = ring.shared();
    assert!(shared.prepared() < shared.sq_capacity(), "the block is full");
    let tail = shared.get(Word::SqTail);
    let at = (tail & (shared.sq_capacity() - 1)) as usize;
    // SAFETY: `at` is below the number of submission records, which start at offsets()[0] of the mapping.
    unsafe {
        let records = shared.mapping().start().add(shared.offsets()[0] as usize);
        records.cast::<Record>().add(at).write(record);
    }
    shared.set(Word::SqTail, tail.wrapping_add(1));
}

pub fn prepare_all(ring: &Ring, records: &[Record]) {
    for record in records {
        prepare(ring, *record);
    }
}

/// Everything that can be read from the block now.
pub fn read(ring: &Ring) -> Vec<CompletionRecord> {
    std::iter::from_fn(|| ring.shared().pop_completion())
        .map(|completion| completion.record)
        .collect()
}

/// Submits, waits for `count` completions and reads them all, sorted by index.
pub fn wait(ring: &mut Ring, count: u32) -> Vec<CompletionRecord> {
    ring.submit_and_wait(count, Some(PATIENCE)).unwrap();
    let mut completions = read(ring);
    assert!(completions.len() >= count as usize, "{completions:?} are too few");
    completions.sort_by_key(|completion| completion.index);
    completions
}

/// (index, res) of completions.
pub fn results(completions: &[CompletionRecord]) -> Vec<(u32, i32)> {
    completions
        .iter()
        .map(|completion| (completion.index, completion.res))
        .collect()
}

/// A pipe nobody writes to: its read end, and its write end to keep it open.
pub fn quiet_pipe() -> (std::io::PipeReader, std::io::PipeWriter) {
    std::io::pipe().unwrap()
}
