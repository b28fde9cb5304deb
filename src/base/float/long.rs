//! Long doubles: the 80-bit arithmetic of INCRBYFLOAT and HINCRBYFLOAT, its text and range.
//!
//! The reference server adds in C's `long double`, which is the x87 extended format where it is compared; this
//! is that format in software, so the sums are the same on every machine.
//!
//! ```text
//! bit 79   sign
//! 78..64   exponent of the first bit of the significand, biased by 16383; 0: subnormal or zero
//! 63..0    significand, its first bit explicit
//! ```

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round};

use super::{EXTENDED, is_infinity, read_exponent, read_hex, round_bits, split_sign};
use crate::base::number::{IntBuffer, push_i64};

/// Longest text that is read as a long double, as in the reference server.
const LONG_DOUBLE_TEXT_MAX: usize = 5 * 1024 - 1;

/// An 80-bit extended float, the `long double` that the reference server adds in: 0.1 + 0.2 is 0.3.
///
/// Infinite values can be read (`SET key inf`), NaN cannot come to be: `LongDouble::add`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Reads a long double as INCRBYFLOAT does: the forms that `float::parse_double` takes, with the range of
    /// this type, in at most 5,119 bytes.
    pub fn parse(text: &[u8]) -> Option<Self> {
        if text.len() > LONG_DOUBLE_TEXT_MAX {
            return None;
        }
        let (negative, magnitude) = split_sign(text);
        match magnitude {
            [b'0', b'x' | b'X', digits @ ..] => {
                let (significand, sticky, exponent) = read_hex(digits)?;
                Self::rounded(negative, significand, sticky, exponent)
            }
            [b'0'..=b'9' | b'.', ..] => Self::parse_decimal(negative, magnitude),
            _ if is_infinity(magnitude) => Some(Self(X87DoubleExtended::INFINITY).signed(negative)),
            _ => None,
        }
    }

    /// The same number; every double is an extended double.
    pub fn from_f64(value: f64) -> Self {
        if value.is_nan() {
            return Self(X87DoubleExtended::NAN);
        }
        if value.is_infinite() {
            return Self(X87DoubleExtended::INFINITY).signed(value < 0.0);
        }
        let bits = value.to_bits();
        let (fraction, biased) = (bits & ((1 << 52) - 1), (bits >> 52 & 0x7ff) as i32);
        let (significand, exponent) = if biased == 0 { (fraction, -1074) } else { (fraction | 1 << 52, biased - 1075) };
        Self::compose(value.is_sign_negative(), significand, exponent)
    }

    /// The same number; 64 bits of significand hold every integer of 64 bits.
    pub fn from_i64(value: i64) -> Self {
        Self::compose(value < 0, value.unsigned_abs(), 0)
    }

    /// The sum; `None` if it is infinite or not a number ("increment would produce NaN or Infinity").
    #[expect(clippy::should_implement_trait, reason = "a sum may be refused; `Add` would promise a number")]
    pub fn add(self, other: Self) -> Option<Self> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(Self(sum))
    }

    /// The sum, whatever it is.
    pub fn sum(self, other: Self) -> Self {
        Self((self.0 + other.0).value)
    }

    /// Without what is behind the point; `None` outside of 64 bits, and of what is not a number.
    pub fn to_i64(self) -> Option<i64> {
        if !self.0.is_finite() {
            return None;
        }
        let (significand, exponent) = self.decompose();
        let magnitude = match exponent {
            0.. if exponent + 64 - significand.leading_zeros() as i32 <= 64 => i128::from(significand) << exponent,
            0.. => return None,
            _ => i128::from(significand.checked_shr(exponent.unsigned_abs()).unwrap_or(0)),
        };
        i64::try_from(if self.0.is_negative() { -magnitude } else { magnitude }).ok()
    }

    /// Its text as C's `%.17Lg`: 17 digits without trailing zeros, an exponent where it is shorter.
    pub fn format_general(self) -> Vec<u8> {
        let sign: &[u8] = if self.0.is_negative() { b"-" } else { b"" };
        if !self.0.is_finite() {
            return [sign, if self.0.is_nan() { b"nan" } else { b"inf" }].concat();
        }
        let (significand, exponent) = self.decompose();
        if significand == 0 {
            return [sign, b"0"].concat();
        }
        let mut out = sign.to_vec();
        let (digits, point) = digits_17(significand, exponent);
        super::print::push_general(&mut out, &digits, point);
        out
    }

    /// The largest finite one.
    pub fn largest() -> Self {
        Self(X87DoubleExtended::largest())
    }

    /// The same with the other sign.
    pub fn negated(self) -> Self {
        self.signed(true)
    }

    /// Its text as [`LongDouble::push_human`] writes it.
    pub fn format(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.push_human(&mut out);
        out
    }

    /// Whether it is neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// Appends the number with up to 17 digits after the point, never with an exponent: `%.17Lf` without
    /// its trailing zeros, and zero without a sign. The largest has 4,933 digits.
    pub fn push_human(self, out: &mut Vec<u8>) {
        if !self.0.is_finite() {
            let text: &[u8] = match (self.0.is_nan(), self.0.is_negative()) {
                (true, _) => b"nan",
                (false, true) => b"-inf",
                (false, false) => b"inf",
            };
            out.extend_from_slice(text);
            return;
        }
        let (significand, exponent) = self.decompose();
        if exponent > 64 {
            if self.0.is_negative() {
                out.push(b'-');
            }
            push_shifted(out, significand, exponent as u32);
            return;
        }
        let (whole, fraction) = split_at_point(significand, exponent);
        if self.0.is_negative() && (whole, fraction) != (0, 0) {
            out.push(b'-');
        }
        out.extend_from_slice(itoa::Buffer::new().format(whole).as_bytes());
        if fraction != 0 {
            push_fraction(out, fraction);
        }
    }

    fn signed(self, negative: bool) -> Self {
        if negative { Self(-self.0) } else { self }
    }

    /// Digits with at most one point, and an exponent; the first byte is known to be one of them.
    fn parse_decimal(negative: bool, text: &[u8]) -> Option<Self> {
        if let Some((significand, exponent)) = read_short_decimal(text) {
            return Self::from_short_decimal(negative, significand, exponent);
        }
        let number = read_decimal(text)?;
        if number.digits.is_empty() {
            return Some(Self(X87DoubleExtended::ZERO).signed(negative));
        }
        // Exponent of the first digit: what is beyond these is infinite or zero whatever follows.
        let leading = number.exponent + number.digits.len() as i64 - 1;
        if !(-4_952..=4_932).contains(&leading) {
            return None;
        }
        let exponent = number.exponent as i32; // bounded by `leading` and the text's length
        if number.digits.len() <= 19 && exponent.abs() <= 27 {
            let significand = number.digits.iter().fold(0u64, |sum, &b| sum * 10 + u64::from(b - b'0'));
            return Self::from_short_decimal(negative, significand, exponent);
        }
        let digits = String::from_utf8(number.digits).ok()?;
        let read = X87DoubleExtended::from_str_r(&format!("{digits}e{exponent}"), Round::NearestTiesToEven);
        let value = read.ok()?.value;
        (value.is_finite() && !value.is_zero()).then_some(Self(value).signed(negative))
    }

    /// `significand * 10^exponent` for up to 27 places: 5^27 has 63 bits, so one multiplication or division
    /// of integers is exact but for its remainder.
    fn from_short_decimal(negative: bool, significand: u64, exponent: i32) -> Option<Self> {
        if significand == 0 {
            return Some(Self::compose(negative, 0, 0));
        }
        let fives = 5u128.pow(exponent.unsigned_abs());
        if exponent >= 0 {
            return Self::rounded(negative, u128::from(significand) * fives, false, exponent);
        }
        let shift = 64 + significand.leading_zeros();
        let dividend = u128::from(significand) << shift;
        let (quotient, rest) = (dividend / fives, dividend % fives);
        Self::rounded(negative, quotient, rest != 0, exponent - shift as i32)
    }

    fn rounded(negative: bool, significand: u128, sticky: bool, exponent: i32) -> Option<Self> {
        let (kept, exponent) = round_bits(significand, sticky, exponent, &EXTENDED)?;
        if kept == 0 && significand != 0 {
            return None; // too small
        }
        Some(Self::compose(negative, kept, exponent))
    }

    /// From a significand and exponent that the format can hold.
    fn compose(negative: bool, significand: u64, exponent: i32) -> Self {
        let mut bits = u128::from(negative) << 79;
        if significand != 0 {
            let up = (significand.leading_zeros() as i32).min(exponent - EXTENDED.exponent_min);
            let significand = significand << up;
            let biased = (exponent - up - EXTENDED.exponent_min) as u128 + u128::from(significand >> 63);
            bits |= biased << 64 | u128::from(significand);
        }
        Self(X87DoubleExtended::from_bits(bits))
    }

    /// Significand and exponent of a finite number.
    pub(super) fn decompose(self) -> (u64, i32) {
        let bits = self.0.to_bits();
        let biased = (bits >> 64 & 0x7fff) as i32;
        (bits as u64, biased.max(1) - 1 + EXTENDED.exponent_min)
    }
}

