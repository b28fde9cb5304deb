//! A row of the options table and what its kind can do: read words, show a value, give the lines of a file.
//!
//! A value is only ever changed through `OptionRow::apply`, whose errors are Redis's to the letter; an `apply` that fails
//! has changed nothing.

use super::fields::Config;
use super::value::*;
use crate::base::number::{self, MemoryLimit, parse_i64};
use crate::base::text::quote_repr;
use std::borrow::Cow;

/// Where words come from; a few options behave by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// The table's own default.
    Default,
    /// A file or the command line: repeated lines of some options add up.
    File,
    /// CONFIG SET: replaces the whole value.
    Set,
}

/// Why words are no value, and which of them (0 is the first after the name).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadValue {
    /// Redis's text.
    pub cause: Cow<'static, str>,
    /// Index of the word at fault.
    pub word: usize,
}

impl BadValue {
    pub(super) fn new(cause: impl Into<Cow<'static, str>>) -> BadValue {
        BadValue { cause: cause.into(), word: 0 }
    }

    pub(super) fn at(word: usize, cause: impl Into<Cow<'static, str>>) -> BadValue {
        BadValue { cause: cause.into(), word }
    }
}

pub(super) const WRONG_ARITY: &str = "wrong number of arguments";
pub(super) const BAD_DIRECTIVE: &str = "Bad directive or wrong number of arguments";

/// A check of a text value; the cause when it fails.
pub(super) type TextCheck = fn(&[u8]) -> Result<(), &'static str>;

/// How an option's words are read and shown, and where its value lies.
#[derive(Clone, Copy)]
pub enum Kind {
    /// `yes` or `no`.
    Bool {
        /// Reads the field.
        read: fn(&Config) -> bool,
        /// Writes the field.
        write: fn(&mut Config, bool),
    },
    /// A whole number.
    Int {
        /// Smallest allowed.
        min: i64,
        /// Largest allowed.
        max: i64,
        /// Reads the field.
        read: fn(&Config) -> i64,
        /// Writes the field.
        write: fn(&mut Config, i64),
    },
    /// Mode bits in octal, up to 777.
    Octal {
        /// Reads the field.
        read: fn(&Config) -> u32,
        /// Writes the field.
        write: fn(&mut Config, u32),
    },
    /// Bytes, with a unit when written.
    Memory {
        /// Smallest allowed.
        min: u64,
        /// Largest allowed.
        max: u64,
        /// Reads the field.
        read: fn(&Config) -> u64,
        /// Writes the field.
        write: fn(&mut Config, u64),
    },
    /// Bytes or percent.
    MemoryOrPercent {
        /// Reads the field.
        read: fn(&Config) -> MemoryOrPercent,
        /// Writes the field.
        write: fn(&mut Config, MemoryOrPercent),
    },
    /// Any bytes that pass the check.
    Text {
        /// Reads the field.
        read: fn(&Config) -> &Text,
        /// The field, to be written.
        edit: fn(&mut Config) -> &mut Text,
        /// What the text must be.
        check: TextCheck,
    },
    /// One of some words.
    Choice {
        /// The words an error lists.
        words: &'static [&'static str],
        /// The word that holds.
        read: fn(&Config) -> &'static str,
        /// Takes a word; false when it is none.
        write: fn(&mut Config, &[u8]) -> bool,
    },
    /// A form of its own.
    Special(&'static Special),
}

/// Takes the words after the name.
type Write = fn(&mut Config, &[&[u8]], Source) -> Result<(), BadValue>;

/// An option with a form of its own.
pub struct Special {
    /// The form in words, for help and comments.
    pub form: &'static str,
    /// A single word is split at its blanks first.
    pub(super) split: bool,
    /// Takes the words after the name.
    pub(super) write: Write,
    /// The value as CONFIG GET shows it.
    pub(super) show: fn(&Config) -> Vec<u8>,
    /// What follows the name in a file, one element per line, already quoted.
    pub(super) lines: fn(&Config) -> Vec<Vec<u8>>,
}

