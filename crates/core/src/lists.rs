//! What the kernel reads and writes besides plain bytes: lists of buffers, messages, futexes, descriptors. JavaScript
//! describes them in arena memory, with handles; the lists themselves are built here, in memory that JavaScript never
//! sees, and live until the last completion, because an SQPOLL thread and io-wq may read them late.

use crate::arenas::{Arenas, Range};
use crate::control;
use crate::files::SLOTS_MAX;
use crate::inflight::NO_ARENA;
use crate::ops::Way;
use crate::reject::Reject;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// IOV_MAX, UIO_MAXIOV in the kernel.
const IOVECS_MAX: u32 = 1024;
/// FUTEX_WAITV_MAX (include/uapi/linux/futex.h).
const FUTEXES_MAX: u32 = 128;
/// FUTEX2_SIZE_U32, the only size the kernel has (kernel/futex/syscalls.c), and FUTEX2_PRIVATE.
const FUTEX2_FLAGS: [u32; 2] = [2, 2 | 128];

const IOVEC_ENTRY_WORDS: usize = 4;
const FUTEX_ENTRY_WORDS: usize = 6;
/// Where {offset, handle, length} of name and control data, {offset, handle, count} of the iovecs, and what the kernel
/// answered stand in the description of a message.
pub const MESSAGE_WORDS: usize = 12;
const MESSAGE_ANSWER: u64 = 9 * 4;

/// A list for the kernel, and the arenas that it names.
pub struct Lists {
    pub arenas: Vec<u16>,
    pub list: List,
}

pub enum List {
    Iovecs(Vec<libc::iovec>),
    Message(Box<Message>),
    Futexes(Vec<FutexWait>),
    Descriptors(Descriptors),
    Private(crate::raw::PrivateMemory),
    /// A share of the ring that a message is for, which keeps its descriptor's number.
    Ring(Arc<OwnedFd>),
}

// SAFETY: the pointers in it are addresses of arenas, which the operation pins, and of memory that the list itself owns;
// neither has a thread that it belongs to.
unsafe impl Send for List {}

/// struct futex_waitv.
#[repr(C)]
pub struct FutexWait {
    value: u64,
    address: u64,
    flags: u32,
    reserved: u32,
}

pub struct Message {
    header: libc::msghdr,
    /// The header points here.
    _iovecs: Vec<libc::iovec>,
    /// And here, if the message is sent.
    _control: Vec<u64>,
    /// Where JavaScript reads what the kernel answered; 0 if it does not answer.
    answer: u64,
}

/// Descriptors to be registered, or the two ends of a pipe.
pub struct Descriptors {
    pub fds: Vec<i32>,
    /// Where JavaScript reads what became of them.
    pub answer: u64,
}

impl Lists {
    pub(crate) fn of_ring(ring: Arc<OwnedFd>) -> Box<Lists> {
        Box::new(Lists {
            arenas: Vec::new(),
            list: List::Ring(ring),
        })
    }
}

/// A list that was built: its address, and where JavaScript described it.
pub struct Built {
    pub address: u64,
    pub described_in: u16,
    /// The registered arena that all of it lies in, if it is one.
    pub fixed: Option<u16>,
    pub lists: Box<Lists>,
}

/// A copy of words in arena memory. Volatile, so that what is checked is what is used: another operation may be writing
/// there, or another thread.
fn words_at<const N: usize>(range: &Range, entry: u64) -> [u32; N] {
    // SAFETY: the caller has resolved a range that covers `entry` + 1 entries of N words in a live arena; any bytes are
    // words, and arrays of bytes need no alignment.
    let bytes = unsafe { ((range.address + entry * 4 * N as u64) as *const [[u8; 4]; N]).read_volatile() };
    bytes.map(u32::from_ne_bytes)
}

/// Iovecs, the arenas that they name, the registered one if that is all, and the arena of their description.
type Iovecs = (Vec<libc::iovec>, Vec<u16>, Option<u16>, u16);

/// Reads `count` entries {offset, handle, length, 0}.
fn iovecs_of(arenas: &Arenas, (handle, offset): (u32, u32), count: u32) -> Result<Iovecs, Reject> {
    let list = arenas.resolve(handle, offset, count * 4 * IOVEC_ENTRY_WORDS as u32)?;
    let (mut iovecs, mut named) = (Vec::new(), Vec::new());
    let mut fixed = true;
    for at in 0..count {
        let [offset, handle, length, _] = words_at::<IOVEC_ENTRY_WORDS>(&list, u64::from(at));
        let range = arenas.resolve(handle, offset, length)?;
        iovecs.push(libc::iovec {
            iov_base: range.address as *mut _,
            iov_len: length as usize,
        });
        fixed = fixed && range.registered && named.last().is_none_or(|last| *last == range.arena);
        named.push(range.arena);
    }
    let fixed = named.first().copied().filter(|_| fixed);
    Ok((iovecs, named, fixed, list.arena))
}

pub fn iovecs(arenas: &Arenas, (handle, offset): (u32, u32), count: u32) -> Result<Built, Reject> {
    if count == 0 || count > IOVECS_MAX {
        return Err(Reject::BadField);
    }
    let (iovecs, named, fixed, described_in) = iovecs_of(arenas, (handle, offset), count)?;
    Ok(Built {
        address: iovecs.as_ptr() as u64,
        described_in,
        fixed,
        lists: Box::new(Lists {
            arenas: named,
            list: List::Iovecs(iovecs),
        }),
    })
}

