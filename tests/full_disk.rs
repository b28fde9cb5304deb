//! A disk of 8 MiB that is full, and one that may only be read: writers are refused with the reason, readers are served, the
//! files are never worse than before, and all goes on by itself when the disk does.

mod support;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use support::client::Client;
use support::transcript::ask;
use support::{Folder, Process, our_binary, start, wait_until};

const DISK_BYTES: usize = 8 << 20;

/// A small disk of its own.
struct SmallDisk {
    path: PathBuf,
    _folder: Folder,
}

impl SmallDisk {
    /// `None`, with a line that says so, if this user may not mount one.
    fn mount() -> Option<SmallDisk> {
        let folder = Folder::new("full");
        let path = folder.path().join("disk");
        fs::create_dir_all(&path).ok()?;
        let size = format!("size={DISK_BYTES}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&path).status();
        if !mounted.is_ok_and(|status| status.success()) {
            println!("LEFT OUT: a full disk: this user may not mount one");
            return None;
        }
        Some(SmallDisk { path, _folder: folder })
    }

    fn dir(&self) -> &str {
        self.path.to_str().expect("the name is text")
    }

    fn remount(&self, how: &str) {
        let options = format!("remount,{how},size={DISK_BYTES}");
        let done = Command::new("mount").args(["-o", &options]).arg(&self.path).status();
        assert!(done.is_ok_and(|status| status.success()), "it can be mounted anew");
    }

    /// Takes all room but so many bytes.
    fn fill(&self, left_bytes: usize) {
        let used: u64 = self.files().iter().map(|file| fs::metadata(file).map_or(0, |data| data.len())).sum();
        let filler = vec![1; DISK_BYTES - used as usize - left_bytes];
        fs::write(self.path.join("filler"), filler).expect("there is room");
    }

    fn free(&self) {
        fs::remove_file(self.path.join("filler")).expect("it can be removed");
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut all = Vec::new();
        let mut folders = vec![self.path.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).expect("it can be read") {
                let path = entry.expect("it can be read").path();
                if path.is_dir() { folders.push(path) } else { all.push(path) }
            }
        }
        all
    }

    fn has_temporary(&self) -> bool {
        self.files().iter().any(|file| file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("temp-")))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A disk that is busy still goes with its last user.
        let _ = Command::new("umount").arg("-l").arg(&self.path).status();
    }
}

fn kill(server: &mut Process) {
    Command::new("kill").args(["-9", &server.pid().to_string()]).status().expect("there is a kill");
    wait_until("the server is dead", || server.ended().is_some());
}

/// Stores values until one is refused: how many were stored, and the refusal. A connection that is closed without an answer is
/// none.
fn store_until_refused(server: &Process, value: &str) -> (i64, String) {
    let mut client = server.client();
    let mut stored = 0;
    for n in 0..2_000 {
        let Ok(reply) = client.call(&["SET", &format!("k{n}"), value]) else {
            client = server.client();
            continue;
        };
        match reply.render() {
            text if text == "+OK" => stored += 1,
            text => return (stored, text),
        }
    }
    panic!("the disk is never full");
}

fn info(client: &mut Client, line: &str) -> bool {
    ask(client, "INFO persistence").string().contains(line)
}

#[test]
fn a_log_on_a_full_disk_refuses_writes_serves_reads_and_heals_by_itself() {
    for policy in ["everysec", "always", "no"] {
        let Some(disk) = SmallDisk::mount() else { return };
        let flags = ["--dir", disk.dir(), "--appendonly", "yes", "--appendfsync", policy];
        let flags = [&flags[..], &["--auto-aof-rewrite-percentage", "0"]].concat();
        let mut server = start(&flags);
        disk.fill(1 << 20);
        let value = "v".repeat(10_000);
        let (stored, refusal) = store_until_refused(&server, &value);
        assert!(refusal.contains("MISCONF Errors writing to the AOF file: No space left"), "{policy}: {refusal}");
        let mut client = server.client();
        assert_eq!(ask(&mut client, "GET k0").string(), value);
        assert!(info(&mut client, "aof_last_write_status:err"));
        assert!(server.log().contains("No space left on device"), "{}", server.log());
        // A rewrite can't help, and harms nothing.
        ask(&mut client, "BGREWRITEAOF");
        disk.free();
        wait_until("writes are taken again", || ask(&mut client, "SET healed 1").render() == "+OK");
        assert!(server.log().contains("write error looks solved"));
        assert_eq!(client.say("WAITAOF 1 0 5000"), "*[:1 :0]");
        // What was executed when the disk failed, but not answered, may be there as well.
        let there = ask(&mut client, "DBSIZE").int().expect("a number");
        assert!(there > stored);
        kill(&mut server);
        let server = start(&flags);
        assert_eq!(ask(&mut server.client(), "DBSIZE").int(), Some(there), "{policy}: {}", server.log());
        assert!(!disk.has_temporary(), "{policy}: {:?}", disk.files());
    }
}

