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
        let text = args.bytes()?;
        // Lax as the reference is: blanks, a plus and leading zeros pass; a plain negative number does not.
        let cursor = match number::parse_i64(text) {
            Some(n) => u64::try_from(n).ok(),
            None => number::parse_u64_lax(text),
        };
        Ok(ScanArgs { cursor: cursor.ok_or(CmdError::INVALID_CURSOR)?, count: 10, pattern: None })
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

    /// All options after the cursor.
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

/// Begins the reply: its cursor comes last, when it is known.
pub fn begin(cx: &mut Ctx<'_>) -> (Deferred, Deferred) {
    cx.reply.array(2);
    (cx.reply.defer(), cx.reply.defer())
}

/// The whole reply of a scan over a key that does not exist; its options are not looked at.
pub fn nothing(cx: &mut Ctx<'_>) -> Outcome {
    cx.reply.array(2);
    cx.reply.bulk(b"0");
    cx.reply.array(0);
    Ok(Flow::Done)
}

/// Ends the reply: `elements` were written since it began.
pub fn end(cx: &mut Ctx<'_>, marks: (Deferred, Deferred), cursor: u64, elements: usize) {
    cx.reply.fill_array(marks.1, elements);
    let mut text = itoa::Buffer::new();
    let digits = text.format(cursor);
    let head = format!("${}\r\n{digits}\r\n", digits.len());
    cx.reply.insert_at(marks.0, head.as_bytes());
}
