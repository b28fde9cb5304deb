//! Encryption at rest against the real binary: no byte of the data on the disk, keys found, made, changed and refused, tampering
//! noticed, and files in clear read and sealed.

mod support;

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use support::transcript::ask;
use support::{Folder, Process, free_port, our_binary, start, wait_until};

const MARKER: &str = "plaintext-marker";
const KEY: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

/// A folder for data and one for keys, with two keys.
struct Place {
    data: Folder,
    keys: Folder,
}

impl Place {
    fn new() -> Place {
        let place = Place { data: Folder::new("sealed"), keys: Folder::new("keys") };
        fs::write(place.keys.path().join("one"), format!("{KEY}\n")).expect("the folder can be written");
        fs::write(place.keys.path().join("two"), [7; 32]).expect("the folder can be written");
        for name in ["one", "two"] {
            let mode = fs::Permissions::from_mode(0o600);
            fs::set_permissions(place.keys.path().join(name), mode).expect("the file is ours");
        }
        place
    }

    fn key(&self, name: &str) -> String {
        self.keys.path().join(name).display().to_string()
    }

    fn file(&self) -> PathBuf {
        self.data.path().join("dump.rdb")
    }

    fn flags<'a>(&'a self, more: &[&'a str]) -> Vec<&'a str> {
        [&["--dir", self.data.path().to_str().expect("folders of text")], more].concat()
    }

    fn start(&self, more: &[&str]) -> Process {
        start(&self.flags(more))
    }

    /// Starts a server that is to refuse; what it says.
    fn refused(&self, more: &[&str]) -> String {
        let before = self.content();
        let port = free_port().to_string();
        let output = run(&[&["--port", &port, "--bind", "127.0.0.1", "--save", ""], &self.flags(more)[..]].concat());
        assert!(!output.status.success(), "it starts: {more:?}");
        assert!(self.content() == before, "files are left as they were");
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat()
    }

    /// All files with what they hold.
    fn content(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let entries = fs::read_dir(self.data.path()).expect("the folder is there");
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.expect("it can be read").path()).collect();
        files.sort();
        files.retain(|file| file.is_file());
        files.into_iter().map(|file| (file.clone(), fs::read(file).expect("it can be read"))).collect()
    }

    fn holds_marker(&self) -> bool {
        self.content().iter().any(|(_, bytes)| bytes.windows(MARKER.len()).any(|window| window == MARKER.as_bytes()))
    }
}

fn run(words: &[&str]) -> Output {
    Command::new(our_binary()).args(words).output().expect("the binary runs")
}

fn check(file: &Path, flags: &[&str]) -> (bool, String) {
    let name = file.to_str().expect("a path of text");
    let output = run(&[&["--check-rdb"], flags, &[name]].concat());
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
}

fn end(mut server: Process) {
    server.client().send("SHUTDOWN NOSAVE");
    assert!(server.ends_within(std::time::Duration::from_secs(10)));
}

#[test]
fn nothing_is_on_the_disk_in_clear_and_all_is_there_again() {
    let place = Place::new();
    let key = place.key("one");
    let flags = ["--encrypt", "yes", "--encryption-key-file", &key];
    let server = place.start(&flags);
    let mut client = server.client();
    ask(&mut client, &format!("SET secret {MARKER}"));
    ask(&mut client, &format!("HSET {MARKER} f v"));
    assert_eq!(ask(&mut client, "SAVE").render(), "+OK");
    assert!(!place.holds_marker());
    // The temporary file of a snapshot that takes its time.
    ask(&mut client, "CONFIG SET rdb-key-save-delay 300000");
    ask(&mut client, "BGSAVE");
    let is_temporary = |file: &PathBuf| file.to_string_lossy().contains("temp-");
    wait_until("the temporary file is there", || place.content().iter().any(|(file, _)| is_temporary(file)));
    assert!(!place.holds_marker());
    end(server);
    let again = place.start(&flags);
    assert_eq!(ask(&mut again.client(), "GET secret").string(), MARKER);
    assert_eq!(ask(&mut again.client(), &format!("HGET {MARKER} f")).string(), "v");
}

