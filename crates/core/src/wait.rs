//! Waiting for completions: how many, how long, until when.

use crate::enter::{End, Wait};
use crate::ring::{Ring, is_busy};
use std::io;
use std::time::{Duration, Instant};

/// What is left of a time that runs since `started`.
fn left(limit: Duration, started: Instant) -> Duration {
    if limit.is_zero() {
        limit
    } else {
        limit.saturating_sub(started.elapsed())
    }
}

impl Ring {
    /// Submits what is prepared and blocks until `want` completions are there to read, or the time is up.
    pub fn submit_and_wait(&mut self, want: u32, timeout: Option<Duration>) -> io::Result<u32> {
        let end = timeout.map_or(End::Never, End::After);
        let min_wait = Duration::ZERO;
        self.submit_and_wait_for(want, Wait { end, min_wait })
    }

    /// As `submit_and_wait`; when `min_wait` is over, one completion is enough.
    pub fn submit_and_wait_for(&mut self, want: u32, wait: Wait) -> io::Result<u32> {
        let started = Instant::now();
        let mut taken = self.submit()?;
        loop {
            // The kernel counts what stands in its own queue. Looked at once: what the kernel's threads add between two
            // looks would be waited for a second time.
            let moved = self.moved();
            let (end, time_is_up) = match wait.end {
                End::Never => (End::Never, false),
                End::After(timeout) => {
                    let left = left(timeout, started);
                    (End::After(left), left.is_zero())
                }
                End::At(ns) => (wait.end, self.clock_ns() >= ns),
            };
            let min_wait = left(wait.min_wait, started);
            let want = if min_wait.is_zero() && !wait.min_wait.is_zero() {
                want.min(1)
            } else {
                want
            };
            if moved + self.queues.completion.len() >= want || time_is_up {
                // What the last round moved to the queue.
                if self.must_enter() {
                    taken += self.submit()?;
                }
                // A thread of the kernel's may have added them since the last time.
                self.reap();
                return Ok(taken);
            }
            let one_is_there = moved + self.queues.completion.len() > 0;
            let wait = self.as_the_kernel_means_it(Wait { end, min_wait }, one_is_there);
            let missing = (want - moved).min(self.cq_entries());
            let queued = self.queues.submission.queued();
            self.stats.enters += 1;
            match self
                .entrance
                .enter_and_wait(queued, missing, self.enter_flags(), wait)
            {
                Ok(count) => self.queues.submission.took(count),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.raw_os_error() == Some(libc::ETIME) => {}
                Err(error) if is_busy(&error) => {}
                Err(error) => return Err(error),
            }
            self.reap();
            taken += self.stage();
        }
    }

    /// The kernel's minimum looks only at completions that come during the wait, and outlasts the end (io_uring/io_uring.c,
    /// io_cqring_schedule_timeout).
    fn as_the_kernel_means_it(&self, Wait { end, min_wait }: Wait, one_is_there: bool) -> Wait {
        if min_wait.is_zero() {
            return Wait { end, min_wait };
        }
        let sooner = match end {
            End::Never => End::After(min_wait),
            End::After(time) => End::After(time.min(min_wait)),
            End::At(ns) => End::At(ns.min(self.clock_ns() + min_wait.as_nanos() as u64)),
        };
        if one_is_there || sooner == end {
            return Wait {
                end: sooner,
                min_wait: Duration::ZERO,
            };
        }
        Wait { end, min_wait }
    }

    /// What deadlines of waits count on from here on: CLOCK_MONOTONIC, as at first, or CLOCK_BOOTTIME (6.12).
    pub fn set_clock(&mut self, clock: libc::clockid_t) -> io::Result<()> {
        self.registrar().clock(clock)?;
        self.clock = clock;
        Ok(())
    }

    /// What the ring's clock says, in nanoseconds.
    pub fn clock_ns(&self) -> u64 {
        let mut now = libc::timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        // SAFETY: writes one structure, a local; the clock exists since Linux 2.6.39.
        unsafe { libc::clock_gettime(self.clock, &mut now) };
        now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
    }
}
