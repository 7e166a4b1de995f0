//! Operations that the table does not have: they get no address that JavaScript could have chosen.

use crate::common::{
    ADDR, ADDR3, ARENA_BYTES, BUFFER_SELECT, BUFFERS, FD, FIXED_FILE, Fixture, HEAD, LEN, OFF, PLAIN,
    user_data, wide,
};
use io_uring::squeue::Entry;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use uring_core::inflight::NO_GROUP;
use uring_core::raw::could_be_address;
use uring_core::reject::Reject;
use uring_core::relocate::{Entries, Words};

const OPCODE: u32 = 200;
/// Word with two bits for each of `off`, `addr` and `addr3`: memory, and that it comes back.
const KINDS: usize = 14;

fn number(at: usize, value: u64) -> Words {
    let mut record = [0; 16];
    record[HEAD] = OPCODE;
    record[at] = value as u32;
    record[at + 1] = (value >> 32) as u32;
    record
}

/// A record whose `addr` is a block of so many bytes at 64 in PLAIN.
fn block(fixture: &Fixture, size_bytes: u32, bytes: &[u8]) -> Words {
    fixture.write_words(PLAIN, 64, &[size_bytes, 0]);
    fixture.write(PLAIN, 72, bytes);
    let mut record = number(ADDR, 0);
    record[ADDR..ADDR + 2].copy_from_slice(&[64, fixture.handle(PLAIN)]);
    record[KINDS] = 0b11 << 2;
    record
}

#[test]
fn a_number_that_could_be_an_address_is_refused_with_any_tag() {
    let mut fixture = Fixture::new();
    let good = [0, 1, 4095, 1 << 63, 1 << 56, u64::MAX, -4096i64 as u64];
    let bad = [
        4096,
        0x7fff_ffff_f000,
        0x00ff_ffff_ffff_f000,
        // Tags: LAM of x86-64 takes bits 57 to 62, arm64 the whole upper byte.
        0x7e00_7fff_ffff_f000,
        0xff00_7fff_ffff_f000,
    ];
    for at in [OFF, ADDR, ADDR3] {
        for value in good {
            let words = fixture.admit(&number(at, value)).unwrap();
            assert_eq!(wide(&words, at), value);
            fixture.tables.retract(user_data(&words));
        }
        for value in bad {
            let refused = fixture.refusal(&number(at, value));
            assert_eq!(refused, Reject::CouldBeAddress, "{value:#x}");
        }
    }
    let own = fixture.start(PLAIN);
    assert!(could_be_address(own));
    fixture.assert_nothing_is_held();
}

#[test]
fn a_block_is_a_copy_that_comes_back_and_holds_no_address() {
    let mut fixture = Fixture::new();
    let record = block(&fixture, 11, &[1, 0, 0, 0, 0, 0, 0, 0, 9, 8, 0, 6]);
    let words = fixture.admit(&record).unwrap();
    let copy = wide(&words, ADDR) as *mut u8;
    // SAFETY: the operation is in flight, so its block of 11 bytes is alive.
    let seen = unsafe { std::slice::from_raw_parts(copy, 11) }.to_vec();
    assert_eq!(seen, [1, 0, 0, 0, 0, 0, 0, 0, 9, 8, 0]);
    fixture.write(PLAIN, 72, &[0xff; 12]);
    // SAFETY: as above; this is the kernel's answer.
    unsafe { copy.write_bytes(5, 11) };
    assert_eq!(fixture.held_after_release(), [true, false, false]);
    assert!(fixture.tables.complete(user_data(&words), 0, 0).is_some());
    assert_eq!(
        fixture.read_words::<3>(PLAIN, 72),
        [0x0505_0505, 0x0505_0505, 0xff05_0505]
    );
    fixture.assert_nothing_is_held();
}

