//! What tells of users, rules and refusals and changes nothing: CAT, DRYRUN, GENPASS, GETUSER, LIST, LOG, USERS, WHOAMI.

use super::too_long;
use crate::acl::{LogEntry, Selector};
use crate::base::{number, rng};
use crate::command::access;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::resp::Reply;
use crate::stats::Hidden;
use std::fmt::Write as _;

/// Most bits of a generated password.
const PASSWORD_BITS_MAX: i64 = 4096;
/// Bits of a generated password that was asked for without a number.
const PASSWORD_BITS: i64 = 256;
/// Entries of the log that are shown to whoever names no number.
const LOG_SHOWN: i64 = 10;

/// ACL CAT.
pub(super) fn cat(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let catalog = cx.acl.catalog();
    match args.left() {
        0 => {
            cx.reply.array(catalog.categories().len());
            catalog.categories().iter().for_each(|name| cx.reply.bulk(name.as_bytes()));
        }
        1 => {
            let name = args.bytes()?;
            let bit = catalog.category(name).ok_or_else(|| CmdError::quoting("ERR Unknown category '", name, "'"))?;
            let fits: Vec<&str> = catalog
                .entries()
                .filter(|(_, entry)| entry.categories & bit != 0 && !entry.is_absent)
                .map(|(_, entry)| &*entry.name)
                .collect();
            cx.reply.array(fits.len());
            fits.into_iter().for_each(|name| cx.reply.bulk(name.as_bytes()));
        }
        _ => return Err(too_long(args.argv().get(1).unwrap_or_default())),
    }
    Ok(Flow::Done)
}

/// ACL DRYRUN.
pub(super) fn dryrun(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let name = args.bytes()?;
    let user = cx.acl.find(name).cloned().ok_or_else(|| CmdError::quoting_whole("ERR User '", name, "' not found"))?;
    let argv = args.argv().skip(args.position());
    let given = argv.get(0).unwrap_or_default();
    let mut row = cx.table.find(given);
    if let (Some(container), Some(word)) = (row, argv.get(1)) {
        if !container.command.subcommands.is_empty() {
            row = cx.table.find_sub(container, word);
        }
    }
    let row = row.ok_or_else(|| CmdError::quoting_whole("ERR Command '", given, "' not found"))?;
    if !row.command.fits(argv.len()) {
        return Err(CmdError::arity(&row.command.error_name()));
    }
    match access::judge(&user, row, argv, cx.db.index.0, &mut cx.acl.found) {
        Ok(()) => cx.reply.ok(),
        Err(denied) => cx.reply.bulk(&access::denial(&user.name, row, argv, denied, true)),
    }
    Ok(Flow::Done)
}

/// ACL GENPASS.
pub(super) fn genpass(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() > 1 {
        return Err(too_long(args.argv().get(1).unwrap_or_default()));
    }
    let bits = match args.peek() {
        None => PASSWORD_BITS,
        Some(bits) => number::parse_i64(bits).ok_or(CmdError::NOT_INTEGER)?,
    };
    if !(1..=PASSWORD_BITS_MAX).contains(&bits) {
        return Err(CmdError::owned(format!(
            "ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to \
             {PASSWORD_BITS_MAX}"
        )));
    }
    let digits = bits.unsigned_abs().div_ceil(4) as usize;
    let bytes =
        rng::secret_bytes(digits.div_ceil(2)).map_err(|_| CmdError::text("ERR The system has no randomness"))?;
    let mut password = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(password, "{byte:02x}").expect("a string takes all");
    }
    cx.reply.bulk(&password.as_bytes()[..digits]);
    Ok(Flow::Done)
}

