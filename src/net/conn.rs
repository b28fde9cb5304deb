//! One connection's socket.

use super::secure::{TlsStream, Workspace};
use super::service::Peer;
use crate::resp::Outbox;
use crate::sys::{io as sys_io, socket};
use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

/// The kinds of stream.
pub(super) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream>),
}

/// A connection.
pub(super) struct Conn {
    stream: Stream,
    /// The kernel took less than was offered: wait for the writable edge.
    pub(super) write_blocked: bool,
    /// The peer has closed its end: read until the end shows.
    pub(super) read_closed: bool,
    /// In the list of connections to read from.
    pub(super) in_ready: bool,
}

/// Most pieces handed to one writev.
const MAX_SLICES: usize = 64;

impl Conn {
    pub(super) fn new(stream: Stream) -> Conn {
        Conn { stream, write_blocked: false, read_closed: false, in_ready: false }
    }

    pub(super) fn fd(&self) -> RawFd {
        match &self.stream {
            Stream::Tcp(tcp) => tcp.as_raw_fd(),
            Stream::Unix(unix) => unix.as_raw_fd(),
            Stream::Tls(tls) => tls.tcp.as_raw_fd(),
        }
    }

    /// The TLS side of it, if it has one.
    #[inline]
    pub(super) fn tls(&mut self) -> Option<&mut TlsStream> {
        match &mut self.stream {
            Stream::Tls(tls) => Some(tls),
            Stream::Tcp(_) | Stream::Unix(_) => None,
        }
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp.register(registry, token, both),
            Stream::Unix(unix) => unix.register(registry, token, both),
            Stream::Tls(tls) => tls.tcp.register(registry, token, both),
        }
    }

    pub(super) fn reregister(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp.reregister(registry, token, both),
            Stream::Unix(unix) => unix.reregister(registry, token, both),
            Stream::Tls(tls) => tls.tcp.reregister(registry, token, both),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) {
        let result = match &mut self.stream {
            Stream::Tcp(tcp) => tcp.deregister(registry),
            Stream::Unix(unix) => unix.deregister(registry),
            Stream::Tls(tls) => tls.tcp.deregister(registry),
        };
        if let Err(error) = result {
            log::debug!("A closing client was not registered: {error}");
        }
    }

    pub(super) fn set_options(&self, keepalive_secs: u32) -> io::Result<()> {
        let tcp = match &self.stream {
            Stream::Tcp(tcp) => Some(tcp),
            Stream::Tls(tls) => Some(&tls.tcp),
            Stream::Unix(_) => None,
        };
        if let Some(tcp) = tcp {
            tcp.set_nodelay(true)?;
            if keepalive_secs > 0 {
                socket::set_keepalive(self.fd(), keepalive_secs)?;
            }
        }
        Ok(())
    }

    pub(super) fn peer(&self, unix_path: &str) -> Peer {
        let (tcp, tls) = match &self.stream {
            Stream::Tcp(tcp) => (tcp, false),
            Stream::Tls(tls) => (&tls.tcp, true),
            Stream::Unix(_) => {
                let name = format!("{unix_path}:0");
                return Peer {
                    peer: name.clone(),
                    local: name,
                    unix: true,
                    loopback: true,
                    tls: false,
                    metrics: false,
                    fd: self.fd(),
                };
            }
        };
        let peer = tcp.peer_addr().ok();
        Peer {
            peer: peer.map_or_else(|| "?:0".into(), |a| socket::address_text(&a)),
            local: tcp.local_addr().map_or_else(|_| "?:0".into(), |a| socket::address_text(&a)),
            unix: false,
            loopback: peer.is_some_and(|a| a.ip().to_canonical().is_loopback()),
            tls,
            metrics: false,
            fd: self.fd(),
        }
    }

    /// Of a connection without TLS; one with it is read through `tls`.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp.read(buf),
            Stream::Unix(unix) => unix.read(buf),
            Stream::Tls(_) => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    pub(super) fn read_behind(&mut self, vec: &mut Vec<u8>, max: usize) -> io::Result<usize> {
        sys_io::recv_behind(self.fd(), vec, max)
    }

    pub(super) fn write(&mut self, outbox: &Outbox, work: &mut Workspace) -> io::Result<usize> {
        if let Some(bytes) = outbox.single() {
            return match &mut self.stream {
                Stream::Tcp(tcp) => tcp.write(bytes),
                Stream::Unix(unix) => unix.write(bytes),
                Stream::Tls(tls) => tls.write(outbox, work),
            };
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let filled = outbox.fill_slices(&mut slices);
        match &mut self.stream {
            Stream::Tcp(tcp) => tcp.write_vectored(&slices[..filled]),
            Stream::Unix(unix) => unix.write_vectored(&slices[..filled]),
            Stream::Tls(tls) => tls.write(outbox, work),
        }
    }

    /// A last word before the close; whether it arrives is not our concern any more. With TLS there is none: no key was
    /// agreed on yet.
    pub(super) fn write_farewell(&mut self, bytes: &[u8]) {
        let result = match &mut self.stream {
            Stream::Tcp(tcp) => tcp.write(bytes),
            Stream::Unix(unix) => unix.write(bytes),
            Stream::Tls(_) => return,
        };
        if let Err(error) = result {
            log::debug!("A refused client did not take the reason: {error}");
        }
    }
}
