//! The reviewed list of known differences from the reference, each with its reason. The reference here is Debian's 7.0.15;
//! we answer as 7.2 and 8 do.

use super::support::client::Value;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

/// One difference: a pattern for the command's words and one for each rendered reply (`*` any text, `?` any character).
pub struct Known {
    pub command: &'static str,
    pub theirs: &'static str,
    pub ours: &'static str,
    pub why: &'static str,
}

impl Known {
    /// Whether the reference refuses the command and we run it.
    fn runs_here_alone(&self) -> bool {
        self.theirs.contains("ERR ") && !self.ours.contains("ERR ")
    }
}

/// The list.
pub const KNOWN: &[Known] = &[
    Known {
        command: "object encoding of set *",
        theirs: "\"hashtable\"",
        ours: "\"listpack\"",
        why: "since 7.2 a small set of strings is a listpack",
    },
    Known {
        command: "object encoding of list *",
        theirs: "\"quicklist\"",
        ours: "\"listpack\"",
        why: "since 7.2 a list of one node is a listpack",
    },
    Known {
        command: "object encoding of zset *",
        theirs: "\"listpack\"",
        ours: "\"skiplist\"",
        why: "since 7.2 a new sorted set is sized by the words of its command, doubles included",
    },
    Known {
        command: "object encoding of set *",
        theirs: "\"intset\"",
        ours: "\"listpack\"",
        why: "since 7.2 a new set is sized by the words of its command, doubles included",
    },
    Known {
        command: "object encoding of set *",
        theirs: "\"intset\"",
        ours: "\"hashtable\"",
        why: "since 7.2 a new set is sized by the words of its command, doubles included",
    },
    Known {
        command: "object encoding of hash *",
        theirs: "\"listpack\"",
        ours: "\"hashtable\"",
        why: "since 7.2 HSET looks at the number of its words, doubles included",
    },
    Known {
        command: "object encoding of zset *",
        theirs: "\"skiplist\"",
        ours: "\"listpack\"",
        why: "SORT of the reference unpacks the sorted set that it reads, ours leaves it as it is",
    },
    Known {
        command: "dump of set *",
        theirs: "\"\\x0b*\\x04\\x00\\x00\\x00*",
        ours: "\"\\x0b*\\x02\\x00\\x00\\x00*",
        why: "SDIFFSTORE of the reference may take members out of a copy of the first set, and leave the width of its numbers",
    },
    Known {
        command: "lpos * -9223372036854775808*",
        theirs: "*",
        ours: "-ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        why: "since 7.2 the rank of LPOS has a lower bound",
    },
    Known {
        command: "object encoding of hash *",
        theirs: "\"listpackex\"",
        ours: "\"listpack\"",
        why: "the reference makes room for deadlines as soon as they are spoken of, we when a field has one",
    },
    Known {
        command: "sort*",
        theirs: "-ERR One or more scores can*",
        ours: "*",
        why: "the reference takes the range error of an earlier number (5e-324) for one of its own",
    },
    Known {
        command: "eval*sha1hex*",
        theirs: "*[\"*.*\" \"????????????????????????????????????????\" :*]",
        ours: "*[\"*\" \"????????????????????????????????????????\" :*]",
        why: "the text of a double (see below), its digest and its length",
    },
    Known {
        command: "eval*rank *",
        theirs: "*ERR Wrong number of args calling Redis command from script*",
        ours: "*",
        why: "since 7.2 ZRANK and ZREVRANK may have more words",
    },
    Known {
        command: "eval*",
        theirs: "*:-9223372036854775808*",
        ours: "*:9223372036854775807*",
        why: "2^63, which a script's double makes of the greatest integer, is none: the reference leaves it to the processor",
    },
    Known {
        command: "eval* *",
        theirs: "-ERR Error compiling script (new function): user_script:1: unexpected symbol near*",
        ours: "-ERR Error compiling script (new function): user_script:1: unexpected symbol near*",
        why: "bytes that are no UTF-8 are not repeated in the text of a fault, as RESP3 wants it",
    },
    Known {
        command: "geo* z? * count *",
        theirs: "*",
        ours: "*",
        why: "members of small scores lie at one place: which of them come is left to an unstable sort",
    },
    Known {
        command: "*ttl *",
        theirs: "-ERR wrong number of arguments*",
        ours: "*",
        why: "with three words it is our form for a member: key, member",
    },
    Known {
        command: "persist *",
        theirs: "-ERR wrong number of arguments*",
        ours: "*",
        why: "with three words it is our form for a member: key, member",
    },
    Known {
        command: "hexpire *",
        theirs: "-ERR wrong number of arguments*",
        ours: "*",
        why: "with four words it is our short form: key, field, seconds",
    },
    Known {
        command: "hgetex * fields",
        theirs: "-ERR The `numfields` parameter must match the number of arguments",
        ours: "-ERR Number of fields must be a positive integer",
        why: "where the number is missing the reference sometimes reads another word",
    },
    Known {
        command: "bitcount *",
        theirs: ":*",
        ours: "-ERR *",
        why: "since 7.2 BITCOUNT looks at its words though the key is missing",
    },
    Known {
        command: "bitpos *",
        theirs: ":*",
        ours: "-ERR *",
        why: "since 7.2 BITPOS looks at its words though the key is missing",
    },
    Known {
        command: "pfdebug *",
        theirs: "-ERR wrong number of arguments*",
        ours: "*",
        why: "with two words it is our short form: how a key is kept",
    },
    Known {
        command: "*scan*",
        theirs: "*",
        ours: "-ERR invalid cursor",
        why: "since 7.4 a cursor can't be negative or empty",
    },
    Known {
        command: "*scan*  1*",
        theirs: "-ERR invalid cursor",
        ours: "*",
        why: "since 7.4 a cursor may begin with a blank",
    },
    Known {
        command: "xread*",
        theirs: "-ERR Unbalanced XREAD list*",
        ours: "-ERR Unbalanced*list*",
        why: "since 7.2 the text names the command, since 7.4 the id +",
    },
    Known { command: "xread*+*", theirs: "-ERR Invalid stream ID*", ours: "*", why: "since 7.4 + is the last entry" },
];

