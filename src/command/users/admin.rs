//! Users as the reference system has them: USERADD, USERDEL, PASSWD, USERS, WHOAMI, on top of the same users that ACL sees.
//!
//! ```text
//! USERADD 1   everything                  USERADD 0   everything but @admin and @dangerous; KEYS, INFO and MONITOR stay
//! ```
//!
//! What these commands make or change is kept in a file and survives a restart without further ado. Passwords are letters
//! and digits here; ACL SETUSER takes any.

use super::change::{Keep, hash_password, note};
use super::{ADMIN, OPEN};
use crate::acl::{Password, User};
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::command::table::{Arg, Command};
use crate::stats::Hidden;

const SERVER: Command = Command { group: "server", since: "redstart", ..Command::BLANK };

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "passwd",
        arity: 3,
        flags: OPEN,
        args: &[Arg::string("username"), Arg::string("password")],
        complexity: "O(1)",
        summary: "Gives a user another password: everybody to themselves, an administrator to anybody.",
        run: Some(passwd),
        ..SERVER
    },
    Command {
        name: "useradd",
        arity: 4,
        flags: ADMIN,
        args: &[Arg::int("admin"), Arg::string("username"), Arg::string("password")],
        complexity: "O(N) in the users that are kept in the file",
        summary: "Adds a user who may do everything (1), or everything but administrate (0).",
        run: Some(useradd),
        ..SERVER
    },
    Command {
        name: "userdel",
        arity: 2,
        flags: ADMIN,
        args: &[Arg::string("username")],
        complexity: "O(N) in the users that are kept in the file",
        summary: "Removes a user and closes its connections.",
        run: Some(userdel),
        ..SERVER
    },
    Command {
        name: "users",
        arity: -1,
        flags: ADMIN,
        args: &[Arg::string("username").optional()],
        complexity: "O(N) in the users",
        summary: "Names all users, or tells of one of them.",
        run: Some(users),
        ..SERVER
    },
    Command {
        name: "whoami",
        arity: 1,
        flags: OPEN,
        complexity: "O(1)",
        summary: "Tells the client's user and address.",
        run: Some(whoami),
        ..SERVER
    },
];

/// What a user who is no administrator may do.
const PLAIN_RULES: [&str; 9] = ["on", "~*", "&*", "+@all", "-@admin", "-@dangerous", "+keys", "+info", "+monitor"];
const ADMIN_RULES: [&str; 4] = ["on", "~*", "&*", "+@all"];

const NOT_ALPHANUMERIC: CmdError =
    CmdError::text("ERR The password must consist of letters and digits only, and have at least one");
const PROTECTED: CmdError = CmdError::text("ERR The built-in administrator can't be removed");

/// The password of these commands.
fn password(cx: &Ctx<'_>, text: &[u8]) -> Result<Password, CmdError> {
    if text.is_empty() || !text.iter().all(u8::is_ascii_alphanumeric) {
        return Err(NOT_ALPHANUMERIC);
    }
    hash_password(cx, text)
}

fn useradd(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    cx.hidden = Hidden::from(3);
    let rules: &[&str] = match args.bytes()? {
        b"1" => &ADMIN_RULES,
        b"0" => &PLAIN_RULES,
        _ => return Err(CmdError::text("ERR The first argument must be 1 for an administrator or 0 for a user")),
    };
    let name = args.bytes()?;
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_alphanumeric() || b"_.-@".contains(byte)) {
        return Err(CmdError::text("ERR The name must consist of letters, digits and _ . - @"));
    }
    if cx.acl.find(name).is_some() {
        return Err(CmdError::quoting_whole("ERR User '", name, "' exists already"));
    }
    let password = password(cx, args.bytes()?)?;
    let catalog = cx.acl.catalog();
    let mut user = User::new(name, catalog, false);
    for rule in rules {
        user.apply(rule.as_bytes(), catalog, false).expect("the words are rules");
    }
    user.add_password(password);
    user.kept = true;
    cx.keep_and_put(user, Keep::Always)?;
    note(cx, "useradd", name);
    super::done(cx)
}

fn userdel(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.bytes()?;
    let user = cx.acl.find(name).ok_or_else(|| CmdError::no_such_user(name))?;
    if *user.name == *b"default" {
        return Err(PROTECTED);
    }
    cx.remove_user(name, Keep::Always)?;
    super::done(cx)
}

/// Whether a user may manage others.
fn is_admin(cx: &Ctx<'_>, user: &User) -> bool {
    let id = cx.acl.catalog().find(b"useradd");
    id.is_some_and(|id| user.selectors().iter().any(|selector| selector.admits_command(id, None)))
}

fn passwd(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    cx.hidden = Hidden::from(2);
    let name = args.bytes()?;
    let own = cx.session.user.clone();
    let may =
        own.as_ref().is_none_or(|own| cx.acl.find(name).is_some_and(|user| user.name == own.name) || is_admin(cx, own));
    if !may {
        let text =
            [b"User ", cx.session.user_name(), b" has no permissions to change the password of another user"].concat();
        return Err(CmdError::no_permission(&text));
    }
    let user = cx.acl.find(name).cloned().ok_or_else(|| CmdError::no_such_user(name))?;
    let password = password(cx, args.bytes()?)?;
    let mut user = (*user).clone();
    user.apply(b"resetpass", cx.acl.catalog(), false).expect("the word is a rule");
    user.add_password(password);
    user.kept = true;
    cx.keep_and_put(user, Keep::Always)?;
    note(cx, "passwd", name);
    super::done(cx)
}

fn users(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() > 1 {
        return Err(CmdError::arity("users"));
    }
    if args.more() {
        let name = args.bytes()?;
        let user = cx.acl.find(name).cloned().ok_or_else(|| CmdError::no_such_user(name))?;
        let admin = is_admin(cx, &user);
        cx.reply.map(4);
        pair(cx, "username", &user.name);
        pair(cx, "admin", if admin { b"1" } else { b"0" });
        pair(cx, "enabled", if user.enabled { b"1" } else { b"0" });
        pair(cx, "full-name", &user.name);
        return Ok(Flow::Done);
    }
    let all = cx.acl.iter();
    cx.reply.array(all.len());
    all.for_each(|user| cx.reply.bulk(&user.name));
    Ok(Flow::Done)
}

fn whoami(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let user = cx.session.user.clone();
    let admin = user.as_ref().is_none_or(|user| is_admin(cx, user));
    let name = cx.session.user_name().to_vec();
    let peer = cx.session.peer.clone();
    let address = peer.rsplit_once(':').map_or(&*peer, |(address, _)| address);
    cx.reply.map(4);
    pair(cx, "username", &name);
    pair(cx, "ip", address.trim_start_matches('[').trim_end_matches(']').as_bytes());
    pair(cx, "admin", if admin { b"1" } else { b"0" });
    pair(cx, "full-name", &name);
    Ok(Flow::Done)
}

fn pair(cx: &mut Ctx<'_>, name: &str, value: &[u8]) {
    cx.reply.bulk(name.as_bytes());
    cx.reply.bulk(value);
}
