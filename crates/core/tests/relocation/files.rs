//! Registered files: as what an operation works on, as where a new file goes, and as what is closed.

use crate::common::{
    FD, FILE_INDEX, FIXED_FILE, Fixture, HEAD, INDEX, KERNELS, OP_FLAGS, OURS, forms, user_data,
};
use std::os::fd::AsRawFd;
use uring_core::files::SLOTS_MAX;
use uring_core::ops::{self, CANCEL_FD, CANCEL_FD_FIXED, Fd, FileIndex, OpSpec};
use uring_core::register::Registrar;
use uring_core::reject::Reject;
use uring_core::relocate::Words;

/// IORING_FILE_INDEX_ALLOC.
const ALLOC: u32 = u32::MAX;
const CLOSE: u8 = 19;

fn with(file_index: FileIndex) -> impl Iterator<Item = &'static OpSpec> {
    forms().filter(move |spec| spec.file_index == file_index)
}

fn close(fixture: &Fixture, handle: u32, index: u32) -> Words {
    let mut record = fixture.good(ops::spec(CLOSE).unwrap());
    record[FD] = 0;
    record[FILE_INDEX] = handle + 1;
    record[INDEX] = index;
    record
}

fn slot_in_use(fixture: &Fixture) -> u32 {
    fixture.tables.files.as_ref().unwrap().in_use()
}

