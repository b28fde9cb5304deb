//! The audit log: who logged in or failed to, what was refused, who changed users, options or emptied the data. One JSON
//! object on each line, written by a thread of its own: the loop never waits for the disk.
//!
//! ```text
//! {"time":"2026-11-21T14:00:00.123Z","event":"login","ok":false,"user":"amy","addr":"10.0.0.1:5000","id":7}
//! {"time":"...","event":"denied","user":"amy","addr":"...","id":7,"reason":"key","command":"get"}
//! {"time":"...","event":"lost","count":12}
//! ```
//!
//! No password, key or value is in it. Bound: so many lines wait for the thread; when the disk is slower than that, lines are
//! lost, and their number is written as soon as it is not. The file is opened anew when writing failed or when it was
//! moved away (log rotation).

use serde_json::{Map, Value, json};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Lines that may wait for the thread.
const QUEUE: usize = 8192;
/// Lines kept while the file can't be written.
const KEPT: usize = 8192;
/// How often it is tried again to open the file.
const RETRY: Duration = Duration::from_secs(1);

/// What happened.
#[derive(Debug, Clone)]
pub struct Event<'a> {
    /// `login`, `denied`, `config`, `flush`, `shutdown`, `users`.
    pub event: &'static str,
    /// Whose request.
    pub user: &'a [u8],
    /// From where.
    pub addr: &'a str,
    /// The client's number.
    pub client_id: u64,
    /// More fields.
    pub more: Vec<(&'static str, Value)>,
}

/// The way to the thread; without a file it does nothing.
#[derive(Default)]
pub struct Audit(Option<Open>);

