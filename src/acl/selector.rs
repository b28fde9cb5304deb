//! A set of rules: which commands, which keys, which channels, which databases. A user has one of its own and any number
//! beside it; each allows a request by itself or not at all.
//!
//! The commands are a bitmap over the catalog's numbers. How it came about is kept as words, in order, for whoever asks:
//! a rule drops what it makes meaningless before it (`+config` drops `-config|set`).

use super::catalog::{Catalog, Keys};
use super::pattern::{Head, KeyPattern, Pattern, READ, WRITE, first_bytes};
use super::rules::{RuleError, has_blanks};
use crate::base::number;
use std::cell::Cell;

/// A set of command numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bits(Box<[u64]>);

impl Bits {
    fn new(len: usize, all: bool) -> Bits {
        Bits(vec![if all { u64::MAX } else { 0 }; len.div_ceil(64)].into())
    }

    #[inline]
    fn has(&self, id: u16) -> bool {
        self.0.get(usize::from(id / 64)).is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    fn put(&mut self, id: u16, on: bool) {
        let (word, bit) = (&mut self.0[usize::from(id / 64)], 1 << (id % 64));
        *word = if on { *word | bit } else { *word & !bit };
    }
}

/// A rule about commands, as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Said {
    allow: bool,
    /// `get`, `config|get`, `@read`, `select|0`; lower case.
    what: Box<[u8]>,
}

/// The pattern that fitted last: the next key's is most often the same. Two sets of rules are no less the same for it.
#[derive(Debug, Clone, Default)]
struct Recent(Cell<usize>);

impl PartialEq for Recent {
    fn eq(&self, _: &Recent) -> bool {
        true
    }
}

impl Eq for Recent {}

/// What is left to ask of a request whose command is known: a word and what is done with the key in it, in a byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Way(u8);

impl Way {
    /// Everything: the command may be forbidden, or its keys stand here and there.
    const CLOSER: Way = Way(0);
    /// Nothing.
    const FREE: Way = Way(1);
    /// Words that there is room for.
    const WORDS: usize = 1 << 6;

    fn new(is_allowed: bool, keys: Keys) -> Way {
        match keys {
            Keys::None if is_allowed => Way::FREE,
            Keys::At { word: word @ 1..Way::WORDS, rights } if is_allowed => Way((word as u8) << 2 | rights),
            _ => Way::CLOSER,
        }
    }

    #[inline]
    fn word(self) -> usize {
        usize::from(self.0 >> 2)
    }

    #[inline]
    fn rights(self) -> u8 {
        self.0 & (READ | WRITE)
    }
}

/// What one set of rules allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    all_commands: bool,
    /// The words begin with everything allowed, not with nothing: also commands that do not exist yet are.
    from_all: bool,
    commands: Bits,
    /// First arguments with which a command is allowed that is not else, by the command's number.
    first_args: Vec<(u16, Box<[u8]>)>,
    said: Vec<Said>,
    all_keys: bool,
    keys: Vec<KeyPattern>,
    /// The beginnings of `keys`, in the same order; with `all_keys` one that every key has.
    heads: Vec<Head>,
    recent: Recent,
    /// By a command's number: what is left to ask for it.
    ways: Box<[Way]>,
    all_channels: bool,
    channels: Vec<Pattern>,
    /// Databases that may be used; `None` for all.
    databases: Option<Vec<u32>>,
}

impl Selector {
    /// Nothing is allowed, but (`all_channels`) perhaps channels, and all databases.
    pub fn new(catalog: &Catalog, all_channels: bool) -> Selector {
        Selector {
            all_commands: false,
            from_all: false,
            commands: Bits::new(catalog.len(), false),
            first_args: Vec::new(),
            said: Vec::new(),
            all_keys: false,
            keys: Vec::new(),
            heads: Vec::new(),
            recent: Recent::default(),
            ways: vec![Way::CLOSER; catalog.len()].into(),
            all_channels,
            channels: Vec::new(),
            databases: None,
        }
    }

