//! Operations on rings and what belongs to them; readiness, time, processes, futexes; operations by number.
//!
//! Flags that the crate has no name for are put in by word: 0 opcode, flags and ioprio, 1 fd, 2 and 3 off, 4 and 5 addr,
//! 6 len, 7 the operation's flags, 10 buffers and personality, 11 file_index, 12 and 13 addr3 (io_uring_enter(2)).

use crate::expected::{ASYNC, DRAIN, FD, FILE, LINK, Memory, REGISTERED, Row, row, row_with, with_words};
use crate::golden::Admitted;
use io_uring::opcode::{
    AsyncCancel2, EpollCtl, EpollWait, FilesUpdate, FixedFdInstall, FutexWait, FutexWaitV, FutexWake,
    LinkTimeout, MsgRingData, MsgRingSendFd, Nop, PollAdd, PollRemove, ProvideBuffers, RemoveBuffers,
    Timeout, TimeoutRemove, TimeoutUpdate, WaitId,
};
use io_uring::types::{CancelBuilder, DestinationSlot, Fd, Fixed, TimeoutFlags};
use uring_core::inflight::{Event, NO_TARGET};

/// IOSQE_FIXED_FILE, in the first word.
const MASK_ALL: u64 = u32::MAX as u64;
/// FUTEX2_SIZE_U32, alone and with FUTEX2_PRIVATE.
const SHARED: u32 = 2;
const PRIVATE: u32 = 2 | 128;

pub fn nops() -> Vec<Row> {
    let nop = |changes: &[(usize, u32)]| with_words(Nop::new().build(), changes);
    vec![
        row("nop by way of task work", nop(&[(6, 7), (7, 1 | 1 << 4)])),
        row("nop with a descriptor", nop(&[(1, 7), (7, 1 << 1)])),
        // The kernel wants its own flag, 1 << 2, and not IOSQE_FIXED_FILE.
        row(
            "nop with a registered file",
            nop(&[(1, FILE.0), (7, 1 << 1 | 1 << 2)]).flags(ASYNC),
        ),
        row(
            "nop with a registered buffer",
            nop(&[(6, u32::MAX), (7, 1 | 1 << 3), (10, u32::from(REGISTERED))]),
        ),
        row(
            "nop with a completion of 32 bytes",
            nop(&[(2, 1), (4, u32::MAX), (5, u32::MAX), (7, 1 << 5)]),
        ),
        row("nop128", nop(&[(0, 63), (6, 9), (7, 1 | 1 << 4)])),
    ]
}

pub fn cancels() -> Vec<Row> {
    let cancel = |builder, changes: &[(usize, u32)]| with_words(AsyncCancel2::new(builder).build(), changes);
    let (all, fd, opcode) = (1 << 0, 1 << 1, 1 << 5);
    vec![
        row(
            "cancel one of a kind",
            cancel(CancelBuilder::user_data(0), &[(6, 22), (7, opcode)]),
        ),
        row(
            "cancel all of a kind on a descriptor",
            cancel(CancelBuilder::fd(FD).all(), &[(6, 13), (7, all | fd | opcode)]),
        ),
    ]
}

pub fn polls() -> Vec<Row> {
    let level = 1 << 3;
    let poll = || PollAdd::new(FD, libc::POLLIN as u32);
    let remove = || PollRemove::new(NO_TARGET).build();
    let events = libc::POLLOUT as u32 | libc::EPOLLEXCLUSIVE as u32;
    vec![
        row("pollAdd of a level", with_words(poll().build(), &[(6, level)])),
        row(
            "pollMultishot of a level",
            with_words(poll().multi(true).build(), &[(6, 1 | level)]),
        ),
        row("pollUpdate", with_words(remove(), &[(6, 1 << 1), (7, events)])),
        row("pollRemove", remove().flags(DRAIN)),
    ]
}

/// struct __kernel_timespec.
fn timespec(seconds: i64, nanoseconds: i64) -> Memory {
    Memory::Bytes([seconds.to_le_bytes(), nanoseconds.to_le_bytes()].concat())
}

