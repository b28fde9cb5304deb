//! Streams: XGROUP, XACK and XSETID.

use super::{CONSUMER, GROUP, HELP, INVALID_ID, KEY, no_group, parse_id};
use crate::command::table::{Arg, Command, KeySpec, acl, flag, key_flag as kf};
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::keyspace::{Event, Key, Missing};
use crate::types::{Group, Stream, StreamData, StreamId};

const ROW: Command =
    Command { group: "stream", acl: acl::STREAM, since: "5.0.0", complexity: "O(1)", ..Command::BLANK };
const INSERT: &[KeySpec] = &[KeySpec::at(2, kf::RW | kf::INSERT)];
const DELETE: &[KeySpec] = &[KeySpec::at(2, kf::RW | kf::DELETE)];
const ID: Arg = Arg::one_of("id-selector", &[Arg::string("id"), Arg::word("new-id", "$")]);
const ENTRIES_READ: Arg = Arg::int("entries-read").token("ENTRIESREAD").optional().since("7.0.0");

pub const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "create",
        full_name: "xgroup|create",
        arity: -5,
        flags: flag::WRITE | flag::DENYOOM,
        keys: INSERT,
        args: &[KEY, GROUP, ID, Arg::word("mkstream", "MKSTREAM").optional(), ENTRIES_READ],
        summary: "Makes a group that has read up to an id.",
        history: &[("7.0.0", "ENTRIESREAD.")],
        run: Some(create),
        ..ROW
    },
    Command {
        name: "createconsumer",
        full_name: "xgroup|createconsumer",
        arity: 5,
        flags: flag::WRITE | flag::DENYOOM,
        keys: INSERT,
        args: &[KEY, GROUP, CONSUMER],
        since: "6.2.0",
        summary: "Makes a consumer in a group.",
        run: Some(create_consumer),
        ..ROW
    },
    Command {
        name: "delconsumer",
        full_name: "xgroup|delconsumer",
        arity: 5,
        flags: flag::WRITE,
        keys: DELETE,
        args: &[KEY, GROUP, CONSUMER],
        summary: "Removes a consumer; replies how many pending entries it had.",
        run: Some(delete_consumer),
        ..ROW
    },
    Command {
        name: "destroy",
        full_name: "xgroup|destroy",
        arity: 4,
        flags: flag::WRITE,
        keys: DELETE,
        args: &[KEY, GROUP],
        complexity: "O(N) in the pending entries of the group",
        summary: "Removes a group.",
        run: Some(destroy),
        ..ROW
    },
    Command { full_name: "xgroup|help", ..HELP },
    Command {
        name: "setid",
        full_name: "xgroup|setid",
        arity: -5,
        flags: flag::WRITE,
        keys: &[KeySpec::at(2, kf::RW | kf::UPDATE)],
        args: &[KEY, GROUP, ID, ENTRIES_READ],
        summary: "Sets up to which id a group has read.",
        history: &[("7.0.0", "ENTRIESREAD.")],
        run: Some(set_id),
        ..ROW
    },
];

const NEEDS_KEY: CmdError = CmdError::text(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM option to \
     create an empty stream automatically.",
);
const BUSY_GROUP: CmdError = CmdError::text("BUSYGROUP Consumer Group name already exists");
const ENTRIES_READ_NEGATIVE: CmdError = CmdError::text("ERR value for ENTRIESREAD must be positive or -1");
const ENTRIES_ADDED_NEGATIVE: CmdError = CmdError::text("ERR entries_added must be positive");
const BELOW_DELETED: CmdError =
    CmdError::text("ERR The ID specified in XSETID is smaller than the provided max_deleted_entry_id");
const BELOW_CURRENT_DELETED: CmdError =
    CmdError::text("ERR The ID specified in XSETID is smaller than current max_deleted_entry_id");
const BELOW_TOP: CmdError = CmdError::text("ERR The ID specified in XSETID is smaller than the target stream top item");
const FEWER_THAN_ENTRIES: CmdError =
    CmdError::text("ERR The entries_added specified in XSETID is smaller than the target stream length");

