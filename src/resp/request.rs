//! Bytes to requests. A decoder is resumable and never looks at a byte twice: an incomplete request is a state, not an
//! error. Arguments are spans of the buffer they arrived in; nothing is copied but an incomplete tail. Knows no client.
//!
//! ```text
//! *2\r\n  $3\r\n  GET\r\n  $1\r\n  k\r\n          a multibulk request: count, then (length, bytes) per argument
//! GET k\r\n                                       an inline request: words of one line, quoted as in redis.conf
//! ```
//!
//! A bulk of 32 KiB or more that has not arrived whole is collected in an allocation of its own, which can become the
//! value: it is never buffered twice. Its room grows with what has arrived, not with what was announced.
//! Source: the RESP specification, <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

use crate::base::{number, text};
use bytes::Bytes;
use std::fmt;
use std::ops::Range;

/// From this length on, an incomplete bulk gets an allocation of its own.
pub const BIG_BULK_BYTES: usize = 32 * 1024;
/// Most arguments of one request.
const MAX_ARGS: i64 = 1024 * 1024;
/// Most arguments of a request of a client that has not logged in.
const STRANGERS_ARGS: usize = 10;
/// Longest line: inline request or header.
const MAX_LINE_BYTES: usize = 64 * 1024;
/// First room given to a big bulk; it doubles as bytes arrive.
const BIG_FIRST_ROOM_BYTES: usize = 2 * 1024 * 1024;
/// How a record of TLS with a handshake begins: its type, and the first byte of all versions.
const TLS_HANDSHAKE: &[u8] = &[0x16, 0x03];
/// Marks a span that points into the list of separate allocations.
const BIG: u32 = 1 << 31;

/// Where one argument lies: in the request's buffer, or (top bit of `start`) in the list of big arguments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    start: u32,
    len: u32,
}

/// The arguments of one request, borrowed.
#[derive(Clone, Copy)]
pub struct Argv<'a> {
    buf: &'a [u8],
    spans: &'a [Span],
    bigs: &'a [Bytes],
}

impl<'a> Argv<'a> {
    /// Arguments at `spans` of `buf` and `bigs`, as one decoder filled them.
    #[inline]
    pub fn new(buf: &'a [u8], spans: &'a [Span], bigs: &'a [Bytes]) -> Self {
        Argv { buf, spans, bigs }
    }

    /// Number of arguments, the command's name included.
    #[inline]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no argument at all.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Argument `index`, or nothing past the end.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&'a [u8]> {
        let span = self.spans.get(index)?;
        if span.start & BIG == 0 {
            let start = span.start as usize;
            return self.buf.get(start..start + span.len as usize);
        }
        self.bigs.get((span.start & !BIG) as usize).map(|b| &b[..])
    }

    /// Argument `index` as an allocation that can be kept without a copy, if it arrived as one.
    #[inline]
    pub fn shared(&self, index: usize) -> Option<&'a Bytes> {
        let span = self.spans.get(index)?;
        if span.start & BIG == 0 { None } else { self.bigs.get((span.start & !BIG) as usize) }
    }

    /// All arguments in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &'a [u8]> + use<'a> {
        let argv = *self;
        (0..argv.len()).map(move |i| argv.get(i).unwrap_or_default())
    }

    /// The arguments from `from` on.
    pub fn skip(&self, from: usize) -> Argv<'a> {
        Argv { spans: self.spans.get(from..).unwrap_or_default(), ..*self }
    }

    /// The request's own bytes, if they lie together and are what [`encode_command`] would write: most are, and can then be
    /// copied as a whole.
    ///
    /// [`encode_command`]: super::encode_command
    #[inline]
    pub fn as_sent(&self) -> Option<&'a [u8]> {
        let argc = u8::try_from(self.len()).ok().filter(|argc| *argc <= 9)?;
        let first = self.spans.first()?;
        let start = (first.start as usize).checked_sub(SHORT_HEADER_BYTES + header_bytes(first.len))?;
        let mut end = start + SHORT_HEADER_BYTES;
        // What stands for a line's end is not looked at by the decoder; and an inline request has none between its words.
        let ends_line = |end: usize| self.buf.get(end - 2..end) == Some(b"\r\n");
        for span in self.spans {
            // Where a big one lies is nowhere near.
            let word = end + header_bytes(span.len);
            if span.start as usize != word || self.buf.get(end) != Some(&b'$') || !ends_line(word) {
                return None;
            }
            end = word + span.len as usize + 2;
            if !ends_line(end) {
                return None;
            }
        }
        let sent = self.buf.get(start..end)?;
        (sent[..SHORT_HEADER_BYTES] == [b'*', b'0' + argc, b'\r', b'\n']).then_some(sent)
    }

    /// A copy that owns its bytes (big arguments are shared).
    pub fn to_owned(&self) -> OwnedArgv {
        let copied = self.spans.iter().filter(|span| span.start & BIG == 0).map(|span| span.len as usize).sum();
        let mut owned =
            OwnedArgv { buf: Vec::with_capacity(copied), spans: Vec::with_capacity(self.len()), bigs: Vec::new() };
        for index in 0..self.len() {
            match self.shared(index) {
                Some(big) => owned.push_shared(big.clone()),
                None => owned.push(self.get(index).unwrap_or_default()),
            }
        }
        owned
    }
}

