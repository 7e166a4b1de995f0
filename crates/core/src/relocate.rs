//! From the record that JavaScript wrote to the SQE that the kernel gets: handles become addresses, and what
//! the operation names is pinned until its last completion. Only what the table of operations allows passes.

use crate::arenas::{Arenas, arena_index};
use crate::bufring::BufferGroups;
use crate::fields::Field;
use crate::files::FileTable;
use crate::inflight::{Effect, InFlight, NO_ARENA, NO_GROUP};
use crate::legacy::LegacyGroups;
use crate::lists::Lists;
use crate::ops::{self, BufferSelect, Fd, FileIndex, GroupEffect, OpSpec, Size, Wide};
use crate::raw;
use crate::reject::Reject;
use crate::shared::RECORD_WORDS;
use std::collections::HashMap;

/// IOSQE_* (io_uring_enter(2)). CQE_SKIP_SUCCESS is not allowed: without a completion the
/// in-flight entry and its pins would never be freed.
pub const SQE_FIXED_FILE: u32 = 1 << 0;
pub const SQE_DRAIN: u32 = 1 << 1;
pub const SQE_LINK: u32 = 1 << 2;
pub const SQE_HARDLINK: u32 = 1 << 3;
pub const SQE_BUFFER_SELECT: u32 = 1 << 5;
const SQE_ALLOWED: u32 = 0b0011_1111;

/// IORING_FILE_INDEX_ALLOC.
pub(crate) const FILE_INDEX_ALLOC: u32 = u32::MAX;

pub type Words = [u32; RECORD_WORDS];

/// Everything an operation can name.
#[derive(Default)]
pub struct Tables {
    pub arenas: Arenas,
    pub files: Option<FileTable>,
    /// Generations of the slots of a table that was unregistered.
    pub retired_files: Vec<u32>,
    pub groups: BufferGroups,
    pub legacy: LegacyGroups,
    pub in_flight: InFlight,
    /// An operation with IOSQE_IO_DRAIN was admitted. The kernel goes on deferring until an operation without it finds
    /// nothing else in flight (io_uring/io_uring.c, io_drain_req), and does not tell.
    pub has_drained: bool,
    /// The two ends of pipes, by the index of their operation, until the completion stands in the block (unread.rs).
    pub pipes: HashMap<u32, [i32; 2]>,
    pub entries: Entries,
}

/// Sizes of the queue's entries.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
pub enum Entries {
    /// 64 bytes.
    #[default]
    Small,
    /// 128 bytes.
    Large,
    /// 64 bytes, or twice that for some operations (6.19). One that takes more would swallow whatever stands in the next
    /// place, its addresses too, so only what is known to take 64 may be put there.
    Mixed,
}

/// The parts of a record that relocation decides, as 64-bit words: SQEs are copied by wide loads, which stall when
/// they have to wait for narrower stores. The rest goes to the kernel as it is.
pub struct Relocated {
    /// Opcode, flags, ioprio, fd.
    head: u64,
    off: u64,
    address: u64,
    user_data: u64,
    /// Buffer index or group, personality, file index.
    buffers: u64,
    addr3: u64,
}

impl Relocated {
    /// The 64 bytes for the kernel.
    #[inline(always)]
    pub fn lanes(&self, record: &Words) -> [u64; 8] {
        [
            self.head,
            self.off,
            self.address,
            wide(record, 6),
            self.user_data,
            self.buffers,
            self.addr3,
            0,
        ]
    }
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

pub(crate) fn wide(words: &Words, at: usize) -> u64 {
    pair(words[at], words[at + 1])
}

fn set_wide(words: &mut Words, at: usize, value: u64) {
    words[at] = value as u32;
    words[at + 1] = (value >> 32) as u32;
}

pub(crate) const OFF: usize = 2;
pub(crate) const ADDR: usize = 4;
pub(crate) const ADDR3: usize = 12;
/// Where a message names the other ring; the kernel has zeros there.
pub(crate) const TOKEN: usize = 14;

impl Tables {
    /// Checks and relocates one record, and enters it into the in-flight table. Changes nothing when it refuses.
    pub fn admit(&mut self, record: &Words, supported: &[bool; 256]) -> Result<Words, Reject> {
        let relocated = self.relocate(record, supported)?;
        let mut words = [0; RECORD_WORDS];
        for (at, lane) in relocated.lanes(record).into_iter().enumerate() {
            set_wide(&mut words, at * 2, lane);
        }
        Ok(words)
    }

