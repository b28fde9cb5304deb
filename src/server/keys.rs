//! Where the keys of sealed files come from: options, environment, data folder. Knows no cipher.

use crate::config::Config;
use crate::persist::seal::{KEY_FILE, KEY_VARIABLE, KeyFault, KeySources};
use crate::persist::storage::Disk;
use crate::persist::vault::Vault;
use std::path::PathBuf;
use std::sync::Arc;

/// What the environment and this folder offer.
pub(super) fn sources(folder: PathBuf) -> KeySources {
    KeySources { variable: std::env::var_os(KEY_VARIABLE), folder, ..KeySources::default() }
}

/// The door to files that are only read.
pub(super) fn opener(sources: &KeySources) -> Result<Vault, KeyFault> {
    let disk = Arc::new(Disk);
    Ok(match sources.find()? {
        Some(keys) => Vault::with_keys(disk, keys, false),
        None => Vault::new(disk),
    })
}

/// The door to the files of the data folder, which is the present one. If files are to be sealed and no key is known, one is
/// made, unless a file is there that was sealed with one that is lost.
pub(super) fn vault(config: &Config) -> Result<Vault, KeyFault> {
    let named = |text: &crate::config::Text| (!text.is_empty()).then(|| text.path().to_owned());
    let sources = KeySources {
        file: named(&config.encryption_key_file),
        previous: named(&config.encryption_key_file_previous),
        nonce: config.nonce.to_vec(),
        ..sources(PathBuf::new())
    };
    if let Some(keys) = sources.find()? {
        if config.encrypt {
            log::info!("Files are sealed with the key of id {}", keys.current().name());
        }
        return Ok(Vault::with_keys(Arc::new(Disk), keys, config.encrypt));
    }
    let vault = Vault::new(Arc::new(Disk));
    if !config.encrypt {
        return Ok(vault);
    }
    let log = config.appenddirname.path().join(format!("{}.manifest", config.appendfilename.lossy()));
    for path in [config.dbfilename.path(), &log, config.aclfile.path()] {
        // A file that can't be read will be refused by whoever needs it.
        if vault.is_sealed(path).unwrap_or(false) {
            return Err(KeyFault::Gone(path.to_owned()));
        }
    }
    let keys = sources.make()?;
    log::warn!(
        "A key was made in {KEY_FILE} in the data folder (id {}). Move it off this disk and name it with encryption-key-file: \
         whoever has the folder has the key, and without the key the sealed files are lost.",
        keys.current().name()
    );
    Ok(Vault::with_keys(Arc::new(Disk), keys, true))
}
