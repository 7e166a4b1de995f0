//! The end of a ring: nothing that the kernel may still write to is ever freed, and no descriptor is forgotten.

use crate::driver::{
    DRAIN, LINK, PATIENCE, config, flagged, nop, prepare, prepare_all, quiet_pipe, read, record, results,
    sqpoll, transfer, wait,
};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use uring_core::arenas::NewArena;
use uring_core::memory::Mapping;
use uring_core::ring::Ring;

const POISON: u8 = 0xa5;

/// A file that is removed at the end, on a file system that takes O_DIRECT (cargo's target folder, not /tmp).
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, size_bytes: usize) -> Scratch {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        File::create(&path)
            .unwrap()
            .write_all(&vec![0x11; size_bytes])
            .unwrap();
        Scratch(path)
    }

    fn open_direct(&self) -> File {
        let mut options = OpenOptions::new();
        options
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(&self.0)
            .unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _gone_already = std::fs::remove_file(&self.0);
    }
}

/// Whether the page is mapped: mincore(2) says ENOMEM for one that is not.
fn is_mapped(address: *mut u8) -> bool {
    let mut resident = 0;
    // SAFETY: one page, one byte of answer; the page itself is not touched.
    unsafe { libc::mincore(address.cast(), 1, &mut resident) == 0 }
}

/// The arena as only the ring holds it.
fn forget_our_share(arena: NewArena) -> (Weak<Mapping>, *mut u8) {
    (Arc::downgrade(&arena.mapping), arena.mapping.start())
}

#[test]
fn draining_stops_reads_that_would_wait_forever() {
    for config in [config(8, 16), sqpoll(100)] {
        let mut ring = Ring::open(&config).unwrap();
        let (reader, _writer) = quiet_pipe();
        let arena = ring.create_arena(4096, true).unwrap();
        for index in 0..8 {
            let range = (index * 16, 16);
            prepare(
                &ring,
                transfer("read", reader.as_raw_fd(), index, &arena, range, 0),
            );
        }
        assert_eq!(ring.submit().unwrap(), 8);
        let started = Instant::now();
        assert!(ring.drain(PATIENCE));
        assert!(started.elapsed() < PATIENCE / 2, "{:?}", started.elapsed());
        assert_eq!((ring.in_flight(), ring.shared().unread()), (0, 0));
        let (mapping, _) = forget_our_share(arena);
        drop(ring);
        assert_eq!(
            mapping.strong_count(),
            0,
            "nothing was in flight, so the memory is freed"
        );
    }
}

#[test]
fn draining_stops_what_waits_behind_an_operation_that_never_ends() {
    // IOSQE_IO_DRAIN holds back everything that is submitted later, cancel requests among it.
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let (reader, _writer) = quiet_pipe();
    let arena = ring.create_arena(4096, false).unwrap();
    prepare(&ring, transfer("read", reader.as_raw_fd(), 0, &arena, (0, 16), 0));
    prepare(&ring, flagged(nop(1), DRAIN));
    ring.submit().unwrap();
    assert_eq!(ring.in_flight(), 2);
    assert!(
        ring.drain(Duration::from_secs(2)),
        "{} are in flight",
        ring.in_flight()
    );
}

#[test]
fn draining_stops_a_chain_that_has_not_started() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let (reader, _writer) = quiet_pipe();
    let arena = ring.create_arena(4096, false).unwrap();
    let waiting = transfer("read", reader.as_raw_fd(), 0, &arena, (0, 16), 0);
    prepare_all(&ring, &[flagged(waiting, LINK), flagged(nop(1), LINK), nop(2)]);
    ring.submit().unwrap();
    assert_eq!(ring.in_flight(), 3);
    assert!(ring.drain(PATIENCE));
}

#[test]
fn nothing_is_written_after_draining_64_direct_reads() {
    const READS: u32 = 64;
    const BYTES: u32 = 1 << 16;
    let scratch = Scratch::new("drain-direct", (READS * BYTES) as usize);
    let file = scratch.open_direct();
    for register in [false, true] {
        let mut ring = Ring::open(&config(64, 128)).unwrap();
        let size_bytes = (READS * BYTES) as usize;
        let arena = ring.create_arena(size_bytes, register).unwrap();
        for index in 0..READS {
            let range = (index * BYTES, BYTES);
            let at = u64::from(index * BYTES);
            prepare(
                &ring,
                transfer("read", file.as_raw_fd(), index, &arena, range, at),
            );
        }
        assert_eq!(ring.submit().unwrap(), READS);
        assert!(ring.drain(PATIENCE));
        // SAFETY: nothing is in flight any more, which is what this test is about.
        unsafe { arena.mapping.start().write_bytes(POISON, size_bytes) };
        std::thread::sleep(Duration::from_millis(50));
        // SAFETY: as above, and the slice is gone before the ring is.
        let bytes = unsafe { std::slice::from_raw_parts(arena.mapping.start(), size_bytes) };
        assert!(
            bytes.iter().all(|byte| *byte == POISON),
            "the kernel wrote after the end"
        );
        drop(ring);
        let (mapping, _) = forget_our_share(arena);
        assert_eq!(mapping.strong_count(), 0);
    }
}

#[test]
fn records_that_were_prepared_and_not_submitted_never_run_once_the_ring_closes() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let (reader, mut writer) = quiet_pipe();
    let arena = ring.create_arena(4096, false).unwrap();
    prepare(&ring, transfer("read", reader.as_raw_fd(), 7, &arena, (0, 16), 0));
    prepare_all(&ring, &[flagged(nop(8), LINK), nop(9)]);
    ring.begin_close().unwrap();
    assert!(ring.is_closing());
    let cancelled = -libc::ECANCELED;
    assert_eq!(
        results(&read(&ring)),
        [(7, cancelled), (8, cancelled), (9, cancelled)]
    );
    assert_eq!((ring.in_flight(), ring.stats().submitted), (0, 0));
    // What comes after is refused too.
    prepare(&ring, nop(1));
    ring.submit().unwrap();
    assert_eq!(results(&read(&ring)), [(1, cancelled)]);
    writer.write_all(b"x").unwrap();
}