/// Bytes of a header whose number has one digit.
const SHORT_HEADER_BYTES: usize = 4;

/// Bytes of the header of so many bytes: `$3\r\n`.
#[inline]
fn header_bytes(len: u32) -> usize {
    match len {
        0..10 => SHORT_HEADER_BYTES,
        _ => 4 + len.ilog10() as usize,
    }
}

/// A request that owns its bytes: queued by MULTI, or made by the server itself.
#[derive(Default, Debug, Clone)]
pub struct OwnedArgv {
    buf: Vec<u8>,
    spans: Vec<Span>,
    bigs: Vec<Bytes>,
}

impl OwnedArgv {
    /// A request of these words.
    pub fn of(words: &[&[u8]]) -> Self {
        let mut owned = OwnedArgv::default();
        for word in words {
            owned.push(word);
        }
        owned
    }

    /// Adds an argument, copied. Past 2 GiB of them it gets an allocation of its own.
    pub fn push(&mut self, bytes: &[u8]) {
        match u32::try_from(self.buf.len() + bytes.len()) {
            Ok(end) if end < BIG => {
                self.spans.push(Span { start: self.buf.len() as u32, len: bytes.len() as u32 });
                self.buf.extend_from_slice(bytes);
            }
            _ => self.push_shared(Bytes::copy_from_slice(bytes)),
        }
    }

    /// Adds an argument that is an allocation of its own.
    pub fn push_shared(&mut self, bytes: Bytes) {
        self.spans.push(Span { start: BIG | self.bigs.len() as u32, len: 0 });
        self.bigs.push(bytes);
    }

    /// Forgets the arguments, and keeps the room.
    pub fn clear(&mut self) {
        self.buf.clear();
        self.spans.clear();
        self.bigs.clear();
    }

    /// The arguments, borrowed.
    pub fn argv(&self) -> Argv<'_> {
        Argv::new(&self.buf, &self.spans, &self.bigs)
    }

    /// Heap bytes held.
    pub fn alloc_bytes(&self) -> usize {
        self.buf.capacity()
            + self.spans.capacity() * size_of::<Span>()
            + self.bigs.iter().map(|b| b.len()).sum::<usize>()
    }
}

/// What bounds a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Longest bulk, `proto-max-bulk-len`.
    pub bulk_len: u64,
    /// Whether the client is known: others are held to small requests.
    pub authenticated: bool,
}

/// A request that breaks the protocol; the client is told and then closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProtocolError {
    /// The count of arguments is no number or too large.
    MultibulkLength,
    /// Too many arguments for a client that has not logged in.
    UnauthenticatedMultibulk,
    /// The length of a bulk is no number or too large.
    BulkLength,
    /// Too long a bulk for a client that has not logged in.
    UnauthenticatedBulk,
    /// A header that does not end.
    BigCount,
    /// A bulk's header that does not end.
    BigBulkCount,
    /// An inline line that does not end.
    BigInline,
    /// Quotes of an inline request that do not close.
    UnbalancedQuotes,
    /// Something else where `$` must stand.
    ExpectedDollar(u8),
    /// A handshake of TLS where nobody speaks it.
    Handshake,
}

impl fmt::Display for ProtocolError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Protocol error: ")?;
        match self {
            Self::MultibulkLength => f.write_str("invalid multibulk length"),
            Self::UnauthenticatedMultibulk => f.write_str("unauthenticated multibulk length"),
            Self::BulkLength => f.write_str("invalid bulk length"),
            Self::UnauthenticatedBulk => f.write_str("unauthenticated bulk length"),
            Self::BigCount => f.write_str("too big mbulk count string"),
            Self::BigBulkCount => f.write_str("too big bulk count string"),
            Self::BigInline => f.write_str("too big inline request"),
            Self::UnbalancedQuotes => f.write_str("unbalanced quotes in request"),
            Self::Handshake => f.write_str("a TLS handshake, but this port speaks no TLS"),
            Self::ExpectedDollar(byte) => write!(f, "expected '$', got '{}'", char::from(*byte)),
        }
    }
}

/// What came of one attempt to decode.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    /// A request of `argc` spans (appended to the caller's list); the next one begins at `next`.
    Request {
        /// Number of spans appended.
        argc: usize,
        /// Index of the first byte after the request.
        next: usize,
    },
    /// Nothing to do (an empty line, `*0`); go on at this index.
    Skip(usize),
    /// More bytes are needed; `keep` what follows the last request.
    Incomplete,
    /// The client breaks the protocol.
    Error(ProtocolError),
}

