//! Each operation's 64 bytes, from what TypeScript writes to what the kernel gets.
//!
//! `golden/records.json` holds records as the TypeScript side writes them (`__test__/records.spec.ts` makes it and
//! checks it). Here each is relocated, and the result compared byte by byte with what the io-uring crate builds from
//! the same arguments and real addresses. Only user_data differs: it is Rust's own.

mod expected;
mod file_ops;
mod files;
mod golden;
mod messages;
mod names;
mod others;
mod paths;
mod rings;
mod sockets;

use expected::{Expected, Memory};
use golden::{Admitted, Golden};
use io_uring::squeue::Entry;
use std::collections::{BTreeMap, BTreeSet};

type Words = [u32; 16];

fn words_of(entry: Entry) -> Words {
    // SAFETY: an `Entry` is repr(C) over the kernel's SQE: 64 bytes of plain integers.
    unsafe { std::mem::transmute::<Entry, Words>(entry) }
}

fn all_expected(admitted: &Admitted) -> BTreeMap<&'static str, Expected> {
    let families = [
        others::ring(admitted),
        others::poll_and_time(admitted),
        files::reads(admitted),
        files::special_reads(admitted),
        files::writes(admitted),
        paths::paths(admitted),
        names::opens(admitted),
        names::names(admitted),
        file_ops::transfers(admitted),
        file_ops::space(admitted),
        file_ops::pipes(admitted),
        file_ops::attributes(admitted),
        others::accepts(),
        others::transfers(admitted),
        sockets::connections(admitted),
        sockets::sends(admitted),
        sockets::zero_copy(admitted),
        sockets::receives(admitted),
        messages::messages(admitted),
        messages::received_messages(admitted),
        messages::commands(admitted),
        rings::nops(),
        rings::cancels(),
        rings::polls(),
        rings::timers(admitted),
        rings::messages(),
        rings::processes(admitted),
        rings::epolls(admitted),
        rings::files(admitted),
        rings::futexes(admitted),
        rings::provided(admitted),
        rings::raws(admitted),
    ];
    let listed: Vec<_> = families.into_iter().flatten().collect();
    let count = listed.len();
    let by_title: BTreeMap<_, _> = listed.into_iter().collect();
    assert_eq!(by_title.len(), count, "a title is listed twice");
    by_title
}

#[test]
fn every_record_of_the_golden_file_has_its_counterpart_here() {
    let golden = Golden::load();
    let admitted = golden.admit(&golden.records[0]);
    let expected: BTreeSet<&str> = all_expected(&admitted).into_keys().collect();
    let found: BTreeSet<&str> = golden
        .records
        .iter()
        .map(|record| record.title.as_str())
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn what_reaches_the_kernel_is_what_the_io_uring_crate_builds() {
    let golden = Golden::load();
    for record in &golden.records {
        let admitted = golden.admit(record);
        let expected = all_expected(&admitted).remove(record.title.as_str()).unwrap();
        let mut built = words_of(expected.entry);
        built[8..10].copy_from_slice(&admitted.words[8..10]);
        assert_eq!(
            format!("{:08x?}", admitted.words),
            format!("{built:08x?}"),
            "{}",
            record.title
        );
        check_memory(admitted.address(), expected.memory, &record.title);
    }
}

/// What stands at an address of the operation.
fn bytes_at(address: u64, size_bytes: usize) -> Vec<u8> {
    // SAFETY: relocation answered this address, and `Admitted` keeps the arena it lies in; it is copied at once.
    unsafe { std::slice::from_raw_parts(address as *const u8, size_bytes) }.to_vec()
}

fn vectors_at(address: u64, count: usize) -> Vec<(u64, usize)> {
    if count == 0 {
        return vec![];
    }
    // SAFETY: the operation is in flight in `Admitted`, which keeps the kernel's list of that length.
    let found = unsafe { std::slice::from_raw_parts(address as *const libc::iovec, count) };
    found
        .iter()
        .map(|entry| (entry.iov_base as u64, entry.iov_len))
        .collect()
}

fn check_memory(address: u64, expected: Memory, title: &str) {
    match expected {
        Memory::Any => {}
        Memory::Bytes(bytes) => assert_eq!(bytes_at(address, bytes.len()), bytes, "{title}"),
        Memory::BytesAfter(mut before, bytes) => {
            before.resize(before.len().next_multiple_of(8), 0);
            let all = [before.as_slice(), &bytes].concat();
            assert_eq!(bytes_at(address - before.len() as u64, all.len()), all, "{title}");
        }
        Memory::BytesBefore(before, bytes) => {
            let all = [before.as_slice(), &bytes].concat();
            assert_eq!(bytes_at(address - before.len() as u64, all.len()), all, "{title}");
        }
        Memory::At(address, bytes) => assert_eq!(bytes_at(address, bytes.len()), bytes, "{title}"),
        Memory::Vectors(vectors) => assert_eq!(vectors_at(address, vectors.len()), vectors, "{title}"),
        Memory::Message {
            name,
            control,
            vectors,
        } => {
            // SAFETY: as in `vectors_at`, for the operation's header.
            let header = unsafe { &*(address as *const libc::msghdr) };
            let control_at = control.0.unwrap_or(header.msg_control as u64);
            let found = [
                (header.msg_name as u64, u64::from(header.msg_namelen)),
                (header.msg_control as u64, header.msg_controllen as u64),
            ];
            assert_eq!(
                found,
                [
                    (name.0, name.1.len() as u64),
                    (control_at, control.1.len() as u64)
                ],
                "{title}"
            );
            assert_eq!(bytes_at_or_none(name.0, name.1.len()), name.1, "{title}");
            assert_eq!(
                bytes_at_or_none(control_at, control.1.len()),
                control.1,
                "{title}"
            );
            assert_eq!(header.msg_iovlen as u64, vectors.len() as u64, "{title}");
            assert_eq!(
                vectors_at(header.msg_iov as u64, vectors.len()),
                vectors,
                "{title}"
            );
        }
    }
}

fn bytes_at_or_none(address: u64, size_bytes: usize) -> Vec<u8> {
    if address == 0 {
        return vec![];
    }
    bytes_at(address, size_bytes)
}
