//! The ring: takes operation records from the shared block, gives them to the kernel, and puts completions
//! back into the block.

use crate::inflight;
use crate::register::Registrar;
use crate::reject::Reject;
use crate::relocate::{SQE_HARDLINK, SQE_LINK, Tables, Words};
use crate::setup::{self, Config, Flag};
use crate::shared::{CompletionRecord, EXTRA_IS_LOCAL, RECORD_WORDS, Shared, Word};
use io_uring::squeue::Entry;
use io_uring::{IoUring, opcode, types};
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::time::{Duration, Instant};

/// Completion records in the shared block; more than that stay in the kernel's queue until JavaScript has read some.
const COMPLETION_BLOCK_MAX: u32 = 4096;
const COMPLETION_BLOCK_MIN: u32 = 64;
const USER_DATA_LANE: usize = 4;

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
}

pub struct Ring {
    pub(crate) io: IoUring,
    pub(crate) shared: Shared,
    pub tables: Tables,
    pub(crate) closing: bool,
    granted: Vec<Flag>,
    supported: Box<[bool; 256]>,
    /// Entries on their way from the block to the queue; kept for its memory.
    admitted: Vec<[u64; 8]>,
    /// Completions made here that found no room in the block.
    local: VecDeque<CompletionRecord>,
    stats: Stats,
    /// Why the kernel refuses to be entered, once it does.
    broken: Option<i32>,
}

/// SAFETY-relevant layout: an `Entry` is `repr(C)` over the kernel's 64-byte SQE (io-uring/src/squeue.rs).
const _: () = assert!(size_of::<Entry>() == RECORD_WORDS * 4);

const _: () = assert!(align_of::<Entry>() == align_of::<[u64; 8]>());

fn entries(lanes: &[[u64; 8]]) -> &[Entry] {
    // SAFETY: an `Entry` has the size and alignment of eight 64-bit words (asserted above), and every bit pattern is
    // an SQE; that its pointers are good is what `Tables::relocate` makes sure of.
    unsafe { std::slice::from_raw_parts(lanes.as_ptr().cast::<Entry>(), lanes.len()) }
}

impl Ring {
    pub fn open(config: &Config) -> io::Result<Ring> {
        let (io, granted) = setup::open(config)?;
        // Before 5.6 there is no probe, and then no operation of the table beyond the first few either.
        let supported = Registrar::new(io.as_raw_fd()).probe()?;
        let params = io.params();
        let block = params
            .cq_entries()
            .clamp(COMPLETION_BLOCK_MIN, COMPLETION_BLOCK_MAX);
        let shared = Shared::new(params.sq_entries(), block)?;
        let sq_entries = params.sq_entries() as usize;
        Ok(Ring {
            io,
            shared,
            tables: Tables::default(),
            closing: false,
            granted,
            supported,
            local: VecDeque::new(),
            admitted: Vec::with_capacity(sq_entries),
            stats: Stats::default(),
            broken: None,
        })
    }

    pub fn io(&self) -> &IoUring {
        &self.io
    }

    pub fn shared(&self) -> &Shared {
        &self.shared
    }

