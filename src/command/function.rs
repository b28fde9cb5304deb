//! FCALL, and FUNCTION: libraries of functions.

mod payload;

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::help;
use super::script::{self, Call, FLUSH_TYPE, KEYS, KEYS_RO, KeyCount, RUNNER};
use super::table::{Arg, Command, acl, flag};
use crate::base::{glob, number};
use crate::resp::{Argv, Proto};
use crate::script::{Failed, Host, Interrupt, Kind, LibraryRow, Restore, RunName, Scripts, flags};
use crate::stats::Stats;
use crate::sys::ticks;

const SCRIPTING: Command = Command { group: "scripting", acl: acl::SCRIPTING, ..Command::BLANK };
const CALL_ARGS: &[Arg] = &[
    Arg::string("function"),
    Arg::int("numkeys"),
    Arg::key("key").optional().multiple(),
    Arg::string("arg").optional().multiple(),
];
/// Time that a library's code may take to register its functions.
const LOAD_MS: u64 = 500;
const ON_ALL: &[&str] = &["request_policy:all_shards", "response_policy:all_succeeded"];

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "fcall",
        arity: -3,
        flags: RUNNER,
        keys: KEYS,
        args: CALL_ARGS,
        since: "7.0.0",
        complexity: "That of the function",
        summary: "Runs a function.",
        declared: Some(declared),
        run: Some(|cx, args| fcall(cx, args, false)),
        ..SCRIPTING
    },
    Command {
        name: "fcall_ro",
        arity: -3,
        flags: RUNNER | flag::READONLY,
        keys: KEYS_RO,
        args: CALL_ARGS,
        since: "7.0.0",
        complexity: "That of the function",
        summary: "Runs a function that may not write.",
        declared: Some(declared),
        run: Some(|cx, args| fcall(cx, args, true)),
        ..SCRIPTING
    },
    Command {
        name: "function",
        arity: -2,
        since: "7.0.0",
        complexity: "That of the subcommand",
        summary: "Commands about functions.",
        subcommands: FUNCTION,
        ..Command { group: "scripting", ..Command::BLANK }
    },
];

/// The subcommands of FUNCTION.
const FUNCTION: &[Command] = &[
    Command {
        name: "delete",
        full_name: "function|delete",
        arity: 3,
        flags: flag::NOSCRIPT | flag::WRITE,
        args: &[Arg::string("library-name")],
        since: "7.0.0",
        complexity: "O(1)",
        summary: "Removes a library and its functions.",
        tips: ON_ALL,
        run: Some(delete),
        ..SCRIPTING
    },
    Command {
        name: "dump",
        full_name: "function|dump",
        arity: 2,
        flags: flag::NOSCRIPT,
        since: "7.0.0",
        complexity: "O(N) in the libraries",
        summary: "Replies all libraries as bytes for FUNCTION RESTORE.",
        run: Some(dump),
        ..SCRIPTING
    },
    Command {
        name: "flush",
        full_name: "function|flush",
        arity: -2,
        flags: flag::NOSCRIPT | flag::WRITE,
        args: &[FLUSH_TYPE],
        since: "7.0.0",
        complexity: "O(N) in the libraries",
        summary: "Removes all libraries.",
        tips: ON_ALL,
        run: Some(flush),
        ..SCRIPTING
    },
    Command { full_name: "function|help", since: "7.0.0", group: "scripting", acl: acl::SCRIPTING, ..help::ROW },
    Command {
        name: "kill",
        full_name: "function|kill",
        arity: 2,
        flags: flag::NOSCRIPT | flag::ALLOW_BUSY,
        since: "7.0.0",
        complexity: "O(1)",
        summary: "Ends the function that runs, if it has not written yet.",
        tips: &["request_policy:all_shards", "response_policy:one_succeeded"],
        run: Some(|cx, _| script::kill(cx, Kind::Function)),
        ..SCRIPTING
    },
    Command {
        name: "list",
        full_name: "function|list",
        arity: -2,
        flags: flag::NOSCRIPT,
        args: &[
            Arg::string("library-name-pattern").token("LIBRARYNAME").optional(),
            Arg::word("withcode", "WITHCODE").optional(),
        ],
        since: "7.0.0",
        complexity: "O(N) in the functions",
        summary: "Replies what is known of the libraries.",
        tips: &["nondeterministic_output_order"],
        run: Some(list),
        ..SCRIPTING
    },
    Command {
        name: "load",
        full_name: "function|load",
        arity: -3,
        flags: flag::NOSCRIPT | flag::WRITE | flag::DENYOOM,
        args: &[Arg::word("replace", "REPLACE").optional(), Arg::string("function-code")],
        since: "7.0.0",
        complexity: "O(1), beside what the library does when it is loaded",
        summary: "Loads a library.",
        tips: ON_ALL,
        run: Some(load),
        ..SCRIPTING
    },
    Command {
        name: "restore",
        full_name: "function|restore",
        arity: -3,
        flags: flag::NOSCRIPT | flag::WRITE | flag::DENYOOM,
        args: &[
            Arg::string("serialized-value"),
            Arg::one_of(
                "policy",
                &[Arg::word("flush", "FLUSH"), Arg::word("append", "APPEND"), Arg::word("replace", "REPLACE")],
            )
            .optional(),
        ],
        since: "7.0.0",
        complexity: "O(N) in the libraries",
        summary: "Loads libraries from the bytes of FUNCTION DUMP.",
        tips: ON_ALL,
        run: Some(restore),
        ..SCRIPTING
    },
    Command {
        name: "stats",
        full_name: "function|stats",
        arity: 2,
        flags: flag::NOSCRIPT | flag::ALLOW_BUSY,
        since: "7.0.0",
        complexity: "O(1)",
        summary: "Tells what runs, and how many libraries there are.",
        tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
        run: Some(stats),
        ..SCRIPTING
    },
];

