//! The loop that the closed workloads share: keep `depth` operations in flight until all are done.

use std::io;
use std::time::{Duration, Instant};

use io_uring::{IoUring, squeue};

use crate::Result;
use crate::args::Common;
use crate::report::Report;

/// What one workload does in each slot: an operation, or a chain of linked ones.
///
/// # Safety
///
/// Memory named by an entry must stay valid, and must not be used for anything else, until the
/// completion of that entry. One slot has at most one chain in flight.
pub unsafe trait Workload {
    /// Entries of one chain, which has to carry the links itself.
    const STEPS: u32 = 1;

    /// The entry of one step. Those of a chain are asked for in order, beginning with 0.
    fn entry(&mut self, slot: u32, step: u32) -> squeue::Entry;

    /// Whether a completion has the result that it has to have: a run that did not do its work measures
    /// nothing.
    fn is_expected(&mut self, slot: u32, step: u32, result: i32) -> bool;
}

/// Warms up, then times `common.ops` operations.
pub fn measure(ring: &mut IoUring, common: &Common, work: &mut impl Workload) -> Result<Report> {
    run(ring, common.depth, common.warmup_ops, work)?;
    let elapsed = run(ring, common.depth, common.ops, work)?;
    Ok(Report::of(elapsed, common.ops))
}

/// Does `ops` operations and returns when none is in flight, also when one of them failed.
fn run<W: Workload>(ring: &mut IoUring, depth: u32, ops: u64, work: &mut W) -> Result<Duration> {
    let (submitter, mut submissions, mut completions) = ring.split();
    let mut to_start = ops;
    let mut in_flight = 0_u64;
    let mut failure = None;

    let begin = Instant::now();
    for slot in 0..depth {
        if to_start == 0 {
            break;
        }
        push_chain(&mut submissions, work, slot);
        to_start -= 1;
        in_flight += 1;
    }
    while in_flight > 0 {
        submissions.sync();
        wait(submitter.submit_and_wait(1));
        // Again, now to see which entries the kernel took: without it the queue looks full for ever.
        submissions.sync();
        completions.sync();
        for completion in &mut completions {
            // Both halves were made from u32 in `push_chain`.
            let (slot, step) = (
                completion.user_data() as u32,
                (completion.user_data() >> 32) as u32,
            );
            if !work.is_expected(slot, step, completion.result()) {
                // No more work, but what is in flight still owns its memory: go on until it is back.
                failure.get_or_insert((step, completion.result()));
                to_start = 0;
            }
            // The links of a chain complete in order, also those that an error has cancelled.
            if step + 1 < W::STEPS {
                continue;
            }
            in_flight -= 1;
            if to_start > 0 {
                push_chain(&mut submissions, work, slot);
                to_start -= 1;
                in_flight += 1;
            }
        }
    }
    let elapsed = begin.elapsed();

    match failure {
        None => Ok(elapsed),
        Some((_, result)) if result < 0 => Err(io::Error::from_raw_os_error(-result).into()),
        Some((step, result)) => Err(format!("step {step} completed with the wrong result {result}").into()),
    }
}

#[inline]
fn push_chain<W: Workload>(submissions: &mut squeue::SubmissionQueue<'_>, work: &mut W, slot: u32) {
    for step in 0..W::STEPS {
        let user_data = u64::from(step) << 32 | u64::from(slot);
        let entry = work.entry(slot, step).user_data(user_data);
        // SAFETY: `Workload` promises valid memory until the completion, and a slot gets new entries only
        // after the completion of its last one.
        let pushed = unsafe { submissions.push(&entry) };
        // The queue has at least `depth` chains and the kernel takes all of them at each enter.
        assert!(pushed.is_ok(), "the submission queue is full");
    }
}

/// Interrupted and out-of-resources calls are tried again by the loop. Anything else would leave
/// operations in flight, and then the process has to end without giving their memory back.
#[inline]
pub fn wait(outcome: io::Result<usize>) {
    if let Err(error) = outcome
        && !matches!(
            error.raw_os_error(),
            Some(libc::EINTR | libc::EAGAIN | libc::EBUSY)
        )
    {
        eprintln!("uring-peer: io_uring_enter: {error}");
        std::process::exit(1);
    }
}
