//! What operations do to files and buffers besides moving bytes: begun when they are admitted, ended by their
//! completions. And what completions mean to JavaScript.

use crate::files::FileTable;
use crate::inflight::{Effect, Event, Held, NO_ARENA, NO_GROUP};
use crate::lists::{List, Lists};
use crate::ops::{FileIndex, GroupEffect, OpSpec, ResultKind, Wide};
use crate::reject::Reject;
use crate::relocate::{FILE_INDEX_ALLOC, Tables, Words};
use crate::shared::{
    CompletionRecord, EXTRA_IS_EVENT, EXTRA_IS_FD, EXTRA_IS_FILE_EVENT, EXTRA_IS_PARCEL_EVENT, EXTRA_IS_PIPE,
    EXTRA_IS_TAG_EVENT,
};

/// IORING_CQE_F_BUFFER and IORING_CQE_F_MORE, IORING_CQE_BUFFER_SHIFT.
const CQE_BUFFER: u32 = 1 << 0;
const CQE_MORE: u32 = 1 << 1;
/// IORING_CQE_F_BUF_MORE.
const CQE_BUFFER_MORE: u32 = 1 << 4;
const CQE_BUFFER_SHIFT: u32 = 16;

impl Tables {
    /// What success of the operation will do. Changes nothing if it is refused.
    pub(crate) fn begin_effect(
        &mut self,
        spec: &OpSpec,
        record: &Words,
        arena: u16,
        lists: Option<&mut Lists>,
    ) -> Result<Effect, Reject> {
        if spec.group_effect != GroupEffect::None {
            return self.begin_group_effect(spec, record, arena);
        }
        let table = self.files.as_mut();
        let needs_slots = table.ok_or(Reject::SlotUnavailable);
        match (spec.file_index, record[11]) {
            (FileIndex::Scalar(_), _) if spec.addr == Wide::Descriptors => {
                begin_update(needs_slots?, record, lists)
            }
            (FileIndex::Pair, 0) => Ok(Effect::Pipe),
            (FileIndex::Scalar(_) | FileIndex::Destination, _) | (FileIndex::Close, 0)
                if spec.result == ResultKind::Descriptor && is_descriptor(spec, record) =>
            {
                Ok(Effect::Descriptor)
            }
            (FileIndex::Scalar(_) | FileIndex::Source, _)
            | (FileIndex::Destination | FileIndex::Close, 0) => Ok(Effect::None),
            (FileIndex::Destination, FILE_INDEX_ALLOC) => needs_slots.map(|_| Effect::FillAny),
            (FileIndex::Pair, FILE_INDEX_ALLOC) => needs_slots.map(|_| Effect::FillAnyPair),
            (FileIndex::Destination, index) => {
                needs_slots?.begin_fill(index - 1)?;
                Ok(Effect::Fill(index - 1))
            }
            (FileIndex::Pair, index) => {
                let table = needs_slots?;
                table.begin_fill(index - 1)?;
                if let Err(reject) = table.begin_fill(index) {
                    table.end_fill(index - 1, false);
                    return Err(reject);
                }
                Ok(Effect::FillPair(index - 1))
            }
            (FileIndex::Close, index) => {
                let table = needs_slots.map_err(|_| Reject::StaleFile)?;
                Ok(Effect::Empty(table.begin_empty(index - 1)?))
            }
        }
    }

    fn begin_group_effect(&mut self, spec: &OpSpec, record: &Words, arena: u16) -> Result<Effect, Reject> {
        let (group, count) = (record[10] as u16, record[1]);
        if !self.legacy.has(group) {
            return Err(Reject::UnknownBufferGroup);
        }
        if spec.group_effect == GroupEffect::Remove {
            return Ok(Effect::Remove(group));
        }
        self.legacy.provide(group, arena, count, &mut self.arenas);
        Ok(Effect::Provide(group, count))
    }

