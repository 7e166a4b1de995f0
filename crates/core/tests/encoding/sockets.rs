//! Operations on sockets: connections, sending and receiving. Messages and commands have a file of their own.

use crate::expected::{
    ASYNC, FD, FILE, GROUP, LINK, Memory, REGISTERED, Row, pointer, row, row_with, with_words,
};
use crate::golden::Admitted;
use io_uring::opcode::{
    Accept, AcceptMulti, Bind, Connect, Listen, Recv, RecvBundle, RecvMulti, RecvMultiBundle, RecvZc, Send,
    SendBundle, SendZc, Shutdown, Socket,
};
use io_uring::squeue::Flags;
use io_uring::types::DestinationSlot;
use libc::{
    AF_INET, AF_INET6, AF_UNIX, MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC, MSG_WAITALL,
    SOCK_CLOEXEC, SOCK_DGRAM, SOCK_NONBLOCK, SOCK_RAW, SOCK_SEQPACKET, SOCK_STREAM,
};

/// IORING_RECVSEND_POLL_FIRST, SEND_ZC_REPORT_USAGE and SEND_VECTORIZED.
const POLL_FIRST: u16 = 1;
const REPORT_USAGE: u16 = 8;
const VECTORIZED: u16 = 32;
/// Words of the record.
const HEAD: usize = 0;
const OFF: usize = 2;
const ADDR: usize = 4;
const LEN: usize = 6;
const FILE_INDEX: usize = 11;

/// 127.0.0.1:8080.
pub fn ipv4() -> Vec<u8> {
    vec![AF_INET as u8, 0, 0x1f, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]
}

fn ipv6() -> Vec<u8> {
    let mut bytes = vec![AF_INET6 as u8, 0, 0, 1, 0, 1, 0x23, 0x45, 0xfe, 0x80];
    bytes.extend([0; 13]);
    bytes.extend([1, 3, 0, 0, 0]);
    bytes
}

fn unix(path: &[u8]) -> Vec<u8> {
    [&[AF_UNIX as u8, 0], path].concat()
}

pub fn connections(at: &Admitted) -> Vec<Row> {
    let slot = DestinationSlot::try_from_slot_target(2).ok();
    let any_slot = Some(DestinationSlot::auto_target());
    let bind = |bytes: &[u8]| Bind::new(FD, at.staged(0).cast(), bytes.len() as u32).build();
    let binds = |title, bytes: Vec<u8>| row_with(title, bind(&bytes), Memory::Bytes(bytes));
    let length = at.staged(0).cast();
    let peer = at.staged(8).cast();
    let mut rows = vec![
        row(
            "socket",
            Socket::new(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0).build(),
        ),
        row(
            "socket with everything",
            Socket::new(40, SOCK_SEQPACKET, 262).build().flags(ASYNC),
        ),
        row(
            "socket into slot 2",
            Socket::new(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0)
                .file_index(slot)
                .build(),
        ),
        row(
            "socket into a slot of the kernel",
            Socket::new(AF_INET6, SOCK_RAW, 0).file_index(any_slot).build(),
        ),
        binds("bind to IPv4", ipv4()),
        row_with(
            "bind a registered file to IPv6",
            Bind::new(FILE, at.staged(0).cast(), 28).build().flags(LINK),
            Memory::Bytes(ipv6()),
        ),
        binds("bind to an abstract name", unix(b"\0name")),
        binds("bind to no name", unix(b"")),
        row_with(
            "connect to a path",
            Connect::new(FD, at.staged(0).cast(), 5).build(),
            Memory::Bytes(unix(b"/a\0")),
        ),
        row_with(
            "connect to bytes",
            Connect::new(FD, at.staged(0).cast(), 5).build().personality(4),
            Memory::Bytes(vec![40, 0, 1, 2, 3]),
        ),
    ];
    rows.extend([
        row("listen", Listen::new(FD, 511).build()),
        row("listen with a backlog", Listen::new(FILE, i32::MAX).build()),
        row("shutdown for reading", Shutdown::new(FD, libc::SHUT_RD).build()),
        row(
            "shutdown for writing",
            Shutdown::new(FILE, libc::SHUT_WR).build().flags(LINK),
        ),
        row("shutdown for both", Shutdown::new(FD, libc::SHUT_RDWR).build()),
        // The crate has neither IORING_ACCEPT_DONTWAIT (2) nor POLL_FIRST (4).
        row_with(
            "accept with the address",
            with_words(
                Accept::new(FD, peer, length)
                    .flags(SOCK_NONBLOCK | SOCK_CLOEXEC)
                    .build(),
                &[(HEAD, 13 | 2 << 16)],
            ),
            Memory::At(length.cast::<u8>() as u64, vec![128, 0, 0, 0]),
        ),
        row(
            "accept with the address into a slot of the kernel",
            with_words(
                Accept::new(FD, peer, length)
                    .flags(SOCK_NONBLOCK)
                    .file_index(any_slot)
                    .build(),
                &[(HEAD, 13 | 4 << 16)],
            ),
        ),
        row(
            "acceptMultishot with both options",
            with_words(
                AcceptMulti::new(FILE).flags(SOCK_NONBLOCK | SOCK_CLOEXEC).build(),
                &[(HEAD, 13 | 1 << 8 | 7 << 16)],
            ),
        ),
    ]);
    rows
}

