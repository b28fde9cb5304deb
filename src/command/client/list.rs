//! CLIENT LIST and CLIENT INFO: a line about each connection.
//!
//! ```text
//! id=3 addr=127.0.0.1:50000 laddr=127.0.0.1:6379 fd=8 name= age=0 idle=0 flags=N db=0 ... lib-name= lib-ver=
//! ```

use super::{ClientType, tracking};
use crate::base::clock::Now;
use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::table::Table;
use crate::resp::{Argv, Proto};
use crate::session::{Session, mode};
use std::collections::HashMap;
use std::io::Write as _;

/// A reply counts as one buffer up to here; what is beyond it is called a list of further ones.
const REPLY_BUFFER_BYTES: usize = 16 * 1024;

/// What a line tells of a client whose command runs, and which its session does not know.
#[derive(Clone, Copy, Default)]
struct Running {
    /// Bytes of the request as it came.
    query_bytes: usize,
    /// Bytes of its words.
    argv_bytes: usize,
    /// Bytes of replies that were not sent yet.
    reply_bytes: usize,
    /// Room of the buffer they are in.
    reply_room_bytes: usize,
}

/// CLIENT INFO.
pub(super) fn info(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let running = running(cx, args.argv());
    let mut text = Vec::with_capacity(512);
    line(&mut text, cx.session, running, cx.table, cx.now);
    cx.reply.verbatim("txt", &text);
    Ok(Flow::Done)
}

/// The line of the running client, without its end: ACL LOG keeps it.
pub fn describe(cx: &mut Ctx<'_>) -> Vec<u8> {
    let outbox = cx.reply.outbox();
    let (reply_bytes, reply_room_bytes) = (outbox.len(), outbox.tail_capacity());
    let running = Running { reply_bytes, reply_room_bytes, ..Running::default() };
    let mut text = Vec::with_capacity(512);
    line(&mut text, cx.session, Some(running), cx.table, cx.now);
    text.pop();
    text
}

/// CLIENT LIST: all clients, those of a type or user, or those of given numbers in the order asked for.
pub(super) fn list(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let mut wanted_type = None;
    let mut wanted_ids = None;
    let mut wanted_user = None;
    if args.left() >= 2 && args.accept("id") {
        wanted_ids = Some(ids(args)?);
    } else if args.left() == 2 && args.accept("type") {
        wanted_type = Some(ClientType::parse(args.bytes()?)?);
    } else if args.left() == 2 && args.accept("user") {
        let name = args.bytes()?;
        let user = cx.acl.find(name).ok_or_else(|| CmdError::no_such_user(name))?;
        wanted_user = Some(user.name.clone());
    }
    args.end()?;
    let running = running(cx, args.argv());
    let others = cx.sessions.iter().filter(|session| !session.is(mode::CLOSE_NOW));
    let mut clients: Vec<&Session> = others.chain(std::iter::once(&*cx.session)).collect();
    // Places are used anew: only numbers tell who came first.
    clients.sort_unstable_by_key(|session| session.id);
    if let Some(ids) = wanted_ids {
        let by_id: HashMap<u64, &Session> = clients.iter().map(|session| (session.id, *session)).collect();
        clients = ids.iter().filter_map(|id| by_id.get(id).copied()).collect();
    }
    clients.retain(|session| wanted_user.as_deref().is_none_or(|name| *name == *session.user_name()));
    clients.retain(|session| wanted_type.is_none_or(|kind| kind == ClientType::of(session)));
    let mut text = Vec::with_capacity(256 * clients.len());
    for client in clients {
        let running = if client.id == cx.session.id { running } else { None };
        line(&mut text, client, running, cx.table, cx.now);
    }
    cx.reply.verbatim("txt", &text);
    Ok(Flow::Done)
}

/// All words that are left, as clients' numbers.
fn ids(args: &mut Args<'_>) -> Result<Vec<u64>, CmdError> {
    let mut ids = Vec::with_capacity(args.left());
    while args.more() {
        let id = number::parse_i64(args.bytes()?).ok_or(CmdError::INVALID_CLIENT_ID)?;
        // No client has a negative number: such a one is looked for and not found.
        ids.push(u64::try_from(id).unwrap_or(0));
    }
    Ok(ids)
}

fn running(cx: &mut Ctx<'_>, argv: Argv<'_>) -> Option<Running> {
    let outbox = cx.reply.outbox();
    let (reply_bytes, reply_room_bytes) = (outbox.len(), outbox.tail_capacity());
    let (query_bytes, argv_bytes) = if cx.depth == 0 {
        (encoded_bytes(argv.iter().map(<[u8]>::len)), argv.iter().map(<[u8]>::len).sum())
    } else {
        // Within EXEC that is the request.
        let name = cx.session.last_row.map_or(0, |row| cx.table.row(row).command.name.len());
        (encoded_bytes([name].into_iter()), name)
    };
    Some(Running { query_bytes, argv_bytes, reply_bytes, reply_room_bytes })
}

/// Bytes of a request of words of these lengths on the wire.
fn encoded_bytes(words: impl ExactSizeIterator<Item = usize>) -> usize {
    let header = |n: usize| 3 + n.checked_ilog10().unwrap_or(0) as usize + 1;
    header(words.len()) + words.map(|len| header(len) + len + 2).sum::<usize>()
}

