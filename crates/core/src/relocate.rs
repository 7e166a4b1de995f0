//! From the record that JavaScript wrote to the SQE that the kernel gets: handles become addresses, and what
//! the operation names is pinned until its last completion. Only what the table of operations allows passes.

use crate::arenas::{Arenas, Range, arena_index};
use crate::bufring::BufferGroups;
use crate::files::FileTable;
use crate::inflight::{FileEffect, Held, InFlight, NO_ARENA, NO_GROUP, Vectors};
use crate::ops::{self, Fd, FileIndex, OpSpec, ResultKind, Size, Wide};
use crate::reject::Reject;
use crate::shared::{CompletionRecord, EXTRA_IS_FD, RECORD_WORDS};
use io_uring::cqueue;

/// IOSQE_* (io_uring_enter(2)). CQE_SKIP_SUCCESS is not allowed: without a completion the
/// in-flight entry and its pins would never be freed.
pub const SQE_FIXED_FILE: u32 = 1 << 0;
pub const SQE_LINK: u32 = 1 << 2;
pub const SQE_HARDLINK: u32 = 1 << 3;
pub const SQE_BUFFER_SELECT: u32 = 1 << 5;
const SQE_ALLOWED: u32 = 0b0011_1111;

/// IORING_FILE_INDEX_ALLOC.
const FILE_INDEX_ALLOC: u32 = u32::MAX;
/// IOV_MAX, UIO_MAXIOV in the kernel.
const IOVECS_MAX: u32 = 1024;

pub type Words = [u32; RECORD_WORDS];

/// Everything an operation can name.
#[derive(Default)]
pub struct Tables {
    pub arenas: Arenas,
    pub files: Option<FileTable>,
    pub groups: BufferGroups,
    pub in_flight: InFlight,
}

/// The `addr` field after relocation.
struct Address {
    value: u64,
    pin: u16,
    /// The opcode and buffer index to use instead, when the memory is registered.
    fixed: Option<(u8, u16)>,
    vectors: Option<Box<Vectors>>,
}

impl Address {
    fn plain(value: u64) -> Address {
        Address {
            value,
            pin: NO_ARENA,
            fixed: None,
            vectors: None,
        }
    }

    fn memory(range: Range) -> Address {
        Address {
            value: range.address,
            pin: range.arena,
            fixed: None,
            vectors: None,
        }
    }
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
}

impl Relocated {
    /// The 64 bytes for the kernel.
    #[inline(always)]
    pub fn lanes(&self, record: &Words) -> [u64; 8] {
        // The last two are refused unless they are zero (`check_bits`).
        [
            self.head,
            self.off,
            self.address,
            wide(record, 6),
            self.user_data,
            self.buffers,
            0,
            0,
        ]
    }
}

