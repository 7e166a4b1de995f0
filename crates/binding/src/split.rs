//! The two halves of a split ring (`uring_core::split`), each in an environment of its own: what opens, closes and
//! outlives them. Errors cross as negative errnos; -EBADF says that the half, or the other one, is closed.

use crate::external::{self, Release};
use crate::limits::milliseconds;
use crate::setup::{Layout, layout_of};
use crate::{failed, shared_memory, value};
use napi::bindgen_prelude::{Either, Env, Unknown};
use napi::sys;
use napi_derive::napi;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::io;
use std::rc::Rc;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use uring_core::arenas::NewArena;
use uring_core::memory::Mapping;
use uring_core::ring::Ring;
use uring_core::setup::Config;
use uring_core::shared_memory::{find, random_token};
use uring_core::split::{BATCH, Delivered, Freed, Refused, Split};

/// Where the completions start in the block; its first word says how many of them JavaScript has read.
const BATCH_OFFSET: usize = 64;

/// The rings of this process whose submitting half is open, by the token that opens the other half.
static OPEN: Mutex<BTreeMap<u64, Weak<Split>>> = Mutex::new(BTreeMap::new());

fn open_rings() -> MutexGuard<'static, BTreeMap<u64, Weak<Split>>> {
    OPEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A half in its environment. It is closed once: by JavaScript, when it is forgotten, or with the environment.
struct Half {
    env: sys::napi_env,
    split: Arc<Split>,
    is_open: Cell<bool>,
    end: Box<dyn Fn(&Split)>,
}

impl Half {
    fn new(env: sys::napi_env, split: Arc<Split>, end: Box<dyn Fn(&Split)>) -> Rc<Half> {
        let half = Rc::new(Half {
            env,
            split,
            is_open: Cell::new(true),
            end,
        });
        let share = Rc::into_raw(half.clone()).cast_mut().cast();
        // SAFETY: the share lives until `close`, which removes the hook, or the hook itself gives it back. It can only
        // fail for null arguments.
        unsafe { sys::napi_add_env_cleanup_hook(env, Some(on_environment_end), share) };
        half
    }

    fn close(self: &Rc<Half>) {
        if !self.is_open.replace(false) {
            return;
        }
        let share = Rc::as_ptr(self).cast_mut().cast::<c_void>();
        // SAFETY: the hook has not run, as it would have closed the half; its share is given back in its stead.
        unsafe {
            sys::napi_remove_env_cleanup_hook(self.env, Some(on_environment_end), share);
            Rc::decrement_strong_count(Rc::as_ptr(self));
        }
        (self.end)(&self.split);
    }

    /// Something short with the ring, as long as there is one.
    fn with<T>(&self, act: impl FnOnce(&mut Ring) -> io::Result<T>) -> Result<T, i32> {
        self.split.with(act).map_err(|error| failed(&error))
    }

    /// What gives up an arena of the ring.
    fn release(&self, handle: u32) -> Release {
        let split = Arc::downgrade(&self.split);
        Box::new(move || {
            if let Some(split) = split.upgrade() {
                // Without a ring there is no arena either.
                let _closed = split.with(|ring| {
                    ring.release_arena(handle);
                    Ok(())
                });
            }
        })
    }

    /// The ring, as long as this half is open.
    fn split(&self) -> Option<&Split> {
        self.is_open.get().then_some(&*self.split)
    }
}

unsafe extern "C" fn on_environment_end(share: *mut c_void) {
    // SAFETY: this is the share that `Half::new` gave to the hook; it runs once, and `close` has not removed it.
    let half = unsafe { Rc::from_raw(share.cast_const().cast::<Half>()) };
    if half.is_open.replace(false) {
        (half.end)(&half.split);
    }
}

fn status(result: io::Result<u32>) -> i32 {
    result.map_or_else(|error| failed(&error), |count| count as i32)
}

fn view<'env>(env: &'env Env, mapping: &Arc<Mapping>) -> napi::Result<Unknown<'env>> {
    let memory = external::array_buffer(env.raw(), mapping, mapping.size_bytes(), None);
    value(env, memory)
}

/// The half that submits.
#[napi]
pub struct NativeSubmissionHalf {
    half: Rc<Half>,
    token: u64,
    /// `Freed` records of one `reclaim`.
    freed: Arc<Mapping>,
}

