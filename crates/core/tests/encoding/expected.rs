//! What a golden record should become, and words for arguments that many of them share.

use io_uring::squeue::{Entry, Flags};
use io_uring::types::{Fd, Fixed};

/// Index of the registered arena and of the staging arena in the kernel's table of fixed buffers.
pub const REGISTERED: u16 = 1;
pub const STAGING: u16 = 3;
/// The descriptor of the golden records, their registered file and their buffer group.
pub const FD: Fd = Fd(7);
pub const FILE: Fixed = Fixed(3);
pub const GROUP: u16 = 5;
pub const TWO_32: u64 = 1 << 32;
/// The file's own position.
pub const CURRENT: u64 = u64::MAX;

/// What must stand where `addr` points.
pub enum Memory {
    Any,
    Bytes(Vec<u8>),
    /// The second there, and the first right before.
    BytesBefore(Vec<u8>, Vec<u8>),
    /// The second there, and the first right before, with padding to a multiple of 8.
    BytesAfter(Vec<u8>, Vec<u8>),
    /// Bytes that another field points at.
    At(u64, Vec<u8>),
    Vectors(Vec<(u64, usize)>),
    /// struct msghdr: where name and control messages are, and the buffers. Control messages that are sent are anywhere
    /// but in the arenas (tests/relocation).
    Message {
        name: (u64, Vec<u8>),
        control: (Option<u64>, Vec<u8>),
        vectors: Vec<(u64, usize)>,
    },
}

/// Low and high word of an address.
pub fn pointer(address: u64) -> [u32; 2] {
    [address as u32, (address >> 32) as u32]
}

pub struct Expected {
    pub entry: Entry,
    pub memory: Memory,
}

pub type Row = (&'static str, Expected);

pub fn row(title: &'static str, entry: Entry) -> Row {
    row_with(title, entry, Memory::Any)
}

pub fn row_with(title: &'static str, entry: Entry, memory: Memory) -> Row {
    (title, Expected { entry, memory })
}

pub const ASYNC: Flags = Flags::ASYNC;
pub const DRAIN: Flags = Flags::IO_DRAIN;
pub const LINK: Flags = Flags::IO_LINK;
pub const HARDLINK: Flags = Flags::IO_HARDLINK;

/// Changes words of an entry that the crate has no builder for.
pub fn with_words(entry: Entry, changes: &[(usize, u32)]) -> Entry {
    let mut words = crate::words_of(entry);
    for (at, value) in changes {
        words[*at] = *value;
    }
    // SAFETY: the reverse of `words_of`; any 64 bytes are an SQE, and this one is never given to a kernel.
    unsafe { std::mem::transmute::<[u32; 16], Entry>(words) }
}
