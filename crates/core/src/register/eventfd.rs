//! The eventfd that a ring signals completions to.

use super::{Registrar, opcode};
use std::io;
use std::os::fd::RawFd;

impl Registrar {
    pub fn eventfd(self, fd: RawFd) -> io::Result<()> {
        // SAFETY: one descriptor, which lives to the end of the call.
        unsafe { self.call(opcode::EVENTFD, &fd, 1) }.map(drop)
    }

    /// Signals only for what did not complete at once, while it was submitted (5.6).
    pub fn eventfd_async(self, fd: RawFd) -> io::Result<()> {
        // SAFETY: one descriptor, which lives to the end of the call.
        unsafe { self.call(opcode::EVENTFD_ASYNC, &fd, 1) }.map(drop)
    }

    pub fn unregister_eventfd(self) -> io::Result<()> {
        self.call_plain(opcode::UNREGISTER_EVENTFD).map(drop)
    }
}
