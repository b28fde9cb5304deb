//! CLIENT TRACKING as one client has set it: how it wants to hear that keys changed which it may have cached.

use super::state::ConnId;

/// The client that is told in place of the one that caches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Redirect {
    /// Its number.
    pub id: u64,
    /// Where it was when it was named. Another one may be there by now.
    pub conn: ConnId,
}

/// Reads are remembered only if, or unless, CLIENT CACHING said so right before.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum OnlyIf {
    /// OPTIN: CLIENT CACHING YES.
    AskedFor,
    /// OPTOUT: no CLIENT CACHING NO.
    NotDeclined,
}

/// How a client caches.
#[derive(Debug, Default)]
pub struct Caching {
    /// Who is told.
    pub redirect: Option<Redirect>,
    /// That one was gone when it was to be told.
    pub broken_redirect: bool,
    /// BCAST: told of all keys with these prefixes, in order; nothing is remembered.
    pub prefixes: Option<Vec<Box<[u8]>>>,
    /// OPTIN or OPTOUT.
    pub only_if: Option<OnlyIf>,
    /// CLIENT CACHING was said for the next command.
    pub said: bool,
    /// NOLOOP: not told of what it changes itself.
    pub no_loop: bool,
}

impl Caching {
    /// Whether what the running command reads is to be remembered.
    pub fn remembers(&self) -> bool {
        self.prefixes.is_none()
            && match self.only_if {
                None => true,
                Some(OnlyIf::AskedFor) => self.said,
                Some(OnlyIf::NotDeclined) => !self.said,
            }
    }

    /// Heap bytes.
    pub fn alloc_bytes(&self) -> usize {
        let prefixes = self.prefixes.iter().flatten();
        size_of::<Caching>() + prefixes.map(|prefix| size_of::<Box<[u8]>>() + prefix.len()).sum::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_depends_on_the_mode_and_on_what_was_said() {
        let caching = |only_if, said| Caching { only_if, said, ..Caching::default() }.remembers();
        assert!(caching(None, false) && caching(None, true));
        assert!(!caching(Some(OnlyIf::AskedFor), false) && caching(Some(OnlyIf::AskedFor), true));
        assert!(caching(Some(OnlyIf::NotDeclined), false) && !caching(Some(OnlyIf::NotDeclined), true));
        assert!(!Caching { prefixes: Some(Vec::new()), ..Caching::default() }.remembers());
    }
}
