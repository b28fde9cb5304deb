//! How rows of the command table are shown: COMMAND INFO, COMMAND DOCS, and the syntax line of COMMANDS.

use crate::command::table::{Arg, ArgType, Begin, Command, Find, KeySpec, Row, Table, acl, flag, key_flag};
use crate::resp::Reply;

/// The array that COMMAND and COMMAND INFO reply for a row.
pub(super) fn info(reply: &mut Reply<'_>, table: &Table, row: Row) {
    let command = row.command;
    let (first, last, step) = legacy_range(command.keys);
    reply.array(10);
    reply.bulk(shown_name(table, row).as_bytes());
    reply.int(i64::from(command.arity));
    let flags = command.flags | if has_movable_keys(command) { flag::MOVABLE_KEYS } else { 0 };
    names(reply, "", flag::NAMES.iter().filter(|(bit, _)| flags & bit != 0).map(|(_, name)| *name));
    reply.int(first);
    reply.int(last);
    reply.int(step);
    names(reply, "@", category_names(command.categories()));
    reply.set(command.tips.len());
    command.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.keys.len());
    command.keys.iter().for_each(|spec| key_spec(reply, spec));
    let subs: Vec<Row> = table.subcommands(row).collect();
    // No subcommands are an empty set, some are an array: so it is in the reference.
    if subs.is_empty() {
        return reply.set(0);
    }
    reply.array(subs.len());
    for sub in subs {
        info(reply, table, sub);
    }
}

/// A command's name as it is called here (rename-command); a subcommand's full name.
pub(super) fn shown_name(table: &Table, row: Row) -> &str {
    if row.command.full_name.is_empty() { table.name(row) } else { row.command.full_name }
}

/// The names of ACL categories.
pub(super) fn category_names(categories: u32) -> impl Iterator<Item = &'static str> {
    acl::NAMES.iter().enumerate().filter(move |(bit, _)| categories & (1 << bit) != 0).map(|(_, name)| *name)
}

fn names(reply: &mut Reply<'_>, prefix: &str, names: impl Iterator<Item = &'static str>) {
    let names: Vec<&str> = names.collect();
    reply.set(names.len());
    for name in names {
        reply.simple(&format!("{prefix}{name}"));
    }
}

/// Whether clients can't find all keys by first key, last key and step.
fn has_movable_keys(command: &Command) -> bool {
    let is_fixed = |spec: &KeySpec| matches!((spec.begin, spec.find), (Begin::At(_), Find::Range { limit: 0 | 1, .. }));
    command.keys.iter().any(|spec| !is_fixed(spec) || spec.flags & key_flag::INCOMPLETE != 0)
}

/// First key, last key and step as clients knew them before key specs: those of the range specs that begin the list.
fn legacy_range(specs: &[KeySpec]) -> (i64, i64, i64) {
    let mut range: Option<(i64, i64, i64)> = None;
    for spec in specs {
        let (Begin::At(begin), Find::Range { last, step, limit: 0 | 1 }) = (spec.begin, spec.find) else { break };
        let begin = begin as i64;
        let last = if last < 0 { i64::from(last) } else { begin + i64::from(last) };
        range = Some(match range {
            None => (begin, last, step as i64),
            // The next keys must follow at once.
            Some((first, before, _)) if before + 1 == begin => (first, last, step as i64),
            Some(range) => range,
        });
    }
    range.unwrap_or_default()
}

fn key_spec(reply: &mut Reply<'_>, spec: &KeySpec) {
    reply.map(3);
    reply.bulk(b"flags");
    names(reply, "", key_flag::NAMES.iter().filter(|(bit, _)| spec.flags & bit != 0).map(|(_, name)| *name));
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::At(index) => typed(reply, "index", &[("index", index as i64)]),
        Begin::Unknown => typed(reply, "unknown", &[]),
        Begin::Keyword(word, from) => {
            reply.map(2);
            reply.bulk(b"type");
            reply.bulk(b"keyword");
            reply.bulk(b"spec");
            reply.map(2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            reply.bulk(b"startfrom");
            reply.int(i64::from(from));
        }
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            typed(reply, "range", &[("lastkey", i64::from(last)), ("keystep", step as i64), ("limit", limit as i64)]);
        }
        Find::KeyNum { at, first, step } => {
            typed(reply, "keynum", &[("keynumidx", at as i64), ("firstkey", first as i64), ("keystep", step as i64)]);
        }
        Find::Unknown => typed(reply, "unknown", &[]),
    }
}

fn typed(reply: &mut Reply<'_>, kind: &str, spec: &[(&str, i64)]) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(spec.len());
    for (name, value) in spec {
        reply.bulk(name.as_bytes());
        reply.int(*value);
    }
}

/// The pair of name and map that COMMAND DOCS replies for a row.
pub(super) fn docs(reply: &mut Reply<'_>, table: &Table, row: Row) {
    let command = row.command;
    reply.bulk(shown_name(table, row).as_bytes());
    let map = reply.defer();
    let mut pairs = 0;
    let mut pair = |reply: &mut Reply<'_>, name: &str, value: &str| {
        if !value.is_empty() {
            pairs += 1;
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        }
    };
    pair(reply, "summary", command.summary);
    pair(reply, "since", command.since);
    pair(reply, "group", command.group);
    pair(reply, "complexity", command.complexity);
    if let Some((since, instead)) = command.deprecated {
        pairs += 1;
        reply.bulk(b"doc_flags");
        names(reply, "", std::iter::once("deprecated"));
        let mut pair = |name: &str, value: &str| {
            pairs += 1;
            reply.bulk(name.as_bytes());
            reply.bulk(value.as_bytes());
        };
        pair("deprecated_since", since);
        pair("replaced_by", instead);
    }
    if !command.history.is_empty() {
        pairs += 1;
        history(reply, command);
    }
    if !command.args.is_empty() {
        pairs += 1;
        arguments(reply, command.args);
    }
    let subs: Vec<Row> = table.subcommands(row).collect();
    if !subs.is_empty() {
        pairs += 1;
        reply.bulk(b"subcommands");
        reply.map(subs.len());
        for sub in subs {
            docs(reply, table, sub);
        }
    }
    reply.fill_map(map, pairs);
}

