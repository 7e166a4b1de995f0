//! Arenas: the memory behind `ring.alloc()`, behind staged copies of JavaScript's own buffers, and behind
//! provided buffers. An arena lives while JavaScript has a view of it or an operation in flight names it.

use crate::memory::Mapping;
use crate::register::{CloneBuffers, Registrar};
use crate::reject::Reject;
use std::io;
use std::num::NonZeroU64;
use std::os::fd::RawFd;
use std::sync::Arc;

/// Arenas that can be registered with the kernel (IORING_REGISTER_BUFFERS2 takes up to 16384, man
/// io_uring_register(2)); arenas beyond that work unregistered.
const REGISTERED_MAX: u32 = 4096;
const ARENAS_MAX: usize = 65_535;
/// One registered buffer is at most 1 GiB (man io_uring_register(2), IORING_REGISTER_BUFFERS).
const REGISTERED_BYTES_MAX: usize = 1 << 30;

#[derive(Default)]
struct Slot {
    mapping: Option<Arc<Mapping>>,
    generation: u16,
    /// Operations in flight (and registered buffer groups) that name this arena.
    pins: u32,
    /// JavaScript may still name it.
    open: bool,
    registered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Table {
    Untried,
    Sparse,
    Unavailable,
}

pub struct Arenas {
    slots: Vec<Slot>,
    free: Vec<u16>,
    /// Arenas that nobody names any more, to be taken out of the kernel's table and unmapped.
    dead: Vec<u16>,
    table: Table,
    registered_bytes: u64,
    unregistered_bytes: u64,
}

/// A resolved range of arena memory.
#[derive(Clone, Copy)]
pub struct Range {
    pub address: u64,
    pub arena: u16,
    pub registered: bool,
}

pub struct NewArena {
    pub handle: u32,
    pub mapping: Arc<Mapping>,
    pub registered: bool,
}

fn handle(index: u16, generation: u16) -> u32 {
    u32::from(generation) << 16 | (u32::from(index) + 1)
}

/// The place of the arena that a handle names; one that never is for the handle 0.
#[inline]
pub fn arena_index(handle: u32) -> u16 {
    (handle as u16).wrapping_sub(1)
}

/// Takes an arena out of the kernel's table.
fn take_out(index: u16, registrar: Registrar) -> io::Result<()> {
    let none = libc::iovec {
        iov_base: std::ptr::null_mut(),
        iov_len: 0,
    };
    // SAFETY: an empty iovec clears the place and names no memory.
    unsafe { registrar.buffer_update(u32::from(index), none, 0) }
}

impl Default for Arenas {
    fn default() -> Self {
        Arenas {
            slots: Vec::new(),
            free: Vec::new(),
            dead: Vec::new(),
            table: Table::Untried,
            registered_bytes: 0,
            unregistered_bytes: 0,
        }
    }
}

impl Arenas {
    /// Maps a new arena and, with `register`, gives it to the kernel as a fixed buffer if RLIMIT_MEMLOCK allows.
    pub fn create(&mut self, size_bytes: usize, register: Option<Registrar>) -> io::Result<NewArena> {
        self.adopt(Arc::new(Mapping::new(size_bytes)?), register)
    }

    /// As `create`, for memory that others may have too.
    pub fn adopt(&mut self, mapping: Arc<Mapping>, register: Option<Registrar>) -> io::Result<NewArena> {
        let index = self.free_place()?;
        let registered =
            register.is_some_and(|registrar| self.register(index, &mapping, registrar, 0).is_ok());
        Ok(NewArena {
            handle: self.occupy(index, mapping.clone(), registered),
            mapping,
            registered,
        })
    }

    fn free_place(&mut self) -> io::Result<u16> {
        match self.free.pop() {
            Some(index) => Ok(index),
            None if self.slots.len() < ARENAS_MAX => {
                self.slots.push(Slot::default());
                Ok((self.slots.len() - 1) as u16)
            }
            None => Err(io::Error::from_raw_os_error(libc::ENOMEM)),
        }
    }

    /// Puts a mapping into a free place; answers its handle.
    fn occupy(&mut self, index: u16, mapping: Arc<Mapping>, registered: bool) -> u32 {
        if registered {
            self.registered_bytes += mapping.size_bytes() as u64;
        } else {
            self.unregistered_bytes += mapping.size_bytes() as u64;
        }
        let slot = &mut self.slots[index as usize];
        slot.mapping = Some(mapping);
        slot.open = true;
        slot.registered = registered;
        debug_assert_eq!(slot.pins, 0);
        handle(index, slot.generation)
    }