fn pair(low: u32, high: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn wide(words: &Words, at: usize) -> u64 {
    pair(words[at], words[at + 1])
}

fn set_wide(words: &mut Words, at: usize, value: u64) {
    words[at] = value as u32;
    words[at + 1] = (value >> 32) as u32;
}

const OFF: usize = 2;
const ADDR: usize = 4;

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
        let spec = ops::spec(opcode).ok_or(Reject::UnknownOperation)?;
        if !supported[usize::from(opcode)] {
            return Err(Reject::UnsupportedOperation);
        }
        let flags = record[0] >> 8 & 0xff;
        check_bits(spec, record, flags)?;
        if !spec.names_nothing() {
            return match self.relocate_transfer(spec, record, flags) {
                Some(relocated) => Ok(relocated),
                None => self.relocate_names(spec, record, flags),
            };
        }
        if wide(record, OFF) | wide(record, ADDR) | u64::from(record[11]) != 0
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
        })
    }

    /// The short way of what is done most: bytes between a descriptor and one range of memory. Whatever is out of the
    /// ordinary, or wrong, is left to `relocate_names`.
    #[inline]
    fn relocate_transfer(&mut self, spec: &OpSpec, record: &Words, flags: u32) -> Option<Relocated> {
        let off = wide(record, OFF);
        let is_ordinary = matches!(spec.addr, Wide::Memory(Size::Len))
            && flags & (SQE_BUFFER_SELECT | SQE_FIXED_FILE) == 0
            && (off == 0 || spec.off == Wide::Scalar)
            && record[11] == 0;
        if !is_ordinary {
            return None;
        }
        let address = self.arenas.locate(record[ADDR + 1], record[ADDR], record[6])?;
        let arena = arena_index(record[ADDR + 1]);
        let (entry, user_data) = self.in_flight.insert(record[8], record[9]).ok()?;
        entry.holds = true;
        entry.pins = [arena, NO_ARENA];
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
        })
    }

    #[inline(never)]
    fn relocate_names(&mut self, spec: &OpSpec, record: &Words, flags: u32) -> Result<Relocated, Reject> {
        let fd = self.fd(spec, record, flags)?;
        let (off, off_pin) = self.off(spec, record)?;
        let selects = flags & SQE_BUFFER_SELECT != 0;
        let group = if selects { record[10] as u16 } else { NO_GROUP };
        let address = self.address(spec, record, flags)?;
        let (opcode, buffer_index) = match address.fixed {
            Some((opcode, index)) => (opcode, u32::from(index)),
            None => (record[0] as u8, record[10] & 0xffff),
        };
        let (file_index, file) = self.begin_file_effect(spec, record[11])?;
        if selects && let Err(reject) = self.groups.pin(group) {
            self.end_file_effect(file, false, 0);
            return Err(reject);
        }
        let index = record[8];
        let user_data = match self.in_flight.insert(index, record[9]) {
            Ok((entry, user_data)) => {
                entry.holds = true;
                entry.pins = [address.pin, off_pin];
                entry.group = group;
                entry.file = file;
                entry.vectors = address.vectors;
                user_data
            }
            Err(reject) => {
                if selects {
                    self.groups.unpin(group);
                }
                self.end_file_effect(file, false, 0);
                return Err(reject);
            }
        };
        for pin in [address.pin, off_pin] {
            if pin != NO_ARENA {
                self.arenas.pin(pin);
            }
        }
        if spec.addr == Wide::Iovecs {
            self.pin_vectors(index);
        }
        let head = pair(record[0] & !0xff | u32::from(opcode), fd);
        let buffers = pair(record[10] & !0xffff | buffer_index, file_index);
        Ok(Relocated {
            head,
            off,
            address: address.value,
            user_data,
            buffers,
        })
    }

    fn pin_vectors(&mut self, index: u32) {
        if let Some(vectors) = self.in_flight.vectors(index) {
            for arena in &vectors.arenas {
                self.arenas.pin(*arena);
            }
        }
    }

    fn fd(&self, spec: &OpSpec, record: &Words, flags: u32) -> Result<u32, Reject> {
        let fixed = match spec.fd {
            Fd::File => flags & SQE_FIXED_FILE != 0,
            Fd::CancelKey => record[7] & ops::CANCEL_FD_FIXED != 0,
            Fd::None | Fd::Directory => false,
        };
        if fixed {
            return self.files.as_ref().ok_or(Reject::StaleFile)?.resolve(record[1]);
        }
        let unused = spec.fd == Fd::None && !matches!(record[1], 0 | u32::MAX);
        if unused {
            Err(Reject::BadField)
        } else {
            Ok(record[1])
        }
    }

    fn off(&self, spec: &OpSpec, record: &Words) -> Result<(u64, u16), Reject> {
        match spec.off {
            Wide::Scalar => Ok((wide(record, OFF), NO_ARENA)),
            Wide::Memory(Size::Const(size_bytes)) => {
                let range = self.arenas.resolve(record[OFF + 1], record[OFF], size_bytes)?;
                Ok((range.address, range.arena))
            }
            // No operation has any other kind of memory here.
            _ if wide(record, OFF) == 0 => Ok((0, NO_ARENA)),
            _ => Err(Reject::BadField),
        }
    }

    fn address(&self, spec: &OpSpec, record: &Words, flags: u32) -> Result<Address, Reject> {
        let (offset, handle, len) = (record[ADDR], record[ADDR + 1], record[6]);
        let nothing = wide(record, ADDR) == 0;
        if flags & SQE_BUFFER_SELECT != 0 {
            return if nothing {
                Ok(Address::plain(0))
            } else {
                Err(Reject::BadField)
            };
        }
        match spec.addr {
            Wide::Scalar => Ok(Address::plain(wide(record, ADDR))),
            Wide::Zero if nothing => Ok(Address::plain(0)),
            Wide::Zero => Err(Reject::BadField),
            // An empty datagram names no memory.
            Wide::Memory(Size::Len) if len == 0 && nothing => Ok(Address::plain(0)),
            Wide::Memory(size) => {
                let size_bytes = if let Size::Const(bytes) = size { bytes } else { len };
                let range = self.arenas.resolve(handle, offset, size_bytes)?;
                let mut address = Address::memory(range);
                address.fixed = spec
                    .fixed_form
                    .filter(|_| range.registered)
                    .map(|opcode| (opcode, range.arena));
                Ok(address)
            }
            Wide::RegisteredMemory => {
                let range = self.arenas.resolve(handle, offset, len)?;
                if !range.registered {
                    return Err(Reject::NotRegistered);
                }
                let mut address = Address::memory(range);
                address.fixed = Some((spec.opcode, range.arena));
                Ok(address)
            }
            // The mapping's guard page ends the string at the latest (memory.rs).
            Wide::Path => Ok(Address::memory(self.arenas.resolve(handle, offset, 1)?)),
            Wide::Iovecs => self.iovecs(handle, offset, len),
            Wide::Target => self.target(record),
        }
    }

    fn target(&self, record: &Words) -> Result<Address, Reject> {
        let by_other_key = record[7] & (ops::CANCEL_FD | ops::CANCEL_ANY | ops::CANCEL_OP) != 0;
        match (by_other_key, wide(record, ADDR)) {
            (true, 0) => Ok(Address::plain(0)),
            (true, _) => Err(Reject::BadField),
            (false, _) => Ok(Address::plain(
                self.in_flight.target(record[ADDR], record[ADDR + 1]),
            )),
        }
    }

    /// Reads `count` entries {offset, handle, length, 0} of 4 words each and builds the kernel's list from them,
    /// in memory that JavaScript never sees.
    fn iovecs(&self, handle: u32, offset: u32, count: u32) -> Result<Address, Reject> {
        if count == 0 || count > IOVECS_MAX {
            return Err(Reject::BadField);
        }
        let list = self.arenas.resolve(handle, offset, count * 16)?;
        let mut vectors = Box::new(Vectors {
            iovecs: Vec::new(),
            arenas: Vec::new(),
        });
        for at in 0..u64::from(count) {
            // SAFETY: `list` covers `count` entries of 16 bytes in a live arena. Volatile, so that what is checked is
            // what is used: another operation may be writing there.
            let bytes = unsafe { ((list.address + at * 16) as *const [u8; 16]).read_volatile() };
            let word =
                |at: usize| u32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
            let (offset, handle, length) = (word(0), word(4), word(8));
            let range = self.arenas.resolve(handle, offset, length)?;
            vectors.iovecs.push(libc::iovec {
                iov_base: range.address as *mut _,
                iov_len: length as usize,
            });
            vectors.arenas.push(range.arena);
        }
        let value = vectors.iovecs.as_ptr() as u64;
        Ok(Address {
            value,
            pin: list.arena,
            fixed: None,
            vectors: Some(vectors),
        })
    }

    fn begin_file_effect(&mut self, spec: &OpSpec, file_index: u32) -> Result<(u32, FileEffect), Reject> {
        match (spec.file_index, file_index) {
            (_, 0) if spec.result == ResultKind::Descriptor => Ok((0, FileEffect::Descriptor)),
            (_, 0) => Ok((0, FileEffect::None)),
            (FileIndex::Zero, _) => Err(Reject::BadField),
            (FileIndex::Destination, FILE_INDEX_ALLOC) => {
                self.files.as_ref().ok_or(Reject::SlotUnavailable)?;
                Ok((FILE_INDEX_ALLOC, FileEffect::FillAny))
            }
            (FileIndex::Destination, _) => {
                let slot = file_index - 1;
                self.files
                    .as_mut()
                    .ok_or(Reject::SlotUnavailable)?
                    .begin_fill(slot)?;
                Ok((file_index, FileEffect::Fill(slot)))
            }
            (FileIndex::Close, _) => {
                let slot = self
                    .files
                    .as_mut()
                    .ok_or(Reject::StaleFile)?
                    .begin_empty(file_index - 1)?;
                Ok((slot + 1, FileEffect::Empty(slot)))
            }
        }
    }

    /// What a completion does to the files table; answers the completion's `extra`.
    fn end_file_effect(&mut self, effect: FileEffect, succeeded: bool, res: i32) -> u32 {
        match (effect, &mut self.files) {
            (FileEffect::Descriptor, _) if succeeded => EXTRA_IS_FD,
            (FileEffect::Fill(slot), Some(files)) => files.end_fill(slot, succeeded) >> 20,
            (FileEffect::FillAny, Some(files)) if succeeded => files.filled_by_kernel(res as u32) >> 20,
            (FileEffect::Empty(slot), Some(files)) => {
                files.end_empty(slot, succeeded);
                0
            }
            _ => 0,
        }
    }

    /// Takes back what `admit` did, for a record that will not be given to the kernel after all.
    pub fn retract(&mut self, user_data: u64) {
        if let Some((index, entry)) = self.in_flight.find(user_data) {
            let file = entry.file;
            self.end_file_effect(file, false, 0);
            if let Some(held) = self.in_flight.remove(index) {
                self.release(held);
            }
        }
    }

    /// What a completion of the kernel means to JavaScript; nothing if it belongs to no operation in flight.
    #[inline]
    pub fn complete(&mut self, user_data: u64, res: i32, flags: u32) -> Option<CompletionRecord> {
        let (index, entry) = self.in_flight.find(user_data)?;
        let mut extra = 0;
        if entry.holds {
            let (file, group) = (entry.file, entry.group);
            if file != FileEffect::None {
                extra = self.end_file_effect(file, res >= 0, res);
            }
            if let Some(id) = cqueue::buffer_select(flags) {
                self.groups.lend(group, id);
            }
        }
        if !cqueue::more(flags)
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

    #[inline]
    fn release(&mut self, held: Held) {
        for pin in held.pins {
            if pin != NO_ARENA {
                self.arenas.unpin(pin);
            }
        }
        if held.group != NO_GROUP {
            self.groups.unpin(held.group);
        }
        if let Some(vectors) = held.vectors {
            for arena in vectors.arenas {
                self.arenas.unpin(arena);
            }
        }
    }
}

/// Only bits that the operation defines; everything the table does not mention must be zero.
#[inline]
fn check_bits(spec: &OpSpec, record: &Words, flags: u32) -> Result<(), Reject> {
    let ioprio = record[0] >> 16;
    let unused = flags & !SQE_ALLOWED
        | ioprio & !u32::from(spec.ioprio)
        | record[6] & !spec.len
        | record[7] & !spec.op_flags
        | record[12]
        | record[13]
        | record[14]
        | record[15];
    let file_flag =
        flags & SQE_FIXED_FILE != 0 && (spec.fd != Fd::File || spec.file_index == FileIndex::Close);
    let buffer_flag = flags & SQE_BUFFER_SELECT != 0 && !spec.buffer_select;
    let buffer_index = flags & SQE_BUFFER_SELECT == 0 && record[10] & 0xffff != 0;
    if unused != 0 || file_flag || buffer_flag || buffer_index {
        Err(Reject::BadField)
    } else {
        Ok(())
    }
}
