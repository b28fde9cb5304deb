//! A blocking connection: requests out, replies in. Knows no command but those that open a conversation.

use super::options::{Options, Tls};
use redstart::tls::{ClientSide, Credentials, Trust};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;

/// Deepest nesting of a reply.
const MAX_DEPTH: usize = 64;
/// Longest bulk a server may announce.
const MAX_BULK_BYTES: i64 = 1 << 32;

/// A reply of RESP2 or RESP3.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    Status(Vec<u8>),
    Error(Vec<u8>),
    Integer(Vec<u8>),
    Double(Vec<u8>),
    BigNumber(Vec<u8>),
    Bulk(Vec<u8>),
    /// Text that is meant to be shown as it is.
    Verbatim(Vec<u8>),
    Bool(bool),
    Nil,
    Array(Vec<Reply>),
    Set(Vec<Reply>),
    Push(Vec<Reply>),
    Map(Vec<(Reply, Reply)>),
}

/// A connection.
pub struct Connection {
    stream: BufReader<Box<dyn Duplex>>,
}

/// Both directions of a connection.
trait Duplex: Read + Write + Send {}

impl<T: Read + Write + Send> Duplex for T {}

/// Where systems keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// How TLS is spoken, as the options say. The name in the certificate counts if it was given, or if anybody could have a
/// certificate of the authorities that are trusted.
fn secured(tls: &Tls) -> Result<ClientSide, String> {
    let system = SYSTEM_AUTHORITIES.iter().map(Path::new).find(|path| path.exists());
    let own = tls.cacert.is_some() || tls.cacertdir.is_some();
    let file = tls.cacert.as_deref().map(Path::new).or(if own { None } else { system });
    let trust = Trust {
        file: file.map(|path| ("--cacert", path)),
        folder: tls.cacertdir.as_deref().map(|path| ("--cacertdir", Path::new(path))),
        anybody: tls.insecure,
        names_count: tls.sni.is_some() || !own,
    };
    let credentials = match (&tls.cert, &tls.key) {
        (Some(cert), Some(key)) => {
            Some(Credentials { certificate: ("--cert", Path::new(cert)), key: ("--key", Path::new(key)), pass: b"" })
        }
        (None, None) => None,
        _ => return Err("--cert and --key go together".into()),
    };
    ClientSide::new(&trust, credentials.as_ref(), [b"", tls.ciphers.as_bytes(), tls.ciphersuites.as_bytes()])
        .map_err(|error| error.to_string())
}

/// What the user is told to be connected to.
pub fn address(options: &Options) -> String {
    match &options.socket {
        Some(path) => path.clone(),
        None if options.host.contains(':') => format!("[{}]:{}", options.host, options.port),
        None => format!("{}:{}", options.host, options.port),
    }
}

impl Connection {
    /// Connects, logs in, and sets protocol and database.
    ///
    /// # Errors
    /// A text for the user.
    pub fn open(options: &Options) -> Result<Connection, String> {
        let failed = |e: io::Error| format!("Could not connect to {}: {}", address(options), plain(&e));
        let side = options.tls.as_ref().map(secured).transpose()?;
        let mut connection = Connection::connect(options, side.as_ref()).map_err(failed)?;
        if let Some(password) = &options.password {
            let user = options.user.as_deref();
            connection.expect_ok(&["AUTH"].into_iter().chain(user).chain([password.as_str()]).collect::<Vec<_>>())?;
        }
        if options.resp3 {
            connection.expect_ok(&["HELLO", "3"])?;
        }
        if options.db != 0 {
            connection.expect_ok(&["SELECT", &options.db.to_string()])?;
        }
        Ok(connection)
    }

    fn connect(options: &Options, side: Option<&ClientSide>) -> io::Result<Connection> {
        let stream: Box<dyn Duplex> = match &options.socket {
            Some(path) => Box::new(UnixStream::connect(path)?),
            None => {
                let stream = TcpStream::connect((options.host.as_str(), options.port))?;
                stream.set_nodelay(true)?;
                let name = options.tls.as_ref().and_then(|tls| tls.sni.as_deref()).unwrap_or(&options.host);
                match side {
                    Some(side) => Box::new(side.connect(name, stream)?),
                    None => Box::new(stream),
                }
            }
        };
        Ok(Connection { stream: BufReader::with_capacity(64 * 1024, stream) })
    }

    fn expect_ok(&mut self, words: &[&str]) -> Result<(), String> {
        match self.call(words) {
            Ok(Reply::Error(text)) => Err(format!("{}: {}", words[0], String::from_utf8_lossy(&text))),
            Ok(_) => Ok(()),
            Err(e) => Err(format!("{}: {}", words[0], plain(&e))),
        }
    }

    /// One request and its reply.
    ///
    /// # Errors
    /// The connection broke, or the reply is none.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> io::Result<Reply> {
        let mut out = Vec::new();
        encode(words, &mut out);
        self.send(&out)?;
        self.read()
    }

    /// Sends encoded requests.
    ///
    /// # Errors
    /// The connection broke.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let stream = self.stream.get_mut();
        stream.write_all(bytes)?;
        stream.flush()
    }

    /// The next reply.
    ///
    /// # Errors
    /// The connection broke, or what came is no reply.
    pub fn read(&mut self) -> io::Result<Reply> {
        read_reply(&mut self.stream, 0)
    }
}

