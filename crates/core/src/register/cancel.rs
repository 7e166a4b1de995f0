//! Cancelling without an operation.

use super::{Registrar, opcode};
use std::io;

/// IORING_ASYNC_CANCEL_*.
const CANCEL_ALL: u32 = 1 << 0;
const CANCEL_ANY: u32 = 1 << 2;

/// struct io_uring_sync_cancel_reg.
#[repr(C)]
#[derive(Default)]
pub struct SyncCancel {
    pub target: u64,
    pub fd: i32,
    pub flags: u32,
    /// Seconds and nanoseconds; -1 and -1 for no limit.
    pub timeout: [i64; 2],
    pub opcode: u8,
    pub pad: [u8; 7],
    pub pad2: [u64; 3],
}

impl Registrar {
    /// Cancels what matches and waits until it has ended, within the timeout (6.0; by opcode 6.6). When a signal comes
    /// first that is the answer: what is cancelled by then would not be found a second time.
    pub fn sync_cancel(self, cancel: &SyncCancel) -> io::Result<u32> {
        self.refuse_waiting(opcode::SYNC_CANCEL)?;
        // SAFETY: one structure, which lives to the end of the call.
        unsafe { self.call_once(opcode::SYNC_CANCEL, cancel, 1) }
    }

    /// Cancels everything there is, past the submission queue, without waiting for it (6.0).
    pub fn sync_cancel_everything(self) -> io::Result<()> {
        self.sync_cancel(&SyncCancel {
            fd: -1,
            flags: CANCEL_ALL | CANCEL_ANY,
            ..SyncCancel::default()
        })
        .map(drop)
    }
}
