//! A ring of provided buffers, which the kernel takes one from when data arrives.

use std::io;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::memory::Slab;

/// The only group of its ring.
pub const GROUP: u16 = 0;

pub struct Buffers {
    entries: Slab,
    data: Slab,
    count: u16,
    tail: u16,
}

impl Buffers {
    /// # Safety
    ///
    /// The buffers have to outlive the ring's use of them.
    ///
    /// `count` is a power of two.
    pub unsafe fn register(ring: &IoUring, count: u16, size_bytes: usize) -> io::Result<Self> {
        let entries = Slab::new(1, usize::from(count) * size_of::<BufRingEntry>())?;
        let address = entries.block(0) as u64;
        // SAFETY: a page-aligned mapping of as many entries as it says, which outlives the registration.
        unsafe {
            ring.submitter()
                .register_buf_ring_with_flags(address, count, GROUP, 0)
        }?;
        let data = Slab::new(usize::from(count), size_bytes)?;
        let mut buffers = Self {
            entries,
            data,
            count,
            tail: 0,
        };
        for id in 0..count {
            buffers.provide(id);
        }
        Ok(buffers)
    }

    /// Where a buffer is.
    pub fn address(&self, id: u16) -> *mut u8 {
        self.data.block(usize::from(id))
    }

    /// Gives a buffer to the kernel.
    #[inline]
    pub fn provide(&mut self, id: u16) {
        let base = self.entries.block(0).cast::<BufRingEntry>();
        // The bytes of a buffer are far fewer than 2^32.
        let size_bytes = self.data.block_bytes() as u32;
        // SAFETY: the index is below the number of entries. The kernel does not read this entry before the
        // tail is stored below; the tail lies in a field of the first entry that nothing else writes.
        unsafe {
            let entry = &mut *base.add(usize::from(self.tail & (self.count - 1)));
            entry.set_addr(self.data.block(usize::from(id)) as u64);
            entry.set_len(size_bytes);
            entry.set_bid(id);
            self.tail = self.tail.wrapping_add(1);
            let tail = BufRingEntry::tail(base).cast::<AtomicU16>();
            (*tail).store(self.tail, Ordering::Release);
        }
    }
}
