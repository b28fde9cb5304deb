//! The types of option values: text, choices, flag sets, limits. Knows how each is spelled, no directive and no server.

use crate::base::number;
use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The value a field has before the table's defaults are applied; never seen outside `config`.
pub(super) trait Blank {
    fn blank() -> Self;
}

macro_rules! blank_by_default {
    ($($type:ty),*) => { $(impl Blank for $type { fn blank() -> Self { Self::default() } })* };
}

blank_by_default!(bool, u16, u32, u64, i32, i64, usize, Text, NotifyFlags, ShutdownFlags, MemoryOrPercent);
blank_by_default!([OutputBufferLimit; 3], [i32; 3], Option<std::path::PathBuf>, Option<ReplicaOf>);

impl<T> Blank for Vec<T> {
    fn blank() -> Self {
        Vec::new()
    }
}

/// Bytes as the file or CONFIG SET gave them; empty stands for "not set".
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Text(Vec<u8>);

impl Text {
    /// As a path of the file system; empty when not set.
    pub fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    /// For messages: bytes that are not UTF-8 are replaced.
    pub fn lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.0)
    }
}

impl std::ops::Deref for Text {
    type Target = [u8];
    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Text {
        Text(bytes.to_vec())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.lossy())
    }
}

/// An enum whose variants are words: `Variant = "word" | "listed synonym" / "silent synonym"`. The first word is the one shown;
/// listed ones stand in error messages, silent ones (other systems' spellings) are only accepted.
macro_rules! words {
    ($(#[$about:meta])* $name:ident {
        $($(#[$doc:meta])* $variant:ident = $word:literal $(| $listed:literal)* $(/ $silent:literal)*,)*
    }) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $variant,)* }

        impl $name {
            /// The words that an error message lists, in its order.
            pub const WORDS: &'static [&'static str] = &[$($word, $($listed,)*)*];

            /// The word that is shown.
            pub fn word(self) -> &'static str {
                match self { $($name::$variant => $word,)* }
            }

            /// The variant of a word, in either case.
            pub fn from_word(word: &[u8]) -> Option<$name> {
                $(if [$word $(, $listed)* $(, $silent)*].iter().any(|w| word.eq_ignore_ascii_case(w.as_bytes())) {
                    return Some($name::$variant);
                })*
                None
            }
        }

        impl Blank for $name {
            fn blank() -> Self { [$($name::$variant),*][0] }
        }
    };
}

words! {
    /// What to evict when `maxmemory` is reached.
    MaxmemoryPolicy {
        /// Least recently used among keys with a deadline.
        VolatileLru = "volatile-lru",
        /// Least often used among keys with a deadline.
        VolatileLfu = "volatile-lfu",
        /// Any key with a deadline.
        VolatileRandom = "volatile-random",
        /// The key whose deadline is nearest.
        VolatileTtl = "volatile-ttl",
        /// Least recently used of all keys.
        AllkeysLru = "allkeys-lru",
        /// Least often used of all keys.
        AllkeysLfu = "allkeys-lfu",
        /// Any key.
        AllkeysRandom = "allkeys-random",
        /// Nothing: writes that need memory are refused.
        NoEviction = "noeviction" / "no-eviction",
    }
}

impl MaxmemoryPolicy {
    /// Only keys with a deadline may go.
    pub fn only_volatile(self) -> bool {
        use MaxmemoryPolicy::*;
        matches!(self, VolatileLru | VolatileLfu | VolatileRandom | VolatileTtl)
    }

    /// The longest unused go.
    pub fn uses_lru(self) -> bool {
        matches!(self, MaxmemoryPolicy::VolatileLru | MaxmemoryPolicy::AllkeysLru)
    }

    /// Keys carry access counters instead of access times.
    pub fn uses_lfu(self) -> bool {
        matches!(self, MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllkeysLfu)
    }
}

words! {
    /// When the append-only file is synced.
    AppendFsync {
        /// About once a second, by a thread.
        Everysec = "everysec",
        /// Before the reply of each write leaves.
        Always = "always",
        /// When the system likes.
        No = "no" / "never",
    }
}

words! {
    /// Lowest severity that is logged.
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Rarely useful detail.
        Verbose = "verbose",
        /// What an operator wants to see.
        Notice = "notice" / "info",
        /// Only what needs attention.
        Warning = "warning" / "warn" / "error",
        /// Nothing at all.
        Nothing = "nothing",
    }
}

