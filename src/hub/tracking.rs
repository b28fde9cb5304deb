//! Client-side caching: which clients must be told when a key changes. Knows no message.
//!
//! ```text
//! default mode    key --Roster--> numbers of clients that have read it --conns--> connection      forgotten once told
//! broadcast mode  prefix --> connections; changed keys gather under it until the turn ends
//! ```
//! A number belongs to one client for as long as it is connected. What the keys of a client that left remember is found stale
//! when they change. Keys are remembered by name alone, whatever the database.

use super::roster::Roster;
use crate::base::hash::Hasher;
use crate::ds::record::Field;
use crate::ds::table::IntoIter;
use crate::session::ConnId;
use std::collections::{BTreeMap, HashMap};

/// A client's prefix in broadcast mode.
#[derive(Default)]
struct Prefix {
    conns: Vec<ConnId>,
    /// Keys that changed, and the number of the client that changed them last; none if nobody did.
    changed: BTreeMap<Box<[u8]>, Option<u64>>,
}

/// Keys under one prefix that changed in a turn, and who is to be told.
pub struct Broadcast {
    /// The connections.
    pub conns: Vec<ConnId>,
    /// The keys in order, each with the id of the client that changed it last.
    pub keys: Vec<(Box<[u8]>, Option<u64>)>,
}

/// Who caches what.
pub struct Tracking {
    keys: Roster,
    /// Connections by number.
    conns: HashMap<u32, ConnId>,
    last_number: u32,
    /// Connections that have tracking turned on.
    clients: Vec<ConnId>,
    prefixes: BTreeMap<Box<[u8]>, Prefix>,
    /// How many prefixes have each length.
    prefix_lens: BTreeMap<usize, usize>,
    has_changed: bool,
    /// What the client whose command runs is to be told when the unit has ended; none: all keys.
    pub own: Vec<Option<Box<[u8]>>>,
    /// More keys are remembered than may be: found by whoever adds one or changes the limit.
    pub has_surplus: bool,
    /// Keys that nobody is to be told of any more.
    stale: Vec<IntoIter<Field>>,
}

impl Tracking {
    /// Nobody caches anything.
    pub fn new(hasher: Hasher) -> Tracking {
        Tracking {
            keys: Roster::new(hasher),
            conns: HashMap::new(),
            last_number: 0,
            clients: Vec::new(),
            prefixes: BTreeMap::new(),
            prefix_lens: BTreeMap::new(),
            has_changed: false,
            own: Vec::new(),
            has_surplus: false,
            stale: Vec::new(),
        }
    }

