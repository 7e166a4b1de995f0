//! Buffers provided by operations (IORING_OP_PROVIDE_BUFFERS, 5.7), the way before buffer rings. The kernel keeps their
//! addresses until it uses them up or is told to remove them; until then their arenas stay pinned.

use crate::arenas::Arenas;
use crate::reject::Reject;
use std::collections::HashMap;

/// Groups are numbered down from here, those of buffer rings up from 0; the highest number is `NO_GROUP`.
const FIRST_GROUP: u16 = u16::MAX - 1;
/// The upper half of all numbers, but for `NO_GROUP`: down to where those of buffer rings end (bufring.rs).
const GROUPS_MAX: usize = (1 << 15) - 1;
const LAST_GROUP: u16 = FIRST_GROUP - (GROUPS_MAX as u16 - 1);

#[derive(Default)]
struct Group {
    /// Each pinned once, however often it was provided from: a group that is never empty must not grow for ever.
    arenas: Vec<u16>,
    /// Buffers that the kernel may have. Counted when they are on their way, so that it is never too small.
    available: u64,
    /// Operations in flight that provide to here.
    providers: u32,
    /// Operations in flight that take from here. Until they end they may have a buffer that nobody has counted.
    pins: u32,
}

impl Group {
    /// Lets the memory go when neither the kernel's list nor an operation has any of it.
    fn settle(&mut self, arenas: &mut Arenas) {
        if self.available == 0 && self.pins == 0 {
            for arena in self.arenas.drain(..) {
                arenas.unpin(arena);
            }
        }
    }
}

#[derive(Default)]
pub struct LegacyGroups {
    groups: HashMap<u16, Group>,
    /// From 5.19 on the kernel counted one buffer too many when it was told to remove more than there were
    /// (io_uring/kbuf.c, __io_remove_buffers); io_remove_buffers_legacy of 6.15 counts them right.
    pub counts_one_too_many: bool,
}

impl LegacyGroups {
    /// A new group, or nothing at the limit.
    pub fn create(&mut self) -> Option<u16> {
        if self.groups.len() >= GROUPS_MAX {
            return None;
        }
        let number = (LAST_GROUP..=FIRST_GROUP)
            .rev()
            .find(|number| !self.groups.contains_key(number))?;
        self.groups.insert(number, Group::default());
        Some(number)
    }

    /// Gives the number back; answers false while the kernel or an operation still uses the group.
    pub fn remove(&mut self, number: u16) -> bool {
        let idle = |group: &Group| group.available == 0 && group.providers == 0 && group.pins == 0;
        let removable = self.groups.get(&number).is_some_and(idle);
        if removable {
            self.groups.remove(&number);
        }
        removable
    }

    pub fn has(&self, number: u16) -> bool {
        number >= LAST_GROUP && self.groups.contains_key(&number)
    }

    pub fn pin(&mut self, number: u16) -> Result<(), Reject> {
        let group = self.groups.get_mut(&number).ok_or(Reject::UnknownBufferGroup)?;
        group.pins += 1;
        Ok(())
    }

    pub fn unpin(&mut self, number: u16, arenas: &mut Arenas) {
        if let Some(group) = self.groups.get_mut(&number) {
            group.pins -= 1;
            group.settle(arenas);
        }
    }

    /// `count` buffers of an arena are on their way to the kernel.
    pub fn provide(&mut self, number: u16, arena: u16, count: u32, arenas: &mut Arenas) {
        if let Some(group) = self.groups.get_mut(&number) {
            if !group.arenas.contains(&arena) {
                arenas.pin(arena);
                group.arenas.push(arena);
            }
            group.available += u64::from(count);
            group.providers += 1;
        }
    }

    /// `count` buffers have been provided, or not.
    pub fn provided(&mut self, number: u16, count: u32, success: bool, arenas: &mut Arenas) {
        if let Some(group) = self.groups.get_mut(&number) {
            group.providers -= 1;
        }
        if !success {
            self.consume(number, count, arenas);
        }
    }

    /// The kernel says that it has removed so many.
    pub fn removed(&mut self, number: u16, count: u32, arenas: &mut Arenas) {
        let Some(group) = self.groups.get(&number) else {
            return;
        };
        // One too few is only memory kept longer, and where nothing else is going on, one too many does no harm.
        let is_uncertain = self.counts_one_too_many && (group.pins > 0 || group.providers > 0);
        self.consume(number, count.saturating_sub(u32::from(is_uncertain)), arenas);
    }

    /// The kernel has used up so many.
    pub fn consume(&mut self, number: u16, count: u32, arenas: &mut Arenas) {
        if let Some(group) = self.groups.get_mut(&number) {
            group.available = group.available.saturating_sub(u64::from(count));
            group.settle(arenas);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bufring;
    use crate::inflight::NO_GROUP;

    #[test]
    fn no_number_is_both_a_legacy_group_and_a_buffer_ring_or_none() {
        assert_eq!((LAST_GROUP, FIRST_GROUP), (bufring::GROUPS_MAX, NO_GROUP - 1));
        let mut groups = LegacyGroups::default();
        assert_eq!(groups.create(), Some(FIRST_GROUP));
        let others = LAST_GROUP + 1..FIRST_GROUP;
        groups
            .groups
            .extend(others.map(|number| (number, Group::default())));
        assert_eq!(groups.create(), Some(LAST_GROUP));
        assert_eq!(groups.create(), None);
        assert!(groups.has(LAST_GROUP) && groups.remove(LAST_GROUP) && !groups.has(LAST_GROUP));
    }
}
