//! What a ring is told ahead of time, beyond its memory: files, shared buffers, restrictions; and cancelling from outside.

use crate::files::FileTable;
use crate::inflight::Event;
use crate::register::SyncCancel;
use crate::ring::Ring;
use std::io;
use std::os::fd::RawFd;
use std::time::Duration;

const CANCEL_FD: u32 = 1 << 1;
const CANCEL_ANY: u32 = 1 << 2;
const CANCEL_FD_FIXED: u32 = 1 << 3;
const CANCEL_OP: u32 = 1 << 5;

fn refused(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// The user_data of a tag: 0 is none to the kernel, and stays so.
fn tag_data(tag: Option<u64>) -> io::Result<u64> {
    match tag {
        None => Ok(0),
        Some(tag) => Event::Tag(tag).user_data().ok_or_else(|| refused(libc::EINVAL)),
    }
}

/// What a synchronous cancel request looks for.
pub struct CancelTarget {
    /// An operation, by index and sequence number.
    pub operation: Option<(u32, u32)>,
    /// A descriptor, or with CANCEL_FD_FIXED the handle of a registered file.
    pub fd: i32,
    /// IORING_ASYNC_CANCEL_*.
    pub flags: u32,
    pub opcode: u8,
}

impl Ring {
    pub fn register_files(&mut self, ours: u32, kernels: u32) -> io::Result<()> {
        if self.tables.files.is_some() {
            return Err(refused(libc::EBUSY));
        }
        let table = FileTable::register(ours, kernels, &self.tables.retired_files, self.registrar())?;
        self.tables.files = Some(table);
        Ok(())
    }

    /// Takes the table out of the kernel; its handles are stale from here on.
    pub fn unregister_files(&mut self) -> io::Result<()> {
        let files = self.tables.files.as_ref().ok_or_else(|| refused(libc::ENXIO))?;
        if self.tables.in_flight.changes_files() {
            return Err(refused(libc::EBUSY));
        }
        let generations = files.unregister(self.registrar())?;
        // A table that is smaller than the one before it does not end the generations of the slots beyond it.
        let retired = &mut self.tables.retired_files;
        if retired.len() < generations.len() {
            *retired = generations;
        } else {
            retired[..generations.len()].copy_from_slice(&generations);
        }
        self.tables.files = None;
        Ok(())
    }

    fn files(&mut self) -> io::Result<&mut FileTable> {
        self.tables.files.as_mut().ok_or_else(|| refused(libc::ENXIO))
    }

    /// Puts a descriptor into a slot of ours, or into a free one; answers the handle.
    pub fn set_file(&mut self, slot: Option<u32>, fd: RawFd, tag: Option<u64>) -> io::Result<u32> {
        let registrar = self.registrar();
        let tag = tag_data(tag)?;
        let files = self.files()?;
        match slot {
            Some(slot) if slot < files.sizes().0 => files.set(slot, fd, tag, registrar),
            Some(_) => Err(refused(libc::EINVAL)),
            None => files.alloc(fd, tag, registrar),
        }
    }

    /// Puts descriptors into slots of ours; -1 empties one, -2 leaves it. Answers the handles, 0 for empty ones.
    pub fn update_files(&mut self, first: u32, fds: &[RawFd], tags: &[Option<u64>]) -> io::Result<Vec<u32>> {
        let registrar = self.registrar();
        let tags: Vec<u64> = tags.iter().map(|tag| tag_data(*tag)).collect::<io::Result<_>>()?;
        let files = self.files()?;
        let end = u64::from(first) + fds.len() as u64;
        if fds.is_empty() || tags.len() != fds.len() || end > u64::from(files.sizes().0) {
            return Err(refused(libc::EINVAL));
        }
        files.update(first, fds, &tags, registrar)
    }

    pub fn clear_file(&mut self, handle: u32) -> io::Result<()> {
        let registrar = self.registrar();
        self.files()?.clear(handle, registrar)
    }

    /// Puts an arena into the kernel's table again, or takes it out.
    pub fn register_arena(&mut self, handle: u32, tag: Option<u64>) -> io::Result<()> {
        let registrar = self.registrar();
        self.tables
            .arenas
            .register_again(handle, registrar, tag_data(tag)?)
    }

    pub fn unregister_arena(&mut self, handle: u32) -> io::Result<()> {
        let registrar = self.registrar();
        self.tables.arenas.unregister(handle, registrar)
    }

    /// Shares a registered arena of another ring (6.13); answers its handle here.
    pub fn share_arena(&mut self, source: &Ring, handle: u32) -> io::Result<u32> {
        let registrar = self.registrar();
        self.tables
            .arenas
            .share(registrar, (&source.tables.arenas, source.fd()), handle)
    }

    /// Cancels what matches and waits until that has ended, or for so long. Nothing is changed by what is not found.
    pub fn sync_cancel(&mut self, target: &CancelTarget, limit: Option<Duration>) -> io::Result<u32> {
        let mut cancel = SyncCancel {
            flags: target.flags,
            fd: -1,
            timeout: limit.map_or([-1, -1], |limit| {
                [limit.as_secs() as i64, i64::from(limit.subsec_nanos())]
            }),
            ..SyncCancel::default()
        };
        if target.flags & CANCEL_OP != 0 {
            cancel.opcode = target.opcode;
        }
        if target.flags & CANCEL_FD_FIXED != 0 {
            let slot = self.files()?.resolve(target.fd as u32);
            cancel.fd = slot.map_err(|_| refused(libc::EBADF))? as i32;
        } else if target.flags & CANCEL_FD != 0 {
            cancel.fd = target.fd;
        }
        if let Some((index, sequence)) = target.operation {
            cancel.target = self.tables.in_flight.target(index, sequence);
        } else if target.flags & (CANCEL_FD | CANCEL_ANY | CANCEL_OP) == 0 {
            return Err(refused(libc::ENOENT));
        }
        let count = self.registrar().sync_cancel(&cancel);
        self.reap();
        count
    }
}
