//! One TLS connection: records in, bytes out, and back. Knows its socket and the library's session, no client and no command.
//!
//! ```text
//! read   socket -> workspace [tail of last time | new bytes] -> records -> plain bytes -> where they were asked for
//!                                                       incomplete record -> tail        what had no room -> held
//! write  outbox -> records in the workspace -> socket;  what the kernel did not take -> unsent
//! ```
//!
//! The library keeps no buffer of its own here, and the workspace is shared by all connections: one that is idle holds nothing
//! but its keys. Invariants: bytes of the outbox count as sent only when the records that hold them are with the kernel; while
//! `unsent` is not empty no other record is made; `tail` is at most `MAX_TAIL_BYTES` long.

use crate::resp::Outbox;
use crate::tls::{ServerSession, ServerSide};
use mio::net::TcpStream;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, InsufficientSizeError, UnbufferedStatus};
use std::io::{self, ErrorKind, IoSlice, Read, Write};

/// Most bytes received in one go.
const READ_BYTES: usize = 64 * 1024;
/// Longest incomplete input: a handshake message of 64 KiB in its records, or one record.
const MAX_TAIL_BYTES: usize = 96 * 1024;
/// Most bytes of replies that are made into records in one go.
const WRITE_BYTES: usize = 64 * 1024;
/// First room for records to send: those of `WRITE_BYTES` with their headers.
const OUTPUT_BYTES: usize = WRITE_BYTES + 4 * 1024;
/// Room of an emptied buffer that is kept for the next time.
const KEPT_BYTES: usize = 1024;
/// Most bytes that may wait because the peer reads nothing: what is queued beside replies is small.
const MAX_UNSENT_BYTES: usize = 256 * 1024;
/// Pieces of the outbox that are looked at in one go.
const MAX_PIECES: usize = 64;

/// Room that all connections of a reactor share; empty until the first of them comes.
#[derive(Default)]
pub(super) struct Workspace {
    input: Vec<u8>,
    output: Vec<u8>,
    /// Bytes of `output` that are to be sent.
    filled: usize,
}

impl Workspace {
    fn prepare(&mut self) {
        if self.input.is_empty() {
            self.input.resize(MAX_TAIL_BYTES + READ_BYTES, 0);
            self.output.resize(OUTPUT_BYTES, 0);
        }
        self.filled = 0;
    }

    /// The room behind what is filled, at least `bytes`.
    fn room(&mut self, bytes: usize) -> &mut [u8] {
        if self.output.len() - self.filled < bytes {
            self.output.resize(self.filled + bytes, 0);
        }
        &mut self.output[self.filled..]
    }
}

/// Where plain bytes go.
pub(super) enum Sink<'a> {
    /// To the beginning of this room; the number counts them.
    Room(&'a mut [u8], usize),
    /// Behind these, at most so many more; the last number counts them.
    Behind(&'a mut Vec<u8>, usize, usize),
}

impl Sink<'_> {
    /// Takes what there is room for; how much that was.
    fn put(&mut self, bytes: &[u8]) -> usize {
        match self {
            Sink::Room(room, used) => {
                let taken = bytes.len().min(room.len() - *used);
                room[*used..*used + taken].copy_from_slice(&bytes[..taken]);
                *used += taken;
                taken
            }
            Sink::Behind(vec, left, used) => {
                let taken = bytes.len().min(*left);
                vec.extend_from_slice(&bytes[..taken]);
                *left -= taken;
                *used += taken;
                taken
            }
        }
    }

    fn used(&self) -> usize {
        match self {
            Sink::Room(_, used) | Sink::Behind(_, _, used) => *used,
        }
    }
}

/// What came of a read.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// So many plain bytes.
    Bytes(usize),
    /// No plain bytes: the record that came is not whole, or the socket is empty.
    Nothing,
    /// The peer has said that no more will come, or has gone.
    End,
}

