//! One ring on two threads: one submits, another takes the completions.
//!
//! Everything of the ring is behind one lock, which nobody holds while waiting. Three rules make it safe, and keep each
//! side's memory its own:
//! - Only the submitting thread takes records out of the shared block, so JavaScript never writes one while it is read.
//! - Only the thread that takes completions moves them out of the kernel's queue, unless the ring is being closed or the
//!   kernel is short of memory. The kernel counts from the queue's head when it waits for several; had the other thread
//!   moved it meanwhile, the wait would miss what it waits for, until its slice is over.
//! - An index is free for the submitting thread when the other has taken its last completion, not before: until then
//!   the number that came with the operation stands under it.

use crate::enter::{End, io_uring_enter, wait_readable};
use crate::inflight::{IN_FLIGHT_MAX, INTERNAL};
use crate::memory::Mapping;
use crate::ring::{Ring, is_busy};
use crate::setup::Config;
use crate::shared::{CompletionRecord, EXTRA_IS_EVENT};
use crate::uapi::{self, GetEventsArg};
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Completions that the binding takes at a time, and free indexes that it hands out at a time.
pub const BATCH: usize = 512;
/// How long one wait in the kernel lasts: the end of an environment cannot interrupt it.
const WAIT_SLICE: Duration = Duration::from_millis(100);
/// The same while everything is being cancelled.
const CANCEL_AGAIN: Duration = Duration::from_millis(50);
/// How long the last half to close may wait for the kernel.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);
/// IORING_CQE_F_MORE.
const CQE_MORE: u32 = 1 << 1;

/// A completion on its way to the thread that takes them, as JavaScript reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Delivered {
    /// The bits of the number that was given with the operation.
    pub user_data: u64,
    pub record: [u32; 4],
}

/// An operation is over, and its index is free again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct Freed {
    pub index: u32,
    pub res: i32,
}

/// Why a half cannot be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    Closed,
    InUse,
}

pub struct Split {
    inner: Mutex<Inner>,
    fd: RawFd,
    /// The kernel ends a wait by itself (IORING_FEAT_EXT_ARG, 5.11).
    has_limits: bool,
    /// A number for each index, written by the submitting thread before it submits.
    user_data: Arc<Mapping>,
}

struct Inner {
    /// Gone when both halves are closed.
    ring: Option<Ring>,
    can_submit: bool,
    can_take: bool,
    freed: Vec<Freed>,
    /// What a half had taken and not read when it was closed.
    returned: VecDeque<Delivered>,
}

// The lock is what makes it `Sync`; this says that a ring may go from thread to thread at all.
const _: () = {
    const fn is_send<T: Send>() {}
    is_send::<Ring>();
};

impl Split {
    /// Opens a ring with its submitting half.
    pub fn open(config: &Config) -> io::Result<Split> {
        // Nothing that ties the ring, or its completions, to one thread: with COOP_TASKRUN they would wait for the next
        // system call of the one that submitted.
        let of_one_thread = uapi::SETUP_SINGLE_ISSUER
            | uapi::SETUP_DEFER_TASKRUN
            | uapi::SETUP_COOP_TASKRUN
            | uapi::SETUP_TASKRUN_FLAG;
        let ring = Ring::open(&Config {
            forbidden: config.forbidden | of_one_thread,
            ..*config
        })?;
        let user_data = Arc::new(Mapping::new(IN_FLIGHT_MAX as usize * size_of::<u64>())?);
        Ok(Split {
            fd: ring.fd(),
            has_limits: ring.features() & uapi::FEAT_EXT_ARG != 0,
            user_data,
            inner: Mutex::new(Inner {
                ring: Some(ring),
                can_submit: true,
                can_take: false,
                freed: Vec::new(),
                returned: VecDeque::new(),
            }),
        })
    }

    /// Nothing that panics leaves a half-done change behind; and in the addon a panic ends the process.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the submitting thread writes the numbers of its operations, by index, as 64-bit words.
    pub fn user_data(&self) -> &Arc<Mapping> {
        &self.user_data
    }

    /// Something short with the ring, as long as there is one.
    pub fn with<T>(&self, act: impl FnOnce(&mut Ring) -> io::Result<T>) -> io::Result<T> {
        match self.lock().ring.as_mut() {
            Some(ring) => act(ring),
            None => Err(closed()),
        }
    }

    // The submitting half.

    /// Submits what is prepared; answers how many records were taken.
    pub fn submit(&self) -> io::Result<u32> {
        let mut inner = self.lock();
        if !inner.can_submit {
            return Err(closed());
        }
        let ring = inner.ring.as_mut().ok_or_else(closed)?;
        let taken = ring.submit_only()?;
        if ring.has_refused() {
            // Of a record that was refused the kernel knows nothing, and would let the other thread wait.
            nudge(ring)?;
        }
        Ok(taken)
    }

    /// Hands out indexes that are free again, at most `max`; answers how many there were.
    pub fn take_freed(&self, max: usize, mut each: impl FnMut(usize, Freed)) -> usize {
        let mut inner = self.lock();
        let count = inner.freed.len().min(max);
        let rest = inner.freed.len() - count;
        for (at, freed) in inner.freed.drain(rest..).enumerate() {
            each(at, freed);
        }
        count
    }

