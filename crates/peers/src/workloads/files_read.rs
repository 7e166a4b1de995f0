//! `files-read`: many small files, each by a chain of open, read and close on a direct descriptor.

use io_uring::{IoUring, opcode, squeue, types};

use crate::args::FilesOptions;
use crate::drive::{self, Workload};
use crate::memory::Slab;
use crate::report::Report;
use crate::workloads::files::{self, Files, ROOM_BYTES};
use crate::{Result, ring};

const OPEN: u32 = 0;
const READ: u32 = 1;

struct FileReads {
    files: Files,
    slab: Slab,
    /// Which file each slot reads.
    current: Vec<u32>,
}

// SAFETY: each slot reads into its own block of the slab. The slab and the paths live as long as this
// value, and `drive` returns only when nothing is in flight.
unsafe impl Workload for FileReads {
    const STEPS: u32 = 3;

    #[inline]
    fn entry(&mut self, slot: u32, step: u32) -> squeue::Entry {
        let file = types::Fixed(slot);
        match step {
            OPEN => {
                let index = self.files.next();
                self.current[slot as usize] = index;
                let to = types::DestinationSlot::try_from_slot_target(slot).ok();
                opcode::OpenAt::new(types::Fd(libc::AT_FDCWD), self.files.path(index))
                    .flags(libc::O_RDONLY)
                    .file_index(to)
                    .build()
                    .flags(squeue::Flags::IO_LINK)
            }
            // The link is hard, because every read here is short, and a short read breaks a soft one.
            READ => opcode::ReadFixed::new(
                file,
                self.slab.block(slot as usize),
                ROOM_BYTES as u32,
                slot as u16,
            )
            .build()
            .flags(squeue::Flags::IO_HARDLINK),
            _ => opcode::Close::new(file).build(),
        }
    }

    #[inline]
    fn is_expected(&mut self, slot: u32, step: u32, result: i32) -> bool {
        let Ok(bytes) = usize::try_from(result) else {
            return false;
        };
        if step != READ {
            return bytes == 0;
        }
        // SAFETY: the kernel has written so many bytes, and is done with the block.
        let content = unsafe { std::slice::from_raw_parts(self.slab.block(slot as usize), bytes) };
        files::is_content(self.current[slot as usize], content)
    }
}

pub fn run(options: &FilesOptions) -> Result<Report> {
    let common = &options.common;
    let mut work = FileReads {
        files: Files::new(options)?,
        slab: Slab::new(common.depth as usize, ROOM_BYTES)?,
        current: vec![0; common.depth as usize],
    };
    let mut ring: IoUring = ring::open(common.depth * FileReads::STEPS, common.task_run)?;
    ring.submitter().register_files_sparse(common.depth)?;
    // SAFETY: the slab outlives every use of the ring: `drive` leaves nothing in flight, and the
    // kernel holds its own reference on the registered pages.
    unsafe { ring.submitter().register_buffers(&work.slab.iovecs()) }?;
    drive::measure(&mut ring, common, &mut work)
}
