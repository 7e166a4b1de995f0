//! From the shared block to the submission queue: records are admitted or refused, alone or as whole chains.

use crate::ops;
use crate::queues::Sqe;
use crate::reject::Reject;
use crate::relocate::{SQE_DRAIN, SQE_HARDLINK, SQE_LINK, Tables, Words};
use crate::ring::Ring;
use crate::shared::{CompletionRecord, EXTRA_IS_LOCAL, LargeRecord, Shared, Word};
use crate::uapi;
use std::collections::VecDeque;

const USER_DATA_LANE: usize = 4;

impl Ring {
    /// Moves records from the shared block into the submission queue, as far as it has room; a chain moves whole.
    pub(crate) fn stage(&mut self) -> u32 {
        if self.shared.get(Word::RecycleCount) > 0 {
            let groups = &mut self.tables.groups;
            self.shared.drain_recycled(|group, id| {
                groups.give_back(group, id);
            });
        }
        let prepared = self.shared.prepared();
        if prepared == 0 {
            return 0;
        }
        if self.is_closing() {
            refuse(&self.shared, &mut self.local, (0, prepared), 0, Reject::Closed);
            self.stats.refused += u64::from(prepared);
            self.shared.take_records(prepared);
            return prepared;
        }
        let taken = self.admit_records(prepared);
        if self.taskrun()
            && self
                .admitted
                .iter()
                .any(|lanes| ops::is_request_about_another(lanes[0] as u8))
        {
            self.run_task_work_first();
        }
        // SAFETY: `relocate` checked every pointer and pinned what they name until the last completion.
        unsafe { self.queues.submission.push(&self.admitted) };
        self.shared.take_records(taken);
        self.stats.submitted += self.admitted.len() as u64;
        taken
    }

    /// An operation whose task work is waiting to run is in none of the kernel's lists: a timer that has expired and will
    /// start again, for one, cannot be found by a request to stop it (io_uring/timeout.c, io_timeout_fn). Task work runs
    /// after submission, so without this a timer that is quicker than our turns could never be stopped.
    #[cold]
    pub(crate) fn run_task_work_first(&mut self) {
        self.stats.enters += 1;
        // Whatever is wrong shows when the request itself is submitted.
        let _ran = self.entrance.enter(0, uapi::ENTER_GETEVENTS);
    }

    /// Admits records to `admitted`, as many as the queue has room for, and answers how many it dealt with. They are
    /// copied into the queue together: one by one, each copy would wait for the stores before it.
    fn admit_records(&mut self, prepared: u32) -> u32 {
        let have_changed = self.credentials.have_changed();
        let room = self.queues.submission.room() as usize;
        let Ring {
            shared,
            tables,
            local,
            supported,
            admitted,
            stats,
            ..
        } = self;
        admitted.clear();
        let mut taken = 0;
        while taken < prepared {
            let record = shared.record(taken);
            let length = if is_linked(&record) {
                chain_length(shared, taken, prepared)
            } else {
                1
            };
            // The block is as large as the queue, so a chain always fits into an empty one.
            if room - admitted.len() < length as usize {
                break;
            }
            // To stop what is in flight, and to tell another ring so, is no new work.
            let is_new = length > 1 || !ops::uses_no_credentials(&record);
            let refused = if have_changed && is_new {
                Some((0, Reject::CredentialsChanged))
            } else if length == 1 {
                match tables.relocate(&record, supported) {
                    Ok(relocated) => {
                        admitted.push(relocated.lanes(&record));
                        None
                    }
                    Err(reject) => Some((0, reject)),
                }
            } else {
                admit_chain(shared, tables, supported, (taken, length), admitted)
            };
            if let Some((culprit, reject)) = refused {
                refuse(shared, local, (taken, length), culprit, reject);
                stats.refused += u64::from(length);
            }
            taken += length;
        }
        taken
    }
}

fn is_linked(record: &Words) -> bool {
    record[0] >> 8 & (SQE_LINK | SQE_HARDLINK) != 0
}

/// Records from `first` on, up to and including the first that is not linked to the next.
fn chain_length(shared: &Shared, first: u32, prepared: u32) -> u32 {
    let linked = (first..prepared)
        .take_while(|at| is_linked(&shared.record(*at)))
        .count() as u32;
    (linked + 1).min(prepared - first)
}

/// Admits a whole chain or nothing of it; answers the link that was refused.
fn admit_chain(
    shared: &Shared,
    tables: &mut Tables,
    supported: &[bool; 256],
    (first, length): (u32, u32),
    admitted: &mut Vec<Sqe>,
) -> Option<(u32, Reject)> {
    let (before, had_drained) = (admitted.len(), tables.has_drained);
    let mut zero_copy = false;
    for ahead in 0..length {
        let record = shared.record(first + ahead);
        let drains = record[0] >> 8 & SQE_DRAIN != 0;
        zero_copy |= ops::spec(record[0] as u8).is_some_and(|spec| spec.notifies);
        // One link that drains makes the whole chain wait (io_uring/io_uring.c, io_init_req).
        let relocated = if drains && zero_copy {
            Err(Reject::AfterDrain)
        } else {
            tables.relocate(&record, supported)
        };
        match relocated {
            Ok(relocated) => admitted.push(relocated.lanes(&record)),
            Err(reject) => {
                for lanes in admitted.drain(before..) {
                    tables.retract(lanes[USER_DATA_LANE]);
                }
                tables.has_drained = had_drained;
                return Some((ahead, reject));
            }
        }
    }
    None
}

/// Completes records that never reach the kernel: the culprit with its reason, the others of its chain as cancelled.
fn refuse(
    shared: &Shared,
    local: &mut VecDeque<LargeRecord>,
    (first, length): (u32, u32),
    culprit: u32,
    reject: Reject,
) {
    for ahead in 0..length {
        let alone = ahead == culprit || reject == Reject::Closed;
        let reject = if alone { reject } else { Reject::ChainBroken };
        let res = match reject {
            Reject::Closed | Reject::ChainBroken => -libc::ECANCELED,
            Reject::CredentialsChanged => -libc::EPERM,
            _ => -libc::EINVAL,
        };
        let index = shared.record(first + ahead)[8];
        let record = CompletionRecord {
            index,
            res,
            flags: 0,
            extra: EXTRA_IS_LOCAL | reject as u32,
        };
        local.push_back(record.into());
    }
}
