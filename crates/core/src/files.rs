//! The registered-files table: a sparse table with two ranges, the first ours to hand out, the second the
//! kernel's to allocate from (IORING_FILE_INDEX_ALLOC). One allocator per range: mixing them would give the
//! same slot out twice.

use crate::register::Registrar;
use crate::reject::Reject;
use std::io;
use std::os::fd::RawFd;

/// IORING_MAX_FIXED_FILES in io_uring/rsrc.c.
pub const SLOTS_MAX: u32 = 1 << 20;
/// A handle is the slot in the low 20 bits and its generation (1 to 2047) above; generation 0 names a slot
/// by its bare number.
const SLOT_BITS: u32 = 20;
const GENERATION_MAX: u32 = (1 << (31 - SLOT_BITS)) - 1;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Free,
    /// A direct open or accept into this slot is in flight.
    Filling,
    Owned,
    /// A direct close is in flight.
    Emptying,
    /// An update is in flight; whether there was a file before.
    Updating(bool),
}

#[derive(Clone, Copy)]
struct Slot {
    state: State,
    generation: u32,
    /// Stands in the list of free slots; a slot that was taken by number since stands there too.
    listed: bool,
    /// The kernel filled it again before we heard that it was emptied.
    refilled: bool,
}

impl Slot {
    /// An operation in flight will change it.
    fn is_busy(&self) -> bool {
        matches!(self.state, State::Filling | State::Emptying | State::Updating(_))
    }
}

fn next_generation(generation: u32) -> u32 {
    if generation == GENERATION_MAX {
        1
    } else {
        generation + 1
    }
}

pub struct FileTable {
    slots: Vec<Slot>,
    /// Slots below this are ours, the others the kernel's.
    ours: u32,
    /// Free slots of ours, lowest on top; may name slots that were taken by number since.
    free: Vec<u32>,
}

impl FileTable {
    /// Registers a sparse table: `ours` slots handed out here, then `kernels` slots the kernel allocates from.
    /// Generations go on from where those of the table before it ended (`unregister`).
    pub fn register(ours: u32, kernels: u32, before: &[u32], registrar: Registrar) -> io::Result<FileTable> {
        let total = ours
            .checked_add(kernels)
            .filter(|total| (1..=SLOTS_MAX).contains(total));
        let total = total.ok_or_else(|| io::Error::from_raw_os_error(libc::EINVAL))?;
        registrar.files_empty(total)?;
        if let Err(error) = registrar.file_alloc_range(ours, kernels) {
            registrar.unregister_files()?;
            return Err(error);
        }
        Ok(FileTable::new(ours, total, before))
    }

    fn new(ours: u32, total: u32, before: &[u32]) -> FileTable {
        let slots = (0..total).map(|slot| Slot {
            state: State::Free,
            generation: before.get(slot as usize).map_or(1, |last| next_generation(*last)),
            listed: slot < ours,
            refilled: false,
        });
        FileTable {
            slots: slots.collect(),
            ours,
            free: (0..ours).rev().collect(),
        }
    }

    pub fn handle(&self, slot: u32) -> u32 {
        self.slots[slot as usize].generation << SLOT_BITS | slot
    }

    fn slot_of(&self, handle: u32) -> Result<u32, Reject> {
        let (slot, generation) = (handle & (SLOTS_MAX - 1), handle >> SLOT_BITS);
        match self.slots.get(slot as usize) {
            Some(found) if generation == 0 || found.generation == generation => Ok(slot),
            _ => Err(Reject::StaleFile),
        }
    }

    /// The slot an operation names. An empty slot is refused when it is named by handle; by bare number the
    /// kernel decides (a link before this operation may fill it).
    pub fn resolve(&self, handle: u32) -> Result<u32, Reject> {
        let slot = self.slot_of(handle)?;
        let named_by_handle = handle >> SLOT_BITS != 0;
        match self.slots[slot as usize].state {
            State::Owned => Ok(slot),
            _ if !named_by_handle => Ok(slot),
            _ => Err(Reject::StaleFile),
        }
    }

