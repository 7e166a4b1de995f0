//! Handles of memory become addresses inside their arena, and the arena lives until the last completion.

use crate::common::{
    ADDR, ADDR3, ARENA_BYTES, BUFFERS, Fixture, HEAD, LEN, OFF, PLAIN, REGISTERED, forms, place_of, sized,
    title, user_data, wide,
};
use uring_core::ops::{GroupEffect, OpSpec, READ_FIXED, Size, WRITE_FIXED, Wide};
use uring_core::reject::Reject;
use uring_core::relocate::Words;

/// IORING_CQE_F_MORE.
const MORE: u32 = 1 << 1;

/// Fields of a good record that name memory: the first word, the arena, how many bytes must lie inside it.
fn memory_fields(spec: &OpSpec) -> Vec<(usize, usize, u32)> {
    let fields = [(OFF, spec.off), (ADDR, spec.addr), (ADDR3, spec.addr3)];
    let named = fields.into_iter().filter_map(|(at, kind)| {
        let arena = place_of(at).0;
        match kind {
            Wide::Memory(size) | Wide::Optional(size) => Some((at, arena, sized(size).0)),
            Wide::RegisteredMemory => Some((at, REGISTERED, 512)),
            Wide::RegisteredIndex => Some((at, REGISTERED, 0)),
            Wide::Path => Some((at, arena, 1)),
            Wide::Iovecs | Wide::RegisteredIovecs => Some((at, PLAIN, 2 * 16)),
            Wide::Message(_) => Some((at, PLAIN, 12 * 4)),
            Wide::Futexes => Some((at, PLAIN, 2 * 24)),
            Wide::Descriptors => Some((at, PLAIN, 2 * 4)),
            Wide::Zero | Wide::Scalar | Wide::Target | Wide::Slot | Wide::Message53 => None,
        }
    });
    named.collect()
}

/// What the kernel gets in the place of such memory is Rust's own, or nothing.
fn is_list(kind: Wide) -> bool {
    !matches!(
        kind,
        Wide::Memory(_) | Wide::Optional(_) | Wide::RegisteredMemory | Wide::Path | Wide::Zero | Wide::Scalar
    )
}

