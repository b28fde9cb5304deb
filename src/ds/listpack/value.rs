//! What an entry of a listpack says: a number or a string. Knows no byte of the encoding.
//!
//! Invariant: a value read from a listpack is `Int` exactly if its text is the canonical decimal text of an `i64`.

/// An element as it is stored: a number where its text is one, else the string itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// The number whose decimal text the element is.
    Int(i64),
    /// The element's bytes.
    Str(&'a [u8]),
}

impl<'a> Value<'a> {
    /// The element's bytes; a number is written into `digits`.
    #[inline]
    pub fn text<'b>(self, digits: &'b mut itoa::Buffer) -> &'b [u8]
    where
        'a: 'b,
    {
        match self {
            Value::Int(number) => digits.format(number).as_bytes(),
            Value::Str(bytes) => bytes,
        }
    }

    /// Adds the element's bytes to `out`.
    #[inline]
    pub fn write_to(self, out: &mut Vec<u8>) {
        match self {
            Value::Int(number) => out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            Value::Str(bytes) => out.extend_from_slice(bytes),
        }
    }

    /// The element's bytes in a vector of exactly their length.
    pub fn to_vec(self) -> Vec<u8> {
        self.text(&mut itoa::Buffer::new()).to_vec()
    }

    /// Length of the element's bytes: what STRLEN, HSTRLEN and the reply's bulk header say.
    pub fn text_len(self) -> usize {
        self.text(&mut itoa::Buffer::new()).len()
    }

    /// Whether the element's bytes are `text`.
    #[inline]
    pub fn eq_bytes(self, text: &[u8]) -> bool {
        match self {
            Value::Int(number) => canonical_i64(text) == Some(number),
            Value::Str(bytes) => bytes == text,
        }
    }

    /// The element as a number, if its bytes are the canonical text of one.
    #[inline]
    pub fn to_i64(self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(number),
            Value::Str(bytes) => canonical_i64(bytes),
        }
    }

    /// The element as a float (a sorted set's score): decimal text, `inf` or `-inf`.
    pub fn to_f64(self) -> Option<f64> {
        match self {
            // Up to 2^53 this is exact; above, it rounds as the text's conversion would.
            Value::Int(number) => Some(number as f64),
            Value::Str(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        }
    }
}

impl<'a> From<&'a [u8]> for Value<'a> {
    #[inline]
    fn from(bytes: &'a [u8]) -> Self {
        Value::Str(bytes)
    }
}

impl<'a, const N: usize> From<&'a [u8; N]> for Value<'a> {
    #[inline]
    fn from(bytes: &'a [u8; N]) -> Self {
        Value::Str(bytes)
    }
}

impl<'a> From<&'a Vec<u8>> for Value<'a> {
    #[inline]
    fn from(bytes: &'a Vec<u8>) -> Self {
        Value::Str(bytes)
    }
}

impl From<i64> for Value<'_> {
    #[inline]
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

/// The number whose canonical decimal text `text` is: no sign but `-`, no leading zero, no `-0`, within `i64`.
#[inline]
pub fn canonical_i64(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    let first = *digits.first()?;
    // 19 digits cannot overflow a u64, and no i64 has more. Most strings leave here, on their first byte.
    if !first.is_ascii_digit() || digits.len() > 19 {
        return None;
    }
    if first == b'0' {
        return (text.len() == 1).then_some(0);
    }
    let mut magnitude = 0_u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        magnitude = magnitude * 10 + u64::from(digit);
    }
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_text_of_an_i64_is_a_number() {
        for number in [0, 1, -1, 9, 10, -10, 127, 4095, i64::MAX, i64::MIN, i64::MAX - 1, i64::MIN + 1] {
            assert_eq!(canonical_i64(number.to_string().as_bytes()), Some(number));
        }
        let no = [
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
            "a1",
            "0x1",
            "1.0",
            "9223372036854775808",
            "-9223372036854775809",
            "99999999999999999999",
            "18446744073709551616",
            "123456789012345678901234",
        ];
        for text in no {
            assert_eq!(canonical_i64(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_value_compares_and_converts_by_its_text() {
        assert!(Value::Int(-12).eq_bytes(b"-12"));
        assert!(!Value::Int(12).eq_bytes(b"012"));
        assert!(Value::Str(b"012").eq_bytes(b"012"));
        assert_eq!(Value::Str(b"1.5").to_f64(), Some(1.5));
        assert_eq!(Value::Str(b"-inf").to_f64(), Some(f64::NEG_INFINITY));
        assert_eq!(Value::Int(3).to_f64(), Some(3.0));
        assert_eq!(Value::Str(b"\xff").to_f64(), None);
        assert_eq!((Value::Int(-7).to_i64(), Value::Str(b"x").to_i64()), (Some(-7), None));
        assert_eq!((Value::Int(-7).text_len(), Value::Int(-7).to_vec()), (2, b"-7".to_vec()));
        let mut out = b"n=".to_vec();
        Value::from(5_i64).write_to(&mut out);
        Value::from(b"!").write_to(&mut out);
        assert_eq!(out, b"n=5!");
    }
}
