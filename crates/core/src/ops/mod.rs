//! The one description of each operation: number, name, first kernel, and for every field of the 64-byte
//! record what JavaScript may put there. `ts/generated/ops.ts` is written from this table; what is not in
//! it is refused. A new kernel operation is one row in one of the families and one function under `ts/ops/`.
//!
//! Field layout: io_uring_enter(2), include/uapi/linux/io_uring.h.

mod file;
mod path;
mod ring;
mod socket;

pub use file::{MADVISE, READ_FIXED, READV_FIXED, WRITE_FIXED, drops_pages};
pub use ring::{ASYNC_CANCEL, CANCEL_ANY, CANCEL_FD, CANCEL_FD_FIXED, CANCEL_OP, OP_MSG_RING};
pub use socket::BUNDLE;

/// What the `fd` field is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fd {
    /// Not used: 0 or -1.
    None,
    /// A descriptor, or with IOSQE_FIXED_FILE a handle of a registered slot.
    File,
    /// A descriptor of the process (or AT_FDCWD); the kernel answers -EBADF to a registered file here.
    Descriptor,
    /// A handle of a registered slot: IOSQE_FIXED_FILE must be set.
    Slot,
    /// A descriptor, or the handle of a slot where the operation's flags have this bit.
    ByFlag(u32),
    /// No file at all: a socket's domain, a process id, a number of buffers, the flags of a futex.
    Number,
    /// Another ring: 0 or -1 here, and its token in the last two words (live.rs).
    Ring,
}

/// What one of the three 64-bit fields `off`, `addr` and `addr3` is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wide {
    Zero,
    Scalar,
    /// A handle of arena memory of this size.
    Memory(Size),
    /// As `Memory`, or nothing.
    Optional(Size),
    /// A handle of arena memory that is registered with the kernel, `len` bytes.
    RegisteredMemory,
    /// A handle of registered memory that only says which buffer: the kernel gets its index, and no address.
    RegisteredIndex,
    /// A handle of a NUL-terminated string in arena memory.
    Path,
    /// A handle of `len` entries of 16 bytes, each naming arena memory (lists.rs).
    Iovecs,
    /// As `Iovecs`, all in one registered arena.
    RegisteredIovecs,
    /// A handle of the description of a message: name, control data, iovecs (lists.rs).
    Message(Way),
    /// A handle of `len` descriptions of futexes to wait for (lists.rs).
    Futexes,
    /// A handle of descriptors: `len` of them to be registered, or room for the two ends of a pipe (lists.rs).
    Descriptors,
    /// An operation in flight: its index and the sequence number it was started with.
    Target,
    /// A handle of a registered slot, in the low half.
    Slot,
    /// 53 bits for whoever reads the completion queue of another ring; Rust makes them a user_data. The highest bit makes
    /// them the number of a parcel.
    Message53,
}

/// Which way the bytes of a message go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Send,
    Receive,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// As many bytes as the `len` field says.
    Len,
    Const(u32),
    /// As many bytes as the `off` field says.
    Off,
    /// As many bytes as the low half of the `file_index` field says (`addr_len`).
    AddressLength,
    /// As many bytes as the `file_index` field says (`optlen`).
    OptionLength,
    /// `fd` buffers of `len` bytes.
    Buffers,
    /// `len` times struct epoll_event.
    EpollEvents,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileIndex {
    /// A number with no bits but these; 0 for a field that is not used.
    Scalar(u32),
    /// 0 (an ordinary descriptor), slot + 1, or all ones for a slot of the kernel's choice.
    Destination,
    /// As `Destination`, for two slots: the one given and the next.
    Pair,
    /// 0, or the handle + 1 of the slot to close.
    Close,
    /// A descriptor, or the handle of a slot where the operation's flags have SPLICE_F_FD_IN_FIXED.
    Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResultKind {
    Nothing,
    Bytes,
    Count,
    /// A new descriptor, or 0 or a slot when `file_index` names a direct one.
    Descriptor,
    PollEvents,
}

/// How an operation is made to complete more than once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multishot {
    Never,
    Always,
    /// By this bit of `ioprio`.
    Ioprio(u16),
    /// By this bit of `len`.
    Len(u32),
    /// By this bit of the operation's own flags.
    OpFlags(u32),
}