    /// Takes the table out of the kernel; answers the generations of its slots, so that no handle of it is ever taken
    /// for one of the next. -EBUSY while an operation is filling or emptying a slot. (The caller knows of operations
    /// for which the kernel chooses the slot.)
    pub fn unregister(&self, registrar: Registrar) -> io::Result<Vec<u32>> {
        if self.slots.iter().any(Slot::is_busy) {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        registrar.unregister_files()?;
        Ok(self.slots.iter().map(|slot| slot.generation).collect())
    }

    /// Puts descriptors into slots of ours from `first` on: -1 empties one, -2 leaves it as it is. Answers their
    /// handles, 0 for those that are empty. What the kernel did before an error stays done.
    pub fn update(
        &mut self,
        first: u32,
        fds: &[RawFd],
        tags: &[u64],
        registrar: Registrar,
    ) -> io::Result<Vec<u32>> {
        let busy = || io::Error::from_raw_os_error(libc::EBUSY);
        self.begin_update(first, fds).map_err(|_| busy())?;
        // The kernel stops at an error, and says so only if it was the first of them.
        let result = registrar.files_update(first, fds, tags);
        let res = match &result {
            Ok(done) => *done as i32,
            Err(error) => -error.raw_os_error().unwrap_or(0),
        };
        let handles = self.end_update(first, fds, Some(res));
        if res == fds.len() as i32 {
            return Ok(handles);
        }
        Err(result
            .err()
            .unwrap_or_else(|| io::Error::from_raw_os_error(libc::EBADF)))
    }

    /// Puts a descriptor into a slot of ours by number and answers its handle.
    pub fn set(&mut self, slot: u32, fd: RawFd, tag: u64, registrar: Registrar) -> io::Result<u32> {
        assert!(slot < self.ours, "checked by the caller");
        if self.slots[slot as usize].state == State::Free {
            self.retire(slot);
        }
        self.update(slot, &[fd], &[tag], registrar)
            .map(|handles| handles[0])
    }

    /// Puts a descriptor into a free slot of ours; -ENFILE when there is none, as the kernel says it.
    pub fn alloc(&mut self, fd: RawFd, tag: u64, registrar: Registrar) -> io::Result<u32> {
        let slot = self
            .pop_free()
            .ok_or_else(|| io::Error::from_raw_os_error(libc::ENFILE))?;
        self.set(slot, fd, tag, registrar)
            .inspect_err(|_| self.list_free(slot))
    }

    fn pop_free(&mut self) -> Option<u32> {
        while let Some(slot) = self.free.pop() {
            self.slots[slot as usize].listed = false;
            if self.slots[slot as usize].state == State::Free {
                return Some(slot);
            }
        }
        None
    }

    /// Once, however often it was filled by number meanwhile: the list must not grow with every file.
    fn list_free(&mut self, slot: u32) {
        if !std::mem::replace(&mut self.slots[slot as usize].listed, true) {
            self.free.push(slot);
        }
    }

    /// Empties the slot that the handle names. Operations in flight keep the file open by themselves.
    pub fn clear(&mut self, handle: u32, registrar: Registrar) -> io::Result<()> {
        let not_there = || io::Error::from_raw_os_error(libc::EBADF);
        let slot = self.slot_of(handle).map_err(|_| not_there())?;
        match self.slots[slot as usize].state {
            State::Owned => {}
            State::Free => return Err(not_there()),
            State::Filling | State::Emptying | State::Updating(_) => {
                return Err(io::Error::from_raw_os_error(libc::EBUSY));
            }
        }
        registrar.files_update(slot, &[-1], &[0])?;
        self.vacate(slot);
        Ok(())
    }

    /// Reserves a slot of ours for a direct descriptor; the kernel would silently replace what stands there.
    pub fn begin_fill(&mut self, slot: u32) -> Result<(), Reject> {
        match self.slots.get_mut(slot as usize) {
            Some(found) if slot < self.ours && found.state == State::Free => {
                found.state = State::Filling;
                Ok(())
            }
            _ => Err(Reject::SlotUnavailable),
        }
    }

    pub fn end_fill(&mut self, slot: u32, filled: bool) -> u32 {
        if filled {
            self.slots[slot as usize].state = State::Owned;
        } else {
            self.vacate(slot);
        }
        self.handle(slot)
    }

    /// The kernel put a file into a slot of its own range.
    pub fn filled_by_kernel(&mut self, slot: u32) -> u32 {
        assert!(
            (slot as usize) < self.slots.len(),
            "the kernel allocated slot {slot} outside the table"
        );
        if self.slots[slot as usize].state == State::Emptying {
            // Completions of requests that ran on different threads come in any order.
            self.retire(slot);
            self.slots[slot as usize].refilled = true;
        }
        self.slots[slot as usize].state = State::Owned;
        self.handle(slot)
    }

    pub fn begin_empty(&mut self, handle: u32) -> Result<u32, Reject> {
        let slot = self.slot_of(handle)?;
        let named_by_handle = handle >> SLOT_BITS != 0;
        let found = &mut self.slots[slot as usize];
        match found.state {
            State::Owned => found.state = State::Emptying,
            // By number, inside a chain that fills the slot first: the kernel says -EBADF if nothing is there.
            State::Free | State::Filling | State::Updating(_) if !named_by_handle => {}
            _ => return Err(Reject::StaleFile),
        }
        Ok(slot)
    }

    pub fn end_empty(&mut self, slot: u32, emptied: bool) {
        if std::mem::take(&mut self.slots[slot as usize].refilled) {
            return;
        }
        if emptied {
            self.vacate(slot);
        } else if self.slots[slot as usize].state == State::Emptying {
            self.slots[slot as usize].state = State::Owned;
        }
    }

    /// Another ring has put a file into a slot by its number, whatever was there; nothing if there is no such slot.
    pub fn filled_from_outside(&mut self, slot: u32) -> Option<u32> {
        match self.slots.get(slot as usize)?.state {
            State::Free | State::Emptying => {}
            State::Filling | State::Owned | State::Updating(_) => self.retire(slot),
        }
        Some(self.filled_by_kernel(slot))
    }

    /// An operation will put descriptors into slots of ours: -1 empties one, IORING_REGISTER_FILES_SKIP leaves it alone.
    pub fn begin_update(&mut self, first: u32, fds: &[RawFd]) -> Result<(), Reject> {
        let slots = first as usize..first as usize + fds.len();
        if slots.end > self.ours as usize {
            return Err(Reject::SlotUnavailable);
        }
        if self.slots[slots.clone()].iter().any(Slot::is_busy) {
            return Err(Reject::SlotUnavailable);
        }
        for slot in &mut self.slots[slots] {
            slot.state = State::Updating(slot.state == State::Owned);
        }
        Ok(())
    }

    /// So many of the descriptors have been put, or none for the reason `res`; answers the handles of the slots, 0 for
    /// those that are empty now. The kernel empties a slot before it looks at the descriptor for it, so the one that
    /// stopped it has lost its file too (io_uring/rsrc.c, __io_sqe_files_update).
    pub fn end_update(&mut self, first: u32, fds: &[RawFd], res: Option<i32>) -> Vec<u32> {
        const REGISTER_FILES_SKIP: RawFd = -2;
        let done = res.map_or(0, |res| res.max(0) as usize);
        let stopped_inside = res.is_some_and(|res| res >= 0 || matches!(-res, libc::EBADF | libc::ENOMEM));
        let place = |(at, fd): (usize, &RawFd)| {
            let slot = first + at as u32;
            let was_owned = self.slots[slot as usize].state == State::Updating(true);
            let is_owned = match *fd {
                REGISTER_FILES_SKIP => was_owned,
                _ if at == done && stopped_inside => false,
                _ if at >= done => was_owned,
                fd => fd >= 0,
            };
            let is_new = at < done && *fd != REGISTER_FILES_SKIP;
            if is_owned {
                if was_owned && is_new {
                    self.retire(slot);
                }
                self.slots[slot as usize].state = State::Owned;
                return self.handle(slot);
            }
            if was_owned {
                self.vacate(slot);
            } else {
                self.slots[slot as usize].state = State::Free;
                self.list_free(slot);
            }
            0
        };
        fds.iter().enumerate().map(place).collect()
    }

    /// Handles of this slot become stale.
    fn retire(&mut self, slot: u32) {
        let generation = &mut self.slots[slot as usize].generation;
        *generation = next_generation(*generation);
    }

    fn vacate(&mut self, slot: u32) {
        self.retire(slot);
        self.slots[slot as usize].state = State::Free;
        if slot < self.ours {
            self.list_free(slot);
        }
    }

    pub fn sizes(&self) -> (u32, u32) {
        (self.ours, self.slots.len() as u32 - self.ours)
    }

    /// Slots that hold a file, or are being filled or emptied.
    pub fn in_use(&self) -> u32 {
        self.slots.iter().filter(|slot| slot.state != State::Free).count() as u32
    }
}

#[cfg(test)]
mod tests;
