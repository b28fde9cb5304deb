//! What is listened on.

use crate::sys::listen::Sockets;
use crate::sys::socket;
use mio::event::Source;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};
use std::io;
use std::path::{Path, PathBuf};

/// One listening socket.
pub enum Listener {
    /// On an address.
    Tcp(TcpListener),
    /// On an address, for clients that speak TLS.
    Tls(TcpListener),
    /// On an address, for those who come for the metrics.
    Metrics(TcpListener),
    /// On a path, which is removed at the end.
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens on a path, with these permissions.
    ///
    /// # Errors
    /// The system's.
    pub fn unix(path: &Path, permissions: u32, backlog: u32) -> io::Result<Listener> {
        Ok(Listener::Unix(UnixListener::from_std(socket::listen_unix(path, permissions, backlog)?), path.to_owned()))
    }

    pub(super) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Listener::Tcp(tcp) | Listener::Tls(tcp) | Listener::Metrics(tcp) => {
                tcp.register(registry, token, Interest::READABLE)
            }
            Listener::Unix(unix, _) => unix.register(registry, token, Interest::READABLE),
        }
    }

    pub(super) fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Listener::Tcp(tcp) | Listener::Tls(tcp) | Listener::Metrics(tcp) => tcp.deregister(registry),
            Listener::Unix(unix, _) => unix.deregister(registry),
        }
    }
}

impl Listener {
    /// All of these, which must not block.
    pub fn all(sockets: Sockets) -> impl Iterator<Item = Listener> {
        let clear = sockets.clear.into_iter().map(|socket| Listener::Tcp(TcpListener::from_std(socket)));
        let tls = sockets.tls.into_iter().map(|socket| Listener::Tls(TcpListener::from_std(socket)));
        let metrics = sockets.metrics.into_iter().map(|socket| Listener::Metrics(TcpListener::from_std(socket)));
        clear.chain(tls).chain(metrics)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Listener::Unix(_, path) = self {
            if let Err(error) = std::fs::remove_file(&*path) {
                log::debug!("The unix socket file {} could not be removed: {error}", path.display());
            }
        }
    }
}
