//! Whether a client's user may do what a request asks: its command, keys, channels and databases against the user's rules.
//! The rules are the room `acl`'s; which words of a request are keys or channels is said by the command's row.
//!
//! A user who may do everything is not looked at (`mode::RESTRICTED` is clear). For the others nothing is allocated: a
//! command with one key at a fixed place, the most of them, is compared where it lies; the places of other keys are put
//! into a list that is kept from one request to the next.

use super::client;
use super::ctx::Ctx;
use super::error::CmdError;
use super::keys::{Found, keys_into};
use super::table::{Begin, Channels, Command, Find, Reach, Row, Table, acl, flag, key_flag as kf};
use crate::acl::{Catalog, Denied, Entry, Event, Keys, LogContext, READ, Reason, Refusal, Selector, User, WRITE, What};
use crate::base::clock::Now;
use crate::base::number;
use crate::resp::Argv;
use crate::session::{Session, mode};
use serde_json::{Value, json};

/// The commands of a table as rules name them: by their own names, whatever rename-command calls them.
pub fn catalog(table: &Table) -> Catalog {
    let id_of = |name: &str| table.commands().find(|row| row.command.name == name).map(|row| row.id);
    let mut entries: Vec<Entry> = table
        .rows()
        .map(|row| Entry {
            name: row.command.shown_name().into(),
            categories: row.command.categories(),
            keys: keys_of(row.command),
            parent: None,
            subs: Vec::new(),
            aliases: Vec::new(),
            alias_of: id_of(row.command.same_as),
            is_absent: false,
        })
        .collect();
    for row in table.commands() {
        let subs: Vec<u16> = table.subcommands(row).map(|sub| sub.id).collect();
        subs.iter().for_each(|sub| entries[usize::from(*sub)].parent = Some(row.id));
        entries[usize::from(row.id)].subs = subs;
        if let Some(of) = entries[usize::from(row.id)].alias_of {
            entries[usize::from(of)].aliases.push(row.id);
        }
    }
    add_absent(&mut entries);
    Catalog::new(entries, acl::NAMES)
}

/// Commands of the reference server that this one lacks, and their categories: rules that were written for that one, to
/// forbid them above all, must be understood. One that the table has by now is left out.
fn add_absent(entries: &mut Vec<Entry>) {
    const ADMINS: u32 = acl::ADMIN | acl::SLOW | acl::DANGEROUS;
    const WAITS: u32 = acl::SLOW | acl::BLOCKING | acl::CONNECTION;
    const ABSENT: &[(u32, &[&str])] = &[
        (ADMINS, &["bgrewriteaof", "failover", "psync", "replconf", "replicaof", "slaveof", "sync"]),
        (acl::FAST | acl::CONNECTION, &["asking", "readonly", "readwrite"]),
        (WAITS, &["wait", "waitaof"]),
        (acl::SLOW | acl::SCRIPTING, &["script|debug"]),
        (acl::SLOW, &["module", "module|help"]),
        (ADMINS, &["module|list", "module|load", "module|loadex", "module|unload"]),
        (acl::SLOW, &["cluster", "cluster|countkeysinslot", "cluster|getkeysinslot", "cluster|help", "cluster|info"]),
        (acl::SLOW, &["cluster|keyslot", "cluster|links", "cluster|myid", "cluster|myshardid", "cluster|nodes"]),
        (acl::SLOW, &["cluster|shards", "cluster|slots"]),
        (ADMINS, &["cluster|addslots", "cluster|addslotsrange", "cluster|bumpepoch", "cluster|count-failure-reports"]),
        (ADMINS, &["cluster|delslots", "cluster|delslotsrange", "cluster|failover", "cluster|flushslots"]),
        (ADMINS, &["cluster|forget", "cluster|meet", "cluster|replicas", "cluster|replicate", "cluster|reset"]),
        (ADMINS, &["cluster|saveconfig", "cluster|set-config-epoch", "cluster|setslot", "cluster|slaves"]),
    ];
    for (categories, names) in ABSENT {
        for name in *names {
            if entries.iter().any(|entry| &*entry.name == *name) {
                continue;
            }
            let parent = name.split_once('|').and_then(|(of, _)| entries.iter().position(|entry| &*entry.name == of));
            if let Some(parent) = parent {
                let id = entries.len() as u16;
                entries[parent].subs.push(id);
            }
            entries.push(Entry {
                name: (*name).into(),
                categories: *categories,
                keys: Keys::Elsewhere,
                parent: parent.map(|parent| parent as u16),
                subs: Vec::new(),
                aliases: Vec::new(),
                alias_of: None,
                is_absent: true,
            });
        }
    }
}