    /// What a completion does to files and buffers; answers its `extra`. Without a result the operation has never been
    /// given to the kernel.
    fn end_effect(&mut self, index: u32, effect: Effect, lists: Option<&mut Lists>, res: Option<i32>) -> u32 {
        let success = res.filter(|res| *res >= 0);
        match (effect, lists.map(|lists| &mut lists.list)) {
            (Effect::Provide(group, count), _) => {
                let provided = success.is_some();
                self.legacy.provided(group, count, provided, &mut self.arenas);
                0
            }
            (Effect::Remove(group), _) => {
                let removed = success.unwrap_or(0) as u32;
                self.legacy.removed(group, removed, &mut self.arenas);
                0
            }
            (Effect::Pipe, Some(List::Descriptors(list))) if success.is_some() => {
                list.answer(&[list.fds[0] as u32, list.fds[1] as u32]);
                self.pipes.insert(index, [list.fds[0], list.fds[1]]);
                EXTRA_IS_PIPE
            }
            (effect, list) => match &mut self.files {
                Some(files) => end_file_effect(files, effect, list, res),
                None if effect == Effect::Descriptor && success.is_some() => EXTRA_IS_FD,
                None => 0,
            },
        }
    }

    pub(crate) fn pin_group(&mut self, group: u16) -> Result<(), Reject> {
        if self.legacy.has(group) {
            self.legacy.pin(group)
        } else {
            self.groups.pin(group)
        }
    }

    pub(crate) fn unpin_group(&mut self, group: u16) {
        if self.legacy.has(group) {
            self.legacy.unpin(group, &mut self.arenas);
        } else if group != NO_GROUP {
            self.groups.unpin(group);
        }
    }

    /// Takes back what `relocate` did, for a record that will not be given to the kernel after all.
    pub fn retract(&mut self, user_data: u64) {
        if let Some((index, entry)) = self.in_flight.find(user_data) {
            let (effect, mut lists) = (entry.effect, entry.lists.take());
            self.end_effect(index, effect, lists.as_deref_mut(), None);
            if let Some(mut held) = self.in_flight.remove(index) {
                held.lists = lists;
                self.release(held);
            }
        }
    }

    /// What a completion of the kernel means to JavaScript; nothing if it belongs to nobody.
    #[inline]
    pub fn complete(&mut self, user_data: u64, res: i32, flags: u32) -> Option<CompletionRecord> {
        let Some((index, entry)) = self.in_flight.find(user_data) else {
            return self.event(user_data, res, flags);
        };
        let extra = if entry.holds {
            self.complete_holder(user_data, res, flags)
        } else {
            0
        };
        if flags & CQE_MORE == 0
            && let Some(held) = self.in_flight.remove(index)
        {
            self.release(held);
        }
        Some(CompletionRecord {
            index,
            res,
            flags,
            extra,
        })
    }

    fn complete_holder(&mut self, user_data: u64, res: i32, flags: u32) -> u32 {
        let Some((index, entry)) = self.in_flight.find(user_data) else {
            return 0;
        };
        let (effect, group) = (entry.effect, entry.group);
        let bundles = entry.bundles;
        let mut extra = 0;
        if effect != Effect::None || entry.lists.is_some() {
            let mut lists = entry.lists.take();
            if let Some(lists) = &lists {
                lists.answer();
            }
            extra = self.end_effect(index, effect, lists.as_deref_mut(), Some(res));
            if let Some((_, entry)) = self.in_flight.find(user_data) {
                entry.lists = lists;
            }
        }
        if flags & CQE_BUFFER != 0 {
            self.lend(group, flags, bundles.then_some(res));
        }
        extra
    }

    /// The kernel used a provided buffer, or as many as it takes for a bundle of so many bytes.
    fn lend(&mut self, group: u16, flags: u32, bundle: Option<i32>) {
        let id = (flags >> CQE_BUFFER_SHIFT) as u16;
        if self.legacy.has(group) {
            self.legacy.consume(group, 1, &mut self.arenas);
        } else if let Some(res) = bundle {
            self.groups.lend_bundle(group, id, res.max(0) as u32);
        } else {
            self.groups.lend(group, id, flags & CQE_BUFFER_MORE != 0);
        }
    }

