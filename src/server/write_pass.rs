//! Who is written to at the end of a turn, and for how long. A message to a hundred takes a hundred system calls, and others
//! shall not wait for all of them; and who is told more before its turn comes takes both in one.
//!
//! ```text
//! outputs  this turn's replies                    the newest first, for so long
//! news     what clients did not ask for, and      the oldest first, for as long as the turn's requests took, within bounds
//!          replies that were not written in time
//! ```
//! Invariant: whoever is owed news has a place in `news`; whoever is owed a reply has one in `outputs`, and perhaps an old one
//! in `news`, which counts no more.

use super::Server;
use crate::base::clock::Now;
use crate::session::{ConnId, Owed, mode};
use crate::sys::ticks;
use std::collections::VecDeque;

/// With fewer replies than this all are written in one go.
const FEW_REPLIES: usize = 64;
/// No more news than this are written in one go.
const FEW_NEWS: usize = 8;
/// How often one looks at the clock.
const WRITES_PER_LOOK: u32 = 4;
/// How long replies are written.
const REPLIES_US: u64 = 500;
/// How long news are written, at least and at most.
const NEWS_US: std::ops::RangeInclusive<u64> = 100..=1000;
/// Nobody waits for more than so many turns, if the longest time allows it.
const NEWS_TURNS: u64 = 16;
/// What a write takes, about.
const WRITE_US: u64 = 5;

/// The state of a pass.
#[derive(Default)]
pub(super) struct WritePass {
    news: VecDeque<ConnId>,
    stage: Stage,
    /// The tick clock when the stage began.
    began: u64,
    /// How long it may last.
    budget_us: u64,
    writes: u32,
    /// How long this turn's requests took.
    turn_us: u64,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No pass is under way.
    #[default]
    Idle,
    /// All replies are written, however long it takes.
    AllReplies,
    /// Replies, within their time.
    Replies,
    /// All news.
    AllNews,
    /// News, within their time.
    News,
}

impl WritePass {
    /// Whether somebody is still owed news.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        !self.news.is_empty()
    }

    fn enter(&mut self, stage: Stage, budget_us: u64) {
        (self.stage, self.budget_us, self.began, self.writes) = (stage, budget_us, ticks::now(), 0);
    }

    /// Whether the stage's time is over.
    #[inline]
    fn is_over(&mut self) -> bool {
        self.writes += 1;
        self.writes % WRITES_PER_LOOK == 0 && ticks::to_us(ticks::now().wrapping_sub(self.began)) >= self.budget_us
    }
}

impl Server {
    /// The next client to be written to in this pass.
    #[inline]
    pub(super) fn next_output(&mut self) -> Option<ConnId> {
        if self.write_pass.stage == Stage::Idle {
            if self.outputs.len() < FEW_REPLIES {
                self.write_pass.stage = Stage::AllReplies;
            } else {
                self.write_pass.enter(Stage::Replies, REPLIES_US);
            }
        }
        if self.write_pass.stage == Stage::AllReplies {
            let next = self.next_reply();
            if next.is_some() {
                return next;
            }
            if !self.write_pass.has_news() {
                self.write_pass.stage = Stage::Idle;
                return None;
            }
            self.enter_news();
        }
        self.next_in_time()
    }

    /// Who is owed a reply, the newest first.
    #[inline]
    fn next_reply(&mut self) -> Option<ConnId> {
        loop {
            let conn = self.outputs.pop()?;
            let Some(session) = self.sessions.get_mut(conn) else { continue };
            session.owed = Owed::Nothing;
            // Whoever is to go at once gets no last words.
            if !session.is(mode::CLOSE_NOW) {
                return Some(conn);
            }
        }
    }

    #[cold]
    fn next_in_time(&mut self) -> Option<ConnId> {
        if self.write_pass.stage == Stage::Replies {
            if !self.write_pass.is_over() {
                if let Some(conn) = self.next_reply() {
                    return Some(conn);
                }
            }
            let had_news = self.write_pass.has_news();
            self.put_off();
            if !had_news {
                self.write_pass.stage = Stage::Idle;
                return None;
            }
            self.enter_news();
        }
        let next = self.next_news();
        if next.is_none() {
            self.write_pass.stage = Stage::Idle;
        }
        next
    }

    /// News get as much time as requests took, and more if they are many.
    fn enter_news(&mut self) {
        let count = self.write_pass.news.len();
        if count <= FEW_NEWS {
            return self.write_pass.enter(Stage::AllNews, u64::MAX);
        }
        let share_us = count as u64 * WRITE_US / NEWS_TURNS;
        let budget_us = self.write_pass.turn_us.max(share_us).clamp(*NEWS_US.start(), *NEWS_US.end());
        self.write_pass.enter(Stage::News, budget_us);
    }