/// No kernel has an operation that the table does not know, so one that it knows takes the number's place on the way out.
#[test]
fn the_kernel_reads_and_writes_the_copy_and_what_it_wrote_comes_back() {
    const READ: u8 = 22;
    const WRITE: u8 = 23;
    let mut fixture = Fixture::new();
    let (mut reader, mut writer) = std::io::pipe().unwrap();
    for (opcode, fd) in [(WRITE, writer.as_raw_fd()), (READ, reader.as_raw_fd())] {
        let mut record = block(&fixture, 4, &[4, 3, 0, 0]);
        (record[FD], record[LEN]) = (fd as u32, 4);
        (record[OFF], record[OFF + 1]) = (u32::MAX, u32::MAX);
        if opcode == READ {
            writer.write_all(b"back").unwrap();
        }
        let mut words = fixture.admit(&record).unwrap();
        // Whatever stands there now is neither read nor written before the end.
        fixture.write(PLAIN, 72, b"gone");
        words[HEAD] = words[HEAD] & !0xff | u32::from(opcode);
        // SAFETY: the record is laid out as an SQE. Its block is alive until `complete`, which is after its completion.
        let entry = unsafe { std::mem::transmute::<Words, Entry>(words) };
        // SAFETY: as above; nobody else uses the queue.
        unsafe { fixture.ring.submission().push(&entry).unwrap() };
        fixture.ring.submit_and_wait(1).unwrap();
        let completion = fixture.ring.completion().next().unwrap();
        assert_eq!(
            (completion.user_data(), completion.result()),
            (user_data(&words), 4)
        );
        let completed = fixture.tables.complete(completion.user_data(), 4, 0);
        assert!(completed.is_some());
        let expected = if opcode == READ { *b"back" } else { [4, 3, 0, 0] };
        assert_eq!(fixture.read_words::<1>(PLAIN, 72), [u32::from_ne_bytes(expected)]);
        if opcode == WRITE {
            let mut seen = [0; 4];
            reader.read_exact(&mut seen).unwrap();
            assert_eq!(seen, [4, 3, 0, 0]);
        }
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_block_with_an_address_or_beyond_its_arena_is_refused() {
    let mut fixture = Fixture::new();
    let address = fixture.start(PLAIN).to_ne_bytes();
    let bad = [
        (8, Reject::CouldBeAddress),
        (0, Reject::BadField),
        ((1 << 20) + 1, Reject::BadField),
        (u32::MAX, Reject::BadField),
        (ARENA_BYTES - 71, Reject::OutOfBounds),
    ];
    for (size_bytes, reject) in bad {
        let record = block(&fixture, size_bytes, &address);
        assert_eq!(fixture.refusal(&record), reject, "{size_bytes} bytes");
    }
    let mut record = block(&fixture, 8, &[0; 8]);
    record[ADDR] = ARENA_BYTES - 7;
    assert_eq!(fixture.refusal(&record), Reject::OutOfBounds);
    record[ADDR + 1] = fixture.stale;
    assert_eq!(fixture.refusal(&record), Reject::StaleMemory);
    fixture.assert_nothing_is_held();
}

#[test]
fn what_a_raw_record_may_not_have_is_refused() {
    let mut fixture = Fixture::new();
    let with = |at: usize, bits: u32| {
        let mut record = number(OFF, 0);
        record[at] |= bits;
        record
    };
    for (record, reject) in [
        (with(HEAD, 1 << 14), Reject::BadField),
        (with(KINDS, 1 << 6), Reject::BadField),
        (with(15, 1), Reject::BadField),
        // Comes back without being memory.
        (with(KINDS, 0b10), Reject::CouldBeAddress),
    ] {
        assert_eq!(fixture.refusal(&record), reject, "{record:x?}");
    }
    // It may take the next entry too, whatever stands there.
    fixture.tables.entries = Entries::Mixed;
    assert_eq!(fixture.refusal(&number(OFF, 0)), Reject::UnknownOperation);
    fixture.tables.entries = Entries::Small;
    let mut slot = with(HEAD, FIXED_FILE);
    slot[FD] = fixture.file + (1 << 20);
    assert_eq!(fixture.refusal(&slot), Reject::StaleFile);
    for group in [4, u32::from(NO_GROUP)] {
        let mut record = with(HEAD, BUFFER_SELECT);
        record[BUFFERS] = group;
        assert_eq!(fixture.refusal(&record), Reject::UnknownBufferGroup);
    }
    fixture.assert_nothing_is_held();
}