/// One directive.
#[derive(Clone, Copy)]
pub struct OptionRow {
    /// The name that is written.
    pub name: &'static str,
    /// A second name, as good as the first for CONFIG GET and SET; empty when there is none.
    pub alias: &'static str,
    /// Other systems' names, accepted wherever a name is read and shown nowhere.
    pub spellings: &'static [&'static str],
    /// Form and place of the value.
    pub kind: Kind,
    /// The default as CONFIG GET shows it.
    pub default: &'static str,
    /// Bits of `flag`.
    pub flags: u8,
    /// First Redis version that knew it, or `redstart`.
    pub since: &'static str,
    /// One to three sentences.
    pub meaning: &'static str,
}

/// Bits of `OptionRow::flags`.
pub mod flag {
    /// CONFIG SET refuses it.
    pub const IMMUTABLE: u8 = 1;
    /// CONFIG SET needs `enable-protected-configs`.
    pub const PROTECTED: u8 = 2;
    /// CONFIG GET shows it only when it is named in full.
    pub const HIDDEN: u8 = 4;
    /// Its value is never logged.
    pub const SENSITIVE: u8 = 8;
    /// CONFIG SET refuses it while data are loaded.
    pub const NOT_WHILE_LOADING: u8 = 16;
    /// A line of files only: CONFIG GET, SET and REWRITE do not know it.
    pub const FILE_ONLY: u8 = 32;
}

/// A row with the usual flags; the methods below add the rest.
pub(super) const fn row(
    name: &'static str,
    default: &'static str,
    since: &'static str,
    kind: Kind,
    meaning: &'static str,
) -> OptionRow {
    OptionRow { name, alias: "", spellings: &[], kind, default, flags: 0, since, meaning }
}

impl OptionRow {
    pub(super) const fn alias(mut self, alias: &'static str) -> OptionRow {
        self.alias = alias;
        self
    }

