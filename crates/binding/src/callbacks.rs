//! The functions of JavaScript's that the event loop calls.

use napi::sys;
use std::ptr;

/// What the event loop calls in JavaScript: for completions that can be read, and when the ring is gone.
pub struct Callbacks {
    pub deliver: sys::napi_ref,
    pub closed: sys::napi_ref,
    pub context: sys::napi_async_context,
}

/// A function of JavaScript's, ready to be called from the loop several times: opening a scope and looking the
/// function up costs as much as calling it.
pub struct Call {
    env: sys::napi_env,
    scope: sys::napi_handle_scope,
    context: sys::napi_async_context,
    function: sys::napi_value,
    receiver: sys::napi_value,
}

impl Call {
    pub fn new(env: sys::napi_env, function: sys::napi_ref, context: sys::napi_async_context) -> Call {
        let mut call = Call {
            env,
            scope: ptr::null_mut(),
            context,
            function: ptr::null_mut(),
            receiver: ptr::null_mut(),
        };
        // SAFETY: on the environment's thread, in a callback of its loop; the values live in the scope opened here,
        // until `drop`. A function that was collected leaves null behind.
        unsafe {
            sys::napi_open_handle_scope(env, &mut call.scope);
            sys::napi_get_reference_value(env, function, &mut call.function);
            sys::napi_get_global(env, &mut call.receiver);
        }
        call
    }

    /// Calls it, with microtasks and ticks run afterwards. An exception becomes an `uncaughtException`, as from any
    /// other handle. Answers whether it returned.
    pub fn call(&self, argument: i32) -> bool {
        if self.function.is_null() {
            return false;
        }
        let mut value = ptr::null_mut();
        // SAFETY: as in `new`; all values belong to the scope that is open.
        unsafe {
            sys::napi_create_int32(self.env, argument, &mut value);
            let Call {
                env,
                context,
                receiver,
                function,
                ..
            } = *self;
            let status =
                sys::napi_make_callback(env, context, receiver, function, 1, &value, ptr::null_mut());
            if status == sys::Status::napi_pending_exception {
                let mut error = ptr::null_mut();
                if sys::napi_get_and_clear_last_exception(env, &mut error) == sys::Status::napi_ok {
                    sys::napi_fatal_exception(env, error);
                }
            }
            status == sys::Status::napi_ok
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // SAFETY: the scope that `new` opened, closed once, innermost as calls do not overlap.
        unsafe { sys::napi_close_handle_scope(self.env, self.scope) };
    }
}

impl Callbacks {
    pub fn new(env: sys::napi_env, deliver: sys::napi_value, closed: sys::napi_value) -> Callbacks {
        let mut callbacks = Callbacks {
            deliver: ptr::null_mut(),
            closed: ptr::null_mut(),
            context: ptr::null_mut(),
        };
        // SAFETY: both values are functions of the call that is under way. They are held weakly (0) while nothing is
        // in flight, so that a forgotten ring can be collected; whoever closes a ring holds it until it is closed.
        unsafe {
            sys::napi_create_reference(env, deliver, 0, &mut callbacks.deliver);
            sys::napi_create_reference(env, closed, 0, &mut callbacks.closed);
            let mut name = ptr::null_mut();
            sys::napi_create_string_utf8(env, c"uring".as_ptr(), 5, &mut name);
            sys::napi_async_init(env, ptr::null_mut(), name, &mut callbacks.context);
        }
        callbacks
    }

    pub fn delete(&self, env: sys::napi_env) {
        // SAFETY: called once, when the handles are closed and nothing will call back any more.
        unsafe {
            sys::napi_delete_reference(env, self.deliver);
            sys::napi_delete_reference(env, self.closed);
            sys::napi_async_destroy(env, self.context);
        }
    }
}