    pub fn granted(&self) -> &[Flag] {
        &self.granted
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

    /// Moves records from the shared block into the submission queue, as far as it has room; a chain moves whole.
    pub(crate) fn stage(&mut self) -> u32 {
        if self.shared.get(Word::RecycleCount) > 0 {
            let groups = &mut self.tables.groups;
            self.shared.drain_recycled(|group, id| {
                groups.give_back(group, id);
            });
        }
        let prepared = self.shared.prepared();
        if prepared == 0 {
            return 0;
        }
        if self.closing {
            refuse(&self.shared, &mut self.local, (0, prepared), 0, Reject::Closed);
            self.shared.take_records(prepared);
            return prepared;
        }
        let taken = self.admit_records(prepared);
        let mut queue = self.io.submission();
        // SAFETY: `relocate` checked every pointer and pinned what they name until the last completion.
        unsafe { queue.push_multiple(entries(&self.admitted)) }.expect("room was checked");
        drop(queue);
        self.shared.take_records(taken);
        self.stats.submitted += self.admitted.len() as u64;
        taken
    }

    /// Admits records to `admitted`, as many as the queue has room for, and answers how many it dealt with. They are
    /// copied into the queue together: one by one, each copy would wait for the stores before it.
    fn admit_records(&mut self, prepared: u32) -> u32 {
        let queue = self.io.submission();
        let room = queue.capacity() - queue.len();
        drop(queue);
        let Ring {
            shared,
            tables,
            local,
            supported,
            admitted,
            ..
        } = self;
        admitted.clear();
        let mut taken = 0;
        while taken < prepared {
            let record = shared.record(taken);
            let length = if is_linked(&record) {
                chain_length(shared, taken, prepared)
            } else {
                1
            };
            // The block is as large as the queue, so a chain always fits into an empty one.
            if room - admitted.len() < length as usize {
                break;
            }
            let refused = if length == 1 {
                match tables.relocate(&record, supported) {
                    Ok(relocated) => {
                        admitted.push(relocated.lanes(&record));
                        None
                    }
                    Err(reject) => Some((0, reject)),
                }
            } else {
                admit_chain(shared, tables, supported, (taken, length), admitted)
            };
            if let Some((culprit, reject)) = refused {
                refuse(shared, local, (taken, length), culprit, reject);
            }
            taken += length;
        }
        taken
    }

    /// Whether the kernel has something for us, or we for it, that only entering it moves.
    fn must_enter(&mut self) -> bool {
        let queue = self.io.submission();
        let waits = queue.cq_overflow() || !queue.is_empty();
        drop(queue);
        waits || (self.io.params().is_setup_iopoll() && self.in_flight() > 0)
    }

    /// The kernel says that completions wait for us to enter it. 6.18 may leave the flag behind when nothing waits any
    /// more (seen after chains), so it is a reason to enter once, never one to come again.
    fn taskrun(&mut self) -> bool {
        self.io.submission().taskrun()
    }

    /// With SQPOLL, whether the kernel's thread takes the queue by itself, without a system call.
    fn thread_is_awake(&mut self) -> bool {
        if !self.io.params().is_setup_sqpoll() {
            return false;
        }
        let queue = self.io.submission();
        // `need_wakeup` has the full fence that must stand between the store of the tail and this look.
        !queue.need_wakeup() && !queue.cq_overflow()
    }

    /// Submits what is prepared, without waiting, and collects what is finished. Answers how many records were
    /// taken. When the kernel is short of memory the rest stays queued, and the error says so.
    pub fn submit(&mut self) -> io::Result<u32> {
        if let Some(errno) = self.broken {
            self.reap();
            return Err(io::Error::from_raw_os_error(errno));
        }
        let mut taken = self.stage();
        let mut retried = false;
        while (self.must_enter() || self.taskrun()) && !self.thread_is_awake() {
            self.stats.enters += 1;
            let queued = self.io.submission().len();
            match self.io.submitter().submit() {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if is_busy(&error) && !retried => {
                    // The completion queue's backlog may be what stands in the way: make room and try once more.
                    retried = true;
                    self.reap();
                    continue;
                }
                Err(error) => {
                    self.reap();
                    return Err(error);
                }
            }
            let left = self.io.submission().len();
            // With SQPOLL the kernel's thread empties the queue in its own time.
            if self.io.params().is_setup_sqpoll()
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
        while self.io.params().is_setup_sqpoll() && self.shared.prepared() > 0 && taken < all {
            self.stats.enters += 1;
            let waited = self.io.submitter().squeue_wait();
            taken += self.stage();
            match waited.and_then(|_| self.io.submitter().submit()) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.reap();
                    return Err(error);
                }
            }
        }
        self.reap();
        Ok(taken)
    }

