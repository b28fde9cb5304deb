//! The databases and the view that a command has of the selected one.
//! Invariant: `volatile` counts the entries with a deadline, and each of them has an item in the deadline index. `subkeys`
//! keeps the same of entries whose elements (fields of hashes) have deadlines.

use super::awaited::Awaited;
use super::cut::{Cut, CutCosts};
use super::edit::{Dates, Edit, Missing};
use super::events::{Event, KeyEvent, class};
use super::expire::Deadlines;
use super::key::{DbIndex, Key};
use super::lazyfree::LazyFree;
use super::subkeys::{Subkeys, take_due_members};
use crate::base::clock::{self, Now};
use crate::base::hash::Hasher;
use crate::base::rng::Rng;
use crate::ds::table::{Occupied, Table};
use crate::types::{self, Entry, EntryRef, Kind, Limits, Type, Value};

/// The key holds another type than the command works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WrongType;

/// One database.
pub struct Db {
    /// Its keys.
    pub table: Table<Entry>,
    /// When keys are due.
    pub deadlines: Deadlines,
    /// Keys with a deadline.
    pub volatile: usize,
    /// Average time to live in milliseconds, estimated by the expiry steps.
    pub avg_ttl_ms: u64,
    /// Keys whose elements have deadlines of their own, and when those are due.
    pub subkeys: Subkeys,
}

impl Db {
    fn new(hasher: Hasher) -> Db {
        Db {
            table: Table::new(hasher),
            deadlines: Deadlines::default(),
            volatile: 0,
            avg_ttl_ms: 0,
            subkeys: Subkeys::default(),
        }
    }
}

impl Db {
    /// An entry was taken out of the table: its deadlines are no longer counted. Its items in the indexes are stale then.
    #[inline]
    pub(super) fn forget(&mut self, entry: EntryRef<'_>) {
        self.volatile -= usize::from(entry.deadline().is_some());
        self.subkeys.forget(entry);
    }
}

/// How reads and writes mark an entry's access bits.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Touch {
    /// Seconds of the last access.
    Lru,
    /// Minutes of the last decay, and a logarithmic counter.
    Lfu {
        /// How fast the counter saturates.
        log_factor: u32,
        /// Minutes that take one off the counter.
        decay_minutes: u32,
    },
}

/// What INFO counts about keys.
#[derive(Default, Debug, Clone)]
pub struct Counters {
    /// Look-ups that found their key.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Keys that went because their time had come.
    pub expired: u64,
    /// Elements (fields of hashes) that went because their time had come.
    pub expired_subkeys: u64,
    /// Keys evicted for memory.
    pub evicted: u64,
    /// Keys that a flush freed without the thread, as there were few.
    pub freed_at_once: u64,
    /// Expiry steps that ran out of budget.
    pub expired_time_cap_reached: u64,
}

/// What went by itself, for those who follow the changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vanished {
    /// The key's database.
    pub db: DbIndex,
    /// The key.
    pub key: Box<[u8]>,
    /// Of a hash, set or sorted set, its type and the element that went; nothing if the key did.
    pub element: Option<(Type, Box<[u8]>)>,
}

/// What all databases share.
pub struct Book {
    /// Thresholds of the packed encodings.
    pub limits: Limits,
    /// How accesses are marked.
    pub touch: Touch,
    /// Changes since the last save.
    pub dirty: u64,
    /// Which classes of events anybody wants to hear.
    pub interest: u32,
    /// News of the unit that runs.
    pub events: Vec<KeyEvent>,
    /// Keys that somebody waits for.
    pub awaited: Awaited,
    /// What went by itself (expired, evicted) in the unit: it is propagated before its effects.
    pub vanished: Vec<Vanished>,
    /// Whether somebody reads the journal, so that `vanished` must be kept.
    pub propagate: bool,
    /// For INFO.
    pub counters: Counters,
    /// The lazy-free thread, once it was needed.
    pub lazyfree: Option<LazyFree>,
    /// Whether the expiry steps run (DEBUG SET-ACTIVE-EXPIRE).
    pub active_expire: bool,
    /// The database that the next expiry step begins with.
    pub expire_turn: usize,
    /// The best candidates for eviction seen so far.
    pub pool: super::evict::Pool,
    /// Randomness for samples.
    pub rng: Rng,
    /// The cut that is being taken.
    pub cut: Option<Box<Cut>>,
    /// What the last one cost.
    pub last_cut: CutCosts,
    /// What the mark of an entry is that a running cut has, or need not have.
    pub(super) mark: bool,
    /// How many cuts were begun.
    pub(super) cuts: u32,
}

