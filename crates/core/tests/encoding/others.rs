//! Operations on the ring itself, on sockets, on readiness and time.

use crate::expected::{
    ASYNC, DRAIN, FD, FILE, GROUP, HARDLINK, LINK, Memory, Row, row, row_with, with_words,
};
use crate::golden::Admitted;
use io_uring::opcode::{
    Accept, AcceptMulti, AsyncCancel, AsyncCancel2, Nop, PollAdd, Recv, RecvMulti, Send, Timeout,
};
use io_uring::squeue::Flags;
use io_uring::types::{CancelBuilder, DestinationSlot, TimeoutFlags};
use libc::{MSG_DONTWAIT, MSG_MORE, MSG_NOSIGNAL, MSG_PEEK, MSG_WAITALL, SOCK_CLOEXEC, SOCK_NONBLOCK};
use std::ptr::null_mut;
use uring_core::inflight::NO_TARGET;

pub fn ring(at: &Admitted) -> Vec<Row> {
    let nop = || Nop::new().build();
    // The crate knows neither IORING_NOP_INJECT_RESULT (op_flags 1, the result in len) nor ALL beside ANY (flags 5).
    let injected = with_words(nop(), &[(6, -5_i32 as u32), (7, 1)]);
    let everything = with_words(
        AsyncCancel2::new(CancelBuilder::any()).build().flags(ASYNC),
        &[(7, 1 << 0 | 1 << 2)],
    );
    let cancel = |builder| AsyncCancel2::new(builder).build();
    vec![
        row("nop", nop()),
        row("nop with an injected result", injected),
        row(
            "nop with drain, async and a personality",
            nop().flags(DRAIN | ASYNC).personality(0xfffe),
        ),
        row("nop linked when it is prepared", nop().flags(LINK)),
        row(
            "nop hard-linked when it is prepared, async by itself",
            nop().flags(HARDLINK | ASYNC),
        ),
        row("cancel an operation", AsyncCancel::new(at.earlier).build()),
        row(
            "cancel by user data",
            cancel(CancelBuilder::user_data(at.earlier)),
        ),
        row(
            "cancel user data that nobody has",
            AsyncCancel::new(NO_TARGET).build(),
        ),
        row("cancel one on a descriptor", cancel(CancelBuilder::fd(FD))),
        row("cancel all on a descriptor", cancel(CancelBuilder::fd(FD).all())),
        row(
            "cancel all on a registered file",
            cancel(CancelBuilder::fd(FILE).all()),
        ),
        row("cancel everything", everything),
    ]
}

pub fn accepts() -> Vec<Row> {
    let accept = || Accept::new(FD, null_mut(), null_mut());
    let slot = DestinationSlot::try_from_slot_target(2).ok();
    vec![
        row("accept", accept().flags(SOCK_NONBLOCK | SOCK_CLOEXEC).build()),
        row(
            "accept with flags on a registered file",
            Accept::new(FILE, null_mut(), null_mut()).build().flags(ASYNC),
        ),
        row(
            "accept into slot 2",
            accept().file_index(slot).flags(SOCK_NONBLOCK).build(),
        ),
        row(
            "accept into a slot of the kernel",
            accept().file_index(Some(DestinationSlot::auto_target())).build(),
        ),
        row(
            "acceptMultishot",
            AcceptMulti::new(FD).flags(SOCK_NONBLOCK).build(),
        ),
        row(
            "acceptMultishot into slots of the kernel",
            AcceptMulti::new(FILE)
                .allocate_file_index(true)
                .flags(SOCK_NONBLOCK)
                .build(),
        ),
    ]
}

pub fn transfers(at: &Admitted) -> Vec<Row> {
    let provided = Recv::new(FD, null_mut(), 256)
        .flags(MSG_DONTWAIT)
        .buf_group(GROUP)
        .build();
    vec![
        row("recv", Recv::new(FD, at.plain(128), 512).build()),
        row(
            "recv into registered memory",
            Recv::new(FILE, at.registered(0), 64).flags(MSG_WAITALL).build(),
        ),
        row(
            "recv into JavaScript's memory",
            Recv::new(FD, at.staged(0), 70).build().flags(LINK),
        ),
        row(
            "recv into a provided buffer",
            provided.flags(Flags::BUFFER_SELECT).personality(6),
        ),
        row("recvMultishot", RecvMulti::new(FD, GROUP).build()),
        row(
            "recvMultishot from a registered file",
            RecvMulti::new(FILE, GROUP).flags(MSG_PEEK).build().flags(ASYNC),
        ),
        row(
            "send",
            Send::new(FD, at.plain(128), 512).flags(MSG_NOSIGNAL).build(),
        ),
        row(
            "send registered memory",
            Send::new(FILE, at.registered(1), 2)
                .flags(MSG_NOSIGNAL | MSG_MORE)
                .build()
                .flags(LINK),
        ),
        row_with(
            "send JavaScript's memory",
            Send::new(FD, at.staged(0), 5).flags(MSG_NOSIGNAL).build(),
            Memory::Bytes(b"hello".to_vec()),
        ),
        row(
            "send nothing",
            Send::new(FD, null_mut(), 0).flags(MSG_NOSIGNAL).build(),
        ),
    ]
}

/// struct __kernel_timespec.
fn timespec(seconds: i64, nanoseconds: i64) -> Memory {
    Memory::Bytes([seconds.to_le_bytes(), nanoseconds.to_le_bytes()].concat())
}

pub fn poll_and_time(at: &Admitted) -> Vec<Row> {
    let events = |bits: i16| bits as u16 as u32;
    let timeout = || Timeout::new(at.staged(0).cast());
    vec![
        row(
            "pollAdd",
            PollAdd::new(FD, events(libc::POLLIN | libc::POLLRDHUP)).build(),
        ),
        row(
            "pollAdd with every bit",
            PollAdd::new(FILE, u32::MAX).build().flags(LINK),
        ),
        row(
            "pollMultishot",
            PollAdd::new(FD, events(libc::POLLOUT))
                .multi(true)
                .build()
                .flags(ASYNC),
        ),
        row_with("timeout", timeout().build(), timespec(1, 500_250_000)),
        row_with(
            "timeout with a count",
            timeout().count(u32::MAX).build().flags(DRAIN),
            timespec(0, 0),
        ),
        row_with(
            "timeoutMultishot",
            timeout().count(3).flags(TimeoutFlags::MULTISHOT).build(),
            timespec(86_400, 0),
        ),
        row_with(
            "timeoutMultishot without an end",
            timeout().flags(TimeoutFlags::MULTISHOT).build(),
            timespec(0, 100_000),
        ),
    ]
}
