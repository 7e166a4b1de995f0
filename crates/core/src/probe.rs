//! What this kernel has, asked from the kernel itself: IORING_REGISTER_PROBE and IORING_REGISTER_QUERY (6.18), and where
//! there is no QUERY, harmless attempts that a kernel without the thing refuses with -EINVAL.

use crate::register::opcode::{self, REGISTRATIONS};
use crate::register::{Registrar, query};
use crate::uapi::{SETUP_CQE32, SETUP_CQSIZE, SETUP_DEFER_TASKRUN, SETUP_FLAGS, SETUP_SINGLE_ISSUER};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::OnceLock;

/// IORING_ENTER_* by bit.
pub const ENTER_FLAGS: [&str; 8] = [
    "GETEVENTS",
    "SQ_WAKEUP",
    "SQ_WAIT",
    "EXT_ARG",
    "REGISTERED_RING",
    "ABS_TIMER",
    "EXT_ARG_REG",
    "NO_IOWAIT",
];

/// IOSQE_* by bit.
pub const SQE_FLAGS: [&str; 7] = [
    "FIXED_FILE",
    "IO_DRAIN",
    "IO_LINK",
    "IO_HARDLINK",
    "ASYNC",
    "BUFFER_SELECT",
    "CQE_SKIP_SUCCESS",
];

/// IORING_FEAT_* bits that decide about others.
const FEAT_EXT_ARG: u64 = 1 << 8;
const FEAT_CQE_SKIP: u64 = 1 << 11;
const FEAT_NO_IOWAIT: u64 = 1 << 17;
const OP_PROVIDE_BUFFERS: usize = 31;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kernel {
    /// Numbers of the operations it has.
    pub operations: Vec<u8>,
    /// Masks by number or bit.
    pub registrations: u64,
    pub features: u64,
    pub setup_flags: u64,
    pub enter_flags: u64,
    pub sqe_flags: u64,
}

/// The `flags` and `features` words of struct io_uring_params.
const FLAGS_WORD: usize = 2;
const CQ_ENTRIES_WORD: usize = 1;
const ATTACH_WORD: usize = 6;
const FEATURES_WORD: usize = 5;
const PARAMS_WORDS: usize = 30;

/// A ring of one entry with these flags, and its features.
fn tiny_ring(flags: u32) -> io::Result<(OwnedFd, u32)> {
    let mut params = [0u32; PARAMS_WORDS];
    params[FLAGS_WORD] = flags;
    if flags & SETUP_CQSIZE != 0 {
        params[CQ_ENTRIES_WORD] = 2;
    }
    // No ring to attach to, which is not the same as not knowing the flag.
    params[ATTACH_WORD] = u32::MAX;
    // SAFETY: the kernel reads and writes the 120 bytes of struct io_uring_params, which live to the end of the call.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 1, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a descriptor that was made just now.
    Ok((unsafe { OwnedFd::from_raw_fd(fd as i32) }, params[FEATURES_WORD]))
}

/// Asks the kernel. Fails where io_uring is not to be had at all.
pub fn kernel() -> io::Result<Kernel> {
    kernel_by(query().ok().map(|query| Kernel {
        operations: Vec::new(),
        registrations: (1 << query.registrations.min(63)) - 1,
        features: query.features,
        setup_flags: query.setup_flags,
        enter_flags: query.enter_flags,
        sqe_flags: query.sqe_flags,
    }))
}

fn kernel_by(answer: Option<Kernel>) -> io::Result<Kernel> {
    let (ring, features) = tiny_ring(0)?;
    let registrar = Registrar::new(ring.as_raw_fd());
    let supported = registrar.probe()?;
    let mut kernel = answer.unwrap_or_else(|| tried(registrar, u64::from(features), &supported));
    kernel.operations = (0..=u8::MAX).filter(|at| supported[usize::from(*at)]).collect();
    Ok(kernel)
}

/// What can be learnt without QUERY.
fn tried(registrar: Registrar, features: u64, supported: &[bool; 256]) -> Kernel {
    let known = REGISTRATIONS
        .iter()
        .filter(|one| has_registration(registrar, one.number));
    let registrations = known.fold(0, |mask, one| mask | 1 << one.number);
    let has = |number: u32| registrations & 1 << number != 0;
    let bit = |condition: bool, at: u32| u64::from(condition) << at;
    let setup = (0..SETUP_FLAGS.len() as u32).filter(|at| has_setup_flag(1 << at));
    let accepted = |flag: u32| enter_accepts(registrar, flag);
    Kernel {
        operations: Vec::new(),
        registrations,
        features,
        setup_flags: setup.fold(0, |mask, at| mask | 1 << at),
        enter_flags: 0b11
            | bit(accepted(1 << 2), 2)
            | bit(features & FEAT_EXT_ARG != 0, 3)
            | bit(has(opcode::RING_FDS), 4)
            | bit(accepted(1 << 5), 5)
            | bit(has(opcode::MEM_REGION), 6)
            | bit(features & FEAT_NO_IOWAIT != 0, 7),
        sqe_flags: 0b1_1111 | bit(supported[OP_PROVIDE_BUFFERS], 5) | bit(features & FEAT_CQE_SKIP != 0, 6),
    }
}

