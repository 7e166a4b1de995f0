//! The block of memory that JavaScript and Rust share: control words, submission records, completion
//! records, and the list of provided buffers that JavaScript gave back.
//!
//! JavaScript calls Rust and waits, so plain loads and stores are enough for a program that plays by the rules. One
//! that does not (it can detach the block and hand it to another thread) may confuse itself, but nothing that Rust
//! reads here is used unchecked: counts are bounded, and each record is copied before it is checked.

use crate::memory::Mapping;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

pub const RECORD_WORDS: usize = 16;
/// Words of a completion record: index, result, flags, extra.
pub const COMPLETION_WORDS: usize = 4;
/// In a ring whose completions may be large the kernel's two 64-bit words follow.
pub const LARGE_COMPLETION_WORDS: usize = 8;
const CONTROL_WORDS: usize = 64;
/// Provided buffers that can be given back between two native calls; JavaScript flushes at the limit.
pub const RECYCLE_CAPACITY: usize = 4096;

/// Control words, by index. `ts/generated/abi.ts` is written from this list.
#[derive(Clone, Copy)]
#[repr(usize)]
pub enum Word {
    /// Free-running count of submission records taken by Rust.
    SqHead = 0,
    /// Free-running count of submission records written by JavaScript.
    SqTail = 1,
    /// Free-running count of completion records read by JavaScript.
    CqHead = 2,
    /// Free-running count of completion records written by Rust.
    CqTail = 3,
    /// Operations the kernel or Rust still has.
    InFlight = 4,
    /// 1 while the libuv handle keeps the process alive.
    Referenced = 5,
    /// Operations that wait in JavaScript for room in the submission block (not those that wait for others to end).
    Pending = 6,
    /// Entries in the recycle list.
    RecycleCount = 7,
    /// 1 while the kernel holds completions that did not fit into the completion queue.
    Overflowed = 8,
    /// 1 while JavaScript waits for messages of other rings.
    Listening = 9,
    /// 1 while the ring shall not keep the process alive.
    Unref = 10,
    /// Operations in flight, as JavaScript counts, that shall not keep the process alive.
    Unreferenced = 11,
    /// Operations that wait in JavaScript and keep the process alive.
    Waiting = 12,
}

pub const WORDS: [(&str, Word); 13] = [
    ("sqHead", Word::SqHead),
    ("sqTail", Word::SqTail),
    ("cqHead", Word::CqHead),
    ("cqTail", Word::CqTail),
    ("inFlight", Word::InFlight),
    ("referenced", Word::Referenced),
    ("pending", Word::Pending),
    ("recycleCount", Word::RecycleCount),
    ("overflowed", Word::Overflowed),
    ("listening", Word::Listening),
    ("unref", Word::Unref),
    ("unreferenced", Word::Unreferenced),
    ("waiting", Word::Waiting),
];

/// Bits of `extra` in a completion record. Low 16 bits: the generation of a new registered-file slot, or the
/// `Reject` code of an operation that Rust refused.
pub const EXTRA_IS_LOCAL: u32 = 1 << 30;
/// `res` is a new file descriptor; teardown closes those that nobody read.
pub const EXTRA_IS_FD: u32 = 1 << 31;
/// The operation made a pipe; teardown closes both ends of one that nobody read.
pub const EXTRA_IS_PIPE: u32 = 1 << 28;
/// It belongs to no operation: a number from another ring, whose low 32 bits stand in the place of the index and the
/// others in the low 21 of `extra`.
pub const EXTRA_IS_EVENT: u32 = 1 << 29;
/// That ring has put a file into the slot in `res`, whose generation stands in the low 16 bits.
pub const EXTRA_IS_FILE_EVENT: u32 = 1 << 27;
/// It is no message but the tag of a resource that the kernel has let go of.
pub const EXTRA_IS_TAG_EVENT: u32 = 1 << 26;
/// It says that a message stands in the port with this number.
pub const EXTRA_IS_PARCEL_EVENT: u32 = 1 << 25;

pub struct Shared {
    mapping: Arc<Mapping>,
    /// Completion records have room for the extra words of large completions.
    is_large: bool,
    sq_mask: u32,
    cq_mask: u32,
    sq_offset: usize,
    cq_offset: usize,
    recycle_offset: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompletionRecord {
    pub index: u32,
    pub res: i32,
    pub flags: u32,
    pub extra: u32,
}

/// A completion record, and what a large completion says besides (IORING_SETUP_CQE32, CQE_MIXED).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LargeRecord {
    pub record: CompletionRecord,
    pub extra: [u64; 2],
}

impl From<CompletionRecord> for LargeRecord {
    fn from(record: CompletionRecord) -> LargeRecord {
        LargeRecord {
            record,
            extra: [0; 2],
        }
    }
}

/// As the block has them.
type RecordWords = [u32; COMPLETION_WORDS];
type LargeRecordWords = (RecordWords, [u64; 2]);

const _: () = assert!(size_of::<LargeRecordWords>() == LARGE_COMPLETION_WORDS * 4);

