//! The calls behind `ring.registrar`: what a ring is told ahead of time. TypeScript has checked the arguments' types and
//! ranges; answers below zero are negative errnos.

use crate::external::{ARENA_BYTES_MAX, arena_object};
use crate::limits::TIMEOUT_MS_MAX;
use crate::{NativeRing, failed, number_value, status_of};
use napi::bindgen_prelude::{Env, Unknown};
use napi_derive::napi;
use std::io;
use std::rc::Rc;
use std::time::Duration;
use uring_core::bufring::RingOptions;
use uring_core::register::{Napi, NapiTracking, Restrictions};
use uring_core::registrations::CancelTarget;

#[napi(object)]
pub struct BufferRingShape {
    pub entries: u32,
    pub size_bytes: u32,
    pub manual: bool,
    pub incremental: bool,
    pub mmap: bool,
}

#[napi(object)]
pub struct SyncCancelTarget {
    /// Slot and sequence number of an operation.
    pub index: Option<u32>,
    pub sequence: Option<i32>,
    pub fd: i32,
    pub flags: u32,
    pub opcode: u32,
}

#[napi(object)]
pub struct Allowed {
    pub registrations: Vec<u32>,
    pub operations: Vec<u32>,
    pub sqe_flags_allowed: u32,
    pub sqe_flags_required: u32,
}

#[napi]
impl NativeRing {
    /// Registers a sparse files table: `ours` slots, then `kernels` slots that the kernel allocates from.
    #[napi]
    pub fn register_files(&self, ours: u32, kernels: u32) -> i32 {
        status_of(self.with(|ring| ring.register_files(ours, kernels)))
    }

    /// Puts a descriptor into a slot, or with a negative slot into a free one; answers the handle.
    #[napi]
    pub fn set_file(&self, slot: i32, fd: i32, tag: Option<f64>) -> f64 {
        self.number(|ring| ring.set_file(u32::try_from(slot).ok(), fd, tag.map(tag_of)))
    }

    /// Puts descriptors into slots from `first` on; answers their handles (0 for empty ones), or one negative errno.
    #[napi]
    pub fn update_files(&self, first: u32, fds: Vec<i32>, tags: Vec<Option<f64>>) -> Vec<f64> {
        let tags: Vec<Option<u64>> = tags.into_iter().map(|tag| tag.map(tag_of)).collect();
        match self.with(|ring| ring.update_files(first, &fds, &tags)) {
            Ok(handles) => handles.into_iter().map(f64::from).collect(),
            Err(errno) => vec![f64::from(errno)],
        }
    }

    #[napi]
    pub fn unregister_files(&self) -> i32 {
        status_of(self.with(|ring| ring.unregister_files()))
    }

    #[napi]
    pub fn clear_file(&self, handle: u32) -> i32 {
        status_of(self.with(|ring| ring.clear_file(handle)))
    }

