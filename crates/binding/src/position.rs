//! Own positions of files. The kernel leaves one where it was when a transfer is completed later (O_DIRECT), or when it ends
//! in the middle with an error (docs/measured.md, "A file's own position may stay where it was").

use crate::{NativeRing, failed};
use napi_derive::napi;
use std::io;

/// Only such files have a position that means something; devices may take being asked for a request.
fn has_position(fd: i32, writes: bool) -> bool {
    let mut status = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the kernel fills the structure where it answers 0, and only then it is read. Any number may be given as a
    // descriptor.
    let (mode, flags) = unsafe {
        if libc::fstat(fd, status.as_mut_ptr()) < 0 {
            return false;
        }
        (status.assume_init().st_mode, libc::fcntl(fd, libc::F_GETFL))
    };
    let appends = writes && flags & libc::O_APPEND != 0;
    matches!(mode & libc::S_IFMT, libc::S_IFREG | libc::S_IFBLK) && !appends
}

fn seek(fd: i32, offset: i64, whence: i32) -> f64 {
    // SAFETY: names no memory.
    let position = unsafe { libc::lseek(fd, offset, whence) };
    if position < 0 {
        return f64::from(failed(&io::Error::last_os_error()));
    }
    position as f64
}

#[napi]
impl NativeRing {
    /// Where the next transfer at the file's own position starts; a negative errno where that means nothing: for pipes,
    /// sockets, and what is appended to.
    #[napi]
    pub fn position(&self, fd: i32, writes: bool) -> f64 {
        if !has_position(fd, writes) {
            return f64::from(-libc::ESPIPE);
        }
        seek(fd, 0, libc::SEEK_CUR)
    }

    /// Moves the position to where a transfer has come to, if it stands where that started.
    #[napi]
    pub fn move_on(&self, fd: i32, from: f64, to: f64) {
        if seek(fd, 0, libc::SEEK_CUR) == from {
            seek(fd, to as i64, libc::SEEK_SET);
        }
    }
}
