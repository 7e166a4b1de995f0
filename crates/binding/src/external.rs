//! Rust-owned memory as ArrayBuffers. The finalizer only drops JavaScript's share of the mapping: operations in
//! flight hold their own (principle 1).

use crate::state::State;
use napi::sys;
use std::ffi::c_void;
use std::rc::Weak;
use std::sync::Arc;
use uring_core::memory::Mapping;

/// JavaScript's share of a mapping, and the arena to give up with it.
struct Share {
    mapping: Arc<Mapping>,
    arena: Option<(Weak<State>, u32)>,
}

/// An ArrayBuffer over the first `size_bytes` of a mapping. `arena` is released when JavaScript lets it go.
pub fn array_buffer(
    env: sys::napi_env,
    mapping: &Arc<Mapping>,
    size_bytes: usize,
    arena: Option<(Weak<State>, u32)>,
) -> Option<sys::napi_value> {
    assert!(size_bytes <= mapping.size_bytes());
    let share = Box::into_raw(Box::new(Share {
        mapping: mapping.clone(),
        arena,
    }));
    let mut value = std::ptr::null_mut();
    // SAFETY: the memory stays mapped at least until `finalize` has dropped the share.
    let status = unsafe {
        sys::napi_create_external_arraybuffer(
            env,
            mapping.start().cast(),
            size_bytes,
            Some(finalize),
            share.cast(),
            &mut value,
        )
    };
    if status == sys::Status::napi_no_external_buffers_allowed {
        // SAFETY: this is answered before anything is made, so the box is still ours alone.
        drop(unsafe { Box::from_raw(share) });
    }
    // On any other failure Node may have called the finalizer already, or may yet: what is left is leaked.
    if status != sys::Status::napi_ok {
        return None;
    }
    Some(value)
}

unsafe extern "C" fn finalize(env: sys::napi_env, _data: *mut c_void, share: *mut c_void) {
    // SAFETY: the hint is the box made in `array_buffer`, and a finalizer runs once.
    let share = unsafe { Box::from_raw(share.cast::<Share>()) };
    if !can_run_javascript(env) {
        // At the end of an environment Node finalizes buffers that live on in another thread: one that was detached and
        // posted with its memory. Nobody may be given those addresses.
        share.mapping.keep_addresses();
    }
    if let Some((state, handle)) = &share.arena
        && let Some(state) = state.upgrade()
        && let Some(ring) = state.core.borrow_mut().as_mut()
    {
        // Finalizers run on a turn of the loop of their own, never inside one of our calls (docs/measured.md).
        ring.release_arena(*handle);
    }
}

/// Whether the environment is in full use, and not at its end (terminated, exiting).
pub fn can_run_javascript(env: sys::napi_env) -> bool {
    let mut scope = std::ptr::null_mut();
    let mut object = std::ptr::null_mut();
    let mut has = false;
    // SAFETY: on the environment's thread. Looking for a property can run JavaScript, so Node-API refuses it when none
    // may run; this one is looked for in an object that has none.
    unsafe {
        if sys::napi_open_handle_scope(env, &mut scope) != sys::Status::napi_ok {
            return false;
        }
        let can_run = sys::napi_create_object(env, &mut object) == sys::Status::napi_ok
            && sys::napi_has_named_property(env, object, c"x".as_ptr(), &mut has) == sys::Status::napi_ok;
        sys::napi_close_handle_scope(env, scope);
        can_run
    }
}
