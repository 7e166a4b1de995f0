use super::*;
use io_uring::{IoUring, cqueue, opcode, types};
use proptest::prelude::*;
use std::collections::VecDeque;

#[test]
fn a_buffer_comes_back_once_for_each_time_it_was_lent() {
    let mut cursors = Cursors::new(2);
    assert_eq!(cursors.give_back(0, 1), Some(0));
    assert_eq!(cursors.give_back(0, 1), None);
    assert_eq!(cursors.give_back(7, 1), None);
    cursors.lend(0, false);
    cursors.lend(0, false);
    assert_eq!(cursors.lent_count(), 2);
    assert_eq!(cursors.give_back(0, 1), Some(1));
    assert_eq!(cursors.give_back(0, 1), None);
}

#[test]
fn the_kernel_accepts_a_group_and_gives_it_up_again() {
    let ring = io_uring::IoUring::new(1).unwrap();
    let registrar = Registrar::new(std::os::fd::AsRawFd::as_raw_fd(&ring));
    let mut groups = BufferGroups::default();
    let buffers = Arc::new(Mapping::new(4 * 64).unwrap());
    groups
        .register(3, RingOptions::new(4, 64), (0, buffers.clone()), registrar)
        .unwrap();
    assert_eq!(groups.next_free(), Some(FIRST_GROUP));
    assert_eq!(groups.lent_count(3), Some(0));
    assert_eq!(groups.pin(4), Err(Reject::UnknownBufferGroup));
    groups.pin(3).unwrap();
    let busy = groups.unregister(3, registrar).unwrap_err();
    assert_eq!(busy.raw_os_error(), Some(libc::EBUSY));
    groups.unpin(3);
    assert_eq!(groups.unregister(3, registrar).unwrap(), 0);
    assert_eq!(
        groups.unregister(3, registrar).unwrap_err().raw_os_error(),
        Some(libc::ENOENT)
    );
}

/// A pipe with the bytes given in it: (read, write).
fn pipe(bytes: &[u8]) -> (std::io::PipeReader, std::io::PipeWriter) {
    use std::io::Write;
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(bytes).unwrap();
    (reader, writer)
}

/// Runs one operation that takes a buffer of group 0, and answers its result and flags.
fn run(ring: &mut IoUring, entry: io_uring::squeue::Entry) -> (i32, u32) {
    // SAFETY: the tests name descriptors and buffer groups that live to their end, and no memory.
    unsafe { ring.submission().push(&entry).unwrap() };
    ring.submit_and_wait(1).unwrap();
    let completion = ring.completion().next().unwrap();
    (completion.result(), completion.flags())
}

fn read_some(ring: &mut IoUring, file: &impl std::os::fd::AsRawFd, bytes: u32) -> (i32, u32) {
    let read = opcode::Read::new(types::Fd(file.as_raw_fd()), std::ptr::null_mut(), bytes).buf_group(0);
    let entry = read.build().flags(io_uring::squeue::Flags::BUFFER_SELECT);
    run(ring, entry)
}

fn groups(options: RingOptions) -> (IoUring, BufferGroups, Arc<Mapping>, Registrar) {
    let ring = IoUring::new(8).unwrap();
    let registrar = Registrar::new(std::os::fd::AsRawFd::as_raw_fd(&ring));
    let mut groups = BufferGroups::default();
    let bytes = options.entries as usize * options.size_bytes as usize;
    let buffers = Arc::new(Mapping::new(bytes).unwrap());
    groups
        .register(0, options, (0, buffers.clone()), registrar)
        .unwrap();
    (ring, groups, buffers, registrar)
}

fn bytes_at(buffers: &Mapping, offset: usize, len: usize) -> Vec<u8> {
    // SAFETY: the tests ask for what lies inside the mapping, after the kernel has written it.
    unsafe { std::slice::from_raw_parts(buffers.start().add(offset), len).to_vec() }
}

