//! `files-stat`: what the file system knows of many small files.

use std::ptr;

use io_uring::{opcode, squeue, types};

use crate::args::FilesOptions;
use crate::drive::{self, Workload};
use crate::memory::Slab;
use crate::report::Report;
use crate::workloads::files::{self, Files};
use crate::{Result, ring};

struct FileStats {
    files: Files,
    slab: Slab,
    /// Which file each slot asks about.
    current: Vec<u32>,
}

impl FileStats {
    fn answer(&self, slot: u32) -> *mut libc::statx {
        self.slab.block(slot as usize).cast()
    }
}

// SAFETY: each slot has its answer in its own block of the slab. The slab and the paths live as long as
// this value, and `drive` returns only when nothing is in flight.
unsafe impl Workload for FileStats {
    #[inline]
    fn entry(&mut self, slot: u32, _step: u32) -> squeue::Entry {
        let index = self.files.next();
        self.current[slot as usize] = index;
        opcode::Statx::new(
            types::Fd(libc::AT_FDCWD),
            self.files.path(index),
            self.answer(slot).cast(),
        )
        .mask(libc::STATX_BASIC_STATS | libc::STATX_BTIME)
        .build()
    }

    #[inline]
    fn is_expected(&mut self, slot: u32, _step: u32, result: i32) -> bool {
        // SAFETY: the kernel has written it, and is done with the block.
        let size_bytes = unsafe { ptr::read(&raw const (*self.answer(slot)).stx_size) };
        result == 0 && size_bytes == u64::from(files::size_bytes(self.current[slot as usize]))
    }
}

pub fn run(options: &FilesOptions) -> Result<Report> {
    let common = &options.common;
    let mut work = FileStats {
        files: Files::new(options)?,
        slab: Slab::new(common.depth as usize, size_of::<libc::statx>())?,
        current: vec![0; common.depth as usize],
    };
    let mut ring = ring::open(common.depth, common.task_run)?;
    drive::measure(&mut ring, common, &mut work)
}