    /// Completions that belong to no operation: messages of other rings, and tags.
    #[cold]
    fn event(&mut self, user_data: u64, res: i32, flags: u32) -> Option<CompletionRecord> {
        let (number, res, extra) = match Event::of(user_data)? {
            Event::Message(number) => (number, res, EXTRA_IS_EVENT),
            Event::Parcel(number) => (number, res, EXTRA_IS_EVENT | EXTRA_IS_PARCEL_EVENT),
            Event::Tag(number) => (number, res, EXTRA_IS_EVENT | EXTRA_IS_TAG_EVENT),
            Event::FileMessage(number, slot) => {
                let slot = slot.or_else(|| u32::try_from(res).ok())?;
                let handle = self.files.as_mut()?.filled_from_outside(slot)?;
                let extra = EXTRA_IS_EVENT | EXTRA_IS_FILE_EVENT | handle >> 20;
                return Some(CompletionRecord {
                    index: number,
                    res: slot as i32,
                    flags,
                    extra,
                });
            }
        };
        Some(CompletionRecord {
            index: number as u32,
            res,
            flags,
            extra: extra | (number >> 32) as u32,
        })
    }

    #[inline]
    fn release(&mut self, held: Held) {
        for pin in held.pins {
            if pin != NO_ARENA {
                self.arenas.unpin(pin);
            }
        }
        if held.group != NO_GROUP {
            self.unpin_group(held.group);
        }
        if let Some(lists) = held.lists {
            for arena in lists.arenas {
                self.arenas.unpin(arena);
            }
        }
    }
}

impl Lists {
    /// Gives JavaScript what the kernel answered in memory that JavaScript does not see.
    fn answer(&self) {
        match &self.list {
            List::Message(message) => message.answer(),
            List::Private(memory) => memory.answer(),
            List::Iovecs(_) | List::Futexes(_) | List::Descriptors(_) | List::Ring(_) => {}
        }
    }
}

/// Whether the result is a descriptor of the process: not for a slot, nor where `file_index` is none.
fn is_descriptor(spec: &OpSpec, record: &Words) -> bool {
    matches!(spec.file_index, FileIndex::Scalar(_)) || record[11] == 0
}

fn begin_update(files: &mut FileTable, record: &Words, lists: Option<&mut Lists>) -> Result<Effect, Reject> {
    let Some(List::Descriptors(list)) = lists.map(|lists| &mut lists.list) else {
        return Err(Reject::BadField);
    };
    if record[2] == FILE_INDEX_ALLOC && record[3] == 0 {
        return Ok(Effect::UpdateAny);
    }
    if record[3] != 0 {
        return Err(Reject::BadField);
    }
    files.begin_update(record[2], &list.fds)?;
    Ok(Effect::Update(record[2]))
}

fn end_file_effect(files: &mut FileTable, effect: Effect, list: Option<&mut List>, res: Option<i32>) -> u32 {
    let success = res.filter(|res| *res >= 0);
    let count = success.unwrap_or(0) as usize;
    match (effect, list) {
        (Effect::Descriptor, _) if success.is_some() => EXTRA_IS_FD,
        (Effect::Fill(slot), _) => files.end_fill(slot, success.is_some()) >> 20,
        (Effect::FillAny, _) => success.map_or(0, |slot| files.filled_by_kernel(slot as u32) >> 20),
        (Effect::Empty(slot), _) => {
            files.end_empty(slot, success.is_some());
            0
        }
        (Effect::FillPair(slot), list) => {
            let handles = [slot, slot + 1].map(|slot| files.end_fill(slot, success.is_some()));
            answer(list, &handles);
            0
        }
        (Effect::FillAnyPair, Some(List::Descriptors(list))) if success.is_some() => {
            list.answer(&filled_by_kernel(files, &list.fds));
            0
        }
        (Effect::Update(first), Some(List::Descriptors(list))) => {
            let handles = files.end_update(first, &list.fds, res);
            list.answer(&handles);
            0
        }
        (Effect::UpdateAny, Some(List::Descriptors(list))) => {
            let filled = count.min(list.fds.len());
            list.answer(&filled_by_kernel(files, &list.fds[..filled]));
            0
        }
        _ => 0,
    }
}

/// Handles of the slots that the kernel chose.
fn filled_by_kernel(files: &mut FileTable, slots: &[i32]) -> Vec<u32> {
    let handle = |slot: &i32| files.filled_by_kernel(*slot as u32);
    slots.iter().map(handle).collect()
}

fn answer(list: Option<&mut List>, values: &[u32]) {
    if let Some(List::Descriptors(list)) = list {
        list.answer(values);
    }
}
