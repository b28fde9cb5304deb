//! All users by name, and texts of users: lines of a file, `user` directives. Knows no disk.
//!
//! ```text
//! user amy on #5e88... ~data:* resetchannels -@all +@read
//! ```

use super::audit::Audit;
use super::brake::Brake;
use super::catalog::Catalog;
use super::log::AclLog;
use super::rules::{RuleError, has_blanks, merge_selectors};
use super::slow::Worker;
use super::user::User;
use crate::base::text;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

/// The name of the user that new connections have.
const DEFAULT: &[u8] = b"default";
/// The built-in administrator's other name, as long as no user bears it.
const ROOT: &[u8] = b"root";

/// What was wrong with lines of users; nothing has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadError(pub String);

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Users and what belongs to them.
pub struct Acl {
    users: BTreeMap<Box<[u8]>, Rc<User>>,
    catalog: Catalog,
    is_open: bool,
    /// Users whose memory is bounded.
    bounded_users: usize,
    /// ACL LOG.
    pub log: AclLog,
    /// What guessing costs.
    pub brake: Brake,
    /// The audit log.
    pub audit: Audit,
    /// The thread of slow hashes.
    pub worker: Worker,
    /// `acl-pubsub-default allchannels`.
    pub all_channels: bool,
    /// Words of a request that are keys; room that is kept from one to the next.
    pub found: Vec<(usize, u16)>,
}

impl Acl {
    /// The default user alone.
    pub fn new(catalog: Catalog) -> Acl {
        let mut acl = Acl {
            users: BTreeMap::new(),
            is_open: true,
            bounded_users: 0,
            log: AclLog::default(),
            brake: Brake::default(),
            audit: Audit::default(),
            worker: Worker::default(),
            all_channels: false,
            found: Vec::new(),
            catalog,
        };
        acl.put(User::default_user(&acl.catalog));
        acl
    }

    /// The commands as rules name them.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Whether connections need not log in.
    #[inline]
    pub fn is_open(&self) -> bool {
        self.is_open
    }

    /// The user that new connections have.
    pub fn default_user(&self) -> &Rc<User> {
        self.users.get(DEFAULT).expect("the default user is never removed")
    }

    /// A user of exactly this name.
    pub fn get(&self, name: &[u8]) -> Option<&Rc<User>> {
        self.users.get(name)
    }

    /// The user that goes by this name: `root` is the default user unless there is one of that name.
    pub fn find(&self, name: &[u8]) -> Option<&Rc<User>> {
        self.get(name).or_else(|| (name == ROOT).then(|| self.default_user()))
    }

