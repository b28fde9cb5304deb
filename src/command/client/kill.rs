//! CLIENT KILL: closes clients by address or by conditions. Whoever kills itself gets its reply first.

use super::ClientType;
use crate::acl::User;
use crate::base::clock::Now;
use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ask, Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::session::{ConnId, Session, mode};
use std::rc::Rc;

/// The conditions, all of which a client must meet.
#[derive(Default)]
struct Filter<'a> {
    id: Option<u64>,
    kind: Option<ClientType>,
    user: Option<Rc<User>>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    max_age_secs: Option<u64>,
    /// The client that must not be killed.
    spared: Option<u64>,
}

impl Filter<'_> {
    fn fits(&self, session: &Session, now: Now) -> bool {
        let age_secs = now.mono_ms().saturating_sub(session.since.mono_ms()) / 1000;
        self.id.is_none_or(|id| id == session.id)
            && self.kind.is_none_or(|kind| kind == ClientType::of(session))
            && self.user.as_ref().is_none_or(|user| session.user.as_ref().is_some_and(|own| Rc::ptr_eq(own, user)))
            && self.addr.is_none_or(|addr| addr == session.peer.as_bytes())
            && self.laddr.is_none_or(|laddr| laddr == session.local.as_bytes())
            && self.max_age_secs.is_none_or(|age| age_secs >= age)
            && self.spared != Some(session.id)
            && !session.is(mode::CLOSE_NOW)
    }
}

/// CLIENT KILL in both forms.
pub(super) fn kill(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if args.left() == 1 {
        let filter = Filter { addr: Some(args.bytes()?), ..Filter::default() };
        if kill_all(cx, &filter) == 0 {
            return Err(CmdError::NO_SUCH_CLIENT);
        }
        cx.reply.ok();
    } else {
        let filter = filter(cx, args)?;
        let killed = kill_all(cx, &filter);
        cx.reply.len(killed);
    }
    Ok(Flow::Done)
}

fn filter<'a>(cx: &Ctx<'_>, args: &mut Args<'a>) -> Result<Filter<'a>, CmdError> {
    let mut filter = Filter::default();
    let mut skip_me = true;
    while args.more() {
        // A condition without its word is no condition.
        if args.left() < 2 {
            return Err(CmdError::SYNTAX);
        }
        if args.accept("id") {
            let id = number::parse_i64(args.bytes()?).and_then(|id| u64::try_from(id).ok()).filter(|id| *id > 0);
            filter.id = Some(id.ok_or(CmdError::CLIENT_ID_NOT_POSITIVE)?);
        } else if args.accept("type") {
            filter.kind = Some(ClientType::parse(args.bytes()?)?);
        } else if args.accept("user") {
            let name = args.bytes()?;
            filter.user = Some(cx.acl.find(name).cloned().ok_or_else(|| CmdError::no_such_user(name))?);
        } else if args.accept("addr") {
            filter.addr = Some(args.bytes()?);
        } else if args.accept("laddr") {
            filter.laddr = Some(args.bytes()?);
        } else if args.accept("maxage") {
            let age = number::parse_i64(args.bytes()?).ok_or(CmdError::MAXAGE_NOT_INTEGER)?;
            let age = u64::try_from(age).ok().filter(|age| *age > 0);
            filter.max_age_secs = Some(age.ok_or(CmdError::MAXAGE_NOT_POSITIVE)?);
        } else if args.accept("skipme") {
            skip_me = yes_or_no(args)?;
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    filter.spared = skip_me.then_some(cx.session.id);
    Ok(filter)
}

fn yes_or_no(args: &mut Args<'_>) -> Result<bool, CmdError> {
    if args.accept("yes") {
        Ok(true)
    } else if args.accept("no") {
        Ok(false)
    } else {
        Err(CmdError::SYNTAX)
    }
}

/// Closes all that fit; how many.
fn kill_all(cx: &mut Ctx<'_>, filter: &Filter<'_>) -> usize {
    let now = cx.now;
    let mut killed: Vec<ConnId> = Vec::new();
    for session in cx.sessions.iter_mut().filter(|session| filter.fits(session, now)) {
        // At once no longer a client for whoever asks next; the socket goes when the unit has ended.
        session.mode |= mode::CLOSE_NOW;
        killed.push(session.conn);
    }
    let others = killed.len();
    cx.asks.extend(killed.into_iter().map(Ask::Close));
    let own = filter.fits(cx.session, now);
    if own {
        cx.session.mode |= mode::CLOSE_AFTER_REPLY;
    }
    others + usize::from(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_conditions_must_be_met() {
        let mut session = Session::new(5, ConnId(0), Now::at_unix_ms(0));
        session.peer = "127.0.0.1:1".into();
        let now = Now::at_unix_ms(10_000);
        assert!(Filter::default().fits(&session, now));
        let filter = Filter { id: Some(5), addr: Some(b"127.0.0.1:1"), max_age_secs: Some(10), ..Filter::default() };
        assert!(filter.fits(&session, now) && !filter.fits(&session, Now::at_unix_ms(9_999)));
        assert!(!Filter { spared: Some(5), ..filter }.fits(&session, now));
        assert!(!Filter { kind: Some(ClientType::Replica), ..Filter::default() }.fits(&session, now));
    }
}
