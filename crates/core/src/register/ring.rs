//! Registrations that are about the ring itself: what names it, whether it runs, its sizes, its memory for waits.

use super::{Registrar, opcode};
use crate::uapi::Params;
use std::io;
use std::os::fd::RawFd;

/// struct io_uring_rsrc_update.
#[repr(C)]
struct RingName {
    offset: u32,
    reserved: u32,
    data: u64,
}

/// struct io_uring_region_desc.
#[repr(C)]
struct RegionDescription {
    user_addr: u64,
    size: u64,
    flags: u32,
    id: u32,
    mmap_offset: u64,
    reserved: [u64; 4],
}

/// struct io_uring_mem_region_reg.
#[repr(C)]
struct RegionRegistration {
    description: u64,
    flags: u64,
    reserved: [u64; 2],
}

impl Registrar {
    /// Enters the ring into this thread's table of rings (5.18); answers its place.
    pub fn ring_fd(self, fd: RawFd) -> io::Result<u32> {
        const ANY_PLACE: u32 = u32::MAX;
        let mut name = RingName {
            offset: ANY_PLACE,
            reserved: 0,
            data: fd as u64,
        };
        // SAFETY: one structure, which the kernel also writes to, and which lives to the end of the call.
        unsafe { self.call(opcode::RING_FDS, &raw mut name, 1) }?;
        Ok(name.offset)
    }

    pub fn unregister_ring_fd(self, index: u32) -> io::Result<()> {
        let name = RingName {
            offset: index,
            reserved: 0,
            data: 0,
        };
        // SAFETY: one structure, which lives to the end of the call.
        unsafe { self.call(opcode::UNREGISTER_RING_FDS, &name, 1) }.map(drop)
    }

    /// New sizes for the queues (6.13, with DEFER_TASKRUN); the kernel fills in the rest. What was mapped before stays
    /// mapped, and means nothing any more.
    ///
    /// # Safety
    /// Addresses of our own memory for the queues must be those of mappings as large as the sizes need.
    pub unsafe fn resize(self, params: &mut Params) -> io::Result<()> {
        // SAFETY: one structure, which the kernel also writes to; the memory it names is the caller's promise.
        unsafe { self.call(opcode::RESIZE_RINGS, std::ptr::from_mut(params), 1) }.map(drop)
    }

    /// Memory in which the kernel finds the limits of waits (6.13), on a ring that is not enabled yet.
    ///
    /// # Safety
    /// The memory must be page-aligned and stay mapped as long as the ring is there.
    pub unsafe fn wait_region(self, start: *mut u8, size_bytes: usize) -> io::Result<()> {
        const TYPE_USER: u32 = 1;
        const REG_WAIT_ARG: u64 = 1;
        let mut description = RegionDescription {
            user_addr: start as u64,
            size: size_bytes as u64,
            flags: TYPE_USER,
            id: 0,
            mmap_offset: 0,
            reserved: [0; 4],
        };
        let registration = RegionRegistration {
            description: &raw mut description as u64,
            flags: REG_WAIT_ARG,
            reserved: [0; 2],
        };
        // SAFETY: both structures live to the end of the call; the memory is the caller's promise.
        unsafe { self.call(opcode::MEM_REGION, &registration, 1) }.map(drop)
    }
}
