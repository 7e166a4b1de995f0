//! Control data of a message to send (man 3 cmsg): a private copy, in which nothing is an address. What is received needs
//! none of this: the kernel only writes there.

use crate::arenas::Arenas;
use crate::reject::Reject;

/// As ts/control.ts has it; net.core.optmem_max limits what the kernel takes.
const BYTES_MAX: u32 = 65_536;
/// sizeof(struct cmsghdr): a length of 64 bits, level and type. The next one starts at a multiple of 8 bytes.
const HEADER_BYTES: usize = 16;
const WORD_BYTES: usize = 8;

/// Copies control data, so that what is checked is what the kernel reads, however late: an SQPOLL thread or io-wq may.
pub fn copied(
    arenas: &Arenas,
    (handle, offset): (u32, u32),
    size_bytes: u32,
) -> Result<(Vec<u64>, usize), Reject> {
    let range = arenas.resolve(handle, offset, size_bytes)?;
    if size_bytes > BYTES_MAX {
        return Err(Reject::BadField);
    }
    let size_bytes = size_bytes as usize;
    let mut words = vec![0u64; size_bytes.div_ceil(WORD_BYTES)];
    for at in 0..size_bytes {
        // SAFETY: inside the range just resolved, and inside the words just made. Volatile, and each byte once: another
        // operation or another thread may be writing there.
        unsafe {
            let byte = (range.address as *const u8).add(at).read_volatile();
            words.as_mut_ptr().cast::<u8>().add(at).write(byte);
        }
    }
    check(&words, size_bytes)?;
    Ok((words, size_bytes))
}

/// Goes from message to message as the kernel does (include/linux/socket.h, for_each_cmsghdr and CMSG_OK).
fn check(words: &[u64], size_bytes: usize) -> Result<(), Reject> {
    let mut at = 0;
    while size_bytes.saturating_sub(at) >= HEADER_BYTES {
        let header = &words[at / WORD_BYTES..];
        let length = usize::try_from(header[0]).map_err(|_| Reject::BadField)?;
        if length < HEADER_BYTES || length > size_bytes - at {
            return Err(Reject::BadField);
        }
        let [a, b, c, d, e, f, g, h] = header[1].to_ne_bytes();
        let (level, kind) = (i32::from_ne_bytes([a, b, c, d]), i32::from_ne_bytes([e, f, g, h]));
        if !holds_no_address(level, kind) {
            return Err(Reject::CouldBeAddress);
        }
        at += length.next_multiple_of(WORD_BYTES);
    }
    Ok(())
}

/// Messages that the kernel takes as plain bytes. All others are left out: those of RDS (include/uapi/linux/rds.h, struct
/// rds_rdma_args) are addresses that the kernel reads and writes, and what nobody has read may be like them.
fn holds_no_address(level: i32, kind: i32) -> bool {
    match level {
        // By type: a SCM_ZC_NOTIFICATION with an address in it was once proposed here (netdev, May 2024).
        libc::SOL_SOCKET => is_known_to_sockets(kind),
        // net/ipv4/ip_sockglue.c, ip_cmsg_send: numbers, struct in_pktinfo, and IP options as they go over the wire.
        libc::SOL_IP => true,
        // net/ipv6/datagram.c, ip6_datagram_send_ctl: numbers, struct in6_pktinfo, extension headers.
        libc::SOL_IPV6 => true,
        // net/ipv4/udp.c, __udp_cmsg_send: the size of segments.
        libc::SOL_UDP => true,
        // net/tls/tls_main.c, tls_process_cmsg: the type of a record.
        libc::SOL_TLS => true,
        // net/sctp/socket.c, sctp_msghdr_parse: numbers and network addresses; its `context` is a number that comes back.
        libc::IPPROTO_SCTP => true,
        // crypto/af_alg.c, af_alg_cmsg_send: which way, how many bytes, the initialization vector itself.
        libc::SOL_ALG => true,
        _ => false,
    }
}