    /// Applies one rule.
    ///
    /// # Errors
    /// It is none, or can't be applied; nothing has changed.
    pub fn apply(&mut self, rule: &[u8], catalog: &Catalog) -> Result<(), RuleError> {
        let is = |word: &str| rule.eq_ignore_ascii_case(word.as_bytes());
        match rule {
            b"" => {}
            b"~*" => self.allow_all_keys(),
            b"&*" => self.allow_all_channels(),
            _ if is("allkeys") => self.allow_all_keys(),
            _ if is("resetkeys") => (self.all_keys, self.keys, self.heads) = (false, Vec::new(), Vec::new()),
            _ if is("allchannels") => self.allow_all_channels(),
            _ if is("resetchannels") => (self.all_channels, self.channels) = (false, Vec::new()),
            _ if is("allcommands") || is("+@all") => self.set_all_commands(catalog, true),
            _ if is("nocommands") || is("-@all") => self.set_all_commands(catalog, false),
            _ if is("alldbs") => self.databases = None,
            _ if is("resetdbs") => self.databases = Some(Vec::new()),
            [b'~' | b'%', ..] => self.add_keys(rule)?,
            [b'&', channel @ ..] => self.add_channel(channel)?,
            [b'+', b'@', category @ ..] => self.set_category(category, true, catalog)?,
            [b'-', b'@', category @ ..] => self.set_category(category, false, catalog)?,
            [b'+', command @ ..] => self.allow_command(command, catalog)?,
            [b'-', command @ ..] => {
                let id = catalog.find(command).ok_or(RuleError::Unknown)?;
                self.set_command(id, false, catalog);
                self.say(false, command);
            }
            [b'd' | b'D', b'b' | b'B', b'=', ids @ ..] => self.add_databases(ids)?,
            _ => return Err(RuleError::Syntax),
        }
        self.all_commands = self.from_all && self.commands.0.iter().all(|word| *word == u64::MAX);
        self.ways = catalog.entries().map(|(id, entry)| Way::new(self.commands.has(id), entry.keys)).collect();
        Ok(())
    }

    fn allow_all_keys(&mut self) {
        (self.all_keys, self.keys, self.heads) = (true, Vec::new(), vec![Head::ALL]);
    }

    fn allow_all_channels(&mut self) {
        (self.all_channels, self.channels) = (true, Vec::new());
    }

    fn set_all_commands(&mut self, catalog: &Catalog, all: bool) {
        self.commands = Bits::new(catalog.len(), all);
        self.from_all = all;
        self.first_args.clear();
        self.said.clear();
    }

