//! What the kernel calls it: constants and structures of include/uapi/linux/io_uring.h that a ring is set up, mapped
//! and entered with. Those of registrations stand beside their calls, in `register`.

pub const SETUP_IOPOLL: u32 = 1 << 0;
pub const SETUP_SQPOLL: u32 = 1 << 1;
pub const SETUP_SQ_AFF: u32 = 1 << 2;
pub const SETUP_CQSIZE: u32 = 1 << 3;
pub const SETUP_CLAMP: u32 = 1 << 4;
pub const SETUP_ATTACH_WQ: u32 = 1 << 5;
pub const SETUP_R_DISABLED: u32 = 1 << 6;
pub const SETUP_SUBMIT_ALL: u32 = 1 << 7;
pub const SETUP_COOP_TASKRUN: u32 = 1 << 8;
pub const SETUP_TASKRUN_FLAG: u32 = 1 << 9;
pub const SETUP_SQE128: u32 = 1 << 10;
pub const SETUP_CQE32: u32 = 1 << 11;
pub const SETUP_SINGLE_ISSUER: u32 = 1 << 12;
pub const SETUP_DEFER_TASKRUN: u32 = 1 << 13;
pub const SETUP_NO_MMAP: u32 = 1 << 14;
pub const SETUP_REGISTERED_FD_ONLY: u32 = 1 << 15;
pub const SETUP_NO_SQARRAY: u32 = 1 << 16;
pub const SETUP_HYBRID_IOPOLL: u32 = 1 << 17;
pub const SETUP_CQE_MIXED: u32 = 1 << 18;
pub const SETUP_SQE_MIXED: u32 = 1 << 19;
pub const SETUP_SQ_REWIND: u32 = 1 << 20;

/// Names of the setup flags, in the order of their bits. `ts/generated/abi.ts` is written from this list.
pub const SETUP_FLAGS: [&str; 21] = [
    "IOPOLL",
    "SQPOLL",
    "SQ_AFF",
    "CQSIZE",
    "CLAMP",
    "ATTACH_WQ",
    "R_DISABLED",
    "SUBMIT_ALL",
    "COOP_TASKRUN",
    "TASKRUN_FLAG",
    "SQE128",
    "CQE32",
    "SINGLE_ISSUER",
    "DEFER_TASKRUN",
    "NO_MMAP",
    "REGISTERED_FD_ONLY",
    "NO_SQARRAY",
    "HYBRID_IOPOLL",
    "CQE_MIXED",
    "SQE_MIXED",
    "SQ_REWIND",
];

pub const FEAT_SINGLE_MMAP: u32 = 1 << 0;
pub const FEAT_EXT_ARG: u32 = 1 << 8;
pub const FEAT_RSRC_TAGS: u32 = 1 << 10;

pub const OFF_SQ_RING: libc::off_t = 0;
pub const OFF_CQ_RING: libc::off_t = 0x800_0000;
pub const OFF_SQES: libc::off_t = 0x1000_0000;

pub const ENTER_GETEVENTS: u32 = 1 << 0;
pub const ENTER_SQ_WAKEUP: u32 = 1 << 1;
pub const ENTER_SQ_WAIT: u32 = 1 << 2;
pub const ENTER_EXT_ARG: u32 = 1 << 3;
pub const ENTER_REGISTERED_RING: u32 = 1 << 4;
pub const ENTER_ABS_TIMER: u32 = 1 << 5;
pub const ENTER_EXT_ARG_REG: u32 = 1 << 6;
pub const ENTER_NO_IOWAIT: u32 = 1 << 7;

/// Bits of the submission queue's flags word, which the kernel writes.
pub const SQ_NEED_WAKEUP: u32 = 1 << 0;
pub const SQ_CQ_OVERFLOW: u32 = 1 << 1;
pub const SQ_TASKRUN: u32 = 1 << 2;
/// Bit of the completion queue's flags word, which we write.
pub const CQ_EVENTFD_DISABLED: u32 = 1 << 0;

pub const CQE_F_SKIP: u32 = 1 << 5;
pub const CQE_F_32: u32 = 1 << 15;

/// struct io_sqring_offsets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct SqOffsets {
    pub head: u32,
    pub tail: u32,
    pub ring_mask: u32,
    pub ring_entries: u32,
    pub flags: u32,
    pub dropped: u32,
    pub array: u32,
    pub reserved: u32,
    pub user_addr: u64,
}

/// struct io_cqring_offsets.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct CqOffsets {
    pub head: u32,
    pub tail: u32,
    pub ring_mask: u32,
    pub ring_entries: u32,
    pub overflow: u32,
    pub cqes: u32,
    pub flags: u32,
    pub reserved: u32,
    pub user_addr: u64,
}

/// struct io_uring_params.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct Params {
    pub sq_entries: u32,
    pub cq_entries: u32,
    pub flags: u32,
    pub sq_thread_cpu: u32,
    pub sq_thread_idle: u32,
    pub features: u32,
    pub wq_fd: u32,
    pub reserved: [u32; 3],
    pub sq_off: SqOffsets,
    pub cq_off: CqOffsets,
}

const _: () = assert!(size_of::<Params>() == 120);

impl Params {
    pub fn has(&self, flags: u32) -> bool {
        self.flags & flags == flags
    }

    /// Bytes of one submission queue entry.
    pub fn sqe_bytes(&self) -> usize {
        if self.has(SETUP_SQE128) { 128 } else { 64 }
    }

    /// Bytes of one place in the completion queue; in a mixed ring a large entry takes two.
    pub fn cqe_bytes(&self) -> usize {
        if self.has(SETUP_CQE32) { 32 } else { 16 }
    }

    /// Completions may carry two more words.
    pub fn has_large_completions(&self) -> bool {
        self.flags & (SETUP_CQE32 | SETUP_CQE_MIXED) != 0
    }
}

/// struct io_uring_getevents_arg.
#[repr(C)]
#[derive(Default)]
pub struct GetEventsArg {
    pub sigmask: u64,
    pub sigmask_size: u32,
    pub min_wait_usec: u32,
    pub ts: u64,
}

/// struct __kernel_timespec.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timespec {
    pub sec: i64,
    pub nsec: i64,
}

/// struct io_uring_reg_wait.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct RegWait {
    pub ts: Timespec,
    pub min_wait_usec: u32,
    pub flags: u32,
    pub sigmask: u64,
    pub sigmask_size: u32,
    pub pad: [u32; 3],
    pub pad2: [u64; 2],
}

const _: () = assert!(size_of::<GetEventsArg>() == 24 && size_of::<RegWait>() == 64);

/// `RegWait::ts` is set.
pub const REG_WAIT_TS: u32 = 1 << 0;