/// An incomplete request. Positions count from the request's first byte.
#[derive(Debug)]
struct Partial {
    args_left: usize,
    spans: Vec<Span>,
    pos: usize,
    /// Length of the bulk whose header was read.
    bulk: Option<usize>,
    bigs: Vec<Bytes>,
    /// The big bulk that is arriving and its length with CR LF.
    big: Option<(Vec<u8>, usize)>,
}

/// Most bytes of a head.
const HEAD_BYTES: usize = 32;

/// How a request begins: its count and its name, as in `*3\r\n$3\r\nSET\r\n`. Requests of one kind begin with the same bytes,
/// so what was once read of them need not be read again.
#[derive(Clone, Copy, Debug)]
pub struct Head {
    /// The head, and what happened to stand behind it.
    text: [u8; HEAD_BYTES],
    /// All ones where the head is, zero behind it.
    mask: [u8; HEAD_BYTES],
    len: usize,
    argc: usize,
    /// Where the name begins.
    name: usize,
}

impl Head {
    /// The head of a request that was decoded at `at` of this buffer; `None` if it is an inline one or too long.
    pub fn of(buf: &[u8], at: usize, spans: &[Span]) -> Option<Head> {
        let name = spans.first().filter(|name| name.start & BIG == 0)?;
        let start = (name.start as usize).checked_sub(at)?;
        let len = start + name.len as usize + 2;
        let text = *buf.get(at..)?.first_chunk::<HEAD_BYTES>()?;
        if len > HEAD_BYTES || text[0] != b'*' || spans.len() > STRANGERS_ARGS {
            return None;
        }
        let mask = std::array::from_fn(|index| if index < len { u8::MAX } else { 0 });
        Some(Head { text, mask, len, argc: spans.len(), name: start })
    }

    /// Whether it lies here. At the end of a buffer it is not recognised.
    #[inline(always)]
    fn is_at(&self, buf: &[u8], at: usize) -> bool {
        let Some(there) = buf.get(at..).and_then(|rest| rest.first_chunk::<HEAD_BYTES>()) else { return false };
        let differs = |index: usize| (there[index] ^ self.text[index]) & self.mask[index];
        (0..HEAD_BYTES).fold(0, |all, index| all | differs(index)) == 0
    }
}

/// The state of one client's input: the bytes of an incomplete request and how far it was read.
#[derive(Default, Debug)]
pub struct Decoder {
    tail: Vec<u8>,
    partial: Option<Box<Partial>>,
}

enum Line {
    Number(i64, usize),
    Bad,
    Long,
    Incomplete,
}

/// The bytes in which a line at `at` must end, and whether no more can come. However the bytes arrive, the answer is one.
fn line_window(buf: &[u8], at: usize) -> (&[u8], Line) {
    let rest = &buf[at..];
    match rest.get(..=MAX_LINE_BYTES) {
        Some(window) => (window, Line::Long),
        None => (rest, Line::Incomplete),
    }
}

/// A header's number: digits after the type byte at `at`, up to CR LF.
#[inline]
fn header(buf: &[u8], at: usize) -> Line {
    // Almost all lengths have one to three digits.
    let mut n: i64 = 0;
    for (i, &byte) in buf[at + 1..].iter().take(6).enumerate() {
        if byte == b'\r' && i > 0 {
            let next = at + 1 + i + 2;
            return if next <= buf.len() { Line::Number(n, next) } else { Line::Incomplete };
        }
        if !byte.is_ascii_digit() || (i == 0 && byte == b'0' && buf.get(at + 2) != Some(&b'\r')) {
            break;
        }
        n = n * 10 + i64::from(byte - b'0');
    }
    header_slow(buf, at)
}

/// A header of one or two digits, as almost all are: its number and what follows it. `None`: `header` is to look at it.
#[inline(always)]
fn short_header(buf: &[u8], at: usize, kind: u8) -> Option<(usize, usize)> {
    let &[first, tens, ones, cr, lf] = buf.get(at..)?.first_chunk()?;
    let (high, low) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    if first != kind || high > 9 {
        return None;
    }
    if ones == b'\r' && cr == b'\n' {
        return Some((usize::from(high), at + 4));
    }
    (high > 0 && low <= 9 && cr == b'\r' && lf == b'\n').then(|| (usize::from(high * 10 + low), at + 5))
}

#[cold]
fn header_slow(buf: &[u8], at: usize) -> Line {
    let (window, without_end) = line_window(buf, at);
    match memchr::memchr(b'\r', window) {
        Some(cr) if cr + 2 <= window.len() => match number::parse_i64(&window[1..cr]) {
            Some(n) => Line::Number(n, at + cr + 2),
            None => Line::Bad,
        },
        _ => without_end,
    }
}

