//! A plain blocking client: requests as arrays of bulks, replies as trees that keep every byte of the wire.
//! Knows no command.
//!
//! ```text
//! Value.kind      the reply's first byte:  + - : $ * _ , # ! = ( ~ % > |
//! Value.text      the rest of its line, or the bytes of a bulk; "-1" for the two nulls of RESP2
//! Value.children  elements of an aggregate (a map has two per pair)
//! ```

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

/// Longest silence before a reply counts as missing.
const SILENCE_LIMIT: Duration = Duration::from_secs(20);
/// Deepest nesting a reply may have.
const MAX_DEPTH: usize = 32;

/// One reply.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value {
    pub kind: u8,
    pub text: Vec<u8>,
    pub children: Vec<Value>,
}

impl Value {
    /// As one line for people: `+OK`, `:3`, `"bulk"`, `(null)`, `*["a" :1]`.
    pub fn render(&self) -> String {
        match self.kind {
            b'$' | b'*' if self.is_null() => format!("({}null)", self.kind as char),
            b'$' => format!("\"{}\"", self.text.escape_ascii()),
            b'*' | b'~' | b'%' | b'>' | b'|' => {
                let children: Vec<String> = self.children.iter().map(Value::render).collect();
                format!("{}[{}]", self.kind as char, children.join(" "))
            }
            kind => format!("{}{}", kind as char, self.text.escape_ascii()),
        }
    }

    pub fn is_null(&self) -> bool {
        self.kind == b'_' || (matches!(self.kind, b'$' | b'*') && self.children.is_empty() && self.null_mark())
    }

    fn null_mark(&self) -> bool {
        self.kind == b'*' && self.text == b"-1" || self.kind == b'$' && self.text == NULL_BULK
    }

    pub fn is_error(&self) -> bool {
        matches!(self.kind, b'-' | b'!')
    }

    pub fn int(&self) -> Option<i64> {
        (self.kind == b':').then(|| std::str::from_utf8(&self.text).ok()?.parse().ok()).flatten()
    }

    /// Text of a string reply, losing what is not UTF-8.
    pub fn string(&self) -> String {
        String::from_utf8_lossy(&self.text).into_owned()
    }
}

/// Text of RESP2's null bulk: no bulk can have it by chance, for a reader must tell "-1" of five bytes from none.
const NULL_BULK: &[u8] = b"\0null bulk\0";

/// Both directions of what requests go through: TLS, where it is not the socket itself.
pub trait Channel: Read + Write + std::fmt::Debug + Send {}

impl<T: Read + Write + std::fmt::Debug + Send> Channel for T {}

/// A connection.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    channel: Option<Box<dyn Channel>>,
    buf: Vec<u8>,
    at: usize,
}