#[test]
fn a_registered_file_stands_for_a_descriptor_wherever_one_is_worked_on() {
    let mut fixture = Fixture::new();
    let takes = |spec: &&OpSpec| spec.fd == Fd::File && spec.file_index != FileIndex::Close;
    for spec in forms().filter(takes) {
        let mut record = fixture.good(spec);
        record[HEAD] |= FIXED_FILE;
        record[FD] = fixture.file;
        let words = fixture.admit(&record).unwrap();
        assert_eq!(words[FD], 0, "{}: the slot's number", spec.name);
        assert_ne!(words[HEAD] & FIXED_FILE, 0, "{}", spec.name);
        fixture.tables.retract(user_data(&words));
        // By bare number the kernel decides whether there is a file: a link before may put one there.
        record[FD] = 2;
        let words = fixture.admit(&record).unwrap();
        assert_eq!(words[FD], 2, "{}", spec.name);
        fixture.tables.retract(user_data(&words));
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_stale_registered_file_is_refused() {
    for spec in forms().filter(|spec| spec.fd == Fd::File) {
        let mut fixture = Fixture::new();
        let mut record = fixture.good(spec);
        let first = fixture.file;
        let files = fixture.tables.files.as_mut().unwrap();
        fixture.file = files
            .set(0, 0, 0, Registrar::new(fixture.ring.as_raw_fd()))
            .unwrap();
        let empty_slot = files.handle(1);
        if spec.file_index != FileIndex::Close {
            record[HEAD] |= FIXED_FILE;
        }
        for handle in [first, empty_slot, OURS + KERNELS, SLOTS_MAX - 1, u32::MAX - 1] {
            let mut record = record;
            if spec.file_index == FileIndex::Close {
                record[FILE_INDEX] = handle + 1;
            } else {
                record[FD] = handle;
            }
            assert_eq!(
                fixture.refusal(&record),
                Reject::StaleFile,
                "{} {handle:#x}",
                spec.name
            );
        }
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn without_a_table_there_is_no_registered_file() {
    let mut fixture = Fixture::new();
    let files = fixture.tables.files.take();
    for spec in forms().filter(|spec| spec.fd == Fd::File) {
        let mut record = fixture.good(spec);
        if spec.file_index == FileIndex::Close {
            record[FILE_INDEX] = 1;
        } else {
            record[HEAD] |= FIXED_FILE;
            record[FD] = 0;
        }
        assert_eq!(fixture.refusal(&record), Reject::StaleFile, "{}", spec.name);
    }
    for spec in with(FileIndex::Destination) {
        for destination in [1, ALLOC] {
            let mut record = fixture.good(spec);
            record[FILE_INDEX] = destination;
            assert_eq!(fixture.refusal(&record), Reject::SlotUnavailable, "{}", spec.name);
        }
    }
    fixture.tables.files = files;
    fixture.assert_nothing_is_held();
}

#[test]
fn a_new_file_goes_only_into_a_free_slot_of_ours() {
    for spec in with(FileIndex::Destination) {
        let mut fixture = Fixture::new();
        let mut record = fixture.good(spec);
        let occupied = 1;
        let kernels = [OURS + 1, OURS + KERNELS];
        let beyond = [OURS + KERNELS + 1, SLOTS_MAX, u32::MAX - 1];
        for file_index in [occupied].into_iter().chain(kernels).chain(beyond) {
            record[FILE_INDEX] = file_index;
            let reject = fixture.refusal(&record);
            assert_eq!(reject, Reject::SlotUnavailable, "{} into {file_index}", spec.name);
        }
        for slot in 1..OURS {
            record[FILE_INDEX] = slot + 1;
            record[INDEX] = slot;
            let words = fixture.admit(&record).unwrap();
            assert_eq!(words[FILE_INDEX], slot + 1, "{}", spec.name);
            record[INDEX] = 9;
            let again = fixture.refusal(&record);
            assert_eq!(
                again,
                Reject::SlotUnavailable,
                "{}: it is being filled",
                spec.name
            );
        }
        let filling: Vec<u64> = fixture.tables.in_flight.all().collect();
        for operation in filling {
            fixture.tables.retract(operation);
        }
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_slot_is_filled_by_success_and_free_again_after_failure() {
    for spec in with(FileIndex::Destination) {
        let mut fixture = Fixture::new();
        let mut record = fixture.good(spec);
        record[FILE_INDEX] = 3;
        let words = fixture.admit(&record).unwrap();
        let failed = fixture.tables.complete(user_data(&words), -libc::ENOENT, 0);
        assert!(failed.is_some());
        assert_eq!(slot_in_use(&fixture), 1, "{}", spec.name);
        let words = fixture.admit(&record).unwrap();
        let filled = fixture.tables.complete(user_data(&words), 0, 0).unwrap();
        assert_eq!(fixture.refusal(&record), Reject::SlotUnavailable, "{}", spec.name);
        // JavaScript makes the handle from the slot and the generation in `extra`.
        let handle = filled.extra << 20 | 2;
        let close = close(&fixture, handle, 0);
        let words = fixture.admit(&close).unwrap();
        assert_eq!((words[FILE_INDEX], words[FD]), (3, 0));
        assert!(fixture.tables.complete(user_data(&words), 0, 0).is_some());
        assert_eq!(fixture.refusal(&close), Reject::StaleFile, "{}", spec.name);
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_slot_of_the_kernels_choice_is_known_by_its_completion() {
    for spec in with(FileIndex::Destination) {
        let mut fixture = Fixture::new();
        let mut record = fixture.good(spec);
        record[FILE_INDEX] = ALLOC;
        let words = fixture.admit(&record).unwrap();
        assert_eq!(words[FILE_INDEX], ALLOC, "{}", spec.name);
        assert_eq!(slot_in_use(&fixture), 1);
        let slot = OURS + 2;
        let filled = fixture
            .tables
            .complete(user_data(&words), slot as i32, 0)
            .unwrap();
        assert_eq!(slot_in_use(&fixture), 2, "{}", spec.name);
        let close = close(&fixture, filled.extra << 20 | slot, 0);
        let words = fixture.admit(&close).unwrap();
        assert_eq!(words[FILE_INDEX], slot + 1);
        assert!(fixture.tables.complete(user_data(&words), 0, 0).is_some());
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_registered_file_is_closed_once() {
    let mut fixture = Fixture::new();
    let once = close(&fixture, fixture.file, 0);
    let words = fixture.admit(&once).unwrap();
    for handle in [fixture.file, 0] {
        let twice = close(&fixture, handle, 1);
        assert_eq!(fixture.refusal(&twice), Reject::StaleFile, "{handle:#x}");
    }
    // While it is being closed, nothing new is started on it.
    let mut read = fixture.good(ops::spec(22).unwrap());
    read[HEAD] |= FIXED_FILE;
    read[FD] = fixture.file;
    read[INDEX] = 2;
    assert_eq!(fixture.refusal(&read), Reject::StaleFile);
    // A close that fails leaves the file where it is.
    assert!(
        fixture
            .tables
            .complete(user_data(&words), -libc::ECANCELED, 0)
            .is_some()
    );
    assert!(fixture.admit(&once).is_ok());
    fixture.tables.retract(user_data(&words));
    let operation = fixture.tables.in_flight.all().next().unwrap();
    fixture.tables.retract(operation);
    fixture.assert_nothing_is_held();
}

#[test]
fn a_slot_may_be_closed_by_number_behind_the_link_that_fills_it() {
    let mut fixture = Fixture::new();
    let mut open = fixture.good(ops::spec(18).unwrap());
    open[FILE_INDEX] = 2;
    let opened = fixture.admit(&open).unwrap();
    let record = close(&fixture, 1, 1);
    let closed = fixture.admit(&record).unwrap();
    assert!(fixture.tables.complete(user_data(&opened), 0, 0).is_some());
    assert_eq!(slot_in_use(&fixture), 2);
    assert!(fixture.tables.complete(user_data(&closed), 0, 0).is_some());
    assert_eq!(slot_in_use(&fixture), 1);
    fixture.assert_nothing_is_held();
}

#[test]
fn slots_that_are_filled_and_emptied_by_number_are_given_out_again_once_each() {
    let mut fixture = Fixture::new();
    let mut open = fixture.good(ops::spec(18).unwrap());
    open[FILE_INDEX] = 2;
    for _ in 0..100 {
        let words = fixture.admit(&open).unwrap();
        let filled = fixture.tables.complete(user_data(&words), 0, 0).unwrap();
        let close = close(&fixture, filled.extra << 20 | 1, 0);
        let words = fixture.admit(&close).unwrap();
        assert!(fixture.tables.complete(user_data(&words), 0, 0).is_some());
    }
    let registrar = Registrar::new(fixture.ring.as_raw_fd());
    let files = fixture.tables.files.as_mut().unwrap();
    let handles: Vec<u32> = (1..OURS).map(|_| files.alloc(0, 0, registrar).unwrap()).collect();
    let mut slots: Vec<u32> = handles.iter().map(|handle| handle & (SLOTS_MAX - 1)).collect();
    slots.sort_unstable();
    assert_eq!(slots, [1, 2, 3]);
    assert_eq!(
        files.alloc(0, 0, registrar).unwrap_err().raw_os_error(),
        Some(libc::ENFILE)
    );
    for handle in handles {
        files.clear(handle, registrar).unwrap();
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_refusal_after_the_slot_was_reserved_gives_the_slot_back() {
    for spec in with(FileIndex::Destination) {
        let mut fixture = Fixture::new();
        let taken = fixture.good(ops::spec(0).unwrap());
        let nop = fixture.admit(&taken).unwrap();
        let mut record = fixture.good(spec);
        record[FILE_INDEX] = 2;
        assert_eq!(fixture.refusal(&record), Reject::BadIndex, "{}", spec.name);
        assert_eq!(slot_in_use(&fixture), 1, "{}", spec.name);
        record[INDEX] = 1;
        let words = fixture.admit(&record).unwrap();
        fixture.tables.retract(user_data(&words));
        let closing = close(&fixture, fixture.file, 0);
        assert_eq!(fixture.refusal(&closing), Reject::BadIndex);
        fixture.tables.retract(user_data(&nop));
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_cancel_request_looks_for_a_registered_file_by_its_handle() {
    let mut fixture = Fixture::new();
    let mut record = fixture.good(ops::spec(ops::ASYNC_CANCEL).unwrap());
    record[OP_FLAGS] = CANCEL_FD | CANCEL_FD_FIXED;
    record[FD] = fixture.file;
    let words = fixture.admit(&record).unwrap();
    assert_eq!((words[FD], words[OP_FLAGS]), (0, record[OP_FLAGS]));
    fixture.tables.retract(user_data(&words));
    record[FD] = fixture.file + (1 << 20);
    assert_eq!(fixture.refusal(&record), Reject::StaleFile);
    record[OP_FLAGS] = CANCEL_FD;
    record[FD] = 7;
    let words = fixture.admit(&record).unwrap();
    assert_eq!(words[FD], 7, "a descriptor is not looked up");
    fixture.tables.retract(user_data(&words));
    fixture.assert_nothing_is_held();
}
