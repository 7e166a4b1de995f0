//! The rings of this process that are open, by tokens: how a ring is named to other rings and other threads.
//!
//! A descriptor's number would not do: once the ring is closed it is another file's, perhaps a ring's of somebody who takes
//! a user_data for an address, as libuv does. Whoever finds a ring here has a share of its descriptor, so that the number
//! stays the ring's until the message is through.

use crate::shared_memory::random_token;
use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

static TABLE: LazyLock<Mutex<HashMap<u64, Weak<OwnedFd>>>> = LazyLock::new(Mutex::default);

/// The table is whole whenever the lock is free, also after a panic elsewhere.
fn table() -> MutexGuard<'static, HashMap<u64, Weak<OwnedFd>>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The name of a ring in the table, as long as this lives.
pub struct Listed {
    token: u64,
}

impl Listed {
    pub fn new(descriptor: &Arc<OwnedFd>) -> io::Result<Listed> {
        let mut table = table();
        loop {
            let token = random_token()?;
            if token != 0 && !table.contains_key(&token) {
                table.insert(token, Arc::downgrade(descriptor));
                return Ok(Listed { token });
            }
        }
    }

    pub fn token(&self) -> u64 {
        self.token
    }
}

impl Drop for Listed {
    fn drop(&mut self) {
        table().remove(&self.token);
    }
}

/// A share of the descriptor of the ring with this token, if it is open.
pub fn find(token: u64) -> Option<Arc<OwnedFd>> {
    table().get(&token)?.upgrade()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;

    fn descriptor() -> Arc<OwnedFd> {
        Arc::new(File::open("/dev/null").unwrap().into())
    }

    #[test]
    fn a_ring_is_found_while_it_is_listed_and_open() {
        let ring = descriptor();
        let listed = Listed::new(&ring).unwrap();
        let token = listed.token();
        assert!(find(token).is_some_and(|found| Arc::ptr_eq(&found, &ring)));
        assert!(find(token ^ 1).is_none() && find(0).is_none());
        drop(listed);
        assert!(find(token).is_none(), "open, and no longer listed");
    }

    #[test]
    fn a_share_keeps_the_descriptor_and_no_entry_does() {
        let ring = descriptor();
        let listed = Listed::new(&ring).unwrap();
        let share = find(listed.token()).unwrap();
        drop(ring);
        assert_eq!(Arc::strong_count(&share), 1);
        drop(share);
        assert!(find(listed.token()).is_none());
    }
}
