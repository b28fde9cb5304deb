//! Integers to and from text: protocol lengths, integer values, memory sizes with units, octal modes.
//!
//! Knows nothing of keys, requests or options. Only the canonical decimal text of an integer is an
//! integer here (no blanks, no `+`, no leading zeros, no `-0`), so that `format_i64(parse_i64(t)) == t`
//! for every accepted `t`: an integer encoding may replace the text it came from.

/// The longest text of an `i64` or `u64`: a sign and 19 digits, or 20 digits.
pub const INT_TEXT_MAX: usize = 20;

/// Longest run of digits that a memory size may have, as in the reference server.
const MEMORY_DIGITS_MAX: usize = 127;

/// Parses the canonical decimal text of an `i64`.
///
/// `None` for everything else: empty, blanks, `+1`, `01`, `-0`, out of range, other bytes. The first
/// byte decides for most texts that are not numbers, so it is cheap to ask of any value.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match *text {
        [] => None,
        [b'-', ref digits @ ..] => parse_negative(digits),
        [first] => is_digit(first).then(|| i64::from(first - b'0')),
        _ => i64::try_from(parse_u64(text)?).ok(),
    }
}

/// Parses the canonical decimal text of a `u64`; refuses the same texts as [`parse_i64`].
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match *text {
        [first] if is_digit(first) => Some(u64::from(first - b'0')),
        [b'1'..=b'9', ..] if text.len() <= 19 => digits_value(text), // 10^19 - 1 fits
        [b'1'..=b'9', ..] if text.len() == INT_TEXT_MAX => {
            let (head, last) = (digits_value(&text[..19])?, text[19]);
            if !is_digit(last) {
                return None;
            }
            head.checked_mul(10)?.checked_add(u64::from(last - b'0'))
        }
        _ => None,
    }
}

/// Parses a length or count of the protocol: what follows `*` or `$` up to CR LF.
///
/// Accepts what [`parse_i64`] accepts; the one- and two-digit texts that nearly every request has are
/// answered first. Limits and the meaning of negative numbers are the caller's.
#[inline]
pub fn parse_len(text: &[u8]) -> Option<i64> {
    match *text {
        [ones] if is_digit(ones) => Some(i64::from(ones - b'0')),
        [tens @ b'1'..=b'9', ones] if is_digit(ones) => Some(i64::from(tens - b'0') * 10 + i64::from(ones - b'0')),
        _ => parse_i64(text),
    }
}

