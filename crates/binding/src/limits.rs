//! Limits of waits, as JavaScript gives them.

use std::time::Duration;

/// Longest wait that is told apart from an endless one: about 11 days, in milliseconds.
pub const TIMEOUT_MS_MAX: f64 = 1e9;

/// A limit in milliseconds; nothing for one that is negative, or too long to matter.
pub fn milliseconds(value: f64) -> Option<Duration> {
    (0.0..TIMEOUT_MS_MAX)
        .contains(&value)
        .then(|| Duration::from_secs_f64(value / 1e3))
}
