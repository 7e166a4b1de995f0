//! Addresses of sockets by system call: io_uring answers them since Linux 6.19 only.

use crate::failed;
use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;
use std::io;

/// The bytes of a socket's own address, or of its peer's; a negative errno if there is none. It does not wait.
#[napi]
pub fn socket_address(fd: i32, peer: bool) -> Either<Uint8Array, i32> {
    let mut bytes = [0_u8; size_of::<libc::sockaddr_storage>()];
    let mut size_bytes = bytes.len() as libc::socklen_t;
    let ask = if peer {
        libc::getpeername
    } else {
        libc::getsockname
    };
    // SAFETY: the kernel writes at most `size_bytes` bytes, which is the size of the local they go to; any number may
    // be given as a descriptor.
    let result = unsafe { ask(fd, bytes.as_mut_ptr().cast(), &mut size_bytes) };
    if result < 0 {
        return Either::B(failed(&io::Error::last_os_error()));
    }
    // An address that is longer than the room for it is told with its real length.
    let filled = bytes.len().min(size_bytes as usize);
    Either::A(Uint8Array::from(&bytes[..filled]))
}
