//! The command line.

use std::collections::BTreeMap;
use std::error::Error;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::prelude::*;

use crate::Result;
use crate::ring::TaskRun;

pub const USAGE: &str = "\
uring-peer: native peers of the `uring` benchmarks

  uring-peer nop        --ops N
  uring-peer read       --ops N --file FILE [--size 4096] [--direct] [--fixed]
  uring-peer files-read --ops N --folder FOLDER --files F
  uring-peer files-stat --ops N --folder FOLDER --files F
  uring-peer wal        --ops N --file FILE
  uring-peer wake       --ops N                              reads what `tick` writes
  uring-peer echo       --port P                             serves until it is stopped

  --ops N          operations to time
  --warmup N       operations before the clock starts (default: a tenth of --ops; of load as many)
  --depth D        operations in flight (default 128)
  --taskrun WHICH  defer (default) or coop
  --file FILE      file to read from at random offsets that are multiples of --size, or to append to
  --size BYTES     bytes of one read, a multiple of 4096 (default 4096)
  --direct         open with O_DIRECT
  --fixed          READ_FIXED into registered buffers, not READ
  --folder FOLDER  where the many small files are, and --files how many

and what all sides of a row are measured with:

  uring-peer load --port P --pid PID --ops N [--warmup N] [--connections C] [--size BYTES] [--pipeline K]
  uring-peer hold --port P --pid PID --connections C
  uring-peer tick --interval-us US

  load  sends N messages to an echo server, K at a time on each of C connections, and prints what the
        process PID (the server) used of the processor meanwhile
  hold  opens C connections and prints by how much the memory of the process PID grew
  tick  writes time stamps of 8 bytes to its standard output, until nobody reads them
";

/// The largest submission queue that the kernel makes.
pub const QUEUE_MAX: u32 = 32_768;
const READ_ALIGNMENT: u32 = 4_096;
/// Options without a value.
const SWITCHES: [&str; 2] = ["direct", "fixed"];

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
pub struct FilesOptions {
    pub common: Common,
    pub folder: PathBuf,
    pub files: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub struct WalOptions {
    pub common: Common,
    pub file: PathBuf,
}

#[derive(Debug, PartialEq, Eq)]
pub struct EchoOptions {
    pub port: u16,
    pub task_run: TaskRun,
}

/// The server that is measured.
#[derive(Debug, PartialEq, Eq)]
pub struct Server {
    pub port: u16,
    pub pid: i32,
}

#[derive(Debug, PartialEq, Eq)]
pub struct LoadOptions {
    pub server: Server,
    pub connections: u32,
    pub size_bytes: u32,
    /// Messages that are sent together; the next ones follow when all of them are back.
    pub pipeline: u32,
    pub ops: u64,
    pub warmup_ops: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub struct HoldOptions {
    pub server: Server,
    pub connections: u32,
}

#[derive(Debug, PartialEq, Eq)]
pub struct TickOptions {
    pub interval_us: u64,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    Help,
    Nop(Common),
    Read(ReadOptions),
    FilesRead(FilesOptions),
    FilesStat(FilesOptions),
    Wal(WalOptions),
    Wake(Common),
    Echo(EchoOptions),
    Load(LoadOptions),
    Hold(HoldOptions),
    Tick(TickOptions),
}

/// Options as they come, by their names; a command takes its own, and what is left over is a mistake.
#[derive(Default)]
struct Raw {
    command: Option<String>,
    values: BTreeMap<String, OsString>,
    help: bool,
}

pub fn parse() -> Result<Command> {
    command_of(read_all(lexopt::Parser::from_env())?)
}

fn read_all(mut parser: lexopt::Parser) -> Result<Raw> {
    let mut raw = Raw::default();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("help") | Short('h') => raw.help = true,
            Long(name) => {
                let name = name.to_owned();
                let is_switch = SWITCHES.contains(&name.as_str());
                let value = if is_switch {
                    OsString::new()
                } else {
                    parser.value()?
                };
                raw.values.insert(name, value);
            }
            Value(value) if raw.command.is_none() => raw.command = Some(value.string()?),
            _ => return Err(argument.unexpected().into()),
        }
    }
    Ok(raw)
}

impl Raw {
    fn take<T: FromStr<Err: Into<Box<dyn Error + Send + Sync>>>>(&mut self, name: &str) -> Result<Option<T>> {
        Ok(self.values.remove(name).map(|value| value.parse()).transpose()?)
    }

    fn need<T: FromStr<Err: Into<Box<dyn Error + Send + Sync>>>>(&mut self, name: &str) -> Result<T> {
        self.take(name)?
            .ok_or_else(|| format!("--{name} is missing").into())
    }

    fn path(&mut self, name: &str) -> Result<PathBuf> {
        let value = self
            .values
            .remove(name)
            .ok_or_else(|| format!("--{name} is missing"))?;
        Ok(value.into())
    }

    fn switch(&mut self, name: &str) -> bool {
        self.values.remove(name).is_some()
    }

