//! `uring-sandbox`: runs a program where io_uring is blocked in one of the ways that sandboxes do it. The tests of
//! `availability()` and of `uring doctor` run Node in it: nothing is simulated.

use std::error::Error;
use std::ffi::{CStr, OsString};
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::ptr;

use lexopt::prelude::*;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "\
uring-sandbox [options] -- PROGRAM [argument ...]

  --seccomp ANSWER   to the three system calls of io_uring: eperm, enosys, kill (SIGSYS for the process),
                     trap (SIGSYS that could be caught), or allow (a filter that forbids nothing)
  --memlock BYTES    RLIMIT_MEMLOCK, soft and hard
  --nofile N         RLIMIT_NOFILE, soft and hard
  --uid N            run as this user and group, without other groups
  --without-proc     an empty folder in the place of /proc (needs root)
  --read-only        all of the file system is read-only (needs root)
";

/// io_uring_setup, io_uring_enter and io_uring_register have these numbers on every architecture.
const IO_URING_FIRST: u32 = 425;
const IO_URING_LAST: u32 = 427;

#[derive(Default)]
struct Options {
    answer: Option<u32>,
    memlock: Option<u64>,
    nofile: Option<u64>,
    uid: Option<u32>,
    without_proc: bool,
    read_only: bool,
    program: Vec<OsString>,
}

fn answer(name: &str) -> Result<u32> {
    Ok(match name {
        "eperm" => libc::SECCOMP_RET_ERRNO | libc::EPERM as u32,
        "enosys" => libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32,
        "kill" => libc::SECCOMP_RET_KILL_PROCESS,
        "trap" => libc::SECCOMP_RET_TRAP,
        "allow" => libc::SECCOMP_RET_ALLOW,
        _ => return Err(format!("--seccomp {name}: there is no such answer").into()),
    })
}

fn options() -> Result<Options> {
    let mut options = Options::default();
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("seccomp") => options.answer = Some(answer(&parser.value()?.string()?)?),
            Long("memlock") => options.memlock = Some(parser.value()?.parse()?),
            Long("nofile") => options.nofile = Some(parser.value()?.parse()?),
            Long("uid") => options.uid = Some(parser.value()?.parse()?),
            Long("without-proc") => options.without_proc = true,
            Long("read-only") => options.read_only = true,
            Value(program) => {
                options.program = std::iter::once(program).chain(parser.raw_args()?).collect();
            }
            _ => return Err(argument.unexpected().into()),
        }
    }
    if options.program.is_empty() {
        return Err(USAGE.into());
    }
    Ok(options)
}

/// The error of a call that answered something else than 0.
fn succeeded(what: &str, result: libc::c_int) -> Result<()> {
    if result == 0 {
        return Ok(());
    }
    Err(format!("{what}: {}", io::Error::last_os_error()).into())
}

fn mount(kind: Option<&CStr>, at: &CStr, flags: libc::c_ulong) -> Result<()> {
    let kind = kind.map_or(ptr::null(), CStr::as_ptr);
    // SAFETY: all strings are terminated and live to the end of the call.
    let result = unsafe { libc::mount(kind, at.as_ptr(), kind, flags, ptr::null()) };
    succeeded("mount", result)
}

fn change_mounts(options: &Options) -> Result<()> {
    if !options.without_proc && !options.read_only {
        return Ok(());
    }
    // SAFETY: this process has one thread, and gets mounts of its own.
    succeeded("unshare", unsafe { libc::unshare(libc::CLONE_NEWNS) })?;
    mount(None, c"/", libc::MS_REC | libc::MS_PRIVATE)?;
    if options.without_proc {
        mount(Some(c"tmpfs"), c"/proc", 0)?;
    }
    if options.read_only {
        mount(None, c"/", libc::MS_REMOUNT | libc::MS_BIND | libc::MS_RDONLY)?;
    }
    Ok(())
}

fn limit(name: &str, resource: libc::__rlimit_resource_t, value: Option<u64>) -> Result<()> {
    let Some(value) = value else { return Ok(()) };
    let limit = libc::rlimit {
        rlim_cur: value,
        rlim_max: value,
    };
    // SAFETY: the structure lives to the end of the call.
    succeeded(name, unsafe { libc::setrlimit(resource, &raw const limit) })
}

fn become_user(uid: Option<u32>) -> Result<()> {
    let Some(uid) = uid else { return Ok(()) };
    // SAFETY: no memory is involved.
    let results = unsafe {
        [
            libc::setgroups(0, ptr::null()),
            libc::setgid(uid),
            libc::setuid(uid),
        ]
    };
    for result in results {
        succeeded("setuid", result)?;
    }
    Ok(())
}

/// Has the kernel answer io_uring's system calls so, here and in whatever this process becomes.
fn forbid(answer: Option<u32>) -> Result<()> {
    let Some(answer) = answer else { return Ok(()) };
    let code = |parts: [u32; 3]| parts.into_iter().fold(0, |all, part| all | part as u16);
    let statement = |code: u16, jt: u8, jf: u8, k: u32| libc::sock_filter { code, jt, jf, k };
    let jump_at_least = code([libc::BPF_JMP, libc::BPF_JGE, libc::BPF_K]);
    let jump_above = code([libc::BPF_JMP, libc::BPF_JGT, libc::BPF_K]);
    let answers = code([libc::BPF_RET, libc::BPF_K, 0]);
    let mut filter = [
        // The number of the system call: the first word of struct seccomp_data.
        statement(code([libc::BPF_LD, libc::BPF_W, libc::BPF_ABS]), 0, 0, 0),
        statement(jump_at_least, 0, 2, IO_URING_FIRST),
        statement(jump_above, 1, 0, IO_URING_LAST),
        statement(answers, 0, 0, answer),
        statement(answers, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: the filter lives to the end of the second call, which copies it.
    let results = unsafe {
        [
            libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
            libc::prctl(
                libc::PR_SET_SECCOMP,
                libc::SECCOMP_MODE_FILTER,
                &raw const program,
            ),
        ]
    };
    results
        .into_iter()
        .try_for_each(|result| succeeded("prctl", result))
}

fn run() -> Result<()> {
    let options = options()?;
    change_mounts(&options)?;
    limit("RLIMIT_MEMLOCK", libc::RLIMIT_MEMLOCK, options.memlock)?;
    limit("RLIMIT_NOFILE", libc::RLIMIT_NOFILE, options.nofile)?;
    become_user(options.uid)?;
    forbid(options.answer)?;
    let (program, arguments) = options.program.split_first().ok_or(USAGE)?;
    Err(Command::new(program).args(arguments).exec().into())
}

fn main() -> ExitCode {
    let Err(error) = run() else {
        return ExitCode::SUCCESS;
    };
    eprintln!("uring-sandbox: {error}");
    ExitCode::from(125)
}
