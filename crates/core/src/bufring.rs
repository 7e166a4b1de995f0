//! Provided-buffer rings (IORING_REGISTER_PBUF_RING, 5.19): buffers that the kernel picks when data arrives.
//!
//! We are the only producer and the kernel the only consumer; a buffer is published by writing its entry and
//! then the tail with release order (man io_uring_register_buf_ring(3)). The tail shares its place with the
//! `resv` field of the first entry.

use crate::memory::Mapping;
use crate::register::Registrar;
use crate::reject::Reject;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

/// The kernel takes at most this many (io_uring/kbuf.c, io_register_pbuf_ring).
pub const ENTRIES_MAX: u32 = 1 << 15;
const ENTRY_BYTES: usize = 16;
const TAIL_OFFSET: usize = 14;

/// Where a buffer is: the part of a buffer ring that needs no kernel, so that it can be tested alone.
pub struct Cursors {
    lent: Vec<bool>,
    lent_count: u32,
    /// Counts every publication; its low 16 bits are the tail the kernel sees.
    tail: u16,
    mask: u16,
}

impl Cursors {
    pub fn new(entries: u32) -> Cursors {
        assert!(entries.is_power_of_two() && entries <= ENTRIES_MAX);
        // All start as lent, and are published one by one like any buffer that comes back.
        Cursors {
            lent: vec![true; entries as usize],
            lent_count: entries,
            tail: 0,
            mask: (entries - 1) as u16,
        }
    }

    /// The kernel used this buffer: it is JavaScript's until it comes back.
    pub fn lend(&mut self, id: u16) {
        let lent = &mut self.lent[id as usize];
        if !*lent {
            *lent = true;
            self.lent_count += 1;
        }
    }

    /// The place in the ring where a returned buffer is to be published, or nothing if it was not lent.
    pub fn give_back(&mut self, id: u16) -> Option<u16> {
        let lent = self.lent.get_mut(id as usize)?;
        if !*lent {
            return None;
        }
        *lent = false;
        self.lent_count -= 1;
        let place = self.tail & self.mask;
        self.tail = self.tail.wrapping_add(1);
        Some(place)
    }

    pub fn tail(&self) -> u16 {
        self.tail
    }

    pub fn lent_count(&self) -> u32 {
        self.lent_count
    }
}

pub struct BufferRing {
    ring: Mapping,
    buffers: Arc<Mapping>,
    /// Pinned for as long as the ring is registered.
    pub arena: u16,
    size_bytes: u32,
    cursors: Cursors,
    /// Operations in flight that take buffers from here.
    pins: u32,
}

impl BufferRing {
    fn publish(&mut self, id: u16) -> bool {
        let Some(place) = self.cursors.give_back(id) else {
            return false;
        };
        let address = self.buffers.start() as u64 + u64::from(id) * u64::from(self.size_bytes);
        // SAFETY: `place` is masked to the number of entries, each 16 bytes, that the mapping was made for. The
        // fields are written one by one because the first entry's last two bytes are the tail.
        unsafe {
            let entry = self.ring.start().add(usize::from(place) * ENTRY_BYTES);
            entry.cast::<u64>().write(address);
            entry.add(8).cast::<u32>().write(self.size_bytes);
            entry.add(12).cast::<u16>().write(id);
        }
        true
    }

    fn commit(&self) {
        // SAFETY: the tail lies at byte 14 of the mapping, aligned; the kernel reads it with acquire order.
        let tail = unsafe { AtomicU16::from_ptr(self.ring.start().add(TAIL_OFFSET).cast()) };
        tail.store(self.cursors.tail(), Ordering::Release);
    }
}

#[derive(Default)]
pub struct BufferGroups {
    rings: Vec<Option<BufferRing>>,
}

impl BufferGroups {
    pub fn next_free(&self) -> Option<u16> {
        let group = self
            .rings
            .iter()
            .position(Option::is_none)
            .unwrap_or(self.rings.len());
        // The highest id is NO_GROUP.
        u16::try_from(group).ok().filter(|group| *group != u16::MAX)
    }