    /// A new buffer group as {handle, group, memory}, or a negative errno.
    #[napi(ts_return_type = "NativeBufferGroup | number")]
    pub fn register_group<'env>(
        &self,
        env: &'env Env,
        shape: BufferRingShape,
    ) -> napi::Result<Unknown<'env>> {
        let options = RingOptions {
            entries: shape.entries,
            size_bytes: shape.size_bytes,
            manual: shape.manual,
            incremental: shape.incremental,
            mmap: shape.mmap,
        };
        let total = shape.entries as usize * shape.size_bytes as usize;
        if total as f64 > ARENA_BYTES_MAX {
            return number_value(env, -libc::EINVAL);
        }
        match self.with(|ring| ring.register_group(options)) {
            Ok((group, arena)) => {
                let group = ("group", u32::from(group));
                arena_object(env, &arena, total, group, |handle| self.release(handle))
            }
            Err(errno) => number_value(env, errno),
        }
    }

    #[napi]
    pub fn unregister_group(&self, group: u32) -> i32 {
        status_of(self.with(|ring| ring.unregister_group(group as u16)))
    }

    /// The number of a new group for buffers that operations provide.
    #[napi]
    pub fn create_legacy_group(&self) -> f64 {
        self.number(|ring| {
            let none = || std::io::Error::from_raw_os_error(libc::ENOSPC);
            ring.tables.legacy.create().map(u32::from).ok_or_else(none)
        })
    }

    /// Gives the number back; -EBUSY while the kernel has buffers of the group, or an operation takes from it.
    #[napi]
    pub fn remove_legacy_group(&self, group: u32) -> i32 {
        status_of(self.with(|ring| {
            let busy = || std::io::Error::from_raw_os_error(libc::EBUSY);
            let removed = ring.tables.legacy.remove(group as u16);
            removed.then_some(()).ok_or_else(busy)
        }))
    }

    /// Buffers of a group that are lent to JavaScript.
    #[napi]
    pub fn lent(&self, group: u32) -> f64 {
        self.number(|ring| Ok(ring.tables.groups.lent_count(group as u16).unwrap_or(0)))
    }

    /// The buffers of a bundle as id, bytes, id, bytes, ...
    #[napi]
    pub fn bundle(&self, group: u32, first: u32, bytes: u32) -> Vec<u32> {
        let parts = self.with(|ring| Ok(ring.tables.groups.bundle(group as u16, first as u16, bytes)));
        let parts = parts.unwrap_or_default().into_iter();
        parts.flat_map(|(id, used)| [u32::from(id), used]).collect()
    }

    /// A buffer of a group that is provided by hand; -ENOBUFS when there is none.
    #[napi]
    pub fn take_buffer(&self, group: u32) -> f64 {
        self.number(|ring| {
            let registrar = ring.registrar();
            let taken = ring.tables.groups.take(group as u16, registrar);
            let none = || io::Error::from_raw_os_error(libc::ENOBUFS);
            taken.map(u32::from).ok_or_else(none)
        })
    }

    #[napi]
    pub fn provide_buffer(&self, group: u32, id: u32, len_bytes: u32) -> i32 {
        status_of(self.with(|ring| ring.tables.groups.provide(group as u16, id as u16, len_bytes)))
    }

    /// Whether a buffer is out of the kernel's hands.
    #[napi]
    pub fn is_out(&self, group: u32, id: u32) -> bool {
        self.with(|ring| Ok(ring.tables.groups.is_out(group as u16, id as u16)))
            .unwrap_or(false)
    }

    /// How many buffers of a group the kernel has taken so far, modulo 65,536.
    #[napi]
    pub fn group_head(&self, group: u32) -> f64 {
        self.number(|ring| ring.registrar().buffer_ring_head(group as u16).map(u32::from))
    }

    /// Buffers that the kernel can take, when it has taken `head` so far.
    #[napi]
    pub fn group_available(&self, group: u32, head: u32) -> f64 {
        self.number(|ring| {
            Ok(ring
                .tables
                .groups
                .available(group as u16, head as u16)
                .unwrap_or(0))
        })
    }

    #[napi]
    pub fn register_personality(&self) -> f64 {
        self.number(|ring| ring.registrar().personality())
    }

    #[napi]
    pub fn unregister_personality(&self, id: u32) -> i32 {
        status_of(self.with(|ring| ring.registrar().unregister_personality(id as u16)))
    }

    /// Puts an arena into the kernel's table again.
    #[napi]
    pub fn register_arena(&self, handle: u32, tag: Option<f64>) -> i32 {
        status_of(self.with(|ring| ring.register_arena(handle, tag.map(tag_of))))
    }

    #[napi]
    pub fn unregister_arena(&self, handle: u32) -> i32 {
        status_of(self.with(|ring| ring.unregister_arena(handle)))
    }

    /// Shares a registered arena of another ring of this thread; answers its handle here.
    #[napi]
    pub fn share_arena(&self, source: &NativeRing, handle: u32) -> f64 {
        if Rc::ptr_eq(&self.state, &source.state) {
            return f64::from(-libc::EINVAL);
        }
        let shared = source.with(|source| {
            self.with(|ring| ring.share_arena(source, handle))
                .map_err(|errno| io::Error::from_raw_os_error(-errno))
        });
        shared.map_or_else(f64::from, f64::from)
    }

    /// Gives up an arena that `share_arena` made.
    #[napi]
    pub fn release_arena(&self, handle: u32) {
        let _closed = self.with(|ring| {
            ring.release_arena(handle);
            Ok(())
        });
    }

    /// Signals completions to an eventfd, or with a negative one to a new one; answers which.
    #[napi]
    pub fn register_eventfd(&self, fd: i32, only_async: bool) -> i32 {
        let made = (fd < 0).then(|| {
            // SAFETY: makes a new descriptor.
            unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) }
        });
        let fd = made.unwrap_or(fd);
        if fd < 0 {
            return failed(&io::Error::last_os_error());
        }
        let registered = self.with(|ring| match only_async {
            true => ring.registrar().eventfd_async(fd),
            false => ring.registrar().eventfd(fd),
        });
        if registered.is_err() && made.is_some() {
            // SAFETY: made above, and nobody else knows it.
            unsafe { libc::close(fd) };
        }
        registered.err().unwrap_or(fd)
    }

    #[napi]
    pub fn unregister_eventfd(&self) -> i32 {
        status_of(self.with(|ring| ring.registrar().unregister_eventfd()))
    }

    #[napi]
    pub fn set_eventfd_enabled(&self, enabled: bool) -> i32 {
        status_of(self.with(|ring| {
            ring.set_eventfd_enabled(enabled);
            Ok(())
        }))
    }

    /// Whether the event loop uses the ring's only eventfd.
    #[napi]
    pub fn is_attached(&self) -> bool {
        self.state.event_loop.borrow().is_some()
    }

    /// Cancels and waits, without a limit for a negative one; answers how many that were.
    #[napi]
    pub fn sync_cancel(&self, target: SyncCancelTarget, timeout_ms: f64) -> f64 {
        let wanted = CancelTarget {
            operation: target
                .index
                .zip(target.sequence)
                .map(|(index, sequence)| (index, sequence as u32)),
            fd: target.fd,
            flags: target.flags,
            opcode: target.opcode as u8,
        };
        let limit =
            (timeout_ms >= 0.0).then(|| Duration::from_secs_f64(timeout_ms.min(TIMEOUT_MS_MAX) / 1000.0));
        self.number(|ring| ring.sync_cancel(&wanted, limit))
    }

    #[napi]
    pub fn restrict(&self, allowed: Allowed) -> i32 {
        let bytes = |numbers: &[u32]| numbers.iter().map(|number| *number as u8).collect();
        let restrictions = Restrictions {
            registrations: bytes(&allowed.registrations),
            operations: bytes(&allowed.operations),
            sqe_flags_allowed: allowed.sqe_flags_allowed as u8,
            sqe_flags_required: allowed.sqe_flags_required as u8,
        };
        status_of(self.with(|ring| ring.registrar().restrictions(&restrictions)))
    }

    /// Processors for worker threads; none at all lifts the limit.
    #[napi]
    pub fn set_worker_affinity(&self, cpus: Vec<u32>) -> i32 {
        // SAFETY: asks for a number.
        let configured = unsafe { libc::sysconf(libc::_SC_NPROCESSORS_CONF) };
        if cpus.iter().any(|cpu| i64::from(*cpu) >= configured) {
            // The kernel leaves out what is beyond its own set, and would take the rest, or nothing, for the whole.
            return -libc::EINVAL;
        }
        let mut mask = vec![0u8; cpus.iter().max().map_or(0, |most| *most as usize / 8 + 1)];
        for cpu in &cpus {
            mask[*cpu as usize / 8] |= 1 << (cpu % 8);
        }
        status_of(self.with(|ring| match mask.is_empty() {
            true => ring.registrar().unregister_worker_affinity(),
            false => ring.registrar().worker_affinity(&mask),
        }))
    }

    /// The limits before as [bounded, unbounded], or one negative errno.
    #[napi]
    pub fn set_worker_limits(&self, bounded: u32, unbounded: u32) -> Vec<f64> {
        match self.with(|ring| ring.registrar().worker_limits([bounded, unbounded])) {
            Ok(before) => before.map(f64::from).to_vec(),
            Err(errno) => vec![f64::from(errno)],
        }
    }

    /// The settings before as [busyPollUs, preferBusyPoll, tracking], or one negative errno.
    #[napi]
    pub fn register_napi(
        &self,
        busy_poll_us: u32,
        prefer_busy_poll: bool,
        tracks_statically: bool,
    ) -> Vec<f64> {
        let tracking = match tracks_statically {
            true => NapiTracking::Static,
            false => NapiTracking::Dynamic,
        };
        let napi = Napi {
            busy_poll_us,
            prefer_busy_poll,
            tracking,
        };
        napi_settings(self.with(|ring| ring.registrar().napi(napi)))
    }

    #[napi]
    pub fn unregister_napi(&self) -> Vec<f64> {
        napi_settings(self.with(|ring| ring.registrar().unregister_napi()))
    }

    #[napi]
    pub fn napi_id(&self, id: u32, add: bool) -> i32 {
        status_of(self.with(|ring| ring.registrar().napi_id(id, add)))
    }

    #[napi]
    pub fn set_clock(&self, boottime: bool) -> i32 {
        let clock = match boottime {
            true => libc::CLOCK_BOOTTIME,
            false => libc::CLOCK_MONOTONIC,
        };
        status_of(self.with(|ring| ring.set_clock(clock)))
    }
}