/// The 17 most significant digits, correctly rounded, of `significand * 2^exponent`, and the decimal exponent of the first.
fn digits_17(significand: u64, exponent: i32) -> ([u8; 17], i32) {
    // Exact decimal digits by schoolbook doubling or halving; such numbers are few, and most have small exponents.
    let mut digits: Vec<u8> = significand.to_string().bytes().map(|byte| byte - b'0').collect();
    let mut behind_point = 0;
    for _ in 0..exponent.max(0) {
        let mut carry = 0;
        for digit in digits.iter_mut().rev() {
            let doubled = *digit * 2 + carry;
            (*digit, carry) = (doubled % 10, doubled / 10);
        }
        if carry > 0 {
            digits.insert(0, carry);
        }
    }
    for _ in 0..exponent.min(0).unsigned_abs() {
        let mut rest = 0;
        for digit in &mut digits {
            let whole = rest * 10 + *digit;
            (*digit, rest) = (whole / 2, whole % 2);
        }
        if rest > 0 {
            digits.push(5);
            behind_point += 1;
        }
    }
    let first = digits.iter().position(|digit| *digit != 0).unwrap_or(0);
    let mut point = (digits.len() - first) as i32 - 1 - behind_point;
    let digits = &digits[first..];
    let mut kept = [0u8; 17];
    let count = digits.len().min(17);
    kept[..count].copy_from_slice(&digits[..count]);
    let rest = digits.get(17..).unwrap_or_default();
    let half = rest.first().copied().unwrap_or(0);
    let more = rest.iter().skip(1).any(|digit| *digit != 0);
    if half > 5 || (half == 5 && (more || kept[16] % 2 == 1)) {
        let nines = kept.iter().rev().take_while(|digit| **digit == 9).count();
        kept[17 - nines..].fill(0);
        match 17usize.checked_sub(nines + 1) {
            Some(at) => kept[at] += 1,
            None => {
                kept[0] = 1;
                point += 1;
            }
        }
    }
    (kept.map(|digit| digit + b'0'), point)
}

