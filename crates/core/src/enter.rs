//! `io_uring_enter(2)`: how a ring is named in system calls, and how long a call may wait.

use crate::memory::Mapping;
use crate::register::Registrar;
use crate::uapi::{self, GetEventsArg, RegWait, Timespec};
use std::ffi::c_void;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

/// When a wait ends although too few completions are there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    #[default]
    Never,
    After(Duration),
    /// On the ring's clock, in nanoseconds (IORING_ENTER_ABS_TIMER, 6.12).
    At(u64),
}

impl End {
    pub(crate) fn timespec(self) -> Option<Timespec> {
        let duration = match self {
            End::Never => return None,
            End::After(duration) => duration,
            End::At(ns) => Duration::from_nanos(ns),
        };
        Some(Timespec {
            sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
            nsec: i64::from(duration.subsec_nanos()),
        })
    }
}

/// One wait in the kernel.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wait {
    pub end: End,
    /// So long all completions are waited for, after that one is enough (6.12).
    pub min_wait: Duration,
}

/// The system call.
///
/// # Safety
///
/// What `argument` names lives to the end of the call, and the queue holds nothing that was not checked.
#[inline]
pub(crate) unsafe fn io_uring_enter(
    ring: RawFd,
    to_submit: u32,
    min_complete: u32,
    flags: u32,
    argument: *const c_void,
    size: usize,
) -> io::Result<u32> {
    let number = libc::SYS_io_uring_enter;
    // SAFETY: the caller's promise.
    let result = unsafe { libc::syscall(number, ring, to_submit, min_complete, flags, argument, size) };
    u32::try_from(result).map_err(|_| io::Error::last_os_error())
}

/// The ring's side of `io_uring_enter`.
pub struct Entrance {
    /// None with IORING_SETUP_REGISTERED_FD_ONLY. Messages on their way to this ring have a share (live.rs).
    descriptor: Option<Arc<OwnedFd>>,
    /// This thread's table of rings has the ring there (IORING_REGISTER_RING_FDS, 5.18).
    registered: Option<u32>,
    /// Flags of every call.
    flags: u32,
    /// Where the kernel looks for the limits of a wait, without being told in each call (6.13).
    wait_region: Option<Mapping>,
    /// The kernel ends a wait by itself (IORING_FEAT_EXT_ARG, 5.11).
    has_limits: bool,
}

