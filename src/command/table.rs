//! What a command's row says, and the table that finds a row by name.

use super::args::Args;
use super::ctx::{Ctx, Outcome};
use super::keys::FindKeys;
use crate::base::text;
use crate::resp::Argv;
use crate::script::{Scripts, flags as script_flags};

/// What does the work.
pub type Handler = fn(&mut Ctx<'_>, &mut Args<'_>) -> Outcome;

/// Flags of a command; the gates and COMMAND read them.
#[allow(missing_docs, reason = "the names are the protocol's own words, listed in NAMES")]
pub mod flag {
    pub const WRITE: u32 = 1 << 0;
    pub const READONLY: u32 = 1 << 1;
    pub const DENYOOM: u32 = 1 << 2;
    pub const ADMIN: u32 = 1 << 3;
    pub const PUBSUB: u32 = 1 << 4;
    pub const NOSCRIPT: u32 = 1 << 5;
    pub const BLOCKING: u32 = 1 << 6;
    pub const LOADING: u32 = 1 << 7;
    pub const STALE: u32 = 1 << 8;
    pub const SKIP_MONITOR: u32 = 1 << 9;
    pub const SKIP_SLOWLOG: u32 = 1 << 10;
    pub const ASKING: u32 = 1 << 11;
    pub const FAST: u32 = 1 << 12;
    pub const NO_AUTH: u32 = 1 << 13;
    /// Its effect may reach replicas though it writes nothing; COMMAND does not show it.
    pub const MAY_REPLICATE: u32 = 1 << 14;
    pub const NO_ASYNC_LOADING: u32 = 1 << 15;
    pub const NO_MULTI: u32 = 1 << 16;
    pub const MOVABLE_KEYS: u32 = 1 << 17;
    pub const ALLOW_BUSY: u32 = 1 << 18;
    pub const NO_MANDATORY_KEYS: u32 = 1 << 19;
    pub const TOUCHES_ARBITRARY_KEYS: u32 = 1 << 20;
    /// Not queued by MULTI: it ends or inspects the transaction (EXEC, DISCARD, QUIT, RESET, ...).
    pub const NOT_QUEUED: u32 = 1 << 24;
    /// Arguments from the second word on are secret: kept out of MONITOR and SLOWLOG.
    pub const SECRET: u32 = 1 << 25;
    /// Runs only where `enable-debug-command` allows it.
    pub const PROTECTED: u32 = 1 << 26;

    /// Fails while writes are refused: who asks this wants to know whether the server is well.
    pub const TELLS_HEALTH: u32 = 1 << 31;
    /// Runs what MULTI queued.
    pub const RUNS_QUEUE: u32 = 1 << 27;
    /// Errors about the number of arguments spell its name in capitals: a module's command in the reference server.
    pub const CAPITALS: u32 = 1 << 30;
    /// May be run by a client of RESP2 that listens to channels.
    pub const WHILE_SUBSCRIBED: u32 = 1 << 28;
    /// Does not use up what CLIENT CACHING said for the next command.
    pub const KEEPS_CACHING: u32 = 1 << 29;

    /// The names that COMMAND shows, in its order.
    pub const NAMES: &[(u32, &str)] = &[
        (WRITE, "write"),
        (READONLY, "readonly"),
        (DENYOOM, "denyoom"),
        (ADMIN, "admin"),
        (PUBSUB, "pubsub"),
        (NOSCRIPT, "noscript"),
        (BLOCKING, "blocking"),
        (LOADING, "loading"),
        (STALE, "stale"),
        (SKIP_MONITOR, "skip_monitor"),
        (SKIP_SLOWLOG, "skip_slowlog"),
        (ASKING, "asking"),
        (FAST, "fast"),
        (NO_AUTH, "no_auth"),
        (NO_MANDATORY_KEYS, "no_mandatory_keys"),
        (NO_ASYNC_LOADING, "no_async_loading"),
        (NO_MULTI, "no_multi"),
        (MOVABLE_KEYS, "movablekeys"),
        (ALLOW_BUSY, "allow_busy"),
        (TOUCHES_ARBITRARY_KEYS, "touches_arbitrary_keys"),
    ];
}