    /// Whether the kernel has a table that this place is in; makes it the first time.
    fn has_place(&mut self, index: u16, registrar: Registrar) -> bool {
        if self.table == Table::Untried {
            let made = registrar.buffers_sparse(REGISTERED_MAX).is_ok();
            self.table = if made { Table::Sparse } else { Table::Unavailable };
        }
        self.table == Table::Sparse && u32::from(index) < REGISTERED_MAX
    }

    fn register(
        &mut self,
        index: u16,
        mapping: &Arc<Mapping>,
        registrar: Registrar,
        tag: u64,
    ) -> io::Result<()> {
        if !self.has_place(index, registrar) || mapping.size_bytes() > REGISTERED_BYTES_MAX {
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let buffer = libc::iovec {
            iov_base: mapping.start().cast(),
            iov_len: mapping.size_bytes(),
        };
        // SAFETY: the memory is a live mapping, and it is unmapped only after `sweep` has taken it out of the
        // kernel's table (or never, when the ring is torn down with operations in flight).
        unsafe { registrar.buffer_update(u32::from(index), buffer, tag) }?;
        mapping.was_registered();
        Ok(())
    }

    fn open_arena(&self, handle: u32) -> io::Result<(u16, Arc<Mapping>, bool)> {
        let stale = || io::Error::from_raw_os_error(libc::EBADF);
        let (index, slot) = self.find(handle).map_err(|_| stale())?;
        let mapping = slot.mapping.clone().ok_or_else(stale)?;
        Ok((index, mapping, slot.registered))
    }

    fn count_registered(&mut self, index: u16, registered: bool, size_bytes: usize) {
        let size_bytes = size_bytes as u64;
        self.slots[usize::from(index)].registered = registered;
        let (from, to) = if registered {
            (&mut self.unregistered_bytes, &mut self.registered_bytes)
        } else {
            (&mut self.registered_bytes, &mut self.unregistered_bytes)
        };
        *from -= size_bytes;
        *to += size_bytes;
    }

    /// Gives an arena that is not registered to the kernel; the tag comes back when the kernel has let go of it again.
    /// -EBUSY for one that is.
    pub fn register_again(&mut self, handle: u32, registrar: Registrar, tag: u64) -> io::Result<()> {
        let (index, mapping, registered) = self.open_arena(handle)?;
        if registered {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        self.register(index, &mapping, registrar, tag)?;
        self.count_registered(index, true, mapping.size_bytes());
        Ok(())
    }

    /// Takes an arena out of the kernel's table; operations in flight keep it there for themselves. -ENXIO for one that
    /// is not in it.
    pub fn unregister(&mut self, handle: u32, registrar: Registrar) -> io::Result<()> {
        let (index, mapping, registered) = self.open_arena(handle)?;
        if !registered {
            return Err(io::Error::from_raw_os_error(libc::ENXIO));
        }
        take_out(index, registrar)?;
        mapping.was_taken_out();
        self.count_registered(index, false, mapping.size_bytes());
        Ok(())
    }

    /// Shares a registered arena of another ring: the same memory under a handle of its own, registered without being
    /// pinned and counted a second time. -ENXIO for one that is not registered there.
    pub fn share(
        &mut self,
        registrar: Registrar,
        (source, source_fd): (&Arenas, RawFd),
        handle: u32,
    ) -> io::Result<u32> {
        let (source_index, mapping, registered) = source.open_arena(handle)?;
        if !registered {
            return Err(io::Error::from_raw_os_error(libc::ENXIO));
        }
        let index = self.free_place()?;
        if !self.has_place(index, registrar) {
            self.free.push(index);
            return Err(io::Error::from_raw_os_error(libc::ENOSPC));
        }
        let clone = CloneBuffers {
            source: source_fd,
            source_offset: u32::from(source_index),
            destination_offset: u32::from(index),
            count: 1,
        };
        // SAFETY: this table shares the mapping, which is unmapped only after `sweep` has taken it out of both.
        if let Err(error) = unsafe { registrar.clone_buffers(clone) } {
            self.free.push(index);
            return Err(error);
        }
        mapping.was_registered();
        Ok(self.occupy(index, mapping, true))
    }

    fn find(&self, handle: u32) -> Result<(u16, &Slot), Reject> {
        let index = arena_index(handle);
        match self.slots.get(usize::from(index)) {
            Some(slot) if slot.open && u32::from(slot.generation) == handle >> 16 => Ok((index, slot)),
            _ => Err(Reject::StaleMemory),
        }
    }

    /// The address of a range, if it lies inside an arena that JavaScript may name. A plain number, because it is asked
    /// for once for each operation, and a larger answer goes through memory.
    #[inline]
    pub fn locate(&self, handle: u32, offset: u32, size_bytes: u32) -> Option<NonZeroU64> {
        let slot = self.slots.get(usize::from(arena_index(handle)))?;
        let mapping = slot.mapping.as_ref()?;
        let end = u64::from(offset) + u64::from(size_bytes);
        let is_its = slot.open && u32::from(slot.generation) == handle >> 16;
        if !is_its || end > mapping.size_bytes() as u64 {
            return None;
        }
        NonZeroU64::new(mapping.start() as u64 + u64::from(offset))
    }

    #[inline]
    pub fn is_registered(&self, arena: u16) -> bool {
        self.slots[usize::from(arena)].registered
    }

    /// Whether this ring, or another that shares the memory, has its pages registered.
    pub fn has_registered_pages(&self, arena: u16) -> bool {
        let mapping = self.slots[usize::from(arena)].mapping.as_ref();
        mapping.is_some_and(|mapping| mapping.is_registered())
    }

    /// As `locate`, saying also which arena it is, and why not.
    pub fn resolve(&self, handle: u32, offset: u32, size_bytes: u32) -> Result<Range, Reject> {
        let (arena, slot) = self.find(handle)?;
        let address = self
            .locate(handle, offset, size_bytes)
            .ok_or(Reject::OutOfBounds)?;
        Ok(Range {
            address: address.get(),
            arena,
            registered: slot.registered,
        })
    }

    #[inline]
    pub fn pin(&mut self, arena: u16) {
        self.slots[arena as usize].pins += 1;
    }

    #[inline]
    pub fn unpin(&mut self, arena: u16) {
        let slot = &mut self.slots[arena as usize];
        assert!(slot.pins > 0, "arena {arena} unpinned more often than pinned");
        slot.pins -= 1;
        if slot.pins == 0 && !slot.open {
            self.dead.push(arena);
        }
    }

    /// JavaScript let its last view go: no new operation can name the arena.
    pub fn release(&mut self, handle: u32) {
        let Ok((arena, _)) = self.find(handle) else { return };
        let slot = &mut self.slots[arena as usize];
        slot.open = false;
        slot.generation = slot.generation.wrapping_add(1);
        if slot.pins == 0 {
            self.dead.push(arena);
        }
    }

    /// Frees the arenas that nobody names any more.
    pub fn sweep(&mut self, registrar: Registrar) {
        while let Some(index) = self.dead.pop() {
            let slot = &mut self.slots[index as usize];
            let Some(mapping) = slot.mapping.take() else {
                continue;
            };
            let size_bytes = mapping.size_bytes() as u64;
            if slot.registered {
                slot.registered = false;
                self.registered_bytes -= size_bytes;
                let cleared = take_out(index, registrar);
                if cleared.is_err() {
                    // Still in the kernel's table: keep the memory and never use the index again.
                    std::mem::forget(mapping);
                    continue;
                }
                mapping.was_taken_out();
            } else {
                self.unregistered_bytes -= size_bytes;
            }
            self.free.push(index);
        }
    }

    pub fn has_dead(&self) -> bool {
        !self.dead.is_empty()
    }

    /// (registered, unregistered) bytes of live arenas.
    pub fn sizes(&self) -> (u64, u64) {
        (self.registered_bytes, self.unregistered_bytes)
    }

    pub fn count(&self) -> usize {
        self.slots.iter().filter(|slot| slot.mapping.is_some()).count()
    }
}

impl Drop for Arenas {
    fn drop(&mut self) {
        // The kernel's table goes with the ring. Memory that another ring shares is not registered here any more.
        let registered = self.slots.iter().filter(|slot| slot.registered);
        for mapping in registered.filter_map(|slot| slot.mapping.as_ref()) {
            mapping.was_taken_out();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use io_uring::IoUring;
    use std::os::fd::AsRawFd;

    fn registrar(ring: &IoUring) -> Registrar {
        Registrar::new(ring.as_raw_fd())
    }

    #[test]
    fn a_range_must_lie_inside_its_arena() {
        let mut arenas = Arenas::default();
        let arena = arenas.create(4096, None).unwrap();
        assert!(arenas.resolve(arena.handle, 0, 4096).is_ok());
        assert!(arenas.resolve(arena.handle, 4096, 0).is_ok());
        assert_eq!(
            arenas.resolve(arena.handle, 1, 4096).err(),
            Some(Reject::OutOfBounds)
        );
        assert_eq!(
            arenas.resolve(arena.handle, u32::MAX, u32::MAX).err(),
            Some(Reject::OutOfBounds)
        );
    }

    #[test]
    fn a_handle_dies_with_its_arena_and_never_names_the_next_one() {
        let ring = IoUring::new(1).unwrap();
        let mut arenas = Arenas::default();
        let first = arenas.create(4096, Some(registrar(&ring))).unwrap();
        assert!(first.registered);
        arenas.release(first.handle);
        assert_eq!(
            arenas.resolve(first.handle, 0, 1).err(),
            Some(Reject::StaleMemory)
        );
        arenas.sweep(registrar(&ring));
        let second = arenas.create(4096, Some(registrar(&ring))).unwrap();
        assert_ne!(second.handle, first.handle);
        assert_eq!(
            arenas.resolve(first.handle, 0, 1).err(),
            Some(Reject::StaleMemory)
        );
        assert!(arenas.resolve(second.handle, 0, 1).is_ok());
        for handle in [0, 1, u32::MAX, second.handle + 1] {
            assert_eq!(
                arenas.resolve(handle, 0, 1).err().is_some(),
                handle != second.handle
            );
        }
    }

    #[test]
    fn a_pinned_arena_outlives_its_last_view() {
        let ring = IoUring::new(1).unwrap();
        let mut arenas = Arenas::default();
        let arena = arenas.create(4096, None).unwrap();
        let index = arenas.resolve(arena.handle, 0, 1).unwrap().arena;
        arenas.pin(index);
        arenas.release(arena.handle);
        arenas.sweep(registrar(&ring));
        assert_eq!((arenas.count(), Arc::strong_count(&arena.mapping)), (1, 2));
        arenas.unpin(index);
        arenas.sweep(registrar(&ring));
        assert_eq!((arenas.count(), Arc::strong_count(&arena.mapping)), (0, 1));
    }

    #[test]
    fn an_arena_leaves_the_table_and_comes_back_once() {
        let ring = IoUring::new(1).unwrap();
        let registrar = registrar(&ring);
        let mut arenas = Arenas::default();
        let arena = arenas.create(4096, Some(registrar)).unwrap();
        let sizes = arenas.sizes();
        let errno = |result: io::Result<()>| result.unwrap_err().raw_os_error();
        assert_eq!(
            errno(arenas.register_again(arena.handle, registrar, 0)),
            Some(libc::EBUSY)
        );
        arenas.unregister(arena.handle, registrar).unwrap();
        assert_eq!(arenas.sizes(), (0, sizes.0));
        assert_eq!(
            errno(arenas.unregister(arena.handle, registrar)),
            Some(libc::ENXIO)
        );
        arenas.register_again(arena.handle, registrar, 0).unwrap();
        assert_eq!(arenas.sizes(), sizes);
        arenas.release(arena.handle);
        assert_eq!(
            errno(arenas.unregister(arena.handle, registrar)),
            Some(libc::EBADF)
        );
        arenas.sweep(registrar);
        assert_eq!(arenas.sizes(), (0, 0));
    }

    #[test]
    fn a_shared_arena_lives_until_both_rings_have_let_go_of_it() {
        let (one, two) = (IoUring::new(1).unwrap(), IoUring::new(1).unwrap());
        let mut source = Arenas::default();
        let mut other = Arenas::default();
        let arena = source.create(4096, Some(registrar(&one))).unwrap();
        let clone = other
            .share(registrar(&two), (&source, one.as_raw_fd()), arena.handle)
            .unwrap();
        let range = other.resolve(clone, 0, 4096).unwrap();
        assert!(range.registered);
        assert_eq!(range.address, arena.mapping.start() as u64);
        source.release(arena.handle);
        source.sweep(registrar(&one));
        assert_eq!(Arc::strong_count(&arena.mapping), 2);
        assert!(other.resolve(clone, 0, 4096).is_ok());
        let gone = other.share(registrar(&two), (&source, one.as_raw_fd()), arena.handle);
        assert_eq!(gone.unwrap_err().raw_os_error(), Some(libc::EBADF));
        other.release(clone);
        other.sweep(registrar(&two));
        assert_eq!(Arc::strong_count(&arena.mapping), 1);
        assert_eq!((other.count(), other.sizes()), (0, (0, 0)));
    }
}
