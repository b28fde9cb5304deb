//! Which words of a request are keys, and what the command does with each. The rows' key specs say it; a few commands, whose
//! options decide, bring a function of their own (`Command::find_keys`). Knows no keyspace.

use super::table::{Command, flag, key_flag as kf};
use crate::resp::Argv;

/// Word indexes of keys, each with bits of `key_flag`.
pub type Found = Vec<(usize, u16)>;

/// Finds the keys of a request; false if the request does not fit.
pub type FindKeys = fn(Argv<'_>, &mut Found) -> bool;

/// The request's words do not fit the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unfit;

/// The keys of a request of this command. Channels and the like, which specs mark as no keys, are left out.
///
/// # Errors
/// `Unfit`; also if a command that needs a key has none.
pub fn keys_of(command: &Command, argv: Argv<'_>) -> Result<Found, Unfit> {
    let mut found = Found::new();
    let fits = match command.find_keys {
        Some(find) => find(argv, &mut found),
        None => command.keys.iter().all(|spec| spec.positions(argv, &mut found)),
    };
    found.retain(|(_, flags)| flags & kf::NOT_KEY == 0);
    if command.is(flag::NO_MANDATORY_KEYS) {
        return Ok(if fits { found } else { Found::new() });
    }
    if fits && !found.is_empty() { Ok(found) } else { Err(Unfit) }
}

/// Puts the keys of a request into a list, in place of what is in it: also of a request that does not fit, as far as they
/// can be told.
pub fn keys_into(command: &Command, argv: Argv<'_>, found: &mut Found) {
    found.clear();
    match command.find_keys {
        Some(find) => _ = find(argv, found),
        None => command.keys.iter().for_each(|spec| _ = spec.positions(argv, found)),
    }
    found.retain(|(word, flags)| flags & kf::NOT_KEY == 0 && *word < argv.len());
}

/// Whether the command's row tells of any key.
pub fn has_keys(command: &Command) -> bool {
    command.find_keys.is_some() || command.keys.iter().any(|spec| spec.flags & kf::NOT_KEY == 0)
}

fn is_word(argv: Argv<'_>, index: usize, word: &str) -> bool {
    argv.get(index).is_some_and(|given| given.eq_ignore_ascii_case(word.as_bytes()))
}

/// SET reads the old value only when asked to.
pub fn set(argv: Argv<'_>, found: &mut Found) -> bool {
    let gets = (3..argv.len()).any(|index| is_word(argv, index, "get"));
    found.push((1, if gets { kf::RW | kf::ACCESS | kf::UPDATE } else { kf::OW | kf::UPDATE }));
    argv.len() > 1
}

/// BITFIELD changes nothing as long as all it does is GET.
pub fn bitfield(argv: Argv<'_>, found: &mut Found) -> bool {
    let mut index = 2;
    let mut reads = true;
    while index < argv.len() {
        // GET takes two words more, OVERFLOW one, SET and INCRBY three.
        if is_word(argv, index, "get") {
            index += 3;
        } else if is_word(argv, index, "overflow") {
            index += 2;
        } else {
            reads = false;
            index += 4;
        }
    }
    found.push((1, if reads { kf::RO | kf::ACCESS } else { kf::RW | kf::ACCESS | kf::UPDATE }));
    argv.len() > 1
}

/// SORT stores where the last STORE says.
pub fn sort(argv: Argv<'_>, found: &mut Found) -> bool {
    found.push((1, kf::RO | kf::ACCESS));
    let mut store = None;
    let mut index = 2;
    while index < argv.len() {
        if is_word(argv, index, "limit") {
            index += 2;
        } else if is_word(argv, index, "get") || is_word(argv, index, "by") {
            index += 1;
        } else if is_word(argv, index, "store") && index + 1 < argv.len() {
            store = Some(index + 1);
            index += 1;
        }
        index += 1;
    }
    found.extend(store.map(|index| (index, kf::OW | kf::UPDATE)));
    argv.len() > 1
}

/// SORT_RO tells of the sorted key only: no pattern names one.
pub fn sort_ro(argv: Argv<'_>, found: &mut Found) -> bool {
    found.push((1, kf::RO | kf::ACCESS));
    argv.len() > 1
}

/// XREAD and XREADGROUP: the first half of the words behind STREAMS; an odd number of them is a mistake.
pub fn xread(argv: Argv<'_>, found: &mut Found) -> bool {
    let mut index = 1;
    while index < argv.len() && !is_word(argv, index, "streams") {
        index += match () {
            () if is_word(argv, index, "group") => 3,
            () if is_word(argv, index, "noack") => 1,
            () if ["block", "count", "claim"].iter().any(|word| is_word(argv, index, word)) => 2,
            () => return false,
        };
    }
    let words = argv.len().saturating_sub(index + 1);
    found.extend((index + 1..=index + words / 2).map(|at| (at, kf::RO | kf::ACCESS)));
    words > 0 && words % 2 == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::KeySpec;
    use crate::resp::OwnedArgv;

    fn of(find: FindKeys, words: &str) -> Found {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        let mut found = Found::new();
        assert!(find(OwnedArgv::of(&words).argv(), &mut found));
        found
    }

    #[test]
    fn options_decide_what_is_done_with_the_key() {
        assert_eq!(of(set, "set a get"), [(1, kf::OW | kf::UPDATE)]);
        assert_eq!(of(set, "set a b EX 5 GET"), [(1, kf::RW | kf::ACCESS | kf::UPDATE)]);
        assert_eq!(
            of(xread, "xreadgroup group streams c count 1 STREAMS a b 0 >"),
            [(7, kf::RO | kf::ACCESS), (8, kf::RO | kf::ACCESS)]
        );
        assert_eq!(of(bitfield, "bitfield a get u8 0 OVERFLOW sat get u8 1"), [(1, kf::RO | kf::ACCESS)]);
        assert_eq!(of(bitfield, "bitfield a get u8 0 set u8 0 1"), [(1, kf::RW | kf::ACCESS | kf::UPDATE)]);
        assert_eq!(
            of(sort, "sort a by store get store store b store c limit 0 1"),
            [(1, kf::RO | kf::ACCESS), (9, kf::OW | kf::UPDATE)]
        );
    }

    #[test]
    fn a_request_that_does_not_fit_has_no_keys() {
        let of = |command: &Command, words: &str| {
            let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
            keys_of(command, OwnedArgv::of(&words).argv())
                .map(|found| found.iter().map(|(at, _)| *at).collect::<Vec<_>>())
        };
        const EVAL: Command =
            Command { flags: flag::NO_MANDATORY_KEYS, keys: &[KeySpec::count(2, 1, kf::RW)], ..Command::BLANK };
        assert_eq!(of(&EVAL, "eval s 2 a b c"), Ok(vec![3, 4]));
        assert_eq!((of(&EVAL, "eval s 0"), of(&EVAL, "eval s 5 b")), (Ok(vec![]), Ok(vec![])));
        const UNION: Command =
            Command { keys: &[KeySpec::at(1, kf::OW), KeySpec::count(2, 1, kf::RO)], ..Command::BLANK };
        assert_eq!(of(&UNION, "zunionstore d 2 a b"), Ok(vec![1, 3, 4]));
        assert_eq!(of(&UNION, "zunionstore d 3 a b"), Err(Unfit));
    }
}
