//! The tools that check files: `redstart-server --check-rdb FILE`, also when started as `redis-check-rdb`. They print to standard
//! output what they found and change nothing. Sealed files are read with `--encryption-key-file FILE`, the environment variable or the
//! `encryption.key` beside them.

use super::keys;
use crate::base::clock::Clock;
use crate::base::text;
use crate::persist::aof::check::{Checked, Form};
use crate::persist::aof::{self, Manifest, PartKind};
use crate::persist::rdb::{self, Fault};
use crate::persist::seal::{self, KEY_FILE};
use crate::persist::storage::{Disk, Storage};
use crate::persist::vault::{FileKind, Vault};
use std::ffi::{OsStr, OsString};
use std::io::{self, Read, Write};
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
    // Parts of the log are one folder deeper than what else is sealed.
    let beside = path.parent().unwrap_or(Path::new(""));
    let above = std::path::absolute(beside).ok().and_then(|beside| beside.parent().map(Path::to_owned));
    let above = above.filter(|above| !beside.join(KEY_FILE).exists() && above.join(KEY_FILE).exists());
    let mut sources = keys::sources(above.unwrap_or_else(|| beside.to_owned()));
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

const USAGE: &str = "Usage: redis-check-aof [--encryption-key-file $file] [--encryption-key-file-previous $file] \
                     [--fix|--truncate-to-timestamp $timestamp] <file.manifest|file.aof>";

/// What the words of the command line ask for.
struct LogCheck {
    vault: Vault,
    fix: bool,
    until_secs: Option<u64>,
    lines: u64,
}

