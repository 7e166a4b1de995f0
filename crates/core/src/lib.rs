//! io_uring without JavaScript: everything that owns memory the kernel sees.
//!
//! The way of an operation: a record in `shared`, checked and relocated by `relocate` (its fields by `fields`, its lists
//! by `lists`) with the table in `ops`, entered into `inflight`, pushed by `staging` to the `queues`, submitted and reaped
//! by `ring`; what it names lives in `arenas`, `files` and `bufring`, what it does to them in `effects`; `teardown` ends it
//! all. `split` is the same on two threads.

pub mod arenas;
pub mod bufring;
mod control;
pub mod credentials;
mod effects;
pub mod enter;
mod fields;
pub mod files;
pub mod inflight;
pub mod legacy;
pub mod lists;
pub mod live;
pub mod memory;
pub mod ops;
pub mod probe;
pub mod queues;
pub mod raw;
pub mod register;
pub mod registrations;
pub mod reject;
pub mod relocate;
mod resize;
mod resources;
pub mod ring;
mod ring_memory;
pub mod setup;
pub mod shared;
pub mod shared_memory;
pub mod split;
mod staging;
mod teardown;
pub mod trial;
pub mod uapi;
mod unread;
mod wait;