/// Builds struct msghdr from its description, in which the kernel's answer is written down if it `answers`: to a message
/// that is received again and again it answers inside the buffers.
pub fn message(
    arenas: &Arenas,
    (handle, offset): (u32, u32),
    way: Way,
    selects_buffer: bool,
    answers: bool,
) -> Result<Built, Reject> {
    let described = arenas.resolve(handle, offset, 4 * MESSAGE_WORDS as u32)?;
    let words = words_at::<MESSAGE_WORDS>(&described, 0);
    let [name_at, name_in, name_bytes] = [words[0], words[1], words[2]];
    let [control_at, control_in, control_bytes] = [words[3], words[4], words[5]];
    let [list_at, list_in, count] = [words[6], words[7], words[8]];
    if count > IOVECS_MAX || selects_buffer && count > 1 {
        return Err(Reject::BadField);
    }
    // Nobody reads the description of the iovecs again, so its arena need not be held.
    let (iovecs, mut named, fixed, _) = if count == 0 {
        (Vec::new(), Vec::new(), None, NO_ARENA)
    } else {
        iovecs_of(arenas, (list_in, list_at), count)?
    };
    // SAFETY: plain numbers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    if name_bytes > 0 {
        let name = arenas.resolve(name_in, name_at, name_bytes)?;
        header.msg_name = name.address as *mut _;
        header.msg_namelen = name_bytes;
        named.push(name.arena);
    }
    let mut sent_control = Vec::new();
    if control_bytes > 0 && way == Way::Send {
        let (words, size_bytes) = control::copied(arenas, (control_in, control_at), control_bytes)?;
        header.msg_control = words.as_ptr().cast_mut().cast();
        header.msg_controllen = size_bytes as _;
        sent_control = words;
    } else if control_bytes > 0 {
        let control = arenas.resolve(control_in, control_at, control_bytes)?;
        header.msg_control = control.address as *mut _;
        header.msg_controllen = control_bytes as _;
        named.push(control.arena);
    }
    header.msg_iov = iovecs.as_ptr().cast_mut();
    header.msg_iovlen = iovecs.len() as _;
    let mut message = Box::new(Message {
        header,
        _iovecs: iovecs,
        _control: sent_control,
        answer: if answers {
            described.address + MESSAGE_ANSWER
        } else {
            0
        },
    });
    Ok(Built {
        address: &raw mut message.header as u64,
        described_in: described.arena,
        fixed,
        lists: Box::new(Lists {
            arenas: named,
            list: List::Message(message),
        }),
    })
}

/// Reads `count` entries {value (2 words), offset, handle, flags, 0} and builds the list of struct futex_waitv.
pub fn futexes(arenas: &Arenas, (handle, offset): (u32, u32), count: u32) -> Result<Built, Reject> {
    if count == 0 || count > FUTEXES_MAX {
        return Err(Reject::BadField);
    }
    let described = arenas.resolve(handle, offset, count * 4 * FUTEX_ENTRY_WORDS as u32)?;
    let (mut waits, mut named) = (Vec::new(), Vec::new());
    for at in 0..count {
        let words = words_at::<FUTEX_ENTRY_WORDS>(&described, u64::from(at));
        let [low, high, offset, handle, flags, _] = words;
        let futex = arenas.resolve(handle, offset, 4)?;
        if !is_futex_flags(flags) {
            return Err(Reject::BadField);
        }
        waits.push(FutexWait {
            value: u64::from(high) << 32 | u64::from(low),
            address: futex.address,
            flags,
            reserved: 0,
        });
        named.push(futex.arena);
    }
    Ok(Built {
        address: waits.as_ptr() as u64,
        described_in: described.arena,
        fixed: None,
        lists: Box::new(Lists {
            arenas: named,
            list: List::Futexes(waits),
        }),
    })
}

/// With FUTEX2_NUMA the kernel would use the word behind the futex too.
pub fn is_futex_flags(flags: u32) -> bool {
    FUTEX2_FLAGS.contains(&flags)
}

/// Copies `count` descriptors; what becomes of them is answered in the same place.
pub fn descriptors(arenas: &Arenas, (handle, offset): (u32, u32), count: u32) -> Result<Built, Reject> {
    if count == 0 || count > SLOTS_MAX {
        return Err(Reject::BadField);
    }
    let described = arenas.resolve(handle, offset, count * 4)?;
    let mut fds: Vec<i32> = (0..u64::from(count))
        .map(|at| words_at::<1>(&described, at)[0] as i32)
        .collect();
    Ok(Built {
        // The kernel writes there too.
        address: fds.as_mut_ptr() as u64,
        described_in: described.arena,
        fixed: None,
        lists: Box::new(Lists {
            arenas: Vec::new(),
            list: List::Descriptors(Descriptors {
                fds,
                answer: described.address,
            }),
        }),
    })
}

impl Message {
    /// Tells JavaScript how long name and control data are, and the flags of the message.
    pub fn answer(&self) {
        if self.answer == 0 {
            return;
        }
        // SAFETY: the header is ours; the kernel wrote to it before it posted the completion.
        let header = unsafe { std::ptr::read_volatile(&raw const self.header) };
        let answer = [
            header.msg_namelen,
            header.msg_controllen as u32,
            header.msg_flags as u32,
        ];
        write_words(self.answer, &answer);
    }
}

impl Descriptors {
    pub fn answer(&self, values: &[u32]) {
        write_words(self.answer, values);
    }
}

/// Writes words into the arena memory that an operation in flight has pinned.
fn write_words(address: u64, words: &[u32]) {
    for (at, word) in words.iter().enumerate() {
        // SAFETY: the address was resolved for at least this many words when the operation was admitted, and its arena
        // is pinned until after this call; arrays of bytes need no alignment.
        unsafe { ((address + 4 * at as u64) as *mut [u8; 4]).write_volatile(word.to_ne_bytes()) };
    }
}