    /// As `admit`, answering only what changes. Operations that name nothing but themselves take the short way.
    #[inline(always)]
    pub fn relocate(&mut self, record: &Words, supported: &[bool; 256]) -> Result<Relocated, Reject> {
        let opcode = record[0] as u8;
        if !supported[usize::from(opcode)] {
            return Err(not_supported(opcode));
        }
        let Some(row) = ops::spec(opcode) else {
            return self.relocate_raw(record);
        };
        let spec = row.form(record).ok_or(Reject::BadField)?;
        let flags = record[0] >> 8 & 0xff;
        check_bits(spec, record, flags)?;
        if !(std::ptr::eq(row, spec) && row.names_nothing()) || flags & SQE_DRAIN != 0 {
            return match self.relocate_transfer(row, spec, record, flags) {
                Some(relocated) => Ok(relocated),
                None => self.relocate_names(spec, record, flags, supported),
            };
        }
        if wide(record, OFF) | wide(record, ADDR) | wide(record, ADDR3) | u64::from(record[11]) != 0
            || !matches!(record[1], 0 | u32::MAX)
        {
            return Err(Reject::BadField);
        }
        let (_, user_data) = self.in_flight.insert(record[8], record[9])?;
        Ok(Relocated {
            head: wide(record, 0),
            off: 0,
            address: 0,
            user_data,
            buffers: wide(record, 10),
            addr3: 0,
        })
    }

    /// The short way of what is done most: bytes between a descriptor and one range of memory. Whatever is out of the
    /// ordinary, or wrong, is left to `relocate_names`.
    #[inline]
    fn relocate_transfer(
        &mut self,
        row: &OpSpec,
        spec: &OpSpec,
        record: &Words,
        flags: u32,
    ) -> Option<Relocated> {
        let off = wide(record, OFF);
        let is_ordinary = row.is_transfer()
            && spec.addr == Wide::Memory(Size::Len)
            && flags & (SQE_BUFFER_SELECT | SQE_FIXED_FILE | SQE_DRAIN) == 0
            && (off == 0 || spec.off == Wide::Scalar)
            && u64::from(record[11]) | wide(record, ADDR3) == 0;
        if !is_ordinary {
            return None;
        }
        let address = self.arenas.locate(record[ADDR + 1], record[ADDR], record[6])?;
        let arena = arena_index(record[ADDR + 1]);
        let (entry, user_data) = self.in_flight.insert(record[8], record[9]).ok()?;
        entry.holds = true;
        entry.pins[0] = arena;
        self.arenas.pin(arena);
        let (opcode, buffer_index) = match spec.fixed_form {
            Some(fixed) if self.arenas.is_registered(arena) => (fixed, arena),
            _ => (spec.opcode, 0),
        };
        let head = pair(record[0] & !0xff | u32::from(opcode), record[1]);
        let buffers = u64::from(record[10] | u32::from(buffer_index));
        Some(Relocated {
            head,
            off,
            address: address.get(),
            user_data,
            buffers,
            addr3: 0,
        })
    }

    #[inline(never)]
    fn relocate_names(
        &mut self,
        spec: &OpSpec,
        record: &Words,
        flags: u32,
        supported: &[bool; 256],
    ) -> Result<Relocated, Reject> {
        let named = self.resolve(spec, record, flags)?;
        let (head, buffer_index) = fixed_form(spec, record, &named.addr, supported);
        let group = selected_group(record, flags)?;
        let pins = [named.addr.pin, named.off.pin, named.addr3.pin];
        let bundles = group != NO_GROUP && record[0] >> 16 & u32::from(ops::BUNDLE) != 0;
        let (user_data, effect) = self.enter(
            record,
            pins,
            (group, bundles),
            named.addr.lists,
            |tables, lists| tables.begin_effect(spec, record, named.addr.pin, lists),
        )?;
        let file_index = match effect {
            Effect::Empty(slot) => slot + 1,
            _ => named.file_index,
        };
        let by_index = spec.addr == Wide::RegisteredIndex;
        Ok(Relocated {
            head: pair(head, named.fd),
            off: named.off.value,
            address: if by_index { 0 } else { named.addr.value },
            user_data,
            buffers: pair(record[10] & !0xffff | buffer_index, file_index),
            addr3: named.addr3.value,
        })
    }

    /// Enters an operation into the in-flight table with what it holds; changes nothing if it is refused.
    fn enter(
        &mut self,
        record: &Words,
        pins: [u16; 3],
        (group, bundles): (u16, bool),
        mut lists: Option<Box<Lists>>,
        begin: impl FnOnce(&mut Tables, Option<&mut Lists>) -> Result<Effect, Reject>,
    ) -> Result<(u64, Effect), Reject> {
        let index = record[8];
        let (_, user_data) = self.in_flight.insert(index, record[9])?;
        if group != NO_GROUP
            && let Err(reject) = self.pin_group(group)
        {
            self.in_flight.remove(index);
            return Err(reject);
        }
        let effect = match begin(self, lists.as_deref_mut()) {
            Ok(effect) => effect,
            Err(reject) => {
                self.unpin_group(group);
                self.in_flight.remove(index);
                return Err(reject);
            }
        };
        let named = lists.iter().flat_map(|lists| lists.arenas.iter());
        for arena in pins.iter().filter(|pin| **pin != NO_ARENA).chain(named) {
            self.arenas.pin(*arena);
        }
        if let Some((_, entry)) = self.in_flight.find(user_data) {
            entry.holds = true;
            entry.pins = pins;
            entry.group = group;
            entry.bundles = bundles;
            entry.effect = effect;
            entry.lists = lists;
        }
        self.has_drained |= record[0] >> 8 & SQE_DRAIN != 0;
        Ok((user_data, effect))
    }

