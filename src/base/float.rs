//! Floating point to and from text, as the protocol shows it: scores (64 bits) and INCRBYFLOAT (80 bits).
//!
//! Knows no command. Three texts of a number must not be mixed:
//! - [`format_double`]: shortest digits that read back as the same double, in the layout of Redis 7.2 and
//!   later; scores, RESP3 doubles;
//! - [`push_double_17`]: C's `%.17g`, what Redis up to 7.0 printed; RDB and AOF of old made such text;
//! - [`LongDouble::push_human`]: C's `%.17Lf` without trailing zeros, never an exponent; INCRBYFLOAT,
//!   HINCRBYFLOAT, coordinates.
//!
//! Reading takes what C's `strtod` takes when it consumes the whole text: decimal and hexadecimal numbers,
//! `inf` and `infinity` in any case, an optional sign. Never NaN, never blanks.
//!
//! # Shortest digits
//! Grisu2 (Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers", PLDI
//! 2010). It always reads back as the same number; in some 0.4 % of random doubles its digits are not the
//! shortest or closest. That is on purpose: the reference server prints by this algorithm, replies are
//! compared byte for byte, and an algorithm without this flaw would differ. Steps are numbered in
//! [`shortest_digits`].

use rustc_apfloat::Float;
use rustc_apfloat::ieee::X87DoubleExtended;

use super::number::IntBuffer;
use super::text::is_blank;

/// Longest text of [`format_double`]: sign, 17 digits and a point, and 7 zeros or an exponent.
pub const DOUBLE_TEXT_MAX: usize = 26;

/// Largest whole number that is printed digit by digit, 2^62: the reference server's bound.
const WHOLE_MAX: f64 = (1u64 << 62) as f64;

/// Longest text that is read as a long double, as in the reference server.
const LONG_DOUBLE_TEXT_MAX: usize = 5 * 1024 - 1;

// ---------------------------------------------------------------------------------------------------
// Doubles to text

/// Room on the stack for one double's text.
#[derive(Clone, Copy)]
pub struct DoubleBuffer {
    bytes: [u8; 32],
    len: usize,
}

impl Default for DoubleBuffer {
    fn default() -> Self {
        Self::new()
    }
}

impl DoubleBuffer {
    /// An empty buffer.
    #[inline]
    pub fn new() -> Self {
        Self {
            bytes: [0; 32],
            len: 0,
        }
    }

