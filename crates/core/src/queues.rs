//! The submission and the completion queue: rings in memory that we share with the kernel (man io_uring(7)). The
//! io-uring crate has such queues too, but knows neither completions of two sizes nor queues that are resized.

use crate::ring_memory::RingMemory;
use crate::uapi::{self, Params};

use std::sync::atomic::{AtomicU32, Ordering, fence};

/// A submission queue entry of 64 bytes. In a queue of 128-byte entries the upper half stays zero.
pub type Sqe = [u64; 8];

pub struct Queues {
    params: Params,
    pub submission: SubmissionQueue,
    pub completion: CompletionQueue,
    /// Last, as the queues point into it.
    _memory: RingMemory,
}

// SAFETY: the pointers lead into `_memory`, which belongs to no thread; whoever has the queues is the only one on our side
// to use them.
unsafe impl Send for Queues {}

impl Queues {
    /// `params` as the kernel has filled it, and the memory that it describes.
    pub fn new(memory: RingMemory, params: Params) -> Queues {
        let [submissions, completions, sqes] = memory.starts();
        // SAFETY: the offsets are the kernel's own, inside mappings of the size that it asks for.
        let (submission, completion) = unsafe {
            (
                SubmissionQueue::new(submissions, sqes, &params),
                CompletionQueue::new(completions, &params),
            )
        };
        Queues {
            params,
            submission,
            completion,
            _memory: memory,
        }
    }

    pub fn params(&self) -> &Params {
        &self.params
    }

    /// The kernel holds back completions that found no room in the queue; entering it fetches them.
    pub fn overflowed(&self) -> bool {
        self.submission.flags() & uapi::SQ_CQ_OVERFLOW != 0
    }

    /// The kernel has work that it runs when it is entered.
    pub fn has_task_work(&self) -> bool {
        self.submission.flags() & uapi::SQ_TASKRUN != 0
    }
}

/// A word that we share with the kernel.
///
/// # Safety
/// `start` plus `offset` must be an aligned 32-bit word that stays mapped for as long as the pointer is used.
unsafe fn word(start: *mut u8, offset: u32) -> *const AtomicU32 {
    // SAFETY: as the caller says.
    unsafe { start.add(offset as usize).cast_const().cast::<AtomicU32>() }
}

pub struct SubmissionQueue {
    head: *const AtomicU32,
    tail: *const AtomicU32,
    flags: *const AtomicU32,
    sqes: *mut u8,
    sqe_bytes: usize,
    entries: u32,
    /// Ours; the kernel sees it when it is published.
    local_tail: u32,
    /// IORING_SETUP_SQ_REWIND: every submission starts at the first place, and head and tail stay 0.
    rewinds: bool,
}

impl SubmissionQueue {
    /// # Safety
    /// The memory must be that of a ring of these parameters, and stay mapped as long as the queue is used.
    unsafe fn new(ring: *mut u8, sqes: *mut u8, params: &Params) -> SubmissionQueue {
        let offsets = &params.sq_off;
        // SAFETY: as the caller says.
        let [head, tail, flags] =
            unsafe { [offsets.head, offsets.tail, offsets.flags].map(|offset| word(ring, offset)) };
        if !params.has(uapi::SETUP_NO_SQARRAY) {
            for index in 0..params.sq_entries {
                // SAFETY: the array has as many indexes as the queue has places; place and index are the same here.
                unsafe { (*word(ring, offsets.array + index * 4)).store(index, Ordering::Relaxed) };
            }
        }
        SubmissionQueue {
            head,
            tail,
            flags,
            sqes,
            sqe_bytes: params.sqe_bytes(),
            entries: params.sq_entries,
            // SAFETY: the word is mapped; nobody else writes the tail. It is not 0 in a queue that was resized.
            local_tail: unsafe { (*tail).load(Ordering::Relaxed) },
            rewinds: params.has(uapi::SETUP_SQ_REWIND),
        }
    }