    pub(super) const fn also(mut self, spellings: &'static [&'static str]) -> OptionRow {
        self.spellings = spellings;
        self
    }

    pub(super) const fn with(mut self, flags: u8) -> OptionRow {
        self.flags |= flags;
        self
    }

    pub(super) const fn immutable(self) -> OptionRow {
        self.with(flag::IMMUTABLE)
    }

    /// Is this bit of `flag` set?
    pub fn has(&self, bit: u8) -> bool {
        self.flags & bit != 0
    }

    /// Does `word` name this option, in either case?
    pub fn is_named(&self, word: &[u8]) -> bool {
        let same = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        same(self.name) || (!self.alias.is_empty() && same(self.alias)) || self.spellings.iter().any(|name| same(name))
    }

    /// Takes the words that follow the name.
    pub(super) fn apply(&self, config: &mut Config, words: &[&[u8]], source: Source) -> Result<(), BadValue> {
        if let Kind::Special(special) = self.kind {
            return match words {
                [word] if special.split && word.contains(&b' ') => {
                    let parts: Vec<&[u8]> = word.split(|byte| *byte == b' ').collect();
                    (special.write)(config, &parts, source).map_err(|bad| BadValue { word: 0, ..bad })
                }
                [b""] if special.split => (special.write)(config, &[], source),
                _ => (special.write)(config, words, source),
            };
        }
        let &[word] = words else {
            return Err(BadValue::at(usize::from(words.len() > 1), WRONG_ARITY));
        };
        self.apply_word(config, word)
    }

    fn apply_word(&self, config: &mut Config, word: &[u8]) -> Result<(), BadValue> {
        match self.kind {
            Kind::Bool { write, .. } => write(config, parse_bool(word)?),
            Kind::Int { min, max, write, .. } => write(config, parse_int_between(word, min, max)?),
            Kind::Octal { write, .. } => write(config, parse_octal(word)?),
            Kind::Memory { min, max, write, .. } => {
                let bytes = parse_memory(word).ok_or(BadValue::new("argument must be a memory value"))?;
                if !(min..=max).contains(&bytes) {
                    return Err(BadValue::new(format!("argument must be between {min} and {max} inclusive")));
                }
                write(config, bytes);
            }
            Kind::MemoryOrPercent { write, .. } => write(config, parse_memory_or_percent(word)?),
            Kind::Text { edit, check, .. } => {
                check(word).map_err(BadValue::new)?;
                *edit(config) = Text::from(word);
            }
            Kind::Choice { words, write, .. } => {
                if !write(config, word) {
                    return Err(one_of(words));
                }
            }
            Kind::Special(_) => unreachable!("apply has dealt with special forms"),
        }
        Ok(())
    }

    /// The value as CONFIG GET shows it.
    pub fn show(&self, config: &Config) -> Vec<u8> {
        match self.kind {
            Kind::Bool { read, .. } => yes_no(read(config)).into(),
            Kind::Int { read, .. } => read(config).to_string().into_bytes(),
            Kind::Octal { read, .. } => format!("{:o}", read(config)).into_bytes(),
            Kind::Memory { read, .. } => read(config).to_string().into_bytes(),
            Kind::MemoryOrPercent { read, .. } => match read(config) {
                MemoryOrPercent::Bytes(bytes) => bytes.to_string().into_bytes(),
                MemoryOrPercent::Percent(percent) => format!("{percent}%").into_bytes(),
            },
            Kind::Text { read, .. } => read(config).to_vec(),
            Kind::Choice { read, .. } => read(config).into(),
            Kind::Special(special) => (special.show)(config),
        }
    }

    /// What follows the name in a file, one element per line; no element when no line can say it.
    pub(super) fn lines(&self, config: &Config) -> Vec<Vec<u8>> {
        match self.kind {
            Kind::Memory { read, .. } => vec![memory_with_unit(read(config)).into_bytes()],
            Kind::MemoryOrPercent { read, .. } => vec![match read(config) {
                MemoryOrPercent::Bytes(bytes) => memory_with_unit(bytes).into_bytes(),
                MemoryOrPercent::Percent(percent) => format!("{percent}%").into_bytes(),
            }],
            Kind::Text { read, .. } => vec![quoted(read(config))],
            Kind::Special(special) => (special.lines)(config),
            _ => vec![self.show(config)],
        }
    }

    /// What a value may be, in words: for help and the comments of redis.conf.
    pub fn allowed(&self) -> String {
        match self.kind {
            Kind::Bool { .. } => "yes or no".to_owned(),
            Kind::Int { min, max, .. } => format!("{} to {}", min, bound(max)),
            Kind::Octal { .. } => "octal mode bits, 0 to 777".to_owned(),
            Kind::Memory { min, max, .. } => match i64::try_from(max) {
                Ok(max) if max < i64::MAX => {
                    format!("bytes, {} to {max}; units k, kb, m, mb, g, gb", memory_with_unit(min))
                }
                _ => format!("bytes, {} or more; units k, kb, m, mb, g, gb", memory_with_unit(min)),
            },
            Kind::MemoryOrPercent { .. } => "bytes with a unit, or a percentage of maxmemory such as 5%".to_owned(),
            Kind::Text { .. } => "text".to_owned(),
            Kind::Choice { words, .. } => words.join(", "),
            Kind::Special(special) => special.form.to_owned(),
        }
    }
}

/// Upper bounds that mean "no bound" are not spelled out.
fn bound(max: i64) -> String {
    if max == i64::MAX { "any number".to_owned() } else { max.to_string() }
}

pub(super) fn yes_no(value: bool) -> &'static str {
    if value { "yes" } else { "no" }
}

pub(super) fn one_of(words: &[&str]) -> BadValue {
    BadValue::new(format!("argument(s) must be one of the following: {}", words.join(", ")))
}

pub(super) fn parse_bool(word: &[u8]) -> Result<bool, BadValue> {
    match word {
        _ if word.eq_ignore_ascii_case(b"yes") => Ok(true),
        _ if word.eq_ignore_ascii_case(b"no") => Ok(false),
        _ => Err(BadValue::new("argument must be 'yes' or 'no'")),
    }
}

