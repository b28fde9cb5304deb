//! DUMP payloads: a value with its type, version and checksum. Knows no key.

use super::{Decode, Encoder, Fault, NEWEST_VERSION, Reader, Slice, code_of, decode_value, version_of};
use crate::base::crc::crc64;
use crate::types::{Entry, EntryRef};
use std::fmt;

const FOOTER_BYTES: usize = 10;

/// Why a payload is no value.
#[derive(Debug)]
pub enum PayloadError {
    /// Made by a newer server, or damaged on its way.
    Footer,
    /// The value itself is damaged.
    Value(Fault),
}

impl fmt::Display for PayloadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PayloadError::Footer => f.write_str("wrong version or checksum"),
            PayloadError::Value(fault) => fault.fmt(f),
        }
    }
}

impl std::error::Error for PayloadError {}

/// The payload of a value.
pub fn dump(entry: EntryRef<'_>, compress: bool) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::with_capacity(64), compress);
    let code = code_of(entry);
    encoder.byte(code);
    encoder.value(entry);
    let mut payload = encoder.sink;
    payload.extend_from_slice(&version_of(code).to_le_bytes());
    let sum = crc64(&payload);
    payload.extend_from_slice(&sum.to_le_bytes());
    payload
}

/// The entry of this key that a payload tells of. `check_sum`: whether its checksum counts.
///
/// # Errors
/// A payload that is none, or damaged.
pub fn restore(payload: &[u8], key: &[u8], how: &Decode<'_>, check_sum: bool) -> Result<Entry, PayloadError> {
    let (value, &[v0, v1, ref sum @ ..]) = payload.split_last_chunk::<FOOTER_BYTES>().ok_or(PayloadError::Footer)?;
    let version = u16::from_le_bytes([v0, v1]);
    let sum = u64::from_le_bytes(*sum);
    // Zero means that whoever wrote it did not sum up.
    let summed = &payload[..payload.len() - size_of_val(&sum)];
    if version > NEWEST_VERSION || (check_sum && sum != 0 && crc64(summed) != sum) {
        return Err(PayloadError::Footer);
    }
    let mut reader = Reader::new(Slice::of(value));
    let code = reader.byte().map_err(PayloadError::Value)?;
    let entry = decode_value(&mut reader, code, key, how).map_err(PayloadError::Value)?;
    match reader.input.left() {
        0 => Ok(entry),
        _ => Err(PayloadError::Value(reader.corrupt("bytes behind the value"))),
    }
}

/// Restores arbitrary bytes, behind a footer of their own and behind one that fits: what is accepted must be dumped and restored
/// as the same value.
pub fn fuzz_payload(data: &[u8]) {
    use crate::base::hash::Hasher;
    use crate::types::{Limits, digest};
    let limits = Limits::new(Hasher::seeded([1, 2, 3, 4]));
    let mut fitting = data[..data.len().saturating_sub(FOOTER_BYTES)].to_vec();
    fitting.extend_from_slice(&NEWEST_VERSION.to_le_bytes());
    let sum = crc64(&fitting);
    fitting.extend_from_slice(&sum.to_le_bytes());
    for (payload, check_sum) in [(data, true), (data, false), (&fitting[..], true)] {
        let how = Decode { limits: &limits, deep: true, access: 0 };
        let Ok(entry) = restore(payload, b"key", &how, check_sum) else { continue };
        let again = restore(&dump(entry.view(), true), b"key", &how, true).expect("what was dumped is restored");
        assert_eq!(digest(again.view()), digest(entry.view()));
    }
}
