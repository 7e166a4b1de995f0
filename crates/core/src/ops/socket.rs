//! Operations on sockets, and commands to sockets and block devices.

use super::{
    ANY, BASE, BufferSelect, Fd, FileIndex, Multishot, OpSpec, Record, ResultKind, Size, Way, When, Wide,
    word,
};

/// IORING_RECVSEND_* and IORING_SEND_*, in `ioprio`.
const POLL_FIRST: u16 = 1 << 0;
const RECV_MULTISHOT: u16 = 1 << 1;
const FIXED_BUF: u16 = 1 << 2;
const ZC_REPORT_USAGE: u16 = 1 << 3;
pub const BUNDLE: u16 = 1 << 4;
const VECTORIZED: u16 = 1 << 5;
/// As bits of the record's first word.
const VECTORIZED_IN_HEAD: u32 = (VECTORIZED as u32) << 16;

/// IORING_ACCEPT_MULTISHOT, DONTWAIT, POLL_FIRST, in `ioprio`.
const ACCEPT_MULTISHOT: u16 = 1 << 0;
const ACCEPT_IOPRIO: u16 = ACCEPT_MULTISHOT | 1 << 1 | 1 << 2;

/// sizeof(struct sockaddr_storage): the kernel never writes more of an address (net/socket.c, move_addr_to_user).
const ADDRESS_BYTES: u32 = 128;
const LENGTH_BYTES: u32 = 4;
const BACKLOG: u32 = 0x7fff_ffff;

/// Flags of a message, without those that are not for users of io_uring. MSG_ZEROCOPY: the kernel would go on reading the
/// memory after the last completion, and say when it is done in the socket's error queue; `sendZc` is the way to do that.
/// MSG_SPLICE_PAGES and MSG_SENDPAGE_DECRYPTED are the kernel's own (include/linux/socket.h). MSG_CMSG_COMPAT: the
/// kernel would take the message for one of a 32-bit program (net/socket.c, forbid_cmsg_compat).
const MESSAGE_FLAGS: u32 = !(1 << 20 | 1 << 26 | 1 << 27 | 1 << 31);

const TRANSFER: OpSpec = OpSpec {
    fd: Fd::File,
    len: ANY,
    op_flags: MESSAGE_FLAGS,
    result: ResultKind::Bytes,
    ..BASE
};

/// An address to send to stands in `off`, its length in the low half of `file_index`.
const SEND: OpSpec = OpSpec {
    off: Wide::Optional(Size::AddressLength),
    addr: Wide::Memory(Size::Len),
    file_index: FileIndex::Scalar(0xffff),
    ..TRANSFER
};

const SEND_ZC: OpSpec = OpSpec {
    opcode: 47,
    name: "sendZc",
    kernel: "6.0",
    ioprio: POLL_FIRST | ZC_REPORT_USAGE,
    fixed_flag: FIXED_BUF,
    notifies: true,
    ..SEND
};

/// The kernel reads or writes an address of a socket: `addr` where, `off` or `addr3` how long.
const ADDRESS: Wide = Wide::Optional(Size::Const(ADDRESS_BYTES));
const LENGTH: Wide = Wide::Optional(Size::Const(LENGTH_BYTES));

/// The command stands in the low half of `off`.
const COMMAND: OpSpec = OpSpec {
    opcode: 46,
    name: "uringCmd",
    kernel: "5.19",
    fd: Fd::File,
    off: Wide::Scalar,
    ..BASE
};

const SOCKET_URING_OP_SIOCINQ: u32 = 0;
const SOCKET_URING_OP_SIOCOUTQ: u32 = 1;
const SOCKET_URING_OP_GETSOCKOPT: u32 = 2;
const SOCKET_URING_OP_SETSOCKOPT: u32 = 3;
const SOCKET_URING_OP_TX_TIMESTAMP: u32 = 4;
const SOCKET_URING_OP_GETSOCKNAME: u32 = 5;
/// _IO(0x12, 0) of include/uapi/linux/blkdev.h.
const BLOCK_URING_CMD_DISCARD: u32 = 0x1200;

