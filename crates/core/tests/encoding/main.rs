//! Each operation's 64 bytes, from what TypeScript writes to what the kernel gets.
//!
//! `golden/records.json` holds records as the TypeScript side writes them (`__test__/records.spec.ts` makes it and
//! checks it). Here each is relocated, and the result compared byte by byte with what the io-uring crate builds from
//! the same arguments and real addresses. Only user_data differs: it is Rust's own.

mod expected;
mod file_ops;
mod files;
mod golden;
mod names;
mod others;
mod paths;

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
        let memory = admitted.address();
        match expected.memory {
            Memory::Any => {}
            Memory::Bytes(bytes) => {
                // SAFETY: relocation answered this address, and `admitted` keeps the arena it lies in.
                let found = unsafe { std::slice::from_raw_parts(memory as *const u8, bytes.len()) };
                assert_eq!(found, bytes, "{}", record.title);
            }
            Memory::BytesBefore(before, bytes) => {
                let all = [before.as_slice(), &bytes].concat();
                let start = (memory - before.len() as u64) as *const u8;
                // SAFETY: as above; the two stand in one block that the golden file has filled.
                let found = unsafe { std::slice::from_raw_parts(start, all.len()) };
                assert_eq!(found, all, "{}", record.title);
            }
            Memory::Vectors(vectors) => {
                // SAFETY: the operation is in flight in `admitted`, which keeps the kernel's list of that length.
                let found =
                    unsafe { std::slice::from_raw_parts(memory as *const libc::iovec, vectors.len()) };
                let found: Vec<_> = found
                    .iter()
                    .map(|entry| (entry.iov_base as u64, entry.iov_len))
                    .collect();
                assert_eq!(found, vectors, "{}", record.title);
            }
        }
    }
}
