//! `read`: reads of one size at random offsets of one file, cached or with `O_DIRECT`.

use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use io_uring::{IoUring, opcode, squeue, types};

use crate::args::ReadOptions;
use crate::drive::{self, Workload};
use crate::memory::Slab;
use crate::random::BlockSequence;
use crate::report::Report;
use crate::{Result, ring};

struct Reads {
    file: File,
    slab: Slab,
    offsets: BlockSequence,
    size_bytes: u32,
    fixed: bool,
}

// SAFETY: each slot reads into its own block of the slab. The slab and the file live as long as this
// value, and `drive` returns only when nothing is in flight.
unsafe impl Workload for Reads {
    #[inline]
    fn entry(&mut self, slot: u32, _step: u32) -> squeue::Entry {
        let fd = types::Fd(self.file.as_raw_fd());
        let buffer = self.slab.block(slot as usize);
        let offset = self.offsets.next() * u64::from(self.size_bytes);
        if self.fixed {
            // Cannot truncate: the largest depth is 32,768, and the kernel registers fewer buffers still.
            opcode::ReadFixed::new(fd, buffer, self.size_bytes, slot as u16)
                .offset(offset)
                .build()
        } else {
            opcode::Read::new(fd, buffer, self.size_bytes)
                .offset(offset)
                .build()
        }
    }

    #[inline]
    fn is_expected(&mut self, _slot: u32, _step: u32, result: i32) -> bool {
        result == self.size_bytes as i32
    }
}

pub fn run(options: &ReadOptions) -> Result<Report> {
    let common = &options.common;
    let mut work = open(options)?;
    let mut ring = ring::open(common.depth, common.task_run)?;
    if options.fixed {
        work.fixed = register(&ring, &work.slab)?;
    }
    drive::measure(&mut ring, common, &mut work)
}

fn open(options: &ReadOptions) -> Result<Reads> {
    let flags = if options.direct { libc::O_DIRECT } else { 0 };
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(&options.file)?;
    let blocks = file.metadata()?.len() / u64::from(options.size_bytes);
    if blocks == 0 {
        return Err(format!("{} is smaller than one read", options.file.display()).into());
    }
    Ok(Reads {
        file,
        slab: Slab::new(options.common.depth as usize, options.size_bytes as usize)?,
        offsets: BlockSequence::new(blocks),
        size_bytes: options.size_bytes,
        fixed: false,
    })
}

/// Whether the buffers are registered now. Where RLIMIT_MEMLOCK is too low for it, plain reads take
/// over: the package does the same, so the two stay comparable.
fn register(ring: &IoUring, slab: &Slab) -> Result<bool> {
    // SAFETY: the slab outlives every use of the ring: `drive` leaves nothing in flight, and the
    // kernel holds its own reference on the registered pages.
    match unsafe { ring.submitter().register_buffers(&slab.iovecs()) } {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(libc::ENOMEM) => {
            eprintln!("uring-peer: RLIMIT_MEMLOCK is too low to register buffers: reads are not fixed");
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}