#[test]
fn another_key_is_refused_and_the_right_one_works_again() {
    let place = Place::new();
    let (one, two) = (place.key("one"), place.key("two"));
    let server = place.start(&["--encrypt", "yes", "--encryption-key-file", &one]);
    ask(&mut server.client(), "SET k v");
    ask(&mut server.client(), "SAVE");
    end(server);
    let said = place.refused(&["--encrypt", "yes", "--encryption-key-file", &two]);
    assert!(said.contains("the key does not match"), "{said}");
    let said = place.refused(&["--encrypt", "yes"]);
    assert!(said.contains("is sealed, but there is no key"), "{said}");
    let said = place.refused(&[]);
    assert!(said.contains("the file is sealed, and there is no key"), "{said}");
    for bad in ["", "abc", &KEY[1..], &format!("{KEY}0")] {
        fs::write(place.key("bad"), bad).expect("the folder can be written");
        let said = place.refused(&["--encrypt", "yes", "--encryption-key-file", &place.key("bad")]);
        assert!(said.contains("must hold 32 bytes, or 64 hexadecimal digits"), "{said}");
    }
    let said = place.refused(&["--encrypt", "yes", "--encryption-key-file", "/nowhere/at/all"]);
    assert!(said.contains("/nowhere/at/all"), "{said}");
    let again = place.start(&["--encrypt", "yes", "--encryption-key-file", &one]);
    assert_eq!(ask(&mut again.client(), "GET k").string(), "v");
}

#[test]
fn every_change_of_a_sealed_file_is_found() {
    let place = Place::new();
    let key = place.key("one");
    let server = place.start(&["--encrypt", "yes", "--encryption-key-file", &key]);
    ask(&mut server.client(), &format!("SET k {}", "v".repeat(200_000)));
    ask(&mut server.client(), "CONFIG SET rdbcompression no");
    ask(&mut server.client(), "SAVE");
    end(server);
    let good = fs::read(place.file()).expect("a file was written");
    assert!(good.len() > 200_000);
    let flags = ["--encryption-key-file", &key];
    assert!(check(&place.file(), &flags).0);
    for at in [0, 8, 9, 20, 30, 50, 75, 80, 90, 95, 40_000, 100_000, good.len() - 17, good.len() - 1] {
        let mut bad = good.clone();
        bad[at] ^= 4;
        fs::write(place.file(), &bad).expect("it can be written");
        let (accepted, text) = check(&place.file(), &flags);
        assert!(!accepted && text.contains("RDB ERROR DETECTED"), "byte {at}: {text}");
    }
    let mut bad = good.clone();
    bad[good.len() - 1] ^= 1;
    fs::write(place.file(), &bad).expect("it can be written");
    let said = place.refused(&["--encrypt", "yes", "--encryption-key-file", &key]);
    assert!(said.contains("integrity check failed"), "{said}");
    fs::write(place.file(), &good[..good.len() - 20]).expect("it can be written");
    let said = place.refused(&["--encrypt", "yes", "--encryption-key-file", &key]);
    assert!(said.contains("cut off"), "{said}");
}

#[test]
fn clear_files_load_and_are_sealed_by_the_next_save_and_the_other_way_round() {
    let place = Place::new();
    let key = place.key("one");
    let server = place.start(&[]);
    ask(&mut server.client(), &format!("SET k {MARKER}"));
    ask(&mut server.client(), "SAVE");
    end(server);
    assert!(place.holds_marker());
    let server = place.start(&["--encrypt", "yes", "--encryption-key-file", &key]);
    assert_eq!(ask(&mut server.client(), "GET k").string(), MARKER);
    ask(&mut server.client(), "BGSAVE");
    wait_until("it is sealed", || !place.holds_marker());
    end(server);
    let server = place.start(&["--encryption-key-file", &key]);
    assert_eq!(ask(&mut server.client(), "GET k").string(), MARKER);
    ask(&mut server.client(), "SAVE");
    assert!(place.holds_marker());
}

#[test]
fn the_key_changes_while_the_former_one_is_named() {
    let place = Place::new();
    let (one, two) = (place.key("one"), place.key("two"));
    let server = place.start(&["--encrypt", "yes", "--encryption-key-file", &one]);
    ask(&mut server.client(), "SET k v");
    ask(&mut server.client(), "SAVE");
    end(server);
    let both = ["--encrypt", "yes", "--encryption-key-file", &two, "--encryption-key-file-previous", &one];
    let server = place.start(&both);
    assert_eq!(ask(&mut server.client(), "GET k").string(), "v");
    assert!(!check(&place.file(), &["--encryption-key-file", &two]).0);
    ask(&mut server.client(), "SAVE");
    end(server);
    assert!(check(&place.file(), &["--encryption-key-file", &two]).0);
    assert!(!check(&place.file(), &["--encryption-key-file", &one]).0);
    assert!(check(&place.file(), &["--encryption-key-file", &one, "--encryption-key-file-previous", &two]).0);
    let server = place.start(&["--encrypt", "yes", "--encryption-key-file", &two]);
    assert_eq!(ask(&mut server.client(), "GET k").string(), "v");
}