    /// `~pattern`, or `%` with rights before it.
    fn add_keys(&mut self, rule: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::AfterAllKeys);
        }
        // `%R` alone is a rule too: about the key whose name is empty.
        let tilde = rule.iter().position(|byte| *byte == b'~').unwrap_or(rule.len());
        let mut rights = if rule[0] == b'~' { READ | WRITE } else { 0 };
        for letter in &rule[1.min(tilde)..tilde] {
            let right = match letter.to_ascii_uppercase() {
                b'R' => READ,
                b'W' => WRITE,
                _ => return Err(RuleError::Syntax),
            };
            if rights & right != 0 {
                return Err(RuleError::Syntax);
            }
            rights |= right;
        }
        let text = rule.get(tilde + 1..).unwrap_or_default();
        if rights == 0 || has_blanks(text) {
            return Err(RuleError::Syntax);
        }
        match self.keys.iter_mut().find(|known| known.pattern.text() == text) {
            Some(known) => known.rights |= rights,
            None => self.keys.push(KeyPattern { pattern: Pattern::new(text), rights }),
        }
        self.heads = self.keys.iter().map(KeyPattern::head).collect();
        Ok(())
    }

    fn add_channel(&mut self, channel: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::AfterAllChannels);
        }
        if has_blanks(channel) {
            return Err(RuleError::Syntax);
        }
        if !self.channels.iter().any(|known| known.text() == channel) {
            self.channels.push(Pattern::new(channel));
        }
        Ok(())
    }

    fn add_databases(&mut self, ids: &[u8]) -> Result<(), RuleError> {
        let mut databases = self.databases.clone().unwrap_or_default();
        for id in ids.split(|byte| *byte == b',') {
            let id = number::parse_i64(id).and_then(|id| u32::try_from(id).ok());
            databases.push(id.filter(|id| *id < i32::MAX as u32).ok_or(RuleError::BadDatabase)?);
        }
        databases.sort_unstable();
        databases.dedup();
        self.databases = Some(databases);
        Ok(())
    }

    fn set_category(&mut self, name: &[u8], on: bool, catalog: &Catalog) -> Result<(), RuleError> {
        let bit = catalog.category(name).ok_or(RuleError::Unknown)?;
        // A container's category is that of its subcommands too, unless they say otherwise themselves.
        for (id, entry) in catalog.entries().filter(|(_, entry)| entry.parent.is_none()) {
            if entry.categories & bit != 0 {
                self.set_command(id, on, catalog);
            }
            for sub in entry.subs.iter().filter(|sub| catalog.entry(**sub).categories & bit != 0) {
                self.set_command(*sub, on, catalog);
            }
        }
        self.say(on, &[b"@", name].concat());
        Ok(())
    }

    /// `+name`, `+container|subcommand`, `+command|first-argument`.
    fn allow_command(&mut self, name: &[u8], catalog: &Catalog) -> Result<(), RuleError> {
        if let Some(id) = catalog.find(name) {
            self.set_command(id, true, catalog);
            self.say(true, name);
            return Ok(());
        }
        let bar = name.iter().rposition(|byte| *byte == b'|').ok_or(RuleError::Unknown)?;
        let (command, argument) = (&name[..bar], &name[bar + 1..]);
        let id = catalog.find(command).ok_or(RuleError::Unknown)?;
        let entry = catalog.entry(id);
        if entry.parent.is_some() {
            return Err(RuleError::FirstArgOfSubcommand);
        }
        // A blank could not be written into a line of rules.
        if argument.is_empty() || has_blanks(argument) {
            return Err(RuleError::Syntax);
        }
        if !entry.subs.is_empty() {
            return Err(RuleError::Unknown);
        }
        log::warn!(
            "A rule allows one first argument of a command that is else forbidden (+{}): such rules are deprecated and may go.",
            String::from_utf8_lossy(name)
        );
        for id in std::iter::once(id).chain(entry.aliases.iter().copied()) {
            let lower: Box<[u8]> = argument.to_ascii_lowercase().into();
            if !self.first_args.contains(&(id, lower.clone())) {
                self.first_args.push((id, lower));
            }
        }
        self.say(true, name);
        Ok(())
    }

    /// A command, its other names and its subcommands.
    fn set_command(&mut self, id: u16, on: bool, catalog: &Catalog) {
        let entry = catalog.entry(id);
        let all = std::iter::once(id).chain(entry.aliases.iter().copied()).chain(entry.subs.iter().copied());
        for id in all {
            self.commands.put(id, on);
            self.first_args.retain(|(of, _)| *of != id);
        }
    }

    fn say(&mut self, allow: bool, what: &[u8]) {
        let what = what.to_ascii_lowercase();
        let replaced = |said: &Said| match said.what.strip_prefix(what.as_slice()) {
            Some(rest) => rest.is_empty() || rest[0] == b'|',
            None => false,
        };
        self.said.retain(|said| !replaced(said));
        self.said.push(Said { allow, what: what.into() });
    }

    /// Whether it allows everything there is.
    pub fn is_unlimited(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels && self.databases.is_none()
    }

    /// Whether a request may be run as far as these rules are about commands, keys and channels, told by its command's
    /// number and at most one of its words; `false` says nothing.
    #[inline]
    pub fn admits_plainly<'a>(&self, id: u16, word: impl FnOnce(usize) -> Option<&'a [u8]>) -> bool {
        match self.ways.get(usize::from(id)) {
            None | Some(&Way::CLOSER) => false,
            Some(&Way::FREE) => true,
            Some(way) => word(way.word()).is_some_and(|key| self.admits_key(key, way.rights())),
        }
    }

    /// Whether a command may be run; `argument` is the word behind its name.
    #[inline]
    pub fn admits_command(&self, id: u16, argument: Option<&[u8]>) -> bool {
        self.all_commands || self.commands.has(id) || self.admits_first_arg(id, argument)
    }

    fn admits_first_arg(&self, id: u16, argument: Option<&[u8]>) -> bool {
        let Some(argument) = argument else { return false };
        self.first_args.iter().any(|(of, allowed)| *of == id && argument.eq_ignore_ascii_case(allowed))
    }

    /// Whether all keys may be used in any way.
    #[inline]
    pub fn admits_all_keys(&self) -> bool {
        self.all_keys
    }

    /// Whether a key may be used so; `rights` of 0 asks for any right at all.
    #[inline]
    pub fn admits_key(&self, key: &[u8], rights: u8) -> bool {
        let first_bytes = first_bytes(key);
        let recent = self.heads.get(self.recent.0.get());
        recent.is_some_and(|head| head.admits(first_bytes, rights)) || self.admits_by_any(key, first_bytes, rights)
    }

    fn admits_by_any(&self, key: &[u8], first_bytes: u64, rights: u8) -> bool {
        // Nothing but the heads is read of patterns that don't fit.
        let mut heads = self.heads.iter().enumerate();
        let found = heads.find(|(index, head)| {
            head.admits(first_bytes, rights) || head.may_match(first_bytes) && self.fits(*index, key, rights)
        });
        found.inspect(|(index, _)| self.recent.0.set(*index)).is_some()
    }

    /// Whether the key whose beginning fits a pattern's matches the rest of it and may be used so.
    fn fits(&self, index: usize, key: &[u8], rights: u8) -> bool {
        let known = self.keys.get(index);
        known.is_some_and(|known| known.rights & rights == rights && known.pattern.matches(key))
    }

    /// Whether keys of any name may be used so.
    pub fn admits_any_key(&self, rights: u8) -> bool {
        self.all_keys || self.keys.iter().any(|known| known.rights & rights == rights && known.pattern.is_star())
    }

    /// Whether a channel may be used. A pattern of channels may only if it is itself among the rules.
    pub fn admits_channel(&self, channel: &[u8], is_pattern: bool) -> bool {
        let fits = |known: &Pattern| if is_pattern { known.text() == channel } else { known.matches(channel) };
        self.all_channels || self.channels.iter().any(fits)
    }

    /// Whether a database may be used.
    #[inline]
    pub fn admits_database(&self, index: u32) -> bool {
        self.databases.as_ref().is_none_or(|known| known.contains(&index))
    }

    /// Whether all databases may be used.
    pub fn admits_all_databases(&self) -> bool {
        self.databases.is_none()
    }

    /// The rules about commands.
    pub fn describe_commands(&self) -> Vec<u8> {
        let mut out = if self.from_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for said in &self.said {
            out.extend_from_slice(if said.allow { b" +" } else { b" -" });
            out.extend_from_slice(&said.what);
        }
        out
    }

    /// The rules about keys.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let mut out = Vec::new();
        for (nth, key) in self.keys.iter().enumerate() {
            out.extend_from_slice(if nth == 0 { b"" } else { b" " });
            key.describe(&mut out);
        }
        out
    }

    /// The rules about channels.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        let channels: Vec<Vec<u8>> = self.channels.iter().map(|channel| [b"&", channel.text()].concat()).collect();
        channels.join(&b' ')
    }

    /// The rule about databases; `None` where all may be used.
    pub fn describe_databases(&self) -> Option<Vec<u8>> {
        let databases = self.databases.as_ref()?;
        let ids: Vec<String> = databases.iter().map(u32::to_string).collect();
        Some(if ids.is_empty() { b"resetdbs".to_vec() } else { format!("db={}", ids.join(",")).into_bytes() })
    }

    /// All rules in one line, from which it can be made again.
    pub fn describe(&self) -> Vec<u8> {
        let mut parts = Vec::new();
        parts.extend(Some(self.describe_keys()).filter(|keys| !keys.is_empty()));
        if !self.all_channels {
            parts.push(b"resetchannels".to_vec());
        }
        parts.extend(Some(self.describe_channels()).filter(|channels| !channels.is_empty()));
        parts.extend(self.describe_databases());
        parts.push(self.describe_commands());
        parts.join(&b' ')
    }
}

