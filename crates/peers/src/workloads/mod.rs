//! One file for each workload.

pub mod nop;
pub mod read;
