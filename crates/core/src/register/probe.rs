//! What the kernel says about itself.

use super::{Registrar, opcode};
use std::io;

/// struct io_uring_probe with 256 operations.
#[repr(C)]
struct ProbeTable {
    last_op: u8,
    length: u8,
    reserved: u16,
    reserved2: [u32; 3],
    operations: [ProbeOperation; 256],
}

#[repr(C)]
#[derive(Clone, Copy)]
struct ProbeOperation {
    opcode: u8,
    reserved: u8,
    flags: u16,
    reserved2: u32,
}

/// struct io_uring_query_hdr (include/uapi/linux/io_uring/query.h).
#[repr(C)]
#[derive(Default)]
struct QueryHeader {
    next: u64,
    data: u64,
    query: u32,
    size: u32,
    result: i32,
    reserved: [u32; 3],
}

/// struct io_uring_query_opcode: how many operations and registrations there are, and masks of flags.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
pub struct KernelQuery {
    pub operations: u32,
    pub registrations: u32,
    pub features: u64,
    pub setup_flags: u64,
    pub enter_flags: u64,
    pub sqe_flags: u64,
    queries: u32,
    pad: u32,
}

/// Asks without a ring what there is (6.18); -EINVAL before.
pub fn query() -> io::Result<KernelQuery> {
    const QUERY_OPCODES: u32 = 0;
    let mut answer = KernelQuery::default();
    let mut header = QueryHeader {
        data: &raw mut answer as u64,
        query: QUERY_OPCODES,
        size: size_of::<KernelQuery>() as u32,
        ..QueryHeader::default()
    };
    // SAFETY: the header and the answer it names are written by the kernel, no more than `size` bytes of the latter, and
    // live to the end of the call.
    unsafe { Registrar::new(-1).call_once(opcode::QUERY, &raw mut header, 0) }?;
    match header.result {
        0 => Ok(answer),
        errno => Err(io::Error::from_raw_os_error(-errno)),
    }
}

impl Registrar {
    /// Which operations the kernel has, by number (5.6).
    pub fn probe(self) -> io::Result<Box<[bool; 256]>> {
        // SAFETY: plain numbers, for which zero is a value; the kernel wants it zeroed.
        let mut table: Box<ProbeTable> = Box::new(unsafe { std::mem::zeroed() });
        // SAFETY: the table has room for the 256 operations announced, and lives to the end of the call.
        unsafe { self.call(opcode::PROBE, &raw mut *table, 256) }?;
        const IO_URING_OP_SUPPORTED: u16 = 1;
        let mut supported = Box::new([false; 256]);
        for operation in &table.operations[..usize::from(table.length)] {
            supported[usize::from(operation.opcode)] = operation.flags & IO_URING_OP_SUPPORTED != 0;
        }
        Ok(supported)
    }
}