/// What a request does with a key, as rights.
#[inline]
fn rights_of(flags: u16) -> u8 {
    let reads = if flags & kf::ACCESS != 0 { READ } else { 0 };
    let writes = if flags & (kf::INSERT | kf::UPDATE | kf::DELETE) != 0 { WRITE } else { 0 };
    reads | writes
}

/// The word of a command's only key, and the most that it may do with it.
#[inline]
fn only_key(command: &Command) -> Option<(usize, u8)> {
    let [spec] = command.keys else { return None };
    match (spec.begin, spec.find) {
        (Begin::At(word), Find::Range { last: 0, .. }) if spec.flags & kf::NOT_KEY == 0 => {
            // Where options decide what is done with the key, whoever may do everything with it need not be asked further.
            Some((word, if command.find_keys.is_some() { READ | WRITE } else { rights_of(spec.flags) }))
        }
        _ => None,
    }
}

/// Where a command's keys stand, for rules.
fn keys_of(command: &Command) -> Keys {
    if command.channels != Channels::None {
        return Keys::Elsewhere;
    }
    match only_key(command) {
        Some((word, rights)) => Keys::At { word, rights },
        None if command.keys.is_empty() && command.find_keys.is_none() => Keys::None,
        None => Keys::Elsewhere,
    }
}

/// A request with what must be known of it only once, however many sets of rules it is held against.
struct Asked<'a> {
    row: Row,
    argv: Argv<'a>,
    database: u32,
    found: &'a mut Found,
    is_found: bool,
}

impl Asked<'_> {
    fn judge(&mut self, user: &User) -> Result<(), Denied> {
        let mut worst = Denied { what: What::Command, word: 0 };
        for selector in user.selectors() {
            match self.judge_by(selector) {
                Ok(()) => return Ok(()),
                // The rules that came nearest say what is missing.
                Err(denied) => worst = worst.max(denied),
            }
        }
        Err(worst)
    }

    #[inline]
    fn judge_by(&mut self, selector: &Selector) -> Result<(), Denied> {
        let command = self.row.command;
        let argument = self.argv.get(if command.full_name.is_empty() { 1 } else { 2 });
        if !command.is(flag::NO_AUTH) && !selector.admits_command(self.row.id, argument) {
            return Err(Denied { what: What::Command, word: 0 });
        }
        if !selector.admits_all_keys() && (!command.keys.is_empty() || command.find_keys.is_some()) {
            self.judge_keys(selector)?;
        }
        if !selector.admits_all_databases() {
            self.judge_databases(selector)?;
        }
        if command.channels != Channels::None {
            self.judge_channels(selector)?;
        }
        Ok(())
    }

    #[inline]
    fn judge_keys(&mut self, selector: &Selector) -> Result<(), Denied> {
        if let Some((word, rights)) = only_key(self.row.command) {
            if self.argv.get(word).is_none_or(|key| selector.admits_key(key, rights)) {
                return Ok(());
            }
            if self.row.command.find_keys.is_none() {
                return Err(Denied { what: What::Key, word });
            }
        }
        if !self.is_found {
            keys_into(self.row.command, self.argv, self.found);
            self.is_found = true;
        }
        for &(word, flags) in self.found.iter() {
            let key = self.argv.get(word).unwrap_or_default();
            if !selector.admits_key(key, rights_of(flags)) {
                return Err(Denied { what: What::Key, word });
            }
        }
        Ok(())
    }

    fn judge_channels(&self, selector: &Selector) -> Result<(), Denied> {
        let (last, is_pattern) = match self.row.command.channels {
            Channels::None => return Ok(()),
            Channels::First => (1, false),
            Channels::All => (usize::MAX, false),
            Channels::Patterns => (usize::MAX, true),
        };
        for (word, channel) in self.argv.iter().enumerate().skip(1).take_while(|(word, _)| *word <= last) {
            if !selector.admits_channel(channel, is_pattern) {
                return Err(Denied { what: What::Channel, word });
            }
        }
        Ok(())
    }

    fn judge_databases(&self, selector: &Selector) -> Result<(), Denied> {
        let command = self.row.command;
        let denied = |word| Err(Denied { what: What::Database, word });
        let touches_data = command.is(flag::WRITE | flag::READONLY) || !command.keys.is_empty();
        let selected = match command.reach {
            Reach::Selected => touches_data,
            Reach::SelectedAndWord(_) | Reach::SelectedAndOption(_) => true,
            Reach::Word(_) | Reach::All => false,
        };
        if selected && !selector.admits_database(self.database) {
            return denied(0);
        }
        let word = match command.reach {
            Reach::Selected => return Ok(()),
            Reach::All => return denied(0),
            Reach::Word(word) | Reach::SelectedAndWord(word) => Some(word),
            Reach::SelectedAndOption(option) => {
                let is_option =
                    |word: &usize| self.argv.get(*word).is_some_and(|w| w.eq_ignore_ascii_case(option.as_bytes()));
                (1..self.argv.len()).find(is_option).map(|word| word + 1)
            }
        };
        // What names no database will be told so by the command.
        let named = word.and_then(|word| Some((word, number::parse_i64(self.argv.get(word)?)?)));
        match named.and_then(|(word, index)| Some((word, u32::try_from(index).ok()?))) {
            Some((word, index)) if !selector.admits_database(index) => denied(word),
            _ => Ok(()),
        }
    }
}

