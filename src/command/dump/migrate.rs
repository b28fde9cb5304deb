//! MIGRATE: keys go to another server, by RESTORE over a connection that is kept for the next time. The loop waits for the other
//! side, as the reference does: never longer than the command's timeout for one answer.

use super::super::args::Args;
use super::super::ctx::{Ctx, Flow, Outcome};
use super::super::error::CmdError;
use super::super::keys::Found;
use super::super::table::{Arg, Begin, Command, Find, KeySpec, acl, flag, key_flag as kf};
use crate::base::clock::Now;
use crate::base::text;
use crate::keyspace::{Event, Key};
use crate::persist::rdb;
use crate::resp::Argv;
use crate::stats::Hidden;
use crate::tls::{self, ClientSide};
use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// Connections kept at once.
const MOST_LINKS: usize = 64;
/// How long an idle one is kept, milliseconds.
const LINK_IDLE_MS: u64 = 10_000;
/// The timeout where none is given, milliseconds.
const DEFAULT_TIMEOUT_MS: i64 = 1_000;
/// Longest reply of the other side that is read, bytes.
const REPLY_LINE_BYTES: u64 = 64 * 1024;

/// The row.
pub(super) const MIGRATE: Command = Command {
    name: "migrate",
    arity: -6,
    flags: flag::WRITE,
    acl: acl::KEYSPACE | acl::DANGEROUS,
    group: "generic",
    keys: &[
        KeySpec::at(3, kf::RW | kf::ACCESS | kf::DELETE),
        KeySpec {
            begin: Begin::Keyword("KEYS", -2),
            find: Find::Range { last: -1, step: 1, limit: 0 },
            flags: kf::RW | kf::ACCESS | kf::DELETE | kf::INCOMPLETE,
        },
    ],
    args: &[
        Arg::string("host"),
        Arg::int("port"),
        Arg::one_of("key-selector", &[Arg::key("key"), Arg::word("empty-string", "\"\"")]),
        Arg::int("destination-db"),
        Arg::int("timeout"),
        Arg::word("copy", "COPY").optional().since("3.0.0"),
        Arg::word("replace", "REPLACE").optional().since("3.0.0"),
        Arg::one_of(
            "authentication",
            &[
                Arg::string("auth").token("AUTH").since("4.0.7"),
                Arg::block("auth2", &[Arg::string("username"), Arg::string("password")]).token("AUTH2").since("6.0.0"),
            ],
        )
        .optional(),
        Arg::key("keys").spec(1).token("KEYS").optional().multiple().since("3.0.6"),
    ],
    since: "2.6.0",
    complexity: "O(N) in the elements of the keys, on both servers",
    summary: "Moves keys to another server.",
    history: &[
        ("3.0.0", "Options COPY and REPLACE."),
        ("3.0.6", "Option KEYS."),
        ("4.0.7", "Option AUTH."),
        ("6.0.0", "Option AUTH2."),
    ],
    tips: &["nondeterministic_output"],
    run: Some(migrate),
    find_keys: Some(keys),
    ..Command::BLANK
};

/// The words behind KEYS, if the place of the single key is empty.
fn keys(argv: Argv<'_>, found: &mut Found) -> bool {
    let flags = kf::RW | kf::ACCESS | kf::DELETE;
    let word = |index: usize| argv.get(index).unwrap_or_default();
    let mut index = 6;
    while index < argv.len() && word(3).is_empty() {
        match word(index) {
            w if text::eq_ignore_case(w, b"keys") => {
                found.extend((index + 1..argv.len()).map(|at| (at, flags)));
                return true;
            }
            w if text::eq_ignore_case(w, b"auth") => index += 2,
            w if text::eq_ignore_case(w, b"auth2") => index += 3,
            _ => index += 1,
        }
    }
    found.push((3, flags));
    argv.len() > 3
}

/// A connection to another server.
struct Link {
    stream: BufReader<tls::Link>,
    /// The database that is selected there.
    db: Option<i64>,
    used_ms: u64,
}

/// The connections that are kept, by host and port.
#[derive(Default)]
pub struct Links(HashMap<(Vec<u8>, Vec<u8>), Link>);

impl Links {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Closes those that were idle for long.
    pub fn expire(&mut self, now: Now) {
        self.0.retain(|_, link| now.mono_ms().saturating_sub(link.used_ms) <= LINK_IDLE_MS);
    }
}

/// What the words ask for.
struct Request<'a> {
    address: (&'a [u8], &'a [u8]),
    db: i64,
    timeout: Duration,
    copy: bool,
    replace: bool,
    /// Name and password, or the password alone.
    auth: Vec<&'a [u8]>,
    keys: Vec<Key<'a>>,
}

