//! Whatever 64 bytes JavaScript writes: nothing panics, what is admitted points into live memory only, and taking
//! it back leaves no trace.

use crate::common::{
    ADDR, ARENA_BYTES, BUFFER_SELECT, BUFFERS, FD, FILE_INDEX, FIXED_FILE, Fixture, HEAD, INDEX, KERNELS,
    LEN, OFF, OURS, PLAIN, user_data, wide,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::Cell;
use uring_core::inflight::NO_TARGET;
use uring_core::ops::{self, OPS, Size, Wide};
use uring_core::relocate::Words;

/// How one word of a record is changed.
#[derive(Clone, Debug)]
enum Word {
    Random(u32),
    Small(u32),
    Bit(u32),
    /// A handle of one of the fixture's arenas, of its pool, of a stale one.
    Arena(usize),
    /// A handle of the registered file, or a slot, plus this.
    File(u32),
}

#[derive(Clone, Debug)]
struct Sketch {
    row: usize,
    changes: Vec<(usize, Word)>,
    flags: u32,
    select: bool,
    entries: Vec<(usize, u32, u32)>,
}

fn word() -> impl Strategy<Value = Word> {
    prop_oneof![
        1 => any::<u32>().prop_map(Word::Random),
        4 => (0u32..2 * ARENA_BYTES).prop_map(Word::Small),
        3 => (0u32..32).prop_map(Word::Bit),
        6 => (0usize..5).prop_map(Word::Arena),
        2 => (0u32..12).prop_map(Word::File),
    ]
}

fn sketch() -> impl Strategy<Value = Sketch> {
    // Words that name something are changed more often than those that must be zero.
    let place = prop_oneof![8 => 1usize..12, 1 => 0usize..16];
    (
        0..OPS.len(),
        proptest::collection::vec((place, word()), 0..4),
        prop_oneof![3 => Just(0u32), 1 => 0u32..256],
        proptest::bool::weighted(0.2),
        proptest::collection::vec((0usize..4, 0..ARENA_BYTES, 0..ARENA_BYTES), 1..4),
    )
        .prop_map(|(row, changes, flags, select, entries)| Sketch {
            row,
            changes,
            flags,
            select,
            entries,
        })
}

fn handle(fixture: &Fixture, at: usize) -> u32 {
    match at {
        0..3 => fixture.handle(at),
        3 => fixture.pool.handle,
        _ => fixture.stale,
    }
}

fn record(fixture: &Fixture, sketch: &Sketch) -> Words {
    let spec = &OPS[sketch.row];
    let mut record = fixture.good(spec);
    if spec.addr == Wide::Iovecs {
        let entries: Vec<_> = sketch
            .entries
            .iter()
            .map(|(arena, offset, length)| (handle(fixture, *arena), *offset, *length))
            .collect();
        fixture.write_list(PLAIN, 64, &entries);
        record[LEN] = entries.len() as u32;
    }
    record[HEAD] |= sketch.flags << 8;
    if sketch.select {
        record[HEAD] |= BUFFER_SELECT;
        record[ADDR..ADDR + 2].fill(0);
        record[BUFFERS] = u32::from(fixture.group);
    }
    for (at, change) in &sketch.changes {
        match change {
            Word::Random(value) | Word::Small(value) => record[*at] = *value,
            Word::Bit(bit) => record[*at] ^= 1 << bit,
            Word::Arena(arena) => record[*at] = handle(fixture, *arena),
            Word::File(more) => record[*at] = if *more < 8 { *more } else { fixture.file + more - 8 },
        }
    }
    record
}

/// The range lies inside one arena that JavaScript can name.
fn is_inside(fixture: &Fixture, address: u64, bytes: u64) -> bool {
    let arenas = fixture.arenas.iter().chain([&fixture.pool]);
    arenas.map(|arena| &arena.mapping).any(|mapping| {
        let start = mapping.start() as u64;
        let end = address.checked_add(bytes);
        address >= start && end.is_some_and(|end| end <= start + mapping.size_bytes() as u64)
    })
}

fn check_list(fixture: &Fixture, words: &Words) -> Result<(), TestCaseError> {
    let (list, count) = (wide(words, ADDR), words[LEN] as usize);
    prop_assert!(
        !is_inside(fixture, list, 0),
        "the kernel's list lies in JavaScript's memory"
    );
    for at in 0..count {
        // SAFETY: the record has just been admitted, so its list of `count` entries is alive.
        let entry = unsafe { *(list as *const libc::iovec).add(at) };
        prop_assert!(is_inside(fixture, entry.iov_base as u64, entry.iov_len as u64));
    }
    Ok(())
}

/// Every pointer of an admitted record lies inside live memory, and everything else is what JavaScript wrote.
fn check_admitted(fixture: &Fixture, record: &Words, words: &Words) -> Result<(), TestCaseError> {
    // The row is that of the record: a fixed form takes the same fields.
    let spec = ops::spec(record[HEAD] as u8).unwrap();
    let opcode = words[HEAD] as u8;
    prop_assert!(opcode == spec.opcode || Some(opcode) == spec.fixed_form);
    prop_assert_eq!(words[HEAD] >> 8, record[HEAD] >> 8);
    prop_assert_eq!(words[LEN..INDEX].to_vec(), record[LEN..INDEX].to_vec());
    prop_assert_eq!(words[12..].to_vec(), vec![0; 4]);
    prop_assert_eq!(user_data(words) as u32, record[INDEX]);
    match spec.off {
        Wide::Memory(Size::Const(bytes)) => {
            prop_assert!(is_inside(fixture, wide(words, OFF), u64::from(bytes)))
        }
        _ => prop_assert_eq!(wide(words, OFF), wide(record, OFF)),
    }
    let (address, len) = (wide(words, ADDR), u64::from(words[LEN]));
    let selects = record[HEAD] & BUFFER_SELECT != 0;
    match spec.addr {
        Wide::Memory(Size::Len) if selects || (address, len) == (0, 0) => prop_assert_eq!(address, 0),
        Wide::Memory(Size::Len) | Wide::RegisteredMemory => prop_assert!(is_inside(fixture, address, len)),
        Wide::Memory(Size::Const(bytes)) => prop_assert!(is_inside(fixture, address, u64::from(bytes))),
        Wide::Path => prop_assert!(is_inside(fixture, address, 1)),
        Wide::Iovecs => check_list(fixture, words)?,
        Wide::Target => prop_assert_eq!(address, NO_TARGET),
        Wide::Zero => prop_assert_eq!(address, 0),
        Wide::Scalar => prop_assert_eq!(address, wide(record, ADDR)),
    }
    if record[HEAD] & FIXED_FILE != 0 {
        prop_assert!(words[FD] < OURS + KERNELS);
    }
    prop_assert!(words[FILE_INDEX] <= OURS + KERNELS || words[FILE_INDEX] == u32::MAX);
    Ok(())
}

#[test]
fn any_record_is_refused_or_points_into_live_memory_and_leaves_no_trace() {
    let mut runner = TestRunner::new(Config {
        cases: 400,
        failure_persistence: None,
        ..Config::default()
    });
    let admitted = Cell::new(0);
    let batch = proptest::collection::vec(sketch(), 1..40);
    let outcome = runner.run(&batch, |sketches| {
        let mut fixture = Fixture::new();
        for sketch in &sketches {
            let record = record(&fixture, sketch);
            if let Ok(words) = fixture.admit(&record) {
                admitted.set(admitted.get() + 1);
                check_admitted(&fixture, &record, &words)?;
                fixture.tables.retract(user_data(&words));
            }
        }
        fixture.assert_nothing_is_held();
        Ok(())
    });
    outcome.unwrap();
    assert!(
        admitted.get() > 1000,
        "the records are too wild: {} admitted",
        admitted.get()
    );
}

#[test]
fn random_bytes_never_panic() {
    let mut runner = TestRunner::new(Config {
        cases: 100,
        failure_persistence: None,
        ..Config::default()
    });
    let batch = proptest::collection::vec((any::<Words>(), 0..OPS.len()), 200);
    let outcome = runner.run(&batch, |records| {
        let mut fixture = Fixture::new();
        for (mut record, row) in records {
            // Half of them have an operation of the table and nothing in the fields that must be zero.
            if record[0] & 1 == 0 {
                record[HEAD] = u32::from(OPS[row].opcode);
                record[12..].fill(0);
            }
            if let Ok(words) = fixture.admit(&record) {
                check_admitted(&fixture, &record, &words)?;
                fixture.tables.retract(user_data(&words));
            }
        }
        fixture.assert_nothing_is_held();
        Ok(())
    });
    outcome.unwrap();
}

/// An operation in a random program: its record, and what happens to the oldest operation in flight afterwards.
#[derive(Clone, Debug)]
struct Step {
    sketch: Sketch,
    end: Option<i32>,
}

#[test]
fn operations_that_come_and_go_in_any_order_hold_what_they_name_and_nothing_else() {
    let mut runner = TestRunner::new(Config {
        cases: 200,
        failure_persistence: None,
        ..Config::default()
    });
    let end = prop_oneof![2 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(-libc::ECANCELED))];
    let step = (sketch(), end).prop_map(|(sketch, end)| Step { sketch, end });
    let outcome = runner.run(&proptest::collection::vec(step, 1..60), |steps| {
        let mut fixture = Fixture::new();
        let mut live = std::collections::VecDeque::new();
        for (index, Step { sketch, end }) in steps.iter().enumerate() {
            let mut record = record(&fixture, sketch);
            record[INDEX] = index as u32;
            // Filling and closing slots for good is the business of files.rs.
            record[FILE_INDEX] = 0;
            if let Ok(words) = fixture.admit(&record) {
                live.push_back(user_data(&words));
            }
            if let Some(res) = end
                && let Some(operation) = live.pop_front()
            {
                prop_assert!(fixture.tables.complete(operation, *res, 0).is_some());
            }
            prop_assert_eq!(fixture.tables.in_flight.live() as usize, live.len());
        }
        for operation in live {
            fixture.tables.retract(operation);
        }
        fixture.assert_nothing_is_held();
        Ok(())
    });
    outcome.unwrap();
}