    #[cold]
    fn relocate_raw(&mut self, record: &Words) -> Result<Relocated, Reject> {
        let flags = record[0] >> 8 & 0xff;
        if flags & !SQE_ALLOWED != 0 {
            return Err(Reject::BadField);
        }
        if self.entries == Entries::Mixed {
            return Err(Reject::UnknownOperation);
        }
        let fd = if flags & SQE_FIXED_FILE != 0 {
            self.slot(record[1])?
        } else {
            record[1]
        };
        let fields = raw::fields(&self.arenas, record)?;
        let group = selected_group(record, flags)?;
        let (user_data, _) = self.enter(
            record,
            fields.described_in,
            (group, false),
            fields.lists,
            |_, _| Ok(Effect::None),
        )?;
        Ok(Relocated {
            head: pair(record[0], fd),
            off: fields.off,
            address: fields.addr,
            user_data,
            buffers: wide(record, 10),
            addr3: fields.addr3,
        })
    }
}

/// Opcode, flags and priority, and the index of the buffer: memory that is registered makes the operation its fixed form.
fn fixed_form(spec: &OpSpec, record: &Words, addr: &Field, supported: &[bool; 256]) -> (u32, u32) {
    let (head, buffer_index) = (record[0], record[10] & 0xffff);
    let Some(arena) = addr.fixed else {
        return (head, buffer_index);
    };
    let is_list = matches!(spec.addr, Wide::Iovecs | Wide::Message(_));
    let always = matches!(
        spec.addr,
        Wide::RegisteredMemory | Wide::RegisteredIovecs | Wide::RegisteredIndex
    );
    match spec.fixed_form {
        Some(opcode) if supported[usize::from(opcode)] => {
            (head & !0xff | u32::from(opcode), u32::from(arena))
        }
        // Lists in registered memory came with READV_FIXED (6.15) everywhere; there is no probe for this.
        None if spec.fixed_flag != 0 && (!is_list || supported[usize::from(ops::READV_FIXED)]) => {
            (head | u32::from(spec.fixed_flag) << 16, u32::from(arena))
        }
        _ if always => (head, u32::from(arena)),
        _ => (head, buffer_index),
    }
}

/// The group that the operation takes buffers from, if it does.
fn selected_group(record: &Words, flags: u32) -> Result<u16, Reject> {
    match (flags & SQE_BUFFER_SELECT != 0, record[10] as u16) {
        (false, _) => Ok(NO_GROUP),
        // It would count as none, and nothing would be pinned.
        (true, NO_GROUP) => Err(Reject::UnknownBufferGroup),
        (true, group) => Ok(group),
    }
}

#[cold]
fn not_supported(opcode: u8) -> Reject {
    if ops::spec(opcode).is_some() {
        Reject::UnsupportedOperation
    } else {
        Reject::UnknownOperation
    }
}

/// Only bits that the operation defines; everything the table does not mention must be zero.
#[inline]
fn check_bits(spec: &OpSpec, record: &Words, flags: u32) -> Result<(), Reject> {
    let ioprio = record[0] >> 16;
    let last = if spec.fd == Fd::Ring {
        0
    } else {
        record[TOKEN] | record[TOKEN + 1]
    };
    let unused = flags & !SQE_ALLOWED
        | ioprio & !u32::from(spec.ioprio)
        | record[6] & !spec.len
        | record[7] & !spec.op_flags
        | last;
    let takes_slot = matches!(spec.fd, Fd::File | Fd::Slot) && spec.file_index != FileIndex::Close;
    let file_flag = flags & SQE_FIXED_FILE != 0 && !takes_slot;
    let selects = flags & SQE_BUFFER_SELECT != 0;
    let buffer_flag = match spec.buffer_select {
        BufferSelect::No => selects,
        BufferSelect::May => false,
        BufferSelect::Must => !selects,
    };
    let has_group = selects || spec.group_effect != GroupEffect::None;
    let buffer_index = !has_group && record[10] & 0xffff != 0;
    if unused != 0 || file_flag || buffer_flag || buffer_index {
        Err(Reject::BadField)
    } else {
        Ok(())
    }
}