/// ACL GETUSER.
pub(super) fn getuser(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    // Who there is is nobody else's business either.
    cx.hidden = Hidden::from(2);
    let Some(user) = cx.acl.get(args.bytes()?).cloned() else {
        cx.reply.null();
        return Ok(Flow::Done);
    };
    let (reply, root) = (&mut cx.reply, &user.selectors()[0]);
    let databases = root.describe_databases();
    let bounds = usize::from(user.rate > 0) + 2 * usize::from(user.memory_bytes > 0);
    reply.map(6 + usize::from(databases.is_some()) + bounds);
    reply.bulk(b"flags");
    reply.set(user.flags().count());
    user.flags().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    for password in user.passwords() {
        let text = password.describe();
        reply.bulk(text.strip_prefix('#').unwrap_or(&text).as_bytes());
    }
    describe_selector(reply, root);
    reply.bulk(b"selectors");
    reply.array(user.selectors().len() - 1);
    for selector in &user.selectors()[1..] {
        let databases = selector.describe_databases();
        reply.map(3 + usize::from(databases.is_some()));
        describe_selector(reply, selector);
        describe_databases(reply, databases);
    }
    describe_databases(reply, databases);
    if user.rate > 0 {
        reply.bulk(b"rate");
        reply.uint(u64::from(user.rate));
    }
    if user.memory_bytes > 0 {
        reply.bulk(b"memory");
        reply.uint(user.memory_bytes);
        reply.bulk(b"memory-used");
        reply.uint(user.held.bytes() as u64);
    }
    Ok(Flow::Done)
}

fn describe_selector(reply: &mut Reply<'_>, selector: &Selector) {
    reply.bulk(b"commands");
    reply.bulk(&selector.describe_commands());
    reply.bulk(b"keys");
    reply.bulk(&selector.describe_keys());
    reply.bulk(b"channels");
    reply.bulk(&selector.describe_channels());
}

fn describe_databases(reply: &mut Reply<'_>, databases: Option<Vec<u8>>) {
    if let Some(databases) = databases {
        reply.bulk(b"databases");
        reply.bulk(&databases);
    }
}

/// ACL LIST.
pub(super) fn list(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let users = cx.acl.iter();
    cx.reply.array(users.len());
    for user in users {
        cx.reply.bulk(&[b"user ", &*user.name, b" ", &*user.describe()].concat());
    }
    Ok(Flow::Done)
}

/// ACL USERS.
pub(super) fn users(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let users = cx.acl.iter();
    cx.reply.array(users.len());
    users.for_each(|user| cx.reply.bulk(&user.name));
    Ok(Flow::Done)
}

/// ACL WHOAMI.
pub(super) fn whoami(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    match &cx.session.user {
        Some(user) => cx.reply.bulk(&user.name),
        None => cx.reply.null(),
    }
    Ok(Flow::Done)
}

/// ACL LOG.
pub(super) fn log(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() > 1 {
        return Err(too_long(args.argv().get(1).unwrap_or_default()));
    }
    if args.accept("reset") {
        cx.acl.log.clear();
        return super::done(cx);
    }
    let count = match args.peek() {
        None => LOG_SHOWN,
        Some(count) => number::parse_i64(count).ok_or(CmdError::NOT_INTEGER)?,
    };
    let count = usize::try_from(count).unwrap_or(0).min(cx.acl.log.iter().len());
    cx.reply.array(count);
    for entry in cx.acl.log.iter().take(count) {
        show(&mut cx.reply, entry, cx.now.unix_ms.0);
    }
    Ok(Flow::Done)
}

fn show(reply: &mut Reply<'_>, entry: &LogEntry, now_ms: i64) {
    reply.map(10);
    reply.bulk(b"count");
    reply.uint(entry.count);
    let texts: [(&str, &[u8]); 4] = [
        ("reason", entry.reason.word().as_bytes()),
        ("context", entry.context.word().as_bytes()),
        ("object", &entry.object),
        ("username", &entry.user),
    ];
    for (name, value) in texts {
        reply.bulk(name.as_bytes());
        reply.bulk(value);
    }
    reply.bulk(b"age-seconds");
    reply.double((now_ms - entry.updated_ms) as f64 / 1000.0);
    reply.bulk(b"client-info");
    reply.bulk(&entry.client);
    reply.bulk(b"entry-id");
    reply.uint(entry.id);
    reply.bulk(b"timestamp-created");
    reply.int(entry.created_ms);
    reply.bulk(b"timestamp-last-updated");
    reply.int(entry.updated_ms);
}
