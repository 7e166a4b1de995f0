//! Registered files: one table for each ring.

use super::buffers::{RSRC_REGISTER_SPARSE, ResourceTable, ResourceUpdate};
use super::{Registrar, opcode};
use std::io;
use std::os::fd::RawFd;

/// struct io_uring_file_index_range.
#[repr(C)]
struct FileIndexRange {
    offset: u32,
    len: u32,
    reserved: u64,
}

impl Registrar {
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

    /// Puts descriptors into slots from `offset` on, each with its tag; -1 empties one, -2 leaves it as it is (5.13).
    /// Answers how many slots were dealt with: after an error in the middle, fewer than were given.
    pub fn files_update(self, offset: u32, fds: &[RawFd], tags: &[u64]) -> io::Result<u32> {
        assert_eq!(fds.len(), tags.len());
        let update = ResourceUpdate {
            offset,
            data: fds.as_ptr() as u64,
            tags: tags.as_ptr() as u64,
            count: fds.len() as u32,
            ..ResourceUpdate::default()
        };
        // SAFETY: as many descriptors and tags as announced, which live to the end of the call.
        unsafe { self.call_sized(opcode::FILES_UPDATE2, &update) }
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
}
