//! Where the two queues lie: in pages of the kernel's, mapped from the ring's descriptor, or (IORING_SETUP_NO_MMAP) in
//! memory of our own, which the kernel pins.

use crate::memory::Mapping;
use crate::uapi::{self, Params};
use std::io;
use std::os::fd::RawFd;
use std::ptr::NonNull;

/// struct io_rings before its completions, with room to spare: 64 bytes on x86-64 (io_uring/io_uring.c, rings_size).
const RINGS_HEAD_BYTES: usize = 256;

/// A shared mapping of memory of the kernel's that belongs to a ring.
pub struct Area {
    start: NonNull<u8>,
    size_bytes: usize,
}

impl Area {
    pub fn new(fd: RawFd, size_bytes: usize, offset: libc::off_t) -> io::Result<Area> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let start = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                size_bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_POPULATE,
                fd,
                offset,
            )
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start: NonNull<u8> =
            NonNull::new(start.cast()).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))?;
        // SAFETY: the range just mapped. A child that shared it would submit and reap beside its parent.
        unsafe { libc::madvise(start.as_ptr().cast(), size_bytes, libc::MADV_DONTFORK) };
        Ok(Area { start, size_bytes })
    }

    pub fn start(&self) -> *mut u8 {
        self.start.as_ptr()
    }
}

impl Drop for Area {
    fn drop(&mut self) {
        // SAFETY: the range that `new` mapped; what points into it goes with its owner. The pages are the kernel's: it
        // keeps them for as long as it needs them.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.size_bytes) };
    }
}

/// Memory for the queues that the kernel is to use instead of its own (6.5).
pub struct OwnMemory {
    rings: Mapping,
    sqes: Mapping,
}

impl OwnMemory {
    /// For queues of these sizes, as the kernel rounds them, with every option that makes them larger.
    pub fn new(sq_entries: u32, cq_entries: u32, flags: u32) -> io::Result<OwnMemory> {
        let params = Params {
            flags,
            ..Params::default()
        };
        let sq = sq_entries.next_power_of_two() as usize;
        let cq = cq_entries.max(1).next_power_of_two() as usize;
        let rings = RINGS_HEAD_BYTES + cq * params.cqe_bytes() + sq * size_of::<u32>();
        Ok(OwnMemory {
            rings: Mapping::new(rings)?,
            sqes: Mapping::new(sq * params.sqe_bytes())?,
        })
    }

    pub fn announce(&self, params: &mut Params) {
        params.cq_off.user_addr = self.rings.start() as u64;
        params.sq_off.user_addr = self.sqes.start() as u64;
    }
}

enum Kind {
    Kernels {
        rings: Area,
        /// Before 5.4 (no IORING_FEAT_SINGLE_MMAP) the completion queue has a mapping of its own.
        completions: Option<Area>,
        sqes: Area,
    },
    Own(OwnMemory),
}

pub struct RingMemory(Kind);

impl RingMemory {
    /// Maps the queues that `params`, as the kernel has filled it, describes.
    pub fn map(fd: RawFd, params: &Params) -> io::Result<RingMemory> {
        let submissions = params.sq_off.array as usize + params.sq_entries as usize * size_of::<u32>();
        let completions = params.cq_off.cqes as usize + params.cq_entries as usize * params.cqe_bytes();
        let sqes = Area::new(
            fd,
            params.sq_entries as usize * params.sqe_bytes(),
            uapi::OFF_SQES,
        )?;
        let is_single = params.features & uapi::FEAT_SINGLE_MMAP != 0;
        let rings = if is_single {
            submissions.max(completions)
        } else {
            submissions
        };
        let completions = match is_single {
            true => None,
            false => Some(Area::new(fd, completions, uapi::OFF_CQ_RING)?),
        };
        let rings = Area::new(fd, rings, uapi::OFF_SQ_RING)?;
        Ok(RingMemory(Kind::Kernels {
            rings,
            completions,
            sqes,
        }))
    }

    /// Memory that the kernel was told of, and has taken. It is pinned: the kernel's pages outlive the mapping.
    pub fn own(memory: OwnMemory, params: &Params) -> RingMemory {
        let rings = params.sq_off.array as usize + params.sq_entries as usize * size_of::<u32>();
        let completions = params.cq_off.cqes as usize + params.cq_entries as usize * params.cqe_bytes();
        assert!(rings.max(completions) <= memory.rings.size_bytes());
        assert!(params.sq_entries as usize * params.sqe_bytes() <= memory.sqes.size_bytes());
        RingMemory(Kind::Own(memory))
    }

    /// Starts of the submission ring, the completion ring and the submission queue entries.
    pub fn starts(&self) -> [*mut u8; 3] {
        match &self.0 {
            Kind::Kernels {
                rings,
                completions,
                sqes,
            } => {
                let completions = completions.as_ref().unwrap_or(rings);
                [rings.start(), completions.start(), sqes.start()]
            }
            Kind::Own(memory) => [memory.rings.start(), memory.rings.start(), memory.sqes.start()],
        }
    }
}
