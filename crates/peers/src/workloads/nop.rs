//! `nop`: what a ring costs without any work behind it.

use io_uring::{opcode, squeue};

use crate::args::Common;
use crate::drive::{self, Workload};
use crate::report::Report;
use crate::{Result, ring};

struct Nops;

// SAFETY: a NOP names no memory.
unsafe impl Workload for Nops {
    #[inline]
    fn entry(&mut self, _slot: u32, _step: u32) -> squeue::Entry {
        opcode::Nop::new().build()
    }

    #[inline]
    fn is_expected(&mut self, _slot: u32, _step: u32, result: i32) -> bool {
        result == 0
    }
}

pub fn run(options: &Common) -> Result<Report> {
    let mut ring = ring::open(options.depth, options.task_run)?;
    drive::measure(&mut ring, options, &mut Nops)
}
