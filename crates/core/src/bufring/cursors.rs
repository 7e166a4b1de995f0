//! Where each buffer of a ring is: the part that needs no kernel, so that it can be tested alone.

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// In the ring, or in use by an operation whose completion has not been seen.
    Kernel,
    /// JavaScript's.
    Lent,
    /// Of a ring that is provided by hand: nobody's, to be taken.
    Free,
}

pub struct Cursors {
    states: Vec<State>,
    /// The length a buffer was provided with; once it is lent, the bytes of it that were used.
    lens: Vec<u32>,
    /// The tail at which each buffer was published last; masked, its place in the ring.
    published: Vec<u16>,
    /// The buffer that was provided right after each one, so the one that stands behind it in the ring. Places cannot
    /// answer that: they are written again before the completion is read. Stays until the buffer is provided again.
    next: Vec<u16>,
    last: Option<u16>,
    free: Vec<u16>,
    lent_count: u32,
    /// Counts every publication; its low 16 bits are the tail the kernel sees.
    tail: u16,
    mask: u16,
}

impl Cursors {
    pub fn new(entries: u32) -> Cursors {
        assert!(entries.is_power_of_two() && entries <= super::ENTRIES_MAX);
        let count = entries as usize;
        // All start as lent, and are published one by one like any buffer that comes back.
        Cursors {
            states: vec![State::Lent; count],
            lens: vec![0; count],
            published: vec![0; count],
            next: (0..count).map(|id| id as u16).collect(),
            last: None,
            free: Vec::new(),
            lent_count: entries,
            tail: 0,
            mask: (entries - 1) as u16,
        }
    }

    /// The kernel used this buffer: it is JavaScript's until it comes back, or with `to_free` to be taken.
    #[inline]
    pub fn lend(&mut self, id: u16, to_free: bool) {
        if self.states[id as usize] != State::Kernel {
            return;
        }
        if to_free {
            self.states[id as usize] = State::Free;
            self.free.push(id);
        } else {
            self.states[id as usize] = State::Lent;
            self.lent_count += 1;
        }
    }

    /// As `lend`, for a buffer of which only so many bytes were used.
    pub fn lend_part(&mut self, id: u16, bytes: u32, to_free: bool) {
        if self.states[id as usize] == State::Kernel {
            self.lens[id as usize] = bytes;
            self.lend(id, to_free);
        }
    }

    /// The place in the ring where a returned buffer is to be published, or nothing if it was not lent.
    pub fn give_back(&mut self, id: u16, len_bytes: u32) -> Option<u16> {
        let state = self.states.get_mut(id as usize)?;
        if *state != State::Lent {
            return None;
        }
        *state = State::Kernel;
        self.lent_count -= 1;
        self.lens[id as usize] = len_bytes;
        self.published[id as usize] = self.tail;
        let place = self.place(id);
        self.tail = self.tail.wrapping_add(1);
        if let Some(last) = self.last.replace(id) {
            self.next[last as usize] = id;
        }
        Some(place)
    }

    /// JavaScript does not want a buffer that it took; answers whether it had it.
    pub fn put_back(&mut self, id: u16) -> bool {
        match self.states.get_mut(id as usize) {
            Some(state) if *state == State::Lent => {
                *state = State::Free;
                self.lent_count -= 1;
                self.free.push(id);
                true
            }
            _ => false,
        }
    }

    pub fn has_free(&self) -> bool {
        !self.free.is_empty()
    }

    /// Takes a free buffer.
    pub fn take(&mut self) -> Option<u16> {
        let id = self.free.pop()?;
        self.states[id as usize] = State::Lent;
        self.lent_count += 1;
        Some(id)
    }

    /// Frees what the kernel has used and no completion has named; `head` counts what it has used, and nothing is in
    /// flight.
    pub fn recover(&mut self, head: u16) {
        let in_ring = self.tail.wrapping_sub(head);
        for id in 0..self.states.len() as u16 {
            // How long ago the buffer was provided, counted from the last one: the ring holds the last `in_ring`.
            let age = self
                .tail
                .wrapping_sub(1)
                .wrapping_sub(self.published[id as usize]);
            if self.states[id as usize] == State::Kernel && age >= in_ring {
                self.states[id as usize] = State::Free;
                self.free.push(id);
            }
        }
    }

    pub fn place(&self, id: u16) -> u16 {
        self.published[id as usize] & self.mask
    }

    pub fn len_bytes(&self, id: u16) -> u32 {
        self.lens[id as usize]
    }

    pub fn next(&self, id: u16) -> u16 {
        self.next[id as usize]
    }

    /// Not in the ring.
    pub fn is_out(&self, id: u16) -> bool {
        self.states
            .get(id as usize)
            .is_some_and(|state| *state != State::Kernel)
    }

    pub fn tail(&self) -> u16 {
        self.tail
    }

    pub fn lent_count(&self) -> u32 {
        self.lent_count
    }
}
