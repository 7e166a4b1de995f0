//! The block of memory that JavaScript and Rust share: control words, submission records, completion
//! records, and the list of provided buffers that JavaScript gave back.
//!
//! JavaScript calls Rust and waits, so plain loads and stores are enough for a program that plays by the rules. One
//! that does not (it can detach the block and hand it to another thread) may confuse itself, but nothing that Rust
//! reads here is used unchecked: counts are bounded, and each record is copied before it is checked.

use crate::memory::Mapping;
use std::io;
use std::sync::Arc;

pub const RECORD_WORDS: usize = 16;
pub const COMPLETION_WORDS: usize = 4;
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
}

pub const WORDS: [(&str, Word); 9] = [
    ("sqHead", Word::SqHead),
    ("sqTail", Word::SqTail),
    ("cqHead", Word::CqHead),
    ("cqTail", Word::CqTail),
    ("inFlight", Word::InFlight),
    ("referenced", Word::Referenced),
    ("pending", Word::Pending),
    ("recycleCount", Word::RecycleCount),
    ("overflowed", Word::Overflowed),
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

pub struct Shared {
    mapping: Arc<Mapping>,
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

impl Shared {
    /// Both capacities are powers of two.
    pub fn new(sq_entries: u32, cq_entries: u32) -> io::Result<Shared> {
        assert!(sq_entries.is_power_of_two() && cq_entries.is_power_of_two());
        let sq_offset = CONTROL_WORDS * 4;
        let cq_offset = sq_offset + sq_entries as usize * RECORD_WORDS * 4;
        let recycle_offset = cq_offset + cq_entries as usize * COMPLETION_WORDS * 4;
        let mapping = Arc::new(Mapping::new(recycle_offset + RECYCLE_CAPACITY * 4)?);
        Ok(Shared {
            mapping,
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

    fn word_pointer(&self, word: Word) -> *mut u32 {
        // SAFETY: every `Word` is below CONTROL_WORDS, and the mapping starts with that many words.
        unsafe { self.mapping.start().cast::<u32>().add(word as usize) }
    }

    #[inline]
    pub fn get(&self, word: Word) -> u32 {
        // SAFETY: in bounds and aligned (word_pointer); any value is fine, and it is read once.
        unsafe { self.word_pointer(word).read_volatile() }
    }

    #[inline]
    pub fn set(&self, word: Word, value: u32) {
        // SAFETY: as in `get`.
        unsafe { self.word_pointer(word).write(value) }
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

    fn write_completion(&self, tail: u32, completion: CompletionRecord) {
        let at = (tail & self.cq_mask) as usize;
        let words = [
            completion.index,
            completion.res as u32,
            completion.flags,
            completion.extra,
        ];
        // SAFETY: masked into the completion records, which lie 16-byte aligned inside the mapping.
        unsafe {
            self.mapping
                .start()
                .add(self.cq_offset)
                .cast::<[u32; COMPLETION_WORDS]>()
                .add(at)
                .write(words);
        }
    }

    /// Adds completion records while there is room and `next` has one.
    #[inline]
    pub fn push_completions(&self, mut next: impl FnMut() -> Option<CompletionRecord>) {
        let mut tail = self.get(Word::CqTail);
        let mut room = self.completion_room();
        while room > 0 {
            let Some(completion) = next() else { break };
            self.write_completion(tail, completion);
            tail = tail.wrapping_add(1);
            room -= 1;
        }
        self.set(Word::CqTail, tail);
    }

    /// Adds one completion record; the caller has checked `completion_room`.
    pub fn push_completion(&self, completion: CompletionRecord) {
        self.push_completions({
            let mut completion = Some(completion);
            move || completion.take()
        });
    }

    /// Takes the oldest unread completion record; used when no JavaScript is left to read it.
    pub fn pop_completion(&self) -> Option<CompletionRecord> {
        if self.unread() == 0 {
            return None;
        }
        let head = self.get(Word::CqHead);
        let at = (head & self.cq_mask) as usize;
        // SAFETY: as in `push_completion`.
        let words = unsafe {
            self.mapping
                .start()
                .add(self.cq_offset)
                .cast::<[u32; COMPLETION_WORDS]>()
                .add(at)
                .read()
        };
        self.set(Word::CqHead, head.wrapping_add(1));
        Some(CompletionRecord {
            index: words[0],
            res: words[1] as i32,
            flags: words[2],
            extra: words[3],
        })
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
        let shared = Shared::new(1, 4).unwrap();
        for round in 0..10 {
            for index in 0..4 {
                assert_eq!(shared.completion_room(), 4 - index);
                shared.push_completion(CompletionRecord {
                    index,
                    res: -round,
                    flags: 3,
                    extra: 9,
                });
            }
            for index in 0..4 {
                let expected = CompletionRecord {
                    index,
                    res: -round,
                    flags: 3,
                    extra: 9,
                };
                assert_eq!(shared.pop_completion(), Some(expected));
            }
            assert_eq!(shared.pop_completion(), None);
        }
    }

    #[test]
    fn a_tail_that_makes_no_sense_is_bounded_by_the_capacity() {
        let shared = Shared::new(8, 8).unwrap();
        shared.set(Word::SqTail, u32::MAX);
        shared.set(Word::CqHead, 5);
        assert_eq!(shared.prepared(), 8);
        assert_eq!(shared.unread(), 8);
        assert_eq!(shared.completion_room(), 0);
    }

    #[test]
    fn a_taken_record_makes_room_for_the_next() {
        let shared = Shared::new(2, 2).unwrap();
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
