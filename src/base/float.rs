//! Floats as text, as Redis reads and writes them. Two kinds: doubles (scores) in their shortest form, and the 80-bit
//! extended numbers with which INCRBYFLOAT counts, so that 0.1 + 0.2 is 0.3.

use rustc_apfloat::ieee::X87DoubleExtended;
use rustc_apfloat::{Float, Round};

/// Longest text of a double.
const MAX_TEXT: usize = 32;
/// Doubles that are integers up to here (2^52) are written as integers.
const INTEGER_LIMIT: f64 = 4_503_599_627_370_496.0;

/// Room for one double's text.
pub struct Buffer {
    bytes: [u8; MAX_TEXT],
    len: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Buffer::new()
    }
}

impl Buffer {
    /// Nothing in it.
    pub fn new() -> Buffer {
        Buffer { bytes: [0; MAX_TEXT], len: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    /// The text of `x`: an integer without a point, else the fewest digits that read back as `x`; an exponent where the
    /// digits would be far from the point; `inf`, `-inf`, `nan`.
    pub fn format(&mut self, x: f64) -> &[u8] {
        self.len = 0;
        if x.is_nan() {
            self.push(b"nan");
        } else if x.is_infinite() {
            self.push(if x > 0.0 { b"inf" } else { b"-inf" });
        } else if x == 0.0 {
            self.push(if x.is_sign_negative() { b"-0" } else { b"0" });
        } else if x.abs() <= INTEGER_LIMIT && x.trunc() == x {
            self.push(itoa::Buffer::new().format(x as i64).as_bytes());
        } else {
            self.shortest(x);
        }
        &self.bytes[..self.len]
    }

    /// Shortest digits d and exponent k with x = d * 10^k, laid out as the fpconv library does.
    fn shortest(&mut self, x: f64) {
        let (digits, count, k) = shortest_digits(x.abs());
        let digits = &digits[..count];
        if x < 0.0 {
            self.push(b"-");
        }
        let magnitude = (k + count as i32 - 1).abs();
        if k >= 0 && magnitude < count as i32 + 7 {
            self.push(digits);
            for _ in 0..k {
                self.push(b"0");
            }
        } else if k < 0 && (k > -7 || magnitude < 4) {
            let before = count as i32 + k;
            if before <= 0 {
                self.push(b"0.");
                for _ in before..0 {
                    self.push(b"0");
                }
                self.push(digits);
            } else {
                self.push(&digits[..before as usize]);
                self.push(b".");
                self.push(&digits[before as usize..]);
            }
        } else {
            self.push(&digits[..1]);
            if count > 1 {
                self.push(b".");
                self.push(&digits[1..]);
            }
            self.push(if k + (count as i32) > 0 { b"e+" } else { b"e-" });
            self.push(itoa::Buffer::new().format(magnitude).as_bytes());
        }
    }
}

/// The fewest significant digits that read back as `x` (positive, finite), how many, and the exponent of the last one.
fn shortest_digits(x: f64) -> ([u8; 20], usize, i32) {
    let mut buffer = zmij::Buffer::new();
    let text = buffer.format_finite(x).as_bytes();
    let (mantissa, exponent) = match text.iter().position(|&b| b == b'e' || b == b'E') {
        Some(at) => {
            let exponent = std::str::from_utf8(&text[at + 1..]).ok().and_then(|t| t.parse::<i32>().ok());
            (&text[..at], exponent.unwrap_or(0))
        }
        None => (text, 0),
    };
    let (mut digits, mut count, mut k) = ([0u8; 20], 0, exponent);
    let mut after_point = false;
    for &byte in mantissa {
        if byte == b'.' {
            after_point = true;
            continue;
        }
        k -= i32::from(after_point);
        // Leading zeros say nothing; a shortest form has at most 17 other digits, but 0.00001 has zeros before them.
        if count > 0 || byte != b'0' {
            if count < digits.len() {
                digits[count] = byte;
                count += 1;
            } else {
                k += 1;
            }
        }
    }
    while count > 1 && digits[count - 1] == b'0' {
        count -= 1;
        k += 1;
    }
    (digits, count, k)
}

/// The number that `text` is: decimal or hexadecimal, `inf`, `infinity`, with a sign; nothing before or after it. A number
/// too large or too small for a double is none, nor is NaN.
pub fn parse_double(text: &[u8]) -> Option<f64> {
    let (negative, body) = match text.split_first()? {
        (b'-', rest) => (true, rest),
        (b'+', rest) => (false, rest),
        _ => (false, text),
    };
    if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
        return Some(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let x = if body.len() > 2 && body[..2].eq_ignore_ascii_case(b"0x") {
        parse_hexadecimal(&body[2..])?
    } else {
        if !body.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-')) {
            return None;
        }
        let x: f64 = std::str::from_utf8(body).ok()?.parse().ok()?;
        let has_digits = body.iter().take_while(|b| !matches!(b, b'e' | b'E')).any(|b| (b'1'..=b'9').contains(b));
        if x == 0.0 && has_digits {
            return None;
        }
        x
    };
    if x.is_infinite() || !matches!(body.first(), Some(b'0'..=b'9' | b'.')) {
        return None;
    }
    Some(if negative { -x } else { x })
}

/// `1.8p3` and the like, without the `0x`.
fn parse_hexadecimal(body: &[u8]) -> Option<f64> {
    let (digits, exponent) = match body.iter().position(|b| b.eq_ignore_ascii_case(&b'p')) {
        Some(at) => (&body[..at], std::str::from_utf8(&body[at + 1..]).ok()?.parse::<i32>().ok()?),
        None => (body, 0),
    };
    let (mut mantissa, mut scale, mut seen, mut after_point) = (0f64, 0i32, false, false);
    for &byte in digits {
        if byte == b'.' && !after_point {
            after_point = true;
            continue;
        }
        mantissa = mantissa * 16.0 + f64::from(char::from(byte).to_digit(16)?);
        scale -= if after_point { 4 } else { 0 };
        seen = true;
    }
    seen.then(|| mantissa * 2f64.powi(exponent.saturating_add(scale)))
}

/// A number in the x87 extended format: 64 bits of mantissa.
#[derive(Clone, Copy, Debug)]
pub struct LongDouble(X87DoubleExtended);

/// Digits after the point that are ever written.
const FRACTION_DIGITS: u32 = 17;

impl LongDouble {
    /// The number that `text` is, by the rules of `parse_double`.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        let (negative, body) = match text.split_first()? {
            (b'-', rest) => (true, rest),
            (b'+', rest) => (false, rest),
            _ => (false, text),
        };
        let x = if body.eq_ignore_ascii_case(b"inf") || body.eq_ignore_ascii_case(b"infinity") {
            X87DoubleExtended::INFINITY
        } else {
            let decimal = body.iter().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
            let hexadecimal = body.len() > 2 && body[..2].eq_ignore_ascii_case(b"0x");
            if !(decimal || hexadecimal) || body.len() > 5 * 1024 || !body[0].is_ascii_digit() && body[0] != b'.' {
                return None;
            }
            let mut text = std::str::from_utf8(body).ok()?.to_ascii_lowercase();
            if hexadecimal && !text.contains('p') {
                text.push_str("p0");
            }
            X87DoubleExtended::from_str_r(&text, Round::NearestTiesToEven).ok()?.value
        };
        Some(LongDouble(if negative { -x } else { x }))
    }

