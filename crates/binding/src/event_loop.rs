//! A ring on Node's event loop.
//!
//! Three libuv handles: a *prepare* handle submits what one turn of the loop has prepared, just before the loop
//! waits; a *poll* handle on an eventfd wakes the loop when completions arrive meanwhile (the ring's own
//! descriptor never wakes it on a DEFER_TASKRUN ring, docs/measured.md); an *idle* handle keeps the
//! loop from waiting while there is more to do than one turn may take.

use crate::callbacks::{Call, Callbacks};
use crate::state::State;
use crate::uv::{self, Handle, Loop, Uv};
use napi::sys;
use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::rc::Rc;
use uring_core::ring::{Ring, is_busy};
use uring_core::shared::Word;

/// Rounds of submit, reap and deliver in one turn of the loop: enough to make its cost disappear, few enough that
/// timers and sockets of others get their turn after about a millisecond.
const ROUNDS_MAX: u32 = 64;
const COMPLETIONS_MAX: u32 = 1024;

#[derive(Clone, Copy, Default)]
struct Counts {
    /// Times that the eventfd woke the loop.
    wakes: u64,
    /// Pumps that delivered something, and those that ended with more to deliver.
    turns: u64,
    full_turns: u64,
}

thread_local! {
    /// Rings on this thread's loop.
    static ATTACHED: Cell<u32> = const { Cell::new(0) };
}

pub struct EventLoop {
    uv: &'static Uv,
    poll: Handle,
    prepare: Handle,
    idle: Handle,
    /// Memory of the three handles, as large as libuv says they are.
    _memory: [Box<[u128]>; 3],
    /// None where the loop waits for the ring's own descriptor.
    eventfd: Option<OwnedFd>,
    callbacks: Callbacks,
    /// Something may still come: the ring must not be collected.
    held: Cell<bool>,
    /// The handle keeps the process alive.
    referenced: Cell<bool>,
    pumping: Cell<bool>,
    /// The loop was told not to wait; only a pump ends that.
    hurrying: Cell<bool>,
    counts: Cell<Counts>,
    /// Handles that libuv has not closed yet; 0 while they are open.
    closing: Cell<u32>,
}

fn handle_memory(uv: &Uv, kind: c_int) -> Box<[u128]> {
    // SAFETY: asks libuv for a number.
    let size_bytes = unsafe { (uv.handle_size)(kind) };
    vec![0u128; size_bytes.div_ceil(size_of::<u128>())].into_boxed_slice()
}

fn new_eventfd() -> Result<OwnedFd, i32> {
    // SAFETY: makes a new descriptor.
    let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
    if fd < 0 {
        return Err(-std::io::Error::last_os_error()
            .raw_os_error()
            .unwrap_or(libc::EMFILE));
    }
    // SAFETY: owned from here on.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn errno(status: c_int) -> Result<(), i32> {
    if status < 0 { Err(status) } else { Ok(()) }
}

