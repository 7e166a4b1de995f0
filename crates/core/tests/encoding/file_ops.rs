//! Operations on files besides plain reading and writing: space, advice, pipes, attributes, block devices.

use crate::expected::{
    ASYNC, CURRENT, DRAIN, FD, FILE, GROUP, LINK, Memory, REGISTERED, Row, TWO_32, row, row_with, with_words,
};
use crate::golden::Admitted;
use io_uring::opcode::{
    FGetXattr, FSetXattr, Fadvise, Fallocate, Ftruncate, GetXattr, Madvise, Nop, Pipe, Read, ReadMulti,
    ReadvFixed, SetXattr, Splice, SyncFileRange, Tee, Write, WriteFixed, Writev, WritevFixed,
};
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{DestinationSlot, Fd};

/// The descriptor that the golden records use besides 7.
const OTHER: Fd = Fd(9);
/// FALLOC_FL_KEEP_SIZE to FALLOC_FL_WRITE_ZEROES, without the two that are no operations.
const FALLOCATE_ALL: i32 = 0xfb;
const MADV_COLLAPSE: i32 = 25;
const BLOCK_URING_CMD_DISCARD: u32 = 0x1200;

pub fn transfers(at: &Admitted) -> Vec<Row> {
    let list = at.address() as *const libc::iovec;
    let two = || vec![(at.registered(0) as u64, 8), (at.registered(100) as u64, 9)];
    let one = |address: *mut u8, length| vec![(address as u64, length)];
    // The crate's Read has no length of a buffer group's buffers apart from that of the memory.
    let selected = Read::new(FD, std::ptr::null_mut(), 256)
        .offset(TWO_32)
        .rw_flags(libc::RWF_NOWAIT)
        .buf_group(GROUP);
    // What RWF_ATOMIC, DONTCACHE and NOAPPEND are is not in every libc (include/uapi/linux/fs.h).
    let rw_flags = 0x10 | 0x02 | 0x40 | 0x80 | 0x20;
    vec![
        row(
            "read into a provided buffer",
            selected.build().flags(Flags::BUFFER_SELECT),
        ),
        row(
            "readMultishot",
            ReadMulti::new(FD, 0, GROUP).offset(CURRENT).build(),
        ),
        row(
            "readMultishot from a registered file",
            with_flags(
                ReadMulti::new(FILE, 0, GROUP).offset(CURRENT).build(),
                ASYNC | Flags::FIXED_FILE,
            ),
        ),
        row(
            "write in a stream, with words for flags and priority",
            Write::new(FD, at.plain(0), 64)
                .offset(CURRENT)
                .rw_flags(rw_flags)
                .ioprio(1 << 13)
                .write_stream(255)
                .build(),
        ),
        row(
            "writeFixed in a stream",
            WriteFixed::new(FD, at.registered(0), 64, REGISTERED)
                .offset(CURRENT)
                .write_stream(1)
                .build(),
        ),
        row_with(
            "writev in a stream",
            Writev::new(FD, list, 1)
                .offset(CURRENT)
                .ioprio(3 << 13)
                .write_stream(2)
                .build(),
            Memory::Vectors(one(at.plain(0), 1)),
        ),
        row_with(
            "readv into one registered arena",
            ReadvFixed::new(FD, list, 2, REGISTERED).offset(3).build(),
            Memory::Vectors(two()),
        ),
        row_with(
            "readvFixed",
            ReadvFixed::new(FILE, list, 2, REGISTERED)
                .offset(TWO_32 + 3)
                .rw_flags(libc::RWF_HIPRI)
                .ioprio(2 << 13 | 4)
                .build(),
            Memory::Vectors(two()),
        ),
        row_with(
            "writevFixed",
            WritevFixed::new(FD, list, 1, REGISTERED)
                .offset(CURRENT)
                .rw_flags(libc::RWF_SYNC)
                .write_stream(9)
                .build()
                .flags(LINK),
            Memory::Vectors(one(at.registered(64), 64)),
        ),
    ]
}

/// As `Entry::flags`, which loses those that the builder has set; `ReadMulti` itself loses FIXED_FILE.
fn with_flags(entry: Entry, flags: Flags) -> Entry {
    let head = crate::words_of(entry.clone())[0];
    with_words(entry, &[(0, head | u32::from(flags.bits()) << 8)])
}