/// The connection.
pub(super) struct TlsStream {
    pub(super) tcp: TcpStream,
    session: ServerSession,
    /// Input that is no whole record yet.
    tail: Vec<u8>,
    /// Plain bytes that had no room where they were asked for, from `held_at` on.
    held: Vec<u8>,
    held_at: usize,
    /// Records that the kernel has not taken, from `unsent_at` on.
    unsent: Vec<u8>,
    unsent_at: usize,
    /// Bytes of the outbox that those hold.
    covered: usize,
    /// The handshake is not over.
    handshaking: bool,
    /// Reading at once again may give something.
    more: bool,
    /// The peer has said that no more will come.
    ended: bool,
    /// Why nothing can be read any more, told after what was read before it.
    fault: Option<io::Error>,
    /// When it was accepted, monotonic milliseconds.
    pub(super) since_ms: u64,
}

/// Takes the handled part off the front, and gives large empty buffers back.
fn keep_rest(buffer: &mut Vec<u8>, at: &mut usize) {
    if *at >= buffer.len() {
        buffer.clear();
        *at = 0;
        if buffer.capacity() > KEPT_BYTES {
            *buffer = Vec::new();
        }
    }
}

fn broken(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, error.to_string())
}

impl TlsStream {
    /// A connection that was just accepted.
    ///
    /// # Errors
    /// The library's.
    pub(super) fn new(tcp: TcpStream, side: &ServerSide, since_ms: u64) -> io::Result<TlsStream> {
        Ok(TlsStream {
            tcp,
            session: side.accept().map_err(broken)?,
            tail: Vec::new(),
            held: Vec::new(),
            held_at: 0,
            unsent: Vec::new(),
            unsent_at: 0,
            covered: 0,
            handshaking: true,
            more: false,
            ended: false,
            fault: None,
            since_ms,
        })
    }

    pub(super) fn is_handshaking(&self) -> bool {
        self.handshaking
    }

    /// Whether reading at once again may give something, which no event would tell.
    pub(super) fn has_more(&self) -> bool {
        self.more
    }

    pub(super) fn has_unsent(&self) -> bool {
        self.unsent_at < self.unsent.len()
    }

    /// The certificate that the peer has shown, if any.
    pub(super) fn peer_certificate(&self) -> Option<&[u8]> {
        self.session.peer_certificates().and_then(|chain| chain.first()).map(|certificate| certificate.as_ref())
    }