    /// All users, by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Rc<User>> {
        self.users.values()
    }

    /// A user as it is, or a new one without rights.
    pub fn get_or_new(&self, name: &[u8]) -> User {
        self.get(name).map_or_else(|| User::new(name, &self.catalog, self.all_channels), |user| (**user).clone())
    }

    /// Puts a user in force; the one of that name that was before.
    pub fn put(&mut self, user: User) -> (Rc<User>, Option<Rc<User>>) {
        let user = Rc::new(user);
        let old = self.users.insert(user.name.clone(), Rc::clone(&user));
        self.bounded_users += usize::from(user.memory_bytes > 0);
        self.forget_bound(old.as_deref());
        if *user.name == *DEFAULT {
            self.is_open = user.enabled && user.no_password;
        }
        (user, old)
    }

    /// Removes a user, which is not the default one.
    pub fn remove(&mut self, name: &[u8]) -> Option<Rc<User>> {
        debug_assert!(name != DEFAULT, "the default user stays");
        let old = self.users.remove(name);
        self.forget_bound(old.as_deref());
        old
    }

    fn forget_bound(&mut self, old: Option<&User>) {
        self.bounded_users -= usize::from(old.is_some_and(|old| old.memory_bytes > 0));
    }

    /// Whether the memory of some user's connections is bounded: only then it is counted.
    #[inline]
    pub fn bounds_memory(&self) -> bool {
        self.bounded_users > 0
    }

    /// Replaces all users; those that were before.
    pub fn replace(&mut self, users: Vec<User>) -> Vec<Rc<User>> {
        let old = std::mem::take(&mut self.users).into_values().collect();
        self.bounded_users = 0;
        self.put(User::default_user(&self.catalog));
        for user in users {
            self.put(user);
        }
        old
    }

    /// The default user with this password alone, or with none.
    pub fn with_default_password(&self, password: &[u8]) -> User {
        let user = &**self.default_user();
        let rules = match password {
            b"" => vec![b"nopass".to_vec()],
            text => vec![b"resetpass".to_vec(), [b">", text].concat()],
        };
        user.changed(&rules, &self.catalog, self.all_channels).expect("the words are rules")
    }

    /// A user of the words of a `user` directive: its name, then rules.
    ///
    /// # Errors
    /// The word at fault, and why.
    pub fn user_of_words(&self, words: &[&[u8]]) -> Result<User, (Vec<u8>, String)> {
        let (name, rules) = words.split_first().ok_or_else(|| (Vec::new(), RuleError::Syntax.to_string()))?;
        if has_blanks(name) {
            return Err((name.to_vec(), "Spaces not allowed in ACL usernames".to_owned()));
        }
        let rules = merge_selectors(rules)
            .map_err(|open| (rules[open.0].to_vec(), "Unmatched parenthesis in selector definition.".to_owned()))?;
        let user = User::new(name, &self.catalog, self.all_channels);
        user.changed(&rules, &self.catalog, self.all_channels)
            .map_err(|(index, error)| (rules[index].clone(), error.to_string()))
    }

    /// The users of a file of `user` lines. `path` is how errors name it.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn parse(&self, content: &[u8], path: &str) -> Result<Vec<User>, LoadError> {
        let mut users: BTreeMap<Box<[u8]>, User> = BTreeMap::new();
        let mut errors = String::new();
        for (number, line) in content.split(|byte| *byte == b'\n').enumerate().map(|(nth, line)| (nth + 1, line)) {
            let line = text::trim_blanks(line);
            if line.is_empty() {
                continue;
            }
            match self.parse_line(line, path, number) {
                Ok(user) if users.contains_key(&user.name) => {
                    let name = String::from_utf8_lossy(&user.name);
                    errors.push_str(&format!("WARNING: Duplicate user '{name}' found on line {number}. "));
                }
                Ok(user) => _ = users.insert(user.name.clone(), user),
                Err(error) => errors.push_str(&error),
            }
        }
        if errors.is_empty() {
            return Ok(users.into_values().collect());
        }
        errors.push_str("WARNING: ACL errors detected, no change to the previously active ACL rules was performed");
        Err(LoadError(errors))
    }

    fn parse_line(&self, line: &[u8], path: &str, number: usize) -> Result<User, String> {
        let words = text::split_args(line).map_err(|_| format!("{path}:{number}: unbalanced quotes in acl line. "))?;
        let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let (name, rules) = match words.as_slice() {
            [b"user", name, rules @ ..] => (*name, rules),
            _ => return Err(format!("{path}:{number} should start with user keyword followed by the username. ")),
        };
        if has_blanks(name) {
            let name = String::from_utf8_lossy(name);
            return Err(format!("'{path}:{number}: username '{name}' contains invalid characters. "));
        }
        let rules = merge_selectors(rules)
            .map_err(|_| format!("{path}:{number}: Unmatched parenthesis in selector definition."))?;
        let mut user = User::new(name, &self.catalog, self.all_channels);
        let mut errors = String::new();
        for rule in &rules {
            if let Err(error) = user.apply(text::trim_blanks(rule), &self.catalog, self.all_channels) {
                let rule = String::from_utf8_lossy(rule);
                errors.push_str(&format!("{path}:{number}: Error in applying operation '{rule}': {error}. "));
            }
        }
        if errors.is_empty() { Ok(user) } else { Err(errors) }
    }

    /// A file of these users.
    pub fn text_of<'a>(users: impl Iterator<Item = &'a Rc<User>>) -> Vec<u8> {
        let mut out = Vec::new();
        for user in users {
            out.extend_from_slice(&[b"user ", &*Acl::line_of(user), b"\n"].concat());
        }
        out
    }

    /// Name and rules of a user as they follow `user` in a file: words that a reader would take for quoted are quoted.
    pub fn line_of(user: &User) -> Vec<u8> {
        let mut out = word_in_file(&user.name);
        for word in user.describe().split(|byte| *byte == b' ') {
            out.push(b' ');
            out.extend_from_slice(&word_in_file(word));
        }
        out
    }
}

fn word_in_file(word: &[u8]) -> Vec<u8> {
    if !word.is_empty() && !word.iter().any(|byte| b"\"'#".contains(byte)) {
        return word.to_vec();
    }
    // A hash of a password begins with `#` and needs no quotes behind the first word of a line.
    if word.first() == Some(&b'#') && word[1..].iter().all(u8::is_ascii_hexdigit) {
        return word.to_vec();
    }
    let mut out = Vec::new();
    text::quote_repr(word, &mut out);
    out
}

