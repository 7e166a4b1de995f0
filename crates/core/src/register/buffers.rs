//! Registered ("fixed") buffers: one sparse table for each ring, a place in it for each arena.

use super::{Registrar, opcode};
use std::io;
use std::os::fd::RawFd;

/// IORING_RSRC_REGISTER_SPARSE (5.19).
pub(super) const RSRC_REGISTER_SPARSE: u32 = 1 << 0;
/// IORING_REGISTER_DST_REPLACE (6.13).
const DST_REPLACE: u32 = 1 << 1;

/// struct io_uring_rsrc_register.
#[repr(C)]
#[derive(Default)]
pub(super) struct ResourceTable {
    pub count: u32,
    pub flags: u32,
    pub reserved: u64,
    pub data: u64,
    pub tags: u64,
}

/// struct io_uring_rsrc_update2.
#[repr(C)]
#[derive(Default)]
pub(super) struct ResourceUpdate {
    pub offset: u32,
    pub reserved: u32,
    pub data: u64,
    pub tags: u64,
    pub count: u32,
    pub reserved2: u32,
}

/// struct io_uring_clone_buffers.
#[repr(C)]
struct CloneArgument {
    source: u32,
    flags: u32,
    source_offset: u32,
    destination_offset: u32,
    count: u32,
    pad: [u32; 3],
}

/// Which places of another ring's table to share, and where.
#[derive(Clone, Copy)]
pub struct CloneBuffers {
    pub source: RawFd,
    pub source_offset: u32,
    pub destination_offset: u32,
    pub count: u32,
}

impl Registrar {
    /// A table of registered buffers with nothing in it (5.19).
    pub fn buffers_sparse(self, count: u32) -> io::Result<()> {
        let table = ResourceTable {
            count,
            flags: RSRC_REGISTER_SPARSE,
            ..ResourceTable::default()
        };
        // SAFETY: names no memory.
        unsafe { self.call_sized(opcode::BUFFERS2, &table) }.map(drop)
    }

    /// Puts one buffer into the table, or with an empty iovec takes it out (5.13). With a `tag` other than 0 the kernel
    /// posts a completion with that user_data when it has let go of the buffer.
    ///
    /// # Safety
    /// The memory must stay mapped until it has been taken out again.
    pub unsafe fn buffer_update(self, index: u32, buffer: libc::iovec, tag: u64) -> io::Result<()> {
        let update = ResourceUpdate {
            offset: index,
            data: &raw const buffer as u64,
            tags: &raw const tag as u64,
            count: 1,
            ..ResourceUpdate::default()
        };
        // SAFETY: one iovec and one tag, which live to the end of the call; the memory is the caller's promise.
        unsafe { self.call_sized(opcode::BUFFERS_UPDATE, &update) }.map(drop)
    }

    /// Shares registered buffers of another ring, replacing what stands in their places here (6.13).
    ///
    /// # Safety
    /// The memory of those buffers must stay mapped until they have been taken out of both tables.
    pub unsafe fn clone_buffers(self, clone: CloneBuffers) -> io::Result<()> {
        let argument = CloneArgument {
            source: clone.source as u32,
            flags: DST_REPLACE,
            source_offset: clone.source_offset,
            destination_offset: clone.destination_offset,
            count: clone.count,
            pad: [0; 3],
        };
        // SAFETY: one structure, which lives to the end of the call; the memory is the caller's promise.
        unsafe { self.call(opcode::CLONE_BUFFERS, &argument, 1) }.map(drop)
    }
}
