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
    _mapping: Arc<Mapping>,
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
        _mapping: mapping.clone(),
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
    if status != sys::Status::napi_ok {
        // SAFETY: on failure Node-API does not take the hint, so the box is still ours alone.
        drop(unsafe { Box::from_raw(share) });
        return None;
    }
    Some(value)
}

unsafe extern "C" fn finalize(_env: sys::napi_env, _data: *mut c_void, share: *mut c_void) {
    // SAFETY: the hint is the box made in `array_buffer`, and a finalizer runs once.
    let share = unsafe { Box::from_raw(share.cast::<Share>()) };
    if let Some((state, handle)) = &share.arena
        && let Some(state) = state.upgrade()
        && let Some(ring) = state.core.borrow_mut().as_mut()
    {
        // Finalizers run on a turn of the loop of their own, never inside one of our calls (docs/measured.md).
        ring.release_arena(*handle);
    }
}
