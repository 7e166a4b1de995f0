//! `hold`: many connections that were used once and then rest. What it prints is by how much the server's
//! memory grew for each of them.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::args::HoldOptions;
use crate::report::Report;
use crate::{Result, sockets};

/// Enough for a server to have compiled its code, and to have used every provided buffer.
const WARMUP_CONNECTIONS: u32 = 64;
const WARMUP_ROUNDS: u32 = 200;
const MESSAGE: [u8; 64] = [7; 64];
/// A server may put its memory in order a little later.
const SETTLE: Duration = Duration::from_secs(1);

fn echo(stream: &mut TcpStream) -> Result<()> {
    let mut answer = [0; MESSAGE.len()];
    stream.write_all(&MESSAGE)?;
    stream.read_exact(&mut answer)?;
    if answer != MESSAGE {
        return Err("the server did not send back what it got".into());
    }
    Ok(())
}

fn connect(numbers: std::ops::Range<u32>, port: u16) -> Result<Vec<TcpStream>> {
    numbers
        .map(|number| {
            let mut stream = sockets::connect(number, port)?;
            echo(&mut stream)?;
            Ok(stream)
        })
        .collect()
}

/// Resident memory of a process, counted page by page; the kernel's own memory for sockets is not in it.
fn resident_bytes(pid: i32) -> Result<f64> {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let line = rollup.lines().find_map(|line| line.strip_prefix("Rss:"));
    let kibibytes: f64 = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .ok_or("no Rss in smaps_rollup")?
        .parse()?;
    Ok(kibibytes * 1_024.0)
}

pub fn measure(options: &HoldOptions) -> Result<Report> {
    sockets::raise_descriptor_limit()?;
    let port = options.server.port;
    let mut warm = connect(0..WARMUP_CONNECTIONS, port)?;
    for _ in 0..WARMUP_ROUNDS {
        warm.iter_mut().try_for_each(echo)?;
    }
    thread::sleep(SETTLE);
    let before = resident_bytes(options.server.pid)?;
    let held = connect(0..options.connections, port)?;
    thread::sleep(SETTLE);
    let after = resident_bytes(options.server.pid)?;
    let count = f64::from(options.connections);
    Ok(Report::new(held.len() as u64).with("bytes_per_op", (after - before) / count))
}