#[test]
fn a_rewrite_on_a_full_disk_leaves_the_log_as_it_was() {
    let Some(disk) = SmallDisk::mount() else { return };
    let flags = ["--dir", disk.dir(), "--appendonly", "yes", "--enable-debug-command", "yes", "--rdbcompression", "no"];
    let mut server = start(&flags);
    let mut client = server.client();
    ask(&mut client, "DEBUG POPULATE 20 key 100000");
    ask(&mut client, "SET a 1");
    disk.fill(200 << 10);
    ask(&mut client, "BGREWRITEAOF");
    wait_until("the rewrite fails", || info(&mut client, "aof_last_bgrewrite_status:err"));
    assert!(server.log().contains("No space left on device"), "{}", server.log());
    assert!(!disk.has_temporary());
    assert_eq!(ask(&mut client, "SET b 2").render(), "+OK");
    disk.free();
    // The failed one is followed by another when the log has grown, or when it is asked for.
    wait_until("a rewrite succeeds", || {
        client.say("BGREWRITEAOF");
        info(&mut client, "aof_last_bgrewrite_status:ok")
    });
    let digest = client.say("DEBUG DIGEST");
    kill(&mut server);
    let server = start(&flags);
    assert_eq!(server.client().say("DEBUG DIGEST"), digest, "{}", server.log());
}

#[test]
fn a_snapshot_on_a_full_disk_leaves_the_old_one_and_writes_are_taken_when_one_succeeds() {
    let Some(disk) = SmallDisk::mount() else { return };
    let server =
        start(&["--dir", disk.dir(), "--save", "1 1", "--enable-debug-command", "yes", "--rdbcompression", "no"]);
    let mut client = server.client();
    ask(&mut client, "SET a 1");
    assert_eq!(ask(&mut client, "SAVE").render(), "+OK");
    let file = disk.path.join("dump.rdb");
    let before = fs::read(&file).expect("it was written");
    disk.fill(1 << 20);
    let value = "v".repeat(100_000);
    for n in 0..30 {
        let reply = client.call(&["SET", &format!("key{n}"), &value]).expect("a reply").render();
        assert!(reply == "+OK" || reply.starts_with("-MISCONF"), "{reply}");
    }
    wait_until("a snapshot fails", || info(&mut client, "rdb_last_bgsave_status:err"));
    assert!(ask(&mut client, "SET b 2").render().starts_with("-MISCONF Redis is configured to save RDB snapshots"));
    assert_eq!(ask(&mut client, "GET a").render(), "\"1\"");
    assert!(server.log().contains("No space left on device"), "{}", server.log());
    assert!(ask(&mut client, "SAVE").is_error());
    assert_eq!(fs::read(&file).expect("it is there"), before, "the old snapshot is as it was");
    assert!(!disk.has_temporary(), "{:?}", disk.files());
    disk.free();
    wait_until("writes are taken again", || ask(&mut client, "SET b 2").render() == "+OK");
    ask(&mut client, "SAVE");
    let digest = client.say("DEBUG DIGEST");
    let again = start(&["--dir", disk.dir(), "--enable-debug-command", "yes"]);
    assert_eq!(again.client().say("DEBUG DIGEST"), digest);
}

#[test]
fn a_disk_that_may_only_be_read_refuses_writes_until_it_may_be_written() {
    let Some(disk) = SmallDisk::mount() else { return };
    let server = start(&["--dir", disk.dir(), "--save", "1 1"]);
    let mut client = server.client();
    ask(&mut client, "SET a 1");
    assert_eq!(ask(&mut client, "SAVE").render(), "+OK");
    let before = fs::read(disk.path.join("dump.rdb")).expect("it was written");
    disk.remount("ro");
    ask(&mut client, "SET b 2");
    wait_until("a snapshot fails", || info(&mut client, "rdb_last_bgsave_status:err"));
    assert!(ask(&mut client, "SET c 3").render().starts_with("-MISCONF "));
    assert_eq!(ask(&mut client, "GET b").render(), "\"2\"");
    assert!(server.log().contains("Read-only file system"), "{}", server.log());
    assert_eq!(fs::read(disk.path.join("dump.rdb")).expect("it is there"), before);
    // A log can't be begun there, and the start says why.
    let port = support::free_port().to_string();
    let refused = Command::new(our_binary())
        .args(["--port", &port, "--save", "", "--appendonly", "yes", "--dir", disk.dir()])
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&refused.stdout).into_owned() + &String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && said.contains("Read-only file system"), "{said}");
    disk.remount("rw");
    wait_until("writes are taken again", || ask(&mut client, "SET c 3").render() == "+OK");
}
