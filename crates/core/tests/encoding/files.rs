//! Reading, writing and syncing.

use crate::expected::{
    ASYNC, CURRENT, DRAIN, FD, FILE, HARDLINK, LINK, Memory, REGISTERED, Row, STAGING, TWO_32, row, row_with,
};
use crate::golden::Admitted;
use io_uring::opcode::{Fsync, Read, ReadFixed, Readv, ReadvFixed, Write, WriteFixed, Writev, WritevFixed};
use io_uring::types::{Fixed, FsyncFlags};

/// Bytes of an entry in the list that TypeScript writes; copies stand behind the list.
const ENTRY_BYTES: usize = 16;

pub fn reads(at: &Admitted) -> Vec<Row> {
    let byte = || Read::new(FD, at.plain(1), 1);
    let everything = Read::new(FILE, at.plain(64), 64)
        .offset(TWO_32 * 3)
        .rw_flags(0x8000_0008_u32 as i32)
        .ioprio(0xc007)
        .build()
        .flags(ASYNC | LINK | DRAIN)
        .personality(3);
    vec![
        row(
            "read at the current position",
            Read::new(FD, at.plain(128), 512).offset(CURRENT).build(),
        ),
        row("read at offset 0", Read::new(FD, at.plain(0), 8192).build()),
        row("read at offset 2^31", byte().offset(1 << 31).build()),
        row("read at offset 2^32 - 1", byte().offset(TWO_32 - 1).build()),
        row("read at offset 2^32 + 5", byte().offset(TWO_32 + 5).build()),
        row("read at offset 2^53 - 1", byte().offset((1 << 53) - 1).build()),
        row(
            "read into registered memory",
            ReadFixed::new(FD, at.registered(4096), 4096, REGISTERED)
                .offset(4096)
                .build(),
        ),
        row(
            "read into JavaScript's memory",
            ReadFixed::new(FD, at.staged(0), 300, STAGING).offset(1).build(),
        ),
        row(
            "read from a registered file",
            ReadFixed::new(FILE, at.registered(0), 64, REGISTERED)
                .offset(CURRENT)
                .build(),
        ),
        row(
            "read from a slot by number",
            Read::new(Fixed(2), at.plain(0), 64).offset(CURRENT).build(),
        ),
        row("read with everything", everything),
    ]
}

pub fn special_reads(at: &Admitted) -> Vec<Row> {
    let list = at.address() as *const libc::iovec;
    let mixed = vec![
        (at.plain(8) as u64, 16),
        (at.staged(3 * ENTRY_BYTES + 16) as u64, 30),
        (at.registered(0) as u64, 40),
    ];
    let two = vec![
        (at.staged(2 * ENTRY_BYTES) as u64, 1),
        (at.staged(2 * ENTRY_BYTES + 1) as u64, 2),
    ];
    vec![
        row(
            "readFixed",
            ReadFixed::new(FD, at.registered(100), 200, REGISTERED)
                .offset(TWO_32)
                .ioprio(0x4001)
                .build(),
        ),
        row(
            "readFixed from a registered file",
            ReadFixed::new(FILE, at.registered(0), 1, REGISTERED)
                .offset(CURRENT)
                .rw_flags(8)
                .build(),
        ),
        row_with(
            "readv into memory of each kind",
            Readv::new(FD, list, 3).offset(TWO_32 + 1).rw_flags(4).build(),
            Memory::Vectors(mixed),
        ),
        row_with(
            "readv from a registered file",
            ReadvFixed::new(FILE, list, 2, STAGING)
                .offset(CURRENT)
                .build()
                .flags(ASYNC),
            Memory::Vectors(two),
        ),
    ]
}

pub fn writes(at: &Admitted) -> Vec<Row> {
    let list = at.address() as *const libc::iovec;
    let mixed = vec![
        (at.staged(3 * ENTRY_BYTES) as u64, 2),
        (at.plain(0) as u64, 3),
        (at.staged(3 * ENTRY_BYTES + 5) as u64, 1),
    ];
    let everything = Write::new(FILE, at.plain(64), 64)
        .rw_flags(0x12)
        .ioprio(0x2001)
        .build()
        .flags(HARDLINK | ASYNC)
        .personality(1);
    // The crate has no range for FSYNC: offset and length stand in words 2, 3 and 6 (io_uring_prep_fsync(3)).
    let range = crate::expected::with_words(
        Fsync::new(FILE).flags(FsyncFlags::DATASYNC).build().flags(DRAIN),
        &[(2, 4096), (3, 1), (6, u32::MAX)],
    );
    vec![
        row(
            "write at the current position",
            Write::new(FD, at.plain(128), 512).offset(CURRENT).build(),
        ),
        row(
            "write at offset 2^32 + 5",
            Write::new(FD, at.plain(1), 1).offset(TWO_32 + 5).build(),
        ),
        row(
            "write from registered memory",
            WriteFixed::new(FD, at.registered(4096), 4096, REGISTERED)
                .offset(4096)
                .build(),
        ),
        row_with(
            "write from JavaScript's memory",
            WriteFixed::new(FD, at.staged(0), 5, STAGING).offset(1).build(),
            Memory::Bytes(b"hello".to_vec()),
        ),
        row("write with everything", everything),
        row(
            "writeFixed",
            WriteFixed::new(FD, at.registered(100), 200, REGISTERED)
                .offset(TWO_32)
                .rw_flags(2)
                .build(),
        ),
        row_with(
            "writev from memory of each kind",
            Writev::new(FD, list, 3).offset(CURRENT).build(),
            Memory::Vectors(mixed),
        ),
        row_with(
            "writev to a registered file",
            WritevFixed::new(FILE, list, 1, REGISTERED)
                .offset(9)
                .ioprio(0x6002)
                .build()
                .flags(LINK),
            Memory::Vectors(vec![(at.registered(5) as u64, 6)]),
        ),
        row("fsync", Fsync::new(FD).build()),
        row("fsync of the data in a range", range),
    ]
}