/// Reads any bytes as a file of users: what is taken must read as the same users again when it is written.
pub fn fuzz_rules(data: &[u8]) {
    let entry = |name: &str, categories| super::Entry {
        name: name.into(),
        categories,
        keys: super::Keys::Elsewhere,
        parent: None,
        subs: Vec::new(),
        aliases: Vec::new(),
        alias_of: None,
        is_absent: false,
    };
    let mut config = entry("config", 4);
    config.subs = vec![3];
    let sub = super::Entry { parent: Some(2), ..entry("config|get", 1) };
    let acl = Acl::new(Catalog::new(vec![entry("get", 1), entry("set", 2), config, sub], &["read", "write", "admin"]));
    let Ok(users) = acl.parse(data, "fuzz") else { return };
    let users: Vec<Rc<User>> = users.into_iter().map(Rc::new).collect();
    let text = Acl::text_of(users.iter());
    let again = acl.parse(&text, "fuzz").expect("what was written can be read");
    assert!(again.iter().eq(users.iter().map(|user| &**user)), "{}", String::from_utf8_lossy(&text));
}

#[cfg(test)]
mod tests {
    use super::super::catalog::testing::catalog;
    use super::*;

    #[test]
    fn root_is_another_name_of_the_default_user_until_somebody_bears_it() {
        let mut acl = Acl::new(catalog());
        assert!(acl.is_open() && acl.get(b"root").is_none());
        assert_eq!(&*acl.find(b"root").expect("an alias").name, b"default");
        acl.put(User::new(b"root", acl.catalog(), false));
        assert_eq!(&*acl.find(b"root").expect("a user").name, b"root");
        let closed = acl.with_default_password(b"x");
        acl.put(closed);
        assert!(!acl.is_open());
        let open = acl.with_default_password(b"");
        acl.put(open);
        assert!(acl.is_open());
    }

    #[test]
    fn a_file_is_read_whole_or_not_at_all() {
        let acl = Acl::new(catalog());
        let good = b"\n user amy on >x ~a* (+get ~b)\r\nuser  bob\n";
        let users = acl.parse(good, "f").expect("good");
        assert_eq!(users.iter().map(|user| &*user.name).collect::<Vec<_>>(), [b"amy", b"bob"]);
        for (bad, part) in [
            ("amy on", "f:1 should start with user keyword followed by the username. WARNING: ACL errors"),
            ("user", "f:1 should start with user keyword"),
            ("user a\nuser a", "WARNING: Duplicate user 'a' found on line 2. WARNING: ACL errors"),
            (
                "\nuser a +nope foo",
                "f:2: Error in applying operation '+nope': Unknown command or category name in ACL. f:2: Error in applying operation 'foo': Syntax error. WARN",
            ),
            ("user a (b", "f:1: Unmatched parenthesis in selector definition.WARNING"),
        ] {
            let error = acl.parse(bad.as_bytes(), "f").expect_err(bad);
            assert!(error.0.starts_with(part), "{error}");
        }
    }

    #[test]
    fn it_is_known_whether_any_users_memory_is_bounded() {
        let mut acl = Acl::new(catalog());
        let bounded =
            |name: &str| acl.parse(format!("user {name} memory=1mb").as_bytes(), "f").expect("good").remove(0);
        let (amy, bob) = (bounded("amy"), bounded("bob"));
        for user in [&amy, &bob, &amy] {
            acl.put(user.clone());
        }
        acl.remove(b"amy");
        assert!(acl.bounds_memory());
        acl.put(User::new(b"bob", &catalog(), false));
        assert!(!acl.bounds_memory());
        acl.replace(vec![amy]);
        assert!(acl.bounds_memory());
        acl.replace(Vec::new());
        assert!(!acl.bounds_memory());
    }

    #[test]
    fn words_of_a_directive_make_a_user() {
        let acl = Acl::new(catalog());
        assert_eq!(&*acl.user_of_words(&[b"amy", b"on", b"(+get", b"~a)"]).expect("good").name, b"amy");
        assert_eq!(acl.user_of_words(&[b"amy", b"foo"]), Err((b"foo".to_vec(), "Syntax error".to_owned())));
        assert_eq!(acl.user_of_words(&[b"a b"]).map_err(|(word, _)| word), Err(b"a b".to_vec()));
    }
}