#[test]
fn a_key_is_made_once_and_can_come_from_the_environment() {
    let place = Place::new();
    let server = place.start(&["--encrypt", "yes"]);
    assert!(server.log().contains("encryption.key"), "{}", server.log());
    ask(&mut server.client(), &format!("SET k {MARKER}"));
    ask(&mut server.client(), "SAVE");
    end(server);
    let own = place.data.path().join("encryption.key");
    let mode = fs::metadata(&own).expect("a key was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let key = fs::read_to_string(&own).expect("it is text");
    let server = place.start(&["--encrypt", "yes"]);
    assert_eq!(ask(&mut server.client(), "GET k").string(), MARKER);
    assert_eq!(fs::read_to_string(&own).expect("it is there still"), key);
    end(server);
    assert!(check(&place.file(), &[]).0, "the tool finds the key beside the file");
    fs::remove_file(&own).expect("it can be removed");
    let from_environment = |key: &str| {
        let mut tool = Command::new(our_binary());
        tool.arg("--check-rdb").arg(place.file()).env("REDSTART_ENCRYPTION_KEY", key);
        tool.output().expect("the tool runs").status.success()
    };
    assert!(from_environment(key.trim()));
    assert!(!from_environment(KEY) && !from_environment("short"));
}

#[test]
fn the_same_data_under_the_same_nonce_are_never_sealed_alike() {
    let place = Place::new();
    let key = place.key("one");
    let server = place.start(&["--encrypt", "yes", "--encryption-key-file", &key, "--nonce", "1234567890"]);
    let mut client = server.client();
    ask(&mut client, "CONFIG SET rdbcompression no");
    ask(&mut client, &format!("SET k {}", "the_same_again_".repeat(20_000)));
    let mut blocks = HashSet::new();
    let mut before: Vec<u8> = Vec::new();
    for _ in 0..3 {
        assert_eq!(ask(&mut client, "SAVE").render(), "+OK");
        let file = fs::read(place.file()).expect("a file was written");
        for (at, (new, old)) in file.chunks(1024).zip(before.chunks(1024)).enumerate().skip(4) {
            let equal = new.iter().zip(old).filter(|(a, b)| a == b).count();
            assert!(equal * 8 < new.len(), "{equal} bytes of block {at} are equal");
        }
        assert!(file[80..].chunks_exact(16).all(|block| blocks.insert(block.to_vec())), "a block came twice");
        before = file;
    }
    end(server);
    let server = place.start(&["--encrypt", "yes", "--encryption-key-file", &key, "--nonce", "another"]);
    assert_eq!(ask(&mut server.client(), "STRLEN k").render(), ":300000");
}

#[test]
fn the_tool_checks_a_sealed_log_and_an_older_copy_of_a_part_is_noticed() {
    let place = Place::new();
    let key = place.key("one");
    let flags = ["--encrypt", "yes", "--encryption-key-file", &key, "--appendonly", "yes", "--appendfsync", "always"];
    let server = place.start(&flags);
    let mut client = server.client();
    (0..20).for_each(|n| drop(ask(&mut client, &format!("SET {MARKER}{n} v"))));
    let folder = place.data.path().join("appendonlydir");
    let part = folder.join("appendonly.aof.1.incr.aof");
    let older = fs::read(&part).expect("it is there");
    ask(&mut client, "SET last 1");
    end(server);
    let whole = fs::read(&part).expect("it is there");
    let list = folder.join("appendonly.aof.manifest");
    let name = |path: &Path| path.to_str().expect("a path of text").to_owned();
    let tool = |file: &Path, flags: &[&str]| {
        let output = run(&[&["--check-aof"], flags, &[&name(file)]].concat());
        (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let with_key = ["--encryption-key-file", key.as_str()];
    let (good, text) = tool(&list, &with_key);
    assert!(good && text.contains("All AOF files and manifest are valid"), "{text}");
    let (good, text) = tool(&part, &[]);
    assert!(!good && text.contains("sealed"), "{text}");
    let mut changed = whole.clone();
    changed[300] ^= 1;
    fs::write(&part, &changed).expect("written");
    let (good, text) = tool(&part, &with_key);
    assert!(!good && text.contains("integrity check failed"), "{text}");
    fs::write(&part, &whole[..whole.len() - 40]).expect("written");
    let (good, text) = tool(&part, &with_key);
    assert!(!good && text.contains("ends in the middle of the batch"), "{text}");
    // It was closed in order: one that ends before is not the one that was closed.
    fs::write(&part, &older).expect("written");
    let text = place.refused(&flags);
    assert!(text.contains("the manifest says"), "{text}");
    fs::write(&part, &whole).expect("written");
    let again = place.start(&flags);
    assert_eq!(again.client().say("DBSIZE"), ":21");
}
