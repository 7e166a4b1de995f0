//! Memory that several rings of the process name, of one thread or of many: where their futexes stand.
//!
//! A token, told from thread to thread, finds it. It lives while any ring, or any view of JavaScript's, has it.

use crate::arenas::NewArena;
use crate::memory::Mapping;
use crate::ring::Ring;
use std::collections::HashMap;
use std::io;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};

/// Tokens have as many bits as JavaScript's numbers hold, all of them random: a token that was not told is not guessed.
const TOKEN_BITS: u32 = 53;

struct Entry {
    mapping: Weak<Mapping>,
    size_bytes: usize,
}

static TABLE: LazyLock<Mutex<HashMap<u64, Entry>>> = LazyLock::new(Mutex::default);

/// The table is whole whenever the lock is free, also after a panic elsewhere.
fn table() -> MutexGuard<'static, HashMap<u64, Entry>> {
    TABLE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A number that nobody guesses.
pub fn random_token() -> io::Result<u64> {
    let mut bytes = [0u8; 8];
    // SAFETY: the kernel writes at most 8 bytes into the local; so few come whole (man getrandom(2)).
    let read = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if read == bytes.len() as isize {
        Ok(u64::from_ne_bytes(bytes) >> (64 - TOKEN_BITS))
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Gives memory a token; forgets memory that is gone.
fn tell(mapping: &Arc<Mapping>, size_bytes: usize) -> io::Result<u64> {
    let mut table = table();
    table.retain(|_, entry| entry.mapping.strong_count() > 0);
    loop {
        let token = random_token()?;
        if token != 0 && !table.contains_key(&token) {
            let mapping = Arc::downgrade(mapping);
            table.insert(token, Entry { mapping, size_bytes });
            return Ok(token);
        }
    }
}

pub fn find(token: u64) -> Option<(Arc<Mapping>, usize)> {
    let table = table();
    let entry = table.get(&token)?;
    Some((entry.mapping.upgrade()?, entry.size_bytes))
}

impl Ring {
    /// New memory, and the token by which other rings of the process find it.
    pub fn create_shared(&mut self, size_bytes: usize) -> io::Result<(NewArena, u64)> {
        let arena = self.create_arena(size_bytes, true)?;
        match tell(&arena.mapping, size_bytes) {
            Ok(token) => Ok((arena, token)),
            Err(error) => {
                self.release_arena(arena.handle);
                Err(error)
            }
        }
    }

    /// The memory behind a token, and its size; -ENOENT when nobody has it.
    pub fn open_shared(&mut self, token: u64) -> io::Result<(NewArena, usize)> {
        let not_there = || io::Error::from_raw_os_error(libc::ENOENT);
        let (mapping, size_bytes) = find(token).ok_or_else(not_there)?;
        let registrar = self.registrar();
        Ok((self.tables.arenas.adopt(mapping, Some(registrar))?, size_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::setup::Config;

    fn ring() -> Ring {
        let config = Config {
            entries: 4,
            cq_entries: 8,
            ..Config::default()
        };
        Ring::open(&config).unwrap()
    }

    #[test]
    fn two_rings_have_the_same_memory_under_handles_of_their_own() {
        let (mut first, mut second) = (ring(), ring());
        let (mine, token) = first.create_shared(5000).unwrap();
        let (theirs, size_bytes) = second.open_shared(token).unwrap();
        assert_eq!(size_bytes, 5000);
        assert_eq!(mine.mapping.start(), theirs.mapping.start());
        assert!(second.tables.arenas.locate(theirs.handle, 0, 5000).is_some());
        let other = second.open_shared(token).unwrap().0;
        assert_ne!(other.handle, theirs.handle);
    }

    #[test]
    fn memory_lives_while_any_ring_has_it_and_its_token_dies_with_it() {
        let (mut first, mut second) = (ring(), ring());
        let (mine, token) = first.create_shared(64).unwrap();
        let (theirs, _) = second.open_shared(token).unwrap();
        first.release_arena(mine.handle);
        drop(mine);
        drop(first);
        let again = second.open_shared(token).unwrap().0;
        for arena in [theirs, again] {
            second.release_arena(arena.handle);
        }
        assert_eq!(
            second.open_shared(token).err().and_then(|e| e.raw_os_error()),
            Some(libc::ENOENT)
        );
        second.create_shared(64).unwrap();
        assert!(!table().contains_key(&token), "what is gone is forgotten");
    }

    #[test]
    fn a_token_that_nobody_told_finds_nothing() {
        let mut ring = ring();
        let tokens = [0, 1, u64::MAX, 1 << 53];
        assert!(tokens.iter().all(|token| ring.open_shared(*token).is_err()));
    }

    #[test]
    fn tokens_are_numbers_that_javascript_holds_exactly() {
        let mut ring = ring();
        let tokens: Vec<u64> = (0..32).map(|_| ring.create_shared(1).unwrap().1).collect();
        assert!(tokens.iter().all(|token| *token >> TOKEN_BITS == 0));
        assert!(tokens.iter().any(|token| *token >> 32 != 0));
    }
}
