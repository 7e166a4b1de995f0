//! Relocation accepts exactly what it should, row by row of the table of operations.

mod admitted;
#[path = "../common/mod.rs"]
mod common;
mod effects;
mod fields;
mod files;
mod forms;
mod groups;
mod iovecs;
mod lists;
mod memory;
mod property;
mod raw;
mod targets;
