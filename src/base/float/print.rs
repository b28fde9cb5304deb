//! Doubles to text, in the layouts of the reference server: shortest digits, `%.17g`, `%.*f`.
//!
//! Knows nothing of replies.
//!
//! # Shortest digits
//! Grisu2 (Florian Loitsch, "Printing Floating-Point Numbers Quickly and Accurately with Integers", PLDI
//! 2010). It always reads back as the same number; in some 0.4 % of random doubles its digits are not the
//! shortest or closest. That is on purpose: the reference server prints by this algorithm, replies are
//! compared byte for byte, and an algorithm without this flaw would differ. Steps are numbered in
//! [`shortest_digits`].

/// Longest text of [`Buffer::format`]: sign, 17 digits and a point, and 7 zeros or an exponent.
pub const DOUBLE_TEXT_MAX: usize = 26;

/// Largest whole number that is printed digit by digit, 2^62: the reference server's bound.
const WHOLE_MAX: f64 = (1u64 << 62) as f64;

/// Room on the stack for one double's text.
#[derive(Clone, Copy)]
pub struct Buffer {
    bytes: [u8; 32],
    len: usize,
}

impl Default for Buffer {
    fn default() -> Self {
        Self::new()
    }
}

impl Buffer {
    /// Nothing in it.
    #[inline]
    pub fn new() -> Self {
        Self { bytes: [0; 32], len: 0 }
    }

    /// The text of a score or RESP3 double: `3`, `3.1`, `1e+21`, `1.5e-7`, `inf`, `-inf`, `nan`, `-0`.
    ///
    /// Whole numbers up to 2^62 are printed as integers, everything else with the shortest digits.
    #[inline]
    pub fn format(&mut self, value: f64) -> &[u8] {
        self.len = 0;
        if value.abs() <= WHOLE_MAX && value == value.trunc() && (value != 0.0 || value.is_sign_positive()) {
            self.push(itoa::Buffer::new().format(value as i64).as_bytes());
        } else if value.is_finite() {
            if value.is_sign_negative() {
                self.push(b"-");
            }
            if value == 0.0 {
                self.push(b"0");
            } else {
                lay_out(&shortest_digits(value.abs()), self);
            }
        } else if value.is_nan() {
            self.push(b"nan");
        } else {
            self.push(if value > 0.0 { b"inf" } else { b"-inf" });
        }
        &self.bytes[..self.len]
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
}

/// Appends the text of [`Buffer::format`].
pub fn push_double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(Buffer::new().format(value));
}

/// Appends `value` as C's `%.17g` does.
pub fn push_double_17(out: &mut Vec<u8>, value: f64) {
    if !value.is_finite() || value == 0.0 {
        out.extend_from_slice(Buffer::new().format(value));
        return;
    }
    // 17 digits correctly rounded, then the layout of `g`: an exponent below -4 or from 17 on.
    let text = format!("{:.16e}", value.abs());
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let digits: Vec<u8> = mantissa.bytes().filter(|&b| b != b'.').collect();
    if value < 0.0 {
        out.push(b'-');
    }
    push_general(out, &digits, exponent);
}

/// 17 digits, the first of them worth 10^exponent, in the layout of C's `%.17g`.
pub(super) fn push_general(out: &mut Vec<u8>, digits: &[u8], exponent: i32) {
    let significant = digits.iter().rposition(|&b| b != b'0').map_or(1, |last| last + 1);
    let digits = &digits[..significant];
    if !(-4..17).contains(&exponent) {
        push_scientific(out, digits, exponent);
    } else if exponent < 0 {
        out.extend_from_slice(b"0.");
        out.extend(std::iter::repeat_n(b'0', exponent.unsigned_abs() as usize - 1));
        out.extend_from_slice(digits);
    } else {
        let whole = exponent as usize + 1;
        out.extend(digits.iter().copied().chain(std::iter::repeat(b'0')).take(whole));
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
fn lay_out(number: &Digits, out: &mut Buffer) {
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
        out.push(itoa::Buffer::new().format(scientific.abs()).as_bytes());
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
        Self { significand: significand << shift, exponent: exponent - shift as i32 }
    }

    /// The upper half of the product, rounded to nearest.
    #[inline]
    fn times(self, other: Self) -> Self {
        let wide = u128::from(self.significand) * u128::from(other.significand) + (1 << 63);
        Self { significand: (wide >> 64) as u64, exponent: self.exponent + other.exponent + 64 }
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
    let (below, step) = if significand == HIDDEN { (4 * significand - 1, 2) } else { (2 * significand - 1, 1) };
    let low = Scaled { significand: below << (exponent - step - high.exponent), exponent: high.exponent };
    let (power, decimal) = power_for(high.exponent); // 2.
    let middle = Scaled::normalized(significand, exponent).times(power);
    let (high, low) = (high.times(power), low.times(power));
    generate(middle.significand, low.significand + 1, high.significand - 1, high.exponent, -decimal) // 3.
}

/// Steps 4 and 5: digits of `high`, where all three numbers stand for themselves times 2^exponent, with
/// `exponent` between -60 and -32, times 10^decimal.
fn generate(middle: u64, low: u64, high: u64, exponent: i32, decimal: i32) -> Digits {
    let shift = exponent.unsigned_abs();
    let one = 1u64 << shift;
    let mut out = Digits { digits: [0; 20], count: 0, exponent: decimal };
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
        let power = Scaled { significand: POWERS[index], exponent: ((decimal * 217_706) >> 16) - 63 };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::float::{LongDouble, parse_double};
    use crate::base::rng::Rng;

    fn show(value: f64) -> String {
        String::from_utf8(Buffer::new().format(value).to_vec()).unwrap()
    }

    fn show_17(value: f64) -> String {
        let mut out = Vec::new();
        push_double_17(&mut out, value);
        String::from_utf8(out).unwrap()
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
        (123456789.12345679, "1.2345678912345679e+8"),
        (4503599627370495.5, "4503599627370495.5"),
        (2251799813685247.8, "2251799813685247.7"),
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
            let exact = LongDouble::parse(format!("1e{decimal}").as_bytes()).unwrap();
            let (significand, exponent) = exact.decompose();
            assert_eq!((power, ((decimal * 217_706) >> 16) - 63), (significand, exponent), "10^{decimal}");
        }
    }

    #[test]
    fn any_double_reads_back_from_its_text() {
        let mut rng = Rng::seeded(51);
        for round in 0..30_000u64 {
            let value = match round % 3 {
                0 => f64::from_bits(rng.next_u64()),
                1 => (rng.next_u64() as i64 >> rng.below(64)) as f64 / 10f64.powi(rng.below(20) as i32),
                _ => f64::from_bits(rng.next_u64() & !((1 << 52) - 1) | rng.below(3)), // around powers of two
            };
            if value.is_nan() {
                continue;
            }
            let text = show(value);
            assert_eq!(parse_double(text.as_bytes()), Some(value), "{value:e} as {text}");
            assert!(text.len() <= DOUBLE_TEXT_MAX, "{text}");
            let text = show_17(value);
            assert_eq!(parse_double(text.as_bytes()), Some(value), "{value:e} as {text}");
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
}
