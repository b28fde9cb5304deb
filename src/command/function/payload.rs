//! Libraries as bytes: what FUNCTION DUMP gives and FUNCTION RESTORE takes.
//!
//! ```text
//! [0xF5 string]*  version (2 bytes)  CRC-64 of all before (8 bytes)             numbers little endian
//! string = length bytes | 0xC3 compressed-length length LZF-bytes | 0xC0..0xC2 integer of 1, 2, 4 bytes
//! length = 00xxxxxx | 01xxxxxx x | 0x80 4 bytes | 0x81 8 bytes                  big endian
//! ```
//!
//! Source: the RDB format, as <https://rdb.fnordig.de/file_format.html> describes it.

/// Before each library.
const LIBRARY: u8 = 0xF5;
/// The version of payloads that are made: the one that knows such libraries first.
const VERSION: u16 = 10;
/// The newest version that is taken.
const NEWEST_VERSION: u16 = 13;
const FOOTER_BYTES: usize = 10;
/// Longest text of a library, bytes.
const MAX_CODE_BYTES: u64 = 512 << 20;

/// The checksum that payloads end with: CRC-64 of Jones, bit by bit. Libraries are small.
fn crc64(bytes: &[u8]) -> u64 {
    const REFLECTED: u64 = 0x95AC_9329_AC4B_C9B5;
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u64::from(*byte), |sum, _| (sum >> 1) ^ (REFLECTED & (sum & 1).wrapping_neg()))
    })
}

/// The payload of libraries, given as their texts.
pub fn dump<'a>(codes: impl Iterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut payload = Vec::new();
    for code in codes {
        payload.push(LIBRARY);
        match code.len() {
            len @ 0..0x40 => payload.push(len as u8),
            len @ 0x40..0x4000 => payload.extend([0x40 | (len >> 8) as u8, len as u8]),
            len => {
                payload.push(0x80);
                payload.extend((len as u32).to_be_bytes());
            }
        }
        payload.extend_from_slice(code);
    }
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
    let body_len = payload.len().checked_sub(FOOTER_BYTES).ok_or(BadPayload::Footer)?;
    let (body, footer) = payload.split_at(body_len);
    let version = u16::from_le_bytes([footer[0], footer[1]]);
    let sum = footer[2..].iter().rev().fold(0u64, |sum, byte| (sum << 8) | u64::from(*byte));
    if version > NEWEST_VERSION || crc64(&payload[..body_len + 2]) != sum {
        return Err(BadPayload::Footer);
    }
    let (mut rest, mut codes) = (body, Vec::new());
    while let Some((kind, after)) = rest.split_first() {
        if *kind != LIBRARY {
            return Err(BadPayload::Kind);
        }
        rest = after;
        codes.push(text(&mut rest).ok_or(BadPayload::Text)?);
    }
    Ok(codes)
}

fn take<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken)
}

/// A big-endian number of `len` bytes.
fn number(rest: &mut &[u8], len: usize) -> Option<u64> {
    Some(take(rest, len)?.iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)))
}

fn len(rest: &mut &[u8], first: u8) -> Option<usize> {
    let low = u64::from(first & 0x3F);
    let len = match first {
        0..0x40 => low,
        0x40..0x80 => (low << 8) | number(rest, 1)?,
        0x80 => number(rest, 4)?,
        0x81 => number(rest, 8)?,
        _ => return None,
    };
    usize::try_from(len).ok().filter(|_| len <= MAX_CODE_BYTES)
}

fn any_len(rest: &mut &[u8]) -> Option<usize> {
    let first = number(rest, 1)? as u8;
    len(rest, first)
}

fn text(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let first = number(rest, 1)? as u8;
    if first == 0xC3 {
        let (packed, whole) = (any_len(rest)?, any_len(rest)?);
        let text = lzf::decompress(take(rest, packed)?, whole).ok()?;
        return (text.len() == whole).then_some(text);
    }
    let len = len(rest, first)?;
    Some(take(rest, len)?.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_the_format() {
        assert_eq!(crc64(b"123456789"), 0xE9C6_D914_C4B8_D9CA);
    }

    #[test]
    fn what_was_dumped_is_read_back_and_damage_is_found() {
        let long = vec![b'x'; 20_000];
        let codes: [&[u8]; 3] = [b"#!lua name=a\n", &[b'y'; 100], &long];
        let payload = dump(codes.into_iter());
        assert_eq!(read(&payload).expect("sound"), codes);
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
            let _ = read(&damaged);
        }
    }
}
