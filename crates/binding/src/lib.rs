//! The Node-API side of `uring-core`: a class for the cold calls, raw functions for the hot ones (`hot`), and the
//! tie to the libuv loop (`event_loop`). Errors cross as negative errnos; TypeScript makes them Node's.

mod callbacks;
mod event_loop;
mod external;
mod hot;
mod limits;
pub mod position;
pub mod process;
pub mod registrar;
pub mod setup;
mod shared_memory;
pub mod sockets;
pub mod split;
mod state;
mod uv;

use event_loop::EventLoop;
use external::Release;
use napi::bindgen_prelude::{Env, FromNapiValue, Function, JsValue, Unknown};
use napi_derive::napi;
use state::State;
use std::io;
use std::rc::Rc;
use uring_core::ring::Ring;

pub(crate) fn failed(error: &io::Error) -> i32 {
    -error.raw_os_error().unwrap_or(libc::EIO)
}

/// Version of the package that this was built from: TypeScript takes no other than its own.
#[napi]
pub fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

/// The cold calls of one ring. TypeScript has checked the arguments' types and ranges.
#[napi]
pub struct NativeRing {
    pub(crate) state: Rc<State>,
}

impl NativeRing {
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Ring) -> io::Result<T>) -> Result<T, i32> {
        match self.state.core.borrow_mut().as_mut() {
            Some(ring) => act(ring).map_err(|error| failed(&error)),
            None => Err(-libc::EBADF),
        }
    }

    /// What gives up an arena of this ring, as long as there is one.
    pub(crate) fn release(&self, handle: u32) -> Release {
        let state = Rc::downgrade(&self.state);
        Box::new(move || {
            if let Some(state) = state.upgrade()
                && let Some(ring) = state.core.borrow_mut().as_mut()
            {
                ring.release_arena(handle);
            }
        })
    }

    pub(crate) fn number(&self, act: impl FnOnce(&mut Ring) -> io::Result<u32>) -> f64 {
        self.with(act).map_or_else(f64::from, f64::from)
    }
}

pub(crate) fn value<'env>(env: &Env, raw: Option<napi::sys::napi_value>) -> napi::Result<Unknown<'env>> {
    let raw =
        raw.ok_or_else(|| napi::Error::from_reason("this runtime does not allow external ArrayBuffers"))?;
    // SAFETY: the value was made by Node-API for this environment in the call that is under way.
    unsafe { Unknown::from_napi_value(env.raw(), raw) }
}

#[napi]
impl NativeRing {
    /// The block that both sides share (see `uring_core::shared`).
    #[napi(ts_return_type = "ArrayBuffer")]
    pub fn shared<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        let mapping = self.with(|ring| Ok(ring.shared().mapping().clone()));
        let raw = mapping
            .ok()
            .and_then(|m| external::array_buffer(env.raw(), &m, m.size_bytes(), None));
        value(env, raw)
    }

    #[napi(ts_return_type = "HotFunctions")]
    pub fn hot<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        value(env, hot::functions(env.raw(), &self.state))
    }

    /// Counters in the order of `uring_core::ring::Stats`, then registered and unregistered arena bytes, arenas, file slots,
    /// buffers lent, which a closed ring has none of, and those of the event loop.
    #[napi]
    pub fn stats(&self) -> Vec<f64> {
        let held = self.with(|ring| {
            let (registered, unregistered) = ring.tables.arenas.sizes();
            let arenas = ring.tables.arenas.count() as u64;
            let slots = ring
                .tables
                .files
                .as_ref()
                .map_or(0, |files| u64::from(files.in_use()));
            let lent = u64::from(ring.tables.groups.all_lent());
            Ok([registered, unregistered, arenas, slots, lent])
        });
        let totals = self.state.totals();
        let all = totals
            .ring
            .into_iter()
            .chain(held.unwrap_or_default())
            .chain(totals.event_loop);
        all.map(|count| count as f64).collect()
    }

    /// A new arena as {handle, registered, memory}, or a negative errno.
    #[napi(ts_return_type = "NativeArena | number")]
    pub fn alloc<'env>(
        &self,
        env: &'env Env,
        size_bytes: f64,
        register: bool,
    ) -> napi::Result<Unknown<'env>> {
        let create = |size_bytes| self.with(|ring| ring.create_arena(size_bytes, register));
        external::new_arena(env, size_bytes, create, |handle| self.release(handle))
    }

    /// Ties the ring to the event loop; `deliver` is called when completions can be read, `closed` at the end.
    #[napi]
    pub fn attach(&self, deliver: Function<i32, ()>, closed: Function<i32, ()>) -> i32 {
        EventLoop::attach(&self.state, deliver.raw(), closed.raw())
            .err()
            .unwrap_or(0)
    }

    /// Refuses new work and cancels everything; `closed` is called when the last completion is in. Attach first.
    #[napi]
    pub fn close(&self) -> i32 {
        let result = status_of(self.with(Ring::begin_close));
        EventLoop::wake(&self.state);
        result
    }

    /// JavaScript has changed in the shared block what shall keep the process alive.
    #[napi]
    pub fn refresh(&self) {
        EventLoop::refresh(&self.state);
    }

    /// Closes a ring that cannot be tied to a loop: cancels, and waits a bounded time.
    #[napi]
    pub fn close_now(&self) {
        self.state.drain();
    }

    /// What kind of socket a descriptor is (SO_TYPE), or a negative errno.
    #[napi]
    pub fn socket_type(&self, fd: i32) -> i32 {
        let mut kind: libc::c_int = 0;
        let mut size_bytes = size_of::<libc::c_int>() as libc::socklen_t;
        // SAFETY: the kernel writes at most `size_bytes` bytes, which is the size of the local they go to.
        let result = unsafe {
            let value = std::ptr::from_mut(&mut kind).cast();
            libc::getsockopt(fd, libc::SOL_SOCKET, libc::SO_TYPE, value, &mut size_bytes)
        };
        if result < 0 {
            failed(&io::Error::last_os_error())
        } else {
            kind
        }
    }

    /// Cancels again: an operation that was on its way between two queues escapes a single request.
    #[napi]
    pub fn cancel_all(&self) -> i32 {
        status_of(self.with(Ring::cancel_everything))
    }
}

/// Credentials of the process may have changed: `process.setuid` and the like were called.
#[napi]
pub fn credentials_may_have_changed() {
    uring_core::credentials::may_have_changed();
}

pub(crate) fn status_of(result: Result<(), i32>) -> i32 {
    result.err().unwrap_or(0)
}

pub(crate) fn number_value<'env>(env: &Env, number: i32) -> napi::Result<Unknown<'env>> {
    let mut raw = std::ptr::null_mut();
    // SAFETY: makes a number in the scope of the call that is under way.
    unsafe { napi::sys::napi_create_int32(env.raw(), number, &mut raw) };
    value(env, Some(raw))
}
