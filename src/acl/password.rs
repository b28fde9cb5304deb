//! Passwords as they are kept: as SHA-256, which the protocol shows and takes, or as argon2id, salted and slow, for whom a
//! stolen file must not give the passwords away. Neither form is ever compared byte by byte.
//!
//! ```text
//! #5e884898da28047151d0e56f8dc6292773603d0d6aabbd62a11ef721d1542d8      SHA-256, 64 lower-case digits
//! $argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>                          argon2id, in the PHC string format
//! ```

use super::rules::RuleError;
use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use subtle::ConstantTimeEq;

/// Most memory that a hash from outside may ask for, KiB.
const MEMORY_KIB_MAX: u32 = 256 * 1024;
/// Most passes that it may ask for.
const PASSES_MAX: u32 = 16;
/// Most lanes that it may ask for.
const LANES_MAX: u32 = 16;

/// One password, hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Password {
    /// Its SHA-256.
    Sha([u8; 32]),
    /// A PHC string of argon2.
    Slow(Box<str>),
}

impl Password {
    /// The SHA-256 form of a password.
    pub fn sha_of(text: &[u8]) -> Password {
        Password::Sha(Sha256::digest(text).into())
    }

    /// The slow form of a password; takes some 20 ms. `salt`: 16 random bytes.
    ///
    /// # Errors
    /// The password is longer than the algorithm takes.
    pub fn slow_of(text: &[u8], salt: [u8; 16]) -> Result<Password, RuleError> {
        let hashed = Argon2::default().hash_password_with_salt(text, &salt).map_err(|_| RuleError::Syntax)?;
        Ok(Password::Slow(hashed.to_string().into()))
    }

    /// Reads 64 hexadecimal digits in lower case.
    ///
    /// # Errors
    /// `BadHash`.
    pub fn from_hex(digits: &[u8]) -> Result<Password, RuleError> {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(RuleError::BadHash),
        };
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() {
            return Err(RuleError::BadHash);
        }
        for (byte, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = value(pair[0])? << 4 | value(pair[1])?;
        }
        Ok(Password::Sha(hash))
    }

    /// Reads a PHC string, whose cost must be within bounds: what it says is what each login will use.
    ///
    /// # Errors
    /// `BadHash`.
    pub fn from_phc(text: &[u8]) -> Result<Password, RuleError> {
        let text = std::str::from_utf8(text).map_err(|_| RuleError::BadHash)?;
        let parsed = PasswordHash::new(text).map_err(|_| RuleError::BadHash)?;
        let params = argon2::Params::try_from(&parsed).map_err(|_| RuleError::BadHash)?;
        let fits = parsed.algorithm.as_str().starts_with("argon2")
            && parsed.salt.is_some()
            && parsed.hash.is_some()
            && params.m_cost() <= MEMORY_KIB_MAX
            && params.t_cost() <= PASSES_MAX
            && params.p_cost() <= LANES_MAX;
        if fits { Ok(Password::Slow(text.into())) } else { Err(RuleError::BadHash) }
    }

    /// Whether this is the password of the slow form; takes as long as making it.
    pub fn verify_slow(phc: &str, text: &[u8]) -> bool {
        PasswordHash::new(phc).is_ok_and(|parsed| Argon2::default().verify_password(text, &parsed).is_ok())
    }

    /// The rule that makes it.
    pub fn describe(&self) -> String {
        match self {
            Password::Sha(hash) => format!("#{}", hex(hash)),
            Password::Slow(phc) => phc.to_string(),
        }
    }

    /// Whether it is this SHA-256, in constant time.
    pub fn is_sha(&self, hash: &[u8; 32]) -> bool {
        matches!(self, Password::Sha(own) if own.ct_eq(hash).into())
    }
}

/// A password's SHA-256.
pub fn sha(text: &[u8]) -> [u8; 32] {
    Sha256::digest(text).into()
}

/// A password's SHA-256 as 64 digits.
pub fn sha_hex(text: &[u8]) -> String {
    hex(&sha(text))
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        write!(out, "{byte:02x}").expect("a string takes all");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_survive_their_text() {
        let password = Password::sha_of(b"abc\0def");
        let text = password.describe();
        assert_eq!(Password::from_hex(&text.as_bytes()[1..]), Ok(password.clone()));
        assert!(password.is_sha(&sha(b"abc\0def")) && !password.is_sha(&sha(b"abc")));
        let slow = Password::slow_of(b"secret", [7; 16]).expect("short enough");
        let text = slow.describe();
        assert!(text.starts_with("$argon2id$v=19$m="), "{text}");
        assert_eq!(Password::from_phc(text.as_bytes()), Ok(slow));
        assert!(Password::verify_slow(&text, b"secret") && !Password::verify_slow(&text, b"Secret"));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        let digits = sha_hex(b"x");
        for bad in [&digits[1..], &digits.to_uppercase(), "", &format!("{}g", &digits[1..])] {
            assert_eq!(Password::from_hex(bad.as_bytes()), Err(RuleError::BadHash), "{bad}");
        }
        let good = Password::slow_of(b"x", [1; 16]).expect("short").describe();
        for bad in [
            good.replace("m=19456", "m=99999999"),
            good.replace("t=2", "t=9999"),
            "$argon2id$".into(),
            "$".into(),
            "$sha512$x$y".into(),
        ] {
            assert_eq!(Password::from_phc(bad.as_bytes()), Err(RuleError::BadHash), "{bad}");
        }
    }
}
