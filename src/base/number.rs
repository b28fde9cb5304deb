//! Integers as text, and sizes with units. A value is an integer only in its canonical form: no sign but a leading minus,
//! no leading zero, no blank.

/// The integer that `text` is, if it is one in canonical form.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        Some(_) => (false, text),
        None => return None,
    };
    let magnitude = parse_u64(digits)?;
    if !negative {
        return i64::try_from(magnitude).ok();
    }
    if magnitude == 0 || magnitude > 1 << 63 {
        return None;
    }
    Some((magnitude as i64).wrapping_neg())
}

/// The unsigned integer that `text` is, if it is one in canonical form.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    let (&first, rest) = text.split_first()?;
    if first == b'0' {
        return if rest.is_empty() { Some(0) } else { None };
    }
    if text.len() > 20 || !first.is_ascii_digit() {
        return None;
    }
    let mut n = u64::from(first - b'0');
    if text.len() <= 19 {
        // 19 digits can't overflow.
        for &byte in rest {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            n = n * 10 + u64::from(digit);
        }
        return Some(n);
    }
    for &byte in rest {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        n = n.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(n)
}

/// A size in bytes: a number and `b`, `k` (1000), `kb` (1024), `m`, `mb`, `g`, `gb`, in any case.
pub fn parse_memory(text: &[u8]) -> Option<u64> {
    let split = text.iter().position(|b| !b.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(split);
    let factor: u64 = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let digits = std::str::from_utf8(digits).ok()?;
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canonical_integers_are_integers() {
        for n in [0, 1, -1, 9, 10, -10, i64::MAX, i64::MIN, 1_000_000_007] {
            assert_eq!(parse_i64(n.to_string().as_bytes()), Some(n));
        }
        for bad in ["", "-", "-0", "+1", "01", " 1", "1 ", "1.0", "9223372036854775808", "-9223372036854775809", "1e3", "99999999999999999999999"] {
            assert_eq!(parse_i64(bad.as_bytes()), None, "{bad}");
        }
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
    }

    #[test]
    fn sizes_have_decimal_and_binary_units() {
        assert_eq!(parse_memory(b"256kb"), Some(262_144));
        assert_eq!(parse_memory(b"256K"), Some(256_000));
        assert_eq!(parse_memory(b"1Gb"), Some(1 << 30));
        assert_eq!(parse_memory(b"12b"), Some(12));
        assert_eq!(parse_memory(b"x"), None);
        assert_eq!(parse_memory(b"1tb"), None);
    }
}
