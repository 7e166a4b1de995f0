//! Descriptors in completions that stand in the shared block until JavaScript reads them. At the end those that nobody has
//! read are closed; which they are is remembered here, because JavaScript can write in the block.

use crate::relocate::Tables;
use crate::ring::Ring;
use crate::shared::{CompletionRecord, EXTRA_IS_FD, EXTRA_IS_PIPE, LargeRecord, Shared, Word};
use std::collections::VecDeque;

/// The completion has brought descriptors.
pub(crate) const EXTRA_BRINGS: u32 = EXTRA_IS_FD | EXTRA_IS_PIPE;

struct Made {
    /// The free-running count of its completion record.
    count: u32,
    /// The operation's.
    index: u32,
    brought: Brought,
}

enum Brought {
    Descriptor(i32),
    Pipe([i32; 2]),
}

/// In the order of their counts.
#[derive(Default)]
pub(crate) struct Unread(VecDeque<Made>);

impl Unread {
    /// Notes what a completion has brought that will be the record with this count.
    #[cold]
    pub fn note(&mut self, shared: &Shared, count: u32, record: CompletionRecord, tables: &mut Tables) {
        let head = shared.get(Word::CqHead);
        let unread = count.wrapping_sub(head);
        let is_read = |made: &mut Made| made.count.wrapping_sub(head) >= unread;
        while self.0.front_mut().is_some_and(is_read) || self.0.len() >= shared.cq_capacity() as usize {
            self.0.pop_front();
        }
        let brought = if record.extra & EXTRA_IS_FD != 0 {
            Some(Brought::Descriptor(record.res))
        } else {
            tables.pipes.remove(&record.index).map(Brought::Pipe)
        };
        let index = record.index;
        self.0.extend(brought.map(|brought| Made {
            count,
            index,
            brought,
        }));
    }

    /// What the record with this count has brought; forgets those before it.
    fn take(&mut self, count: u32) -> Option<Made> {
        while self
            .0
            .front()
            .is_some_and(|made| (made.count.wrapping_sub(count) as i32) < 0)
        {
            self.0.pop_front();
        }
        if self.0.front()?.count == count {
            self.0.pop_front()
        } else {
            None
        }
    }
}

impl Ring {
    /// Takes the oldest unread completion out of the block, for when JavaScript does not. The descriptors that it brings
    /// are those that were noted, whatever JavaScript has written over it.
    pub(crate) fn take_back(&mut self) -> Option<LargeRecord> {
        let count = self.shared.get(Word::CqHead);
        let mut completion = self.shared.pop_completion()?;
        let record = &mut completion.record;
        record.extra &= !EXTRA_BRINGS;
        if let Some(made) = self.unread.take(count) {
            record.index = made.index;
            match made.brought {
                Brought::Descriptor(fd) => {
                    record.res = fd;
                    record.extra |= EXTRA_IS_FD;
                }
                Brought::Pipe(ends) => {
                    self.tables.pipes.insert(made.index, ends);
                    record.extra |= EXTRA_IS_PIPE;
                }
            }
        }
        Some(completion)
    }
}
