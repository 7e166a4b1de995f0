//! `io_uring_register(2)`: what a ring is told ahead of time. Each call is one opcode with one structure, so they are
//! made here directly; the io-uring crate knows two thirds of them.

pub mod buffer_rings;
mod buffers;
mod cancel;
mod eventfd;
mod files;
mod limits;
mod message;
pub mod opcode;
mod probe;
mod restrictions;
mod ring;

pub use buffers::CloneBuffers;
pub use cancel::SyncCancel;
pub use limits::{Napi, NapiTracking};
pub use message::send_message;
pub use probe::{KernelQuery, query};
pub use restrictions::Restrictions;

use crate::probe::lacks_registration;
use std::io;
use std::os::fd::RawFd;

/// Numbers of errors from here on say which registration the kernel lacks. Its own are below 4096 (include/linux/err.h,
/// MAX_ERRNO).
const LACKS_REGISTRATION: i32 = 1 << 16;

pub(crate) fn is_errno(error: &io::Error, errno: i32) -> bool {
    error.raw_os_error() == Some(errno)
}

/// The kernel is too old for this registration.
pub(crate) fn lacking(opcode: u32) -> io::Error {
    io::Error::from_raw_os_error(LACKS_REGISTRATION + opcode as i32)
}

/// Whether an error says so.
pub(crate) fn is_lacking(error: &io::Error, opcode: u32) -> bool {
    is_errno(error, LACKS_REGISTRATION + opcode as i32)
}

/// The registering side of one ring, named by its descriptor or by its place in the thread's table of rings.
#[derive(Clone, Copy)]
pub struct Registrar {
    fd: RawFd,
    /// Goes with every opcode.
    modifier: u32,
    /// Most registrations would wait until nothing is in flight any more: see `waiting`.
    waits: bool,
    is_busy: bool,
}

impl Registrar {
    pub fn new(fd: RawFd) -> Registrar {
        Registrar {
            fd,
            modifier: 0,
            waits: false,
            is_busy: false,
        }
    }

    /// A ring that only this thread's table names (IORING_REGISTER_USE_REGISTERED_RING, 6.3).
    pub fn of_registered(index: u32) -> Registrar {
        Registrar {
            fd: index as RawFd,
            modifier: 1 << 31,
            waits: false,
            is_busy: false,
        }
    }

    /// On a kernel whose registrations wait for what is in flight (before 5.13), those too that it does not know: those are not
    /// even tried, and with operations in flight what might wait for ever is refused with EBUSY.
    pub(crate) fn waiting(self, is_busy: bool) -> Registrar {
        Registrar {
            waits: true,
            is_busy,
            ..self
        }
    }

    /// The ring's descriptor; -1 if it has none. The number of a place in the table is none, and may be a file's.
    pub fn fd(self) -> RawFd {
        if self.modifier == 0 { self.fd } else { -1 }
    }

    /// A signal interrupts what waits for operations in flight (io_uring/rsrc.c, io_rsrc_ref_quiesce): nothing was done
    /// then, and it is asked again.
    ///
    /// # Safety
    /// `argument` must be what `opcode` wants, `count` of them, and what it names must outlive the registration.
    pub(crate) unsafe fn call<T>(self, opcode: u32, argument: *const T, count: u32) -> io::Result<u32> {
        self.refuse_waiting(opcode)?;
        loop {
            // SAFETY: the caller's promise.
            match unsafe { self.call_once(opcode, argument, count) } {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_errno(&error, libc::EINVAL) && lacks_registration(opcode) => {
                    return Err(lacking(opcode));
                }
                result => return result,
            }
        }
    }

    /// Refuses what such a kernel would wait with for ever: see `waiting`.
    fn refuse_waiting(self, opcode: u32) -> io::Result<()> {
        // Those that do not wait for what is in flight (fs/io_uring.c of 5.10, io_register_op_must_quiesce).
        const AT_ONCE: [u32; 4] = [
            opcode::FILES_UPDATE,
            opcode::PROBE,
            opcode::PERSONALITY,
            opcode::UNREGISTER_PERSONALITY,
        ];
        if self.waits && lacks_registration(opcode) {
            return Err(lacking(opcode));
        }
        if self.is_busy && !AT_ONCE.contains(&opcode) {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        Ok(())
    }

    /// As the kernel answers it: -EINVAL also to what it does not know.
    ///
    /// # Safety
    /// As `call`.
    pub(crate) unsafe fn call_once<T>(self, opcode: u32, argument: *const T, count: u32) -> io::Result<u32> {
        let opcode = opcode | self.modifier;
        // SAFETY: the kernel reads or writes what the caller vouches for, and checks the rest.
        let result = unsafe { libc::syscall(libc::SYS_io_uring_register, self.fd, opcode, argument, count) };
        u32::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    /// # Safety
    /// As `call`, for opcodes that take the size of one structure as their count.
    pub(crate) unsafe fn call_sized<T>(self, opcode: u32, argument: &T) -> io::Result<u32> {
        // SAFETY: as the caller says.
        unsafe { self.call(opcode, argument, size_of::<T>() as u32) }
    }

    pub(crate) fn call_plain(self, opcode: u32) -> io::Result<u32> {
        // SAFETY: these opcodes take no argument.
        unsafe { self.call(opcode, std::ptr::null::<u8>(), 0) }
    }

    /// Starts a ring that was opened with IORING_SETUP_R_DISABLED (5.10); -EBADFD for any other.
    pub fn enable_rings(self) -> io::Result<()> {
        self.call_plain(opcode::ENABLE_RINGS).map(drop)
    }

    /// The process's present credentials (5.6); answers their number.
    pub fn personality(self) -> io::Result<u32> {
        self.call_plain(opcode::PERSONALITY)
    }

    pub fn unregister_personality(self, id: u16) -> io::Result<()> {
        // SAFETY: this opcode takes the number in the place of the count.
        unsafe {
            self.call(
                opcode::UNREGISTER_PERSONALITY,
                std::ptr::null::<u8>(),
                u32::from(id),
            )
        }
        .map(drop)
    }
}