/// ACL categories as bits. Those that follow from flags are added by `Command::categories`.
#[allow(missing_docs, reason = "the names are the protocol's own words, listed in NAMES")]
pub mod acl {
    pub const KEYSPACE: u32 = 1 << 0;
    pub const READ: u32 = 1 << 1;
    pub const WRITE: u32 = 1 << 2;
    pub const SET: u32 = 1 << 3;
    pub const SORTEDSET: u32 = 1 << 4;
    pub const LIST: u32 = 1 << 5;
    pub const HASH: u32 = 1 << 6;
    pub const STRING: u32 = 1 << 7;
    pub const BITMAP: u32 = 1 << 8;
    pub const HYPERLOGLOG: u32 = 1 << 9;
    pub const GEO: u32 = 1 << 10;
    pub const STREAM: u32 = 1 << 11;
    pub const PUBSUB: u32 = 1 << 12;
    pub const ADMIN: u32 = 1 << 13;
    pub const FAST: u32 = 1 << 14;
    pub const SLOW: u32 = 1 << 15;
    pub const BLOCKING: u32 = 1 << 16;
    pub const DANGEROUS: u32 = 1 << 17;
    pub const CONNECTION: u32 = 1 << 18;
    pub const TRANSACTION: u32 = 1 << 19;
    pub const SCRIPTING: u32 = 1 << 20;
    pub const ARRAY: u32 = 1 << 21;

    /// The names, in the order of their bits.
    pub const NAMES: &[&str] = &[
        "keyspace",
        "read",
        "write",
        "set",
        "sortedset",
        "list",
        "hash",
        "string",
        "bitmap",
        "hyperloglog",
        "geo",
        "stream",
        "pubsub",
        "admin",
        "fast",
        "slow",
        "blocking",
        "dangerous",
        "connection",
        "transaction",
        "scripting",
        "array",
    ];
}

/// What a command does with a key.
#[allow(missing_docs, reason = "the names are the protocol's own words, listed in NAMES")]
pub mod key_flag {
    pub const RO: u16 = 1 << 0;
    pub const RW: u16 = 1 << 1;
    pub const OW: u16 = 1 << 2;
    pub const RM: u16 = 1 << 3;
    pub const ACCESS: u16 = 1 << 4;
    pub const UPDATE: u16 = 1 << 5;
    pub const INSERT: u16 = 1 << 6;
    pub const DELETE: u16 = 1 << 7;
    pub const NOT_KEY: u16 = 1 << 8;
    pub const INCOMPLETE: u16 = 1 << 9;
    pub const VARIABLE_FLAGS: u16 = 1 << 10;

    /// The names that COMMAND shows, in its order.
    pub const NAMES: &[(u16, &str)] = &[
        (RO, "RO"),
        (RW, "RW"),
        (OW, "OW"),
        (RM, "RM"),
        (ACCESS, "access"),
        (UPDATE, "update"),
        (INSERT, "insert"),
        (DELETE, "delete"),
        (NOT_KEY, "not_key"),
        (INCOMPLETE, "incomplete"),
        (VARIABLE_FLAGS, "variable_flags"),
    ];
}

/// Where the search for keys begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At this word.
    At(usize),
    /// Behind this keyword, looked for from a word on (from the end backward if negative).
    Keyword(&'static str, i32),
    /// Not to be told.
    Unknown,
}

/// How keys follow from there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Find {
    /// Every `step`-th word up to `last` (relative to the beginning; negative counts from the request's end), at most
    /// the first 1/`limit` of them.
    Range {
        /// Last key, relative.
        last: i32,
        /// Distance of keys.
        step: usize,
        /// Divisor of the words that are left; 0 and 1 take all.
        limit: usize,
    },
    /// A count at `at`, the first key at `first` (both relative), every `step`-th word.
    KeyNum {
        /// Where the count stands.
        at: usize,
        /// Where the first key stands.
        first: usize,
        /// Distance of keys.
        step: usize,
    },
    /// Not to be told.
    Unknown,
}

/// Where a command's keys are and what it does with them: read by GETKEYS, ACL, cluster slots, tracking and prefetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySpec {
    /// Where the search begins.
    pub begin: Begin,
    /// How keys follow.
    pub find: Find,
    /// Bits of `key_flag`.
    pub flags: u16,
}

impl KeySpec {
    /// One key at word `index`.
    pub const fn at(index: usize, flags: u16) -> KeySpec {
        KeySpec::range(index, 0, 1, flags)
    }

