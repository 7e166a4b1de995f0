//! Operations on names: opening with rules, renaming, linking, removing.

use crate::expected::{ASYNC, FD, LINK, Memory, Row, row_with};
use crate::golden::Admitted;
use io_uring::opcode::{LinkAt, MkDirAt, OpenAt2, RenameAt, Statx, SymlinkAt, UnlinkAt};
use io_uring::types::{DestinationSlot, Fd, OpenHow};
use libc::{
    AT_EMPTY_PATH, AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, O_CLOEXEC, O_CREAT, O_EXCL, O_RDWR, O_TRUNC,
};

const CWD: Fd = Fd(AT_FDCWD);
const OTHER: Fd = Fd(9);
const HOW_BYTES: usize = 24;
const STATX_BYTES: usize = 256;

fn path(text: &str) -> Memory {
    Memory::Bytes([text.as_bytes(), b"\0"].concat())
}

/// struct open_how, which stands right before the path.
fn how(flags: i32, mode: u64, resolve: u64, name: &str) -> Memory {
    let fields = [flags as u64, mode, resolve].map(u64::to_ne_bytes).concat();
    Memory::BytesBefore(fields, [name.as_bytes(), b"\0"].concat())
}

pub fn opens(at: &Admitted) -> Vec<Row> {
    let open = |directory| {
        let how = at.staged(0).cast::<OpenHow>();
        OpenAt2::new(directory, at.staged(HOW_BYTES).cast(), how)
    };
    let new = O_RDWR | O_CREAT | O_TRUNC | O_EXCL | O_CLOEXEC;
    let all_but_root = libc::RESOLVE_NO_XDEV
        | libc::RESOLVE_NO_MAGICLINKS
        | libc::RESOLVE_NO_SYMLINKS
        | libc::RESOLVE_BENEATH
        | libc::RESOLVE_CACHED;
    let slot = DestinationSlot::try_from_slot_target(1).ok();
    let any = Some(DestinationSlot::auto_target());
    vec![
        row_with(
            "openat2",
            open(CWD).build(),
            how(O_CLOEXEC, 0, 0, "/etc/hostname"),
        ),
        row_with(
            "openat2 with everything",
            open(OTHER).build().flags(ASYNC),
            how(new, 0o4751, all_but_root, "naïve"),
        ),
        row_with(
            "openat2 into slot 1",
            open(CWD).file_index(slot).build(),
            how(O_RDWR, 0, libc::RESOLVE_IN_ROOT, "/a"),
        ),
        row_with(
            "openat2 into a slot of the kernel",
            open(CWD).file_index(any).build(),
            how(0, 0, 0, "/a"),
        ),
        row_with(
            "statx of a descriptor by its number",
            Statx::new(FD, at.staged(STATX_BYTES).cast(), at.staged(0).cast())
                .flags(AT_EMPTY_PATH)
                .mask(0x3ffff)
                .build(),
            path(""),
        ),
    ]
}

pub fn names(at: &Admitted) -> Vec<Row> {
    let first = || at.staged(0) as *const libc::c_char;
    let second = |offset: usize| at.staged(offset) as *const libc::c_char;
    let rename = |old, new| RenameAt::new(old, first(), new, second(4));
    let link = |old, new| LinkAt::new(old, first(), new, second(4));
    let both = || path("old\0new");
    let keep = libc::RENAME_NOREPLACE | libc::RENAME_WHITEOUT;
    vec![
        row_with("renameat", rename(CWD, CWD).build(), both()),
        row_with(
            "renameat between directories, without replacing",
            rename(FD, OTHER).flags(keep).build(),
            both(),
        ),
        row_with(
            "renameat exchanging",
            rename(CWD, CWD).flags(libc::RENAME_EXCHANGE).build().flags(LINK),
            both(),
        ),
        row_with("unlinkat", UnlinkAt::new(CWD, first()).build(), path("file")),
        row_with(
            "unlinkat of a directory",
            UnlinkAt::new(OTHER, first()).flags(AT_REMOVEDIR).build(),
            path("dir"),
        ),
        row_with(
            "mkdirat",
            MkDirAt::new(CWD, first()).mode(0o777).build(),
            path("dir"),
        ),
        row_with(
            "mkdirat with a mode",
            MkDirAt::new(OTHER, first()).mode(0o1700).build(),
            path("dir"),
        ),
        row_with(
            "symlinkat",
            SymlinkAt::new(OTHER, first(), second(7)).build(),
            path("target\0link"),
        ),
        row_with("linkat", link(CWD, CWD).build(), both()),
        row_with(
            "linkat between directories",
            link(FD, OTHER).flags(AT_SYMLINK_FOLLOW).build(),
            both(),
        ),
        row_with(
            "linkat of a descriptor",
            LinkAt::new(FD, first(), CWD, second(1))
                .flags(AT_EMPTY_PATH)
                .build(),
            path("\0new"),
        ),
    ]
}
