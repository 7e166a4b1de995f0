//! `wal`: writers that append a record to one file and have it durable before they write the next.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use io_uring::{opcode, squeue, types};

use crate::args::WalOptions;
use crate::drive::{self, Workload};
use crate::memory::Slab;
use crate::report::Report;
use crate::{Result, ring};

const RECORD_BYTES: usize = 512;
const WRITE: u32 = 0;

struct Appends {
    file: File,
    slab: Slab,
    /// Records that each writer has begun.
    counts: Vec<u32>,
}

// SAFETY: each slot writes from its own block of the slab. The slab and the file live as long as this
// value, and `drive` returns only when nothing is in flight.
unsafe impl Workload for Appends {
    const STEPS: u32 = 2;

    #[inline]
    fn entry(&mut self, slot: u32, step: u32) -> squeue::Entry {
        let fd = types::Fd(self.file.as_raw_fd());
        if step != WRITE {
            return opcode::Fsync::new(fd).flags(types::FsyncFlags::DATASYNC).build();
        }
        let count = &mut self.counts[slot as usize];
        *count += 1;
        let block = self.slab.block(slot as usize);
        // SAFETY: nothing of this slot is in flight, so the block is ours, and it has 512 bytes.
        unsafe {
            block.cast::<[u8; 4]>().write(slot.to_le_bytes());
            block.add(4).cast::<[u8; 4]>().write(count.to_le_bytes());
        }
        // At the file's end, as it was opened.
        opcode::WriteFixed::new(fd, block, RECORD_BYTES as u32, slot as u16)
            .offset(u64::MAX)
            .build()
            .flags(squeue::Flags::IO_LINK)
    }

    #[inline]
    fn is_expected(&mut self, _slot: u32, step: u32, result: i32) -> bool {
        result == if step == WRITE { RECORD_BYTES as i32 } else { 0 }
    }
}

/// Every writer's records are there, each once and in order.
fn check(log: &[u8], counts: &[u32]) -> Result<()> {
    let mut seen = vec![0_u32; counts.len()];
    for record in log.chunks(RECORD_BYTES) {
        let word = |at: usize| record[at..at + 4].try_into().map(u32::from_le_bytes);
        let (writer, count) = (word(0)?, word(4)?);
        let last = seen.get_mut(writer as usize).ok_or("a record of nobody")?;
        if record.len() != RECORD_BYTES || count != *last + 1 {
            return Err(format!("writer {writer} has record {count} after {last}").into());
        }
        *last = count;
    }
    if seen != counts {
        return Err("records are missing at the end".into());
    }
    Ok(())
}

pub fn run(options: &WalOptions) -> Result<Report> {
    let common = &options.common;
    let writers = common.depth as usize;
    let log = File::options()
        .create(true)
        .write(true)
        .truncate(true)
        .open(&options.file)?;
    drop(log);
    let mut work = Appends {
        file: File::options().append(true).open(&options.file)?,
        slab: Slab::new(writers, RECORD_BYTES)?,
        counts: vec![0; writers],
    };
    let mut ring = ring::open(common.depth * Appends::STEPS, common.task_run)?;
    // SAFETY: the slab outlives every use of the ring: `drive` leaves nothing in flight, and the
    // kernel holds its own reference on the registered pages.
    unsafe { ring.submitter().register_buffers(&work.slab.iovecs()) }?;
    let report = drive::measure(&mut ring, common, &mut work)?;
    check(&fs::read(&options.file)?, &work.counts)?;
    fs::remove_file(&options.file)?;
    Ok(report)
}