/// Only commands that are known here: others may hold addresses anywhere in their bytes.
static COMMANDS: [OpSpec; 6] = [
    OpSpec {
        when: When::is(word::OFF, SOCKET_URING_OP_SIOCOUTQ),
        result: ResultKind::Bytes,
        ..COMMAND
    },
    OpSpec {
        when: When::is(word::OFF, SOCKET_URING_OP_GETSOCKOPT),
        // Level and name of the option.
        addr: Wide::Scalar,
        addr3: Wide::Memory(Size::OptionLength),
        file_index: FileIndex::Scalar(ANY),
        check: Some(option_length_is_in_bytes),
        result: ResultKind::Bytes,
        ..COMMAND
    },
    OpSpec {
        when: When::is(word::OFF, SOCKET_URING_OP_SETSOCKOPT),
        addr: Wide::Scalar,
        addr3: Wide::Memory(Size::OptionLength),
        file_index: FileIndex::Scalar(ANY),
        check: Some(option_holds_no_address),
        ..COMMAND
    },
    OpSpec {
        when: When::is(word::OFF, SOCKET_URING_OP_TX_TIMESTAMP),
        multishot: Multishot::Always,
        ..COMMAND
    },
    OpSpec {
        when: When::is(word::OFF, SOCKET_URING_OP_GETSOCKNAME),
        addr: Wide::Memory(Size::Const(ADDRESS_BYTES)),
        addr3: Wide::Memory(Size::Const(LENGTH_BYTES)),
        // 1 for the peer's address.
        file_index: FileIndex::Scalar(1),
        ..COMMAND
    },
    OpSpec {
        when: When::is(word::OFF, BLOCK_URING_CMD_DISCARD),
        // Where, and how many bytes.
        addr: Wide::Scalar,
        addr3: Wide::Scalar,
        ..COMMAND
    },
];

pub static OPS: [OpSpec; 17] = [
    OpSpec {
        opcode: 9,
        name: "sendmsg",
        kernel: "5.3",
        addr: Wide::Message(Way::Send),
        len: 1,
        ioprio: POLL_FIRST,
        ..TRANSFER
    },
    OpSpec {
        opcode: 10,
        name: "recvmsg",
        kernel: "5.3",
        addr: Wide::Message(Way::Receive),
        len: 1,
        ioprio: POLL_FIRST | RECV_MULTISHOT,
        buffer_select: BufferSelect::May,
        multishot: Multishot::Ioprio(RECV_MULTISHOT),
        ..TRANSFER
    },
    OpSpec {
        opcode: 13,
        name: "accept",
        kernel: "5.5",
        fd: Fd::File,
        off: LENGTH,
        addr: ADDRESS,
        op_flags: ANY,
        ioprio: ACCEPT_IOPRIO,
        file_index: FileIndex::Destination,
        multishot: Multishot::Ioprio(ACCEPT_MULTISHOT),
        result: ResultKind::Descriptor,
        ..BASE
    },
    OpSpec {
        opcode: 16,
        name: "connect",
        kernel: "5.5",
        fd: Fd::File,
        off: Wide::Scalar,
        addr: Wide::Memory(Size::Off),
        ..BASE
    },
    OpSpec {
        opcode: 26,
        name: "send",
        kernel: "5.6",
        when: When::has_not(word::HEAD, VECTORIZED_IN_HEAD),
        forms: &[OpSpec {
            opcode: 26,
            name: "send",
            kernel: "6.17",
            when: When::has(word::HEAD, VECTORIZED_IN_HEAD),
            addr: Wide::Iovecs,
            ioprio: POLL_FIRST | VECTORIZED,
            ..SEND
        }],
        ioprio: POLL_FIRST | BUNDLE,
        buffer_select: BufferSelect::May,
        ..SEND
    },
    OpSpec {
        opcode: 27,
        name: "recv",
        kernel: "5.6",
        addr: Wide::Memory(Size::Len),
        ioprio: POLL_FIRST | RECV_MULTISHOT | BUNDLE,
        // How many bytes a multishot receive may take in all (`optlen`).
        file_index: FileIndex::Scalar(ANY),
        buffer_select: BufferSelect::May,
        multishot: Multishot::Ioprio(RECV_MULTISHOT),
        ..TRANSFER
    },
    OpSpec {
        opcode: 34,
        name: "shutdown",
        kernel: "5.11",
        fd: Fd::File,
        len: 0b11,
        ..BASE
    },
    OpSpec {
        opcode: 45,
        name: "socket",
        kernel: "5.19",
        fd: Fd::Number,
        off: Wide::Scalar,
        len: ANY,
        file_index: FileIndex::Destination,
        result: ResultKind::Descriptor,
        ..BASE
    },
    OpSpec {
        when: When::is(word::OFF, SOCKET_URING_OP_SIOCINQ),
        forms: &COMMANDS,
        result: ResultKind::Bytes,
        ..COMMAND
    },
    OpSpec {
        when: When::has_not(word::HEAD, VECTORIZED_IN_HEAD),
        forms: &[OpSpec {
            when: When::has(word::HEAD, VECTORIZED_IN_HEAD),
            addr: Wide::Iovecs,
            ioprio: POLL_FIRST | ZC_REPORT_USAGE | VECTORIZED,
            // Up to 6.18 the kernel answers -EINVAL to a list of registered buffers; sendmsgZc takes one.
            fixed_flag: 0,
            ..SEND_ZC
        }],
        ..SEND_ZC
    },
    OpSpec {
        opcode: 48,
        name: "sendmsgZc",
        kernel: "6.1",
        addr: Wide::Message(Way::Send),
        len: 1,
        ioprio: POLL_FIRST | ZC_REPORT_USAGE,
        fixed_flag: FIXED_BUF,
        notifies: true,
        ..TRANSFER
    },
    OpSpec {
        opcode: 56,
        name: "bind",
        kernel: "6.11",
        fd: Fd::File,
        off: Wide::Scalar,
        addr: Wide::Memory(Size::Off),
        ..BASE
    },
    OpSpec {
        opcode: 57,
        name: "listen",
        kernel: "6.11",
        fd: Fd::File,
        len: BACKLOG,
        ..BASE
    },
    OpSpec {
        opcode: 58,
        name: "recvZc",
        kernel: "6.15",
        fd: Fd::File,
        len: ANY,
        ioprio: RECV_MULTISHOT,
        // Number of the receive queue that was registered.
        file_index: FileIndex::Scalar(ANY),
        multishot: Multishot::Always,
        result: ResultKind::Bytes,
        ..BASE
    },
    OpSpec {
        opcode: 64,
        name: "uringCmd128",
        kernel: "6.19",
        large: true,
        when: When::is(word::OFF, SOCKET_URING_OP_SIOCINQ),
        result: ResultKind::Bytes,
        ..COMMAND
    },
    OpSpec {
        opcode: 29,
        name: "epollCtl",
        kernel: "5.6",
        fd: Fd::Descriptor,
        // The descriptor to watch.
        off: Wide::Scalar,
        addr: Wide::Optional(Size::Const(size_of::<libc::epoll_event>() as u32)),
        // EPOLL_CTL_ADD, DEL, MOD.
        len: 0b11,
        ..BASE
    },
    OpSpec {
        opcode: 59,
        name: "epollWait",
        kernel: "6.15",
        fd: Fd::File,
        addr: Wide::Memory(Size::EpollEvents),
        len: ANY,
        result: ResultKind::Count,
        ..BASE
    },
];

