//! The loop that all workloads share: keep `depth` operations in flight until all are done.

use std::io;
use std::time::{Duration, Instant};

use io_uring::{IoUring, squeue};

use crate::Result;
use crate::args::Common;
use crate::report::Report;

/// What one workload does in each slot.
///
/// # Safety
///
/// Memory named by an entry must stay valid, and must not be used for anything else, until the
/// completion of that entry. One slot has at most one entry in flight.
pub unsafe trait Workload {
    fn entry(&mut self, slot: u32) -> squeue::Entry;

    /// The result that a completion has to have: a run that did not do its work measures nothing.
    fn expected_result(&self) -> i32;
}

/// Warms up, then times `common.ops` operations.
pub fn measure(ring: &mut IoUring, common: &Common, work: &mut impl Workload) -> Result<Report> {
    run(ring, common.depth, common.warmup_ops, work)?;
    let elapsed = run(ring, common.depth, common.ops, work)?;
    Ok(Report {
        elapsed,
        ops: common.ops,
    })
}

/// Does `ops` operations and returns when none is in flight, also when one of them failed.
fn run(ring: &mut IoUring, depth: u32, ops: u64, work: &mut impl Workload) -> Result<Duration> {
    let expected = work.expected_result();
    let (submitter, mut submissions, mut completions) = ring.split();
    let mut to_start = ops;
    let mut in_flight = 0_u64;
    let mut failure = None;

    let begin = Instant::now();
    for slot in 0..depth {
        if to_start == 0 {
            break;
        }
        push(&mut submissions, work.entry(slot).user_data(u64::from(slot)));
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
            in_flight -= 1;
            if completion.result() != expected {
                // No more work, but what is in flight still owns its memory: go on until it is back.
                failure.get_or_insert(completion.result());
                to_start = 0;
            }
            if to_start > 0 {
                // user_data was made from a u32 above.
                let slot = completion.user_data() as u32;
                push(&mut submissions, work.entry(slot).user_data(u64::from(slot)));
                to_start -= 1;
                in_flight += 1;
            }
        }
    }
    let elapsed = begin.elapsed();

    match failure {
        None => Ok(elapsed),
        Some(result) if result < 0 => Err(io::Error::from_raw_os_error(-result).into()),
        Some(result) => Err(format!("a completion has {result}, expected {expected}").into()),
    }
}

#[inline]
fn push(submissions: &mut squeue::SubmissionQueue<'_>, entry: squeue::Entry) {
    // SAFETY: `Workload` promises valid memory until the completion, and a slot gets a new entry only
    // after the completion of its last one.
    let pushed = unsafe { submissions.push(&entry) };
    // The queue has at least `depth` entries and the kernel takes all of them at each enter.
    assert!(pushed.is_ok(), "the submission queue is full");
}

/// Interrupted and out-of-resources calls are tried again by the loop. Anything else would leave
/// operations in flight, and then the process has to end without giving their memory back.
#[inline]
fn wait(outcome: io::Result<usize>) {
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