    /// Reads once from the socket, or from what is held. If the peer is `closing` no event tells of the end: whoever got
    /// something reads again.
    ///
    /// # Errors
    /// The system's, or that the peer breaks the protocol: the connection is of no use then.
    pub(super) fn read(&mut self, sink: &mut Sink<'_>, work: &mut Workspace, closing: bool) -> io::Result<Got> {
        self.more = false;
        if self.held_at < self.held.len() {
            self.held_at += sink.put(&self.held[self.held_at..]);
            keep_rest(&mut self.held, &mut self.held_at);
            self.more = true;
            return Ok(Got::Bytes(sink.used()));
        }
        if let Some(fault) = self.fault.take() {
            return Err(fault);
        }
        if self.ended {
            return Ok(Got::End);
        }
        work.prepare();
        let held = self.tail.len();
        work.input[..held].copy_from_slice(&self.tail);
        let received = match self.tcp.read(&mut work.input[held..held + READ_BYTES]) {
            Ok(0) => return Ok(Got::End),
            Ok(received) => received,
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => return Ok(Got::Nothing),
                ErrorKind::Interrupted => {
                    self.more = true;
                    return Ok(Got::Nothing);
                }
                _ => return Err(error),
            },
        };
        self.more = received == READ_BYTES || closing;
        let read = self.take_records(held + received, sink, work);
        self.handshaking &= self.session.is_handshaking();
        // The last words of a session that broke are an alert: the peer is told why.
        let sent = self.send(work);
        match read.and(sent) {
            Err(fault) if sink.used() == 0 => return Err(fault),
            Err(fault) => self.fault = Some(fault),
            Ok(()) => {}
        }
        self.more |= self.held_at < self.held.len() || self.ended || self.fault.is_some();
        Ok(if sink.used() > 0 { Got::Bytes(sink.used()) } else { Got::Nothing })
    }

    /// Handles all whole records among the first `end` bytes of the input, and keeps the rest.
    fn take_records(&mut self, end: usize, sink: &mut Sink<'_>, work: &mut Workspace) -> io::Result<()> {
        let mut start = 0;
        let result = loop {
            let (discard, step) = self.step(start, end, sink, work);
            start += discard.min(end - start);
            match step {
                Ok(true) => {}
                Ok(false) => break Ok(()),
                Err(fault) => {
                    // What it has to say of the fault, once: a second look at the same input would be one too many.
                    let _ = self.step(start, end, sink, work);
                    break Err(fault);
                }
            }
        };
        self.tail.clear();
        if result.is_ok() && !self.ended {
            if end - start > MAX_TAIL_BYTES {
                return Err(broken("a message without end"));
            }
            self.tail.extend_from_slice(&work.input[start..end]);
        }
        if self.tail.is_empty() && self.tail.capacity() > KEPT_BYTES {
            self.tail = Vec::new();
        }
        result
    }

    /// One step of the session: how much of the input is done with, and whether there is a next step.
    fn step(
        &mut self,
        start: usize,
        end: usize,
        sink: &mut Sink<'_>,
        work: &mut Workspace,
    ) -> (usize, io::Result<bool>) {
        let Workspace { input, output, filled } = work;
        let UnbufferedStatus { mut discard, state } = self.session.process_tls_records(&mut input[start..end]);
        let step = match state {
            Ok(ConnectionState::ReadTraffic(mut traffic)) => loop {
                match traffic.next_record() {
                    Some(Ok(record)) => {
                        discard += record.discard;
                        let taken = if self.held.is_empty() { sink.put(record.payload) } else { 0 };
                        self.held.extend_from_slice(&record.payload[taken..]);
                    }
                    Some(Err(error)) => break Err(broken(error)),
                    None => break Ok(true),
                }
            },
            Ok(ConnectionState::EncodeTlsData(mut data)) => {
                if let Err(EncodeError::InsufficientSize(InsufficientSizeError { required_size })) =
                    data.encode(&mut output[*filled..]).map(|written| *filled += written)
                {
                    output.resize(*filled + required_size, 0);
                    match data.encode(&mut output[*filled..]) {
                        Ok(written) => *filled += written,
                        Err(error) => return (discard, Err(broken(error))),
                    }
                }
                Ok(true)
            }
            // Sent when all records are handled.
            Ok(ConnectionState::TransmitTlsData(data)) => {
                data.done();
                Ok(true)
            }
            Ok(ConnectionState::PeerClosed) => {
                self.ended = true;
                Ok(true)
            }
            Ok(ConnectionState::Closed) => {
                self.ended = true;
                Ok(false)
            }
            Ok(ConnectionState::BlockedHandshake | ConnectionState::WriteTraffic(_)) => Ok(false),
            Ok(_) => Err(broken("early data, which was not offered")),
            Err(error) => Err(broken(error)),
        };
        (discard, step)
    }

    /// Sends what the workspace holds; what the kernel does not take waits, behind what waits already.
    fn send(&mut self, work: &mut Workspace) -> io::Result<()> {
        let records = &work.output[..std::mem::take(&mut work.filled)];
        if records.is_empty() {
            return Ok(());
        }
        let taken = if self.has_unsent() { 0 } else { write_some(&mut self.tcp, records)? };
        if taken < records.len() {
            self.unsent.extend_from_slice(&records[taken..]);
        }
        if self.unsent.len() > MAX_UNSENT_BYTES {
            return Err(broken("the peer asks without reading the answers"));
        }
        Ok(())
    }

    /// Sends what has waited.
    ///
    /// # Errors
    /// `WouldBlock` while some of it still waits; the system's.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while self.has_unsent() {
            let taken = write_some(&mut self.tcp, &self.unsent[self.unsent_at..])?;
            self.unsent_at += taken;
            if taken == 0 {
                return Err(ErrorKind::WouldBlock.into());
            }
        }
        keep_rest(&mut self.unsent, &mut self.unsent_at);
        Ok(())
    }

    /// Sends from the outbox; how many of its bytes are with the kernel.
    ///
    /// # Errors
    /// `WouldBlock` when the kernel takes no more; the system's.
    pub(super) fn write(&mut self, outbox: &Outbox, work: &mut Workspace) -> io::Result<usize> {
        if self.has_unsent() {
            self.flush()?;
        }
        if self.covered > 0 {
            return Ok(std::mem::take(&mut self.covered).min(outbox.len()));
        }
        if self.handshaking {
            return Err(ErrorKind::WouldBlock.into());
        }
        work.prepare();
        let mut covered = 0;
        if let Some(bytes) = outbox.single() {
            covered = self.encrypt(bytes, work)?;
        } else {
            let mut pieces = [IoSlice::new(&[]); MAX_PIECES];
            let count = outbox.fill_slices(&mut pieces);
            for piece in &pieces[..count] {
                let left = WRITE_BYTES - covered;
                covered += self.encrypt(&piece[..piece.len().min(left)], work)?;
                if covered == WRITE_BYTES {
                    break;
                }
            }
        }
        self.send(work)?;
        if self.has_unsent() {
            self.covered = covered;
            return Err(ErrorKind::WouldBlock.into());
        }
        Ok(covered)
    }

    /// Makes records of at most `WRITE_BYTES` of these bytes; of how many.
    fn encrypt(&mut self, bytes: &[u8], work: &mut Workspace) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(WRITE_BYTES)];
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            match self.session.process_tls_records(&mut self.tail).state.map_err(broken)? {
                ConnectionState::WriteTraffic(mut traffic) => {
                    let mut least = 0;
                    loop {
                        match traffic.encrypt(bytes, work.room(least)) {
                            Ok(written) => {
                                work.filled += written;
                                return Ok(bytes.len());
                            }
                            Err(EncryptError::InsufficientSize(needed)) if least == 0 => least = needed.required_size,
                            Err(error) => return Err(broken(error)),
                        }
                    }
                }
                // An answer to a change of keys that came with the last input.
                ConnectionState::EncodeTlsData(mut data) => match data.encode(work.room(KEPT_BYTES)) {
                    Ok(written) => work.filled += written,
                    Err(error) => return Err(broken(error)),
                },
                ConnectionState::TransmitTlsData(data) => data.done(),
                _ => return Err(broken("the session takes no data")),
            }
        }
    }

    /// Tells the peer that no more will come, if it can be told at once.
    pub(super) fn say_goodbye(&mut self, work: &mut Workspace) {
        if self.handshaking || self.fault.is_some() || self.has_unsent() {
            return;
        }
        work.prepare();
        if let Ok(ConnectionState::WriteTraffic(mut traffic)) = self.session.process_tls_records(&mut self.tail).state {
            if let Ok(written) = traffic.queue_close_notify(work.room(0)) {
                if let Err(error) = self.tcp.write(&work.output[..written]) {
                    log::debug!("A closing client was not told: {error}");
                }
            }
        }
    }
}

/// Writes until the kernel takes no more; how much it took.
fn write_some(tcp: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    let mut taken = 0;
    while taken < bytes.len() {
        match tcp.write(&bytes[taken..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => taken += n,
            Err(error) if error.kind() == ErrorKind::WouldBlock => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(taken)
}