/// The kernel answers at most as many bytes as the length says, and takes none for addresses. It has options of the
/// socket itself only (io_uring/cmd_net.c, io_uring_cmd_getsockopt); others, should it ever have them, may be otherwise
/// (TCP_ZEROCOPY_RECEIVE holds addresses). The length of SO_GET_FILTER counts instructions of eight bytes.
fn option_length_is_in_bytes(record: &Record) -> bool {
    let (level, option) = (record[4], record[5]);
    level == libc::SOL_SOCKET as u32 && option != libc::SO_GET_FILTER as u32
}

/// A value that the kernel takes as plain bytes. Left out are the levels whose options nobody has read for addresses,
/// and those known to hold one: socket filters (struct sock_fprog), and tables of netfilter (struct ipt_replace), into
/// whose `counters` the kernel even writes.
fn option_holds_no_address(record: &Record) -> bool {
    const SOL_MPTCP: u32 = 284;
    const IPPROTO_UDPLITE: u32 = 136;
    const SO_ATTACH_REUSEPORT_CBPF: u32 = 51;
    let (level, option) = (record[4], record[5]);
    match level as i32 {
        libc::SOL_SOCKET => option != libc::SO_ATTACH_FILTER as u32 && option != SO_ATTACH_REUSEPORT_CBPF,
        // IPT_BASE_CTL, ARPT_BASE_CTL and EBT_BASE_CTL, each with SET_REPLACE and SET_ADD_COUNTERS.
        libc::SOL_IP => !matches!(option, 64 | 65 | 96 | 97 | 128 | 129),
        libc::SOL_IPV6 => !matches!(option, 64 | 65),
        libc::SOL_TCP | libc::SOL_UDP | libc::IPPROTO_ICMPV6 | libc::SOL_RAW | libc::SOL_TLS => true,
        _ => matches!(level, SOL_MPTCP | IPPROTO_UDPLITE),
    }
}