/// Words of a CREATE and of a SETID with all their options once.
const MOST_CREATE_WORDS: usize = 8;
const MOST_SETID_WORDS: usize = 7;

/// A change of groups breaks no WATCH: the entries are as they were.
const fn quietly(name: &'static str) -> Event {
    Event { changed: false, ..Event::stream(name) }
}

/// The words behind an id.
struct Options {
    make: bool,
    entries_read: Option<i64>,
}

/// Options of CREATE and SETID.
fn options(args: &mut Args<'_>, creates: bool) -> Result<Options, CmdError> {
    let mut options = Options { make: false, entries_read: None };
    while args.more() {
        if creates && args.accept("mkstream") {
            options.make = true;
        } else if args.left() > 1 && args.accept("entriesread") {
            options.entries_read = match args.int()? {
                -1 => None,
                read @ 0.. => Some(read),
                _ => return Err(ENTRIES_READ_NEGATIVE),
            };
        } else {
            return Err(CmdError::subcommand_syntax(args.argv().get(1).unwrap_or_default(), "xgroup"));
        }
    }
    Ok(options)
}

/// No group of this name in a stream that there is.
#[cold]
pub fn missing_group(key: Key<'_>, name: &[u8]) -> CmdError {
    CmdError::quoting_two("NOGROUP No such consumer group '", name, "' for key name '", key.bytes, "'")
}

/// No group has read more than there ever was.
fn entries_read(options: &Options, stream: &StreamData) -> Option<i64> {
    let added = i64::try_from(stream.log().entries_added()).unwrap_or(i64::MAX);
    options.entries_read.map(|read| read.min(added))
}

fn create(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name, id) = (args.key()?, args.bytes()?, args.bytes()?);
    let options = options(args, true)?;
    let missing = if options.make { Missing::Create } else { Missing::Skip };
    let mut edit = cx.db.edit::<Stream>(key, missing)?.ok_or(NEEDS_KEY)?;
    if args.argc() > MOST_CREATE_WORDS {
        return Err(CmdError::subcommand_syntax(args.argv().get(1).unwrap_or_default(), "xgroup"));
    }
    let stream = edit.view();
    let id = if id == b"$" { stream.log().last_id() } else { parse_id(id)? };
    let read = entries_read(&options, stream);
    if !edit.value().add_group(name, Group::new(id, read)) {
        return Err(BUSY_GROUP);
    }
    let event = if edit.created() { Event::stream("xgroup-create") } else { quietly("xgroup-create") };
    edit.finish(event);
    cx.reply.ok();
    Ok(Flow::Done)
}

fn set_id(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name, id) = (args.key()?, args.bytes()?, args.bytes()?);
    let options = options(args, false)?;
    let mut edit = cx.db.edit::<Stream>(key, Missing::Skip)?.ok_or(NEEDS_KEY)?;
    let stream = edit.view();
    if stream.group(name).is_none() {
        return Err(missing_group(key, name));
    }
    if args.argc() > MOST_SETID_WORDS {
        return Err(CmdError::subcommand_syntax(args.argv().get(1).unwrap_or_default(), "xgroup"));
    }
    let id = match id {
        b"$" => stream.log().last_id(),
        id => StreamId::parse_bound(id, 0).ok_or(INVALID_ID)?,
    };
    let read = entries_read(&options, stream);
    if let Some(group) = edit.value().group_mut(name) {
        group.last_id = id;
        group.entries_read = read;
    }
    edit.finish(quietly("xgroup-setid"));
    cx.reply.ok();
    Ok(Flow::Done)
}

fn destroy(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.bytes()?);
    let mut edit = cx.db.edit::<Stream>(key, Missing::Skip)?.ok_or(NEEDS_KEY)?;
    let destroyed = edit.value().remove_group(name);
    if destroyed {
        edit.finish(quietly("xgroup-destroy"));
        // Its consumers that wait are to be told.
        let db = cx.db.index;
        cx.db.space.book.awaited.touch(db, key.bytes);
    }
    cx.reply.int(i64::from(destroyed));
    Ok(Flow::Done)
}

