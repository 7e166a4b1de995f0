//! Ending a ring without ever freeing memory that the kernel may still write to. Closing the ring's descriptor
//! does not stop the kernel (docs/measured.md): cancel, reap to zero, then free; what
//! does not finish in time is leaked.

use crate::inflight::INTERNAL;
use crate::queues::Sqe;
use crate::register::{is_errno, is_lacking, opcode};
use crate::ring::{Ring, is_busy};
use crate::shared::{CompletionRecord, EXTRA_IS_FD, EXTRA_IS_PIPE};
use std::io;
use std::time::{Duration, Instant};

/// How long one wait lasts before cancelling again: an operation that was on its way between two queues while
/// the first request looked is only found by the next.
const CANCEL_AGAIN: Duration = Duration::from_millis(50);

/// How long a ring that closes is asked to come to rest; then it is given up.
const CLOSE_LIMIT: Duration = Duration::from_secs(5);
/// Requests in a row, after that, that find the same in flight: time alone says nothing about a thread that was busy.
const ASKED_IN_VAIN: u32 = 20;

/// A ring on its way to rest.
pub(crate) struct Closing {
    since: Instant,
    /// What was in flight at the last request, and how many requests have not changed that.
    left: u32,
    in_vain: u32,
}

impl Closing {
    fn begin() -> Closing {
        Closing {
            since: Instant::now(),
            left: 0,
            in_vain: 0,
        }
    }

    fn is_late(&self) -> bool {
        self.since.elapsed() > CLOSE_LIMIT
    }

    fn is_in_vain(&mut self, left: u32) -> bool {
        self.in_vain = if left == self.left { self.in_vain + 1 } else { 0 };
        self.left = left;
        left > 0 && self.in_vain >= ASKED_IN_VAIN
    }
}

impl Ring {
    /// Refuses new work, fails what was prepared and not submitted, and asks the kernel to cancel the rest.
    pub fn begin_close(&mut self) -> io::Result<()> {
        self.closing.get_or_insert_with(Closing::begin);
        self.listed = None;
        self.stage();
        self.reap();
        self.cancel_everything()
    }

    /// An operation with IOSQE_IO_DRAIN that waits for others holds back all that is submitted after it, a request
    /// to cancel too. So the kernel is also asked past the queue (IORING_REGISTER_SYNC_CANCEL, 6.0), without waiting.
    ///
    /// Some operations cannot be cancelled at all (docs/measured.md): a ring that has been closing for too long counts as
    /// broken, so that whoever waits for it lets go. What is still in flight is leaked.
    pub fn cancel_everything(&mut self) -> io::Result<()> {
        if self.closing.as_ref().is_some_and(Closing::is_late) {
            // Whatever is wrong shows in what stays in flight.
            let _caught_up = self.catch_up();
            let left = self.in_flight();
            if self
                .closing
                .as_mut()
                .is_some_and(|closing| closing.is_in_vain(left))
            {
                self.give_up(libc::ETIMEDOUT);
                return Err(io::Error::from_raw_os_error(libc::ETIMEDOUT));
            }
        }
        if self.taskrun() {
            self.run_task_work_first();
        }
        let asked = self.cancel_all();
        if self.in_flight() > 0 {
            let refused = self.registrar().sync_cancel_everything().err();
            // What cannot be stopped is an error too; that shows in what stays in flight.
            if refused.is_some_and(|error| {
                is_errno(&error, libc::EINVAL) || is_lacking(&error, opcode::SYNC_CANCEL)
            }) {
                self.cancel_one_by_one()?;
            }
        }
        asked
    }

    /// For kernels that cannot be asked for everything (IORING_ASYNC_CANCEL_ANY, 5.19).
    fn cancel_one_by_one(&mut self) -> io::Result<()> {
        let targets: Vec<u64> = self.tables.in_flight.all().collect();
        for target in targets {
            self.push_cancel(cancel_request(target, 0))?;
        }
        self.submit().map(drop)
    }