    /// Nothing more is submitted, and what is in flight is cancelled; the other half still gets its completions.
    pub fn close_submitting(&self) {
        let mut inner = self.lock();
        inner.can_submit = false;
        if !inner.can_take {
            return Self::end(inner);
        }
        if let Some(ring) = inner.ring.as_mut() {
            // What could not be cancelled now is tried again by whoever waits, and by the end.
            let _cancelled = ring.begin_close();
        }
    }

    // The half that takes completions.

    /// One thread at a time; another may follow when it has closed its half.
    pub fn open_taking(&self) -> Result<(), Refused> {
        let mut inner = self.lock();
        if !inner.can_submit || inner.ring.is_none() {
            return Err(Refused::Closed);
        }
        if inner.can_take {
            return Err(Refused::InUse);
        }
        inner.can_take = true;
        Ok(())
    }

    /// Completions that can be taken without waiting.
    pub fn ready(&self) -> u32 {
        self.lock().ready()
    }

    /// Takes completions that are there, at most `max`, without waiting.
    pub fn take(&self, max: usize, batch: &mut Vec<Delivered>) -> io::Result<()> {
        let mut inner = self.lock();
        self.take_ready(&mut inner, max, batch);
        let holds_back = inner.ring.as_ref().is_some_and(|ring| ring.queues().overflowed());
        if batch.is_empty() && holds_back {
            // The queue is empty now, so the kernel can put there what it holds back.
            self.enter(0, Duration::ZERO)?;
            self.take_ready(&mut inner, max, batch);
        }
        Ok(())
    }

    fn take_ready(&self, inner: &mut Inner, max: usize, batch: &mut Vec<Delivered>) {
        while batch.len() < max {
            if let Some(delivered) = inner.returned.pop_front() {
                batch.push(delivered);
                continue;
            }
            let Some(ring) = inner.ring.as_mut() else { break };
            if ring.shared().unread() == 0 {
                ring.reap();
            }
            let Some(completion) = ring.take_back() else {
                break;
            };
            batch.push(self.deliver(completion.record, &mut inner.freed));
        }
    }

    fn deliver(&self, record: CompletionRecord, freed: &mut Vec<Freed>) -> Delivered {
        let CompletionRecord {
            index,
            res,
            flags,
            extra,
        } = record;
        let is_operation = extra & EXTRA_IS_EVENT == 0;
        if is_operation && flags & CQE_MORE == 0 {
            freed.push(Freed { index, res });
        }
        Delivered {
            user_data: if is_operation { self.number_of(index) } else { 0 },
            record: [index, res as u32, flags, extra],
        }
    }

    fn number_of(&self, index: u32) -> u64 {
        if index >= IN_FLIGHT_MAX {
            return 0;
        }
        // SAFETY: the mapping has that many words. The submitting thread wrote this one before it submitted under the
        // lock, and writes it again after it has learned under the lock that the index is free; a thread that does
        // otherwise gets one number or the other, as the access is atomic.
        unsafe {
            let word = self.user_data.start().cast::<u64>().add(index as usize);
            AtomicU64::from_ptr(word).load(Ordering::Relaxed)
        }
    }

    /// Waits until `want` completions can be taken, the time is up, `may_go_on` says no, or no more can come; answers
    /// how many can be taken, or EBADF if there is none and never will be.
    pub fn wait(
        &self,
        want: u32,
        limit: Option<Duration>,
        mut may_go_on: impl FnMut() -> bool,
    ) -> io::Result<u32> {
        let deadline = limit.map(|limit| Instant::now() + limit);
        loop {
            // Asked without the lock: it looks into JavaScript's engine.
            let goes_on = may_go_on();
            let left = deadline.map_or(WAIT_SLICE, |at| at.saturating_duration_since(Instant::now()));
            let mut inner = self.lock();
            let ready = inner.ready();
            let is_over = !inner.can_submit && inner.in_flight() == 0;
            if ready == 0 && is_over {
                return Err(closed());
            }
            if ready >= want || is_over || left.is_zero() || !goes_on {
                return Ok(ready);
            }
            let slice = if inner.can_submit {
                WAIT_SLICE
            } else {
                inner.cancel_again()
            };
            // The kernel counts what stands in its own queue.
            let missing = want.saturating_sub(inner.moved());
            drop(inner);
            self.enter(missing, left.min(slice))?;
        }
    }

    fn enter(&self, want: u32, limit: Duration) -> io::Result<()> {
        match (self.has_limits, limit.is_zero()) {
            (true, _) => enter(self.fd, want, Some(limit)),
            (false, true) => enter(self.fd, 0, None),
            (false, false) => {
                wait_readable(self.fd, limit);
                Ok(())
            }
        }
    }

    /// Closes the half; what it has taken and not read is for the next one to open it.
    pub fn close_taking(&self, unread: &[Delivered]) {
        let mut inner = self.lock();
        inner.can_take = false;
        for delivered in unread.iter().rev() {
            inner.returned.push_front(*delivered);
        }
        if !inner.can_submit {
            Self::end(inner);
        }
    }

