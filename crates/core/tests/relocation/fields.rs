//! The fields that an operation does not use, and the flags that no operation may have.

use crate::common::{
    ADDR, ADDR3, BUFFER_SELECT, BUFFERS, FD, FILE_INDEX, Fixture, HEAD, LEN, OFF, OP_FLAGS, SUPPORTED, forms,
    sized, title,
};
use std::os::fd::AsRawFd;
use uring_core::inflight::{IN_FLIGHT_MAX, NO_GROUP};
use uring_core::ops::{self, BufferSelect, Fd, FileIndex, GroupEffect, OpSpec, Size, Wide};
use uring_core::register::Registrar;
use uring_core::reject::Reject;
use uring_core::relocate::{SQE_DRAIN, Words};

const ANY: u32 = u32::MAX;

/// The layout of io_uring_enter(2) once more, written down apart from the table it checks: which of fd, off, addr,
/// addr3 and file_index each form has, then the bits of len, of its flags and of ioprio.
const SECTION_10: [(&str, &str, [u32; 3]); 76] = [
    ("nop", "", [ANY, 0b1_0001, 0]),
    ("nop", "addr", [ANY, 0b1_1001, 0]),
    ("nop", "fd off addr", [ANY, 0b11_0111, 0]),
    ("readv", "fd off addr", [ANY, ANY, 0xffff]),
    ("writev", "fd off addr file_index", [ANY, ANY, 0xffff]),
    ("fsync", "fd off", [ANY, 1, 0]),
    ("readFixed", "fd off addr", [ANY, ANY, 0xffff]),
    ("writeFixed", "fd off addr file_index", [ANY, ANY, 0xffff]),
    ("pollAdd", "fd", [0b1001, ANY, 0]),
    ("pollRemove", "addr", [0b1011, ANY, 0]),
    ("syncFileRange", "fd off", [ANY, 0b111, 0]),
    ("sendmsg", "fd addr", [1, MESSAGE_FLAGS, 0b1]),
    ("recvmsg", "fd addr", [1, MESSAGE_FLAGS, 0b11]),
    ("timeout", "off addr", [1, 0b110_1101, 0]),
    ("timeoutRemove", "off addr", [0, 0b1_1111, 0]),
    ("accept", "fd off addr file_index", [0, ANY, 0b111]),
    ("asyncCancel", "fd addr", [0xff, 0b10_1111, 0]),
    ("linkTimeout", "addr", [1, 0b10_1101, 0]),
    ("connect", "fd off addr", [0, 0, 0]),
    ("fallocate", "fd off addr", [ANY, 0, 0]),
    ("openat", "fd addr file_index", [0o7777, ANY, 0]),
    ("close", "fd file_index", [0, 0, 0]),
    ("filesUpdate", "off addr", [ANY, 0, 0]),
    ("statx", "fd off addr", [ANY, ANY, 0]),
    ("read", "fd off addr", [ANY, ANY, 0xffff]),
    ("write", "fd off addr file_index", [ANY, ANY, 0xffff]),
    ("fadvise", "fd off addr", [ANY, 0b111, 0]),
    ("madvise", "addr", [ANY, ANY, 0]),
    ("send", "fd off addr file_index", [ANY, MESSAGE_FLAGS, 0b1_0001]),
    ("send", "fd off addr file_index", [ANY, MESSAGE_FLAGS, 0b10_0001]),
    ("recv", "fd addr file_index", [ANY, MESSAGE_FLAGS, 0b1_0011]),
    ("openat2", "fd off addr file_index", [24, 0, 0]),
    ("epollCtl", "fd off addr", [0b11, 0, 0]),
    ("splice", "fd off addr file_index", [ANY, 1 << 31 | 0b1111, 0]),
    ("provideBuffers", "fd off addr", [ANY, 0, 0]),
    ("removeBuffers", "fd", [0, 0, 0]),
    ("tee", "fd file_index", [ANY, 1 << 31 | 0b1111, 0]),
    ("shutdown", "fd", [0b11, 0, 0]),
    ("renameat", "fd off addr", [ANY, 0b111, 0]),
    ("unlinkat", "fd addr", [0, 0x200, 0]),
    ("mkdirat", "fd addr", [0o7777, 0, 0]),
    ("symlinkat", "fd off addr", [0, 0, 0]),
    ("linkat", "fd off addr", [ANY, 0x1400, 0]),
    ("msgRing", "fd off addr file_index", [ANY, 0b11, 0]),
    ("msgRing", "fd off addr addr3 file_index", [0, 0b1, 0]),
    ("fsetxattr", "fd off addr", [ANY, 0b11, 0]),
    ("setxattr", "off addr addr3", [ANY, 0b11, 0]),
    ("fgetxattr", "fd off addr", [ANY, 0, 0]),
    ("getxattr", "off addr addr3", [ANY, 0, 0]),
    ("socket", "fd off file_index", [ANY, 0, 0]),
    ("uringCmd", "fd off", [0, 0, 0]),
    ("uringCmd", "fd off", [0, 0, 0]),
    ("uringCmd", "fd off addr addr3 file_index", [0, 0, 0]),
    ("uringCmd", "fd off addr addr3 file_index", [0, 0, 0]),
    ("uringCmd", "fd off", [0, 0, 0]),
    ("uringCmd", "fd off addr addr3 file_index", [0, 0, 0]),
    ("uringCmd", "fd off addr addr3", [0, 0, 0]),
    ("sendZc", "fd off addr file_index", [ANY, MESSAGE_FLAGS, 0b1001]),
    (
        "sendZc",
        "fd off addr file_index",
        [ANY, MESSAGE_FLAGS, 0b10_1001],
    ),
    ("sendmsgZc", "fd addr", [1, MESSAGE_FLAGS, 0b1001]),
    ("readMultishot", "fd off", [ANY, 0, 0]),
    ("waitid", "fd off file_index", [0b11, 0, 0]),
    ("futexWait", "fd off addr addr3", [0, 0, 0]),
    ("futexWake", "fd off addr addr3", [0, 0, 0]),
    ("futexWaitv", "addr", [0xff, 0, 0]),
    ("fixedFdInstall", "fd", [0, 1, 0]),
    ("ftruncate", "fd off", [0, 0, 0]),
    ("bind", "fd off addr", [0, 0, 0]),
    ("listen", "fd", [0x7fff_ffff, 0, 0]),
    ("recvZc", "fd file_index", [ANY, 0, 0b10]),
    ("epollWait", "fd addr", [ANY, 0, 0]),
    ("readvFixed", "fd off addr", [ANY, ANY, 0xffff]),
    ("writevFixed", "fd off addr file_index", [ANY, ANY, 0xffff]),
    (
        "pipe",
        "addr file_index",
        [
            0,
            (libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_DIRECT | libc::O_EXCL) as u32,
            0,
        ],
    ),
    ("nop128", "", [ANY, 0b1_0001, 0]),
    ("uringCmd128", "fd off", [0, 0, 0]),
];

