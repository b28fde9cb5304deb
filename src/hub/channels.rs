//! Pub/sub: who listens to which channels, patterns and shard channels. Knows sessions by connection only, and no message.
//!
//! ```text
//! topic name --Roster--> seats --conns--> connection            what a message takes
//! connection --by_conn--> seat --topics--> hashes of its topics  what leaving takes
//! ```
//! A subscriber has a seat, a small number. Its topics are kept as hashes alone: the name stands once, in the roster, where
//! the hash leads to it. A subscription of a 16-byte channel costs some 50 bytes in all.
//!
//! Invariant: a seat is in the roster of a topic exactly if the topic's hash is among the seat's. A seat whose connection is
//! gone is emptied in steps and given to nobody else before that.

use super::patterns::PatternIndex;
use super::roster::{Numbers, Roster};
use crate::base::hash::Hasher;
use crate::session::ConnId;
use std::collections::{BTreeSet, HashMap};

/// What is listened to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topic {
    /// A channel.
    Channel = 0,
    /// All channels that match a pattern.
    Pattern = 1,
    /// A channel of one shard.
    Shard = 2,
}

/// Topics of an ended connection that are given up at once; more are given up in steps.
const LEAVE_AT_ONCE: usize = 256;

/// A seat whose connection is gone.
const NOBODY: u32 = u32::MAX;

type Topics = [BTreeSet<u64>; 3];

/// All subscriptions.
pub struct Channels {
    rosters: [Roster; 3],
    patterns: PatternIndex,
    /// Connection of each seat, or `NOBODY`.
    conns: Vec<u32>,
    /// Hashes of each seat's topics.
    topics: Vec<Topics>,
    by_conn: HashMap<ConnId, u32>,
    /// Seats that anybody may have.
    free: Vec<u32>,
    /// Seats to be emptied.
    leaving: Vec<u32>,
}

impl Channels {
    /// No subscriptions yet.
    pub fn new(hasher: Hasher) -> Channels {
        Channels {
            rosters: std::array::from_fn(|_| Roster::new(hasher)),
            patterns: PatternIndex::default(),
            conns: Vec::new(),
            topics: Vec::new(),
            by_conn: HashMap::new(),
            free: Vec::new(),
            leaving: Vec::new(),
        }
    }

    /// Whether nobody listens to channels or patterns.
    #[inline]
    pub fn is_silent(&self) -> bool {
        self.rosters[Topic::Channel as usize].is_empty() && self.rosters[Topic::Pattern as usize].is_empty()
    }

    /// Number of distinct topics of a kind that are listened to.
    pub fn count(&self, kind: Topic) -> usize {
        self.rosters[kind as usize].len()
    }

    /// Number of connections that listen to anything.
    pub fn subscribers(&self) -> usize {
        self.by_conn.len()
    }

    fn seat(&mut self, conn: ConnId) -> u32 {
        if let Some(seat) = self.by_conn.get(&conn) {
            return *seat;
        }
        let seat = self.free.pop().unwrap_or_else(|| {
            self.conns.push(NOBODY);
            self.topics.push(Topics::default());
            (self.conns.len() - 1) as u32
        });
        self.conns[seat as usize] = u32::try_from(conn.0).expect("connections are fewer than descriptors");
        self.by_conn.insert(conn, seat);
        seat
    }

    /// A connection listens to a topic; false if it did already.
    pub fn subscribe(&mut self, conn: ConnId, kind: Topic, name: &[u8]) -> bool {
        let seat = self.seat(conn);
        let roster = &mut self.rosters[kind as usize];
        let hash = roster.hash(name);
        if self.topics[seat as usize][kind as usize].insert(hash) {
            roster.add(hash, name, seat);
        } else if !roster.add_once(hash, name, seat) {
            return false;
        }
        if kind == Topic::Pattern {
            self.patterns.add(name);
        }
        true
    }

