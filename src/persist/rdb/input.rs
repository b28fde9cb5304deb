//! Reads lengths and strings. Knows no type of value. Every length is checked against what is there before memory is asked
//! for: a lie costs no more than the bytes that were really sent.

use super::string_form as form;
use crate::base::lzf;
use std::fmt;
use std::io;

/// Why something could not be read.
#[derive(Debug)]
pub enum Fault {
    /// The system's.
    Io(io::Error),
    /// The bytes ended too early.
    Truncated {
        /// Where more was expected.
        offset: u64,
    },
    /// The bytes contradict themselves.
    Corrupt {
        /// Where that was seen.
        offset: u64,
        /// The fact that does not hold.
        what: &'static str,
    },
    /// A packed value contradicts itself.
    Packed {
        /// Where the value ends.
        offset: u64,
        /// What it is: `Hash ziplist`.
        kind: &'static str,
        /// The fact that does not hold.
        what: &'static str,
    },
    /// Something this server does not have.
    Unsupported {
        /// Where it stands.
        offset: u64,
        /// What it is.
        what: String,
    },
    /// A collection of nothing: some versions of Redis wrote such.
    Empty,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::Io(error) => write!(f, "{error}"),
            Fault::Truncated { offset } => write!(f, "it ends at byte {offset}, in the middle"),
            Fault::Corrupt { offset, what } => write!(f, "{what} at byte {offset}"),
            Fault::Packed { offset, kind, what } => {
                write!(f, "{kind} integrity check failed: {what}, before byte {offset}")
            }
            Fault::Unsupported { offset, what } => write!(f, "{what} at byte {offset}"),
            Fault::Empty => f.write_str("a collection without elements"),
        }
    }
}

impl std::error::Error for Fault {}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Fault {
        Fault::Io(error)
    }
}

/// Where bytes come from.
pub trait Input {
    /// How many bytes were taken.
    fn offset(&self) -> u64;

    /// Takes the next `n` bytes, all of them.
    ///
    /// # Errors
    /// `Truncated` if there are not so many, `Io` if they can't be had.
    fn take(&mut self, n: usize) -> Result<&[u8], Fault>;
}

/// Bytes in memory.
#[derive(Debug, Clone, Copy)]
pub struct Slice<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Slice<'a> {
    /// All of these.
    pub fn of(bytes: &'a [u8]) -> Self {
        Slice { bytes, at: 0 }
    }

    /// How many are left.
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }
}

impl Input for Slice<'_> {
    fn offset(&self) -> u64 {
        self.at as u64
    }

    #[inline]
    fn take(&mut self, n: usize) -> Result<&[u8], Fault> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..n).ok_or(Fault::Truncated { offset: self.bytes.len() as u64 })?;
        self.at += n;
        Ok(taken)
    }
}

/// Longest string, bytes: keys, members and packed values say their length in four bytes.
const MAX_STRING_BYTES: u64 = u32::MAX as u64 - 1024;

const TOO_LONG: &str = "a string of 4 GiB or more";

/// A length, or what stands in its place.
enum Head {
    Length(u64),
    Special(u8),
}

/// Lengths and strings of an input.
pub struct Reader<I> {
    /// The bytes.
    pub input: I,
    /// A string that does not stand in the input as it is.
    text: Vec<u8>,
}

impl<I: Input> Reader<I> {
    /// From the input's beginning on.
    pub fn new(input: I) -> Self {
        Reader { input, text: Vec::new() }
    }

    /// A contradiction that was seen just here.
    #[cold]
    pub fn corrupt(&self, what: &'static str) -> Fault {
        Fault::Corrupt { offset: self.input.offset(), what }
    }

