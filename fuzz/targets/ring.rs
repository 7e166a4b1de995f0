//! A real ring whose block JavaScript writes as it likes: counts that make no sense, records that change behind its back,
//! a list of given-back buffers that were never lent. Nothing may panic or hang, nobody's memory but the ring's may change,
//! no descriptor but the ring's own may be closed, and the ring comes to rest.
//!
//! Records reach the kernel here, so only operations on files of the fuzzer's own do: `tame` sees to that before each
//! call, as nothing of what JavaScript writes is believed afterwards.

#![no_main]

mod input;
mod surroundings;

use input::Input;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::time::Duration;
use surroundings::{ARENA_BYTES, Surroundings};
use uring_core::arenas::NewArena;
use uring_core::bufring::RingOptions;
use uring_core::ops;
use uring_core::ring::Ring;
use uring_core::setup::Config;
use uring_core::shared::{RECORD_WORDS, Word};

const ENTRIES: u32 = 8;
/// A ring is used this often: opening one costs more than a program.
const USES: u32 = 500;
/// Longer than any operation takes to be cancelled.
const PATIENCE: Duration = Duration::from_secs(10);

/// Operations that touch descriptors and memory that are named, and nothing else of the machine.
const TAME: [&str; 28] = [
    "nop",
    "read",
    "write",
    "readv",
    "writev",
    "readFixed",
    "writeFixed",
    "fadvise",
    "madvise",
    "pollAdd",
    "pollRemove",
    "timeout",
    "timeoutRemove",
    "asyncCancel",
    "linkTimeout",
    "provideBuffers",
    "removeBuffers",
    "futexWait",
    "futexWake",
    "futexWaitv",
    "send",
    "recv",
    "sendmsg",
    "recvmsg",
    "readMultishot",
    "socket",
    "pipe",
    "msgRing",
];

/// IOSQE_IO_DRAIN: what it defers answers no cancel request (docs/measured.md), so the ring would not come to rest.
const DRAIN: u32 = 1 << 9;

struct World {
    ring: Ring,
    arenas: [NewArena; 2],
    group: u16,
    legacy: u16,
    around: Surroundings,
    tame: [bool; 256],
    tame_opcodes: Vec<u8>,
    token: u64,
    uses: u32,
}

impl World {
    fn new() -> World {
        let around = Surroundings::new();
        let config = Config {
            entries: ENTRIES,
            cq_entries: 16,
            ..Config::default()
        };
        let mut ring = Ring::open(&config).expect("io_uring");
        let first = ring.create_arena(ARENA_BYTES, true).expect("an arena");
        let second = ring.create_arena(ARENA_BYTES, false).expect("an arena");
        let (group, _pool) = ring.register_group(RingOptions::new(4, 64)).expect("a group");
        let legacy = ring.tables.legacy.create().expect("a group");
        let rows = ops::all().filter(|row| TAME.contains(&row.name));
        let tame_opcodes: Vec<u8> = rows.map(|row| row.opcode).collect();
        assert!(tame_opcodes.len() >= TAME.len(), "a name is wrong");
        World {
            token: ring.token().expect("a descriptor"),
            ring,
            arenas: [first, second],
            group,
            legacy,
            around,
            tame: std::array::from_fn(|opcode| tame_opcodes.contains(&(opcode as u8))),
            tame_opcodes,
            uses: 0,
        }
    }

    /// One word of the block, wherever it is.
    fn block(&self, at: usize) -> *mut u32 {
        let mapping = self.ring.shared().mapping();
        let words = mapping.size_bytes() / 4;
        // SAFETY: reduced to the words that the mapping has.
        unsafe { mapping.start().cast::<u32>().add(at % words) }
    }

    fn records_at(&self) -> usize {
        self.ring.shared().offsets()[0] as usize / 4
    }

    /// Makes every record harmless that could be taken now.
    fn tame(&mut self) {
        let records = self.ring.shared().sq_capacity() as usize;
        for record in 0..records {
            let at = self.records_at() + record * RECORD_WORDS;
            let (head, fd) = (self.block(at), self.block(at + 1));
            // SAFETY: both are words of the block, which nobody else uses now.
            unsafe {
                let mut word = head.read();
                if !self.tame[usize::from(word as u8)] {
                    let opcode = self.tame_opcodes[usize::from(word as u8) % self.tame_opcodes.len()];
                    word = word & !0xff | u32::from(opcode);
                }
                head.write(word & !DRAIN);
                let name = ops::spec(word as u8).map_or("", |spec| spec.name);
                if !matches!(
                    name,
                    "socket" | "provideBuffers" | "removeBuffers" | "futexWait" | "futexWake"
                ) {
                    fd.write(self.around.tame(fd.read()));
                }
            }
        }
    }
}

struct Program<'a> {
    input: Input<'a>,
    world: World,
}