/// Values with more elements than this are freed by the thread when nobody asked for it.
const FREE_HERE_ELEMENTS: usize = 10_000;
/// Databases with more keys than this are freed by the thread.
const FREE_HERE_KEYS: usize = 1_000;
/// UNLINK frees values up to this many elements here.
const UNLINK_HERE_ELEMENTS: usize = 64;

impl Book {
    /// Announces a change or a miss.
    #[inline]
    pub fn announce(&mut self, db: DbIndex, key: &[u8], event: Event) {
        let heard = event.class | if event.changed { class::CHANGED | class::AWAITED } else { 0 };
        let heard = self.interest & heard;
        if heard & class::AWAITED != 0 {
            self.awaited.touch(db, key);
        }
        if heard & !class::AWAITED != 0 {
            self.events.push(KeyEvent::Key { db, key: key.into(), event });
        }
    }

    /// Announces that a key's value was replaced as a whole, and its type with it if that is so.
    #[inline]
    pub fn announce_overwrite(&mut self, db: DbIndex, key: &[u8], before: Type, after: Type) {
        if self.interest & (class::OVERWRITTEN | class::TYPE_CHANGED) != 0 {
            self.announce(db, key, Event::OVERWRITTEN);
            if before != after {
                self.announce(db, key, Event::TYPE_CHANGED);
            }
        }
    }

    /// The access bits of a new entry.
    #[inline]
    pub fn fresh_access(&self, now: Now) -> u32 {
        match self.touch {
            Touch::Lru => clock::lru_pack(now, false),
            Touch::Lfu { .. } => clock::lfu_pack(clock::lfu_minutes(now), clock::LFU_INIT),
        }
    }

    /// The access bits after one more access.
    #[inline]
    pub fn touched_access(&mut self, old: u32, now: Now) -> u32 {
        match self.touch {
            Touch::Lru => clock::lru_pack(now, true),
            Touch::Lfu { log_factor, decay_minutes } => {
                let minutes = clock::lfu_minutes(now);
                let (counter, then) = clock::lfu_unpack(old);
                let counter = clock::lfu_decay(counter, then, minutes, decay_minutes);
                let counter = clock::lfu_log_incr(counter, log_factor, self.rng.next_u64() as u32);
                clock::lfu_pack(minutes, counter)
            }
        }
    }

    /// The thread, started when first needed; nothing if no thread can be had.
    fn lazyfree(&mut self) -> Option<&mut LazyFree> {
        if self.lazyfree.is_none() {
            match LazyFree::start() {
                Ok(thread) => self.lazyfree = Some(thread),
                Err(error) => log::warn!("The lazy-free thread can't be started, values are freed in place: {error}"),
            }
        }
        self.lazyfree.as_mut()
    }

    /// Frees a whole table, by the thread if there is one.
    pub fn free_table(&mut self, table: Table<Entry>) {
        match self.lazyfree() {
            Some(thread) => thread.table(table),
            None => drop(table),
        }
    }

    /// Frees indexes of deadlines, by the thread if there is one.
    fn free_indexes(&mut self, indexes: [Deadlines; 2]) {
        match self.lazyfree() {
            Some(thread) => thread.indexes(indexes),
            None => drop(indexes),
        }
    }

    /// Frees a removed entry: here if that is quick, else by the thread.
    pub fn free(&mut self, entry: Entry, lazy: bool) {
        let limit = if lazy { UNLINK_HERE_ELEMENTS } else { FREE_HERE_ELEMENTS };
        if entry.big().is_some_and(|big| big.free_effort() > limit) {
            if let Some(thread) = self.lazyfree() {
                return thread.entry(entry);
            }
        }
        drop(entry);
    }
}

