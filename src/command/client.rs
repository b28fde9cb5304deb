//! CLIENT: what clients are connected, what they are called, how they are treated.

mod kill;
mod list;
mod pause;
mod tracking;

pub(super) use list::describe;

use super::args::Args;
use super::connection::{is_plain, set_name};
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::help;
use super::table::{Arg, Command, acl, flag};
use crate::session::{ReplyMode, Session, mode};

/// A row of this family.
const CLIENT: Command = Command { group: "connection", acl: acl::CONNECTION, ..Command::BLANK };
const ALWAYS: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE | flag::KEEPS_CACHING;
const ADMIN: u32 = ALWAYS | flag::ADMIN;

const TYPES: &[Arg] = &[
    Arg::word("normal", "NORMAL"),
    Arg::word("master", "MASTER"),
    Arg::word("replica", "REPLICA"),
    Arg::word("pubsub", "PUBSUB"),
];
const ON_OFF: &[Arg] = &[Arg::word("on", "ON"), Arg::word("off", "OFF")];
const YES_NO: &[Arg] = &[Arg::word("yes", "YES"), Arg::word("no", "NO")];
const FILTERS: &[Arg] = &[
    Arg::int("client-id").token("ID").optional().since("2.8.12"),
    Arg::one_of("client-type", TYPES).token("TYPE").optional().since("2.8.12"),
    Arg::string("username").token("USER").optional(),
    Arg::string("addr").token("ADDR").optional(),
    Arg::string("laddr").token("LADDR").optional().since("6.2.0"),
    Arg::one_of("skipme", YES_NO).token("SKIPME").optional(),
    Arg::int("maxage").token("MAXAGE").optional().since("7.4.0"),
];
const KILL: &[Arg] =
    &[Arg::string("old-format"), Arg::one_of("new-format", &[Arg::block("filter", FILTERS)]).multiple()];
const LIST: &[Arg] = &[
    Arg::one_of("client-type", TYPES).token("TYPE").optional().since("5.0.0"),
    Arg::int("client-id").token("ID").multiple().optional().since("6.2.0"),
    Arg::string("username").token("USER").optional().since("redstart"),
];
const INFO_FIELDS: &[Arg] = &[Arg::string("libname").token("LIB-NAME"), Arg::string("libver").token("LIB-VER")];

const TRACKING: &[Arg] = &[
    Arg::one_of("status", ON_OFF),
    Arg::int("client-id").token("REDIRECT").optional(),
    Arg::string("prefix").token("PREFIX").optional().multiple_token(),
    Arg::word("bcast", "BCAST").optional(),
    Arg::word("optin", "OPTIN").optional(),
    Arg::word("optout", "OPTOUT").optional(),
    Arg::word("noloop", "NOLOOP").optional(),
];