/// Parses an unsigned number as C's `strtoull` in base 10 does when the whole text must be consumed:
/// leading blanks, a sign and leading zeros are allowed, `-n` is taken modulo 2^64, overflow refused.
///
/// For the few places where the reference server is that lax (parts of stream ids).
pub fn parse_u64_lax(text: &[u8]) -> Option<u64> {
    let blanks = text.iter().take_while(|&&b| super::text::is_blank(b)).count();
    let (negative, digits) = match &text[blanks..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    let value = match &digits[zeros..] {
        [] => 0,
        significant => parse_u64(significant)?,
    };
    Some(if negative { value.wrapping_neg() } else { value })
}

fn is_digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// The digits after a minus sign.
#[inline]
fn parse_negative(digits: &[u8]) -> Option<i64> {
    let magnitude = match digits {
        [b'0', ..] => return None, // also "-0"
        _ => parse_u64(digits)?,
    };
    // i64::MIN has no positive counterpart: subtract from zero instead of negating.
    0i64.checked_sub_unsigned(magnitude)
}

/// Value of up to 19 digits; eight at a time while there are eight. `None` at the first other byte.
#[inline]
fn digits_value(mut digits: &[u8]) -> Option<u64> {
    let mut value = 0u64;
    while let Some((chunk, rest)) = digits.split_first_chunk::<8>() {
        value = value * 100_000_000 + eight_digits(u64::from_le_bytes(*chunk))?;
        digits = rest;
    }
    for &byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// Eight ASCII digits in one register, first digit in the lowest byte.
///
/// 1. Every byte is a digit if its high nibble is 3 and stays 3 after adding 6.
/// 2. Pairs, then fours, then all eight are joined by one multiplication each.
#[inline]
fn eight_digits(chunk: u64) -> Option<u64> {
    const HIGH: u64 = 0xf0f0_f0f0_f0f0_f0f0;
    const ZEROS: u64 = 0x3030_3030_3030_3030;
    let carried = chunk.wrapping_add(0x0606_0606_0606_0606); // 1.
    if (chunk & HIGH) != ZEROS || (carried & HIGH) != ZEROS {
        return None;
    }
    let units = chunk - ZEROS; // 2.
    let pairs = (units.wrapping_mul(10).wrapping_add(units >> 8)) & 0x00ff_00ff_00ff_00ff;
    let fours = (pairs.wrapping_mul(100).wrapping_add(pairs >> 16)) & 0x0000_ffff_0000_ffff;
    Some((fours.wrapping_mul(10_000).wrapping_add(fours >> 32)) & 0xffff_ffff)
}

/// Room on the stack for one integer's text.
#[derive(Default)]
pub struct IntBuffer(itoa::Buffer);

impl IntBuffer {
    /// An empty buffer; costs nothing.
    #[inline]
    pub fn new() -> Self {
        Self(itoa::Buffer::new())
    }

    /// The decimal text of `value`, valid until the buffer is used again.
    #[inline]
    pub fn format(&mut self, value: i64) -> &[u8] {
        self.0.format(value).as_bytes()
    }

    /// The decimal text of `value`, valid until the buffer is used again.
    #[inline]
    pub fn format_u64(&mut self, value: u64) -> &[u8] {
        self.0.format(value).as_bytes()
    }
}

/// Writes the decimal text of `value` into `buffer` and returns it.
#[inline]
pub fn format_i64(value: i64, buffer: &mut IntBuffer) -> &[u8] {
    buffer.format(value)
}

/// Appends the decimal text of `value` to `out`.
#[inline]
pub fn push_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(IntBuffer::new().format(value));
}

/// How many digits the decimal text of `value` has; 1 for zero.
#[inline]
pub fn digit_count(value: u64) -> usize {
    match value.checked_ilog10() {
        Some(log) => log as usize + 1,
        None => 1,
    }
}

/// How many bytes the decimal text of `value` has, the sign included.
#[inline]
pub fn i64_text_len(value: i64) -> usize {
    digit_count(value.unsigned_abs()) + usize::from(value < 0)
}

/// Parses a memory size in bytes: digits and an optional unit, in any letter case: `b` (1), `k`, `m`, `g`
/// (powers of 1,000), `kb`, `mb`, `gb` (powers of 1,024).
///
/// As in the reference server no digits mean 0 and digits beyond 64 bits mean `u64::MAX`; unlike it a
/// product that leaves 64 bits is refused instead of wrapped.
pub fn parse_memory(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(|&b| is_digit(b)).count();
    if digits > MEMORY_DIGITS_MAX {
        return None;
    }
    let (number, unit) = text.split_at(digits);
    let count = number.bytes().fold(0u64, |sum, digit| sum.saturating_mul(10).saturating_add(u64::from(digit - b'0')));
    count.checked_mul(unit_bytes(unit)?)
}

fn unit_bytes(unit: &str) -> Option<u64> {
    const UNITS: [(&str, u64); 8] = [
        ("", 1),
        ("b", 1),
        ("k", 1_000),
        ("kb", 1 << 10),
        ("m", 1_000_000),
        ("mb", 1 << 20),
        ("g", 1_000_000_000),
        ("gb", 1 << 30),
    ];
    UNITS.iter().find(|(name, _)| unit.eq_ignore_ascii_case(name)).map(|&(_, bytes)| bytes)
}

/// A memory limit given as bytes or as a share of another limit (`maxmemory-clients 5%`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryLimit {
    /// So many bytes.
    Bytes(u64),
    /// So many per cent of the other limit; not yet checked against 100.
    Percent(u64),
}

/// Parses what [`parse_memory`] accepts, or a whole number followed by `%`.
pub fn parse_memory_or_percent(text: &str) -> Option<MemoryLimit> {
    match text.strip_suffix('%') {
        Some(number) => parse_u64(number.as_bytes()).map(MemoryLimit::Percent),
        None => parse_memory(text).map(MemoryLimit::Bytes),
    }
}