impl Shared {
    /// Both capacities are powers of two.
    pub fn new(sq_entries: u32, cq_entries: u32, is_large: bool) -> io::Result<Shared> {
        assert!(sq_entries.is_power_of_two() && cq_entries.is_power_of_two());
        let completion_words = if is_large {
            LARGE_COMPLETION_WORDS
        } else {
            COMPLETION_WORDS
        };
        let sq_offset = CONTROL_WORDS * 4;
        let cq_offset = sq_offset + sq_entries as usize * RECORD_WORDS * 4;
        let recycle_offset = cq_offset + cq_entries as usize * completion_words * 4;
        let mapping = Arc::new(Mapping::new(recycle_offset + RECYCLE_CAPACITY * 4)?);
        Ok(Shared {
            mapping,
            is_large,
            sq_mask: sq_entries - 1,
            cq_mask: cq_entries - 1,
            sq_offset,
            cq_offset,
            recycle_offset,
        })
    }

    pub fn mapping(&self) -> &Arc<Mapping> {
        &self.mapping
    }

    /// Byte offsets of the submission records, the completion records and the recycle list.
    pub fn offsets(&self) -> [u32; 3] {
        [
            self.sq_offset as u32,
            self.cq_offset as u32,
            self.recycle_offset as u32,
        ]
    }

    pub fn sq_capacity(&self) -> u32 {
        self.sq_mask + 1
    }

    pub fn cq_capacity(&self) -> u32 {
        self.cq_mask + 1
    }

    /// Completion records have eight words and not four.
    pub fn is_large(&self) -> bool {
        self.is_large
    }

    fn word_pointer(&self, word: Word) -> *mut u32 {
        // SAFETY: every `Word` is below CONTROL_WORDS, and the mapping starts with that many words.
        unsafe { self.mapping.start().cast::<u32>().add(word as usize) }
    }

    #[inline]
    pub fn get(&self, word: Word) -> u32 {
        // SAFETY: in bounds and aligned (word_pointer); any value is fine, and it is read once. Atomic, because the two
        // halves of a split ring are on different threads; what orders their accesses is the ring's lock.
        unsafe { AtomicU32::from_ptr(self.word_pointer(word)) }.load(Ordering::Relaxed)
    }

    #[inline]
    pub fn set(&self, word: Word, value: u32) {
        // SAFETY: as in `get`.
        unsafe { AtomicU32::from_ptr(self.word_pointer(word)) }.store(value, Ordering::Relaxed);
    }

    /// Records written and not taken yet. JavaScript owns the tail, so a nonsensical one is bounded here.
    #[inline]
    pub fn prepared(&self) -> u32 {
        self.get(Word::SqTail)
            .wrapping_sub(self.get(Word::SqHead))
            .min(self.sq_capacity())
    }

    /// A copy of the record `ahead` places after the head, without taking it. What is checked must be what is used:
    /// JavaScript can move the block to another thread, which writes while Rust reads, so every record that is
    /// admitted is read once, and from here on the copy is all there is.
    #[inline]
    pub fn record(&self, ahead: u32) -> [u32; RECORD_WORDS] {
        let at = self.get(Word::SqHead).wrapping_add(ahead) & self.sq_mask;
        // SAFETY: masked into the submission records, which lie 64-byte aligned inside the mapping; volatile, so that
        // the compiler cannot read any part of it a second time. Eight words of 64 bits are 16 of 32.
        unsafe {
            let record = self
                .mapping
                .start()
                .add(self.sq_offset)
                .cast::<[u64; RECORD_WORDS / 2]>();
            std::mem::transmute::<[u64; RECORD_WORDS / 2], [u32; RECORD_WORDS]>(
                record.add(at as usize).read_volatile(),
            )
        }
    }

    /// Takes `count` records: their places can be written again.
    #[inline]
    pub fn take_records(&self, count: u32) {
        self.set(Word::SqHead, self.get(Word::SqHead).wrapping_add(count));
    }

    /// Completion records written and not read yet.
    #[inline]
    pub fn unread(&self) -> u32 {
        self.get(Word::CqTail)
            .wrapping_sub(self.get(Word::CqHead))
            .min(self.cq_capacity())
    }

    #[inline]
    pub fn completion_room(&self) -> u32 {
        self.cq_capacity() - self.unread()
    }

    /// The record that a free-running count means.
    ///
    /// # Safety
    /// `T` must be the kind of record that this block has.
    unsafe fn completion_place<T>(&self, count: u32) -> *mut T {
        let at = (count & self.cq_mask) as usize;
        // SAFETY: masked into the completion records, which lie 64-byte aligned inside the mapping.
        unsafe { self.mapping.start().add(self.cq_offset).cast::<T>().add(at) }
    }