/// Whether the kernel is known to lack a registration, found out once, on a ring of its own: to what it does not know it says
/// -EINVAL, as to arguments that it does not like, and before 5.13 it waits for all that is in flight before it says so.
pub(crate) fn lacks_registration(number: u32) -> bool {
    static LACKING: OnceLock<u64> = OnceLock::new();
    // All kernels that this runs on have these (5.10). They are what the question itself is asked with.
    if number <= opcode::ENABLE_RINGS {
        return false;
    }
    let lacking = LACKING.get_or_init(|| {
        if let Ok(answer) = query() {
            return u64::MAX.checked_shl(answer.registrations).unwrap_or(0);
        }
        let Ok((ring, _)) = tiny_ring(0) else { return 0 };
        let known = |number: &u32| has_registration(Registrar::new(ring.as_raw_fd()), *number);
        let newer = REGISTRATIONS.iter().map(|one| one.number);
        newer
            .filter(|number| *number > opcode::ENABLE_RINGS && !known(number))
            .fold(0, |mask, number| mask | 1 << number)
    });
    lacking & 1_u64.checked_shl(number).unwrap_or(0) != 0
}

/// Whether the kernel knows a registration: given an argument at an address where nothing is, it then says -EFAULT.
fn has_registration(registrar: Registrar, number: u32) -> bool {
    const NOWHERE: *const u8 = std::ptr::without_provenance(1);
    let (argument, count) = match number {
        // These take no argument, and say that there is nothing to take away, or that the ring is not disabled.
        opcode::UNREGISTER_BUFFERS
        | opcode::UNREGISTER_FILES
        | opcode::UNREGISTER_EVENTFD
        | opcode::ENABLE_RINGS => (std::ptr::null(), 0),
        // PROBE has been asked; credentials came with it in 5.6.
        opcode::PROBE | opcode::PERSONALITY | opcode::UNREGISTER_PERSONALITY => return true,
        // Came with their counterparts.
        opcode::UNREGISTER_IOWQ_AFF => return has_registration(registrar, opcode::IOWQ_AFF),
        opcode::RESIZE_RINGS | opcode::ZCRX_IFQ => {
            // To other rings they say -EINVAL whatever the argument is.
            let Ok((ring, _)) = tiny_ring(SETUP_CQE32 | SETUP_SINGLE_ISSUER | SETUP_DEFER_TASKRUN) else {
                return false;
            };
            // SAFETY: the kernel finds nothing at the address, and does nothing.
            let result = unsafe { Registrar::new(ring.as_raw_fd()).call_once(number, NOWHERE, 1) };
            return !result.is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL));
        }
        opcode::QUERY => return query().is_ok(),
        opcode::FILE_ALLOC_RANGE | opcode::CLOCK => (NOWHERE, 0),
        opcode::FILES2 | opcode::BUFFERS2 | opcode::FILES_UPDATE2 | opcode::BUFFERS_UPDATE => (NOWHERE, 32),
        opcode::IOWQ_MAX_WORKERS => (NOWHERE, 2),
        opcode::SEND_MSG_RING => {
            // SAFETY: the kernel finds nothing at the address, and does nothing.
            let refused = unsafe { Registrar::new(-1).call_once(number, NOWHERE, 1) };
            return refused.is_err_and(|error| error.raw_os_error() == Some(libc::EFAULT));
        }
        _ => (NOWHERE, 1),
    };
    // SAFETY: the kernel finds nothing at the address, and does nothing.
    let result = unsafe { registrar.call_once(number, argument, count) };
    !result.is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL))
}

fn has_setup_flag(flag: u32) -> bool {
    const NEEDS: [(u32, u32); 6] = [
        (1 << 2, 1 << 1),   // SQ_AFF needs SQPOLL
        (1 << 9, 1 << 8),   // TASKRUN_FLAG needs COOP_TASKRUN
        (1 << 13, 1 << 12), // DEFER_TASKRUN needs SINGLE_ISSUER
        (1 << 15, 1 << 14), // REGISTERED_FD_ONLY needs NO_MMAP
        (1 << 17, 1 << 0),  // HYBRID_IOPOLL needs IOPOLL
        (1 << 20, 1 << 16), // SQ_REWIND needs NO_SQARRAY
    ];
    let needs = NEEDS
        .iter()
        .find(|(of, _)| *of == flag)
        .map_or(0, |(_, needs)| *needs);
    // Any other error is about what came with the flag: no ring to attach to, no memory for the queues.
    !tiny_ring(flag | needs).is_err_and(|error| error.raw_os_error() == Some(libc::EINVAL))
}

fn enter_accepts(registrar: Registrar, flag: u32) -> bool {
    // SAFETY: submits nothing and waits for nothing.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_enter,
            registrar.fd(),
            0,
            0,
            flag,
            std::ptr::null::<u8>(),
            0,
        )
    };
    result >= 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_tried_is_what_the_kernel_answers_when_it_can_be_asked() {
        let asked = kernel().unwrap();
        let (ring, features) = tiny_ring(0).unwrap();
        let registrar = Registrar::new(ring.as_raw_fd());
        let supported = registrar.probe().unwrap();
        let tried = tried(registrar, u64::from(features), &supported);
        if query().is_err() {
            return assert_eq!(tried.registrations, asked.registrations);
        }
        assert_eq!(tried.registrations, asked.registrations & tried_mask());
        assert_eq!(tried.setup_flags, asked.setup_flags);
        assert_eq!(tried.enter_flags, asked.enter_flags);
        assert_eq!(tried.sqe_flags, asked.sqe_flags);
        assert_eq!(tried.features, asked.features);
    }

    /// Registrations of the table: a later kernel may have more.
    fn tried_mask() -> u64 {
        (1 << REGISTRATIONS.len()) - 1
    }

    #[test]
    fn a_kernel_has_the_operations_of_its_probe() {
        let kernel = kernel().unwrap();
        assert!(kernel.operations.contains(&0) && kernel.operations.contains(&22));
        assert!(kernel.operations.is_sorted());
    }
}
