//! Floating point to and from text, as the protocol shows it: scores (64 bits) and INCRBYFLOAT (80 bits).
//!
//! Knows no command. Three texts of a number must not be mixed:
//! - [`Buffer::format`]: shortest digits that read back as the same double, in the layout of Redis 7.2 and
//!   later; scores, RESP3 doubles;
//! - [`push_double_17`]: C's `%.17g`, what Redis up to 7.0 printed and its RDB files hold;
//! - [`LongDouble::push_human`]: C's `%.17Lf` without trailing zeros, never an exponent; INCRBYFLOAT,
//!   HINCRBYFLOAT, coordinates.
//!
//! Reading takes what C's `strtod` takes when it consumes the whole text: decimal and hexadecimal numbers,
//! `inf` and `infinity` in any case, an optional sign. Never NaN, never blanks.

mod long;
mod print;

pub use long::LongDouble;
pub use print::{Buffer, DOUBLE_TEXT_MAX, push_double, push_double_17, push_fixed};

use super::text::is_blank;

/// Reads a double as scores are read: the whole text, in any form `strtod` takes.
///
/// `None` for NaN, blanks, trailing bytes, numbers too large for a double (`1e400`; `inf` is one) and
/// numbers too small to be told from zero (`1e-400`); subnormal numbers are taken.
#[inline]
pub fn parse_double(text: &[u8]) -> Option<f64> {
    if text.len() <= 15 && !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
        // The commonest score; below 10^15 an integer is a double.
        return Some(text.iter().fold(0u64, |sum, &b| sum * 10 + u64::from(b - b'0')) as f64);
    }
    let number = read_double(text)?;
    (!number.out_of_range).then_some(number.value)
}

/// Reads one end of a score range (after its `(`, if any), as leniently as the reference server: leading
/// blanks are skipped, a NUL ends the text, no text is 0, and too large a number is infinite.
pub fn parse_double_bound(text: &[u8]) -> Option<f64> {
    let text = &text[..memchr::memchr(0, text).unwrap_or(text.len())];
    if text.is_empty() {
        return Some(0.0);
    }
    let blanks = text.iter().take_while(|&&b| is_blank(b)).count();
    read_double(&text[blanks..]).map(|number| number.value)
}

struct ReadDouble {
    value: f64,
    /// Not zero but nearer to zero than any double, or beyond the largest.
    out_of_range: bool,
}

fn read_double(text: &[u8]) -> Option<ReadDouble> {
    let (negative, magnitude) = split_sign(text);
    if let [b'0', b'x' | b'X', digits @ ..] = magnitude {
        let (significand, sticky, exponent) = read_hex(digits)?;
        let value = round_bits(significand, sticky, exponent, &DOUBLE).map_or(f64::INFINITY, compose_double);
        let out_of_range = value.is_infinite() || (value == 0.0 && significand != 0);
        return Some(ReadDouble { value: if negative { -value } else { value }, out_of_range });
    }
    if !matches!(magnitude, [b'0'..=b'9' | b'.' | b'i' | b'I', ..]) {
        return None; // also a second sign, and NaN
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    let out_of_range = if value == 0.0 {
        let mantissa = magnitude.iter().take_while(|&&b| !matches!(b, b'e' | b'E'));
        mantissa.into_iter().any(|b| (b'1'..=b'9').contains(b))
    } else {
        value.is_infinite() && !is_infinity(magnitude)
    };
    Some(ReadDouble { value, out_of_range })
}

fn split_sign(text: &[u8]) -> (bool, &[u8]) {
    match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    }
}

fn is_infinity(magnitude: &[u8]) -> bool {
    magnitude.eq_ignore_ascii_case(b"inf") || magnitude.eq_ignore_ascii_case(b"infinity")
}

/// Exponents are cut here: far outside every format, far inside the integer type.
const EXPONENT_LIMIT: i64 = 1_000_000;

/// Reads a whole `[eEpP][+-]digits` tail after its letter.
fn read_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = split_sign(text);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let magnitude = digits.iter().fold(0i64, |sum, &b| (sum * 10 + i64::from(b - b'0')).min(EXPONENT_LIMIT));
    Some(if negative { -magnitude } else { magnitude })
}

