//! The ring end to end on the real kernel, driven as JavaScript drives it: through the shared block.

mod credentials;
mod driver;
mod effects;
mod queues;
mod resize;
mod setup;
mod split;
mod teardown;
mod waiting;
