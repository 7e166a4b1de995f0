//! The one description of each operation: number, name, first kernel, and for every field of the 64-byte
//! record what JavaScript may put there. `ts/generated/ops.ts` is written from this table; what is not in
//! it is refused. A new kernel operation is one row here and one function under `ts/ops/`.
//!
//! Field layout: io_uring_enter(2), include/uapi/linux/io_uring.h.

/// What the `fd` field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fd {
    /// Not used: 0 or -1.
    None,
    /// A descriptor, or with IOSQE_FIXED_FILE a handle of a registered slot.
    File,
    /// A directory descriptor (or AT_FDCWD); the kernel answers -EBADF to a registered file here.
    Directory,
    /// What ASYNC_CANCEL looks for: a descriptor, a slot handle, or nothing, as its flags say.
    CancelKey,
}

/// What one of the two 64-bit fields `off` and `addr` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wide {
    Zero,
    Scalar,
    /// A handle of arena memory of this size.
    Memory(Size),
    /// A handle of arena memory that is registered with the kernel, `len` bytes.
    RegisteredMemory,
    /// A handle of a NUL-terminated string in arena memory.
    Path,
    /// A handle of `len` entries of 16 bytes, each naming arena memory (`IovecEntry`).
    Iovecs,
    /// An operation in flight: its index and the sequence number it was started with.
    Target,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As many bytes as the `len` field says.
    Len,
    Const(u32),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileIndex {
    Zero,
    /// 0 (an ordinary descriptor), slot + 1, or all ones for a slot of the kernel's choice.
    Destination,
    /// 0, or the handle + 1 of the slot to close.
    Close,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    Nothing,
    Bytes,
    Count,
    /// A new descriptor, or 0 or a slot when `file_index` names a direct one.
    Descriptor,
    PollEvents,
}

/// How an operation is made to complete more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multishot {
    Never,
    /// By this bit of `ioprio`.
    Ioprio(u16),
    /// By this bit of `len`.
    Len(u32),
    /// By this bit of the operation's own flags.
    OpFlags(u32),
}

pub struct OpSpec {
    pub opcode: u8,
    pub name: &'static str,
    /// First kernel that has it.
    pub kernel: &'static str,
    pub fd: Fd,
    pub off: Wide,
    pub addr: Wide,
    /// Bits that `len` may have.
    pub len: u32,
    /// Bits that the operation's own flags may have.
    pub op_flags: u32,
    pub ioprio: u16,
    pub file_index: FileIndex,
    /// The operation to use when `addr` turns out to be registered memory.
    pub fixed_form: Option<u8>,
    pub buffer_select: bool,
    pub multishot: Multishot,
    pub result: ResultKind,
}

const ANY: u32 = u32::MAX;

/// What most operations have in common; a row states only what differs.
const BASE: OpSpec = OpSpec {
    opcode: 0,
    name: "",
    kernel: "",
    fd: Fd::None,
    off: Wide::Zero,
    addr: Wide::Zero,
    len: 0,
    op_flags: 0,
    ioprio: 0,
    file_index: FileIndex::Zero,
    fixed_form: None,
    buffer_select: false,
    multishot: Multishot::Never,
    result: ResultKind::Nothing,
};

/// Reading and writing share everything but number, name, memory and fixed form.
const FILE_IO: OpSpec = OpSpec {
    fd: Fd::File,
    off: Wide::Scalar,
    len: ANY,
    op_flags: ANY,
    // ioprio_set(2) priorities: class in the upper three bits, level below.
    ioprio: u16::MAX,
    result: ResultKind::Bytes,
    ..BASE
};

pub const READ_FIXED: u8 = 4;
pub const WRITE_FIXED: u8 = 5;
pub const ASYNC_CANCEL: u8 = 14;

/// IORING_ASYNC_CANCEL_*: FD and ANY and OP look for something else than one operation's user_data.
pub const CANCEL_FD: u32 = 1 << 1;
pub const CANCEL_ANY: u32 = 1 << 2;
pub const CANCEL_FD_FIXED: u32 = 1 << 3;
pub const CANCEL_OP: u32 = 1 << 5;

