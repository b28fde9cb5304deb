//! CLIENT TRACKING and what belongs to it: a client lets the server remember what it reads, or names prefixes, and is told
//! when such keys change. How it wants that is kept in its session, what it has read in the hub.

use crate::base::number;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::session::{Caching, OnlyIf, Redirect, mode};

/// What CLIENT TRACKING ON or OFF was given.
#[derive(Default)]
struct Options<'a> {
    redirect: Option<Redirect>,
    broadcast: bool,
    prefixes: Vec<&'a [u8]>,
    opt_in: bool,
    opt_out: bool,
    no_loop: bool,
}

/// CLIENT TRACKING.
pub(super) fn tracking(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let on = args.accept("on");
    let off = !on && args.accept("off");
    if !on && !off {
        // The options are read first: what is wrong with them is told first.
        args.bytes()?;
    }
    let options = options(cx, args)?;
    if on {
        let only_if = check(cx, &options)?;
        turn_on(cx, options, only_if);
    } else if off {
        cx.stop_tracking();
    } else {
        return Err(CmdError::SYNTAX);
    }
    cx.reply.ok();
    Ok(Flow::Done)
}

fn options<'a>(cx: &Ctx<'_>, args: &mut Args<'a>) -> Result<Options<'a>, CmdError> {
    let mut options = Options::default();
    while args.more() {
        if args.left() > 1 && args.accept("redirect") {
            if options.redirect.is_some() {
                return Err(CmdError::TRACKING_ONE_REDIRECT);
            }
            let id = number::parse_i64(args.bytes()?).ok_or(CmdError::NOT_INTEGER)?;
            options.redirect = Some(find_client(cx, id).ok_or(CmdError::TRACKING_NO_REDIRECT)?);
        } else if args.accept("bcast") {
            options.broadcast = true;
        } else if args.accept("optin") {
            options.opt_in = true;
        } else if args.accept("optout") {
            options.opt_out = true;
        } else if args.accept("noloop") {
            options.no_loop = true;
        } else if args.left() > 1 && args.accept("prefix") {
            options.prefixes.push(args.bytes()?);
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    Ok(options)
}

fn find_client(cx: &Ctx<'_>, id: i64) -> Option<Redirect> {
    let id = u64::try_from(id).ok()?;
    if id == cx.session.id {
        return Some(Redirect { id, conn: cx.session.conn });
    }
    let session = cx.sessions.iter().find(|session| session.id == id)?;
    Some(Redirect { id, conn: session.conn })
}

/// Whether the options fit together and to what is in force; OPTIN or OPTOUT of them.
fn check(cx: &Ctx<'_>, options: &Options<'_>) -> Result<Option<OnlyIf>, CmdError> {
    if !options.broadcast && !options.prefixes.is_empty() {
        return Err(CmdError::TRACKING_PREFIX);
    }
    let now = cx.session.caching.as_deref();
    if now.is_some_and(|now| now.prefixes.is_some() != options.broadcast) {
        return Err(CmdError::TRACKING_SWITCH_BCAST);
    }
    if options.broadcast && (options.opt_in || options.opt_out) {
        return Err(CmdError::TRACKING_OPT_BCAST);
    }
    if options.opt_in && options.opt_out {
        return Err(CmdError::TRACKING_OPT_BOTH);
    }
    let only_if = match (options.opt_in, options.opt_out) {
        (true, _) => Some(OnlyIf::AskedFor),
        (_, true) => Some(OnlyIf::NotDeclined),
        _ => None,
    };
    let before = now.and_then(|now| now.only_if);
    if before.is_some() && only_if.is_some() && before != only_if {
        return Err(CmdError::TRACKING_SWITCH_OPT);
    }
    if options.broadcast {
        let existing = now.and_then(|now| now.prefixes.as_deref()).unwrap_or_default();
        check_prefixes(existing, &options.prefixes)?;
    }
    Ok(only_if)
}

/// No prefix of a client may begin with another one.
fn check_prefixes(existing: &[Box<[u8]>], new: &[&[u8]]) -> Result<(), CmdError> {
    let overlap = |a: &[u8], b: &[u8]| a.starts_with(b) || b.starts_with(a);
    for (index, prefix) in new.iter().enumerate() {
        if let Some(other) = existing.iter().find(|other| overlap(other, prefix)) {
            return Err(CmdError::overlapping_prefixes(prefix, "an existing", other));
        }
        if let Some(other) = new[index + 1..].iter().find(|other| overlap(other, prefix)) {
            return Err(CmdError::overlapping_prefixes(prefix, "another provided", other));
        }
    }
    Ok(())
}

fn turn_on(cx: &mut Ctx<'_>, options: Options<'_>, only_if: Option<OnlyIf>) {
    // What changed before is no news to a client that caches from now on.
    cx.deliver();
    let number = cx.hub.tracking.turn_on(cx.session.conn, cx.session.caching_number);
    cx.session.caching_number = Some(number);
    cx.session.mode |= mode::CACHES;
    let caching = cx.session.caching.get_or_insert_default();
    let no_prefix: [&[u8]; 1] = [b""];
    if options.broadcast {
        let new = if options.prefixes.is_empty() { &no_prefix[..] } else { &options.prefixes };
        let prefixes = caching.prefixes.get_or_insert_default();
        for prefix in new {
            if let Err(place) = prefixes.binary_search_by(|other| (**other).cmp(prefix)) {
                prefixes.insert(place, (*prefix).into());
            }
            cx.hub.tracking.add_prefix(cx.session.conn, prefix);
        }
    }
    caching.redirect = options.redirect;
    caching.broken_redirect = false;
    caching.only_if = only_if;
    caching.no_loop = options.no_loop;
    cx.refresh_interest();
}

/// CLIENT CACHING: whether the next command's keys are remembered.
pub(super) fn caching(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let Some(caching) = &mut cx.session.caching else { return Err(CmdError::CACHING_WITHOUT_TRACKING) };
    let (wanted, error) = if args.accept("yes") {
        (OnlyIf::AskedFor, CmdError::CACHING_YES)
    } else if args.accept("no") {
        (OnlyIf::NotDeclined, CmdError::CACHING_NO)
    } else {
        return Err(CmdError::SYNTAX);
    };
    if caching.only_if != Some(wanted) {
        return Err(error);
    }
    caching.said = true;
    cx.reply.ok();
    Ok(Flow::Done)
}

/// CLIENT GETREDIR, and a field of other replies: -1 without tracking, 0 without redirection.
pub(super) fn redirect_id(caching: Option<&Caching>) -> i64 {
    caching.map_or(-1, |caching| caching.redirect.map_or(0, |redirect| redirect.id as i64))
}

/// CLIENT GETREDIR.
pub(super) fn getredir(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.int(redirect_id(cx.session.caching.as_deref()));
    Ok(Flow::Done)
}

fn flags(caching: Option<&Caching>) -> Vec<&'static str> {
    let Some(caching) = caching else { return vec!["off"] };
    let only_if = |wanted| caching.only_if == Some(wanted);
    let all = [
        (true, "on"),
        (caching.prefixes.is_some(), "bcast"),
        (only_if(OnlyIf::AskedFor), "optin"),
        (only_if(OnlyIf::AskedFor) && caching.said, "caching-yes"),
        (only_if(OnlyIf::NotDeclined), "optout"),
        (only_if(OnlyIf::NotDeclined) && caching.said, "caching-no"),
        (caching.no_loop, "noloop"),
        (caching.broken_redirect, "broken_redirect"),
    ];
    all.into_iter().filter(|(set, _)| *set).map(|(_, name)| name).collect()
}

/// CLIENT TRACKINGINFO.
pub(super) fn trackinginfo(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    let caching = cx.session.caching.as_deref();
    let flags = flags(caching);
    cx.reply.map(3);
    cx.reply.bulk(b"flags");
    cx.reply.set(flags.len());
    flags.into_iter().for_each(|flag| cx.reply.bulk(flag.as_bytes()));
    cx.reply.bulk(b"redirect");
    cx.reply.int(redirect_id(caching));
    cx.reply.bulk(b"prefixes");
    let prefixes = caching.and_then(|caching| caching.prefixes.as_deref()).unwrap_or_default();
    cx.reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| cx.reply.bulk(prefix));
    Ok(Flow::Done)
}