/// The integer part, and the rest in units of 10^-17, rounded to nearest, ties to even; `exponent` is at
/// most 64.
fn split_at_point(significand: u64, exponent: i32) -> (u128, u64) {
    const ONE: u128 = 100_000_000_000_000_000;
    let significand = u128::from(significand);
    if exponent >= 0 {
        return (significand << exponent, 0);
    }
    let point = exponent.unsigned_abs();
    if point > 127 {
        return (0, 0); // below 2^-63
    }
    let whole = significand >> point;
    let scaled = (significand & ((1 << point) - 1)) * ONE; // below 2^121
    let (mut units, half) = (scaled >> point, 1u128 << (point - 1));
    let rest = scaled & ((1 << point) - 1);
    if rest > half || (rest == half && units & 1 == 1) {
        units += 1;
    }
    if units == ONE { (whole + 1, 0) } else { (whole, units as u64) }
}

/// Appends the point and 17 digits without trailing zeros; `units` is not zero.
fn push_fraction(out: &mut Vec<u8>, units: u64) {
    let mut digits = [b'0'; 17];
    let mut text = IntBuffer::new();
    let text = text.format_u64(units);
    digits[17 - text.len()..].copy_from_slice(text);
    let last = digits.iter().rposition(|&b| b != b'0').unwrap_or(0);
    out.push(b'.');
    out.extend_from_slice(&digits[..=last]);
}

/// Appends all digits of `significand << shift`: nine per limb, least first, shifted by steps of 32 bits.
fn push_shifted(out: &mut Vec<u8>, significand: u64, shift: u32) {
    const LIMB: u64 = 1_000_000_000;
    let mut limbs = Vec::with_capacity(shift as usize / 29 + 4);
    let mut head = significand;
    while head > 0 {
        limbs.push((head % LIMB) as u32);
        head /= LIMB;
    }
    let mut left = shift;
    while left > 0 {
        let step = left.min(32);
        let mut carry = 0u64;
        for limb in &mut limbs {
            let wide = (u64::from(*limb) << step) + carry; // below 2^62 + 2^33
            *limb = (wide % LIMB) as u32;
            carry = wide / LIMB;
        }
        while carry > 0 {
            limbs.push((carry % LIMB) as u32);
            carry /= LIMB;
        }
        left -= step;
    }
    let mut from_top = limbs.iter().rev();
    if let Some(&top) = from_top.next() {
        push_i64(out, i64::from(top));
    }
    for &limb in from_top {
        out.extend_from_slice(format!("{limb:09}").as_bytes());
    }
}

