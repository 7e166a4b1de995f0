//! What servers and load generators need of sockets, and of the process that serves.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::Result;

/// As many connections as anybody waits with at a time.
const BACKLOG: i32 = 4_096;
/// Addresses that connections are spread over, so that none of them runs out of ports: 127.0.0.1 and on.
const LOOPBACK_ADDRESSES: u32 = 16;

fn check(result: i32) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(result)
}

fn set_option<T>(socket: &impl AsRawFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    // Socket options are a few bytes long.
    let length = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads the value during the call, and no more than its length.
    check(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            length,
        )
    })?;
    Ok(())
}

/// A listening socket whose connections send without delay. Not the standard library's, which has a
/// short backlog and no options before `listen`.
pub fn listen(address: Ipv4Addr, port: u16) -> Result<TcpListener> {
    // SAFETY: makes a new descriptor, which is owned at once.
    let socket = unsafe {
        let flags = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
        OwnedFd::from_raw_fd(check(libc::socket(libc::AF_INET, flags, 0))?)
    };
    set_option(&socket, libc::SOL_SOCKET, libc::SO_REUSEADDR, &1_i32)?;
    // Connections have what their listening socket has.
    set_option(&socket, libc::IPPROTO_TCP, libc::TCP_NODELAY, &1_i32)?;
    let name = libc::sockaddr_in {
        // A small constant.
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from(address).to_be(),
        },
        sin_zero: [0; 8],
    };
    // A small constant.
    let length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
    // SAFETY: the kernel reads the name during the call, and no more than its length.
    unsafe {
        check(libc::bind(socket.as_raw_fd(), (&raw const name).cast(), length))?;
        check(libc::listen(socket.as_raw_fd(), BACKLOG))?;
    }
    Ok(TcpListener::from(socket))
}

/// The connection of that number to a server on this machine.
pub fn connect(number: u32, port: u16) -> Result<TcpStream> {
    let address = Ipv4Addr::from(u32::from(Ipv4Addr::LOCALHOST) + number % LOOPBACK_ADDRESSES);
    let stream = TcpStream::connect(SocketAddrV4::new(address, port))?;
    stream.set_nodelay(true)?;
    // Reset when it is closed: thousands in TIME_WAIT would be in the way of the next run.
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    set_option(&stream, libc::SOL_SOCKET, libc::SO_LINGER, &linger)?;
    Ok(stream)
}

/// As many descriptors as this process may have.
pub fn raise_descriptor_limit() -> Result<()> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the kernel writes to and reads from the structure during the calls.
    unsafe {
        check(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit))?;
        limit.rlim_cur = limit.rlim_max;
        check(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit))?;
    }
    Ok(())
}

/// What all threads of a process have used of the processor so far, in user and kernel mode.
pub fn processor_time(pid: i32) -> Result<Duration> {
    let mut clock = 0;
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: both write to what they are given, during the call.
    unsafe {
        let errno = libc::clock_getcpuclockid(pid, &raw mut clock);
        if errno != 0 {
            return Err(io::Error::from_raw_os_error(errno).into());
        }
        check(libc::clock_gettime(clock, &raw mut time))?;
    }
    // Nanoseconds are fewer than 10^9 and seconds are not negative on these clocks.
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