#[test]
fn a_ring_that_the_kernel_allocates_works_as_one_of_ours() {
    let (mut ring, mut groups, buffers, registrar) = groups(RingOptions {
        mmap: true,
        ..RingOptions::new(4, 64)
    });
    let (reader, _writer) = pipe(b"0123456789");
    for round in 0..10 {
        let (res, flags) = read_some(&mut ring, &reader, 1);
        let id = cqueue::buffer_select(flags).unwrap();
        assert_eq!((res, id), (1, round % 4));
        groups.lend(0, id, false);
        assert_eq!(bytes_at(&buffers, usize::from(id) * 64, 1), [b'0' + round as u8]);
        assert_eq!(groups.lent_count(0), Some(1));
        assert!(groups.give_back(0, id));
    }
    assert_eq!(registrar.buffer_ring_head(0).unwrap(), 10);
    assert_eq!(groups.unregister(0, registrar).unwrap(), 0);
    assert_eq!(
        registrar.buffer_ring_head(0).unwrap_err().raw_os_error(),
        Some(libc::ENOENT)
    );
}

#[test]
fn an_incremental_buffer_is_lent_when_its_last_piece_is_used() {
    let (mut ring, mut groups, buffers, _) = groups(RingOptions {
        incremental: true,
        ..RingOptions::new(2, 4)
    });
    let (reader, _writer) = pipe(b"abcdefgh");
    for (piece, lent) in [(3, 0), (1, 1), (2, 1), (2, 2)] {
        let (res, flags) = read_some(&mut ring, &reader, piece);
        assert_eq!(res, piece as i32);
        let id = cqueue::buffer_select(flags).unwrap();
        groups.lend(0, id, cqueue::buffer_more(flags));
        assert_eq!(groups.lent_count(0), Some(lent));
    }
    assert_eq!(bytes_at(&buffers, 0, 8), b"abcdefgh");
}

#[test]
fn a_file_uses_an_incremental_buffer_up_piece_by_piece_too() {
    // A file cannot be polled: the kernel takes the bytes before it reads, and some kernels forget F_BUF_MORE then.
    let (mut ring, mut groups, buffers, _) = groups(RingOptions {
        incremental: true,
        ..RingOptions::new(2, 4)
    });
    let file = std::fs::File::open("/proc/self/exe").unwrap();
    for (piece, lent) in [(3, 0), (1, 1), (2, 1), (2, 2)] {
        let (res, flags) = read_some(&mut ring, &file, piece);
        assert_eq!(res, piece as i32);
        let id = cqueue::buffer_select(flags).unwrap();
        groups.lend(0, id, cqueue::buffer_more(flags));
        assert_eq!(groups.lent_count(0), Some(lent));
    }
    // Each piece is the start of the file.
    assert_eq!(bytes_at(&buffers, 0, 8), b"\x7fEL\x7f\x7fE\x7fE");
}

#[test]
fn a_manual_ring_is_sent_in_the_order_in_which_it_was_provided() {
    let (mut ring, mut groups, buffers, registrar) = groups(RingOptions {
        manual: true,
        ..RingOptions::new(4, 8)
    });
    assert_eq!(groups.lent_count(0), Some(0));
    let taken: Vec<u16> = (0..4).map(|_| groups.take(0, registrar).unwrap()).collect();
    assert_eq!(groups.take(0, registrar), None);
    for id in &taken[..3] {
        // SAFETY: inside the mapping; the kernel reads it only after `provide`.
        unsafe { buffers.start().add(usize::from(*id) * 8).write(b'a' + *id as u8) };
        groups.provide(0, *id, 1).unwrap();
    }
    for (id, len, errno) in [
        (taken[0], 1, libc::EALREADY),
        (taken[3], 0, libc::EINVAL),
        (taken[3], 9, libc::EINVAL),
    ] {
        let refused = groups.provide(0, id, len).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(errno));
    }
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    let send = opcode::SendBundle::new(types::Fd(std::os::fd::AsRawFd::as_raw_fd(&one)), 0);
    let (res, flags) = run(
        &mut ring,
        send.build().flags(io_uring::squeue::Flags::BUFFER_SELECT),
    );
    let first = cqueue::buffer_select(flags).unwrap();
    assert_eq!((res, first), (3, taken[0]));
    groups.lend_bundle(0, first, 3);
    let parts: Vec<(u16, u32)> = taken[..3].iter().map(|id| (*id, 1)).collect();
    assert_eq!(groups.bundle(0, first, 3), parts);
    let mut got = [0; 3];
    std::io::Read::read_exact(&mut &other, &mut got).unwrap();
    assert_eq!(
        got.to_vec(),
        taken[..3].iter().map(|id| b'a' + *id as u8).collect::<Vec<u8>>()
    );
    // One is still taken; three are free again.
    assert_eq!(groups.lent_count(0), Some(1));
    assert_eq!((0..4).filter(|_| groups.take(0, registrar).is_some()).count(), 3);
}

