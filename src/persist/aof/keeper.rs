//! The thread that waits for the disk in the loop's stead. Knows no command.
//!
//! ```text
//! loop  --job-->  thread: write and sync | sync | new increment | new base | recover      --news, wake-->  loop
//!   \--append (a lock that nobody holds but for a job)--> the log
//! ```
//!
//! Jobs but `Sync` hold the log: while one runs the loop keeps its bytes. A sync holds it only at its beginning and end.

use super::log::Log;
use super::manifest::Part;
use crate::sys::alloc;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// What the thread is to do.
pub enum Job {
    /// Write these bytes, which end at this offset at this second, and sync. Whether the file is made longer ahead.
    Commit(Vec<u8>, u64, i64, bool),
    /// Sync what was written.
    Sync,
    /// Begin a new increment.
    NextIncrement,
    /// Put a base in its place: its bytes, the first increment that is kept, whether old files stay.
    Install(Part, u64, u64, bool),
    /// Begin anew after a failure.
    Recover,
    /// End.
    Stop,
}

/// What the thread did.
#[derive(Debug)]
pub enum News {
    /// A commit ended.
    Committed(io::Result<()>),
    /// A sync ended.
    Synced,
    /// A new increment was begun, or not.
    Increment(io::Result<()>),
    /// A base is in its place, or not.
    Installed(io::Result<()>),
    /// An attempt to begin anew has ended.
    Recovered(io::Result<()>),
}

/// The loop's end.
pub struct Keeper {
    log: Arc<Mutex<Log>>,
    jobs: Sender<Job>,
    news: Receiver<News>,
    thread: Option<JoinHandle<()>>,
}

fn lock(log: &Mutex<Log>) -> MutexGuard<'_, Log> {
    log.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Starts the thread. `wake` is called when there is news.
    ///
    /// # Errors
    /// The system's.
    pub fn start(log: Log, wake: Box<dyn Fn() + Send>) -> io::Result<Keeper> {
        let log = Arc::new(Mutex::new(log));
        let (jobs, todo) = channel();
        let (teller, news) = channel();
        let mine = Arc::clone(&log);
        let thread = std::thread::Builder::new().name("append-log".into()).spawn(move || {
            let _metered = alloc::register_thread();
            work(&mine, &todo, &teller, &wake);
        })?;
        Ok(Keeper { log, jobs, news, thread: Some(thread) })
    }

    /// The log, when no job holds it. Waits for one that does: ask only while none is under way.
    pub fn log(&self) -> MutexGuard<'_, Log> {
        lock(&self.log)
    }

    /// Gives the thread something to do.
    pub fn give(&self, job: Job) {
        // A thread that is gone has left the log for good, which the next look at it shows.
        drop(self.jobs.send(job));
    }

    /// What has been done since.
    pub fn poll(&self) -> Option<News> {
        self.news.try_recv().ok()
    }

    /// Waits for what is under way.
    pub fn wait(&self) -> Option<News> {
        self.news.recv().ok()
    }

    /// Ends the thread, after all jobs.
    pub fn stop(&mut self) {
        drop(self.jobs.send(Job::Stop));
        if let Some(thread) = self.thread.take() {
            if thread.join().is_err() {
                log::warn!("The thread of the append-only log has failed");
            }
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.stop();
    }
}

fn work(log: &Mutex<Log>, jobs: &Receiver<Job>, teller: &Sender<News>, wake: &dyn Fn()) {
    for job in jobs {
        let news = match job {
            Job::Commit(bytes, end, secs, fills) => News::Committed(lock(log).commit(bytes, end, secs, fills)),
            Job::Sync => {
                let sync = lock(log).begin_sync();
                if let Some(mut sync) = sync {
                    let run = sync.run();
                    lock(log).end_sync(&sync, run);
                }
                News::Synced
            }
            Job::NextIncrement => News::Increment(lock(log).next_increment()),
            Job::Install(base, bytes, first_kept, keep_history) => {
                News::Installed(lock(log).install_base(base, bytes, first_kept, keep_history))
            }
            Job::Recover => News::Recovered(lock(log).recover()),
            Job::Stop => return,
        };
        if teller.send(news).is_err() {
            return;
        }
        wake();
    }
}
