//! Who is written to at the end of a turn, and for how long: a message to thousands takes thousands of system calls, and others
//! shall not wait for all of them.
//!
//! ```text
//! outputs  this turn's replies and messages      the newest first, for so long
//! late     what was left of earlier turns        the oldest first, for so long again
//! ```
//! Invariant: whoever is late does not count as queued, so that what more it is told queues it anew and is looked at as
//! all new output is.

use super::Server;
use crate::session::{ConnId, mode};
use crate::sys::ticks;
use std::collections::VecDeque;

/// Fewer clients than this are written to in one go.
const FEW: usize = 64;
/// How often one looks at the clock.
const WRITES_PER_LOOK: u32 = 16;
/// How long new output is written, and how long late output.
const BUDGET_US: u64 = 500;

/// The state of a pass.
#[derive(Default)]
pub(super) struct WritePass {
    late: VecDeque<ConnId>,
    stage: Stage,
    /// The tick clock when the stage began.
    began: u64,
    writes: u32,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// No pass is under way.
    #[default]
    Idle,
    /// All new output is written, however long it takes.
    All,
    /// New output, within its time.
    New,
    /// Late output, within its time.
    Late,
}

impl WritePass {
    /// Whether output waits for the next turn.
    #[inline]
    pub(super) fn is_behind(&self) -> bool {
        !self.late.is_empty()
    }

    fn enter(&mut self, stage: Stage) {
        (self.stage, self.began, self.writes) = (stage, ticks::now(), 0);
    }

    /// Whether the stage's time is over.
    #[inline]
    fn is_over(&mut self) -> bool {
        self.writes += 1;
        self.writes % WRITES_PER_LOOK == 0 && ticks::to_us(ticks::now().wrapping_sub(self.began)) >= BUDGET_US
    }
}

impl Server {
    /// The next client to be written to in this pass.
    #[inline]
    pub(super) fn next_output(&mut self) -> Option<ConnId> {
        if self.write_pass.stage == Stage::Idle {
            if self.outputs.len() < FEW && !self.write_pass.is_behind() {
                self.write_pass.stage = Stage::All;
            } else {
                self.write_pass.enter(Stage::New);
            }
        }
        let next = match self.write_pass.stage {
            Stage::All => self.take_new(),
            _ => self.next_in_time(),
        };
        if next.is_none() {
            self.write_pass.stage = Stage::Idle;
        }
        next
    }

    /// New output, the newest first.
    #[inline]
    fn take_new(&mut self) -> Option<ConnId> {
        loop {
            let conn = self.outputs.pop()?;
            let Some(session) = self.sessions.get_mut(conn) else { continue };
            session.queued_for_write = false;
            // Whoever is to go at once gets no last words.
            if !session.is(mode::CLOSE_NOW) {
                return Some(conn);
            }
        }
    }

    #[cold]
    fn next_in_time(&mut self) -> Option<ConnId> {
        if self.write_pass.stage == Stage::New {
            if !self.write_pass.is_over() {
                if let Some(conn) = self.take_new() {
                    return Some(conn);
                }
            }
            self.write_pass.enter(Stage::Late);
            let was_behind = self.write_pass.is_behind();
            self.put_off();
            if !was_behind {
                return None;
            }
        }
        while !self.write_pass.is_over() {
            let conn = self.write_pass.late.pop_front()?;
            // Another client may have the place of one that is gone: it is owed nothing, or what is queued for it anyway.
            if self.sessions.get(conn).is_some_and(|session| !session.is(mode::CLOSE_NOW)) {
                return Some(conn);
            }
        }
        None
    }

    /// What was not written to in time is late.
    fn put_off(&mut self) {
        for conn in self.outputs.drain(..) {
            if let Some(session) = self.sessions.get_mut(conn) {
                session.queued_for_write = false;
                self.write_pass.late.push_back(conn);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::Bench;
    use crate::base::clock::Now;
    use crate::session::{ConnId, Session};
    use std::collections::BTreeSet;

    #[test]
    fn many_are_written_to_in_parts_and_nobody_is_forgotten() {
        let mut server = Bench::new().server;
        for conn in 0..1000 {
            let id = server.sessions.next_id();
            server.sessions.insert(Session::new(id, ConnId(conn), Now::at_unix_ms(1)));
            assert!(server.sessions.send_to(ConnId(conn)).is_some());
        }
        server.outputs = std::mem::take(&mut server.sessions.touched);
        let (mut seen, mut passes) = (BTreeSet::new(), 0);
        while seen.len() < 1000 {
            passes += 1;
            // Somebody new each time, who does not wait for those who are late.
            let conn = ConnId(1000 + passes);
            let id = server.sessions.next_id();
            server.sessions.insert(Session::new(id, conn, Now::at_unix_ms(1)));
            assert!(server.sessions.send_to(conn).is_some());
            server.outputs.append(&mut server.sessions.touched);
            let mut is_served = false;
            while let Some(written) = server.next_output() {
                is_served |= written == conn;
                if written.0 < 1000 {
                    assert!(seen.insert(written), "told twice");
                }
                // As if a write took so long.
                server.write_pass.began = server.write_pass.began.wrapping_sub(crate::sys::ticks::from_us(20));
            }
            assert!(is_served && server.outputs.is_empty());
        }
        assert!(passes > 10, "{passes} passes");
        assert!(!server.write_pass.is_behind());
        // Who was late may be told more at once.
        assert!(server.sessions.iter().all(|session| !session.queued_for_write));
    }
}
