//! `io_uring_register(2)`: what a ring is told ahead of time. Each call is one opcode with one structure, so they are
//! made here directly; the io-uring crate knows two thirds of them.

use std::io;
use std::os::fd::RawFd;

/// IORING_REGISTER_* (include/uapi/linux/io_uring.h), as far as they are used here.
mod opcode {
    pub const UNREGISTER_FILES: u32 = 3;
    pub const EVENTFD: u32 = 4;
    pub const UNREGISTER_EVENTFD: u32 = 5;
    pub const FILES_UPDATE: u32 = 6;
    pub const PROBE: u32 = 8;
    pub const PERSONALITY: u32 = 9;
    pub const UNREGISTER_PERSONALITY: u32 = 10;
    pub const FILES2: u32 = 13;
    pub const BUFFERS2: u32 = 15;
    pub const BUFFERS_UPDATE: u32 = 16;
    pub const PBUF_RING: u32 = 22;
    pub const UNREGISTER_PBUF_RING: u32 = 23;
    pub const SYNC_CANCEL: u32 = 24;
    pub const FILE_ALLOC_RANGE: u32 = 25;
}

/// IORING_RSRC_REGISTER_SPARSE (5.19).
const RSRC_REGISTER_SPARSE: u32 = 1 << 0;

/// struct io_uring_rsrc_register.
#[repr(C)]
#[derive(Default)]
struct ResourceTable {
    count: u32,
    flags: u32,
    reserved: u64,
    data: u64,
    tags: u64,
}

/// struct io_uring_rsrc_update2.
#[repr(C)]
#[derive(Default)]
struct ResourceUpdate {
    offset: u32,
    reserved: u32,
    data: u64,
    tags: u64,
    count: u32,
    reserved2: u32,
}

/// struct io_uring_files_update.
#[repr(C)]
struct FilesUpdate {
    offset: u32,
    reserved: u32,
    fds: u64,
}

/// struct io_uring_file_index_range.
#[repr(C)]
struct FileIndexRange {
    offset: u32,
    len: u32,
    reserved: u64,
}

/// struct io_uring_buf_reg.
#[repr(C)]
#[derive(Default)]
struct BufferRingRegistration {
    ring: u64,
    entries: u32,
    group: u16,
    flags: u16,
    reserved: [u64; 3],
}

/// struct io_uring_sync_cancel_reg.
#[repr(C)]
struct SyncCancel {
    target: u64,
    fd: i32,
    flags: u32,
    timeout: [i64; 2],
    opcode: u8,
    pad: [u8; 7],
    pad2: [u64; 3],
}

/// struct io_uring_probe with 256 operations.
#[repr(C)]
struct ProbeTable {
    last_op: u8,
    length: u8,
    reserved: u16,
    reserved2: [u32; 3],
    operations: [ProbeOperation; 256],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct ProbeOperation {
    opcode: u8,
    reserved: u8,
    flags: u16,
    reserved2: u32,
}

/// The registering side of one ring, named by its descriptor or by its place in the thread's table of rings.
#[derive(Clone, Copy)]
pub struct Registrar {
    fd: RawFd,
    /// Goes with every opcode.
    modifier: u32,
}

impl Registrar {
    pub fn new(fd: RawFd) -> Registrar {
        Registrar { fd, modifier: 0 }
    }

    /// A ring that only this thread's table names (IORING_REGISTER_USE_REGISTERED_RING, 6.3).
    pub fn of_registered(index: u32) -> Registrar {
        Registrar {
            fd: index as RawFd,
            modifier: 1 << 31,
        }
    }

    /// # Safety
    /// `argument` must be what `opcode` wants, `count` of them, and what it names must outlive the registration.
    pub(crate) unsafe fn call<T>(self, opcode: u32, argument: *const T, count: u32) -> io::Result<u32> {
        let opcode = opcode | self.modifier;
        // SAFETY: the kernel reads or writes what the caller vouches for, and checks the rest.
        let result = unsafe { libc::syscall(libc::SYS_io_uring_register, self.fd, opcode, argument, count) };
        u32::try_from(result).map_err(|_| io::Error::last_os_error())
    }

    /// # Safety
    /// As `call`, for opcodes that take the size of one structure as their count.
    unsafe fn call_sized<T>(self, opcode: u32, argument: &T) -> io::Result<u32> {
        // SAFETY: as the caller says.
        unsafe { self.call(opcode, argument, size_of::<T>() as u32) }
    }

    fn call_plain(self, opcode: u32) -> io::Result<u32> {
        // SAFETY: these opcodes take no argument.
        unsafe { self.call(opcode, std::ptr::null::<u8>(), 0) }
    }

    /// Which operations the kernel has, by number (5.6).
    pub fn probe(self) -> io::Result<Box<[bool; 256]>> {
        // SAFETY: plain numbers, for which zero is a value; the kernel wants it zeroed.
        let mut table: Box<ProbeTable> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: the table has room for the 256 operations announced, and lives to the end of the call.
        unsafe { self.call(opcode::PROBE, &raw mut *table, 256) }?;
        const IO_URING_OP_SUPPORTED: u16 = 1;
        let mut supported = Box::new([false; 256]);
        for operation in &table.operations[..usize::from(table.length)] {
            supported[usize::from(operation.opcode)] = operation.flags & IO_URING_OP_SUPPORTED != 0;
        }
        Ok(supported)
    }

