//! Operations on the ring itself, on other rings and on what belongs to a ring; readiness, time, processes, futexes.

use super::{
    ANY, BASE, Fd, FileIndex, GroupEffect, Multishot, OpSpec, Record, ResultKind, Size, When, Wide, word,
};

pub const POLL_REMOVE: u8 = 7;
pub const TIMEOUT_REMOVE: u8 = 12;
pub const ASYNC_CANCEL: u8 = 14;

/// IORING_ASYNC_CANCEL_*: FD and ANY and OP look for something else than one operation's user_data.
const CANCEL_ALL: u32 = 1 << 0;
pub const CANCEL_FD: u32 = 1 << 1;
pub const CANCEL_ANY: u32 = 1 << 2;
pub const CANCEL_FD_FIXED: u32 = 1 << 3;
pub const CANCEL_OP: u32 = 1 << 5;

/// IORING_NOP_INJECT_RESULT (6.10), FILE, FIXED_FILE, FIXED_BUFFER (6.13), TW (6.16), CQE32 (6.18).
const NOP_INJECT_RESULT: u32 = 1 << 0;
const NOP_FILE: u32 = 1 << 1;
const NOP_FIXED_FILE: u32 = 1 << 2;
const NOP_FIXED_BUFFER: u32 = 1 << 3;
const NOP_TW: u32 = 1 << 4;
const NOP_CQE32: u32 = 1 << 5;
/// What the plain form leaves to the others.
const NOP_NAMES: u32 = NOP_FILE | NOP_FIXED_FILE | NOP_FIXED_BUFFER | NOP_CQE32;

/// IORING_POLL_ADD_MULTI (5.13), UPDATE_EVENTS (5.13), ADD_LEVEL (6.0). UPDATE_USER_DATA is not for JavaScript: the
/// kernel's user_data is Rust's.
const POLL_ADD_MULTI: u32 = 1 << 0;
const POLL_UPDATE_EVENTS: u32 = 1 << 1;
const POLL_ADD_LEVEL: u32 = 1 << 3;

/// IORING_TIMEOUT_*.
const TIMEOUT_ABS: u32 = 1 << 0;
const TIMEOUT_UPDATE: u32 = 1 << 1;
const TIMEOUT_BOOTTIME: u32 = 1 << 2;
const TIMEOUT_REALTIME: u32 = 1 << 3;
const LINK_TIMEOUT_UPDATE: u32 = 1 << 4;
const TIMEOUT_ETIME_SUCCESS: u32 = 1 << 5;
const TIMEOUT_MULTISHOT: u32 = 1 << 6;
const TIMEOUT_CLOCK: u32 = TIMEOUT_ABS | TIMEOUT_BOOTTIME | TIMEOUT_REALTIME;

/// struct __kernel_timespec.
const TIMESPEC: Size = Size::Const(16);
/// sizeof(siginfo_t).
const SIGINFO_BYTES: u32 = 128;

/// IORING_MSG_DATA and SEND_FD.
const MSG_DATA: u32 = 0;
const MSG_SEND_FD: u32 = 1;
/// The opcode of `MSG_RING`.
pub const OP_MSG_RING: u8 = 40;
/// IORING_MSG_RING_CQE_SKIP and FLAGS_PASS.
const MSG_RING_CQE_SKIP: u32 = 1 << 0;
const MSG_RING_FLAGS_PASS: u32 = 1 << 1;
/// Flags that the other ring's completion may have: not IORING_CQE_F_SKIP and F_32, with which the reader of a queue of
/// mixed sizes would take this completion or the next one for something else (6.18).
const MSG_RING_FLAGS: u32 = !(1 << 5 | 1 << 15);

/// Nop that names something, or wants a completion of 32 bytes.
static NOP_FORMS: [OpSpec; 2] = [
    OpSpec {
        when: When::has(word::OP_FLAGS, NOP_FIXED_BUFFER),
        addr: Wide::RegisteredIndex,
        op_flags: NOP_INJECT_RESULT | NOP_FIXED_BUFFER | NOP_TW,
        ..NOP
    },
    OpSpec {
        when: When::has_not(word::OP_FLAGS, NOP_FIXED_BUFFER),
        fd: Fd::ByFlag(NOP_FIXED_FILE),
        // What a completion of 32 bytes carries besides.
        off: Wide::Scalar,
        addr: Wide::Scalar,
        op_flags: NOP_INJECT_RESULT | NOP_FILE | NOP_FIXED_FILE | NOP_TW | NOP_CQE32,
        ..NOP
    },
];

const NOP: OpSpec = OpSpec {
    opcode: 0,
    name: "nop",
    kernel: "5.1",
    len: ANY,
    op_flags: NOP_INJECT_RESULT | NOP_TW,
    ..BASE
};

const MSG_RING: OpSpec = OpSpec {
    opcode: 40,
    name: "msgRing",
    kernel: "5.18",
    fd: Fd::Ring,
    off: Wide::Message53,
    addr: Wide::Scalar,
    ..BASE
};

/// A message that carries no file.
pub fn is_number_for_another(opcode: u8, command: u32) -> bool {
    opcode == MSG_RING.opcode && command == MSG_DATA
}

const FUTEX: OpSpec = OpSpec {
    // FUTEX2_* flags.
    fd: Fd::Number,
    off: Wide::Scalar,
    addr: Wide::Memory(Size::Const(4)),
    addr3: Wide::Scalar,
    check: Some(is_futex),
    ..BASE
};

fn is_futex(record: &Record) -> bool {
    crate::lists::is_futex_flags(record[1])
}

