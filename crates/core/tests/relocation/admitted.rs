//! What the kernel would use of an admitted record: every address in it, and in every list that was built for it.

use crate::common::{
    ADDR, ADDR3, BUFFER_SELECT, BUFFERS, FD, FILE_INDEX, FIXED_FILE, Fixture, HEAD, INDEX, KERNELS, LEN, OFF,
    OP_FLAGS, OURS, user_data, wide,
};
use proptest::prelude::*;
use std::os::fd::AsRawFd;
use uring_core::inflight::{Event, NO_TARGET};
use uring_core::ops::{self, Fd, FileIndex, OpSpec, SPLICE_F_FD_IN_FIXED, Size, Way, Wide};
use uring_core::raw::could_be_address;
use uring_core::relocate::Words;

/// Ranges of JavaScript's memory (address, bytes).
pub type Ranges = Vec<(u64, u64)>;

/// struct futex_waitv.
const FUTEX_WAIT_BYTES: usize = 24;
/// IORING_RECVSEND_FIXED_BUF in the first word.
const FIXED_BUF: u32 = 1 << 18;

/// The range lies inside one arena that JavaScript can name.
pub fn is_inside(fixture: &Fixture, (address, bytes): (u64, u64)) -> bool {
    fixture.mappings().any(|mapping| {
        let start = mapping.start() as u64;
        let end = address.checked_add(bytes);
        address >= start && end.is_some_and(|end| end <= start + mapping.size_bytes() as u64)
    })
}

/// Rust's own memory of so many entries: not a byte of it is in JavaScript's.
fn private<T: Copy>(fixture: &Fixture, address: u64, count: usize) -> Result<Vec<T>, TestCaseError> {
    let bytes = (count * size_of::<T>()) as u64;
    let touches = fixture.mappings().any(|mapping| {
        let start = mapping.start() as u64;
        address < start + mapping.size_bytes() as u64 && start < address + bytes.max(1)
    });
    prop_assert!(!touches, "a list lies in JavaScript's memory");
    // SAFETY: the record has just been admitted, so what was built for it is alive; an empty list is not read.
    Ok((0..count)
        .map(|at| unsafe { (address as *const T).add(at).read() })
        .collect())
}

fn iovecs(fixture: &Fixture, address: u64, count: usize) -> Result<Ranges, TestCaseError> {
    let entries: Vec<libc::iovec> = private(fixture, address, count)?;
    Ok(entries
        .iter()
        .map(|entry| (entry.iov_base as u64, entry.iov_len as u64))
        .collect())
}

fn message(fixture: &Fixture, way: Way, address: u64) -> Result<Ranges, TestCaseError> {
    let header = private::<libc::msghdr>(fixture, address, 1)?[0];
    let mut ranges = iovecs(fixture, header.msg_iov as u64, header.msg_iovlen)?;
    for (start, bytes) in [
        (header.msg_name as u64, u64::from(header.msg_namelen)),
        (header.msg_control as u64, header.msg_controllen as u64),
    ] {
        prop_assert_eq!(start == 0, bytes == 0);
        let is_copied = way == Way::Send && start == header.msg_control as u64;
        if start != 0 && is_copied {
            check_control(&private(fixture, start, bytes as usize)?)?;
        } else if start != 0 {
            ranges.push((start, bytes));
        }
    }
    prop_assert_eq!(header.msg_flags, 0);
    Ok(ranges)
}

/// Every control message to send is of a level that is known to hold no address.
fn check_control(data: &[u8]) -> Result<(), TestCaseError> {
    let mut rest = data;
    while rest.len() >= 16 {
        let length = u64::from_ne_bytes(rest[..8].try_into().unwrap());
        let level = i32::from_ne_bytes(rest[8..12].try_into().unwrap());
        prop_assert!((16..=rest.len() as u64).contains(&length));
        prop_assert!(
            matches!(level, 0 | 1 | 17 | 41 | 132 | 279 | 282),
            "level {}",
            level
        );
        rest = rest
            .get((length as usize).next_multiple_of(8)..)
            .unwrap_or_default();
    }
    Ok(())
}

fn futexes(fixture: &Fixture, address: u64, count: usize) -> Result<Ranges, TestCaseError> {
    let entries: Vec<[u64; FUTEX_WAIT_BYTES / 8]> = private(fixture, address, count)?;
    for [_, _, flags] in &entries {
        // FUTEX2_SIZE_U32, with or without FUTEX2_PRIVATE; the reserved half is 0.
        prop_assert!(matches!(flags, 2 | 130));
    }
    Ok(entries.iter().map(|[_, address, _]| (*address, 4)).collect())
}

/// Bytes that the kernel uses at a field of this size.
fn bytes_of(size: Size, record: &Words) -> u64 {
    let [fd, off, len, index] = [FD, OFF, LEN, FILE_INDEX].map(|at| u64::from(record[at]));
    match size {
        Size::Len => len,
        Size::Const(bytes) => u64::from(bytes),
        Size::Off => off,
        Size::AddressLength => index & 0xffff,
        Size::OptionLength => index,
        Size::Buffers => fd * len,
        Size::EpollEvents => len * size_of::<libc::epoll_event>() as u64,
    }
}

