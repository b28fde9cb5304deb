//! The RDB format: values as DUMP and files have them.
//!
//! ```text
//! length   00llllll | 01llllll l8 | 10000000 l32 | 10000001 l64            big-endian
//! string   length bytes                                                    as they are
//!          11000000 i8 | 11000001 i16 | 11000010 i32                       an integer's text, little-endian
//!          11000011 length(packed) length(text) packed                     LZF
//! payload  type value version(u16) crc64                                   DUMP; little-endian
//! ```
//!
//! What a type's value looks like is drawn in `encode.rs` (what is written) and `decode.rs` (what is read besides). Written
//! is what Redis 7.2 reads, version 11, unless a value needs a newer one.

mod decode;
mod encode;
mod input;
mod old;
mod payload;
mod read;
mod stream;
mod transcode;
mod vector;
mod write;

pub use decode::{Decode, decode_value, fuzz_value};
pub use encode::{Encoder, Sink, code_of, code_of_parts};
pub use input::{Fault, Input, Reader, Slice};
pub use payload::{PayloadError, dump, fuzz_payload, restore};
pub use read::{KeyDelay, LoadBudget, LoadOptions, Loaded, Loader, check, fuzz_file, load};
pub use transcode::{transcode, transcode_part};
pub use write::{Access, SaveOptions, Writer, save, save_watched, temporary_name};

/// The version that is written unless a value needs a newer one.
pub const VERSION: u16 = 11;
/// The newest version that is read.
pub const NEWEST_VERSION: u16 = 14;

/// The codes of values' types.
#[allow(missing_docs, reason = "the names are the format's own words")]
pub mod code {
    pub const STRING: u8 = 0;
    pub const LIST: u8 = 1;
    pub const SET: u8 = 2;
    pub const ZSET: u8 = 3;
    pub const HASH: u8 = 4;
    pub const ZSET_2: u8 = 5;
    pub const MODULE: u8 = 6;
    pub const MODULE_2: u8 = 7;
    pub const HASH_ZIPMAP: u8 = 9;
    pub const LIST_ZIPLIST: u8 = 10;
    pub const SET_INTSET: u8 = 11;
    pub const ZSET_ZIPLIST: u8 = 12;
    pub const HASH_ZIPLIST: u8 = 13;
    pub const LIST_QUICKLIST: u8 = 14;
    pub const STREAM_LISTPACKS: u8 = 15;
    pub const HASH_LISTPACK: u8 = 16;
    pub const ZSET_LISTPACK: u8 = 17;
    pub const LIST_QUICKLIST_2: u8 = 18;
    pub const STREAM_LISTPACKS_2: u8 = 19;
    pub const SET_LISTPACK: u8 = 20;
    pub const STREAM_LISTPACKS_3: u8 = 21;
    pub const HASH_METADATA_PRE_GA: u8 = 22;
    pub const HASH_LISTPACK_EX_PRE_GA: u8 = 23;
    pub const HASH_METADATA: u8 = 24;
    pub const HASH_LISTPACK_EX: u8 = 25;
    pub const STREAM_LISTPACKS_4: u8 = 26;
    pub const STREAM_LISTPACKS_5: u8 = 27;
    /// Known by its number only: it is refused.
    pub const ARRAY_OF_8_8: u8 = 28;
    /// Arrays: this server's own, for no published version of Redis has a number for them.
    pub const ARRAY: u8 = 200;
    /// Vector sets, this server's own as well.
    pub const VECTORS: u8 = 201;
    /// Sets whose members have deadlines, this server's own.
    pub const SET_DATED: u8 = 202;
    /// Sorted sets whose members have deadlines, this server's own.
    pub const ZSET_DATED: u8 = 203;
    /// The same, its members and their deadlines apart, as they come while it changes.
    pub const ZSET_DATED_PARTS: u8 = 204;
    /// The same of a set.
    pub const SET_DATED_PARTS: u8 = 205;
}

/// The first version whose readers know a type.
pub fn version_of(code: u8) -> u16 {
    match code {
        code::STREAM_LISTPACKS_4 => 13,
        code::STREAM_LISTPACKS_5 => 14,
        code::HASH_METADATA_PRE_GA.. => 12,
        _ => VERSION,
    }
}

/// What stands before keys, between databases and at the end.
mod opcode {
    pub const SLOT_INFO: u8 = 0xF4;
    pub const FUNCTION2: u8 = 0xF5;
    pub const FUNCTION_PRE_GA: u8 = 0xF6;
    pub const MODULE_AUX: u8 = 0xF7;
    pub const IDLE: u8 = 0xF8;
    pub const FREQ: u8 = 0xF9;
    pub const AUX: u8 = 0xFA;
    pub const RESIZE_DB: u8 = 0xFB;
    pub const EXPIRE_MS: u8 = 0xFC;
    pub const EXPIRE_SECS: u8 = 0xFD;
    pub const SELECT_DB: u8 = 0xFE;
    pub const EOF: u8 = 0xFF;
}

/// How strings are written.
mod string_form {
    pub const BITS_14: u8 = 0x40;
    pub const BITS_32: u8 = 0x80;
    pub const BITS_64: u8 = 0x81;
    pub const SPECIAL: u8 = 0xC0;
    pub const INT_8: u8 = 0xC0;
    pub const INT_16: u8 = 0xC1;
    pub const INT_32: u8 = 0xC2;
    pub const LZF: u8 = 0xC3;
}

/// The parts of a list's node.
mod container {
    pub const PLAIN: u64 = 1;
    pub const PACKED: u64 = 2;
}