/// An error without the number that Rust appends.
pub fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Appends a request as an array of bulks.
pub fn encode<W: AsRef<[u8]>>(words: &[W], out: &mut Vec<u8>) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.as_ref().len()).as_bytes());
        out.extend_from_slice(word.as_ref());
        out.extend_from_slice(b"\r\n");
    }
}

fn bad(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("protocol error: {what}"))
}

fn read_reply(reader: &mut impl BufRead, depth: usize) -> io::Result<Reply> {
    if depth > MAX_DEPTH {
        return Err(bad("a reply nested too deeply"));
    }
    let mut line = Vec::new();
    if reader.read_until(b'\n', &mut line)? == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection"));
    }
    let line = line.strip_suffix(b"\r\n").ok_or_else(|| bad("a line without its end"))?;
    let (&kind, text) = line.split_first().ok_or_else(|| bad("an empty line"))?;
    let text = text.to_vec();
    Ok(match kind {
        b'+' => Reply::Status(text),
        b'-' => Reply::Error(text),
        b':' => Reply::Integer(text),
        b',' => Reply::Double(text),
        b'(' => Reply::BigNumber(text),
        b'#' => Reply::Bool(text == b"t"),
        b'_' => Reply::Nil,
        b'$' | b'=' | b'!' => match number(&text)? {
            ..0 => Reply::Nil,
            len if len > MAX_BULK_BYTES => return Err(bad("a bulk too long")),
            len => bulk(reader, kind, len as u64)?,
        },
        b'*' | b'~' | b'>' | b'%' | b'|' => match number(&text)? {
            ..0 => Reply::Nil,
            count => aggregate(reader, kind, count, depth)?,
        },
        other => return Err(bad(&format!("no reply begins with {:?}", char::from(other)))),
    })
}

fn bulk(reader: &mut impl BufRead, kind: u8, len: u64) -> io::Result<Reply> {
    let mut bytes = Vec::new();
    reader.take(len + 2).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != len + 2 || !bytes.ends_with(b"\r\n") {
        return Err(bad("a bulk that is not as long as it says"));
    }
    bytes.truncate(bytes.len() - 2);
    Ok(match kind {
        b'$' => Reply::Bulk(bytes),
        b'!' => Reply::Error(bytes),
        // Three letters and a colon say what kind of text it is.
        _ => Reply::Verbatim(bytes.get(4..).unwrap_or_default().to_vec()),
    })
}

fn aggregate(reader: &mut impl BufRead, kind: u8, count: i64, depth: usize) -> io::Result<Reply> {
    if matches!(kind, b'%' | b'|') {
        let mut pairs = Vec::new();
        for _ in 0..count {
            pairs.push((read_reply(reader, depth + 1)?, read_reply(reader, depth + 1)?));
        }
        // Attributes stand before the reply they belong to, and this client shows none.
        return if kind == b'|' { read_reply(reader, depth + 1) } else { Ok(Reply::Map(pairs)) };
    }
    let mut elements = Vec::new();
    for _ in 0..count {
        elements.push(read_reply(reader, depth + 1)?);
    }
    Ok(match kind {
        b'~' => Reply::Set(elements),
        b'>' => Reply::Push(elements),
        _ => Reply::Array(elements),
    })
}

fn number(text: &[u8]) -> io::Result<i64> {
    let parsed = std::str::from_utf8(text).ok().and_then(|text| text.parse().ok());
    parsed.ok_or_else(|| bad("a length that is no number"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> io::Result<Reply> {
        read_reply(&mut &bytes[..], 0)
    }

    #[test]
    fn every_kind_of_reply_is_read() {
        let one = || Reply::Integer(b"1".to_vec());
        for (bytes, reply) in [
            (&b"+OK\r\n"[..], Reply::Status(b"OK".to_vec())),
            (b"-ERR x\r\n", Reply::Error(b"ERR x".to_vec())),
            (b"!5\r\nERR x\r\n", Reply::Error(b"ERR x".to_vec())),
            (b"$2\r\n\r\n\r\n", Reply::Bulk(b"\r\n".to_vec())),
            (b"$-1\r\n", Reply::Nil),
            (b"*-1\r\n", Reply::Nil),
            (b"_\r\n", Reply::Nil),
            (b",1.5\r\n", Reply::Double(b"1.5".to_vec())),
            (b"(12\r\n", Reply::BigNumber(b"12".to_vec())),
            (b"#t\r\n", Reply::Bool(true)),
            (b"=6\r\ntxt:hi\r\n", Reply::Verbatim(b"hi".to_vec())),
            (b"*2\r\n:1\r\n~1\r\n:1\r\n", Reply::Array(vec![one(), Reply::Set(vec![one()])])),
            (b"%1\r\n:1\r\n:1\r\n", Reply::Map(vec![(one(), one())])),
            (b"|1\r\n:1\r\n:1\r\n>0\r\n", Reply::Push(vec![])),
        ] {
            assert_eq!(read(bytes).ok(), Some(reply), "{}", bytes.escape_ascii());
        }
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        let nested = b"*1\r\n".repeat(100);
        for bytes in [
            &b""[..],
            b"+OK",
            b"\r\n",
            b"?\r\n",
            b"$x\r\n",
            b"$5\r\nab\r\n",
            b"$1\r\nabc\r\n",
            b"*2\r\n:1\r\n",
            &nested,
        ] {
            assert!(read(bytes).is_err(), "{}", bytes.escape_ascii());
        }
    }
}
