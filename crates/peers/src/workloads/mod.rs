//! One file for each workload.

pub mod echo;
mod files;
pub mod files_read;
pub mod files_stat;
pub mod hold;
pub mod load;
pub mod nop;
pub mod read;
pub mod tick;
pub mod wake;
pub mod wal;
