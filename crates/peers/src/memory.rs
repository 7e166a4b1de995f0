//! Page-aligned memory, one block for each operation in flight.

use std::io;
use std::ptr::{self, NonNull};

/// An anonymous mapping cut into blocks of equal size. The blocks are handed out as raw pointers,
/// never as references: the kernel writes into them while operations are in flight.
pub struct Slab {
    base: NonNull<u8>,
    block_bytes: usize,
    blocks: usize,
}

impl Slab {
    pub fn new(blocks: usize, block_bytes: usize) -> io::Result<Self> {
        let length = blocks
            .checked_mul(block_bytes)
            .ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: a new anonymous mapping at an address that the kernel picks; it replaces nothing.
        let base = unsafe {
            libc::mmap(
                ptr::null_mut(),
                length,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self {
            base,
            block_bytes,
            blocks,
        })
    }

    pub fn block(&self, index: usize) -> *mut u8 {
        assert!(index < self.blocks);
        // SAFETY: index is below the number of blocks, so the result stays inside the mapping.
        unsafe { self.base.as_ptr().add(index * self.block_bytes) }
    }

    pub fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// The blocks as the kernel's registration call takes them.
    pub fn iovecs(&self) -> Vec<libc::iovec> {
        (0..self.blocks)
            .map(|index| libc::iovec {
                iov_base: self.block(index).cast(),
                iov_len: self.block_bytes,
            })
            .collect()
    }
}

impl Drop for Slab {
    fn drop(&mut self) {
        // SAFETY: exactly the mapping made in `new`. Nothing is in flight any more, because
        // whoever has a slab returns only after the last completion and leaves the process otherwise.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.blocks * self.block_bytes) };
    }
}
