//! ARGREP: the elements of a range whose text passes tests.

use super::index_of;
use super::read::limit;
use crate::base::glob::glob_match;
use crate::base::regex::{Fault, Regex};
use crate::command::{Args, CmdError, Ctx, Flow, Outcome, reply_elem};
use crate::types::Array;

const PREDICATES_MAX: usize = 250;
const REGEX_BYTES_MAX: usize = 2048;

/// An end of the range: an index, or an end of the array.
#[derive(Clone, Copy)]
enum Bound {
    Index(u64),
    First,
    Last,
}

impl Bound {
    fn of(text: &[u8]) -> Result<Bound, CmdError> {
        match text {
            b"-" => Ok(Bound::First),
            b"+" => Ok(Bound::Last),
            _ => index_of(text).map(Bound::Index),
        }
    }

    fn resolve(self, last: u64) -> u64 {
        match self {
            Bound::Index(index) => index,
            Bound::First => 0,
            Bound::Last => last,
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Exact,
    Match,
    Glob,
    Regex,
}

/// A test of a text.
enum Test<'a> {
    Exact(&'a [u8]),
    Match(Vec<u8>),
    Glob(&'a [u8]),
    Regex(Regex),
}

struct Query<'a> {
    tests: Vec<Test<'a>>,
    all_must_pass: bool,
    nocase: bool,
    with_values: bool,
    most: u64,
}

/// The words of the tests; the expressions are compiled when it is known whether case matters.
fn parse<'a>(args: &mut Args<'a>) -> Result<Query<'a>, CmdError> {
    const KINDS: [(&str, Kind); 4] =
        [("exact", Kind::Exact), ("match", Kind::Match), ("glob", Kind::Glob), ("re", Kind::Regex)];
    let mut query =
        Query { tests: Vec::new(), all_must_pass: false, nocase: false, with_values: false, most: u64::MAX };
    let mut words: Vec<(Kind, &[u8])> = Vec::new();
    while args.more() {
        if let Some((_, kind)) = KINDS.iter().find(|(word, _)| args.accept(word)) {
            if args.more() && words.len() >= PREDICATES_MAX {
                return Err(CmdError::owned(format!("ERR too many predicates, maximum is {PREDICATES_MAX}")));
            }
            let pattern = args.bytes()?;
            if *kind == Kind::Regex && pattern.len() > REGEX_BYTES_MAX {
                let text = format!("ERR regular expression is too long, maximum is {REGEX_BYTES_MAX} bytes");
                return Err(CmdError::owned(text));
            }
            words.push((*kind, pattern));
        } else if args.accept("limit") {
            query.most = limit(args)?;
        } else if args.accept("withvalues") {
            query.with_values = true;
        } else if args.accept("nocase") {
            query.nocase = true;
        } else if args.accept("and") {
            query.all_must_pass = true;
        } else if args.accept("or") {
            query.all_must_pass = false;
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    if words.is_empty() {
        return Err(CmdError::SYNTAX);
    }
    for (kind, pattern) in words {
        query.tests.push(match kind {
            Kind::Exact => Test::Exact(pattern),
            Kind::Match if query.nocase => Test::Match(pattern.to_ascii_lowercase()),
            Kind::Match => Test::Match(pattern.to_vec()),
            Kind::Glob => Test::Glob(pattern),
            Kind::Regex => Test::Regex(regex(pattern, query.nocase)?),
        });
    }
    Ok(query)
}

fn regex(pattern: &[u8], nocase: bool) -> Result<Regex, CmdError> {
    if pattern.is_empty() {
        return Err(CmdError::text("ERR regular expression is empty"));
    }
    Regex::new(pattern, nocase).map_err(|fault| match fault {
        Fault::BackReference => CmdError::text("ERR regular expression backreferences are not supported"),
        fault => CmdError::owned(format!("ERR invalid regular expression: {fault}")),
    })
}

impl Query<'_> {
    fn passes(&mut self, text: &[u8]) -> bool {
        let nocase = self.nocase;
        let test = |test: &mut Test<'_>| match test {
            Test::Exact(wanted) if nocase => text.eq_ignore_ascii_case(wanted),
            Test::Exact(wanted) => text == *wanted,
            Test::Match(wanted) if nocase => memchr::memmem::find(&text.to_ascii_lowercase(), wanted).is_some(),
            Test::Match(wanted) => memchr::memmem::find(text, wanted).is_some(),
            Test::Glob(pattern) => glob_match(pattern, text, nocase),
            Test::Regex(regex) => regex.is_match(text),
        };
        if self.all_must_pass { self.tests.iter_mut().all(test) } else { self.tests.iter_mut().any(test) }
    }
}

pub(super) fn argrep(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let (start, end) = (Bound::of(args.bytes()?)?, Bound::of(args.bytes()?)?);
    let mut query = parse(args)?;
    let array = cx.db.read::<Array>(key)?;
    let mark = cx.reply.defer();
    let mut count = 0;
    if let Some(array) = array {
        let last = array.len().saturating_sub(1);
        let (start, end) = (start.resolve(last), end.resolve(last));
        array.walk(start.min(end), start.max(end), start > end, |index, elem| {
            if !query.passes(elem.text(&mut itoa::Buffer::new())) {
                return true;
            }
            if query.with_values {
                cx.reply.array(2);
            }
            cx.reply.uint(index);
            if query.with_values {
                reply_elem(&mut cx.reply, elem);
            }
            count += 1;
            count < query.most
        });
    }
    cx.reply.fill_array(mark, count as usize);
    Ok(Flow::Done)
}
