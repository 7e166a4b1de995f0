//! Opening a ring: what the user asked for is required, what merely makes it faster is tried strongest first
//! and dropped when the kernel says EINVAL. No decision is taken from a kernel version number.

use io_uring::{Builder, IoUring};
use std::io;
use std::os::fd::RawFd;

pub const ENTRIES_MAX: u32 = 32_768;
pub const CQ_ENTRIES_MAX: u32 = 65_536;

#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    pub entries: u32,
    pub cq_entries: u32,
    pub sqpoll: Option<Sqpoll>,
    pub iopoll: bool,
    /// Ring whose worker pool to share.
    pub attach_to: Option<RawFd>,
    pub task_run: TaskRun,
}

#[derive(Clone, Copy, Debug)]
pub struct Sqpoll {
    pub idle_ms: u32,
    pub cpu: Option<u32>,
}

/// Which way of running completions to try first (architecture.md, "COOP or DEFER").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TaskRun {
    #[default]
    Defer,
    Coop,
}

/// A setup flag that is granted or dropped by trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flag {
    NoSqarray,
    DeferTaskrun,
    SingleIssuer,
    CoopTaskrun,
    TaskrunFlag,
    SubmitAll,
}

impl Flag {
    pub fn name(self) -> &'static str {
        match self {
            Flag::NoSqarray => "NO_SQARRAY",
            Flag::DeferTaskrun => "DEFER_TASKRUN",
            Flag::SingleIssuer => "SINGLE_ISSUER",
            Flag::CoopTaskrun => "COOP_TASKRUN",
            Flag::TaskrunFlag => "TASKRUN_FLAG",
            Flag::SubmitAll => "SUBMIT_ALL",
        }
    }

    fn set(self, builder: &mut Builder) {
        match self {
            Flag::NoSqarray => builder.setup_no_sqarray(),
            Flag::DeferTaskrun => builder.setup_defer_taskrun(),
            Flag::SingleIssuer => builder.setup_single_issuer(),
            Flag::CoopTaskrun => builder.setup_coop_taskrun(),
            Flag::TaskrunFlag => builder.setup_taskrun_flag(),
            Flag::SubmitAll => builder.setup_submit_all(),
        };
    }
}

/// Sets of flags, strongest first; each loses the newest flag of the one before (first kernel in brackets).
fn tiers(config: &Config) -> Vec<Vec<Flag>> {
    use Flag::{CoopTaskrun, DeferTaskrun, NoSqarray, SingleIssuer, SubmitAll, TaskrunFlag};
    if config.sqpoll.is_some() {
        // SQPOLL excludes every form of TASKRUN (io_uring/io_uring.c, io_uring_sanitise_params).
        return vec![
            vec![SubmitAll, SingleIssuer, NoSqarray],
            vec![SubmitAll, SingleIssuer],
            vec![SubmitAll],
            vec![],
        ];
    }
    let mut tiers = Vec::new();
    if config.task_run == TaskRun::Defer {
        tiers.push(vec![
            SubmitAll,
            SingleIssuer,
            DeferTaskrun,
            TaskrunFlag,
            NoSqarray,
        ]); // 6.6
        tiers.push(vec![SubmitAll, SingleIssuer, DeferTaskrun, TaskrunFlag]); // 6.1
    }
    tiers.push(vec![SubmitAll, SingleIssuer, CoopTaskrun, TaskrunFlag, NoSqarray]); // 6.6
    tiers.push(vec![SubmitAll, SingleIssuer, CoopTaskrun, TaskrunFlag]); // 6.0
    tiers.push(vec![SubmitAll, CoopTaskrun, TaskrunFlag]); // 5.19
    tiers.push(vec![SubmitAll]); // 5.18
    tiers.push(vec![]);
    tiers
}

fn builder(config: &Config) -> Builder {
    let mut builder = IoUring::builder();
    builder.dontfork().setup_cqsize(config.cq_entries);
    if let Some(sqpoll) = config.sqpoll {
        builder.setup_sqpoll(sqpoll.idle_ms);
        if let Some(cpu) = sqpoll.cpu {
            builder.setup_sqpoll_cpu(cpu);
        }
    }
    if config.iopoll {
        builder.setup_iopoll();
    }
    if let Some(fd) = config.attach_to {
        builder.setup_attach_wq(fd);
    }
    builder
}

/// Opens a ring with the strongest set of flags that the kernel takes, and says which set that was.
pub fn open(config: &Config) -> io::Result<(IoUring, Vec<Flag>)> {
    let mut refused = io::Error::from_raw_os_error(libc::EINVAL);
    for flags in tiers(config) {
        let mut builder = builder(config);
        for flag in &flags {
            flag.set(&mut builder);
        }
        match builder.build(config.entries) {
            Ok(ring) => return Ok((ring, flags)),
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tier_is_weaker_than_the_one_before() {
        for task_run in [TaskRun::Defer, TaskRun::Coop] {
            let config = Config {
                task_run,
                ..Config::default()
            };
            let tiers = tiers(&config);
            assert!(tiers.last().is_some_and(Vec::is_empty));
            for pair in tiers.windows(2) {
                assert_ne!(pair[0], pair[1]);
            }
        }
    }

    #[test]
    fn what_the_user_requires_is_never_dropped() {
        let config = Config {
            entries: 4,
            cq_entries: 8,
            attach_to: Some(0),
            ..Config::default()
        };
        // fd 0 is no ring: the kernel refuses, and no tier opens a ring that is not attached.
        assert!(open(&config).is_err());
    }

    #[test]
    fn sizes_are_granted_as_asked() {
        let config = Config {
            entries: 1,
            cq_entries: 4,
            ..Config::default()
        };
        let (ring, _) = open(&config).unwrap();
        assert_eq!((ring.params().sq_entries(), ring.params().cq_entries()), (1, 4));
    }
}