#[test]
fn a_handle_becomes_an_address_in_its_arena_up_to_the_last_byte() {
    let mut fixture = Fixture::new();
    for spec in forms().filter(|spec| !is_list(spec.addr)) {
        for (at, arena, bytes) in memory_fields(spec) {
            let mut record = fixture.good(spec);
            for offset in [0, 1, ARENA_BYTES - bytes] {
                record[at] = offset;
                let words = fixture.admit(&record).unwrap();
                let expected = fixture.start(arena) + u64::from(offset);
                assert_eq!(wide(&words, at), expected, "{} at {offset}", title(spec));
                fixture.tables.retract(user_data(&words));
            }
            for offset in [ARENA_BYTES - bytes + 1, ARENA_BYTES, u32::MAX] {
                record[at] = offset;
                let reject = fixture.refusal(&record);
                assert_eq!(reject, Reject::OutOfBounds, "{} at {offset}", title(spec));
            }
        }
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn memory_is_refused_when_its_length_leaves_the_arena() {
    let mut fixture = Fixture::new();
    let sized = |spec: &&OpSpec| matches!(spec.addr, Wide::Memory(Size::Len) | Wide::RegisteredMemory);
    for spec in forms().filter(sized) {
        let mut record = fixture.good(spec);
        record[LEN] = ARENA_BYTES - record[ADDR];
        let words = fixture.admit(&record).unwrap();
        fixture.tables.retract(user_data(&words));
        for length in [ARENA_BYTES - record[ADDR] + 1, 1 << 31, u32::MAX] {
            record[LEN] = length;
            assert_eq!(
                fixture.refusal(&record),
                Reject::OutOfBounds,
                "{} {length}",
                spec.name
            );
        }
    }
    fixture.assert_nothing_is_held();
}

fn nudged(mut record: Words, at: usize) -> Words {
    record[at] += 1;
    record
}

#[test]
fn a_handle_that_is_stale_or_was_never_given_out_is_refused() {
    let mut fixture = Fixture::new();
    for spec in forms() {
        for (at, arena, _) in memory_fields(spec) {
            let record = fixture.good(spec);
            let live = fixture.handle(arena);
            let generations = [live + (1 << 16), live | 0xffff_0000];
            let never = [0, 0xffff, u32::MAX];
            // Nothing at all may stand where memory may be left out.
            let record = if record[at] == 0 {
                nudged(record, at)
            } else {
                record
            };
            for handle in [fixture.stale].into_iter().chain(generations).chain(never) {
                let mut record = record;
                record[at + 1] = handle;
                let reject = fixture.refusal(&record);
                assert_eq!(reject, Reject::StaleMemory, "{} handle {handle:#x}", title(spec));
            }
        }
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn an_arena_that_is_named_outlives_its_views_until_the_last_completion() {
    // Provided buffers outlive the operation that provides them (groups.rs).
    for spec in forms().filter(|spec| spec.group_effect != GroupEffect::Provide) {
        let mut fixture = Fixture::new();
        let record = fixture.good(spec);
        let words = fixture.admit(&record).unwrap();
        let named = Fixture::named(spec);
        assert_eq!(fixture.held_after_release(), named, "{}", title(spec));
        assert_eq!(fixture.tables.in_flight.live(), 1);
        assert!(fixture.tables.complete(user_data(&words), 0, MORE).is_some());
        assert_eq!(
            fixture.sweep(),
            named,
            "{} after a completion with more to come",
            spec.name
        );
        assert!(fixture.tables.complete(user_data(&words), 0, 0).is_some());
        assert_eq!(
            fixture.sweep(),
            [false; 3],
            "{} after the last completion",
            spec.name
        );
        assert!(fixture.tables.complete(user_data(&words), 0, 0).is_none());
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_record_that_is_retracted_lets_go_of_everything_it_named() {
    for spec in forms() {
        let mut fixture = Fixture::new();
        let record = fixture.good(spec);
        let words = fixture.admit(&record).unwrap();
        fixture.tables.retract(user_data(&words));
        fixture.tables.retract(user_data(&words));
        fixture.assert_nothing_is_held();
    }
}

#[test]
fn a_new_operation_cannot_name_an_arena_that_only_another_operation_keeps_alive() {
    let mut fixture = Fixture::new();
    for spec in forms().filter(|spec| spec.name == "read" || spec.name == "statx") {
        let mut record = fixture.good(spec);
        record[crate::common::INDEX] = u32::from(spec.opcode);
        fixture.admit(&record).unwrap();
    }
    assert_eq!(fixture.held_after_release(), [true, true, false]);
    for spec in forms().filter(|spec| !memory_fields(spec).is_empty()) {
        let record = fixture.good(spec);
        assert_eq!(fixture.refusal(&record), Reject::StaleMemory, "{}", spec.name);
    }
}

#[test]
fn registered_memory_is_read_and_written_by_the_fixed_form() {
    let mut fixture = Fixture::new();
    let index = fixture.handle(REGISTERED) - 1;
    for spec in forms().filter(|spec| spec.addr == Wide::Memory(Size::Len)) {
        let mut record = fixture.good(spec);
        let words = fixture.admit(&record).unwrap();
        assert_eq!(words[HEAD] & 0xff, u32::from(spec.opcode), "{}", spec.name);
        assert_eq!(words[BUFFERS], 0, "{}", spec.name);
        fixture.tables.retract(user_data(&words));
        record[ADDR + 1] = fixture.handle(REGISTERED);
        // The flags, the priority and the personality stay.
        record[HEAD] |= 1 << 12;
        record[BUFFERS] = 9 << 16;
        let words = fixture.admit(&record).unwrap();
        let (opcode, ioprio, buffer) = match spec.name {
            "read" => (u32::from(READ_FIXED), 0, index),
            "write" => (u32::from(WRITE_FIXED), 0, index),
            // IORING_RECVSEND_FIXED_BUF.
            "sendZc" => (u32::from(spec.opcode), 1 << 2, index),
            _ => (u32::from(spec.opcode), 0, 0),
        };
        assert_eq!(words[HEAD] & 0xff, opcode, "{}", spec.name);
        assert_eq!(words[BUFFERS], 9 << 16 | buffer, "{}", spec.name);
        assert_eq!(words[HEAD] >> 8, record[HEAD] >> 8 | ioprio << 8, "{}", spec.name);
        fixture.tables.retract(user_data(&words));
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn the_fixed_form_by_name_insists_on_registered_memory() {
    let mut fixture = Fixture::new();
    for spec in forms().filter(|spec| spec.addr == Wide::RegisteredMemory) {
        let mut record = fixture.good(spec);
        let words = fixture.admit(&record).unwrap();
        assert_eq!(words[BUFFERS], fixture.handle(REGISTERED) - 1, "{}", spec.name);
        fixture.tables.retract(user_data(&words));
        record[ADDR + 1] = fixture.handle(PLAIN);
        assert_eq!(fixture.refusal(&record), Reject::NotRegistered, "{}", spec.name);
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn no_memory_at_all_is_named_only_by_a_length_of_zero() {
    let mut fixture = Fixture::new();
    let may_be_empty = |spec: &&OpSpec| spec.addr == Wide::Memory(Size::Len) && spec.check.is_none();
    for spec in forms().filter(may_be_empty) {
        let mut record = fixture.good(spec);
        record[ADDR..=LEN].fill(0);
        let words = fixture.admit(&record).unwrap();
        assert_eq!(wide(&words, ADDR), 0, "{}", spec.name);
        fixture.tables.retract(user_data(&words));
        record[LEN] = 1;
        assert_eq!(fixture.refusal(&record), Reject::StaleMemory, "{}", spec.name);
    }
    fixture.assert_nothing_is_held();
}

#[test]
fn a_path_may_start_at_the_last_byte_because_the_guard_page_ends_it() {
    let mut fixture = Fixture::new();
    for spec in forms().filter(|spec| spec.addr == Wide::Path) {
        let mut record = fixture.good(spec);
        record[ADDR] = ARENA_BYTES - 1;
        fixture.write(PLAIN, ARENA_BYTES - 1, b"x");
        let words = fixture.admit(&record).unwrap();
        // SAFETY: the arena is live and ends in a guard page of zeros, so a NUL follows at the latest there.
        let path = unsafe { std::ffi::CStr::from_ptr(wide(&words, ADDR) as *const _) };
        assert_eq!(path.to_bytes(), b"x", "{}", spec.name);
        fixture.tables.retract(user_data(&words));
    }
    fixture.assert_nothing_is_held();
}
