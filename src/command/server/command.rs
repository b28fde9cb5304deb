//! COMMAND and COMMANDS: what the command table tells of itself.

use super::SERVER;
use super::describe;
use crate::base::glob::glob_match;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::execute::resolve;
use crate::command::table::{Arg, ArgType, Command, Row, Table, acl, flag, key_flag};
use crate::command::{help, keys};
use crate::resp::Argv;

const OPEN: u32 = flag::LOADING | flag::STALE;
const ANY_ORDER: &[&str] = &["nondeterministic_output_order"];
const NAMES: &[Arg] = &[Arg::string("command-name").multiple().optional()];
const FULL: &[Arg] = &[Arg::string("command"), Arg::string("arg").multiple().optional()];
const FILTERS: &[Arg] = &[
    Arg::string("module-name").token("MODULE"),
    Arg::string("category").token("ACLCAT"),
    Arg::new("pattern", ArgType::Pattern).token("PATTERN"),
];

/// A row about commands.
const ROW: Command = Command { flags: OPEN, acl: acl::CONNECTION, ..SERVER };

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "command",
        arity: -1,
        since: "2.8.13",
        complexity: "O(N) with N the number of commands",
        summary: "Tells of every command: arity, flags, keys, ACL categories.",
        tips: ANY_ORDER,
        subcommands: SUBCOMMANDS,
        run: Some(all),
        ..ROW
    },
    Command {
        name: "commands",
        arity: -1,
        args: &[Arg::new("pattern", ArgType::Pattern).optional()],
        since: "redstart",
        complexity: "O(N) with N the number of commands",
        summary: "Names of commands that match a pattern, or the syntax of the one command that is named.",
        run: Some(commands),
        ..ROW
    },
];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "count",
        full_name: "command|count",
        arity: 2,
        since: "2.8.13",
        complexity: "O(1)",
        summary: "Number of commands.",
        run: Some(count),
        ..ROW
    },
    Command {
        name: "docs",
        full_name: "command|docs",
        arity: -2,
        args: NAMES,
        since: "7.0.0",
        complexity: "O(N) with N the number of names",
        summary: "Documentation of all or the named commands: summary, arguments, history.",
        tips: ANY_ORDER,
        run: Some(docs),
        ..ROW
    },
    Command {
        name: "getkeys",
        full_name: "command|getkeys",
        arity: -3,
        args: FULL,
        since: "2.8.13",
        complexity: "O(N) with N the number of words",
        summary: "The keys in a whole command.",
        run: Some(getkeys),
        ..ROW
    },
    Command {
        name: "getkeysandflags",
        full_name: "command|getkeysandflags",
        arity: -3,
        args: FULL,
        since: "7.0.0",
        complexity: "O(N) with N the number of words",
        summary: "The keys in a whole command, each with what is done to it.",
        run: Some(getkeysandflags),
        ..ROW
    },
    Command { full_name: "command|help", since: "5.0.0", group: "server", acl: acl::CONNECTION, ..help::ROW },
    Command {
        name: "info",
        full_name: "command|info",
        arity: -2,
        args: NAMES,
        since: "2.8.13",
        complexity: "O(N) with N the number of names",
        summary: "Tells of all or the named commands: arity, flags, keys, ACL categories.",
        history: &[("7.0.0", "Without names it tells of all commands.")],
        tips: ANY_ORDER,
        run: Some(info),
        ..ROW
    },
    Command {
        name: "list",
        full_name: "command|list",
        arity: -2,
        args: &[Arg::one_of("filterby", FILTERS).token("FILTERBY").optional()],
        since: "7.0.0",
        complexity: "O(N) with N the number of commands",
        summary: "Names of all commands, or of those that a filter takes.",
        tips: ANY_ORDER,
        run: Some(list),
        ..ROW
    },
];

/// COMMAND alone. With a word it was no subcommand.
fn all(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if let Some(word) = args.peek() {
        return Err(CmdError::unknown_subcommand(word, "command"));
    }
    reply_all(cx)
}

fn reply_all(cx: &mut Ctx<'_>) -> Outcome {
    cx.reply.array(cx.table.visible().count());
    for row in cx.table.visible() {
        describe::info(&mut cx.reply, cx.table, row);
    }
    Ok(Flow::Done)
}

fn count(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.len(cx.table.visible().count());
    Ok(Flow::Done)
}

fn info(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if !args.more() {
        return reply_all(cx);
    }
    cx.reply.array(args.left());
    while args.more() {
        match cx.table.find_full(args.bytes()?) {
            Some(row) => describe::info(&mut cx.reply, cx.table, row),
            None => cx.reply.null(),
        }
    }
    Ok(Flow::Done)
}

