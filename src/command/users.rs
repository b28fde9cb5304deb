//! ACL: users and their rights. What a rule means is the room `acl`'s; here are the words and the replies.

mod admin;
mod change;
mod file;
mod report;

pub(super) use change::Keep;
pub(super) use file::keep;
pub use file::{LoadFault, load_at_start};

use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use super::help;
use super::table::{Arg, Command, flag};

pub use admin::COMMANDS as ADMIN_COMMANDS;

const SERVER: Command = Command { group: "server", ..Command::BLANK };
const OPEN: u32 = flag::NOSCRIPT | flag::LOADING | flag::STALE;
const ADMIN: u32 = OPEN | flag::ADMIN;
const USERNAME: Arg = Arg::string("username");

/// The family.
pub const COMMANDS: &[Command] = &[Command {
    name: "acl",
    arity: -2,
    since: "6.0.0",
    complexity: "Depends on the subcommand.",
    summary: "Users and what they may do.",
    subcommands: SUBCOMMANDS,
    ..SERVER
}];

#[rustfmt::skip] // a subcommand is read as one block of few lines
const SUBCOMMANDS: &[Command] = &[
    Command { name: "cat", full_name: "acl|cat", arity: -2, flags: OPEN, args: &[Arg::string("category").optional()],
        since: "6.0.0", complexity: "O(1)", summary: "Names the categories of commands, or the commands of one.",
        run: Some(report::cat), ..SERVER },
    Command { name: "deluser", full_name: "acl|deluser", arity: -3, flags: ADMIN, args: &[USERNAME.multiple()],
        since: "6.0.0", complexity: "O(1) amortised, and O(N) in the clients", tips: TO_ALL,
        summary: "Removes users, and closes the connections of whoever is logged in as one.", run: Some(change::deluser), ..SERVER },
    Command { name: "dryrun", full_name: "acl|dryrun", arity: -4, flags: ADMIN,
        args: &[USERNAME, Arg::string("command"), Arg::string("arg").optional().multiple()],
        since: "7.0.0", complexity: "O(1)", summary: "Tells whether a user may run a command, without running it.",
        run: Some(report::dryrun), ..SERVER },
    Command { name: "genpass", full_name: "acl|genpass", arity: -2, flags: OPEN, args: &[Arg::int("bits").optional()],
        since: "6.0.0", complexity: "O(1)", summary: "Makes a password that nobody can guess.", run: Some(report::genpass), ..SERVER },
    Command { name: "getuser", full_name: "acl|getuser", arity: 3, flags: ADMIN, args: &[USERNAME],
        since: "6.0.0", complexity: "O(N) in the user's rules", summary: "Tells a user's rules.",
        history: &[("6.2.0", "Channels."), ("7.0.0", "Selectors; keys and channels as the rules that make them.")],
        run: Some(report::getuser), ..SERVER },
    Command { full_name: "acl|help", since: "6.0.0", group: "server", ..help::ROW },
    Command { name: "list", full_name: "acl|list", arity: 2, flags: ADMIN,
        since: "6.0.0", complexity: "O(N) in the users", summary: "All users with their rules, as a file has them.",
        run: Some(report::list), ..SERVER },
    Command { name: "load", full_name: "acl|load", arity: 2, flags: ADMIN,
        since: "6.0.0", complexity: "O(N) in the users and clients", summary: "Reads all users from the file that aclfile names.",
        run: Some(file::load), ..SERVER },
    Command { name: "log", full_name: "acl|log", arity: -2, flags: ADMIN,
        args: &[Arg::one_of("operation", &[Arg::int("count"), Arg::word("reset", "RESET")]).optional()],
        since: "6.0.0", complexity: "O(N) in the entries", summary: "The last refused requests and logins; or forgets them.",
        history: &[("7.2.0", "Numbers and times of entries.")], run: Some(report::log), ..SERVER },
    Command { name: "save", full_name: "acl|save", arity: 2, flags: ADMIN, tips: TO_ALL,
        since: "6.0.0", complexity: "O(N) in the users", summary: "Writes all users to the file that aclfile names.",
        run: Some(file::save), ..SERVER },
    Command { name: "setuser", full_name: "acl|setuser", arity: -3, flags: ADMIN, tips: TO_ALL,
        args: &[USERNAME, Arg::string("rule").optional().multiple()],
        since: "6.0.0", complexity: "O(N) in the rules and clients", summary: "Makes a user, or applies rules to one.",
        history: &[("6.2.0", "Channels."), ("7.0.0", "Selectors, and keys to be read or written only.")],
        run: Some(change::setuser), ..SERVER },
    Command { name: "users", full_name: "acl|users", arity: 2, flags: ADMIN,
        since: "6.0.0", complexity: "O(N) in the users", summary: "The names of all users.", run: Some(report::users), ..SERVER },
    Command { name: "whoami", full_name: "acl|whoami", arity: 2, flags: OPEN,
        since: "6.0.0", complexity: "O(1)", summary: "The name of the user that the client is logged in as.",
        run: Some(report::whoami), ..SERVER },
];

/// Users are each node's own.
const TO_ALL: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// A subcommand was given more words than it takes.
fn too_long(given: &[u8]) -> CmdError {
    CmdError::subcommand_syntax(given, "acl")
}

fn done(cx: &mut Ctx<'_>) -> Outcome {
    cx.reply.ok();
    Ok(Flow::Done)
}
