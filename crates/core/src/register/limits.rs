//! How a ring's work is run: the kernel's worker threads, busy polling, the clock.

use super::{Registrar, opcode};
use std::io;

/// struct io_uring_napi.
#[repr(C)]
#[derive(Default)]
struct NapiArgument {
    busy_poll_us: u32,
    prefer_busy_poll: u8,
    opcode: u8,
    pad: [u8; 2],
    parameter: u32,
    reserved: u32,
}

const NAPI_REGISTER: u8 = 0;
const NAPI_STATIC_ADD_ID: u8 = 1;
const NAPI_STATIC_DEL_ID: u8 = 2;

/// How the kernel learns which receive queues to poll (IO_URING_NAPI_TRACKING_*, 6.13).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum NapiTracking {
    Dynamic = 0,
    Static = 1,
    Inactive = 255,
}

/// Settings of busy polling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Napi {
    pub busy_poll_us: u32,
    pub prefer_busy_poll: bool,
    pub tracking: NapiTracking,
}

impl Napi {
    fn of(argument: &NapiArgument) -> Napi {
        Napi {
            busy_poll_us: argument.busy_poll_us,
            prefer_busy_poll: argument.prefer_busy_poll != 0,
            tracking: match argument.parameter {
                0 => NapiTracking::Dynamic,
                1 => NapiTracking::Static,
                _ => NapiTracking::Inactive,
            },
        }
    }
}

/// struct io_uring_clock_register.
#[repr(C)]
struct Clock {
    clock: u32,
    reserved: [u32; 3],
}

impl Registrar {
    /// The processors that worker threads may run on, as a set of bits (5.14).
    pub fn worker_affinity(self, mask: &[u8]) -> io::Result<()> {
        // SAFETY: as many bytes as announced, which live to the end of the call.
        unsafe { self.call(opcode::IOWQ_AFF, mask.as_ptr(), mask.len() as u32) }.map(drop)
    }

    pub fn unregister_worker_affinity(self) -> io::Result<()> {
        self.call_plain(opcode::UNREGISTER_IOWQ_AFF).map(drop)
    }

    /// The most worker threads for bounded work (regular files) and for unbounded (all else); 0 leaves one as it is.
    /// Answers what they were before (5.15).
    pub fn worker_limits(self, mut limits: [u32; 2]) -> io::Result<[u32; 2]> {
        // SAFETY: two numbers, which the kernel writes to and which live to the end of the call.
        unsafe { self.call(opcode::IOWQ_MAX_WORKERS, limits.as_mut_ptr(), 2) }?;
        Ok(limits)
    }

    fn napi_call(self, opcode: u32, argument: &mut NapiArgument) -> io::Result<Napi> {
        // SAFETY: one structure, which the kernel writes to and which lives to the end of the call.
        unsafe { self.call(opcode, std::ptr::from_mut(argument), 1) }?;
        Ok(Napi::of(argument))
    }

    /// Polls network devices while waiting (6.9; tracking 6.13). Answers the settings before.
    pub fn napi(self, napi: Napi) -> io::Result<Napi> {
        let mut argument = NapiArgument {
            busy_poll_us: napi.busy_poll_us,
            prefer_busy_poll: u8::from(napi.prefer_busy_poll),
            opcode: NAPI_REGISTER,
            parameter: napi.tracking as u32,
            ..NapiArgument::default()
        };
        self.napi_call(opcode::NAPI, &mut argument)
    }

    /// Adds a receive queue to those polled with static tracking, or takes it out (6.13).
    pub fn napi_id(self, id: u32, add: bool) -> io::Result<()> {
        let mut argument = NapiArgument {
            opcode: if add {
                NAPI_STATIC_ADD_ID
            } else {
                NAPI_STATIC_DEL_ID
            },
            parameter: id,
            ..NapiArgument::default()
        };
        self.napi_call(opcode::NAPI, &mut argument).map(drop)
    }

    /// Ends busy polling; answers the settings before.
    pub fn unregister_napi(self) -> io::Result<Napi> {
        self.napi_call(opcode::UNREGISTER_NAPI, &mut NapiArgument::default())
    }

    /// The clock for timeouts of waits (6.12).
    pub fn clock(self, clock: libc::clockid_t) -> io::Result<()> {
        let argument = Clock {
            clock: clock as u32,
            reserved: [0; 3],
        };
        // SAFETY: one structure, which lives to the end of the call.
        unsafe { self.call(opcode::CLOCK, &argument, 0) }.map(drop)
    }
}