pub fn timers(at: &Admitted) -> Vec<Row> {
    let time = at.staged(0).cast();
    let success = TimeoutFlags::ETIME_SUCCESS;
    let update = |flags| TimeoutUpdate::new(NO_TARGET, time).flags(flags).build();
    vec![
        row_with(
            "timeout at a time of day",
            Timeout::new(time)
                .flags(TimeoutFlags::ABS | TimeoutFlags::REALTIME | success)
                .build(),
            timespec(5, 7),
        ),
        row_with(
            "timeout while the machine sleeps",
            Timeout::new(time).count(2).flags(TimeoutFlags::BOOTTIME).build(),
            timespec(1, 1),
        ),
        row_with(
            "timeoutMultishot while the machine sleeps",
            Timeout::new(time)
                .flags(TimeoutFlags::MULTISHOT | TimeoutFlags::BOOTTIME)
                .build(),
            timespec(0, 1_000_000),
        ),
        row("timeoutRemove", TimeoutRemove::new(NO_TARGET).build()),
        row("timeoutUpdate", update(TimeoutFlags::empty())),
        row(
            "timeoutUpdate of a linkTimeout",
            update(TimeoutFlags::LINK_TIMEOUT_UPDATE | TimeoutFlags::ABS),
        ),
        row_with(
            "linkTimeout",
            LinkTimeout::new(time)
                .flags(TimeoutFlags::BOOTTIME | success)
                .build(),
            timespec(0, 20_000_000),
        ),
    ]
}

pub fn messages() -> Vec<Row> {
    let data = |number| Event::Message(number).user_data().unwrap();
    let file = |number, slot| Event::FileMessage(number, slot).user_data().unwrap();
    let everything = MsgRingData::new(FD, -3, data((1 << 53) - 1), Some(9));
    let slot = DestinationSlot::try_from_slot_target(5).unwrap();
    let any = DestinationSlot::auto_target();
    let parcel = Event::Parcel(1 << 32 | 5).user_data().unwrap();
    vec![
        row("msgRing", MsgRingData::new(FD, 0, data(0), None).build()),
        row("msgRing with everything", everything.build()),
        row("a parcel", MsgRingData::new(FD, 3, parcel, None).build()),
        row(
            "msgRingFile",
            MsgRingSendFd::new(FD, FILE, any, file(0, None)).build(),
        ),
        row(
            "msgRingFile into a slot, unsaid",
            MsgRingSendFd::new(FD, FILE, slot, file(u32::MAX, Some(5)))
                .opcode_flags(1)
                .build(),
        ),
    ]
}

pub fn processes(at: &Admitted) -> Vec<Row> {
    let wait = |kind, id, options| {
        WaitId::new(kind, id, options)
            .infop(at.staged(0).cast_const().cast())
            .build()
    };
    let everything = libc::WEXITED
        | libc::WSTOPPED
        | libc::WCONTINUED
        | libc::WNOWAIT
        | libc::WNOHANG
        | libc::__WNOTHREAD
        | libc::__WALL
        | libc::__WCLONE;
    vec![
        row("waitid", wait(libc::P_PID, 77, libc::WEXITED)),
        row("waitid with everything", wait(libc::P_PIDFD, 7, everything)),
    ]
}

/// struct epoll_event.
fn event(events: u32, data: u64) -> Memory {
    let event = libc::epoll_event { events, u64: data };
    let mut bytes = vec![0; size_of::<libc::epoll_event>()];
    // SAFETY: as many bytes as the struct has, whose padding (on arm64) was never written and is not read here.
    unsafe {
        let place: *mut libc::epoll_event = bytes.as_mut_ptr().cast();
        (&raw mut (*place).events).write_unaligned(event.events);
        (&raw mut (*place).u64).write_unaligned(event.u64);
    }
    Memory::Bytes(bytes)
}

pub fn epolls(at: &Admitted) -> Vec<Row> {
    let change = |op, event| EpollCtl::new(FD, Fd(9), op, event).build();
    let staged = || at.staged(0).cast_const().cast();
    vec![
        row_with(
            "epollCtl to add",
            change(libc::EPOLL_CTL_ADD, staged()),
            event((libc::EPOLLIN | libc::EPOLLONESHOT) as u32, 5),
        ),
        row_with(
            "epollCtl to modify",
            change(libc::EPOLL_CTL_MOD, staged()),
            event(libc::EPOLLET as u32, u64::MAX),
        ),
        row(
            "epollCtl to delete",
            change(libc::EPOLL_CTL_DEL, std::ptr::null()),
        ),
        row("epollWait", EpollWait::new(FD, at.staged(0).cast(), 3).build()),
        row(
            "epollWait on a registered file",
            EpollWait::new(FILE, at.staged(0).cast(), 1).build(),
        ),
    ]
}