impl Program<'_> {
    fn word(&mut self) -> u32 {
        let World { ring, arenas, .. } = &self.world;
        let input = &mut self.input;
        match input.byte() {
            0..100 => u32::from(input.byte()),
            100..130 => input.word(),
            130..200 => arenas[input.below(2)].handle,
            200..215 => input.half() % ARENA_BYTES as u32,
            215..225 => u32::from(if input.byte() & 1 == 0 {
                self.world.group
            } else {
                self.world.legacy
            }),
            225..232 => self.world.token as u32,
            232..239 => (self.world.token >> 32) as u32,
            239..247 => ring
                .shared()
                .get(Word::SqHead)
                .wrapping_add(u32::from(input.byte())),
            _ => u32::MAX - u32::from(input.byte() & 7),
        }
    }

    /// A record at the tail, as TypeScript writes it, with some words that make sense and some that do not.
    fn prepare(&mut self) {
        let shared = self.world.ring.shared();
        let tail = shared.get(Word::SqTail);
        let at = self.world.records_at() + (tail % shared.sq_capacity()) as usize * RECORD_WORDS;
        shared.set(Word::SqTail, tail.wrapping_add(1));
        let mut record = [0; RECORD_WORDS];
        let opcodes = &self.world.tame_opcodes;
        record[0] = u32::from(opcodes[self.input.below(opcodes.len())]);
        record[1] = u32::from(self.input.byte());
        record[8] = self.input.below(24) as u32;
        let choice = self.input.byte();
        if choice & 1 != 0 {
            // A range of memory in `addr`, which most operations take.
            (record[4], record[6]) = (u32::from(self.input.byte()), u32::from(self.input.byte()));
            record[5] = self.world.arenas[self.input.below(2)].handle;
        }
        for _ in 0..choice >> 1 & 7 {
            let at = self.input.below(RECORD_WORDS);
            record[at] = self.word();
        }
        if choice >> 4 == 0 {
            record[0] |= u32::from(self.input.byte()) << 8;
        }
        for (ahead, word) in record.into_iter().enumerate() {
            // SAFETY: a word of the block, which nobody else uses now.
            unsafe { self.world.block(at + ahead).write(word) };
        }
    }

    /// JavaScript writes into the block: most often where the counts are.
    fn scribble(&mut self) {
        let at = match self.input.byte() {
            0..150 => self.input.below(13),
            150..200 => {
                self.world.records_at() + self.input.half() as usize % (ENTRIES as usize * RECORD_WORDS)
            }
            200..225 => self.world.ring.shared().offsets()[2] as usize / 4 + self.input.below(8),
            _ => self.input.half() as usize,
        };
        let word = self.word();
        // SAFETY: a word of the block, which nobody else uses now.
        unsafe { self.world.block(at).write(word) };
    }

    /// And into its memory.
    fn write(&mut self) {
        let start = self.world.arenas[self.input.below(2)]
            .mapping
            .start()
            .cast::<u32>();
        let first = self.input.below(64);
        for at in 0..1 + self.input.below(12) {
            let word = self.word();
            // SAFETY: 76 words at most, of an arena of 4096 bytes.
            unsafe { start.add(first + at).write_volatile(word) };
        }
    }

    fn renew(&mut self) {
        let at = self.input.below(2);
        self.world.ring.release_arena(self.world.arenas[at].handle);
        self.world.arenas[at] = self
            .world
            .ring
            .create_arena(ARENA_BYTES, at == 0)
            .expect("an arena");
    }

    fn wait(&mut self) {
        let want = [0, 1, 2, 3, 17, u32::MAX][self.input.below(6)];
        let limit = Duration::from_micros(self.input.below(3) as u64 * 100);
        // Errors are the kernel's; what has become of the ring shows in the end.
        let _waited = self.world.ring.submit_and_wait(want, Some(limit));
    }

    fn step(&mut self) {
        let choice = self.input.byte();
        if choice >= 170 {
            self.world.tame();
        }
        let ring = &mut self.world.ring;
        match choice {
            0..100 => self.prepare(),
            100..130 => self.scribble(),
            130..155 => self.write(),
            155..160 => self.renew(),
            160..170 => self.world.around.make_ready(self.input.byte()),
            170..205 => drop(ring.submit()),
            205..220 => self.wait(),
            220..228 => ring.reap(),
            228..233 => drop(ring.collect()),
            233..237 => drop(ring.has_work()),
            237..240 => drop(ring.catch_up()),
            240..245 => drop(ring.cancel_all()),
            245..248 => drop(ring.resize(ENTRIES << self.input.below(2), 16 << self.input.below(2))),
            _ => {
                // As JavaScript reads it; the descriptors that it gets so are closed with all others in the end.
                for _ in 0..self.input.below(8) {
                    let _read = ring.shared().pop_completion();
                }
            }
        }
    }

    /// Everything is stopped, and the ring is as new.
    fn finish(mut self) -> Option<World> {
        let World {
            ring, around, uses, ..
        } = &mut self.world;
        for (word, value) in [
            (Word::SqTail, ring.shared().get(Word::SqHead)),
            (Word::RecycleCount, 0),
        ] {
            ring.shared().set(word, value);
        }
        // A count that makes no sense would be read for as long as closing may take.
        ring.shared().set(Word::CqHead, ring.shared().get(Word::CqTail));
        *uses += 1;
        if *uses >= USES {
            assert!(ring.drain(PATIENCE), "the ring does not come to rest");
            around.check();
            return None;
        }
        for round in 0.. {
            if ring.in_flight() == 0 && ring.ready() == 0 {
                break;
            }
            assert!(round < 1000, "{} operations do not end", ring.in_flight());
            ring.cancel_everything().expect("cancelling");
            let _waited = ring.submit_and_wait(1, Some(Duration::from_millis(1)));
            ring.discard_unread();
        }
        around.check();
        around.close_all_above(ring.fd());
        Some(self.world)
    }
}

thread_local! {
    static WORLD: RefCell<Option<World>> = const { RefCell::new(None) };
}

fuzz_target!(|bytes: &[u8]| {
    let mut program = Program {
        input: Input::new(bytes),
        world: WORLD.take().unwrap_or_else(World::new),
    };
    while !program.input.is_empty() {
        program.step();
    }
    WORLD.set(program.finish());
});