    /// Keys from word `index` on; `last` relative to it, or negative from the request's end.
    pub const fn range(index: usize, last: i32, step: usize, flags: u16) -> KeySpec {
        KeySpec { begin: Begin::At(index), find: Find::Range { last, step, limit: 0 }, flags }
    }

    /// A count at word `index`, keys behind it, `step` words apart.
    pub const fn count(index: usize, step: usize, flags: u16) -> KeySpec {
        KeySpec { begin: Begin::At(index), find: Find::KeyNum { at: 0, first: 1, step }, flags }
    }

    /// Keys behind a keyword.
    pub const fn keyword(word: &'static str, from: i32, find: Find, flags: u16) -> KeySpec {
        KeySpec { begin: Begin::Keyword(word, from), find, flags }
    }

    /// Adds the positions of this spec's keys in a request; false if the request does not fit it.
    pub fn positions(&self, argv: Argv<'_>, out: &mut Vec<(usize, u16)>) -> bool {
        let argc = argv.len();
        let first = match self.begin {
            Begin::At(index) => index,
            Begin::Unknown => return true,
            Begin::Keyword(word, from) => {
                let is_word = |i: &usize| argv.get(*i).is_some_and(|a| a.eq_ignore_ascii_case(word.as_bytes()));
                let found = if from >= 0 {
                    (from as usize..argc).find(is_word)
                } else {
                    (1..=argc.saturating_sub(from.unsigned_abs() as usize)).rev().find(is_word)
                };
                match found {
                    Some(index) => index + 1,
                    None => return true,
                }
            }
        };
        let (first, last, step) = match self.find {
            Find::Unknown => return true,
            Find::Range { last, step, limit } => {
                let last = if last >= 0 {
                    first + last as usize
                } else if limit > 1 {
                    first + (argc - first.min(argc)) / limit - 1
                } else {
                    argc.saturating_sub(last.unsigned_abs() as usize)
                };
                (first, last, step)
            }
            Find::KeyNum { at, first: offset, step } => {
                let count = argv.get(first + at).and_then(crate::base::number::parse_i64);
                let Some(count) = count.and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= argc) else {
                    return false;
                };
                if count == 0 {
                    return false;
                }
                (first + offset, first + offset + (count - 1) * step, step)
            }
        };
        if last >= argc || last < first {
            return false;
        }
        out.extend((first..=last).step_by(step.max(1)).map(|i| (i, self.flags)));
        true
    }
}

/// Which words of a request are channels, and what they are for: the access check reads this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Channels {
    /// None, or only such as are left.
    None,
    /// The word at 1: a message goes there.
    First,
    /// All words from 1 on: they are listened to.
    All,
    /// All words from 1 on: what matches them is listened to.
    Patterns,
}

/// Which databases a request reaches: the access check reads this for users who may not use all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// The selected one, if it has anything to do with data.
    Selected,
    /// The one that the word at this index names.
    Word(usize),
    /// The selected one, and the one that the word at this index names.
    SelectedAndWord(usize),
    /// The selected one, and the one behind this keyword.
    SelectedAndOption(&'static str),
    /// All.
    All,
}

/// The kind of a documented argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of COMMAND DOCS")]
pub enum ArgType {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

impl ArgType {
    /// The name that COMMAND DOCS shows.
    pub fn name(self) -> &'static str {
        match self {
            ArgType::String => "string",
            ArgType::Integer => "integer",
            ArgType::Double => "double",
            ArgType::Key => "key",
            ArgType::Pattern => "pattern",
            ArgType::UnixTime => "unix-time",
            ArgType::PureToken => "pure-token",
            ArgType::OneOf => "oneof",
            ArgType::Block => "block",
        }
    }
}

/// One documented argument: redis-cli draws its hints from these.
#[derive(Clone, Copy, Debug)]
pub struct Arg {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: ArgType,
    /// The word before it, or the word that it is.
    pub token: Option<&'static str>,
    /// Which key spec a key belongs to.
    pub key_spec: usize,
    /// Whether it may be left out.
    pub optional: bool,
    /// Whether it may be repeated.
    pub multiple: bool,
    /// Whether the token is repeated with it.
    pub multiple_token: bool,
    /// Version it came with, if later than the command.
    pub since: Option<&'static str>,
    /// The parts of a block or the choices of a oneof.
    pub parts: &'static [Arg],
}

