//! Provided-buffer rings (IORING_REGISTER_PBUF_RING, 5.19): buffers that the kernel picks when data arrives, or that
//! it sends in the order in which they were provided.
//!
//! We are the only producer and the kernel the only consumer; a buffer is published by writing its entry and
//! then the tail with release order (man io_uring_register_buf_ring(3)). The tail shares its place with the
//! `resv` field of the first entry. Who has which buffer is in `cursors`.

mod cursors;
mod memory;

use crate::memory::Mapping;
use crate::register::Registrar;
use crate::register::buffer_rings::{PBUF_RING_INC, PBUF_RING_MMAP};
use crate::reject::Reject;
use cursors::Cursors;
use memory::RingMemory;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// The kernel takes at most this many (io_uring/kbuf.c, io_register_pbuf_ring).
pub const ENTRIES_MAX: u32 = 1 << 15;
/// Numbers from here on are those of legacy groups.
pub const GROUPS_MAX: u16 = 1 << 15;
/// Up to 6.7 the kernel keeps the heads of the groups below this when they are unregistered, and goes on from there with the
/// next that has the number (io_uring/kbuf.c, BGID_ARRAY): it would take buffers that nobody gave it.
pub const FIRST_GROUP: u16 = 64;
const ENTRY_BYTES: usize = 16;
const TAIL_OFFSET: usize = 14;

/// What a buffer ring is to be like.
#[derive(Clone, Copy, Debug)]
pub struct RingOptions {
    pub entries: u32,
    pub size_bytes: u32,
    /// All buffers start as JavaScript's, which provides each with a length (for sending).
    pub manual: bool,
    /// Buffers are used up piece by piece (6.12).
    pub incremental: bool,
    /// The kernel allocates the ring of entries (6.4).
    pub mmap: bool,
}

impl RingOptions {
    /// A ring for receiving, of whole buffers.
    pub fn new(entries: u32, size_bytes: u32) -> RingOptions {
        RingOptions {
            entries,
            size_bytes,
            manual: false,
            incremental: false,
            mmap: false,
        }
    }
}

pub struct BufferRing {
    ring: RingMemory,
    buffers: Arc<Mapping>,
    /// Pinned for as long as the ring is registered.
    pub arena: u16,
    options: RingOptions,
    cursors: Cursors,
    /// Operations in flight that take buffers from here.
    pins: u32,
}

impl BufferRing {
    fn entry(&self, place: u16) -> *mut u8 {
        // SAFETY: places are masked to the number of entries, each 16 bytes, that the memory was made for.
        unsafe { self.ring.start().add(usize::from(place) * ENTRY_BYTES) }
    }

    /// Writes the entry of a buffer that has been given a place.
    fn write(&self, place: u16, id: u16, len_bytes: u32) {
        let address = self.buffers.start() as u64 + u64::from(id) * u64::from(self.options.size_bytes);
        // SAFETY: the entry lies in the ring. The fields are written one by one because the first entry's last two
        // bytes are the tail.
        unsafe {
            let entry = self.entry(place);
            entry.cast::<u64>().write(address);
            entry.add(8).cast::<u32>().write(len_bytes);
            entry.add(12).cast::<u16>().write(id);
        }
    }

    fn commit(&self) {
        // SAFETY: the tail lies at byte 14 of the memory, aligned; the kernel reads it with acquire order.
        let tail = unsafe { AtomicU16::from_ptr(self.ring.start().add(TAIL_OFFSET).cast()) };
        tail.store(self.cursors.tail(), Ordering::Release);
    }

    /// What the kernel has left of a buffer's length: it shortens an entry that it means to fill in part
    /// (io_uring/kbuf.c, io_ring_buffers_peek), and counts an incremental one down. Nothing when the entry is another
    /// buffer's by now.
    fn entry_len(&self, id: u16) -> Option<u32> {
        let entry = self.entry(self.cursors.place(id));
        // SAFETY: both fields lie in the ring, aligned; the kernel may be writing to them.
        let (len, found) = unsafe {
            (
                AtomicU32::from_ptr(entry.add(8).cast()).load(Ordering::Acquire),
                AtomicU16::from_ptr(entry.add(12).cast()).load(Ordering::Acquire),
            )
        };
        (found == id).then_some(len)
    }

