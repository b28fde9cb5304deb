//! Certificates, keys and authorities in PEM files. Knows no TLS beyond them.
//!
//! ```text
//! tls-cert-file      -----BEGIN CERTIFICATE-----  the certificate, then those that lead to its authority
//! tls-key-file       -----BEGIN [RSA|EC|ENCRYPTED] PRIVATE KEY-----  the last with a pass phrase
//! tls-ca-cert-file   -----BEGIN CERTIFICATE-----  any number
//! tls-ca-cert-dir    a folder of such files; others in it are passed over
//! ```

use pkcs8::EncryptedPrivateKeyInfo;
use pkcs8::der::Decode;
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fmt;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Largest file that is read, bytes: a bundle of all public authorities is a fraction of it.
const MAX_FILE_BYTES: u64 = 16 << 20;
const ENCRYPTED_LABEL: &str = "ENCRYPTED PRIVATE KEY";

/// Why TLS can't be used as the options say.
#[derive(Debug)]
pub enum TlsError {
    /// An option that must be set is not.
    Missing(&'static str),
    /// A file can't be read.
    Io {
        /// The option that names it.
        option: &'static str,
        /// Its path.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// A file holds something else.
    Content {
        /// The option that names it.
        option: &'static str,
        /// Its path.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A value that can't be honoured.
    Value {
        /// The option.
        option: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The library refuses what the options say together.
    Refused(rustls::Error),
}

impl fmt::Display for TlsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TlsError::Missing(text) => f.write_str(text),
            TlsError::Io { option, path, error } => {
                let text = error.to_string();
                write!(f, "{option} '{}': {}", path.display(), text.split(" (os error").next().unwrap_or_default())
            }
            TlsError::Content { option, path, what } => write!(f, "{option} '{}': {what}", path.display()),
            TlsError::Value { option, what } => write!(f, "{option}: {what}"),
            TlsError::Refused(rustls::Error::InconsistentKeys(_)) => {
                f.write_str("the key in tls-key-file does not belong to the certificate in tls-cert-file")
            }
            TlsError::Refused(error) => write!(f, "{error}"),
        }
    }
}

impl std::error::Error for TlsError {}

/// A file that an option names.
#[derive(Clone, Copy)]
pub(super) struct Named<'a> {
    pub(super) option: &'static str,
    pub(super) path: &'a Path,
}

impl Named<'_> {
    fn io(&self, error: io::Error) -> TlsError {
        TlsError::Io { option: self.option, path: self.path.to_owned(), error }
    }

    fn content(&self, what: impl Into<String>) -> TlsError {
        TlsError::Content { option: self.option, path: self.path.to_owned(), what: what.into() }
    }

    fn read(&self) -> Result<Vec<u8>, TlsError> {
        let found = std::fs::metadata(self.path).map_err(|error| self.io(error))?;
        if found.is_dir() {
            return Err(self.io(io::ErrorKind::IsADirectory.into()));
        }
        if found.len() > MAX_FILE_BYTES {
            return Err(self.content("the file is too large to hold certificates or keys"));
        }
        std::fs::read(self.path).map_err(|error| self.io(error))
    }

    /// All certificates of the file, at least one.
    pub(super) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let text = self.read()?;
        let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
        let parsed = parsed.map_err(|error| self.content(format!("no sound PEM: {error}")))?;
        if parsed.is_empty() {
            return Err(self.content("holds no certificate in PEM form"));
        }
        Ok(parsed)
    }

    /// The private key of the file, opened with the pass phrase if it is locked.
    pub(super) fn key(&self, pass: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
        let text = self.read()?;
        let locked = std::str::from_utf8(&text).ok().filter(|text| text.contains(ENCRYPTED_LABEL));
        if let Some(text) = locked {
            return self.unlock(text, pass);
        }
        if text.windows(16).any(|window| window == b"4,ENCRYPTED\nDEK-") {
            return Err(self.content(
                "is locked in the old form of OpenSSL, which is not read; convert it with: openssl pkcs8 -topk8 -in KEY -out NEW",
            ));
        }
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| self.content(format!("holds no private key: {error}")))
    }

    fn unlock(&self, text: &str, pass: &[u8]) -> Result<PrivateKeyDer<'static>, TlsError> {
        let begin = text.find("-----BEGIN ENCRYPTED").unwrap_or_default();
        let end = text[begin..].find("-----END ENCRYPTED PRIVATE KEY-----").map_or(text.len(), |at| begin + at + 35);
        let (_, document) = pkcs8::SecretDocument::from_pem(text[begin..end.min(text.len())].trim())
            .map_err(|error| self.content(format!("holds no private key: {error}")))?;
        let locked = EncryptedPrivateKeyInfo::from_der(document.as_bytes())
            .map_err(|error| self.content(format!("holds no private key: {error}")))?;
        if pass.is_empty() {
            return Err(self.content("needs a pass phrase: set tls-key-file-pass"));
        }
        let opened = locked.decrypt(pass).map_err(|_| self.content("the pass phrase does not open the key"))?;
        Ok(PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec())))
    }
}

/// Certificates that are trusted, as authorities and as they are.
#[derive(Debug)]
pub(super) struct Authorities {
    pub(super) roots: RootCertStore,
    /// Each of them: a peer may show one that signed itself.
    pub(super) known: Vec<CertificateDer<'static>>,
}

impl Authorities {
    /// None yet.
    pub(super) fn none() -> Authorities {
        Authorities { roots: RootCertStore::empty(), known: Vec::new() }
    }

    fn take(&mut self, certificates: Vec<CertificateDer<'static>>) -> usize {
        let (taken, _) = self.roots.add_parsable_certificates(certificates.iter().cloned());
        self.known.extend(certificates);
        taken
    }

    /// Those of a file.
    pub(super) fn add_file(&mut self, file: Named<'_>) -> Result<(), TlsError> {
        match self.take(file.certificates()?) {
            0 => Err(file.content("holds no certificate that could be an authority")),
            _ => Ok(()),
        }
    }

    /// Those of the files of a folder.
    pub(super) fn add_folder(&mut self, folder: Named<'_>) -> Result<(), TlsError> {
        let entries = std::fs::read_dir(folder.path).map_err(|error| folder.io(error))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
        paths.sort();
        let mut taken = 0;
        for path in paths.iter().filter(|path| path.is_file()) {
            if let Ok(certificates) = (Named { option: folder.option, path }).certificates() {
                taken += self.take(certificates);
            }
        }
        if taken == 0 { Err(folder.content("holds no file with a certificate")) } else { Ok(()) }
    }
}

/// What tells one content of a file from the next: number of the file, its length, when it was changed (seconds, nanoseconds).
type Stamp = Option<(u64, u64, i64, i64)>;

/// How files looked when they were read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Stamps(Vec<(PathBuf, Stamp)>);

impl Stamps {
    /// How these look now.
    pub(super) fn of(paths: impl Iterator<Item = PathBuf>) -> Stamps {
        let stamp = |path: &Path| {
            let found = std::fs::metadata(path).ok()?;
            Some((found.ino(), found.len(), found.mtime(), found.mtime_nsec()))
        };
        Stamps(paths.map(|path| (path.clone(), stamp(&path))).collect())
    }

    /// How the same files look now.
    pub(super) fn again(&self) -> Stamps {
        Stamps::of(self.0.iter().map(|(path, _)| path.clone()))
    }
}