/// Reads the commonest form without allocating: up to 19 digits with at most one point, no exponent. `None`
/// says nothing about the text.
fn read_short_decimal(text: &[u8]) -> Option<(u64, i32)> {
    if text.len() > 19 {
        return None;
    }
    let (mut significand, mut point) = (0u64, None);
    for (at, &byte) in text.iter().enumerate() {
        match byte {
            b'0'..=b'9' => significand = significand * 10 + u64::from(byte - b'0'),
            b'.' if point.is_none() && text.len() > 1 => point = Some(at),
            _ => return None,
        }
    }
    let decimals = point.map_or(0, |at| text.len() - at - 1);
    Some((significand, -(decimals as i32)))
}

struct Decimal {
    /// ASCII digits without leading or trailing zeros; empty for zero.
    digits: Vec<u8>,
    exponent: i64,
}

/// Reads `12.5e3` as the digits 125 and the exponent 2; `None` unless the whole text is such a number.
fn read_decimal(text: &[u8]) -> Option<Decimal> {
    let end = text.iter().position(|b| matches!(b, b'e' | b'E')).unwrap_or(text.len());
    let mut exponent = match &text[end..] {
        [] => 0,
        [_, tail @ ..] => read_exponent(tail)?,
    };
    let mut digits = Vec::with_capacity(end);
    let (mut after_point, mut any) = (false, false);
    for &byte in &text[..end] {
        match byte {
            b'.' if !after_point => {
                after_point = true;
                continue;
            }
            b'0' if digits.is_empty() => {}
            b'0'..=b'9' => digits.push(byte),
            _ => return None,
        }
        any = true;
        exponent -= i64::from(after_point);
    }
    while digits.last() == Some(&b'0') {
        digits.pop();
        exponent += 1;
    }
    any.then_some(Decimal { digits, exponent })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn human(text: &str) -> Option<String> {
        let mut out = Vec::new();
        LongDouble::parse(text.as_bytes())?.push_human(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    fn sum(a: &str, b: &str) -> Option<String> {
        let mut out = Vec::new();
        LongDouble::parse(a.as_bytes())?.add(LongDouble::parse(b.as_bytes())?)?.push_human(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    /// Observed from INCRBYFLOAT of Redis 7.0.15 and 8.0.2.
    #[test]
    fn the_general_layout_is_that_of_printf() {
        // Printed by C on a machine with 80-bit long doubles.
        for (text, expected) in [
            ("0", "0"),
            ("-0", "-0"),
            ("60.5", "60.5"),
            ("0.1", "0.10000000000000000000"),
            ("41015", "41015"),
            ("1e16", "10000000000000000"),
            ("1e17", "1e+17"),
            ("123456789012345678", "1.2345678901234568e+17"),
            ("99999999999999999.5", "1e+17"),
            ("0.0001", "0.0001"),
            ("0.00001", "1e-05"),
            ("-1.5e-7", "-1.5e-07"),
            ("1e300", "1.0000000000000000000e+300"),
            ("inf", "inf"),
        ] {
            let got = String::from_utf8(LongDouble::parse(text.as_bytes()).unwrap().format_general()).unwrap();
            let expected = match expected.split_once('e') {
                Some((digits, exponent)) if digits.contains('.') => {
                    format!("{}e{exponent}", digits.trim_end_matches('0').trim_end_matches('.'))
                }
                None if expected.contains('.') => expected.trim_end_matches('0').to_owned(),
                _ => expected.to_owned(),
            };
            assert_eq!(got, expected, "{text}");
        }
        let parts = ["0.1", "0.2"].map(|text| LongDouble::parse(text.as_bytes()).unwrap());
        assert_eq!(parts[0].sum(parts[1]).format_general(), b"0.3");
    }

    #[test]
    fn whole_parts_are_taken_where_they_fit() {
        for (text, expected) in [
            ("7.9", Some(7)),
            ("-7.9", Some(-7)),
            ("0.5", Some(0)),
            ("9223372036854775807", Some(i64::MAX)),
            ("9223372036854775808", None),
            ("-9223372036854775808", Some(i64::MIN)),
            ("1e30", None),
            ("1e-30", Some(0)),
            ("inf", None),
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()).unwrap().to_i64(), expected, "{text}");
        }
    }

    #[test]
    fn sums_are_those_of_the_reference() {
        let good = [
            ("0.1", "0.2", "0.3"),
            ("3.0e3", "0", "3000"),
            ("5.0e3", "2.0e2", "5200"),
            ("3", "1.1", "4.1"),
            ("0", "+5", "5"),
            ("0", "0x1.8", "1.5"),
            ("0", "1e-400", "0"),
            ("0", "1e-4950", "0"),
            ("-0", "-0", "0"),
            ("0", "-1e-20", "0"),
            ("99999999999999999999", "1", "100000000000000000000"),
            ("12345678901234567890.123456789", "0", "12345678901234567890"),
            ("0", "0.00000000000000001", "0.00000000000000001"),
            ("0", "0.000000000000000005", "0"),
            ("0", "0.0000000000000000051", "0.00000000000000001"),
            ("0", "1.5e-17", "0.00000000000000002"),
            ("0", "2.5e-17", "0.00000000000000002"),
            ("0", "1.005", "1.005"),
            ("0", "123456789012345678", "123456789012345678"),
            ("0", "-17.0", "-17"),
            ("1e18", "0.5", "1000000000000000000.5"),
            ("0.5", "1e19", "10000000000000000000"),
            ("0", "1e27", "1000000000000000000000000000"),
            ("0", "1.9e-4951", "0"),
            ("0", "0x1p-16445", "0"),
            ("0.5", "0.49999999999999999999", "1"),
            (
                "1e100",
                "0",
                "9999999999999999999669353532207342619498699019828496079271391541752018669482644324418977840117055488",
            ),
        ];
        for (a, b, text) in good {
            assert_eq!(sum(a, b).as_deref(), Some(text), "{a} + {b}");
        }
        for (a, b) in [
            ("0", "inf"),
            ("inf", "1"),
            ("inf", "-inf"),
            ("1.18973149535723176502e+4932", "1.18973149535723176502e+4932"),
        ] {
            assert_eq!(sum(a, b), None, "{a} + {b}");
        }
    }

    #[test]
    fn long_doubles_have_their_own_range() {
        for text in [
            "1e5000",
            "1e-5000",
            "nan",
            " 5",
            "5 ",
            "",
            ".",
            "1_0",
            "1\0",
            "1e9999999999999999999999",
            "1e-9999999999999999999999",
            "1.8e-4951",
            "0x1p16384",
            "0x1.ffffffffffffffffp16383",
            "0x1p-16446",
            "1.2e4932",
            "--1",
            "+-1",
            "1e",
            "x",
        ] {
            assert_eq!(LongDouble::parse(text.as_bytes()), None, "{text}");
        }
        assert_eq!(human(&("0".repeat(5118) + "1")).as_deref(), Some("1"));
        assert_eq!(human(&("0".repeat(5119) + "1")), None);
        assert_eq!(human("0e9999999999999999999999").as_deref(), Some("0"));
        assert_eq!(human("-Infinity").as_deref(), Some("-inf"));
        let largest = human("0x1.fffffffffffffffep16383").unwrap();
        assert!(
            largest.len() == 4933
                && largest.starts_with("118973149535723176502126385303097020516906332229462420044032")
        );
        assert_eq!(human(&("1".to_owned() + &"0".repeat(4932))).map(|text| text.len()), Some(4933));
        let hex = human(&("0x".to_owned() + &"f".repeat(100))).unwrap();
        assert!(hex.starts_with("2582249878086908589655919172003011874329705792829223512830659356540647622016841"));
        let mut out = Vec::new();
        LongDouble::from_f64(13.361389338970184).push_human(&mut out);
        assert_eq!(out, b"13.36138933897018433");
        out.clear();
        LongDouble::from_i64(i64::MIN).push_human(&mut out);
        assert_eq!(out, b"-9223372036854775808");
    }

    #[test]
    fn short_decimals_agree_with_the_exact_reader() {
        let mut rng = Rng::seeded(53);
        for _ in 0..5_000 {
            let (significand, exponent) = (rng.next_u64() >> rng.below(64), rng.below(55) as i32 - 27);
            let text = format!("{significand}e{exponent}");
            let exact: X87DoubleExtended = text.parse().unwrap();
            assert_eq!(LongDouble::parse(text.as_bytes()), Some(LongDouble(exact)), "{text}");
        }
    }
}
