//! Connections: who the client is and how it wants to be spoken to. AUTH, HELLO, RESET, SELECT, and the commands that only
//! show that somebody is there.

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::login::{Login, log_in};
use super::table::{Arg, Command, Reach, acl, flag};
use crate::base::number;
use crate::base::version;
use crate::keyspace::DbIndex;
use crate::resp::Proto;
use crate::session::{ReplyMode, mode};

/// A row of this family.
const CONNECTION: Command = Command { group: "connection", acl: acl::CONNECTION, ..Command::BLANK };
/// Flags of what must work in any state, logged in or not.
const GREETING: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::FAST | flag::NO_AUTH | flag::ALLOW_BUSY;

const CREDENTIALS: &[Arg] = &[Arg::string("username"), Arg::string("password")];
const HELLO_ARGS: &[Arg] = &[
    Arg::int("protover"),
    Arg::block("auth", CREDENTIALS).token("AUTH").optional(),
    Arg::string("clientname").token("SETNAME").optional(),
];

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "auth",
        arity: -2,
        flags: GREETING | flag::SECRET,
        args: &[Arg::string("username").optional().since("6.0.0"), Arg::string("password")],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Logs the client in.",
        history: &[("6.0.0", "Takes a user's name.")],
        run: Some(auth),
        ..CONNECTION
    },
    Command {
        name: "echo",
        arity: 2,
        flags: flag::LOADING | flag::STALE | flag::FAST,
        args: &[Arg::string("message")],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Replies the message.",
        run: Some(echo),
        ..CONNECTION
    },
    Command {
        name: "hello",
        arity: -1,
        flags: GREETING,
        args: &[Arg::block("arguments", HELLO_ARGS).optional()],
        since: "6.0.0",
        complexity: "O(1)",
        summary: "Agrees on the protocol version and tells about the server; may log in and name the client on the way.",
        history: &[("6.2.0", "The version may be left out.")],
        run: Some(hello),
        ..CONNECTION
    },
    Command {
        name: "ping",
        arity: -1,
        flags: flag::FAST | flag::WHILE_SUBSCRIBED | flag::TELLS_HEALTH,
        args: &[Arg::string("message").optional()],
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Replies PONG, or the message.",
        tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
        run: Some(ping),
        ..CONNECTION
    },
    Command {
        name: "quit",
        arity: -1,
        flags: GREETING | flag::NOT_QUEUED | flag::WHILE_SUBSCRIBED,
        since: "1.0.0",
        complexity: "O(1)",
        summary: "Closes the connection once all replies were sent.",
        deprecated: Some(("7.2.0", "closing the connection")),
        run: Some(quit),
        ..CONNECTION
    },
    Command {
        name: "reset",
        arity: 1,
        flags: GREETING | flag::NOT_QUEUED | flag::WHILE_SUBSCRIBED,
        since: "6.2.0",
        complexity: "O(1)",
        summary: "Puts the connection into the state in which it began.",
        run: Some(reset),
        ..CONNECTION
    },
    Command { name: "sel", same_as: "select", summary: "Selects a database: another name of SELECT.", ..SELECT },
    SELECT,
];

const SELECT: Command = Command {
    name: "select",
    arity: 2,
    flags: flag::LOADING | flag::STALE | flag::FAST,
    args: &[Arg::int("index")],
    reach: Reach::Word(1),
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Selects the database that this client's commands work on.",
    run: Some(select),
    ..CONNECTION
};

fn ping(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if cx.session.is(mode::SUBSCRIBED) && cx.session.proto == Proto::Resp2 && args.left() <= 1 {
        // It must look like a message, or it would be taken for a part of one.
        cx.reply.array(2);
        cx.reply.bulk(b"pong");
        cx.reply.bulk(args.peek().unwrap_or_default());
        return Ok(Flow::Done);
    }
    match args.left() {
        0 => cx.reply.simple("PONG"),
        1 => cx.reply.bulk(args.bytes()?),
        _ => return Err(CmdError::arity(cx.command_name())),
    }
    Ok(Flow::Done)
}

fn echo(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    cx.reply.bulk(args.bytes()?);
    Ok(Flow::Done)
}

fn select(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let index = args.int_in(i64::from(i32::MIN), i64::from(i32::MAX), CmdError::NOT_32_BITS)?;
    let index = u32::try_from(index).map_err(|_| CmdError::DB_INDEX)?;
    if index as usize >= cx.db.space.dbs.len() {
        return Err(CmdError::DB_INDEX);
    }
    cx.select(DbIndex(index));
    cx.reply.ok();
    Ok(Flow::Done)
}