fn napi_settings(result: Result<Napi, i32>) -> Vec<f64> {
    match result {
        Ok(napi) => {
            let tracking = f64::from(napi.tracking as u32);
            vec![
                f64::from(napi.busy_poll_us),
                f64::from(u8::from(napi.prefer_busy_poll)),
                tracking,
            ]
        }
        Err(errno) => vec![f64::from(errno)],
    }
}

/// Tags are whole numbers up to 2^53 - 1; Rust refuses what is too large.
fn tag_of(tag: f64) -> u64 {
    tag as u64
}

/// What the kernel has: [registrations, features, setup, enter, sqe flags, operation, operation, ...], or one negative
/// errno. Masks have less than 53 bits.
#[napi]
pub fn probe() -> Vec<f64> {
    match uring_core::probe::kernel() {
        Ok(kernel) => {
            let masks = [
                kernel.registrations,
                kernel.features,
                kernel.setup_flags,
                kernel.enter_flags,
                kernel.sqe_flags,
            ];
            let masks = masks.into_iter().map(|mask| mask as f64);
            masks
                .chain(kernel.operations.into_iter().map(f64::from))
                .collect()
        }
        Err(error) => vec![f64::from(failed(&error))],
    }
}

/// Posts a completion to a ring by its token, from a thread that need not have one; -ESTALE if there is no such ring.
#[napi]
pub fn send_message(token: f64, res: i32, number: f64) -> i32 {
    let sent = uring_core::register::send_message(token as u64, res, tag_of(number));
    status_of(sent.map_err(|error| failed(&error)))
}
