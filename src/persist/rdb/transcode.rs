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
    let (strings, behind) = match code {
        code::SET => (1, 0),
        code::HASH => (2, 0),
        code::ZSET_2 => (1, size_of::<f64>()),
        code::STREAM_LISTPACKS_3 | code::STREAM_LISTPACKS_4 | code::STREAM_LISTPACKS_5 => return stream(raw, encoder),
        code::HASH_METADATA => return dated(raw, encoder, 2, 0),
        code::SET_DATED => return dated(raw, encoder, 1, 0),
        code::ZSET_DATED => return dated(raw, encoder, 1, size_of::<f64>()),
        code::LIST_QUICKLIST_2 => return nodes(raw, encoder),
        _ => {
            encoder.sink.put(raw);
            return Ok(());
        }
    };
    let mut reader = Reader::new(Slice::of(raw));
    let count = reader.length()?;
    encoder.length(count);
    for _ in 0..count {
        for _ in 0..strings {
            encoder.string(reader.string()?);
        }
        encoder.sink.put(reader.input.take(behind)?);
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

/// Elements with deadlines, each of so many strings and the bytes behind them.
fn dated<S: Sink>(raw: &[u8], encoder: &mut Encoder<S>, strings: usize, behind: usize) -> Result<(), Fault> {
    let mut reader = Reader::new(Slice::of(raw));
    encoder.sink.put(&reader.array::<{ size_of::<i64>() }>()?);
    let count = reader.length()?;
    encoder.length(count);
    for _ in 0..count {
        encoder.length(reader.length()?);
        for _ in 0..strings {
            encoder.string(reader.string()?);
        }
        encoder.sink.put(reader.input.take(behind)?);
    }
    Ok(())
}

fn nodes<S: Sink>(raw: &[u8], encoder: &mut Encoder<S>) -> Result<(), Fault> {
    let mut reader = Reader::new(Slice::of(raw));
    let count = reader.length()?;
    encoder.length(count);
    for _ in 0..count {
        encoder.length(reader.length()?);
        encoder.string(reader.string()?);
    }
    Ok(())
}
