//! Digests of values that clients compare.

/// The 16 hexadecimal digits of XXH3-64: what DIGEST replies and `SET ... IFDEQ` compares.
pub fn xxh3_hex(bytes: &[u8]) -> [u8; 16] {
    let mut hex = [0u8; 16];
    let digest = xxhash_rust::xxh3::xxh3_64(bytes);
    for (index, digit) in hex.iter_mut().enumerate() {
        let nibble = (digest >> (60 - 4 * index)) & 0xF;
        *digit = b"0123456789abcdef"[nibble as usize];
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_value_has_the_published_digest() {
        assert_eq!(&xxh3_hex(b""), b"2d06800538d394c2");
    }
}
