//! `tick`: writes the time to its standard output, again and again. Between two ticks whoever reads them
//! has gone to sleep.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::thread;
use std::time::Duration;

use crate::Result;
use crate::args::TickOptions;

/// The clock that Node's `process.hrtime` shows, too.
pub fn now_ns() -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to the structure during the call. This clock is always there.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut time) };
    // Neither is negative on this clock.
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

pub fn run(options: &TickOptions) -> Result<()> {
    // Not standard output itself, which writes in two parts what has the byte of a line's end in it.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    loop {
        thread::sleep(Duration::from_micros(options.interval_us));
        let tick = now_ns().to_le_bytes();
        match out.write_all(&tick) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            written => written?,
        }
    }
}
