//! What a cancel request looks for: one operation by index and sequence number, never the next under its index.

use crate::common::{ADDR, Fixture, INDEX, LEN, OP_FLAGS, SEQUENCE, user_data, wide};
use uring_core::inflight::NO_TARGET;
use uring_core::ops::{self, CANCEL_ANY, CANCEL_FD, CANCEL_OP, OpSpec};
use uring_core::reject::Reject;
use uring_core::relocate::Words;

fn cancel_spec() -> &'static OpSpec {
    ops::spec(ops::ASYNC_CANCEL).unwrap()
}

fn nop(fixture: &Fixture, index: u32, sequence: u32) -> Words {
    let mut record = fixture.good(ops::spec(0).unwrap());
    record[INDEX] = index;
    record[SEQUENCE] = sequence;
    record
}

fn translated(fixture: &mut Fixture, index: u32, sequence: u32) -> u64 {
    let mut record = fixture.good(cancel_spec());
    record[INDEX] = 1;
    record[ADDR..ADDR + 2].copy_from_slice(&[index, sequence]);
    let words = fixture.admit(&record).unwrap();
    fixture.tables.retract(user_data(&words));
    wide(&words, ADDR)
}

#[test]
fn an_operation_in_flight_is_named_to_the_kernel_by_its_user_data() {
    let mut fixture = Fixture::new();
    let record = nop(&fixture, 5, 77);
    let words = fixture.admit(&record).unwrap();
    assert_eq!(translated(&mut fixture, 5, 77), user_data(&words));
    fixture.tables.retract(user_data(&words));
    fixture.assert_nothing_is_held();
}

#[test]
fn a_target_that_is_over_or_never_was_is_named_to_nobody() {
    let mut fixture = Fixture::new();
    assert_eq!(translated(&mut fixture, 5, 77), NO_TARGET, "never started");
    let record = nop(&fixture, 5, 77);
    let first = fixture.admit(&record).unwrap();
    assert_eq!(translated(&mut fixture, 5, 78), NO_TARGET, "another sequence");
    assert_eq!(translated(&mut fixture, 4, 77), NO_TARGET, "another index");
    assert_eq!(
        translated(&mut fixture, u32::MAX, 77),
        NO_TARGET,
        "no index at all"
    );
    assert!(fixture.tables.complete(user_data(&first), 0, 0).is_some());
    assert_eq!(translated(&mut fixture, 5, 77), NO_TARGET, "completed");
    let record = nop(&fixture, 5, 78);
    let second = fixture.admit(&record).unwrap();
    assert_eq!(
        translated(&mut fixture, 5, 77),
        NO_TARGET,
        "the index has another operation"
    );
    assert_eq!(translated(&mut fixture, 5, 78), user_data(&second));
    assert_ne!(user_data(&first), user_data(&second));
    fixture.tables.retract(user_data(&second));
    fixture.assert_nothing_is_held();
}

#[test]
fn a_cancel_request_cannot_name_itself() {
    let mut fixture = Fixture::new();
    let mut record = fixture.good(cancel_spec());
    record[INDEX] = 5;
    record[SEQUENCE] = 77;
    record[ADDR..ADDR + 2].copy_from_slice(&[5, 77]);
    let words = fixture.admit(&record).unwrap();
    assert_eq!(wide(&words, ADDR), NO_TARGET);
    fixture.tables.retract(user_data(&words));
    fixture.assert_nothing_is_held();
}

#[test]
fn a_request_by_another_key_names_no_operation() {
    let mut fixture = Fixture::new();
    for flags in [CANCEL_FD, CANCEL_ANY, CANCEL_OP, CANCEL_FD | CANCEL_OP] {
        let mut record = fixture.good(cancel_spec());
        record[OP_FLAGS] = flags;
        record[LEN] = 22;
        let words = fixture.admit(&record).unwrap();
        assert_eq!((wide(&words, ADDR), words[OP_FLAGS], words[LEN]), (0, flags, 22));
        fixture.tables.retract(user_data(&words));
        for word in [ADDR, ADDR + 1] {
            let mut record = record;
            record[word] = 1;
            assert_eq!(
                fixture.refusal(&record),
                Reject::BadField,
                "{flags:#b} word {word}"
            );
        }
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_completion_that_is_stale_or_foreign_belongs_to_no_operation() {
    let mut fixture = Fixture::new();
    let record = nop(&fixture, 5, 0);
    let first = user_data(&fixture.admit(&record).unwrap());
    for foreign in [first ^ 1, first ^ 1 << 32, first ^ 1 << 56, 0, u64::MAX] {
        assert!(fixture.tables.complete(foreign, 0, 0).is_none(), "{foreign:#x}");
    }
    assert_eq!(fixture.tables.in_flight.live(), 1);
    assert!(fixture.tables.complete(first, 0, 0).is_some());
    fixture.admit(&record).unwrap();
    assert!(fixture.tables.complete(first, 0, 0).is_none(), "stale");
    assert_eq!(fixture.tables.in_flight.live(), 1);
    let second = fixture.tables.in_flight.all().next().unwrap();
    fixture.tables.retract(second);
    fixture.assert_nothing_is_held();
}
