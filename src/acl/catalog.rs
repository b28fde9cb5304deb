//! The commands as rules name them: full names, categories, which is a subcommand of which. Made once from the command
//! table; knows no handler. Invariant: an entry's place is its row's number in that table.

use std::collections::HashMap;

/// Where the keys of a command stand, as far as its name alone tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keys {
    /// It has neither keys nor channels.
    None,
    /// It has one, always at this word, and no channels; `rights` is the most that it does with the key.
    At {
        /// Its word; the command's name is word 0.
        word: usize,
        /// `READ`, `WRITE`, both or none.
        rights: u8,
    },
    /// They must be looked for in the request.
    Elsewhere,
}

/// One command or subcommand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `get`, `config|get`.
    pub name: Box<str>,
    /// Bits of its categories.
    pub categories: u32,
    /// Where its keys stand.
    pub keys: Keys,
    /// The container that it is a subcommand of.
    pub parent: Option<u16>,
    /// Its subcommands.
    pub subs: Vec<u16>,
    /// Other names of the same command: what holds for this one holds for them.
    pub aliases: Vec<u16>,
    /// The command that this is another name of.
    pub alias_of: Option<u16>,
    /// Rules may speak of it, but this server has no such command.
    pub is_absent: bool,
}

/// All commands.
#[derive(Debug, Default)]
pub struct Catalog {
    entries: Vec<Entry>,
    by_name: HashMap<Box<str>, u16>,
    categories: &'static [&'static str],
}

impl Catalog {
    /// A catalog of these commands; `categories` are the names of the bits.
    pub fn new(entries: Vec<Entry>, categories: &'static [&'static str]) -> Catalog {
        let by_name = entries.iter().enumerate().map(|(id, entry)| (entry.name.clone(), id as u16)).collect();
        Catalog { entries, by_name, categories }
    }

    /// Number of commands and subcommands.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no command.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// A command of a number.
    pub fn entry(&self, id: u16) -> &Entry {
        &self.entries[usize::from(id)]
    }

    /// All commands with their numbers.
    pub fn entries(&self) -> impl Iterator<Item = (u16, &Entry)> {
        self.entries.iter().enumerate().map(|(id, entry)| (id as u16, entry))
    }

    /// The command of a name such as `get` or `config|get`, in any case; of another name the command itself.
    pub fn find(&self, name: &[u8]) -> Option<u16> {
        let name = std::str::from_utf8(name).ok()?.to_ascii_lowercase();
        let id = *self.by_name.get(name.as_str())?;
        Some(self.entry(id).alias_of.unwrap_or(id))
    }

    /// The bit of a category, in any case.
    pub fn category(&self, name: &[u8]) -> Option<u32> {
        let bit = self.categories.iter().position(|known| name.eq_ignore_ascii_case(known.as_bytes()))?;
        Some(1 << bit)
    }

    /// The names of all categories.
    pub fn categories(&self) -> &'static [&'static str] {
        self.categories
    }
}

#[cfg(test)]
pub(super) mod testing {
    use super::*;

    /// A few commands: `get` (read), `set` (write), `config` with `config|get` and `config|set`, `select` also called `sel`.
    pub fn catalog() -> Catalog {
        let entry = |name: &str, categories| Entry {
            name: name.into(),
            categories,
            keys: Keys::Elsewhere,
            parent: None,
            subs: Vec::new(),
            aliases: Vec::new(),
            alias_of: None,
            is_absent: false,
        };
        let entries = vec![
            entry("get", 1),
            entry("set", 2),
            Entry { subs: vec![5, 6], ..entry("config", 4) },
            Entry { aliases: vec![4], ..entry("select", 8) },
            Entry { alias_of: Some(3), ..entry("sel", 8) },
            Entry { parent: Some(2), ..entry("config|get", 4 | 1) },
            Entry { parent: Some(2), ..entry("config|set", 4 | 2) },
        ];
        Catalog::new(entries, &["read", "write", "admin", "connection"])
    }
}

#[cfg(test)]
mod tests {
    use super::testing::catalog;

    #[test]
    fn names_are_found_in_any_case_and_other_names_lead_to_the_command() {
        let catalog = catalog();
        assert_eq!(
            (catalog.find(b"GET"), catalog.find(b"Config|Set"), catalog.find(b"sel")),
            (Some(0), Some(6), Some(3))
        );
        assert_eq!((catalog.find(b"config|"), catalog.find(b""), catalog.find(b"\xff")), (None, None, None));
        assert_eq!((catalog.category(b"Admin"), catalog.category(b"all")), (Some(4), None));
    }
}
