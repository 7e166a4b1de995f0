//! `uring-peer`: the native side of `npm run bench`.
//!
//! Each sub-command does the work of one benchmark row in the most direct way the `io-uring` crate
//! allows, at the same depth as the JavaScript side, and prints one JSON line. There is one file for
//! each workload in `workloads/`; what they share is the ring's setup, the loop that keeps a number of
//! operations in flight, and page-aligned memory.

mod args;
mod drive;
mod memory;
mod random;
mod report;
mod ring;
mod workloads;

use std::process::ExitCode;

use args::Command;

/// Errors are only ever printed, so one boxed type is enough for a program of this size.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn run() -> Result<()> {
    let report = match args::parse()? {
        Command::Help => {
            print!("{}", args::USAGE);
            return Ok(());
        }
        Command::Nop(options) => workloads::nop::run(&options)?,
        Command::Read(options) => workloads::read::run(&options)?,
    };
    println!("{report}");
    Ok(())
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("uring-peer: {error}");
            ExitCode::FAILURE
        }
    }
}