    #[inline]
    fn write_completion<const LARGE: bool>(&self, tail: u32, LargeRecord { record, extra }: LargeRecord) {
        let words = [record.index, record.res as u32, record.flags, record.extra];
        // SAFETY: `LARGE` is what this block is.
        unsafe {
            if LARGE {
                self.completion_place::<LargeRecordWords>(tail)
                    .write((words, extra));
            } else {
                self.completion_place::<RecordWords>(tail).write(words);
            }
        }
    }

    /// Adds completion records while there is room and `next` has one. `LARGE` must be what the block is.
    #[inline]
    pub fn push_completions<const LARGE: bool>(&self, mut next: impl FnMut() -> Option<LargeRecord>) {
        assert!(LARGE == self.is_large);
        let mut tail = self.get(Word::CqTail);
        let mut room = self.completion_room();
        while room > 0 {
            let Some(completion) = next() else { break };
            self.write_completion::<LARGE>(tail, completion);
            tail = tail.wrapping_add(1);
            room -= 1;
        }
        self.set(Word::CqTail, tail);
    }

    /// Adds one completion record; the caller has checked `completion_room`.
    pub fn push_completion(&self, completion: LargeRecord) {
        let mut completion = Some(completion);
        if self.is_large {
            self.push_completions::<true>(|| completion.take());
        } else {
            self.push_completions::<false>(|| completion.take());
        }
    }

    /// Takes the oldest unread completion record, for when JavaScript does not.
    pub fn pop_completion(&self) -> Option<LargeRecord> {
        if self.unread() == 0 {
            return None;
        }
        let head = self.get(Word::CqHead);
        // SAFETY: the kind of record is looked at, and any bits are one; volatile, because JavaScript that means harm may
        // be writing there.
        let (words, extra) = unsafe {
            if self.is_large {
                self.completion_place::<LargeRecordWords>(head).read_volatile()
            } else {
                (self.completion_place::<RecordWords>(head).read_volatile(), [0; 2])
            }
        };
        self.set(Word::CqHead, head.wrapping_add(1));
        let record = CompletionRecord {
            index: words[0],
            res: words[1] as i32,
            flags: words[2],
            extra: words[3],
        };
        Some(LargeRecord { record, extra })
    }

    /// Goes on where `older` was: its counts, and what JavaScript said in its control words.
    pub fn continue_from(&self, older: &Shared) {
        for (_, word) in WORDS {
            self.set(word, older.get(word));
        }
        self.set(Word::SqTail, older.get(Word::SqHead));
        self.set(Word::CqHead, older.get(Word::CqTail));
    }

    /// Hands every entry of the recycle list to `give_back` as (group, buffer id) and empties the list.
    pub fn drain_recycled(&self, mut give_back: impl FnMut(u16, u16)) {
        let count = (self.get(Word::RecycleCount) as usize).min(RECYCLE_CAPACITY);
        for at in 0..count {
            // SAFETY: `at` is below RECYCLE_CAPACITY, the size of the list at the end of the mapping.
            let entry = unsafe {
                self.mapping
                    .start()
                    .add(self.recycle_offset)
                    .cast::<u32>()
                    .add(at)
                    .read()
            };
            give_back((entry >> 16) as u16, entry as u16);
        }
        self.set(Word::RecycleCount, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completion_records_come_out_in_order_across_the_end_of_the_block() {
        for is_large in [false, true] {
            let shared = Shared::new(1, 4, is_large).unwrap();
            let completion = |round: i32, index: u32| LargeRecord {
                record: CompletionRecord {
                    index,
                    res: -round,
                    flags: 3,
                    extra: 9,
                },
                extra: if is_large {
                    [u64::from(index), u64::MAX]
                } else {
                    [0; 2]
                },
            };
            for round in 0..10 {
                for index in 0..4 {
                    assert_eq!(shared.completion_room(), 4 - index);
                    shared.push_completion(completion(round, index));
                }
                for index in 0..4 {
                    assert_eq!(shared.pop_completion(), Some(completion(round, index)));
                }
                assert_eq!(shared.pop_completion(), None);
            }
        }
    }

    #[test]
    fn a_tail_that_makes_no_sense_is_bounded_by_the_capacity() {
        let shared = Shared::new(8, 8, false).unwrap();
        shared.set(Word::SqTail, u32::MAX);
        shared.set(Word::CqHead, 5);
        assert_eq!(shared.prepared(), 8);
        assert_eq!(shared.unread(), 8);
        assert_eq!(shared.completion_room(), 0);
    }

    #[test]
    fn a_taken_record_makes_room_for_the_next() {
        let shared = Shared::new(2, 2, false).unwrap();
        // SAFETY: the first submission record lies at offsets()[0] inside the mapping.
        unsafe {
            shared
                .mapping()
                .start()
                .add(shared.offsets()[0] as usize)
                .cast::<u32>()
                .write(7)
        };
        shared.set(Word::SqTail, 2);
        assert_eq!(shared.record(0)[0], 7);
        shared.take_records(1);
        assert_eq!(shared.prepared(), 1);
        assert_eq!(shared.record(0)[0], 0);
        assert_eq!(shared.record(1)[0], 7);
    }
}