fn declared(scripts: &Scripts, argv: Argv<'_>) -> Option<u32> {
    scripts.function_row(argv.get(1)?).map(|function| function.flags)
}

fn fcall(cx: &mut Ctx<'_>, args: &mut Args<'_>, read_only: bool) -> Outcome {
    script::announce(cx, args);
    let name = args.bytes()?;
    let found = match cx.scripts.function(name) {
        Ok(found) => found.ok_or(CmdError::NO_FUNCTION)?,
        Err(failed) => return script::fail(cx, failed),
    };
    let count = number::parse_i64(args.bytes()?).ok_or(CmdError::BAD_KEY_COUNT)?;
    let keys = KeyCount::checked(count, args.left())?;
    let name = RunName::Function(String::from_utf8_lossy(name).into());
    script::run(cx, &Call { found: &found, kind: Kind::Function, name, argv: args.argv(), keys, read_only })
}

/// What a library's code is lent while it registers functions: nothing but time.
struct Loader {
    started_ticks: u64,
}

impl Loader {
    fn new() -> Loader {
        Loader { started_ticks: ticks::now() }
    }
}

impl Host for Loader {
    fn call(&mut self, _: Argv<'_>, _: Proto, out: &mut Vec<u8>) {
        out.extend_from_slice(b"-ERR redis.call can only be called inside a function\r\n");
    }

    fn log(&mut self, level: u8, text: &[u8]) {
        script::log(level, text);
    }

    fn permits(&mut self, _: Argv<'_>) -> Option<bool> {
        None
    }

    fn set_effects(&mut self, _: u8) {}

    fn interrupt(&mut self) -> Interrupt {
        let ran_ms = ticks::to_us(ticks::now().wrapping_sub(self.started_ticks)) / 1000;
        if ran_ms > LOAD_MS { Interrupt::Stop("FUNCTION LOAD timeout") } else { Interrupt::Continue }
    }
}

impl Ctx<'_> {
    /// Loads a library, from a request or a file; its name.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn load_library(&mut self, code: &[u8], replace: bool) -> Result<Vec<u8>, Failed> {
        self.scripts.load(code, replace, &mut Loader::new())
    }

    /// The libraries have changed: that is an effect like that of a key. Several, or the `one` of this name.
    fn libraries_changed(&mut self, one: Option<&[u8]>) {
        self.db.space.book.dirty += 1;
        match one {
            Some(name) => {
                let texts = &mut self.stats.persistence.libraries;
                match self.scripts.library(name) {
                    Some(library) => texts.insert(name.to_vec(), library.code.clone().into_boxed_slice()),
                    None => texts.remove(name),
                };
            }
            None => remember(self.scripts, self.stats),
        }
    }
}

/// What the next snapshot holds of the libraries.
fn remember(scripts: &Scripts, stats: &mut Stats) {
    let texts = scripts.libraries().map(|library| (library.name.clone(), library.code.clone().into_boxed_slice()));
    stats.persistence.libraries = texts.collect();
}

/// Loads the libraries that a snapshot held.
///
/// # Errors
/// Why one was refused.
pub fn adopt_libraries(
    scripts: &mut Scripts,
    stats: &mut Stats,
    codes: &[Box<[u8]>],
    replace: bool,
) -> Result<(), CmdError> {
    let loaded = codes.iter().try_for_each(|code| scripts.load(code, replace, &mut Loader::new()).map(|_| ()));
    remember(scripts, stats);
    loaded.map_err(|failed| {
        log::warn!("Failed loading a library: {}", String::from_utf8_lossy(&failed.text));
        CmdError::bytes(failed.text)
    })
}

fn load(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let mut replace = false;
    while args.left() > 1 {
        if !args.accept("replace") {
            return Err(CmdError::quoting("ERR Unknown option given: ", args.bytes()?, ""));
        }
        replace = true;
    }
    match cx.load_library(args.bytes()?, replace) {
        Ok(name) => {
            cx.libraries_changed(Some(&name));
            cx.reply.bulk(&name);
            Ok(Flow::Done)
        }
        Err(failed) => script::fail(cx, failed),
    }
}

