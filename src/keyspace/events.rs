//! News about keys: what happened to which key, kept until the unit ends. Costs one mask test while nobody listens.

use super::key::DbIndex;

/// Classes of events: the bits that `notify-keyspace-events` selects, and who else listens.
pub mod class {
    /// `g`: commands of no type.
    pub const GENERIC: u32 = 1 << 0;
    /// `$`: strings.
    pub const STRING: u32 = 1 << 1;
    /// `l`: lists.
    pub const LIST: u32 = 1 << 2;
    /// `s`: sets.
    pub const SET: u32 = 1 << 3;
    /// `h`: hashes.
    pub const HASH: u32 = 1 << 4;
    /// `z`: sorted sets.
    pub const ZSET: u32 = 1 << 5;
    /// `x`: a key expired.
    pub const EXPIRED: u32 = 1 << 6;
    /// `e`: a key was evicted.
    pub const EVICTED: u32 = 1 << 7;
    /// `t`: streams.
    pub const STREAM: u32 = 1 << 8;
    /// `m`: a read missed.
    pub const KEYMISS: u32 = 1 << 9;
    /// `n`: a key was made.
    pub const NEW: u32 = 1 << 10;
    /// `o`: a key was overwritten as a whole.
    pub const OVERWRITTEN: u32 = 1 << 11;
    /// `c`: a key holds another type than before.
    pub const TYPE_CHANGED: u32 = 1 << 12;
    /// `d`: types that are modules in the reference server.
    pub const MODULE: u32 = 1 << 17;
    /// Somebody waits for keys.
    pub const AWAITED: u32 = 1 << 30;
    /// `a`: arrays.
    pub const ARRAY: u32 = 1 << 16;
    /// Somebody watches keys: every change is of interest.
    pub const CHANGED: u32 = 1 << 31;
}

/// What a command did: a class and the name that notifications bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event {
    /// One bit of `class`.
    pub class: u32,
    /// `set`, `lpush`, `expired`, ...
    pub name: &'static str,
    /// Whether the key's value or deadline changed (a miss changes nothing).
    pub changed: bool,
}

impl Event {
    /// A key was made.
    pub const NEW_KEY: Event = Event { class: class::NEW, name: "new", changed: false };

    /// A key was overwritten as a whole.
    pub const OVERWRITTEN: Event = Event { class: class::OVERWRITTEN, name: "overwritten", changed: false };
    /// A key holds another type than before.
    pub const TYPE_CHANGED: Event = Event { class: class::TYPE_CHANGED, name: "type_changed", changed: false };

    const fn of(class: u32, name: &'static str) -> Event {
        Event { class, name, changed: true }
    }
    /// A command of no type.
    pub const fn generic(name: &'static str) -> Event {
        Event::of(class::GENERIC, name)
    }
    /// A string command.
    pub const fn string(name: &'static str) -> Event {
        Event::of(class::STRING, name)
    }
    /// A list command.
    pub const fn list(name: &'static str) -> Event {
        Event::of(class::LIST, name)
    }
    /// A set command.
    pub const fn set(name: &'static str) -> Event {
        Event::of(class::SET, name)
    }
    /// A hash command.
    pub const fn hash(name: &'static str) -> Event {
        Event::of(class::HASH, name)
    }
    /// A stream command.
    pub const fn stream(name: &'static str) -> Event {
        Event::of(class::STREAM, name)
    }
    /// A change that nobody hears of: it breaks no WATCH either.
    pub const SILENT: Event = Event { class: 0, name: "", changed: false };

    /// An array command.
    pub const fn array(name: &'static str) -> Event {
        Event::of(class::ARRAY, name)
    }
    /// A sorted-set command.
    pub const fn zset(name: &'static str) -> Event {
        Event::of(class::ZSET, name)
    }
    /// A vector-set command.
    pub const fn vector(name: &'static str) -> Event {
        Event::of(class::MODULE, name)
    }
}

/// One piece of news.
#[derive(Clone, Debug)]
pub enum KeyEvent {
    /// Something happened to a key.
    Key {
        /// Its database.
        db: DbIndex,
        /// Its name.
        key: Box<[u8]>,
        /// What happened.
        event: Event,
    },
    /// All keys of a database went; `None` for all databases.
    Flushed(Option<DbIndex>),
    /// Two databases changed places.
    Swapped(DbIndex, DbIndex),
}
