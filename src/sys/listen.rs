//! The addresses of the `bind` option, opened together: all of them or none. And listening sockets set aside while others
//! take their addresses.

use super::socket;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, ToSocketAddrs};
use std::ops::Deref;
use std::os::fd::{AsRawFd, RawFd};

/// TCP sockets that listen.
#[derive(Debug, Default)]
pub struct Sockets {
    /// For clients without TLS.
    pub clear: Vec<TcpListener>,
    /// For clients with it.
    pub tls: Vec<TcpListener>,
    /// For those who come for the metrics, in HTTP.
    pub metrics: Vec<TcpListener>,
}

impl Sockets {
    /// Their descriptors.
    pub fn descriptors(&self) -> Vec<RawFd> {
        self.clear.iter().chain(&self.tls).chain(&self.metrics).map(AsRawFd::as_raw_fd).collect()
    }

    /// Whether there is none for clients.
    pub fn is_empty(&self) -> bool {
        self.clear.is_empty() && self.tls.is_empty()
    }
}

/// Why an address is not listened on.
#[derive(Debug)]
pub struct ListenError {
    /// The word that named it.
    pub word: String,
    /// The port.
    pub port: u16,
    /// The system's reason.
    pub error: io::Error,
}

impl fmt::Display for ListenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let reason = self.error.to_string();
        let reason = reason.split(" (os error").next().unwrap_or_default();
        write!(f, "Could not create server TCP listening socket {}:{}: {reason}", self.word, self.port)
    }
}

/// Listens on every address of `bind` (none if `port` is 0): IPv4, IPv6, host names, `*` and `::*` for all. An address that
/// begins with `-` may be missing on this machine.
///
/// # Errors
/// The first address that can't be listened on; those opened before it are closed again.
pub fn open_all<W: Deref<Target = [u8]>>(bind: &[W], port: u16, backlog: u32) -> Result<Vec<TcpListener>, ListenError> {
    let mut opened = Vec::new();
    if port == 0 {
        return Ok(opened);
    }
    for word in bind {
        let word = String::from_utf8_lossy(word);
        let (optional, name) = word.strip_prefix('-').map_or((false, &*word), |name| (true, name));
        match open(name, port, backlog) {
            Ok(listener) => opened.push(listener),
            Err(error) if optional && is_missing(&error) => log::debug!("Not listening on {name}: {error}"),
            // A system without IPv6 is no reason not to start.
            Err(error) if name == "::*" && is_missing(&error) => log::debug!("Not listening on {name}: {error}"),
            Err(error) => return Err(ListenError { word: name.to_owned(), port, error }),
        }
    }
    Ok(opened)
}

fn open(name: &str, port: u16, backlog: u32) -> io::Result<TcpListener> {
    let addrs: Vec<SocketAddr> = match name {
        "*" => vec![(Ipv4Addr::UNSPECIFIED, port).into()],
        "::*" => vec![(Ipv6Addr::UNSPECIFIED, port).into()],
        _ => (name, port).to_socket_addrs()?.collect(),
    };
    let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
    for addr in addrs {
        match socket::listen_tcp(addr, backlog) {
            Ok(listener) => return Ok(listener),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// The machine has no such address, or does not speak that protocol.
fn is_missing(error: &io::Error) -> bool {
    let codes = [
        libc::EADDRNOTAVAIL,
        libc::EAFNOSUPPORT,
        libc::EPROTONOSUPPORT,
        libc::ESOCKTNOSUPPORT,
        libc::EPFNOSUPPORT,
        libc::ENOPROTOOPT,
    ];
    error.raw_os_error().is_some_and(|code| codes.contains(&code))
}

/// Stops listening without giving the socket up: its address can be taken by another, and it can resume.
pub fn suspend(fd: RawFd) {
    // SAFETY: a call without pointers; a descriptor that is none is refused by the system.
    if unsafe { libc::shutdown(fd, libc::SHUT_RDWR) } != 0 {
        log::debug!("A listening socket could not be set aside: {}", io::Error::last_os_error());
    }
}

/// Listens again on a socket that was set aside.
///
/// # Errors
/// The system's.
pub fn resume(fd: RawFd, backlog: u32) -> io::Result<()> {
    // SAFETY: a call without pointers; a descriptor that is none is refused by the system.
    match unsafe { libc::listen(fd, i32::try_from(backlog).unwrap_or(i32::MAX)) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpStream;

    #[test]
    fn a_socket_set_aside_lets_another_take_its_address_and_comes_back() {
        // A port asked for by number: one that the system chose is given up when its socket stops listening.
        let free = open("127.0.0.1", 0, 5).expect("a free port").local_addr().expect("it is bound").port();
        let first = open("127.0.0.1", free, 5).expect("it was free just now");
        let addr = first.local_addr().expect("it is bound");
        assert!(open_all(&[&b"127.0.0.1"[..]], addr.port(), 5).is_err());
        suspend(first.as_raw_fd());
        let second = open_all(&[&b"127.0.0.1"[..]], addr.port(), 5).expect("the address is free");
        assert!(TcpStream::connect(addr).is_ok() && second.len() == 1);
        drop(second);
        resume(first.as_raw_fd(), 5).expect("the address is free again");
        assert!(TcpStream::connect(addr).is_ok());
    }

    #[test]
    fn optional_addresses_may_be_missing() {
        let free = open("127.0.0.1", 0, 5).expect("a free port").local_addr().expect("bound").port();
        assert_eq!(open_all(&[&b"127.0.0.1"[..], b"-192.0.2.1"], free, 5).expect("one is enough").len(), 1);
        let error = open_all(&[&b"192.0.2.1"[..]], free, 5).expect_err("no such address here");
        assert!(error.to_string().starts_with("Could not create server TCP listening socket 192.0.2.1:"), "{error}");
        assert!(open_all(&[&b"192.0.2.1"[..]], 0, 5).expect("no port, no socket").is_empty());
    }
}