impl EventLoop {
    /// Ties the ring to the loop of its environment. `deliver` is called when completions can be read, `closed` when
    /// the ring is gone. Answers a negative errno on failure.
    pub fn attach(state: &Rc<State>, deliver: sys::napi_value, closed: sys::napi_value) -> Result<(), i32> {
        if state.event_loop.borrow().is_some() {
            return Ok(());
        }
        let uv = uv::uv().ok_or(-libc::ENOSYS)?;
        let mut event_loop: *mut sys::uv_loop_s = ptr::null_mut();
        // SAFETY: called on the thread of the environment, as every Node-API function here.
        if unsafe { sys::napi_get_uv_event_loop(state.env, &mut event_loop) } != sys::Status::napi_ok {
            return Err(-libc::ENOSYS);
        }
        let (eventfd, waited_for) = match state.core.borrow_mut().as_mut() {
            // Registering an eventfd would wait for what is in flight; and these kernels know no DEFER_TASKRUN.
            Some(ring) if ring.registering_waits() => (None, ring.fd()),
            Some(ring) => {
                let eventfd = new_eventfd()?;
                let fd = eventfd.as_raw_fd();
                ring.set_eventfd(fd)
                    .map_err(|e| -e.raw_os_error().unwrap_or(libc::EINVAL))?;
                (Some(eventfd), fd)
            }
            None => return Err(-libc::EBADF),
        };
        let mut memory = [uv::UV_POLL, uv::UV_PREPARE, uv::UV_IDLE].map(|kind| handle_memory(uv, kind));
        let [poll, prepare, idle] = [0, 1, 2].map(|at| memory[at].as_mut_ptr().cast::<c_void>());
        let event_loop: Loop = event_loop.cast();
        // SAFETY: each handle has as much memory as libuv asked for; it is freed only after its close callback. If
        // the first init fails nothing was started; the others cannot fail (libuv src/uv-common.c).
        unsafe {
            if let Err(errno) = errno((uv.poll_init)(event_loop, poll, waited_for)) {
                if eventfd.is_some() {
                    with_ring(state, Ring::clear_eventfd);
                }
                return Err(errno);
            }
            (uv.prepare_init)(event_loop, prepare);
            (uv.idle_init)(event_loop, idle);
            let share = Rc::into_raw(state.clone()).cast_mut().cast::<c_void>();
            for handle in [poll, prepare, idle] {
                (uv.handle_set_data)(handle, share);
                (uv.unreference)(handle);
            }
            (uv.prepare_start)(prepare, on_prepare);
            // Fails only for handles that are closing (libuv src/unix/poll.c).
            (uv.poll_start)(poll, uv::UV_READABLE, on_readable);
        }
        let callbacks = Callbacks::new(state.env, deliver, closed);
        ATTACHED.set(ATTACHED.get() + 1);
        *state.event_loop.borrow_mut() = Some(EventLoop {
            uv,
            poll,
            prepare,
            idle,
            _memory: memory,
            eventfd,
            callbacks,
            held: Cell::new(false),
            referenced: Cell::new(false),
            pumping: Cell::new(false),
            hurrying: Cell::new(false),
            counts: Cell::default(),
            closing: Cell::new(0),
        });
        Ok(())
    }

    /// Keeps the process alive from here on, as far as the ring shall; called when an operation is started.
    pub fn wake(state: &State) {
        Self::with(state, |event_loop| {
            event_loop.set_held(state, true);
            let shall = |ring: &Ring| ring.is_closing() || ring.shared().get(Word::Unref) == 0;
            event_loop.set_referenced(state, state.core.borrow().as_ref().is_some_and(shall));
        });
    }

    /// JavaScript has changed what shall keep the process alive.
    pub fn refresh(state: &State) {
        let keeps = state.core.borrow().as_ref().is_some_and(keeps_alive);
        Self::with(state, |event_loop| {
            event_loop.set_referenced(state, event_loop.held.get() && keeps);
        });
    }

    fn set_held(&self, state: &State, held: bool) {
        if self.closing.get() > 0 || self.held.replace(held) == held {
            return;
        }
        let mut count = 0;
        // SAFETY: the reference is deleted only with the callbacks, when the handles are closed (`closing` is 0).
        unsafe {
            if held {
                sys::napi_reference_ref(state.env, self.callbacks.deliver, &mut count);
            } else {
                // From here on the ring can be collected, if nobody holds it.
                sys::napi_reference_unref(state.env, self.callbacks.deliver, &mut count);
            }
        }
    }

    fn set_referenced(&self, state: &State, referenced: bool) {
        if self.closing.get() > 0 || self.referenced.replace(referenced) == referenced {
            return;
        }
        // SAFETY: the handle is open (`closing` is 0).
        unsafe {
            if referenced {
                (self.uv.reference)(self.poll);
            } else {
                (self.uv.unreference)(self.poll);
            }
        }
        if let Some(ring) = state.core.borrow().as_ref() {
            ring.shared().set(Word::Referenced, u32::from(referenced));
        }
    }

    /// Submits, reaps and delivers, as often as that leads to more of the same, within the limits of one turn.
    fn pump(state: &Rc<State>, phase: Phase) {
        let Some(pumping) = Self::with(state, |event_loop| event_loop.pumping.replace(true)) else {
            return;
        };
        if pumping {
            return;
        }
        with_ring(state, |ring| ring.set_eventfd_enabled(false));
        let deliver = Self::with(state, |event_loop| {
            Call::new(
                state.env,
                event_loop.callbacks.deliver,
                event_loop.callbacks.context,
            )
        });
        let mut rounds = 0;
        let mut delivered = 0;
        while rounds < ROUNDS_MAX && delivered < COMPLETIONS_MAX && !state.ended.get() {
            let Some((unread, fatal)) = with_ring(state, submit) else {
                break;
            };
            if unread == 0 && fatal == 0 && !with_ring(state, has_room_for_pending).unwrap_or(false) {
                break;
            }
            if !deliver
                .as_ref()
                .is_some_and(|deliver| hand_over(state, deliver, (unread, fatal)))
            {
                break;
            }
            rounds += 1;
            delivered += unread;
        }
        drop(deliver);
        Self::with(state, |event_loop| event_loop.pumping.set(false));
        let is_full = rounds == ROUNDS_MAX || delivered >= COMPLETIONS_MAX;
        Self::count(state, |counts| {
            counts.turns += u64::from(rounds > 0);
            counts.full_turns += u64::from(is_full);
        });
        // What was called may have given work to a ring whose prepare handle has had its turn already.
        let again = phase == Phase::Prepare && delivered > 0 && ATTACHED.get() > 1;
        Self::settle(state, again);
    }

