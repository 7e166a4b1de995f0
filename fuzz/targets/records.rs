//! Raw records, and hostile memory for what they describe, through checks and relocation. Nothing reaches the kernel.
//!
//! The input is a program: records are admitted, completed and taken back in any order, while JavaScript rewrites its
//! memory, lets go of it, and gives back buffers that it never had. What must hold is in `check` (the same as the property
//! tests': every address of an admitted record lies in live memory, or in Rust's own), and in the end nothing is held.

#![no_main]

#[path = "../../crates/core/tests/relocation/admitted.rs"]
mod admitted;
#[path = "../../crates/core/tests/common/mod.rs"]
#[allow(dead_code)] // the tests use more of it
mod common;
mod input;

use common::{
    ARENA_BYTES, FILE_INDEX, Fixture, HEAD, INDEX, PLAIN, REGISTERED, RESULTS, SUPPORTED, forms, user_data,
};
use input::Input;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use uring_core::inflight::Event;
use uring_core::ops::{self, FileIndex, GroupEffect, OpSpec, Wide};
use uring_core::register::Registrar;
use uring_core::relocate::{Entries, Words};

/// A fixture costs a ring, so it is used many times; this often, its counts are small numbers again.
const USES: u32 = 2000;

thread_local! {
    static FIXTURE: RefCell<Option<(Fixture, u32)>> = const { RefCell::new(None) };
}

/// An operation in flight: how it may end, and where it leads.
struct Live {
    user_data: u64,
    /// Slots that it fills or empties are the business of files.rs: it fails, and nothing is there that was not before.
    fails: bool,
    /// Buffers that it gives to the kernel; it completes once, also if there are none of them.
    provides: Option<u32>,
    ranges: admitted::Ranges,
}

struct Program<'a> {
    input: Input<'a>,
    fixture: Fixture,
    live: Vec<Live>,
    provided: u32,
}

fn registrar(fixture: &Fixture) -> Registrar {
    Registrar::new(fixture.ring.as_raw_fd())
}