impl Decoder {
    /// Where the next bytes of this client must go, and how many at most: nothing if the shared read buffer will do.
    pub fn read_target(&mut self) -> Option<(&mut Vec<u8>, usize)> {
        if let Some((big, total)) = self.partial.as_mut().and_then(|p| p.big.as_mut()) {
            let left = *total - big.len();
            if left == 0 {
                // It is whole, but nobody decodes it: the client is going. There must be room for what it sends all the
                // same, or reading would look as if it had closed.
                return None;
            }
            if big.len() == big.capacity() {
                big.reserve_exact(left.min(big.capacity().max(BIG_FIRST_ROOM_BYTES)));
            }
            let room = big.capacity() - big.len();
            return Some((big, left.min(room)));
        }
        if self.tail.is_empty() {
            return None;
        }
        self.tail.reserve(16 * 1024);
        Some((&mut self.tail, usize::MAX))
    }

    /// Bytes of an incomplete request that are held.
    pub fn held_bytes(&self) -> usize {
        self.tail.len() + self.partial.as_ref().map_or(0, |p| p.held_bytes())
    }

    /// Heap bytes in use.
    pub fn alloc_bytes(&self) -> usize {
        self.tail.capacity() + self.partial.as_ref().map_or(0, |p| p.alloc_bytes())
    }

    /// Bytes that wait for the rest of their request (of a large argument only what has come of it), and how many more
    /// fit where they lie.
    pub fn pending_bytes(&self) -> (usize, usize) {
        match self.partial.as_ref().and_then(|p| p.big.as_ref()) {
            Some((big, _)) => (big.len(), big.capacity() - big.len()),
            None => (self.tail.len(), self.tail.capacity() - self.tail.len()),
        }
    }

    /// Gives up room that nothing is in.
    pub fn release_unused(&mut self) {
        if self.tail.is_empty() {
            self.tail = Vec::new();
        }
    }

    /// Whether an incomplete request is held.
    #[inline]
    pub fn is_mid_request(&self) -> bool {
        !self.tail.is_empty() || self.partial.is_some()
    }

    /// The held bytes, to be decoded together with what was read behind them.
    pub fn take_tail(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.tail)
    }

    /// Keeps what follows the last whole request: `buf[at..]`. Call after `Incomplete`.
    pub fn keep(&mut self, mut buf: Vec<u8>, at: usize) {
        if at > 0 {
            buf.drain(..at);
        }
        if buf.is_empty() {
            // A connection without a tail owns no buffer.
            buf = Vec::new();
        }
        if let Some(partial) = &self.partial {
            if partial.big.is_some() {
                buf.truncate(partial.pos);
            }
        }
        self.tail = buf;
    }

    /// As `keep`, out of a buffer that is shared.
    pub fn keep_copy(&mut self, buf: &[u8], at: usize) {
        let end = match &self.partial {
            Some(p) if p.big.is_some() => at + p.pos,
            _ => buf.len(),
        };
        self.tail.clear();
        self.tail.extend_from_slice(&buf[at..end]);
    }

    /// Decodes one request at `at` (0 when one is being resumed). Its spans and big arguments are appended.
    #[inline]
    pub fn decode(
        &mut self,
        buf: &[u8],
        at: usize,
        limits: RequestLimits,
        spans: &mut Vec<Span>,
        bigs: &mut Vec<Bytes>,
    ) -> Decoded {
        if self.partial.is_some() {
            return self.resume(buf, at, limits, spans, bigs);
        }
        let (argc, pos) = match short_header(buf, at, b'*') {
            Some((argc, next)) if argc <= STRANGERS_ARGS => (argc, next),
            _ => match buf.get(at) {
                Some(b'*') => match count(buf, at, limits) {
                    Ok(Some((argc, next))) => (argc, next),
                    Ok(None) => return Decoded::Incomplete,
                    Err(error) => return Decoded::Error(error),
                },
                Some(_) => return inline(buf, at, spans, bigs),
                None => return Decoded::Incomplete,
            },
        };
        if argc == 0 {
            return Decoded::Skip(pos);
        }
        self.words(buf, at, 0..argc, pos, limits, spans)
    }

    /// As `decode`, of a request whose head is known: `None` if another one lies there. A request of which bytes are held is
    /// not asked for.
    #[inline(always)]
    pub fn decode_known(
        &mut self,
        head: &Head,
        buf: &[u8],
        at: usize,
        limits: RequestLimits,
        spans: &mut Vec<Span>,
    ) -> Option<Decoded> {
        if self.partial.is_some() || !head.is_at(buf, at) {
            return None;
        }
        spans.push(Span { start: (at + head.name) as u32, len: (head.len - 2 - head.name) as u32 });
        Some(self.words(buf, at, 1..head.argc, at + head.len, limits, spans))
    }

    /// The words of a request that are left: those before them lie in the last spans. `at`: its first byte.
    fn words(
        &mut self,
        buf: &[u8],
        at: usize,
        left: Range<usize>,
        mut pos: usize,
        limits: RequestLimits,
        spans: &mut Vec<Span>,
    ) -> Decoded {
        let (first, argc) = (spans.len() - left.start, left.end);
        for done in left {
            // No limit is below two digits.
            let bulk = match short_header(buf, pos, b'$') {
                Some(bulk) => Ok(Some(bulk)),
                None => bulk_header(buf, pos, limits),
            };
            match bulk {
                Ok(Some((len, start))) if start + len + 2 <= buf.len() => {
                    spans.push(Span { start: start as u32, len: len as u32 });
                    pos = start + len + 2;
                }
                Ok(bulk) => {
                    let mut own: Vec<Span> = spans.drain(first..).collect();
                    for span in &mut own {
                        span.start -= at as u32;
                    }
                    let (bulk, pos) = match bulk {
                        Some((len, start)) => (Some(len), start - at),
                        None => (None, pos - at),
                    };
                    let mut partial =
                        Partial { args_left: argc - done, spans: own, pos, bulk, bigs: Vec::new(), big: None };
                    partial.begin_big(&buf[at..]);
                    self.partial = Some(Box::new(partial));
                    return Decoded::Incomplete;
                }
                Err(error) => return Decoded::Error(error),
            }
        }
        Decoded::Request { argc, next: pos }
    }

    #[cold]
    fn resume(
        &mut self,
        buf: &[u8],
        at: usize,
        limits: RequestLimits,
        spans: &mut Vec<Span>,
        bigs: &mut Vec<Bytes>,
    ) -> Decoded {
        let request = &buf[at..];
        let Some(partial) = self.partial.as_mut() else { return Decoded::Incomplete };
        match partial.advance(request, limits) {
            Ok(true) => {}
            Ok(false) => return Decoded::Incomplete,
            Err(error) => return Decoded::Error(error),
        }
        let Some(partial) = self.partial.take() else { return Decoded::Incomplete };
        let argc = partial.spans.len();
        let before = bigs.len() as u32;
        spans.extend(partial.spans.iter().map(|span| match span.start & BIG {
            0 => Span { start: span.start + at as u32, ..*span },
            _ => Span { start: span.start + before, ..*span },
        }));
        bigs.extend(partial.bigs);
        Decoded::Request { argc, next: at + partial.pos }
    }
}