    #[inline]
    fn push(&mut self, text: &[u8]) {
        // No layout is longer than DOUBLE_TEXT_MAX.
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    #[inline]
    fn push_zeros(&mut self, count: usize) {
        self.push(&[b'0'; 8][..count]);
    }

    fn text(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// The text of a score or RESP3 double: `3`, `3.1`, `1e+21`, `1.5e-7`, `inf`, `-inf`, `nan`, `-0`.
///
/// Whole numbers up to 2^62 are printed as integers, everything else with the shortest digits.
#[inline]
pub fn format_double(value: f64, buffer: &mut DoubleBuffer) -> &[u8] {
    buffer.len = 0;
    if value.abs() <= WHOLE_MAX
        && value == value.trunc()
        && (value != 0.0 || value.is_sign_positive())
    {
        buffer.push(IntBuffer::new().format(value as i64));
    } else if value.is_finite() {
        if value.is_sign_negative() {
            buffer.push(b"-");
        }
        if value == 0.0 {
            buffer.push(b"0");
        } else {
            lay_out(&shortest_digits(value.abs()), buffer);
        }
    } else if value.is_nan() {
        buffer.push(b"nan");
    } else {
        buffer.push(if value > 0.0 { b"inf" } else { b"-inf" });
    }
    buffer.text()
}

/// Appends the text of [`format_double`].
pub fn push_double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(format_double(value, &mut DoubleBuffer::new()));
}

/// Appends `value` as C's `%.17g` does.
pub fn push_double_17(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() || value == 0.0 {
        out.extend_from_slice(format_double(value, &mut DoubleBuffer::new()));
        return;
    }
    // 17 digits correctly rounded, then the layout of `g`: an exponent below -4 or from 17 on.
    let text = format!("{:.16e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: Vec<u8> = mantissa.bytes().filter(|&b| b != b'.').collect();
    let significant = digits
        .iter()
        .rposition(|&b| b != b'0')
        .map_or(1, |last| last + 1);
    let digits = &digits[..significant];
    if value < 0.0 {
        out.push(b'-');
    }
    if !(-4..17).contains(&exponent) {
        push_scientific(out, digits, exponent);
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(
            b'0',
            exponent.unsigned_abs() as usize - 1,
        ));
        out.extend_from_slice(digits);
    } else {
        let whole = exponent as usize + 1;
        out.extend(
            digits
                .iter()
                .copied()
                .chain(std::iter::repeat(b'0'))
                .take(whole),
        );
        if digits.len() > whole {
            out.push(b'.');
            out.extend_from_slice(&digits[whole..]);
        }
    }
}

/// `d.ddde-07`: the exponent has a sign and at least two digits.
fn push_scientific(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    out.push(digits[0]);
    if digits.len() > 1 {
        out.push(b'.');
        out.extend_from_slice(&digits[1..]);
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    out.extend_from_slice(format!("e{sign}{:02}", exponent.unsigned_abs()).as_bytes());
}

/// Appends `value` with exactly `decimals` digits after the point, as C's `%.*f` does (distances).
pub fn push_fixed(out: &mut Vec<u8>, value: f64, decimals: usize) {
    if value.is_finite() {
        out.extend_from_slice(format!("{value:.decimals$}").as_bytes());
    } else {
        push_double(out, value);
    }
}

/// Puts point, zeros or exponent to the digits `d1 d2 ... dn` of the number `d1d2...dn * 10^exponent`.
///
/// 1. Zeros are appended while they are at most 7: `12 * 10^7` is `120000000`.
/// 2. A point is set if at most 6 digits follow it, or the first digit is within three places of it.
/// 3. Everything else is `d.ddde+x`, the exponent without leading zeros.
fn lay_out(number: &Digits, out: &mut DoubleBuffer) {
    let digits = &number.digits[..number.count];
    let (count, exponent) = (number.count as i32, number.exponent);
    let scientific = exponent + count - 1;
    if exponent >= 0 && scientific < count + 7 {
        out.push(digits); // 1.
        out.push_zeros(exponent as usize);
    } else if exponent < 0 && (exponent > -7 || scientific.abs() < 4) {
        let whole = count + exponent; // 2.
        if whole > 0 {
            out.push(&digits[..whole as usize]);
            out.push(b".");
            out.push(&digits[whole as usize..]);
        } else {
            out.push(b"0.");
            out.push_zeros(whole.unsigned_abs() as usize);
            out.push(digits);
        }
    } else {
        out.push(&digits[..1]); // 3.
        if count > 1 {
            out.push(b".");
            out.push(&digits[1..]);
        }
        out.push(if scientific < 0 { b"e-" } else { b"e+" });
        out.push(IntBuffer::new().format(i64::from(scientific.abs())));
    }
}

/// Decimal digits (ASCII) of a number: all of them, read as one integer, times 10^exponent.
struct Digits {
    digits: [u8; 20],
    count: usize,
    exponent: i32,
}

/// `significand * 2^exponent`, with all 64 bits of the significand in use.
#[derive(Clone, Copy)]
struct Scaled {
    significand: u64,
    exponent: i32,
}

impl Scaled {
    fn normalized(significand: u64, exponent: i32) -> Self {
        let shift = significand.leading_zeros();
        Self {
            significand: significand << shift,
            exponent: exponent - shift as i32,
        }
    }

    /// The upper half of the product, rounded to nearest.
    #[inline]
    fn times(self, other: Self) -> Self {
        let wide = u128::from(self.significand) * u128::from(other.significand) + (1 << 63);
        Self {
            significand: (wide >> 64) as u64,
            exponent: self.exponent + other.exponent + 64,
        }
    }
}

/// Grisu2 for a positive finite double.
///
/// 1. Take the neighbours' midpoints `low` and `high`: every number between them reads back as `value`.
/// 2. Multiply all three by a stored power of ten so that the binary point comes to lie between bit 32
///    and bit 60 of the product: left of it is then a small integer.
/// 3. The product may be wrong by one unit, so step that much inside on both ends.
/// 4. Write digits of `high`, first those of the integer part, until what is left is less than the
///    distance between the ends: any continuation would read back.
/// 5. Lower the last digit while this comes closer to `value`.
fn shortest_digits(value: f64) -> Digits {
    const HIDDEN: u64 = 1 << 52;
    let bits = value.to_bits();
    let biased = (bits >> 52) as i32; // the sign bit is zero
    let (significand, exponent) = match (bits & (HIDDEN - 1), biased) {
        (fraction, 0) => (fraction, -1074),
        (fraction, _) => (fraction | HIDDEN, biased - 1075),
    };
    let high = Scaled::normalized(2 * significand + 1, exponent - 1); // 1.
    // Below a power of two the neighbour is only half as far.
    let (below, step) = if significand == HIDDEN {
        (4 * significand - 1, 2)
    } else {
        (2 * significand - 1, 1)
    };
    let low = Scaled {
        significand: below << (exponent - step - high.exponent),
        exponent: high.exponent,
    };
    let (power, decimal) = power_for(high.exponent); // 2.
    let middle = Scaled::normalized(significand, exponent).times(power);
    let (high, low) = (high.times(power), low.times(power));
    generate(
        middle.significand,
        low.significand + 1,
        high.significand - 1,
        high.exponent,
        -decimal,
    ) // 3.
}

/// Steps 4 and 5: digits of `high`, where all three numbers stand for themselves times 2^exponent, with
/// `exponent` between -60 and -32, times 10^decimal.
fn generate(middle: u64, low: u64, high: u64, exponent: i32, decimal: i32) -> Digits {
    let shift = exponent.unsigned_abs();
    let one = 1u64 << shift;
    let mut out = Digits {
        digits: [0; 20],
        count: 0,
        exponent: decimal,
    };
    let (mut width, mut distance) = (high - low, high - middle);
    let (mut whole, mut fraction) = (high >> shift, high & (one - 1));
    let mut place = 10u64.pow(whole.checked_ilog10().unwrap_or(0));
    let mut places_left = place.ilog10() as i32 + 1;
    while places_left > 0 {
        out.digits[out.count] = b'0' + (whole / place) as u8;
        out.count += 1;
        whole %= place;
        places_left -= 1;
        let rest = (whole << shift) + fraction;
        if rest <= width {
            out.exponent += places_left;
            approach(&mut out, rest, width, place << shift, distance);
            return out;
        }
        place /= 10;
    }
    loop {
        fraction *= 10; // below 2^60 before
        width = width.wrapping_mul(10);
        distance = distance.wrapping_mul(10);
        out.digits[out.count] = b'0' + (fraction >> shift) as u8;
        out.count += 1;
        out.exponent -= 1;
        fraction &= one - 1;
        // 64 bits have at most 20 digits: the ends are always told apart before.
        if fraction < width || out.count == out.digits.len() {
            approach(&mut out, fraction, width, one, distance);
            return out;
        }
    }
}

/// Step 5: `rest` is how far the digits are below `high`; a unit of the last digit is `unit` wide.
#[inline]
fn approach(out: &mut Digits, mut rest: u64, width: u64, unit: u64, distance: u64) {
    while rest < distance
        && width - rest >= unit
        && (rest + unit < distance || distance - rest > rest + unit - distance)
    {
        out.digits[out.count - 1] -= 1;
        rest += unit;
    }
}

/// The smallest stored power of ten that brings a number with this binary exponent to -60 or above, and its
/// decimal exponent. -32 is not passed, since the powers are 26.6 bits apart.
fn power_for(exponent: i32) -> (Scaled, i32) {
    // The decimal exponent wanted, rounded up to a stored one; 78913 / 2^18 is log10(2).
    let wanted = ((-61 - exponent) * 78_913) >> 18;
    let mut index = ((wanted - POWERS_FIRST) / POWERS_STEP) as usize;
    loop {
        let decimal = POWERS_FIRST + POWERS_STEP * index as i32;
        // floor(decimal * log2(10)), exact for every stored power.
        let power = Scaled {
            significand: POWERS[index],
            exponent: ((decimal * 217_706) >> 16) - 63,
        };
        if exponent + power.exponent + 64 >= -60 {
            return (power, decimal);
        }
        index += 1; // at most one step
    }
}

const POWERS_FIRST: i32 = -348;
const POWERS_STEP: i32 = 8;

/// 10^-348, 10^-340 ... 10^340: their upper 64 bits, rounded to nearest.
#[rustfmt::skip]
const POWERS: [u64; 87] = [
    0xfa8f_d5a0_081c_0288, 0xbaae_e17f_a23e_bf76, 0x8b16_fb20_3055_ac76, 0xcf42_894a_5dce_35ea,
    0x9a6b_b0aa_5565_3b2d, 0xe61a_cf03_3d1a_45df, 0xab70_fe17_c79a_c6ca, 0xff77_b1fc_bebc_dc4f,
    0xbe56_91ef_416b_d60c, 0x8dd0_1fad_907f_fc3c, 0xd351_5c28_3155_9a83, 0x9d71_ac8f_ada6_c9b5,
    0xea9c_2277_23ee_8bcb, 0xaecc_4991_4078_536d, 0x823c_1279_5db6_ce57, 0xc210_9436_4dfb_5637,
    0x9096_ea6f_3848_984f, 0xd774_85cb_2582_3ac7, 0xa086_cfcd_97bf_97f4, 0xef34_0a98_172a_ace5,
    0xb238_67fb_2a35_b28e, 0x84c8_d4df_d2c6_3f3b, 0xc5dd_4427_1ad3_cdba, 0x936b_9fce_bb25_c996,
    0xdbac_6c24_7d62_a584, 0xa3ab_6658_0d5f_daf6, 0xf3e2_f893_dec3_f126, 0xb5b5_ada8_aaff_80b8,
    0x8762_5f05_6c7c_4a8b, 0xc9bc_ff60_34c1_3053, 0x964e_858c_91ba_2655, 0xdff9_7724_7029_7ebd,
    0xa6df_bd9f_b8e5_b88f, 0xf8a9_5fcf_8874_7d94, 0xb944_7093_8fa8_9bcf, 0x8a08_f0f8_bf0f_156b,
    0xcdb0_2555_6531_31b6, 0x993f_e2c6_d07b_7fac, 0xe45c_10c4_2a2b_3b06, 0xaa24_2499_6973_92d3,
    0xfd87_b5f2_8300_ca0e, 0xbce5_0864_9211_1aeb, 0x8cbc_cc09_6f50_88cc, 0xd1b7_1758_e219_652c,
    0x9c40_0000_0000_0000, 0xe8d4_a510_0000_0000, 0xad78_ebc5_ac62_0000, 0x813f_3978_f894_0984,
    0xc097_ce7b_c907_15b3, 0x8f7e_32ce_7bea_5c70, 0xd5d2_38a4_abe9_8068, 0x9f4f_2726_179a_2245,
    0xed63_a231_d4c4_fb27, 0xb0de_6538_8cc8_ada8, 0x83c7_088e_1aab_65db, 0xc45d_1df9_4271_1d9a,
    0x924d_692c_a61b_e758, 0xda01_ee64_1a70_8dea, 0xa26d_a399_9aef_774a, 0xf209_787b_b47d_6b85,
    0xb454_e4a1_79dd_1877, 0x865b_8692_5b9b_c5c2, 0xc835_53c5_c896_5d3d, 0x952a_b45c_fa97_a0b3,
    0xde46_9fbd_99a0_5fe3, 0xa59b_c234_db39_8c25, 0xf6c6_9a72_a398_9f5c, 0xb7dc_bf53_54e9_bece,
    0x88fc_f317_f222_41e2, 0xcc20_ce9b_d35c_78a5, 0x9816_5af3_7b21_53df, 0xe2a0_b5dc_971f_303a,
    0xa8d9_d153_5ce3_b396, 0xfb9b_7cd9_a4a7_443c, 0xbb76_4c4c_a7a4_4410, 0x8bab_8eef_b640_9c1a,
    0xd01f_ef10_a657_842c, 0x9b10_a4e5_e991_3129, 0xe710_9bfb_a19c_0c9d, 0xac28_20d9_623b_f429,
    0x8044_4b5e_7aa7_cf85, 0xbf21_e440_03ac_dd2d, 0x8e67_9c2f_5e44_ff8f, 0xd433_179d_9c8c_b841,
    0x9e19_db92_b4e3_1ba9, 0xeb96_bf6e_badf_77d9, 0xaf87_023b_9bf0_ee6b,];

// ---------------------------------------------------------------------------------------------------
// Text to doubles

/// Reads a double as scores are read: the whole text, in any form `strtod` takes.
///
/// `None` for NaN, blanks, trailing bytes, numbers too large for a double (`1e400`; `inf` is one) and
/// numbers too small to be told from zero (`1e-400`); subnormal numbers are taken.
#[inline]
pub fn parse_double(text: &[u8]) -> Option<f64> {
    if text.len() <= 15 && !text.is_empty() && text.iter().all(u8::is_ascii_digit) {
        // The commonest score; below 10^15 an integer is a double.
        return Some(
            text.iter()
                .fold(0u64, |sum, &b| sum * 10 + u64::from(b - b'0')) as f64,
        );
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
        let value = round_bits(significand, sticky, exponent, &DOUBLE)
            .map_or(f64::INFINITY, compose_double);
        let out_of_range = value.is_infinite() || (value == 0.0 && significand != 0);
        return Some(ReadDouble {
            value: if negative { -value } else { value },
            out_of_range,
        });
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
    Some(ReadDouble {
        value,
        out_of_range,
    })
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
    let magnitude = digits.iter().fold(0i64, |sum, &b| {
        (sum * 10 + i64::from(b - b'0')).min(EXPONENT_LIMIT)
    });
    Some(if negative { -magnitude } else { magnitude })
}

/// Reads what follows `0x`: the number is the first value times 2^third, and the second says that more,
/// non-zero bits follow.
fn read_hex(text: &[u8]) -> Option<(u128, bool, i32)> {
    let end = text
        .iter()
        .position(|b| matches!(b, b'p' | b'P'))
        .unwrap_or(text.len());
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

const DOUBLE: Format = Format {
    precision: 53,
    exponent_min: -1074,
    exponent_max: 971,
};
const EXTENDED: Format = Format {
    precision: 64,
    exponent_min: -16_445,
    exponent_max: 16_320,
};

/// Rounds `significand * 2^exponent` (a little more if `sticky`) to the format, ties to even. `None`: too
/// large. A significand of zero: too small, or zero.
fn round_bits(
    significand: u128,
    sticky: bool,
    exponent: i32,
    format: &Format,
) -> Option<(u64, i32)> {
    let bits = 128 - significand.leading_zeros() as i32;
    let drop = (bits - format.precision).max(format.exponent_min - exponent);
    let (mut kept, mut exponent) = if drop <= 0 {
        (significand, exponent)
    } else if drop > bits {
        (0, format.exponent_min) // less than half of the smallest number
    } else {
        let (kept, half) = (
            significand.checked_shr(drop as u32).unwrap_or(0),
            1u128 << (drop - 1),
        );
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

// ---------------------------------------------------------------------------------------------------
// Long doubles

/// An 80-bit extended float, the `long double` that the reference server adds in: 0.1 + 0.2 is 0.3.
///
/// Infinite values can be read (`SET key inf`), NaN cannot come to be: [`LongDouble::checked_add`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Reads a long double as INCRBYFLOAT does: the forms that [`parse_double`] takes, with the range of
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
        let (significand, exponent) = if biased == 0 {
            (fraction, -1074)
        } else {
            (fraction | 1 << 52, biased - 1075)
        };
        Self::compose(value.is_sign_negative(), significand, exponent)
    }

    /// The same number; 64 bits of significand hold every integer of 64 bits.
    pub fn from_i64(value: i64) -> Self {
        Self::compose(value < 0, value.unsigned_abs(), 0)
    }

    /// The sum; `None` if it is infinite or not a number ("increment would produce NaN or Infinity").
    pub fn checked_add(self, other: Self) -> Option<Self> {
        let sum = (self.0 + other.0).value;
        sum.is_finite().then_some(Self(sum))
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
            let significand = number
                .digits
                .iter()
                .fold(0u64, |sum, &b| sum * 10 + u64::from(b - b'0'));
            return Self::from_short_decimal(negative, significand, exponent);
        }
        let digits = String::from_utf8(number.digits).ok()?;
        let read = X87DoubleExtended::from_str_r(
            &format!("{digits}e{exponent}"),
            rustc_apfloat::Round::NearestTiesToEven,
        );
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

    /// From a significand and exponent that the format can hold. Bits 0..64 are the significand with its
    /// first bit explicit, 64..79 the exponent biased by 16383 (of that first bit), 79 the sign.
    fn compose(negative: bool, significand: u64, exponent: i32) -> Self {
        let mut bits = u128::from(negative) << 79;
        if significand != 0 {
            let up = (significand.leading_zeros() as i32).min(exponent - EXTENDED.exponent_min);
            let significand = significand << up;
            let biased =
                (exponent - up - EXTENDED.exponent_min) as u128 + u128::from(significand >> 63);
            bits |= biased << 64 | u128::from(significand);
        }
        Self(X87DoubleExtended::from_bits(bits))
    }

    /// Significand and exponent of a finite number.
    fn decompose(self) -> (u64, i32) {
        let bits = self.0.to_bits();
        let biased = (bits >> 64 & 0x7fff) as i32;
        (bits as u64, biased.max(1) - 1 + EXTENDED.exponent_min)
    }
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
    if units == ONE {
        (whole + 1, 0)
    } else {
        (whole, units as u64)
    }
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
        super::number::push_i64(out, i64::from(top));
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
    let end = text
        .iter()
        .position(|b| matches!(b, b'e' | b'E'))
        .unwrap_or(text.len());
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

/// Reads any bytes as every kind of number, prints what was read and reads it again.
pub fn fuzz_float(data: &[u8]) {
    if let Some(value) = parse_double(data) {
        let mut buffer = DoubleBuffer::new();
        let text = format_double(value, &mut buffer);
        assert_eq!(
            parse_double(text),
            Some(value),
            "a double's text reads back as the same number"
        );
        let mut text = Vec::new();
        push_double_17(&mut text, value);
        assert_eq!(
            parse_double(&text),
            Some(value),
            "and so does its text with 17 digits"
        );
        assert_eq!(parse_double_bound(data), Some(value), "a score is a bound");
    }
    if let Some(value) = LongDouble::parse(data) {
        let mut text = Vec::new();
        value.push_human(&mut text);
        assert!(
            LongDouble::parse(&text).is_some(),
            "a long double's text is one"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;

    fn show(value: f64) -> String {
        String::from_utf8(format_double(value, &mut DoubleBuffer::new()).to_vec()).unwrap()
    }

    fn show_17(value: f64) -> String {
        let mut out = Vec::new();
        push_double_17(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    fn human(text: &str) -> Option<String> {
        let mut out = Vec::new();
        LongDouble::parse(text.as_bytes())?.push_human(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    fn sum(a: &str, b: &str) -> Option<String> {
        let mut out = Vec::new();
        LongDouble::parse(a.as_bytes())?
            .checked_add(LongDouble::parse(b.as_bytes())?)?
            .push_human(&mut out);
        Some(String::from_utf8(out).unwrap())
    }

    /// Observed from ZSCORE of Redis 8.0.2.
    const SCORES: [(f64, &str); 62] = [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (-1.5, "-1.5"),
        (0.1, "0.1"),
        (3.1, "3.1"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e15, "1000000000000000"),
        (1e17, "100000000000000000"),
        (1e18, "1000000000000000000"),
        (1e20, "1e+20"),
        (1e21, "1e+21"),
        (1e22, "1e+22"),
        (1.5e16, "15000000000000000"),
        (1.25e20, "1.25e+20"),
        (1.2e19, "1.2e+19"),
        (12345e15, "1.2345e+19"),
        (1234567e15, "1.234567e+21"),
        (123e20, "12300000000000001000000"),
        (5e22, "49999999999999996000000"),
        (1e23, "99999999999999990000000"),
        (2e22, "2e+22"),
        (9007199254740993.0, "9007199254740992"),
        (12345678901234567.0, "12345678901234568"),
        (1234567890123456789.0, "1234567890123456768"),
        (4611686018427387904.0, "4611686018427387904"),
        (9223372036854775807.0, "9223372036854776000"),
        (-12345678901234567890.0, "-12345678901234567000"),
        (18446744073709551616.0, "18446744073709552000"),
        (20988295479420645000.0, "20988295479420645000"),
        (1e-4, "0.0001"),
        (1e-5, "0.00001"),
        (1e-6, "0.000001"),
        (1e-7, "1e-7"),
        (1.5e-6, "1.5e-6"),
        (1.5e-7, "1.5e-7"),
        (1.25e-5, "1.25e-5"),
        (1.23456e-5, "1.23456e-5"),
        (1.23456789e-4, "1.23456789e-4"),
        (1.2345678e-4, "1.2345678e-4"),
        (0.00123456789, "0.00123456789"),
        (123456789.123456789, "1.2345678912345679e+8"),
        (4503599627370495.5, "4503599627370495.5"),
        (2251799813685247.75, "2251799813685247.7"),
        (3000000000000000.4, "3000000000000000.5"),
        (1e100, "1e+100"),
        (-1.5e300, "-1.5e+300"),
        (f64::MAX, "1.7976931348623157e+308"),
        (f64::MIN_POSITIVE, "2.2250738585072014e-308"),
        (5e-324, "5e-324"),
        (1e-320, "1e-320"),
        (1.1125369292536007e-308, "1.1125369292536007e-308"),
        // Digits that are not the shortest or not the closest.
        (7.036870839547745e+177, "7.0368708395477454e+177"),
        (1.7102156117518561e-177, "1.7102156117518562e-177"),
        (-6016.951217939863, "-6016.9512179398635"),
        (5.890036180278533e-255, "5.8900361802785335e-255"),
        (-276804372109801.38, "-276804372109801.37"),
        (2.8621434746137926e+209, "2.8621434746137927e+209"),
        (2.598572298151494e-116, "2.5985722981514943e-116"),
        (f64::INFINITY, "inf"),
        (f64::NEG_INFINITY, "-inf"),
        (f64::NAN, "nan"),
    ];

    #[test]
    fn scores_print_as_the_reference_prints_them() {
        for (value, text) in SCORES {
            assert_eq!(show(value), text);
            assert!(text.len() <= DOUBLE_TEXT_MAX);
        }
    }

    #[test]
    fn stored_powers_are_the_upper_bits_of_powers_of_ten() {
        for (index, &power) in POWERS.iter().enumerate() {
            let decimal = POWERS_FIRST + POWERS_STEP * index as i32;
            let exact: X87DoubleExtended = format!("1e{decimal}").parse().unwrap();
            let (significand, exponent) = LongDouble(exact).decompose();
            assert_eq!(
                (power, ((decimal * 217_706) >> 16) - 63),
                (significand, exponent),
                "10^{decimal}"
            );
        }
    }

    #[test]
    fn any_double_reads_back_from_its_text() {
        let mut rng = Rng::from_seed(51);
        for round in 0..30_000u64 {
            let value = match round % 3 {
                0 => f64::from_bits(rng.next_u64()),
                1 => {
                    (rng.next_u64() as i64 >> rng.below(64)) as f64
                        / 10f64.powi(rng.below(20) as i32)
                }
                _ => f64::from_bits(rng.next_u64() & !((1 << 52) - 1) | rng.below(3)), // around powers of two
            };
            if value.is_nan() {
                continue;
            }
            let text = show(value);
            assert_eq!(
                parse_double(text.as_bytes()),
                Some(value),
                "{value:e} as {text}"
            );
            assert!(text.len() <= DOUBLE_TEXT_MAX, "{text}");
            let text = show_17(value);
            assert_eq!(
                parse_double(text.as_bytes()),
                Some(value),
                "{value:e} as {text}"
            );
        }
    }

    #[test]
    fn every_exponent_prints_and_reads() {
        for biased in 0..0x7ff_u64 {
            for fraction in [0, 1, (1 << 52) - 1] {
                let value = f64::from_bits(biased << 52 | fraction);
                assert_eq!(show(value).parse::<f64>(), Ok(value));
            }
        }
    }

    #[test]
    fn seventeen_digits_as_in_c() {
        let cases = [
            (3.1, "3.1000000000000001"),
            (1.0, "1"),
            (0.1, "0.10000000000000001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (-0.0, "-0"),
            (1e-4, "0.0001"),
            (1e-5, "1.0000000000000001e-05"),
            (5e-324, "4.9406564584124654e-324"),
            (-1.5e300, "-1.5000000000000001e+300"),
            (123456.5, "123456.5"),
            (f64::NEG_INFINITY, "-inf"),
        ];
        for (value, text) in cases {
            assert_eq!(show_17(value), text);
        }
        let mut out = Vec::new();
        push_fixed(&mut out, 166274.15156960033, 4);
        push_fixed(&mut out, f64::INFINITY, 4);
        assert_eq!(out, b"166274.1516inf");
    }

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
            assert_eq!(
                parse_double(text.as_bytes()).map(f64::to_bits),
                Some(value.to_bits()),
                "{text}"
            );
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
        let mut rng = Rng::from_seed(52);
        for _ in 0..5_000 {
            let value = f64::from_bits(rng.next_u64() >> 1);
            if !value.is_finite() || value == 0.0 {
                continue;
            }
            let (significand, exponent) = LongDouble::from_f64(value).decompose();
            let text = format!("0x{significand:x}p{exponent}");
            assert_eq!(parse_double(text.as_bytes()), Some(value), "{text}");
            assert_eq!(
                LongDouble::parse(text.as_bytes()),
                Some(LongDouble::from_f64(value)),
                "{text}"
            );
        }
    }

    /// Observed from INCRBYFLOAT of Redis 7.0.15 and 8.0.2.
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
            (
                "12345678901234567890.123456789",
                "0",
                "12345678901234567890",
            ),
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
            (
                "1.18973149535723176502e+4932",
                "1.18973149535723176502e+4932",
            ),
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
                && largest
                    .starts_with("118973149535723176502126385303097020516906332229462420044032")
        );
        assert_eq!(
            human(&("1".to_owned() + &"0".repeat(4932))).map(|text| text.len()),
            Some(4933)
        );
        let hex = human(&("0x".to_owned() + &"f".repeat(100))).unwrap();
        assert!(hex.starts_with(
            "2582249878086908589655919172003011874329705792829223512830659356540647622016841"
        ));
        let mut out = Vec::new();
        LongDouble::from_f64(13.361389338970184).push_human(&mut out);
        assert_eq!(out, b"13.36138933897018433");
        out.clear();
        LongDouble::from_i64(i64::MIN).push_human(&mut out);
        assert_eq!(out, b"-9223372036854775808");
    }

    #[test]
    fn short_decimals_agree_with_the_exact_reader() {
        let mut rng = Rng::from_seed(53);
        for _ in 0..5_000 {
            let (significand, exponent) =
                (rng.next_u64() >> rng.below(64), rng.below(55) as i32 - 27);
            let text = format!("{significand}e{exponent}");
            let exact: X87DoubleExtended = text.parse().unwrap();
            assert_eq!(
                LongDouble::parse(text.as_bytes()),
                Some(LongDouble(exact)),
                "{text}"
            );
        }
    }

    #[test]
    fn any_bytes_may_be_read() {
        let mut rng = Rng::from_seed(54);
        let letters = b"0123456789..eEpPxX+-infatyNAF \0";
        for _ in 0..20_000 {
            let text: Vec<u8> = (0..rng.below(14))
                .map(|_| letters[rng.index_below(letters.len())])
                .collect();
            fuzz_float(&text);
        }
    }
}
