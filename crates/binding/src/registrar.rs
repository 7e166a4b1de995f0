//! The calls behind `ring.registrar`: what a ring is told ahead of time. TypeScript has checked the arguments' types and
//! ranges; answers below zero are negative errnos.

use crate::{NativeRing, number_value, status_of};
use napi::bindgen_prelude::{Env, Unknown};
use napi_derive::napi;
use uring_core::bufring::RingOptions;

#[napi(object)]
pub struct BufferRingShape {
    pub entries: u32,
    pub size_bytes: u32,
    pub manual: bool,
    pub incremental: bool,
    pub mmap: bool,
}

#[napi]
impl NativeRing {
    /// Registers a sparse files table: `ours` slots, then `kernels` slots that the kernel allocates from.
    #[napi]
    pub fn register_files(&self, ours: u32, kernels: u32) -> i32 {
        status_of(self.with(|ring| ring.register_files(ours, kernels)))
    }

    /// Puts a descriptor into a slot, or with a negative slot into a free one; answers the handle.
    #[napi]
    pub fn set_file(&self, slot: i32, fd: i32) -> f64 {
        self.number(|ring| ring.set_file(u32::try_from(slot).ok(), fd))
    }

    #[napi]
    pub fn clear_file(&self, handle: u32) -> i32 {
        status_of(self.with(|ring| ring.clear_file(handle)))
    }

    /// A new buffer group as {handle, group, memory}, or a negative errno.
    #[napi(ts_return_type = "NativeBufferGroup | number")]
    pub fn register_group<'env>(
        &self,
        env: &'env Env,
        shape: BufferRingShape,
    ) -> napi::Result<Unknown<'env>> {
        let options = RingOptions {
            entries: shape.entries,
            size_bytes: shape.size_bytes,
            manual: shape.manual,
            incremental: shape.incremental,
            mmap: shape.mmap,
        };
        match self.with(|ring| ring.register_group(options)) {
            Ok((group, arena)) => {
                let total = shape.entries as usize * shape.size_bytes as usize;
                let group = ("group", u32::from(group));
                self.arena_object(env, arena.handle, &arena.mapping, total, group)
            }
            Err(errno) => number_value(env, errno),
        }
    }

    #[napi]
    pub fn unregister_group(&self, group: u32) -> i32 {
        status_of(self.with(|ring| ring.unregister_group(group as u16)))
    }

    /// Buffers of a group that are lent to JavaScript.
    #[napi]
    pub fn lent(&self, group: u32) -> f64 {
        self.number(|ring| Ok(ring.tables.groups.lent_count(group as u16).unwrap_or(0)))
    }

    /// The buffers of a bundle as id, bytes, id, bytes, ...
    #[napi]
    pub fn bundle(&self, group: u32, first: u32, bytes: u32) -> Vec<u32> {
        let parts = self.with(|ring| Ok(ring.tables.groups.bundle(group as u16, first as u16, bytes)));
        let parts = parts.unwrap_or_default().into_iter();
        parts.flat_map(|(id, used)| [u32::from(id), used]).collect()
    }

    /// A buffer of a group that is provided by hand; -ENOBUFS when there is none.
    #[napi]
    pub fn take_buffer(&self, group: u32) -> f64 {
        self.number(|ring| {
            let registrar = ring.registrar();
            let taken = ring.tables.groups.take(group as u16, registrar);
            let none = || std::io::Error::from_raw_os_error(libc::ENOBUFS);
            taken.map(u32::from).ok_or_else(none)
        })
    }

    #[napi]
    pub fn provide_buffer(&self, group: u32, id: u32, len_bytes: u32) -> i32 {
        status_of(self.with(|ring| ring.tables.groups.provide(group as u16, id as u16, len_bytes)))
    }

    /// Whether a buffer is out of the kernel's hands.
    #[napi]
    pub fn is_out(&self, group: u32, id: u32) -> bool {
        self.with(|ring| Ok(ring.tables.groups.is_out(group as u16, id as u16)))
            .unwrap_or(false)
    }

    /// How many buffers of a group the kernel has taken so far, modulo 65,536.
    #[napi]
    pub fn group_head(&self, group: u32) -> f64 {
        self.number(|ring| ring.registrar().buffer_ring_head(group as u16).map(u32::from))
    }

    /// Buffers that the kernel can take, when it has taken `head` so far.
    #[napi]
    pub fn group_available(&self, group: u32, head: u32) -> f64 {
        self.number(|ring| {
            Ok(ring
                .tables
                .groups
                .available(group as u16, head as u16)
                .unwrap_or(0))
        })
    }

    #[napi]
    pub fn register_personality(&self) -> f64 {
        self.number(|ring| ring.registrar().personality())
    }

    #[napi]
    pub fn unregister_personality(&self, id: u32) -> i32 {
        status_of(self.with(|ring| ring.registrar().unregister_personality(id as u16)))
    }
}
