//! The first line of a script or library: `#!lua name=mylib flags=no-writes,allow-oom`.

use crate::base::text;

/// What a script declares of itself, as bits.
#[allow(missing_docs, reason = "the names are the protocol's own words, listed in NAMES")]
pub mod flags {
    pub const NO_WRITES: u32 = 1 << 0;
    pub const ALLOW_OOM: u32 = 1 << 1;
    pub const ALLOW_STALE: u32 = 1 << 2;
    pub const NO_CLUSTER: u32 = 1 << 3;
    pub const ALLOW_CROSS_SLOT_KEYS: u32 = 1 << 4;
    /// Declared nothing: an EVAL without a header, which may do what scripts always could.
    pub const UNDECLARED: u32 = 1 << 5;

    /// The words that declare them.
    pub const NAMES: &[(u32, &str)] = &[
        (NO_WRITES, "no-writes"),
        (ALLOW_OOM, "allow-oom"),
        (ALLOW_STALE, "allow-stale"),
        (NO_CLUSTER, "no-cluster"),
        (ALLOW_CROSS_SLOT_KEYS, "allow-cross-slot-keys"),
    ];

    /// The flag of a word.
    pub fn of(word: &[u8]) -> Option<u32> {
        NAMES.iter().find(|(_, name)| name.as_bytes() == word).map(|(bit, _)| *bit)
    }
}

/// A header taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Header {
    /// The library's name.
    pub name: Option<Vec<u8>>,
    /// What is declared.
    pub flags: u32,
    /// Bytes of the header line; the line end behind it stays, so that lines keep their numbers.
    pub len: usize,
}

fn lossy(word: &[u8]) -> String {
    String::from_utf8_lossy(word).into_owned()
}

/// The words of the first line, if it is a header: without the `#!`.
fn words(code: &[u8]) -> Option<(Vec<Vec<u8>>, usize)> {
    let end = memchr::memchr(b'\n', code)?;
    let mut words = text::split_args(&code[..end]).ok()?;
    let first = words.first_mut()?;
    first.drain(..first.len().min(2));
    Some((words, end))
}

impl Header {
    /// The header of a script of EVAL; one without has declared nothing.
    ///
    /// # Errors
    /// The text of the refusal, without its code.
    pub fn of_script(code: &[u8]) -> Result<Header, String> {
        if !code.starts_with(b"#!") {
            return Ok(Header { flags: flags::UNDECLARED, ..Header::default() });
        }
        let (words, len) = words(code).ok_or("Invalid script shebang")?;
        let mut words = words.iter();
        let engine = words.next().map_or(&b""[..], |word| word);
        if !engine.eq_ignore_ascii_case(b"lua") {
            return Err(format!("Unexpected engine in script shebang: #!{}", lossy(engine)));
        }
        let mut header = Header { len, ..Header::default() };
        for word in words {
            let list =
                word.strip_prefix(b"flags=").ok_or_else(|| format!("Unknown lua shebang option: {}", lossy(word)))?;
            for flag in list.split(|byte| *byte == b',').filter(|flag| !flag.is_empty()) {
                header.flags |=
                    flags::of(flag).ok_or_else(|| format!("Unexpected flag in script shebang: {}", lossy(flag)))?;
            }
        }
        Ok(header)
    }

    /// The header of a library, which must have one.
    ///
    /// # Errors
    /// The text of the refusal, without its code.
    pub fn of_library(code: &[u8]) -> Result<Header, String> {
        if !code.starts_with(b"#!") {
            return Err("Missing library metadata".to_owned());
        }
        let (words, len) = words(code).ok_or("Invalid library metadata")?;
        let mut words = words.iter();
        let engine = words.next().map_or(&b""[..], |word| word);
        let mut header = Header { len, ..Header::default() };
        for word in words {
            match word.strip_prefix(b"name=") {
                Some(_) if header.name.is_some() => {
                    return Err("Invalid metadata value, name argument was given multiple times".to_owned());
                }
                Some(name) => header.name = Some(name.to_vec()),
                None => return Err(format!("Invalid metadata value given: {}", lossy(word))),
            }
        }
        let Some(name) = &header.name else { return Err("Library name was not given".to_owned()) };
        if engine.is_empty() || !engine.eq_ignore_ascii_case(b"lua") {
            return Err(format!("Engine '{}' not found", lossy(engine)));
        }
        if !is_name(name) {
            return Err(BAD_NAME.to_owned());
        }
        Ok(header)
    }
}

/// What is said of a name that is none.
pub(super) const BAD_NAME: &str =
    "Library names can only contain letters, numbers, or underscores(_) and must be at least one character long";

/// Whether a library or function may be called so.
pub(super) fn is_name(name: &[u8]) -> bool {
    !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_taken_apart_or_refused() {
        let undeclared = Header { flags: flags::UNDECLARED, ..Header::default() };
        assert_eq!(Header::of_script(b"return 1"), Ok(undeclared));
        let both = Header { flags: flags::NO_WRITES | flags::ALLOW_OOM, len: 31, name: None };
        assert_eq!(Header::of_script(b"#!lua flags=no-writes,allow-oom\nreturn 1"), Ok(both));
        assert_eq!(Header::of_script(b"#!lua flags=x\n"), Err("Unexpected flag in script shebang: x".to_owned()));
        assert_eq!(Header::of_script(b"#!lua"), Err("Invalid script shebang".to_owned()));
        assert_eq!(Header::of_library(b"#!LUA name=\"foo\"\n").map(|h| h.name), Ok(Some(b"foo".to_vec())));
        assert_eq!(Header::of_library(b"#!js name=foo\n"), Err("Engine 'js' not found".to_owned()));
        assert_eq!(Header::of_library(b"x"), Err("Missing library metadata".to_owned()));
    }
}
