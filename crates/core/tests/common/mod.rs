//! Tables with one of everything, and records as TypeScript writes them. Nothing here reaches the kernel.

use io_uring::IoUring;
use std::fs::File;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use uring_core::arenas::NewArena;
use uring_core::bufring::RingOptions;
use uring_core::files::FileTable;
use uring_core::live::Listed;
use uring_core::memory::Mapping;
use uring_core::ops::{self, BufferSelect, Fd, FileIndex, GroupEffect, OpSpec, Size, Wide};
use uring_core::register::Registrar;
use uring_core::reject::Reject;
use uring_core::relocate::{Entries, Tables, Words};

/// Words of a record, as include/uapi/linux/io_uring.h lays out the SQE.
pub const HEAD: usize = 0;
pub const FD: usize = 1;
pub const OFF: usize = 2;
pub const ADDR: usize = 4;
pub const LEN: usize = 6;
pub const OP_FLAGS: usize = 7;
pub const INDEX: usize = 8;
pub const SEQUENCE: usize = 9;
pub const BUFFERS: usize = 10;
pub const FILE_INDEX: usize = 11;
pub const ADDR3: usize = 12;
pub const TOKEN: usize = 14;

/// IOSQE_*, where they stand in the first word.
pub const FIXED_FILE: u32 = 1 << 8;
pub const BUFFER_SELECT: u32 = 1 << 13;

pub const SUPPORTED: [bool; 256] = [true; 256];
pub const ARENA_BYTES: u32 = 8192;
/// Places of the arenas in `Fixture::arenas`.
pub const PLAIN: usize = 0;
pub const RESULTS: usize = 1;
pub const REGISTERED: usize = 2;

/// Slots of the files table: 0 holds a file, 1 to 3 are free, 4 to 7 are the kernel's to allocate from.
pub const OURS: u32 = 4;
pub const KERNELS: u32 = 4;

/// Where `good` puts what a field names: arena and offset.
pub fn place_of(at: usize) -> (usize, u32) {
    match at {
        OFF => (RESULTS, 0),
        ADDR => (PLAIN, 64),
        _ => (RESULTS, 512),
    }
}

/// Where the iovecs of a message stand in PLAIN, and where its name and control data are in RESULTS.
pub const MESSAGE_LIST: u32 = 256;
pub const MESSAGE_NAME: (u32, u32) = (1024, 16);
pub const MESSAGE_CONTROL: (u32, u32) = (2048, 64);

/// Every row of the table, and every other form of each.
pub fn forms() -> impl Iterator<Item = &'static OpSpec> {
    ops::all().flat_map(|row| std::iter::once(row).chain(row.forms))
}

/// Names a form in messages.
pub fn title(spec: &OpSpec) -> String {
    format!("{} {:x}/{:x}", spec.name, spec.when.mask, spec.when.value)
}

/// How many bytes of memory a good record of the operation names by such a size, and the field that says so.
pub fn sized(size: Size) -> (u32, Option<(usize, u32)>) {
    match size {
        Size::Const(bytes) => (bytes, None),
        Size::Len => (512, Some((LEN, 512))),
        Size::Off => (16, Some((OFF, 16))),
        Size::AddressLength => (16, Some((FILE_INDEX, 16))),
        Size::OptionLength => (8, Some((FILE_INDEX, 8))),
        Size::Buffers => (4 * 128, Some((LEN, 128))),
        Size::EpollEvents => (24, Some((LEN, 2))),
    }
}

pub struct Fixture {
    pub ring: IoUring,
    pub tables: Tables,
    pub arenas: [NewArena; 3],
    /// A handle whose arena is gone.
    pub stale: u32,
    /// The handle of the file in slot 0.
    pub file: u32,
    pub group: u16,
    /// A group of legacy provided buffers.
    pub legacy: u16,
    pub pool: NewArena,
    /// Another ring, to send messages to; its descriptor is not one of a ring, as nothing here reaches the kernel.
    pub target: Arc<OwnedFd>,
    pub listed: Listed,
}

