//! What the fields of a record name: handles become addresses, slots and targets. Changes nothing.

use crate::arenas::Range;
use crate::inflight::{Event, NO_ARENA};
use crate::lists::{self, Built, Lists};
use crate::live;
use crate::ops::{self, Fd, FileIndex, Multishot, OpSpec, Size, Way, Wide};
use crate::reject::Reject;
use crate::relocate::{
    ADDR, ADDR3, Entries, FILE_INDEX_ALLOC, OFF, SQE_BUFFER_SELECT, SQE_DRAIN, SQE_FIXED_FILE, TOKEN, Tables,
    Words, wide,
};
use std::os::fd::AsRawFd;

/// In a message's number: it is a parcel's.
const PARCEL: u64 = 1 << 63;

/// One of the wide fields after relocation.
pub(crate) struct Field {
    pub(crate) value: u64,
    pub(crate) pin: u16,
    /// The registered arena that it lies in.
    pub(crate) fixed: Option<u16>,
    pub(crate) lists: Option<Box<Lists>>,
}

impl Field {
    fn plain(value: u64) -> Field {
        Field {
            value,
            pin: NO_ARENA,
            fixed: None,
            lists: None,
        }
    }

    fn memory(range: Range) -> Field {
        Field {
            value: range.address,
            pin: range.arena,
            fixed: range.registered.then_some(range.arena),
            lists: None,
        }
    }

    fn built(built: Built) -> Field {
        Field {
            value: built.address,
            pin: built.described_in,
            fixed: built.fixed,
            lists: Some(built.lists),
        }
    }

    fn insist_on_registered(self) -> Result<Field, Reject> {
        if self.fixed.is_some() {
            Ok(self)
        } else {
            Err(Reject::NotRegistered)
        }
    }
}

impl Tables {
    /// What the fields of a record name. Changes nothing.
    pub(crate) fn resolve(&self, spec: &OpSpec, record: &Words, flags: u32) -> Result<Named, Reject> {
        if spec.large && self.entries != Entries::Large {
            return Err(Reject::NeedsLargeEntry);
        }
        // While the kernel defers, a send waits for the request of its own notification, which is made before the send
        // starts (io_uring/net.c, io_send_zc_prep): it never starts, and nothing cancels it (docs/measured.md).
        if spec.notifies && (self.has_drained || flags & SQE_DRAIN != 0) {
            return Err(Reject::AfterDrain);
        }
        if spec.check.is_some_and(|check| !check(record)) {
            return Err(Reject::BadField);
        }
        let mut fd = self.fd(spec, record, flags)?;
        let off = self.field(spec, spec.off, record, OFF, flags)?;
        let mut addr = self.field(spec, spec.addr, record, ADDR, flags)?;
        let addr3 = self.field(spec, spec.addr3, record, ADDR3, flags)?;
        if spec.opcode == ops::MADVISE
            && ops::drops_pages(record)
            && self.arenas.has_registered_pages(addr.pin)
        {
            return Err(Reject::Registered);
        }
        let file_index = self.file_index(spec, record)?;
        if spec.fd == Fd::Ring {
            let ring = live::find(wide(record, TOKEN)).ok_or(Reject::StaleRing)?;
            fd = ring.as_raw_fd() as u32;
            addr.lists = Some(Lists::of_ring(ring));
        }
        Ok(Named {
            fd,
            off,
            addr,
            addr3,
            file_index,
        })
    }

    pub(crate) fn slot(&self, handle: u32) -> Result<u32, Reject> {
        self.files.as_ref().ok_or(Reject::StaleFile)?.resolve(handle)
    }

    fn fd(&self, spec: &OpSpec, record: &Words, flags: u32) -> Result<u32, Reject> {
        let is_slot = match spec.fd {
            Fd::File => flags & SQE_FIXED_FILE != 0,
            Fd::Slot if flags & SQE_FIXED_FILE == 0 => return Err(Reject::BadField),
            Fd::Slot => true,
            Fd::ByFlag(bit) => record[7] & bit != 0,
            Fd::None | Fd::Descriptor | Fd::Number | Fd::Ring => false,
        };
        if is_slot {
            return self.slot(record[1]);
        }
        if matches!(spec.fd, Fd::None | Fd::Ring) && !matches!(record[1], 0 | u32::MAX) {
            Err(Reject::BadField)
        } else {
            Ok(record[1])
        }
    }

    fn file_index(&self, spec: &OpSpec, record: &Words) -> Result<u32, Reject> {
        match spec.file_index {
            FileIndex::Scalar(bits) if record[11] & !bits != 0 => Err(Reject::BadField),
            FileIndex::Source if record[7] & ops::SPLICE_F_FD_IN_FIXED != 0 => self.slot(record[11]),
            _ => Ok(record[11]),
        }
    }

