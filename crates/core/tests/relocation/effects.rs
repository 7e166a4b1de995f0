//! What success does to files: pipes, updates of slots, files from other rings; and that what is refused takes it back.

use crate::common::{
    ADDR, FD, FILE_INDEX, Fixture, HEAD, INDEX, KERNELS, LEN, OFF, OURS, PLAIN, forms, user_data, wide,
};
use uring_core::files::SLOTS_MAX;
use uring_core::inflight::Event;
use uring_core::reject::Reject;
use uring_core::relocate::{SQE_DRAIN, Words};
use uring_core::shared::{EXTRA_IS_EVENT, EXTRA_IS_FD, EXTRA_IS_FILE_EVENT, EXTRA_IS_PIPE};

const ALLOC: u32 = u32::MAX;
/// Where descriptors are listed in PLAIN.
const LISTED: u32 = 64;

fn good(fixture: &Fixture, name: &str) -> Words {
    fixture.good(forms().find(|form| form.name == name).unwrap())
}

fn in_use(fixture: &Fixture) -> u32 {
    fixture.tables.files.as_ref().unwrap().in_use()
}

fn resolve(fixture: &Fixture, handle: u32) -> Result<u32, Reject> {
    fixture.tables.files.as_ref().unwrap().resolve(handle)
}

/// What the kernel writes into the list of descriptors.
fn kernel_writes(words: &Words, values: &[i32]) {
    for (at, value) in values.iter().enumerate() {
        // SAFETY: the operation is in flight, and its list has as many entries.
        unsafe { (wide(words, ADDR) as *mut i32).add(at).write(*value) };
    }
}

/// An update of slots from `first` on.
fn update(fixture: &mut Fixture, first: u32, fds: &[i32]) -> Result<Words, Reject> {
    let mut record = good(fixture, "filesUpdate");
    (record[OFF], record[LEN]) = (first, fds.len() as u32);
    let listed: Vec<u32> = fds.iter().map(|fd| *fd as u32).collect();
    fixture.write_words(PLAIN, LISTED, &listed);
    fixture.admit(&record)
}

/// Takes the files out of these slots, by closing them.
fn close_all(fixture: &mut Fixture, slots: impl IntoIterator<Item = u32>) {
    for slot in slots {
        let mut record = good(fixture, "close");
        (record[FD], record[FILE_INDEX]) = (0, slot + 1);
        let words = fixture.admit(&record).unwrap();
        assert!(fixture.tables.complete(user_data(&words), 0, 0).is_some());
    }
}