/// Flags of messages, without those that mean something to the kernel only when no user said them.
const MESSAGE_FLAGS: u32 = 0x73ef_ffff;

#[test]
fn each_operation_has_the_fields_that_the_kernel_documents() {
    assert_eq!(forms().count(), SECTION_10.len());
    for (spec, (name, fields, bits)) in forms().zip(SECTION_10) {
        let has = [
            ("fd", spec.fd != Fd::None),
            ("off", spec.off != Wide::Zero),
            ("addr", spec.addr != Wide::Zero),
            ("addr3", spec.addr3 != Wide::Zero),
            ("file_index", spec.file_index != FileIndex::Scalar(0)),
        ];
        let found: Vec<&str> = has
            .iter()
            .filter(|(_, has)| *has)
            .map(|(name, _)| *name)
            .collect();
        assert_eq!(
            (spec.name, found.join(" ").as_str()),
            (name, fields),
            "{}",
            title(spec)
        );
        assert_eq!(
            [spec.len, spec.op_flags, u32::from(spec.ioprio)],
            bits,
            "{}",
            title(spec)
        );
        let is_list = matches!(spec.addr, Wide::Iovecs);
        let expected = match name {
            "read" | "recv" | "recvmsg" => BufferSelect::May,
            "send" if !is_list => BufferSelect::May,
            "readMultishot" => BufferSelect::Must,
            _ => BufferSelect::No,
        };
        assert_eq!(spec.buffer_select, expected, "{}", title(spec));
    }
}

/// Bits of a word that choose among the forms of this operation.
fn choosing_bits(spec: &OpSpec, word: usize) -> u32 {
    let row = ops::spec(spec.opcode).unwrap();
    let forms = std::iter::once(row).chain(row.forms);
    let here = forms.filter(|form| usize::from(form.when.word) == word);
    here.fold(0, |bits, form| bits | form.when.mask)
}

