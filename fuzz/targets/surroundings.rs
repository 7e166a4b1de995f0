//! What stands around the ring under test: files for its operations, and memory and descriptors that nobody may touch.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use uring_core::memory::Mapping;

pub const ARENA_BYTES: usize = 4096;
const PATTERN: u8 = 0xa5;

pub struct Surroundings {
    file: File,
    pipe: (std::io::PipeReader, std::io::PipeWriter),
    sockets: (UnixStream, UnixStream),
    /// Mapped before and after the arenas, so likely beside them.
    canaries: Vec<Mapping>,
    /// Which file each descriptor was.
    identities: Vec<(RawFd, (u64, u64))>,
}

fn identity(fd: RawFd) -> (u64, u64) {
    // SAFETY: plain numbers, for which zero is a value; fstat writes one of them.
    unsafe {
        let mut stat: libc::stat = std::mem::zeroed();
        assert_eq!(libc::fstat(fd, &mut stat), 0, "descriptor {fd} was closed");
        (stat.st_dev, stat.st_ino)
    }
}

fn canary() -> Mapping {
    let mapping = Mapping::new(ARENA_BYTES).expect("memory");
    // SAFETY: the mapping was just made for so many bytes.
    unsafe { mapping.start().write_bytes(PATTERN, ARENA_BYTES) };
    mapping
}

fn memory_file() -> File {
    // SAFETY: a name, and a descriptor that nobody else has.
    unsafe {
        let fd = libc::memfd_create(c"uring-fuzz".as_ptr(), libc::MFD_CLOEXEC);
        File::from(OwnedFd::from_raw_fd(fd))
    }
}

impl Surroundings {
    pub fn new() -> Surroundings {
        let mut around = Surroundings {
            file: memory_file(),
            pipe: std::io::pipe().expect("a pipe"),
            sockets: UnixStream::pair().expect("sockets"),
            canaries: (0..4).map(|_| canary()).collect(),
            identities: Vec::new(),
        };
        // The fuzzer itself writes there, and must never wait.
        around.sockets.0.set_nonblocking(true).expect("a socket");
        // SAFETY: a descriptor of ours.
        unsafe { libc::fcntl(around.pipe.1.as_raw_fd(), libc::F_SETFL, libc::O_NONBLOCK) };
        around.identities = around.descriptors().map(|fd| (fd, identity(fd))).to_vec();
        around
    }

    fn descriptors(&self) -> [RawFd; 5] {
        [
            self.file.as_raw_fd(),
            self.pipe.0.as_raw_fd(),
            self.pipe.1.as_raw_fd(),
            self.sockets.0.as_raw_fd(),
            self.sockets.1.as_raw_fd(),
        ]
    }

    /// The descriptor that is used instead of whatever was asked for.
    pub fn tame(&self, fd: u32) -> u32 {
        let all = self.descriptors();
        if fd == u32::MAX || all.contains(&(fd as RawFd)) {
            return fd;
        }
        all[fd as usize % all.len()] as u32
    }

    /// Something arrives, so that what waits completes.
    pub fn make_ready(&self, what: u8) {
        let bytes = [what; 64];
        // Full is as good as ready.
        let _written = match what % 3 {
            0 => (&self.pipe.1).write(&bytes),
            1 => (&self.sockets.0).write(&bytes),
            _ => (&self.file).write(&bytes),
        };
    }

    /// Nobody has written where nothing was named, or closed what was not its own.
    pub fn check(&self) {
        for canary in &self.canaries {
            // SAFETY: the mapping has so many bytes, and nobody writes there.
            let bytes = unsafe { std::slice::from_raw_parts(canary.start(), ARENA_BYTES) };
            assert!(
                bytes.iter().all(|byte| *byte == PATTERN),
                "foreign memory was written"
            );
        }
        for (fd, before) in &self.identities {
            assert_eq!(identity(*fd), *before, "descriptor {fd} is another file");
        }
    }

    /// Closes what operations have opened and JavaScript would have taken.
    pub fn close_all_above(&self, fd: RawFd) {
        // SAFETY: the descriptors of the ring and of this are all lower; what is above was made by operations, and the
        // ring has forgotten it (`discard_unread`).
        unsafe { libc::syscall(libc::SYS_close_range, fd + 1, u32::MAX, 0) };
    }
}
