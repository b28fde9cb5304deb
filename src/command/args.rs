//! A request's arguments as a handler takes them: one after the other, each with its check. Knows no keyspace.

use super::error::CmdError;
use crate::base::clock::Now;
use crate::base::hash::Hasher;
use crate::base::{float, number, text};
use crate::keyspace::Key;
use crate::resp::Argv;
use bytes::Bytes;

/// The arguments of one request and how far they were taken.
#[derive(Clone)]
pub struct Args<'a> {
    argv: Argv<'a>,
    next: usize,
    hasher: Hasher,
    /// The hash of the argument at this index is known from the prefetch pass.
    hashed: Option<(usize, u64)>,
}

impl<'a> Args<'a> {
    /// The arguments after `skip` words of command name.
    #[inline]
    pub fn new(argv: Argv<'a>, skip: usize, hasher: Hasher, hashed: Option<(usize, u64)>) -> Self {
        Args { argv, next: skip, hasher, hashed }
    }

    /// The whole request, name first.
    #[inline]
    pub fn argv(&self) -> Argv<'a> {
        self.argv
    }

    /// Number of words of the whole request.
    #[inline]
    pub fn argc(&self) -> usize {
        self.argv.len()
    }

    /// Number of arguments not taken yet.
    #[inline]
    pub fn left(&self) -> usize {
        self.argv.len() - self.next
    }

    /// Whether any argument is left.
    #[inline]
    pub fn more(&self) -> bool {
        self.next < self.argv.len()
    }

    /// Index of the next argument in the whole request.
    pub fn position(&self) -> usize {
        self.next
    }

    /// Goes back or forward to an index of the whole request.
    pub fn seek(&mut self, index: usize) {
        self.next = index.min(self.argv.len());
    }

    /// The next argument's bytes.
    ///
    /// # Errors
    /// `SYNTAX` if there is none.
    #[inline]
    pub fn bytes(&mut self) -> Result<&'a [u8], CmdError> {
        let bytes = self.argv.get(self.next).ok_or(CmdError::SYNTAX)?;
        self.next += 1;
        Ok(bytes)
    }

    /// The next argument, as an allocation that can be kept if it arrived as one.
    ///
    /// # Errors
    /// `SYNTAX` if there is none.
    #[inline]
    pub fn value(&mut self) -> Result<(&'a [u8], Option<&'a Bytes>), CmdError> {
        let shared = self.argv.shared(self.next);
        Ok((self.bytes()?, shared))
    }

    /// The next argument as a key.
    ///
    /// # Errors
    /// `SYNTAX` if there is none.
    #[inline(always)]
    pub fn key(&mut self) -> Result<Key<'a>, CmdError> {
        let index = self.next;
        let bytes = self.bytes()?;
        match self.hashed {
            Some((at, hash)) if at == index => Ok(Key { bytes, hash }),
            _ => Ok(Key::new(self.hasher, bytes)),
        }
    }

    /// Any bytes as a key.
    pub fn key_of<'k>(&self, bytes: &'k [u8]) -> Key<'k> {
        Key::new(self.hasher, bytes)
    }

    /// The next argument as an integer.
    ///
    /// # Errors
    /// `SYNTAX` if there is none, `NOT_INTEGER` if it is none.
    #[inline]
    pub fn int(&mut self) -> Result<i64, CmdError> {
        number::parse_i64(self.bytes()?).ok_or(CmdError::NOT_INTEGER)
    }

    /// The next argument as an integer between `min` and `max`.
    ///
    /// # Errors
    /// `SYNTAX` if there is none, `NOT_INTEGER` if it is none, else `outside`.
    pub fn int_in(&mut self, min: i64, max: i64, outside: CmdError) -> Result<i64, CmdError> {
        let n = self.int()?;
        if (min..=max).contains(&n) { Ok(n) } else { Err(outside) }
    }

    /// The next argument as a number.
    ///
    /// # Errors
    /// `SYNTAX` if there is none, `NOT_FLOAT` if it is none.
    pub fn double(&mut self) -> Result<f64, CmdError> {
        float::parse_double(self.bytes()?).ok_or(CmdError::NOT_FLOAT)
    }

    /// The next argument as how long to wait in seconds, fractions allowed, rounded up to milliseconds: when that will
    /// be over on the monotonic clock; `None` for 0, which is for ever.
    ///
    /// # Errors
    /// `SYNTAX` if there is none, a text of its own if it is no number, negative, or too large.
    pub fn timeout(&mut self, now: Now) -> Result<Option<u64>, CmdError> {
        let secs = float::parse_double(self.bytes()?).ok_or(CmdError::TIMEOUT_NOT_FLOAT)?;
        let ms = (secs * 1000.0).ceil();
        if ms > i64::MAX as f64 {
            return Err(CmdError::TIMEOUT_OUT_OF_RANGE);
        }
        self.deadline(ms as i64, now)
    }

    /// The next argument as how long to wait in milliseconds, as `timeout` else.
    ///
    /// # Errors
    /// As `timeout`.
    pub fn timeout_ms(&mut self, now: Now) -> Result<Option<u64>, CmdError> {
        let ms = number::parse_i64(self.bytes()?).ok_or(CmdError::TIMEOUT_NOT_INTEGER)?;
        self.deadline(ms, now)
    }

    fn deadline(&self, ms: i64, now: Now) -> Result<Option<u64>, CmdError> {
        match u64::try_from(ms) {
            Err(_) => Err(CmdError::TIMEOUT_NEGATIVE),
            Ok(0) => Ok(None),
            // The sum is held against the wall clock, where it would overflow first.
            Ok(ms) if now.unix_ms.0.checked_add_unsigned(ms).is_none() => Err(CmdError::TIMEOUT_OUT_OF_RANGE),
            Ok(ms) => Ok(Some(now.mono_ms() + ms)),
        }
    }

    /// The next argument without taking it.
    #[inline]
    pub fn peek(&self) -> Option<&'a [u8]> {
        self.argv.get(self.next)
    }

    /// Takes the next argument if it is this word, in any case. `word` is lower case.
    #[inline]
    pub fn accept(&mut self, word: &str) -> bool {
        let yes = self.peek().is_some_and(|a| text::eq_ignore_case(a, word.as_bytes()));
        self.next += usize::from(yes);
        yes
    }

    /// No argument may be left.
    ///
    /// # Errors
    /// `SYNTAX` if one is.
    pub fn end(&self) -> Result<(), CmdError> {
        if self.more() { Err(CmdError::SYNTAX) } else { Ok(()) }
    }
}