    fn give_back(&mut self, id: u16, len_bytes: u32) -> bool {
        let Some(place) = self.cursors.give_back(id, len_bytes) else {
            return false;
        };
        self.write(place, id, len_bytes);
        true
    }
}

#[derive(Default)]
pub struct BufferGroups {
    rings: Vec<Option<BufferRing>>,
}

fn no_such_group() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOENT)
}

impl BufferGroups {
    pub fn next_free(&self) -> Option<u16> {
        // The upper half of the numbers is for legacy groups (legacy.rs), the highest is NO_GROUP.
        (FIRST_GROUP..GROUPS_MAX)
            .find(|group| matches!(self.rings.get(usize::from(*group)), None | Some(None)))
    }

    /// Registers buffers in the memory given under `group`; all of them are the kernel's at first, or with `manual`
    /// JavaScript's.
    pub fn register(
        &mut self,
        group: u16,
        options: RingOptions,
        buffers: (u16, Arc<Mapping>),
        registrar: Registrar,
    ) -> io::Result<()> {
        let (arena, buffers) = buffers;
        let RingOptions {
            entries, size_bytes, ..
        } = options;
        assert!(entries as usize * size_bytes as usize <= buffers.size_bytes());
        let inc = if options.incremental { PBUF_RING_INC } else { 0 };
        let ring_bytes = entries as usize * ENTRY_BYTES;
        let ring = if options.mmap {
            // SAFETY: names no memory: the kernel allocates the ring.
            unsafe { registrar.buffer_ring(0, entries, group, inc | PBUF_RING_MMAP) }?;
            RingMemory::map(registrar, group, ring_bytes)
                .inspect_err(|_| drop(registrar.unregister_buffer_ring(group)))?
        } else {
            let ring = RingMemory::Ours(Mapping::new(ring_bytes)?);
            // SAFETY: the mapping holds `entries` entries and is unmapped only after unregistering (`unregister`,
            // or the teardown of the ring, which leaks it while operations are in flight).
            unsafe { registrar.buffer_ring(ring.start() as u64, entries, group, inc) }?;
            ring
        };
        let mut ring = BufferRing {
            ring,
            buffers,
            arena,
            options,
            cursors: Cursors::new(entries),
            pins: 0,
        };
        for id in 0..entries {
            if options.manual {
                // The first ones are taken first.
                ring.cursors.put_back((entries - 1 - id) as u16);
            } else {
                ring.give_back(id as u16, size_bytes);
            }
        }
        ring.commit();
        if self.rings.len() <= usize::from(group) {
            self.rings.resize_with(usize::from(group) + 1, || None);
        }
        self.rings[usize::from(group)] = Some(ring);
        Ok(())
    }

