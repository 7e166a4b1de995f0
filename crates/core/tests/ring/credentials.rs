//! A ring is for the credentials that it was opened with. Each test has a thread of its own: in the kernel credentials are a
//! thread's, and only libc changes those of all.

use crate::driver::{PATIENCE, config, nop, prepare, record, sqpoll, wait};
use std::fs::File;
use std::io::{Write, pipe};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};
use uring_core::reject::Reject;
use uring_core::ring::Ring;
use uring_core::setup::Config;
use uring_core::shared::EXTRA_IS_LOCAL;

const NOBODY: libc::uid_t = 65_534;
const SAME: libc::uid_t = libc::uid_t::MAX;

/// Needs privileges to lose.
fn as_root(test: impl FnOnce() + Send + 'static) {
    // SAFETY: asks for a number.
    if unsafe { libc::geteuid() } != 0 {
        eprintln!("not run: only root can give credentials up");
        return;
    }
    thread::spawn(test).join().unwrap();
}

fn set_users(real: libc::uid_t, effective: libc::uid_t) {
    // SAFETY: three numbers; for this thread only, because libc is not asked.
    let result = unsafe { libc::syscall(libc::SYS_setresuid, real, effective, SAME) };
    assert_eq!(result, 0, "{}", std::io::Error::last_os_error());
}

fn run(ring: &mut Ring) -> i32 {
    prepare(ring, nop(0));
    let [completion] = wait(ring, 1)[..] else {
        panic!("one completion")
    };
    if completion.res < 0 {
        let expected = EXTRA_IS_LOCAL | Reject::CredentialsChanged as u32;
        assert_eq!(completion.extra, expected);
    }
    completion.res
}

/// Runs operations until one ends like this: changes that nobody told of are seen with the next tick.
fn until(ring: &mut Ring, res: i32) {
    let started = Instant::now();
    while run(ring) != res {
        assert!(started.elapsed() < PATIENCE, "it never became {res}");
    }
}

#[test]
fn a_change_that_nobody_told_of_is_seen_with_the_next_tick() {
    as_root(|| {
        let mut ring = Ring::open(&config(8, 16)).unwrap();
        assert_eq!(run(&mut ring), 0);
        set_users(SAME, NOBODY);
        until(&mut ring, -libc::EPERM);
        let mut next = Ring::open(&config(8, 16)).unwrap();
        assert_eq!(run(&mut next), 0, "a new ring is for the new credentials");
        set_users(SAME, 0);
        until(&mut ring, 0);
        until(&mut next, -libc::EPERM);
    });
}

#[test]
fn a_ring_whose_thread_keeps_its_credentials_sees_a_change_at_once() {
    as_root(|| {
        for _ in 0..50 {
            let mut ring = Ring::open(&sqpoll(1)).unwrap();
            assert_eq!(run(&mut ring), 0);
            set_users(SAME, NOBODY);
            assert_eq!(run(&mut ring), -libc::EPERM);
            set_users(SAME, 0);
        }
    });
}

#[test]
fn a_change_of_groups_or_of_capabilities_alone_is_one() {
    as_root(|| {
        let mut ring = Ring::open(&config(8, 16)).unwrap();
        let groups: [libc::gid_t; 2] = [4, 20];
        // SAFETY: two numbers in a local; for this thread only.
        let result = unsafe { libc::syscall(libc::SYS_setgroups, 2usize, groups.as_ptr()) };
        assert_eq!(result, 0);
        until(&mut ring, -libc::EPERM);

        let mut ring = Ring::open(&config(8, 16)).unwrap();
        assert_eq!(run(&mut ring), 0);
        let mut header = [0x2008_0522u32, 0];
        // Effective, permitted and inheritable, lower halves first: none but CAP_SETUID.
        let only: [u32; 6] = [1 << 7, 1 << 7, 0, 0, 0, 0];
        // SAFETY: a header and two structures in locals; for this thread only.
        let result = unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), only.as_ptr()) };
        assert_eq!(result, 0);
        until(&mut ring, -libc::EPERM);
    });
}

