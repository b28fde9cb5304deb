//! HELP of the container commands, rendered from their rows: no text is written twice.

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::table::{Arg, ArgType, Command, flag};

/// Width of a summary's lines, in characters.
const WIDTH: usize = 75;

/// The row of a HELP subcommand; its container adds the full name, version, group and categories.
pub const ROW: Command = Command {
    name: "help",
    arity: 2,
    flags: flag::LOADING | flag::STALE,
    complexity: "O(1)",
    summary: "Prints this help.",
    run: Some(help),
    ..Command::BLANK
};

/// HELP of the container whose subcommand runs.
pub fn help(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let name = cx.command_name().split('|').next().unwrap_or_default();
    let container = cx.table.commands().find(|row| row.command.name == name);
    let lines = container.map_or_else(Vec::new, |row| lines(row.command));
    cx.reply.array(lines.len());
    for line in lines {
        cx.reply.simple(&line);
    }
    Ok(Flow::Done)
}

/// The lines of a container's help.
pub fn lines(container: &Command) -> Vec<String> {
    let name = container.name.to_ascii_uppercase();
    let mut lines = vec![format!("{name} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")];
    for sub in container.subcommands.iter().filter(|sub| sub.name != "help") {
        let mut line = sub.name.to_ascii_uppercase();
        for arg in sub.args {
            line.push(' ');
            line.push_str(&syntax(arg));
        }
        lines.push(line);
        wrap(sub.summary, &mut lines);
    }
    lines.push("HELP".to_owned());
    wrap(ROW.summary, &mut lines);
    lines
}

/// How an argument is written: `<key>`, `COUNT <count>`, `[NX|XX]`, `<field> [<field> ...]`.
fn syntax(arg: &Arg) -> String {
    let parts = |separator: &str| arg.parts.iter().map(syntax).collect::<Vec<_>>().join(separator);
    let value = match arg.kind {
        ArgType::PureToken => String::new(),
        ArgType::OneOf if arg.optional || arg.parts.iter().all(|part| part.kind == ArgType::PureToken) => parts("|"),
        ArgType::OneOf => format!("({})", parts("|")),
        ArgType::Block => parts(" "),
        _ => format!("<{}>", arg.name),
    };
    let mut text = match arg.token {
        Some(token) if value.is_empty() => token.to_owned(),
        Some(token) => format!("{token} {value}"),
        None => value.clone(),
    };
    if arg.multiple {
        let again = if arg.multiple_token { &text } else { &value };
        text = format!("{text} [{again} ...]");
    }
    if arg.optional { format!("[{text}]") } else { text }
}

/// Adds a text in indented lines.
fn wrap(text: &str, lines: &mut Vec<String>) {
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.len() + 1 + word.len() > WIDTH {
            lines.push(format!("    {line}"));
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(format!("    {line}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_is_made_of_the_rows() {
        const SUBS: &[Command] = &[
            Command {
                name: "get",
                args: &[Arg::new("pattern", ArgType::Pattern).multiple()],
                summary: "Replies a summary that is long enough to be broken into two lines, which it must be somewhere.",
                ..Command::BLANK
            },
            ROW,
            Command {
                name: "kill",
                args: &[
                    Arg::one_of("how", &[Arg::word("now", "NOW"), Arg::word("later", "LATER")]).optional(),
                    Arg::int("client-id").token("ID"),
                ],
                summary: "Kills.",
                ..Command::BLANK
            },
        ];
        const CONTAINER: Command = Command { name: "thing", subcommands: SUBS, ..Command::BLANK };
        assert_eq!(
            lines(&CONTAINER),
            [
                "THING <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
                "GET <pattern> [<pattern> ...]",
                "    Replies a summary that is long enough to be broken into two lines, which it",
                "    must be somewhere.",
                "KILL [NOW|LATER] ID <client-id>",
                "    Kills.",
                "HELP",
                "    Prints this help.",
            ]
        );
    }
}