    /// Whether no change matters: nobody has tracking turned on, and no key is remembered of one who had.
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.clients.is_empty() && self.keys.is_empty()
    }

    /// The clients that have tracking turned on.
    pub fn clients(&self) -> &[ConnId] {
        &self.clients
    }

    /// Number of keys that are remembered.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Pairs of a key and a client.
    pub fn items(&self) -> usize {
        self.keys.items()
    }

    /// Number of prefixes of clients in broadcast mode.
    pub fn prefixes(&self) -> usize {
        self.prefixes.len()
    }

    /// A client turns tracking on; nothing happens if it has. `number`: the one it was given before; the answer is its number.
    pub fn turn_on(&mut self, conn: ConnId, number: Option<u32>) -> u32 {
        if !self.clients.contains(&conn) {
            self.clients.push(conn);
        }
        number.unwrap_or_else(|| {
            while self.last_number == 0 || self.conns.contains_key(&self.last_number) {
                self.last_number = self.last_number.wrapping_add(1);
            }
            self.conns.insert(self.last_number, conn);
            self.last_number
        })
    }

    /// A client in broadcast mode wants to hear of keys that begin so.
    pub fn add_prefix(&mut self, conn: ConnId, prefix: &[u8]) {
        let known = self.prefixes.len();
        let entry = self.prefixes.entry(prefix.into()).or_default();
        if !entry.conns.contains(&conn) {
            entry.conns.push(conn);
        }
        if self.prefixes.len() > known {
            *self.prefix_lens.entry(prefix.len()).or_default() += 1;
        }
    }

    /// A client turns tracking off. It keeps its number: what it has read stays remembered for when it turns it on again.
    pub fn turn_off(&mut self, conn: ConnId, prefixes: &[Box<[u8]>]) {
        self.clients.retain(|other| *other != conn);
        for prefix in prefixes {
            let Some(entry) = self.prefixes.get_mut(prefix) else { continue };
            entry.conns.retain(|other| *other != conn);
            if !entry.conns.is_empty() {
                continue;
            }
            self.prefixes.remove(prefix);
            if let Some(count) = self.prefix_lens.get_mut(&prefix.len()) {
                *count -= 1;
                if *count == 0 {
                    self.prefix_lens.remove(&prefix.len());
                }
            }
        }
    }

    /// A client with a number is gone.
    pub fn leave(&mut self, number: u32) {
        self.conns.remove(&number);
        if self.conns.is_empty() {
            self.forget_all();
        }
    }

    /// No key is remembered any more.
    pub fn forget_all(&mut self) {
        if !self.keys.is_empty() {
            self.stale.push(self.keys.drain());
        }
    }

    /// Whether `step` has work to do.
    pub fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Drops so many keys of no use.
    pub fn step(&mut self, budget: usize) {
        if self.stale.last_mut().is_some_and(|stale| stale.take(budget).count() < budget) {
            self.stale.pop();
        }
    }

    /// A client has read a key.
    #[inline]
    pub fn remember(&mut self, number: u32, key: &[u8]) {
        self.keys.add_once(self.keys.hash(key), key, number);
    }

    /// Any key that is remembered.
    pub fn any_key(&self, rng: &mut impl FnMut() -> u64) -> Option<Box<[u8]>> {
        self.keys.random(rng)
    }

    /// A key changed, or can be remembered no longer: the connections that have read it, which is forgotten.
    pub fn take_readers(&mut self, key: &[u8]) -> Vec<ConnId> {
        if self.keys.is_empty() {
            return Vec::new();
        }
        let Some(taken) = self.keys.take(self.keys.hash(key), key) else { return Vec::new() };
        Roster::taken(&taken).iter().filter_map(|number| self.conns.get(&number).copied()).collect()
    }

    /// A key changed, by the client of this id or by itself: it is noted under all prefixes that it has.
    pub fn note_change(&mut self, key: &[u8], by: Option<u64>) {
        for prefix in self.prefix_lens.keys().map_while(|len| key.get(..*len)) {
            if let Some(prefix) = self.prefixes.get_mut(prefix) {
                prefix.changed.insert(key.into(), by);
                self.has_changed = true;
            }
        }
    }

    /// Whether keys have gathered to be broadcast.
    #[inline]
    pub fn has_changed(&self) -> bool {
        self.has_changed
    }

    /// What has gathered since the last time, in the order of the prefixes.
    pub fn take_broadcasts(&mut self) -> Vec<Broadcast> {
        self.has_changed = false;
        let changed = self.prefixes.values_mut().filter(|prefix| !prefix.changed.is_empty());
        changed
            .map(|prefix| Broadcast {
                conns: prefix.conns.clone(),
                keys: std::mem::take(&mut prefix.changed).into_iter().collect(),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tracking() -> Tracking {
        Tracking::new(Hasher::seeded([1, 2, 3, 4]))
    }

    #[test]
    fn a_reader_is_told_once_and_not_after_it_left() {
        let mut tracking = tracking();
        let (a, b) = (tracking.turn_on(ConnId(1), None), tracking.turn_on(ConnId(2), None));
        for number in [a, a, b] {
            tracking.remember(number, b"k");
        }
        tracking.remember(a, b"l");
        assert_eq!((tracking.keys(), tracking.items()), (2, 3));
        assert_eq!(tracking.take_readers(b"k"), [ConnId(1), ConnId(2)]);
        assert_eq!(tracking.take_readers(b"k"), []);
        tracking.leave(a);
        // Another client at the same place has another number.
        assert_ne!(tracking.turn_on(ConnId(1), None), a);
        assert_eq!(tracking.take_readers(b"l"), []);
        tracking.remember(b, b"m");
        tracking.turn_off(ConnId(2), &[]);
        assert_eq!(tracking.clients(), [ConnId(1)]);
        assert_eq!(tracking.turn_on(ConnId(2), Some(b)), b);
        assert_eq!(tracking.take_readers(b"m"), [ConnId(2)]);
    }

    #[test]
    fn what_nobody_caches_any_more_goes_in_steps() {
        let mut tracking = tracking();
        let number = tracking.turn_on(ConnId(1), None);
        (0..1000).for_each(|n: i32| tracking.remember(number, &n.to_le_bytes()));
        tracking.turn_off(ConnId(1), &[]);
        assert_eq!(tracking.keys(), 1000);
        // A flush must still find them.
        assert!(tracking.clients().is_empty() && !tracking.is_idle());
        tracking.leave(number);
        assert_eq!((tracking.keys(), tracking.items()), (0, 0));
        assert!(tracking.is_idle());
        let mut steps = 0;
        while tracking.has_stale() {
            tracking.step(300);
            steps += 1;
        }
        assert_eq!(steps, 4);
    }

    #[test]
    fn changes_gather_under_each_prefix() {
        let mut tracking = tracking();
        for (conn, prefix) in [(1, "a"), (1, "b"), (2, "a"), (2, "ab"), (3, "")] {
            tracking.turn_on(ConnId(conn), None);
            tracking.add_prefix(ConnId(conn), prefix.as_bytes());
        }
        assert_eq!((tracking.prefixes(), tracking.clients().len()), (4, 3));
        for (key, by) in [("abc", Some(7)), ("ax", None), ("c", Some(8)), ("abc", Some(9))] {
            tracking.note_change(key.as_bytes(), by);
        }
        assert!(tracking.has_changed());
        let shown: Vec<(Vec<usize>, String)> = tracking
            .take_broadcasts()
            .into_iter()
            .map(|b| {
                let keys: Vec<String> =
                    b.keys.iter().map(|(key, by)| format!("{}{by:?}", String::from_utf8_lossy(key))).collect();
                (b.conns.iter().map(|conn| conn.0).collect(), keys.join(" "))
            })
            .collect();
        let expected = [
            (vec![3], "abcSome(9) axNone cSome(8)".to_owned()),
            (vec![1, 2], "abcSome(9) axNone".to_owned()),
            (vec![2], "abcSome(9)".to_owned()),
        ];
        assert_eq!(shown, expected);
        assert!(!tracking.has_changed() && tracking.take_broadcasts().is_empty());
        tracking.turn_off(ConnId(2), &[b"a"[..].into(), b"ab"[..].into()]);
        assert_eq!((tracking.prefixes(), tracking.prefix_lens.len()), (3, 2));
    }
}