#[test]
fn what_is_in_flight_completes_can_be_stopped_and_the_ring_can_be_drained() {
    for config in [config(8, 16), sqpoll(1)] {
        as_root(move || in_flight(&config));
    }
}

fn in_flight(config: &Config) {
    let mut ring = Ring::open(config).unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let arena = ring.create_arena(4096, false).unwrap();
    for index in [1, 2, 3] {
        let mut read = record("read", reader.as_raw_fd(), index);
        (read[2], read[3]) = (u32::MAX, u32::MAX);
        (read[4], read[5], read[6]) = (64 * index, arena.handle, 1);
        prepare(&ring, read);
    }
    ring.submit().unwrap();
    set_users(SAME, NOBODY);
    until(&mut ring, -libc::EPERM);
    writer.write_all(b"x").unwrap();
    assert_eq!(wait(&mut ring, 1)[0].res, 1);
    let mut cancel = record("asyncCancel", -1, 9);
    (cancel[4], cancel[5]) = (2, 0);
    prepare(&ring, cancel);
    let mut ended: Vec<(u32, i32)> = wait(&mut ring, 2)
        .iter()
        .map(|one| (one.index, one.res))
        .collect();
    ended.sort_unstable();
    assert_eq!(ended, [(2, -libc::ECANCELED), (9, 0)]);
    assert!(ring.drain(Duration::from_secs(5)));
}

/// Why: with SQPOLL the kernel opens what only the old credentials may, without them what the current ones may.
#[test]
fn the_kernel_keeps_the_credentials_of_the_opening_for_the_thread_that_polls() {
    as_root(|| {
        let path = std::env::temp_dir().join(format!("uring-credentials-{}", std::process::id()));
        File::create(&path).unwrap();
        let mut permissions = std::fs::metadata(&path).unwrap().permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o600);
        std::fs::set_permissions(&path, permissions).unwrap();
        for (config, expected) in [(sqpoll(1000), true), (config(8, 16), false)] {
            let outcome = open_after_the_change(&config, path.to_str().unwrap());
            assert_eq!(outcome >= 0, expected, "{outcome}");
        }
        std::fs::remove_file(&path).unwrap();
    });
}

/// Opens a path, by an operation that goes to the kernel's queue before the change and is taken after it: behind a pipe.
fn open_after_the_change(config: &Config, path: &str) -> i32 {
    use crate::driver::LINK;
    let mut ring = Ring::open(config).unwrap();
    let (reader, mut writer) = pipe().unwrap();
    let arena = ring.create_arena(4096, false).unwrap();
    let text = std::ffi::CString::new(path).unwrap();
    // SAFETY: the arena was just made and has room for the path.
    unsafe {
        let place = arena.mapping.start().add(64);
        place.copy_from_nonoverlapping(text.as_ptr().cast(), text.as_bytes_with_nul().len());
    }
    let mut read = record("read", reader.as_raw_fd(), 1);
    read[0] |= LINK;
    (read[2], read[3]) = (u32::MAX, u32::MAX);
    (read[4], read[5], read[6]) = (0, arena.handle, 1);
    prepare(&ring, read);
    let mut open = record("openat", libc::AT_FDCWD, 2);
    (open[4], open[5]) = (64, arena.handle);
    open[7] = libc::O_RDWR as u32;
    prepare(&ring, open);
    ring.submit().unwrap();
    thread::sleep(Duration::from_millis(20));
    set_users(SAME, NOBODY);
    writer.write_all(b"x").unwrap();
    let mut completions = wait(&mut ring, 2);
    set_users(SAME, 0);
    completions.sort_unstable_by_key(|one| one.index);
    let res = completions[1].res;
    assert!(ring.drain(Duration::from_secs(5)));
    if res >= 0 {
        // SAFETY: the completion brought it, and nobody else has it.
        unsafe { libc::close(res) };
    }
    res
}