impl Fixture {
    pub fn new() -> Fixture {
        let ring = IoUring::new(8).unwrap();
        let mut tables = Tables::default();
        let registrar = Registrar::new(ring.as_raw_fd());
        let sizes = ARENA_BYTES as usize;
        let arenas = [
            tables.arenas.create(sizes, None).unwrap(),
            tables.arenas.create(sizes, None).unwrap(),
            tables.arenas.create(sizes, Some(registrar)).unwrap(),
        ];
        assert!(arenas[REGISTERED].registered, "RLIMIT_MEMLOCK is too low");
        let gone = tables.arenas.create(sizes, None).unwrap();
        tables.arenas.release(gone.handle);
        tables.arenas.sweep(registrar);
        let mut files = FileTable::register(OURS, KERNELS, &[], registrar).unwrap();
        let null = File::open("/dev/null").unwrap();
        let file = files.set(0, null.as_raw_fd(), 0, registrar).unwrap();
        tables.files = Some(files);
        let pool = tables.arenas.create(1024, None).unwrap();
        let pool_index = tables.arenas.resolve(pool.handle, 0, 1).unwrap().arena;
        let buffers = (pool_index, pool.mapping.clone());
        let options = RingOptions::new(4, 256);
        tables.groups.register(3, options, buffers, registrar).unwrap();
        tables.arenas.pin(pool_index);
        tables.entries = Entries::Large;
        let legacy = tables.legacy.create().unwrap();
        let target = Arc::new(null.into());
        Fixture {
            listed: Listed::new(&target).unwrap(),
            target,
            legacy,
            stale: gone.handle,
            file,
            group: 3,
            pool,
            arenas,
            ring,
            tables,
        }
    }

    pub fn handle(&self, arena: usize) -> u32 {
        self.arenas[arena].handle
    }

    pub fn start(&self, arena: usize) -> u64 {
        self.arenas[arena].mapping.start() as u64
    }

    /// Everything that JavaScript can name.
    pub fn mappings(&self) -> impl Iterator<Item = &Mapping> {
        let arenas = self.arenas.iter().chain([&self.pool]);
        arenas.map(|arena| &*arena.mapping)
    }

