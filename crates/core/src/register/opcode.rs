//! The registrations of io_uring_register(2): one table, from which `ts/generated/registrations.ts` is written.

/// IORING_REGISTER_* and IORING_UNREGISTER_* (include/uapi/linux/io_uring.h), without their prefix.
macro_rules! registrations {
    ($(($number:literal, $constant:ident, $name:literal, $kernel:literal, $method:literal),)*) => {
        $(pub const $constant: u32 = $number;)*

        /// All of them, in the order of their numbers.
        pub const REGISTRATIONS: &[Registration] = &[
            $(Registration { number: $number, name: $name, kernel: $kernel, method: $method },)*
        ];
    };
}

/// One registration: its number, its name as in the man page (without IORING_), the first kernel that has it, and
/// where it stands in the API of this package.
pub struct Registration {
    pub number: u32,
    pub name: &'static str,
    pub kernel: &'static str,
    pub method: &'static str,
}

// The forms of 5.1 for buffers and files are what their successors with tags do too, so those are used throughout.
registrations![
    (
        0,
        BUFFERS,
        "REGISTER_BUFFERS",
        "5.1",
        "Ring.alloc (as REGISTER_BUFFERS2)"
    ),
    (
        1,
        UNREGISTER_BUFFERS,
        "UNREGISTER_BUFFERS",
        "5.1",
        "Registrar.unregisterBuffers (as REGISTER_BUFFERS_UPDATE)"
    ),
    (
        2,
        FILES,
        "REGISTER_FILES",
        "5.1",
        "Registrar.registerFiles (as REGISTER_FILES2)"
    ),
    (
        3,
        UNREGISTER_FILES,
        "UNREGISTER_FILES",
        "5.1",
        "FileTable.unregister"
    ),
    (4, EVENTFD, "REGISTER_EVENTFD", "5.2", "Registrar.registerEventfd"),
    (
        5,
        UNREGISTER_EVENTFD,
        "UNREGISTER_EVENTFD",
        "5.2",
        "Registrar.unregisterEventfd"
    ),
    (
        6,
        FILES_UPDATE,
        "REGISTER_FILES_UPDATE",
        "5.5",
        "FileTable.update (as REGISTER_FILES_UPDATE2)"
    ),
    (
        7,
        EVENTFD_ASYNC,
        "REGISTER_EVENTFD_ASYNC",
        "5.6",
        "Registrar.registerEventfd"
    ),
    (8, PROBE, "REGISTER_PROBE", "5.6", "probe"),
    (
        9,
        PERSONALITY,
        "REGISTER_PERSONALITY",
        "5.6",
        "Registrar.registerPersonality"
    ),
    (
        10,
        UNREGISTER_PERSONALITY,
        "UNREGISTER_PERSONALITY",
        "5.6",
        "Registrar.unregisterPersonality"
    ),
    (
        11,
        RESTRICTIONS,
        "REGISTER_RESTRICTIONS",
        "5.10",
        "Registrar.restrict"
    ),
    (12, ENABLE_RINGS, "REGISTER_ENABLE_RINGS", "5.10", "Ring.enable"),
    (13, FILES2, "REGISTER_FILES2", "5.13", "Registrar.registerFiles"),
    (
        14,
        FILES_UPDATE2,
        "REGISTER_FILES_UPDATE2",
        "5.13",
        "FileTable.update"
    ),
    (15, BUFFERS2, "REGISTER_BUFFERS2", "5.13", "Ring.alloc"),
    (
        16,
        BUFFERS_UPDATE,
        "REGISTER_BUFFERS_UPDATE",
        "5.13",
        "Registrar.registerBuffers"
    ),
    (
        17,
        IOWQ_AFF,
        "REGISTER_IOWQ_AFF",
        "5.14",
        "Registrar.setWorkerAffinity"
    ),
    (
        18,
        UNREGISTER_IOWQ_AFF,
        "UNREGISTER_IOWQ_AFF",
        "5.14",
        "Registrar.setWorkerAffinity"
    ),
    (
        19,
        IOWQ_MAX_WORKERS,
        "REGISTER_IOWQ_MAX_WORKERS",
        "5.15",
        "Registrar.setWorkerLimits"
    ),
    (20, RING_FDS, "REGISTER_RING_FDS", "5.18", "Ring.registerRingFd"),
    (
        21,
        UNREGISTER_RING_FDS,
        "UNREGISTER_RING_FDS",
        "5.18",
        "Ring.unregisterRingFd"
    ),
    (
        22,
        PBUF_RING,
        "REGISTER_PBUF_RING",
        "5.19",
        "Registrar.registerBufferRing"
    ),
    (
        23,
        UNREGISTER_PBUF_RING,
        "UNREGISTER_PBUF_RING",
        "5.19",
        "BufferRing.unregister"
    ),
    (
        24,
        SYNC_CANCEL,
        "REGISTER_SYNC_CANCEL",
        "6.0",
        "Registrar.syncCancel"
    ),
    (
        25,
        FILE_ALLOC_RANGE,
        "REGISTER_FILE_ALLOC_RANGE",
        "6.0",
        "Registrar.registerFiles"
    ),
    (
        26,
        PBUF_STATUS,
        "REGISTER_PBUF_STATUS",
        "6.8",
        "BufferRing.status"
    ),
    (27, NAPI, "REGISTER_NAPI", "6.9", "Registrar.registerNapi"),
    (
        28,
        UNREGISTER_NAPI,
        "UNREGISTER_NAPI",
        "6.9",
        "Registrar.unregisterNapi"
    ),
    (29, CLOCK, "REGISTER_CLOCK", "6.12", "Registrar.setClock"),
    (
        30,
        CLONE_BUFFERS,
        "REGISTER_CLONE_BUFFERS",
        "6.12",
        "Registrar.cloneBuffers"
    ),
    (31, SEND_MSG_RING, "REGISTER_SEND_MSG_RING", "6.13", "sendMessage"),
    (
        32,
        ZCRX_IFQ,
        "REGISTER_ZCRX_IFQ",
        "6.15",
        "Registrar.registerZeroCopyReceive"
    ),
    (33, RESIZE_RINGS, "REGISTER_RESIZE_RINGS", "6.13", "Ring.resize"),
    (
        34,
        MEM_REGION,
        "REGISTER_MEM_REGION",
        "6.13",
        "RingOptions.registeredWait"
    ),
    (35, QUERY, "REGISTER_QUERY", "6.18", "probe"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_registration_stands_at_its_own_number() {
        for (number, registration) in REGISTRATIONS.iter().enumerate() {
            assert_eq!(registration.number as usize, number);
        }
    }
}
