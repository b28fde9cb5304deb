//! ACL SETUSER and DELUSER. A change is all or nothing, and in force for all connections when the reply leaves.

use crate::acl::{Password, RefusedWords, User, has_blanks};
use crate::base::rng;
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::error::CmdError;
use crate::config::PasswordHash;
use crate::stats::Hidden;
use serde_json::json;

/// ACL SETUSER.
pub(super) fn setuser(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    // Passwords among the rules are nobody else's business.
    cx.hidden = Hidden::from(2);
    let name = args.bytes()?;
    if has_blanks(name) {
        return Err(CmdError::text("ERR Usernames can't contain spaces or null characters"));
    }
    let rules: Vec<&[u8]> = args.argv().skip(args.position()).iter().collect();
    let hashed = hashed_rules(cx, &rules)?;
    let words: Vec<&[u8]> = hashed.iter().map(Vec::as_slice).collect();
    let user = cx.acl.get_or_new(name).with_words(&words, cx.acl.catalog(), cx.acl.all_channels);
    let user = user.map_err(|refused| refusal(&refused, &rules, &words))?;
    cx.keep_and_put(user, Keep::IfKept)?;
    note(cx, "setuser", name);
    super::done(cx)
}

/// A refusal in words: the rule as the client sent it.
fn refusal(refused: &RefusedWords, rules: &[&[u8]], hashed: &[&[u8]]) -> CmdError {
    match refused {
        RefusedWords::Unmatched(open) => CmdError::quoting_whole(
            "ERR Unmatched parenthesis in acl selector starting at '",
            rules.get(open.0).copied().unwrap_or_default(),
            "'.",
        ),
        RefusedWords::Rule(rule, error) => {
            let place = hashed.iter().position(|word| *word == rule.as_slice());
            let rule = place.and_then(|place| rules.get(place).copied()).unwrap_or(rule);
            CmdError::quoting_whole("ERR Error in ACL SETUSER modifier '", rule, &format!("': {error}"))
        }
    }
}

/// The rules, with new passwords in the form in which they are kept (`password-hash`).
fn hashed_rules(cx: &Ctx<'_>, rules: &[&[u8]]) -> Result<Vec<Vec<u8>>, CmdError> {
    let hashed = |rule: &&[u8]| match rule.strip_prefix(b">") {
        Some(text) if cx.config.password_hash == PasswordHash::Argon2id => {
            Ok(hash_password(cx, text)?.describe().into_bytes())
        }
        _ => Ok(rule.to_vec()),
    };
    rules.iter().map(hashed).collect()
}

/// A password as it is kept.
///
/// # Errors
/// The system has no randomness for a salt.
pub(super) fn hash_password(cx: &Ctx<'_>, text: &[u8]) -> Result<Password, CmdError> {
    if cx.config.password_hash == PasswordHash::Sha256 {
        return Ok(Password::sha_of(text));
    }
    let salt = rng::secret_bytes(16).ok().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok());
    let salt = salt.ok_or(CmdError::text("ERR The system has no randomness"))?;
    Password::slow_of(text, salt).map_err(|_| CmdError::text("ERR The password is too long"))
}

/// ACL DELUSER.
pub(super) fn deluser(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    cx.hidden = Hidden::from(2);
    let names: Vec<&[u8]> = args.argv().skip(args.position()).iter().collect();
    if names.contains(&&b"default"[..]) {
        return Err(CmdError::text("ERR The 'default' user cannot be removed"));
    }
    let mut removed = 0;
    for name in names {
        removed += u64::from(cx.remove_user(name, Keep::IfKept)?);
    }
    cx.reply.uint(removed);
    Ok(Flow::Done)
}

/// Adds a change of users to the audit log.
pub(super) fn note(cx: &Ctx<'_>, what: &str, name: &[u8]) {
    if cx.acl.audit.is_on() {
        cx.note_audit("users", vec![("change", json!(what)), ("name", json!(String::from_utf8_lossy(name)))]);
    }
}

/// Whether a change of a user is written to a file at once.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::command) enum Keep {
    /// It is: the command promises that.
    Always,
    /// If the user is one of those that the file in the data folder keeps. An aclfile waits for ACL SAVE.
    IfKept,
}

impl Ctx<'_> {
    /// Whether a change of this user is written at once.
    pub(in crate::command) fn is_kept(&self, user: &User, keep: Keep) -> bool {
        keep == Keep::Always || (user.kept && self.config.aclfile.is_empty())
    }

    /// Puts a user in force. One that is kept in a file is written there first.
    ///
    /// # Errors
    /// The file can't be written; nothing has changed.
    pub(super) fn keep_and_put(&mut self, user: User, keep: Keep) -> Result<(), CmdError> {
        if self.is_kept(&user, keep) {
            super::file::keep(self, Some(&user), None)?;
        }
        self.put_user(user);
        Ok(())
    }

    /// Removes a user and whoever is logged in as it; whether there was one.
    ///
    /// # Errors
    /// The file of users can't be written; nothing has changed.
    pub(super) fn remove_user(&mut self, name: &[u8], keep: Keep) -> Result<bool, CmdError> {
        let Some(user) = self.acl.get(name).cloned() else { return Ok(false) };
        if self.is_kept(&user, keep) {
            super::file::keep(self, None, Some(name))?;
        }
        self.acl.remove(name);
        self.user_removed(&user);
        note(self, "deluser", name);
        Ok(true)
    }
}