    /// The next bytes as they are.
    ///
    /// # Errors
    /// As `Input::take`.
    #[inline]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        Ok(*self.input.take(N)?.first_chunk().expect("as many as were asked for"))
    }

    /// The next byte.
    ///
    /// # Errors
    /// As `Input::take`.
    #[inline]
    pub fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    fn head(&mut self) -> Result<Head, Fault> {
        let first = self.byte()?;
        Ok(match first {
            0..form::BITS_14 => Head::Length(u64::from(first)),
            form::BITS_14..form::BITS_32 => Head::Length(u64::from(first & 0x3F) << 8 | u64::from(self.byte()?)),
            form::BITS_32 => Head::Length(u64::from(u32::from_be_bytes(self.array()?))),
            form::BITS_64 => Head::Length(u64::from_be_bytes(self.array()?)),
            form::SPECIAL.. => Head::Special(first),
            _ => return Err(self.corrupt("a length of no known form")),
        })
    }

    /// A length or another whole number.
    ///
    /// # Errors
    /// As `Input::take`; `Corrupt` if it is no length.
    #[inline]
    pub fn length(&mut self) -> Result<u64, Fault> {
        match self.head()? {
            Head::Length(length) => Ok(length),
            Head::Special(_) => Err(self.corrupt("a string where a length must be")),
        }
    }

    /// A length of bytes.
    fn byte_length(&mut self) -> Result<usize, Fault> {
        let length = self.length()?;
        if length > MAX_STRING_BYTES { Err(self.corrupt(TOO_LONG)) } else { Ok(length as usize) }
    }

    /// A string, lent until the next is read.
    ///
    /// # Errors
    /// As `Input::take`; `Corrupt` if it is none.
    #[inline]
    pub fn string(&mut self) -> Result<&[u8], Fault> {
        let number = match self.head()? {
            Head::Length(length) if length > MAX_STRING_BYTES => return Err(self.corrupt(TOO_LONG)),
            Head::Length(length) => return self.input.take(length as usize),
            Head::Special(form::INT_8) => i32::from(i8::from_le_bytes(self.array()?)),
            Head::Special(form::INT_16) => i32::from(i16::from_le_bytes(self.array()?)),
            Head::Special(form::INT_32) => i32::from_le_bytes(self.array()?),
            Head::Special(form::LZF) => return self.compressed(),
            Head::Special(_) => return Err(self.corrupt("a string of no known form")),
        };
        self.text.clear();
        self.text.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
        Ok(&self.text)
    }

    fn compressed(&mut self) -> Result<&[u8], Fault> {
        let (packed_len, text_len) = (self.byte_length()?, self.byte_length()?);
        let offset = self.input.offset();
        let packed = self.input.take(packed_len)?;
        self.text.clear();
        lzf::decompress(packed, text_len, &mut self.text)
            .ok_or(Fault::Corrupt { offset, what: "an LZF string that does not decompress" })?;
        Ok(&self.text)
    }

    /// A string in a vector of its own.
    ///
    /// # Errors
    /// As `string`.
    pub fn owned_string(&mut self) -> Result<Vec<u8>, Fault> {
        Ok(self.string()?.to_vec())
    }

    /// A string in a vector that is used again and again.
    ///
    /// # Errors
    /// As `string`.
    #[inline]
    pub fn string_into(&mut self, out: &mut Vec<u8>) -> Result<(), Fault> {
        out.clear();
        out.extend_from_slice(self.string()?);
        Ok(())
    }

    /// A double in eight bytes.
    ///
    /// # Errors
    /// As `Input::take`; `Corrupt` if it is not a number.
    pub fn double(&mut self) -> Result<f64, Fault> {
        let value = f64::from_le_bytes(self.array()?);
        if value.is_nan() { Err(self.corrupt("a score that is not a number")) } else { Ok(value) }
    }

    /// A double as text behind a length of one byte.
    ///
    /// # Errors
    /// As `double`.
    pub fn double_text(&mut self) -> Result<f64, Fault> {
        let value = match self.byte()? {
            253 => None,
            254 => Some(f64::INFINITY),
            255 => Some(f64::NEG_INFINITY),
            len => crate::base::float::parse_double(self.input.take(usize::from(len))?),
        };
        value.ok_or_else(|| self.corrupt("a score that is not a number"))
    }
}