    /// A table of registered buffers with nothing in it (5.19).
    pub fn buffers_sparse(self, count: u32) -> io::Result<()> {
        let table = ResourceTable {
            count,
            flags: RSRC_REGISTER_SPARSE,
            ..ResourceTable::default()
        };
        // SAFETY: names no memory.
        unsafe { self.call_sized(opcode::BUFFERS2, &table) }.map(drop)
    }

    /// Puts one buffer into the table, or with an empty iovec takes it out (5.13).
    ///
    /// # Safety
    /// The memory must stay mapped until it has been taken out again.
    pub unsafe fn buffer_update(self, index: u32, buffer: libc::iovec) -> io::Result<()> {
        let update = ResourceUpdate {
            offset: index,
            data: &raw const buffer as u64,
            count: 1,
            ..ResourceUpdate::default()
        };
        // SAFETY: one iovec, which lives to the end of the call; its memory is the caller's promise.
        unsafe { self.call_sized(opcode::BUFFERS_UPDATE, &update) }.map(drop)
    }

    /// A table of registered files with nothing in it (5.19).
    pub fn files_sparse(self, count: u32) -> io::Result<()> {
        let table = ResourceTable {
            count,
            flags: RSRC_REGISTER_SPARSE,
            ..ResourceTable::default()
        };
        // SAFETY: names no memory.
        unsafe { self.call_sized(opcode::FILES2, &table) }.map(drop)
    }

    /// Puts descriptors into slots from `offset` on; -1 empties one (5.5).
    pub fn files_update(self, offset: u32, fds: &[RawFd]) -> io::Result<()> {
        let update = FilesUpdate {
            offset,
            reserved: 0,
            fds: fds.as_ptr() as u64,
        };
        // SAFETY: as many descriptors as announced, which live to the end of the call.
        unsafe { self.call(opcode::FILES_UPDATE, &update, fds.len() as u32) }.map(drop)
    }

    pub fn unregister_files(self) -> io::Result<()> {
        self.call_plain(opcode::UNREGISTER_FILES).map(drop)
    }

    /// The slots that the kernel may choose from (6.0).
    pub fn file_alloc_range(self, offset: u32, len: u32) -> io::Result<()> {
        let range = FileIndexRange {
            offset,
            len,
            reserved: 0,
        };
        // SAFETY: one structure, which lives to the end of the call.
        unsafe { self.call(opcode::FILE_ALLOC_RANGE, &range, 0) }.map(drop)
    }

    /// A ring of provided buffers at `ring` (5.19).
    ///
    /// # Safety
    /// `ring` must be a page-aligned mapping of `entries` entries that stays mapped until the group is unregistered.
    pub unsafe fn buffer_ring(self, ring: u64, entries: u32, group: u16, flags: u16) -> io::Result<()> {
        let registration = BufferRingRegistration {
            ring,
            entries,
            group,
            flags,
            reserved: [0; 3],
        };
        // SAFETY: one structure; the memory it names is the caller's promise.
        unsafe { self.call(opcode::PBUF_RING, &registration, 1) }.map(drop)
    }

    pub fn unregister_buffer_ring(self, group: u16) -> io::Result<()> {
        let registration = BufferRingRegistration {
            group,
            ..BufferRingRegistration::default()
        };
        // SAFETY: names a group and no memory.
        unsafe { self.call(opcode::UNREGISTER_PBUF_RING, &registration, 1) }.map(drop)
    }

    pub fn eventfd(self, fd: RawFd) -> io::Result<()> {
        // SAFETY: one descriptor, which lives to the end of the call.
        unsafe { self.call(opcode::EVENTFD, &fd, 1) }.map(drop)
    }

    pub fn unregister_eventfd(self) -> io::Result<()> {
        self.call_plain(opcode::UNREGISTER_EVENTFD).map(drop)
    }

    /// The process's present credentials (5.6); answers their number.
    pub fn personality(self) -> io::Result<u32> {
        self.call_plain(opcode::PERSONALITY)
    }

    pub fn unregister_personality(self, id: u16) -> io::Result<()> {
        // SAFETY: this opcode takes the number in the place of the count.
        unsafe {
            self.call(
                opcode::UNREGISTER_PERSONALITY,
                std::ptr::null::<u8>(),
                u32::from(id),
            )
        }
        .map(drop)
    }

    /// Cancels everything there is, past the submission queue, without waiting for it (6.0).
    pub fn sync_cancel_everything(self) -> io::Result<()> {
        const CANCEL_ALL: u32 = 1 << 0;
        const CANCEL_ANY: u32 = 1 << 2;
        let cancel = SyncCancel {
            target: 0,
            fd: -1,
            flags: CANCEL_ALL | CANCEL_ANY,
            timeout: [0, 0],
            opcode: 0,
            pad: [0; 7],
            pad2: [0; 3],
        };
        // SAFETY: one structure, which lives to the end of the call.
        unsafe { self.call(opcode::SYNC_CANCEL, &cancel, 1) }.map(drop)
    }
}
