//! EVAL and its kin, and SCRIPT. The scripts themselves are the room `script`'s; here is what they are lent.

mod busy;
mod run;

pub(super) use busy::{is_allowed, kill, refuse_others};
pub(super) use run::{Call, KeyCount, announce, log, run};

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::help;
use super::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use crate::resp::Argv;
use crate::script::{Failed, Kind, RunName, Scripts, sha_of};

const SCRIPTING: Command = Command { group: "scripting", acl: acl::SCRIPTING, ..Command::BLANK };
/// Flags of all that runs a script.
pub(super) const RUNNER: u32 =
    flag::NOSCRIPT | flag::STALE | flag::SKIP_MONITOR | flag::NO_MANDATORY_KEYS | flag::MOVABLE_KEYS;
pub(super) const KEYS: &[KeySpec] = &[KeySpec::count(2, 1, kf::RW | kf::ACCESS | kf::UPDATE)];
pub(super) const KEYS_RO: &[KeySpec] = &[KeySpec::count(2, 1, kf::RO | kf::ACCESS)];
const TAIL: [Arg; 3] =
    [Arg::int("numkeys"), Arg::key("key").optional().multiple(), Arg::string("arg").optional().multiple()];
const EVAL_ARGS: &[Arg] = &[Arg::string("script"), TAIL[0], TAIL[1], TAIL[2]];
const EVALSHA_ARGS: &[Arg] = &[Arg::string("sha1"), TAIL[0], TAIL[1], TAIL[2]];
/// How a flush goes about it.
pub(super) const FLUSH_TYPE: Arg =
    Arg::one_of("flush-type", &[Arg::word("async", "ASYNC"), Arg::word("sync", "SYNC")]).optional();

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "eval",
        arity: -3,
        flags: RUNNER,
        keys: KEYS,
        args: EVAL_ARGS,
        since: "2.6.0",
        complexity: "That of the script",
        summary: "Runs a Lua script.",
        declared: Some(declared_by_text),
        run: Some(|cx, args| eval(cx, args, false)),
        ..SCRIPTING
    },
    Command {
        name: "evalsha",
        arity: -3,
        flags: RUNNER,
        keys: KEYS,
        args: EVALSHA_ARGS,
        since: "2.6.0",
        complexity: "That of the script",
        summary: "Runs a Lua script that the server knows, by its SHA-1.",
        declared: Some(declared_by_sha),
        run: Some(|cx, args| evalsha(cx, args, false)),
        ..SCRIPTING
    },
    Command {
        name: "eval_ro",
        arity: -3,
        flags: RUNNER | flag::READONLY,
        keys: KEYS_RO,
        args: EVAL_ARGS,
        since: "7.0.0",
        complexity: "That of the script",
        summary: "Runs a Lua script that may not write.",
        declared: Some(declared_by_text),
        run: Some(|cx, args| eval(cx, args, true)),
        ..SCRIPTING
    },
    Command {
        name: "evalsha_ro",
        arity: -3,
        flags: RUNNER | flag::READONLY,
        keys: KEYS_RO,
        args: EVALSHA_ARGS,
        since: "7.0.0",
        complexity: "That of the script",
        summary: "Runs a Lua script that the server knows, by its SHA-1, and that may not write.",
        declared: Some(declared_by_sha),
        run: Some(|cx, args| evalsha(cx, args, true)),
        ..SCRIPTING
    },
    Command {
        name: "script",
        arity: -2,
        since: "2.6.0",
        complexity: "That of the subcommand",
        summary: "Commands about scripts.",
        subcommands: SCRIPT,
        ..Command { group: "scripting", ..Command::BLANK }
    },
];