/// IORING_NOP_INJECT_RESULT (6.10).
const NOP_INJECT_RESULT: u32 = 1 << 0;
const IORING_FSYNC_DATASYNC: u32 = 1 << 0;
/// IORING_POLL_ADD_MULTI (5.13) and IORING_POLL_ADD_LEVEL (6.0), in `len`.
const POLL_ADD_MULTI: u32 = 1 << 0;
const POLL_ADD_LEVEL: u32 = 1 << 3;
/// IORING_TIMEOUT_ABS, BOOTTIME, REALTIME, ETIME_SUCCESS, MULTISHOT.
const TIMEOUT_MULTISHOT: u32 = 1 << 6;
const TIMEOUT_FLAGS: u32 = 1 << 0 | 1 << 2 | 1 << 3 | 1 << 5 | TIMEOUT_MULTISHOT;
/// IORING_ACCEPT_MULTISHOT, DONTWAIT, POLL_FIRST, in `ioprio`.
const ACCEPT_MULTISHOT: u16 = 1 << 0;
const ACCEPT_IOPRIO: u16 = ACCEPT_MULTISHOT | 1 << 1 | 1 << 2;
/// IORING_RECVSEND_POLL_FIRST and IORING_RECV_MULTISHOT, in `ioprio`.
const RECVSEND_POLL_FIRST: u16 = 1 << 0;
const RECV_MULTISHOT: u16 = 1 << 1;
const CANCEL_ALL: u32 = 1 << 0;

pub static OPS: [OpSpec; 17] = [
    OpSpec {
        opcode: 0,
        name: "nop",
        kernel: "5.1",
        len: ANY,
        op_flags: NOP_INJECT_RESULT,
        ..BASE
    },
    OpSpec {
        opcode: 1,
        name: "readv",
        kernel: "5.1",
        addr: Wide::Iovecs,
        ..FILE_IO
    },
    OpSpec {
        opcode: 2,
        name: "writev",
        kernel: "5.1",
        addr: Wide::Iovecs,
        ..FILE_IO
    },
    OpSpec {
        opcode: 3,
        name: "fsync",
        kernel: "5.1",
        fd: Fd::File,
        off: Wide::Scalar,
        len: ANY,
        op_flags: IORING_FSYNC_DATASYNC,
        ..BASE
    },
    OpSpec {
        opcode: READ_FIXED,
        name: "readFixed",
        kernel: "5.1",
        addr: Wide::RegisteredMemory,
        ..FILE_IO
    },
    OpSpec {
        opcode: WRITE_FIXED,
        name: "writeFixed",
        kernel: "5.1",
        addr: Wide::RegisteredMemory,
        ..FILE_IO
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
        opcode: 11,
        name: "timeout",
        kernel: "5.4",
        off: Wide::Scalar,
        addr: Wide::Memory(Size::Const(16)),
        len: 1,
        op_flags: TIMEOUT_FLAGS,
        multishot: Multishot::OpFlags(TIMEOUT_MULTISHOT),
        ..BASE
    },
    OpSpec {
        opcode: 13,
        name: "accept",
        kernel: "5.5",
        fd: Fd::File,
        op_flags: ANY,
        ioprio: ACCEPT_IOPRIO,
        file_index: FileIndex::Destination,
        multishot: Multishot::Ioprio(ACCEPT_MULTISHOT),
        result: ResultKind::Descriptor,
        ..BASE
    },
    OpSpec {
        opcode: ASYNC_CANCEL,
        name: "asyncCancel",
        kernel: "5.5",
        fd: Fd::CancelKey,
        addr: Wide::Target,
        len: 0xff,
        op_flags: CANCEL_ALL | CANCEL_FD | CANCEL_ANY | CANCEL_FD_FIXED | CANCEL_OP,
        result: ResultKind::Count,
        ..BASE
    },
    OpSpec {
        opcode: 18,
        name: "openat",
        kernel: "5.6",
        fd: Fd::Directory,
        addr: Wide::Path,
        len: 0o7777,
        op_flags: ANY,
        file_index: FileIndex::Destination,
        result: ResultKind::Descriptor,
        ..BASE
    },
    OpSpec {
        opcode: 19,
        name: "close",
        kernel: "5.6",
        fd: Fd::File,
        file_index: FileIndex::Close,
        ..BASE
    },
    OpSpec {
        opcode: 21,
        name: "statx",
        kernel: "5.6",
        fd: Fd::Directory,
        off: Wide::Memory(Size::Const(256)),
        addr: Wide::Path,
        len: ANY,
        op_flags: ANY,
        ..BASE
    },
    OpSpec {
        opcode: 22,
        name: "read",
        kernel: "5.6",
        addr: Wide::Memory(Size::Len),
        fixed_form: Some(READ_FIXED),
        buffer_select: true,
        ..FILE_IO
    },
    OpSpec {
        opcode: 23,
        name: "write",
        kernel: "5.6",
        addr: Wide::Memory(Size::Len),
        fixed_form: Some(WRITE_FIXED),
        ..FILE_IO
    },
    OpSpec {
        opcode: 26,
        name: "send",
        kernel: "5.6",
        fd: Fd::File,
        addr: Wide::Memory(Size::Len),
        len: ANY,
        op_flags: ANY,
        ioprio: RECVSEND_POLL_FIRST,
        result: ResultKind::Bytes,
        ..BASE
    },
    OpSpec {
        opcode: 27,
        name: "recv",
        kernel: "5.6",
        fd: Fd::File,
        addr: Wide::Memory(Size::Len),
        len: ANY,
        op_flags: ANY,
        ioprio: RECVSEND_POLL_FIRST | RECV_MULTISHOT,
        buffer_select: true,
        multishot: Multishot::Ioprio(RECV_MULTISHOT),
        result: ResultKind::Bytes,
        ..BASE
    },
];

