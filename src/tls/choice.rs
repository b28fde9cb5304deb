//! Versions of TLS and cipher suites by the names that OpenSSL gives them, which is how they stand in existing files.
//!
//! ```text
//! tls-protocols      TLSv1.2 TLSv1.3                                    older ones are refused
//! tls-ciphers        ECDHE+AESGCM:!AES128:@STRENGTH                     up to TLS 1.2, in order of preference
//! tls-ciphersuites   TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256  TLS 1.3
//! ```
//!
//! Source of the cipher list's form: the manual page openssl-ciphers(1).

use super::files::TlsError;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::{CipherSuite, SupportedCipherSuite, SupportedProtocolVersion};
use std::sync::Arc;

/// The versions that `tls-protocols` names; both when it is empty.
pub(super) fn versions(text: &[u8]) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    let refuse = |what: &str| TlsError::Value { option: "tls-protocols", what: what.to_owned() };
    let text = String::from_utf8_lossy(text);
    let mut chosen = Vec::new();
    let mut old = false;
    for word in text.split_ascii_whitespace() {
        match word.to_ascii_lowercase().as_str() {
            "tlsv1" | "tlsv1.1" => old = true,
            "tlsv1.2" => chosen.push(&rustls::version::TLS12),
            "tlsv1.3" => chosen.push(&rustls::version::TLS13),
            _ => {
                return Err(refuse(
                    "Invalid tls-protocols specified. Use a combination of 'TLSv1', 'TLSv1.1', 'TLSv1.2' and 'TLSv1.3'.",
                ));
            }
        }
    }
    match (chosen.is_empty(), old) {
        (true, true) => Err(refuse("TLSv1 and TLSv1.1 are not safe and not spoken; name TLSv1.2 or TLSv1.3")),
        (true, false) => Ok(vec![&rustls::version::TLS13, &rustls::version::TLS12]),
        (false, _) => Ok(chosen),
    }
}

/// What a suite of TLS 1.2 is made of, by the words that a cipher list may use.
struct Suite {
    name: &'static str,
    id: CipherSuite,
    words: &'static [&'static str],
    /// Bits of its key, for @STRENGTH.
    bits: u32,
}

