//! A value that was written without compression, written once more: so that the loop need not compress what a thread can.
//! Knows no entry.

use super::code;
use super::encode::{Encoder, Sink};
use super::input::{Fault, Input, Reader, Slice};

/// Writes a value of this type, which `raw` holds without compression, into `encoder`.
///
/// # Errors
/// If `raw` is no such value.
pub fn transcode<S: Sink>(code: u8, raw: &[u8], encoder: &mut Encoder<S>) -> Result<(), Fault> {
    match code {
        code::STREAM_LISTPACKS_3 | code::STREAM_LISTPACKS_4 | code::STREAM_LISTPACKS_5 => return stream(raw, encoder),
        code::LIST_QUICKLIST_2 | code::SET | code::HASH | code::ZSET_2 => {}
        code if is_dated(code) => {}
        _ => {
            encoder.sink.put(raw);
            return Ok(());
        }
    }
    let mut reader = Reader::new(Slice::of(raw));
    if is_dated(code) {
        encoder.sink.put(&reader.array::<{ size_of::<i64>() }>()?);
    }
    encoder.length(reader.length()?);
    if matches!(code, code::SET_DATED_PARTS | code::ZSET_DATED_PARTS) {
        encoder.length(reader.length()?);
    }
    elements(code, &mut reader, encoder)
}

/// Whether a deadline stands before each element.
fn is_dated(code: u8) -> bool {
    use code::{HASH_METADATA, SET_DATED, SET_DATED_PARTS, ZSET_DATED, ZSET_DATED_PARTS};
    matches!(code, HASH_METADATA | SET_DATED | SET_DATED_PARTS | ZSET_DATED | ZSET_DATED_PARTS)
}

/// Writes a part of a large collection, which `raw` holds without compression, into `encoder`: elements, or nodes of a list. Of
/// a stream the parts with an ordinal are nodes.
///
/// # Errors
/// If `raw` is something else.
pub fn transcode_part<S: Sink>(code: u8, ordinal: u32, raw: &[u8], encoder: &mut Encoder<S>) -> Result<(), Fault> {
    let mut reader = Reader::new(Slice::of(raw));
    match code {
        code::STREAM_LISTPACKS_3 | code::STREAM_LISTPACKS_4 | code::STREAM_LISTPACKS_5 if ordinal > 0 => {
            while reader.input.left() > 0 {
                encoder.string(reader.string()?);
            }
            Ok(())
        }
        code::LIST_QUICKLIST_2 | code::SET | code::HASH | code::ZSET_2 => elements(code, &mut reader, encoder),
        code if is_dated(code) => elements(code, &mut reader, encoder),
        _ => {
            encoder.sink.put(raw);
            Ok(())
        }
    }
}

fn elements<S: Sink>(code: u8, reader: &mut Reader<Slice<'_>>, encoder: &mut Encoder<S>) -> Result<(), Fault> {
    while reader.input.left() > 0 {
        let mut before = 0;
        if is_dated(code) || code == code::LIST_QUICKLIST_2 {
            before = reader.length()?;
            encoder.length(before);
        }
        encoder.string(reader.string()?);
        match code {
            code::HASH | code::HASH_METADATA => encoder.string(reader.string()?),
            code::ZSET_DATED_PARTS if before > 0 => {}
            code::ZSET_2 | code::ZSET_DATED | code::ZSET_DATED_PARTS => {
                encoder.sink.put(reader.input.take(size_of::<f64>())?)
            }
            _ => {}
        }
    }
    Ok(())
}

fn stream<S: Sink>(raw: &[u8], encoder: &mut Encoder<S>) -> Result<(), Fault> {
    let mut reader = Reader::new(Slice::of(raw));
    let count = reader.length()?;
    encoder.length(count);
    for _ in 0..count {
        encoder.string(reader.string()?);
        encoder.string(reader.string()?);
    }
    // What stands behind the nodes is short.
    let left = reader.input.left();
    encoder.sink.put(reader.input.take(left)?);
    Ok(())
}
