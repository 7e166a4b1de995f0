//! The in-flight table: one entry for each operation that the kernel has, freed on its last completion only.
//!
//! JavaScript chooses the index (it keeps its callbacks under the same number), Rust checks that it is free
//! and adds a generation, so that a stale or foreign completion never releases somebody else's memory.

use crate::reject::Reject;

/// The kernel's user_data: what kind of request it is (8 bits), generation (24), index (32).
const KIND_SHIFT: u32 = 56;
const GENERATION_MASK: u32 = 0x00ff_ffff;
const KIND_OPERATION: u64 = 1;
const KIND_INTERNAL: u64 = 2;

/// user_data of requests that Rust makes for itself; their completions are dropped.
pub const INTERNAL: u64 = KIND_INTERNAL << KIND_SHIFT;
/// user_data that no operation ever has: a cancel request for it finds nothing (-ENOENT).
pub const NO_TARGET: u64 = 0;
/// Operations that can be in flight on one ring at a time.
pub const IN_FLIGHT_MAX: u32 = 1 << 20;
pub const NO_ARENA: u16 = u16::MAX;
pub const NO_GROUP: u16 = u16::MAX;

/// What an operation in flight holds until its last completion. A vacant entry holds nothing: `remove` leaves it
/// so, and `insert` need not write it again.
pub struct Entry {
    in_use: bool,
    /// There is something to release at the end.
    pub holds: bool,
    /// Provided-buffer group the operation takes buffers from.
    pub group: u16,
    /// Arenas named by `addr` and `off`; the iovecs' arenas are in `vectors`.
    pub pins: [u16; 2],
    generation: u32,
    /// Chosen by JavaScript; a cancel request must name it, so that it cannot hit a later operation.
    pub sequence: u32,
    /// What its success does to the registered-files table.
    pub file: FileEffect,
    /// Iovecs, which the kernel may read until the end (SQPOLL, io-wq), and the arenas they name.
    pub vectors: Option<Box<Vectors>>,
}

pub struct Vectors {
    pub iovecs: Vec<libc::iovec>,
    pub arenas: Vec<u16>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileEffect {
    None,
    /// `res` is a new descriptor of the process.
    Descriptor,
    /// Fills this slot.
    Fill(u32),
    /// Fills the slot that `res` names.
    FillAny,
    /// Empties this slot.
    Empty(u32),
}

impl Entry {
    fn vacant() -> Entry {
        Entry {
            in_use: false,
            holds: false,
            group: NO_GROUP,
            pins: [NO_ARENA; 2],
            generation: 0,
            sequence: 0,
            file: FileEffect::None,
            vectors: None,
        }
    }
}

#[derive(Default)]
pub struct InFlight {
    entries: Vec<Entry>,
    live: u32,
}

fn user_data(index: u32, generation: u32) -> u64 {
    KIND_OPERATION << KIND_SHIFT | u64::from(generation & GENERATION_MASK) << 32 | u64::from(index)
}

impl InFlight {
    pub fn live(&self) -> u32 {
        self.live
    }

    /// Takes `index` for an operation; answers the entry to fill and the user_data to give the kernel.
    #[inline]
    pub fn insert(&mut self, index: u32, sequence: u32) -> Result<(&mut Entry, u64), Reject> {
        if index as usize >= self.entries.len() {
            self.grow(index)?;
        }
        let entry = &mut self.entries[index as usize];
        if entry.in_use {
            return Err(Reject::BadIndex);
        }
        entry.in_use = true;
        entry.sequence = sequence;
        self.live += 1;
        let user_data = user_data(index, entry.generation);
        Ok((entry, user_data))
    }

    #[cold]
    fn grow(&mut self, index: u32) -> Result<(), Reject> {
        if index >= IN_FLIGHT_MAX {
            return Err(Reject::BadIndex);
        }
        let wanted = (index as usize + 1).next_power_of_two();
        self.entries.resize_with(wanted, Entry::vacant);
        Ok(())
    }

    /// The operation that a completion belongs to, or nothing for a stale or foreign one.
    #[inline]
    pub fn find(&mut self, user_data: u64) -> Option<(u32, &mut Entry)> {
        if user_data >> KIND_SHIFT != KIND_OPERATION {
            return None;
        }
        let index = user_data as u32;
        let generation = (user_data >> 32) as u32 & GENERATION_MASK;
        match self.entries.get_mut(index as usize) {
            Some(entry) if entry.in_use && entry.generation == generation => Some((index, entry)),
            _ => None,
        }
    }

