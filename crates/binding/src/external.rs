//! Rust-owned memory as ArrayBuffers. The finalizer only drops JavaScript's share of the mapping: operations in
//! flight hold their own (principle 1).

use crate::{number_value, value};
use napi::bindgen_prelude::{Env, JsValue, Object, Unknown};
use napi::sys;
use std::ffi::c_void;
use std::sync::Arc;
use uring_core::arenas::NewArena;
use uring_core::memory::Mapping;

/// Offsets into an arena have 32 bits; half of that is the most that V8 gives an ArrayBuffer on every Node from 20 on.
pub const ARENA_BYTES_MAX: f64 = 2_147_483_648.0;

/// What gives up the arena with the last view of it.
pub type Release = Box<dyn FnOnce()>;

/// JavaScript's share of a mapping.
struct Share {
    mapping: Arc<Mapping>,
    release: Option<Release>,
}

/// An ArrayBuffer over the first `size_bytes` of a mapping. `release` is called when JavaScript lets it go.
pub fn array_buffer(
    env: sys::napi_env,
    mapping: &Arc<Mapping>,
    size_bytes: usize,
    release: Option<Release>,
) -> Option<sys::napi_value> {
    assert!(size_bytes <= mapping.size_bytes());
    let share = Box::into_raw(Box::new(Share {
        mapping: mapping.clone(),
        release,
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
    if let Some(release) = share.release {
        // Finalizers run on a turn of the loop of their own, never inside one of our calls (docs/measured.md).
        release();
    }
}

/// A new arena as {handle, registered, memory}, or a negative errno. `release` makes what gives up a handle.
pub fn new_arena<'env>(
    env: &'env Env,
    size_bytes: f64,
    create: impl FnOnce(usize) -> Result<NewArena, i32>,
    release: impl Fn(u32) -> Release,
) -> napi::Result<Unknown<'env>> {
    if !(1.0..=ARENA_BYTES_MAX).contains(&size_bytes) {
        return number_value(env, -libc::EINVAL);
    }
    match create(size_bytes as usize) {
        Ok(arena) => {
            let registered = ("registered", u32::from(arena.registered));
            arena_object(env, &arena, size_bytes as usize, registered, release)
        }
        Err(errno) => number_value(env, errno),
    }
}

/// {handle, memory} of an arena, and something else of it.
pub fn arena_object<'env>(
    env: &'env Env,
    arena: &NewArena,
    size_bytes: usize,
    extra: (&str, u32),
    release: impl Fn(u32) -> Release,
) -> napi::Result<Unknown<'env>> {
    let handle = arena.handle;
    let Some(memory) = array_buffer(env.raw(), &arena.mapping, size_bytes, Some(release(handle))) else {
        release(handle)();
        return value(env, None);
    };
    let mut object = Object::new(env)?;
    object.set("handle", handle)?;
    object.set(extra.0, extra.1)?;
    object.set("memory", value(env, Some(memory))?)?;
    Ok(object.to_unknown())
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
