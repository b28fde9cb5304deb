//! Logging in: AUTH and HELLO hand name and password over, here it is decided when they are looked at and what follows.
//!
//! ```text
//! may the address try now?   no: wait for its turn (`Flow::Block` with `again`), the loop serves others meanwhile
//! compare                    SHA-256 at once; slow hashes on a thread, looked for again every few milliseconds
//! right                      the session becomes the user's          wrong    counted, logged, slows the address down
//! ```

use super::access;
use super::ctx::{Ask, Ctx, Wait};
use super::error::CmdError;
use crate::acl::{Acl, Event, LogContext, Reason, Refusal, Reserved, User, Verdict};
use crate::hub::Topic;
use crate::session::{ConnId, Session, mode};
use serde_json::json;
use std::rc::Rc;

/// Distance of two looks for the answer of the thread that hashes, milliseconds.
const LOOK_EVERY_MS: u64 = 3;

/// What becomes of a login.
pub(super) enum Login {
    /// It has succeeded.
    Done,
    /// It must be tried again later.
    Later(Box<Wait>),
}

/// Logs the client in.
///
/// # Errors
/// Wrong name or password, or too many tries.
pub(super) fn log_in(cx: &mut Ctx<'_>, name: &[u8], password: &[u8]) -> Result<Login, CmdError> {
    if let Some(check) = cx.session.login.take() {
        return match check.poll() {
            Some(right) => conclude(cx, name, right),
            None => {
                cx.session.login = Some(check);
                Ok(later(cx.now.mono_ms() + LOOK_EVERY_MS))
            }
        };
    }
    // A try that has waited for its turn has it now.
    if cx.spent_ticks.is_none() {
        match cx.acl.brake.reserve(&cx.session.peer, cx.config.auth_failure_limit, cx.now.mono_ms()) {
            Reserved::Now => {}
            Reserved::At(at_ms) if cx.may_block() => return Ok(later(at_ms)),
            Reserved::At(_) | Reserved::Refused => {
                cx.stats.totals.auth_failures += 1;
                return Err(CmdError::TOO_MANY_LOGINS);
            }
        }
    }
    let verdict = match cx.acl.find(name).filter(|user| user.enabled) {
        Some(user) => user.check(password),
        // As much work as for a user who exists; one without passwords has none that is right.
        None => User::new(name, cx.acl.catalog(), false).check(password),
    };
    match verdict {
        Verdict::Right => conclude(cx, name, true),
        Verdict::Wrong => conclude(cx, name, false),
        Verdict::Ask(_) if !cx.may_block() => Err(CmdError::SLOW_LOGIN),
        Verdict::Ask(hashes) => {
            let check = cx.acl.worker.check(hashes, password).ok_or(CmdError::TOO_MANY_LOGINS)?;
            cx.session.login = Some(check);
            Ok(later(cx.now.mono_ms() + LOOK_EVERY_MS))
        }
    }
}

fn later(at_ms: u64) -> Login {
    Login::Later(Box::new(Wait::to_go_on(at_ms)))
}

fn conclude(cx: &mut Ctx<'_>, name: &[u8], right: bool) -> Result<Login, CmdError> {
    // It may have been removed while its password was being hashed.
    let user = cx.acl.find(name).filter(|user| right && user.enabled).map(Rc::clone);
    if cx.acl.audit.is_on() {
        let more = vec![("ok", json!(user.is_some()))];
        let (addr, client_id) = (&*cx.session.peer, cx.session.id);
        cx.acl.audit.add(Event { event: "login", user: name, addr, client_id, more }, cx.now.unix_ms.0);
    }
    let Some(user) = user else {
        fail(cx, name);
        return Err(CmdError::WRONG_PASS);
    };
    cx.acl.brake.succeeded(&cx.session.peer);
    cx.session.authenticated = true;
    cx.session.become_user(&user);
    Ok(Login::Done)
}

fn fail(cx: &mut Ctx<'_>, name: &[u8]) {
    cx.stats.totals.auth_failures += 1;
    cx.acl.brake.failed(&cx.session.peer, cx.now.mono_ms());
    let context = if cx.session.multi.is_some() { LogContext::Multi } else { LogContext::Toplevel };
    let object = cx.row.command.name.to_ascii_uppercase();
    access::add_to_log(cx, &Refusal { reason: Reason::Auth, context, object: object.as_bytes(), user: name });
    log::debug!("Login of '{}' from {} failed", String::from_utf8_lossy(name).escape_debug(), cx.session.peer);
}

/// Logs a session in without a password, because it has proven who it is otherwise (a certificate); false if there is no such
/// user or it may not log in.
pub fn login_as(session: &mut Session, acl: &Acl, name: &[u8]) -> bool {
    let Some(user) = acl.get(name).filter(|user| user.enabled) else { return false };
    session.authenticated = true;
    session.become_user(user);
    true
}

impl Ctx<'_> {
    /// The client is as new: it has the default user, and must log in if that one has a password.
    pub(super) fn log_out(&mut self) {
        let user = Rc::clone(self.acl.default_user());
        self.session.authenticated = self.acl.is_open();
        self.session.become_user(&user);
    }

    /// A user has changed: who is logged in as it acts by the new rules at once. Who listens to what it no longer may goes.
    pub(super) fn user_changed(&mut self, old: &Rc<User>, new: &Rc<User>) {
        for session in self.sessions.iter_mut().chain(std::iter::once(&mut *self.session)) {
            if session.user.as_ref().is_some_and(|user| Rc::ptr_eq(user, old)) {
                session.become_user(new);
            }
        }
        let all = self.sessions.iter().chain(std::iter::once(&*self.session));
        let of_user = |session: &&Session| session.user.as_ref().is_some_and(|user| Rc::ptr_eq(user, new));
        let listeners = all.filter(of_user).filter(|session| session.is(mode::SUBSCRIBED));
        for conn in listeners.map(|session| session.conn).collect::<Vec<_>>() {
            let topics = self.hub.channels.topics_of(conn);
            if topics.iter().any(|(kind, name)| !new.admits_channel(name, *kind == Topic::Pattern)) {
                self.part_with(conn);
            }
        }
    }

    /// A user is gone: so are all who were logged in as it.
    pub(super) fn user_removed(&mut self, old: &Rc<User>) {
        let is_users = |session: &Session| session.user.as_ref().is_some_and(|user| Rc::ptr_eq(user, old));
        let all = self.sessions.iter().chain(std::iter::once(&*self.session));
        let going: Vec<_> = all.filter(|session| is_users(session)).map(|session| session.conn).collect();
        going.into_iter().for_each(|conn| self.part_with(conn));
    }

    /// Closes a client, the running one after its reply. It has no rights any more.
    fn part_with(&mut self, conn: ConnId) {
        let user = Rc::clone(self.acl.default_user());
        if conn == self.session.conn {
            self.session.authenticated = false;
            self.session.become_user(&user);
            self.session.mode |= mode::CLOSE_AFTER_REPLY;
        } else if let Some(session) = self.sessions.get_mut(conn) {
            session.authenticated = false;
            session.become_user(&user);
            session.mode |= mode::CLOSE_NOW;
            self.asks.push(Ask::Close(conn));
        }
    }

    /// Puts a user in force, for those who are logged in as it too.
    pub(super) fn put_user(&mut self, user: User) {
        let (new, old) = self.acl.put(user);
        if let Some(old) = old {
            self.user_changed(&old, &new);
        }
    }
}