/// Bits that make a good record of this operation a bad one, by word.
fn undefined_bits(spec: &OpSpec) -> [u32; 16] {
    let mut undefined = [0; 16];
    // CQE_SKIP_SUCCESS and the bit above it are nobody's.
    let mut flags = 0b1100_0000;
    if spec.fd != Fd::File || spec.file_index == FileIndex::Close {
        flags |= 1 << 0;
    }
    if spec.buffer_select != BufferSelect::May {
        flags |= 1 << 5;
    }
    undefined[HEAD] = flags << 8 | u32::from(!spec.ioprio) << 16;
    if matches!(spec.fd, Fd::None | Fd::Ring) {
        // Every bit taken from -1.
        undefined[FD] = ANY;
    }
    for (at, field) in [(OFF, spec.off), (ADDR, spec.addr), (ADDR3, spec.addr3)] {
        match field {
            Wide::Zero => undefined[at..at + 2].fill(ANY),
            // The other half of a slot, or of a number of 53 bits.
            Wide::Slot => undefined[at + 1] = ANY,
            Wide::Message53 if spec.addr3 == Wide::Slot => undefined[at + 1] = ANY,
            // The highest bit makes it a parcel.
            Wide::Message53 => undefined[at + 1] = ANY << 21 & ANY >> 1,
            _ => {}
        }
    }
    undefined[LEN] = !spec.len;
    undefined[OP_FLAGS] = !spec.op_flags;
    if spec.buffer_select != BufferSelect::Must && spec.group_effect == GroupEffect::None {
        undefined[BUFFERS] = 0xffff;
    }
    if let FileIndex::Scalar(bits) = spec.file_index {
        undefined[FILE_INDEX] = !bits;
    }
    if spec.fd != Fd::Ring {
        undefined[14..].fill(ANY);
    }
    for (word, bits) in undefined.iter_mut().enumerate() {
        *bits &= !choosing_bits(spec, word);
    }
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
    for spec in forms() {
        let record = fixture.good(spec);
        for (word, undefined) in undefined_bits(spec).into_iter().enumerate() {
            for bit in (0..32).filter(|bit| undefined >> bit & 1 != 0) {
                let outcome = fixture.admit(&flipped(&record, word, bit));
                let place = format!("{}: word {word} bit {bit}", title(spec));
                assert_eq!(outcome, Err(Reject::BadField), "{place}");
            }
        }
        assert_eq!(fixture.tables.in_flight.live(), 0);
    }
    fixture.assert_nothing_is_held();
}

/// Whether the size of something that the record names is not in this word.
fn is_free(spec: &OpSpec, word: usize) -> bool {
    let in_word = |size: Size| sized(size).1.is_some_and(|(field, _)| field == word);
    let names = |field: Wide| match field {
        Wide::Memory(size) | Wide::Optional(size) => in_word(size),
        Wide::RegisteredMemory
        | Wide::Iovecs
        | Wide::RegisteredIovecs
        | Wide::Futexes
        | Wide::Descriptors => word == LEN,
        _ => false,
    };
    ![spec.off, spec.addr, spec.addr3].into_iter().any(names)
}

#[test]
fn a_bit_that_the_operation_does_define_reaches_the_kernel() {
    let mut fixture = Fixture::new();
    for spec in forms() {
        let record = fixture.good(spec);
        let undefined = undefined_bits(spec);
        // Priority, drain, link, hard link, async and personality; the operation's own flags where they name nothing.
        let head = !undefined[HEAD] & 0xffff_1e00 & !choosing_bits(spec, HEAD);
        // A zero-copy send must not drain (Reject::AfterDrain).
        let head = if spec.notifies {
            head & !(SQE_DRAIN << 8)
        } else {
            head
        };
        let mut free = vec![(HEAD, head), (BUFFERS, 0xffff_0000)];
        if !matches!(spec.fd, Fd::ByFlag(_)) && spec.check.is_none() {
            free.push((OP_FLAGS, spec.op_flags & !choosing_bits(spec, OP_FLAGS)));
        }
        if is_free(spec, LEN) {
            free.push((LEN, spec.len));
        }
        if spec.off == Wide::Scalar && is_free(spec, OFF) && spec.addr != Wide::Descriptors {
            let chosen = choosing_bits(spec, OFF);
            free.extend([(OFF, ANY & !chosen), (OFF + 1, ANY)]);
        }
        for at in [ADDR, ADDR3] {
            let field = if at == ADDR { spec.addr } else { spec.addr3 };
            if field == Wide::Scalar && spec.check.is_none() {
                free.extend([(at, ANY & !choosing_bits(spec, at)), (at + 1, ANY)]);
            }
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
                // A zero-copy send comes after another's drain.
                fixture.tables.has_drained = false;
            }
        }
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_completion_can_never_be_skipped() {
    // IOSQE_CQE_SKIP_SUCCESS: without a completion nothing would ever let the operation's memory go.
    let mut fixture = Fixture::new();
    for spec in forms() {
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
        let mut supported = SUPPORTED;
        supported[usize::from(opcode)] = false;
        let outcome = fixture.tables.admit(&record, &supported);
        assert_eq!(outcome, Err(Reject::UnknownOperation), "{opcode}");
    }
    for spec in forms() {
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
    for spec in forms() {
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
    for spec in
        forms().filter(|spec| spec.buffer_select == BufferSelect::May && spec.addr == Wide::Memory(Size::Len))
    {
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
        for unknown in [0, 2, 4, u32::from(fixture.legacy) - 1] {
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
    for spec in forms().filter(|spec| spec.buffer_select != BufferSelect::No) {
        let mut record = fixture.good(spec);
        record[HEAD] |= BUFFER_SELECT;
        if matches!(spec.addr, Wide::Message(_)) {
            // One buffer at most.
            fixture.write_words(crate::common::PLAIN, record[ADDR] + 32, &[1]);
        } else {
            record[ADDR..ADDR + 2].fill(0);
        }
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
