//! Messages and commands of sockets.

use crate::expected::{
    FD, FILE, GROUP, LINK, Memory, REGISTERED, Row, STAGING, pointer, row, row_with, with_words,
};
use crate::golden::Admitted;
use crate::sockets::ipv4;
use io_uring::opcode::{RecvMsg, RecvMsgMulti, SendMsg, SendMsgZc, SetSockOpt, UringCmd16};
use libc::{MSG_CMSG_CLOEXEC, MSG_MORE, MSG_NOSIGNAL, MSG_PEEK, MSG_TRUNC};

const POLL_FIRST: u16 = 1;
/// IORING_RECVSEND_FIXED_BUF and SEND_ZC_REPORT_USAGE.
const FIXED_BUF: u16 = 4;
const REPORT_USAGE: u16 = 8;
/// The description of a message in the staging block.
const DESCRIPTION: usize = 48;
/// sizeof(struct sockaddr_storage).
const NAME: usize = 128;

/// struct cmsghdr and its data, padded.
fn control(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
    let mut bytes = (16 + data.len() as u64).to_le_bytes().to_vec();
    bytes.extend(level.to_le_bytes());
    bytes.extend(kind.to_le_bytes());
    bytes.extend(data);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

/// A message of nothing but buffers.
fn bare(vectors: Vec<(u64, usize)>) -> Memory {
    Memory::Message {
        name: (0, vec![]),
        control: (Some(0), vec![]),
        vectors,
    }
}

pub fn messages(at: &Admitted) -> Vec<Row> {
    let header = at.address() as *mut libc::msghdr;
    let staged = |offset: usize| at.staged(offset) as u64;
    let quiet = MSG_NOSIGNAL as u32;
    let [passed, ttl] = [
        control(
            libc::SOL_SOCKET,
            libc::SCM_RIGHTS,
            &[5, 0, 0, 0, 6, 0, 0, 0, 7, 0, 0, 0],
        ),
        control(libc::IPPROTO_IP, libc::IP_TTL, &[9, 0, 0, 0]),
    ];
    let controls = [passed, ttl].concat();
    // The blocks: description, name, control messages, list, copies.
    let [name, after_name] = [DESCRIPTION, DESCRIPTION + 16];
    let list = after_name + controls.len();
    let fixed = |ioprio: u16, buffer: u16| {
        let entry = SendMsgZc::new(FD, header)
            .ioprio(ioprio | FIXED_BUF)
            .flags(quiet)
            .build();
        with_words(entry, &[(10, u32::from(buffer))])
    };
    vec![
        row_with(
            "sendmsg",
            SendMsg::new(FD, header).flags(quiet).build(),
            bare(vec![(staged(DESCRIPTION + 16), 5)]),
        ),
        row_with(
            "sendmsg with everything",
            SendMsg::new(FILE, header)
                .flags(quiet | MSG_MORE as u32)
                .ioprio(POLL_FIRST)
                .build()
                .flags(LINK),
            Memory::Message {
                name: (staged(name), ipv4()),
                control: (None, controls),
                vectors: vec![(staged(list + 32), 3), (at.plain(8) as u64, 16)],
            },
        ),
        row_with(
            "sendmsg of nothing",
            SendMsg::new(FD, header).flags(quiet).build(),
            bare(vec![]),
        ),
        // The crate has no buffer index here. The staging arena is registered too.
        row_with(
            "sendmsgZc",
            fixed(REPORT_USAGE | POLL_FIRST, STAGING),
            Memory::Message {
                name: (staged(name), ipv4()),
                control: (Some(0), vec![]),
                vectors: vec![(staged(after_name + 16), 4)],
            },
        ),
        row_with(
            "sendmsgZc of one registered arena",
            fixed(0, REGISTERED),
            bare(vec![(at.registered(0) as u64, 1), (at.registered(9) as u64, 2)]),
        ),
    ]
}

pub fn received_messages(at: &Admitted) -> Vec<Row> {
    let header = at.address() as *mut libc::msghdr;
    let staged = |offset: usize| at.staged(offset) as u64;
    let always = MSG_CMSG_CLOEXEC as u32;
    let after_name = DESCRIPTION + NAME;
    let name = (staged(DESCRIPTION), vec![0; NAME]);
    let multi = |fd| RecvMsgMulti::new(fd, header, GROUP);
    vec![
        row_with(
            "recvmsg",
            RecvMsg::new(FD, header).flags(always).build(),
            Memory::Message {
                name: name.clone(),
                control: (Some(staged(after_name)), vec![0; 24]),
                vectors: vec![(staged(after_name + 24 + 32), 3), (at.registered(8) as u64, 16)],
            },
        ),
        row_with(
            "recvmsg with flags",
            RecvMsg::new(FILE, header)
                .flags(always | MSG_PEEK as u32)
                .ioprio(POLL_FIRST)
                .build(),
            Memory::Message {
                name: name.clone(),
                control: (Some(0), vec![]),
                vectors: vec![(staged(after_name + 16), 3)],
            },
        ),
        row_with(
            "recvmsgMultishot",
            multi(FD).flags(always).build(),
            Memory::Message {
                name: name.clone(),
                control: (Some(0), vec![]),
                vectors: vec![],
            },
        ),
        row_with(
            "recvmsgMultishot with room for control messages",
            RecvMsgMulti::new(FILE, header, GROUP)
                .flags(always | MSG_TRUNC as u32)
                .build(),
            Memory::Message {
                name,
                control: (Some(staged(after_name)), vec![0; 32]),
                vectors: vec![],
            },
        ),
    ]
}

/// SOCKET_URING_OP_* besides SETSOCKOPT: the crate has no builders for them.
pub fn commands(at: &Admitted) -> Vec<Row> {
    let on = |code| UringCmd16::new(FD, code).build();
    let on_file = |code| UringCmd16::new(FILE, code).build();
    let [value, above] = pointer(at.staged(0) as u64);
    let [name, above_name] = pointer(at.staged(8) as u64);
    let place = [(12, value), (13, above)];
    let option = |level: u32, option: u32, length: u32| {
        [&[(4, level), (5, option), (11, length)], place.as_slice()].concat()
    };
    let address = |peer: u32| [&[(4, name), (5, above_name), (11, peer)], place.as_slice()].concat();
    let pointed = at.staged(0) as u64;
    vec![
        row("receiveQueueBytes", on(0)),
        row("sendQueueBytes", on_file(1).flags(LINK)),
        row("getsockopt", with_words(on(2), &option(1, 8, 4))),
        row("getsockopt of bytes", with_words(on_file(2), &option(1, 28, 100))),
        row_with(
            "setsockopt",
            SetSockOpt::new(FD, 6, 4, at.staged(0).cast(), 4).build(),
            Memory::At(pointed, vec![30, 0, 0, 0]),
        ),
        row_with(
            "setsockopt of bytes",
            SetSockOpt::new(FILE, 41, 20, at.staged(0).cast(), 3).build(),
            Memory::At(pointed, vec![1, 2, 3]),
        ),
        row_with(
            "getsockname",
            with_words(on(5), &address(0)),
            Memory::At(pointed, vec![128, 0, 0, 0]),
        ),
        row("getpeername", with_words(on_file(5), &address(1))),
        row("txTimestamp", on(4)),
        row("uringCmd128", with_words(on_file(0), &[(0, 64 | 1 << 8)])),
    ]
}