impl Arg {
    /// An argument of a kind.
    pub const fn new(name: &'static str, kind: ArgType) -> Arg {
        Arg {
            name,
            kind,
            token: None,
            key_spec: 0,
            optional: false,
            multiple: false,
            multiple_token: false,
            since: None,
            parts: &[],
        }
    }
    /// A string.
    pub const fn string(name: &'static str) -> Arg {
        Arg::new(name, ArgType::String)
    }
    /// An integer.
    pub const fn int(name: &'static str) -> Arg {
        Arg::new(name, ArgType::Integer)
    }
    /// A double.
    pub const fn double(name: &'static str) -> Arg {
        Arg::new(name, ArgType::Double)
    }
    /// A key of the first key spec.
    pub const fn key(name: &'static str) -> Arg {
        Arg::new(name, ArgType::Key)
    }
    /// A word that stands for itself.
    pub const fn word(name: &'static str, token: &'static str) -> Arg {
        Arg { token: Some(token), ..Arg::new(name, ArgType::PureToken) }
    }
    /// One of several.
    pub const fn one_of(name: &'static str, parts: &'static [Arg]) -> Arg {
        Arg { parts, ..Arg::new(name, ArgType::OneOf) }
    }
    /// Several in a row.
    pub const fn block(name: &'static str, parts: &'static [Arg]) -> Arg {
        Arg { parts, ..Arg::new(name, ArgType::Block) }
    }
    /// Preceded by a word.
    pub const fn token(self, token: &'static str) -> Arg {
        Arg { token: Some(token), ..self }
    }
    /// May be left out.
    pub const fn optional(self) -> Arg {
        Arg { optional: true, ..self }
    }
    /// May be repeated.
    pub const fn multiple(self) -> Arg {
        Arg { multiple: true, ..self }
    }
    /// May be repeated together with its token.
    pub const fn multiple_token(self) -> Arg {
        Arg { multiple: true, multiple_token: true, ..self }
    }
    /// A key of another key spec.
    pub const fn spec(self, key_spec: usize) -> Arg {
        Arg { key_spec, ..self }
    }
    /// Came later than the command.
    pub const fn since(self, since: &'static str) -> Arg {
        Arg { since: Some(since), ..self }
    }
}

/// One row: a command or subcommand.
#[derive(Clone, Copy)]
pub struct Command {
    /// Lower case; of a subcommand only its own word.
    pub name: &'static str,
    /// Full name, `config|get` for a subcommand. Filled by the macro-free rule `parent|name` when left empty.
    pub full_name: &'static str,
    /// Words of a request, name included; negative: at least so many.
    pub arity: i32,
    /// Another number of words that fits, for a short form of ours; 0 for none.
    pub also_argc: usize,
    /// Bits of `flag`.
    pub flags: u32,
    /// Bits of `acl` that do not follow from flags.
    pub acl: u32,
    /// Where the keys are.
    pub keys: &'static [KeySpec],
    /// Where the channels are.
    pub channels: Channels,
    /// Which databases it reaches.
    pub reach: Reach,
    /// The command that this is another name of: who may run that one may run this one.
    pub same_as: &'static str,
    /// The word that names a member or field within the first key's value; 0 for none. The prefetch pass reads it.
    pub member: usize,
    /// The arguments, for COMMAND DOCS.
    pub args: &'static [Arg],
    /// First version of Redis that had it (or ours).
    pub since: &'static str,
    /// Group in COMMAND DOCS.
    pub group: &'static str,
    /// Cost.
    pub complexity: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Changes since then, `(version, what)`.
    pub history: &'static [(&'static str, &'static str)],
    /// Hints for clients and proxies.
    pub tips: &'static [&'static str],
    /// Deprecated since, and what stands in for it.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Subcommands.
    pub subcommands: &'static [Command],
    /// What does the work; a container without handler wants a subcommand.
    pub run: Option<Handler>,
    /// Finds the keys where options decide which words are keys, or what is done with them.
    pub find_keys: Option<FindKeys>,
    /// Of a command that runs a script: what the script has declared of itself (bits of `script::flags`), if it is known.
    pub declared: Option<fn(&Scripts, Argv<'_>) -> Option<u32>>,
}