/// Opens a ring for two threads, with its submitting half; answers a negative errno when the kernel refuses.
#[napi(ts_return_type = "NativeSubmissionHalf | number")]
pub fn open_split(env: Env, entries: u32, cq_entries: u32) -> Either<NativeSubmissionHalf, i32> {
    let config = Config {
        entries,
        cq_entries,
        ..Config::default()
    };
    let open = || {
        let freed = Arc::new(Mapping::new(BATCH * size_of::<Freed>())?);
        Ok((freed, random_token()?, Arc::new(Split::open(&config)?)))
    };
    let (freed, token, split) = match open() {
        Ok(opened) => opened,
        Err(error) => return Either::B(failed(&error)),
    };
    open_rings().insert(token, Arc::downgrade(&split));
    let end = move |split: &Split| {
        open_rings().remove(&token);
        split.close_submitting();
    };
    Either::A(NativeSubmissionHalf {
        half: Half::new(env.raw(), split, Box::new(end)),
        token,
        freed,
    })
}

#[napi]
impl NativeSubmissionHalf {
    #[napi]
    pub fn token(&self) -> f64 {
        self.token as f64
    }

    #[napi]
    pub fn layout(&self) -> Option<Layout> {
        self.half.with(|ring| Ok(layout_of(ring))).ok()
    }

    /// The block that submission records are written to (see `uring_core::shared`).
    #[napi(ts_return_type = "ArrayBuffer")]
    pub fn shared<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        let mapping = self.half.split.with(|ring| Ok(ring.shared().mapping().clone()));
        match mapping {
            Ok(mapping) => view(env, &mapping),
            Err(_) => value(env, None),
        }
    }

    /// Numbers of operations, by index.
    #[napi(ts_return_type = "ArrayBuffer")]
    pub fn user_data<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        view(env, self.half.split.user_data())
    }

    /// Where `reclaim` writes to.
    #[napi(ts_return_type = "ArrayBuffer")]
    pub fn freed<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        view(env, &self.freed)
    }

    /// A new arena as {handle, registered, memory}, or a negative errno.
    #[napi(ts_return_type = "NativeArena | number")]
    pub fn alloc<'env>(
        &self,
        env: &'env Env,
        size_bytes: f64,
        register: bool,
    ) -> napi::Result<Unknown<'env>> {
        let create = |size_bytes| self.half.with(|ring| ring.create_arena(size_bytes, register));
        external::new_arena(env, size_bytes, create, |handle| self.half.release(handle))
    }

    #[napi(ts_return_type = "NativeSharedMemory | number")]
    pub fn create_shared<'env>(&self, env: &'env Env, size_bytes: f64) -> napi::Result<Unknown<'env>> {
        let create = |size_bytes| self.half.with(|ring| ring.create_shared(size_bytes));
        shared_memory::created(env, size_bytes, create, |handle| self.half.release(handle))
    }

    #[napi(ts_return_type = "NativeSharedMemory | number")]
    pub fn open_shared<'env>(&self, env: &'env Env, token: f64) -> napi::Result<Unknown<'env>> {
        let open = |token| self.half.with(|ring| ring.open_shared(token));
        shared_memory::opened(env, token, open, |handle| self.half.release(handle))
    }

    /// Submits what is prepared; answers the number of records taken.
    #[napi]
    pub fn submit(&self) -> i32 {
        self.half
            .split()
            .map_or(-libc::EBADF, |split| status(split.submit()))
    }

    /// Hands out indexes that are free again; answers how many, and there may be more if that is all there is room for.
    #[napi]
    pub fn reclaim(&self) -> u32 {
        let records = self.freed.start().cast::<Freed>();
        let write = |at: usize, freed: Freed| {
            // SAFETY: `at` is below BATCH, which the mapping has room for.
            unsafe { records.add(at).write(freed) };
        };
        self.half.split.take_freed(BATCH, write) as u32
    }

    #[napi]
    pub fn close(&self) {
        self.half.close();
    }

    #[napi]
    pub fn is_open(&self) -> bool {
        self.half.is_open.get()
    }
}

impl Drop for NativeSubmissionHalf {
    fn drop(&mut self) {
        self.half.close();
    }
}

/// What was taken and is being read by JavaScript, and the block where it reads.
struct Batch {
    taken: RefCell<Vec<Delivered>>,
    block: Arc<Mapping>,
}

impl Batch {
    /// Where JavaScript says how many it has read.
    fn count_read(&self) -> usize {
        // SAFETY: the first word of the block, which nobody writes during a call of this thread.
        let read = unsafe { self.block.start().cast::<u32>().read_volatile() };
        read as usize
    }