words! {
    /// The look of a log line.
    LogFormat {
        /// The one Redis writes.
        Legacy = "legacy" / "console",
        /// `key=value` pairs.
        Logfmt = "logfmt",
        /// One JSON object a line.
        Json = "json",
    }
}

words! {
    /// Who may use a dangerous command or protected option.
    Permission {
        /// Nobody.
        No = "no",
        /// Everybody that ACL allows.
        Yes = "yes",
        /// Connections from this machine.
        Local = "local",
    }
}

words! {
    /// The service manager that readiness is told to.
    Supervised {
        /// Stops itself so that upstart goes on.
        Upstart = "upstart",
        /// READY=1 on the notify socket.
        Systemd = "systemd",
        /// Whichever the environment shows.
        Auto = "auto",
        /// None.
        No = "no",
    }
}

words! {
    /// Facility of syslog lines.
    SyslogFacility {
        /// LOG_USER
        User = "user",
        /// LOG_LOCAL0
        Local0 = "local0",
        /// LOG_LOCAL1
        Local1 = "local1",
        /// LOG_LOCAL2
        Local2 = "local2",
        /// LOG_LOCAL3
        Local3 = "local3",
        /// LOG_LOCAL4
        Local4 = "local4",
        /// LOG_LOCAL5
        Local5 = "local5",
        /// LOG_LOCAL6
        Local6 = "local6",
        /// LOG_LOCAL7
        Local7 = "local7",
    }
}

words! {
    /// How a replica loads a streamed snapshot.
    ReplDisklessLoad {
        /// Through a file.
        Disabled = "disabled",
        /// From the socket when it holds no data.
        OnEmptyDb = "on-empty-db",
        /// From the socket into a second keyspace.
        Swapdb = "swapdb",
    }
}

words! {
    /// Whether clients must show a certificate.
    TlsAuthClients {
        /// Never asked.
        No = "no",
        /// Required.
        Yes = "yes",
        /// Checked when shown.
        Optional = "optional",
    }
}

words! {
    /// Which field of a client's certificate is the name of its user.
    TlsAuthClientsUser {
        /// None.
        Off = "off",
        /// The common name.
        CommonName = "CN",
        /// A URI among the alternative names.
        Uri = "URI",
    }
}

words! {
    /// How the kernel's out-of-memory score is set.
    OomScoreAdj {
        /// Left alone.
        No = "no",
        /// Values are added to the score at start.
        Relative = "yes" | "relative",
        /// Values are written as they are.
        Absolute = "absolute",
    }
}

words! {
    /// How new passwords are kept.
    PasswordHash {
        /// SHA-256, as the protocol has it.
        Sha256 = "sha256",
        /// argon2id, salted and slow.
        Argon2id = "argon2id",
    }
}

words! {
    /// Channel rights of a new ACL user.
    AclPubsubDefault {
        /// Every channel.
        AllChannels = "allchannels",
        /// No channel.
        ResetChannels = "resetchannels",
    }
}

words! {
    /// Whose payloads get the deep check.
    SanitizeDumpPayload {
        /// Nobody's.
        No = "no",
        /// Everybody's.
        Yes = "yes",
        /// RESTORE of ordinary clients only.
        Clients = "clients",
    }
}

words! {
    /// What name a cluster node prefers to be reached by.
    EndpointType {
        /// Its address.
        Ip = "ip",
        /// Its host name.
        Hostname = "hostname",
        /// Whatever the client connected to.
        Unknown = "unknown-endpoint",
    }
}

words! {
    /// What to do when applying a propagated command fails.
    PropagationErrorBehavior {
        /// Log and go on.
        Ignore = "ignore",
        /// Stop the process.
        Panic = "panic",
        /// Stop the process if it is a replica.
        PanicOnReplicas = "panic-on-replicas",
    }
}

/// Classes of keyspace events to publish, and on which channels.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NotifyFlags(pub u32);

