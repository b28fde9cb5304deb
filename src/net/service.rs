//! The seam to the server: all that the reactor knows of it.

use crate::base::clock::Now;
use crate::resp::Outbox;
use crate::session::ConnId;
use crate::sys::listen::Sockets;
use crate::tls::ServerSide;
use std::ops::Range;
use std::time::Duration;

/// Who connected, and to what.
#[derive(Debug, Clone)]
pub struct Peer {
    /// The other end as text.
    pub peer: String,
    /// Our end as text.
    pub local: String,
    /// Through a unix socket.
    pub unix: bool,
    /// From this machine.
    pub loopback: bool,
    /// With TLS, whose handshake is still to come.
    pub tls: bool,
    /// Comes for the metrics, and speaks HTTP.
    pub metrics: bool,
    /// File descriptor.
    pub fd: i32,
}

/// Bytes that one connection sent this turn.
#[derive(Debug)]
pub struct Input {
    /// The connection.
    pub conn: ConnId,
    /// Where they lie in the turn's shared buffer; `None` if they went where `read_target` said.
    pub shared: Option<Range<usize>>,
    /// How many.
    pub len: usize,
}

/// What is to take the place of what was there.
#[derive(Debug, Default)]
pub struct Doors {
    /// TCP sockets to listen on.
    pub sockets: Option<Sockets>,
    /// What new connections with TLS are met with; those that are there stay as they are.
    pub tls: Option<ServerSide>,
}

/// The server, as the reactor sees it.
pub trait Service {
    /// A connection came. An error is the text it is sent before it is closed.
    ///
    /// # Errors
    /// The refusal, ready for the wire.
    fn handle_open(&mut self, conn: ConnId, peer: Peer, now: Now) -> Result<(), Vec<u8>>;
    /// Whether a connection may be read from now; asked only in a turn within another's work.
    fn may_read(&mut self, _conn: ConnId) -> bool {
        true
    }
    /// Where this connection's next bytes must go and how many at most; `None` for the shared buffer.
    fn read_target(&mut self, conn: ConnId) -> Option<(&mut Vec<u8>, usize)>;
    /// All that arrived this turn.
    fn handle_turn(&mut self, inputs: &[Input], shared: &[u8], now: Now);
    /// A connection is gone.
    fn handle_close(&mut self, conn: ConnId, now: Now);
    /// A signal arrived.
    fn handle_signal(&mut self, signal: i32, now: Now);
    /// The handshake of a connection with TLS is over; the certificate that it has shown, in DER.
    fn handle_secured(&mut self, conn: ConnId, certificate: Option<&[u8]>, now: Now);
    /// What is to be exchanged.
    fn poll_doors(&mut self) -> Option<Doors>;
    /// Seconds after which TCP probes a silent peer; 0 for never.
    fn keepalive_secs(&self) -> u32;
    /// What could be sent has been: now comes work that no reply waits for.
    fn after_writes(&mut self);
    /// The turn is over; it worked for so many ticks, waiting left out.
    fn handle_turn_end(&mut self, busy_ticks: u64);
    /// The end of a turn's work, before anything is sent.
    fn before_wait(&mut self, now: Now);
    /// The next connection that has something to send.
    fn poll_output(&mut self) -> Option<ConnId>;
    /// What it has to send.
    fn outbox(&mut self, conn: ConnId) -> Option<&mut Outbox>;
    /// The kernel took bytes of it; `drained` when nothing is left.
    fn handle_sent(&mut self, conn: ConnId, bytes: usize, drained: bool, now: Now);
    /// The next connection that must be closed.
    fn poll_close(&mut self) -> Option<ConnId>;
    /// How long the reactor may sleep.
    fn poll_timeout(&self, now: Now) -> Option<Duration>;
    /// Whether the server has ended.
    fn is_done(&self) -> bool;
    /// Whether new connections are accepted still.
    fn is_accepting(&self) -> bool;
}
