//! Why Rust refused an operation record. The TypeScript layer checks what users give before it writes a
//! record, so most of these mean a stale handle; the code reaches JavaScript in the completion's `extra`.

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum Reject {
    /// Not in the table of operations.
    UnknownOperation = 1,
    /// This kernel's probe does not have the operation.
    UnsupportedOperation = 2,
    /// A field has bits that the operation does not define.
    BadField = 3,
    /// The arena is gone.
    StaleMemory = 4,
    /// The range leaves its arena.
    OutOfBounds = 5,
    /// The arena is not registered with the kernel, but the operation needs it to be.
    NotRegistered = 6,
    /// The registered-file slot is empty, or has been given to another file since.
    StaleFile = 7,
    /// The slot that a direct descriptor should go to is taken or not ours.
    SlotUnavailable = 8,
    /// No such provided-buffer group.
    UnknownBufferGroup = 9,
    /// The in-flight index is taken or out of range.
    BadIndex = 10,
    /// Not refused itself: another link of its chain was.
    ChainBroken = 11,
    /// The ring was closed before the operation was submitted.
    Closed = 12,
    /// A raw field, or a block of memory that it names, holds what could be an address.
    CouldBeAddress = 13,
    /// The operation takes an entry of 128 bytes, and the ring's have 64.
    NeedsLargeEntry = 14,
    /// The advice would take pages away that the kernel has registered.
    Registered = 15,
    /// A zero-copy send that drains, or comes after an operation that did: on 6.18 it might never start.
    AfterDrain = 16,
    /// The ring that a message is for is closed, or never was one of this process.
    StaleRing = 17,
    /// The thread has other credentials than when the ring was opened.
    CredentialsChanged = 18,
}

pub const REJECTS: [(&str, Reject); 18] = [
    ("unknownOperation", Reject::UnknownOperation),
    ("unsupportedOperation", Reject::UnsupportedOperation),
    ("badField", Reject::BadField),
    ("staleMemory", Reject::StaleMemory),
    ("outOfBounds", Reject::OutOfBounds),
    ("notRegistered", Reject::NotRegistered),
    ("staleFile", Reject::StaleFile),
    ("slotUnavailable", Reject::SlotUnavailable),
    ("unknownBufferGroup", Reject::UnknownBufferGroup),
    ("badIndex", Reject::BadIndex),
    ("chainBroken", Reject::ChainBroken),
    ("closed", Reject::Closed),
    ("couldBeAddress", Reject::CouldBeAddress),
    ("needsLargeEntry", Reject::NeedsLargeEntry),
    ("registered", Reject::Registered),
    ("afterDrain", Reject::AfterDrain),
    ("staleRing", Reject::StaleRing),
    ("credentialsChanged", Reject::CredentialsChanged),
];