impl NotifyFlags {
    /// `K`: publish on `__keyspace@db__:key`.
    pub const KEYSPACE: NotifyFlags = NotifyFlags(1);
    /// `E`: publish on `__keyevent@db__:event`.
    pub const KEYEVENT: NotifyFlags = NotifyFlags(1 << 1);
    /// `g`: commands of no type (DEL, EXPIRE, RENAME).
    pub const GENERIC: NotifyFlags = NotifyFlags(1 << 2);
    /// `$`: strings.
    pub const STRING: NotifyFlags = NotifyFlags(1 << 3);
    /// `l`: lists.
    pub const LIST: NotifyFlags = NotifyFlags(1 << 4);
    /// `s`: sets.
    pub const SET: NotifyFlags = NotifyFlags(1 << 5);
    /// `h`: hashes.
    pub const HASH: NotifyFlags = NotifyFlags(1 << 6);
    /// `z`: sorted sets.
    pub const ZSET: NotifyFlags = NotifyFlags(1 << 7);
    /// `x`: a key expired.
    pub const EXPIRED: NotifyFlags = NotifyFlags(1 << 8);
    /// `e`: a key was evicted.
    pub const EVICTED: NotifyFlags = NotifyFlags(1 << 9);
    /// `t`: streams.
    pub const STREAM: NotifyFlags = NotifyFlags(1 << 10);
    /// `m`: a read found no key; not part of `A`.
    pub const KEY_MISS: NotifyFlags = NotifyFlags(1 << 11);
    /// `d`: types of modules.
    pub const MODULE: NotifyFlags = NotifyFlags(1 << 13);
    /// `n`: a key was created; not part of `A`.
    pub const NEW: NotifyFlags = NotifyFlags(1 << 14);
    /// `o`: a key was overwritten; not part of `A`.
    pub const OVERWRITTEN: NotifyFlags = NotifyFlags(1 << 15);
    /// `c`: a key's type changed; not part of `A`.
    pub const TYPE_CHANGED: NotifyFlags = NotifyFlags(1 << 16);
    /// `a`: arrays.
    pub const ARRAY: NotifyFlags = NotifyFlags(1 << 20);
    /// The classes of `A` before there were arrays.
    const OLD_CLASSES: NotifyFlags = NotifyFlags(0x27FC);
    /// `A`: every class but those that are not part of it.
    pub const ALL: NotifyFlags = NotifyFlags(Self::OLD_CLASSES.0 | Self::ARRAY.0);

    /// Letters in the order in which they are shown; the others come after them.
    const CLASSES: [(u8, NotifyFlags); 12] = [
        (b'g', Self::GENERIC),
        (b'$', Self::STRING),
        (b'l', Self::LIST),
        (b's', Self::SET),
        (b'h', Self::HASH),
        (b'z', Self::ZSET),
        (b'x', Self::EXPIRED),
        (b'e', Self::EVICTED),
        (b't', Self::STREAM),
        (b'd', Self::MODULE),
        (b'a', Self::ARRAY),
        (b'n', Self::NEW),
    ];
    const CHANNELS: [(u8, NotifyFlags); 5] = [
        (b'K', Self::KEYSPACE),
        (b'E', Self::KEYEVENT),
        (b'm', Self::KEY_MISS),
        (b'o', Self::OVERWRITTEN),
        (b'c', Self::TYPE_CHANGED),
    ];

    /// All bits of `other` are set.
    pub fn contains(self, other: NotifyFlags) -> bool {
        self.0 & other.0 == other.0
    }

    /// Some bit of `other` is set.
    pub fn intersects(self, other: NotifyFlags) -> bool {
        self.0 & other.0 != 0
    }

    /// Reads letters; `None` when one is unknown.
    pub fn parse(letters: &[u8]) -> Option<NotifyFlags> {
        let mut flags = 0;
        for letter in letters {
            let known = Self::CLASSES.iter().chain(&Self::CHANNELS).find(|(l, _)| l == letter);
            flags |= match known {
                Some((_, flag)) => flag.0,
                None if *letter == b'A' => Self::ALL.0,
                None => return None,
            };
        }
        Some(NotifyFlags(flags))
    }

