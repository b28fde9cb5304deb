//! Sealed files: AES-256-GCM in numbered records. Knows keys and bytes; no format of what is inside.
//!
//! ```text
//! file     header record*
//! header    0  magic        8   93 "REDSEAL"
//!           8  version      1   1
//!           9  kind         1   of the file: snapshot 1, log 2, manifest 3, users 4
//!          10  zeros        6
//!          16  key          8   names the key, tells nothing of it
//!          24  mix         16   first bytes of SHA-256 of the directive `nonce`
//!          40  salt        32   random, of this file alone
//!          72  sum          8   of the 72 bytes before it, keyed (SipHash-2-4)
//! record    0  word         4   LE: bit 31 the file's last record, bit 30 the batch goes on, the rest is the length
//!           4  sum          8   LE: of number and word, keyed
//!          12  ciphertext   length
//!           .  tag         16
//! ```
//!
//! HKDF-SHA-256 of the key, the salt and the header's first 40 bytes gives each file a key of its own for the cipher and one
//! for the sums. The cipher's nonce is the record's number, from 0; associated data are kind, word and number. So no nonce comes
//! twice under one key, and records can't be cut off, swapped, repeated or moved to another file; in a log, records can
//! be cut off at its end, which is what a crash does as well. The sum before a record's bytes makes its length trustworthy:
//! a record that the file's end cuts is torn, everything else that does not fit was changed.
//!
//! A snapshot has records of 64 KiB, the last one marked and shorter; in a log a record is one batch (longer ones are several
//! with bit 30), and the mark is only there if the log was closed in order.

mod keys;
mod read;
#[cfg(test)]
mod tests;
mod write;

pub use keys::{KEY_FILE, KEY_VARIABLE, Key, KeyFault, KeySources, Keyring};
pub use read::{Opened, fuzz_sealed, open};
pub use write::SealedWriter;

use super::vault::FileKind;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use siphasher::sip::SipHasher24;
use std::fmt;
use std::io;

const MAGIC: [u8; 8] = *b"\x93REDSEAL";
/// As many of the magic's bytes make a file a sealed one; if not all are right it is a damaged one.
const MAGIC_SEEN: usize = 5;
const VERSION: u8 = 1;
const KIND_AT: usize = 9;
const ZEROS_AT: usize = 10;
const KEY_AT: usize = 16;
const MIX_AT: usize = KEY_AT + KEY_ID_BYTES;
const SALT_AT: usize = MIX_AT + MIX_BYTES;
const SUM_AT: usize = SALT_AT + SALT_BYTES;
/// Bytes of a file's header.
pub const HEADER_BYTES: usize = SUM_AT + SUM_BYTES;
const KEY_ID_BYTES: usize = 8;
const MIX_BYTES: usize = 16;
const SALT_BYTES: usize = 32;
const SUM_BYTES: usize = 8;
/// Bytes before a record's ciphertext.
const HEAD_BYTES: usize = 4 + SUM_BYTES;
const TAG_BYTES: usize = 16;
/// What a record adds to its content, bytes.
pub const RECORD_EXTRA_BYTES: usize = HEAD_BYTES + TAG_BYTES;
/// Bytes of a snapshot's records.
pub const CHUNK_BYTES: usize = 64 * 1024;
/// Most bytes of a log's record.
const PART_BYTES: usize = 1 << 20;
const LAST: u32 = 1 << 31;
const MORE: u32 = 1 << 30;
const LENGTH: u32 = MORE - 1;

/// Why a sealed file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealFault {
    /// It is sealed and there is no key.
    NoKey,
    /// It was sealed with a key that is not here.
    OtherKey([u8; KEY_ID_BYTES]),
    /// It is sealed as something else.
    OtherKind,
    /// It is of a version that is not known.
    OtherVersion(u8),
    /// It was changed or damaged.
    Damaged {
        /// Where the record that does not fit begins.
        offset: u64,
    },
    /// Its end is missing.
    CutOff {
        /// Where the record that is not there, or not whole, begins.
        offset: u64,
    },
    /// The last batch of a log was not written whole. All before it is good.
    Torn {
        /// Where that batch begins: the file is whole if it is cut off here.
        offset: u64,
    },
}

