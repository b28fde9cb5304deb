//! Libraries as bytes: what FUNCTION DUMP gives and FUNCTION RESTORE takes. Their texts stand as an RDB file has them.
//!
//! ```text
//! [0xF5 string]*  version (2 bytes)  CRC-64 of all before (8 bytes)             numbers little endian
//! ```

use crate::base::crc::crc64;
use crate::persist::rdb::{Encoder, NEWEST_VERSION, Reader, Slice};

/// Before each library.
const LIBRARY: u8 = 0xF5;
/// The version of payloads that are made: the one that knows such libraries first.
const VERSION: u16 = 10;
const FOOTER_BYTES: usize = 10;

/// The payload of libraries, given as their texts; long ones compressed, if so wished.
pub fn dump<'a>(codes: impl Iterator<Item = &'a [u8]>, compress: bool) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new(), compress);
    for code in codes {
        encoder.byte(LIBRARY);
        encoder.string(code);
    }
    let mut payload = encoder.sink;
    payload.extend(VERSION.to_le_bytes());
    let sum = crc64(&payload);
    payload.extend(sum.to_le_bytes());
    payload
}

/// Why a payload can't be taken.
#[derive(Debug, PartialEq, Eq)]
pub enum BadPayload {
    /// It is too short, too new, or damaged.
    Footer,
    /// It holds something else than libraries.
    Kind,
    /// A text does not end where it should.
    Text,
}

/// The texts of the libraries in a payload.
///
/// # Errors
/// It is none.
pub fn read(payload: &[u8]) -> Result<Vec<Vec<u8>>, BadPayload> {
    let (body, &[v0, v1, ref sum @ ..]) = payload.split_last_chunk::<FOOTER_BYTES>().ok_or(BadPayload::Footer)?;
    let sum = u64::from_le_bytes(*sum);
    // Zero means that whoever made it did not sum up.
    let summed = &payload[..payload.len() - size_of_val(&sum)];
    if u16::from_le_bytes([v0, v1]) > NEWEST_VERSION || (sum != 0 && crc64(summed) != sum) {
        return Err(BadPayload::Footer);
    }
    let (mut reader, mut codes) = (Reader::new(Slice::of(body)), Vec::new());
    while reader.input.left() > 0 {
        if reader.byte().map_err(|_| BadPayload::Text)? != LIBRARY {
            return Err(BadPayload::Kind);
        }
        codes.push(reader.owned_string().map_err(|_| BadPayload::Text)?);
    }
    Ok(codes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_dumped_is_read_back_and_damage_is_found() {
        let (long, random) = (vec![b'x'; 20_000], crate::base::rng::Rng::seeded(1).hex(40_000));
        let codes: [&[u8]; 4] = [b"#!lua name=a\n", &[b'y'; 100], &long, random.as_bytes()];
        let payload = dump(codes.into_iter(), true);
        assert_eq!(read(&payload).expect("sound"), codes);
        assert_eq!(read(&dump(codes.into_iter(), false)).expect("sound"), codes);
        assert!(payload.len() < dump(codes.into_iter(), false).len());
        assert_eq!(read(b"x"), Err(BadPayload::Footer));
        let mut state = 7u64;
        for _ in 0..2000 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut damaged = payload[..payload.len().min(130)].to_vec();
            let at = (state >> 33) as usize % damaged.len();
            damaged[at] ^= 1 << (state % 8);
            let end = damaged.len();
            let sum = crc64(&damaged[..end - 8]);
            damaged[end - 8..].copy_from_slice(&sum.to_le_bytes());
            // Whatever it is now, it is read or refused.
            drop(read(&damaged));
        }
    }
}