impl Command {
    /// A row with nothing in it, to build others upon.
    pub const BLANK: Command = Command {
        name: "",
        full_name: "",
        arity: 0,
        also_argc: 0,
        flags: 0,
        acl: 0,
        keys: &[],
        channels: Channels::None,
        reach: Reach::Selected,
        same_as: "",
        member: 0,
        args: &[],
        since: "",
        group: "",
        complexity: "",
        summary: "",
        history: &[],
        tips: &[],
        deprecated: None,
        subcommands: &[],
        run: None,
        find_keys: None,
        declared: None,
    };

    /// Whether a flag is set.
    #[inline]
    pub const fn is(&self, flag: u32) -> bool {
        self.flags & flag != 0
    }

    /// The flags of a request: those of its script, where that has declared them.
    pub fn flags_of(&self, scripts: &Scripts, argv: Argv<'_>) -> u32 {
        let Some(declared) = self.declared else { return self.flags };
        match declared(scripts, argv) {
            Some(bits) if bits & script_flags::UNDECLARED == 0 => {
                let writes = bits & script_flags::NO_WRITES == 0;
                let grows = bits & (script_flags::NO_WRITES | script_flags::ALLOW_OOM) == 0;
                let stale = bits & script_flags::ALLOW_STALE != 0;
                (self.flags & !flag::STALE)
                    | if writes { flag::WRITE } else { 0 }
                    | if grows { flag::DENYOOM } else { 0 }
                    | if stale { flag::STALE } else { 0 }
            }
            _ if self.is(flag::READONLY) => self.flags,
            _ => self.flags | flag::MAY_REPLICATE,
        }
    }

    /// Whether a request of `argc` words fits.
    #[inline]
    pub const fn fits(&self, argc: usize) -> bool {
        let fits =
            if self.arity >= 0 { argc == self.arity as usize } else { argc >= self.arity.unsigned_abs() as usize };
        fits || (self.also_argc != 0 && argc == self.also_argc)
    }

    /// All ACL categories: the row's own and those that follow from flags.
    pub fn categories(&self) -> u32 {
        let implied = [
            (flag::WRITE, acl::WRITE),
            (flag::READONLY, acl::READ),
            (flag::ADMIN, acl::ADMIN | acl::DANGEROUS),
            (flag::PUBSUB, acl::PUBSUB),
            (flag::FAST, acl::FAST),
            (flag::BLOCKING, acl::BLOCKING),
        ];
        let mut bits = self.acl;
        for (flag, category) in implied {
            // What a script reads is the script's affair.
            let is_left_out = flag == flag::READONLY && self.acl & acl::SCRIPTING != 0;
            if self.is(flag) && !is_left_out {
                bits |= category;
            }
        }
        if bits & acl::FAST == 0 { bits | acl::SLOW } else { bits }
    }

    /// The name that errors and statistics show.
    pub fn shown_name(&self) -> &'static str {
        if self.full_name.is_empty() { self.name } else { self.full_name }
    }

    /// The name as an error about the number of arguments spells it.
    pub fn error_name(&self) -> std::borrow::Cow<'static, str> {
        let name = self.shown_name();
        if self.is(flag::CAPITALS) { name.to_ascii_uppercase().into() } else { name.into() }
    }

    /// The word where the first key stands, if that is fixed: what the prefetch pass hashes.
    #[inline]
    pub fn first_key(&self) -> Option<usize> {
        match self.keys.first()?.begin {
            Begin::At(index) if !matches!(self.keys[0].find, Find::KeyNum { .. }) => Some(index),
            _ => None,
        }
    }
}

/// Finds rows by name. Rows get a dense number, under which statistics are kept.
pub struct Table {
    /// All rows by number: commands, then subcommands.
    rows: Vec<&'static Command>,
    /// Open addressing over lower-cased names.
    slots: Box<[NameSlot; SLOTS]>,
    /// The names under which rows are found: their own, or what rename-command made of them.
    names: Vec<Box<str>>,
    /// Number of commands (not subcommands).
    commands: usize,
    /// For each row the numbers of its subcommands.
    subs: Vec<Vec<u16>>,
    /// First-key position of each row, 0 for none: the prefetch pass reads nothing else.
    first_keys: Vec<u8>,
}

/// A row and its number.
#[derive(Clone, Copy)]
pub struct Row {
    /// The row.
    pub command: &'static Command,
    /// Its number.
    pub id: u16,
}

const SLOTS: usize = 2048;

