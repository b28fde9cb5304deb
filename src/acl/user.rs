//! One user: name, passwords, rules. See the room's doc: a user in force never changes.

use super::catalog::Catalog;
use super::password::{Password, sha};
use super::rules::{RuleError, Unmatched, merge_selectors};
use super::selector::Selector;
use crate::base::{number, text};
use std::cell::Cell;
use std::rc::Rc;
use subtle::{Choice, ConstantTimeEq};

/// A user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Its name.
    pub name: Box<[u8]>,
    /// Whether it may log in.
    pub enabled: bool,
    /// Whether any password is right.
    pub no_password: bool,
    /// Whether its RESTORE payloads are taken without a deep look.
    pub skips_sanitizing: bool,
    /// Commands per second that it may run; 0 for any number.
    pub rate: u32,
    /// Bytes that all its connections together may hold; 0 for any number.
    pub memory_bytes: u64,
    /// Kept in the file of users by USERADD and its kin.
    pub kept: bool,
    /// Commands of the current second, for `rate`.
    pub meter: Meter,
    /// What its connections hold, for `memory_bytes`.
    pub held: Held,
    passwords: Vec<Password>,
    selectors: Vec<Selector>,
    unlimited: bool,
    /// Its own set of rules decides alone when it allows something: nothing is counted, no database is closed.
    plain: bool,
}

/// Counts commands in a second. Two users are no less the same for it.
#[derive(Debug, Clone, Default)]
pub struct Meter(Cell<(u64, u32)>);

impl Meter {
    /// Takes one of so many commands that may be run in this second; false if there is none left.
    pub fn take(&self, second: u64, rate: u32) -> bool {
        let (of, used) = self.0.get();
        let used = if of == second { used } else { 0 };
        self.0.set((second, used.saturating_add(u32::from(used < rate))));
        used < rate
    }
}

impl PartialEq for Meter {
    fn eq(&self, _: &Meter) -> bool {
        true
    }
}

impl Eq for Meter {}

/// Bytes that the connections of a user hold. One count for all that a user is changed into; two users are no less the same
/// for it.
#[derive(Debug, Clone, Default)]
pub struct Held(Rc<Cell<usize>>);

impl Held {
    /// All of them.
    #[inline]
    pub fn bytes(&self) -> usize {
        self.0.get()
    }

    /// A connection that held `old` bytes holds `new` ones.
    pub fn replace(&self, old: usize, new: usize) {
        debug_assert!(self.0.get() >= old, "what is given back was taken before");
        self.0.set(self.0.get().saturating_sub(old).saturating_add(new));
    }
}

impl PartialEq for Held {
    fn eq(&self, _: &Held) -> bool {
        true
    }
}

impl Eq for Held {}

/// What a request was refused for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// The command.
    Command,
    /// A key.
    Key,
    /// A database.
    Database,
    /// A channel.
    Channel,
}

/// Why a request is refused: for what, and at which of its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Denied {
    /// For what.
    pub what: What,
    /// Index of the word.
    pub word: usize,
}

/// What deciding about a password needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is right.
    Right,
    /// It is wrong.
    Wrong,
    /// These slow hashes must be asked.
    Ask(Vec<Box<str>>),
}

impl User {
    /// A user without rights, passwords and the right to log in. `all_channels`: `acl-pubsub-default`.
    pub fn new(name: &[u8], catalog: &Catalog, all_channels: bool) -> User {
        User {
            name: name.into(),
            enabled: false,
            no_password: false,
            skips_sanitizing: false,
            rate: 0,
            memory_bytes: 0,
            kept: false,
            meter: Meter::default(),
            held: Held::default(),
            passwords: Vec::new(),
            selectors: vec![Selector::new(catalog, all_channels)],
            unlimited: false,
            plain: true,
        }
    }

    /// The user that a new connection has: everything is allowed, without a password.
    pub fn default_user(catalog: &Catalog) -> User {
        let mut user = User::new(b"default", catalog, true);
        for rule in ["on", "nopass", "~*", "&*", "+@all"] {
            user.apply(rule.as_bytes(), catalog, true).expect("the words are rules");
        }
        user
    }

