//! Memory that several rings of the process name. TypeScript has checked the arguments' types and ranges.

use crate::external::{ARENA_BYTES_MAX, Release, arena_object};
use crate::{NativeRing, number_value};
use napi::bindgen_prelude::{Env, JsValue, Object, Unknown};
use napi_derive::napi;
use uring_core::arenas::NewArena;

/// New shared memory as {handle, registered, memory, token}, or a negative errno.
pub fn created<'env>(
    env: &'env Env,
    size_bytes: f64,
    create: impl FnOnce(usize) -> Result<(NewArena, u64), i32>,
    release: impl Fn(u32) -> Release,
) -> napi::Result<Unknown<'env>> {
    if !(1.0..=ARENA_BYTES_MAX).contains(&size_bytes) {
        return number_value(env, -libc::EINVAL);
    }
    match create(size_bytes as usize) {
        Ok((arena, token)) => shared_object(env, &arena, size_bytes as usize, token as f64, release),
        Err(errno) => number_value(env, errno),
    }
}

/// As `created`, for memory that somebody else has made.
pub fn opened<'env>(
    env: &'env Env,
    token: f64,
    open: impl FnOnce(u64) -> Result<(NewArena, usize), i32>,
    release: impl Fn(u32) -> Release,
) -> napi::Result<Unknown<'env>> {
    match open(token as u64) {
        Ok((arena, size_bytes)) => shared_object(env, &arena, size_bytes, token, release),
        Err(errno) => number_value(env, errno),
    }
}

fn shared_object<'env>(
    env: &'env Env,
    arena: &NewArena,
    size_bytes: usize,
    token: f64,
    release: impl Fn(u32) -> Release,
) -> napi::Result<Unknown<'env>> {
    let registered = ("registered", u32::from(arena.registered));
    let made = arena_object(env, arena, size_bytes, registered, release)?;
    let mut object = Object::from_raw(env.raw(), made.raw());
    object.set("token", token)?;
    Ok(object.to_unknown())
}

#[napi]
impl NativeRing {
    #[napi(ts_return_type = "NativeSharedMemory | number")]
    pub fn create_shared<'env>(&self, env: &'env Env, size_bytes: f64) -> napi::Result<Unknown<'env>> {
        let create = |size_bytes| self.with(|ring| ring.create_shared(size_bytes));
        created(env, size_bytes, create, |handle| self.release(handle))
    }

    #[napi(ts_return_type = "NativeSharedMemory | number")]
    pub fn open_shared<'env>(&self, env: &'env Env, token: f64) -> napi::Result<Unknown<'env>> {
        let open = |token| self.with(|ring| ring.open_shared(token));
        opened(env, token, open, |handle| self.release(handle))
    }
}