    fn flags(&self) -> u32 {
        // SAFETY: mapped as long as the queue is there.
        unsafe { (*self.flags).load(Ordering::Acquire) }
    }

    /// Entries that the kernel has not taken.
    #[inline]
    pub fn queued(&self) -> u32 {
        if self.rewinds {
            return self.local_tail;
        }
        // SAFETY: mapped as long as the queue is there. Acquire: the kernel has read what it has taken.
        self.local_tail
            .wrapping_sub(unsafe { (*self.head).load(Ordering::Acquire) })
    }

    /// Counts all entries that were ever pushed.
    #[inline]
    pub fn pushed(&self) -> u32 {
        self.local_tail
    }

    #[inline]
    pub fn room(&self) -> u32 {
        self.entries - self.queued()
    }

    fn place(&self, at: u32) -> *mut Sqe {
        let at = (at & (self.entries - 1)) as usize;
        // SAFETY: masked into the entries, which are mapped as long as the queue is there, 64-byte aligned.
        unsafe { self.sqes.add(at * self.sqe_bytes).cast::<Sqe>() }
    }

    /// Adds entries, for which the caller has checked the room.
    ///
    /// # Safety
    /// What the entries point to must stay valid until their last completions.
    #[inline]
    pub unsafe fn push(&mut self, entries: &[Sqe]) {
        assert!(entries.len() <= self.room() as usize);
        let (sqes, sqe_bytes, mask) = (self.sqes, self.sqe_bytes, self.entries - 1);
        let mut tail = self.local_tail;
        for entry in entries {
            // SAFETY: masked into the entries; a place that the kernel has read and given back, as there is room.
            unsafe {
                sqes.add((tail & mask) as usize * sqe_bytes)
                    .cast::<Sqe>()
                    .write(*entry);
            }
            tail = tail.wrapping_add(1);
        }
        self.local_tail = tail;
        if !self.rewinds {
            // SAFETY: mapped as long as the queue is there. Release: the entries are there when the tail says so.
            unsafe { (*self.tail).store(self.local_tail, Ordering::Release) };
        }
    }

    /// After an enter that took `count` entries. Only a queue that rewinds has to be told.
    pub fn took(&mut self, count: u32) {
        if !self.rewinds {
            return;
        }
        let left = self.local_tail - count.min(self.local_tail);
        for at in 0..left {
            // SAFETY: both places are below the tail; the kernel reads them during an enter only (no SQPOLL here).
            unsafe { self.place(at).write(self.place(at + count).read()) };
        }
        self.local_tail = left;
    }

    /// With SQPOLL: the kernel's thread sleeps, and does not see the tail before it is woken.
    pub fn needs_wakeup(&self) -> bool {
        // The thread sets the flag, then looks at the tail again; we stored the tail, and look at the flag. One of us
        // sees the other's store only if nothing passes it on either side (man io_uring_sqpoll(7)).
        fence(Ordering::SeqCst);
        self.flags() & uapi::SQ_NEED_WAKEUP != 0
    }
}

/// A completion as the kernel has it; `extra` is zero for one of 16 bytes.
#[derive(Clone, Copy)]
pub struct Cqe {
    pub user_data: u64,
    pub res: i32,
    pub flags: u32,
    pub extra: [u64; 2],
}

/// struct io_uring_cqe.
#[repr(C)]
#[derive(Clone, Copy)]
struct RawCqe {
    user_data: u64,
    res: i32,
    flags: u32,
}

pub struct CompletionQueue {
    head: *const AtomicU32,
    tail: *const AtomicU32,
    /// Since 5.8.
    flags: Option<*const AtomicU32>,
    cqes: *const u8,
    cqe_bytes: usize,
    mask: u32,
    is_mixed: bool,
    local_head: u32,
}