impl Program<'_> {
    /// A word that means something, or just bits. Names are symbolic, because handles differ from run to run.
    fn word(&mut self, before: u32) -> u32 {
        let input = &mut self.input;
        match input.byte() {
            0..64 => u32::from(input.byte()),
            64..96 => input.word(),
            96..128 => input.half() % (2 * ARENA_BYTES),
            128..150 => before ^ 1 << input.below(32),
            150..160 => before.wrapping_add(u32::from(input.byte())).wrapping_sub(128),
            160..220 => match input.below(8) {
                at @ 0..3 => self.fixture.handle(at),
                3 => self.fixture.pool.handle,
                4 => self.fixture.stale,
                at => self.fixture.handle(at - 5) ^ 1 << self.input.below(32),
            },
            220..236 => self.fixture.file.wrapping_add(u32::from(input.byte() & 3)),
            236..246 => u32::from(if input.byte() & 1 == 0 {
                self.fixture.group
            } else {
                self.fixture.legacy
            }),
            _ => u32::MAX - u32::from(input.byte() & 7),
        }
    }

    /// What is good, changed in places; or anything at all.
    fn record(&mut self) -> Words {
        let choice = self.input.byte();
        let mut record: Words = match choice {
            0..224 => {
                let form = self.input.below(forms().count());
                self.fixture.good(forms().nth(form).expect("below their count"))
            }
            _ => {
                let mut record = [0; 16];
                record.fill_with(|| self.input.word());
                record
            }
        };
        for _ in 0..choice & 7 {
            let at = self.input.below(16);
            record[at] = self.word(record[at]);
        }
        if choice & 8 != 0 {
            record[HEAD] |= u32::from(self.input.byte()) << 8;
        }
        record[INDEX] = u32::from(self.input.byte());
        record
    }

    fn admit(&mut self) {
        let record = self.record();
        let spec = ops::spec(record[HEAD] as u8).and_then(|row| row.form(&record));
        let supported = if self.input.byte() == 1 {
            [false; 256]
        } else {
            SUPPORTED
        };
        let before = self.fixture.tables.in_flight.live();
        let Ok(words) = self.fixture.tables.admit(&record, &supported) else {
            assert_eq!(
                self.fixture.tables.in_flight.live(),
                before,
                "a refusal left something"
            );
            return;
        };
        assert_eq!(self.fixture.tables.in_flight.live(), before + 1);
        // A target of a cancel request may be found here, which `check` does not expect.
        let ranges = if spec.is_some_and(names_a_target) {
            Vec::new()
        } else {
            admitted::check(&self.fixture, &record, &words).expect("an invariant of admitted records")
        };
        self.live.push(Live {
            user_data: user_data(&words),
            fails: spec.is_some_and(|spec| changes_files(spec, &record)),
            provides: match spec {
                Some(spec) if spec.group_effect == GroupEffect::Provide => Some(words[common::FD]),
                _ => None,
            },
            ranges,
        });
    }

    /// A completion as the kernel posts them, the last or one of several.
    fn complete(&mut self) {
        if self.live.is_empty() {
            return;
        }
        let at = self.input.below(self.live.len());
        let choice = self.input.byte();
        let is_last = choice & 3 != 3 || self.live[at].fails || self.live[at].provides.is_some();
        let res = match choice >> 2 & 3 {
            _ if self.live[at].fails => -libc::ECANCELED,
            0 => 0,
            1 => -libc::EINVAL,
            2 => -libc::ECANCELED,
            _ => i32::from(self.input.byte()),
        };
        self.touch(&self.live[at].ranges);
        let more = if is_last { 0 } else { 1 << 1 };
        let answer = self.fixture.tables.complete(self.live[at].user_data, res, more);
        assert!(answer.is_some(), "a completion found no operation");
        if is_last {
            let ended = self.live.remove(at);
            if res >= 0 {
                self.provided += ended.provides.unwrap_or(0);
            }
            assert_eq!(
                self.fixture.tables.complete(ended.user_data, res, 0),
                None,
                "it ended twice"
            );
        }
    }

    /// What the kernel may still read and write is there: the first and the last byte of each range.
    fn touch(&self, ranges: &admitted::Ranges) {
        for (start, bytes) in ranges {
            for address in [*start, start + bytes.saturating_sub(1)] {
                // SAFETY: that this holds is what is tested. An address just behind an arena is in its guard page.
                unsafe { (address as *const u8).read_volatile() };
            }
        }
    }

    fn retract(&mut self) {
        if let Some(last) = self.live.pop() {
            self.touch(&last.ranges);
            self.fixture.tables.retract(last.user_data);
        }
    }

    /// JavaScript writes into its memory.
    fn write(&mut self) {
        let arena = self.input.below(3);
        let count = 1 + self.input.below(16) as u32;
        let offset = (self.input.half() % (ARENA_BYTES - 64)) & !3;
        for at in 0..count {
            let [before] = self.fixture.read_words::<1>(arena, offset + 4 * at);
            let word = self.word(before);
            self.fixture.write_words(arena, offset + 4 * at, &[word]);
        }
    }

    /// JavaScript lets an arena go, and gets another in its place.
    fn renew(&mut self) {
        let at = self.input.below(3);
        let handle = self.fixture.handle(at);
        let registrar = registrar(&self.fixture);
        let arenas = &mut self.fixture.tables.arenas;
        arenas.release(handle);
        arenas.sweep(registrar);
        let register = (at == REGISTERED).then_some(registrar);
        // The old mapping stays known, so that `check` accepts what still leads there as long as somebody holds it.
        let new = arenas.create(ARENA_BYTES as usize, register).expect("an arena");
        assert_eq!(arenas.locate(handle, 0, 1), None, "a handle outlives its arena");
        self.fixture.stale = handle;
        self.fixture.arenas[at] = new;
    }

    fn registered(&mut self) {
        let registrar = registrar(&self.fixture);
        let handle = self.fixture.handle(self.input.below(3));
        // Refused where it is so already.
        let _done = match self.input.byte() & 1 {
            0 => self.fixture.tables.arenas.unregister(handle, registrar),
            _ => self.fixture.tables.arenas.register_again(handle, registrar, 0),
        };
    }

    /// A completion that belongs to no operation in flight: it may bring an event and must not end anything.
    fn stray(&mut self) {
        let user_data = u64::from_le_bytes(self.input.bytes());
        let is_live = self.live.iter().any(|live| live.user_data == user_data);
        if is_live || matches!(Event::of(user_data), Some(Event::FileMessage(..))) {
            return;
        }
        let before = self.fixture.tables.in_flight.live();
        self.fixture
            .tables
            .complete(user_data, self.input.word() as i32, self.input.word());
        assert_eq!(self.fixture.tables.in_flight.live(), before);
    }

    fn step(&mut self) {
        match self.input.byte() {
            0..130 => self.admit(),
            130..170 => self.write(),
            170..200 => self.complete(),
            200..215 => self.retract(),
            215..223 => self.renew(),
            223..231 => self.registered(),
            231..239 => self.stray(),
            239..245 => {
                let (group, id) = (self.input.half() as u16, self.input.half() as u16);
                assert!(
                    !self.fixture.tables.groups.give_back(group, id),
                    "nothing was lent"
                );
            }
            245..250 => {
                let kinds = [Entries::Small, Entries::Large, Entries::Mixed];
                self.fixture.tables.entries = kinds[self.input.below(3)];
            }
            _ => self.fixture.tables.has_drained = self.input.byte() & 1 == 1,
        }
    }

    /// Everything ends, and then nothing is held: every arena goes when its last view does.
    fn finish(mut self) -> Fixture {
        while let Some(live) = self.live.pop() {
            self.touch(&live.ranges);
            self.fixture.tables.complete(live.user_data, -libc::ECANCELED, 0);
        }
        let (legacy, provided) = (self.fixture.legacy, self.provided);
        let tables = &mut self.fixture.tables;
        tables.legacy.consume(legacy, provided, &mut tables.arenas);
        tables.entries = Entries::Large;
        tables.has_drained = false;
        assert_eq!(tables.in_flight.live(), 0);
        assert!(tables.legacy.remove(legacy), "the legacy group is in use");
        self.fixture.legacy = tables.legacy.create().expect("a group");
        let files = tables.files.as_ref().expect("a table");
        assert_eq!(files.in_use(), 1, "a slot is being filled or emptied");
        assert_eq!(
            files.resolve(self.fixture.file),
            Ok(0),
            "the file in slot 0 is gone"
        );
        assert_eq!(
            self.fixture.held_after_release(),
            [false; 3],
            "an arena is pinned"
        );
        let registrar = registrar(&self.fixture);
        for at in [PLAIN, RESULTS, REGISTERED] {
            let register = (at == REGISTERED).then_some(registrar);
            let arenas = &mut self.fixture.tables.arenas;
            self.fixture.arenas[at] = arenas.create(ARENA_BYTES as usize, register).expect("an arena");
        }
        assert_eq!(self.fixture.tables.arenas.count(), 4, "an arena was not freed");
        assert_eq!(
            Arc::strong_count(&self.fixture.target),
            1,
            "a ring for messages is held"
        );
        self.fixture
    }
}

fn names_a_target(spec: &OpSpec) -> bool {
    [spec.off, spec.addr, spec.addr3].contains(&Wide::Target)
}

fn changes_files(spec: &OpSpec, record: &Words) -> bool {
    let numbers = matches!(spec.file_index, FileIndex::Scalar(_) | FileIndex::Source);
    spec.addr == Wide::Descriptors || !numbers && record[FILE_INDEX] != 0
}

fuzz_target!(|bytes: &[u8]| {
    let (fixture, uses) = FIXTURE
        .take()
        .filter(|(_, uses)| *uses < USES)
        .unwrap_or_else(|| (Fixture::new(), 0));
    let mut program = Program {
        input: Input::new(bytes),
        fixture,
        live: Vec::new(),
        provided: 0,
    };
    while !program.input.is_empty() && program.live.len() < 250 {
        program.step();
    }
    let fixture = program.finish();
    FIXTURE.set(Some((fixture, uses + 1)));
});