fn parse_int_between(word: &[u8], min: i64, max: i64) -> Result<i64, BadValue> {
    let number = parse_i64(word).ok_or(BadValue::new("argument couldn't be parsed into an integer"))?;
    if (min..=max).contains(&number) {
        return Ok(number);
    }
    Err(BadValue::new(format!("argument must be between {min} and {max} inclusive")))
}

fn parse_octal(word: &[u8]) -> Result<u32, BadValue> {
    let octal = word.iter().all(|byte| (b'0'..=b'7').contains(byte));
    let text = std::str::from_utf8(word).ok().filter(|_| octal);
    match text.map(|text| if text.is_empty() { Ok(0) } else { u32::from_str_radix(text, 8) }) {
        Some(Ok(mode)) if mode <= 0o777 => Ok(mode),
        Some(_) => Err(BadValue::new("argument must be between 0 and 777 inclusive")),
        None => Err(BadValue::new("argument couldn't be parsed as an octal number")),
    }
}

fn parse_memory_or_percent(word: &[u8]) -> Result<MemoryOrPercent, BadValue> {
    match std::str::from_utf8(word).ok().and_then(number::parse_memory_or_percent) {
        Some(MemoryLimit::Bytes(bytes)) if i64::try_from(bytes).is_ok() => Ok(MemoryOrPercent::Bytes(bytes)),
        Some(MemoryLimit::Percent(0)) => Ok(MemoryOrPercent::Bytes(0)),
        Some(MemoryLimit::Percent(percent)) => match u8::try_from(percent) {
            Ok(percent) if percent <= 100 => Ok(MemoryOrPercent::Percent(percent)),
            _ => Err(BadValue::new("percentage argument must be less or equal to 100")),
        },
        _ => Err(BadValue::new("argument must be a memory or percent value")),
    }
}

/// A word in double quotes with escapes, so that any bytes survive a file.
pub(super) fn quoted(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    quote_repr(bytes, &mut out);
    out
}

macro_rules! yes_no_kind {
    ($field:ident) => {
        $crate::config::option::Kind::Bool { read: |c| c.$field, write: |c, value| c.$field = value }
    };
}

/// A number field; an optional last argument adjusts the value that is stored (a clamp).
macro_rules! int_kind {
    ($field:ident, $min:expr, $max:expr) => {
        $crate::config::option::int_kind!($field, $min, $max, |value| value)
    };
    ($field:ident, $min:expr, $max:expr, $adjust:expr) => {
        $crate::config::option::Kind::Int {
            min: $min,
            max: $max,
            // Both directions are within the field's type: `max` is checked against it by a test.
            read: |c| c.$field as i64,
            write: |c, value| {
                let adjust: fn(i64) -> i64 = $adjust;
                c.$field = adjust(value) as _
            },
        }
    };
}

macro_rules! memory_kind {
    ($field:ident, $min:expr, $max:expr) => {
        $crate::config::option::memory_kind!($field, $min, $max, |value| value)
    };
    ($field:ident, $min:expr, $max:expr, $adjust:expr) => {
        $crate::config::option::Kind::Memory {
            min: $min,
            max: $max,
            read: |c| c.$field as u64,
            write: |c, value| {
                let adjust: fn(u64) -> u64 = $adjust;
                c.$field = adjust(value) as _
            },
        }
    };
}

macro_rules! text_kind {
    ($field:ident) => {
        $crate::config::option::text_kind!($field, |_| Ok(()))
    };
    ($field:ident, $check:expr) => {
        $crate::config::option::Kind::Text { read: |c| &c.$field, edit: |c| &mut c.$field, check: $check }
    };
}

macro_rules! choice_kind {
    ($field:ident, $type:ident) => {
        $crate::config::option::Kind::Choice {
            words: $crate::config::value::$type::WORDS,
            read: |c| c.$field.word(),
            write: |c, word| match $crate::config::value::$type::from_word(word) {
                Some(value) => {
                    c.$field = value;
                    true
                }
                None => false,
            },
        }
    };
}

pub(super) use {choice_kind, int_kind, memory_kind, text_kind, yes_no_kind};