/// A name as the slots keep it: its first and its last eight bytes in lower case (they overlap in names shorter than 16;
/// one of at most eight bytes is the same twice) and its length. For names of up to 16 bytes that is all of it.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Fold {
    first: u64,
    last: u64,
    len: usize,
}

impl Fold {
    /// Bytes of a name that the two words hold.
    const WHOLE: usize = 16;

    #[inline(always)]
    fn of(name: &[u8]) -> Fold {
        let len = name.len();
        match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
            (Some(first), Some(last)) => {
                Fold { first: lower(u64::from_le_bytes(*first)), last: lower(u64::from_le_bytes(*last)), len }
            }
            _ => {
                let word = lower(Self::short(name));
                Fold { first: word, last: word, len }
            }
        }
    }

    /// Up to seven bytes as one number: read as two pieces that overlap, or as three bytes, of which some are the same.
    #[inline(always)]
    fn short(name: &[u8]) -> u64 {
        let len = name.len() as u32;
        match (name.first_chunk::<4>(), name.last_chunk::<4>(), name) {
            (Some(first), Some(last), _) => {
                u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (len - 4))
            }
            (_, _, [first, .., last]) => {
                let middle = len / 2;
                u64::from(*first)
                    | u64::from(name[middle as usize]) << (8 * middle)
                    | u64::from(*last) << (8 * (len - 1))
            }
            (_, _, [only]) => u64::from(*only),
            _ => 0,
        }
    }

    /// The slot where the search begins.
    #[inline(always)]
    fn slot(self) -> usize {
        let mixed = (self.first ^ self.last.rotate_left(29) ^ self.len as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 40) as usize % SLOTS
    }
}

/// Eight bytes at once, ASCII capitals made small.
#[inline(always)]
fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low = word & ONES * 0x7f;
    let from_a = low + ONES * u64::from(0x80 - b'A');
    let behind_z = low + ONES * u64::from(0x7f - b'Z');
    let capitals = (from_a & !behind_z) & !word & ONES * 0x80;
    word | capitals >> 2
}

/// A place of the open addressing over names: empty, or a folded name and its row's number + 1.
#[derive(Clone, Copy, Default)]
struct NameSlot {
    fold: Fold,
    id: u16,
}

impl Table {
    /// The table over the families' rows. `rename`: (name, new name), an empty new name removes the command.
    pub fn new(families: &[&'static [Command]], rename: &[(String, String)]) -> Table {
        let mut table = Table {
            rows: Vec::new(),
            slots: Box::new([NameSlot::default(); SLOTS]),
            names: Vec::new(),
            commands: 0,
            subs: Vec::new(),
            first_keys: Vec::new(),
        };
        let commands: Vec<&'static Command> = families.iter().flat_map(|f| f.iter()).collect();
        for command in &commands {
            table.add(command);
        }
        table.commands = table.rows.len();
        for index in 0..table.commands {
            for sub in table.rows[index].subcommands {
                let id = table.add(sub);
                table.subs[index].push(id);
            }
        }
        for id in 0..table.commands {
            let name = table.rows[id].name;
            match rename.iter().rev().find(|(old, _)| old.eq_ignore_ascii_case(name)) {
                Some((_, new)) if new.is_empty() => {}
                Some((_, new)) => table.link(new, id),
                None => table.link(name, id),
            }
        }
        table
    }

    fn add(&mut self, command: &'static Command) -> u16 {
        self.rows.push(command);
        self.names.push(command.name.into());
        self.subs.push(Vec::new());
        self.first_keys.push(command.first_key().unwrap_or(0) as u8);
        (self.rows.len() - 1) as u16
    }

    fn link(&mut self, name: &str, id: usize) {
        self.names[id] = name.to_ascii_lowercase().into();
        let fold = Fold::of(name.as_bytes());
        let mut slot = fold.slot();
        while self.slots[slot].id != 0 {
            slot = (slot + 1) % SLOTS;
        }
        self.slots[slot] = NameSlot { fold, id: id as u16 + 1 };
    }

    /// The row of a command's name, in any case.
    #[inline]
    pub fn find(&self, name: &[u8]) -> Option<Row> {
        let fold = Fold::of(name);
        let mut slot = fold.slot();
        loop {
            let there = &self.slots[slot];
            let id = there.id.checked_sub(1)?;
            let same = there.fold == fold
                && (fold.len <= Fold::WHOLE || text::eq_ignore_case(name, self.names[id as usize].as_bytes()));
            if same {
                return Some(self.row(id));
            }
            slot = (slot + 1) % SLOTS;
        }
    }

    /// The row of a subcommand.
    pub fn find_sub(&self, container: Row, name: &[u8]) -> Option<Row> {
        let ids = &self.subs[container.id as usize];
        ids.iter().map(|&id| self.row(id)).find(|row| text::eq_ignore_case(name, row.command.name.as_bytes()))
    }

    /// The row of `command` or `command|subcommand`.
    pub fn find_full(&self, name: &[u8]) -> Option<Row> {
        match name.iter().position(|byte| *byte == b'|') {
            None => self.find(name),
            Some(bar) => self.find_sub(self.find(&name[..bar])?, &name[bar + 1..]),
        }
    }

    /// The name under which a command is called here; a subcommand's own word.
    pub fn name(&self, row: Row) -> &str {
        &self.names[row.id as usize]
    }

    /// All commands that rename-command has not taken away, without subcommands.
    pub fn visible(&self) -> impl Iterator<Item = Row> + '_ {
        self.commands().filter(|row| self.find(self.name(*row).as_bytes()).is_some_and(|found| found.id == row.id))
    }

