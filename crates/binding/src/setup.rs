//! Opening a ring, and what becomes of it as a whole: its layout, enabling, its name, its sizes.

use crate::state::State;
use crate::{NativeRing, failed, status_of};
use napi::bindgen_prelude::Env;
use napi_derive::napi;
use std::os::fd::{AsRawFd, OwnedFd};
use uring_core::live;
use uring_core::ring::Ring;
use uring_core::setup::{self, Config, Sqpoll, TaskRun};
use uring_core::shared::{COMPLETION_WORDS, LARGE_COMPLETION_WORDS};
use uring_core::uapi;

#[napi(object)]
pub struct OpenOptions {
    pub entries: u32,
    pub cq_entries: u32,
    pub sqpoll_idle_ms: Option<u32>,
    pub sqpoll_cpu: Option<u32>,
    /// Token of a ring (`uring_core::live`).
    pub attach_to: Option<f64>,
    pub coop: bool,
    /// IORING_SETUP_* that are not to be dropped, and those that are not to be tried.
    pub required: u32,
    pub forbidden: u32,
    pub registered_wait: bool,
    pub io_wait: bool,
}

impl OpenOptions {
    fn config(&self, attach_to: Option<&OwnedFd>) -> Config {
        let sqpoll = self.sqpoll_idle_ms.map(|idle_ms| Sqpoll {
            idle_ms,
            cpu: self.sqpoll_cpu,
        });
        Config {
            entries: self.entries,
            cq_entries: self.cq_entries,
            sqpoll,
            attach_to: attach_to.map(AsRawFd::as_raw_fd),
            task_run: if self.coop { TaskRun::Coop } else { TaskRun::Defer },
            required: self.required,
            forbidden: self.forbidden,
            registered_wait: self.registered_wait,
            no_io_wait: !self.io_wait,
        }
    }
}

#[napi(object)]
pub struct Layout {
    pub sq_entries: u32,
    pub cq_entries: u32,
    /// Byte offsets in the shared block, the number of completion records in it, and the words of each.
    pub sq_offset: u32,
    pub completions_offset: u32,
    pub recycle_offset: u32,
    pub completions: u32,
    pub completion_words: u32,
    pub setup_flags: Vec<String>,
    pub features: u32,
    pub operations: Vec<u32>,
    pub fd: i32,
}

/// Opens a ring; answers a negative errno when the kernel refuses, -ESTALE if there is no ring to attach to.
#[napi(ts_return_type = "NativeRing | number")]
pub fn open(env: Env, options: OpenOptions) -> napi::Result<napi::Either<NativeRing, i32>> {
    // Held until the ring is open.
    let attach_to = options.attach_to.map(|token| live::find(token as u64));
    if matches!(attach_to, Some(None)) {
        return Ok(napi::Either::B(-libc::ESTALE));
    }
    Ok(
        match Ring::open(&options.config(attach_to.flatten().as_deref())) {
            Ok(ring) => napi::Either::A(NativeRing {
                state: State::new(env.raw(), ring),
            }),
            Err(error) => napi::Either::B(failed(&error)),
        },
    )
}

/// Of the setup flags asked for, those that this kernel does not know.
#[napi]
pub fn unknown_setup_flags(asked: u32) -> u32 {
    setup::unknown_flags(asked)
}

fn flag_names(flags: u32) -> Vec<String> {
    let names = uapi::SETUP_FLAGS.iter().enumerate();
    names
        .filter(|(bit, _)| flags & 1 << bit != 0)
        .map(|(_, name)| (*name).to_owned())
        .collect()
}

/// What JavaScript has to know of a ring.
pub(crate) fn layout_of(ring: &Ring) -> Layout {
    let [sq_offset, completions_offset, recycle_offset] = ring.shared().offsets();
    let completion_words = if ring.shared().is_large() {
        LARGE_COMPLETION_WORDS
    } else {
        COMPLETION_WORDS
    };
    Layout {
        sq_entries: ring.shared().sq_capacity(),
        cq_entries: ring.cq_entries(),
        sq_offset,
        completions_offset,
        recycle_offset,
        completions: ring.shared().cq_capacity(),
        completion_words: completion_words as u32,
        setup_flags: flag_names(ring.setup_flags()),
        features: ring.features(),
        operations: (0..=u8::MAX)
            .filter(|op| ring.supports(*op))
            .map(u32::from)
            .collect(),
        fd: ring.fd(),
    }
}

#[napi]
impl NativeRing {
    #[napi]
    pub fn layout(&self) -> Option<Layout> {
        self.with(|ring| Ok(layout_of(ring))).ok()
    }

    /// By which other rings find this one; -EBADF without a descriptor.
    #[napi]
    pub fn token(&self) -> f64 {
        self.with(Ring::token)
            .map_or_else(f64::from, |token| token as f64)
    }

    /// Starts a ring that was opened disabled.
    #[napi]
    pub fn enable(&self) -> i32 {
        status_of(self.with(Ring::enable))
    }

    /// Other sizes for the queues; the shared block and the layout are new ones afterwards.
    #[napi]
    pub fn resize(&self, sq_entries: u32, cq_entries: u32) -> i32 {
        status_of(self.with(|ring| ring.resize(sq_entries, cq_entries)))
    }

    #[napi]
    pub fn register_ring_fd(&self) -> i32 {
        status_of(self.with(Ring::register_ring_fd))
    }

    #[napi]
    pub fn unregister_ring_fd(&self) -> i32 {
        status_of(self.with(Ring::unregister_ring_fd))
    }
}