const fn suite(name: &'static str, id: CipherSuite, bits: u32, words: &'static [&'static str]) -> Suite {
    Suite { name, id, words, bits }
}

const RSA_256: &[&str] = &["AES", "AES256", "AESGCM", "aRSA", "RSA", "SHA384"];
const RSA_128: &[&str] = &["AES", "AES128", "AESGCM", "aRSA", "RSA", "SHA256"];
const RSA_CHACHA: &[&str] = &["CHACHA20", "aRSA", "RSA"];
const ECDSA_256: &[&str] = &["AES", "AES256", "AESGCM", "aECDSA", "ECDSA", "SHA384"];
const ECDSA_128: &[&str] = &["AES", "AES128", "AESGCM", "aECDSA", "ECDSA", "SHA256"];
const ECDSA_CHACHA: &[&str] = &["CHACHA20", "aECDSA", "ECDSA"];
/// Words that all of them answer to.
const COMMON: &[&str] = &["ALL", "DEFAULT", "HIGH", "ECDHE", "EECDH", "kEECDH", "kECDHE", "TLSv1.2", "FIPS"];

const OLD_SUITES: [Suite; 6] = [
    suite("ECDHE-ECDSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, 256, ECDSA_256),
    suite("ECDHE-RSA-AES256-GCM-SHA384", CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, 256, RSA_256),
    suite(
        "ECDHE-ECDSA-CHACHA20-POLY1305",
        CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256,
        256,
        ECDSA_CHACHA,
    ),
    suite("ECDHE-RSA-CHACHA20-POLY1305", CipherSuite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256, 256, RSA_CHACHA),
    suite("ECDHE-ECDSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, 128, ECDSA_128),
    suite("ECDHE-RSA-AES128-GCM-SHA256", CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, 128, RSA_128),
];

const NEW_SUITES: [(&str, CipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", CipherSuite::TLS13_AES_256_GCM_SHA384),
    ("TLS_CHACHA20_POLY1305_SHA256", CipherSuite::TLS13_CHACHA20_POLY1305_SHA256),
    ("TLS_AES_128_GCM_SHA256", CipherSuite::TLS13_AES_128_GCM_SHA256),
];

impl Suite {
    /// Whether all parts of a term (`ECDHE+AESGCM`) fit.
    fn fits(&self, term: &str) -> bool {
        let same = |a: &str, b: &str| a.eq_ignore_ascii_case(b);
        term.split('+')
            .all(|part| same(part, self.name) || COMMON.iter().chain(self.words).any(|word| same(word, part)))
    }
}

/// Suites up to TLS 1.2 that a cipher list leaves, in its order.
fn old_suites(text: &str) -> Result<Vec<CipherSuite>, TlsError> {
    let mut chosen: Vec<usize> = Vec::new();
    let mut banned = [false; OLD_SUITES.len()];
    for term in text.split([':', ',', ' ']).filter(|term| !term.is_empty()) {
        let matching = |term: &str| (0..OLD_SUITES.len()).filter(|i| OLD_SUITES[*i].fits(term)).collect::<Vec<_>>();
        if let Some(term) = term.strip_prefix('!') {
            for index in matching(term) {
                banned[index] = true;
            }
            chosen.retain(|index| !banned[*index]);
        } else if let Some(term) = term.strip_prefix('-') {
            let gone = matching(term);
            chosen.retain(|index| !gone.contains(index));
        } else if let Some(term) = term.strip_prefix('+') {
            let last = matching(term);
            chosen.sort_by_key(|index| last.contains(index));
        } else if term.eq_ignore_ascii_case("@STRENGTH") {
            chosen.sort_by_key(|index| std::cmp::Reverse(OLD_SUITES[*index].bits));
        } else if !term.starts_with('@') {
            let new: Vec<usize> = matching(term).into_iter().filter(|i| !banned[*i] && !chosen.contains(i)).collect();
            chosen.extend(new);
        }
    }
    if chosen.is_empty() {
        let what =
            format!("no cipher of '{text}' is known; known are {}", OLD_SUITES.map(|suite| suite.name).join(":"));
        return Err(TlsError::Value { option: "tls-ciphers", what });
    }
    Ok(chosen.into_iter().map(|index| OLD_SUITES[index].id).collect())
}

/// Suites of TLS 1.3, in the order given.
fn new_suites(text: &str) -> Result<Vec<CipherSuite>, TlsError> {
    let mut chosen = Vec::new();
    for name in text.split([':', ',', ' ']).filter(|name| !name.is_empty()) {
        let Some((_, id)) = NEW_SUITES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)) else {
            let known = NEW_SUITES.map(|(known, _)| known).join(":");
            let what = format!("'{name}' is not known; known are {known}");
            return Err(TlsError::Value { option: "tls-ciphersuites", what });
        };
        if !chosen.contains(id) {
            chosen.push(*id);
        }
    }
    Ok(chosen)
}

/// The cryptography, with the suites that the two options choose.
pub(super) fn provider(ciphers: &[u8], ciphersuites: &[u8]) -> Result<Arc<CryptoProvider>, TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    let all = std::mem::take(&mut provider.cipher_suites);
    let is_new = |suite: &SupportedCipherSuite| suite.tls13().is_some();
    let pick = |ids: Vec<CipherSuite>| -> Vec<SupportedCipherSuite> {
        ids.iter().filter_map(|id| all.iter().find(|suite| suite.suite() == *id).copied()).collect()
    };
    let (ciphers, ciphersuites) = (String::from_utf8_lossy(ciphers), String::from_utf8_lossy(ciphersuites));
    let new = match ciphersuites.trim() {
        "" => all.iter().copied().filter(is_new).collect(),
        text => pick(new_suites(text)?),
    };
    let old = match ciphers.trim() {
        "" => all.iter().copied().filter(|suite| !is_new(suite)).collect(),
        text => pick(old_suites(text)?),
    };
    provider.cipher_suites = [new, old].concat();
    Ok(Arc::new(provider))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        let ids = old_suites(list).expect("known ciphers");
        ids.iter().filter_map(|id| OLD_SUITES.iter().find(|suite| suite.id == *id).map(|suite| suite.name)).collect()
    }

    #[test]
    fn cipher_lists_are_read_as_openssl_reads_them() {
        assert_eq!(names("DEFAULT").len(), 6);
        assert_eq!(names("ECDHE-RSA-AES128-GCM-SHA256:unknown"), ["ECDHE-RSA-AES128-GCM-SHA256"]);
        assert_eq!(names("ALL:!ECDSA:!CHACHA20"), ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"]);
        assert_eq!(names("AES128:AES256:@STRENGTH")[0], "ECDHE-ECDSA-AES256-GCM-SHA384");
        assert_eq!(names("aRSA+AESGCM:-AES256"), ["ECDHE-RSA-AES128-GCM-SHA256"]);
        assert_eq!(names("DEFAULT:+AES256:@SECLEVEL=1").last(), Some(&"ECDHE-RSA-AES256-GCM-SHA384"));
        assert!(!names("!AES256:ALL").contains(&"ECDHE-RSA-AES256-GCM-SHA384"));
        assert!(old_suites("AES128-SHA256").is_err());
    }

    #[test]
    fn versions_and_suites_are_chosen_or_refused_by_name() {
        assert_eq!(versions(b"").expect("both").len(), 2);
        assert_eq!(versions(b"TLSv1.2").expect("one"), [&rustls::version::TLS12]);
        assert_eq!(versions(b"tlsv1.1 TLSv1.3").expect("one"), [&rustls::version::TLS13]);
        assert!(versions(b"TLSv1 TLSv1.1").is_err() && versions(b"TLSv1.2 SSLv3").is_err());
        let provider = provider(b"ECDHE-RSA-AES256-GCM-SHA384", b"TLS_AES_128_GCM_SHA256").expect("known");
        let ids: Vec<CipherSuite> = provider.cipher_suites.iter().map(|suite| suite.suite()).collect();
        assert_eq!(ids, [CipherSuite::TLS13_AES_128_GCM_SHA256, CipherSuite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]);
        assert!(super::provider(b"", b"TLS_NOTHING").is_err());
    }
}
