//! The calls on the hot path: raw Node-API callbacks bound to one ring. A method of a napi-rs class costs 150 ns,
//! one of these under 10 (docs/measured.md). They take numbers, answer a count or a negative errno, and never
//! throw; everything else crosses in the shared block.

use crate::event_loop::EventLoop;
use crate::external::can_run_javascript;
use crate::limits::milliseconds;
use crate::state::State;
use napi::sys;
use std::ffi::c_void;
use std::io;
use std::ptr;
use std::rc::Rc;
use std::time::{Duration, Instant};
use uring_core::enter::{End, Wait};
use uring_core::ring::Ring;

const WAIT_SLICE: Duration = Duration::from_millis(100);

/// An object with the hot functions of a ring.
pub fn functions(env: sys::napi_env, state: &Rc<State>) -> Option<sys::napi_value> {
    let mut object = ptr::null_mut();
    // SAFETY: on the environment's thread, inside a call from JavaScript.
    if unsafe { sys::napi_create_object(env, &mut object) } != sys::Status::napi_ok {
        return None;
    }
    type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> sys::napi_value;
    let functions: [(&str, Callback); 4] = [
        ("submit", submit),
        ("submitAndWait", submit_and_wait),
        ("collect", collect),
        ("wake", wake),
    ];
    for (name, callback) in functions {
        let share = Rc::into_raw(state.clone()).cast_mut().cast::<c_void>();
        let mut function = ptr::null_mut();
        // SAFETY: the share is the function's data, and lives until the function's finalizer gives it back.
        let status = unsafe {
            sys::napi_create_function(
                env,
                name.as_ptr().cast(),
                name.len() as isize,
                Some(callback),
                share,
                &mut function,
            );
            sys::napi_add_finalizer(
                env,
                function,
                share,
                Some(drop_share),
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        if status != sys::Status::napi_ok {
            // SAFETY: without a finalizer nobody else will give this share back.
            unsafe { drop(Rc::from_raw(share.cast::<State>())) };
            return None;
        }
        let key = std::ffi::CString::new(name).ok()?;
        // SAFETY: both values were made in this call.
        unsafe { sys::napi_set_named_property(env, object, key.as_ptr(), function) };
    }
    Some(object)
}

unsafe extern "C" fn drop_share(_env: sys::napi_env, share: *mut c_void, _hint: *mut c_void) {
    // SAFETY: the finalizer of a function made in `functions`, which runs once.
    drop(unsafe { Rc::from_raw(share.cast::<State>()) });
}

/// The ring behind a call and its first two arguments.
///
/// # Safety
/// `info` must come from a call of a function made in `functions`, which is alive during the call.
unsafe fn called<'a, const N: usize>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
) -> (&'a State, [sys::napi_value; N]) {
    let mut data = ptr::null_mut();
    let mut count = N;
    let mut values = [ptr::null_mut(); N];
    // SAFETY: Node-API fills at most `count` values and sets missing ones to undefined; the data is the share that
    // the function holds, so it outlives the call.
    unsafe {
        sys::napi_get_cb_info(
            env,
            info,
            &mut count,
            values.as_mut_ptr(),
            ptr::null_mut(),
            &mut data,
        );
        (&*data.cast::<State>(), values)
    }
}

fn act(state: &State, action: impl FnOnce(&mut Ring) -> io::Result<u32>) -> i32 {
    match state.core.borrow_mut().as_mut().map(action) {
        Some(Ok(count)) => count as i32,
        Some(Err(error)) => -error.raw_os_error().unwrap_or(libc::EIO),
        None => -libc::EBADF,
    }
}

fn number(env: sys::napi_env, value: i32) -> sys::napi_value {
    let mut result = ptr::null_mut();
    // SAFETY: makes a number in the scope of the call that is under way.
    unsafe { sys::napi_create_int32(env, value, &mut result) };
    result
}

unsafe extern "C" fn submit(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: only reachable through `functions`.
    let (state, []) = unsafe { called(env, info) };
    number(env, act(state, Ring::submit))
}

unsafe extern "C" fn submit_and_wait(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: only reachable through `functions`.
    let (state, [want, timeout_ms, min_wait_ms, deadline_ns]) = unsafe { called(env, info) };
    let (mut want_value, mut timeout_value, mut min_wait_value) = (0u32, -1f64, 0f64);
    let (mut deadline_value, mut lossless) = (0u64, false);
    // SAFETY: the values belong to this call; a wrong type leaves the defaults (TypeScript has checked them).
    let has_deadline = unsafe {
        sys::napi_get_value_uint32(env, want, &mut want_value);
        sys::napi_get_value_double(env, timeout_ms, &mut timeout_value);
        sys::napi_get_value_double(env, min_wait_ms, &mut min_wait_value);
        sys::napi_get_value_bigint_uint64(env, deadline_ns, &mut deadline_value, &mut lossless)
            == sys::Status::napi_ok
    };
    let end = if has_deadline {
        // One that does not fit is in a few hundred years.
        End::At(if lossless { deadline_value } else { u64::MAX })
    } else {
        milliseconds(timeout_value).map_or(End::Never, End::After)
    };
    let min_wait = milliseconds(min_wait_value).unwrap_or_default();
    number(env, wait(env, state, want_value, Wait { end, min_wait }))
}

/// What to wait for now: no longer than a slice. Answers whether it is the last one.
fn slice(ring: &Ring, end: End, started: Instant) -> (End, bool) {
    match end {
        End::Never => (End::After(WAIT_SLICE), false),
        End::After(timeout) => {
            let left = timeout.saturating_sub(started.elapsed());
            (End::After(left.min(WAIT_SLICE)), left <= WAIT_SLICE)
        }
        End::At(ns) => {
            let slice_end = ring.clock_ns() + WAIT_SLICE.as_nanos() as u64;
            (End::At(ns.min(slice_end)), ns <= slice_end)
        }
    }
}

/// Waits in slices, because `worker.terminate()` and `process.exit()` wait for this thread, and cannot interrupt it.
fn wait(env: sys::napi_env, state: &State, want: u32, whole: Wait) -> i32 {
    let started = Instant::now();
    let mut taken = 0;
    let mut want = want;
    loop {
        let min_wait = match whole.min_wait {
            Duration::ZERO => Duration::ZERO,
            min_wait => min_wait.saturating_sub(started.elapsed()),
        };
        if min_wait.is_zero() && !whole.min_wait.is_zero() {
            want = want.min(1);
        }
        let (mut ready, mut is_last) = (0, true);
        let result = act(state, |ring| {
            let end;
            (end, is_last) = slice(ring, whole.end, started);
            let taken = ring.submit_and_wait_for(want, Wait { end, min_wait })?;
            ready = ring.ready();
            Ok(taken)
        });
        if result < 0 {
            return result;
        }
        taken += result;
        // With a minimum that ended in this slice, one is enough.
        let is_enough =
            ready >= want || (ready > 0 && !min_wait.is_zero() && started.elapsed() >= whole.min_wait);
        if is_enough || is_last || !can_run_javascript(env) {
            return taken;
        }
    }
}

/// Answers how many completions can be read.
unsafe extern "C" fn collect(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: only reachable through `functions`.
    let (state, []) = unsafe { called(env, info) };
    number(env, act(state, |ring| ring.collect().map(|()| ring.ready())))
}

unsafe extern "C" fn wake(env: sys::napi_env, info: sys::napi_callback_info) -> sys::napi_value {
    // SAFETY: only reachable through `functions`.
    let (state, []) = unsafe { called(env, info) };
    EventLoop::wake(state);
    ptr::null_mut()
}
