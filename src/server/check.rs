//! The tools that check files: `redstart-server --check-rdb FILE`, also when started as `redis-check-rdb`. They print to standard
//! output what they found and change nothing.

use crate::base::clock::Clock;
use crate::persist::rdb::{self, Fault};
use crate::persist::storage::{Disk, Storage};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// Checks the RDB file that the words of the command line name.
pub(super) fn rdb_file(words: &[OsString]) -> ExitCode {
    let [name] = words else {
        eprintln!("Usage: redis-check-rdb <rdb-file-name>");
        return ExitCode::FAILURE;
    };
    let path = Path::new(name);
    let now = Clock::default().read();
    println!("[offset 0] Checking RDB file {}", path.display());
    let opened = Disk.open(path).map_err(Fault::Io);
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
