//! Sockets with the options that must be set before they listen, and addresses as text.

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

/// Listens on an address, not blocking. An IPv6 address takes no IPv4 connections.
///
/// # Errors
/// The system's: address in use, no such address, no right to the port.
pub fn listen_tcp(addr: SocketAddr, backlog: u32) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    socket.bind(&addr.into())?;
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Listens on a path, not blocking. A socket that lies there from before is removed, any other file is left alone and the
/// address is in use. With `permissions` other than 0 the file has them before the first connection can come.
///
/// # Errors
/// The system's.
pub fn listen_unix(path: &Path, permissions: u32, backlog: u32) -> io::Result<UnixListener> {
    if std::fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket()) {
        std::fs::remove_file(path)?;
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    if permissions != 0 {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(permissions))?;
    }
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Has TCP probe a peer that was silent for `secs` seconds: three probes, a third of the time apart.
///
/// # Errors
/// The system's.
pub fn set_keepalive(fd: RawFd, secs: u32) -> io::Result<()> {
    // SAFETY: the caller's descriptor is open for the duration of this call.
    let borrowed = unsafe { BorrowedFd::borrow_raw(fd) };
    let interval = Duration::from_secs(u64::from((secs / 3).max(1)));
    let keepalive = TcpKeepalive::new().with_time(Duration::from_secs(u64::from(secs))).with_interval(interval);
    SockRef::from(&borrowed).set_tcp_keepalive(&keepalive.with_retries(3))
}

/// `127.0.0.1:6379`, `[::1]:6379`; an IPv4 address that came over IPv6 is shown as IPv4.
pub fn address_text(addr: &SocketAddr) -> String {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => format!("{ip}:{}", addr.port()),
        IpAddr::V6(ip) => format!("[{ip}]:{}", addr.port()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_written_as_the_reference_writes_them() {
        let text = |s: &str| address_text(&s.parse().expect("an address"));
        assert_eq!(text("127.0.0.1:80"), "127.0.0.1:80");
        assert_eq!(text("[::1]:80"), "[::1]:80");
        assert_eq!(text("[::ffff:10.0.0.1]:80"), "10.0.0.1:80");
    }

    #[test]
    fn a_port_that_is_taken_is_refused() {
        let first = listen_tcp("127.0.0.1:0".parse().expect("an address"), 5).expect("a free port");
        let taken = first.local_addr().expect("it is bound");
        let error = listen_tcp(taken, 5).expect_err("it is taken");
        assert_eq!(error.kind(), io::ErrorKind::AddrInUse);
    }

    #[test]
    fn a_unix_socket_replaces_a_stale_one_and_nothing_else() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("s");
        drop(listen_unix(&path, 0, 5).expect("a free path"));
        assert!(path.exists(), "what a killed server leaves");
        let _listener = listen_unix(&path, 0o700, 5).expect("a stale socket is replaced");
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert!(std::os::unix::net::UnixStream::connect(&path).is_ok());
        let file = dir.path().join("dump.rdb");
        std::fs::write(&file, "data").expect("it can be written");
        assert_eq!(listen_unix(&file, 0, 5).expect_err("a file").kind(), io::ErrorKind::AddrInUse);
        assert_eq!(std::fs::read(&file).expect("it is kept"), b"data");
    }

    #[test]
    fn keepalive_is_set_as_the_reference_sets_it() {
        use std::os::fd::AsRawFd;
        let listener = listen_tcp("127.0.0.1:0".parse().expect("an address"), 5).expect("a free port");
        for (secs, interval) in [(300, 100), (2, 1)] {
            set_keepalive(listener.as_raw_fd(), secs).expect("it can be set");
            let socket = SockRef::from(&listener);
            assert!(socket.keepalive().expect("told"));
            assert_eq!(socket.tcp_keepalive_time().expect("told").as_secs(), u64::from(secs));
            assert_eq!(socket.tcp_keepalive_interval().expect("told").as_secs(), interval);
            assert_eq!(socket.tcp_keepalive_retries().expect("told"), 3);
        }
    }
}