impl Partial {
    fn held_bytes(&self) -> usize {
        self.bigs.iter().map(|b| b.len()).sum::<usize>() + self.big.as_ref().map_or(0, |(b, _)| b.len())
    }

    fn alloc_bytes(&self) -> usize {
        size_of::<Partial>()
            + self.spans.capacity() * size_of::<Span>()
            + self.bigs.iter().map(|b| b.len()).sum::<usize>()
            + self.big.as_ref().map_or(0, |(b, _)| b.capacity())
    }

    /// If the bulk that is due is a big one, what is there of it moves to an allocation of its own.
    fn begin_big(&mut self, request: &[u8]) {
        if let Some(len) = self.bulk {
            if len >= BIG_BULK_BYTES && self.big.is_none() {
                let here = &request[self.pos..];
                let mut big = Vec::with_capacity((len + 2).min(BIG_FIRST_ROOM_BYTES).max(here.len()));
                big.extend_from_slice(&here[..here.len().min(len + 2)]);
                self.big = Some((big, len + 2));
            }
        }
    }

    fn finish_big(&mut self) -> bool {
        let Some((big, total)) = self.big.take() else { return false };
        if big.len() < total {
            self.big = Some((big, total));
            return false;
        }
        let mut big = big;
        big.truncate(total - 2);
        self.spans.push(Span { start: BIG | self.bigs.len() as u32, len: 0 });
        self.bigs.push(Bytes::from(big));
        self.bulk = None;
        self.args_left -= 1;
        true
    }

    /// Goes on in `request`, whose bytes before `pos` were read; true when the request is whole.
    fn advance(&mut self, request: &[u8], limits: RequestLimits) -> Result<bool, ProtocolError> {
        if self.big.is_some() && !self.finish_big() {
            return Ok(false);
        }
        while self.args_left > 0 {
            if self.bulk.is_none() {
                match bulk_header(request, self.pos, limits)? {
                    Some((len, start)) => {
                        self.bulk = Some(len);
                        self.pos = start;
                    }
                    None => return Ok(false),
                }
            }
            let len = self.bulk.unwrap_or(0);
            if self.pos + len + 2 > request.len() {
                self.begin_big(request);
                return Ok(false);
            }
            self.spans.push(Span { start: self.pos as u32, len: len as u32 });
            self.pos += len + 2;
            self.bulk = None;
            self.args_left -= 1;
        }
        Ok(true)
    }
}

