//! The few libuv functions that tie a ring to Node's event loop.
//!
//! They are looked up at run time: a cdylib is bound when it is loaded, so one missing symbol (Deno, Bun) would
//! make the whole addon fail to load (docs/measured.md). No struct layout is assumed: sizes are asked for.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::OnceLock;

pub type Handle = *mut c_void;
pub type Loop = *mut c_void;
type Callback = unsafe extern "C" fn(Handle);
type PollCallback = unsafe extern "C" fn(Handle, c_int, c_int);

/// uv_handle_type (uv.h, UV_HANDLE_TYPE_MAP), stable since libuv 1.0.
pub const UV_IDLE: c_int = 6;
pub const UV_POLL: c_int = 8;
pub const UV_PREPARE: c_int = 9;
pub const UV_READABLE: c_int = 1;

/// The struct of the functions named, and how to look each of them up under its name in uv.h.
macro_rules! functions {
    ($($field:ident = $name:literal: $signature:ty),* $(,)?) => {
        pub struct Uv {
            $(pub $field: $signature,)*
        }

        fn load() -> Option<Uv> {
            Some(Uv {
                $(
                    // SAFETY: `$signature` is what uv.h declares under this name; both are plain pointers.
                    $field: unsafe { std::mem::transmute::<*mut c_void, $signature>(symbol($name)?) },
                )*
            })
        }
    };
}

functions! {
    handle_size = c"uv_handle_size": unsafe extern "C" fn(c_int) -> usize,
    handle_set_data = c"uv_handle_set_data": unsafe extern "C" fn(Handle, *mut c_void),
    handle_get_data = c"uv_handle_get_data": unsafe extern "C" fn(Handle) -> *mut c_void,
    poll_init = c"uv_poll_init": unsafe extern "C" fn(Loop, Handle, c_int) -> c_int,
    poll_start = c"uv_poll_start": unsafe extern "C" fn(Handle, c_int, PollCallback) -> c_int,
    prepare_init = c"uv_prepare_init": unsafe extern "C" fn(Loop, Handle) -> c_int,
    prepare_start = c"uv_prepare_start": unsafe extern "C" fn(Handle, Callback) -> c_int,
    idle_init = c"uv_idle_init": unsafe extern "C" fn(Loop, Handle) -> c_int,
    idle_start = c"uv_idle_start": unsafe extern "C" fn(Handle, Callback) -> c_int,
    idle_stop = c"uv_idle_stop": unsafe extern "C" fn(Handle) -> c_int,
    reference = c"uv_ref": unsafe extern "C" fn(Handle),
    unreference = c"uv_unref": unsafe extern "C" fn(Handle),
    close = c"uv_close": unsafe extern "C" fn(Handle, Callback),
}

fn symbol(name: &CStr) -> Option<*mut c_void> {
    // SAFETY: looking a symbol up in what is already loaded has no effect.
    let address = unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr().cast::<c_char>()) };
    (!address.is_null()).then_some(address)
}

/// libuv's functions, or nothing in a runtime that does not have them.
pub fn uv() -> Option<&'static Uv> {
    static UV: OnceLock<Option<Uv>> = OnceLock::new();
    UV.get_or_init(load).as_ref()
}
