//! Whatever 64 bytes JavaScript writes, and whatever stands in its memory: nothing panics, what is admitted points into
//! live memory that is held, or into Rust's own, and taking it back leaves no trace.

use crate::admitted::{check, is_inside};
use crate::common::{
    ADDR, ARENA_BYTES, BUFFER_SELECT, BUFFERS, FILE_INDEX, Fixture, HEAD, INDEX, MESSAGE_LIST, PLAIN,
    SEQUENCE, forms, user_data,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use uring_core::ops::{self, FileIndex, GroupEffect, OpSpec, Wide};
use uring_core::relocate::Words;

/// How one word of a record, or of what it describes, is changed.
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
    form: usize,
    changes: Vec<(usize, Word)>,
    /// Changes of the description that the record names, by word; from 48 on its iovecs (if it is a message).
    described: Vec<(u32, Word)>,
    flags: u32,
    select: Option<bool>,
    /// No operation of the table.
    raw: Option<u8>,
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
    let place = prop_oneof![8 => 1usize..14, 1 => 0usize..16];
    (
        0..forms().count(),
        proptest::collection::vec((place, word()), 0..4),
        proptest::collection::vec((0u32..64, word()), 0..4),
        prop_oneof![3 => Just(0u32), 1 => 0u32..256],
        proptest::option::weighted(0.2, any::<bool>()),
        proptest::option::weighted(0.05, 65u8..),
    )
        .prop_map(|(form, changes, described, flags, select, raw)| Sketch {
            form,
            changes,
            described,
            flags,
            select,
            raw,
        })
}

fn form(sketch: &Sketch) -> &'static OpSpec {
    forms().nth(sketch.form).unwrap()
}

fn value(fixture: &Fixture, change: &Word, before: u32) -> u32 {
    match change {
        Word::Random(value) | Word::Small(value) => *value,
        Word::Bit(bit) => before ^ 1 << bit,
        Word::Arena(at @ 0..3) => fixture.handle(*at),
        Word::Arena(3) => fixture.pool.handle,
        Word::Arena(_) => fixture.stale,
        Word::File(more) if *more < 8 => *more,
        Word::File(more) => fixture.file + more - 8,
    }
}

/// A raw record: `addr` names a block that comes back, `off` and `addr3` are numbers.
fn raw_record(fixture: &Fixture, opcode: u8) -> Words {
    fixture.write_words(PLAIN, 64, &[24, 0, 1, 0, u32::MAX, u32::MAX, 0, 0]);
    let mut record = [0; 16];
    record[HEAD] = u32::from(opcode);
    record[ADDR..ADDR + 2].copy_from_slice(&[64, fixture.handle(PLAIN)]);
    record[14] = 0b11 << 2;
    record
}

fn record(fixture: &Fixture, sketch: &Sketch) -> Words {
    let mut record = match sketch.raw {
        Some(opcode) => raw_record(fixture, opcode),
        None => fixture.good(form(sketch)),
    };
    record[HEAD] |= sketch.flags << 8;
    if let Some(legacy) = sketch.select {
        record[HEAD] |= BUFFER_SELECT;
        if !matches!(form(sketch).addr, Wide::Message(_)) {
            record[ADDR..ADDR + 2].fill(0);
        }
        record[BUFFERS] = u32::from(if legacy { fixture.legacy } else { fixture.group });
    }
    for (at, change) in &sketch.changes {
        record[*at] = value(fixture, change, record[*at]);
    }
    for (word, change) in &sketch.described {
        let offset = if *word < 48 { 64 } else { MESSAGE_LIST - 48 * 4 } + word * 4;
        let [before] = fixture.read_words::<1>(PLAIN, offset);
        fixture.write_words(PLAIN, offset, &[value(fixture, change, before)]);
    }
    record
}

fn runner(cases: u32) -> TestRunner {
    TestRunner::new(Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    })
}