impl Client {
    pub fn connect(port: u16) -> io::Result<Client> {
        let stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_LIMIT))?;
        stream.set_write_timeout(Some(SILENCE_LIMIT))?;
        Ok(Client { stream, channel: None, buf: Vec::new(), at: 0 })
    }

    /// A connection whose bytes go through a channel over this socket.
    pub fn through(stream: TcpStream, channel: Box<dyn Channel>) -> Client {
        Client { stream, channel: Some(channel), buf: Vec::new(), at: 0 }
    }

    fn channel(&mut self) -> &mut dyn Channel {
        match &mut self.channel {
            Some(channel) => &mut **channel,
            None => &mut self.stream,
        }
    }

    pub fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        let channel = self.channel();
        channel.write_all(bytes)?;
        channel.flush()
    }

    /// One request, one reply.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> io::Result<Value> {
        let mut out = Vec::new();
        encode(words, &mut out);
        self.send_raw(&out)?;
        self.read()
    }

    /// A request whose reply must not be an error.
    pub fn ask(&mut self, line: &str) -> Value {
        let words: Vec<&str> = line.split(' ').collect();
        let reply = self.call(&words).unwrap_or_else(|e| panic!("{line}: {e}"));
        assert!(!reply.is_error(), "{line}: {}", reply.render());
        reply
    }

    /// A request of a line's words, and its reply as one line for people.
    pub fn say(&mut self, line: &str) -> String {
        let words: Vec<&str> = line.split(' ').collect();
        plain(&self.call(&words).unwrap_or_else(|e| panic!("{line}: {e}")))
    }

    /// A request of a line's words, without waiting for its reply.
    pub fn send(&mut self, line: &str) {
        let mut out = Vec::new();
        encode(&line.split(' ').collect::<Vec<_>>(), &mut out);
        self.send_raw(&out).unwrap_or_else(|e| panic!("{line}: {e}"));
    }

    /// The next reply as one line for people.
    pub fn hear(&mut self) -> String {
        plain(&self.read().unwrap_or_else(|e| panic!("no reply: {e}")))
    }

    /// The next reply.
    pub fn read(&mut self) -> io::Result<Value> {
        self.read_nested(0)
    }

    /// Whether bytes came that nobody asked for.
    pub fn has_more(&mut self) -> bool {
        if self.at < self.buf.len() {
            return true;
        }
        self.stream.set_nonblocking(true).expect("a socket can be told not to block");
        let waits = matches!(self.stream.peek(&mut [0; 1]), Ok(1..));
        self.stream.set_nonblocking(false).expect("a socket can be told to block");
        waits
    }

    /// Whether the other side has closed, after all it sent was read.
    pub fn is_closed(&mut self) -> bool {
        self.at == self.buf.len() && matches!(self.channel().read(&mut [0; 1]), Ok(0) | Err(_))
    }

    /// No more requests; replies may still come.
    pub fn close_write(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }

    fn read_nested(&mut self, depth: usize) -> io::Result<Value> {
        if depth > MAX_DEPTH {
            return Err(bad("a reply nested too deeply"));
        }
        let line = self.line()?;
        let Some((&kind, text)) = line.split_first() else { return Err(bad("an empty line for a reply")) };
        let mut value = Value { kind, text: text.to_vec(), children: Vec::new() };
        match kind {
            b'+' | b'-' | b':' | b'_' | b',' | b'#' | b'(' => {}
            b'$' | b'!' | b'=' => {
                value.text = match number(&value.text)? {
                    -1 => NULL_BULK.to_vec(),
                    len => self.bulk(usize::try_from(len).map_err(|_| bad("a negative length"))?)?,
                };
            }
            b'*' | b'~' | b'>' | b'%' | b'|' => {
                let count = number(&value.text)?;
                let per = if matches!(kind, b'%' | b'|') { 2 } else { 1 };
                for _ in 0..count * per {
                    value.children.push(self.read_nested(depth + 1)?);
                }
            }
            _ => return Err(bad(&format!("no reply begins like {:?}", line.escape_ascii().to_string()))),
        }
        Ok(value)
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut from = self.at;
        loop {
            if let Some(len) = self.buf[from..].windows(2).position(|w| w == b"\r\n") {
                let end = from + len;
                let line = self.buf[self.at..end].to_vec();
                self.at = end + 2;
                return Ok(line);
            }
            let kept = self.at;
            let seen = self.buf.len().saturating_sub(1).max(kept);
            self.fill()?;
            from = seen - kept;
        }
    }

    fn bulk(&mut self, len: usize) -> io::Result<Vec<u8>> {
        while self.buf.len() - self.at < len + 2 {
            self.fill()?;
        }
        let (bytes, end) = self.buf[self.at..].split_at(len);
        if !end.starts_with(b"\r\n") {
            return Err(bad("a bulk that does not end with CR LF"));
        }
        let bytes = bytes.to_vec();
        self.at += len + 2;
        Ok(bytes)
    }

    /// Reads more; what was consumed is dropped first.
    fn fill(&mut self) -> io::Result<()> {
        self.buf.drain(..self.at);
        self.at = 0;
        let mut chunk = [0; 64 * 1024];
        let len = self.channel().read(&mut chunk)?;
        if len == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
        }
        self.buf.extend_from_slice(&chunk[..len]);
        Ok(())
    }
}

/// As one line for people, quotes as they came.
fn plain(reply: &Value) -> String {
    reply.render().replace("\\'", "'").replace("\\\"", "\"")
}

/// A request as an array of bulks.
pub fn encode<W: AsRef<[u8]>>(words: &[W], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        let word = word.as_ref();
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

fn number(text: &[u8]) -> io::Result<i64> {
    let parsed = std::str::from_utf8(text).ok().and_then(|t| t.parse().ok());
    parsed.ok_or_else(|| bad(&format!("{:?} is no length", text.escape_ascii().to_string())))
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
