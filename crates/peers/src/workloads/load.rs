//! `load`: what drives an echo server. It sends a flight of messages on each connection, waits until all
//! of it is back, compares it, and sends the next. What it prints is the server's use of the processor.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::Instant;

use io_uring::{IoUring, opcode, squeue, types};

use crate::args::LoadOptions;
use crate::drive::wait;
use crate::memory::Slab;
use crate::report::Report;
use crate::ring::TaskRun;
use crate::{Result, ring, sockets};

/// Entries of a flight: a send and a receive.
const ENTRIES: u32 = 2;

struct Load<'a> {
    options: &'a LoadOptions,
    flight_bytes: usize,
    streams: Vec<TcpStream>,
    /// Flights on their way out, one block for each connection, and on their way back.
    sent: Slab,
    received: Slab,
    /// Entries of each connection that have not completed.
    pending: Vec<u32>,
    /// Messages so far, of all connections.
    count: u32,
}

impl<'a> Load<'a> {
    fn new(options: &'a LoadOptions) -> Result<Self> {
        let flight_bytes = options.size_bytes as usize * options.pipeline as usize;
        let connections = options.connections as usize;
        let streams = (0..options.connections)
            .map(|number| sockets::connect(number, options.server.port))
            .collect::<Result<_>>()?;
        Ok(Self {
            options,
            flight_bytes,
            streams,
            sent: Slab::new(connections, flight_bytes)?,
            received: Slab::new(connections, flight_bytes)?,
            pending: vec![0; connections],
            count: 0,
        })
    }

    /// Numbers the messages of a flight, so that each is told from all others.
    fn number(&mut self, connection: u32) {
        let flight = self.sent.block(connection as usize);
        for at in 0..self.options.pipeline {
            self.count = self.count.wrapping_add(1);
            // SAFETY: inside of the block, which is ours while the connection has nothing in flight. A
            // message has at least 8 bytes.
            unsafe {
                let message = flight.add((at * self.options.size_bytes) as usize);
                message.cast::<[u8; 4]>().write(connection.to_le_bytes());
                message.add(4).cast::<[u8; 4]>().write(self.count.to_le_bytes());
            }
        }
    }

    /// The entries of a flight. The receive does not try at once: nothing can have come back yet.
    fn flight(&mut self, connection: u32) -> [squeue::Entry; ENTRIES as usize] {
        self.number(connection);
        self.pending[connection as usize] = ENTRIES;
        let fd = types::Fd(self.streams[connection as usize].as_raw_fd());
        // A flight is far smaller than 2^32 bytes.
        let bytes = self.flight_bytes as u32;
        let (sent, received) = (
            self.sent.block(connection as usize),
            self.received.block(connection as usize),
        );
        [
            opcode::Recv::new(fd, received, bytes)
                .flags(libc::MSG_WAITALL)
                .ioprio(RECVSEND_POLL_FIRST)
                .build(),
            opcode::Send::new(fd, sent, bytes)
                .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
                .build(),
        ]
        .map(|entry| entry.user_data(u64::from(connection)))
    }

    /// Whether the whole flight is over; what is back must be what was sent.
    fn on_completion(&mut self, connection: u32, result: i32) -> Result<bool> {
        if result < 0 {
            return Err(io::Error::from_raw_os_error(-result).into());
        }
        let at = connection as usize;
        self.pending[at] -= 1;
        if result as usize != self.flight_bytes {
            return Err(format!("{result} bytes of a flight of {}", self.flight_bytes).into());
        }
        if self.pending[at] > 0 {
            return Ok(false);
        }
        let bytes = self.flight_bytes;
        // SAFETY: nothing of this connection is in flight, and the blocks have so many bytes.
        let (sent, received) = unsafe {
            (
                std::slice::from_raw_parts(self.sent.block(at), bytes),
                std::slice::from_raw_parts(self.received.block(at), bytes),
            )
        };
        if sent != received {
            return Err(format!("connection {connection} got other bytes than it sent").into());
        }
        Ok(true)
    }
}

const RECVSEND_POLL_FIRST: u16 = 1;

/// Sends flights until `flights` of them are back.
fn run(ring: &mut IoUring, load: &mut Load<'_>, flights: u64) {
    if let Err(error) = run_until_error(ring, load, flights) {
        // The kernel still has memory of the load: nothing may be given back before the process ends.
        eprintln!("uring-peer: load: {error}");
        std::process::exit(1);
    }
}

fn run_until_error(ring: &mut IoUring, load: &mut Load<'_>, flights: u64) -> Result<()> {
    let (submitter, mut submissions, mut completions) = ring.split();
    let mut to_start = flights;
    let mut in_flight = 0_u64;
    let mut push = |entries: [squeue::Entry; ENTRIES as usize]| {
        // SAFETY: the blocks of a connection stay as they are until both have completed.
        let pushed = unsafe { submissions.push_multiple(&entries) };
        // The queue has room for the flights of all connections.
        assert!(pushed.is_ok(), "the submission queue is full");
        submissions.sync();
    };
    for connection in 0..load.options.connections {
        if to_start == 0 {
            break;
        }
        push(load.flight(connection));
        to_start -= 1;
        in_flight += 1;
    }
    while in_flight > 0 {
        wait(submitter.submit_and_wait(1));
        completions.sync();
        for completion in &mut completions {
            // It was made from a u32.
            let connection = completion.user_data() as u32;
            if !load.on_completion(connection, completion.result())? {
                continue;
            }
            in_flight -= 1;
            if to_start > 0 {
                push(load.flight(connection));
                to_start -= 1;
                in_flight += 1;
            }
        }
    }
    Ok(())
}

pub fn measure(options: &LoadOptions) -> Result<Report> {
    sockets::raise_descriptor_limit()?;
    let mut load = Load::new(options)?;
    let mut ring = ring::open(options.connections * ENTRIES, TaskRun::Defer)?;
    let flights = |messages: u64| messages.div_ceil(u64::from(options.pipeline));
    run(&mut ring, &mut load, flights(options.warmup_ops));

    let timed = flights(options.ops);
    let (begin, used) = (Instant::now(), sockets::processor_time(options.server.pid)?);
    run(&mut ring, &mut load, timed);
    let (elapsed, used) = (
        begin.elapsed(),
        sockets::processor_time(options.server.pid)? - used,
    );
    Ok(Report::new(timed * u64::from(options.pipeline))
        .per_op("cpu_ns_per_op", used)
        .per_op("ns_per_op", elapsed))
}