    /// Applies one rule, a selector in parentheses included.
    ///
    /// # Errors
    /// It is none, or can't be applied; nothing has changed.
    pub fn apply(&mut self, rule: &[u8], catalog: &Catalog, all_channels: bool) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            _ if is("on") => self.enabled = true,
            _ if is("off") => self.enabled = false,
            _ if is("nopass") => (self.no_password, self.passwords) = (true, Vec::new()),
            _ if is("resetpass") => (self.no_password, self.passwords) = (false, Vec::new()),
            _ if is("sanitize-payload") => self.skips_sanitizing = false,
            _ if is("skip-sanitize-payload") => self.skips_sanitizing = true,
            _ if is("clearselectors") => self.selectors.truncate(1),
            _ if is("reset") => {
                let new = User::new(&self.name, catalog, all_channels);
                *self = User { kept: self.kept, held: self.held.clone(), ..new };
            }
            [b'>', text @ ..] => self.add_password(Password::sha_of(text)),
            [b'#', digits @ ..] => self.add_password(Password::from_hex(digits)?),
            [b'$', ..] => self.add_password(Password::from_phc(rule)?),
            [b'<', text @ ..] => self.remove_password(text)?,
            [b'!', digits @ ..] => self.remove(&Password::from_hex(digits)?)?,
            [b'(', inner @ .., b')'] => self.add_selector(inner, catalog, all_channels)?,
            _ => match (value_of(rule, "rate="), value_of(rule, "memory=")) {
                (Some(rate), _) => self.rate = rate.parse().map_err(|_| RuleError::BadRate)?,
                (_, Some(bytes)) => self.memory_bytes = memory_of(bytes).ok_or(RuleError::BadMemory)?,
                (None, None) => self.selectors[0].apply(rule, catalog)?,
            },
        }
        self.unlimited = !self.is_bounded() && self.selectors[0].is_unlimited();
        self.plain = !self.is_bounded() && self.selectors[0].admits_all_databases();
        Ok(())
    }

    fn add_selector(&mut self, inner: &[u8], catalog: &Catalog, all_channels: bool) -> Result<(), RuleError> {
        let mut selector = Selector::new(catalog, all_channels);
        for rule in text::split_args(inner).map_err(|_| RuleError::Syntax)? {
            // What could be taken for the end of the selector, or quotes it, could not be read again.
            if rule.last() == Some(&b')') || rule.iter().any(|byte| b"\"'".contains(byte)) {
                return Err(RuleError::Syntax);
            }
            selector.apply(&rule, catalog)?;
        }
        self.selectors.push(selector);
        Ok(())
    }

    /// Adds a password; one it has already is not added again.
    pub fn add_password(&mut self, password: Password) {
        if !self.passwords.contains(&password) {
            self.passwords.push(password);
        }
        self.no_password = false;
    }

    fn remove_password(&mut self, text: &[u8]) -> Result<(), RuleError> {
        let (hash, before) = (sha(text), self.passwords.len());
        self.passwords.retain(|known| match known {
            Password::Sha(_) => !known.is_sha(&hash),
            Password::Slow(phc) => !Password::verify_slow(phc, text),
        });
        if self.passwords.len() < before { Ok(()) } else { Err(RuleError::NoSuchPassword) }
    }

    fn remove(&mut self, password: &Password) -> Result<(), RuleError> {
        let place = self.passwords.iter().position(|known| known == password).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(place);
        Ok(())
    }

    /// Applies all words of a line of rules, or none of them.
    ///
    /// # Errors
    /// The first that is refused and why.
    pub fn changed(
        &self,
        rules: &[Vec<u8>],
        catalog: &Catalog,
        all_channels: bool,
    ) -> Result<User, (usize, RuleError)> {
        let mut user = self.clone();
        for (index, rule) in rules.iter().enumerate() {
            user.apply(rule, catalog, all_channels).map_err(|error| (index, error))?;
        }
        Ok(user)
    }

    /// Joins selectors and applies all words.
    ///
    /// # Errors
    /// What is wrong, in the protocol's words, and the word at fault.
    pub fn with_words(&self, words: &[&[u8]], catalog: &Catalog, all_channels: bool) -> Result<User, RefusedWords> {
        let merged = merge_selectors(words).map_err(RefusedWords::Unmatched)?;
        self.changed(&merged, catalog, all_channels)
            .map_err(|(index, error)| RefusedWords::Rule(merged[index].clone(), error))
    }

    /// Whether it may do only so much.
    #[inline]
    pub fn is_bounded(&self) -> bool {
        self.rate > 0 || self.memory_bytes > 0
    }

    /// Whether everything is allowed: then nothing of a request need be looked at.
    #[inline]
    pub fn is_unlimited(&self) -> bool {
        self.unlimited
    }

    /// Its own set of rules, if what that allows is allowed without another look.
    #[inline]
    pub fn plain_rules(&self) -> Option<&Selector> {
        self.selectors.first().filter(|_| self.plain)
    }

    /// Its rules: its own set first.
    pub fn selectors(&self) -> &[Selector] {
        &self.selectors
    }

    /// Its passwords.
    pub fn passwords(&self) -> &[Password] {
        &self.passwords
    }

    /// Whether this password is right. All are compared, so that the time does not tell which one it is.
    pub fn check(&self, text: &[u8]) -> Verdict {
        if self.no_password {
            return Verdict::Right;
        }
        let hash = sha(text);
        let mut right = Choice::from(0);
        let mut slow = Vec::new();
        for password in &self.passwords {
            match password {
                Password::Sha(own) => right |= own.ct_eq(&hash),
                Password::Slow(phc) => slow.push(phc.clone()),
            }
        }
        match bool::from(right) {
            true => Verdict::Right,
            false if slow.is_empty() => Verdict::Wrong,
            false => Verdict::Ask(slow),
        }
    }

    /// Whether a key may be used so in any of its sets of rules (bits of `READ` and `WRITE`).
    pub fn admits_key(&self, key: &[u8], rights: u8) -> bool {
        self.selectors.iter().any(|selector| selector.admits_key(key, rights))
    }

    /// Whether a channel or pattern may be listened to.
    pub fn admits_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        self.selectors.iter().any(|selector| selector.admits_channel(channel, is_pattern))
    }

    /// The names of its switches, as ACL GETUSER shows them.
    pub fn flags(&self) -> impl Iterator<Item = &'static str> {
        let all = [
            (self.enabled, "on"),
            (!self.enabled, "off"),
            (self.no_password, "nopass"),
            (self.skips_sanitizing, "skip-sanitize-payload"),
            (!self.skips_sanitizing, "sanitize-payload"),
        ];
        all.into_iter().filter(|(set, _)| *set).map(|(_, name)| name)
    }

    /// Its rules in one line, without its name: from it the user can be made again.
    pub fn describe(&self) -> Vec<u8> {
        let mut parts: Vec<Vec<u8>> = self.flags().map(|flag| flag.as_bytes().to_vec()).collect();
        parts.extend(self.passwords.iter().map(|password| password.describe().into_bytes()));
        if self.rate > 0 {
            parts.push(format!("rate={}", self.rate).into_bytes());
        }
        if self.memory_bytes > 0 {
            parts.push(format!("memory={}", self.memory_bytes).into_bytes());
        }
        parts.push(self.selectors[0].describe());
        parts.extend(self.selectors[1..].iter().map(|selector| [b"(", &*selector.describe(), b")"].concat()));
        parts.join(&b' ')
    }
}