/// Whether a user may run a request in a database. `found` is room for its keys.
///
/// # Errors
/// For what it may not.
pub fn judge(user: &User, row: Row, argv: Argv<'_>, database: u32, found: &mut Found) -> Result<(), Denied> {
    Asked { row, argv, database, found, is_found: false }.judge(user)
}

/// Whether the client's user may run a request.
pub(super) fn permits(cx: &mut Ctx<'_>, row: Row, argv: Argv<'_>) -> Result<(), Denied> {
    if !cx.session.is(mode::RESTRICTED) {
        return Ok(());
    }
    let Some(user) = &cx.session.user else { return Ok(()) };
    judge(user, row, argv, cx.db.index.0, &mut cx.acl.found)
}

/// The check of a request as it comes from the client: it may also come too soon.
///
/// # Errors
/// It is refused; the refusal is in the log.
#[inline]
pub(super) fn check_first(cx: &mut Ctx<'_>, row: Row, argv: Argv<'_>) -> Result<(), CmdError> {
    // The most common requests have one key where it always is, or none.
    let rules = cx.session.user.as_ref().and_then(|user| user.plain_rules());
    if rules.is_some_and(|rules| rules.admits_plainly(row.id, |word| argv.get(word))) {
        return Ok(());
    }
    check_fully(cx, row, argv)
}

#[inline(never)]
fn check_fully(cx: &mut Ctx<'_>, row: Row, argv: Argv<'_>) -> Result<(), CmdError> {
    let context = if cx.session.multi.is_some() { LogContext::Multi } else { LogContext::Toplevel };
    check(cx, row, argv, context)?;
    match &cx.session.user {
        Some(user) if user.is_bounded() && !row.command.is(flag::NO_AUTH) => {
            let reply_bytes = cx.reply.outbox().len();
            keep_rate(user, cx.now)?;
            keep_memory(user, cx.session, reply_bytes, row.command)
        }
        _ => Ok(()),
    }
}

/// What ends a transaction gives memory back, and takes none.
fn keep_memory(user: &User, session: &Session, reply_bytes: usize, command: &Command) -> Result<(), CmdError> {
    let gives_back = command.is(flag::ALLOW_BUSY) && command.keys.is_empty();
    if user.memory_bytes == 0 || gives_back {
        return Ok(());
    }
    if session.held_with_others(user, reply_bytes) as u64 > user.memory_bytes {
        return Err(CmdError::memory_used_up(&user.name, user.memory_bytes));
    }
    Ok(())
}

fn keep_rate(user: &User, now: Now) -> Result<(), CmdError> {
    if user.rate == 0 || user.meter.take(now.mono_ms() / 1000, user.rate) {
        Ok(())
    } else {
        Err(CmdError::rate_used_up(&user.name, user.rate))
    }
}

