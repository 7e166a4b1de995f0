//! The fields that an operation does not use, and the flags that no operation may have.

use crate::common::{
    ADDR, BUFFER_SELECT, BUFFERS, FD, FILE_INDEX, Fixture, HEAD, LEN, OFF, OP_FLAGS, SUPPORTED,
};
use std::os::fd::AsRawFd;
use uring_core::inflight::{IN_FLIGHT_MAX, NO_GROUP};
use uring_core::ops::{self, Fd, FileIndex, OPS, OpSpec, Size, Wide};
use uring_core::register::Registrar;
use uring_core::reject::Reject;
use uring_core::relocate::Words;

const ANY: u32 = u32::MAX;

/// The layout of io_uring_enter(2) once more, written down apart from the table it checks: which of fd, off, addr
/// and file_index an operation has, then the bits of len, of its flags and of ioprio.
const SECTION_10: [(&str, &str, [u32; 3]); 17] = [
    ("nop", "", [ANY, 1, 0]),
    ("readv", "fd off addr", [ANY, ANY, 0xffff]),
    ("writev", "fd off addr", [ANY, ANY, 0xffff]),
    ("fsync", "fd off", [ANY, 1, 0]),
    ("readFixed", "fd off addr", [ANY, ANY, 0xffff]),
    ("writeFixed", "fd off addr", [ANY, ANY, 0xffff]),
    ("pollAdd", "fd", [0b1001, ANY, 0]),
    ("timeout", "off addr", [1, 0b110_1101, 0]),
    ("accept", "fd file_index", [0, ANY, 0b111]),
    ("asyncCancel", "fd addr", [0xff, 0b10_1111, 0]),
    ("openat", "fd addr file_index", [0o7777, ANY, 0]),
    ("close", "fd file_index", [0, 0, 0]),
    ("statx", "fd off addr", [ANY, ANY, 0]),
    ("read", "fd off addr", [ANY, ANY, 0xffff]),
    ("write", "fd off addr", [ANY, ANY, 0xffff]),
    ("send", "fd addr", [ANY, ANY, 0b01]),
    ("recv", "fd addr", [ANY, ANY, 0b11]),
];

#[test]
fn each_operation_has_the_fields_that_the_kernel_documents() {
    assert_eq!(OPS.len(), SECTION_10.len());
    for (spec, (name, fields, bits)) in OPS.iter().zip(SECTION_10) {
        let has = [
            ("fd", spec.fd != Fd::None),
            ("off", spec.off != Wide::Zero),
            ("addr", spec.addr != Wide::Zero),
            ("file_index", spec.file_index != FileIndex::Zero),
        ];
        let found: Vec<&str> = has
            .iter()
            .filter(|(_, has)| *has)
            .map(|(name, _)| *name)
            .collect();
        assert_eq!((spec.name, found.join(" ").as_str()), (name, fields));
        assert_eq!([spec.len, spec.op_flags, u32::from(spec.ioprio)], bits, "{name}");
        assert_eq!(spec.buffer_select, matches!(name, "read" | "recv"), "{name}");
    }
}

/// Bits that make a good record of this operation a bad one, by word.
fn undefined_bits(spec: &OpSpec) -> [u32; 16] {
    let mut undefined = [0; 16];
    // CQE_SKIP_SUCCESS and the bit above it are nobody's.
    let mut flags = 0b1100_0000;
    if spec.fd != Fd::File || spec.file_index == FileIndex::Close {
        flags |= 1 << 0;
    }
    if !spec.buffer_select {
        flags |= 1 << 5;
    }
    undefined[HEAD] = flags << 8 | u32::from(!spec.ioprio) << 16;
    if spec.fd == Fd::None {
        // Every bit taken from -1.
        undefined[FD] = ANY;
    }
    for (at, field) in [(OFF, spec.off), (ADDR, spec.addr)] {
        if field == Wide::Zero {
            undefined[at..at + 2].fill(ANY);
        }
    }
    undefined[LEN] = !spec.len;
    undefined[OP_FLAGS] = !spec.op_flags;
    undefined[BUFFERS] = 0xffff;
    if spec.file_index == FileIndex::Zero {
        undefined[FILE_INDEX] = ANY;
    }
    undefined[12..].fill(ANY);
    undefined
}

fn flipped(record: &Words, word: usize, bit: u32) -> Words {
    let mut flipped = *record;
    flipped[word] ^= 1 << bit;
    flipped
}