impl Ctx<'_> {
    /// The client caches nothing any more.
    pub(in crate::command) fn stop_tracking(&mut self) {
        if self.session.caching.is_some() {
            // It has cached until now: what changed earlier in its transaction is told.
            self.deliver();
            self.tell_own();
        }
        let Some(caching) = self.session.caching.take() else { return };
        self.session.mode &= !mode::CACHES;
        self.hub.tracking.turn_off(self.session.conn, &caching.prefixes.unwrap_or_default());
        self.refresh_interest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prefixes_may_not_begin_with_each_other() {
        let existing: Vec<Box<[u8]>> = vec![b"foo"[..].into()];
        assert!(check_prefixes(&existing, &[b"bar", b"baz"]).is_ok());
        let text = |new: &[&[u8]]| check_prefixes(&existing, new).expect_err("they overlap").to_string();
        assert_eq!(
            text(&[b"bar", b"foobar"]),
            "ERR Prefix 'foobar' overlaps with an existing prefix 'foo'. Prefixes for a single client must not overlap."
        );
        assert_eq!(
            text(&[b"bar", b"barx"]),
            "ERR Prefix 'bar' overlaps with another provided prefix 'barx'. Prefixes for a single client must not overlap."
        );
        assert!(text(&[b""]).contains("an existing"));
    }

    #[test]
    fn flags_are_told_in_order() {
        assert_eq!(flags(None), ["off"]);
        let caching = Caching {
            only_if: Some(OnlyIf::NotDeclined),
            said: true,
            no_loop: true,
            broken_redirect: true,
            ..Caching::default()
        };
        assert_eq!(flags(Some(&caching)), ["on", "optout", "caching-no", "noloop", "broken_redirect"]);
        assert_eq!(redirect_id(Some(&caching)), 0);
    }
}
