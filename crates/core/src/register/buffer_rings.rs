//! Rings of provided buffers.

use super::{Registrar, opcode};
use std::io;

/// IOU_PBUF_RING_MMAP (6.4): the kernel allocates the ring, which is then mapped.
pub const PBUF_RING_MMAP: u16 = 1 << 0;
/// IOU_PBUF_RING_INC (6.12): buffers are used up piece by piece.
pub const PBUF_RING_INC: u16 = 1 << 1;

/// struct io_uring_buf_reg.
#[repr(C)]
#[derive(Default)]
struct BufferRingRegistration {
    ring: u64,
    entries: u32,
    group: u16,
    flags: u16,
    reserved: [u64; 3],
}

/// struct io_uring_buf_status.
#[repr(C)]
#[derive(Default)]
struct BufferRingStatus {
    group: u32,
    head: u32,
    reserved: [u32; 8],
}

impl Registrar {
    /// A ring of provided buffers at `ring` (5.19); at 0 with `PBUF_RING_MMAP`.
    ///
    /// # Safety
    /// `ring` must be a page-aligned mapping of `entries` entries that stays mapped until the group is unregistered.
    pub unsafe fn buffer_ring(self, ring: u64, entries: u32, group: u16, flags: u16) -> io::Result<()> {
        let registration = BufferRingRegistration {
            ring,
            entries,
            group,
            flags,
            reserved: [0; 3],
        };
        // SAFETY: one structure; the memory it names is the caller's promise.
        unsafe { self.call(opcode::PBUF_RING, &registration, 1) }.map(drop)
    }

    pub fn unregister_buffer_ring(self, group: u16) -> io::Result<()> {
        let registration = BufferRingRegistration {
            group,
            ..BufferRingRegistration::default()
        };
        // SAFETY: names a group and no memory.
        unsafe { self.call(opcode::UNREGISTER_PBUF_RING, &registration, 1) }.map(drop)
    }

    /// How many buffers of the group the kernel has taken so far: a count of 16 bits that wraps around (6.8).
    pub fn buffer_ring_head(self, group: u16) -> io::Result<u16> {
        let mut status = BufferRingStatus {
            group: u32::from(group),
            ..BufferRingStatus::default()
        };
        // SAFETY: one structure, which the kernel writes to and which lives to the end of the call.
        unsafe { self.call(opcode::PBUF_STATUS, &raw mut status, 1) }?;
        Ok(status.head as u16)
    }
}
