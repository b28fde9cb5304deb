//! Replies to bytes. The one place that knows how RESP2 and RESP3 differ: a handler says `map(n)` or `double(x)`
//! and never asks for the version. Invariant: a simple string or an error never holds CR or LF.

use super::outbox::{Outbox, SHARE_BYTES};
use crate::base::float;
use bytes::Bytes;

/// The protocol version a client speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Proto {
    /// RESP2, the default.
    Resp2,
    /// RESP3, after `HELLO 3`.
    Resp3,
}

/// Where an aggregate's length will be inserted.
#[must_use]
#[derive(Debug)]
pub struct Deferred(usize);

/// Writes one client's replies into its outbox.
pub struct Reply<'a> {
    out: &'a mut Outbox,
    proto: Proto,
}

impl<'a> Reply<'a> {
    /// A writer in version `proto`.
    #[inline]
    pub fn new(out: &'a mut Outbox, proto: Proto) -> Self {
        Reply { out, proto }
    }

    /// The version in force.
    pub fn proto(&self) -> Proto {
        self.proto
    }

    /// HELLO changes it.
    pub fn set_proto(&mut self, proto: Proto) {
        self.proto = proto;
    }

    /// The outbox behind: for marks and for replies made elsewhere.
    #[inline]
    pub fn outbox(&mut self) -> &mut Outbox {
        self.out
    }

    /// Whether more than so many bytes wait: a reply of unknown length may end where it is.
    #[inline]
    pub fn is_over(&self, limit_bytes: usize) -> bool {
        self.out.len() > limit_bytes
    }

    #[inline]
    fn header(&mut self, kind: u8, n: i64) {
        let tail = self.out.tail();
        if (0..10).contains(&n) {
            tail.extend_from_slice(&[kind, b'0' + n as u8, b'\r', b'\n']);
            return;
        }
        let mut text = itoa::Buffer::new();
        let text = text.format(n).as_bytes();
        tail.reserve(text.len() + 3);
        tail.push(kind);
        tail.extend_from_slice(text);
        tail.extend_from_slice(b"\r\n");
    }

    /// `+OK`.
    #[inline]
    pub fn ok(&mut self) {
        self.out.extend(b"+OK\r\n");
    }

    /// A status line.
    pub fn simple(&mut self, text: &str) {
        self.line(b'+', text.as_bytes());
    }

    /// An error line, its code first (`ERR ...`, `WRONGTYPE ...`), without the dash.
    pub fn error(&mut self, text: &str) {
        self.line(b'-', text.as_bytes());
    }

    /// An error line from bytes that may not be UTF-8.
    pub fn error_bytes(&mut self, text: &[u8]) {
        self.line(b'-', text);
    }

    fn line(&mut self, kind: u8, text: &[u8]) {
        let tail = self.out.tail();
        tail.push(kind);
        tail.extend(text.iter().map(|&b| if b == b'\r' || b == b'\n' { b' ' } else { b }));
        tail.extend_from_slice(b"\r\n");
    }

    /// An integer.
    #[inline]
    pub fn int(&mut self, n: i64) {
        self.header(b':', n);
    }

    /// An integer that may need 64 bits without a sign.
    pub fn uint(&mut self, n: u64) {
        match i64::try_from(n) {
            Ok(n) => self.int(n),
            Err(_) => self.line(b':', itoa::Buffer::new().format(n).as_bytes()),
        }
    }

    /// A count or length.
    #[inline]
    pub fn len(&mut self, n: usize) {
        self.header(b':', n as i64);
    }