#[test]
fn a_bit_that_the_operation_does_not_define_is_refused_wherever_it_stands() {
    let mut fixture = Fixture::new();
    for spec in &OPS {
        let record = fixture.good(spec);
        for (word, undefined) in undefined_bits(spec).into_iter().enumerate() {
            for bit in (0..32).filter(|bit| undefined >> bit & 1 != 0) {
                let outcome = fixture.admit(&flipped(&record, word, bit));
                let place = format!("{}: word {word} bit {bit}", spec.name);
                assert_eq!(outcome, Err(Reject::BadField), "{place}");
            }
        }
        assert_eq!(fixture.tables.in_flight.live(), 0);
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_bit_that_the_operation_does_define_reaches_the_kernel() {
    let mut fixture = Fixture::new();
    for spec in &OPS {
        let record = fixture.good(spec);
        let undefined = undefined_bits(spec);
        // Priority, drain, link, hard link, async and personality; the operation's own flags where they name nothing.
        let mut free = vec![(HEAD, !undefined[HEAD] & 0xffff_1e00), (BUFFERS, 0xffff_0000)];
        if spec.name != "asyncCancel" {
            free.push((OP_FLAGS, spec.op_flags));
        }
        if matches!(spec.addr, Wide::Zero | Wide::Path | Wide::Memory(Size::Const(_))) {
            free.push((LEN, spec.len));
        }
        if spec.off == Wide::Scalar {
            free.extend([(OFF, ANY), (OFF + 1, ANY)]);
        }
        for (word, bits) in free {
            for bit in (0..32).filter(|bit| bits >> bit & 1 != 0) {
                let wanted = flipped(&record, word, bit);
                let words = fixture
                    .admit(&wanted)
                    .unwrap_or_else(|reject| panic!("{}: word {word} bit {bit}: {reject:?}", spec.name));
                // The rest of the word may be what relocation decides: opcode and buffer index of a fixed form.
                assert_eq!(
                    words[word] & bits,
                    wanted[word] & bits,
                    "{}: word {word} bit {bit}",
                    spec.name
                );
                fixture.tables.retract(crate::common::user_data(&words));
            }
        }
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_completion_can_never_be_skipped() {
    // IOSQE_CQE_SKIP_SUCCESS: without a completion nothing would ever let the operation's memory go.
    let mut fixture = Fixture::new();
    for spec in &OPS {
        let mut record = fixture.good(spec);
        record[HEAD] |= 1 << 14;
        assert_eq!(fixture.refusal(&record), Reject::BadField, "{}", spec.name);
    }
}

#[test]
fn an_operation_that_the_table_or_the_kernel_does_not_have_is_refused() {
    let mut fixture = Fixture::new();
    for opcode in (0..=u8::MAX).filter(|opcode| ops::spec(*opcode).is_none()) {
        let record = std::array::from_fn(|at| if at == HEAD { u32::from(opcode) } else { 0 });
        assert_eq!(fixture.refusal(&record), Reject::UnknownOperation, "{opcode}");
    }
    for spec in &OPS {
        let mut supported = SUPPORTED;
        supported[usize::from(spec.opcode)] = false;
        let record = fixture.good(spec);
        let outcome = fixture.tables.admit(&record, &supported);
        assert_eq!(outcome, Err(Reject::UnsupportedOperation), "{}", spec.name);
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn an_in_flight_index_is_refused_when_it_is_taken_or_out_of_range() {
    for spec in &OPS {
        let mut fixture = Fixture::new();
        let record = fixture.good(spec);
        let words = fixture.admit(&record).unwrap();
        assert_eq!(fixture.refusal(&record), Reject::BadIndex, "{}", spec.name);
        let mut beyond = record;
        beyond[crate::common::INDEX] = IN_FLIGHT_MAX;
        assert_eq!(fixture.refusal(&beyond), Reject::BadIndex, "{}", spec.name);
        assert_eq!(fixture.tables.in_flight.live(), 1);
        // The refusals have let go of what they named, and of nothing more.
        fixture.tables.retract(crate::common::user_data(&words));
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_record_that_takes_a_buffer_must_name_a_registered_group_and_no_address() {
    for spec in OPS.iter().filter(|spec| spec.buffer_select) {
        let mut fixture = Fixture::new();
        let with_address = {
            let mut record = fixture.good(spec);
            record[HEAD] |= BUFFER_SELECT;
            record[BUFFERS] = u32::from(fixture.group);
            record
        };
        assert_eq!(fixture.refusal(&with_address), Reject::BadField, "{}", spec.name);
        let mut record = with_address;
        record[ADDR..ADDR + 2].fill(0);
        for unknown in [0, 2, 4, u32::from(u16::MAX) - 1] {
            let mut record = record;
            record[BUFFERS] = unknown;
            assert_eq!(
                fixture.refusal(&record),
                Reject::UnknownBufferGroup,
                "{}",
                spec.name
            );
        }
        assert_eq!(fixture.tables.in_flight.live(), 0);
        let words = fixture.admit(&record).unwrap();
        assert_eq!(words[HEAD], record[HEAD], "no fixed form is chosen");
        assert_eq!(
            (words[ADDR], words[ADDR + 1], words[BUFFERS]),
            (0, 0, record[BUFFERS])
        );
        let registrar = Registrar::new(fixture.ring.as_raw_fd());
        let busy = fixture
            .tables
            .groups
            .unregister(fixture.group, registrar)
            .unwrap_err();
        assert_eq!(busy.raw_os_error(), Some(libc::EBUSY), "{}", spec.name);
        fixture.tables.retract(crate::common::user_data(&words));
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn the_number_that_means_no_group_is_no_group_to_take_buffers_from() {
    let mut fixture = Fixture::new();
    for spec in OPS.iter().filter(|spec| spec.buffer_select) {
        let mut record = fixture.good(spec);
        record[HEAD] |= BUFFER_SELECT;
        record[ADDR..ADDR + 2].fill(0);
        record[BUFFERS] = u32::from(NO_GROUP);
        assert_eq!(
            fixture.refusal(&record),
            Reject::UnknownBufferGroup,
            "{}",
            spec.name
        );
    }
    fixture.assert_nothing_is_held();
}