    /// Puts what was taken into the block.
    fn show(&self) {
        let taken = self.taken.borrow();
        assert!(taken.len() <= BATCH);
        // SAFETY: the block has room for BATCH completions behind its first words.
        unsafe {
            let records = self.block.start().add(BATCH_OFFSET).cast::<Delivered>();
            records.copy_from_nonoverlapping(taken.as_ptr(), taken.len());
            self.block.start().cast::<u32>().write(0);
        }
    }
}

/// The half that takes completions.
#[napi]
pub struct NativeCompletionHalf {
    half: Rc<Half>,
    batch: Rc<Batch>,
}

/// Opens the other half of a ring of this process: -EBADF if there is none with that token, -EBUSY if it is open.
#[napi(ts_return_type = "NativeCompletionHalf | number")]
pub fn open_completion_half(env: Env, token: f64) -> Either<NativeCompletionHalf, i32> {
    let found = open_rings().get(&(token as u64)).and_then(Weak::upgrade);
    let Some(split) = found else {
        return Either::B(-libc::EBADF);
    };
    let block = match Mapping::new(BATCH_OFFSET + BATCH * size_of::<Delivered>()) {
        Ok(block) => Arc::new(block),
        Err(error) => return Either::B(failed(&error)),
    };
    match split.open_taking() {
        Ok(()) => {}
        Err(Refused::Closed) => return Either::B(-libc::EBADF),
        Err(Refused::InUse) => return Either::B(-libc::EBUSY),
    }
    let batch = Rc::new(Batch {
        taken: RefCell::new(Vec::with_capacity(BATCH)),
        block,
    });
    let of_end = batch.clone();
    let end = move |split: &Split| {
        let taken = of_end.taken.borrow();
        split.close_taking(&taken[of_end.count_read().min(taken.len())..]);
    };
    Either::A(NativeCompletionHalf {
        half: Half::new(env.raw(), split, Box::new(end)),
        batch,
    })
}

#[napi]
impl NativeCompletionHalf {
    #[napi]
    pub fn cq_entries(&self) -> u32 {
        self.half.split.with(|ring| Ok(ring.cq_entries())).unwrap_or(0)
    }

    /// Where `take` writes to.
    #[napi(ts_return_type = "ArrayBuffer")]
    pub fn block<'env>(&self, env: &'env Env) -> napi::Result<Unknown<'env>> {
        view(env, &self.batch.block)
    }

    /// Takes completions that are there, instead of those before; answers how many.
    #[napi]
    pub fn take(&self) -> i32 {
        let Some(split) = self.half.split() else {
            return -libc::EBADF;
        };
        let mut taken = self.batch.taken.borrow_mut();
        taken.clear();
        let result = split.take(BATCH, &mut taken).map(|()| taken.len() as u32);
        drop(taken);
        self.batch.show();
        status(result)
    }

    /// Shared memory, only to look at: {handle, registered, memory, token}, or a negative errno.
    #[napi(ts_return_type = "NativeSharedMemory | number")]
    pub fn open_shared<'env>(&self, env: &'env Env, token: f64) -> napi::Result<Unknown<'env>> {
        let open = |token| {
            let (mapping, size_bytes) = find(token).ok_or(-libc::ENOENT)?;
            let arena = NewArena {
                handle: 0,
                mapping,
                registered: false,
            };
            Ok((arena, size_bytes))
        };
        shared_memory::opened(env, token, open, |_| Box::new(|| {}))
    }

    /// Completions that can be taken without waiting.
    #[napi]
    pub fn ready(&self) -> i32 {
        self.half.split().map_or(0, |split| split.ready() as i32)
    }

    /// Waits until so many completions can be taken; a negative timeout means none. Answers how many there are.
    #[napi]
    pub fn wait(&self, want: u32, timeout_ms: f64) -> i32 {
        let limit = milliseconds(timeout_ms);
        let env = self.half.env;
        let goes_on = || external::can_run_javascript(env);
        self.half
            .split()
            .map_or(-libc::EBADF, |split| status(split.wait(want, limit, goes_on)))
    }

    #[napi]
    pub fn close(&self) {
        self.half.close();
    }

    #[napi]
    pub fn is_open(&self) -> bool {
        self.half.is_open.get()
    }
}

impl Drop for NativeCompletionHalf {
    fn drop(&mut self) {
        self.half.close();
    }
}