    /// The row of a number.
    #[inline]
    pub fn row(&self, id: u16) -> Row {
        Row { command: self.rows[id as usize], id }
    }

    /// First-key word of a row; 0 if it has none that is fixed.
    #[inline]
    pub fn first_key(&self, id: u16) -> usize {
        usize::from(self.first_keys[id as usize])
    }

    /// All rows: commands, then subcommands.
    pub fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        self.rows.iter().enumerate().map(|(id, command)| Row { command, id: id as u16 })
    }

    /// All commands, without subcommands.
    pub fn commands(&self) -> impl Iterator<Item = Row> + '_ {
        self.rows().take(self.commands)
    }

    /// The numbers of a container's subcommands.
    pub fn subcommands(&self, container: Row) -> impl Iterator<Item = Row> + '_ {
        self.subs[container.id as usize].iter().map(|&id| self.row(id))
    }

    /// Number of rows, subcommands included.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::command::FAMILIES;

    #[test]
    fn eight_bytes_are_lowered_as_one_by_one() {
        let mut rng = Rng::seeded(5);
        for byte in 0..=u8::MAX {
            let mut bytes = rng.next_u64().to_le_bytes();
            bytes[usize::from(byte) % 8] = byte;
            let expected = bytes.map(|byte| byte.to_ascii_lowercase());
            assert_eq!(lower(u64::from_le_bytes(bytes)).to_le_bytes(), expected, "of {bytes:?}");
        }
    }

    #[test]
    fn every_command_is_found_in_any_case_and_nothing_near_it() {
        let long = "a-name-of-more-than-16-bytes";
        let table = Table::new(FAMILIES, &[("get".to_owned(), long.to_owned()), ("set".to_owned(), String::new())]);
        let mut rng = Rng::seeded(7);
        for row in table.commands() {
            let name = table.name(row).to_owned();
            if name == "set" {
                assert!(table.find(b"set").is_none(), "it was renamed to nothing");
                continue;
            }
            let mixed: Vec<u8> =
                name.bytes().map(|b| if rng.next_u64() % 2 == 0 { b.to_ascii_uppercase() } else { b }).collect();
            assert_eq!(table.find(&mixed).map(|found| found.id), Some(row.id), "{name}");
            for at in 0..name.len() {
                let mut other = mixed.clone();
                other[at] ^= 0x80;
                assert!(table.find(&other).is_none(), "{name} with another byte at {at}");
                other[at] = 0;
                assert!(table.find(&other).is_none(), "{name} with NUL at {at}");
            }
            let with_nul = [&mixed[..], b"\0"].concat();
            assert!(table.find(&with_nul).is_none(), "{name} and NUL");
        }
        assert!(table.find(b"").is_none());
        assert!(table.find(b"get").is_none(), "it has another name");
        assert!(table.find(long.to_ascii_uppercase().as_bytes()).is_some());
        assert!(table.find(b"a-name-of-moRE-than-16-bytes".as_slice()).is_some());
        assert!(table.find(b"a-name-of-less-than-16-bytes").is_none(), "its middle differs");
    }
}