    /// Who is owed news, the oldest first, while there is time.
    fn next_news(&mut self) -> Option<ConnId> {
        while self.write_pass.stage == Stage::AllNews || !self.write_pass.is_over() {
            let conn = self.write_pass.news.pop_front()?;
            // Another client may have the place of one that is gone, or a reply has taken the news along.
            let Some(session) = self.sessions.get_mut(conn).filter(|session| session.owed == Owed::News) else {
                continue;
            };
            session.owed = Owed::Nothing;
            if !session.is(mode::CLOSE_NOW) && !self.cut_off_if_over(conn) {
                return Some(conn);
            }
        }
        None
    }

    /// What was told in this turn outside clients' own requests is news.
    #[inline]
    pub(super) fn gather_news(&mut self, now: Now) {
        self.write_pass.news.extend(self.sessions.touched.drain(..));
        if self.write_pass.has_news() {
            let (of_turn, began) = self.turn;
            let had_requests = now == of_turn;
            self.write_pass.turn_us = if had_requests { ticks::to_us(ticks::now().wrapping_sub(began)) } else { 0 };
        }
    }

    /// Those who are owed news and have not been written to.
    pub(super) fn awaiting_news(&self) -> impl Iterator<Item = ConnId> + '_ {
        self.write_pass.news.iter().copied()
    }

    /// Replies that were not written in time are news.
    fn put_off(&mut self) {
        for conn in self.outputs.drain(..) {
            if let Some(session) = self.sessions.get_mut(conn) {
                session.owed = Owed::News;
                self.write_pass.news.push_back(conn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use super::*;
    use crate::session::Session;
    use std::collections::BTreeSet;

    fn now() -> Now {
        Now::at_unix_ms(1)
    }

    /// A server with so many clients, each of them told something.
    fn told(clients: usize) -> Server {
        let mut server = Bench::new().server;
        (0..clients).for_each(|conn| tell(&mut server, conn));
        server.gather_news(now());
        server
    }

    fn client(server: &mut Server, conn: usize) {
        if server.sessions.get(ConnId(conn)).is_none() {
            let id = server.sessions.next_id();
            server.sessions.insert(Session::new(id, ConnId(conn), now()));
        }
    }

    fn tell(server: &mut Server, conn: usize) {
        client(server, conn);
        assert!(server.sessions.send_to(ConnId(conn)).is_some());
    }

    fn reply(server: &mut Server, conn: usize) {
        client(server, conn);
        server.sessions.get_mut(ConnId(conn)).expect("it was just made").owed = Owed::Reply;
        server.outputs.push(ConnId(conn));
    }

    /// One pass in which each write takes 20 microseconds.
    fn pass(server: &mut Server) -> Vec<usize> {
        let mut written = Vec::new();
        while let Some(conn) = server.next_output() {
            written.push(conn.0);
            server.write_pass.began = server.write_pass.began.wrapping_sub(ticks::from_us(20));
        }
        written
    }

    #[test]
    fn many_are_told_in_parts_and_nobody_is_forgotten() {
        let mut server = told(1000);
        let (mut seen, mut passes) = (BTreeSet::new(), 0);
        while server.write_pass.has_news() {
            passes += 1;
            // Somebody new each time, who does not wait for the others.
            reply(&mut server, 1000 + passes);
            server.gather_news(now());
            let written = pass(&mut server);
            assert_eq!(written.first(), Some(&(1000 + passes)));
            assert!(written.iter().all(|conn| seen.insert(*conn)), "told twice: {written:?}");
        }
        assert!((10..200).contains(&passes), "{passes} passes");
        assert_eq!(seen.len(), 1000 + passes);
        assert!(server.sessions.iter().all(|session| session.owed == Owed::Nothing));
    }

    #[test]
    fn who_is_told_more_before_its_turn_keeps_its_place_and_a_reply_takes_the_news_along() {
        let mut server = told(100);
        let first = pass(&mut server);
        (0..100).for_each(|conn| tell(&mut server, conn));
        server.gather_news(now());
        assert_eq!(server.awaiting_news().count(), 100);
        reply(&mut server, 99);
        let mut rest = Vec::new();
        while server.write_pass.has_news() {
            rest.extend(pass(&mut server));
        }
        let expected: Vec<usize> = [99].into_iter().chain(first.len()..99).chain(first).collect();
        assert_eq!(rest, expected);
    }

    #[test]
    fn very_many_replies_are_written_in_parts_too() {
        let mut server = told(0);
        (0..200).for_each(|conn| reply(&mut server, conn));
        let mut seen: BTreeSet<usize> = pass(&mut server).into_iter().collect();
        assert!(seen.len() < 60, "{} at once", seen.len());
        while server.write_pass.has_news() {
            seen.extend(pass(&mut server));
        }
        assert_eq!(seen.len(), 200);
    }
}