#[test]
fn buffers_of_a_bundle_that_failed_are_found_again() {
    let (mut ring, mut groups, _buffers, registrar) = groups(RingOptions {
        manual: true,
        ..RingOptions::new(4, 8)
    });
    for _ in 0..4 {
        let id = groups.take(0, registrar).unwrap();
        groups.provide(0, id, 8).unwrap();
    }
    let (one, other) = std::os::unix::net::UnixStream::pair().unwrap();
    drop(other);
    let send = opcode::SendBundle::new(types::Fd(std::os::fd::AsRawFd::as_raw_fd(&one)), 0);
    let (res, flags) = run(
        &mut ring,
        send.build().flags(io_uring::squeue::Flags::BUFFER_SELECT),
    );
    assert_eq!(res, -libc::EPIPE);
    if let Some(id) = cqueue::buffer_select(flags) {
        groups.lend_bundle(0, id, 0);
    }
    assert_eq!((0..5).filter(|_| groups.take(0, registrar).is_some()).count(), 4);
}

#[test]
fn a_received_bundle_is_lent_in_ring_order() {
    let (mut ring, mut groups, buffers, _) = groups(RingOptions::new(4, 4));
    let (one, mut other) = std::os::unix::net::UnixStream::pair().unwrap();
    let mut expected = b"abcdefghijklmnopqrstuvwxyz".iter().copied();
    for bytes in [10, 3, 8, 1, 4] {
        let sent: Vec<u8> = expected.by_ref().take(bytes).collect();
        std::io::Write::write_all(&mut other, &sent).unwrap();
        let mut got = Vec::new();
        let mut most = 0;
        // The kernel may leave what would fill a buffer in part for the next receive.
        while got.len() < bytes {
            let recv = opcode::RecvBundle::new(types::Fd(std::os::fd::AsRawFd::as_raw_fd(&one)), 0);
            let (res, flags) = run(&mut ring, recv.build());
            let first = cqueue::buffer_select(flags).unwrap();
            groups.lend_bundle(0, first, res as u32);
            let parts = groups.bundle(0, first, res as u32);
            assert_eq!(parts.iter().map(|(_, len)| *len as i32).sum::<i32>(), res);
            assert_eq!(groups.lent_count(0), Some(parts.len() as u32));
            most = most.max(parts.len());
            for (id, len) in &parts {
                got.extend(bytes_at(&buffers, usize::from(*id) * 4, *len as usize));
            }
            // Given back in another order than they came.
            for (id, _) in parts.iter().rev() {
                assert!(groups.give_back(0, *id));
            }
        }
        assert_eq!(got, sent);
        assert!(bytes < 8 || most > 1);
    }
}

