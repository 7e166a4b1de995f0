//! The golden file, and tables set up as the TypeScript side pretended they were.

use crate::Words;
use io_uring::IoUring;
use serde_json::Value;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use uring_core::arenas::NewArena;
use uring_core::bufring::RingOptions;
use uring_core::files::FileTable;
use uring_core::live::Listed;
use uring_core::register::Registrar;
use uring_core::relocate::{Entries, Tables};

pub struct Record {
    pub title: String,
    words: Words,
    staged: Option<(usize, Vec<u8>)>,
}

pub struct Golden {
    setup: Value,
    earlier: Words,
    pub records: Vec<Record>,
}

/// A record that was relocated, and everything that keeps its memory alive.
pub struct Admitted {
    pub words: Words,
    /// user_data of the operation that was in flight before.
    pub earlier: u64,
    staged_offset: usize,
    arenas: Vec<NewArena>,
    _tables: Tables,
    _ring: IoUring,
}

fn number(value: &Value) -> usize {
    value.as_u64().unwrap() as usize
}

fn parse_words(value: &Value) -> Words {
    let words = value.as_str().unwrap().split(' ');
    let words: Vec<u32> = words.map(|word| u32::from_str_radix(word, 16).unwrap()).collect();
    words.try_into().unwrap()
}

fn parse_hex(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2);
    digits
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// TypeScript had a token that no ring of this process has: another one stands in for it, with descriptor 7 to the reader.
fn admit_message(tables: &mut Tables, record: &Record, token: u64) -> Words {
    let mut words = record.words;
    let mut admit = |words: &Words| {
        let admitted = tables.admit(words, &[true; 256]);
        admitted.unwrap_or_else(|reject| panic!("{}: {reject:?}", record.title))
    };
    if words[14..] != [token as u32, (token >> 32) as u32] {
        return admit(&words);
    }
    let target = Arc::new(File::open("/dev/null").unwrap().into());
    let listed = Listed::new(&target).unwrap();
    words[14] = listed.token() as u32;
    words[15] = (listed.token() >> 32) as u32;
    let mut admitted = admit(&words);
    assert_eq!(admitted[1], target.as_raw_fd() as u32);
    admitted[1] = 7;
    admitted
}

impl Golden {
    pub fn load() -> Golden {
        let text = include_str!("../golden/records.json");
        let setup: Value = serde_json::from_str(text).unwrap();
        let records = setup["records"].as_array().unwrap().iter().map(|record| Record {
            title: record["title"].as_str().unwrap().to_owned(),
            words: parse_words(&record["words"]),
            staged: record["stagedHex"]
                .as_str()
                .map(|hex| (number(&record["stagedOffset"]), parse_hex(hex))),
        });
        Golden {
            records: records.collect(),
            earlier: parse_words(&setup["earlier"]),
            setup,
        }
    }

    /// Relocates a record in tables of its own, after the operation that was in flight before it.
    pub fn admit(&self, record: &Record) -> Admitted {
        let ring = IoUring::new(4).unwrap();
        let mut tables = Tables::default();
        let registrar = Registrar::new(ring.as_raw_fd());
        let mut arenas = Vec::new();
        for (at, arena) in self.setup["arenas"].as_array().unwrap().iter().enumerate() {
            let register = arena["registered"].as_bool().unwrap().then_some(registrar);
            let made = tables
                .arenas
                .create(number(&arena["sizeBytes"]), register)
                .unwrap();
            assert_eq!(made.handle as usize, at + 1, "TypeScript counts handles from 1");
            assert_eq!(made.registered, register.is_some(), "RLIMIT_MEMLOCK is too low");
            arenas.push(made);
        }
        let [buffers, files] = [&self.setup["buffers"], &self.setup["files"]];
        let [group, entries, size_bytes] = ["group", "entries", "sizeBytes"].map(|key| number(&buffers[key]));
        let pool = (2, arenas[2].mapping.clone());
        tables
            .groups
            .register(
                group as u16,
                RingOptions::new(entries as u32, size_bytes as u32),
                pool,
                registrar,
            )
            .unwrap();
        let [ours, kernels, slot, handle] =
            ["ours", "kernels", "slot", "handle"].map(|key| number(&files[key]) as u32);
        let mut table = FileTable::register(ours, kernels, &[], registrar).unwrap();
        let null = File::open("/dev/null").unwrap();
        assert_eq!(table.set(slot, null.as_raw_fd(), 0, registrar).unwrap(), handle);
        tables.files = Some(table);
        let legacy = number(&self.setup["legacy"]["group"]);
        assert_eq!(tables.legacy.create().map(usize::from), Some(legacy));
        // For the operations of 6.19 that take an entry of 128 bytes.
        tables.entries = Entries::Large;
        if let Some((offset, bytes)) = &record.staged {
            let staging = &arenas[3].mapping;
            assert!(offset + bytes.len() <= staging.size_bytes());
            // SAFETY: the range was just checked, and nobody else knows the arena yet.
            unsafe {
                let place = staging.start().add(*offset);
                place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            }
        }
        let supported = [true; 256];
        let earlier = tables.admit(&self.earlier, &supported).unwrap();
        let words = admit_message(&mut tables, record, number(&self.setup["ring"]["token"]) as u64);
        Admitted {
            words,
            earlier: u64::from(earlier[9]) << 32 | u64::from(earlier[8]),
            staged_offset: record.staged.as_ref().map_or(0, |(offset, _)| *offset),
            arenas,
            _tables: tables,
            _ring: ring,
        }
    }
}

impl Admitted {
    /// The record's `addr`: for lists of buffers the one that only Rust knows.
    pub fn address(&self) -> u64 {
        u64::from(self.words[5]) << 32 | u64::from(self.words[4])
    }

    fn at(&self, arena: usize, offset: usize) -> *mut u8 {
        assert!(offset < self.arenas[arena].mapping.size_bytes());
        self.arenas[arena].mapping.start().wrapping_add(offset)
    }

    pub fn plain(&self, offset: usize) -> *mut u8 {
        self.at(0, offset)
    }

    pub fn registered(&self, offset: usize) -> *mut u8 {
        self.at(1, offset)
    }

    /// A place in the memory of the group that operations provide.
    pub fn legacy(&self, offset: usize) -> *mut u8 {
        self.at(4, offset)
    }

    /// A place in the operation's own staging memory.
    pub fn staged(&self, offset: usize) -> *mut u8 {
        self.at(3, self.staged_offset + offset)
    }
}
