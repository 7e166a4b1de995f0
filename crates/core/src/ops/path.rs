//! Operations that name a file by its path.

use super::{ANY, BASE, Fd, FileIndex, OpSpec, ResultKind, Size, Wide};

const OPEN: OpSpec = OpSpec {
    fd: Fd::Descriptor,
    addr: Wide::Path,
    file_index: FileIndex::Destination,
    result: ResultKind::Descriptor,
    ..BASE
};

/// One path and flags.
const AT_PATH: OpSpec = OpSpec {
    fd: Fd::Descriptor,
    addr: Wide::Path,
    ..BASE
};

/// Two paths: the old one at `addr`, the new one at `off`.
const TWO_PATHS: OpSpec = OpSpec {
    off: Wide::Path,
    ..AT_PATH
};

/// sizeof(struct open_how).
const OPEN_HOW_BYTES: u32 = 24;
/// AT_REMOVEDIR.
const UNLINK_FLAGS: u32 = 0x200;
/// RENAME_NOREPLACE, EXCHANGE, WHITEOUT.
const RENAME_FLAGS: u32 = 0b111;
/// AT_SYMLINK_FOLLOW and AT_EMPTY_PATH.
const LINK_FLAGS: u32 = 0x400 | 0x1000;

pub static OPS: [OpSpec; 11] = [
    OpSpec {
        opcode: 18,
        name: "openat",
        kernel: "5.6",
        len: 0o7777,
        op_flags: ANY,
        ..OPEN
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
        off: Wide::Memory(Size::Const(256)),
        len: ANY,
        op_flags: ANY,
        ..AT_PATH
    },
    OpSpec {
        opcode: 28,
        name: "openat2",
        kernel: "5.6",
        off: Wide::Memory(Size::Const(OPEN_HOW_BYTES)),
        len: OPEN_HOW_BYTES,
        ..OPEN
    },
    OpSpec {
        opcode: 35,
        name: "renameat",
        kernel: "5.11",
        len: ANY,
        op_flags: RENAME_FLAGS,
        ..TWO_PATHS
    },
    OpSpec {
        opcode: 36,
        name: "unlinkat",
        kernel: "5.11",
        op_flags: UNLINK_FLAGS,
        ..AT_PATH
    },
    OpSpec {
        opcode: 37,
        name: "mkdirat",
        kernel: "5.15",
        len: 0o7777,
        ..AT_PATH
    },
    OpSpec {
        opcode: 38,
        name: "symlinkat",
        kernel: "5.15",
        ..TWO_PATHS
    },
    OpSpec {
        opcode: 39,
        name: "linkat",
        kernel: "5.15",
        len: ANY,
        op_flags: LINK_FLAGS,
        ..TWO_PATHS
    },
    OpSpec {
        opcode: 42,
        name: "setxattr",
        kernel: "5.19",
        off: Wide::Optional(Size::Len),
        addr: Wide::Path,
        addr3: Wide::Path,
        len: ANY,
        op_flags: 0b11,
        ..BASE
    },
    OpSpec {
        opcode: 44,
        name: "getxattr",
        kernel: "5.19",
        off: Wide::Optional(Size::Len),
        addr: Wide::Path,
        addr3: Wide::Path,
        len: ANY,
        result: ResultKind::Bytes,
        ..BASE
    },
];
