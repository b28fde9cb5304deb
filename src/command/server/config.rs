//! CONFIG: reads and changes the options. What a change entails is done before the reply where it may fail (sockets, limits
//! of the system), else after the unit (`Ask::Reconfigured`).

use super::SERVER;
use crate::acl::{Acl, Audit};
use crate::command::args::Args;
use crate::command::ctx::{Ask, Ctx, Flow, Outcome};
use crate::command::derived::{self, RESERVED_FILES};
use crate::command::error::CmdError;
use crate::command::help;
use crate::command::table::{Arg, Command, flag};
use crate::command::users::{Keep, keep};
use crate::config::{self, Config, Rewrite, SetContext, SetError};
use crate::session::mode;
use crate::sys::listen::Sockets;
use crate::sys::{host, listen};
use crate::tls::Setup;
use serde_json::json;

const ADMIN: u32 = flag::ADMIN | flag::NOSCRIPT | flag::LOADING | flag::STALE;
const PARAMETER: &[Arg] = &[Arg::string("parameter")];
const PAIR: &[Arg] = &[Arg::string("parameter"), Arg::string("value")];

/// The family.
pub const COMMANDS: &[Command] = &[Command {
    name: "config",
    arity: -2,
    since: "2.0.0",
    complexity: "Depends on the subcommand.",
    summary: "Reads and changes options.",
    subcommands: SUBCOMMANDS,
    ..SERVER
}];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "get",
        full_name: "config|get",
        arity: -3,
        flags: ADMIN,
        args: &[Arg::block("parameter", PARAMETER).multiple()],
        since: "2.0.0",
        complexity: "O(N) with N the number of options",
        summary: "Values of the options whose names match.",
        history: &[("7.0.0", "Takes several patterns.")],
        run: Some(get),
        ..SERVER
    },
    Command { full_name: "config|help", since: "5.0.0", group: "server", ..help::ROW },
    Command {
        name: "resetstat",
        full_name: "config|resetstat",
        arity: 2,
        flags: ADMIN,
        since: "2.0.0",
        complexity: "O(1)",
        summary: "Sets the statistics of INFO back to zero.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Some(resetstat),
        ..SERVER
    },
    Command {
        name: "rewrite",
        full_name: "config|rewrite",
        arity: 2,
        flags: ADMIN,
        since: "2.8.0",
        complexity: "O(N) with N the length of the file",
        summary: "Writes the options as they are now into the configuration file.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Some(rewrite),
        ..SERVER
    },
    Command {
        name: "set",
        full_name: "config|set",
        arity: -4,
        flags: ADMIN,
        args: &[Arg::block("data", PAIR).multiple()],
        since: "2.0.0",
        complexity: "O(N) with N the number of options",
        summary: "Changes options, all of them or none.",
        history: &[("7.0.0", "Takes several pairs.")],
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Some(set),
        ..SERVER
    },
];

fn get(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let patterns: Vec<&[u8]> = args.argv().skip(args.position()).iter().collect();
    let found = cx.config.get(&patterns);
    cx.reply.map(found.len());
    for (name, value) in found {
        cx.reply.bulk(&name);
        cx.reply.bulk(&value);
    }
    Ok(Flow::Done)
}

/// The values of secret options are shown to nobody; nor those behind a name that is nearly one's.
fn hide_secrets(cx: &mut Ctx<'_>, args: &Args<'_>) {
    let first = args.position();
    for (index, name) in args.argv().iter().enumerate().skip(first).step_by(2) {
        let meant = config::find(name).or_else(|| config::nearest(name).and_then(|near| config::find(near.as_bytes())));
        if meant.is_some_and(|row| row.has(config::flag::SENSITIVE)) {
            cx.hidden.add(index + 1);
        }
    }
}

