//! Buffers provided by operations (IORING_OP_PROVIDE_BUFFERS, 5.7), the way before buffer rings. The kernel keeps their
//! addresses until it uses them up or is told to remove them; until then their arenas stay pinned.

use crate::arenas::Arenas;
use crate::reject::Reject;
use std::collections::HashMap;

/// Groups are numbered down from here, those of buffer rings up from 0; the highest number is `NO_GROUP`.
const FIRST_GROUP: u16 = u16::MAX - 1;
/// Half of all numbers.
const GROUPS_MAX: usize = 1 << 15;

#[derive(Default)]
struct Group {
    /// Each pinned once for each operation that provided from it.
    arenas: Vec<u16>,
    /// Buffers that the kernel may have. Counted when they are on their way, so that it is never too small.
    available: u64,
    /// Operations in flight that take from here.
    pins: u32,
}

#[derive(Default)]
pub struct LegacyGroups {
    groups: HashMap<u16, Group>,
}

impl LegacyGroups {
    /// A new group, or nothing at the limit.
    pub fn create(&mut self) -> Option<u16> {
        if self.groups.len() >= GROUPS_MAX {
            return None;
        }
        let mut numbers = (0..GROUPS_MAX as u16).map(|at| FIRST_GROUP - at);
        let number = numbers.find(|number| !self.groups.contains_key(number))?;
        self.groups.insert(number, Group::default());
        Some(number)
    }

    /// Gives the number back; answers false while the kernel or an operation still uses the group.
    pub fn remove(&mut self, number: u16) -> bool {
        let idle = |group: &Group| group.available == 0 && group.pins == 0;
        let removable = self.groups.get(&number).is_some_and(idle);
        if removable {
            self.groups.remove(&number);
        }
        removable
    }

    pub fn has(&self, number: u16) -> bool {
        number > u16::MAX - 1 - GROUPS_MAX as u16 && self.groups.contains_key(&number)
    }

    pub fn pin(&mut self, number: u16) -> Result<(), Reject> {
        let group = self.groups.get_mut(&number).ok_or(Reject::UnknownBufferGroup)?;
        group.pins += 1;
        Ok(())
    }

    pub fn unpin(&mut self, number: u16) {
        if let Some(group) = self.groups.get_mut(&number) {
            group.pins -= 1;
        }
    }

    /// `count` buffers of an arena are on their way to the kernel.
    pub fn provide(&mut self, number: u16, arena: u16, count: u32, arenas: &mut Arenas) {
        if let Some(group) = self.groups.get_mut(&number) {
            arenas.pin(arena);
            group.arenas.push(arena);
            group.available += u64::from(count);
        }
    }

    /// The kernel has `count` buffers fewer: used up, removed, or never taken.
    pub fn consume(&mut self, number: u16, count: u32, arenas: &mut Arenas) {
        if let Some(group) = self.groups.get_mut(&number) {
            group.available = group.available.saturating_sub(u64::from(count));
            if group.available == 0 {
                for arena in group.arenas.drain(..) {
                    arenas.unpin(arena);
                }
            }
        }
    }
}