    /// One of the wide fields; `at` is its place in the record.
    fn field(
        &self,
        spec: &OpSpec,
        kind: Wide,
        record: &Words,
        at: usize,
        flags: u32,
    ) -> Result<Field, Reject> {
        let (low, high, is_nothing) = (record[at], record[at + 1], wide(record, at) == 0);
        let selects = flags & SQE_BUFFER_SELECT != 0;
        let place = (high, low);
        let memory = |size: Size| {
            let size_bytes = size_of(size, record)?;
            self.arenas.resolve(high, low, size_bytes).map(Field::memory)
        };
        match kind {
            Wide::Scalar => Ok(Field::plain(wide(record, at))),
            Wide::Zero | Wide::Optional(_) if is_nothing => Ok(Field::plain(0)),
            Wide::Zero => Err(Reject::BadField),
            // The kernel takes the memory from the group.
            Wide::Memory(Size::Len) if selects && at == ADDR && is_nothing => Ok(Field::plain(0)),
            Wide::Memory(Size::Len) if selects && at == ADDR => Err(Reject::BadField),
            // An empty datagram names no memory.
            Wide::Memory(Size::Len) if record[6] == 0 && is_nothing && spec.check.is_none() => {
                Ok(Field::plain(0))
            }
            Wide::Memory(size) | Wide::Optional(size) => memory(size),
            Wide::RegisteredMemory => memory(Size::Len)?.insist_on_registered(),
            Wide::RegisteredIndex => memory(Size::Const(0))?.insist_on_registered(),
            // The mapping's guard page ends the string at the latest (memory.rs).
            Wide::Path => memory(Size::Const(1)),
            Wide::Iovecs => lists::iovecs(&self.arenas, place, record[6]).map(Field::built),
            Wide::RegisteredIovecs => lists::iovecs(&self.arenas, place, record[6])
                .map(Field::built)?
                .insist_on_registered(),
            Wide::Message(way) => {
                let repeats =
                    matches!(spec.multishot, Multishot::Ioprio(bit) if record[0] >> 16 & u32::from(bit) != 0);
                let answers = way == Way::Receive && !repeats;
                lists::message(&self.arenas, place, way, selects, answers).map(Field::built)
            }
            Wide::Futexes => lists::futexes(&self.arenas, place, record[6]).map(Field::built),
            Wide::Descriptors => {
                let count = if spec.file_index == FileIndex::Pair {
                    2
                } else {
                    record[6]
                };
                lists::descriptors(&self.arenas, place, count).map(Field::built)
            }
            Wide::Target => self.target(spec, record).map(Field::plain),
            Wide::Slot if high == 0 => self.slot(low).map(|slot| Field::plain(u64::from(slot))),
            Wide::Slot => Err(Reject::BadField),
            Wide::Message53 => message_data(spec, record).map(Field::plain),
        }
    }

    fn target(&self, spec: &OpSpec, record: &Words) -> Result<u64, Reject> {
        let other_keys = ops::CANCEL_FD | ops::CANCEL_ANY | ops::CANCEL_OP;
        let by_other_key = spec.opcode == ops::ASYNC_CANCEL && record[7] & other_keys != 0;
        match (by_other_key, wide(record, ADDR)) {
            (true, 0) => Ok(0),
            (true, _) => Err(Reject::BadField),
            (false, _) => Ok(self.in_flight.target(record[ADDR], record[ADDR + 1])),
        }
    }
}

/// What the fields of a record name.
pub(crate) struct Named {
    pub(crate) fd: u32,
    pub(crate) off: Field,
    pub(crate) addr: Field,
    pub(crate) addr3: Field,
    pub(crate) file_index: u32,
}

fn size_of(size: Size, record: &Words) -> Result<u32, Reject> {
    const EPOLL_EVENT_BYTES: u32 = std::mem::size_of::<libc::epoll_event>() as u32;
    let size_bytes = match size {
        Size::Len => Some(record[6]),
        Size::Const(bytes) => Some(bytes),
        Size::Off => Some(record[OFF]).filter(|_| record[OFF + 1] == 0),
        Size::AddressLength => Some(record[11] & 0xffff),
        Size::OptionLength => Some(record[11]),
        Size::Buffers => record[1].checked_mul(record[6]),
        Size::EpollEvents => record[6].checked_mul(EPOLL_EVENT_BYTES),
    };
    size_bytes.ok_or(Reject::BadField)
}

/// The user_data that the other ring will see.
fn message_data(spec: &OpSpec, record: &Words) -> Result<u64, Reject> {
    let number = wide(record, OFF);
    let event = if spec.addr3 == Wide::Slot {
        let number = u32::try_from(number).map_err(|_| Reject::BadField)?;
        let slot = match record[11] {
            FILE_INDEX_ALLOC => None,
            index => Some(index.checked_sub(1).ok_or(Reject::BadField)?),
        };
        Event::FileMessage(number, slot)
    } else if number & PARCEL != 0 {
        Event::Parcel(number & !PARCEL)
    } else {
        Event::Message(number)
    };
    event.user_data().ok_or(Reject::BadField)
}