    /// A number of at least 1.
    fn count(&mut self, name: &str, default: Option<u32>) -> Result<u32> {
        let count = match default {
            Some(default) => self.take(name)?.unwrap_or(default),
            None => self.need(name)?,
        };
        if count == 0 {
            return Err(format!("--{name} must be at least 1").into());
        }
        Ok(count)
    }
}

fn command_of(mut raw: Raw) -> Result<Command> {
    if raw.help {
        return Ok(Command::Help);
    }
    let name = raw.command.take().unwrap_or_default();
    let command = match name.as_str() {
        "nop" => Command::Nop(common_of(&mut raw)?),
        "read" => Command::Read(read_of(&mut raw)?),
        "files-read" => Command::FilesRead(files_of(&mut raw)?),
        "files-stat" => Command::FilesStat(files_of(&mut raw)?),
        "wal" => Command::Wal(WalOptions {
            common: common_of(&mut raw)?,
            file: raw.path("file")?,
        }),
        "wake" => Command::Wake(common_of(&mut raw)?),
        "echo" => Command::Echo(EchoOptions {
            port: raw.need("port")?,
            task_run: raw.take("taskrun")?.unwrap_or(TaskRun::Defer),
        }),
        "load" => Command::Load(load_of(&mut raw)?),
        "hold" => Command::Hold(HoldOptions {
            server: server_of(&mut raw)?,
            connections: raw.count("connections", None)?,
        }),
        "tick" => Command::Tick(TickOptions {
            interval_us: raw.need("interval-us")?,
        }),
        _ => return Err(format!("say which workload\n\n{USAGE}").into()),
    };
    match raw.values.keys().next() {
        None => Ok(command),
        Some(option) => Err(format!("{name} has no option --{option}\n\n{USAGE}").into()),
    }
}

fn ops_of(raw: &mut Raw) -> Result<u64> {
    match raw.need("ops")? {
        0 => Err("--ops must be at least 1".into()),
        ops => Ok(ops),
    }
}

fn common_of(raw: &mut Raw) -> Result<Common> {
    let ops = ops_of(raw)?;
    let depth = raw.count("depth", Some(128))?;
    if depth > QUEUE_MAX {
        return Err(format!("--depth must be from 1 to {QUEUE_MAX}").into());
    }
    Ok(Common {
        depth,
        ops,
        warmup_ops: raw.take("warmup")?.unwrap_or((ops / 10).max(u64::from(depth))),
        task_run: raw.take("taskrun")?.unwrap_or(TaskRun::Defer),
    })
}

fn read_of(raw: &mut Raw) -> Result<ReadOptions> {
    let common = common_of(raw)?;
    let size_bytes = raw.count("size", Some(READ_ALIGNMENT))?;
    if !size_bytes.is_multiple_of(READ_ALIGNMENT) {
        return Err(format!("--size must be a multiple of {READ_ALIGNMENT}").into());
    }
    Ok(ReadOptions {
        common,
        file: raw.path("file")?,
        size_bytes,
        direct: raw.switch("direct"),
        fixed: raw.switch("fixed"),
    })
}

fn files_of(raw: &mut Raw) -> Result<FilesOptions> {
    Ok(FilesOptions {
        common: common_of(raw)?,
        folder: raw.path("folder")?,
        files: raw.count("files", None)?,
    })
}

fn server_of(raw: &mut Raw) -> Result<Server> {
    Ok(Server {
        port: raw.need("port")?,
        pid: raw.need("pid")?,
    })
}

fn load_of(raw: &mut Raw) -> Result<LoadOptions> {
    let ops = ops_of(raw)?;
    let options = LoadOptions {
        server: server_of(raw)?,
        connections: raw.count("connections", Some(50))?,
        size_bytes: raw.count("size", Some(64))?,
        pipeline: raw.count("pipeline", Some(1))?,
        ops,
        // As long as what is timed: a server that compiles its code while it runs has to be done with it.
        warmup_ops: raw.take("warmup")?.unwrap_or(ops),
    };
    // Each message begins with 8 bytes that tell it from all others.
    if options.size_bytes < 8 {
        return Err("--size must be at least 8".into());
    }
    if options.connections > QUEUE_MAX / 2 {
        return Err(format!("--connections must be at most {}", QUEUE_MAX / 2).into());
    }
    Ok(options)
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
    fn load_has_one_message_at_a_time_on_50_connections_unless_told_otherwise() {
        let expected = LoadOptions {
            server: Server { port: 2_000, pid: 7 },
            connections: 50,
            size_bytes: 64,
            pipeline: 1,
            ops: 100,
            warmup_ops: 100,
        };
        assert_eq!(
            parsed("load --port 2000 --pid 7 --ops 100").unwrap(),
            Command::Load(expected)
        );
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
            "nop --ops 1 --colour blue",
            "files-read --ops 1 --folder f",
            "files-stat --ops 1 --folder f --files 0",
            "wal --ops 1",
            "echo",
            "echo --port 65536",
            "load --port 1 --ops 1",
            "load --port 1 --pid 1 --ops 1 --size 7",
            "load --port 1 --pid 1 --ops 1 --connections 16385",
            "hold --port 1 --pid 1",
            "tick",
        ];
        for line in lines {
            assert!(parsed(line).is_err(), "{line}");
        }
    }
}
