//! What the tests against a real binary share: where the programs are, a server in its own folder and port, a blocking client.
//! Knows nothing of the server's insides. Invariant: a server started here ends with the value that holds it.
#![allow(dead_code)] // each test file uses its own part of this module

pub mod client;
pub mod random;
pub mod transcript;

use std::fs::{self, File};
use std::net::{TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use client::Client;

/// How long a server may take to answer its first PING.
const START_LIMIT: Duration = Duration::from_secs(20);
/// How long it may take to end after SIGTERM.
const END_LIMIT: Duration = Duration::from_secs(10);

/// The binary under test: `REDSTART_BIN`, or the one cargo built for this test.
pub fn our_binary() -> PathBuf {
    std::env::var_os("REDSTART_BIN")
        .or_else(|| option_env!("CARGO_BIN_EXE_redstart-server").map(Into::into))
        .map(PathBuf::from)
        .expect("cargo names the binary, or REDSTART_BIN does")
}

/// Our server with these flags.
pub fn start(flags: &[&str]) -> Process {
    Process::start(&our_binary(), flags)
}

/// Waits until something is so, and fails with `what` if it does not become so.
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !is_so() {
        assert!(begin.elapsed() < START_LIMIT, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Where a program of the machine is, if it has it.
pub fn program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// The reference server, or `None` with a line that says that this part is left out.
pub fn oracle(part: &str) -> Option<PathBuf> {
    let found = program("redis-server").filter(|_| std::env::var_os("REDSTART_NO_ORACLE").is_none());
    if found.is_none() {
        println!("LEFT OUT: {part}: no redis-server on this machine, or REDSTART_NO_ORACLE is set");
    }
    found
}

/// A number from the environment, or the default.
pub fn env_number(name: &str, default: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.trim().parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => default,
    }
}

/// A TCP port of this machine that nobody listens on now, and that no other test takes while this process lives: whoever
/// wants a port first takes the UDP port of the same number. Outside the range from which the kernel gives ports to clients.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    static TAKEN: Mutex<Vec<UdpSocket>> = Mutex::new(Vec::new());
    const PORTS: std::ops::Range<u32> = 20_000..32_000;
    let begin = std::process::id().wrapping_mul(61);
    for _ in PORTS {
        let nth = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = (PORTS.start + nth % (PORTS.end - PORTS.start)) as u16;
        let Ok(taken) = UdpSocket::bind(("127.0.0.1", port)) else { continue };
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            TAKEN.lock().expect("nobody panics with it").push(taken);
            return port;
        }
    }
    panic!("the machine has no free port");
}

/// An own folder, removed at the end.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    pub fn new(label: &str) -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("redstart-{label}-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder can be written");
        Folder(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder that cannot be removed is the system's to clean: the test's result stands.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A running server.
#[derive(Debug)]
pub struct Process {
    child: Child,
    pub port: u16,
    pub folder: Folder,
}

impl Process {
    /// Starts `binary` on a free port of 127.0.0.1 without persistence, and waits for its first PONG.
    pub fn start(binary: &Path, flags: &[&str]) -> Process {
        let folder = Folder::new("server");
        let port = free_port();
        let log = File::create(folder.path().join("log")).expect("the folder can be written");
        let child = Command::new(binary)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .arg("--dir")
            .arg(folder.path())
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|e| panic!("{} does not start: {e}", binary.display()));
        let mut process = Process { child, port, folder };
        process.wait_for_pong(binary);
        process
    }

    fn wait_for_pong(&mut self, binary: &Path) {
        let begin = Instant::now();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                panic!("{} ended at its start with {status}:\n{}", binary.display(), self.log());
            }
            if let Ok(mut client) = Client::connect(self.port) {
                let answers = |reply: client::Value| reply.kind == b'+' || reply.text.starts_with(b"NOAUTH");
                if client.call(&[b"PING"]).is_ok_and(answers) {
                    return;
                }
            }
            assert!(begin.elapsed() < START_LIMIT, "{} gives no PONG:\n{}", binary.display(), self.log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it printed so far.
    pub fn log(&self) -> String {
        fs::read(self.folder.path().join("log")).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.port).expect("the server accepts connections")
    }

    /// Whether it ends within so much time.
    pub fn ends_within(&mut self, limit: Duration) -> bool {
        let begin = Instant::now();
        while self.ended().is_none() && begin.elapsed() < limit {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.ended().is_some()
    }

    /// Whether it runs still; the status it ended with if not.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("the child is ours")
    }

    /// Resident memory in KiB.
    pub fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap_or_default();
        let field = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        field.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its number may be another's by now.
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        let asked = Command::new("kill").arg(self.pid().to_string()).status().is_ok_and(|s| s.success());
        let begin = Instant::now();
        while asked && begin.elapsed() < END_LIMIT {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        // It did not end by itself, or is gone already: either way nothing is left to report from a destructor.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
