//! What the SCAN family shares: cursor, MATCH, COUNT and the shape of the reply.

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome};
use super::error::CmdError;
use crate::base::{glob, number};
use crate::resp::Deferred;

/// The options of a scan.
pub struct ScanArgs<'a> {
    /// Where it goes on.
    pub cursor: u64,
    /// About how many elements a step looks at.
    pub count: usize,
    /// MATCH, unless it matches everything.
    pub pattern: Option<&'a [u8]>,
}

impl<'a> ScanArgs<'a> {
    /// The cursor, which must be the next argument.
    ///
    /// # Errors
    /// Not a cursor.
    pub fn cursor(args: &mut Args<'a>) -> Result<ScanArgs<'a>, CmdError> {
        let cursor = parse_cursor(args.bytes()?).ok_or(CmdError::INVALID_CURSOR)?;
        Ok(ScanArgs { cursor, count: 10, pattern: None })
    }

    /// Takes MATCH or COUNT with its value; false if the next word is neither.
    ///
    /// # Errors
    /// COUNT that is no integer, or below one.
    pub fn accept(&mut self, args: &mut Args<'a>) -> Result<bool, CmdError> {
        if args.left() >= 2 && args.accept("count") {
            let count = args.int()?;
            if count < 1 {
                return Err(CmdError::SYNTAX);
            }
            self.count = usize::try_from(count).unwrap_or(usize::MAX);
        } else if args.left() >= 2 && args.accept("match") {
            let pattern = args.bytes()?;
            self.pattern = (pattern != b"*").then_some(pattern);
        } else {
            return Ok(false);
        }
        Ok(true)
    }

    /// All options: asked for only once the key is found, as the reference does.
    ///
    /// # Errors
    /// As `accept`, or a word that is no option.
    pub fn options(&mut self, args: &mut Args<'a>) -> Result<(), CmdError> {
        while args.more() {
            if !self.accept(args)? {
                return Err(CmdError::SYNTAX);
            }
        }
        Ok(())
    }

    /// Whether MATCH lets these bytes through.
    pub fn matches(&self, bytes: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::glob_match(pattern, bytes, false))
    }
}

/// A cursor as the reference reads it: no digits are 0, a sign may stand before them (a minus counts from 2^64), a NUL ends
/// the text.
fn parse_cursor(text: &[u8]) -> Option<u64> {
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    let (negative, digits) = match text {
        [] => return Some(0),
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    let zeros = digits.iter().take_while(|&&byte| byte == b'0').count();
    let number = if zeros > 0 && zeros == digits.len() { 0 } else { number::parse_u64(&digits[zeros..])? };
    Some(if negative { number.wrapping_neg() } else { number })
}

/// Begins the reply: its cursor comes last, when it is known.
pub fn begin(cx: &mut Ctx<'_>) -> (Deferred, Deferred) {
    cx.reply.array(2);
    (cx.reply.defer(), cx.reply.defer())
}

/// Ends the reply: `elements` were written since it began.
pub fn end(cx: &mut Ctx<'_>, marks: (Deferred, Deferred), cursor: u64, elements: usize) {
    cx.reply.fill_array(marks.1, elements);
    let mut text = itoa::Buffer::new();
    let digits = text.format(cursor);
    let head = format!("${}\r\n{digits}\r\n", digits.len());
    cx.reply.insert_at(marks.0, head.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::parse_cursor;

    #[test]
    fn cursors_are_read_leniently() {
        for (text, cursor) in [
            ("", Some(0)),
            ("0", Some(0)),
            ("007", Some(7)),
            ("+12", Some(12)),
            ("-1", Some(u64::MAX)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("5\0x", Some(5)),
            (" 5", None),
            ("5 ", None),
            ("+", None),
            ("x", None),
        ] {
            assert_eq!(parse_cursor(text.as_bytes()), cursor, "{text:?}");
        }
    }
}
