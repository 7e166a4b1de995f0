//! Legacy provided buffers: their memory is held until the kernel has none of them any more.

use crate::common::{ADDR, BUFFER_SELECT, BUFFERS, FD, Fixture, HEAD, INDEX, LEN, forms, user_data};
use uring_core::relocate::Words;

/// IORING_CQE_F_BUFFER.
const BUFFER: u32 = 1;

fn good(fixture: &Fixture, name: &str, index: u32) -> Words {
    let mut record = fixture.good(forms().find(|form| form.name == name).unwrap());
    record[INDEX] = index;
    record
}

/// Provides four buffers of PLAIN.
fn provide(fixture: &mut Fixture) {
    let record = good(fixture, "provideBuffers", 0);
    let words = fixture.admit(&record).unwrap();
    assert!(fixture.tables.complete(user_data(&words), 0, 0).is_some());
}

fn take(fixture: &mut Fixture, index: u32) -> u64 {
    let mut record = good(fixture, "read", index);
    record[HEAD] |= BUFFER_SELECT;
    record[BUFFERS] = u32::from(fixture.legacy);
    record[ADDR..ADDR + 2].fill(0);
    user_data(&fixture.admit(&record).unwrap())
}

fn remove(fixture: &mut Fixture, count: u32, index: u32) -> u64 {
    let mut record = good(fixture, "removeBuffers", index);
    record[FD] = count;
    user_data(&fixture.admit(&record).unwrap())
}

fn is_held(fixture: &mut Fixture) -> bool {
    fixture.held_after_release()[0]
}

#[test]
fn provided_memory_is_held_until_the_last_buffer_is_used_up() {
    let mut fixture = Fixture::new();
    provide(&mut fixture);
    assert!(
        !fixture.tables.legacy.remove(fixture.legacy),
        "the kernel has buffers"
    );
    for used in 0..4 {
        let read = take(&mut fixture, 1);
        assert!(is_held(&mut fixture), "{used} used");
        assert!(fixture.tables.complete(read, 64, BUFFER | used << 16).is_some());
    }
    assert!(!is_held(&mut fixture));
    fixture.assert_nothing_is_held();
}

#[test]
fn provided_memory_is_held_until_it_is_removed_and_let_go_when_it_was_refused() {
    let mut fixture = Fixture::new();
    provide(&mut fixture);
    let some = remove(&mut fixture, 3, 0);
    assert!(fixture.tables.complete(some, 3, 0).is_some());
    assert!(is_held(&mut fixture));
    let rest = remove(&mut fixture, 9, 0);
    assert!(fixture.tables.complete(rest, 1, 0).is_some());
    assert!(!is_held(&mut fixture));
    fixture.assert_nothing_is_held();
    let mut fixture = Fixture::new();
    let record = good(&fixture, "provideBuffers", 0);
    let words = fixture.admit(&record).unwrap();
    assert!(
        fixture
            .tables
            .complete(user_data(&words), -libc::ENOMEM, 0)
            .is_some()
    );
    assert!(!is_held(&mut fixture));
    fixture.assert_nothing_is_held();
}

#[test]
fn a_group_that_is_never_empty_lets_its_memory_go_at_once_in_the_end() {
    let mut fixture = Fixture::new();
    for round in 0..3 {
        provide(&mut fixture);
        let read = take(&mut fixture, 1);
        assert!(fixture.tables.complete(read, 64, BUFFER | round << 16).is_some());
    }
    let all = remove(&mut fixture, 9, 0);
    assert!(is_held(&mut fixture));
    assert!(fixture.tables.complete(all, 9, 0).is_some());
    assert!(!is_held(&mut fixture));
    fixture.assert_nothing_is_held();
}

#[test]
fn a_buffer_that_an_operation_may_hold_is_not_let_go_by_a_wrong_count() {
    // 5.19 to 6.14: asked for five of three, the kernel says that it removed four. The fourth is the reader's.
    let mut fixture = Fixture::new();
    provide(&mut fixture);
    let read = take(&mut fixture, 1);
    let all = remove(&mut fixture, 5, 2);
    assert!(fixture.tables.complete(all, 4, 0).is_some());
    assert!(is_held(&mut fixture), "the reader writes to it");
    assert!(fixture.tables.complete(read, 64, BUFFER).is_some());
    assert!(!is_held(&mut fixture));
    fixture.assert_nothing_is_held();
}

#[test]
fn buffers_on_their_way_are_not_let_go_by_a_wrong_count_either() {
    let mut fixture = Fixture::new();
    fixture.tables.legacy.counts_one_too_many = true;
    let record = good(&fixture, "provideBuffers", 0);
    let words = fixture.admit(&record).unwrap();
    // There were none, and then come the four.
    let none = remove(&mut fixture, 5, 1);
    assert!(fixture.tables.complete(none, 1, 0).is_some());
    assert!(fixture.tables.complete(user_data(&words), 0, 0).is_some());
    for used in 0..4 {
        assert!(is_held(&mut fixture), "{used} used");
        let read = take(&mut fixture, 1);
        assert!(fixture.tables.complete(read, 64, BUFFER | used << 16).is_some());
    }
    assert!(!is_held(&mut fixture));
    fixture.assert_nothing_is_held();
}

#[test]
fn a_group_is_not_removed_while_something_is_on_its_way_to_it_or_from_it() {
    let mut fixture = Fixture::new();
    let read = take(&mut fixture, 1);
    assert!(!fixture.tables.legacy.remove(fixture.legacy));
    fixture.tables.retract(read);
    let mut record = good(&fixture, "provideBuffers", 0);
    // None of no bytes: the kernel refuses it, and it is an operation in flight all the same.
    (record[FD], record[LEN]) = (0, 0);
    let words = fixture.admit(&record).unwrap();
    assert!(!fixture.tables.legacy.remove(fixture.legacy));
    fixture.tables.retract(user_data(&words));
    fixture.assert_nothing_is_held();
}
