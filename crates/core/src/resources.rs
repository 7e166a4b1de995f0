//! What is registered with a ring: arenas, files, buffer groups.

use crate::arenas::NewArena;
use crate::bufring::{self, RingOptions};
use crate::register::Registrar;
use crate::ring::Ring;
use crate::uapi;
use std::io;
use std::os::fd::RawFd;

fn refused(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

impl Ring {
    pub fn cq_entries(&self) -> u32 {
        self.queues.params().cq_entries
    }

    /// The ring's descriptor; -1 if it has none (IORING_SETUP_REGISTERED_FD_ONLY).
    pub fn fd(&self) -> RawFd {
        self.entrance.fd()
    }

    pub fn registrar(&self) -> Registrar {
        let registrar = self.entrance.registrar();
        // Registrations with tags came together with those that wait for nothing.
        if self.features() & uapi::FEAT_RSRC_TAGS == 0 {
            return registrar.waiting(self.in_flight() > 0);
        }
        registrar
    }

    /// IORING_FEAT_* bits.
    pub fn features(&self) -> u32 {
        self.queues.params().features
    }

    pub fn create_arena(&mut self, size_bytes: usize, register: bool) -> io::Result<NewArena> {
        let registrar = self.registrar();
        self.tables
            .arenas
            .create(size_bytes, register.then_some(registrar))
    }

    /// JavaScript can no longer name the arena; it is freed when no operation in flight does either.
    pub fn release_arena(&mut self, handle: u32) {
        self.tables.arenas.release(handle);
        let registrar = self.registrar();
        self.tables.arenas.sweep(registrar);
    }

    /// A new group of provided buffers in an arena of its own, which stays pinned while the group is registered.
    pub fn register_group(&mut self, options: RingOptions) -> io::Result<(u16, NewArena)> {
        let RingOptions {
            entries, size_bytes, ..
        } = options;
        if !entries.is_power_of_two() || entries > bufring::ENTRIES_MAX || size_bytes == 0 {
            return Err(refused(libc::EINVAL));
        }
        let group = self
            .tables
            .groups
            .next_free()
            .ok_or_else(|| refused(libc::ENOSPC))?;
        let arena = self.create_arena(entries as usize * size_bytes as usize, false)?;
        let range = self
            .tables
            .arenas
            .resolve(arena.handle, 0, 1)
            .map_err(|_| refused(libc::EINVAL))?;
        let buffers = (range.arena, arena.mapping.clone());
        let registrar = self.registrar();
        if let Err(error) = self.tables.groups.register(group, options, buffers, registrar) {
            self.release_arena(arena.handle);
            return Err(error);
        }
        self.tables.arenas.pin(range.arena);
        Ok((group, arena))
    }

    pub fn unregister_group(&mut self, group: u16) -> io::Result<()> {
        let arena = self.tables.groups.unregister(group, self.registrar())?;
        self.tables.arenas.unpin(arena);
        let registrar = self.registrar();
        self.tables.arenas.sweep(registrar);
        Ok(())
    }
}