/// Parses a file mode in octal, with or without leading zeros (`700`, `0755`); at most `0o7777`.
pub fn parse_octal(text: &str) -> Option<u32> {
    let only_digits = !text.is_empty() && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
    let mode = only_digits.then(|| u32::from_str_radix(text, 8).ok())??;
    (mode <= 0o7777).then_some(mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn only_canonical_text_is_an_integer() {
        let good: [(&str, i64); 10] = [
            ("0", 0),
            ("9", 9),
            ("-1", -1),
            ("10", 10),
            ("12345678", 12_345_678),
            ("123456789", 123_456_789),
            ("9223372036854775807", i64::MAX),
            ("-9223372036854775808", i64::MIN),
            ("-9223372036854775807", -i64::MAX),
            ("1000000000000000000", 1_000_000_000_000_000_000),
        ];
        for (text, value) in good {
            assert_eq!(parse_i64(text.as_bytes()), Some(value), "{text}");
            assert_eq!(parse_len(text.as_bytes()), Some(value), "{text}");
        }
        let bad = [
            "",
            "-",
            "+1",
            "-0",
            "00",
            "01",
            "-01",
            " 1",
            "1 ",
            "1a",
            "a",
            "--1",
            "1.0",
            "1e3",
            "0x1",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "18446744073709551616",
            "123456789012345678901",
            "1234567/",
            "1234567:",
            "12345678:",
            "\u{0}",
            "1234567\u{b2}",
        ];
        for text in bad {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text}");
            assert_eq!(parse_len(text.as_bytes()), None, "{text}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"1844674407370955161x"), None);
        assert_eq!(parse_u64(b"-1"), None);
    }

    #[test]
    fn every_single_byte_and_pair_agrees_with_the_model() {
        for a in 0..=255u8 {
            check_against_std(&[a]);
            for b in 0..=255u8 {
                check_against_std(&[a, b]);
            }
        }
    }

    #[test]
    fn random_numbers_and_their_mutations_agree_with_the_model() {
        let mut rng = Rng::seeded(11);
        for _ in 0..100_000 {
            let value = (rng.next_u64() >> rng.below(64)) as i64;
            let value = if rng.below(2) == 0 { value.wrapping_neg() } else { value };
            let mut text = value.to_string().into_bytes();
            assert_eq!(parse_i64(&text), Some(value));
            assert_eq!(format_i64(value, &mut IntBuffer::new()), text);
            assert_eq!(i64_text_len(value), text.len());
            let at = rng.below(text.len() as u64) as usize;
            match rng.below(3) {
                0 => text[at] = rng.next_u64() as u8,
                1 => text.insert(at, b'0' + rng.below(11) as u8),
                _ => drop(text.remove(at)),
            }
            check_against_std(&text);
        }
    }

    /// The rule said naively: std parses it and prints the same text again.
    fn check_against_std(text: &[u8]) {
        let parsed = std::str::from_utf8(text).ok().and_then(|t| t.parse::<i64>().ok());
        let model = parsed.filter(|value| value.to_string().as_bytes() == text);
        assert_eq!(parse_i64(text), model, "{text:?}");
        assert_eq!(parse_len(text), model, "{text:?}");
    }

    #[test]
    fn lax_numbers_follow_strtoull() {
        for (text, value) in [("007", 7), ("+1", 1), (" \t1", 1), ("-1", u64::MAX), ("000", 0), ("-0", 0)] {
            assert_eq!(parse_u64_lax(text.as_bytes()), Some(value), "{text}");
        }
        for text in ["", "-", " ", "1 ", "18446744073709551616", "1-", "0x1", "+-1"] {
            assert_eq!(parse_u64_lax(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn memory_sizes_have_units() {
        let good = [
            ("1", 1),
            ("1b", 1),
            ("1k", 1000),
            ("1KB", 1024),
            ("1Mb", 1 << 20),
            ("2m", 2_000_000),
            ("1g", 1_000_000_000),
            ("3gB", 3 << 30),
            ("007", 7),
            ("", 0),
            ("mb", 0),
            ("99999999999999999999", u64::MAX),
        ];
        for (text, bytes) in good {
            assert_eq!(parse_memory(text), Some(bytes), "{text}");
        }
        for text in ["-1", "+1", " 1", "1 ", "1.5gb", "1 mb", "1tb", "1kk", "0x10", "5%", "20000000000gb", "é"] {
            assert_eq!(parse_memory(text), None, "{text}");
        }
        assert_eq!(parse_memory(&"0".repeat(127)), Some(0));
        assert_eq!(parse_memory(&"0".repeat(128)), None);
        assert_eq!(parse_memory_or_percent("5%"), Some(MemoryLimit::Percent(5)));
        assert_eq!(parse_memory_or_percent("5mb"), Some(MemoryLimit::Bytes(5 << 20)));
        assert_eq!(parse_memory_or_percent("-5%"), None);
        assert_eq!(parse_memory_or_percent("%"), None);
    }

    #[test]
    fn modes_are_octal() {
        assert_eq!(parse_octal("0755"), Some(0o755));
        assert_eq!(parse_octal("0"), Some(0));
        for text in ["", "8", "+7", "0o7", "10000", "77777777777777"] {
            assert_eq!(parse_octal(text), None, "{text}");
        }
    }

    #[test]
    fn digits_are_counted() {
        for (value, digits) in [(0, 1), (9, 1), (10, 2), (99, 2), (100, 3), (u64::MAX, 20)] {
            assert_eq!(digit_count(value), digits);
        }
        assert_eq!(i64_text_len(i64::MIN), 20);
    }
}
