//! Keys: where they come from, and what is derived from them for each file. Knows no record.

use super::{
    Cipher, HEADER_BYTES, KEY_AT, KEY_ID_BYTES, KIND_AT, MAGIC, MIX_AT, MIX_BYTES, SALT_AT, SUM_AT, SealFault,
};
use super::{VERSION, ZEROS_AT, number_of};
use crate::base::rng;
use crate::persist::vault::FileKind;
use hkdf::Hkdf;
use sha2::{Digest, Sha256};
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// The environment variable that may hold the key, as hexadecimal digits.
pub const KEY_VARIABLE: &str = "REDSTART_ENCRYPTION_KEY";
/// The file in the data folder that holds the key if none was given.
pub const KEY_FILE: &str = "encryption.key";
const ID_INFO: &[u8] = b"redstart key id";
const FILE_INFO: &[u8] = b"redstart sealed file";

/// A key. Its bytes are wiped when it goes.
pub struct Key {
    bytes: Zeroizing<[u8; KEY_BYTES]>,
    id: [u8; KEY_ID_BYTES],
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", hex(&self.id))
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Key {
    /// A key of these bytes.
    pub fn new(bytes: [u8; KEY_BYTES]) -> Key {
        let bytes = Zeroizing::new(bytes);
        let mut id = [0; KEY_ID_BYTES];
        let expanded = Hkdf::<Sha256>::new(None, bytes.as_slice()).expand(ID_INFO, &mut id);
        expanded.expect("eight bytes are less than what can be derived");
        Key { bytes, id }
    }

    /// From 32 bytes, or from 64 hexadecimal digits with white space around; `None` if it is neither.
    pub fn parse(text: &[u8]) -> Option<Key> {
        if let Ok(bytes) = <[u8; KEY_BYTES]>::try_from(text) {
            return Some(Key::new(bytes));
        }
        let digits = text.trim_ascii();
        if digits.len() != 2 * KEY_BYTES {
            return None;
        }
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            let digit = |at: usize| char::from(*pair.get(at)?).to_digit(16);
            *byte = u8::try_from(digit(0)? << 4 | digit(1)?).ok()?;
        }
        Some(Key::new(*bytes))
    }

    /// What names the key in logs and files, and tells nothing of it.
    pub fn name(&self) -> String {
        hex(&self.id)
    }

    fn cipher(&self, header: &[u8; HEADER_BYTES]) -> Cipher {
        let mut okm = Zeroizing::new([0; 48]);
        let derived = Hkdf::<Sha256>::new(Some(&header[SALT_AT..SUM_AT]), self.bytes.as_slice())
            .expand_multi_info(&[FILE_INFO, &header[..SALT_AT]], okm.as_mut_slice());
        derived.expect("48 bytes are less than what can be derived");
        Cipher::new(&okm, header[KIND_AT])
    }
}

/// The keys that are at hand.
#[derive(Debug)]
pub struct Keyring {
    current: Key,
    previous: Option<Key>,
    mix: [u8; MIX_BYTES],
}

impl Keyring {
    /// `current` seals, both open; `nonce` is the text of that directive.
    pub fn new(current: Key, previous: Option<Key>, nonce: &[u8]) -> Keyring {
        let digest = Sha256::digest(nonce);
        let mix = *digest.first_chunk().expect("a digest has 32 bytes");
        Keyring { current, previous, mix }
    }

    /// The key that seals.
    pub fn current(&self) -> &Key {
        &self.current
    }

    /// A new file's header and keys.
    pub(super) fn begin(&self, kind: FileKind) -> io::Result<([u8; HEADER_BYTES], Cipher)> {
        let mut header = [0; HEADER_BYTES];
        header[..MAGIC.len()].copy_from_slice(&MAGIC);
        header[MAGIC.len()] = VERSION;
        header[KIND_AT] = number_of(kind);
        header[KEY_AT..MIX_AT].copy_from_slice(&self.current.id);
        header[MIX_AT..SALT_AT].copy_from_slice(&self.mix);
        rng::fill_secret(&mut header[SALT_AT..SUM_AT]).map_err(|error| io::Error::other(error.to_string()))?;
        let cipher = self.current.cipher(&header);
        let sum = cipher.sum(&header[..SUM_AT]);
        header[SUM_AT..].copy_from_slice(&sum);
        Ok((header, cipher))
    }

    /// The keys of a file with this header, and whether it was sealed with the current key.
    pub(super) fn cipher_of(&self, header: &[u8; HEADER_BYTES], kind: FileKind) -> Result<(Cipher, bool), SealFault> {
        let damaged = SealFault::Damaged { offset: 0 };
        if !header.starts_with(&MAGIC) {
            return Err(damaged);
        }
        let keys = std::iter::once(&self.current).chain(&self.previous);
        let named = keys.clone().position(|key| header[KEY_AT..MIX_AT] == key.id);
        let Some((at, key)) = named.and_then(|at| Some((at, keys.clone().nth(at)?))) else {
            let id = *header[KEY_AT..].first_chunk().expect("the header is longer");
            return Err(SealFault::OtherKey(id));
        };
        let cipher = key.cipher(header);
        if !bool::from(cipher.sum(&header[..SUM_AT]).ct_eq(&header[SUM_AT..])) {
            return Err(damaged);
        }
        if header[MAGIC.len()] != VERSION || header[ZEROS_AT..KEY_AT] != [0; KEY_AT - ZEROS_AT] {
            return Err(SealFault::OtherVersion(header[MAGIC.len()]));
        }
        if header[KIND_AT] != number_of(kind) {
            return Err(SealFault::OtherKind);
        }
        Ok((cipher, at == 0))
    }
}

