//! What a ring may be used for, decided while it is disabled (5.10).

use super::{Registrar, opcode};
use std::io;

/// struct io_uring_restriction.
#[repr(C)]
struct Restriction {
    kind: u16,
    value: u8,
    reserved: u8,
    reserved2: [u32; 3],
}

/// IORING_RESTRICTION_*.
const REGISTER_OP: u16 = 0;
const SQE_OP: u16 = 1;
const SQE_FLAGS_ALLOWED: u16 = 2;
const SQE_FLAGS_REQUIRED: u16 = 3;

/// All that is allowed; what is not named here is refused with -EACCES from `enable_rings` on.
#[derive(Default)]
pub struct Restrictions {
    pub registrations: Vec<u8>,
    pub operations: Vec<u8>,
    pub sqe_flags_allowed: u8,
    pub sqe_flags_required: u8,
}

impl Registrar {
    /// -EBADFD for a ring that is not disabled, -EBUSY the second time.
    pub fn restrictions(self, restrictions: &Restrictions) -> io::Result<()> {
        let entry = |kind, value| Restriction {
            kind,
            value,
            reserved: 0,
            reserved2: [0; 3],
        };
        let registrations = restrictions.registrations.iter();
        let operations = restrictions.operations.iter();
        let entries: Vec<Restriction> = registrations
            .map(|number| entry(REGISTER_OP, *number))
            .chain(operations.map(|number| entry(SQE_OP, *number)))
            .chain([
                entry(SQE_FLAGS_ALLOWED, restrictions.sqe_flags_allowed),
                entry(SQE_FLAGS_REQUIRED, restrictions.sqe_flags_required),
            ])
            .collect();
        // SAFETY: as many entries as announced, which live to the end of the call.
        unsafe { self.call(opcode::RESTRICTIONS, entries.as_ptr(), entries.len() as u32) }.map(drop)
    }
}