#[test]
fn a_new_descriptor_is_marked_where_it_is_one() {
    for name in ["openat", "openat2", "accept", "socket", "fixedFdInstall"] {
        let mut fixture = Fixture::new();
        let record = good(&fixture, name);
        for (res, extra) in [(5, EXTRA_IS_FD), (-libc::EPERM, 0)] {
            let words = fixture.admit(&record).unwrap();
            let completion = fixture.tables.complete(user_data(&words), res, 0).unwrap();
            assert_eq!(completion.extra, extra, "{name} {res}");
        }
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn the_ends_of_a_pipe_are_answered_and_remembered() {
    let mut fixture = Fixture::new();
    let mut record = good(&fixture, "pipe");
    record[INDEX] = 3;
    let words = fixture.admit(&record).unwrap();
    kernel_writes(&words, &[7, 8]);
    let completion = fixture.tables.complete(user_data(&words), 0, 0).unwrap();
    assert_eq!(completion.extra, EXTRA_IS_PIPE);
    assert_eq!(fixture.read_words::<2>(PLAIN, LISTED), [7, 8]);
    assert_eq!(fixture.tables.pipes.remove(&3), Some([7, 8]));
    let words = fixture.admit(&record).unwrap();
    let failed = fixture
        .tables
        .complete(user_data(&words), -libc::EMFILE, 0)
        .unwrap();
    assert_eq!((failed.extra, fixture.tables.pipes.len()), (0, 0));
    fixture.assert_nothing_is_held();
}

#[test]
fn a_pipe_of_slots_takes_the_slot_and_the_next_or_none() {
    let mut fixture = Fixture::new();
    let mut record = good(&fixture, "pipe");
    // The second would be the kernel's, or the first holds a file.
    for index in [OURS, 1, OURS + KERNELS, u32::MAX - 1] {
        record[FILE_INDEX] = index;
        assert_eq!(fixture.refusal(&record), Reject::SlotUnavailable, "{index}");
        assert_eq!(in_use(&fixture), 1);
    }
    record[FILE_INDEX] = 2;
    let words = fixture.admit(&record).unwrap();
    assert_eq!((words[FILE_INDEX], in_use(&fixture)), (2, 3));
    assert!(
        fixture
            .tables
            .complete(user_data(&words), -libc::ENFILE, 0)
            .is_some()
    );
    assert_eq!(in_use(&fixture), 1);
    let words = fixture.admit(&record).unwrap();
    assert_eq!(fixture.tables.complete(user_data(&words), 0, 0).unwrap().extra, 0);
    let handles = fixture.read_words::<2>(PLAIN, LISTED);
    assert_eq!(handles.map(|handle| resolve(&fixture, handle)), [Ok(1), Ok(2)]);
    close_all(&mut fixture, handles);
    fixture.assert_nothing_is_held();
}

#[test]
fn a_pipe_of_the_kernels_slots_is_known_by_what_the_kernel_wrote() {
    let mut fixture = Fixture::new();
    let mut record = good(&fixture, "pipe");
    record[FILE_INDEX] = ALLOC;
    let words = fixture.admit(&record).unwrap();
    kernel_writes(&words, &[5, 7]);
    // What JavaScript writes meanwhile is not believed.
    fixture.write_words(PLAIN, LISTED, &[u32::MAX, 1 << 30]);
    assert!(fixture.tables.complete(user_data(&words), 0, 0).is_some());
    let handles = fixture.read_words::<2>(PLAIN, LISTED);
    assert_eq!(handles.map(|handle| resolve(&fixture, handle)), [Ok(5), Ok(7)]);
    close_all(&mut fixture, handles);
    fixture.assert_nothing_is_held();
}

#[test]
fn an_update_is_for_slots_of_ours_that_nothing_else_is_changing() {
    let mut fixture = Fixture::new();
    for (first, count) in [
        (OURS, 1),
        (OURS - 1, 2),
        (u32::MAX - 1, 1),
        (0, OURS as usize + 1),
    ] {
        let outcome = update(&mut fixture, first, &vec![9; count]);
        assert_eq!(outcome, Err(Reject::SlotUnavailable), "{count} from {first}");
    }
    let words = update(&mut fixture, 1, &[9, 9]).unwrap();
    let again = {
        let mut record = good(&fixture, "filesUpdate");
        (record[OFF], record[LEN], record[INDEX]) = (2, 1, 1);
        record
    };
    assert_eq!(fixture.refusal(&again), Reject::SlotUnavailable);
    let mut open = good(&fixture, "openat");
    (open[FILE_INDEX], open[INDEX]) = (2, 1);
    assert_eq!(fixture.refusal(&open), Reject::SlotUnavailable);
    fixture.tables.retract(user_data(&words));
    assert_eq!(in_use(&fixture), 1);
    let mut record = good(&fixture, "filesUpdate");
    record[OFF + 1] = 1;
    assert_eq!(fixture.refusal(&record), Reject::BadField);
    record[OFF + 1] = 0;
    for count in [0, SLOTS_MAX + 1, 1 << 30, u32::MAX] {
        record[LEN] = count;
        assert_eq!(fixture.refusal(&record), Reject::BadField, "{count} descriptors");
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn an_update_answers_the_handles_of_its_slots() {
    const SKIP: i32 = -2;
    let mut fixture = Fixture::new();
    let words = update(&mut fixture, 0, &[SKIP, 9, -1, 9]).unwrap();
    assert!(fixture.tables.complete(user_data(&words), 4, 0).is_some());
    let [kept, new, none, last] = fixture.read_words::<4>(PLAIN, LISTED);
    assert_eq!((kept, none), (fixture.file, 0));
    assert_eq!(
        [new, last].map(|handle| resolve(&fixture, handle)),
        [Ok(1), Ok(3)]
    );
    // Replaced, emptied: the handles before are stale.
    let words = update(&mut fixture, 1, &[9, -1, -1]).unwrap();
    assert!(fixture.tables.complete(user_data(&words), 3, 0).is_some());
    let [newer, ..] = fixture.read_words::<3>(PLAIN, LISTED);
    assert_eq!(
        [new, last].map(|handle| resolve(&fixture, handle)),
        [Err(Reject::StaleFile); 2]
    );
    close_all(&mut fixture, [newer]);
    fixture.assert_nothing_is_held();
}

#[test]
fn an_update_that_stops_has_emptied_the_slot_where_it_stopped() {
    for (res, stopped) in [(1, 2), (-libc::EBADF, 1)] {
        let mut fixture = Fixture::new();
        let words = update(&mut fixture, 1, &[9, 9, 9]).unwrap();
        assert!(fixture.tables.complete(user_data(&words), 3, 0).is_some());
        let before = fixture.read_words::<3>(PLAIN, LISTED);
        let words = update(&mut fixture, 1, &[10, 10, 10]).unwrap();
        assert!(fixture.tables.complete(user_data(&words), res, 0).is_some());
        let after = fixture.read_words::<3>(PLAIN, LISTED);
        for (at, slot) in (1..=3).enumerate() {
            let expected = match slot {
                _ if slot == stopped => (0, Err(Reject::StaleFile)),
                _ if slot < stopped => (after[at], Err(Reject::StaleFile)),
                _ => (before[at], Ok(slot)),
            };
            assert_eq!(
                (after[at], resolve(&fixture, before[at])),
                expected,
                "{res}: slot {slot}"
            );
        }
        close_all(&mut fixture, after.into_iter().filter(|handle| *handle != 0));
        fixture.assert_nothing_is_held();
    }
    // Cancelled before it began: all is as it was.
    let mut fixture = Fixture::new();
    let words = update(&mut fixture, 0, &[9]).unwrap();
    assert!(
        fixture
            .tables
            .complete(user_data(&words), -libc::ECANCELED, 0)
            .is_some()
    );
    fixture.assert_nothing_is_held();
}

#[test]
fn an_update_of_the_kernels_slots_is_known_by_what_the_kernel_wrote() {
    let mut fixture = Fixture::new();
    let words = update(&mut fixture, ALLOC, &[9, 9, 9]).unwrap();
    kernel_writes(&words, &[4, 6]);
    assert!(fixture.tables.complete(user_data(&words), 2, 0).is_some());
    let [first, second, untouched] = fixture.read_words::<3>(PLAIN, LISTED);
    assert_eq!(
        [first, second].map(|handle| resolve(&fixture, handle)),
        [Ok(4), Ok(6)]
    );
    assert_eq!((untouched, in_use(&fixture)), (9, 3));
    close_all(&mut fixture, [first, second]);
    fixture.assert_nothing_is_held();
}

#[test]
fn a_refused_chain_takes_everything_back() {
    let mut fixture = Fixture::new();
    let mut chain: Vec<Words> = [
        "pipe",
        "filesUpdate",
        "openat",
        "close",
        "provideBuffers",
        "recvmsg",
        "sendmsgZc",
    ]
    .map(|name| good(&fixture, name))
    .into();
    chain[0][FILE_INDEX] = 2;
    (chain[1][OFF], chain[1][LEN]) = (3, 1);
    chain[2][FILE_INDEX] = ALLOC;
    (chain[3][FD], chain[3][FILE_INDEX]) = (0, fixture.file + 1);
    // As `ring` does it: in order, and taken back in order.
    let mut admitted = Vec::new();
    for (index, record) in chain.iter_mut().enumerate() {
        record[INDEX] = index as u32;
        record[HEAD] |= 1 << 10;
        let name = format!("link {index}");
        fixture.write_words(PLAIN, LISTED, &[u32::MAX; 2]);
        if index >= 5 {
            // Their descriptions stand where the list of descriptors was.
            good(&fixture, if index == 5 { "recvmsg" } else { "sendmsgZc" });
        }
        admitted.push(user_data(&fixture.admit(record).expect(&name)));
    }
    assert_eq!(in_use(&fixture), 4, "the file, the pipe, the update");
    for operation in admitted {
        fixture.tables.retract(operation);
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_file_from_another_ring_makes_handles_of_its_slot_stale() {
    let mut fixture = Fixture::new();
    let message = |slot| Event::FileMessage(12, slot).user_data().unwrap();
    let old = fixture.file;
    let event = fixture.tables.complete(message(Some(0)), 0, 0).unwrap();
    assert_eq!((event.index, event.res), (12, 0));
    assert_eq!(
        event.extra & (EXTRA_IS_EVENT | EXTRA_IS_FILE_EVENT),
        EXTRA_IS_EVENT | EXTRA_IS_FILE_EVENT
    );
    assert_eq!(resolve(&fixture, old), Err(Reject::StaleFile));
    fixture.file = (event.extra & 0xffff) << 20;
    assert_eq!(resolve(&fixture, fixture.file), Ok(0));
    // Of the kernel's choice, while the close of the file before is not known yet.
    let event = fixture.tables.complete(message(None), 5, 0).unwrap();
    let handle = (event.extra & 0xffff) << 20 | 5;
    let mut close = good(&fixture, "close");
    (close[FD], close[FILE_INDEX]) = (0, handle + 1);
    let closing = fixture.admit(&close).unwrap();
    let event = fixture.tables.complete(message(None), 5, 0).unwrap();
    let newer = (event.extra & 0xffff) << 20 | 5;
    assert!(fixture.tables.complete(user_data(&closing), 0, 0).is_some());
    assert_eq!(
        [handle, newer].map(|handle| resolve(&fixture, handle)),
        [Err(Reject::StaleFile), Ok(5)]
    );
    close_all(&mut fixture, [newer]);
    fixture.assert_nothing_is_held();
}

#[test]
fn an_event_that_makes_no_sense_is_nobodys() {
    let mut fixture = Fixture::new();
    let message = |slot| Event::FileMessage(12, slot).user_data().unwrap();
    assert!(
        fixture
            .tables
            .complete(message(Some(OURS + KERNELS)), 0, 0)
            .is_none()
    );
    assert!(fixture.tables.complete(message(None), -1, 0).is_none());
    assert!(
        fixture
            .tables
            .complete(message(None), SLOTS_MAX as i32, 0)
            .is_none()
    );
    assert_eq!(Event::Message(1 << 53).user_data(), None);
    assert_eq!(Event::Tag(1 << 53).user_data(), None);
    let files = fixture.tables.files.take();
    assert!(fixture.tables.complete(message(Some(0)), 0, 0).is_none());
    fixture.tables.files = files;
    let number = (1 << 53) - 1;
    let event = fixture
        .tables
        .complete(Event::Message(number).user_data().unwrap(), -7, 0)
        .unwrap();
    let high = u64::from(event.extra & 0x1f_ffff);
    assert_eq!((high << 32 | u64::from(event.index), event.res), (number, -7));
    fixture.assert_nothing_is_held();
}

#[test]
fn a_zero_copy_send_that_drains_or_comes_after_an_operation_that_drained_is_refused() {
    for name in ["sendZc", "sendmsgZc"] {
        let mut fixture = Fixture::new();
        let send = good(&fixture, name);
        let mut draining = send;
        draining[HEAD] |= SQE_DRAIN << 8;
        assert_eq!(fixture.admit(&draining).err(), Some(Reject::AfterDrain));
        let words = fixture.admit(&send).unwrap();
        fixture.tables.retract(user_data(&words));
        let mut drained = good(&fixture, "nop");
        drained[HEAD] |= SQE_DRAIN << 8;
        let words = fixture.admit(&drained).unwrap();
        assert_eq!(fixture.admit(&send).err(), Some(Reject::AfterDrain));
        // The kernel may go on deferring when it has completed.
        fixture.tables.complete(user_data(&words), 0, 0);
        assert_eq!(fixture.admit(&send).err(), Some(Reject::AfterDrain));
    }
}