    /// Whether it is neither infinite nor NaN.
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// The sum, unless it is infinite or NaN.
    pub fn add(self, other: LongDouble) -> Option<LongDouble> {
        let sum = self.0.add_r(other.0, Round::NearestTiesToEven).value;
        sum.is_finite().then_some(LongDouble(sum))
    }

    /// Its text: rounded to 17 digits after the point, trailing zeros left out, never an exponent.
    pub fn format(self) -> Vec<u8> {
        let bits = self.0.to_bits();
        let mantissa = bits as u64;
        let exponent = ((bits >> 64) & 0x7FFF) as i32 - 16383 - 63;
        let mut text = if exponent >= 0 {
            whole_digits(mantissa, exponent as u32)
        } else {
            fraction_text(mantissa, exponent.unsigned_abs())
        };
        if self.0.is_negative() && text != b"0" {
            text.insert(0, b'-');
        }
        text
    }
}

/// Decimal digits of mantissa * 2^shift.
fn whole_digits(mantissa: u64, shift: u32) -> Vec<u8> {
    const BASE: u64 = 1_000_000_000;
    // Least significant limb first.
    let mut limbs: Vec<u64> = vec![mantissa % BASE, mantissa / BASE % BASE, mantissa / BASE / BASE];
    let mut left = shift;
    while left > 0 {
        let step = left.min(29);
        let mut carry = 0u64;
        for limb in &mut limbs {
            let value = (*limb << step) + carry;
            *limb = value % BASE;
            carry = value / BASE;
        }
        if carry > 0 {
            limbs.push(carry);
        }
        left -= step;
    }
    let mut text = String::new();
    for limb in limbs.iter().rev() {
        if text.is_empty() {
            if *limb > 0 {
                text = limb.to_string();
            }
        } else {
            text.push_str(&format!("{limb:09}"));
        }
    }
    if text.is_empty() { b"0".to_vec() } else { text.into_bytes() }
}