proptest! {
    /// Against a queue: the kernel takes buffers from the front, one or a bundle, completions are seen later, users
    /// give buffers back in any order. No buffer is ever in the ring twice, none is lost, the ring never holds more
    /// than it has room for, and a bundle is always what the kernel took.
    #[test]
    fn every_buffer_is_in_exactly_one_place(
        size_log2 in 0u32..6,
        steps in proptest::collection::vec((0u8..4, any::<u16>()), 1..2000)
    ) {
        const SIZE: u32 = 10;
        let entries = 1u32 << size_log2;
        let mut cursors = Cursors::new(entries);
        let mut ring = vec![u16::MAX; entries as usize];
        let mut queue = VecDeque::new();
        for id in 0..entries as u16 {
            let place = cursors.give_back(id, SIZE).unwrap();
            ring[usize::from(place)] = id;
            queue.push_back(id);
        }
        let mut head = 0u16;
        let mut completions: VecDeque<Vec<u16>> = VecDeque::new();
        let mut lent: Vec<u16> = Vec::new();
        for (action, choice) in steps {
            match action {
                0 | 1 => {
                    let most = if action == 0 { 1 } else { 1 + usize::from(choice) % 4 };
                    let count = most.min(queue.len());
                    let taken: Vec<u16> = queue.drain(..count).collect();
                    for id in &taken {
                        prop_assert_eq!(ring[usize::from(head & (entries as u16 - 1))], *id);
                        head = head.wrapping_add(1);
                    }
                    if count > 0 {
                        completions.push_back(taken);
                    }
                }
                2 => {
                    if let Some(taken) = completions.pop_front() {
                        let mut id = taken[0];
                        for expected in &taken {
                            prop_assert_eq!(id, *expected);
                            prop_assert_eq!(cursors.len_bytes(id), SIZE);
                            cursors.lend_part(id, SIZE, false);
                            id = cursors.next(id);
                        }
                        lent.extend(taken);
                    }
                }
                _ => {
                    if !lent.is_empty() {
                        let id = lent.swap_remove(usize::from(choice) % lent.len());
                        let place = cursors.give_back(id, SIZE).unwrap();
                        prop_assert!(cursors.give_back(id, SIZE).is_none());
                        ring[usize::from(place)] = id;
                        queue.push_back(id);
                    }
                }
            }
            prop_assert_eq!(cursors.lent_count() as usize, lent.len());
            prop_assert_eq!(usize::from(cursors.tail().wrapping_sub(head)), queue.len());
            prop_assert!(queue.len() <= entries as usize);
        }
    }

    /// A ring that is provided by hand: what is taken, provided, used, used without a completion and recovered adds up.
    #[test]
    fn a_manual_ring_loses_no_buffer(
        size_log2 in 0u32..5,
        steps in proptest::collection::vec((0u8..6, any::<u16>()), 1..2000)
    ) {
        let entries = 1u32 << size_log2;
        let mut cursors = Cursors::new(entries);
        for id in 0..entries as u16 {
            prop_assert!(cursors.put_back(id));
        }
        let mut head = 0u16;
        let (mut taken, mut provided): (Vec<u16>, VecDeque<u16>) = (Vec::new(), VecDeque::new());
        let mut unnamed = 0;
        for (action, choice) in steps {
            match action {
                0 | 1 => match cursors.take() {
                    Some(id) => {
                        prop_assert!(!taken.contains(&id) && !provided.contains(&id));
                        taken.push(id);
                    }
                    None => prop_assert_eq!(taken.len() + provided.len() + unnamed, entries as usize),
                },
                2 if !taken.is_empty() => {
                    let id = taken.swap_remove(usize::from(choice) % taken.len());
                    prop_assert!(cursors.give_back(id, 1).is_some());
                    provided.push_back(id);
                }
                3 if !taken.is_empty() => {
                    let id = taken.swap_remove(usize::from(choice) % taken.len());
                    prop_assert!(cursors.put_back(id));
                    prop_assert!(!cursors.put_back(id));
                }
                4 => if let Some(id) = provided.pop_front() {
                    head = head.wrapping_add(1);
                    if choice % 3 == 0 {
                        unnamed += 1;
                    } else {
                        cursors.lend(id, true);
                    }
                },
                _ => {
                    cursors.recover(head);
                    unnamed = 0;
                }
            }
            prop_assert_eq!(cursors.lent_count() as usize, taken.len());
        }
    }
}