pub fn space(at: &Admitted) -> Vec<Row> {
    // The crate's lengths have 32 bits; larger ones stand in `addr`, words 4 and 5 (io_uring/advise.c).
    let large = with_words(
        Fadvise::new(FILE, 0, libc::POSIX_FADV_DONTNEED).build(),
        &[(4, 7), (5, 1)],
    );
    // The crate knows no commands of block devices: command in `off`, start in `addr`, size in `addr3` (block/ioctl.c).
    let discard = with_words(
        Nop::new().build(),
        &[
            (0, 46),
            (1, 7),
            (2, BLOCK_URING_CMD_DISCARD),
            (4, 4096),
            (5, 1),
            (13, 3),
        ],
    );
    vec![
        row("fallocate", Fallocate::new(FD, 1).build()),
        row(
            "fallocate with every mode, in 64 bits",
            Fallocate::new(FILE, (1 << 53) - 1)
                .offset(TWO_32 + 1)
                .mode(FALLOCATE_ALL)
                .build()
                .flags(DRAIN),
        ),
        row("ftruncate", Ftruncate::new(FD, (1 << 33) + 5).build()),
        row("ftruncate of a registered file", Ftruncate::new(FILE, 0).build()),
        row(
            "fadvise",
            Fadvise::new(FD, 0xffff_ffff, libc::POSIX_FADV_NOREUSE)
                .offset(TWO_32)
                .build(),
        ),
        row("fadvise of 64 bits", large),
        row(
            "madvise",
            Madvise::new(at.plain(4096).cast(), 4096, libc::MADV_DONTNEED).build(),
        ),
        row(
            "madvise of registered memory",
            Madvise::new(at.registered(0).cast(), 8192, MADV_COLLAPSE)
                .build()
                .flags(ASYNC),
        ),
        row("syncFileRange", SyncFileRange::new(FD, 0).flags(7).build()),
        row(
            "syncFileRange with everything",
            SyncFileRange::new(FILE, u32::MAX)
                .offset(TWO_32 + 4096)
                .flags(libc::SYNC_FILE_RANGE_WRITE)
                .build()
                .flags(LINK),
        ),
        row("blockDiscard", discard),
    ]
}

pub fn pipes(at: &Admitted) -> Vec<Row> {
    let list = at.address() as *mut i32;
    let every = (libc::O_NONBLOCK | libc::O_DIRECT | libc::O_EXCL | libc::O_CLOEXEC) as u32;
    let no_wait = libc::SPLICE_F_NONBLOCK;
    vec![
        row(
            "splice from pipe to pipe",
            Splice::new(FD, -1, OTHER, -1, 65_536).build(),
        ),
        row(
            "splice from a registered file, with offsets and every flag",
            Splice::new(FILE, (1 << 32) + 1, OTHER, (1 << 32) + 2, 0x7fff_f000)
                .flags(libc::SPLICE_F_MOVE | no_wait | libc::SPLICE_F_MORE | libc::SPLICE_F_GIFT)
                .build(),
        ),
        row(
            "splice to a registered file",
            Splice::new(OTHER, 0, FILE, -1, 1).build(),
        ),
        row("tee", Tee::new(FD, OTHER, 4096).flags(no_wait).build()),
        row(
            "tee between registered files",
            Tee::new(FILE, FILE, 1).build().flags(LINK),
        ),
        row(
            "pipe",
            Pipe::new(list)
                .flags((libc::O_CLOEXEC | libc::O_NONBLOCK) as u32)
                .build(),
        ),
        row(
            "pipe with every flag",
            Pipe::new(list).flags(every).build().flags(ASYNC),
        ),
        row(
            "pipe into slots 1 and 2",
            Pipe::new(list)
                .flags(libc::O_NONBLOCK as u32)
                .file_index(DestinationSlot::try_from_slot_target(1).ok())
                .build(),
        ),
        row(
            "pipe into slots of the kernel",
            Pipe::new(list)
                .flags(libc::O_NONBLOCK as u32)
                .file_index(Some(DestinationSlot::auto_target()))
                .build(),
        ),
    ]
}

pub fn attributes(at: &Admitted) -> Vec<Row> {
    const NAME: &[u8] = b"user.b\0";
    // The value stands first, then the name, then the path.
    let name = |value: usize| at.staged(value) as *const libc::c_char;
    let path = |value: usize| at.staged(value + NAME.len()) as *const libc::c_char;
    let named = || Memory::Bytes([NAME, b"/a\0"].concat());
    let only_named = || Memory::Bytes(NAME.to_vec());
    let value = at.staged(0);
    let nothing = std::ptr::null_mut();
    vec![
        row_with(
            "setxattr",
            SetXattr::new(name(5), value.cast(), path(5), 5).build(),
            named(),
        ),
        row_with(
            "setxattr from memory of the ring",
            SetXattr::new(name(16), at.plain(8).cast(), path(16), 16)
                .flags(libc::XATTR_CREATE)
                .build(),
            named(),
        ),
        row_with(
            "setxattr to nothing",
            SetXattr::new(name(0), nothing, path(0), 0)
                .flags(libc::XATTR_REPLACE)
                .build(),
            named(),
        ),
        row_with(
            "fsetxattr",
            FSetXattr::new(FILE, name(5), value.cast(), 5)
                .flags(libc::XATTR_CREATE)
                .build()
                .flags(LINK),
            only_named(),
        ),
        row_with(
            "getxattr",
            GetXattr::new(name(40), value.cast(), path(40), 40).build(),
            named(),
        ),
        row_with(
            "getxattr of the size",
            GetXattr::new(name(0), nothing.cast(), path(0), 0).build(),
            named(),
        ),
        row_with(
            "fgetxattr",
            FGetXattr::new(FD, name(10), value.cast(), 10).build(),
            only_named(),
        ),
    ]
}
