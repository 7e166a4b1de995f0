//! The memory of a ring of entries.

use crate::memory::Mapping;
use crate::register::Registrar;
use crate::ring_memory::Area;
use std::io;

/// IORING_OFF_PBUF_RING and IORING_OFF_PBUF_SHIFT.
const OFFSET: i64 = 0x8000_0000;
const OFFSET_SHIFT: u32 = 16;

pub enum RingMemory {
    Ours(Mapping),
    /// Mapped from the ring's descriptor (IOU_PBUF_RING_MMAP).
    Kernels(Area),
}

// SAFETY: plain memory without thread affinity, as a `Mapping`.
unsafe impl Send for RingMemory {}

impl RingMemory {
    /// Maps the ring of a group that was registered with IOU_PBUF_RING_MMAP.
    pub fn map(registrar: Registrar, group: u16, size_bytes: usize) -> io::Result<RingMemory> {
        let offset = OFFSET | i64::from(group) << OFFSET_SHIFT;
        Area::new(registrar.fd(), size_bytes, offset).map(RingMemory::Kernels)
    }

    pub fn start(&self) -> *mut u8 {
        match self {
            RingMemory::Ours(mapping) => mapping.start(),
            RingMemory::Kernels(area) => area.start(),
        }
    }
}