#[cfg(test)]
mod tests {
    use super::super::catalog::{Entry, testing::catalog};
    use super::*;

    fn made_of(rules: &str) -> Result<Selector, RuleError> {
        let catalog = catalog();
        let mut selector = Selector::new(&catalog, false);
        rules.split(' ').try_for_each(|rule| selector.apply(rule.as_bytes(), &catalog)).map(|()| selector)
    }

    fn shown(rules: &str) -> String {
        String::from_utf8(made_of(rules).expect("good rules").describe()).expect("text")
    }

    #[test]
    fn a_rule_drops_what_it_makes_meaningless() {
        for (rules, expected) in [
            ("", "resetchannels -@all"),
            ("+@all", "resetchannels +@all"),
            ("+get -get +set", "resetchannels -@all -get +set"),
            ("-config|get +CONFIG -config|set", "resetchannels -@all +config -config|set"),
            ("+select|0 +@Read +select|1", "resetchannels -@all +select|0 +@read +select|1"),
            ("+select|0 +select", "resetchannels -@all +select"),
            ("+get +@all -set", "resetchannels +@all -set"),
            ("~a %R~b %rw~c %W~d %R~d &x &x &y db=3,1 db=1", "~a %R~b ~c ~d resetchannels &x &y db=1,3 -@all"),
            ("~* &* resetdbs", "~* &* resetdbs -@all"),
            ("%R %rW~b", "%R~ ~b resetchannels -@all"),
        ] {
            assert_eq!(shown(rules), expected, "{rules}");
            assert_eq!(shown(expected), expected);
        }
    }