/// Whether the kernel takes a buffer from a group (IOSQE_BUFFER_SELECT).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BufferSelect {
    No,
    May,
    Must,
}

/// What success does to the kernel's legacy buffer groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GroupEffect {
    None,
    Provide,
    Remove,
}

/// Tells forms of one operation apart: these bits of one word of the record.
#[derive(Clone, Copy)]
pub struct When {
    pub word: u8,
    pub mask: u32,
    pub value: u32,
}

impl When {
    const ALWAYS: When = When {
        word: 0,
        mask: 0,
        value: 0,
    };

    const fn is(word: u8, value: u32) -> When {
        When {
            word,
            mask: u32::MAX,
            value,
        }
    }

    const fn has(word: u8, bits: u32) -> When {
        When {
            word,
            mask: bits,
            value: bits,
        }
    }

    const fn has_not(word: u8, bits: u32) -> When {
        When {
            word,
            mask: bits,
            value: 0,
        }
    }

    #[inline]
    fn holds(self, record: &Record) -> bool {
        record[usize::from(self.word)] & self.mask == self.value
    }
}

/// Words of the record, for `When`.
mod word {
    pub const HEAD: u8 = 0;
    pub const OFF: u8 = 2;
    pub const ADDR: u8 = 4;
    pub const OP_FLAGS: u8 = 7;
}

pub type Record = [u32; 16];

pub struct OpSpec {
    pub opcode: u8,
    pub name: &'static str,
    /// First kernel that has it.
    pub kernel: &'static str,
    /// This row is for such records; others take one of `forms`.
    pub when: When,
    /// Other shapes of the same operation.
    pub forms: &'static [OpSpec],
    pub fd: Fd,
    pub off: Wide,
    pub addr: Wide,
    pub addr3: Wide,
    /// Bits that `len` may have.
    pub len: u32,
    /// Bits that the operation's own flags may have.
    pub op_flags: u32,
    pub ioprio: u16,
    pub file_index: FileIndex,
    /// The operation to use when `addr` turns out to be registered memory.
    pub fixed_form: Option<u8>,
    /// The bit of `ioprio` that says so, where the operation stays the same.
    pub fixed_flag: u16,
    pub buffer_select: BufferSelect,
    pub group_effect: GroupEffect,
    pub multishot: Multishot,
    pub result: ResultKind,
    /// The kernel lets go of the memory later than it answers, and says so with a completion of its own.
    pub notifies: bool,
    /// Takes an entry of 128 bytes.
    pub large: bool,
    /// What masks cannot say.
    pub check: Option<fn(&Record) -> bool>,
}

const ANY: u32 = u32::MAX;
/// The source of a splice is a registered slot.
pub const SPLICE_F_FD_IN_FIXED: u32 = 1 << 31;
const UNUSED: FileIndex = FileIndex::Scalar(0);

/// What most operations have in common; a row states only what differs.
const BASE: OpSpec = OpSpec {
    opcode: 0,
    name: "",
    kernel: "",
    when: When::ALWAYS,
    forms: &[],
    fd: Fd::None,
    off: Wide::Zero,
    addr: Wide::Zero,
    addr3: Wide::Zero,
    len: 0,
    op_flags: 0,
    ioprio: 0,
    file_index: UNUSED,
    fixed_form: None,
    fixed_flag: 0,
    buffer_select: BufferSelect::No,
    group_effect: GroupEffect::None,
    multishot: Multishot::Never,
    result: ResultKind::Nothing,
    notifies: false,
    large: false,
    check: None,
};

static FAMILIES: [&[OpSpec]; 4] = [&ring::OPS, &file::OPS, &path::OPS, &socket::OPS];

/// The row of each opcode.
static ROWS: [Option<&OpSpec>; 256] = {
    let mut rows = [None; 256];
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut row = 0;
        while row < FAMILIES[family].len() {
            let spec = &FAMILIES[family][row];
            rows[spec.opcode as usize] = Some(spec);
            row += 1;
        }
        family += 1;
    }
    rows
};