fn quit(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.ok();
    cx.session.mode |= mode::CLOSE_AFTER_REPLY;
    Ok(Flow::Done)
}

/// RESET. The name goes, what the library told of itself stays.
fn reset(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.drop_transaction();
    if cx.session.is(mode::MONITOR) {
        cx.hub.monitors.remove(cx.session.conn);
    }
    cx.leave_channels();
    cx.stop_tracking();
    cx.session.mode &= !(mode::MONITOR | mode::NO_EVICT | mode::NO_TOUCH);
    cx.db.touch_reads = true;
    cx.session.name = None;
    cx.session.fieldsets = None;
    cx.session.reply_mode = ReplyMode::On;
    cx.log_out();
    cx.select(DbIndex(0));
    set_proto(cx, Proto::Resp2);
    cx.reply.simple("RESET");
    Ok(Flow::Done)
}

fn set_proto(cx: &mut Ctx<'_>, proto: Proto) {
    cx.session.proto = proto;
    cx.reply.set_proto(proto);
}

fn auth(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let login = match args.left() {
        1 if cx.acl.default_user().no_password => return Err(CmdError::NO_PASSWORD_SET),
        1 => log_in(cx, b"default", args.bytes()?)?,
        2 => log_in(cx, args.bytes()?, args.bytes()?)?,
        _ => return Err(CmdError::SYNTAX),
    };
    if let Login::Later(wait) = login {
        return Ok(Flow::Block(wait));
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

/// What HELLO asks for besides its reply.
#[derive(Default)]
struct Hello<'a> {
    proto: Option<Proto>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

fn hello_options<'a>(cx: &mut Ctx<'_>, args: &mut Args<'a>) -> Result<Hello<'a>, CmdError> {
    let mut hello = Hello::default();
    if args.more() {
        let version = number::parse_i64(args.bytes()?).ok_or(CmdError::PROTO_NOT_INTEGER)?;
        hello.proto = Some(match version {
            2 => Proto::Resp2,
            3 => Proto::Resp3,
            _ => return Err(CmdError::NO_PROTO),
        });
    }
    while let Some(word) = args.peek() {
        if args.left() >= 3 && args.accept("auth") {
            cx.hidden.add(args.position());
            cx.hidden.add(args.position() + 1);
            hello.credentials = Some((args.bytes()?, args.bytes()?));
        } else if args.left() >= 2 && args.accept("setname") {
            let name = args.bytes()?;
            if !is_plain(name) {
                return Err(CmdError::CLIENT_NAME);
            }
            hello.name = Some(name);
        } else {
            return Err(CmdError::hello_option(word));
        }
    }
    Ok(hello)
}

fn hello(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let hello = hello_options(cx, args)?;
    if let Some((name, password)) = hello.credentials {
        if let Login::Later(wait) = log_in(cx, name, password)? {
            return Ok(Flow::Block(wait));
        }
    }
    if !cx.session.authenticated && !cx.acl.is_open() {
        return Err(CmdError::HELLO_NO_AUTH);
    }
    if let Some(name) = hello.name {
        set_name(cx, name);
    }
    if let Some(proto) = hello.proto {
        set_proto(cx, proto);
    }
    cx.reply.map(7);
    let facts = [("server", "redis"), ("version", version::REDIS)];
    for (name, value) in facts {
        cx.reply.bulk(name.as_bytes());
        cx.reply.bulk(value.as_bytes());
    }
    cx.reply.bulk(b"proto");
    cx.reply.int(if cx.session.proto == Proto::Resp3 { 3 } else { 2 });
    cx.reply.bulk(b"id");
    cx.reply.int(cx.session.id as i64);
    for (name, value) in [("mode", "standalone"), ("role", "master")] {
        cx.reply.bulk(name.as_bytes());
        cx.reply.bulk(value.as_bytes());
    }
    cx.reply.bulk(b"modules");
    cx.reply.array(0);
    Ok(Flow::Done)
}

/// Whether a name can stand in CLIENT LIST: visible ASCII only.
pub(super) fn is_plain(name: &[u8]) -> bool {
    name.iter().all(u8::is_ascii_graphic)
}

/// Names the client; an empty name takes the name away.
pub(super) fn set_name(cx: &mut Ctx<'_>, name: &[u8]) {
    cx.session.name = (!name.is_empty()).then(|| name.into());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_visible_ascii() {
        assert!(is_plain(b"!az~") && is_plain(b""));
        assert!(!is_plain(b"a b") && !is_plain(b"a\n") && !is_plain("\u{e9}".as_bytes()) && !is_plain(b"\x7f"));
    }
}
