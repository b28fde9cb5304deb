//! Files under temporary names that a server has left which was killed: found by their names, and removed when the next one starts.
//! Knows no format.
//!
//! ```text
//! temp-PID.rdb  temp-PID-N.rdb          a snapshot               temp-PID-NAME     another file of that name
//! temp-rewriteaof-PID-N.aof             a base of the log        temp-NAME.manifest  temp-NAME.SEQ.incr    parts of the log
//! ```
//!
//! Invariant: what bears the number of a process that lives is never touched, unless that is the caller's own, which has begun
//! nothing yet; nor is any other name, however alike.

use super::storage::Storage;
use crate::sys::process;
use std::path::Path;

/// The process that this is the unfinished snapshot, log base, or file called `names` of.
fn writer_of(file: &str, names: &[&str]) -> Option<u32> {
    let rest = file.strip_prefix("temp-")?;
    if let Some(rest) = rest.strip_prefix("rewriteaof-") {
        let (pid, nth) = rest.strip_suffix(".aof")?.split_once('-')?;
        return number(nth).and_then(|_| pid_of(pid));
    }
    let (pid, name) = rest.split_at(rest.bytes().take_while(u8::is_ascii_digit).count());
    let is_numbered = || name.strip_prefix('-')?.strip_suffix(".rdb").and_then(number);
    let is_named = || name.strip_prefix('-').is_some_and(|name| names.contains(&name));
    if name == ".rdb" || is_numbered().is_some() || is_named() { pid_of(pid) } else { None }
}

/// A number as this server writes it.
fn number(text: &str) -> Option<u64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit()) && (text == "0" || !text.starts_with('0'));
    text.parse().ok().filter(|_| is_plain)
}

fn pid_of(text: &str) -> Option<u32> {
    number(text).and_then(|pid| u32::try_from(pid).ok()).filter(|pid| *pid > 0)
}

/// The number of the unlisted increment of the log `log` that this is.
fn increment_of(file: &str, log: &str) -> Option<u64> {
    file.strip_prefix("temp-")?.strip_prefix(log)?.strip_prefix('.')?.strip_suffix(".incr").and_then(number)
}

/// Removes from a folder what servers that are gone have left under temporary names. `names`: files that are written in this folder
/// under their own names.
pub fn remove_leftovers(storage: &dyn Storage, folder: &Path, names: &[&str]) {
    let is_left =
        |file: &str| writer_of(file, names).is_some_and(|pid| pid == std::process::id() || !process::lives(pid));
    remove(storage, folder, is_left);
}

/// Removes what is left of lists and increments of the log `log` that never got their names. Only for whoever writes that log, once
/// it is open.
pub fn remove_log_leftovers(storage: &dyn Storage, folder: &Path, log: &str) {
    remove(storage, folder, |file| file == format!("temp-{log}.manifest") || increment_of(file, log).is_some());
}

fn remove(storage: &dyn Storage, folder: &Path, is_left: impl Fn(&str) -> bool) {
    // A folder that can't be read says so to whoever needs it.
    let files = storage.list(folder).ok().flatten().unwrap_or_default();
    for file in files.iter().filter_map(|file| file.to_str()).filter(|file| is_left(file)) {
        match storage.remove(&folder.join(file)) {
            Ok(()) => log::info!("Removed {file}, which a server has left that did not come to its end"),
            Err(error) => log::warn!("{file}, which a server has left, can't be removed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::persist::sim::SimDisk;

    /// No process has this number.
    const GONE: u32 = u32::MAX - 7;

    #[test]
    fn only_what_a_process_has_left_that_is_gone_is_removed() {
        let disk = SimDisk::default();
        let (own, init) = (std::process::id(), 1);
        let gone = [
            format!("temp-{GONE}.rdb"),
            format!("temp-{GONE}-3.rdb"),
            format!("temp-rewriteaof-{GONE}-12.aof"),
            format!("temp-{GONE}-users.acl"),
            format!("temp-{own}-1.rdb"),
        ];
        let kept = [
            format!("temp-{init}.rdb"),
            format!("temp-rewriteaof-{init}-1.aof"),
            format!("temp-0{GONE}.rdb"),
            format!("temp-{GONE}-.rdb"),
            format!("temp-{GONE}-03.rdb"),
            format!("temp-{GONE}-other.acl"),
            format!("temp-{GONE}0000.rdb"),
            format!("temp-{GONE}.rdb.bak"),
            format!("temp-rewriteaof-{GONE}.aof"),
            "temp-.rdb".into(),
            "temp-0.rdb".into(),
            "temp-dump.rdb".into(),
            "dump.rdb".into(),
            "temp-a.aof.manifest".into(),
        ];
        for name in gone.iter().chain(&kept) {
            drop(disk.create(&Path::new("data").join(name)).expect("nothing fails"));
        }
        remove_leftovers(&disk, Path::new("data"), &["users.acl"]);
        let left = |disk: &SimDisk| -> Vec<String> {
            let files = disk.list(Path::new("data")).expect("nothing fails").expect("there is a folder");
            files.iter().map(|file| file.to_str().expect("text").to_owned()).collect()
        };
        let mut expected = kept.to_vec();
        expected.sort();
        assert_eq!(left(&disk), expected);
        for name in ["temp-a.aof.7.incr", "temp-a.aof.07.incr", "temp-a.aof.incr", "temp-b.aof.manifest"] {
            drop(disk.create(&Path::new("data").join(name)).expect("nothing fails"));
        }
        remove_log_leftovers(&disk, Path::new("data"), "a.aof");
        expected.extend(["temp-a.aof.07.incr", "temp-a.aof.incr", "temp-b.aof.manifest"].map(String::from));
        expected.retain(|name| name != "temp-a.aof.manifest");
        expected.sort();
        assert_eq!(left(&disk), expected);
    }
}