/// What net/core/sock.c, __sock_cmsg_send, and net/core/scm.c, __scm_send, take: descriptors and numbers.
fn is_known_to_sockets(kind: i32) -> bool {
    // include/uapi/asm-generic/socket.h, which x86-64 and arm64 share.
    const SCM_PIDFD: i32 = 4;
    const SO_TIMESTAMPING_NEW: i32 = 65;
    const SCM_DEVMEM_DMABUF: i32 = 79;
    const SCM_TS_OPT_ID: i32 = 81;
    matches!(
        kind,
        libc::SCM_RIGHTS
            | libc::SCM_CREDENTIALS
            | SCM_PIDFD
            | libc::SO_PRIORITY
            | libc::SO_MARK
            | libc::SO_TIMESTAMPING
            | SO_TIMESTAMPING_NEW
            | libc::SCM_TXTIME
            | SCM_DEVMEM_DMABUF
            | SCM_TS_OPT_ID
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: u64, level: i32, kind: i32) -> [u64; 2] {
        let mut header = [0; 8];
        header[..4].copy_from_slice(&level.to_ne_bytes());
        header[4..].copy_from_slice(&kind.to_ne_bytes());
        [length, u64::from_ne_bytes(header)]
    }

    const SOL_RDS: i32 = 276;
    const RIGHTS: (i32, i32) = (libc::SOL_SOCKET, libc::SCM_RIGHTS);

    fn one(length: u64, (level, kind): (i32, i32), size_bytes: usize) -> Result<(), Reject> {
        let mut words = message(length, level, kind).to_vec();
        words.resize(size_bytes.div_ceil(8).max(2), 0);
        check(&words, size_bytes)
    }

    #[test]
    fn messages_that_are_plain_bytes_pass() {
        let levels = [
            libc::SOL_IP,
            libc::SOL_IPV6,
            libc::SOL_UDP,
            libc::SOL_TLS,
            libc::IPPROTO_SCTP,
            libc::SOL_ALG,
        ];
        for level in levels {
            assert_eq!(one(20, (level, 7), 24), Ok(()));
        }
        for kind in [1, 2, 12, 36, 37, 61] {
            assert_eq!(one(16, (libc::SOL_SOCKET, kind), 16), Ok(()));
        }
    }

    #[test]
    fn levels_and_types_that_nobody_has_read_are_refused() {
        for place in [
            (SOL_RDS, 1),
            (libc::SOL_SOCKET, 99),
            (-1, 0),
            (272, 1),
            (i32::MAX, 1),
        ] {
            assert_eq!(one(16, place, 16), Err(Reject::CouldBeAddress));
        }
    }

    #[test]
    fn lengths_that_lead_out_of_the_data_are_refused() {
        for length in [0, 15, 25, u64::MAX, u64::MAX - 7, 1 << 32, 1 << 63] {
            assert_eq!(one(length, RIGHTS, 24), Err(Reject::BadField), "{length}");
        }
    }

    #[test]
    fn what_is_too_short_for_a_message_is_none() {
        for size_bytes in 0..16 {
            assert_eq!(one(u64::MAX, (SOL_RDS, 1), size_bytes), Ok(()));
        }
    }

    #[test]
    fn each_message_is_found_where_the_kernel_finds_it() {
        for length in 17..=24 {
            let mut words = message(length, RIGHTS.0, RIGHTS.1).to_vec();
            words.push(0);
            words.extend(message(16, SOL_RDS, 1));
            assert_eq!(check(&words, 40), Err(Reject::CouldBeAddress), "{length}");
            // One byte less, and it is no message any more.
            assert_eq!(check(&words, 39), Ok(()), "{length}");
        }
        // Hidden in the data of another, it is none either.
        let words = [message(32, RIGHTS.0, RIGHTS.1), message(16, SOL_RDS, 1)].concat();
        assert_eq!(check(&words, 32), Ok(()));
    }
}