fn delete(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.bytes()?;
    if !cx.scripts.delete_library(name) {
        return Err(CmdError::NO_LIBRARY);
    }
    cx.libraries_changed(Some(name));
    cx.reply.ok();
    Ok(Flow::Done)
}

fn flush(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() > 1 {
        return Err(CmdError::subcommand_syntax(b"flush", "function"));
    }
    if args.more() && !(args.accept("async") || args.accept("sync")) {
        return Err(CmdError::FUNCTION_FLUSH);
    }
    cx.scripts.flush_libraries();
    cx.libraries_changed(None);
    cx.reply.ok();
    Ok(Flow::Done)
}

fn dump(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let payload = payload::dump(cx.scripts.libraries().map(|library| &library.code[..]), cx.config.rdbcompression);
    cx.reply.bulk(&payload);
    Ok(Flow::Done)
}

fn restore(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let payload = args.bytes()?;
    if args.left() > 1 {
        return Err(CmdError::subcommand_syntax(b"restore", "function"));
    }
    let mut how = Restore::Append;
    if args.more() {
        how = if args.accept("append") {
            Restore::Append
        } else if args.accept("replace") {
            Restore::Replace
        } else if args.accept("flush") {
            Restore::Flush
        } else {
            return Err(CmdError::RESTORE_POLICY);
        };
    }
    let codes = payload::read(payload).map_err(|bad| match bad {
        payload::BadPayload::Footer => CmdError::BAD_PAYLOAD,
        payload::BadPayload::Kind => CmdError::text("ERR given type is not a function"),
        payload::BadPayload::Text => CmdError::text("ERR failed loading the given functions payload"),
    })?;
    match cx.scripts.restore(&codes, how, &mut Loader::new()) {
        Ok(()) => {
            cx.libraries_changed(None);
            cx.reply.ok();
            Ok(Flow::Done)
        }
        Err(failed) => script::fail(cx, failed),
    }
}

fn list(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (mut pattern, mut with_code) = (None, false);
    while args.more() {
        if !with_code && args.accept("withcode") {
            with_code = true;
        } else if pattern.is_none() && args.accept("libraryname") {
            pattern = Some(args.bytes().map_err(|_| CmdError::text("ERR library name argument was not given"))?);
        } else {
            return Err(CmdError::quoting("ERR Unknown argument ", args.bytes()?, ""));
        }
    }
    let fits = |library: &&LibraryRow| pattern.is_none_or(|pattern| glob::glob_match(pattern, &library.name, true));
    let libraries: Vec<&LibraryRow> = cx.scripts.libraries().filter(fits).collect();
    let reply = &mut cx.reply;
    reply.array(libraries.len());
    for library in libraries {
        reply.map(if with_code { 4 } else { 3 });
        reply.bulk(b"library_name");
        reply.bulk(&library.name);
        reply.bulk(b"engine");
        reply.bulk(b"LUA");
        reply.bulk(b"functions");
        reply.array(library.functions.len());
        for function in &library.functions {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(&function.name);
            reply.bulk(b"description");
            match &function.description {
                Some(text) => reply.bulk(text),
                None => reply.null(),
            }
            reply.bulk(b"flags");
            let declared = flags::NAMES.iter().filter(|(bit, _)| function.flags & bit != 0);
            reply.set(declared.clone().count());
            declared.for_each(|(_, name)| reply.simple(name));
        }
        if with_code {
            reply.bulk(b"library_code");
            reply.bulk(&library.code);
        }
    }
    Ok(Flow::Done)
}

fn stats(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let (libraries, functions) = cx.scripts.counts();
    let reply = &mut cx.reply;
    reply.map(2);
    reply.bulk(b"running_script");
    match &cx.scripts.running {
        Some(running) if running.kind == Kind::Script => {
            return Err(CmdError::BUSY_SCRIPT);
        }
        Some(running) => {
            reply.map(3);
            reply.bulk(b"name");
            reply.bulk(running.name.as_str().as_bytes());
            reply.bulk(b"command");
            let words = running.argv.as_ref().map(|argv| argv.argv().iter().collect::<Vec<_>>()).unwrap_or_default();
            reply.array(words.len());
            words.iter().for_each(|word| reply.bulk(word));
            reply.bulk(b"duration_ms");
            let ran_ms = ticks::to_us(ticks::now().wrapping_sub(running.started_ticks)) / 1000;
            reply.int(ran_ms as i64);
        }
        None => reply.null(),
    }
    reply.bulk(b"engines");
    reply.map(1);
    reply.bulk(b"LUA");
    reply.map(2);
    reply.bulk(b"libraries_count");
    reply.len(libraries);
    reply.bulk(b"functions_count");
    reply.len(functions);
    Ok(Flow::Done)
}
