//! The memory of a ring of entries.

use crate::memory::Mapping;
use crate::register::Registrar;
use std::io;
use std::ptr::NonNull;

/// IORING_OFF_PBUF_RING and IORING_OFF_PBUF_SHIFT.
const OFFSET: i64 = 0x8000_0000;
const OFFSET_SHIFT: u32 = 16;

pub enum RingMemory {
    Ours(Mapping),
    /// Mapped from the ring's descriptor (IOU_PBUF_RING_MMAP).
    Kernels {
        start: NonNull<u8>,
        size_bytes: usize,
    },
}

// SAFETY: plain memory without thread affinity, as a `Mapping`.
unsafe impl Send for RingMemory {}

impl RingMemory {
    /// Maps the ring of a group that was registered with IOU_PBUF_RING_MMAP.
    pub fn map(registrar: Registrar, group: u16, size_bytes: usize) -> io::Result<RingMemory> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                registrar.fd(),
                OFFSET | i64::from(group) << OFFSET_SHIFT,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start: NonNull<u8> =
            NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        // SAFETY: the range just mapped. A forked child has no use for it.
        unsafe { libc::madvise(start.as_ptr().cast(), size_bytes, libc::MADV_DONTFORK) };
        Ok(RingMemory::Kernels { start, size_bytes })
    }

    pub fn start(&self) -> *mut u8 {
        match self {
            RingMemory::Ours(mapping) => mapping.start(),
            RingMemory::Kernels { start, .. } => start.as_ptr(),
        }
    }
}

impl Drop for RingMemory {
    fn drop(&mut self) {
        if let RingMemory::Kernels { start, size_bytes } = self {
            // SAFETY: the range is what `map` mapped. The pages are the kernel's: it keeps them for as long as it needs
            // them, whoever unmaps them here.
            unsafe { libc::munmap(start.as_ptr().cast(), *size_bytes) };
        }
    }
}