/// Whether the loop has better things to do than to free this.
fn takes_long(table: &Table<Entry>) -> bool {
    let effort = |entry: EntryRef<'_>| entry.big().map_or(1, |big| big.free_effort());
    table.len() > FREE_HERE_KEYS || table.iter().map(effort).sum::<usize>() > FREE_HERE_ELEMENTS
}

/// All databases.
pub struct Keyspace {
    /// By index.
    pub dbs: Vec<Db>,
    /// What they share.
    pub book: Book,
    hasher: Hasher,
}

impl Keyspace {
    /// `count` empty databases.
    pub fn new(count: usize, hasher: Hasher, rng: Rng) -> Keyspace {
        Keyspace {
            dbs: (0..count).map(|_| Db::new(hasher)).collect(),
            book: Book {
                limits: Limits::new(hasher),
                touch: Touch::Lru,
                dirty: 0,
                interest: 0,
                events: Vec::new(),
                awaited: Awaited::new(hasher),
                vanished: Vec::new(),
                propagate: false,
                counters: Counters::default(),
                lazyfree: None,
                active_expire: true,
                expire_turn: 0,
                pool: super::evict::Pool::default(),
                rng,
                cut: None,
                last_cut: CutCosts::default(),
                mark: false,
                cuts: 0,
            },
            hasher,
        }
    }

    /// The hash of keys.
    #[inline]
    pub fn hasher(&self) -> Hasher {
        self.hasher
    }

    /// The selected database at one moment.
    #[inline]
    pub fn view(&mut self, index: DbIndex, now: Now) -> DbView<'_> {
        DbView { space: self, index, now, touch_reads: true, keep_expired: false }
    }

    /// Keys of all databases.
    pub fn total_keys(&self) -> usize {
        self.dbs.iter().map(|db| db.table.len()).sum()
    }

    /// Bytes of the tables themselves: what MEMORY STATS calls overhead.
    pub fn table_bytes(&self) -> usize {
        let index_bytes = |db: &Db| db.deadlines.alloc_bytes() + db.subkeys.deadlines.alloc_bytes();
        self.dbs.iter().map(|db| db.table.table_bytes() + index_bytes(db)).sum()
    }

    /// Empties one database, or all; returns how many keys went. `lazy`: by the thread, as all that would take long is.
    pub fn flush(&mut self, which: Option<DbIndex>, lazy: bool) -> u64 {
        let mut removed = 0;
        for (index, db) in self.dbs.iter_mut().enumerate() {
            if which.is_some_and(|w| w.0 as usize != index) {
                continue;
            }
            removed += db.table.len() as u64;
            let old = std::mem::replace(db, Db::new(self.hasher));
            db.deadlines = Deadlines::continuing(&old.deadlines);
            db.subkeys.deadlines = Deadlines::continuing(&old.subkeys.deadlines);
            let takes_long = takes_long(&old.table);
            let mut table = Some(old.table).filter(|table| !table.is_empty());
            if let Some(cut) = &mut self.book.cut {
                table = table.and_then(|table| cut.take_table(DbIndex(index as u32), table));
            }
            if lazy || takes_long {
                if let Some(table) = table {
                    self.book.free_table(table);
                }
                if old.deadlines.len() + old.subkeys.deadlines.len() > FREE_HERE_KEYS {
                    self.book.free_indexes([old.deadlines, old.subkeys.deadlines]);
                }
            }
        }
        if self.book.interest & class::CHANGED != 0 {
            self.book.events.push(KeyEvent::Flushed(which));
        }
        self.book.awaited.touch_all(which);
        removed
    }

    /// Exchanges two databases' contents.
    pub fn swap(&mut self, a: DbIndex, b: DbIndex) {
        self.dbs.swap(a.0 as usize, b.0 as usize);
        if let Some(cut) = &mut self.book.cut {
            cut.swap(a, b);
        }
        if self.book.interest & class::CHANGED != 0 && a != b {
            self.book.events.push(KeyEvent::Swapped(a, b));
        }
        if a != b {
            self.book.awaited.touch_all(Some(a));
            self.book.awaited.touch_all(Some(b));
        }
    }
}