/// Checks a request for the client's user.
///
/// # Errors
/// It is refused; the refusal is in the log.
pub(super) fn check(cx: &mut Ctx<'_>, row: Row, argv: Argv<'_>, context: LogContext) -> Result<(), CmdError> {
    let Err(denied) = permits(cx, row, argv) else { return Ok(()) };
    note_denied(cx, row, argv, denied, context);
    Err(CmdError::no_permission(&denial(cx.session.user_name(), row, argv, denied, false)))
}

/// A refusal in words; `named`: with the key or channel.
pub(super) fn denial(user: &[u8], row: Row, argv: Argv<'_>, denied: Denied, named: bool) -> Vec<u8> {
    let object = argv.get(denied.word).unwrap_or_default();
    let parts: &[&[u8]] = match (denied.what, named) {
        (What::Command, _) => {
            &[b"User ", user, b" has no permissions to run the '", row.command.shown_name().as_bytes(), b"' command"]
        }
        (What::Key, true) => &[b"User ", user, b" has no permissions to access the '", object, b"' key"],
        (What::Key, false) => &[b"No permissions to access a key"],
        (What::Channel, true) => &[b"User ", user, b" has no permissions to access the '", object, b"' channel"],
        (What::Channel, false) => &[b"No permissions to access a channel"],
        (What::Database, true) if denied.word > 0 => {
            &[b"User ", user, b" has no permissions to access database ", object]
        }
        (What::Database, _) => &[b"No permissions to access the database"],
    };
    parts.concat()
}

/// Counts a refusal and puts it into the logs.
#[cold]
pub(super) fn note_denied(cx: &mut Ctx<'_>, row: Row, argv: Argv<'_>, denied: Denied, context: LogContext) {
    let totals = &mut cx.stats.totals;
    let (reason, count) = match denied.what {
        What::Command => (Reason::Command, &mut totals.denied_commands),
        What::Key => (Reason::Key, &mut totals.denied_keys),
        What::Channel => (Reason::Channel, &mut totals.denied_channels),
        What::Database => (Reason::Database, &mut totals.denied_databases),
    };
    *count += 1;
    let selected = cx.session.db.0.to_string();
    let object = match denied.what {
        What::Command => row.command.shown_name().as_bytes(),
        What::Database if denied.word == 0 => selected.as_bytes(),
        _ => argv.get(denied.word).unwrap_or_default(),
    };
    let user = cx.session.user.clone();
    let name = user.as_ref().map_or(&b""[..], |user| &user.name);
    add_to_log(cx, &Refusal { reason, context, object, user: name });
    if cx.acl.audit.is_on() {
        let more = vec![("reason", json!(reason.word())), ("command", json!(row.command.shown_name()))];
        cx.note_audit("denied", more);
    }
}

/// Adds to ACL LOG.
pub(super) fn add_to_log(cx: &mut Ctx<'_>, refusal: &Refusal<'_>) {
    let max_len = usize::try_from(cx.config.acllog_max_len).unwrap_or(usize::MAX);
    if max_len > 0 {
        let client = client::describe(cx);
        cx.acl.log.add(refusal, client, cx.now.unix_ms.0, max_len);
    }
}

impl Ctx<'_> {
    /// Adds a line to the audit log, if there is one.
    pub(super) fn note_audit(&self, event: &'static str, more: Vec<(&'static str, Value)>) {
        let session = &self.session;
        let event = Event { event, user: session.user_name(), addr: &session.peer, client_id: session.id, more };
        self.acl.audit.add(event, self.now.unix_ms.0);
    }

    /// Whether the running request's user may read keys of any name: what a pattern of SORT leads to is not known before.
    pub(super) fn may_read_any_key(&mut self, argv: Argv<'_>) -> bool {
        let Some(user) = self.session.user.as_ref().filter(|_| self.session.is(mode::RESTRICTED)) else { return true };
        let database = self.db.index.0;
        let mut asked = Asked { row: self.row, argv, database, found: &mut self.acl.found, is_found: false };
        user.selectors().iter().any(|selector| selector.admits_any_key(READ) && asked.judge_by(selector).is_ok())
    }
}