/// Waits until the ring has completions to read, at most so long. A signal ends it early.
pub(crate) fn wait_readable(ring: RawFd, limit: Duration) {
    let mut descriptor = libc::pollfd {
        fd: ring,
        events: libc::POLLIN,
        revents: 0,
    };
    let timespec = libc::timespec {
        tv_sec: i64::try_from(limit.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(limit.subsec_nanos()),
    };
    // SAFETY: both structures live to the end of the call, which gets the number of the only entry.
    unsafe { libc::ppoll(&raw mut descriptor, 1, &raw const timespec, ptr::null()) };
}

impl Entrance {
    pub fn new(descriptor: OwnedFd) -> Entrance {
        Entrance {
            descriptor: Some(Arc::new(descriptor)),
            registered: None,
            flags: 0,
            wait_region: None,
            has_limits: true,
        }
    }

    /// A ring that was made without a descriptor: the table of the thread that made it has the only name.
    pub fn registered_only(index: u32) -> Entrance {
        Entrance {
            descriptor: None,
            registered: Some(index),
            flags: uapi::ENTER_REGISTERED_RING,
            wait_region: None,
            has_limits: true,
        }
    }

    /// The descriptor, or -1 if there is none.
    pub fn fd(&self) -> RawFd {
        self.descriptor.as_ref().map_or(-1, AsRawFd::as_raw_fd)
    }

    pub fn descriptor(&self) -> Option<&Arc<OwnedFd>> {
        self.descriptor.as_ref()
    }

    pub fn registrar(&self) -> Registrar {
        match (&self.descriptor, self.registered) {
            (None, Some(index)) => Registrar::of_registered(index),
            _ => Registrar::new(self.fd()),
        }
    }

    /// Names the ring by an index into this thread's table from here on, which saves looking the descriptor up.
    pub fn register(&mut self) -> io::Result<()> {
        if self.registered.is_none() {
            self.registered = Some(self.registrar().ring_fd(self.fd())?);
            self.flags |= uapi::ENTER_REGISTERED_RING;
        }
        Ok(())
    }

    /// The opposite of `register`; a ring without a descriptor keeps its name.
    pub fn unregister(&mut self) -> io::Result<()> {
        if self.descriptor.is_none() {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        if let Some(index) = self.registered.take() {
            self.flags &= !uapi::ENTER_REGISTERED_RING;
            self.registrar().unregister_ring_fd(index)?;
        }
        Ok(())
    }

    /// Whether the kernel takes limits of waits, which it has said only after the ring was made.
    pub fn set_limits(&mut self, has_limits: bool) {
        self.has_limits = has_limits;
    }

    /// Waits do not count as waits for a disk (6.15).
    pub fn set_io_wait(&mut self, io_wait: bool) {
        self.flags &= !uapi::ENTER_NO_IOWAIT;
        if !io_wait {
            self.flags |= uapi::ENTER_NO_IOWAIT;
        }
    }

    /// Registers memory for the limits of waits, on a ring that is not enabled yet.
    pub fn register_wait_region(&mut self) -> io::Result<()> {
        let region = Mapping::new(size_of::<RegWait>())?;
        // SAFETY: the mapping is kept as long as the ring is; the kernel pins it besides.
        unsafe { self.registrar().wait_region(region.start(), region.size_bytes()) }?;
        self.wait_region = Some(region);
        Ok(())
    }

    fn call(
        &self,
        to_submit: u32,
        min_complete: u32,
        flags: u32,
        argument: *const c_void,
        size: usize,
    ) -> io::Result<u32> {
        let number = match self.registered {
            Some(index) => index as RawFd,
            None => self.fd(),
        };
        // SAFETY: the argument is null, an offset, or a structure that lives during the call; the queues hold nothing
        // that was not checked.
        unsafe {
            io_uring_enter(
                number,
                to_submit,
                min_complete,
                flags | self.flags,
                argument,
                size,
            )
        }
    }

    /// Submits, and runs or waits for what `flags` say, without a limit. Answers how many entries were taken.
    #[inline]
    pub fn enter(&self, to_submit: u32, flags: u32) -> io::Result<u32> {
        self.call(to_submit, 0, flags, ptr::null(), 0)
    }

    /// As `enter`, then waits until `min_complete` completions stand in the queue, or `wait` ends.
    pub fn enter_and_wait(
        &self,
        to_submit: u32,
        min_complete: u32,
        flags: u32,
        wait: Wait,
    ) -> io::Result<u32> {
        if !self.has_limits {
            return self.enter_then_poll(to_submit, min_complete, flags, wait.end);
        }
        let timespec = wait.end.timespec();
        let min_wait_usec = u32::try_from(wait.min_wait.as_micros()).unwrap_or(u32::MAX);
        let mut flags = flags | uapi::ENTER_GETEVENTS | uapi::ENTER_EXT_ARG;
        if matches!(wait.end, End::At(_)) {
            flags |= uapi::ENTER_ABS_TIMER;
        }
        if let Some(region) = &self.wait_region {
            let limits = RegWait {
                ts: timespec.unwrap_or_default(),
                min_wait_usec,
                flags: timespec.map_or(0, |_| uapi::REG_WAIT_TS),
                ..RegWait::default()
            };
            // SAFETY: the region is larger than this, page-aligned, and read by the kernel only during the call.
            unsafe { region.start().cast::<RegWait>().write_volatile(limits) };
            // The argument is an offset into the region.
            let (offset, size) = (ptr::null(), size_of::<RegWait>());
            return self.call(
                to_submit,
                min_complete,
                flags | uapi::ENTER_EXT_ARG_REG,
                offset,
                size,
            );
        }
        let argument = GetEventsArg {
            min_wait_usec,
            ts: timespec
                .as_ref()
                .map_or(0, |timespec| ptr::from_ref(timespec) as u64),
            ..GetEventsArg::default()
        };
        let size = size_of::<GetEventsArg>();
        self.call(
            to_submit,
            min_complete,
            flags,
            ptr::from_ref(&argument).cast(),
            size,
        )
    }
}

impl Entrance {
    /// A wait on kernels that cannot end one: for the descriptor, which becomes readable with the first completion. So it
    /// may end with fewer than are wanted; whoever waits counts anyway.
    fn enter_then_poll(&self, to_submit: u32, min_complete: u32, flags: u32, end: End) -> io::Result<u32> {
        let End::After(limit) = end else {
            return self.call(
                to_submit,
                min_complete,
                flags | uapi::ENTER_GETEVENTS,
                ptr::null(),
                0,
            );
        };
        let taken = if to_submit > 0 || flags != 0 {
            self.enter(to_submit, flags)?
        } else {
            0
        };
        // GETEVENTS: a disk is polled, which only entering does, or completions were held back, and are in the queue now.
        if flags & uapi::ENTER_GETEVENTS == 0 {
            wait_readable(self.fd(), limit);
        }
        Ok(taken)
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        // A name in the thread's table keeps the ring alive until the thread ends, whatever is closed.
        if let Some(index) = self.registered {
            let _not_this_thread = self.registrar().unregister_ring_fd(index);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::{Config, open};

    #[test]
    fn without_limits_in_the_kernel_a_wait_ends_by_itself_and_with_a_completion() {
        const NOP: [u64; 8] = [(u32::MAX as u64) << 32, 0, 0, 0, 7, 0, 0, 0];
        let config = Config {
            entries: 4,
            cq_entries: 8,
            ..Config::default()
        };
        let (mut entrance, mut queues) = open(&config).unwrap();
        entrance.set_limits(false);
        let wait = |end| Wait {
            end,
            ..Wait::default()
        };
        let soon = End::After(Duration::from_millis(5));
        assert_eq!(entrance.enter_and_wait(0, 1, 0, wait(soon)).unwrap(), 0);
        for end in [End::After(Duration::from_secs(60)), End::Never] {
            // SAFETY: the entry names no memory, and there is room.
            unsafe { queues.submission.push(&[NOP]) };
            let before = queues.completion.len();
            let taken = entrance.enter_and_wait(1, before + 1, 0, wait(end)).unwrap();
            assert_eq!((taken, queues.completion.len()), (1, before + 1));
        }
    }
}
