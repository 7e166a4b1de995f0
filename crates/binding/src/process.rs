//! What the process may have of the kernel: its limits, and whether it may use io_uring at all.

use napi_derive::napi;
use uring_core::trial::{Trial, trial};

/// [result, signal] of using io_uring in a child process: [0, 0] when it works, a negative errno in the first place when
/// the kernel refuses, the signal in the second when it kills. Null when no child could be made, and so nothing is known.
#[napi(ts_return_type = "[number, number] | null")]
pub fn try_in_child() -> Option<Vec<i32>> {
    Some(match trial().ok()? {
        Trial::Works => vec![0, 0],
        Trial::Refused(errno) => vec![-errno, 0],
        Trial::Killed(signal) => vec![0, signal],
    })
}

/// Soft and hard RLIMIT_MEMLOCK in bytes, soft and hard RLIMIT_NOFILE; infinite where there is none.
#[napi]
pub fn resource_limits() -> Vec<f64> {
    [libc::RLIMIT_MEMLOCK, libc::RLIMIT_NOFILE]
        .into_iter()
        .flat_map(|resource| {
            let mut limit = libc::rlimit {
                rlim_cur: libc::RLIM_INFINITY,
                rlim_max: libc::RLIM_INFINITY,
            };
            // SAFETY: the structure lives to the end of the call, which fills it in.
            unsafe { libc::getrlimit(resource, &raw mut limit) };
            [limit.rlim_cur, limit.rlim_max]
        })
        .map(|limit| {
            if limit == libc::RLIM_INFINITY {
                f64::INFINITY
            } else {
                limit as f64
            }
        })
        .collect()
}
