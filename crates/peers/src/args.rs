//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;

use lexopt::prelude::*;

use crate::Result;
use crate::ring::TaskRun;

pub const USAGE: &str = "\
uring-peer: native peers of the `uring` benchmarks

  uring-peer nop  --ops N [--depth 128]
  uring-peer read --ops N --file FILE [--depth 128] [--size 4096] [--direct] [--fixed]

  --ops N          operations to time
  --warmup N       operations before the clock starts (default: a tenth of --ops)
  --depth D        operations in flight (default 128)
  --taskrun WHICH  defer (default) or coop
  --file FILE      file to read from, at random offsets that are multiples of --size
  --size BYTES     bytes of one read, a multiple of 4096 (default 4096)
  --direct         open with O_DIRECT
  --fixed          READ_FIXED into registered buffers, not READ
";

/// The largest submission queue that the kernel makes.
const DEPTH_MAX: u32 = 32_768;
const READ_ALIGNMENT: u32 = 4_096;

/// What every workload takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    pub depth: u32,
    pub ops: u64,
    pub warmup_ops: u64,
    pub task_run: TaskRun,
}

#[derive(Debug, PartialEq, Eq)]
pub struct ReadOptions {
    pub common: Common,
    pub file: PathBuf,
    pub size_bytes: u32,
    pub direct: bool,
    pub fixed: bool,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Nop(Common),
    Read(ReadOptions),
}

/// Options as they come; which of them a sub-command needs is decided afterwards.
#[derive(Default)]
struct Raw {
    command: Option<OsString>,
    ops: Option<u64>,
    warmup_ops: Option<u64>,
    depth: Option<u32>,
    task_run: Option<TaskRun>,
    file: Option<PathBuf>,
    size_bytes: Option<u32>,
    direct: bool,
    fixed: bool,
    help: bool,
}

pub fn parse() -> Result<Command> {
    command_of(read_all(lexopt::Parser::from_env())?)
}

fn read_all(mut parser: lexopt::Parser) -> Result<Raw> {
    let mut raw = Raw::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("ops") => raw.ops = Some(parser.value()?.parse()?),
            Long("warmup") => raw.warmup_ops = Some(parser.value()?.parse()?),
            Long("depth") => raw.depth = Some(parser.value()?.parse()?),
            Long("taskrun") => raw.task_run = Some(parser.value()?.parse()?),
            Long("file") => raw.file = Some(parser.value()?.into()),
            Long("size") => raw.size_bytes = Some(parser.value()?.parse()?),
            Long("direct") => raw.direct = true,
            Long("fixed") => raw.fixed = true,
            Long("help") | Short('h') => raw.help = true,
            Value(value) if raw.command.is_none() => raw.command = Some(value),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(raw)
}

fn command_of(raw: Raw) -> Result<Command> {
    if raw.help {
        return Ok(Command::Help);
    }
    let name = raw.command.as_ref().and_then(|name| name.to_str());
    match name {
        Some("nop") if raw.file.is_some() || raw.size_bytes.is_some() || raw.direct || raw.fixed => {
            Err("nop reads nothing: --file, --size, --direct and --fixed belong to read".into())
        }
        Some("nop") => Ok(Command::Nop(common_of(&raw)?)),
        Some("read") => Ok(Command::Read(read_of(raw)?)),
        _ => Err(format!("say which workload: nop or read\n\n{USAGE}").into()),
    }
}

fn common_of(raw: &Raw) -> Result<Common> {
    let ops = raw.ops.ok_or("--ops N is missing")?;
    let depth = raw.depth.unwrap_or(128);
    if ops == 0 {
        return Err("--ops must be at least 1".into());
    }
    if depth == 0 || depth > DEPTH_MAX {
        return Err(format!("--depth must be from 1 to {DEPTH_MAX}").into());
    }
    let warmup_ops = raw.warmup_ops.unwrap_or((ops / 10).max(u64::from(depth)));
    Ok(Common {
        depth,
        ops,
        warmup_ops,
        task_run: raw.task_run.unwrap_or(TaskRun::Defer),
    })
}

fn read_of(raw: Raw) -> Result<ReadOptions> {
    let common = common_of(&raw)?;
    let size_bytes = raw.size_bytes.unwrap_or(READ_ALIGNMENT);
    if size_bytes == 0 || !size_bytes.is_multiple_of(READ_ALIGNMENT) {
        return Err(format!("--size must be a multiple of {READ_ALIGNMENT}").into());
    }
    Ok(ReadOptions {
        common,
        file: raw.file.ok_or("--file FILE is missing")?,
        size_bytes,
        direct: raw.direct,
        fixed: raw.fixed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command> {
        command_of(read_all(lexopt::Parser::from_args(line.split_whitespace()))?)
    }

    #[test]
    fn nop_has_defaults_for_all_but_the_number_of_operations() {
        let expected = Common {
            depth: 128,
            ops: 5_000,
            warmup_ops: 500,
            task_run: TaskRun::Defer,
        };
        assert_eq!(parsed("nop --ops 5000").unwrap(), Command::Nop(expected));
        assert!(parsed("nop").is_err());
    }

    #[test]
    fn read_takes_every_option() {
        let line = "read --ops 10 --warmup 0 --depth 1 --taskrun coop --file f --size 8192 --direct --fixed";
        let expected = ReadOptions {
            common: Common {
                depth: 1,
                ops: 10,
                warmup_ops: 0,
                task_run: TaskRun::Coop,
            },
            file: "f".into(),
            size_bytes: 8_192,
            direct: true,
            fixed: true,
        };
        assert_eq!(parsed(line).unwrap(), Command::Read(expected));
    }

    #[test]
    fn wrong_command_lines_are_refused() {
        let lines = [
            "",
            "write --ops 1",
            "nop --ops 0",
            "nop --ops -1",
            "nop --ops 1 --depth 0",
            "nop --ops 1 --depth 32769",
            "nop --ops 1 --direct",
            "nop nop --ops 1",
            "read --ops 1",
            "read --ops 1 --file f --size 100",
            "read --ops 1 --file f --size 0",
            "nop --ops 1 --taskrun never",
            "nop --ops 1 --colour",
        ];
        for line in lines {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