    /// A bulk string, copied.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        if bytes.len() < 10 {
            // One reservation, one length: most values and members are short.
            let tail = self.out.tail();
            tail.reserve(16);
            tail.extend_from_slice(&[b'$', b'0' + bytes.len() as u8, b'\r', b'\n']);
            tail.extend_from_slice(bytes);
            tail.extend_from_slice(b"\r\n");
            return;
        }
        self.header(b'$', bytes.len() as i64);
        let tail = self.out.tail();
        tail.reserve(bytes.len() + 2);
        tail.extend_from_slice(bytes);
        tail.extend_from_slice(b"\r\n");
    }

    /// A bulk string of two numbers' texts and a dash between them.
    #[inline]
    pub fn bulk_parts(&mut self, first: &str, second: &str) {
        let len = first.len() + 1 + second.len();
        debug_assert!(len < 100, "numbers are short");
        let tail = self.out.tail();
        tail.reserve(len + 7);
        let (tens, ones) = (b'0' + (len / 10) as u8, b'0' + (len % 10) as u8);
        match tens {
            b'0' => tail.extend_from_slice(&[b'$', ones, b'\r', b'\n']),
            _ => tail.extend_from_slice(&[b'$', tens, ones, b'\r', b'\n']),
        }
        tail.extend_from_slice(first.as_bytes());
        tail.push(b'-');
        tail.extend_from_slice(second.as_bytes());
        tail.extend_from_slice(b"\r\n");
    }

    /// A bulk string that is shared with its owner when it is large.
    pub fn bulk_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < SHARE_BYTES {
            return self.bulk(bytes);
        }
        self.header(b'$', bytes.len() as i64);
        self.out.share(bytes.clone());
        self.out.extend(b"\r\n");
    }

    /// An integer as a bulk string.
    pub fn bulk_int(&mut self, n: i64) {
        let mut text = itoa::Buffer::new();
        self.bulk(text.format(n).as_bytes());
    }

    /// No value: `$-1` or `_`.
    #[inline]
    pub fn null(&mut self) {
        self.out.extend(match self.proto {
            Proto::Resp2 => b"$-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// No array: `*-1` or `_`.
    pub fn null_array(&mut self) {
        self.out.extend(match self.proto {
            Proto::Resp2 => b"*-1\r\n",
            Proto::Resp3 => b"_\r\n",
        });
    }

    /// An array of `n` elements follows.
    #[inline]
    pub fn array(&mut self, n: usize) {
        self.header(b'*', n as i64);
    }

    /// A map of `n` pairs follows; a flat array of 2n elements in RESP2.
    pub fn map(&mut self, n: usize) {
        match self.proto {
            Proto::Resp2 => self.header(b'*', 2 * n as i64),
            Proto::Resp3 => self.header(b'%', n as i64),
        }
    }

    /// A set of `n` elements follows.
    pub fn set(&mut self, n: usize) {
        match self.proto {
            Proto::Resp2 => self.header(b'*', n as i64),
            Proto::Resp3 => self.header(b'~', n as i64),
        }
    }

    /// An out-of-band message of `n` elements follows.
    pub fn push(&mut self, n: usize) {
        match self.proto {
            Proto::Resp2 => self.header(b'*', n as i64),
            Proto::Resp3 => self.header(b'>', n as i64),
        }
    }

    /// An attribute of `n` pairs; RESP2 clients never see one, so the caller leaves it out for them.
    pub fn attribute(&mut self, n: usize) {
        debug_assert_eq!(self.proto, Proto::Resp3);
        self.header(b'|', n as i64);
    }

    /// A double: `,` in RESP3, its text as a bulk string in RESP2.
    pub fn double(&mut self, x: f64) {
        let mut buffer = float::Buffer::new();
        let text = buffer.format(x);
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => self.line(b',', text),
        }
    }

    /// A number's text that is not a double's: `,` in RESP3, a bulk string in RESP2.
    pub fn double_text(&mut self, text: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => self.line(b',', text),
        }
    }

    /// A double with up to 17 digits behind the point, never an exponent: a coordinate.
    pub fn human_double(&mut self, x: f64) {
        let mut text = Vec::with_capacity(24);
        float::LongDouble::from_f64(x).push_human(&mut text);
        self.double_text(&text);
    }

    /// A boolean: `#t` or 1.
    pub fn bool(&mut self, yes: bool) {
        match self.proto {
            Proto::Resp2 => self.int(i64::from(yes)),
            Proto::Resp3 => self.out.extend(if yes { b"#t\r\n" } else { b"#f\r\n" }),
        }
    }

    /// A number too large for an integer, as decimal digits.
    pub fn big_number(&mut self, digits: &[u8]) {
        match self.proto {
            Proto::Resp2 => self.bulk(digits),
            Proto::Resp3 => self.line(b'(', digits),
        }
    }

    /// Text with its three-letter format (`txt`, `mkd`); plain bulk in RESP2.
    pub fn verbatim(&mut self, format: &str, text: &[u8]) {
        debug_assert_eq!(format.len(), 3);
        match self.proto {
            Proto::Resp2 => self.bulk(text),
            Proto::Resp3 => {
                self.header(b'=', text.len() as i64 + 4);
                self.out.extend(format.as_bytes());
                self.out.extend(b":");
                self.out.extend(text);
                self.out.extend(b"\r\n");
            }
        }
    }

    /// Remembers where an aggregate begins whose length is not known yet.
    pub fn defer(&mut self) -> Deferred {
        Deferred(self.out.mark())
    }

    fn fill(&mut self, at: Deferred, kind: u8, n: usize) {
        let mut text = itoa::Buffer::new();
        let mut head = vec![kind];
        head.extend_from_slice(text.format(n).as_bytes());
        head.extend_from_slice(b"\r\n");
        self.out.insert(at.0, &head);
    }

    /// The elements since `at` are an array of `n`.
    pub fn fill_array(&mut self, at: Deferred, n: usize) {
        self.fill(at, b'*', n);
    }

    /// The elements since `at` are a set of `n`.
    pub fn fill_set(&mut self, at: Deferred, n: usize) {
        let kind = if self.proto == Proto::Resp3 { b'~' } else { b'*' };
        self.fill(at, kind, n);
    }

    /// The elements since `at` are `n` pairs.
    pub fn fill_map(&mut self, at: Deferred, n: usize) {
        match self.proto {
            Proto::Resp2 => self.fill(at, b'*', 2 * n),
            Proto::Resp3 => self.fill(at, b'%', n),
        }
    }

    /// Puts encoded bytes where `at` was taken.
    pub fn insert_at(&mut self, at: Deferred, encoded: &[u8]) {
        self.out.insert(at.0, encoded);
    }

    /// Takes back what was written since `at`: after an error a command has replied nothing else.
    pub fn rewind(&mut self, at: &Deferred) {
        self.out.truncate(at.0);
    }

    /// Whether anything was written since `at`.
    pub fn wrote_since(&self, at: &Deferred) -> bool {
        self.out.mark() != at.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(proto: Proto, f: impl FnOnce(&mut Reply)) -> String {
        let mut out = Outbox::default();
        f(&mut Reply::new(&mut out, proto));
        String::from_utf8(out.to_vec()).expect("replies of this test are text")
    }

    #[test]
    fn each_type_has_its_form_in_both_versions() {
        let all = |r: &mut Reply| {
            r.ok();
            r.int(-12);
            r.bulk(b"hello world!");
            r.null();
            r.null_array();
            r.map(1);
            r.bulk(b"a");
            r.bool(true);
            r.set(0);
            r.verbatim("txt", b"v");
            r.double(1.5);
            r.big_number(b"123");
            r.push(0);
        };
        assert_eq!(
            written(Proto::Resp2, all),
            "+OK\r\n:-12\r\n$12\r\nhello world!\r\n$-1\r\n*-1\r\n*2\r\n$1\r\na\r\n:1\r\n*0\r\n$1\r\nv\r\n$3\r\n1.5\r\n$3\r\n123\r\n*0\r\n"
        );
        assert_eq!(
            written(Proto::Resp3, all),
            "+OK\r\n:-12\r\n$12\r\nhello world!\r\n_\r\n_\r\n%1\r\n$1\r\na\r\n#t\r\n~0\r\n=5\r\ntxt:v\r\n,1.5\r\n(123\r\n>0\r\n"
        );
    }

    #[test]
    fn a_late_length_is_put_before_its_elements() {
        let text = written(Proto::Resp2, |r| {
            r.int(1);
            let at = r.defer();
            for i in 0..12 {
                r.int(i % 10);
            }
            r.fill_array(at, 12);
        });
        assert!(text.starts_with(":1\r\n*12\r\n:0\r\n:1\r\n"), "{text}");
    }

    #[test]
    fn lines_never_carry_a_line_end() {
        assert_eq!(written(Proto::Resp2, |r| r.error("ERR a\r\nb")), "-ERR a  b\r\n");
    }
}