fn descriptors(fds: &[i32]) -> Memory {
    Memory::Bytes(fds.iter().flat_map(|fd| fd.to_le_bytes()).collect())
}

pub fn files(at: &Admitted) -> Vec<Row> {
    let list = at.address() as *const i32;
    // The crate's offset has 31 bits and a sign; the kernel's has 32.
    let any = with_words(
        FilesUpdate::new(list, 2).offset(0).build(),
        &[(2, u32::MAX), (3, 0)],
    );
    let install = |flags| FixedFdInstall::new(Fixed(FILE.0), flags).build();
    vec![
        row_with(
            "filesUpdate",
            FilesUpdate::new(list, 3).offset(1).build(),
            descriptors(&[5, -1, -2]),
        ),
        row_with("filesUpdate in slots of the kernel", any, descriptors(&[5, 6])),
        row("fixedFdInstall", install(0)),
        row("fixedFdInstall for programs that are executed", install(1)),
    ]
}

/// struct futex_waitv.
fn wait(value: u64, address: *mut u8, flags: u32) -> Vec<u8> {
    let words = [value.to_le_bytes(), (address as u64).to_le_bytes()].concat();
    [words, u64::from(flags).to_le_bytes().to_vec()].concat()
}

pub fn futexes(at: &Admitted) -> Vec<Row> {
    let word = |index: usize| at.plain(64 + 4 * index);
    let list = [wait(MASK_ALL - 1, word(1), PRIVATE), wait(3, word(0), SHARED)].concat();
    let waitv = FutexWaitV::new(at.address() as *const _, 2).build();
    vec![
        row(
            "futexWait",
            FutexWait::new(word(2).cast(), MASK_ALL, MASK_ALL, PRIVATE).build(),
        ),
        row(
            "futexWait of other processes too",
            FutexWait::new(word(0).cast(), 5, 6, SHARED).build(),
        ),
        row(
            "futexWake",
            FutexWake::new(word(15).cast(), 3, 1, PRIVATE).build(),
        ),
        row(
            "futexWake all",
            FutexWake::new(word(1).cast(), i32::MAX as u64, MASK_ALL, PRIVATE).build(),
        ),
        row_with("futexWaitv", waitv, Memory::Bytes(list)),
    ]
}

pub fn provided(at: &Admitted) -> Vec<Row> {
    const GROUP: u16 = 65_534;
    vec![
        row(
            "provideBuffers",
            ProvideBuffers::new(at.legacy(0), 256, 4, GROUP, 0).build(),
        ),
        row(
            "provideBuffers of a part",
            ProvideBuffers::new(at.legacy(256), 256, 2, GROUP, 1).build(),
        ),
        row("removeBuffers", RemoveBuffers::new(3, GROUP).build()),
    ]
}

pub fn raws(at: &Admitted) -> Vec<Row> {
    let injected = with_words(Nop::new().build(), &[(6, -5_i32 as u32), (7, 1)]);
    let numbers = [
        (0, 200),
        (2, u32::MAX),
        (3, u32::MAX),
        (4, 4095),
        (11, u32::MAX),
        (13, 1 << 24),
    ];
    let everything = [
        (0, 3 << 16 | 200),
        (1, 7),
        (2, 3),
        (4, at.words[4]),
        (5, at.words[5]),
        (6, 1),
        (7, 2),
        (10, 6 << 16 | 5),
        (11, 4),
        // A private copy, as `addr`, whose bytes are compared.
        (12, at.words[12]),
        (13, at.words[13]),
    ];
    vec![
        row("raw nop", injected.flags(LINK)),
        row("raw with numbers", with_words(Nop::new().build(), &numbers)),
        row_with(
            "raw with everything",
            with_words(Nop::new().build(), &everything).flags(ASYNC),
            Memory::Bytes(vec![42, 1, 0, 0, 0, 0, 0, 3]),
        ),
    ]
}