/// Why there is no key.
#[derive(Debug)]
pub enum KeyFault {
    /// The file can't be read or made.
    File(PathBuf, io::Error),
    /// What the file holds is no key.
    Form(PathBuf),
    /// What the environment holds is no key.
    Variable,
    /// There are sealed files, but their key is gone.
    Gone(PathBuf),
}

impl fmt::Display for KeyFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KeyFault::File(path, error) => write!(f, "The key file {}: {error}", path.display()),
            KeyFault::Form(path) => {
                write!(f, "The key file {} must hold 32 bytes, or 64 hexadecimal digits", path.display())
            }
            KeyFault::Variable => write!(f, "{KEY_VARIABLE} must be 64 hexadecimal digits"),
            KeyFault::Gone(path) => write!(
                f,
                "{} is sealed, but there is no key: give encryption-key-file, or the environment variable \
                 {KEY_VARIABLE}. No new key is made, for it could not open the file",
                path.display()
            ),
        }
    }
}

impl std::error::Error for KeyFault {}

/// Where keys may be.
#[derive(Debug, Clone, Default)]
pub struct KeySources {
    /// The file that was named, if one was.
    pub file: Option<PathBuf>,
    /// What the environment says.
    pub variable: Option<std::ffi::OsString>,
    /// The data folder, which may have a key of its own.
    pub folder: PathBuf,
    /// The file of the former key, if one was named.
    pub previous: Option<PathBuf>,
    /// Text to mix in.
    pub nonce: Vec<u8>,
}

impl KeySources {
    /// The keys that are there: the named file, then the environment, then the folder's own. `None` if there is none.
    ///
    /// # Errors
    /// If one that was named is not there or is no key.
    pub fn find(&self) -> Result<Option<Keyring>, KeyFault> {
        let current = match (&self.file, &self.variable) {
            (Some(path), _) => Some(read(path)?),
            (None, Some(text)) => Some(Key::parse(text.as_bytes()).ok_or(KeyFault::Variable)?),
            (None, None) => match self.own_file() {
                path if path.exists() => Some(read(&path)?),
                _ => None,
            },
        };
        let previous = self.previous.as_deref().map(read).transpose()?;
        Ok(match (current, previous) {
            (Some(current), previous) => Some(Keyring::new(current, previous, &self.nonce)),
            (None, Some(previous)) => Some(Keyring::new(previous, None, &self.nonce)),
            (None, None) => None,
        })
    }

    /// Makes a new key in the folder. It is on the disk when this returns; under its name it stands whole or not at all.
    ///
    /// # Errors
    /// The system's; there is a key already.
    pub fn make(&self) -> Result<Keyring, KeyFault> {
        let path = self.own_file();
        let temporary = self.folder.join(format!("temp-{}-{KEY_FILE}", std::process::id()));
        let write = || -> io::Result<Key> {
            let mut bytes = Zeroizing::new([0; KEY_BYTES]);
            rng::fill_secret(bytes.as_mut_slice()).map_err(|error| io::Error::other(error.to_string()))?;
            let mut text = hex(bytes.as_slice());
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            let written = writeln!(file, "{text}").and_then(|()| file.sync_all());
            text.zeroize();
            written?;
            // Unlike a rename it never takes the place of a key that somebody else has made meanwhile.
            fs::hard_link(&temporary, &path)?;
            File::open(folder_of(&path))?.sync_all()?;
            Ok(Key::new(*bytes))
        };
        let made = write();
        // If it stays the next start removes it.
        drop(fs::remove_file(&temporary));
        let key = made.map_err(|error| KeyFault::File(path, error))?;
        Ok(Keyring::new(key, None, &self.nonce))
    }

    /// Where the folder's own key is.
    pub fn own_file(&self) -> PathBuf {
        self.folder.join(KEY_FILE)
    }
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn read(path: &Path) -> Result<Key, KeyFault> {
    let fault = |error| KeyFault::File(path.to_owned(), error);
    let text = Zeroizing::new(fs::read(path).map_err(fault)?);
    let mode = fs::metadata(path).map_err(fault)?.permissions().mode();
    if mode & 0o077 != 0 {
        log::warn!("The key file {} can be read by others than its owner (mode {:03o})", path.display(), mode & 0o777);
    }
    Key::parse(&text).ok_or_else(|| KeyFault::Form(path.to_owned()))
}
