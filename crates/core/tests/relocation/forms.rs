//! What tells forms of one operation apart, and what each of them may not say.

use crate::common::{
    ADDR, ADDR3, FD, FILE_INDEX, FIXED_FILE, Fixture, HEAD, LEN, OFF, OP_FLAGS, REGISTERED, TOKEN, forms,
    title, user_data, wide,
};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use uring_core::inflight::Event;
use uring_core::ops::{self, Fd, FileIndex, OpSpec, SPLICE_F_FD_IN_FIXED, Wide};
use uring_core::reject::Reject;
use uring_core::relocate::{Entries, Words};

fn command(number: u32) -> &'static OpSpec {
    let row = ops::all().find(|row| row.name == "uringCmd").unwrap();
    let mut forms = std::iter::once(row).chain(row.forms);
    forms.find(|form| form.when.value == number).unwrap()
}

fn message(sends_file: bool) -> &'static OpSpec {
    forms()
        .find(|form| form.name == "msgRing" && (form.addr3 == Wide::Slot) == sends_file)
        .unwrap()
}

fn admitted(fixture: &mut Fixture, record: &Words) -> Words {
    let words = fixture.admit(record).unwrap();
    fixture.tables.retract(user_data(&words));
    words
}

#[test]
fn every_good_record_is_of_its_own_form() {
    let fixture = Fixture::new();
    for spec in forms() {
        let record = fixture.good(spec);
        let found = ops::spec(spec.opcode).unwrap().form(&record).unwrap();
        assert!(std::ptr::eq(found, spec), "{}", title(spec));
    }
}