    /// Writes bytes into an arena, as JavaScript does through its view.
    pub fn write(&self, arena: usize, offset: u32, bytes: &[u8]) {
        assert!(offset as usize + bytes.len() <= ARENA_BYTES as usize);
        // SAFETY: the range was just checked against the size of the mapping, which the fixture holds a share of.
        unsafe {
            let place = self.arenas[arena].mapping.start().add(offset as usize);
            place.copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
    }

    /// Writes entries (handle, offset, length) of an iovec list.
    pub fn write_list(&self, arena: usize, offset: u32, entries: &[(u32, u32, u32)]) {
        let words = entries
            .iter()
            .flat_map(|(handle, start, length)| [*start, *handle, *length, 0]);
        let bytes: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
        self.write(arena, offset, &bytes);
    }

    pub fn write_words(&self, arena: usize, offset: u32, words: &[u32]) {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.write(arena, offset, &bytes);
    }

    pub fn read_words<const N: usize>(&self, arena: usize, offset: u32) -> [u32; N] {
        assert!(offset + 4 * N as u32 <= ARENA_BYTES && offset.is_multiple_of(4));
        // SAFETY: the range was just checked against the size of the mapping, which the fixture holds a share of.
        unsafe {
            let place = self.arenas[arena].mapping.start().add(offset as usize);
            place.cast::<[u32; N]>().read_volatile()
        }
    }

    /// A record of this form that uses every kind of memory it can name, each in an arena of its own where that is
    /// possible: `off` and `addr3` in RESULTS, `addr` in PLAIN, memory that must be registered in REGISTERED.
    pub fn good(&self, spec: &OpSpec) -> Words {
        let mut record = [0; 16];
        record[HEAD] = u32::from(spec.opcode);
        record[usize::from(spec.when.word)] |= spec.when.value;
        if spec.name == "nop" && matches!(spec.fd, Fd::ByFlag(_)) {
            // IORING_NOP_FILE: what makes it this form.
            record[OP_FLAGS] = 1 << 1;
        }
        match spec.fd {
            Fd::None => record[FD] = u32::MAX,
            Fd::File | Fd::ByFlag(_) => record[FD] = 7,
            Fd::Descriptor => record[FD] = libc::AT_FDCWD as u32,
            Fd::Ring => {
                let token = self.listed.token();
                (record[TOKEN], record[TOKEN + 1]) = (token as u32, (token >> 32) as u32);
            }
            Fd::Slot => {
                record[HEAD] |= FIXED_FILE;
                record[FD] = self.file;
            }
            // Flags of a futex; also a process, a domain, or a number of buffers.
            Fd::Number => {
                record[FD] = if spec.group_effect == GroupEffect::None {
                    2
                } else {
                    4
                }
            }
        }
        if spec.buffer_select == BufferSelect::Must {
            record[HEAD] |= BUFFER_SELECT;
            record[BUFFERS] = u32::from(self.group);
        }
        if spec.group_effect != GroupEffect::None {
            record[BUFFERS] = u32::from(self.legacy);
        }
        for (at, kind) in [(OFF, spec.off), (ADDR, spec.addr), (ADDR3, spec.addr3)] {
            self.fill_field(spec, &mut record, at, kind);
        }
        if spec.name == "uringCmd" && spec.check.is_some() {
            record[ADDR] = libc::SOL_SOCKET as u32;
        }
        record
    }

    fn fill_field(&self, spec: &OpSpec, record: &mut Words, at: usize, kind: Wide) {
        let (arena, offset) = place_of(at);
        let mut name = |arena: usize, offset: u32| {
            record[at] = offset;
            record[at + 1] = self.handle(arena);
        };
        let lists = [
            (self.handle(RESULTS), 0, 16),
            (self.handle(REGISTERED), 4096, 4096),
        ];
        match kind {
            Wide::Zero | Wide::Scalar | Wide::Target => {}
            Wide::Memory(size) | Wide::Optional(size) => {
                name(arena, offset);
                if let (_, Some((field, value))) = sized(size) {
                    record[field] = value;
                }
            }
            Wide::RegisteredMemory => {
                name(REGISTERED, offset);
                record[LEN] = 512;
            }
            Wide::RegisteredIndex => name(REGISTERED, offset),
            Wide::Path => {
                self.write(arena, offset, b"some/path\0");
                name(arena, offset);
            }
            Wide::Iovecs | Wide::RegisteredIovecs => {
                let registered = [lists[1], (self.handle(REGISTERED), 0, 7)];
                let is_any = kind == Wide::Iovecs;
                self.write_list(PLAIN, offset, if is_any { &lists } else { &registered });
                name(PLAIN, offset);
                record[LEN] = 2;
            }
            Wide::Message(_) => {
                let results = self.handle(RESULTS);
                let (name_at, name_bytes) = MESSAGE_NAME;
                let (control_at, control_bytes) = MESSAGE_CONTROL;
                let names = [name_at, results, name_bytes, control_at, results, control_bytes];
                self.write_words(PLAIN, offset, &names);
                self.write_words(
                    PLAIN,
                    offset + 24,
                    &[MESSAGE_LIST, self.handle(PLAIN), 2, 0, 0, 0],
                );
                self.write_list(PLAIN, MESSAGE_LIST, &lists);
                // One message of so many bytes that passes descriptors.
                let rights = [control_bytes, 0, libc::SOL_SOCKET as u32, libc::SCM_RIGHTS as u32];
                self.write_words(RESULTS, control_at, &rights);
                name(PLAIN, offset);
            }
            Wide::Futexes => {
                let [first, second] = [self.handle(RESULTS), self.handle(REGISTERED)];
                let entries = [5, 6, 4, first, 2, 0, 7, 0, 8, second, 2 | 128, 0];
                self.write_words(PLAIN, offset, &entries);
                name(PLAIN, offset);
                record[LEN] = 2;
            }
            Wide::Descriptors => {
                self.write_words(PLAIN, offset, &[u32::MAX; 2]);
                name(PLAIN, offset);
                if spec.file_index == FileIndex::Scalar(0) {
                    // Two slots, from 1 on.
                    (record[OFF], record[LEN]) = (1, 2);
                }
            }
            Wide::Slot => record[at] = self.file,
            Wide::Message53 => {
                record[OFF] = 77;
                record[FILE_INDEX] = u32::from(spec.addr3 == Wide::Slot);
            }
        }
    }

    /// The arenas that `good` names.
    pub fn named(spec: &OpSpec) -> [bool; 3] {
        let mut named = [false; 3];
        for (at, kind) in [(OFF, spec.off), (ADDR, spec.addr), (ADDR3, spec.addr3)] {
            let arenas: &[usize] = match kind {
                Wide::Memory(_) | Wide::Optional(_) | Wide::Path => &[place_of(at).0],
                Wide::Descriptors => &[PLAIN],
                Wide::RegisteredMemory | Wide::RegisteredIndex => &[REGISTERED],
                Wide::RegisteredIovecs => &[PLAIN, REGISTERED],
                Wide::Iovecs | Wide::Message(_) | Wide::Futexes => &[PLAIN, RESULTS, REGISTERED],
                Wide::Zero | Wide::Scalar | Wide::Target | Wide::Slot | Wide::Message53 => &[],
            };
            for arena in arenas {
                named[*arena] = true;
            }
        }
        named
    }

    pub fn admit(&mut self, record: &Words) -> Result<Words, Reject> {
        self.tables.admit(record, &SUPPORTED)
    }

    /// Why a record is refused; panics if it is not.
    pub fn refusal(&mut self, record: &Words) -> Reject {
        self.admit(record).expect_err("the record was admitted")
    }

    /// Lets every view of JavaScript's go and frees what nobody else names; answers which arenas are still held.
    pub fn held_after_release(&mut self) -> [bool; 3] {
        for arena in &self.arenas {
            self.tables.arenas.release(arena.handle);
        }
        self.sweep()
    }

    pub fn sweep(&mut self) -> [bool; 3] {
        self.tables.arenas.sweep(Registrar::new(self.ring.as_raw_fd()));
        std::array::from_fn(|at| Arc::strong_count(&self.arenas[at].mapping) == 2)
    }

    /// Ends the fixture: no arena, group, slot or in-flight entry is held by anything.
    pub fn assert_nothing_is_held(mut self) {
        assert_eq!(self.tables.in_flight.live(), 0, "an operation is in flight");
        assert_eq!(
            self.held_after_release(),
            [false; 3],
            "an arena is pinned (plain, results, registered)"
        );
        let registrar = Registrar::new(self.ring.as_raw_fd());
        let files = self.tables.files.as_mut().unwrap();
        assert_eq!(files.in_use(), 1, "a slot is being filled or emptied");
        assert_eq!(files.resolve(self.file), Ok(0), "the file in slot 0 is gone");
        files.clear(self.file, registrar).expect("slot 0 is busy");
        let unregistered = self.tables.groups.unregister(self.group, registrar);
        assert!(unregistered.is_ok(), "the buffer group is pinned");
        assert!(
            self.tables.legacy.remove(self.legacy),
            "the legacy group is in use"
        );
    }
}

pub fn wide(words: &Words, at: usize) -> u64 {
    u64::from(words[at + 1]) << 32 | u64::from(words[at])
}

pub fn user_data(words: &Words) -> u64 {
    wide(words, INDEX)
}