pub fn sends(at: &Admitted) -> Vec<Row> {
    let to = |builder: Send| builder.dest_addr(at.staged(0).cast()).dest_addr_len(16);
    let quiet = |flags| MSG_NOSIGNAL | flags;
    let staged = |offset| at.staged(offset) as u64;
    // A list of buffers: the address is the one of Rust's own list.
    let list = |opcode: u32, ioprio: u16, count: u32| {
        let entry = Send::new(FD, std::ptr::null(), count).flags(MSG_NOSIGNAL).build();
        let [low, high] = pointer(at.address());
        with_words(
            entry,
            &[
                (HEAD, opcode | u32::from(ioprio) << 16),
                (ADDR, low),
                (ADDR + 1, high),
            ],
        )
    };
    let [to_low, to_high] = pointer(staged(0));
    vec![
        row_with(
            "send to an address",
            to(Send::new(FD, at.staged(16), 5))
                .flags(quiet(MSG_MORE))
                .ioprio(POLL_FIRST)
                .build(),
            Memory::BytesAfter(ipv4(), b"hello".to_vec()),
        ),
        row_with(
            "send nothing to an address",
            Send::new(FILE, std::ptr::null(), 0)
                .dest_addr(at.staged(0).cast())
                .dest_addr_len(5)
                .flags(quiet(0))
                .build(),
            Memory::At(staged(0), unix(b"/a\0")),
        ),
        row_with(
            "send a list",
            list(26, VECTORIZED, 3).flags(ASYNC),
            Memory::Vectors(vec![
                (staged(48), 3),
                (at.plain(8) as u64, 16),
                (at.registered(0) as u64, 4),
            ]),
        ),
        row_with(
            "send a list to an address",
            with_words(
                list(26, VECTORIZED | POLL_FIRST, 2),
                &[(OFF, to_low), (OFF + 1, to_high), (FILE_INDEX, 16)],
            ),
            Memory::Vectors(vec![(staged(48), 1), (staged(49), 2)]),
        ),
        // Of buffer groups the crate knows only bundles.
        row(
            "send from a buffer ring",
            with_words(
                Send::new(FD, std::ptr::null(), 0)
                    .flags(quiet(MSG_DONTWAIT))
                    .build()
                    .flags(Flags::BUFFER_SELECT),
                &[(10, u32::from(GROUP))],
            ),
        ),
        row(
            "sendBundle",
            with_words(
                SendBundle::new(FILE, GROUP).flags(quiet(0)).build(),
                &[(HEAD, 26 | 0x21 << 8 | (16 | u32::from(POLL_FIRST)) << 16)],
            ),
        ),
    ]
}

pub fn zero_copy(at: &Admitted) -> Vec<Row> {
    let staged = |offset| at.staged(offset) as u64;
    let list = |ioprio: u16, count: u32| {
        let builder = SendZc::new(FD, at.address() as *const u8, count).flags(MSG_NOSIGNAL);
        builder.zc_flags(ioprio | VECTORIZED).build()
    };
    vec![
        row(
            "sendZc",
            SendZc::new(FD, at.plain(128), 512)
                .flags(MSG_NOSIGNAL | MSG_MORE)
                .build(),
        ),
        row(
            "sendZc of registered memory",
            SendZc::new(FILE, at.registered(64), 64)
                .buf_index(Some(REGISTERED))
                .zc_flags(REPORT_USAGE)
                .flags(MSG_NOSIGNAL)
                .build(),
        ),
        row_with(
            "sendZc to an address",
            SendZc::new(FD, at.registered(0), 8)
                .buf_index(Some(REGISTERED))
                .dest_addr(at.staged(0).cast())
                .dest_addr_len(16)
                .zc_flags(POLL_FIRST)
                .flags(MSG_NOSIGNAL)
                .build(),
            Memory::At(staged(0), ipv4()),
        ),
        row_with(
            "sendZc of a list",
            list(REPORT_USAGE, 2),
            Memory::Vectors(vec![(at.plain(0) as u64, 1), (staged(33), 2)]),
        ),
        row_with(
            "sendZc of a list in one registered arena",
            list(0, 2),
            Memory::Vectors(vec![(at.registered(0) as u64, 1), (at.registered(100) as u64, 5)]),
        ),
    ]
}

pub fn receives(at: &Admitted) -> Vec<Row> {
    let limited = RecvZc::new(FILE, 4096).ifq(0).ioprio(2).build();
    vec![
        row(
            "recv with a truncating flag",
            Recv::new(FD, at.staged(0), 5)
                .flags(MSG_TRUNC | MSG_PEEK)
                .ioprio(POLL_FIRST)
                .build(),
        ),
        row(
            "recv of a bundle",
            RecvBundle::new(FD, GROUP).flags(MSG_WAITALL).build(),
        ),
        row(
            "recvMultishot of bundles",
            with_words(
                RecvMultiBundle::new(FILE, GROUP).build(),
                &[(HEAD, 27 | 0x21 << 8 | (1 | 2 | 16) << 16)],
            ),
        ),
        // The crate has neither of the limits.
        row(
            "recvMultishot with limits",
            with_words(
                RecvMulti::new(FD, GROUP).build(),
                &[(LEN, 10), (FILE_INDEX, 1000)],
            ),
        ),
        row("recvZc", RecvZc::new(FD, 0).ifq(3).ioprio(2).build()),
        row("recvZc with a limit", limited.flags(ASYNC)),
    ]
}