/// Row number + 1 by opcode; 0 for operations the table does not have.
static ROW_BY_OPCODE: [u8; 256] = {
    let mut rows = [0; 256];
    let mut row = 0;
    while row < OPS.len() {
        rows[OPS[row].opcode as usize] = row as u8 + 1;
        row += 1;
    }
    rows
};

/// Operations that have neither file nor memory nor target: nothing to look up, nothing to pin.
static NAMES_NOTHING: [bool; 256] = {
    let mut table = [false; 256];
    let mut row = 0;
    while row < OPS.len() {
        let op = &OPS[row];
        table[op.opcode as usize] = matches!(op.fd, Fd::None)
            && matches!((op.off, op.addr), (Wide::Zero, Wide::Zero))
            && matches!(op.file_index, FileIndex::Zero)
            && !op.buffer_select;
        row += 1;
    }
    table
};

impl OpSpec {
    #[inline]
    pub fn names_nothing(&self) -> bool {
        NAMES_NOTHING[usize::from(self.opcode)]
    }
}

#[inline]
pub fn spec(opcode: u8) -> Option<&'static OpSpec> {
    match ROW_BY_OPCODE[opcode as usize] {
        0 => None,
        row => Some(&OPS[row as usize - 1]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_own_opcode() {
        for op in &OPS {
            assert_eq!(spec(op.opcode).map(|found| found.name), Some(op.name));
        }
        assert!(spec(255).is_none());
    }

    #[test]
    fn a_fixed_form_takes_the_same_fields_as_the_operation_it_replaces() {
        for op in OPS.iter().filter(|op| op.fixed_form.is_some()) {
            let fixed = op.fixed_form.and_then(spec).unwrap();
            assert_eq!(fixed.addr, Wide::RegisteredMemory);
            assert_eq!(
                (fixed.off, fixed.len, fixed.op_flags, fixed.ioprio),
                (op.off, op.len, op.op_flags, op.ioprio)
            );
        }
    }
}
