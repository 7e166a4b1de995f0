//! `uring-peer`: the native side of `npm run bench`, and what drives the servers of all sides.
//!
//! Each sub-command does the work of one benchmark row in the most direct way the `io-uring` crate
//! allows, at the same depth as the JavaScript side, and prints one JSON line. There is one file for
//! each workload in `workloads/`; what they share is the ring's setup, the loop that keeps a number of
//! operations in flight, and page-aligned memory.

mod args;
mod buffers;
mod drive;
mod memory;
mod random;
mod report;
mod ring;
mod sockets;
mod workloads;

use std::process::ExitCode;

use args::Command;
use report::Report;

/// Errors are only ever printed, so one boxed type is enough for a program of this size.
pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

/// The line to print, of commands that end with one.
fn run() -> Result<Option<Report>> {
    let report = match args::parse()? {
        Command::Help => {
            print!("{}", args::USAGE);
            return Ok(None);
        }
        Command::Echo(options) => return workloads::echo::run(&options).map(|()| None),
        Command::Tick(options) => return workloads::tick::run(&options).map(|()| None),
        Command::Nop(options) => workloads::nop::run(&options),
        Command::Read(options) => workloads::read::run(&options),
        Command::FilesRead(options) => workloads::files_read::run(&options),
        Command::FilesStat(options) => workloads::files_stat::run(&options),
        Command::Wal(options) => workloads::wal::run(&options),
        Command::Wake(options) => workloads::wake::run(&options),
        Command::Load(options) => workloads::load::measure(&options),
        Command::Hold(options) => workloads::hold::measure(&options),
    };
    report.map(Some)
}

fn main() -> ExitCode {
    match run() {
        Ok(report) => {
            if let Some(report) = report {
                println!("{report}");
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("uring-peer: {error}");
            ExitCode::FAILURE
        }
    }
}