/// What stands behind a rule's name and equals sign; text that is none is a value that nothing takes.
fn value_of<'a>(rule: &'a [u8], name: &str) -> Option<&'a str> {
    let (head, value) = rule.split_at_checked(name.len())?;
    head.eq_ignore_ascii_case(name.as_bytes()).then(|| std::str::from_utf8(value).unwrap_or("-"))
}

/// A number of bytes as options have it: `10mb`. Digits there must be.
fn memory_of(text: &str) -> Option<u64> {
    text.starts_with(|first: char| first.is_ascii_digit()).then(|| number::parse_memory(text))?
}

/// Why words changed no user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RefusedWords {
    /// A parenthesis is not closed.
    Unmatched(Unmatched),
    /// This rule is refused.
    Rule(Vec<u8>, RuleError),
}

#[cfg(test)]
mod tests {
    use super::super::catalog::testing::catalog;
    use super::*;
    use crate::base::rng::Rng;

    fn user(rules: &[&str]) -> User {
        let words: Vec<&[u8]> = rules.iter().map(|rule| rule.as_bytes()).collect();
        User::new(b"amy", &catalog(), false).with_words(&words, &catalog(), false).expect("good rules")
    }

    fn shown(user: &User) -> String {
        String::from_utf8(user.describe()).expect("text")
    }

