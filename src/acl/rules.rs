//! What rules have in common: why one is refused, in the protocol's words, and how selectors in parentheses that a client
//! sent in several words become one.

use crate::base::text;
use std::fmt;

/// Why a rule changed nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RuleError {
    /// No such command or category.
    Unknown,
    /// No rule at all.
    Syntax,
    /// A pattern of keys where all are allowed.
    AfterAllKeys,
    /// A channel where all are allowed.
    AfterAllChannels,
    /// A password that the user does not have.
    NoSuchPassword,
    /// A hash that is none.
    BadHash,
    /// The same user twice in a file.
    Duplicate,
    /// A first argument of a subcommand.
    FirstArgOfSubcommand,
    /// A database that does not exist.
    BadDatabase,
    /// A number of commands that is none.
    BadRate,
    /// A number of bytes that is none.
    BadMemory,
}

impl fmt::Display for RuleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleError::Unknown => "Unknown command or category name in ACL",
            RuleError::Syntax => "Syntax error",
            RuleError::AfterAllKeys => {
                "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try \
                 'resetkeys' to start with an empty list of patterns"
            }
            RuleError::AfterAllChannels => {
                "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. \
                 Try 'resetchannels' to start with an empty list of channels"
            }
            RuleError::NoSuchPassword => "The password you are trying to remove from the user does not exist",
            RuleError::BadHash => {
                "The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters"
            }
            RuleError::Duplicate => "Duplicate user found. A user can only be defined once in config files",
            RuleError::FirstArgOfSubcommand => "Allowing first-arg of a subcommand is not supported",
            RuleError::BadDatabase => "The database ID is out of range or no number",
            RuleError::BadRate => "The rate must be a number of commands per second, or 0 for no limit",
            RuleError::BadMemory => "The memory must be a number of bytes, with or without a unit as in 10mb, or 0 for no limit",
        })
    }
}

/// The word (by its index) whose parenthesis is not closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unmatched(pub usize);

/// Joins the words of each selector: `(+get`, `~a)` becomes `(+get ~a)`.
///
/// # Errors
/// A selector that does not end.
pub fn merge_selectors(words: &[&[u8]]) -> Result<Vec<Vec<u8>>, Unmatched> {
    let mut merged = Vec::with_capacity(words.len());
    let mut open: Option<(usize, Vec<u8>)> = None;
    for (index, word) in words.iter().enumerate() {
        let closes = word.last() == Some(&b')');
        match &mut open {
            Some((_, selector)) => {
                selector.push(b' ');
                selector.extend_from_slice(word);
                if closes {
                    merged.extend(open.take().map(|(_, selector)| selector));
                }
            }
            None if word.first() == Some(&b'(') && !closes => open = Some((index, word.to_vec())),
            None => merged.push(word.to_vec()),
        }
    }
    match open {
        Some((index, _)) => Err(Unmatched(index)),
        None => Ok(merged),
    }
}

/// Whether there is a blank or NUL in a name or pattern: it could not be written into a line of rules.
pub fn has_blanks(word: &[u8]) -> bool {
    word.iter().any(|byte| *byte == 0 || text::is_blank(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_a_selector_become_one() {
        let merged = |words: &[&str]| {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            merge_selectors(&words)
                .map(|all| all.iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect::<Vec<_>>())
        };
        assert_eq!(
            merged(&["on", "(+get", "~a)", "(~b)", ")"]),
            Ok(vec!["on".into(), "(+get ~a)".into(), "(~b)".into(), ")".into()])
        );
        assert_eq!((merged(&["on", "(a", "b"]), merged(&["("])), (Err(Unmatched(1)), Err(Unmatched(0))));
        assert_eq!(merged(&["(", ")"]), Ok(vec!["( )".into()]));
    }
}