    /// A connection does not listen to a topic any more; false if it did not.
    pub fn unsubscribe(&mut self, conn: ConnId, kind: Topic, name: &[u8]) -> bool {
        let Some(&seat) = self.by_conn.get(&conn) else { return false };
        let hash = self.rosters[kind as usize].hash(name);
        let removed = self.remove(seat, kind, hash, name);
        if removed && self.topics[seat as usize].iter().all(BTreeSet::is_empty) {
            self.by_conn.remove(&conn);
            self.conns[seat as usize] = NOBODY;
            self.free.push(seat);
        }
        removed
    }

    fn remove(&mut self, seat: u32, kind: Topic, hash: u64, name: &[u8]) -> bool {
        let roster = &mut self.rosters[kind as usize];
        if !self.topics[seat as usize][kind as usize].contains(&hash) || !roster.remove(hash, name, seat) {
            return false;
        }
        // Another topic of the same hash would need it still: there is hardly ever one.
        if roster.name_with(hash, seat).is_none() {
            self.topics[seat as usize][kind as usize].remove(&hash);
        }
        if kind == Topic::Pattern && roster.get(hash, name).is_empty() {
            self.patterns.remove(name);
        }
        true
    }

    /// Any topic of a kind that a connection listens to: to leave them one by one.
    pub fn any(&mut self, conn: ConnId, kind: Topic) -> Option<Box<[u8]>> {
        let seat = *self.by_conn.get(&conn)?;
        let hash = *self.topics[seat as usize][kind as usize].first()?;
        self.rosters[kind as usize].name_with(hash, seat)
    }

    /// All topics that a connection listens to.
    pub fn topics_of(&mut self, conn: ConnId) -> Vec<(Topic, Box<[u8]>)> {
        let Some(&seat) = self.by_conn.get(&conn) else { return Vec::new() };
        let mut all = Vec::new();
        for kind in [Topic::Channel, Topic::Pattern, Topic::Shard] {
            for hash in &self.topics[seat as usize][kind as usize] {
                all.extend(self.rosters[kind as usize].name_with(*hash, seat).map(|name| (kind, name)));
            }
        }
        all
    }

    /// A connection listens to nothing any more.
    pub fn leave(&mut self, conn: ConnId) {
        let Some(seat) = self.by_conn.remove(&conn) else { return };
        self.conns[seat as usize] = NOBODY;
        self.leaving.push(seat);
        if self.leaving.len() == 1 {
            self.step(LEAVE_AT_ONCE);
        }
    }

    /// Whether `step` has work to do.
    pub fn has_leaving(&self) -> bool {
        !self.leaving.is_empty()
    }

    /// Gives up so many topics of connections that are gone.
    pub fn step(&mut self, budget: usize) {
        for _ in 0..budget {
            let Some(&seat) = self.leaving.last() else { return };
            let kinds = [Topic::Channel, Topic::Pattern, Topic::Shard];
            let next =
                kinds.into_iter().find_map(|kind| Some((kind, *self.topics[seat as usize][kind as usize].first()?)));
            let Some((kind, hash)) = next else {
                self.leaving.pop();
                self.free.push(seat);
                continue;
            };
            if let Some(name) = self.rosters[kind as usize].name_with(hash, seat) {
                self.remove(seat, kind, hash, &name);
            } else {
                self.topics[seat as usize][kind as usize].remove(&hash);
            }
        }
    }

