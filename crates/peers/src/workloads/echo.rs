//! `echo`: a TCP server that sends back what it gets. One multishot accept, one multishot receive for
//! each connection, provided buffers, direct descriptors; a buffer is sent from where it was received.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, TcpListener};
use std::os::fd::AsRawFd;

use io_uring::{IoUring, cqueue, opcode, squeue, types};

use crate::args::EchoOptions;
use crate::buffers::{Buffers, GROUP};
use crate::drive::wait;
use crate::{Result, ring, sockets};

/// As the package's server has them (`bench/workloads/ours/echo.mjs`).
const ENTRIES: u32 = 1_024;
const COMPLETIONS: u32 = 4_096;
const CONNECTIONS_MAX: u32 = 16_384;
const BUFFERS: u16 = 2_048;
const BUFFER_BYTES: usize = 4_096;

/// In the highest byte of user_data; the buffer's id stands in the 16 bits below 48, the connection's
/// slot in the lowest 32.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Accept = 0,
    Receive = 1,
    Send = 2,
    Close = 3,
}

fn user_data(kind: Kind, slot: u32, buffer: u16) -> u64 {
    (kind as u64) << 48 | u64::from(buffer) << 32 | u64::from(slot)
}

/// Bytes that were received.
struct Chunk {
    buffer: u16,
    bytes: u32,
}

#[derive(Default)]
struct Connection {
    /// Chunks in the order of their arrival. The first is being sent: one send at a time keeps them so.
    chunks: VecDeque<Chunk>,
    ended: bool,
}

struct Server {
    listener: TcpListener,
    buffers: Buffers,
    connections: Vec<Connection>,
}

/// What one completion makes the server do next; never more than two entries.
type Next = [Option<squeue::Entry>; 2];

impl Server {
    fn accept(&self) -> squeue::Entry {
        opcode::AcceptMulti::new(types::Fd(self.listener.as_raw_fd()))
            .allocate_file_index(true)
            .build()
            .user_data(user_data(Kind::Accept, 0, 0))
    }

    fn send(&self, slot: u32, chunk: &Chunk) -> squeue::Entry {
        opcode::Send::new(
            types::Fixed(slot),
            self.buffers.address(chunk.buffer),
            chunk.bytes,
        )
        .flags(libc::MSG_NOSIGNAL | libc::MSG_WAITALL)
        .build()
        .user_data(user_data(Kind::Send, slot, chunk.buffer))
    }

    fn on_accept(&mut self, result: i32, flags: u32) -> Result<Next> {
        let slot = u32::try_from(result).map_err(|_| format!("accept: errno {}", -result))?;
        self.connections[slot as usize] = Connection::default();
        let again = (!cqueue::more(flags)).then(|| self.accept());
        Ok([Some(receive(slot)), again])
    }

    fn on_receive(&mut self, slot: u32, result: i32, flags: u32) -> Next {
        let connection = &mut self.connections[slot as usize];
        let Some(buffer) = cqueue::buffer_select(flags).filter(|_| result > 0) else {
            // Without a buffer for now: those that are being sent come back.
            if result == -libc::ENOBUFS {
                return [Some(receive(slot)), None];
            }
            connection.ended = true;
            return [connection.close(slot), None];
        };
        // Positive, as was just checked.
        let bytes = result as u32;
        connection.chunks.push_back(Chunk { buffer, bytes });
        let is_first = connection.chunks.len() == 1;
        let sent = is_first.then(|| self.send(slot, &Chunk { buffer, bytes }));
        [sent, (!cqueue::more(flags)).then(|| receive(slot))]
    }

    fn on_send(&mut self, slot: u32, buffer: u16, result: i32) -> Next {
        self.buffers.provide(buffer);
        let connection = &mut self.connections[slot as usize];
        let sent = connection.chunks.pop_front();
        if sent.is_none_or(|chunk| i64::from(chunk.bytes) != i64::from(result)) {
            // The peer has gone, as the receive will say too; what it sent before needs no answer.
            for chunk in connection.chunks.drain(..) {
                self.buffers.provide(chunk.buffer);
            }
        }
        match connection.chunks.front() {
            Some(&Chunk { buffer, bytes }) => [Some(self.send(slot, &Chunk { buffer, bytes })), None],
            None => [connection.close(slot), None],
        }
    }

    fn on_completion(&mut self, completion: &cqueue::Entry) -> Result<Next> {
        let data = completion.user_data();
        // The parts that `user_data` has put together.
        let (kind, buffer, slot) = (data >> 48, (data >> 32) as u16, data as u32);
        let (result, flags) = (completion.result(), completion.flags());
        if kind == Kind::Receive as u64 {
            Ok(self.on_receive(slot, result, flags))
        } else if kind == Kind::Send as u64 {
            Ok(self.on_send(slot, buffer, result))
        } else if kind == Kind::Accept as u64 {
            self.on_accept(result, flags)
        } else {
            Ok([None, None])
        }
    }
}

impl Connection {
    /// The end of a connection that has nothing to send any more.
    fn close(&self, slot: u32) -> Option<squeue::Entry> {
        (self.ended && self.chunks.is_empty()).then(|| {
            opcode::Close::new(types::Fixed(slot))
                .build()
                .user_data(user_data(Kind::Close, slot, 0))
        })
    }
}

fn receive(slot: u32) -> squeue::Entry {
    opcode::RecvMulti::new(types::Fixed(slot), GROUP)
        .build()
        .user_data(user_data(Kind::Receive, slot, 0))
}

fn serve(ring: &mut IoUring, server: &mut Server) -> Result<()> {
    let (submitter, mut submissions, mut completions) = ring.split();
    let mut push = |entry: &squeue::Entry| {
        // SAFETY: chunks stay lent, and so untouched, until their send has completed; nothing else names
        // memory. The server lives as long as the process.
        while unsafe { submissions.push(entry) }.is_err() {
            submissions.sync();
            wait(submitter.submit());
            submissions.sync();
        }
        submissions.sync();
    };
    push(&server.accept());
    loop {
        wait(submitter.submit_and_wait(1));
        completions.sync();
        for completion in &mut completions {
            for entry in server.on_completion(&completion)?.iter().flatten() {
                push(entry);
            }
        }
    }
}

pub fn run(options: &EchoOptions) -> Result<()> {
    sockets::raise_descriptor_limit()?;
    let mut ring = ring::open_with(ENTRIES, options.task_run, COMPLETIONS)?;
    ring.submitter().register_files_sparse(CONNECTIONS_MAX)?;
    let mut server = Server {
        listener: sockets::listen(Ipv4Addr::UNSPECIFIED, options.port)?,
        // SAFETY: they are dropped after `serve`, which does not return but for an error; then the process
        // ends.
        buffers: unsafe { Buffers::register(&ring, BUFFERS, BUFFER_BYTES) }?,
        connections: Vec::new(),
    };
    server
        .connections
        .resize_with(CONNECTIONS_MAX as usize, Connection::default);
    println!("{{\"listening\":{}}}", options.port);
    serve(&mut ring, &mut server)
}