/// Checks the append-only file, or all that a manifest lists.
pub(super) fn aof_file(words: &[OsString]) -> ExitCode {
    let is_key_flag = |word: &OsString| word.to_str().is_some_and(|word| word.starts_with("--encryption-key-file"));
    let keys = words.chunks(2).take_while(|pair| pair.len() == 2 && is_key_flag(&pair[0])).count() * 2;
    let (keys, words) = words.split_at(keys);
    let path = Path::new(words.last().map_or(OsStr::new(""), OsString::as_os_str));
    let vault = match vault_of(path, keys) {
        Ok(vault) => vault,
        Err(fault) => {
            println!("{fault}");
            return ExitCode::FAILURE;
        }
    };
    let mut check = LogCheck { vault, fix: false, until_secs: None, lines: 0 };
    let text: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let text: Vec<&str> = text.iter().map(AsRef::as_ref).collect();
    match text.as_slice() {
        [_] => {}
        ["--fix", _] => check.fix = true,
        ["--truncate-to-timestamp", secs, _] => match secs.parse() {
            Ok(secs) => check.until_secs = Some(secs),
            Err(_) => {
                println!("Invalid timestamp, aborting...");
                return ExitCode::FAILURE;
            }
        },
        _ => {
            println!("{USAGE}");
            return ExitCode::FAILURE;
        }
    }
    let good = match aof::check::form_of(&check.vault, path) {
        Ok(Form::Manifest(Ok(manifest))) => check.parts(path, &manifest),
        Ok(Form::Manifest(Err(fault))) => {
            println!("{}: {fault}", path.display());
            false
        }
        Ok(Form::Log) => {
            println!("Start checking Old-Style AOF");
            check.file("AOF", path, true)
        }
        Err(error) => {
            println!("Cannot open file {}: {}", path.display(), cause(&error));
            false
        }
    };
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl LogCheck {
    fn parts(&mut self, manifest_path: &Path, manifest: &Manifest) -> bool {
        println!("Start checking Multi Part AOF");
        let count = manifest.parts().count();
        for (nth, part) in manifest.parts().enumerate() {
            let path = manifest_path.with_file_name(&part.name);
            let is_last = nth + 1 == count;
            let what = if part.kind == PartKind::Base { "BASE AOF" } else { "INCR AOF" };
            if part.kind == PartKind::Base {
                let is_snapshot = part.name.ends_with(".rdb") || starts_as_snapshot(&self.vault, &path);
                println!("Start to check BASE AOF ({} format).", if is_snapshot { "RDB" } else { "RESP" });
            } else if manifest.increments.first().is_some_and(|first| first.seq == part.seq) {
                println!("Start to check INCR files.");
            }
            if !self.file(what, &path, is_last) {
                return false;
            }
        }
        println!("All AOF files and manifest are valid");
        true
    }

    /// Checks one file, and mends it if that is asked for; whether it is good then.
    fn file(&mut self, what: &str, path: &Path, is_last: bool) -> bool {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let now = Clock::default().read();
        let found = match aof::check::check(&self.vault, path, self.lines, self.until_secs, now) {
            Ok(found) => found,
            Err(error) => {
                println!("Cannot open file {name}: {}", cause(&error));
                return false;
            }
        };
        self.lines = found.lines;
        if found.bytes == 0 {
            println!("{what} {name} is empty");
            return true;
        }
        match (&found.fault, found.snapshot) {
            (Some(fault), None) if starts_as_snapshot(&self.vault, path) => {
                println!("{fault}\nRDB preamble of AOF file is not sane, aborting.");
                return false;
            }
            (_, Some(_)) => println!("RDB preamble is OK, proceeding with AOF tail..."),
            _ => {}
        }
        if let Some(secs) = self.until_secs {
            return cut_later(what, path, &name, &found, secs, is_last);
        }
        if let Some(fault) = &found.fault {
            println!("{fault}\nAOF {name} format error");
        }
        println!(
            "AOF analyzed: filename={name}, size={}, ok_up_to={}, ok_up_to_line={}, diff={}",
            found.bytes,
            found.ok_up_to,
            found.lines,
            found.bytes.saturating_sub(found.ok_up_to)
        );
        if found.fault.is_none() {
            println!("{what} {name} is valid");
            return true;
        }
        if !self.fix {
            println!("{what} {name} is not valid. Use the --fix option to try fixing it.");
            return false;
        }
        if !is_last {
            println!("Failed to truncate AOF {name} because it is not the last file");
            return false;
        }
        mend(path, &name, &found)
    }
}

/// Why a file can't be read.
fn cause(error: &io::Error) -> String {
    seal::fault_of(error).map_or_else(|| text::os_error(error), |fault| fault.to_string())
}

fn starts_as_snapshot(vault: &Vault, path: &Path) -> bool {
    let mut first = Vec::new();
    let opened = vault.open(path, FileKind::Snapshot).or_else(|_| vault.open(path, FileKind::Log)).ok().flatten();
    opened.is_some_and(|file| file.bytes.take(5).read_to_end(&mut first).is_ok() && first == b"REDIS")
}

fn cut_later(what: &str, path: &Path, name: &str, found: &Checked, secs: u64, is_last: bool) -> bool {
    if found.fault.is_some() && found.later_from.is_none() {
        println!("AOF {name} is not valid: mend it first.");
        return false;
    }
    let Some(from) = found.later_from else {
        println!("Truncate nothing in AOF {name} to timestamp {secs}\n{what} {name} is valid");
        return true;
    };
    if !is_last {
        println!(
            "Failed to truncate AOF {name} to timestamp {secs} to offset {from} because it is not the last file.\nTo do it all \
             the same, remove the files after it and their lines in the manifest, and run this again."
        );
        return false;
    }
    if found.is_sealed {
        println!("AOF {name} is sealed: it can't be cut at a time. Start the server with restore-until instead.");
        return false;
    }
    if from == 0 {
        println!("AOF {name} has nothing before timestamp {secs}, aborting...");
        return false;
    }
    match Disk.reopen(path, from) {
        Ok(_) => println!("Successfully truncated AOF {name} to timestamp {secs}"),
        Err(error) => println!("Failed to truncate AOF {name} to timestamp {secs}: {}", text::os_error(&error)),
    }
    true
}

fn mend(path: &Path, name: &str, found: &Checked) -> bool {
    let end = if found.is_sealed { found.cut_at } else { Some(found.ok_up_to) };
    let Some(end) = end else {
        println!("AOF {name} is sealed and was changed or damaged: nothing is cut off");
        return false;
    };
    println!(
        "This will shrink the AOF {name} from {} bytes, with {} bytes, to {} bytes",
        found.bytes,
        found.bytes.saturating_sub(found.ok_up_to),
        found.ok_up_to
    );
    print!("Continue? [y/N]: ");
    let mut answer = String::new();
    let heard = io::stdout().flush().and_then(|()| io::stdin().read_line(&mut answer));
    if heard.is_err() || !answer.trim_start().starts_with(['y', 'Y']) {
        println!("Aborting...");
        return false;
    }
    match Disk.reopen(path, end) {
        Ok(_) => {
            println!("Successfully truncated AOF {name}");
            true
        }
        Err(error) => {
            println!("Failed to truncate AOF {name}: {}", text::os_error(&error));
            false
        }
    }
}
