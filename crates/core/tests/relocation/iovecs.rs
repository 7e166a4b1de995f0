//! Lists of buffers: what JavaScript writes is a list of handles; what the kernel gets is Rust's own.

use crate::common::{ADDR, ARENA_BYTES, Fixture, LEN, PLAIN, REGISTERED, RESULTS, forms, user_data, wide};
use uring_core::ops::{OpSpec, Wide};
use uring_core::reject::Reject;
use uring_core::relocate::Words;

fn vectored() -> impl Iterator<Item = &'static OpSpec> {
    forms().filter(|spec| spec.addr == Wide::Iovecs)
}

/// The kernel's list of an operation in flight.
fn iovecs(words: &Words) -> Vec<(u64, usize)> {
    let list = wide(words, ADDR) as *const libc::iovec;
    // SAFETY: the caller has just admitted the record, so the list of `len` entries is alive.
    let list = unsafe { std::slice::from_raw_parts(list, words[LEN] as usize) };
    list.iter()
        .map(|entry| (entry.iov_base as u64, entry.iov_len))
        .collect()
}

#[test]
fn the_kernels_list_has_an_address_for_each_handle_and_is_out_of_javascripts_reach() {
    for spec in vectored() {
        let mut fixture = Fixture::new();
        let record = fixture.good(spec);
        let words = fixture.admit(&record).unwrap();
        let expected = vec![
            (fixture.start(RESULTS), 16),
            (fixture.start(REGISTERED) + 4096, 4096),
        ];
        assert_eq!(iovecs(&words), expected, "{}", spec.name);
        let list = wide(&words, ADDR);
        let arenas = fixture.arenas.iter().chain([&fixture.pool]);
        for mapping in arenas.map(|arena| &arena.mapping) {
            let start = mapping.start() as u64;
            assert!(!(start..start + mapping.size_bytes() as u64).contains(&list));
        }
        // JavaScript rewrites its list while the kernel has the operation: nothing changes.
        fixture.write_list(PLAIN, 64, &[(fixture.stale, 0, u32::MAX), (0, 0, 0)]);
        assert_eq!(iovecs(&words), expected, "{}", spec.name);
        fixture.tables.retract(user_data(&words));
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_list_has_1_to_1024_entries() {
    for spec in vectored() {
        let mut fixture = Fixture::new();
        let big = fixture.tables.arenas.create(1025 * 16, None).unwrap();
        let entry = [0, fixture.handle(RESULTS), 8, 0];
        for at in 0..1025 {
            // SAFETY: the arena was made for 1025 entries of 16 bytes and is alive.
            unsafe { big.mapping.start().cast::<[u32; 4]>().add(at).write(entry) };
        }
        let mut record = fixture.good(spec);
        record[ADDR..=LEN].copy_from_slice(&[0, big.handle, 0]);
        assert_eq!(
            fixture.refusal(&record),
            Reject::BadField,
            "{} of none",
            spec.name
        );
        for count in [1025, 1 << 28, u32::MAX] {
            record[LEN] = count;
            assert_eq!(
                fixture.refusal(&record),
                Reject::BadField,
                "{} of {count}",
                spec.name
            );
        }
        for count in [1, 1024] {
            record[LEN] = count;
            let words = fixture.admit(&record).unwrap();
            assert_eq!(iovecs(&words).len(), count as usize);
            fixture.tables.retract(user_data(&words));
        }
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_list_must_lie_inside_its_arena() {
    for spec in vectored() {
        let mut fixture = Fixture::new();
        let mut record = fixture.good(spec);
        let entry = (fixture.handle(RESULTS), 0, 1);
        fixture.write_list(PLAIN, ARENA_BYTES - 32, &[entry, entry]);
        record[ADDR] = ARENA_BYTES - 32;
        let words = fixture.admit(&record).unwrap();
        fixture.tables.retract(user_data(&words));
        for offset in [ARENA_BYTES - 31, ARENA_BYTES, u32::MAX] {
            record[ADDR] = offset;
            assert_eq!(
                fixture.refusal(&record),
                Reject::OutOfBounds,
                "{} at {offset}",
                spec.name
            );
        }
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_list_may_start_at_any_byte() {
    let mut fixture = Fixture::new();
    for spec in vectored() {
        let mut record = fixture.good(spec);
        let entry = (fixture.handle(RESULTS), 5, 7);
        fixture.write_list(PLAIN, 65, &[entry]);
        record[ADDR..=LEN].copy_from_slice(&[65, fixture.handle(PLAIN), 1]);
        let words = fixture.admit(&record).unwrap();
        assert_eq!(iovecs(&words), [(fixture.start(RESULTS) + 5, 7)]);
        fixture.tables.retract(user_data(&words));
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn one_bad_entry_refuses_the_whole_list_and_pins_nothing() {
    for spec in vectored() {
        let mut fixture = Fixture::new();
        let record = fixture.good(spec);
        let good = (fixture.handle(RESULTS), 0, 16);
        let live = fixture.handle(PLAIN);
        let bad = [
            ((live, ARENA_BYTES - 15, 16), Reject::OutOfBounds),
            ((live, 0, ARENA_BYTES + 1), Reject::OutOfBounds),
            ((live, u32::MAX, u32::MAX), Reject::OutOfBounds),
            ((fixture.stale, 0, 1), Reject::StaleMemory),
            ((live + (1 << 16), 0, 1), Reject::StaleMemory),
            ((0, 0, 0), Reject::StaleMemory),
        ];
        for (entry, reject) in bad {
            for list in [[good, entry], [entry, good]] {
                fixture.write_list(PLAIN, 64, &list);
                assert_eq!(fixture.refusal(&record), reject, "{} {entry:?}", spec.name);
            }
        }
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn an_arena_that_a_list_names_twice_is_let_go_of_twice() {
    for spec in vectored().filter(|spec| spec.off == Wide::Scalar) {
        let mut fixture = Fixture::new();
        let entry = (fixture.handle(PLAIN), 1024, 8);
        fixture.write_list(PLAIN, 64, &[entry, entry]);
        let record = fixture.good(spec);
        fixture.write_list(PLAIN, 64, &[entry, entry]);
        let words = fixture.admit(&record).unwrap();
        assert_eq!(
            fixture.held_after_release(),
            [true, false, false],
            "{}",
            spec.name
        );
        assert!(fixture.tables.complete(user_data(&words), 16, 0).is_some());
        assert_eq!(fixture.sweep(), [false; 3], "{}", spec.name);
        fixture.assert_nothing_is_held();
    }
}