impl fmt::Display for SealFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SealFault::NoKey => f.write_str(
                "the file is sealed, and there is no key: give encryption-key-file, or the environment variable \
                 REDSTART_ENCRYPTION_KEY",
            ),
            SealFault::OtherKey(id) => {
                write!(f, "the key does not match: the file was sealed with another key (id ")?;
                id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
                f.write_str("); name it as encryption-key-file, or as encryption-key-file-previous")
            }
            SealFault::OtherKind => f.write_str("the file is sealed, but as another kind of file"),
            SealFault::OtherVersion(version) => write!(f, "the file is sealed in form {version}, which is not known"),
            SealFault::Damaged { offset } => {
                write!(f, "integrity check failed in the sealed file at byte {offset}: it was changed or damaged")
            }
            SealFault::CutOff { offset } => {
                write!(f, "integrity check failed: the sealed file is cut off at byte {offset}")
            }
            SealFault::Torn { offset } => {
                write!(f, "the sealed log ends in the middle of the batch at byte {offset}")
            }
        }
    }
}

impl std::error::Error for SealFault {}

impl From<SealFault> for io::Error {
    fn from(fault: SealFault) -> io::Error {
        let kind = match fault {
            SealFault::NoKey | SealFault::OtherKey(_) => io::ErrorKind::PermissionDenied,
            SealFault::Torn { .. } => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        io::Error::new(kind, fault)
    }
}

/// What is wrong with the seal, if that is what an error is about.
pub fn fault_of(error: &io::Error) -> Option<SealFault> {
    error.get_ref()?.downcast_ref::<SealFault>().copied()
}

fn number_of(kind: FileKind) -> u8 {
    match kind {
        FileKind::Snapshot => 1,
        FileKind::Log => 2,
        FileKind::Manifest => 3,
        FileKind::Users => 4,
    }
}

/// Whether a file that begins so is sealed, or was before it was damaged.
pub fn is_sealed(first: &[u8]) -> bool {
    first.len() >= MAGIC.len() && MAGIC.iter().zip(first).filter(|(a, b)| a == b).count() >= MAGIC_SEEN
}

/// Whether a file is the first bytes of a sealed one, and no more.
fn is_begun(whole: &[u8]) -> bool {
    !whole.is_empty() && whole.len() < MAGIC.len() && MAGIC.starts_with(whole)
}

/// One file's keys.
struct Cipher {
    /// The library wipes it when it goes.
    gcm: LessSafeKey,
    sums: SipHasher24,
    kind: u8,
}

impl Cipher {
    fn new(okm: &[u8; 48], kind: u8) -> Cipher {
        let (cipher_key, rest) = okm.split_first_chunk::<32>().expect("32 of 48 bytes");
        let sum_key = rest.first_chunk::<16>().expect("the other 16");
        let key = UnboundKey::new(&AES_256_GCM, cipher_key).expect("32 bytes are a key of this cipher");
        Cipher { gcm: LessSafeKey::new(key), sums: SipHasher24::new_with_key(sum_key), kind }
    }

    fn sum(&self, bytes: &[u8]) -> [u8; SUM_BYTES] {
        self.sums.hash(bytes).to_le_bytes()
    }

    fn associated(&self, number: u64, word: u32) -> [u8; 13] {
        let mut bytes = [self.kind; 13];
        bytes[1..5].copy_from_slice(&word.to_le_bytes());
        bytes[5..].copy_from_slice(&number.to_le_bytes());
        bytes
    }

    fn head_sum(&self, number: u64, word: u32) -> [u8; SUM_BYTES] {
        self.sum(&self.associated(number, word))
    }

    /// Makes what stands in `out` from `at` on a record: room for its head, and its content. A number may be used once.
    fn seal(&self, number: u64, flags: u32, out: &mut Vec<u8>, at: usize) -> io::Result<()> {
        let from = at + HEAD_BYTES;
        let len = out.len().checked_sub(from).and_then(|len| u32::try_from(len).ok());
        let word = len.filter(|len| *len <= LENGTH).ok_or(io::ErrorKind::InvalidInput)? | flags;
        out[at..at + 4].copy_from_slice(&word.to_le_bytes());
        out[at + 4..from].copy_from_slice(&self.head_sum(number, word));
        let associated = Aad::from(self.associated(number, word));
        let tag = self.gcm.seal_in_place_separate_tag(nonce(number), associated, &mut out[from..]);
        out.extend_from_slice(tag.map_err(|_| io::Error::other("a record can't be sealed"))?.as_ref());
        Ok(())
    }

    /// Opens a record in place: ciphertext and tag become the content. False if they are not what was sealed.
    fn open(&self, number: u64, word: u32, record: &mut Vec<u8>) -> bool {
        let Some(len) = record.len().checked_sub(TAG_BYTES) else { return false };
        let associated = Aad::from(self.associated(number, word));
        let is_good = self.gcm.open_in_place(nonce(number), associated, record).is_ok();
        record.truncate(if is_good { len } else { 0 });
        is_good
    }
}

fn nonce(number: u64) -> Nonce {
    let mut nonce = [0; 12];
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}