fn docs(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let mut rows: Vec<Row> = Vec::new();
    if args.more() {
        while args.more() {
            rows.extend(cx.table.find_full(args.bytes()?));
        }
    } else {
        rows.extend(cx.table.visible());
    }
    cx.reply.map(rows.len());
    for row in rows {
        describe::docs(&mut cx.reply, cx.table, row);
    }
    Ok(Flow::Done)
}

/// What COMMAND LIST keeps.
enum Filter<'a> {
    None,
    Module,
    Category(u32),
    Pattern(&'a [u8]),
}

impl Filter<'_> {
    fn takes(&self, name: &str, command: &Command) -> bool {
        match self {
            Filter::None => true,
            // No command here comes from a module.
            Filter::Module => false,
            Filter::Category(bits) => command.categories() & bits != 0,
            Filter::Pattern(pattern) => glob_match(pattern, name.as_bytes(), true),
        }
    }
}

fn list(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let filter = if args.more() { list_filter(args)? } else { Filter::None };
    let table = cx.table;
    let with_subs = table.visible().flat_map(|row| std::iter::once(row).chain(table.subcommands(row)));
    let named = with_subs.map(|row| (describe::shown_name(table, row), row.command));
    let names = named.filter(|(name, command)| filter.takes(name, command)).map(|(name, _)| name).collect();
    reply_names(cx, names);
    Ok(Flow::Done)
}

fn list_filter<'a>(args: &mut Args<'a>) -> Result<Filter<'a>, CmdError> {
    if !args.accept("filterby") || args.left() != 2 {
        return Err(CmdError::SYNTAX);
    }
    if args.accept("module") {
        Ok(Filter::Module)
    } else if args.accept("aclcat") {
        let name = args.bytes()?;
        let bit = acl::NAMES.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()));
        Ok(Filter::Category(bit.map_or(0, |bit| 1 << bit)))
    } else if args.accept("pattern") {
        Ok(Filter::Pattern(args.bytes()?))
    } else {
        Err(CmdError::SYNTAX)
    }
}

fn reply_names(cx: &mut Ctx<'_>, names: Vec<&str>) {
    cx.reply.array(names.len());
    for name in names {
        cx.reply.bulk(name.as_bytes());
    }
}

fn keys_of(table: &Table, argv: Argv<'_>) -> Result<keys::Found, CmdError> {
    const INVALID: CmdError = CmdError::text("ERR Invalid command specified");
    let row = argv.get(0).and_then(|name| table.find(name));
    let command = resolve(table, row, argv).map_err(|_| INVALID)?.command;
    if !keys::has_keys(command) {
        return Err(CmdError::text("ERR The command has no key arguments"));
    }
    if !command.fits(argv.len()) {
        return Err(CmdError::text("ERR Invalid number of arguments specified for command"));
    }
    keys::keys_of(command, argv).map_err(|_| CmdError::text("ERR Invalid arguments specified for command"))
}

fn getkeys(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let request = args.argv().skip(args.position());
    let found = keys_of(cx.table, request)?;
    cx.reply.array(found.len());
    for (index, _) in found {
        cx.reply.bulk(request.get(index).unwrap_or_default());
    }
    Ok(Flow::Done)
}

fn getkeysandflags(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let request = args.argv().skip(args.position());
    let found = keys_of(cx.table, request)?;
    cx.reply.array(found.len());
    for (index, flags) in found {
        cx.reply.array(2);
        cx.reply.bulk(request.get(index).unwrap_or_default());
        // That a specification may miss keys says nothing of those that were found.
        let shown = flags & !key_flag::INCOMPLETE;
        let names: Vec<&str> =
            key_flag::NAMES.iter().filter(|(bit, _)| shown & bit != 0).map(|(_, name)| *name).collect();
        cx.reply.set(names.len());
        for name in names {
            cx.reply.simple(name);
        }
    }
    Ok(Flow::Done)
}

/// COMMANDS [pattern | name]: names, or pairs about the one command.
fn commands(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let pattern: &[u8] = if args.more() { args.bytes()? } else { b"*" };
    args.end()?;
    let table = cx.table;
    if let Some(row) = table.find_full(pattern) {
        let name = describe::shown_name(table, row);
        cx.reply.map(4);
        for (what, text) in [
            ("name", name.to_owned()),
            ("syntax", describe::syntax(name, row.command)),
            ("group", row.command.group.to_owned()),
            ("summary", row.command.summary.to_owned()),
        ] {
            cx.reply.bulk(what.as_bytes());
            cx.reply.bulk(text.as_bytes());
        }
        return Ok(Flow::Done);
    }
    let mut names: Vec<&str> =
        table.visible().map(|row| table.name(row)).filter(|name| glob_match(pattern, name.as_bytes(), true)).collect();
    names.sort_unstable();
    reply_names(cx, names);
    Ok(Flow::Done)
}
