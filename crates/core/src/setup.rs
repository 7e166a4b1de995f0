//! Opening a ring: what the user asked for is required, what merely makes it faster is tried strongest first
//! and dropped when the kernel says EINVAL. No decision is taken from a kernel version number.

use crate::enter::Entrance;
use crate::queues::Queues;
use crate::ring_memory::{OwnMemory, RingMemory};
use crate::uapi::{
    self, Params, SETUP_COOP_TASKRUN as COOP_TASKRUN, SETUP_DEFER_TASKRUN as DEFER_TASKRUN,
    SETUP_NO_SQARRAY as NO_SQARRAY, SETUP_SINGLE_ISSUER as SINGLE_ISSUER, SETUP_SUBMIT_ALL as SUBMIT_ALL,
    SETUP_TASKRUN_FLAG as TASKRUN_FLAG,
};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

pub const ENTRIES_MAX: u32 = 32_768;
pub const CQ_ENTRIES_MAX: u32 = 65_536;

#[derive(Clone, Copy, Debug, Default)]
pub struct Config {
    pub entries: u32,
    pub cq_entries: u32,
    pub sqpoll: Option<Sqpoll>,
    /// Ring whose worker pool to share.
    pub attach_to: Option<RawFd>,
    pub task_run: TaskRun,
    /// IORING_SETUP_* that are not to be dropped.
    pub required: u32,
    /// IORING_SETUP_* that are not to be tried.
    pub forbidden: u32,
    /// Waits find their limits in registered memory (6.13).
    pub registered_wait: bool,
    /// Waits do not count as waits for a disk (6.15).
    pub no_io_wait: bool,
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

/// Sets of flags, strongest first; each loses the newest flag of the one before (first kernel in brackets).
fn tiers(config: &Config) -> Vec<u32> {
    let mut tiers = Vec::new();
    if config.sqpoll.is_some() {
        // SQPOLL excludes every form of TASKRUN (io_uring/io_uring.c, io_uring_sanitise_params).
        tiers.push(SUBMIT_ALL | SINGLE_ISSUER | NO_SQARRAY);
        tiers.push(SUBMIT_ALL | SINGLE_ISSUER);
        tiers.push(SUBMIT_ALL);
        tiers.push(0);
    } else {
        // DEFER_TASKRUN needs SINGLE_ISSUER.
        if config.task_run == TaskRun::Defer && config.forbidden & SINGLE_ISSUER == 0 {
            tiers.push(SUBMIT_ALL | SINGLE_ISSUER | DEFER_TASKRUN | TASKRUN_FLAG | NO_SQARRAY); // 6.6
            tiers.push(SUBMIT_ALL | SINGLE_ISSUER | DEFER_TASKRUN | TASKRUN_FLAG); // 6.1
        }
        tiers.push(SUBMIT_ALL | SINGLE_ISSUER | COOP_TASKRUN | TASKRUN_FLAG | NO_SQARRAY); // 6.6
        tiers.push(SUBMIT_ALL | SINGLE_ISSUER | COOP_TASKRUN | TASKRUN_FLAG); // 6.0
        tiers.push(SUBMIT_ALL | COOP_TASKRUN | TASKRUN_FLAG); // 5.19
        tiers.push(SUBMIT_ALL); // 5.18
        tiers.push(0);
    }
    for tier in &mut tiers {
        *tier = *tier & !config.forbidden | config.required;
    }
    tiers.dedup();
    tiers
}

fn params(config: &Config, flags: u32) -> Params {
    let mut params = Params {
        cq_entries: config.cq_entries,
        flags: flags | uapi::SETUP_CQSIZE,
        ..Params::default()
    };
    if let Some(sqpoll) = config.sqpoll {
        params.flags |= uapi::SETUP_SQPOLL;
        params.sq_thread_idle = sqpoll.idle_ms;
        if let Some(cpu) = sqpoll.cpu {
            params.flags |= uapi::SETUP_SQ_AFF;
            params.sq_thread_cpu = cpu;
        }
    }
    if let Some(fd) = config.attach_to {
        params.flags |= uapi::SETUP_ATTACH_WQ;
        params.wq_fd = fd as u32;
    }
    if config.registered_wait {
        // The memory can only be registered before the ring runs.
        params.flags |= uapi::SETUP_R_DISABLED;
    }
    params
}

/// io_uring_setup(2), again when a signal came in between: nothing was made then.
fn call(entries: u32, params: &mut Params) -> io::Result<RawFd> {
    loop {
        // SAFETY: the structure lives to the end of the call, and the memory it names as long as the ring.
        let result = unsafe { libc::syscall(libc::SYS_io_uring_setup, entries, std::ptr::from_mut(params)) };
        if let Ok(number) = RawFd::try_from(result)
            && number >= 0
        {
            return Ok(number);
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

/// Opens a ring with exactly these flags.
fn set_up(entries: u32, mut params: Params) -> io::Result<(Entrance, Queues)> {
    let own = if params.has(uapi::SETUP_NO_MMAP) {
        // Larger sizes are refused, or with CLAMP reduced to these.
        let sizes = (entries.min(ENTRIES_MAX), params.cq_entries.min(CQ_ENTRIES_MAX));
        let memory = OwnMemory::new(sizes.0, sizes.1, params.flags)?;
        memory.announce(&mut params);
        Some(memory)
    } else {
        None
    };
    let number = call(entries, &mut params)?;
    let entrance = if params.has(uapi::SETUP_REGISTERED_FD_ONLY) {
        Entrance::registered_only(number as u32)
    } else {
        // SAFETY: a new descriptor, owned from here on.
        Entrance::new(unsafe { OwnedFd::from_raw_fd(number) })
    };
    let memory = match own {
        Some(memory) => RingMemory::own(memory, &params),
        None => RingMemory::map(entrance.fd(), &params)?,
    };
    Ok((entrance, Queues::new(memory, params)))
}

/// Opens a ring with the strongest set of flags that the kernel takes.
pub fn open(config: &Config) -> io::Result<(Entrance, Queues)> {
    let mut refused = io::Error::from_raw_os_error(libc::EINVAL);
    for flags in tiers(config) {
        match set_up(config.entries, params(config, flags)) {
            Ok((mut entrance, queues)) => {
                entrance.set_limits(queues.params().features & uapi::FEAT_EXT_ARG != 0);
                entrance.set_io_wait(!config.no_io_wait);
                if config.registered_wait {
                    entrance.register_wait_region()?;
                }
                return Ok((entrance, queues));
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => refused = error,
            Err(error) => return Err(error),
        }
    }
    Err(refused)
}

/// What a flag cannot be without.
fn needed_by(flag: u32) -> u32 {
    match flag {
        uapi::SETUP_HYBRID_IOPOLL => uapi::SETUP_IOPOLL,
        uapi::SETUP_REGISTERED_FD_ONLY => uapi::SETUP_NO_MMAP,
        uapi::SETUP_SQ_REWIND => NO_SQARRAY,
        TASKRUN_FLAG => COOP_TASKRUN,
        DEFER_TASKRUN => SINGLE_ISSUER,
        _ => 0,
    }
}

/// Of the flags asked for, those that this kernel refuses even when nothing stands against them.
pub fn unknown_flags(asked: u32) -> u32 {
    // These have been there from the first kernels on, and need a descriptor or a CPU to try.
    const ALWAYS: u32 = uapi::SETUP_SQPOLL | uapi::SETUP_SQ_AFF | uapi::SETUP_ATTACH_WQ | uapi::SETUP_CQSIZE;
    let bits = (0..uapi::SETUP_FLAGS.len()).map(|bit| 1u32 << bit);
    let unknown = bits.filter(|flag| {
        let config = Config {
            entries: 2,
            cq_entries: 4,
            ..Config::default()
        };
        let refused = || set_up(config.entries, params(&config, flag | needed_by(*flag))).err();
        asked & !ALWAYS & flag != 0 && refused().is_some_and(|e| e.raw_os_error() == Some(libc::EINVAL))
    });
    unknown.fold(0, |all, flag| all | flag)
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
            assert_eq!(tiers.last(), Some(&0));
            for pair in tiers.windows(2) {
                assert_ne!(pair[0], pair[1]);
            }
        }
    }

    #[test]
    fn every_tier_has_what_is_required_and_none_what_is_forbidden() {
        let config = Config {
            required: uapi::SETUP_CQE32 | NO_SQARRAY,
            forbidden: SINGLE_ISSUER | SUBMIT_ALL,
            ..Config::default()
        };
        for tier in tiers(&config) {
            assert_eq!(tier & config.required, config.required);
            assert_eq!(tier & (config.forbidden | DEFER_TASKRUN), 0);
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
        let (_entrance, queues) = open(&config).unwrap();
        assert_eq!((queues.params().sq_entries, queues.params().cq_entries), (1, 4));
    }
}