    /// Asks the kernel to cancel everything; completions follow for whatever could be stopped.
    pub fn cancel_all(&mut self) -> io::Result<()> {
        const CANCEL_ANY: u32 = 1 << 2;
        if self.in_flight() == 0 {
            return Ok(());
        }
        self.push_cancel(cancel_request(0, CANCEL_ANY))?;
        self.submit().map(drop)
    }

    fn push_cancel(&mut self, cancel: Sqe) -> io::Result<()> {
        if self.queues.submission.room() == 0 {
            // What is queued goes first.
            self.submit()?;
        }
        // SAFETY: a cancel request names no memory.
        let _still_full = unsafe { self.push_foreign(cancel) };
        Ok(())
    }

    /// Queues an entry that did not come from the block; answers whether there was room.
    ///
    /// # Safety
    /// What it points to must stay valid until its last completion.
    pub unsafe fn push_foreign(&mut self, entry: Sqe) -> bool {
        let has_room = self.queues.submission.room() > 0;
        if has_room {
            // SAFETY: as the caller says; the room was checked.
            unsafe { self.queues.submission.push(&[entry]) };
        }
        has_room
    }

    pub fn is_closing(&self) -> bool {
        self.closing.is_some()
    }

    /// Drops completions that nobody will read, closing the descriptors among them.
    pub fn discard_unread(&mut self) {
        // No more than there can be, whatever the counts say.
        for _ in 0..self.shared.cq_capacity() {
            let Some(completion) = self.take_back() else {
                break;
            };
            self.discard(completion.record);
        }
    }

    /// Closes what a completion brought that nobody will read; it comes from `take_back`.
    pub(crate) fn discard(&mut self, completion: CompletionRecord) {
        if completion.extra & EXTRA_IS_FD != 0 && completion.res >= 0 {
            // SAFETY: the descriptor was made for an operation whose completion nobody will ever read, so this is
            // its only owner.
            unsafe { libc::close(completion.res) };
        }
        if completion.extra & EXTRA_IS_PIPE != 0
            && let Some(ends) = self.tables.pipes.remove(&completion.index)
        {
            // SAFETY: as above; both ends.
            unsafe {
                libc::close(ends[0]);
                libc::close(ends[1]);
            }
        }
    }

    /// Cancels everything and waits, up to `limit`, until nothing is in flight. Nobody is left to take results:
    /// descriptors are closed. Answers whether the ring came to rest.
    pub fn drain(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        let mut usable = may_go_on(self.begin_close());
        loop {
            self.discard_unread();
            self.reap();
            let remaining = deadline.saturating_duration_since(Instant::now());
            // Counts that make no sense are read for a while, not to the end.
            if self.shared.unread() > 0 && !remaining.is_zero() {
                continue;
            }
            if self.in_flight() == 0 || remaining.is_zero() || !usable {
                return self.in_flight() == 0;
            }
            usable = may_go_on(self.submit_and_wait(1, Some(remaining.min(CANCEL_AGAIN))));
            if self.shared.unread() == 0 {
                usable = usable && may_go_on(self.cancel_everything());
            }
        }
    }
}

/// IORING_OP_ASYNC_CANCEL for one operation, or for what `flags` say.
fn cancel_request(target: u64, flags: u32) -> Sqe {
    const ASYNC_CANCEL: u64 = 14;
    const NO_FD: u64 = u32::MAX as u64;
    [
        ASYNC_CANCEL | NO_FD << 32,
        0,
        target,
        u64::from(flags) << 32,
        INTERNAL,
        0,
        0,
        0,
    ]
}

/// A kernel that is short of memory for now is worth asking again.
fn may_go_on<T>(result: io::Result<T>) -> bool {
    !result.is_err_and(|error| !is_busy(&error))
}

impl Drop for Ring {
    fn drop(&mut self) {
        if self.in_flight() > 0 {
            // Principle 2: the kernel may still write to this memory, so it is never freed. The ring's own queues
            // are the kernel's pages and can go.
            std::mem::forget(std::mem::take(&mut self.tables));
        }
    }
}