    #[test]
    fn passwords_are_added_compared_and_removed() {
        let amy = user(&["on", ">a", ">b", ">a"]);
        assert_eq!(amy.passwords().len(), 2);
        assert_eq!(
            (amy.check(b"a"), amy.check(b"b"), amy.check(b"c")),
            (Verdict::Right, Verdict::Right, Verdict::Wrong)
        );
        let amy = amy.with_words(&[b"<a"], &catalog(), false).expect("it has it");
        assert_eq!((amy.check(b"a"), amy.check(b"b")), (Verdict::Wrong, Verdict::Right));
        let refused = amy.with_words(&[b"<a"], &catalog(), false);
        assert_eq!(refused, Err(RefusedWords::Rule(b"<a".to_vec(), RuleError::NoSuchPassword)));
        let open = amy.with_words(&[b"nopass"], &catalog(), false).expect("a rule");
        assert!(open.passwords().is_empty() && open.check(b"") == Verdict::Right);
        assert_eq!(open.with_words(&[b">x"], &catalog(), false).expect("a rule").check(b""), Verdict::Wrong);
    }

    #[test]
    fn a_line_of_rules_makes_the_same_user_again() {
        let amy = user(&["on", ">a", "~a*", "+@all", "-set", "(+get", "%R~b)", "(&x)", "rate=5", "MEMORY=10mb"]);
        let line = shown(&amy);
        assert!(line.starts_with("on sanitize-payload #ca97"), "{line}");
        assert!(
            line.ends_with(
                " rate=5 memory=10485760 ~a* resetchannels +@all -set (%R~b resetchannels -@all +get) (resetchannels &x -@all)"
            ),
            "{line}"
        );
        assert_eq!(user(&line.split(' ').collect::<Vec<_>>()), amy);
        assert_eq!(shown(&user(&["on", "reset"])), "off sanitize-payload resetchannels -@all");
        assert!(User::default_user(&catalog()).is_unlimited() && !amy.is_unlimited());
    }

    #[test]
    fn nothing_changes_when_one_rule_is_refused() {
        let amy = user(&["on"]);
        for words in [
            &["off", "(+nope)"][..],
            &["off", "foo"],
            &["off", "(a"],
            &["off", "()x"],
            &["rate=x"],
            &["memory="],
            &["memory=-1"],
            &["memory=1x"],
        ] {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            assert!(amy.with_words(&words, &catalog(), false).is_err());
        }
        assert!(amy.enabled);
    }

    /// Whatever rules are applied: the line that describes the user makes it again.
    #[test]
    fn random_rules_survive_their_description() {
        const RULES: &[&str] = &[
            "on",
            "off",
            "nopass",
            ">p",
            ">q",
            "<p",
            "resetpass",
            "~*",
            "~a",
            "%R~a",
            "%W~b*",
            "resetkeys",
            "&*",
            "&c",
            "allchannels",
            "resetchannels",
            "+@all",
            "-@all",
            "+get",
            "-get",
            "+config",
            "-config|set",
            "+config|get",
            "+select|0",
            "-select",
            "+@read",
            "-@write",
            "(+get ~a)",
            "(~* +@all -set)",
            "clearselectors",
            "db=1",
            "alldbs",
            "resetdbs",
            "rate=7",
            "memory=3kb",
            "memory=0",
            "skip-sanitize-payload",
            "sanitize-payload",
            "+sel",
            "-sel",
        ];
        for seed in 0..200 {
            let (mut rng, catalog) = (Rng::seeded(seed), catalog());
            let mut user = User::new(b"amy", &catalog, seed % 2 == 0);
            for _ in 0..30 {
                let rule = RULES[rng.below(RULES.len() as u64) as usize];
                // Some don't fit the others: they change nothing then.
                let before = user.clone();
                if user.apply(rule.as_bytes(), &catalog, false).is_err() {
                    assert_eq!(user, before, "seed {seed}: {rule}");
                }
                let line = shown(&user);
                let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
                let again = User::new(b"amy", &catalog, false).with_words(&words, &catalog, false);
                assert_eq!(again.as_ref(), Ok(&user), "seed {seed}: {line}");
            }
        }
    }
}
