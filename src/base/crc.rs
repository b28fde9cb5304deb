//! The checksum of RDB files and DUMP payloads: CRC-64 with the polynomial 0xad93d23594c935a9, reflected, beginning with 0.
//! Knows no file.

use crc_fast::{CrcAlgorithm, Digest};

/// The checksum of some bytes.
pub fn crc64(bytes: &[u8]) -> u64 {
    crc_fast::checksum(CrcAlgorithm::Crc64Redis, bytes)
}

/// A checksum that grows with what is written.
#[derive(Clone)]
pub struct Crc64(Digest);

impl Default for Crc64 {
    fn default() -> Self {
        Crc64(Digest::new(CrcAlgorithm::Crc64Redis))
    }
}

impl Crc64 {
    /// Takes more bytes in.
    #[inline]
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The checksum of all that was taken in.
    pub fn value(&self) -> u64 {
        self.0.finalize()
    }
}

/// The checksum of `first` and what follows it, of which only checksum and length are known.
pub fn crc64_joined(first: &[u8], rest: u64, rest_len: u64) -> u64 {
    crc_fast::checksum_combine(CrcAlgorithm::Crc64Redis, crc64(first), rest, rest_len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_checksum_of_redis() {
        assert_eq!(crc64(b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(crc64(b""), 0);
        let mut crc = Crc64::default();
        crc.update(b"1234");
        crc.update(b"56789");
        assert_eq!(crc.value(), crc64(b"123456789"));
        assert_eq!(crc64_joined(b"12", crc64(b"3456789"), 7), crc64(b"123456789"));
    }
}