    /// Takes a group out of the kernel and answers its arena; -EBUSY while operations take buffers from it.
    pub fn unregister(&mut self, group: u16, registrar: Registrar) -> io::Result<u16> {
        let place = self
            .rings
            .get_mut(usize::from(group))
            .filter(|place| place.is_some());
        let place = place.ok_or_else(no_such_group)?;
        if place.as_ref().is_some_and(|ring| ring.pins > 0) {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        registrar.unregister_buffer_ring(group)?;
        place.take().map(|ring| ring.arena).ok_or_else(no_such_group)
    }

    fn get(&mut self, group: u16) -> Option<&mut BufferRing> {
        self.rings.get_mut(usize::from(group)).and_then(Option::as_mut)
    }

    pub fn pin(&mut self, group: u16) -> Result<(), Reject> {
        self.get(group)
            .map(|ring| ring.pins += 1)
            .ok_or(Reject::UnknownBufferGroup)
    }

    pub fn unpin(&mut self, group: u16) {
        if let Some(ring) = self.get(group) {
            ring.pins -= 1;
        }
    }

    /// The kernel used this buffer; with `more`, a piece of it, and keeps the rest.
    #[inline]
    pub fn lend(&mut self, group: u16, id: u16, more: bool) {
        if let Some(ring) = self.get(group) {
            if ring.options.incremental && (more || ring.entry_len(id).is_some_and(|left| left > 0)) {
                // Not finished, whatever the flag says: some kernels forget it for what ran on a worker thread
                // (io_uring/kbuf.c, io_ring_buffer_select: the buffer is committed before the operation runs).
                return;
            }
            ring.cursors.lend(id, ring.options.manual);
        }
    }

    /// The kernel used as many buffers as `bytes` need, in the order of the ring from `first` on (a bundle, 6.10).
    pub fn lend_bundle(&mut self, group: u16, first: u16, bytes: u32) {
        if let Some(ring) = self.get(group).filter(|ring| !ring.options.incremental) {
            let mut id = first;
            let mut left = bytes;
            // One that is empty uses its buffer up all the same; no more than there are, whatever the kernel says.
            for _ in 0..ring.options.entries {
                let len = ring.cursors.len_bytes(id);
                let used = left.min(ring.entry_len(id).map_or(len, |shortened| shortened.min(len)));
                ring.cursors.lend_part(id, used, ring.options.manual);
                left -= used;
                if left == 0 || used == 0 {
                    break;
                }
                id = ring.cursors.next(id);
            }
        }
    }

    /// The buffers of a bundle that was lent, as pairs of id and bytes. The order that they had in the ring is kept
    /// until they are provided again.
    pub fn bundle(&mut self, group: u16, first: u16, bytes: u32) -> Vec<(u16, u32)> {
        let mut parts = Vec::new();
        if let Some(ring) = self.get(group) {
            let mut id = first;
            let mut left = bytes;
            while parts.len() < ring.options.entries as usize && ring.cursors.is_out(id) {
                let used = left.min(ring.cursors.len_bytes(id));
                parts.push((id, used));
                left -= used;
                if left == 0 || used == 0 {
                    break;
                }
                id = ring.cursors.next(id);
            }
        }
        parts
    }

    /// Gives one buffer back. The tail is stored each time: on x86-64 and arm64 that is an ordinary store.
    pub fn give_back(&mut self, group: u16, id: u16) -> bool {
        match self.get(group) {
            Some(ring) if !ring.options.manual => {
                let given = ring.give_back(id, ring.options.size_bytes);
                ring.commit();
                given
            }
            Some(ring) => ring.cursors.put_back(id),
            None => false,
        }
    }

    /// A buffer of a manual ring to write into; none when all are taken or the kernel's.
    pub fn take(&mut self, group: u16, registrar: Registrar) -> Option<u16> {
        let ring = self.get(group)?;
        if ring.options.manual && ring.pins == 0 && !ring.cursors.has_free() {
            // A bundle that failed halfway has used up buffers that no completion names (io_uring/kbuf.c,
            // io_buffers_select commits before it sends). With nothing in flight the kernel's head tells which.
            if let Ok(head) = registrar.buffer_ring_head(group) {
                ring.cursors.recover(head);
            }
        }
        ring.cursors.take()
    }

    /// Hands a taken buffer of a manual ring to the kernel, the first `len_bytes` of it.
    pub fn provide(&mut self, group: u16, id: u16, len_bytes: u32) -> io::Result<()> {
        let ring = self.get(group).ok_or_else(no_such_group)?;
        // A length of 0 means "any" to some operations (io_uring/kbuf.c).
        if !ring.options.manual || len_bytes == 0 || len_bytes > ring.options.size_bytes {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        if !ring.give_back(id, len_bytes) {
            return Err(io::Error::from_raw_os_error(libc::EALREADY));
        }
        ring.commit();
        Ok(())
    }

    /// Whether a buffer is lent or free, and not the kernel's.
    pub fn is_out(&mut self, group: u16, id: u16) -> bool {
        self.get(group).is_some_and(|ring| ring.cursors.is_out(id))
    }

    /// Buffers in the ring that the kernel can take, when it has taken `head` so far.
    pub fn available(&mut self, group: u16, head: u16) -> Option<u32> {
        self.get(group)
            .map(|ring| u32::from(ring.cursors.tail().wrapping_sub(head)))
    }

    /// Buffers of all groups that are lent to JavaScript.
    pub fn all_lent(&self) -> u32 {
        let rings = self.rings.iter().flatten();
        rings.map(|ring| ring.cursors.lent_count()).sum()
    }

    /// Buffers of the group that are lent to JavaScript.
    pub fn lent_count(&mut self, group: u16) -> Option<u32> {
        self.get(group).map(|ring| ring.cursors.lent_count())
    }
}

#[cfg(test)]
mod tests;
