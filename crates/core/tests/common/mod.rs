//! Tables with one of everything, and records as TypeScript writes them. Nothing here reaches the kernel.

use io_uring::IoUring;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use uring_core::arenas::NewArena;
use uring_core::bufring::RingOptions;
use uring_core::files::FileTable;
use uring_core::ops::{Fd, OpSpec, Size, Wide};
use uring_core::register::Registrar;
use uring_core::reject::Reject;
use uring_core::relocate::{Tables, Words};

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

pub struct Fixture {
    pub ring: IoUring,
    pub tables: Tables,
    pub arenas: [NewArena; 3],
    /// A handle whose arena is gone.
    pub stale: u32,
    /// The handle of the file in slot 0.
    pub file: u32,
    pub group: u16,
    pub pool: NewArena,
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
        Fixture {
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

    /// A record of this operation that uses every kind of memory the operation can name, each in an arena of its own.
    pub fn good(&self, spec: &OpSpec) -> Words {
        let mut record = [0; 16];
        record[HEAD] = u32::from(spec.opcode);
        record[FD] = match spec.fd {
            Fd::None | Fd::CancelKey => u32::MAX,
            Fd::File => 7,
            Fd::Directory => libc::AT_FDCWD as u32,
        };
        if let Wide::Memory(_) = spec.off {
            record[OFF..OFF + 2].copy_from_slice(&[0, self.handle(RESULTS)]);
        }
        match spec.addr {
            Wide::Memory(Size::Const(_)) => {
                record[ADDR..=LEN].copy_from_slice(&[64, self.handle(PLAIN), 1]);
            }
            Wide::Memory(Size::Len) => record[ADDR..=LEN].copy_from_slice(&[64, self.handle(PLAIN), 512]),
            Wide::RegisteredMemory => {
                record[ADDR..=LEN].copy_from_slice(&[64, self.handle(REGISTERED), 512]);
            }
            Wide::Path => {
                self.write(PLAIN, 64, b"some/path\0");
                record[ADDR..ADDR + 2].copy_from_slice(&[64, self.handle(PLAIN)]);
            }
            Wide::Iovecs => {
                let entries = [
                    (self.handle(RESULTS), 0, 16),
                    (self.handle(REGISTERED), 4096, 4096),
                ];
                self.write_list(PLAIN, 64, &entries);
                record[ADDR..=LEN].copy_from_slice(&[64, self.handle(PLAIN), 2]);
            }
            Wide::Zero | Wide::Scalar | Wide::Target => {}
        }
        record
    }

    /// The arenas that `good` names.
    pub fn named(spec: &OpSpec) -> [bool; 3] {
        let mut named = [false; 3];
        named[RESULTS] = matches!(spec.off, Wide::Memory(_)) || spec.addr == Wide::Iovecs;
        named[PLAIN] = matches!(spec.addr, Wide::Memory(_) | Wide::Path | Wide::Iovecs);
        named[REGISTERED] = matches!(spec.addr, Wide::RegisteredMemory | Wide::Iovecs);
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
    }
}

pub fn wide(words: &Words, at: usize) -> u64 {
    u64::from(words[at + 1]) << 32 | u64::from(words[at])
}

pub fn user_data(words: &Words) -> u64 {
    wide(words, INDEX)
}
