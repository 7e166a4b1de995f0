//! What a ring may be used for, decided while it is disabled (5.10).

use super::{Registrar, is_errno, opcode};
use crate::probe::lacks_registration;
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
        match self.restrict_to(restrictions, |_| true) {
            // The kernel refuses all of the restrictions for one registration that it does not know.
            Err(error) if is_errno(&error, libc::EINVAL) => {
                self.restrict_to(restrictions, |number| !lacks_registration(number))
            }
            result => result,
        }
    }

    fn restrict_to(self, restrictions: &Restrictions, is_known: fn(u32) -> bool) -> io::Result<()> {
        let entry = |kind, value| Restriction {
            kind,
            value,
            reserved: 0,
            reserved2: [0; 3],
        };
        let registrations = restrictions.registrations.iter();
        let registrations = registrations.filter(|number| is_known(u32::from(**number)));
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