#[test]
fn a_command_that_nobody_has_read_for_addresses_is_refused() {
    let mut fixture = Fixture::new();
    let mut record = fixture.good(command(0));
    for number in [6, 7, 0x1201, 0x12_0000, u32::MAX] {
        record[OFF] = number;
        assert_eq!(fixture.refusal(&record), Reject::BadField, "{number:#x}");
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn socket_options_that_hold_addresses_or_count_otherwise_are_refused() {
    const SET: u32 = 3;
    const GET: u32 = 2;
    let mut fixture = Fixture::new();
    let cases = [
        (SET, libc::SOL_SOCKET, libc::SO_KEEPALIVE, true),
        (SET, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, false),
        (SET, libc::SOL_SOCKET, 51, false),
        (SET, libc::SOL_IP, libc::IP_TTL, true),
        (SET, libc::SOL_IP, 64, false),
        (SET, libc::SOL_IPV6, 65, false),
        // SOL_XDP (XDP_UMEM_REG) and SOL_PACKET (PACKET_FANOUT_DATA).
        (SET, 283, 4, false),
        (SET, 263, 22, false),
        (SET, -1, 0, false),
        (GET, libc::SOL_SOCKET, libc::SO_ERROR, true),
        // As many instructions of eight bytes as the length says.
        (GET, libc::SOL_SOCKET, libc::SO_GET_FILTER, false),
        // TCP_ZEROCOPY_RECEIVE.
        (GET, libc::SOL_TCP, 35, false),
    ];
    for (number, level, option, good) in cases {
        let mut record = fixture.good(command(number));
        record[ADDR..ADDR + 2].copy_from_slice(&[level as u32, option as u32]);
        let outcome = fixture
            .admit(&record)
            .map(|words| fixture.tables.retract(user_data(&words)));
        let expected = if good { Ok(()) } else { Err(Reject::BadField) };
        assert_eq!(outcome, expected, "{number} {level} {option}");
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn flags_of_messages_that_are_not_for_users_are_refused() {
    let mut fixture = Fixture::new();
    let takes = |spec: &&OpSpec| {
        spec.name.starts_with("send") || spec.name.starts_with("recv") && spec.name != "recvZc"
    };
    assert_eq!(forms().filter(takes).count(), 8);
    for spec in forms().filter(takes) {
        let mut record = fixture.good(spec);
        // MSG_ZEROCOPY, MSG_SPLICE_PAGES, MSG_SENDPAGE_DECRYPTED, MSG_CMSG_COMPAT.
        for flag in [0x400_0000, 0x800_0000, 0x10_0000, 0x8000_0000] {
            record[OP_FLAGS] = flag;
            assert_eq!(
                fixture.refusal(&record),
                Reject::BadField,
                "{} {flag:#x}",
                title(spec)
            );
        }
        record[OP_FLAGS] = (libc::MSG_WAITALL | libc::MSG_NOSIGNAL | libc::MSG_CMSG_CLOEXEC) as u32;
        assert_eq!(admitted(&mut fixture, &record)[OP_FLAGS], record[OP_FLAGS]);
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_flag_of_the_operation_makes_the_descriptor_a_slot() {
    let mut fixture = Fixture::new();
    for spec in forms() {
        let Fd::ByFlag(bit) = spec.fd else { continue };
        let mut record = fixture.good(spec);
        record[OP_FLAGS] |= bit;
        record[FD] = fixture.file;
        assert_eq!(admitted(&mut fixture, &record)[FD], 0, "{}", spec.name);
        record[FD] += 1 << 20;
        assert_eq!(fixture.refusal(&record), Reject::StaleFile, "{}", spec.name);
        record[OP_FLAGS] &= !bit;
        assert_eq!(admitted(&mut fixture, &record)[FD], record[FD], "{}", spec.name);
        record[HEAD] |= FIXED_FILE;
        assert_eq!(fixture.refusal(&record), Reject::BadField, "{}", spec.name);
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn the_source_of_a_splice_is_a_descriptor_or_by_its_flag_a_slot() {
    let mut fixture = Fixture::new();
    for spec in forms().filter(|spec| spec.file_index == FileIndex::Source) {
        let mut record = fixture.good(spec);
        record[FILE_INDEX] = fixture.file;
        assert_eq!(
            admitted(&mut fixture, &record)[FILE_INDEX],
            fixture.file,
            "{}",
            spec.name
        );
        record[OP_FLAGS] = SPLICE_F_FD_IN_FIXED;
        assert_eq!(admitted(&mut fixture, &record)[FILE_INDEX], 0, "{}", spec.name);
        record[FILE_INDEX] += 1 << 20;
        assert_eq!(fixture.refusal(&record), Reject::StaleFile, "{}", spec.name);
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_buffer_that_is_only_named_is_named_by_its_index() {
    let mut fixture = Fixture::new();
    let spec = forms().find(|form| form.addr == Wide::RegisteredIndex).unwrap();
    let mut record = fixture.good(spec);
    let words = fixture.admit(&record).unwrap();
    let index = fixture.handle(REGISTERED) - 1;
    assert_eq!((wide(&words, ADDR), words[10] & 0xffff), (0, index));
    fixture.tables.retract(user_data(&words));
    record[ADDR + 1] = fixture.handle(0);
    assert_eq!(fixture.refusal(&record), Reject::NotRegistered);
    fixture.assert_nothing_is_held();
}

#[test]
fn a_message_to_another_ring_arrives_as_an_event_and_never_as_an_operation() {
    let mut fixture = Fixture::new();
    let mut record = fixture.good(message(false));
    for number in [0, 77, (1 << 53) - 1] {
        (record[OFF], record[OFF + 1]) = (number as u32, (number >> 32) as u32);
        let words = admitted(&mut fixture, &record);
        assert_eq!(Event::of(wide(&words, OFF)), Some(Event::Message(number)));
    }
    record[OFF + 1] = 1 << 21;
    assert_eq!(fixture.refusal(&record), Reject::BadField);
    (record[OFF], record[OFF + 1]) = (7, 1 << 31 | 1);
    let words = admitted(&mut fixture, &record);
    assert_eq!(Event::of(wide(&words, OFF)), Some(Event::Parcel(1 << 32 | 7)));
    record[OFF + 1] = u32::MAX;
    assert_eq!(fixture.refusal(&record), Reject::BadField);
    // IORING_CQE_F_SKIP and F_32 would have the other ring take the completion, or the next one, for something else.
    let mut passes = fixture.good(message(false));
    passes[OP_FLAGS] = 1 << 1;
    for (flags, good) in [(1 << 16 | 1, true), (1 << 5, false), (1 << 15, false)] {
        passes[FILE_INDEX] = flags;
        let outcome = fixture
            .admit(&passes)
            .map(|words| fixture.tables.retract(user_data(&words)));
        assert_eq!(outcome.is_ok(), good, "{flags:#x}");
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_message_goes_to_a_ring_that_is_listed_and_holds_its_descriptor_until_it_is_through() {
    for sends_file in [false, true] {
        let mut fixture = Fixture::new();
        let record = fixture.good(message(sends_file));
        let words = fixture.admit(&record).unwrap();
        assert_eq!(words[FD], fixture.target.as_raw_fd() as u32);
        assert_eq!(words[TOKEN..], [0, 0]);
        let weak = Arc::downgrade(&fixture.target);
        let gone = Fixture::new();
        drop(std::mem::replace(&mut fixture.target, gone.target.clone()));
        assert!(weak.upgrade().is_some(), "the message has a share");
        fixture.tables.retract(user_data(&words));
        assert!(weak.upgrade().is_none());
        assert_eq!(fixture.refusal(&record), Reject::StaleRing, "closed");
        for token in [0, 7, gone.listed.token() ^ 1] {
            let mut foreign = fixture.good(message(sends_file));
            (foreign[TOKEN], foreign[TOKEN + 1]) = (token as u32, (token >> 32) as u32);
            assert_eq!(fixture.refusal(&foreign), Reject::StaleRing, "{token}");
            // A number in the place of a descriptor is never believed.
            foreign[FD] = 7;
            assert_eq!(fixture.refusal(&foreign), Reject::BadField);
        }
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_file_for_another_ring_is_a_slot_of_this_one() {
    let mut fixture = Fixture::new();
    let mut record = fixture.good(message(true));
    for (index, slot) in [(1, Some(0)), (9, Some(8)), (u32::MAX, None)] {
        record[FILE_INDEX] = index;
        let words = admitted(&mut fixture, &record);
        assert_eq!((wide(&words, ADDR3), words[FILE_INDEX]), (0, index));
        assert_eq!(Event::of(wide(&words, OFF)), Some(Event::FileMessage(77, slot)));
    }
    for index in [0, 1 << 24, u32::MAX - 1] {
        record[FILE_INDEX] = index;
        assert_eq!(fixture.refusal(&record), Reject::BadField, "{index:#x}");
    }
    record[FILE_INDEX] = 1;
    record[ADDR3] += 1 << 20;
    assert_eq!(fixture.refusal(&record), Reject::StaleFile);
    fixture.assert_nothing_is_held();
}

#[test]
fn large_entries_and_advice_that_takes_pages_have_their_own_refusals() {
    let mut fixture = Fixture::new();
    for entries in [Entries::Small, Entries::Mixed] {
        fixture.tables.entries = entries;
        for spec in forms().filter(|spec| spec.large) {
            let record = fixture.good(spec);
            assert_eq!(fixture.refusal(&record), Reject::NeedsLargeEntry, "{}", spec.name);
        }
    }
    let mut record = fixture.good(ops::spec(ops::MADVISE).unwrap());
    for advice in [libc::MADV_DONTNEED, libc::MADV_FREE] {
        record[OP_FLAGS] = advice as u32;
        admitted(&mut fixture, &record);
        let mut registered = record;
        registered[ADDR + 1] = fixture.handle(REGISTERED);
        assert_eq!(fixture.refusal(&registered), Reject::Registered, "{advice}");
    }
    // MADV_DOFORK, MADV_REMOVE, MADV_HWPOISON, MADV_GUARD_INSTALL, MADV_WIPEONFORK.
    for advice in [11, 9, 100, 102, 18] {
        record[OP_FLAGS] = advice;
        assert_eq!(fixture.refusal(&record), Reject::BadField, "{advice}");
    }
    record[OP_FLAGS] = 0;
    record[LEN] = 0;
    admitted(&mut fixture, &record);
    fixture.assert_nothing_is_held();
}