/// The letters of a client's state.
fn letters(session: &Session) -> String {
    let caching = session.caching.as_ref();
    let all = [
        (session.is(mode::MONITOR), 'O'),
        (session.is(mode::SUBSCRIBED), 'P'),
        (session.multi.is_some(), 'x'),
        (session.is(mode::BLOCKED | mode::PAUSED), 'b'),
        (caching.is_some(), 't'),
        (caching.is_some_and(|caching| caching.broken_redirect), 'R'),
        (caching.is_some_and(|caching| caching.prefixes.is_some()), 'B'),
        (session.is(mode::WATCH_BROKEN), 'd'),
        (session.is(mode::CLOSE_AFTER_REPLY), 'c'),
        (session.is(mode::CLOSE_NOW), 'A'),
        (session.is(mode::UNIX_SOCKET), 'U'),
        (session.is(mode::NO_EVICT), 'e'),
        (session.is(mode::NO_TOUCH), 'T'),
    ];
    let letters: String = all.into_iter().filter(|(set, _)| *set).map(|(_, letter)| letter).collect();
    if letters.is_empty() { "N".to_owned() } else { letters }
}

/// Appends the line of one client. `running`: of the one whose command runs.
fn line(out: &mut Vec<u8>, session: &Session, running: Option<Running>, table: &Table, now: Now) {
    let secs_since = |then: Now| now.mono_ms().saturating_sub(then.mono_ms()) / 1000;
    let text = |text: &Option<Box<[u8]>>| String::from_utf8_lossy(text.as_deref().unwrap_or_default()).into_owned();
    let (held, held_room) = session.decoder.pending_bytes();
    let now_running = running.unwrap_or_default();
    let reply_bytes = session.outbox.len() + now_running.reply_bytes;
    let in_buffer = reply_bytes.min(REPLY_BUFFER_BYTES);
    let in_list = reply_bytes - in_buffer;
    let reply_room = if running.is_some() { now_running.reply_room_bytes } else { session.reply_room_bytes() };
    let multi = session.multi.as_ref();
    let command = session.last_row.map_or("NULL", |row| table.row(row).command.shown_name());
    let fields: [(&str, &dyn std::fmt::Display); 31] = [
        ("id", &session.id),
        ("addr", &session.peer),
        ("laddr", &session.local),
        ("fd", &session.fd),
        ("name", &text(&session.name)),
        ("age", &secs_since(session.since)),
        ("idle", &secs_since(session.active)),
        ("flags", &letters(session)),
        ("db", &session.db.0),
        ("sub", &session.subscribed[0]),
        ("psub", &session.subscribed[1]),
        ("ssub", &session.subscribed[2]),
        ("multi", &multi.map_or(-1, |multi| multi.count as i64)),
        ("watch", &session.watching),
        ("qbuf", &(held + now_running.query_bytes)),
        ("qbuf-free", &held_room),
        ("argv-mem", &now_running.argv_bytes),
        ("multi-mem", &session.multi_bytes()),
        ("rbs", &reply_room),
        ("rbp", &session.reply_peak_bytes),
        ("obl", &in_buffer),
        ("oll", &in_list.div_ceil(REPLY_BUFFER_BYTES)),
        ("omem", &in_list),
        ("tot-mem", &(session.alloc_bytes() + now_running.reply_room_bytes + now_running.argv_bytes)),
        ("events", &if running.is_none() && !session.outbox.is_empty() { "rw" } else { "r" }),
        ("cmd", &command),
        ("user", &String::from_utf8_lossy(session.user_name())),
        ("redir", &tracking::redirect_id(session.caching.as_deref())),
        ("resp", &if session.proto == Proto::Resp3 { 3 } else { 2 }),
        ("lib-name", &text(&session.lib_name)),
        ("lib-ver", &text(&session.lib_ver)),
    ];
    for (index, (name, value)) in fields.iter().enumerate() {
        let blank = if index == 0 { "" } else { " " };
        write!(out, "{blank}{name}={value}").expect("a vector takes all bytes");
    }
    out.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::OwnedArgv;
    use crate::session::ConnId;

    #[test]
    fn the_request_counts_as_it_came() {
        let argv = OwnedArgv::of(&[b"client", b"list"]);
        assert_eq!(encoded_bytes(argv.argv().iter().map(<[u8]>::len)), b"*2\r\n$6\r\nclient\r\n$4\r\nlist\r\n".len());
        assert_eq!(encoded_bytes([10, 0].into_iter()), b"*2\r\n$10\r\n0123456789\r\n$0\r\n\r\n".len());
    }

    #[test]
    fn a_line_has_all_fields_in_order() {
        let table = Table::new(crate::command::FAMILIES, &[]);
        let mut session = Session::new(7, ConnId(0), Now::at_unix_ms(1_000));
        session.name = Some(b"me"[..].into());
        session.mode |= mode::NO_TOUCH | mode::NO_EVICT;
        let mut out = Vec::new();
        line(&mut out, &session, None, &table, Now::at_unix_ms(4_500));
        let text = String::from_utf8(out).expect("a line is text");
        assert!(text.starts_with("id=7 addr= laddr= fd=-1 name=me age=3 idle=3 flags=eT db=0 sub=0 psub=0 ssub=0 multi=-1 watch=0 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=1024 rbp=0 obl=0 oll=0 omem=0 tot-mem="), "{text}");
        assert!(text.ends_with(" events=r cmd=NULL user=(superuser) redir=-1 resp=2 lib-name= lib-ver=\n"), "{text}");
    }
}
