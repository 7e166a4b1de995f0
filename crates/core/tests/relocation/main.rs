//! Relocation accepts exactly what it should, row by row of the table of operations.

mod admitted;
#[path = "../common/mod.rs"]
mod common;
mod fields;
mod files;
mod iovecs;
mod memory;
mod property;
mod targets;