    /// After a pump: wait for the eventfd, or come again at once, or finish closing.
    fn settle(state: &Rc<State>, again: bool) {
        let rest = with_ring(state, |ring| {
            ring.set_eventfd_enabled(true);
            let caught_up = ring.catch_up();
            let has_work = !caught_up || ring.has_work() || has_room_for_pending(ring);
            let at_rest = nothing_comes(ring) && !has_work && ring.shared().get(Word::Pending) == 0;
            (has_work, at_rest, keeps_alive(ring), ring.is_closing())
        });
        match rest {
            Some((_, true, _, true)) => {
                state.finish();
                EventLoop::close(state);
            }
            Some((has_work, at_rest, keeps, _)) => {
                Self::with(state, |event_loop| {
                    event_loop.hurrying.set(has_work || again);
                    // SAFETY: the handle is open as long as the ring is there.
                    unsafe {
                        if has_work || again {
                            (event_loop.uv.idle_start)(event_loop.idle, on_idle);
                        } else {
                            (event_loop.uv.idle_stop)(event_loop.idle);
                        }
                    }
                    event_loop.set_held(state, !at_rest);
                    event_loop.set_referenced(state, !at_rest && keeps);
                });
            }
            None => {}
        }
    }

    /// Closes the libuv handles; the rest follows in `on_handle_closed`.
    pub fn close(state: &Rc<State>) {
        Self::with(state, |event_loop| {
            if event_loop.closing.get() > 0 {
                return;
            }
            event_loop.closing.set(3);
            for handle in [event_loop.poll, event_loop.prepare, event_loop.idle] {
                // SAFETY: an open handle of this loop, closed once; its memory lives until the close callback.
                unsafe { (event_loop.uv.close)(handle, on_handle_closed) };
            }
        });
    }

    fn count(state: &State, act: impl FnOnce(&mut Counts)) {
        Self::with(state, |event_loop| {
            let mut counts = event_loop.counts.get();
            act(&mut counts);
            event_loop.counts.set(counts);
        });
    }

    /// Wakes, turns in which something was delivered, and turns that ended with more to deliver.
    pub fn counts(state: &State) -> [u64; 3] {
        let counts = Self::with(state, |event_loop| event_loop.counts.get()).unwrap_or_default();
        [counts.wakes, counts.turns, counts.full_turns]
    }

    fn with<T>(state: &State, act: impl FnOnce(&EventLoop) -> T) -> Option<T> {
        state.event_loop.borrow().as_ref().map(act)
    }
}

fn with_ring<T>(state: &State, act: impl FnOnce(&mut Ring) -> T) -> Option<T> {
    state.core.borrow_mut().as_mut().map(act)
}

/// Answers the completions that JavaScript can read now, and an errno if the ring can no longer be entered.
fn submit(ring: &mut Ring) -> (u32, i32) {
    let was_broken = ring.is_broken();
    // Where the kernel is short of memory for now, what is queued stays queued, and the next turn tries again.
    if let Err(error) = ring.submit()
        && !was_broken
        && !is_busy(&error)
    {
        ring.break_down(error.raw_os_error().unwrap_or(libc::EIO));
    }
    (ring.shared().unread(), ring.take_news().unwrap_or(0))
}

fn has_room_for_pending(ring: &mut Ring) -> bool {
    let shared = ring.shared();
    shared.get(Word::Pending) > 0 && shared.prepared() < shared.sq_capacity() && !ring.is_broken()
}

/// Whether there is nothing to wait for: no operation, and no message of another ring.
fn nothing_comes(ring: &Ring) -> bool {
    let is_listening = ring.shared().get(Word::Listening) != 0 && !ring.is_closing();
    ring.is_broken() || ring.in_flight() == 0 && !is_listening
}