/// The count of arguments at `at`; nothing while incomplete.
#[inline]
fn count(buf: &[u8], at: usize, limits: RequestLimits) -> Result<Option<(usize, usize)>, ProtocolError> {
    match header(buf, at) {
        Line::Number(n, _) if n > MAX_ARGS => Err(ProtocolError::MultibulkLength),
        Line::Number(n, _) if n > STRANGERS_ARGS as i64 && !limits.authenticated => {
            Err(ProtocolError::UnauthenticatedMultibulk)
        }
        Line::Number(n, next) => Ok(Some((n.max(0) as usize, next))),
        Line::Bad => Err(ProtocolError::MultibulkLength),
        Line::Long => Err(ProtocolError::BigCount),
        Line::Incomplete => Ok(None),
    }
}

/// A bulk's length at `at` and where its bytes begin; nothing while incomplete.
#[inline]
fn bulk_header(buf: &[u8], at: usize, limits: RequestLimits) -> Result<Option<(usize, usize)>, ProtocolError> {
    match buf.get(at) {
        Some(b'$') => {}
        Some(&other) => {
            // The reference reads the whole line before it looks at its first byte.
            let (window, without_end) = line_window(buf, at);
            return match (memchr::memchr(b'\r', window), without_end) {
                (Some(_), _) => Err(ProtocolError::ExpectedDollar(other)),
                (None, Line::Long) => Err(ProtocolError::BigBulkCount),
                (None, _) => Ok(None),
            };
        }
        None => return Ok(None),
    }
    match header(buf, at) {
        Line::Number(n, _) if n < 0 || n as u64 > limits.bulk_len => Err(ProtocolError::BulkLength),
        Line::Number(n, _) if n > 16384 && !limits.authenticated => Err(ProtocolError::UnauthenticatedBulk),
        Line::Number(n, next) => Ok(Some((n as usize, next))),
        Line::Bad => Err(ProtocolError::BulkLength),
        Line::Long => Err(ProtocolError::BigBulkCount),
        Line::Incomplete => Ok(None),
    }
}

#[cold]
fn inline(buf: &[u8], at: usize, spans: &mut Vec<Span>, bigs: &mut Vec<Bytes>) -> Decoded {
    let (window, without_end) = line_window(buf, at);
    if window.starts_with(TLS_HANDSHAKE) {
        // It may hold no end of line: the client would wait for an answer for ever.
        return Decoded::Error(ProtocolError::Handshake);
    }
    let Some(newline) = memchr::memchr(b'\n', window) else {
        return match without_end {
            Line::Long => Decoded::Error(ProtocolError::BigInline),
            _ => Decoded::Incomplete,
        };
    };
    let line = &window[..newline];
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let next = at + newline + 1;
    let Ok(words) = text::split_args(line) else { return Decoded::Error(ProtocolError::UnbalancedQuotes) };
    if words.is_empty() {
        return Decoded::Skip(next);
    }
    let argc = words.len();
    for word in words {
        spans.push(Span { start: BIG | bigs.len() as u32, len: 0 });
        bigs.push(Bytes::from(word));
    }
    Decoded::Request { argc, next }
}

/// Fuzz entry: any bytes, split anywhere, decode to the same requests and never panic.
pub fn fuzz_request(data: &[u8]) {
    let Some((&split, data)) = data.split_first() else { return };
    let limits = RequestLimits { bulk_len: 1 << 20, authenticated: split & 1 == 0 };
    let whole = decode_all(data, data.len().max(1), limits);
    let parts = decode_all(data, usize::from(split % 17) + 1, limits);
    assert_eq!(whole, parts, "a split must not change what is read");
}