impl CompletionQueue {
    /// # Safety
    /// As `SubmissionQueue::new`.
    unsafe fn new(ring: *mut u8, params: &Params) -> CompletionQueue {
        let offsets = &params.cq_off;
        // SAFETY: as the caller says; the completions start inside the ring.
        let (head, tail, flags, cqes) = unsafe {
            (
                word(ring, offsets.head),
                word(ring, offsets.tail),
                (offsets.flags != 0).then(|| word(ring, offsets.flags)),
                ring.add(offsets.cqes as usize),
            )
        };
        CompletionQueue {
            head,
            tail,
            flags,
            cqes,
            cqe_bytes: params.cqe_bytes(),
            mask: params.cq_entries - 1,
            is_mixed: params.has(uapi::SETUP_CQE_MIXED),
            // SAFETY: mapped; nobody else writes the head.
            local_head: unsafe { (*head).load(Ordering::Relaxed) },
        }
    }

    fn tail(&self) -> u32 {
        // SAFETY: mapped as long as the queue is there. Acquire: the completions below the tail are there.
        unsafe { (*self.tail).load(Ordering::Acquire) }
    }

    pub fn is_empty(&self) -> bool {
        self.tail() == self.local_head
    }

    /// Completions that can be read.
    pub fn len(&self) -> u32 {
        let tail = self.tail();
        if !self.is_mixed {
            return tail.wrapping_sub(self.local_head);
        }
        // Large completions take two places, and a filler at the end of the ring is none at all.
        let mut reader = Reader::new(self, self.local_head, tail);
        std::iter::from_fn(|| reader.next::<true>()).count() as u32
    }

    /// Reads what is there now; the places go back to the kernel when the batch is dropped.
    #[inline]
    pub fn batch(&mut self) -> Batch<'_> {
        let (head, tail) = (self.local_head, self.tail());
        Batch {
            reader: Reader::new(self, head, tail),
            local_head: &mut self.local_head,
        }
    }

    /// Whether the kernel signals the eventfd (5.8).
    pub fn set_eventfd_enabled(&self, enabled: bool) {
        let Some(flags) = self.flags else { return };
        let bits = if enabled { 0 } else { uapi::CQ_EVENTFD_DISABLED };
        // SAFETY: mapped as long as the queue is there; the word is ours to write, and has no other bits.
        unsafe { (*flags).store(bits, Ordering::Release) };
    }
}

/// Walks over completions without taking them.
#[derive(Clone, Copy)]
struct Reader {
    cqes: *const u8,
    cqe_bytes: usize,
    mask: u32,
    is_mixed: bool,
    kernels_head: *const AtomicU32,
    head: u32,
    tail: u32,
}

impl Reader {
    #[inline]
    fn new(queue: &CompletionQueue, head: u32, tail: u32) -> Reader {
        Reader {
            cqes: queue.cqes,
            cqe_bytes: queue.cqe_bytes,
            mask: queue.mask,
            is_mixed: queue.is_mixed,
            kernels_head: queue.head,
            head,
            tail,
        }
    }

    /// `LARGE` says whether the ring has completions of 32 bytes at all.
    #[inline]
    fn next<const LARGE: bool>(&mut self) -> Option<Cqe> {
        loop {
            if self.head == self.tail {
                return None;
            }
            let at = (self.head & self.mask) as usize;
            let cqe_bytes = if LARGE {
                self.cqe_bytes
            } else {
                size_of::<RawCqe>()
            };
            // SAFETY: masked into the completions; the kernel has written what is below the tail, and leaves it alone
            // until the head has passed.
            let raw = unsafe { self.cqes.add(at * cqe_bytes).cast::<RawCqe>().read() };
            self.head = self.head.wrapping_add(1);
            let mut cqe = Cqe {
                user_data: raw.user_data,
                res: raw.res,
                flags: raw.flags,
                extra: [0; 2],
            };
            if LARGE {
                if raw.flags & uapi::CQE_F_SKIP != 0 {
                    continue;
                }
                let takes_two = self.is_mixed && raw.flags & uapi::CQE_F_32 != 0;
                if takes_two || !self.is_mixed {
                    // SAFETY: a completion of 32 bytes, which never wraps: a filler takes the last place before it.
                    cqe.extra = unsafe { self.cqes.add(at * cqe_bytes + 16).cast::<[u64; 2]>().read() };
                }
                if takes_two {
                    self.head = self.head.wrapping_add(1);
                }
            }
            return Some(cqe);
        }
    }
}