/// The family.
pub const COMMANDS: &[Command] = &[Command {
    name: "client",
    arity: -2,
    acl: 0,
    since: "2.4.0",
    complexity: "Depends on the subcommand",
    summary: "Tells about clients and steers them.",
    subcommands: SUBCOMMANDS,
    ..CLIENT
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "caching",
        full_name: "client|caching",
        arity: 3,
        flags: ALWAYS,
        args: &[Arg::one_of("mode", YES_NO)],
        since: "6.0.0",
        complexity: "O(1)",
        summary: "Tells whether the keys that the next command reads are tracked, in the modes OPTIN and OPTOUT.",
        run: Some(tracking::caching),
        ..CLIENT
    },
    Command {
        name: "getname",
        full_name: "client|getname",
        arity: 2,
        flags: ALWAYS,
        since: "2.6.9",
        complexity: "O(1)",
        summary: "Replies the name of this connection.",
        run: Some(getname),
        ..CLIENT
    },
    Command {
        name: "getredir",
        full_name: "client|getredir",
        arity: 2,
        flags: ALWAYS,
        since: "6.0.0",
        complexity: "O(1)",
        summary: "Replies the client to which news about tracked keys go; 0 for this one, -1 without tracking.",
        run: Some(tracking::getredir),
        ..CLIENT
    },
    Command { full_name: "client|help", since: "5.0.0", group: "connection", acl: acl::CONNECTION, ..help::ROW },
    Command {
        name: "id",
        full_name: "client|id",
        arity: 2,
        flags: ALWAYS,
        since: "5.0.0",
        complexity: "O(1)",
        summary: "Replies the number of this connection, which no other ever gets.",
        run: Some(id),
        ..CLIENT
    },
    Command {
        name: "info",
        full_name: "client|info",
        arity: 2,
        flags: ALWAYS,
        since: "6.2.0",
        complexity: "O(1)",
        summary: "Replies this connection's line of CLIENT LIST.",
        tips: &["nondeterministic_output"],
        run: Some(list::info),
        ..CLIENT
    },
    Command {
        name: "kill",
        full_name: "client|kill",
        arity: -3,
        flags: ADMIN,
        args: &[Arg::one_of("filter", KILL)],
        since: "2.4.0",
        complexity: "O(N) in the clients",
        summary: "Closes the connections that meet all conditions, or the one of this address.",
        history: &[
            ("2.8.12", "Conditions instead of an address."),
            ("2.8.12", "Condition TYPE."),
            ("3.2.0", "TYPE knows masters."),
            ("5.0.0", "TYPE says replica instead of slave."),
            ("6.2.0", "Condition LADDR."),
            ("7.4.0", "Condition MAXAGE."),
        ],
        run: Some(kill::kill),
        ..CLIENT
    },
    Command {
        name: "list",
        full_name: "client|list",
        arity: -2,
        flags: ADMIN,
        args: LIST,
        since: "2.4.0",
        complexity: "O(N) in the clients",
        summary: "Replies a line about each connection.",
        history: &[("5.0.0", "Filter TYPE."), ("6.2.0", "Filter ID.")],
        tips: &["nondeterministic_output"],
        run: Some(list::list),
        ..CLIENT
    },
    Command {
        name: "no-evict",
        full_name: "client|no-evict",
        arity: 3,
        flags: ADMIN,
        args: &[Arg::one_of("enabled", ON_OFF)],
        since: "7.0.0",
        complexity: "O(1)",
        summary: "Protects this connection from being closed when clients use too much memory.",
        run: Some(no_evict),
        ..CLIENT
    },
    Command {
        name: "no-touch",
        full_name: "client|no-touch",
        arity: 3,
        flags: ALWAYS,
        args: &[Arg::one_of("enabled", ON_OFF)],
        since: "7.2.0",
        complexity: "O(1)",
        summary: "Lets this connection read keys without marking them as used.",
        run: Some(no_touch),
        ..CLIENT
    },
    Command {
        name: "pause",
        full_name: "client|pause",
        arity: -3,
        flags: ADMIN,
        args: &[
            Arg::int("timeout"),
            Arg::one_of("mode", &[Arg::word("write", "WRITE"), Arg::word("all", "ALL")]).optional().since("6.2.0"),
        ],
        since: "3.0.0",
        complexity: "O(1)",
        summary: "Holds up the commands of all clients, or those that write, for some milliseconds.",
        history: &[("3.2.10", "A client that is held up can be closed."), ("6.2.0", "Mode WRITE.")],
        run: Some(pause::pause),
        ..CLIENT
    },
    Command {
        name: "reply",
        full_name: "client|reply",
        arity: 3,
        flags: ALWAYS,
        args: &[Arg::one_of("action", &[Arg::word("on", "ON"), Arg::word("off", "OFF"), Arg::word("skip", "SKIP")])],
        since: "3.2.0",
        complexity: "O(1)",
        summary: "Turns this connection's replies on or off, or leaves out the next one.",
        run: Some(reply),
        ..CLIENT
    },
    Command {
        name: "setinfo",
        full_name: "client|setinfo",
        arity: 4,
        flags: ALWAYS,
        args: &[Arg::one_of("attr", INFO_FIELDS)],
        since: "7.2.0",
        complexity: "O(1)",
        summary: "Tells which library speaks on this connection.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Some(setinfo),
        ..CLIENT
    },
    Command {
        name: "setname",
        full_name: "client|setname",
        arity: 3,
        flags: ALWAYS,
        args: &[Arg::string("connection-name")],
        since: "2.6.9",
        complexity: "O(1)",
        summary: "Names this connection.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Some(setname),
        ..CLIENT
    },
    Command {
        name: "tracking",
        full_name: "client|tracking",
        arity: -3,
        flags: ALWAYS,
        args: TRACKING,
        since: "6.0.0",
        complexity: "O(1); some options take O(N) in the prefixes",
        summary: "Turns on or off that this client is told when keys change that it has read.",
        run: Some(tracking::tracking),
        ..CLIENT
    },
    Command {
        name: "trackinginfo",
        full_name: "client|trackinginfo",
        arity: 2,
        flags: ALWAYS,
        since: "6.2.0",
        complexity: "O(1)",
        summary: "Replies how this client tracks keys.",
        run: Some(tracking::trackinginfo),
        ..CLIENT
    },
    Command {
        name: "unblock",
        full_name: "client|unblock",
        arity: -3,
        flags: ADMIN,
        args: &[
            Arg::int("client-id"),
            Arg::one_of("unblock-type", &[Arg::word("timeout", "TIMEOUT"), Arg::word("error", "ERROR")]).optional(),
        ],
        since: "5.0.0",
        complexity: "O(1)",
        summary: "Ends the wait of a client that a blocking command holds.",
        run: Some(pause::unblock),
        ..CLIENT
    },
    Command {
        name: "unpause",
        full_name: "client|unpause",
        arity: 2,
        flags: ADMIN,
        since: "6.2.0",
        complexity: "O(N) in the clients that are held up",
        summary: "Ends CLIENT PAUSE at once.",
        run: Some(pause::unpause),
        ..CLIENT
    },
];