/// All requests of `data`, fed in pieces of `step` bytes, and the error that ended them. Heads are known from the request before;
/// in short pieces none is recognised.
fn decode_all(data: &[u8], step: usize, limits: RequestLimits) -> (Vec<Vec<Vec<u8>>>, Option<ProtocolError>) {
    let mut decoder = Decoder::default();
    let (mut requests, mut rest) = (Vec::new(), data);
    let mut known: Option<Head> = None;
    while !rest.is_empty() {
        let room = decoder.read_target().map_or(usize::MAX, |(_, room)| room);
        let (piece, after) = rest.split_at(step.min(rest.len()).min(room));
        rest = after;
        let buf = match decoder.read_target() {
            Some((target, _)) => {
                target.extend_from_slice(piece);
                decoder.take_tail()
            }
            None => piece.to_vec(),
        };
        let mut at = 0;
        loop {
            let (mut spans, mut bigs) = (Vec::new(), Vec::new());
            let decoded = known.and_then(|head| decoder.decode_known(&head, &buf, at, limits, &mut spans));
            match decoded.unwrap_or_else(|| decoder.decode(&buf, at, limits, &mut spans, &mut bigs)) {
                Decoded::Request { next, argc } => {
                    assert_eq!(argc, spans.len());
                    let mut encoded = Vec::new();
                    let argv = Argv::new(&buf, &spans, &bigs);
                    super::encode_command(&mut encoded, argc, argv.iter());
                    assert!(argv.as_sent().is_none_or(|sent| sent == encoded));
                    known = Head::of(&buf, at, &spans).or(known);
                    requests.push(Argv::new(&buf, &spans, &bigs).iter().map(<[u8]>::to_vec).collect());
                    at = next;
                }
                Decoded::Skip(next) => at = next,
                Decoded::Incomplete => break,
                Decoded::Error(error) => return (requests, Some(error)),
            }
        }
        decoder.keep(buf, at);
    }
    (requests, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: RequestLimits = RequestLimits { bulk_len: 512 << 20, authenticated: true };

    fn words(requests: &[Vec<Vec<u8>>]) -> Vec<Vec<String>> {
        requests.iter().map(|r| r.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect()).collect()
    }

    #[test]
    fn a_stream_gives_the_same_requests_wherever_it_is_split() {
        let mut data =
            b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n\r\nPING \"a b\"\r\n*0\r\n*-1\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n".to_vec();
        let big = vec![b'x'; BIG_BULK_BYTES + 3];
        data.extend_from_slice(format!("${}\r\n", big.len()).as_bytes());
        data.extend_from_slice(&big);
        data.extend_from_slice(b"\r\n*1\r\n$4\r\nPING\r\n");
        let (whole, error) = decode_all(&data, data.len(), OPEN);
        assert_eq!(error, None);
        assert_eq!(words(&whole[..2]), [vec!["GET", "k"], vec!["PING", "a b"]]);
        assert_eq!(whole[2][2], big);
        assert_eq!(whole.len(), 4);
        for step in [1, 2, 3, 5, 7, 1000, 20_000, 40_000] {
            assert_eq!(decode_all(&data, step, OPEN).0, whole, "step {step}");
        }
    }

    #[test]
    fn a_request_is_copied_as_it_was_sent_only_if_it_would_be_encoded_so() {
        let decoded = |text: &[u8]| {
            let (mut decoder, mut spans, mut bigs) = (Decoder::default(), Vec::new(), Vec::new());
            decoder.decode(text, 0, OPEN, &mut spans, &mut bigs);
            let argv = Argv::new(text, &spans, &bigs);
            let mut encoded = Vec::new();
            super::super::encode_command(&mut encoded, argv.len(), argv.iter());
            assert!(argv.as_sent().is_none_or(|sent| sent == encoded), "{}", String::from_utf8_lossy(text));
            argv.as_sent().is_some()
        };
        for sent in ["*2\r\n$3\r\nGET\r\n$11\r\n01234567890\r\n", "*1\r\n$0\r\n\r\n", "*2\r\n$1\r\na\r\n$2\r\n\r\n\r\n"]
        {
            assert!(decoded(sent.as_bytes()), "{sent:?}");
        }
        for other in [
            "*02\r\n$3\r\nGET\r\n$1\r\nk\r\n",
            "*2\r\n$03\r\nGET\r\n$1\r\nk\r\n",
            "*2\r\n$3\r\nGET\r\n$01\r\nk\r\n",
            "*2\r\n$3\r\nGETxx$1\r\nk\r\n",
            "*2\r\n$3\r\nGET\r\n$1\rxk\r\n",
            "*2\rx$3\r\nGET\r\n$1\r\nk\r\n",
            "*2\r\n$3\r\nGET\r\n$1\r\nkxx",
            "GET      key\r\n",
            "*1\r\n$3\r\nGET      key\r\n",
            "*10\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n$1\r\na\r\n",
        ] {
            assert!(!decoded(other.as_bytes()), "{other:?}");
        }
        assert_eq!(OwnedArgv::of(&[b"SET", b"k", b"v"]).argv().as_sent(), None);
    }

    #[test]
    fn a_known_head_stands_for_no_other() {
        let request = |name: &str, words: &[&str]| {
            let mut text = format!("*{}\r\n", words.len() + 1);
            for word in std::iter::once(&name).chain(words) {
                text += &format!("${}\r\n{word}\r\n", word.len());
            }
            text.into_bytes()
        };
        let known = request("SET", &["a-key-that-is-rather-long", "v"]);
        let (mut decoder, mut spans, mut bigs) = (Decoder::default(), Vec::new(), Vec::new());
        decoder.decode(&known, 0, OPEN, &mut spans, &mut bigs);
        let head = Head::of(&known, 0, &spans).expect("it is short");
        let long = "a-key-that-is-rather-long";
        for (other, same) in [
            (request("SET", &[long, "w"]), true),
            (request("SET", &[long]), false),
            (request("SEX", &[long, "v"]), false),
            (request("SETX", &[long, "v"]), false),
            (request("set", &[long, "v"]), false),
            (request("SET", &["k", "v"]), false),
            (b"SET a-key-that-is-rather-long and-more\r\n".to_vec(), false),
        ] {
            let (mut spans, mut plain) = (Vec::new(), Vec::new());
            let decoded = decoder.decode_known(&head, &other, 0, OPEN, &mut spans);
            assert_eq!(decoded.is_some(), same, "{}", String::from_utf8_lossy(&other));
            if same {
                assert_eq!(decoded, Some(decoder.decode(&other, 0, OPEN, &mut plain, &mut bigs)));
                assert_eq!(spans, plain);
            }
        }
        let cut = &known[..known.len() - 1];
        assert_eq!(decoder.decode_known(&head, cut, 0, OPEN, &mut spans), Some(Decoded::Incomplete));
        assert_eq!(decoder.decode_known(&head, &known, 0, OPEN, &mut spans), None, "bytes of a request are held");
        assert!(Head::of(&request("A-NAME-TOO-LONG-FOR-A-HEAD", &[]), 0, &[Span { start: 9, len: 26 }]).is_none());
        assert!(Head::of(b"GET k\r\n", 0, &[Span { start: 0, len: 3 }]).is_none());
    }

    #[test]
    fn a_big_bulk_is_kept_without_a_copy() {
        let mut decoder = Decoder::default();
        let (mut spans, mut bigs) = (Vec::new(), Vec::new());
        let head = format!("*2\r\n$3\r\nGET\r\n${}\r\nab", BIG_BULK_BYTES).into_bytes();
        assert_eq!(decoder.decode(&head, 0, OPEN, &mut spans, &mut bigs), Decoded::Incomplete);
        decoder.keep_copy(&head, 0);
        let (target, room) = decoder.read_target().expect("a big bulk is due");
        assert_eq!(room, BIG_BULK_BYTES);
        target.extend(std::iter::repeat_n(b'x', BIG_BULK_BYTES - 2));
        target.extend(b"\r\n");
        let address = target.as_ptr();
        assert!(decoder.read_target().is_none(), "there must be room for what comes behind it");
        let buf = decoder.take_tail();
        assert!(matches!(decoder.decode(&buf, 0, OPEN, &mut spans, &mut bigs), Decoded::Request { argc: 2, .. }));
        let argv = Argv::new(&buf, &spans, &bigs);
        assert_eq!(argv.get(0), Some(&b"GET"[..]));
        let shared = argv.shared(1).expect("the big argument is an allocation of its own");
        assert_eq!((shared.len(), shared.as_ptr()), (BIG_BULK_BYTES, address));
    }

    #[test]
    fn each_fault_has_its_text() {
        let fault = |data: &[u8], authenticated: bool| {
            let limits = RequestLimits { bulk_len: 100_000, authenticated };
            decode_all(data, 3, limits).1.map(|e| e.to_string()).unwrap_or_default()
        };
        assert_eq!(fault(b"*x\r\n", true), "Protocol error: invalid multibulk length");
        assert_eq!(fault(b"*3000000000\r\n", true), "Protocol error: invalid multibulk length");
        assert_eq!(fault(b"*1\r\n$-5\r\n", true), "Protocol error: invalid bulk length");
        assert_eq!(fault(b"*1\r\n$200000\r\n", true), "Protocol error: invalid bulk length");
        assert_eq!(fault(b"*1\r\nfoo\r\n", true), "Protocol error: expected '$', got 'f'");
        assert_eq!(fault(b"*11\r\n", false), "Protocol error: unauthenticated multibulk length");
        assert_eq!(fault(b"*1\r\n$16385\r\n", false), "Protocol error: unauthenticated bulk length");
        assert_eq!(fault(b"a \"b\r\n", true), "Protocol error: unbalanced quotes in request");
        assert_eq!(fault(&vec![b'a'; 70_000], true), "Protocol error: too big inline request");
        assert_eq!(fault(b"\x16\x03\x01\x02", true), "Protocol error: a TLS handshake, but this port speaks no TLS");
        assert_eq!(
            fault(&[b"*".as_slice(), &[b'1'; 70_000]].concat(), true),
            "Protocol error: too big mbulk count string"
        );
        assert_eq!(
            fault(&[b"*1\r\n$".as_slice(), &[b'1'; 70_000]].concat(), true),
            "Protocol error: too big bulk count string"
        );
    }

    #[test]
    fn random_bytes_never_panic_and_never_depend_on_the_split() {
        let alphabet = b"*$0123456789\r\n\r\n\"' aGET-";
        let mut state = 7u64;
        for _ in 0..20_000 {
            let mut data = Vec::new();
            for _ in 0..(state % 60) {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                data.push(alphabet[(state >> 33) as usize % alphabet.len()]);
            }
            state = state.wrapping_add(97);
            fuzz_request(&data);
        }
    }
}
