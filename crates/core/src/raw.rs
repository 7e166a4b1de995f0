//! Operations that are newer than the table: the way out for those who cannot wait for a release of this package.
//!
//! Nobody here knows which fields the kernel will take for addresses, or whether a block of memory holds some. So it gets
//! none at all that JavaScript could have chosen: numbers that could be an address are refused, and blocks of memory are
//! private copies, in which every word that could be an address is refused too.

use crate::arenas::Arenas;
use crate::lists::{List, Lists};
use crate::reject::Reject;

/// No page below can be mapped by an ordinary program (vm.mmap_min_addr), and user addresses have 56 bits at most
/// (Documentation/arch/x86/x86_64/5level-paging.rst; arm64 has 52).
const FIRST_ADDRESS: u64 = 4096;
const ADDRESS_BITS: u32 = 56;
/// What stands above may be a tag that the kernel leaves out of account, where a process asked for that: then it is a user
/// address as long as bit 63 (x86-64, LAM) or bit 55 (arm64, top byte ignored) is clear. Small negative numbers have both.
const KERNEL_ADDRESS: u64 = 1 << 63 | 1 << 55;

/// What a 64-bit field of a raw record is: two bits each of word 14, for `off`, `addr` and `addr3`.
const FIELD_KINDS: u32 = 14;
const IS_MEMORY: u32 = 1 << 0;
const COMES_BACK: u32 = 1 << 1;
/// Every block starts with its size.
const BLOCK_HEAD_BYTES: u32 = 8;
const BLOCK_BYTES_MAX: u32 = 1 << 20;

/// Blocks that the kernel sees in the place of JavaScript's.
pub struct PrivateMemory {
    blocks: Vec<Block>,
}

struct Block {
    words: Vec<u64>,
    size_bytes: usize,
    /// Where JavaScript reads what the kernel wrote; 0 if it does not.
    answer: u64,
}

/// The three wide fields of a raw record, with memory in place.
pub struct RawFields {
    pub off: u64,
    pub addr: u64,
    pub addr3: u64,
    /// Arenas to answer into.
    pub described_in: [u16; 3],
    pub lists: Option<Box<Lists>>,
}

pub fn could_be_address(value: u64) -> bool {
    value & ((1 << ADDRESS_BITS) - 1) >= FIRST_ADDRESS && value & KERNEL_ADDRESS != KERNEL_ADDRESS
}

/// Fields (word of the record) in the order of their kinds.
const FIELDS: [usize; 3] = [2, 4, 12];

pub fn fields(arenas: &Arenas, record: &[u32; 16]) -> Result<RawFields, Reject> {
    let mut values = [0; 3];
    let mut described_in = [crate::inflight::NO_ARENA; 3];
    let mut blocks = Vec::new();
    for (at, word) in FIELDS.into_iter().enumerate() {
        let kind = record[FIELD_KINDS as usize] >> (2 * at) & 0b11;
        let (low, high) = (record[word], record[word + 1]);
        if kind & IS_MEMORY == 0 {
            let value = u64::from(high) << 32 | u64::from(low);
            if kind != 0 || could_be_address(value) {
                return Err(Reject::CouldBeAddress);
            }
            values[at] = value;
            continue;
        }
        let (mut block, arena) = block(arenas, (high, low), kind & COMES_BACK != 0)?;
        values[at] = block.words.as_mut_ptr() as u64;
        described_in[at] = arena;
        blocks.push(block);
    }
    if record[FIELD_KINDS as usize] >> 6 != 0 || record[15] != 0 {
        return Err(Reject::BadField);
    }
    let lists = (!blocks.is_empty()).then(|| {
        Box::new(Lists {
            arenas: Vec::new(),
            list: List::Private(PrivateMemory { blocks }),
        })
    });
    let [off, addr, addr3] = values;
    Ok(RawFields {
        off,
        addr,
        addr3,
        described_in,
        lists,
    })
}

/// Copies one block {size, 0, bytes...}; nothing in it may look like an address.
fn block(arenas: &Arenas, (handle, offset): (u32, u32), comes_back: bool) -> Result<(Block, u16), Reject> {
    let head = arenas.resolve(handle, offset, BLOCK_HEAD_BYTES)?;
    // SAFETY: the range covers the head of the block in a live arena; read once.
    let size_bytes = u32::from_ne_bytes(unsafe { (head.address as *const [u8; 4]).read_volatile() });
    if size_bytes == 0 || size_bytes > BLOCK_BYTES_MAX {
        return Err(Reject::BadField);
    }
    let range = arenas.resolve(handle, offset, BLOCK_HEAD_BYTES + size_bytes)?;
    let start = range.address + u64::from(BLOCK_HEAD_BYTES);
    let mut words = vec![0u64; (size_bytes as usize).div_ceil(8)];
    for at in 0..size_bytes as usize {
        // SAFETY: inside the range just resolved, and inside the words just made. Byte by byte and volatile: what was
        // copied is what is checked, whoever writes there meanwhile.
        unsafe {
            let byte = ((start + at as u64) as *const u8).read_volatile();
            words.as_mut_ptr().cast::<u8>().add(at).write(byte);
        }
    }
    if words.iter().any(|word| could_be_address(*word)) {
        return Err(Reject::CouldBeAddress);
    }
    let block = Block {
        words,
        size_bytes: size_bytes as usize,
        answer: if comes_back { start } else { 0 },
    };
    Ok((block, range.arena))
}

impl PrivateMemory {
    /// Gives JavaScript what the kernel wrote.
    pub fn answer(&self) {
        for block in self.blocks.iter().filter(|block| block.answer != 0) {
            // SAFETY: the answer's range was resolved for as many bytes, and its arena is pinned until after this call;
            // the words are private, so the two do not overlap.
            unsafe {
                let from = block.words.as_ptr().cast::<u8>();
                std::ptr::copy_nonoverlapping(from, block.answer as *mut u8, block.size_bytes);
            }
        }
    }
}
