//! Operations on paths, and closing.

use crate::expected::{ASYNC, FD, FILE, LINK, Memory, Row, row, row_with};
use crate::golden::Admitted;
use io_uring::opcode::{Close, OpenAt, Statx};
use io_uring::types::{DestinationSlot, Fd};
use libc::{AT_EMPTY_PATH, AT_FDCWD, AT_SYMLINK_NOFOLLOW, O_CLOEXEC, O_CREAT, O_EXCL, O_RDWR, O_TRUNC};

const CWD: Fd = Fd(AT_FDCWD);
/// The result stands before the path in the staging memory.
const STATX_BYTES: usize = 256;
/// STATX_BASIC_STATS | STATX_BTIME.
const DEFAULT_MASK: u32 = 0xfff;

fn path(text: &str) -> Memory {
    Memory::Bytes([text.as_bytes(), b"\0"].concat())
}

fn statx(at: &Admitted, directory: Fd) -> Statx {
    Statx::new(directory, at.staged(STATX_BYTES).cast(), at.staged(0).cast())
}

pub fn paths(at: &Admitted) -> Vec<Row> {
    let open = |directory| OpenAt::new(directory, at.staged(0).cast());
    let exclusive = open(Fd(9))
        .flags(O_RDWR | O_CREAT | O_TRUNC | O_EXCL | O_CLOEXEC)
        .mode(0o4751)
        .build()
        .flags(ASYNC)
        .personality(2);
    vec![
        row_with(
            "openat",
            open(CWD).flags(O_CLOEXEC).mode(0o666).build(),
            path("/etc/hostname"),
        ),
        row_with("openat with everything", exclusive, path("naïve")),
        row_with(
            "openat into slot 1",
            open(CWD)
                .flags(O_RDWR)
                .mode(0o666)
                .file_index(DestinationSlot::try_from_slot_target(1).ok())
                .build()
                .flags(LINK),
            path("/a"),
        ),
        row_with(
            "openat into a slot of the kernel",
            open(CWD).file_index(Some(DestinationSlot::auto_target())).build(),
            path("/b"),
        ),
        row("close", Close::new(FD).build().flags(LINK)),
        row("close a registered file", Close::new(FILE).build()),
        row_with(
            "statx",
            statx(at, CWD).mask(DEFAULT_MASK).build(),
            path("/etc/hostname"),
        ),
        row_with(
            "statx with everything",
            statx(at, Fd(9))
                .flags(AT_SYMLINK_NOFOLLOW | libc::AT_STATX_FORCE_SYNC)
                .mask(0x8000_0fff)
                .build()
                .personality(5),
            path("a/b"),
        ),
        row_with(
            "statx of a descriptor",
            statx(at, FD).flags(AT_EMPTY_PATH).mask(DEFAULT_MASK).build(),
            path(""),
        ),
    ]
}