    /// Registers `entries` buffers of `size_bytes` in `buffers` under `group`, all of them the kernel's at first.
    pub fn register(
        &mut self,
        group: u16,
        entries: u32,
        size_bytes: u32,
        buffers: (u16, Arc<Mapping>),
        registrar: Registrar,
    ) -> io::Result<()> {
        let (arena, buffers) = buffers;
        assert!(entries as usize * size_bytes as usize <= buffers.size_bytes());
        let ring = Mapping::new(entries as usize * ENTRY_BYTES)?;
        let mut ring = BufferRing {
            ring,
            buffers,
            arena,
            size_bytes,
            cursors: Cursors::new(entries),
            pins: 0,
        };
        // SAFETY: the mapping holds `entries` entries and is unmapped only after unregistering (`unregister`,
        // or the teardown of the ring, which leaks it while operations are in flight).
        unsafe {
            registrar.buffer_ring(ring.ring.start() as u64, entries, group, 0)?;
        }
        for id in 0..entries {
            ring.publish(id as u16);
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
        let place = place.ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))?;
        if place.as_ref().is_some_and(|ring| ring.pins > 0) {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        registrar.unregister_buffer_ring(group)?;
        place
            .take()
            .map(|ring| ring.arena)
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENOENT))
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

    pub fn lend(&mut self, group: u16, id: u16) {
        if let Some(ring) = self.get(group) {
            ring.cursors.lend(id);
        }
    }

    /// Gives one buffer back. The tail is stored each time: on x86-64 and arm64 that is an ordinary store.
    pub fn give_back(&mut self, group: u16, id: u16) -> bool {
        match self.get(group) {
            Some(ring) => {
                let published = ring.publish(id);
                ring.commit();
                published
            }
            None => false,
        }
    }

    /// Buffers of the group that are lent to JavaScript.
    pub fn lent_count(&mut self, group: u16) -> Option<u32> {
        self.get(group).map(|ring| ring.cursors.lent_count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    #[test]
    fn a_buffer_comes_back_once_for_each_time_it_was_lent() {
        let mut cursors = Cursors::new(2);
        assert_eq!(cursors.give_back(0), Some(0));
        assert_eq!(cursors.give_back(0), None);
        assert_eq!(cursors.give_back(7), None);
        cursors.lend(0);
        cursors.lend(0);
        assert_eq!(cursors.lent_count(), 2);
        assert_eq!(cursors.give_back(0), Some(1));
        assert_eq!(cursors.give_back(0), None);
    }

    #[test]
    fn the_kernel_accepts_a_group_and_gives_it_up_again() {
        let ring = io_uring::IoUring::new(1).unwrap();
        let registrar = Registrar::new(std::os::fd::AsRawFd::as_raw_fd(&ring));
        let mut groups = BufferGroups::default();
        let buffers = Arc::new(Mapping::new(4 * 64).unwrap());
        groups
            .register(3, 4, 64, (0, buffers.clone()), registrar)
            .unwrap();
        assert_eq!(groups.next_free(), Some(0));
        assert_eq!(groups.lent_count(3), Some(0));
        assert_eq!(groups.pin(4), Err(Reject::UnknownBufferGroup));
        groups.pin(3).unwrap();
        let busy = groups.unregister(3, registrar).unwrap_err();
        assert_eq!(busy.raw_os_error(), Some(libc::EBUSY));
        groups.unpin(3);
        assert_eq!(groups.unregister(3, registrar).unwrap(), 0);
        assert_eq!(
            groups.unregister(3, registrar).unwrap_err().raw_os_error(),
            Some(libc::ENOENT)
        );
    }

    proptest! {
        /// Against a queue: the kernel takes buffers from the front, users give them back in any order. No
        /// buffer is ever in the ring twice, none is lost, and the ring never holds more than it has room for.
        #[test]
        fn every_buffer_is_in_exactly_one_place(
            size_log2 in 0u32..6,
            steps in proptest::collection::vec((any::<bool>(), any::<u16>()), 1..2000)
        ) {
            let entries = 1u32 << size_log2;
            let mut cursors = Cursors::new(entries);
            let mut ring = vec![u16::MAX; entries as usize];
            let mut queue = VecDeque::new();
            for id in 0..entries as u16 {
                let place = cursors.give_back(id).unwrap();
                ring[usize::from(place)] = id;
                queue.push_back(id);
            }
            let mut head = 0u16;
            let mut lent: Vec<u16> = Vec::new();
            for (take, choice) in steps {
                if take {
                    if head != cursors.tail() {
                        let id = ring[usize::from(head & (entries as u16 - 1))];
                        prop_assert_eq!(Some(id), queue.pop_front());
                        head = head.wrapping_add(1);
                        cursors.lend(id);
                        lent.push(id);
                    }
                } else if !lent.is_empty() {
                    let id = lent.swap_remove(usize::from(choice) % lent.len());
                    let place = cursors.give_back(id).unwrap();
                    prop_assert!(cursors.give_back(id).is_none());
                    ring[usize::from(place)] = id;
                    queue.push_back(id);
                }
                prop_assert_eq!(cursors.lent_count() as usize, lent.len());
                prop_assert_eq!(usize::from(cursors.tail().wrapping_sub(head)), queue.len());
                prop_assert!(queue.len() <= entries as usize);
            }
        }
    }
}
