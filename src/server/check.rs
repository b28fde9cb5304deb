//! The tools that check files: `redstart-server --check-rdb FILE`, also when started as `redis-check-rdb`. They print to standard
//! output what they found and change nothing. Sealed files are read with `--encryption-key-file FILE`, the environment variable or the
//! `encryption.key` beside them.

use super::keys;
use crate::base::clock::Clock;
use crate::persist::rdb::{self, Fault};
use crate::persist::vault::{FileKind, Vault};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Checks the RDB file that the words of the command line name.
pub(super) fn rdb_file(words: &[OsString]) -> ExitCode {
    let Some((name, keys)) = words.split_last().filter(|(_, keys)| keys.len() % 2 == 0) else {
        eprintln!(
            "Usage: redis-check-rdb [--encryption-key-file <file>] [--encryption-key-file-previous <file>] <rdb-file-name>"
        );
        return ExitCode::FAILURE;
    };
    let path = Path::new(name);
    let vault = match vault_of(path, keys) {
        Ok(vault) => vault,
        Err(fault) => {
            eprintln!("{fault}");
            return ExitCode::FAILURE;
        }
    };
    let now = Clock::default().read();
    println!("[offset 0] Checking RDB file {}", path.display());
    let opened = vault.open(path, FileKind::Snapshot).map_err(Fault::Io);
    let checked = opened.and_then(|file| file.ok_or(Fault::Io(std::io::ErrorKind::NotFound.into())));
    match checked.and_then(|file| rdb::check(file, now)) {
        Ok(found) => {
            for (offset, name, value) in &found.aux {
                println!("[offset {offset}] AUX FIELD {name} = '{value}'");
            }
            println!("[offset {}] Checksum OK", found.bytes);
            println!("[offset {}] \\o/ RDB looks OK! \\o/", found.bytes);
            println!("[info] {} keys read", found.keys + found.expired);
            println!("[info] {} expires", found.expires);
            println!("[info] {} already expired", found.expired);
            if found.empty > 0 {
                println!("[info] {} collections without elements", found.empty);
            }
            ExitCode::SUCCESS
        }
        Err(fault) => {
            println!("--- RDB ERROR DETECTED ---");
            println!("{}: {fault}", path.display());
            ExitCode::FAILURE
        }
    }
}

/// The door to a file, with the keys that the flags before it name.
pub(super) fn vault_of(path: &Path, flags: &[OsString]) -> Result<Vault, String> {
    let mut sources = keys::sources(path.parent().unwrap_or(Path::new("")).to_owned());
    for pair in flags.chunks_exact(2) {
        let file = Some(pair[1].clone().into());
        match pair[0].to_str() {
            Some("--encryption-key-file") => sources.file = file,
            Some("--encryption-key-file-previous") => sources.previous = file,
            _ => return Err(format!("unknown option {}", pair[0].to_string_lossy())),
        }
    }
    keys::opener(&sources).map_err(|fault| fault.to_string())
}