struct Open {
    lines: SyncSender<String>,
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Audit {
    /// An audit log in this file, or (an empty path) none.
    ///
    /// # Errors
    /// The file can't be opened, or there is no thread.
    pub fn open(path: &Path) -> io::Result<Audit> {
        if path.as_os_str().is_empty() {
            return Ok(Audit(None));
        }
        let path = std::path::absolute(path)?;
        let file = append_to(&path)?;
        let (lines, receiver) = mpsc::sync_channel(QUEUE);
        let lost = Arc::new(AtomicU64::new(0));
        let mut writer = Writer { path, file: Some(file), waiting: Vec::new(), lost: Arc::clone(&lost), warned: false };
        let thread = thread::Builder::new().name("audit".into()).spawn(move || writer.run(&receiver))?;
        Ok(Audit(Some(Open { lines, lost, thread: Some(thread) })))
    }

    /// Whether anything is written: else nothing need be gathered.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// Adds a line. `now_ms`: Unix milliseconds.
    pub fn add(&self, event: Event<'_>, now_ms: i64) {
        let Some(open) = &self.0 else { return };
        let mut fields = Map::new();
        fields.insert("time".into(), json!(timestamp(now_ms)));
        fields.insert("event".into(), json!(event.event));
        fields.insert("user".into(), json!(String::from_utf8_lossy(event.user)));
        fields.insert("addr".into(), json!(event.addr));
        fields.insert("id".into(), json!(event.client_id));
        fields.extend(event.more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        if open.lines.try_send(Value::Object(fields).to_string()).is_err() {
            open.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // The thread ends when the channel does, and writes what is in it first.
        let (closed, _) = mpsc::sync_channel(1);
        drop(std::mem::replace(&mut self.lines, closed));
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            log::warn!("The thread of the audit log has failed");
        }
    }
}

fn append_to(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

/// Whether the file is no longer the one of that name.
fn is_moved(path: &Path, file: &File) -> bool {
    match (std::fs::metadata(path), file.metadata()) {
        (Ok(named), Ok(own)) => (named.dev(), named.ino()) != (own.dev(), own.ino()),
        _ => true,
    }
}

struct Writer {
    path: PathBuf,
    file: Option<File>,
    /// Lines that could not be written yet.
    waiting: Vec<String>,
    lost: Arc<AtomicU64>,
    warned: bool,
}

impl Writer {
    fn run(&mut self, lines: &Receiver<String>) {
        loop {
            match lines.recv_timeout(RETRY) {
                Ok(line) => self.keep(line),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            while let Ok(line) = lines.try_recv() {
                self.keep(line);
            }
            self.write();
        }
        self.write();
    }

    fn keep(&mut self, line: String) {
        if self.waiting.len() < KEPT {
            self.waiting.push(line);
        } else {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn write(&mut self) {
        if self.waiting.is_empty() {
            return;
        }
        if let Err(error) = self.try_write() {
            self.file = None;
            if !std::mem::replace(&mut self.warned, true) {
                log::warn!("The audit log {} can't be written, it is tried again: {error}", self.path.display());
            }
        }
    }

    fn try_write(&mut self) -> io::Result<()> {
        let file = match self.file.take().filter(|file| !is_moved(&self.path, file)) {
            Some(file) => file,
            None => append_to(&self.path)?,
        };
        let mut text = self.waiting.join("\n");
        text.push('\n');
        let lost = self.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            text.push_str(&json!({ "event": "lost", "count": lost }).to_string());
            text.push('\n');
        }
        let written = self.file.insert(file).write_all(text.as_bytes());
        if written.is_err() {
            self.lost.fetch_add(lost, Ordering::Relaxed);
        } else {
            self.waiting.clear();
            self.warned = false;
        }
        written
    }
}

/// `2026-11-21T14:00:00.123Z`. Days to date by the proleptic Gregorian calendar, counted from March so that the leap day is
/// a year's last.
fn timestamp(unix_ms: i64) -> String {
    let (secs, ms) = (unix_ms.div_euclid(1000), unix_ms.rem_euclid(1000));
    let (days, second) = (secs.div_euclid(86_400) + 719_468, secs.rem_euclid(86_400));
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (second / 3600, second / 60 % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{:02}.{ms:03}Z", second % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(user: &[u8]) -> Event<'_> {
        Event { event: "login", user, addr: "10.0.0.1:5", client_id: 7, more: vec![("ok", json!(false))] }
    }

    fn lines(path: &Path) -> Vec<Value> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
    }

    #[test]
    fn each_event_is_a_line_of_json() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("audit.log");
        let audit = Audit::open(&path).expect("it can be opened");
        audit.add(event(b"am\"y\n"), 0);
        audit.add(event(b"\xff"), 951_782_400_123);
        drop(audit);
        let lines = lines(&path);
        assert_eq!((lines.len(), &lines[0]["user"], &lines[0]["ok"]), (2, &json!("am\"y\n"), &json!(false)));
        assert_eq!(
            (&lines[0]["time"], &lines[1]["time"]),
            (&json!("1970-01-01T00:00:00.000Z"), &json!("2000-02-29T00:00:00.123Z"))
        );
        let mode = std::fs::metadata(&path).expect("it is there").mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_file_that_was_moved_is_opened_anew() {
        let folder = tempfile::tempdir().expect("a folder");
        let (path, old) = (folder.path().join("a"), folder.path().join("b"));
        let file = append_to(&path).expect("it can be opened");
        let mut writer =
            Writer { path: path.clone(), file: Some(file), waiting: Vec::new(), lost: Arc::default(), warned: false };
        writer.keep("1".into());
        writer.write();
        std::fs::rename(&path, &old).expect("it can be moved");
        writer.lost.store(3, Ordering::Relaxed);
        writer.keep("2".into());
        writer.write();
        assert_eq!((lines(&old), lines(&path).len(), &lines(&path)[1]["count"]), (vec![json!(1)], 2, &json!(3)));
    }

    #[test]
    fn what_could_not_be_written_is_written_later() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sub").join("a");
        let mut writer =
            Writer { path: path.clone(), file: None, waiting: Vec::new(), lost: Arc::default(), warned: false };
        writer.keep("1".into());
        writer.write();
        assert!(writer.warned && writer.waiting.len() == 1);
        std::fs::create_dir(folder.path().join("sub")).expect("a folder can be made");
        writer.write();
        assert_eq!((lines(&path), writer.waiting.len()), (vec![json!(1)], 0));
    }
}