    /// The user_data of the operation that JavaScript names by index and sequence number.
    pub fn target(&self, index: u32, sequence: u32) -> u64 {
        match self.entries.get(index as usize) {
            Some(entry) if entry.in_use && entry.sequence == sequence => user_data(index, entry.generation),
            _ => NO_TARGET,
        }
    }

    pub fn vectors(&self, index: u32) -> Option<&Vectors> {
        self.entries
            .get(index as usize)
            .and_then(|entry| entry.vectors.as_deref())
    }

    /// The user_data of every operation in flight.
    pub fn all(&self) -> impl Iterator<Item = u64> + '_ {
        let live = self.entries.iter().enumerate().filter(|(_, entry)| entry.in_use);
        live.map(|(index, entry)| user_data(index as u32, entry.generation))
    }

    /// Frees an entry after its last completion and answers what it held, if anything.
    #[inline]
    pub fn remove(&mut self, index: u32) -> Option<Held> {
        let entry = self
            .entries
            .get_mut(index as usize)
            .filter(|entry| entry.in_use)?;
        entry.in_use = false;
        entry.generation = entry.generation.wrapping_add(1) & GENERATION_MASK;
        self.live -= 1;
        if !entry.holds {
            return None;
        }
        let held = Held {
            pins: entry.pins,
            group: entry.group,
            vectors: entry.vectors.take(),
        };
        entry.holds = false;
        entry.pins = [NO_ARENA; 2];
        entry.group = NO_GROUP;
        entry.file = FileEffect::None;
        Some(held)
    }
}

pub struct Held {
    pub pins: [u16; 2],
    pub group: u16,
    pub vectors: Option<Box<Vectors>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn an_index_is_taken_until_its_entry_is_removed() {
        let mut table = InFlight::default();
        let (_, first) = table.insert(3, 0).unwrap();
        assert_eq!(table.insert(3, 0).err(), Some(Reject::BadIndex));
        assert!(table.find(first).is_some());
        table.remove(3);
        assert!(table.find(first).is_none());
        assert_eq!(table.live(), 0);
        table.remove(3);
        assert_eq!(table.live(), 0);
        let (_, second) = table.insert(3, 0).unwrap();
        assert_ne!(first, second);
    }

    #[test]
    fn an_index_out_of_range_and_internal_user_data_are_nobodys() {
        let mut table = InFlight::default();
        assert_eq!(table.insert(IN_FLIGHT_MAX, 0).err(), Some(Reject::BadIndex));
        assert!(table.find(INTERNAL).is_none());
        assert!(table.find(NO_TARGET).is_none());
        assert!(table.find(u64::MAX).is_none());
        assert_eq!(table.target(9, 0), NO_TARGET);
    }

    proptest! {
        /// Against a plain map: whatever the order of insertions, completions and cancels, every live user_data
        /// finds its own entry, and no dead one finds any.
        #[test]
        fn the_table_behaves_like_a_map_that_never_reuses_a_key(
            steps in proptest::collection::vec((0u32..16, 0u32..3, any::<u32>()), 1..400)
        ) {
            let mut table = InFlight::default();
            let mut live: HashMap<u32, (u64, u32)> = HashMap::new();
            let mut dead: Vec<u64> = Vec::new();
            for (index, action, sequence) in steps {
                match action {
                    0 => match table.insert(index, sequence) {
                        Ok((_, user_data)) => {
                            prop_assert!(!dead.contains(&user_data));
                            prop_assert!(live.insert(index, (user_data, sequence)).is_none());
                        }
                        Err(reject) => {
                            prop_assert_eq!(reject, Reject::BadIndex);
                            prop_assert!(live.contains_key(&index));
                        }
                    },
                    1 => {
                        table.remove(index);
                        let known = live.remove(&index);
                        dead.extend(known.map(|(user_data, _)| user_data));
                    }
                    _ => {
                        let expected = live.get(&index).filter(|(_, known)| *known == sequence);
                        prop_assert_eq!(table.target(index, sequence), expected.map_or(NO_TARGET, |(data, _)| *data));
                    }
                }
                prop_assert_eq!(table.live() as usize, live.len());
                for (index, (user_data, _)) in &live {
                    prop_assert_eq!(table.find(*user_data).map(|(found, _)| found), Some(*index));
                }
                for user_data in &dead {
                    prop_assert!(table.find(*user_data).is_none());
                }
            }
        }
    }
}