    #[test]
    fn plain_requests_are_told_by_one_word() {
        let mut entries: Vec<Entry> = catalog().entries().map(|(_, entry)| entry.clone()).collect();
        let id = |name: &str| catalog().find(name.as_bytes()).expect("known");
        entries[usize::from(id("get"))].keys = Keys::At { word: 1, rights: READ };
        entries[usize::from(id("set"))].keys = Keys::At { word: 2, rights: WRITE };
        entries[usize::from(id("select"))].keys = Keys::None;
        let catalog = Catalog::new(entries, &["read", "write"]);
        let admits = |rules: &str, name: &str, words: &[&str]| {
            let mut selector = Selector::new(&catalog, false);
            rules.split(' ').for_each(|rule| selector.apply(rule.as_bytes(), &catalog).expect("a rule"));
            selector.admits_plainly(id(name), |word| words.get(word).map(|word| word.as_bytes()))
        };
        assert!(admits("+get ~a*", "get", &["get", "ab"]) && !admits("+get ~a*", "get", &["get", "b"]));
        assert!(admits("+get ~a*z ~b", "get", &["get", "amz"]) && !admits("+get ~a*z ~b", "get", &["get", "am"]));
        assert!(admits("+set ~a", "set", &["set", "b", "a"]) && !admits("+set ~a", "set", &["set", "a", "b"]));
        assert!(!admits("+set %R~a*", "set", &["set", "b", "a"]) && admits("+set %W~a*", "set", &["set", "b", "a"]));
        assert!(admits("+@all ~*", "get", &["get", ""]) && !admits("+@all ~* -get", "get", &["get", ""]));
        assert!(!admits("+@all ~* resetkeys", "get", &["get", "a"]) && !admits("+get ~*", "get", &["get"]));
        assert!(admits("+select", "select", &["select"]) && !admits("+get", "select", &["select"]));
        assert!(!admits("+@all ~*", "config", &["config", "x"]), "its keys stand elsewhere");
        assert!(!admits("+select|0", "select", &["select", "0"]), "that is for a closer look");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for (rules, error) in [
            ("foo", RuleError::Syntax),
            ("+foo", RuleError::Unknown),
            ("-select|0", RuleError::Unknown),
            ("+config|foo", RuleError::Unknown),
            ("+config|", RuleError::Syntax),
            ("+get|", RuleError::Syntax),
            ("+|get", RuleError::Unknown),
            ("+config|get|a", RuleError::FirstArgOfSubcommand),
            ("+@foo", RuleError::Unknown),
            ("%~a", RuleError::Syntax),
            ("%RR~a", RuleError::Syntax),
            ("%X~a", RuleError::Syntax),
            ("%", RuleError::Syntax),
            ("~* ~a", RuleError::AfterAllKeys),
            ("&* &a", RuleError::AfterAllChannels),
            ("db=", RuleError::BadDatabase),
            ("db=1,x", RuleError::BadDatabase),
        ] {
            assert_eq!(made_of(rules), Err(error), "{rules}");
        }
        let (mut selector, catalog) = (made_of("~a").expect("good"), catalog());
        assert_eq!(selector.apply(b"~a b", &catalog), Err(RuleError::Syntax));
        assert_eq!(selector.apply(b"&a\0", &catalog), Err(RuleError::Syntax));
    }

