//! Opening a ring with the strongest setup that this kernel takes.

use std::io;
use std::str::FromStr;

use io_uring::{Builder, IoUring};

/// Who runs the kernel's deferred work for this ring. The package chose one of the two after
/// measuring; the peer can do either, so that the choice stays measurable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskRun {
    /// `DEFER_TASKRUN`: only when this thread asks for completions.
    Defer,
    /// `COOP_TASKRUN`: on any system call of this thread, without interrupting it.
    Coop,
}

impl FromStr for TaskRun {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "defer" => Ok(Self::Defer),
            "coop" => Ok(Self::Coop),
            _ => Err(format!("{text:?} is neither \"defer\" nor \"coop\"")),
        }
    }
}

type Step = fn(&mut Builder, TaskRun);

/// Strongest flag last: an older kernel answers EINVAL, and then the last one is dropped.
const STEPS: [Step; 4] = [
    |builder, _| {
        builder.setup_clamp();
    },
    |builder, _| {
        builder.setup_submit_all();
    },
    |builder, task_run| {
        builder.setup_single_issuer();
        match task_run {
            TaskRun::Defer => builder.setup_defer_taskrun(),
            TaskRun::Coop => builder.setup_coop_taskrun(),
        };
    },
    |builder, _| {
        builder.setup_no_sqarray();
    },
];

/// A ring with `entries` submission entries (rounded up to a power of two by the kernel).
pub fn open(entries: u32, task_run: TaskRun) -> io::Result<IoUring> {
    open_with(entries, task_run, entries.saturating_mul(2))
}

/// The same with a completion queue of a size of its own.
pub fn open_with(entries: u32, task_run: TaskRun, completions: u32) -> io::Result<IoUring> {
    let mut taken = STEPS.len();
    loop {
        let mut builder = IoUring::builder();
        builder.setup_cqsize(completions);
        for step in &STEPS[..taken] {
            step(&mut builder, task_run);
        }
        match builder.build(entries) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) && taken > 0 => taken -= 1,
            // A figure from a weaker ring is still a figure, but whoever reads it has to know.
            Ok(ring) if taken < STEPS.len() => {
                eprintln!(
                    "uring-peer: this kernel refuses {} of the setup steps",
                    STEPS.len() - taken
                );
                return Ok(ring);
            }
            result => return result,
        }
    }
}