fn create_consumer(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name, consumer) = (args.key()?, args.bytes()?, args.bytes()?);
    let now_ms = cx.now.wall_ms();
    let mut edit = cx.db.edit::<Stream>(key, Missing::Skip)?.ok_or(NEEDS_KEY)?;
    let mut stream = edit.value();
    let group = stream.group_mut(name).ok_or_else(|| missing_group(key, name))?;
    let created = group.add_consumer(consumer, now_ms).is_some();
    drop(stream);
    if created {
        edit.finish(quietly("xgroup-createconsumer"));
    }
    cx.reply.int(i64::from(created));
    Ok(Flow::Done)
}

fn delete_consumer(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name, consumer) = (args.key()?, args.bytes()?, args.bytes()?);
    let mut edit = cx.db.edit::<Stream>(key, Missing::Skip)?.ok_or(NEEDS_KEY)?;
    let mut stream = edit.value();
    let group = stream.group_mut(name).ok_or_else(|| missing_group(key, name))?;
    let pending = group.remove_consumer(consumer);
    drop(stream);
    if pending.is_some() {
        edit.finish(quietly("xgroup-delconsumer"));
    }
    cx.reply.len(pending.unwrap_or(0));
    Ok(Flow::Done)
}

pub fn xack(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name) = (args.key()?, args.bytes()?);
    let mut acknowledged = 0;
    // Counted and announced as a look.
    cx.db.read::<Stream>(key)?;
    if let Some(mut edit) = cx.db.edit::<Stream>(key, Missing::Skip)? {
        let mut stream = edit.value();
        if let Some(group) = stream.group_mut(name) {
            // All are read first: one that is none leaves all as it was.
            let first = args.position();
            while args.more() {
                StreamId::parse(args.bytes()?, 0).ok_or(INVALID_ID)?;
            }
            args.seek(first);
            while args.more() {
                acknowledged += u64::from(group.acknowledge(parse_id(args.bytes()?)?));
            }
        }
        drop(stream);
        if acknowledged > 0 {
            edit.finish_with(acknowledged, Event::SILENT);
        }
    }
    cx.reply.int(acknowledged as i64);
    Ok(Flow::Done)
}

pub fn xsetid(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let id = parse_id(args.bytes()?)?;
    let (mut entries_added, mut max_deleted) = (None, None);
    while args.more() {
        let follows = args.left() > 1;
        if follows && args.accept("entriesadded") {
            entries_added = Some(u64::try_from(args.int()?).map_err(|_| ENTRIES_ADDED_NEGATIVE)?);
        } else if follows && args.accept("maxdeletedid") {
            let deleted = parse_id(args.bytes()?)?;
            if id < deleted {
                return Err(BELOW_DELETED);
            }
            max_deleted = Some(deleted);
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    let mut edit = cx.db.edit::<Stream>(key, Missing::Skip)?.ok_or(CmdError::NO_SUCH_KEY)?;
    let log = edit.view().log();
    if id < log.max_deleted_id() {
        return Err(BELOW_CURRENT_DELETED);
    }
    if !log.is_empty() {
        if id < log.last_entry_id() {
            return Err(BELOW_TOP);
        }
        if entries_added.is_some_and(|added| added < log.len()) {
            return Err(FEWER_THAN_ENTRIES);
        }
    }
    let max_deleted = max_deleted.filter(|deleted| !deleted.is_zero());
    edit.value().log_mut().set_ids(id, entries_added, max_deleted);
    edit.finish(quietly("xsetid"));
    cx.reply.ok();
    Ok(Flow::Done)
}

/// The group of a stream, where both must be.
pub fn existing<'s>(
    stream: Option<&'s StreamData>,
    key: Key<'_>,
    name: &[u8],
) -> Result<(&'s StreamData, &'s Group), CmdError> {
    let found = stream.and_then(|stream| Some((stream, stream.group(name)?)));
    found.ok_or_else(|| no_group(key.bytes, name, ""))
}
