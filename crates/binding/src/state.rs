//! What one ring holds on this side of Node-API, shared by the class instance, the hot functions, the libuv
//! handles and the cleanup hook.

use crate::event_loop::EventLoop;
use napi::sys;
use std::cell::{Cell, RefCell};
use std::ffi::c_void;
use std::ptr;
use std::rc::Rc;
use std::time::Duration;
use uring_core::ring::Ring;

/// How long the end of an environment (worker.terminate(), the end of a process) may wait for the kernel.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

pub struct State {
    pub env: sys::napi_env,
    /// Gone once the ring has come to rest after `close`. Never borrowed while JavaScript runs.
    pub core: RefCell<Option<Ring>>,
    pub event_loop: RefCell<Option<EventLoop>>,
    /// The environment is ending: no more calls into JavaScript.
    pub ended: Cell<bool>,
    hook: Cell<sys::napi_async_cleanup_hook_handle>,
    /// What was counted of a ring that is gone.
    totals: Cell<Totals>,
}

/// Counters that only grow: those of the ring in the order of its `Stats`, and those of its event loop.
#[derive(Clone, Copy, Default)]
pub struct Totals {
    pub ring: [u64; 5],
    pub event_loop: [u64; 3],
}

impl State {
    pub fn new(env: sys::napi_env, ring: Ring) -> Rc<State> {
        let state = Rc::new(State {
            env,
            core: RefCell::new(Some(ring)),
            event_loop: RefCell::new(None),
            ended: Cell::new(false),
            hook: Cell::new(ptr::null_mut()),
            totals: Cell::default(),
        });
        let mut handle = ptr::null_mut();
        let share = Rc::into_raw(state.clone());
        // SAFETY: the share keeps the state alive until the hook runs or `remove_hook` takes it back. The raw hook,
        // because napi-rs' own removes itself before uv_close is through (docs/measured.md).
        let status = unsafe {
            sys::napi_add_async_cleanup_hook(
                env,
                Some(on_environment_end),
                share.cast_mut().cast(),
                &mut handle,
            )
        };
        if status == sys::Status::napi_ok {
            state.hook.set(handle);
        } else {
            // SAFETY: Node-API did not take the share, so it is still ours to drop.
            drop(unsafe { Rc::from_raw(share) });
        }
        state
    }

    /// The ring is closed: the end of the environment no longer concerns it.
    pub fn remove_hook(self: &Rc<State>) {
        let handle = self.hook.replace(ptr::null_mut());
        if handle.is_null() {
            return;
        }
        // SAFETY: the handle is removed once, because `replace` left null behind; when the hook has not run yet, its
        // share is dropped here, and `self` still holds another.
        unsafe {
            sys::napi_remove_async_cleanup_hook(handle);
            if !self.ended.get() {
                Rc::decrement_strong_count(Rc::as_ptr(self));
            }
        }
    }

    pub fn totals(&self) -> Totals {
        match self.core.borrow().as_ref() {
            Some(ring) => self.totals_of(ring),
            None => self.totals.get(),
        }
    }

    fn totals_of(&self, ring: &Ring) -> Totals {
        let stats = ring.stats();
        Totals {
            ring: [
                stats.enters,
                stats.submitted,
                stats.completed,
                stats.overflows,
                stats.refused,
            ],
            event_loop: EventLoop::counts(self),
        }
    }

    /// Lets go of a ring that has come to rest.
    pub fn finish(&self) {
        self.totals.set(self.totals());
        drop(self.core.borrow_mut().take());
    }

    /// Without JavaScript: cancel, wait a bounded time, then let go of the ring (which leaks what is still in use).
    pub fn drain(&self) {
        if let Some(mut ring) = self.core.borrow_mut().take() {
            ring.drain(DRAIN_LIMIT);
            self.totals.set(self.totals_of(&ring));
        }
    }
}

unsafe extern "C" fn on_environment_end(handle: sys::napi_async_cleanup_hook_handle, share: *mut c_void) {
    // SAFETY: this is the share that `State::new` gave to the hook; the hook runs once, and `remove_hook` has not.
    let state = unsafe { Rc::from_raw(share.cast::<State>()) };
    state.ended.set(true);
    state.hook.set(handle);
    state.drain();
    if state.event_loop.borrow().is_some() {
        // The hook is removed when libuv has closed the handles; until then Node keeps the loop running.
        EventLoop::close(&state);
    } else {
        state.remove_hook();
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // Reached only without a hook: a ring that never came to rest is drained by it.
        self.drain();
    }
}