/// The subcommands of SCRIPT.
const SCRIPT: &[Command] = &[
    Command {
        name: "exists",
        full_name: "script|exists",
        arity: -3,
        flags: flag::NOSCRIPT,
        args: &[Arg::string("sha1").multiple()],
        since: "2.6.0",
        complexity: "O(N) in the scripts named",
        summary: "Tells which scripts the server knows.",
        tips: &["request_policy:all_shards", "response_policy:agg_logical_and"],
        run: Some(exists),
        ..SCRIPTING
    },
    Command {
        name: "flush",
        full_name: "script|flush",
        arity: -2,
        flags: flag::NOSCRIPT,
        args: &[FLUSH_TYPE],
        since: "2.6.0",
        complexity: "O(N) in the scripts",
        summary: "Forgets all scripts.",
        history: &[("6.2.0", "ASYNC and SYNC.")],
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Some(flush),
        ..SCRIPTING
    },
    Command { full_name: "script|help", since: "5.0.0", group: "scripting", acl: acl::SCRIPTING, ..help::ROW },
    Command {
        name: "kill",
        full_name: "script|kill",
        arity: 2,
        flags: flag::NOSCRIPT | flag::ALLOW_BUSY,
        since: "2.6.0",
        complexity: "O(1)",
        summary: "Ends the script that runs, if it has not written yet.",
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        run: Some(|cx, _| kill(cx, Kind::Script)),
        ..SCRIPTING
    },
    Command {
        name: "load",
        full_name: "script|load",
        arity: 3,
        flags: flag::NOSCRIPT | flag::STALE,
        args: &[Arg::string("script")],
        since: "2.6.0",
        complexity: "O(N) in the bytes of the script",
        summary: "Remembers a script; replies its SHA-1.",
        tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
        run: Some(load),
        ..SCRIPTING
    },
];

fn declared_by_text(_: &Scripts, argv: Argv<'_>) -> Option<u32> {
    Scripts::declared(argv.get(1)?)
}

fn declared_by_sha(scripts: &Scripts, argv: Argv<'_>) -> Option<u32> {
    scripts.flags_of(&sha_of(argv.get(1)?)?)
}

/// A failure as the reply. One that a command has counted already is not counted again.
pub(super) fn fail(cx: &mut Ctx<'_>, failed: Failed) -> Outcome {
    if !failed.counted {
        return Err(CmdError::bytes(failed.text));
    }
    cx.stats.commands[cx.row.id as usize].failed += 1;
    cx.reply.error_bytes(&failed.text);
    Ok(Flow::Done)
}

fn eval(cx: &mut Ctx<'_>, args: &mut Args<'_>, read_only: bool) -> Outcome {
    announce(cx, args);
    let code = args.bytes()?;
    let keys = KeyCount::of(args)?;
    let sha = Scripts::sha(code);
    if let Err(failed) = cx.scripts.add(sha, code, false) {
        return fail(cx, failed);
    }
    run_script(cx, args, sha, keys, read_only)
}

fn evalsha(cx: &mut Ctx<'_>, args: &mut Args<'_>, read_only: bool) -> Outcome {
    announce(cx, args);
    let Some(sha) = sha_of(args.bytes()?) else { return Err(CmdError::NO_SCRIPT) };
    let keys = KeyCount::of(args)?;
    run_script(cx, args, sha, keys, read_only)
}

fn run_script(cx: &mut Ctx<'_>, args: &Args<'_>, sha: [u8; 40], keys: KeyCount, read_only: bool) -> Outcome {
    let Some(found) = cx.scripts.find(&sha) else { return Err(CmdError::NO_SCRIPT) };
    let name = RunName::Sha(sha);
    run(cx, &Call { found: &found, kind: Kind::Script, name, argv: args.argv(), keys, read_only })
}

fn load(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let code = args.bytes()?;
    let sha = Scripts::sha(code);
    if let Err(failed) = cx.scripts.add(sha, code, true) {
        return fail(cx, failed);
    }
    cx.reply.bulk(&sha);
    Ok(Flow::Done)
}

fn exists(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    cx.reply.array(args.left());
    while args.more() {
        let known = sha_of(args.bytes()?).is_some_and(|sha| cx.scripts.knows(&sha));
        cx.reply.int(i64::from(known));
    }
    Ok(Flow::Done)
}

fn flush(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.more() && !(args.accept("async") || args.accept("sync")) || args.more() {
        return Err(CmdError::SCRIPT_FLUSH);
    }
    cx.scripts.flush();
    cx.reply.ok();
    Ok(Flow::Done)
}