    /// Both halves are closed.
    fn end(mut inner: MutexGuard<'_, Inner>) {
        let ring = inner.ring.take();
        let returned = std::mem::take(&mut inner.returned);
        inner.freed = Vec::new();
        drop(inner);
        let Some(mut ring) = ring else { return };
        for Delivered {
            record: [index, res, flags, extra],
            ..
        } in returned
        {
            ring.discard(CompletionRecord {
                index,
                res: res as i32,
                flags,
                extra,
            });
        }
        ring.drain(DRAIN_LIMIT);
    }
}

impl Inner {
    /// Those that have left the kernel's queue.
    fn moved(&self) -> u32 {
        let moved = self.ring.as_ref().map_or(0, Ring::moved);
        moved + self.returned.len() as u32
    }

    fn ready(&mut self) -> u32 {
        let ready = self.ring.as_mut().map_or(0, |ring| {
            ring.reap();
            ring.ready()
        });
        ready + self.returned.len() as u32
    }

    fn in_flight(&self) -> u32 {
        self.ring.as_ref().map_or(0, Ring::in_flight)
    }

    /// What was on its way between two queues is only found by the next request; answers when to make that.
    fn cancel_again(&mut self) -> Duration {
        if let Some(ring) = self.ring.as_mut() {
            let _cancelled = ring.cancel_everything();
        }
        CANCEL_AGAIN
    }
}

/// Completes something of our own, for a thread that waits in the kernel.
fn nudge(ring: &mut Ring) -> io::Result<()> {
    const NO_FD: u64 = u32::MAX as u64;
    let nop = [NO_FD << 32, 0, 0, 0, INTERNAL, 0, 0, 0];
    // SAFETY: it names no memory. Without room for it, what is in the queue wakes that thread as well.
    let _has_room = unsafe { ring.push_foreign(nop) };
    ring.submit_only().map(drop)
}

fn closed() -> io::Error {
    io::Error::from_raw_os_error(libc::EBADF)
}

/// Waits for completions without submitting anything, whatever stands in the submission queue: it is the other
/// thread's. Ends early for signals, and where trying again is all that can be done.
fn enter(fd: RawFd, want: u32, limit: Option<Duration>) -> io::Result<()> {
    let timespec = limit.and_then(|limit| End::After(limit).timespec());
    let argument = GetEventsArg {
        ts: timespec
            .as_ref()
            .map_or(0, |timespec| ptr::from_ref(timespec) as u64),
        ..GetEventsArg::default()
    };
    let (flags, argument, size) = match limit {
        Some(_) => (
            uapi::ENTER_GETEVENTS | uapi::ENTER_EXT_ARG,
            ptr::from_ref(&argument),
            size_of::<GetEventsArg>(),
        ),
        None => (uapi::ENTER_GETEVENTS, ptr::null(), 0),
    };
    // SAFETY: the structures live to the end of the call, and it submits nothing. The descriptor is the ring's: it is
    // closed after this thread has closed its half.
    let result = unsafe { io_uring_enter(fd, 0, want, flags, argument.cast(), size) };
    let is_expected = |error: &io::Error| {
        error.kind() == io::ErrorKind::Interrupted
            || error.raw_os_error() == Some(libc::ETIME)
            || is_busy(error)
    };
    match result {
        Err(error) if !is_expected(&error) => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const _: () = assert!(size_of::<Delivered>() == 24);

    fn split() -> Split {
        let config = Config {
            entries: 4,
            cq_entries: 8,
            ..Config::default()
        };
        Split::open(&config).unwrap()
    }

    #[test]
    fn a_split_ring_belongs_to_no_thread() {
        let flags = split().with(|ring| Ok(ring.setup_flags())).unwrap();
        let expected = uapi::SETUP_SUBMIT_ALL | uapi::SETUP_NO_SQARRAY | uapi::SETUP_CQSIZE;
        assert_eq!(flags & !expected, 0);
    }

    #[test]
    fn one_thread_at_a_time_takes_completions() {
        let split = split();
        assert_eq!(split.open_taking(), Ok(()));
        assert_eq!(split.open_taking(), Err(Refused::InUse));
        split.close_taking(&[]);
        assert_eq!(split.open_taking(), Ok(()));
        split.close_submitting();
        split.close_taking(&[]);
        assert_eq!(split.open_taking(), Err(Refused::Closed));
        assert!(split.with(|_| Ok(())).is_err());
    }

    #[test]
    fn what_a_half_did_not_read_is_for_the_next() {
        let split = split();
        split.open_taking().unwrap();
        let kept = [1, 2].map(|user_data| Delivered {
            user_data,
            record: [0; 4],
        });
        split.close_taking(&kept);
        split.open_taking().unwrap();
        let mut batch = Vec::new();
        split.take(8, &mut batch).unwrap();
        assert_eq!(batch, kept);
    }

    #[test]
    fn an_index_beyond_the_table_has_no_number() {
        assert_eq!(split().number_of(u32::MAX), 0);
    }
}
