//! The ring: takes operation records from the shared block, gives them to the kernel, and puts completions
//! back into the block.

use crate::credentials::Credentials;
use crate::enter::Entrance;
use crate::live::Listed;
use crate::ops;
use crate::queues::{Batch, Queues, Sqe};
use crate::register::{is_errno, lacking, opcode};
use crate::relocate::{Entries, Tables};
use crate::setup::{self, Config};
use crate::shared::{LargeRecord, Shared, Word};
use crate::teardown::Closing;
use crate::uapi::{self, Params};
use crate::unread::{EXTRA_BRINGS, Unread};
use std::collections::VecDeque;
use std::io;
use std::os::fd::RawFd;

/// Completion records in the shared block; more than that stay in the kernel's queue until JavaScript has read some.
const COMPLETION_BLOCK_MAX: u32 = 4096;
const COMPLETION_BLOCK_MIN: u32 = 64;

#[derive(Clone, Copy, Default)]
pub struct Stats {
    /// io_uring_enter(2) calls.
    pub enters: u64,
    /// Operations given to the kernel.
    pub submitted: u64,
    /// Completions taken from the kernel.
    pub completed: u64,
    /// Times that the kernel was found to hold completions back because its queue was full.
    pub overflows: u64,
    /// Records that never reached the kernel.
    pub refused: u64,
}

pub struct Ring {
    /// Before the entrance: what is mapped goes before the descriptor, as with any file.
    pub(crate) queues: Queues,
    pub(crate) entrance: Entrance,
    pub(crate) shared: Shared,
    pub tables: Tables,
    /// When closing began.
    pub(crate) closing: Option<Closing>,
    /// Not started yet (IORING_SETUP_R_DISABLED).
    pub(crate) disabled: bool,
    /// What deadlines of waits count on (IORING_REGISTER_CLOCK).
    pub(crate) clock: libc::clockid_t,
    pub(crate) supported: Box<[bool; 256]>,
    /// Entries on their way from the block to the queue; kept for its memory.
    pub(crate) admitted: Vec<Sqe>,
    /// Completions made here that found no room in the block.
    pub(crate) local: VecDeque<LargeRecord>,
    /// Descriptors in the block that nobody has read.
    pub(crate) unread: Unread,
    pub(crate) stats: Stats,
    /// The tail of the queue when the thread that polls it was last woken (SQPOLL).
    woken_for: Option<u32>,
    /// Why the kernel refuses to be entered, once it does.
    broken: Option<i32>,
    /// The same, until JavaScript has been told.
    news: Option<i32>,
    /// Other rings can find it, until it is closed.
    pub(crate) listed: Option<Listed>,
    pub(crate) credentials: Credentials,
}

impl Ring {
    pub fn open(config: &Config) -> io::Result<Ring> {
        let credentials = Credentials::of_this_thread(config.sqpoll.is_some());
        let (entrance, queues) = setup::open(config)?;
        // Before 5.6 there is no probe, and then no operation of the table beyond the first few either.
        let supported = entrance.registrar().probe()?;
        let params = queues.params();
        let shared = new_block(params)?;
        let admitted = Vec::with_capacity(params.sq_entries as usize);
        let disabled = params.has(uapi::SETUP_R_DISABLED);
        let mut ring = Ring {
            queues,
            entrance,
            shared,
            tables: Tables::default(),
            closing: None,
            disabled,
            clock: libc::CLOCK_MONOTONIC,
            supported,
            local: VecDeque::new(),
            unread: Unread::default(),
            admitted,
            stats: Stats::default(),
            woken_for: None,
            // What a ring says that is not enabled, until it is.
            broken: disabled.then_some(libc::EBADFD),
            news: None,
            listed: None,
            credentials,
        };
        ring.tables.entries = match ring.queues.params() {
            params if params.has(uapi::SETUP_SQE128) => Entries::Large,
            params if params.has(uapi::SETUP_SQE_MIXED) => Entries::Mixed,
            _ => Entries::Small,
        };
        ring.tables.legacy.counts_one_too_many = !ring.supports(ops::READV_FIXED);
        if disabled && config.required & uapi::SETUP_R_DISABLED == 0 {
            // It only had to be for the memory of its waits.
            ring.enable()?;
        }
        Ok(ring)
    }