fn id(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.int(cx.session.id as i64);
    Ok(Flow::Done)
}

fn getname(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    match &cx.session.name {
        Some(name) => cx.reply.bulk(name),
        None => cx.reply.null(),
    }
    Ok(Flow::Done)
}

fn setname(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.bytes()?;
    if !is_plain(name) {
        return Err(CmdError::CLIENT_NAME);
    }
    set_name(cx, name);
    cx.reply.ok();
    Ok(Flow::Done)
}

fn setinfo(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let field = args.peek().unwrap_or_default();
    let is_name = args.accept("lib-name");
    if !is_name && !args.accept("lib-ver") {
        return Err(CmdError::quoting("ERR Unrecognized option '", field, "'"));
    }
    let value = args.bytes()?;
    if !is_plain(value) {
        return Err(CmdError::quoting("ERR ", field, " cannot contain spaces, newlines or special characters."));
    }
    let kept = (!value.is_empty()).then(|| value.into());
    if is_name {
        cx.session.lib_name = kept;
    } else {
        cx.session.lib_ver = kept;
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

/// CLIENT REPLY. Only ON is answered.
fn reply(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.accept("on") {
        cx.session.reply_mode = ReplyMode::On;
        cx.reply.ok();
    } else if args.accept("off") {
        cx.session.reply_mode = ReplyMode::Off;
    } else if args.accept("skip") {
        if cx.session.reply_mode != ReplyMode::Off {
            cx.session.reply_mode = ReplyMode::SkipNext;
        }
    } else {
        return Err(CmdError::SYNTAX);
    }
    Ok(Flow::Done)
}

/// ON or OFF for one bit of the session's mode.
fn switch(cx: &mut Ctx<'_>, args: &mut Args<'_>, bit: u32) -> Outcome {
    if args.accept("on") {
        cx.session.mode |= bit;
    } else if args.accept("off") {
        cx.session.mode &= !bit;
    } else {
        return Err(CmdError::SYNTAX);
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

fn no_evict(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    switch(cx, args, mode::NO_EVICT)
}

fn no_touch(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let outcome = switch(cx, args, mode::NO_TOUCH);
    cx.db.touch_reads = !cx.session.is(mode::NO_TOUCH);
    outcome
}

/// What clients CLIENT LIST and CLIENT KILL tell apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum ClientType {
    Normal,
    Master,
    Replica,
    PubSub,
}

impl ClientType {
    /// The type of a client.
    fn of(session: &Session) -> ClientType {
        if session.is(mode::SUBSCRIBED) { ClientType::PubSub } else { ClientType::Normal }
    }

    /// The type that a word names.
    fn parse(word: &[u8]) -> Result<ClientType, CmdError> {
        let types = [
            ("normal", ClientType::Normal),
            ("master", ClientType::Master),
            ("replica", ClientType::Replica),
            ("slave", ClientType::Replica),
            ("pubsub", ClientType::PubSub),
        ];
        let found = types.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
        found.map(|(_, kind)| kind).ok_or_else(|| CmdError::unknown_client_type(word))
    }
}
