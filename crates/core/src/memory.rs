//! Memory that only Rust owns: the one kind of memory the kernel ever sees (architecture.md, principle 1).

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Size of a page: 4 KiB on x86-64, 4 to 64 KiB on arm64.
pub fn page_size() -> usize {
    // SAFETY: asks for a number that never changes while the process runs.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// An anonymous, zeroed, page-aligned mapping, followed by a page of zeros that cannot be written.
///
/// The trailing page bounds every read of a NUL-terminated string that starts inside the mapping: a
/// path whose terminator JavaScript overwrites after the check (an SQPOLL thread reads it later) still
/// ends at the guard, never in foreign memory.
pub struct Mapping {
    start: NonNull<u8>,
    size_bytes: usize,
    /// Somebody whom Rust does not know of may still have the address.
    address_escaped: AtomicBool,
    /// Tables of registered buffers, of any ring, that it is in.
    registrations: AtomicU32,
}

// SAFETY: the mapping is plain memory without thread affinity; who may access it is decided by its users.
unsafe impl Send for Mapping {}
// SAFETY: as above; `Mapping` itself hands out addresses only, never references.
unsafe impl Sync for Mapping {}

impl Mapping {
    pub fn new(size_bytes: usize) -> io::Result<Mapping> {
        let guard = page_size();
        let size_bytes = size_bytes
            .max(1)
            .checked_next_multiple_of(guard)
            .filter(|size| *size <= isize::MAX as usize - guard)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        // SAFETY: a new anonymous mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_bytes + guard,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        let mapping = Mapping {
            start,
            size_bytes,
            address_escaped: AtomicBool::new(false),
            registrations: AtomicU32::new(0),
        };
        // SAFETY: both ranges lie in the mapping just made, which nobody else knows yet.
        let protected = unsafe {
            // A forked child must not share (or copy, page by page) memory the kernel is writing to. Where that is not
            // to be had, it is only slower.
            libc::madvise(start.as_ptr().cast(), size_bytes + guard, libc::MADV_DONTFORK);
            libc::mprotect(start.as_ptr().add(size_bytes).cast(), guard, libc::PROT_READ)
        };
        if protected < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(mapping)
    }

    pub fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }

    /// From here on the memory may be emptied, but the addresses are never given to anybody else.
    pub fn keep_addresses(&self) {
        self.address_escaped.store(true, Ordering::Relaxed);
    }

    /// A ring has put the memory into its table of registered buffers.
    pub fn was_registered(&self) {
        self.registrations.fetch_add(1, Ordering::Relaxed);
    }

    /// And taken it out again.
    pub fn was_taken_out(&self) {
        self.registrations.fetch_sub(1, Ordering::Relaxed);
    }

    /// Some ring has its pages registered.
    pub fn is_registered(&self) -> bool {
        self.registrations.load(Ordering::Relaxed) > 0
    }

    /// The usable size; the guard page comes after it.
    pub fn size_bytes(&self) -> usize {
        self.size_bytes
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.address_escaped.load(Ordering::Relaxed) {
            // SAFETY: the range is what `new` mapped; its pages become zeros, and stay readable and writable.
            unsafe { libc::madvise(self.start.as_ptr().cast(), self.size_bytes, libc::MADV_DONTNEED) };
            return;
        }
        // SAFETY: the range is exactly what `new` mapped. Whoever let the last share go has made sure that
        // no operation in flight names it (arenas.rs counts pins; teardown leaks instead of dropping).
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size_bytes + page_size()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_is_page_aligned_zeroed_and_rounded_up() {
        let mapping = Mapping::new(5000).unwrap();
        assert_eq!(mapping.start() as usize % page_size(), 0);
        assert_eq!(mapping.size_bytes(), 5000usize.next_multiple_of(page_size()));
        // SAFETY: the mapping is followed by a readable guard page, and lives to the end of the test.
        let bytes =
            unsafe { std::slice::from_raw_parts(mapping.start(), mapping.size_bytes() + page_size()) };
        assert!(bytes.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn a_size_that_cannot_be_mapped_is_an_error() {
        assert!(Mapping::new(usize::MAX).is_err());
        assert!(Mapping::new(usize::MAX / 4).is_err());
    }
}