#[test]
fn any_record_is_refused_or_points_into_live_memory_and_leaves_no_trace() {
    let admitted = RefCell::new(BTreeMap::<String, u32>::new());
    let batch = proptest::collection::vec(sketch(), 1..60);
    let outcome = runner(600).run(&batch, |sketches| {
        let mut fixture = Fixture::new();
        for sketch in &sketches {
            let record = record(&fixture, sketch);
            if let Ok(words) = fixture.admit(&record) {
                check(&fixture, &record, &words)?;
                fixture.tables.retract(user_data(&words));
                let name = if sketch.raw.is_some() {
                    "raw"
                } else {
                    form(sketch).name
                };
                *admitted.borrow_mut().entry(name.to_owned()).or_default() += 1;
            }
        }
        fixture.assert_nothing_is_held();
        Ok(())
    });
    outcome.unwrap();
    let admitted = admitted.into_inner();
    for name in forms().map(|form| form.name).chain(["raw"]) {
        let count = admitted.get(name).copied().unwrap_or_default();
        assert!(count >= 10, "{name}: the records are too wild, {count} admitted");
    }
}

#[test]
fn what_an_operation_in_flight_leads_to_is_held_when_every_view_is_gone() {
    let outcome = runner(3000).run(&sketch(), |sketch| {
        let mut fixture = Fixture::new();
        let record = record(&fixture, &sketch);
        let Ok(words) = fixture.admit(&record) else {
            return Ok(());
        };
        let ranges = check(&fixture, &record, &words)?;
        let held = fixture.held_after_release();
        for range in ranges {
            let arenas = fixture.arenas.iter().zip(held);
            let here = arenas.filter(|(arena, _)| {
                let start = arena.mapping.start() as u64;
                (start..=start + u64::from(ARENA_BYTES)).contains(&range.0)
            });
            // The pool is always held: its group is registered.
            prop_assert!(here.clone().any(|(_, held)| held) || here.count() == 0);
            prop_assert!(is_inside(&fixture, range));
        }
        fixture.tables.retract(user_data(&words));
        fixture.assert_nothing_is_held();
        Ok(())
    });
    outcome.unwrap();
}

#[test]
fn random_bytes_never_panic() {
    let batch = proptest::collection::vec((any::<Words>(), 0..forms().count()), 200);
    let outcome = runner(100).run(&batch, |records| {
        let mut fixture = Fixture::new();
        for (mut record, row) in records {
            // Half of them have an operation of the table and nothing in the fields that must be zero.
            if record[0] & 1 == 0 {
                record[HEAD] = u32::from(forms().nth(row).unwrap().opcode);
                record[12..].fill(0);
            }
            if let Ok(words) = fixture.admit(&record) {
                check(&fixture, &record, &words)?;
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
    let end = prop_oneof![2 => Just(None), 1 => Just(Some(0)), 1 => Just(Some(-libc::ECANCELED))];
    let step = (sketch(), end).prop_map(|(sketch, end)| Step { sketch, end });
    let outcome = runner(300).run(&proptest::collection::vec(step, 1..60), |steps| {
        let mut fixture = Fixture::new();
        let mut live = VecDeque::new();
        let mut provided = 0;
        for (index, Step { sketch, end }) in steps.iter().enumerate() {
            let mut record = record(&fixture, sketch);
            record[INDEX] = index as u32;
            record[SEQUENCE] = u32::MAX;
            let spec = ops::spec(record[HEAD] as u8).and_then(|row| row.form(&record));
            if spec.is_some_and(|spec| !matches!(spec.file_index, FileIndex::Scalar(_))) {
                // Filling and closing slots for good is the business of files.rs.
                record[FILE_INDEX] = 0;
            }
            if let Ok(words) = fixture.admit(&record) {
                let updates = spec.is_some_and(|spec| spec.addr == Wide::Descriptors);
                let provides = spec.is_some_and(|spec| spec.group_effect == GroupEffect::Provide);
                live.push_back((user_data(&words), updates, provides.then_some(words[1])));
            }
            if let Some(res) = end
                && let Some((operation, updates, provides)) = live.pop_front()
            {
                let res = if updates { -libc::ECANCELED } else { *res };
                provided += provides.filter(|_| res >= 0).unwrap_or_default();
                prop_assert!(fixture.tables.complete(operation, res, 0).is_some());
            }
            prop_assert_eq!(fixture.tables.in_flight.live() as usize, live.len());
        }
        for (operation, ..) in live {
            fixture.tables.retract(operation);
        }
        let tables = &mut fixture.tables;
        tables
            .legacy
            .consume(fixture.legacy, provided, &mut tables.arenas);
        fixture.assert_nothing_is_held();
        Ok(())
    });
    outcome.unwrap();
}