/// How often each row explained a difference, and at the end the text of doubles.
static USED: [AtomicU64; KNOWN.len() + 1] = [const { AtomicU64::new(0) }; KNOWN.len() + 1];

/// The words, as they are shown, of commands of the list that ran here and were refused there, or of which the reference reads more:
/// a key among them is remembered for its reader on one side alone, and news of it may come much later.
static READ_HERE_ALONE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Whether a command of the list has written here alone: from then on the data are not the same.
static PARTED: AtomicBool = AtomicBool::new(false);

/// Commands whose replies carry doubles.
const DOUBLE_COMMANDS: &[&[u8]] = &[b"z", b"state of zset", b"eval"];
/// Why doubles differ.
const DOUBLE_WHY: &str = "7.0 writes 17 digits, since 7.2 it is the shortest text that reads back the same, or an integer's; minus zero is kept by trees";

/// Whether the difference is on the list.
pub fn explains(argv: &[Vec<u8>], ours: &Value, theirs: &Value) -> bool {
    let command = argv.iter().map(|w| w.escape_ascii().to_string()).collect::<Vec<_>>().join(" ").to_ascii_lowercase();
    if DOUBLE_COMMANDS.iter().any(|name| command.as_bytes().starts_with(name)) && same_but_doubles(ours, theirs) {
        USED[KNOWN.len()].fetch_add(1, Ordering::Relaxed);
        return true;
    }
    let (ours, theirs) = (ours.render(), theirs.render());
    let fits = |k: &Known| {
        matches(k.command.as_bytes(), command.as_bytes())
            && matches(k.theirs.as_bytes(), theirs.as_bytes())
            && matches(k.ours.as_bytes(), ours.as_bytes())
    };
    let row = KNOWN.iter().position(fits);
    if let Some(row) = row {
        USED[row].fetch_add(1, Ordering::Relaxed);
        if KNOWN[row].runs_here_alone() {
            PARTED.fetch_or(command.contains(" store "), Ordering::Relaxed);
            let shown = argv.iter().skip(1).map(|word| format!("\"{}\"", word.escape_ascii()));
            READ_HERE_ALONE.lock().unwrap_or_else(PoisonError::into_inner).extend(shown);
        }
    }
    row.is_some()
}

/// How many differences of the list were met so far, doubles left out: what they changed otherwise is no news either.
pub fn met() -> u64 {
    USED[..KNOWN.len()].iter().map(|used| used.load(Ordering::Relaxed)).sum()
}

/// The servers are empty again: nobody has read anything.
pub fn begin_episode() {
    READ_HERE_ALONE.lock().unwrap_or_else(PoisonError::into_inner).clear();
    PARTED.store(false, Ordering::Relaxed);
}

/// A refused command that both servers answer alike: where its number of keys only begins with digits (`1.5e`) the reference counts
/// keys by those, and remembers them as read; ours has read none.
pub fn note_refused(argv: &[Vec<u8>]) {
    let is_odd = |word: &Vec<u8>| word.first().is_some_and(u8::is_ascii_digit) && !word.iter().all(u8::is_ascii_digit);
    if argv.get(1).is_some_and(is_odd) {
        let shown = argv.iter().skip(2).map(|word| format!("\"{}\"", word.escape_ascii()));
        READ_HERE_ALONE.lock().unwrap_or_else(PoisonError::into_inner).extend(shown);
    }
}

/// Whether the data have parted by a difference of the list: what comes after it in the episode says nothing.
pub fn have_parted() -> bool {
    PARTED.load(Ordering::Relaxed)
}

/// Whether news that a key changed name one that may have been read here alone.
pub fn is_of_read_here_alone(news: &str) -> bool {
    READ_HERE_ALONE.lock().unwrap_or_else(PoisonError::into_inner).iter().any(|word| news.contains(word.as_str()))
}

/// A line for each row: how often it was met, and why it is there.
pub fn report() -> Vec<String> {
    let whys = KNOWN.iter().map(|k| (k.command, k.why)).chain([("doubles", DOUBLE_WHY)]);
    whys.zip(&USED)
        .map(|((command, why), used)| format!("{:>8} x  {command}: {why}", used.load(Ordering::Relaxed)))
        .collect()
}

fn same_but_doubles(ours: &Value, theirs: &Value) -> bool {
    if ours.kind != theirs.kind || ours.children.len() != theirs.children.len() {
        return false;
    }
    if !ours.children.is_empty() {
        return ours.children.iter().zip(&theirs.children).all(|(a, b)| same_but_doubles(a, b));
    }
    ours.text == theirs.text
        || matches!(ours.kind, b'$' | b',') && double(&ours.text).is_some_and(|d| double(&theirs.text) == Some(d))
}

/// The double that a text is, if it is one; also as JSON has a text of it.
pub fn double(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text).parse().ok()
}

fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => matches(rest, text) || !text.is_empty() && matches(pattern, &text[1..]),
        (Some((b'?', rest)), Some((_, tail))) => matches(rest, tail),
        (Some((p, rest)), Some((t, tail))) => p == t && matches(rest, tail),
        _ => false,
    }
}