#[test]
fn a_ring_that_is_dropped_with_operations_in_flight_leaks_their_memory() {
    let (reader, _writer) = quiet_pipe();
    for register in [false, true] {
        let mut ring = Ring::open(&config(8, 16)).unwrap();
        let arena = ring.create_arena(4096, register).unwrap();
        let handle = arena.handle;
        prepare(&ring, transfer("read", reader.as_raw_fd(), 0, &arena, (0, 16), 0));
        ring.submit().unwrap();
        let (mapping, address) = forget_our_share(arena);
        ring.release_arena(handle);
        assert_eq!((mapping.strong_count(), ring.in_flight()), (1, 1));
        drop(ring);
        assert_eq!(mapping.strong_count(), 1, "freed under the kernel's hands");
        assert!(is_mapped(address));
    }
}

#[test]
fn a_ring_that_cannot_be_drained_in_time_says_so_and_leaks() {
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let (reader, _writer) = quiet_pipe();
    let arena = ring.create_arena(4096, false).unwrap();
    prepare(&ring, transfer("read", reader.as_raw_fd(), 0, &arena, (0, 16), 0));
    ring.submit().unwrap();
    // No time at all: the request to cancel has been made, but nobody waits for its effect. If the kernel
    // was done within the call all the same, the ring must say that.
    let rested = ring.drain(Duration::ZERO);
    assert_eq!(rested, ring.in_flight() == 0);
    let (mapping, _) = forget_our_share(arena);
    drop(ring);
    assert_eq!(mapping.strong_count(), usize::from(!rested));
}

/// Connections that the ring has accepted while nobody read the completions.
fn unread_connections(
    ring: &mut Ring,
    listener: &TcpListener,
    count: u32,
    multishot: bool,
) -> Vec<TcpStream> {
    for index in 0..if multishot { 1 } else { count } {
        let mut accept = record("accept", listener.as_raw_fd(), index);
        accept[0] |= u32::from(multishot) << 16; // IORING_ACCEPT_MULTISHOT
        prepare(ring, accept);
        ring.submit().unwrap();
    }
    let address = listener.local_addr().unwrap();
    let clients = (0..count).map(|_| TcpStream::connect(address).unwrap()).collect();
    ring.submit_and_wait(count, Some(PATIENCE)).unwrap();
    assert!(ring.ready() >= count, "{} of {count} were accepted", ring.ready());
    clients
}

/// Whether the other side of a connection has gone; it never sends anything.
fn is_closed(client: &mut TcpStream) -> bool {
    client.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
    match client.read(&mut [0]) {
        Ok(0) => true,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
        Ok(_) => false,
    }
}

#[test]
fn sockets_that_were_accepted_and_never_read_are_closed_by_draining() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    // The block of the smallest ring has room for 64: the others wait in the kernel.
    for (config, count, multishot) in [(config(8, 256), 10, true), (config(4, 4), 68, false)] {
        let mut ring = Ring::open(&config).unwrap();
        let mut clients = unread_connections(&mut ring, &listener, count, multishot);
        assert!(ring.drain(PATIENCE));
        assert!(clients.iter_mut().all(is_closed), "a socket was left open");
    }
}

#[test]
fn a_socket_that_was_read_from_the_block_is_left_to_its_reader() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let mut clients = unread_connections(&mut ring, &listener, 1, true);
    let completions = wait(&mut ring, 1);
    assert!(ring.drain(PATIENCE));
    clients[0]
        .set_read_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    let open = clients[0].read(&mut [0]).unwrap_err();
    assert_eq!(open.kind(), ErrorKind::WouldBlock);
    // SAFETY: the descriptor came out of the block and is ours alone.
    unsafe { libc::close(completions[0].res) };
    assert!(is_closed(&mut clients[0]));
}

#[test]
fn a_buffer_group_whose_receive_is_in_flight_is_kept_and_then_given_up() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (server, _) = listener.accept().unwrap();
    let mut ring = Ring::open(&config(8, 16)).unwrap();
    let (group, arena) = ring
        .register_group(uring_core::bufring::RingOptions::new(4, 64))
        .unwrap();
    let mut receive = record("recv", server.as_raw_fd(), 0);
    receive[0] |= 1 << 13 | 1 << 17; // BUFFER_SELECT, RECV_MULTISHOT
    receive[10] = u32::from(group);
    prepare(&ring, receive);
    ring.submit().unwrap();
    client.write_all(b"hello").unwrap();
    let completions = wait(&mut ring, 1);
    assert_eq!(
        (completions[0].res, ring.tables.groups.lent_count(group)),
        (5, Some(1))
    );
    let id = completions[0].flags >> 16;
    // SAFETY: the buffer is lent to us, and lies inside the arena of 4 times 64 bytes.
    let bytes = unsafe { std::slice::from_raw_parts(arena.mapping.start().add(id as usize * 64), 5) };
    assert_eq!(bytes, b"hello");
    let busy = ring.unregister_group(group).unwrap_err();
    assert_eq!(busy.raw_os_error(), Some(libc::EBUSY));
    ring.release_arena(arena.handle);
    assert!(ring.drain(PATIENCE));
    ring.unregister_group(group).unwrap();
    assert_eq!(Arc::strong_count(&arena.mapping), 1);
}
