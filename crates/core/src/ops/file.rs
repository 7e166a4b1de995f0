//! Operations on open files.

use super::{ANY, BASE, BufferSelect, Fd, FileIndex, Multishot, OpSpec, Record, ResultKind, Size, Wide};

pub const READ_FIXED: u8 = 4;
pub const WRITE_FIXED: u8 = 5;
pub const MADVISE: u8 = 25;
pub const READV_FIXED: u8 = 60;
const WRITEV_FIXED: u8 = 61;

const IORING_FSYNC_DATASYNC: u32 = 1 << 0;
/// SYNC_FILE_RANGE_WAIT_BEFORE, WRITE, WAIT_AFTER.
const SYNC_FILE_RANGE_FLAGS: u32 = 0b111;
/// SPLICE_F_MOVE, NONBLOCK, MORE, GIFT, and SPLICE_F_FD_IN_FIXED.
const SPLICE_FLAGS: u32 = 0b1111 | super::SPLICE_F_FD_IN_FIXED;
/// O_CLOEXEC, O_NONBLOCK, O_DIRECT, O_NOTIFICATION_PIPE (O_EXCL) of pipe2(2).
const PIPE_FLAGS: u32 = (libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_DIRECT | libc::O_EXCL) as u32;

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

/// Writes may name a write stream of the device (6.16), one byte in the place of `file_index`.
const FILE_OUT: OpSpec = OpSpec {
    file_index: FileIndex::Scalar(0xff),
    ..FILE_IO
};

pub static OPS: [OpSpec; 20] = [
    OpSpec {
        opcode: 1,
        name: "readv",
        kernel: "5.1",
        addr: Wide::Iovecs,
        fixed_form: Some(READV_FIXED),
        ..FILE_IO
    },
    OpSpec {
        opcode: 2,
        name: "writev",
        kernel: "5.1",
        addr: Wide::Iovecs,
        fixed_form: Some(WRITEV_FIXED),
        ..FILE_OUT
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
        ..FILE_OUT
    },
    OpSpec {
        opcode: 8,
        name: "syncFileRange",
        kernel: "5.2",
        fd: Fd::File,
        off: Wide::Scalar,
        len: ANY,
        op_flags: SYNC_FILE_RANGE_FLAGS,
        ..BASE
    },
    OpSpec {
        opcode: 17,
        name: "fallocate",
        kernel: "5.6",
        fd: Fd::File,
        off: Wide::Scalar,
        addr: Wide::Scalar,
        len: ANY,
        ..BASE
    },
    OpSpec {
        opcode: 22,
        name: "read",
        kernel: "5.6",
        addr: Wide::Memory(Size::Len),
        fixed_form: Some(READ_FIXED),
        buffer_select: BufferSelect::May,
        ..FILE_IO
    },
    OpSpec {
        opcode: 23,
        name: "write",
        kernel: "5.6",
        addr: Wide::Memory(Size::Len),
        fixed_form: Some(WRITE_FIXED),
        ..FILE_OUT
    },
    OpSpec {
        opcode: 24,
        name: "fadvise",
        kernel: "5.6",
        fd: Fd::File,
        off: Wide::Scalar,
        // A length of 64 bits, where `len` is 0 (6.10).
        addr: Wide::Scalar,
        len: ANY,
        op_flags: 0b111,
        ..BASE
    },
    OpSpec {
        opcode: MADVISE,
        name: "madvise",
        kernel: "5.6",
        addr: Wide::Memory(Size::Len),
        len: ANY,
        op_flags: ANY,
        check: Some(keeps_memory_usable),
        ..BASE
    },
    OpSpec {
        opcode: 30,
        name: "splice",
        kernel: "5.7",
        fd: Fd::File,
        off: Wide::Scalar,
        addr: Wide::Scalar,
        len: ANY,
        op_flags: SPLICE_FLAGS,
        file_index: FileIndex::Source,
        result: ResultKind::Bytes,
        ..BASE
    },
    OpSpec {
        opcode: 33,
        name: "tee",
        kernel: "5.8",
        fd: Fd::File,
        len: ANY,
        op_flags: SPLICE_FLAGS,
        file_index: FileIndex::Source,
        result: ResultKind::Bytes,
        ..BASE
    },
    OpSpec {
        opcode: 41,
        name: "fsetxattr",
        kernel: "5.19",
        fd: Fd::File,
        off: Wide::Optional(Size::Len),
        addr: Wide::Path,
        len: ANY,
        op_flags: 0b11,
        ..BASE
    },
    OpSpec {
        opcode: 43,
        name: "fgetxattr",
        kernel: "5.19",
        fd: Fd::File,
        off: Wide::Optional(Size::Len),
        addr: Wide::Path,
        len: ANY,
        result: ResultKind::Bytes,
        ..BASE
    },
    OpSpec {
        opcode: 49,
        name: "readMultishot",
        kernel: "6.7",
        fd: Fd::File,
        off: Wide::Scalar,
        len: ANY,
        buffer_select: BufferSelect::Must,
        multishot: Multishot::Always,
        result: ResultKind::Bytes,
        ..BASE
    },
    OpSpec {
        opcode: 55,
        name: "ftruncate",
        kernel: "6.9",
        fd: Fd::File,
        off: Wide::Scalar,
        ..BASE
    },
    OpSpec {
        opcode: READV_FIXED,
        name: "readvFixed",
        kernel: "6.15",
        addr: Wide::RegisteredIovecs,
        ..FILE_IO
    },
    OpSpec {
        opcode: WRITEV_FIXED,
        name: "writevFixed",
        kernel: "6.15",
        addr: Wide::RegisteredIovecs,
        ..FILE_OUT
    },
    OpSpec {
        opcode: 62,
        name: "pipe",
        kernel: "6.16",
        addr: Wide::Descriptors,
        op_flags: PIPE_FLAGS,
        file_index: FileIndex::Pair,
        ..BASE
    },
];

/// Advice after which JavaScript can still use the memory and the kernel's registration still means it. Others make
/// it fault (MADV_GUARD_INSTALL), poison it, or undo MADV_DONTFORK (memory.rs). That a registered buffer must not lose
/// its pages is checked where it is known which memory it is (relocate.rs).
fn keeps_memory_usable(record: &Record) -> bool {
    const POPULATE_READ: i32 = 22;
    const POPULATE_WRITE: i32 = 23;
    const COLLAPSE: i32 = 25;
    matches!(
        record[7] as i32,
        libc::MADV_NORMAL
            | libc::MADV_RANDOM
            | libc::MADV_SEQUENTIAL
            | libc::MADV_WILLNEED
            | libc::MADV_DONTNEED
            | libc::MADV_FREE
            | libc::MADV_MERGEABLE
            | libc::MADV_UNMERGEABLE
            | libc::MADV_HUGEPAGE
            | libc::MADV_NOHUGEPAGE
            | libc::MADV_DONTDUMP
            | libc::MADV_DODUMP
            | libc::MADV_COLD
            | libc::MADV_PAGEOUT
            | POPULATE_READ
            | POPULATE_WRITE
            | COLLAPSE
    )
}

/// Advice that takes pages away: the kernel would go on with those that it has registered, and JavaScript with new ones.
pub fn drops_pages(record: &Record) -> bool {
    matches!(record[7] as i32, libc::MADV_DONTNEED | libc::MADV_FREE)
}