    #[test]
    fn commands_are_admitted_with_their_other_names_and_subcommands() {
        let selector = made_of("+@admin -config|set +select|1").expect("good");
        let admits = |id, argument: Option<&str>| selector.admits_command(id, argument.map(str::as_bytes));
        assert!(admits(2, None) && admits(5, None) && !admits(6, None) && !admits(0, None));
        assert!(admits(3, Some("1")) && admits(4, Some("1")) && !admits(4, Some("2")) && !admits(3, None));
        assert!(!made_of("+select|1 -select").expect("good").admits_command(3, Some(b"1")));
        assert!(made_of("+select").expect("good").admits_command(4, None));
        let all = made_of("~* &* +@all").expect("good");
        assert!(all.is_unlimited() && !made_of("~* &* +@all -get").expect("good").is_unlimited());
        assert!(!made_of("~* &* +@all db=1").expect("good").is_unlimited());
    }

    #[test]
    fn keys_and_channels_are_admitted_by_their_rules() {
        let selector = made_of("%R~r* %W~w ~both &ch* db=2").expect("good");
        assert!(selector.admits_key(b"r1", READ) && !selector.admits_key(b"r1", READ | WRITE));
        assert!(selector.admits_key(b"w", WRITE) && selector.admits_key(b"w", 0) && !selector.admits_key(b"x", 0));
        assert!(selector.admits_key(b"both", READ | WRITE) && !selector.admits_any_key(READ));
        assert!(made_of("%R~*").expect("good").admits_any_key(READ));
        // What fitted last is only the first to be tried.
        for (key, rights, admitted) in [("w", WRITE, true), ("w", READ, false), ("r", READ, true), ("w2", WRITE, false)]
        {
            assert_eq!(selector.admits_key(key.as_bytes(), rights), admitted, "{key}");
        }
        assert!(selector.admits_channel(b"ch1", false) && !selector.admits_channel(b"ch1", true));
        assert!(selector.admits_channel(b"ch*", true) && !selector.admits_channel(b"other", false));
        assert!(selector.admits_database(2) && !selector.admits_database(0));
    }
}