    /// Starts a ring that was opened disabled.
    pub fn enable(&mut self) -> io::Result<()> {
        self.registrar().enable_rings()?;
        // 5.10 says that it has enabled the ring, and goes on refusing to be entered (seen on 5.10.46).
        let entered = self.entrance.enter(0, 0);
        if entered.is_err_and(|error| is_errno(&error, libc::EBADFD)) {
            return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
        }
        self.disabled = false;
        self.broken = None;
        Ok(())
    }

    pub fn queues(&self) -> &Queues {
        &self.queues
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    /// IORING_SETUP_* that the kernel granted.
    pub fn setup_flags(&self) -> u32 {
        let enabled = if self.disabled { 0 } else { uapi::SETUP_R_DISABLED };
        self.queues.params().flags & !enabled
    }

    /// By which other rings find it (live.rs); without a descriptor, or when it is closing, EBADF.
    pub fn token(&mut self) -> io::Result<u64> {
        if let Some(listed) = &self.listed {
            return Ok(listed.token());
        }
        let none = || io::Error::from_raw_os_error(libc::EBADF);
        let descriptor = self.entrance.descriptor().filter(|_| self.closing.is_none());
        let listed = Listed::new(descriptor.ok_or_else(none)?)?;
        Ok(self.listed.insert(listed).token())
    }

    /// Names the ring by its place in this thread's table of rings (5.18); see `Entrance::register`.
    pub fn register_ring_fd(&mut self) -> io::Result<()> {
        // Came after registrations that wait for what is in flight: such a kernel would not even refuse it at once.
        if self.features() & uapi::FEAT_RSRC_TAGS == 0 {
            return Err(lacking(opcode::RING_FDS));
        }
        self.entrance.register()
    }

    pub fn unregister_ring_fd(&mut self) -> io::Result<()> {
        self.entrance.unregister()
    }

    pub fn supports(&self, opcode: u8) -> bool {
        self.supported[usize::from(opcode)]
    }

    pub fn stats(&self) -> Stats {
        self.stats
    }

    pub fn in_flight(&self) -> u32 {
        self.tables.in_flight.live()
    }

    /// Whether the kernel has something for us, or we for it, that only entering it moves.
    pub(crate) fn must_enter(&self) -> bool {
        let submission = &self.queues.submission;
        // A thread that polls the queue was woken for what stands there, and takes it when it gets to run.
        let is_taken_care_of = self.woken_for == Some(submission.pushed());
        let waits = self.queues.overflowed() || submission.queued() > 0 && !is_taken_care_of;
        waits || (self.is(uapi::SETUP_IOPOLL) && self.in_flight() > 0)
    }

    pub(crate) fn is(&self, flag: u32) -> bool {
        self.queues.params().has(flag)
    }

    /// The kernel says that completions wait for us to enter it. 6.18 may leave the flag behind when nothing waits any
    /// more (seen after chains), so it is a reason to enter once, never one to come again.
    pub(crate) fn taskrun(&self) -> bool {
        self.queues.has_task_work()
    }

    /// With SQPOLL, whether the kernel's thread takes the queue by itself, without a system call.
    fn thread_is_awake(&self) -> bool {
        self.is(uapi::SETUP_SQPOLL) && !self.queues.submission.needs_wakeup() && !self.queues.overflowed()
    }

    /// What an enter has to ask for besides submitting: completions that are held back and task work come to those
    /// who want events, and a sleeping thread is woken.
    pub(crate) fn enter_flags(&self) -> u32 {
        let mut flags = 0;
        if self.is(uapi::SETUP_IOPOLL) || self.queues.overflowed() || self.taskrun() {
            flags |= uapi::ENTER_GETEVENTS;
        }
        if self.is(uapi::SETUP_SQPOLL) && self.queues.submission.needs_wakeup() {
            flags |= uapi::ENTER_SQ_WAKEUP;
        }
        flags
    }

    /// Gives the kernel what is queued, without waiting.
    fn enter(&mut self) -> io::Result<()> {
        self.stats.enters += 1;
        let flags = self.enter_flags();
        let taken = self.entrance.enter(self.queues.submission.queued(), flags)?;
        if flags & uapi::ENTER_SQ_WAKEUP != 0 {
            self.woken_for = Some(self.queues.submission.pushed());
        }
        self.queues.submission.took(taken);
        Ok(())
    }

    /// Submits what is prepared, without waiting, and collects what is finished. Answers how many records were
    /// taken. When the kernel is short of memory the rest stays queued, and the error says so.
    pub fn submit(&mut self) -> io::Result<u32> {
        let taken = self.submit_only();
        self.reap();
        taken
    }

    /// As `submit`, but leaves what is finished where it is, unless it stands in the way.
    pub(crate) fn submit_only(&mut self) -> io::Result<u32> {
        if let Some(errno) = self.broken {
            return Err(io::Error::from_raw_os_error(errno));
        }
        let mut taken = self.stage();
        let mut retried = false;
        while (self.must_enter() || self.taskrun()) && !self.thread_is_awake() {
            let queued = self.queues.submission.queued();
            match self.enter() {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_busy(&error) && !retried => {
                    // The completion queue's backlog may be what stands in the way: make room and try once more.
                    retried = true;
                    self.reap();
                    continue;
                }
                Err(error) => return Err(error),
            }
            let left = self.queues.submission.queued();
            // With SQPOLL the kernel's thread empties the queue in its own time.
            if self.is(uapi::SETUP_SQPOLL)
                || (left == 0 && self.shared.prepared() == 0)
                || left >= queued.max(1)
                // Nobody adds records during this call; counts that say otherwise are not believed.
                || taken >= self.shared.sq_capacity()
            {
                break;
            }
            taken += self.stage();
        }
        // With SQPOLL the thread posts completions before it moves the head of the queue: a queue that looks full may
        // have nothing in flight any more, and then nobody would ever come back for the rest of the block.
        let all = self.shared.sq_capacity();
        while self.is(uapi::SETUP_SQPOLL) && self.shared.prepared() > 0 && taken < all {
            self.stats.enters += 1;
            let waited = self.entrance.enter(0, uapi::ENTER_SQ_WAIT);
            taken += self.stage();
            match waited.and_then(|_| self.wake_thread()) {
                Ok(()) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(taken)
    }

    fn wake_thread(&mut self) -> io::Result<()> {
        if self.thread_is_awake() {
            return Ok(());
        }
        self.enter()
    }

    /// Completions that can be read without waiting.
    pub fn ready(&self) -> u32 {
        self.moved() + self.queues.completion.len()
    }

    /// Those of them that have left the kernel's queue.
    pub(crate) fn moved(&self) -> u32 {
        self.shared.unread() + self.local.len() as u32
    }

    /// There are completions of records that were refused, which the block does not have yet.
    pub(crate) fn has_refused(&self) -> bool {
        !self.local.is_empty()
    }

    /// Moves finished completions into the shared block, as far as it has room. Makes no system call.
    pub fn reap(&mut self) {
        let Ring {
            queues,
            entrance,
            shared,
            tables,
            local,
            unread,
            stats,
            ..
        } = self;
        while !local.is_empty() && shared.completion_room() > 0 {
            if let Some(completion) = local.pop_front() {
                if completion.record.extra & EXTRA_BRINGS != 0 {
                    unread.note(shared, shared.get(Word::CqTail), completion.record, tables);
                }
                shared.push_completion(completion);
            }
        }
        if shared.is_large() {
            take_completions::<true>(queues, shared, tables, (unread, stats));
        } else {
            take_completions::<false>(queues, shared, tables, (unread, stats));
        }
        if tables.arenas.has_dead() {
            tables.arenas.sweep(entrance.registrar());
        }
        let overflowed = queues.overflowed();
        if overflowed && shared.get(Word::Overflowed) == 0 {
            stats.overflows += 1;
        }
        shared.set(Word::Overflowed, u32::from(overflowed));
        shared.set(Word::InFlight, tables.in_flight.live() + local.len() as u32);
    }

    /// Like `reap`, but also fetches what the kernel holds back until it is entered.
    pub fn collect(&mut self) -> io::Result<()> {
        self.reap();
        if self.shared.unread() == 0 && self.must_enter() {
            self.submit()?;
        }
        self.run_task_work()
    }

    /// Enters the kernel until it has run all that waits for us. One enter runs a limited number of items (at least 20:
    /// io_uring/io_uring.c, IO_LOCAL_TW_DEFAULT_MAX), each of which belongs to an operation in flight and need not
    /// complete it. The flag may be left behind, so it is not believed for ever.
    fn run_task_work(&mut self) -> io::Result<()> {
        const ITEMS_PER_ENTER_MIN: u32 = 20;
        for _ in 0..=self.in_flight() / ITEMS_PER_ENTER_MIN {
            if self.ready() > 0 || !self.taskrun() {
                break;
            }
            self.submit()?;
        }
        Ok(())
    }

    /// Whether a turn of the event loop has something to do here: records to submit, completions to deliver.
    pub fn has_work(&mut self) -> bool {
        let can_deliver =
            self.shared.unread() > 0 || !self.local.is_empty() || !self.queues.completion.is_empty();
        let can_submit = self.shared.prepared() > 0 || self.shared.get(Word::RecycleCount) > 0;
        // Who waits for a ring that broke down is told by the next pump.
        can_deliver || self.news.is_some() || (self.broken.is_none() && (can_submit || self.must_enter()))
    }

    /// The kernel refuses to be entered: nothing in flight will complete any more, and nothing new can be submitted.
    pub fn break_down(&mut self, errno: i32) {
        self.broken = Some(errno);
        self.news = Some(errno);
    }

    /// Why the ring has broken down, once.
    pub fn take_news(&mut self) -> Option<i32> {
        self.news.take()
    }

    /// As `break_down`, when the ring closes: JavaScript settles what is left in its own words.
    pub(crate) fn give_up(&mut self, errno: i32) {
        self.broken = Some(errno);
    }

    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Before 5.18 an eventfd is registered only when nothing is in flight any more (man io_uring_register(2),
    /// IORING_REGISTER_EVENTFD; MSG_RING came with that kernel).
    pub fn registering_waits(&self) -> bool {
        !self.supports(ops::OP_MSG_RING)
    }

    pub fn set_eventfd(&mut self, fd: RawFd) -> io::Result<()> {
        self.registrar().eventfd(fd)
    }

    pub fn clear_eventfd(&mut self) -> io::Result<()> {
        self.registrar().unregister_eventfd()
    }

    /// Once the eventfd is enabled again: fetches what the kernel has queued for us meanwhile. What comes later signals.
    /// Answers false when the kernel would not be entered: nothing signals what is still queued, so somebody must come
    /// again, and the error shows then.
    pub fn catch_up(&mut self) -> bool {
        let caught_up = self.is_broken() || self.run_task_work().is_ok();
        self.reap();
        caught_up
    }

    /// While we are looking at the completion queue ourselves, the kernel need not signal the eventfd.
    pub fn set_eventfd_enabled(&mut self, enabled: bool) {
        self.queues.completion.set_eventfd_enabled(enabled);
        // The caller looks for completions that came in between: the flag must be visible before that look
        // (io_uring/io_uring.c, io_eventfd_signal reads it after the completion is posted).
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }
}

/// From the kernel's queue to the block, as far as that has room.
fn take_completions<const LARGE: bool>(
    queues: &mut Queues,
    shared: &Shared,
    tables: &mut Tables,
    (unread, stats): (&mut Unread, &mut Stats),
) {
    let mut batch = queues.completion.batch();
    let mut completed = 0u32;
    let tail = shared.get(Word::CqTail);
    shared.push_completions::<LARGE>(|| {
        let completion = take_completion::<LARGE>(&mut batch, tables)?;
        if completion.record.extra & EXTRA_BRINGS != 0 {
            unread.note(shared, tail.wrapping_add(completed), completion.record, tables);
        }
        completed += 1;
        Some(completion)
    });
    stats.completed += u64::from(completed);
}

/// The next completion of an operation in flight.
#[inline]
pub(crate) fn take_completion<const LARGE: bool>(
    batch: &mut Batch<'_>,
    tables: &mut Tables,
) -> Option<LargeRecord> {
    loop {
        let cqe = batch.take::<LARGE>()?;
        if let Some(record) = tables.complete(cqe.user_data, cqe.res, cqe.flags) {
            return Some(LargeRecord {
                record,
                extra: cqe.extra,
            });
        }
    }
}

/// A shared block for queues of these sizes.
pub(crate) fn new_block(params: &Params) -> io::Result<Shared> {
    let completions = params
        .cq_entries
        .clamp(COMPLETION_BLOCK_MIN, COMPLETION_BLOCK_MAX);
    Shared::new(params.sq_entries, completions, params.has_large_completions())
}

/// The kernel is short of something for now, and has taken nothing: what is queued can be submitted again. ENOMEM is what
/// the first enter of a thread answers (io_uring/tctx.c, __io_uring_add_tctx_node).
pub fn is_busy(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::EBUSY | libc::ENOMEM)
    )
}