/// Reads what follows `0x`: the number is the first value times 2^third, and the second says that more,
/// non-zero bits follow.
fn read_hex(text: &[u8]) -> Option<(u128, bool, i32)> {
    let end = text.iter().position(|b| matches!(b, b'p' | b'P')).unwrap_or(text.len());
    let mut exponent = match &text[end..] {
        [] => 0,
        [_, tail @ ..] => read_exponent(tail)?,
    };
    let (mut significand, mut sticky) = (0u128, false);
    let (mut after_point, mut any) = (false, false);
    for &byte in &text[..end] {
        if byte == b'.' && !after_point {
            after_point = true;
            continue;
        }
        let digit = (byte as char).to_digit(16)?;
        any = true;
        if significand >> 120 == 0 {
            significand = significand << 4 | u128::from(digit);
            exponent -= if after_point { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exponent += if after_point { 0 } else { 4 };
        }
    }
    // Texts of some 250,000 digits at most reach here within the limits; longer ones are infinite or zero.
    let exponent = exponent.clamp(-2 * EXPONENT_LIMIT, 2 * EXPONENT_LIMIT) as i32;
    any.then_some((significand, sticky, exponent))
}

/// A binary format: bits of significand, and the exponents of its last bit.
struct Format {
    precision: i32,
    exponent_min: i32,
    exponent_max: i32,
}

const DOUBLE: Format = Format { precision: 53, exponent_min: -1074, exponent_max: 971 };
const EXTENDED: Format = Format { precision: 64, exponent_min: -16_445, exponent_max: 16_320 };

/// Rounds `significand * 2^exponent` (a little more if `sticky`) to the format, ties to even. `None`: too
/// large. A significand of zero: too small, or zero.
fn round_bits(significand: u128, sticky: bool, exponent: i32, format: &Format) -> Option<(u64, i32)> {
    let bits = 128 - significand.leading_zeros() as i32;
    let drop = (bits - format.precision).max(format.exponent_min - exponent);
    let (mut kept, mut exponent) = if drop <= 0 {
        (significand, exponent)
    } else if drop > bits {
        (0, format.exponent_min) // less than half of the smallest number
    } else {
        let (kept, half) = (significand.checked_shr(drop as u32).unwrap_or(0), 1u128 << (drop - 1));
        let tail = significand & ((half - 1) | half);
        let up = tail > half || (tail == half && (sticky || kept & 1 == 1));
        (kept + u128::from(up), exponent + drop)
    };
    if kept >> format.precision != 0 {
        kept >>= 1; // rounded up to a power of two
        exponent += 1;
    }
    let top = exponent + 128 - kept.leading_zeros() as i32;
    let too_large = kept != 0 && top > format.exponent_max + format.precision;
    (!too_large).then_some((kept as u64, exponent))
}

/// A rounded pair is a double exactly: so are both factors, and so is their product.
fn compose_double((significand, exponent): (u64, i32)) -> f64 {
    if significand == 0 {
        return 0.0;
    }
    let up = significand.leading_zeros() as i32 - 11; // to bit 52
    let exponent_of_52 = exponent - up;
    let (significand, exponent) = if exponent_of_52 >= -1074 {
        (significand << up, exponent_of_52)
    } else {
        (significand << (exponent + 1074), -1074)
    };
    let normal = significand >> 52;
    f64::from_bits(significand & ((1 << 52) - 1) | ((exponent + 1074) as u64 + normal) << 52)
}

/// Reads any bytes as every kind of number, prints what was read and reads it again.
pub fn fuzz_float(data: &[u8]) {
    if let Some(value) = parse_double(data) {
        let mut buffer = Buffer::new();
        let text = buffer.format(value);
        assert_eq!(parse_double(text), Some(value), "a double's text reads back as the same number");
        let mut text = Vec::new();
        push_double_17(&mut text, value);
        assert_eq!(parse_double(&text), Some(value), "and so does its text with 17 digits");
        assert_eq!(parse_double_bound(data), Some(value), "a score is a bound");
    }
    if let Some(value) = LongDouble::parse(data) {
        let mut text = Vec::new();
        value.push_human(&mut text);
        assert!(LongDouble::parse(&text).is_some(), "a long double's text is one");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    #[test]
    fn scores_are_read_as_strtod_reads_them() {
        let good: [(&str, f64); 33] = [
            ("1", 1.0),
            ("00012", 12.0),
            ("inf", f64::INFINITY),
            ("+INF", f64::INFINITY),
            ("-inf", f64::NEG_INFINITY),
            ("-INFINITY", f64::NEG_INFINITY),
            ("+5", 5.0),
            (".5", 0.5),
            ("5.", 5.0),
            ("-.5", -0.5),
            ("+.5e3", 500.0),
            ("1E5", 1e5),
            ("1e0005", 1e5),
            ("0e99999999999", 0.0),
            ("1e-320", 1e-320),
            ("4e-324", 5e-324),
            ("1.7976931348623157e308", f64::MAX),
            ("0x1p3", 8.0),
            ("0X1P+3", 8.0),
            ("0x1.8", 1.5),
            ("0x.8p1", 1.0),
            ("0x1.", 1.0),
            ("-0x10", -16.0),
            ("0x1p-1074", 5e-324),
            ("0x1.8p-1075", 5e-324),
            ("0x0p-99999", 0.0),
            ("0x1.fffffffffffff7p1023", f64::MAX),
            ("0x1.00000000000008p0", 1.0),
            ("0x1.00000000000008000001p0", 1.0000000000000002),
            ("0x1.00000000000018p0", 1.0000000000000004),
            ("0x1p-1022", 2.2250738585072014e-308),
            ("0x0.8p-1022", 1.1125369292536007e-308),
            ("0x123456789abcdefffp0", 2.0988295479420645e19),
        ];
        for (text, value) in good {
            assert_eq!(parse_double(text.as_bytes()).map(f64::to_bits), Some(value.to_bits()), "{text}");
        }
        let bad = [
            "",
            "-",
            "+",
            ".",
            "-.",
            "e5",
            ".e5",
            "infi",
            "infinityx",
            "inf ",
            "nan",
            "NaN",
            "-nan",
            "nan(12)",
            "0x",
            "0x.",
            "0x.p1",
            "0x1p",
            "0xp1",
            "0x1p+",
            "0x1g",
            "0x1.1.1",
            "++5",
            "+-5",
            " 5",
            "5 ",
            "\t5",
            "1e",
            "1e+",
            "1e5.5",
            "1.2.3",
            "1_000",
            "1,5",
            "5\0",
            "1d",
            "1f",
            "0b1",
            "1e400",
            "-1e400",
            "1e-400",
            "2e-324",
            "1e-99999999999999999999",
            "0x1p1024",
            "0x1p-1075",
            "0x1p-1076",
            "0x1p99999999999999999999",
            "0x1p-99999999999999999999",
            "1.7976931348623159e308",
            "0x1.fffffffffffff8p1023",
            "-0x",
            "0x-1",
            "\u{ff}",
        ];
        for text in bad {
            assert_eq!(parse_double(text.as_bytes()), None, "{text}");
        }
        let long = ["0.", &"0".repeat(400), "1e401"].concat();
        assert_eq!(parse_double(long.as_bytes()), Some(1.0));
        let long = ["0x0.", &"0".repeat(400), "1p1604"].concat();
        assert_eq!(parse_double(long.as_bytes()), Some(1.0));
        let long = ["0x1", &"0".repeat(400), "p-1600"].concat();
        assert_eq!(parse_double(long.as_bytes()), Some(1.0));
    }

    #[test]
    fn bounds_are_read_more_leniently() {
        let good = [
            ("", 0.0),
            ("\0", 0.0),
            (" 5", 5.0),
            ("\n5", 5.0),
            ("5\0x", 5.0),
            ("1e400", f64::INFINITY),
            ("-1e400", f64::NEG_INFINITY),
            ("1e-400", 0.0),
            ("0x10", 16.0),
            ("+inf", f64::INFINITY),
        ];
        for (text, value) in good {
            assert_eq!(parse_double_bound(text.as_bytes()), Some(value), "{text}");
        }
        for text in [" ", "5 ", "(5", "nan", "[5", "-", "+"] {
            assert_eq!(parse_double_bound(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn hexadecimal_agrees_with_decimal_for_random_doubles() {
        let mut rng = Rng::seeded(52);
        for _ in 0..5_000 {
            let value = f64::from_bits(rng.next_u64() >> 1);
            if !value.is_finite() || value == 0.0 {
                continue;
            }
            let (significand, exponent) = LongDouble::from_f64(value).decompose();
            let text = format!("0x{significand:x}p{exponent}");
            assert_eq!(parse_double(text.as_bytes()), Some(value), "{text}");
            assert_eq!(LongDouble::parse(text.as_bytes()), Some(LongDouble::from_f64(value)), "{text}");
        }
    }

    #[test]
    fn any_bytes_may_be_read() {
        let mut rng = Rng::seeded(54);
        let letters = b"0123456789..eEpPxX+-infatyNAF \0";
        for _ in 0..20_000 {
            let text: Vec<u8> = (0..rng.below(14)).map(|_| letters[rng.below(letters.len() as u64) as usize]).collect();
            fuzz_float(&text);
        }
    }
}