/// `hidden` gets the words that nobody else may see.
fn parse<'a>(args: &mut Args<'a>, hidden: &mut Hidden) -> Result<Request<'a>, CmdError> {
    let (host, port, key) = (args.bytes()?, args.bytes()?, args.key()?);
    let numbers = args.position();
    args.seek(numbers + 2);
    let (mut copy, mut replace, mut auth, mut keys) = (false, false, Vec::new(), vec![key]);
    while args.more() {
        if args.accept("copy") {
            copy = true;
        } else if args.accept("replace") {
            replace = true;
        } else if args.left() >= 2 && args.accept("auth") {
            hidden.add(args.position());
            auth = vec![args.bytes()?];
        } else if args.left() >= 3 && args.accept("auth2") {
            hidden.add(args.position());
            hidden.add(args.position() + 1);
            auth = vec![args.bytes()?, args.bytes()?];
        } else if args.accept("keys") {
            if !key.bytes.is_empty() {
                return Err(CmdError::text(
                    "ERR When using MIGRATE KEYS option, the key argument must be set to the empty string",
                ));
            }
            keys.clear();
            while args.more() {
                keys.push(args.key()?);
            }
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    args.seek(numbers);
    let db = args.int();
    let timeout_ms = match args.int()? {
        ms if ms <= 0 => DEFAULT_TIMEOUT_MS,
        ms => ms,
    };
    let timeout = Duration::from_millis(timeout_ms.unsigned_abs());
    Ok(Request { address: (host, port), db: db?, timeout, copy, replace, auth, keys })
}

/// Why the other side did not get or take the keys.
enum Fault {
    Connect,
    Io { step: &'static str, error: io::Error },
}

impl Fault {
    fn is_timeout(&self) -> bool {
        let Fault::Io { error, .. } = self else { return false };
        matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
    }

    fn reply(&self) -> CmdError {
        match self {
            Fault::Connect => CmdError::text("IOERR error or timeout connecting to the client"),
            Fault::Io { step, .. } => CmdError::owned(format!("IOERR error or timeout {step} to target instance")),
        }
    }
}

/// `secure` makes it a connection with TLS: as the links of a cluster are, if `tls-cluster` says so.
fn connect(request: &Request<'_>, secure: Option<&ClientSide>) -> Result<Link, Fault> {
    let (host, port) = request.address;
    let port = std::str::from_utf8(port).ok().and_then(|port| port.parse::<u16>().ok()).ok_or(Fault::Connect)?;
    let host = std::str::from_utf8(host).map_err(|_| Fault::Connect)?;
    let mut addresses = (host, port).to_socket_addrs().map_err(|_| Fault::Connect)?;
    let stream = addresses.find_map(|address| TcpStream::connect_timeout(&address, request.timeout).ok());
    let stream = stream.ok_or(Fault::Connect)?;
    stream.set_nodelay(true).map_err(|_| Fault::Connect)?;
    let Some(side) = secure else {
        return Ok(Link { stream: BufReader::new(tls::Link::Clear(stream)), db: None, used_ms: 0 });
    };
    let limited = stream.set_read_timeout(Some(request.timeout));
    limited.and_then(|()| stream.set_write_timeout(Some(request.timeout))).map_err(|_| Fault::Connect)?;
    let link = side.connect(host, stream).map_err(|error| {
        log::warn!("TLS with {host}:{port}, for MIGRATE: {error}");
        Fault::Connect
    })?;
    Ok(Link { stream: BufReader::new(link), db: None, used_ms: 0 })
}

impl Link {
    fn send(&mut self, bytes: &[u8], timeout: Duration) -> Result<(), Fault> {
        let stream = self.stream.get_mut();
        let socket = stream.socket();
        let ready = socket.set_write_timeout(Some(timeout)).and_then(|()| socket.set_read_timeout(Some(timeout)));
        ready
            .and_then(|()| stream.write_all(bytes))
            .and_then(|()| stream.flush())
            .map_err(|error| Fault::Io { step: "writing", error })
    }

    /// One line of reply; an error's text if it is one.
    fn reply(&mut self) -> Result<Option<String>, Fault> {
        let mut line = Vec::new();
        let read = io::Read::take(&mut self.stream, REPLY_LINE_BYTES).read_until(b'\n', &mut line);
        let whole = read.and_then(|_| match line.ends_with(b"\n") {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        });
        whole.map_err(|error| Fault::Io { step: "reading", error })?;
        let text = String::from_utf8_lossy(&line);
        Ok(text.strip_prefix('-').map(|text| text.trim_end().to_owned()))
    }
}

fn encode(out: &mut Vec<u8>, words: &[&[u8]]) {
    out.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        out.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// A key on its way.
struct Parcel<'a> {
    key: Key<'a>,
    ttl_ms: i64,
    payload: Vec<u8>,
}

/// What came of sending: which keys were taken, and the first error of the other side.
#[derive(Default)]
struct Delivery {
    taken: Vec<usize>,
    refusal: Option<String>,
}

fn deliver(link: &mut Link, request: &Request<'_>, parcels: &[Parcel<'_>], done: &mut Delivery) -> Result<(), Fault> {
    let mut out = Vec::new();
    let mut before = 0;
    if !request.auth.is_empty() {
        let words: Vec<&[u8]> = std::iter::once(&b"AUTH"[..]).chain(request.auth.iter().copied()).collect();
        encode(&mut out, &words);
        before += 1;
    }
    if link.db != Some(request.db) {
        encode(&mut out, &[b"SELECT", request.db.to_string().as_bytes()]);
        before += 1;
    }
    for parcel in parcels {
        let ttl = parcel.ttl_ms.to_string();
        let words: [&[u8]; 5] = [b"RESTORE", parcel.key.bytes, ttl.as_bytes(), &parcel.payload, b"REPLACE"];
        encode(&mut out, if request.replace { &words } else { &words[..4] });
    }
    link.send(&out, request.timeout)?;
    link.db = Some(request.db);
    for _ in 0..before {
        if let Some(refusal) = link.reply()? {
            link.db = None;
            done.refusal.get_or_insert(refusal);
        }
    }
    for index in 0..parcels.len() {
        match link.reply()? {
            // Not logged in, or in another database: what it says of the keys is not meant.
            None if link.db.is_some() => done.taken.push(index),
            None => {}
            Some(refusal) => drop(done.refusal.get_or_insert(refusal)),
        }
    }
    Ok(())
}

/// Sends over the kept connection or a new one; once more over a new one if the kept one turns out to be broken.
fn send(cx: &mut Ctx<'_>, request: &Request<'_>, parcels: &[Parcel<'_>], done: &mut Delivery) -> Result<(), Fault> {
    let (host, port) = request.address;
    let address = (host.to_vec(), port.to_vec());
    let links = &mut cx.facts.links.0;
    let secure = cx.facts.tls.as_ref().and_then(|setup| setup.client.as_ref()).filter(|_| cx.config.tls_cluster);
    let kept = links.remove(&address);
    let was_kept = kept.is_some();
    let mut link = kept.map_or_else(|| connect(request, secure), Ok)?;
    let mut sent = deliver(&mut link, request, parcels, done);
    if was_kept && done.taken.is_empty() && sent.as_ref().is_err_and(|fault| !fault.is_timeout()) {
        *done = Delivery::default();
        link = connect(request, secure)?;
        sent = deliver(&mut link, request, parcels, done);
    }
    if sent.is_ok() {
        if links.len() >= MOST_LINKS {
            let any = links.keys().next().cloned();
            any.map(|any| links.remove(&any));
        }
        link.used_ms = cx.now.mono_ms();
        links.insert(address, link);
    }
    sent
}

fn migrate(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let request = parse(args, &mut cx.hidden)?;
    let (now_ms, compress) = (cx.now.unix_ms.0, cx.config.rdbcompression);
    let mut parcels = Vec::new();
    for key in &request.keys {
        let Some(entry) = cx.db.entry(*key) else { continue };
        let ttl_ms = entry.deadline().map_or(0, |at| (at - now_ms).max(1));
        parcels.push(Parcel { key: *key, ttl_ms, payload: rdb::dump(entry, compress) });
    }
    cx.effects.none();
    if parcels.is_empty() {
        cx.reply.simple("NOKEY");
        return Ok(Flow::Done);
    }
    let mut done = Delivery::default();
    let sent = send(cx, &request, &parcels, &mut done);
    cx.stats.totals.migrate_links = cx.facts.links.len() as u64;
    if !request.copy && !done.taken.is_empty() {
        let mut effect: Vec<&[u8]> = vec![b"DEL"];
        for parcel in done.taken.iter().filter_map(|index| parcels.get(*index)) {
            cx.db.delete(parcel.key, false, Event::generic("del"));
            effect.push(parcel.key.bytes);
        }
        cx.effects.replace(&effect);
    }
    // What was taken stays taken, whatever became of the rest.
    match (sent, done.refusal) {
        (Err(fault), _) => Err(fault.reply()),
        (Ok(()), Some(refusal)) => Err(CmdError::owned(format!("ERR Target instance replied with error: {refusal}"))),
        (Ok(()), None) => {
            cx.reply.ok();
            Ok(Flow::Done)
        }
    }
}