/// Completions that are being taken.
pub struct Batch<'a> {
    reader: Reader,
    local_head: &'a mut u32,
}

impl Batch<'_> {
    #[inline]
    pub fn take<const LARGE: bool>(&mut self) -> Option<Cqe> {
        self.reader.next::<LARGE>()
    }
}

impl Drop for Batch<'_> {
    #[inline]
    fn drop(&mut self) {
        *self.local_head = self.reader.head;
        // SAFETY: mapped as long as the queue that is borrowed here. Release: we have read what is given back.
        unsafe { (*self.reader.kernels_head).store(self.reader.head, Ordering::Release) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::memory::Mapping;

    fn entry(number: u64) -> Sqe {
        [number; 8]
    }

    /// A queue in memory that no kernel knows of: head at 0, tail at 4.
    fn queue(memory: &Mapping, flags: u32) -> SubmissionQueue {
        let params = Params {
            sq_entries: 4,
            flags: flags | uapi::SETUP_NO_SQARRAY,
            sq_off: uapi::SqOffsets {
                tail: 4,
                flags: 8,
                ..uapi::SqOffsets::default()
            },
            ..Params::default()
        };
        // SAFETY: the words lie at the start of the mapping, four entries of at most 128 bytes behind them.
        unsafe { SubmissionQueue::new(memory.start(), memory.start().add(1024), &params) }
    }

    fn first_words(queue: &SubmissionQueue) -> [u64; 4] {
        // SAFETY: each place is inside the mapping of the test.
        [0, 1, 2, 3].map(|at| unsafe { queue.place(at).read()[0] })
    }

    // 6.18 has no ring of this kind; what is known of it is the comment in include/uapi/linux/io_uring.h.
    #[test]
    fn a_queue_that_rewinds_moves_what_was_not_taken_to_its_start() {
        let memory = Mapping::new(4096).unwrap();
        let mut queue = queue(&memory, uapi::SETUP_SQ_REWIND);
        // SAFETY: no kernel reads these.
        unsafe { queue.push(&[entry(1), entry(2), entry(3)]) };
        assert_eq!((queue.queued(), queue.room()), (3, 1));
        queue.took(2);
        assert_eq!((queue.queued(), first_words(&queue)[0]), (1, 3));
        // SAFETY: as above.
        unsafe { queue.push(&[entry(4), entry(5), entry(6)]) };
        assert_eq!((queue.room(), first_words(&queue)), (0, [3, 4, 5, 6]));
        queue.took(4);
        assert_eq!(queue.queued(), 0);
        // SAFETY: the words are those of the mapping: the kernel wants them to stay 0.
        let words = unsafe {
            [
                (*queue.head).load(Ordering::Relaxed),
                (*queue.tail).load(Ordering::Relaxed),
            ]
        };
        assert_eq!(words, [0, 0]);
    }

    #[test]
    fn large_entries_have_a_zero_upper_half_and_stand_128_bytes_apart() {
        let memory = Mapping::new(4096).unwrap();
        let mut queue = queue(&memory, uapi::SETUP_SQE128);
        // SAFETY: no kernel reads these.
        unsafe { queue.push(&[entry(7), entry(8)]) };
        // SAFETY: two entries of sixteen words each, inside the mapping.
        let words = unsafe { memory.start().add(1024).cast::<[u64; 32]>().read() };
        let expected = [[7; 8], [0; 8], [8; 8], [0; 8]].concat();
        assert_eq!(words.to_vec(), expected);
    }
}