/// Whether what may come shall keep the process alive: anything, while the ring closes; else what is not unreferenced.
fn keeps_alive(ring: &Ring) -> bool {
    let shared = ring.shared();
    let is_referenced = |operations: u32| operations > shared.get(Word::Unreferenced);
    ring.is_closing()
        || shared.get(Word::Unref) == 0
            && (is_referenced(ring.in_flight() + shared.prepared() + shared.unread())
                || shared.get(Word::Listening) != 0
                || shared.get(Word::Waiting) > 0)
}

/// Where in a turn of the loop a pump runs: after polling every prepare handle still has its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Prepare,
    Poll,
}

/// Calls into JavaScript once for everything that can be read. Answers whether it is worth going on.
fn hand_over(state: &State, deliver: &Call, (unread, fatal): (u32, i32)) -> bool {
    let read = || with_ring(state, |ring| ring.shared().get(Word::CqHead));
    let before = read();
    let finished = deliver.call(fatal);
    let progressed = read() != before;
    if unread > 0 && !progressed {
        // Nobody reads them, if the ring was forgotten and is being closed.
        with_ring(state, |ring| ring.is_closing().then(|| ring.discard_unread()));
    }
    // An exception in a callback ends one call, not the delivery: the rest of the batch follows in the next.
    finished || (!state.ended.get() && progressed)
}

/// The state behind a handle, without taking its share.
///
/// # Safety
/// `handle` must be one of a ring's handles whose close callback has not run for all three.
unsafe fn state_of(handle: Handle) -> Option<Rc<State>> {
    let uv = uv::uv()?;
    // SAFETY: the data is the share that `attach` took with Rc::into_raw; it is given back after the last close
    // callback, so counting it up here keeps it alive for as long as this call needs it.
    unsafe {
        let data = (uv.handle_get_data)(handle).cast_const().cast::<State>();
        Rc::increment_strong_count(data);
        Some(Rc::from_raw(data))
    }
}

unsafe extern "C" fn on_prepare(handle: Handle) {
    // SAFETY: a callback of an open handle.
    let Some(state) = (unsafe { state_of(handle) }) else {
        return;
    };
    let told = EventLoop::with(&state, |event_loop| {
        (event_loop.hurrying.get(), event_loop.held.get())
    });
    let (hurrying, held) = told.unwrap_or_default();
    let work = with_ring(&state, |ring| {
        // Whoever listened may have stopped, which is no completion: the pump then lets the process end.
        hurrying
            || ring.has_work()
            || ring.is_closing()
            || has_room_for_pending(ring)
            || held && nothing_comes(ring)
    });
    if work == Some(true) {
        EventLoop::pump(&state, Phase::Prepare);
    }
}

unsafe extern "C" fn on_readable(handle: Handle, _status: c_int, _events: c_int) {
    // SAFETY: a callback of an open handle.
    let Some(state) = (unsafe { state_of(handle) }) else {
        return;
    };
    let eventfd = |event_loop: &EventLoop| event_loop.eventfd.as_ref().map(AsRawFd::as_raw_fd);
    if let Some(fd) = EventLoop::with(&state, eventfd).flatten() {
        let mut count = 0u64;
        // SAFETY: reads the eventfd's 8 bytes into a local; it is non-blocking, and nothing to read is fine.
        unsafe { libc::read(fd, ptr::from_mut(&mut count).cast(), 8) };
    }
    EventLoop::count(&state, |counts| counts.wakes += 1);
    EventLoop::pump(&state, Phase::Poll);
}

/// Does nothing: while it is active the loop does not wait, and the prepare handle does the work.
unsafe extern "C" fn on_idle(_handle: Handle) {}

unsafe extern "C" fn on_handle_closed(handle: Handle) {
    // SAFETY: the close callback of a handle whose siblings still hold the share.
    let Some(state) = (unsafe { state_of(handle) }) else {
        return;
    };
    let left = EventLoop::with(&state, |event_loop| {
        event_loop.closing.set(event_loop.closing.get() - 1);
        event_loop.closing.get()
    });
    if left != Some(0) {
        return;
    }
    ATTACHED.set(ATTACHED.get() - 1);
    let Some(event_loop) = state.event_loop.borrow_mut().take() else {
        return;
    };
    // SAFETY: this was the last of the three callbacks, so the share that `attach` took is given back, once.
    unsafe { Rc::decrement_strong_count(Rc::as_ptr(&state)) };
    state.remove_hook();
    if !state.ended.get() {
        Call::new(
            state.env,
            event_loop.callbacks.closed,
            event_loop.callbacks.context,
        )
        .call(0);
        event_loop.callbacks.delete(state.env);
    }
}
