//! The in-flight table: one entry for each operation that the kernel has, freed on its last completion only.
//!
//! JavaScript chooses the index (it keeps its callbacks under the same number), Rust checks that it is free
//! and adds a generation, so that a stale or foreign completion never releases somebody else's memory.

use crate::lists::Lists;
use crate::reject::Reject;

/// The kernel's user_data: what kind of request it is (8 bits), generation (24), index (32).
const KIND_SHIFT: u32 = 56;
const GENERATION_MASK: u32 = 0x00ff_ffff;
const KIND_OPERATION: u64 = 1;
const KIND_INTERNAL: u64 = 2;
/// From another ring, or from nobody's: `Event`. KIND_TAG are tags of resources (register/).
const KIND_MESSAGE: u64 = 3;
const KIND_FILE_MESSAGE: u64 = 4;
const KIND_TAG: u64 = 5;
const KIND_PARCEL: u64 = 6;
const PAYLOAD_MASK: u64 = (1 << KIND_SHIFT) - 1;
/// Numbers that JavaScript can hold exactly.
const NUMBER_BITS: u32 = 53;

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
    /// One completion may cover several of the group's buffers.
    pub bundles: bool,
    /// Provided-buffer group the operation takes buffers from.
    pub group: u16,
    /// Arenas named by `addr`, `off` and `addr3`; those that lists name are in `lists`.
    pub pins: [u16; 3],
    generation: u32,
    /// Chosen by JavaScript; a cancel request must name it, so that it cannot hit a later operation.
    pub sequence: u32,
    /// What its success does to files and buffers.
    pub effect: Effect,
    /// What the kernel may read until the end (SQPOLL, io-wq), and the arenas that it names.
    pub lists: Option<Box<Lists>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effect {
    None,
    /// `res` is a new descriptor of the process.
    Descriptor,
    /// Fills this slot.
    Fill(u32),
    /// Fills the slot that `res` names.
    FillAny,
    /// Empties this slot.
    Empty(u32),
    /// Two new descriptors of the process stand in the list.
    Pipe,
    /// Fills this slot and the next.
    FillPair(u32),
    /// Fills the two slots that the list names afterwards.
    FillAnyPair,
    /// Puts the list's descriptors into slots from this one on.
    Update(u32),
    /// Puts the list's descriptors into slots that the list names afterwards.
    UpdateAny,
    /// So many buffers are on their way to this legacy group.
    Provide(u16, u32),
    /// Takes as many buffers as `res` says from this legacy group.
    Remove(u16),
}

/// What a completion that belongs to no operation is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A number from another ring.
    Message(u64),
    /// From another ring, which has posted a message to the port with this number.
    Parcel(u64),
    /// A number from another ring that has put a file into a slot: this one, or the one in `res`.
    FileMessage(u32, Option<u32>),
    /// The kernel has let go of the resource that was registered with this number.
    Tag(u64),
}

fn fitting(number: u64, bits: u32) -> Option<u64> {
    (number >> bits == 0).then_some(number)
}

impl Event {
    /// The user_data that arrives as this event; nothing for numbers that are too large.
    pub fn user_data(self) -> Option<u64> {
        let (kind, payload) = match self {
            Event::Message(number) => (KIND_MESSAGE, fitting(number, NUMBER_BITS)?),
            Event::Parcel(number) => (KIND_PARCEL, fitting(number, NUMBER_BITS)?),
            Event::Tag(number) => (KIND_TAG, fitting(number, NUMBER_BITS)?),
            Event::FileMessage(number, slot) => {
                let slot = slot.map_or(0, |slot| u64::from(slot) + 1);
                (
                    KIND_FILE_MESSAGE,
                    fitting(slot << 32, KIND_SHIFT)? | u64::from(number),
                )
            }
        };
        Some(kind << KIND_SHIFT | payload)
    }

    /// Numbers of more than 53 bits come from no ring of this package; they lose what is above.
    pub fn of(user_data: u64) -> Option<Event> {
        let payload = user_data & PAYLOAD_MASK;
        let number = payload & ((1 << NUMBER_BITS) - 1);
        match user_data >> KIND_SHIFT {
            KIND_MESSAGE => Some(Event::Message(number)),
            KIND_PARCEL => Some(Event::Parcel(number)),
            KIND_TAG => Some(Event::Tag(number)),
            KIND_FILE_MESSAGE => Some(Event::FileMessage(
                payload as u32,
                ((payload >> 32) as u32).checked_sub(1),
            )),
            _ => None,
        }
    }
}

impl Entry {
    fn vacant() -> Entry {
        Entry {
            in_use: false,
            holds: false,
            bundles: false,
            group: NO_GROUP,
            pins: [NO_ARENA; 3],
            generation: 0,
            sequence: 0,
            effect: Effect::None,
            lists: None,
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

    /// Whether an operation in flight will change the registered files.
    pub fn changes_files(&self) -> bool {
        self.entries.iter().any(|entry| {
            entry.in_use
                && !matches!(
                    entry.effect,
                    Effect::None
                        | Effect::Descriptor
                        | Effect::Pipe
                        | Effect::Provide(..)
                        | Effect::Remove(_)
                )
        })
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
            lists: entry.lists.take(),
        };
        entry.holds = false;
        entry.pins = [NO_ARENA; 3];
        entry.group = NO_GROUP;
        entry.bundles = false;
        entry.effect = Effect::None;
        Some(held)
    }
}

pub struct Held {
    pub pins: [u16; 3],
    pub group: u16,
    pub lists: Option<Box<Lists>>,
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