/// Decimal text of mantissa / 2^shift, rounded half to even.
fn fraction_text(mantissa: u64, shift: u32) -> Vec<u8> {
    let one = 10u128.pow(FRACTION_DIGITS);
    let (mut whole, part) = if shift < 64 { (mantissa >> shift, mantissa & ((1 << shift) - 1)) } else { (0, mantissa) };
    let scaled = u128::from(part) * one;
    let mut fraction = if shift < 128 { scaled >> shift } else { 0 };
    if (1..128).contains(&shift) {
        let rest = scaled & ((1u128 << shift) - 1);
        let half = 1u128 << (shift - 1);
        if rest > half || (rest == half && fraction & 1 == 1) {
            fraction += 1;
        }
    }
    if fraction == one {
        fraction = 0;
        whole += 1;
    }
    let mut text = format!("{whole}.{fraction:017}");
    text.truncate(text.trim_end_matches('0').trim_end_matches('.').len());
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(x: f64) -> String {
        String::from_utf8_lossy(Buffer::new().format(x)).into_owned()
    }

    #[test]
    fn doubles_are_laid_out_as_the_reference_lays_them_out() {
        for (x, expected) in [
            (3.0, "3"),
            (-1.5, "-1.5"),
            (0.1, "0.1"),
            (0.00001, "0.00001"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (1e21, "1e+21"),
            (1e100, "1e+100"),
            (3.123456789012345, "3.123456789012345"),
            (12345.678901234, "1.2345678901234e+4"),
            (1234.5, "1234.5"),
            (1152921504606846976.0, "1152921504606847000"),
            (4503599627370496.0, "4503599627370496"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (-0.0, "-0"),
            (1.7976931348623157e308, "1.7976931348623157e+308"),
            (5e-324, "5e-324"),
        ] {
            assert_eq!(text(x), expected);
        }
    }

    #[test]
    fn every_finite_double_reads_back() {
        let mut state = 1u64;
        for _ in 0..20_000 {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let x = f64::from_bits(state);
            if x.is_finite() {
                assert_eq!(text(x).parse::<f64>().expect("it is a number"), x);
            }
        }
    }

    #[test]
    fn numbers_are_read_whole_or_not_at_all() {
        assert_eq!(parse_double(b"1.5e3"), Some(1500.0));
        assert_eq!(parse_double(b"+inf"), Some(f64::INFINITY));
        assert_eq!(parse_double(b"-Infinity"), Some(f64::NEG_INFINITY));
        assert_eq!(parse_double(b"0x1p3"), Some(8.0));
        assert_eq!(parse_double(b".5"), Some(0.5));
        assert_eq!(parse_double(b"5."), Some(5.0));
        for bad in ["", " 1", "1 ", "nan", "1e400", "1e-400", "abc", "1a", "-", "+", "e5", "0x", "--1", "+-1"] {
            assert_eq!(parse_double(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn extended_sums_are_those_of_long_double() {
        let sum = |a: &str, b: &str| {
            let add = LongDouble::parse(a.as_bytes()).zip(LongDouble::parse(b.as_bytes())).and_then(|(a, b)| a.add(b));
            add.map(|s| String::from_utf8_lossy(&s.format()).into_owned())
        };
        for (a, b, expected) in [
            ("0.1", "0.2", "0.3"),
            ("10.50", "0.1", "10.6"),
            ("5.0e3", "2.0e2", "5200"),
            ("1", "0.256", "1.256"),
            ("0", "-1.1", "-1.1"),
            ("3", "1.23", "4.23"),
            ("17179869184", "1.5", "17179869185.5"),
            ("1e30", "1", "1000000000000000000000000000001"),
            ("1", "-1", "0"),
        ] {
            assert_eq!(sum(a, b).as_deref(), Some(expected), "{a} + {b}");
        }
        assert_eq!(sum("inf", "1"), None);
        assert_eq!(sum("abc", "1"), None);
        assert!(LongDouble::parse(b"").is_none() && LongDouble::parse(b" 1").is_none() && LongDouble::parse(b"1x").is_none());
    }
}