fn history(reply: &mut Reply<'_>, command: &Command) {
    reply.bulk(b"history");
    reply.set(command.history.len());
    for (version, change) in command.history {
        reply.array(2);
        reply.bulk(version.as_bytes());
        reply.bulk(change.as_bytes());
    }
}

fn arguments(reply: &mut Reply<'_>, args: &[Arg]) {
    reply.bulk(b"arguments");
    reply.array(args.len());
    for arg in args {
        argument(reply, arg);
    }
}

fn argument(reply: &mut Reply<'_>, arg: &Arg) {
    let map = reply.defer();
    let mut pairs = 0;
    let mut pair = |reply: &mut Reply<'_>, name: &str, value: &str| {
        pairs += 1;
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    };
    pair(reply, "name", arg.name);
    pair(reply, "type", arg.kind.name());
    if arg.parts.is_empty() {
        pair(reply, "display_text", arg.name);
    }
    if let Some(token) = arg.token {
        pair(reply, "token", token);
    }
    if let Some(since) = arg.since {
        pair(reply, "since", since);
    }
    if arg.kind == ArgType::Key {
        pairs += 1;
        reply.bulk(b"key_spec_index");
        reply.len(arg.key_spec);
    }
    let flags = [(arg.optional, "optional"), (arg.multiple, "multiple"), (arg.multiple_token, "multiple_token")];
    let flags: Vec<&str> = flags.iter().filter(|(set, _)| *set).map(|(_, name)| *name).collect();
    if !flags.is_empty() {
        pairs += 1;
        reply.bulk(b"flags");
        names(reply, "", flags.into_iter());
    }
    if !arg.parts.is_empty() {
        pairs += 1;
        arguments(reply, arg.parts);
    }
    reply.fill_map(map, pairs);
}

/// `SET key value [NX | XX] ...`: a container shows its subcommands' words.
pub(super) fn syntax(name: &str, command: &Command) -> String {
    let mut text = name.replace('|', " ").to_ascii_uppercase();
    if !command.subcommands.is_empty() {
        let words: Vec<String> = command.subcommands.iter().map(|sub| sub.name.to_ascii_uppercase()).collect();
        let words = words.join(" | ");
        text.push_str(&if command.run.is_some() { format!(" [{words}]") } else { format!(" <{words}>") });
    }
    for arg in command.args {
        text.push(' ');
        text.push_str(&arg_syntax(arg));
    }
    text
}

fn arg_syntax(arg: &Arg) -> String {
    let parts = |separator: &str| arg.parts.iter().map(arg_syntax).collect::<Vec<_>>().join(separator);
    let value = match arg.kind {
        ArgType::PureToken => String::new(),
        ArgType::OneOf if arg.optional => parts(" | "),
        ArgType::OneOf => format!("<{}>", parts(" | ")),
        ArgType::Block => parts(" "),
        _ => arg.name.to_owned(),
    };
    let with_token = |value: &str| match arg.token {
        Some(token) if value.is_empty() => token.to_owned(),
        Some(token) => format!("{token} {value}"),
        None => value.to_owned(),
    };
    let mut text = with_token(&value);
    if arg.multiple {
        let again = if arg.multiple_token { text.clone() } else { value };
        text = format!("{text} [{again} ...]");
    }
    if arg.optional { format!("[{text}]") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::key_flag as kf;

    #[test]
    fn the_old_range_covers_the_specs_that_follow_each_other() {
        assert_eq!(legacy_range(&[]), (0, 0, 0));
        assert_eq!(legacy_range(&[KeySpec::range(1, -1, 2, kf::OW)]), (1, -1, 2));
        assert_eq!(legacy_range(&[KeySpec::at(1, kf::OW), KeySpec::range(2, -1, 1, kf::RO)]), (1, -1, 1));
        assert_eq!(legacy_range(&[KeySpec::at(1, kf::RW), KeySpec::at(2, kf::RW)]), (1, 2, 1));
        assert_eq!(legacy_range(&[KeySpec::at(1, kf::OW), KeySpec::count(2, 1, kf::RO)]), (1, 1, 1));
        assert_eq!(legacy_range(&[KeySpec::count(2, 1, kf::RO)]), (0, 0, 0));
    }

    #[test]
    fn syntax_shows_options_in_brackets() {
        const CHOICE: &[Arg] = &[Arg::word("nx", "NX"), Arg::int("seconds").token("EX")];
        const PAIR: &[Arg] = &[Arg::key("key"), Arg::string("value")];
        const COMMAND: Command = Command {
            args: &[
                Arg::block("data", PAIR).multiple(),
                Arg::one_of("how", CHOICE).optional(),
                Arg::one_of("which", CHOICE),
                Arg::new("pattern", ArgType::Pattern).token("GET").multiple_token().optional(),
            ],
            ..Command::BLANK
        };
        assert_eq!(
            syntax("config|set", &COMMAND),
            "CONFIG SET key value [key value ...] [NX | EX seconds] <NX | EX seconds> [GET pattern [GET pattern ...]]"
        );
    }
}