fn set(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    hide_secrets(cx, args);
    if args.left() % 2 != 0 {
        return Err(CmdError::SYNTAX);
    }
    let words: Vec<&[u8]> = args.argv().skip(args.position()).iter().collect();
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let local = cx.session.is(mode::LOOPBACK | mode::UNIX_SOCKET);
    let before = cx.config.clone();
    let changed = cx.config.set_many(&pairs, SetContext { loading: cx.stats.persistence.loading.is_some(), local })?;
    if let Err((name, cause)) = apply(cx, &before, &changed) {
        *cx.config = before;
        // The one step that a later one may make undone.
        if changed.iter().any(|name| name.starts_with("oom-score-adj")) && apply_oom_score(cx).is_err() {
            log::warn!("The former oom_score_adj could not be restored");
        }
        return Err(SetError::refused(name, cause).into());
    }
    if changed.contains(&"requirepass") {
        let user = cx.acl.with_default_password(&cx.config.requirepass);
        cx.put_user(user);
    }
    cx.apply_config();
    if cx.acl.audit.is_on() && !changed.is_empty() {
        cx.note_audit("config", vec![("options", json!(changed))]);
    }
    if changed.contains(&"maxmemory") && cx.config.maxmemory > 0 {
        // Nobody may send a command for a long time.
        cx.make_room();
    }
    if !changed.is_empty() {
        cx.asks.push(Ask::Reconfigured(changed));
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

/// A step of a change that may fail: the option it is named after, and Redis's words for the failure.
type Failure = (&'static str, String);

/// Does what may fail, the sockets last: they are as before when they fail.
fn apply(cx: &mut Ctx<'_>, before: &Config, changed: &[&'static str]) -> Result<(), Failure> {
    let has = |name: &str| changed.contains(&name);
    if has("maxclients") && cx.config.maxclients > before.maxclients {
        raise_limit(cx.config.maxclients)?;
    }
    if has("oom-score-adj") || has("oom-score-adj-values") {
        apply_oom_score(cx)?;
    }
    if has("requirepass") {
        let user = cx.acl.with_default_password(&cx.config.requirepass);
        if cx.is_kept(&user, Keep::IfKept) {
            keep(cx, Some(&user), None).map_err(|error| ("requirepass", error.to_string()))?;
        }
    }
    if has("audit-log-file") {
        let opened = Audit::open(cx.config.audit_log_file.path());
        cx.acl.audit = opened.map_err(|error| ("audit-log-file", format!("The file can't be opened: {error}")))?;
    }
    let tls = set_up_tls(cx, changed)?;
    if let Some(name) = ["port", "tls-port", "metrics-port", "bind"].into_iter().find(|name| has(name)) {
        move_listeners(cx, name)?;
    }
    if let Some(setup) = tls {
        cx.facts.tls = setup;
    }
    Ok(())
}

/// Makes anew what hangs on the options of TLS, if one of them has changed.
fn set_up_tls(cx: &Ctx<'_>, changed: &[&'static str]) -> Result<Option<Option<Setup>>, Failure> {
    let beside = ["tls-auto-reload-interval", "tls-auth-clients-user"];
    let Some(name) = changed.iter().find(|name| name.starts_with("tls-") && !beside.contains(name)) else {
        return Ok(None);
    };
    Setup::load(cx.config).map(Some).map_err(|error| {
        log::warn!("{error}");
        (*name, format!("Unable to update TLS configuration. Check server logs. ({error})"))
    })
}

fn apply_oom_score(cx: &mut Ctx<'_>) -> Result<(), Failure> {
    let applied = derived::apply_oom_score(cx.config, &mut cx.facts.initial_oom_score);
    applied.map_err(|error| {
        log::warn!("Unable to write oom_score_adj: {error}");
        ("oom-score-adj", "Failed to set current oom_score_adj. Check server logs.".into())
    })
}

fn raise_limit(maxclients: u32) -> Result<(), Failure> {
    let wanted = u64::from(maxclients) + RESERVED_FILES;
    let possible = host::raise_open_files(wanted).unwrap_or(wanted);
    if possible < wanted {
        let most = possible.saturating_sub(RESERVED_FILES);
        let cause =
            format!("The operating system is not able to handle the specified number of clients, try with {most}");
        return Err(("maxclients", cause));
    }
    Ok(())
}

/// Opens the new sockets before the reply, so that it can tell of a failure; the old ones, whose addresses may be among the
/// new, stop listening meanwhile. The reactor exchanges them after the unit.
fn move_listeners(cx: &mut Ctx<'_>, named: &'static str) -> Result<(), Failure> {
    let (backlog, old) = (cx.config.tcp_backlog, cx.facts.listening.clone());
    old.iter().for_each(|fd| listen::suspend(*fd));
    let open = |port| listen::open_all(&cx.config.bind, port, backlog);
    let all = || -> Result<Sockets, listen::ListenError> {
        let (clear, tls) = (open(cx.config.port)?, open(cx.config.tls_port)?);
        Ok(Sockets { clear, tls, metrics: open(cx.config.metrics_port)? })
    };
    match all() {
        Ok(opened) => {
            cx.facts.opened = Some(opened);
            Ok(())
        }
        Err(error) => {
            log::warn!("{error}");
            for fd in old {
                if let Err(error) = listen::resume(fd, backlog) {
                    log::warn!("A former listening socket can't be used again: {error}");
                }
            }
            let cause = match named {
                "port" | "tls-port" | "metrics-port" => "Unable to listen on this port. Check server logs.",
                _ => "Failed to bind to specified addresses.",
            };
            Err((named, cause.into()))
        }
    }
}

fn rewrite(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let users: Vec<Vec<u8>> = match cx.config.aclfile.is_empty() {
        // Those that are kept in the data folder would be there twice.
        true => cx.acl.iter().filter(|user| !user.kept).map(|user| Acl::line_of(user)).collect(),
        false => Vec::new(),
    };
    match cx.config.rewrite(Rewrite { users: Some(&users), force_all: false }) {
        Ok(()) => log::info!("CONFIG REWRITE executed with success."),
        Err(error) => {
            log::warn!("CONFIG REWRITE failed: {error}");
            return Err(CmdError::owned(error.to_string()));
        }
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

fn resetstat(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.stats.reset();
    cx.scripts.reset_stats();
    let book = &mut cx.db.space.book;
    book.counters = Default::default();
    if let Some(thread) = &mut book.lazyfree {
        thread.reset_stats();
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

impl From<SetError> for CmdError {
    fn from(error: SetError) -> CmdError {
        CmdError::bytes(error.text())
    }
}