    /// The connections that listen to a topic.
    #[inline]
    pub fn listeners(&self, kind: Topic, name: &[u8]) -> impl Iterator<Item = ConnId> + '_ {
        let roster = &self.rosters[kind as usize];
        let seats = if roster.is_empty() { Numbers::default() } else { roster.get(roster.hash(name), name) };
        self.present(seats)
    }

    #[inline]
    fn present<'a>(&'a self, seats: Numbers<'a>) -> impl Iterator<Item = ConnId> + 'a {
        let conns = seats.iter().map(|seat| self.conns[seat as usize]);
        conns.filter(|conn| *conn != NOBODY).map(|conn| ConnId(conn as usize))
    }

    /// The patterns that a channel matches.
    pub fn matching<'a>(&'a self, channel: &'a [u8]) -> impl Iterator<Item = &'a [u8]> + 'a {
        self.patterns.matching(channel)
    }

    /// Whether anybody listens to patterns.
    #[inline]
    pub fn has_patterns(&self) -> bool {
        !self.rosters[Topic::Pattern as usize].is_empty()
    }

    /// All topics of a kind that are listened to.
    pub fn names(&self, kind: Topic) -> impl Iterator<Item = &[u8]> {
        self.rosters[kind as usize]
            .iter()
            .filter(|(_, seats)| self.present(*seats).next().is_some())
            .map(|(name, _)| name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use std::collections::BTreeMap;

    const KINDS: [Topic; 3] = [Topic::Channel, Topic::Pattern, Topic::Shard];
    type Model = BTreeMap<(usize, Vec<u8>), BTreeSet<ConnId>>;

    fn compare(channels: &Channels, model: &Model) {
        for kind in KINDS {
            let wanted: BTreeSet<&[u8]> =
                model.keys().filter(|(k, _)| *k == kind as usize).map(|(_, name)| &name[..]).collect();
            assert_eq!(channels.names(kind).collect::<BTreeSet<_>>(), wanted);
            for name in wanted {
                let listeners: BTreeSet<ConnId> = channels.listeners(kind, name).collect();
                assert_eq!(&listeners, &model[&(kind as usize, name.to_vec())]);
            }
        }
        let conns: BTreeSet<ConnId> = model.values().flatten().copied().collect();
        assert_eq!(channels.subscribers(), conns.len());
    }

    #[test]
    fn subscriptions_are_those_of_a_map_of_sets() {
        for seed in 0..20 {
            println!("seed {seed}");
            let mut rng = Rng::seeded(seed);
            let mut channels = Channels::new(Hasher::seeded([seed, 1, 2, 3]));
            let mut model = Model::new();
            for step in 0..2000 {
                let (conn, kind) = (ConnId((rng.next_u64() % 12) as usize), KINDS[(rng.next_u64() % 3) as usize]);
                let name = format!("c{}*", rng.next_u64() % 25).into_bytes();
                match rng.next_u64() % 20 {
                    0..=9 => {
                        let is_new = model.entry((kind as usize, name.clone())).or_default().insert(conn);
                        assert_eq!(channels.subscribe(conn, kind, &name), is_new);
                    }
                    10..=17 => {
                        let was = model.get_mut(&(kind as usize, name.clone())).is_some_and(|c| c.remove(&conn));
                        assert_eq!(channels.unsubscribe(conn, kind, &name), was);
                    }
                    18 => {
                        while let Some(name) = channels.any(conn, kind) {
                            assert!(channels.unsubscribe(conn, kind, &name));
                            model.get_mut(&(kind as usize, name.to_vec())).expect("subscribed").remove(&conn);
                        }
                        assert!(model.iter().all(|((k, _), conns)| *k != kind as usize || !conns.contains(&conn)));
                    }
                    _ => {
                        channels.leave(conn);
                        model.values_mut().for_each(|conns| _ = conns.remove(&conn));
                    }
                }
                model.retain(|_, conns| !conns.is_empty());
                if step % 50 == 0 {
                    compare(&channels, &model);
                }
            }
            compare(&channels, &model);
        }
    }

    #[test]
    fn one_that_left_is_told_nothing_while_its_seat_is_emptied() {
        let mut channels = Channels::new(Hasher::seeded([1, 2, 3, 4]));
        let name = |n: usize| format!("channel:{n}").into_bytes();
        (0..LEAVE_AT_ONCE * 3).for_each(|n| _ = channels.subscribe(ConnId(5), Topic::Channel, &name(n)));
        channels.leave(ConnId(5));
        assert!(channels.has_leaving() && channels.count(Topic::Channel) == LEAVE_AT_ONCE * 2);
        assert_eq!((channels.names(Topic::Channel).count(), channels.subscribers()), (0, 0));
        // The next client at this place is another one.
        channels.subscribe(ConnId(5), Topic::Channel, b"other");
        assert!((0..LEAVE_AT_ONCE * 3).all(|n| channels.listeners(Topic::Channel, &name(n)).next().is_none()));
        while channels.has_leaving() {
            channels.step(100);
        }
        assert_eq!(channels.names(Topic::Channel).collect::<Vec<_>>(), [b"other"]);
        assert_eq!(channels.count(Topic::Channel), 1);
    }
}
