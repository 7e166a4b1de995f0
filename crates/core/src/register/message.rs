//! A message to a ring from a thread that need not have one (6.13).

use super::{Registrar, opcode};
use crate::inflight::Event;
use crate::live;
use std::io;
use std::os::fd::AsRawFd;

const OP_MSG_RING: u64 = 40;

/// Posts a completion to the ring with this token: `res`, and a number that arrives as an event. ESTALE if there is no such
/// ring.
pub fn send_message(token: u64, res: i32, number: u64) -> io::Result<()> {
    let ring = live::find(token).ok_or_else(|| io::Error::from_raw_os_error(libc::ESTALE))?;
    let data = Event::Message(number).user_data();
    let data = data.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
    // struct io_uring_sqe: opcode and fd; off, which becomes the other ring's user_data; addr, 0 for data; len, which
    // becomes its result; the rest is zero (io_uring/msg_ring.c, io_uring_sync_msg_ring).
    let entry: [u64; 8] = [
        OP_MSG_RING | u64::from(ring.as_raw_fd() as u32) << 32,
        data,
        0,
        u64::from(res as u32),
        0,
        0,
        0,
        0,
    ];
    // SAFETY: one entry of 64 bytes that names no memory, and lives to the end of the call.
    unsafe { Registrar::new(-1).call(opcode::SEND_MSG_RING, &entry, 1) }.map(drop)
}