/// Operations whose first form has neither file nor memory nor target: nothing to look up, nothing to pin.
static NAMES_NOTHING: [bool; 256] = {
    let mut table = [false; 256];
    let mut opcode = 0;
    while opcode < 256 {
        if let Some(op) = ROWS[opcode] {
            table[opcode] = matches!(op.fd, Fd::None)
                && matches!((op.off, op.addr, op.addr3), (Wide::Zero, Wide::Zero, Wide::Zero))
                && matches!(op.file_index, UNUSED)
                && matches!(op.buffer_select, BufferSelect::No)
                && matches!(op.group_effect, GroupEffect::None)
                && op.check.is_none()
                && !op.large;
        }
        opcode += 1;
    }
    table
};

/// Operations that move bytes between a descriptor and one range of memory, with nothing else to look at.
static IS_TRANSFER: [bool; 256] = {
    let mut table = [false; 256];
    let mut opcode = 0;
    while opcode < 256 {
        if let Some(op) = ROWS[opcode] {
            table[opcode] = matches!(op.fd, Fd::File)
                && matches!(op.addr, Wide::Memory(Size::Len))
                && matches!(op.result, ResultKind::Bytes)
                && op.fixed_flag == 0
                && op.check.is_none();
        }
        opcode += 1;
    }
    table
};

impl OpSpec {
    /// For the first row of an opcode.
    #[inline]
    pub fn is_transfer(&self) -> bool {
        IS_TRANSFER[usize::from(self.opcode)]
    }

    /// For the first row of an opcode.
    #[inline]
    pub fn names_nothing(&self) -> bool {
        NAMES_NOTHING[usize::from(self.opcode)]
    }

    /// The form that a record is of, this one or another.
    #[inline]
    pub fn form(&self, record: &Record) -> Option<&OpSpec> {
        if self.when.holds(record) {
            Some(self)
        } else {
            self.forms.iter().find(|form| form.when.holds(record))
        }
    }
}

/// The first row of an opcode.
#[inline]
pub fn spec(opcode: u8) -> Option<&'static OpSpec> {
    ROWS[usize::from(opcode)]
}

/// Whether the operation stops or changes another one.
pub fn is_request_about_another(opcode: u8) -> bool {
    matches!(opcode, ASYNC_CANCEL | ring::POLL_REMOVE | ring::TIMEOUT_REMOVE)
}

/// Whether a record is of an operation that uses nobody's credentials: one that is about another, or a message that is a
/// number. A file that is sent hands on what the old credentials have opened.
pub fn uses_no_credentials(record: &Record) -> bool {
    let opcode = record[usize::from(word::HEAD)] as u8;
    is_request_about_another(opcode) || ring::is_number_for_another(opcode, record[usize::from(word::ADDR)])
}

/// The first row of every operation, in the order of their numbers.
pub fn all() -> impl Iterator<Item = &'static OpSpec> {
    ROWS.iter().filter_map(|row| *row)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_own_opcode() {
        for op in FAMILIES.into_iter().flatten() {
            assert_eq!(spec(op.opcode).map(|found| found.name), Some(op.name));
        }
        assert!(spec(255).is_none());
    }

    #[test]
    fn the_table_has_every_operation_up_to_6_19() {
        assert_eq!(
            all().map(|op| op.opcode).collect::<Vec<_>>(),
            (0..=64).collect::<Vec<_>>()
        );
    }

    #[test]
    fn a_fixed_form_takes_the_same_fields_as_the_operation_it_replaces() {
        for op in all().filter(|op| op.fixed_form.is_some()) {
            let fixed = op.fixed_form.and_then(spec).unwrap();
            let lists = op.addr == Wide::Iovecs;
            let expected = if lists {
                Wide::RegisteredIovecs
            } else {
                Wide::RegisteredMemory
            };
            assert_eq!(fixed.addr, expected);
            assert_eq!(
                (
                    fixed.off,
                    fixed.len,
                    fixed.op_flags,
                    fixed.ioprio,
                    fixed.file_index
                ),
                (op.off, op.len, op.op_flags, op.ioprio, op.file_index)
            );
        }
    }

    #[test]
    fn forms_have_the_number_of_their_operation_and_exclude_each_other() {
        for op in all() {
            for form in op.forms {
                assert_eq!(form.opcode, op.opcode, "{}", form.name);
                assert!(form.forms.is_empty(), "{}", form.name);
                let mut record = [0; 16];
                record[usize::from(form.when.word)] = form.when.value;
                assert_eq!(op.form(&record).map(|found| found.name), Some(form.name));
            }
        }
    }
}
