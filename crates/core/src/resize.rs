//! Other sizes for the queues of a ring that is in use (IORING_REGISTER_RESIZE_RINGS, 6.13).

use crate::queues::Queues;
use crate::ring::{Ring, new_block, take_completion};
use crate::ring_memory::{OwnMemory, RingMemory};
use crate::setup::{CQ_ENTRIES_MAX, ENTRIES_MAX};
use crate::uapi::{self, Params};
use std::io;

/// Times that completions which found no room in the queue are fetched before it is resized all the same.
const FETCHES_MAX: u32 = 64;

impl Ring {
    /// Gives the queues other sizes, which must be powers of two. Operations may be in flight, and completions unread.
    /// The shared block is a new one afterwards.
    ///
    /// Fails with EBUSY when anything is prepared and not submitted, and as the kernel does: EINVAL without
    /// DEFER_TASKRUN.
    pub fn resize(&mut self, sq_entries: u32, cq_entries: u32) -> io::Result<()> {
        if self.shared.prepared() > 0 || self.queues.submission.queued() > 0 {
            return Err(io::Error::from_raw_os_error(libc::EBUSY));
        }
        let old = *self.queues.params();
        let mut params = Params {
            sq_entries,
            cq_entries,
            flags: uapi::SETUP_CQSIZE | old.flags & uapi::SETUP_CLAMP,
            ..Params::default()
        };
        let own = if old.has(uapi::SETUP_NO_MMAP) {
            let sizes = (sq_entries.min(ENTRIES_MAX), cq_entries.min(CQ_ENTRIES_MAX));
            let memory = OwnMemory::new(sizes.0, sizes.1, old.flags)?;
            memory.announce(&mut params);
            Some(memory)
        } else {
            None
        };
        // The kernel moves what stands in the queue, but early kernels move completions of 32 bytes as if they had 16
        // (io_uring/register.c, io_register_resize_rings, as of early 6.19; 6.18.44 does it right), and a queue that
        // overflows cannot be resized (man io_uring_resize_rings(3)). An empty queue leaves nothing to go wrong.
        self.empty_completion_queue()?;
        // SAFETY: memory of our own was made for these sizes.
        unsafe { self.registrar().resize(&mut params) }?;
        params.flags = old.flags;
        params.features = old.features;
        let adopted = self.adopt(params, own);
        if adopted.is_err() {
            // What is mapped is not the kernel's any more. The error itself may be one that is worth another try, which
            // entering this ring never is.
            self.break_down(libc::EBADFD);
        }
        adopted
    }

    /// Puts everything that stands in the kernel's queue behind what waits for room in the block.
    fn empty_completion_queue(&mut self) -> io::Result<()> {
        for _ in 0..FETCHES_MAX {
            let Ring {
                queues,
                tables,
                local,
                stats,
                ..
            } = self;
            let is_large = queues.params().has_large_completions();
            let before = local.len();
            let mut batch = queues.completion.batch();
            local.extend(std::iter::from_fn(|| {
                if is_large {
                    take_completion::<true>(&mut batch, tables)
                } else {
                    take_completion::<false>(&mut batch, tables)
                }
            }));
            stats.completed += (local.len() - before) as u64;
            drop(batch);
            if !self.queues.overflowed() {
                break;
            }
            self.stats.enters += 1;
            self.entrance.enter(0, uapi::ENTER_GETEVENTS)?;
        }
        Ok(())
    }

    fn adopt(&mut self, params: Params, own: Option<OwnMemory>) -> io::Result<()> {
        let shared = new_block(&params)?;
        let memory = match own {
            Some(memory) => RingMemory::own(memory, &params),
            None => RingMemory::map(self.fd(), &params)?,
        };
        self.queues = Queues::new(memory, params);
        // Oldest first: what nobody has read in the block, then the rest. No more than there can be, whatever the
        // counts say.
        let capacity = self.shared.cq_capacity() as usize;
        let unread: Vec<_> = std::iter::from_fn(|| self.take_back()).take(capacity).collect();
        for completion in unread.into_iter().rev() {
            self.local.push_front(completion);
        }
        shared.continue_from(&self.shared);
        self.shared = shared;
        self.reap();
        Ok(())
    }
}
