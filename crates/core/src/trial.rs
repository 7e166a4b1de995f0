//! Whether io_uring can be used without dying of it: tried in a child process. A sandbox may answer a system call with
//! SIGSYS (SECCOMP_RET_KILL_PROCESS, SECCOMP_RET_TRAP; man seccomp(2)), which this process would not survive.

use std::io;
use std::ptr;

/// What became of the child.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trial {
    /// It opened a ring, entered it and registered with it.
    Works,
    /// The kernel refused one of these with this errno.
    Refused(i32),
    /// It was killed by this signal.
    Killed(i32),
}

/// Entries of struct io_uring_probe to ask for; one is enough to make the call.
const PROBE_BYTES: usize = 16 + 8;
const REGISTER_PROBE: libc::c_long = 8;

/// Every signal is blocked while this lives, so that none runs a handler in the child, which shares pipes with us.
struct Quiet {
    before: libc::sigset_t,
}

impl Quiet {
    fn new() -> Quiet {
        // SAFETY: a sigset_t is plain data, which the two calls fill in; both get valid pointers.
        unsafe {
            let mut all: libc::sigset_t = std::mem::zeroed();
            let mut before: libc::sigset_t = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before);
            Quiet { before }
        }
    }
}

impl Drop for Quiet {
    fn drop(&mut self) {
        // SAFETY: the mask is the one that was found.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut()) };
    }
}

/// In the child: the three system calls, whose first error is the exit status. Only raw system calls are made here,
/// because other threads may have held any lock when the process was copied.
fn try_all() -> ! {
    let mut params = [0u32; 30]; // struct io_uring_params
    let mut probe = [0u64; PROBE_BYTES / 8];
    // SAFETY: system calls with pointers to arrays of the sizes that they read and write, which live to the end.
    unsafe {
        // Dying leaves no core file: this is no crash.
        libc::syscall(libc::SYS_prctl, libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        let fd = libc::syscall(libc::SYS_io_uring_setup, 1, params.as_mut_ptr());
        let mut failed = fd < 0;
        if !failed {
            let none: *const u8 = ptr::null();
            failed = libc::syscall(libc::SYS_io_uring_enter, fd, 0, 0, 0, none, 0) < 0;
        }
        if !failed {
            let table = probe.as_mut_ptr();
            failed = libc::syscall(libc::SYS_io_uring_register, fd, REGISTER_PROBE, table, 1) < 0;
        }
        let status = if failed { *libc::__errno_location() } else { 0 };
        libc::syscall(libc::SYS_exit_group, status);
    }
    unreachable!("exit_group does not return")
}

/// Tries it. Takes about as long as a fork; nobody is told of the child's end, because it has no exit signal.
pub fn trial() -> io::Result<Trial> {
    let _quiet = Quiet::new();
    // SAFETY: without flags this is fork(2) with no signal at the child's end. Memory is copied, not shared: before
    // Linux 5.17 a core dump killed every process that shared it (fs/coredump.c, zap_threads).
    let pid = unsafe { libc::syscall(libc::SYS_clone, 0, 0, 0, 0, 0) } as libc::pid_t;
    match pid {
        0 => try_all(),
        pid if pid < 0 => Err(io::Error::last_os_error()),
        pid => wait(pid),
    }
}

fn wait(pid: libc::pid_t) -> io::Result<Trial> {
    let mut status = 0;
    // SAFETY: the pointer is to a live integer. __WALL, because a child without exit signal is waited for in no other way.
    while unsafe { libc::waitpid(pid, &raw mut status, libc::__WALL) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    if libc::WIFSIGNALED(status) {
        return Ok(Trial::Killed(libc::WTERMSIG(status)));
    }
    Ok(match libc::WEXITSTATUS(status) {
        0 => Trial::Works,
        errno => Trial::Refused(errno),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_can_use_io_uring_here_and_nothing_of_it_is_left() {
        assert_eq!(trial().unwrap(), Trial::Works);
        // SAFETY: asks for children of any kind, and takes nothing.
        let left = unsafe { libc::waitpid(-1, ptr::null_mut(), libc::__WALL | libc::WNOHANG) };
        assert_eq!(left, -1, "no child is left");
    }
}