/// Checks one of the wide fields; answers what it leads to.
fn field(
    fixture: &Fixture,
    spec: &OpSpec,
    kind: Wide,
    at: usize,
    (record, words): (&Words, &Words),
) -> Result<Ranges, TestCaseError> {
    let (wrote, got) = (wide(record, at), wide(words, at));
    let count = record[LEN] as usize;
    let selects = record[HEAD] & BUFFER_SELECT != 0;
    Ok(match kind {
        Wide::Scalar => {
            prop_assert_eq!(got, wrote);
            vec![]
        }
        Wide::Zero | Wide::RegisteredIndex => {
            prop_assert_eq!(got, 0);
            vec![]
        }
        Wide::Memory(Size::Len) if selects => {
            prop_assert_eq!(got, 0);
            vec![]
        }
        Wide::Memory(Size::Len) if got == 0 => {
            prop_assert_eq!(count, 0);
            vec![]
        }
        Wide::Optional(_) if got == 0 => {
            prop_assert_eq!(wrote, 0);
            vec![]
        }
        Wide::Memory(size) | Wide::Optional(size) => vec![(got, bytes_of(size, record))],
        Wide::RegisteredMemory => vec![(got, bytes_of(Size::Len, record))],
        Wide::Path => vec![(got, 1)],
        Wide::Iovecs | Wide::RegisteredIovecs => iovecs(fixture, got, count)?,
        Wide::Message(way) => message(fixture, way, got)?,
        Wide::Futexes => futexes(fixture, got, count)?,
        Wide::Descriptors => {
            let count = if spec.file_index == FileIndex::Pair {
                2
            } else {
                count
            };
            private::<i32>(fixture, got, count)?;
            vec![]
        }
        // Nothing that is in flight has the sequence number of a record made here.
        Wide::Target => {
            prop_assert_eq!(got, NO_TARGET);
            vec![]
        }
        Wide::Slot => {
            prop_assert!(got < u64::from(OURS + KERNELS));
            vec![]
        }
        Wide::Message53 => {
            let event = Event::of(got);
            prop_assert!(
                matches!(event, Some(Event::Message(number)) if number == wrote)
                    || matches!(event, Some(Event::Parcel(number)) if number | 1 << 63 == wrote)
                    || matches!(event, Some(Event::FileMessage(number, _)) if u64::from(number) == wrote)
            );
            vec![]
        }
    })
}

/// Blocks of a raw record, in which nothing is an address.
fn raw(fixture: &Fixture, record: &Words, words: &Words) -> Result<Ranges, TestCaseError> {
    for (place, at) in [OFF, ADDR, ADDR3].into_iter().enumerate() {
        if record[14] >> (2 * place) & 1 == 0 {
            prop_assert_eq!(wide(words, at), wide(record, at));
            prop_assert!(!could_be_address(wide(words, at)));
        } else {
            // Rounded up to words, as it is made; one at least.
            let block: Vec<u64> = private(fixture, wide(words, at), 1)?;
            prop_assert!(!block.into_iter().any(could_be_address));
        }
    }
    prop_assert_eq!(words[14..].to_vec(), vec![0; 2]);
    Ok(vec![])
}

/// Every pointer of an admitted record lies inside live memory, and everything else is what JavaScript wrote.
pub fn check(fixture: &Fixture, record: &Words, words: &Words) -> Result<Ranges, TestCaseError> {
    prop_assert_eq!(user_data(words) as u32, record[INDEX]);
    prop_assert_eq!(words[LEN..INDEX].to_vec(), record[LEN..INDEX].to_vec());
    prop_assert_eq!(words[BUFFERS] >> 16, record[BUFFERS] >> 16);
    let Some(row) = ops::spec(record[HEAD] as u8) else {
        return raw(fixture, record, words);
    };
    let spec = row.form(record).unwrap();
    let opcode = words[HEAD] as u8;
    prop_assert!(opcode == spec.opcode || Some(opcode) == spec.fixed_form);
    let fixed = if spec.fixed_flag == 0 { 0 } else { FIXED_BUF };
    prop_assert_eq!((words[HEAD] & !fixed) >> 8, record[HEAD] >> 8);
    prop_assert_eq!(words[14..].to_vec(), vec![0; 2]);
    let mut ranges = Vec::new();
    for (at, kind) in [(OFF, spec.off), (ADDR, spec.addr), (ADDR3, spec.addr3)] {
        ranges.extend(field(fixture, spec, kind, at, (record, words))?);
    }
    for range in &ranges {
        prop_assert!(
            is_inside(fixture, *range),
            "{}: {range:x?} is nobody's",
            spec.name
        );
    }
    let is_slot = match spec.fd {
        Fd::ByFlag(bit) => record[OP_FLAGS] & bit != 0,
        _ => record[HEAD] & FIXED_FILE != 0,
    };
    let fd_is_good = if is_slot {
        words[FD] < OURS + KERNELS
    } else if spec.fd == Fd::Ring {
        words[FD] == fixture.target.as_raw_fd() as u32
    } else {
        words[FD] == record[FD]
    };
    prop_assert!(fd_is_good, "{} {:#x}", spec.name, words[FD]);
    match spec.file_index {
        FileIndex::Scalar(bits) => {
            prop_assert_eq!(words[FILE_INDEX], record[FILE_INDEX] & bits);
        }
        FileIndex::Source if record[OP_FLAGS] & SPLICE_F_FD_IN_FIXED == 0 => {
            prop_assert_eq!(words[FILE_INDEX], record[FILE_INDEX]);
        }
        FileIndex::Source => prop_assert!(words[FILE_INDEX] < OURS + KERNELS),
        FileIndex::Pair => prop_assert!(words[FILE_INDEX] < OURS || words[FILE_INDEX] == u32::MAX),
        FileIndex::Destination | FileIndex::Close => {
            prop_assert!(words[FILE_INDEX] <= OURS + KERNELS || words[FILE_INDEX] == u32::MAX);
        }
    }
    Ok(ranges)
}
