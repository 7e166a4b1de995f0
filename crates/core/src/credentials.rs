//! Whose credentials a ring works with: it is for those that it was opened with.
//!
//! A ring with SQPOLL keeps the credentials of its opening for ever (io_uring/sqpoll.c, `sq_creds`), so that a program which
//! gave up its privileges would still have them there (CVE-2024-22017). Other rings work with those of whoever submits
//! (io_uring/io_uring.c, `io_prep_async_work`). All rings refuse alike, so that nobody need know which are which.
//!
//! Nothing tells a program that its credentials have changed, and asking takes system calls. So the question is asked when
//! somebody says so (`may_have_changed`), when the coarse clock has ticked, and with SQPOLL for each batch.

use std::sync::atomic::{AtomicU32, Ordering};

/// How often somebody has said that credentials may have changed.
static HINTS: AtomicU32 = AtomicU32::new(0);

/// Credentials of this process may have changed: all rings look, before they take new work.
pub fn may_have_changed() {
    HINTS.fetch_add(1, Ordering::Release);
}

/// Real, effective and saved user, and group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Ids([libc::uid_t; 6]);

impl Ids {
    fn now() -> Ids {
        let mut ids = [0; 6];
        let [
            user,
            effective_user,
            saved_user,
            group,
            effective_group,
            saved_group,
        ] = &mut ids;
        // SAFETY: six numbers that live to the end of the calls, which fail for other addresses only (man getresuid(2)).
        unsafe {
            libc::getresuid(user, effective_user, saved_user);
            libc::getresgid(group, effective_group, saved_group);
        }
        Ids(ids)
    }
}

/// Supplementary groups, and the effective, permitted and inheritable capabilities in two halves.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Rest {
    groups: Vec<libc::gid_t>,
    capabilities: [u32; 6],
}

impl Rest {
    fn now() -> Rest {
        /// struct __user_cap_header_struct (include/uapi/linux/capability.h): the version with two halves, and this thread.
        const HEADER: [u32; 2] = [0x2008_0522, 0];
        let mut header = HEADER;
        let mut capabilities = [0u32; 6];
        let mut groups = Vec::new();
        // SAFETY: the header and two structures of three words live to the end of the call; the list has the room that the
        // kernel is told of.
        unsafe {
            libc::syscall(libc::SYS_capget, header.as_mut_ptr(), capabilities.as_mut_ptr());
            let count = libc::getgroups(0, std::ptr::null_mut());
            groups.resize(usize::try_from(count).unwrap_or(0), 0);
            libc::getgroups(groups.len() as i32, groups.as_mut_ptr());
        }
        Rest { groups, capabilities }
    }
}

/// The last tick of the kernel's clock, 1 to 10 ms long, read without a system call (man vdso(7)).
fn tick() -> (i64, i64) {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: writes to a local.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC_COARSE, &mut now) };
    (now.tv_sec, now.tv_nsec)
}

/// Compares the credentials of the thread that submits with those of the one that opened the ring.
pub struct Credentials {
    ids: Ids,
    rest: Rest,
    /// The kernel keeps what it was given at the beginning.
    are_kept: bool,
    hints: u32,
    tick: (i64, i64),
    have_changed: bool,
}

impl Credentials {
    pub fn of_this_thread(are_kept: bool) -> Credentials {
        Credentials {
            hints: HINTS.load(Ordering::Acquire),
            tick: tick(),
            ids: Ids::now(),
            rest: Rest::now(),
            are_kept,
            have_changed: false,
        }
    }

    #[inline]
    pub fn have_changed(&mut self) -> bool {
        let (hints, tick) = (HINTS.load(Ordering::Acquire), tick());
        if (hints, tick) != (self.hints, self.tick) {
            (self.hints, self.tick) = (hints, tick);
            self.have_changed = Ids::now() != self.ids || Rest::now() != self.rest;
        } else if self.are_kept {
            self.have_changed |= Ids::now() != self.ids;
        }
        self.have_changed
    }
}