/// The selected database, as one command sees it.
pub struct DbView<'a> {
    /// All databases.
    pub space: &'a mut Keyspace,
    /// The selected one.
    pub index: DbIndex,
    /// The moment, frozen for a unit.
    pub now: Now,
    /// Whether reading marks the access bits (CLIENT NO-TOUCH turns it off).
    pub touch_reads: bool,
    /// Whether a key whose time has come is hidden instead of removed: while writes are paused nothing may change.
    pub keep_expired: bool,
}

impl DbView<'_> {
    /// The selected database itself.
    #[inline]
    pub fn db(&mut self) -> &mut Db {
        &mut self.space.dbs[self.index.0 as usize]
    }

    /// The selected database itself, to look at.
    #[inline]
    pub fn db_ref(&self) -> &Db {
        &self.space.dbs[self.index.0 as usize]
    }

    /// `bytes` as a key.
    #[inline]
    pub fn key<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key::new(self.space.hasher, bytes)
    }

    /// The same view of another database.
    pub fn other(&mut self, index: DbIndex) -> DbView<'_> {
        DbView { index, space: self.space, ..*self }
    }

    /// The entry, unless its time has come (then it goes). Neither counted nor marked as access.
    #[inline]
    fn live(&mut self, key: Key<'_>) -> Option<(Occupied<'_, Entry>, &mut Book)> {
        let db = &mut self.space.dbs[self.index.0 as usize];
        let occupied = db.table.find(key.hash, key.bytes)?;
        if let Some(deadline) = occupied.get().deadline() {
            if deadline <= self.now.unix_ms.0 {
                if self.keep_expired {
                    return None;
                }
                self.space.book.before_change(self.index, occupied.get());
                let entry = occupied.remove();
                db.volatile -= 1;
                db.subkeys.forget(entry.view());
                expired(&mut self.space.book, entry, self.index, key.bytes);
                return None;
            }
        }
        if self.keep_expired || !has_due_member(occupied.get(), self.now) {
            return Some((occupied, &mut self.space.book));
        }
        let counts = (&mut db.volatile, &mut db.subkeys);
        let place = take_due_members(occupied, (self.index, self.now), counts, &mut self.space.book).ok()?;
        Some((place, &mut self.space.book))
    }

    /// Any entry, without counting or marking: TYPE, TTL, OBJECT, EXISTS.
    pub fn peek(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.live(key).map(|(occupied, _)| occupied.into_ref())
    }

    /// Any entry as it stands, even one whose time is over: DEBUG OBJECT.
    pub fn as_it_stands(&self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.db_ref().table.get(key.hash, key.bytes)
    }

    /// Any entry, as an access: counted as hit or miss and marked.
    #[inline]
    pub fn entry(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.entry_as(key, self.touch_reads)
    }

    /// Any entry, counted as hit or miss but not marked as used: what looks at a key without reading its value.
    pub fn entry_unmarked(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.entry_as(key, false)
    }

    /// Any entry, as an access that is marked whatever the client wishes: TOUCH.
    pub fn entry_marked(&mut self, key: Key<'_>) -> Option<EntryRef<'_>> {
        self.entry_as(key, true)
    }

    #[inline]
    fn entry_as(&mut self, key: Key<'_>, touch: bool) -> Option<EntryRef<'_>> {
        let (now, index) = (self.now, self.index);
        if self.space.book.interest & class::KEYMISS != 0 && self.peek(key).is_none() {
            let miss = Event { class: class::KEYMISS, name: "keymiss", changed: false };
            self.space.book.announce(index, key.bytes, miss);
        }
        // Split by hand: the counters live beside the table that the entry borrows from.
        let db = &mut self.space.dbs[index.0 as usize];
        let book = &mut self.space.book;
        let Some(mut occupied) = db.table.find(key.hash, key.bytes) else {
            book.counters.misses += 1;
            return None;
        };
        let entry = occupied.get();
        if let Some(deadline) = entry.deadline() {
            if deadline <= now.unix_ms.0 {
                if !self.keep_expired {
                    book.before_change(index, occupied.get());
                    let entry = occupied.remove();
                    db.volatile -= 1;
                    db.subkeys.forget(entry.view());
                    expired(book, entry, index, key.bytes);
                }
                book.counters.misses += 1;
                return None;
            }
        }
        if has_due_member(entry, now) && !self.keep_expired {
            let counts = (&mut db.volatile, &mut db.subkeys);
            let Ok(place) = take_due_members(occupied, (index, now), counts, book) else {
                book.counters.misses += 1;
                return None;
            };
            occupied = place;
        }
        book.counters.hits += 1;
        if touch {
            let old = occupied.get().lru();
            let new = book.touched_access(old, now);
            if new != old {
                occupied.get_mut().set_lru(new);
            }
        }
        Some(occupied.into_ref())
    }

    /// A value of type `T` to read, counted and marked as access.
    ///
    /// # Errors
    /// `WrongType` if the key holds another type.
    #[inline]
    pub fn read<T: Value>(&mut self, key: Key<'_>) -> Result<Option<T::Ref<'_>>, WrongType> {
        let now_ms = self.now.unix_ms.0;
        match self.entry(key) {
            None => Ok(None),
            Some(entry) if Kind::of(entry.kind()).type_of() == T::TYPE => Ok(Some(T::view_at(entry, now_ms))),
            Some(_) => Err(WrongType),
        }
    }

    /// A value of type `T` that is about to be changed: the look is neither a hit nor a miss, and no news.
    ///
    /// # Errors
    /// `WrongType` if the key holds another type.
    pub fn read_to_change<T: Value>(&mut self, key: Key<'_>) -> Result<Option<T::Ref<'_>>, WrongType> {
        match self.peek(key) {
            None => Ok(None),
            Some(entry) if Kind::of(entry.kind()).type_of() == T::TYPE => Ok(Some(T::view(entry))),
            Some(_) => Err(WrongType),
        }
    }

    /// A value of type `T` as it stands: after `read` has expired, counted and checked it. Lets several be looked at at once.
    pub fn look<T: Value>(&self, key: Key<'_>) -> Option<T::Ref<'_>> {
        let entry = self.db_ref().table.get(key.hash, key.bytes)?;
        if entry.deadline().is_some_and(|deadline| deadline <= self.now.unix_ms.0) {
            return None;
        }
        (Kind::of(entry.kind()).type_of() == T::TYPE).then(|| T::view_at(entry, self.now.unix_ms.0))
    }

    /// Whether the key is there. Not an access.
    pub fn exists(&mut self, key: Key<'_>) -> bool {
        self.live(key).is_some()
    }

    /// The type of what the key holds. Not an access.
    pub fn type_of(&mut self, key: Key<'_>) -> Option<Type> {
        self.peek(key).map(|entry| Kind::of(entry.kind()).type_of())
    }

    /// The door to a change. With `Missing::Skip` a missing key gives `None`; with `Missing::Create` it is made, empty.
    ///
    /// # Errors
    /// `WrongType` if the key holds another type.
    // Inline: an edit that is handed over in memory costs more than finding the key.
    #[inline(always)]
    pub fn edit<'v, T: Value>(&'v mut self, key: Key<'v>, missing: Missing) -> Result<Option<Edit<'v, T>>, WrongType> {
        let (now, index) = (self.now, self.index);
        let db = &mut self.space.dbs[index.0 as usize];
        let book = &mut self.space.book;
        let mut found = db.table.look_up(key.hash, key.bytes);
        if let Ok(occupied) = found {
            let is_old = is_due(occupied.get(), now) || has_due_member(occupied.get(), now);
            let counts = (&mut db.volatile, &mut db.subkeys);
            found = if is_old { take_due(occupied, (index, now), counts, book) } else { Ok(occupied) };
        }
        let dates = Dates { volatile: &mut db.volatile, deadlines: &mut db.deadlines, subkeys: &mut db.subkeys };
        match found {
            Ok(mut occupied) => {
                let entry = occupied.get();
                if Kind::of(entry.kind()).type_of() != T::TYPE {
                    return Err(WrongType);
                }
                book.before_change(index, entry);
                let access = book.touched_access(entry.lru(), now);
                occupied.get_mut().set_lru(access);
                Ok(Some(Edit::new(occupied, dates, book, index, false)))
            }
            Err(_) if missing == Missing::Skip => Ok(None),
            Err(table) => {
                let mut entry = T::create(key.bytes, &book.limits, book.fresh_access(now));
                book.stamp(&mut entry);
                Ok(Some(Edit::new(table.insert_new(key.hash, entry), dates, book, index, true)))
            }
        }
    }

    /// As `edit` with `Missing::Create`.
    ///
    /// # Errors
    /// `WrongType` if the key holds another type.
    #[inline]
    pub fn edit_or_create<'v, T: Value>(&'v mut self, key: Key<'v>) -> Result<Edit<'v, T>, WrongType> {
        Ok(self.edit(key, Missing::Create)?.expect("a missing key was just made"))
    }

    /// Puts a whole value in place of whatever the key held; its deadline goes unless `keep_ttl`.
    /// The entry is made by `make`, which gets the old one if there was any and may reuse its allocation.
    #[inline]
    pub fn put(
        &mut self,
        key: Key<'_>,
        deadline: Deadline,
        event: Event,
        change: impl FnOnce(Option<&mut Entry>, u32) -> Option<Entry>,
    ) {
        self.store(key, deadline, event, true, change);
    }

    /// As `put`, for what is the old value changed; its deadline stays.
    pub fn put_changed(
        &mut self,
        key: Key<'_>,
        event: Event,
        change: impl FnOnce(Option<&mut Entry>, u32) -> Option<Entry>,
    ) {
        self.store(key, Deadline::Keep, event, false, change);
    }

    #[inline]
    fn store(
        &mut self,
        key: Key<'_>,
        deadline: Deadline,
        event: Event,
        overwrites: bool,
        change: impl FnOnce(Option<&mut Entry>, u32) -> Option<Entry>,
    ) {
        let (now, index) = (self.now, self.index);
        let db = &mut self.space.dbs[index.0 as usize];
        let book = &mut self.space.book;
        match db.table.find(key.hash, key.bytes) {
            Some(mut occupied) => {
                book.before_change(index, occupied.get());
                // An overwrite is a use, and keeps how often the key was used.
                let access = book.touched_access(occupied.get().lru(), now);
                let old_deadline = occupied.get().deadline();
                let old_type = Kind::of(occupied.get().kind()).type_of();
                let old_soonest = types::soonest(occupied.get());
                let mut entry = occupied.get_mut();
                let fresh = change(Some(&mut entry), access);
                if let Some(mut fresh) = fresh {
                    book.stamp(&mut fresh);
                    std::mem::swap(&mut *entry, &mut fresh);
                    book.free(fresh, false);
                }
                entry.set_lru(access);
                let deadline = match deadline {
                    Deadline::Keep => old_deadline.filter(|d| *d > now.unix_ms.0),
                    Deadline::At(at) => at,
                };
                if entry.deadline() != deadline {
                    entry.set_deadline(deadline);
                }
                let soonest = types::soonest(entry.view());
                drop(entry);
                if overwrites {
                    let new_type = Kind::of(occupied.get().kind()).type_of();
                    book.announce_overwrite(index, key.bytes, old_type, new_type);
                }
                set_index(&mut db.deadlines, &mut db.volatile, key.hash, old_deadline, deadline);
                db.subkeys.changed(key.hash, old_soonest, soonest);
            }
            None => {
                let Some(mut entry) = change(None, book.fresh_access(now)) else { return };
                book.stamp(&mut entry);
                if let Deadline::At(Some(at)) = deadline {
                    entry.set_deadline(Some(at));
                    set_index(&mut db.deadlines, &mut db.volatile, key.hash, None, Some(at));
                }
                db.subkeys.changed(key.hash, None, types::soonest(entry.view()));
                db.table.insert_new(key.hash, entry);
                book.announce(index, key.bytes, Event::NEW_KEY);
            }
        }
        book.dirty += 1;
        book.announce(index, key.bytes, event);
    }

    /// Puts a finished entry under the name that it bears, in place of whatever was there, announced as `event`.
    pub fn replace(&mut self, entry: Entry, event: Event) {
        let name: Box<[u8]> = entry.key().into();
        let key = Key::new(self.space.hasher, &name);
        self.put(key, Deadline::At(entry.deadline()), event, |_, _| Some(entry));
    }

    /// Sets or takes away a live key's deadline; false if there is no such key. Not announced: the caller knows the event.
    pub fn set_deadline(&mut self, key: Key<'_>, deadline: Option<i64>) -> bool {
        let index = self.index;
        let Some((mut occupied, book)) = self.live(key) else { return false };
        book.before_change(index, occupied.get());
        let old = occupied.get().deadline();
        occupied.get_mut().set_deadline(deadline);
        let db = self.db();
        set_index(&mut db.deadlines, &mut db.volatile, key.hash, old, deadline);
        true
    }

    /// Takes a live key out, to be freed or put elsewhere. Not announced.
    pub fn take(&mut self, key: Key<'_>) -> Option<Entry> {
        let index = self.index;
        let (occupied, book) = self.live(key)?;
        book.before_change(index, occupied.get());
        let entry = occupied.remove();
        self.db().forget(entry.view());
        Some(entry)
    }

    /// Puts an entry under the name that it bears; the caller has made sure that there is none. Not announced.
    pub fn insert(&mut self, mut entry: Entry) {
        self.space.book.stamp(&mut entry);
        self.space.book.follow(self.index, entry.view());
        let hash = self.space.hasher.hash(entry.key());
        let deadline = entry.deadline();
        let db = self.db();
        set_index(&mut db.deadlines, &mut db.volatile, hash, None, deadline);
        db.subkeys.changed(hash, None, types::soonest(entry.view()));
        db.table.insert_new(hash, entry);
    }

    /// So many keys are about to come by `settle`, about; 0: no more. Costs little if they do not.
    pub fn expect(&mut self, keys: usize) {
        self.space.dbs[self.index.0 as usize].table.expect(keys);
    }

    /// Brings what `settle` reads for keys of these hashes into the cache, all at once.
    pub fn prefetch(&self, hashes: impl Iterator<Item = u64> + Clone) {
        let table = &self.db_ref().table;
        hashes.clone().for_each(|hash| table.prefetch_segment(hash));
        hashes.for_each(|hash| table.prefetch_bucket(hash));
    }

    /// Puts an entry of a file under the name that it bears, whose hash this is. If there is one of that name it is replaced, or,
    /// without `replace`, stays, and this is false. Not announced.
    pub fn settle(&mut self, hash: u64, mut entry: Entry, replace: bool) -> bool {
        self.space.book.stamp(&mut entry);
        let (deadline, soonest) = (entry.deadline(), types::soonest(entry.view()));
        let db = &mut self.space.dbs[self.index.0 as usize];
        let (old, old_soonest) = match db.table.find(hash, entry.key()) {
            Some(_) if !replace => return false,
            Some(mut place) => {
                let old = (place.get().deadline(), types::soonest(place.get()));
                self.space.book.before_change(self.index, place.get());
                std::mem::swap(&mut *place.get_mut(), &mut entry);
                self.space.book.free(entry, true);
                old
            }
            None => {
                db.table.insert_new(hash, entry);
                (None, None)
            }
        };
        set_index(&mut db.deadlines, &mut db.volatile, hash, old, deadline);
        db.subkeys.changed(hash, old_soonest, soonest);
        true
    }

    /// Removes a live key, announced as `event`; false if there was none. `lazy`: large values by the thread.
    pub fn delete(&mut self, key: Key<'_>, lazy: bool, event: Event) -> bool {
        let Some(entry) = self.take(key) else { return false };
        let book = &mut self.space.book;
        book.free(entry, lazy);
        book.dirty += 1;
        book.announce(self.index, key.bytes, event);
        true
    }

    /// Removes the entry with this hash whose deadline has come, if there is one: a step of active expiry.
    /// Returns what to do with the index item.
    pub(super) fn expire_by_hash(&mut self, hash: u64) -> super::expire::Found {
        use super::expire::Found;
        let (now_ms, index, hasher) = (self.now.unix_ms.0, self.index, self.space.hasher);
        let db = &mut self.space.dbs[index.0 as usize];
        let mut later: Option<i64> = None;
        // The table knows only a part of the hash: another key's deadline must not be taken for this one's.
        let due = db.table.find_by_hash(hash, |entry| match entry.deadline() {
            Some(_) if hasher.hash(entry.key()) != hash => false,
            Some(deadline) if deadline <= now_ms => true,
            Some(deadline) => {
                later = Some(later.map_or(deadline, |l| l.min(deadline)));
                false
            }
            None => false,
        });
        match due {
            Some(occupied) => {
                self.space.book.before_change(index, occupied.get());
                let entry = occupied.remove();
                db.forget(entry.view());
                let key: Box<[u8]> = entry.key().into();
                expired(&mut self.space.book, entry, index, &key);
                Found::Expired
            }
            None => later.map_or(Found::Gone, Found::Later),
        }
    }
}

/// What becomes of the deadline when a value is put.
#[derive(Clone, Copy, Debug)]
pub enum Deadline {
    /// As before.
    Keep,
    /// This one (Unix milliseconds), or none.
    At(Option<i64>),
}

/// Keeps the deadline index and the count of volatile keys true.
pub(super) fn set_index(
    deadlines: &mut Deadlines,
    volatile: &mut usize,
    hash: u64,
    old: Option<i64>,
    new: Option<i64>,
) {
    match (old, new) {
        (None, Some(_)) => *volatile += 1,
        (Some(_), None) => *volatile -= 1,
        _ => {}
    }
    if let Some(at) = new {
        // An item at or before the new time already leads to the key: it is put off when it comes up.
        if old.is_none_or(|old| at < old) {
            deadlines.add(hash, at);
        }
    }
}

/// Whether a set or sorted set has members whose time has come. Of most values their kind says that they have none.
#[inline]
fn has_due_member(entry: EntryRef<'_>, now: Now) -> bool {
    types::soonest_member(entry).is_some_and(|at| at <= now.unix_ms.0)
}

/// Whether a key's time has come.
#[inline]
fn is_due(entry: EntryRef<'_>, now: Now) -> bool {
    entry.deadline().is_some_and(|deadline| deadline <= now.unix_ms.0)
}

/// Removes a key whose time has come, or of another's value the members whose has. The place; if the key went the table.
#[cold]
fn take_due<'t>(
    place: Occupied<'t, Entry>,
    (index, now): (DbIndex, Now),
    (volatile, subkeys): (&mut usize, &mut Subkeys),
    book: &mut Book,
) -> Result<Occupied<'t, Entry>, &'t mut Table<Entry>> {
    if !is_due(place.get(), now) {
        return take_due_members(place, (index, now), (volatile, subkeys), book);
    }
    book.before_change(index, place.get());
    let (entry, table) = place.remove_from();
    *volatile -= 1;
    subkeys.forget(entry.view());
    let key: Box<[u8]> = entry.key().into();
    expired(book, entry, index, &key);
    Err(table)
}

/// A key's time has come: counted, announced, propagated.
#[cold]
fn expired(book: &mut Book, entry: Entry, index: DbIndex, key: &[u8]) {
    book.counters.expired += 1;
    book.announce(index, key, Event { class: class::EXPIRED, name: "expired", changed: true });
    if book.propagate {
        book.vanished.push(Vanished { db: index, key: key.into(), element: None });
    }
    book.free(entry, true);
}
