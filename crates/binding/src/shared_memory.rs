//! Memory that several rings of the process name. TypeScript has checked the arguments' types and ranges.

use crate::external::{ARENA_BYTES_MAX, arena_object};
use crate::{NativeRing, number_value};
use napi::bindgen_prelude::{Env, JsValue, Object, Unknown};
use napi_derive::napi;
use uring_core::arenas::NewArena;

#[napi]
impl NativeRing {
    /// New shared memory as {handle, registered, memory, token}, or a negative errno.
    #[napi(ts_return_type = "NativeSharedMemory | number")]
    pub fn create_shared<'env>(&self, env: &'env Env, size_bytes: f64) -> napi::Result<Unknown<'env>> {
        if !(1.0..=ARENA_BYTES_MAX).contains(&size_bytes) {
            return number_value(env, -libc::EINVAL);
        }
        match self.with(|ring| ring.create_shared(size_bytes as usize)) {
            Ok((arena, token)) => self.shared_object(env, &arena, size_bytes as usize, token as f64),
            Err(errno) => number_value(env, errno),
        }
    }

    /// As `create_shared`, for memory that another ring has made.
    #[napi(ts_return_type = "NativeSharedMemory | number")]
    pub fn open_shared<'env>(&self, env: &'env Env, token: f64) -> napi::Result<Unknown<'env>> {
        match self.with(|ring| ring.open_shared(token as u64)) {
            Ok((arena, size_bytes)) => self.shared_object(env, &arena, size_bytes, token),
            Err(errno) => number_value(env, errno),
        }
    }

    fn shared_object<'env>(
        &self,
        env: &'env Env,
        arena: &NewArena,
        size_bytes: usize,
        token: f64,
    ) -> napi::Result<Unknown<'env>> {
        let registered = ("registered", u32::from(arena.registered));
        let made = arena_object(env, arena, size_bytes, registered, |handle| self.release(handle))?;
        let mut object = Object::from_raw(env.raw(), made.raw());
        object.set("token", token)?;
        Ok(object.to_unknown())
    }
}