pub static OPS: [OpSpec; 17] = [
    OpSpec {
        when: When::has_not(word::OP_FLAGS, NOP_NAMES),
        forms: &NOP_FORMS,
        ..NOP
    },
    OpSpec {
        opcode: 6,
        name: "pollAdd",
        kernel: "5.1",
        fd: Fd::File,
        len: POLL_ADD_MULTI | POLL_ADD_LEVEL,
        op_flags: ANY,
        multishot: Multishot::Len(POLL_ADD_MULTI),
        result: ResultKind::PollEvents,
        ..BASE
    },
    OpSpec {
        opcode: POLL_REMOVE,
        name: "pollRemove",
        kernel: "5.1",
        addr: Wide::Target,
        len: POLL_ADD_MULTI | POLL_UPDATE_EVENTS | POLL_ADD_LEVEL,
        op_flags: ANY,
        ..BASE
    },
    OpSpec {
        opcode: 11,
        name: "timeout",
        kernel: "5.4",
        off: Wide::Scalar,
        addr: Wide::Memory(TIMESPEC),
        len: 1,
        op_flags: TIMEOUT_CLOCK | TIMEOUT_ETIME_SUCCESS | TIMEOUT_MULTISHOT,
        multishot: Multishot::OpFlags(TIMEOUT_MULTISHOT),
        ..BASE
    },
    OpSpec {
        opcode: TIMEOUT_REMOVE,
        name: "timeoutRemove",
        kernel: "5.5",
        off: Wide::Optional(TIMESPEC),
        addr: Wide::Target,
        op_flags: TIMEOUT_CLOCK | TIMEOUT_UPDATE | LINK_TIMEOUT_UPDATE,
        ..BASE
    },
    OpSpec {
        opcode: ASYNC_CANCEL,
        name: "asyncCancel",
        kernel: "5.5",
        fd: Fd::ByFlag(CANCEL_FD_FIXED),
        addr: Wide::Target,
        len: 0xff,
        op_flags: CANCEL_ALL | CANCEL_FD | CANCEL_ANY | CANCEL_FD_FIXED | CANCEL_OP,
        result: ResultKind::Count,
        ..BASE
    },
    OpSpec {
        opcode: 15,
        name: "linkTimeout",
        kernel: "5.5",
        addr: Wide::Memory(TIMESPEC),
        len: 1,
        op_flags: TIMEOUT_CLOCK | TIMEOUT_ETIME_SUCCESS,
        ..BASE
    },
    OpSpec {
        opcode: 20,
        name: "filesUpdate",
        kernel: "5.6",
        // First slot, or all ones for slots of the kernel's choice.
        off: Wide::Scalar,
        addr: Wide::Descriptors,
        len: ANY,
        result: ResultKind::Count,
        ..BASE
    },
    OpSpec {
        opcode: 31,
        name: "provideBuffers",
        kernel: "5.7",
        fd: Fd::Number,
        // Number of the first buffer.
        off: Wide::Scalar,
        addr: Wide::Memory(Size::Buffers),
        len: ANY,
        group_effect: GroupEffect::Provide,
        ..BASE
    },
    OpSpec {
        opcode: 32,
        name: "removeBuffers",
        kernel: "5.7",
        fd: Fd::Number,
        group_effect: GroupEffect::Remove,
        result: ResultKind::Count,
        ..BASE
    },
    OpSpec {
        when: When::is(word::ADDR, MSG_DATA),
        forms: &[OpSpec {
            when: When::is(word::ADDR, MSG_SEND_FD),
            kernel: "6.0",
            addr3: Wide::Slot,
            op_flags: MSG_RING_CQE_SKIP,
            // Slot + 1 of the other ring, or all ones.
            file_index: FileIndex::Scalar(ANY),
            ..MSG_RING
        }],
        // What the other ring's completion has for `res` and, with FLAGS_PASS (6.3), for `flags`.
        len: ANY,
        op_flags: MSG_RING_CQE_SKIP | MSG_RING_FLAGS_PASS,
        file_index: FileIndex::Scalar(MSG_RING_FLAGS),
        ..MSG_RING
    },
    OpSpec {
        opcode: 50,
        name: "waitid",
        kernel: "6.7",
        // The process, or the group.
        fd: Fd::Number,
        off: Wide::Optional(Size::Const(SIGINFO_BYTES)),
        len: 0b11,
        // WEXITED and the others.
        file_index: FileIndex::Scalar(ANY),
        ..BASE
    },
    OpSpec {
        opcode: 51,
        name: "futexWait",
        kernel: "6.7",
        ..FUTEX
    },
    OpSpec {
        opcode: 52,
        name: "futexWake",
        kernel: "6.7",
        result: ResultKind::Count,
        ..FUTEX
    },
    OpSpec {
        opcode: 53,
        name: "futexWaitv",
        kernel: "6.7",
        addr: Wide::Futexes,
        len: 0xff,
        result: ResultKind::Count,
        ..BASE
    },
    OpSpec {
        opcode: 54,
        name: "fixedFdInstall",
        kernel: "6.8",
        fd: Fd::Slot,
        // IORING_FIXED_FD_NO_CLOEXEC.
        op_flags: 1,
        result: ResultKind::Descriptor,
        ..BASE
    },
    OpSpec {
        opcode: 63,
        name: "nop128",
        kernel: "6.19",
        len: ANY,
        op_flags: NOP_INJECT_RESULT | NOP_TW,
        large: true,
        ..BASE
    },
];