    /// The letters as CONFIG GET shows them. Redis leaves `n` out beside `A`; `lossless` keeps it, for files.
    pub fn letters(self, lossless: bool) -> String {
        let mut text = String::new();
        // CONFIG GET shows `A` for the classes that every version has; a file says all of them.
        let all = self.contains(if lossless { Self::ALL } else { Self::OLD_CLASSES });
        if all {
            text.push('A');
        }
        for (letter, flag) in Self::CLASSES {
            let wanted = !all || (lossless && flag == Self::NEW);
            if wanted && self.contains(flag) {
                text.push(char::from(letter));
            }
        }
        for (letter, flag) in Self::CHANNELS {
            if self.contains(flag) {
                text.push(char::from(letter));
            }
        }
        text
    }
}

/// What a signal's shutdown does; none set: save when save rules exist, wait for replicas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownFlags {
    /// Write a snapshot even without save rules.
    pub save: bool,
    /// Write no snapshot.
    pub nosave: bool,
    /// Do not wait for lagging replicas.
    pub now: bool,
    /// Go on when saving fails.
    pub force: bool,
}

impl ShutdownFlags {
    /// The words that an error message lists.
    pub const WORDS: &'static [&'static str] = &["default", "save", "nosave", "now", "force"];

    /// Sets the flag of a word; false when it is unknown.
    pub(super) fn add(&mut self, word: &[u8]) -> bool {
        let Some(index) = Self::WORDS.iter().position(|w| word.eq_ignore_ascii_case(w.as_bytes())) else {
            return false;
        };
        match index {
            1 => self.save = true,
            2 => self.nosave = true,
            3 => self.now = true,
            4 => self.force = true,
            _ => {}
        }
        true
    }

    /// The words that are set, or `default`.
    pub fn words(self) -> String {
        let set = [false, self.save, self.nosave, self.now, self.force];
        let words: Vec<&str> = Self::WORDS.iter().zip(set).filter(|(_, set)| *set).map(|(word, _)| *word).collect();
        if words.is_empty() { "default".to_owned() } else { words.join(" ") }
    }
}

/// Kinds of clients with a reply-buffer limit of their own; the index into `Config::client_output_buffer_limit`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Neither of the others; MONITOR too.
    Normal = 0,
    /// Links to replicas.
    Replica = 1,
    /// Subscribed to at least one channel or pattern.
    Pubsub = 2,
}

/// When a client's pending replies get it disconnected; 0 is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputBufferLimit {
    /// At once.
    pub hard_bytes: u64,
    /// After staying above it for `soft_seconds`.
    pub soft_bytes: u64,
    /// How long `soft_bytes` may be exceeded.
    pub soft_seconds: u64,
}

/// Save after `seconds` when at least `changes` were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SaveRule {
    /// Since the last save.
    pub seconds: u64,
    /// Since the last save.
    pub changes: u64,
}

/// The primary to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplicaOf {
    /// Name or address.
    pub host: Text,
    /// TCP port.
    pub port: u16,
}

/// A limit given in bytes or as a share of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryOrPercent {
    /// Bytes; 0 is no limit.
    Bytes(u64),
    /// 1 to 100.
    Percent(u8),
}

impl Default for MemoryOrPercent {
    fn default() -> Self {
        MemoryOrPercent::Bytes(0)
    }
}

impl MemoryOrPercent {
    /// The limit in bytes under `maxmemory`; `None` when there is none.
    pub fn bytes_of(self, maxmemory: u64) -> Option<u64> {
        let bytes = match self {
            MemoryOrPercent::Bytes(bytes) => bytes,
            MemoryOrPercent::Percent(percent) => {
                maxmemory / 100 * u64::from(percent) + maxmemory % 100 * u64::from(percent) / 100
            }
        };
        (bytes > 0).then_some(bytes)
    }
}

/// Bytes with an optional unit; text that is not even ASCII is none.
pub(super) fn parse_memory(text: &[u8]) -> Option<u64> {
    number::parse_memory(std::str::from_utf8(text).ok()?)
}

/// Bytes in the largest unit that divides them, as a file shows them.
pub(super) fn memory_with_unit(bytes: u64) -> String {
    for (shift, unit) in [(30, "gb"), (20, "mb"), (10, "kb")] {
        if bytes > 0 && bytes % (1 << shift) == 0 {
            return format!("{}{unit}", bytes >> shift);
        }
    }
    bytes.to_string()
}

/// A percentile with at most six decimals and no trailing zeros.
pub fn percentile_text(percentile: f64) -> String {
    let text = format!("{percentile:.6}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