    /// Submits what is prepared and blocks until `want` completions are there to read, or the time is up.
    pub fn submit_and_wait(&mut self, want: u32, timeout: Option<Duration>) -> io::Result<u32> {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut taken = self.submit()?;
        loop {
            // The kernel counts what stands in its own queue. Looked at once: what the kernel's threads add between two
            // looks would be waited for a second time.
            let moved = self.shared.unread() + self.local.len() as u32;
            let remaining = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            let time_is_up = remaining.is_some_and(|remaining| remaining.is_zero());
            if moved + self.io.completion().len() as u32 >= want || time_is_up {
                // What the last round moved to the queue.
                if self.must_enter() {
                    taken += self.submit()?;
                }
                return Ok(taken);
            }
            let timespec = remaining.map(types::Timespec::from);
            let mut args = types::SubmitArgs::new();
            if let Some(timespec) = &timespec {
                args = args.timespec(timespec);
            }
            let missing = (want - moved) as usize;
            let missing = missing.min(self.io.params().cq_entries() as usize);
            self.stats.enters += 1;
            match self.io.submitter().submit_with_args(missing, &args) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ETIME) => {}
                Err(error) if is_busy(&error) => {}
                Err(error) => return Err(error),
            }
            self.reap();
            taken += self.stage();
        }
    }

    /// Completions that can be read without waiting.
    pub fn ready(&mut self) -> u32 {
        let in_kernel = self.io.completion().len();
        self.shared.unread() + self.local.len() as u32 + in_kernel as u32
    }

    /// Moves finished completions into the shared block, as far as it has room. Makes no system call.
    pub fn reap(&mut self) {
        let Ring {
            io,
            shared,
            tables,
            local,
            stats,
            ..
        } = self;
        while !local.is_empty() && shared.completion_room() > 0 {
            if let Some(completion) = local.pop_front() {
                shared.push_completion(completion);
            }
        }
        let mut queue = io.completion();
        let mut completed = 0;
        shared.push_completions(|| {
            loop {
                let cqe = queue.next()?;
                let completion = tables.complete(cqe.user_data(), cqe.result(), cqe.flags());
                if completion.is_some() {
                    completed += 1;
                    return completion;
                }
            }
        });
        drop(queue);
        stats.completed += completed;
        if tables.arenas.has_dead() {
            tables.arenas.sweep(Registrar::new(io.as_raw_fd()));
        }
        let overflowed = io.submission().cq_overflow();
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
            self.shared.unread() > 0 || !self.local.is_empty() || !self.io.completion().is_empty();
        let can_submit = self.shared.prepared() > 0 || self.shared.get(Word::RecycleCount) > 0;
        can_deliver || (self.broken.is_none() && (can_submit || self.must_enter()))
    }

    /// The kernel refuses to be entered: nothing in flight will complete any more, and nothing new can be submitted.
    pub fn break_down(&mut self, errno: i32) {
        self.broken = Some(errno);
    }

    pub fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    pub fn set_eventfd(&mut self, fd: RawFd) -> io::Result<()> {
        self.registrar().eventfd(fd)
    }

    pub fn clear_eventfd(&mut self) -> io::Result<()> {
        self.registrar().unregister_eventfd()
    }

    /// Once the eventfd is enabled again: fetches what the kernel has queued for us meanwhile. What comes later signals.
    pub fn catch_up(&mut self) {
        // An error shows again at the next submission.
        let _caught_up = self.run_task_work();
        self.reap();
    }

    /// While we are looking at the completion queue ourselves, the kernel need not signal the eventfd.
    pub fn set_eventfd_enabled(&mut self, enabled: bool) {
        let queue = self.io.completion();
        if enabled {
            queue.enable_eventfd()
        } else {
            queue.disable_eventfd()
        }
        // The caller looks for completions that came in between: the flag must be visible before that look
        // (io_uring/io_uring.c, io_eventfd_signal reads it after the completion is posted).
        std::sync::atomic::fence(std::sync::atomic::Ordering::SeqCst);
    }

    /// Asks the kernel to cancel everything; completions follow for whatever could be stopped.
    pub fn cancel_all(&mut self) -> io::Result<()> {
        if self.in_flight() == 0 {
            return Ok(());
        }
        let cancel = opcode::AsyncCancel2::new(types::CancelBuilder::any())
            .build()
            .user_data(inflight::INTERNAL);
        if self.push_internal(&cancel).is_err() {
            // No room: what is queued goes first.
            self.submit()?;
            let _full_again = self.push_internal(&cancel);
        }
        self.submit().map(drop)
    }

    pub(crate) fn push_internal(&mut self, entry: &Entry) -> Result<(), io_uring::squeue::PushError> {
        // SAFETY: a cancel request names no memory.
        unsafe { self.io.submission().push(entry) }
    }
}

fn is_linked(record: &Words) -> bool {
    record[0] >> 8 & (SQE_LINK | SQE_HARDLINK) != 0
}

/// Records from `first` on, up to and including the first that is not linked to the next.
fn chain_length(shared: &Shared, first: u32, prepared: u32) -> u32 {
    let linked = (first..prepared)
        .take_while(|at| is_linked(&shared.record(*at)))
        .count() as u32;
    (linked + 1).min(prepared - first)
}

/// Admits a whole chain or nothing of it; answers the link that was refused.
fn admit_chain(
    shared: &Shared,
    tables: &mut Tables,
    supported: &[bool; 256],
    (first, length): (u32, u32),
    admitted: &mut Vec<[u64; 8]>,
) -> Option<(u32, Reject)> {
    let before = admitted.len();
    for ahead in 0..length {
        let record = shared.record(first + ahead);
        match tables.relocate(&record, supported) {
            Ok(relocated) => admitted.push(relocated.lanes(&record)),
            Err(reject) => {
                for lanes in admitted.drain(before..) {
                    tables.retract(lanes[USER_DATA_LANE]);
                }
                return Some((ahead, reject));
            }
        }
    }
    None
}

/// Completes records that never reach the kernel: the culprit with its reason, the others of its chain as cancelled.
fn refuse(
    shared: &Shared,
    local: &mut VecDeque<CompletionRecord>,
    (first, length): (u32, u32),
    culprit: u32,
    reject: Reject,
) {
    for ahead in 0..length {
        let alone = ahead == culprit || reject == Reject::Closed;
        let reject = if alone { reject } else { Reject::ChainBroken };
        let res = if matches!(reject, Reject::Closed | Reject::ChainBroken) {
            -libc::ECANCELED
        } else {
            -libc::EINVAL
        };
        let index = shared.record(first + ahead)[8];
        local.push_back(CompletionRecord {
            index,
            res,
            flags: 0,
            extra: EXTRA_IS_LOCAL | reject as u32,
        });
    }
}

pub(crate) fn is_busy(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY))
}
