//! `wake`: reads the ticks of another process, and takes the time from the write to the completion.

use io_uring::{IoUring, opcode, types};

use crate::args::Common;
use crate::drive::wait;
use crate::report::Report;
use crate::workloads::tick::now_ns;
use crate::{Result, ring};

const TICK_BYTES: u32 = 8;

/// One tick, read from the standard input; answers when it was written and how old it was.
fn tick(ring: &mut IoUring) -> Result<(u64, u64)> {
    let mut tick = [0; TICK_BYTES as usize];
    let read = opcode::Read::new(types::Fd(libc::STDIN_FILENO), tick.as_mut_ptr(), TICK_BYTES).build();
    // SAFETY: `tick` lives until the only completion there can be, which is waited for below.
    unsafe { ring.submission().push(&read) }?;
    let result = loop {
        wait(ring.submit_and_wait(1));
        if let Some(completion) = ring.completion().next() {
            break completion.result();
        }
    };
    let now = now_ns();
    if u32::try_from(result) != Ok(TICK_BYTES) {
        return Err(format!("a read has the result {result}").into());
    }
    let written = u64::from_le_bytes(tick);
    Ok((written, now.saturating_sub(written)))
}

pub fn run(options: &Common) -> Result<Report> {
    let mut ring = ring::open(1, options.task_run)?;
    // What was written before anybody could read it waited for that, not for a wake.
    let begin = now_ns();
    while tick(&mut ring)?.0 < begin {}
    for _ in 0..options.warmup_ops {
        tick(&mut ring)?;
    }
    let mut latencies = (0..options.ops)
        .map(|_| tick(&mut ring).map(|(_, age)| age))
        .collect::<Result<Vec<_>>>()?;
    latencies.sort_unstable();
    // Latencies are far below 2^53 ns.
    let at = |share: f64| latencies[(latencies.len() as f64 * share) as usize] as f64;
    Ok(Report::new(options.ops)
        .with("ns_per_op", at(0.5))
        .with("p99_ns", at(0.99)))
}
