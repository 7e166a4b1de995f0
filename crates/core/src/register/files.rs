//! Registered files: one table for each ring.

use super::buffers::{RSRC_REGISTER_SPARSE, ResourceTable, ResourceUpdate};
use super::{Registrar, is_errno, is_lacking, opcode};
use std::io;
use std::os::fd::RawFd;

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

impl Registrar {
    /// A table of registered files with nothing in it: by a flag (5.19), or as a list of -1, which the kernel takes since 5.5.
    pub fn files_empty(self, count: u32) -> io::Result<()> {
        match self.files_sparse(count) {
            Err(error) if is_errno(&error, libc::EINVAL) || is_lacking(&error, opcode::FILES2) => {
                let nothing = vec![-1; count as usize];
                // SAFETY: as many descriptors as announced, which live to the end of the call.
                unsafe { self.call(opcode::FILES, nothing.as_ptr(), count) }.map(drop)
            }
            result => result,
        }
    }

    fn files_sparse(self, count: u32) -> io::Result<()> {
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
        match self.files_update_tagged(offset, fds, tags) {
            Err(error) if is_lacking(&error, opcode::FILES_UPDATE2) && tags.iter().all(|tag| *tag == 0) => {
                let update = FilesUpdate {
                    offset,
                    reserved: 0,
                    fds: fds.as_ptr() as u64,
                };
                // SAFETY: as many descriptors as announced, which live to the end of the call.
                unsafe { self.call(opcode::FILES_UPDATE, &update, fds.len() as u32) }
            }
            result => result,
        }
    }

    fn files_update_tagged(self, offset: u32, fds: &[RawFd], tags: &[u64]) -> io::Result<u32> {
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

    /// The slots that the kernel may choose from (6.0). Before, it chose none or any, so that the range has to be empty.
    pub fn file_alloc_range(self, offset: u32, len: u32) -> io::Result<()> {
        let range = FileIndexRange {
            offset,
            len,
            reserved: 0,
        };
        // SAFETY: one structure, which lives to the end of the call.
        match unsafe { self.call(opcode::FILE_ALLOC_RANGE, &range, 0) } {
            Err(error) if len == 0 && is_lacking(&error, opcode::FILE_ALLOC_RANGE) => Ok(()),
            result => result.map(drop),
        }
    }
}
