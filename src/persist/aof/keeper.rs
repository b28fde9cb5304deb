//! The thread that waits for the disk in the loop's stead. Knows no command.
//!
//! ```text
//! loop  --job-->  thread: write and sync | sync | new increment | new base | recover      --news, wake-->  loop
//!   \--append (a lock that nobody holds but for a job)--> the log
//! ```
//!
//! Jobs but `Sync` hold the log: while one runs the loop keeps its bytes. A sync holds it only at its beginning and end.
//! On a storage without threads the jobs wait for `step`.

use super::log::{Log, Sync};
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

/// Who does the jobs.
enum Hands {
    Thread(Option<JoinHandle<()>>),
    Caller(Mutex<Worker>),
}

/// The loop's end.
pub struct Keeper {
    log: Arc<Mutex<Log>>,
    jobs: Sender<Job>,
    news: Receiver<News>,
    hands: Hands,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Keeper {
    /// Starts the thread. `wake` is called when there is news.
    ///
    /// # Errors
    /// The system's.
    pub fn start(log: Log, wake: Box<dyn Fn() + Send>) -> io::Result<Keeper> {
        let has_threads = log.has_threads();
        let log = Arc::new(Mutex::new(log));
        let (jobs, todo) = channel();
        let (teller, news) = channel();
        let mut worker = Worker { log: Arc::clone(&log), jobs: todo, teller, wake, sync: None };
        if !has_threads {
            return Ok(Keeper { log, jobs, news, hands: Hands::Caller(Mutex::new(worker)) });
        }
        let thread = std::thread::Builder::new().name("append-log".into()).spawn(move || {
            let _metered = alloc::register_thread();
            while let Ok(job) = worker.jobs.recv() {
                if !worker.work(job) {
                    return;
                }
            }
        })?;
        Ok(Keeper { log, jobs, news, hands: Hands::Thread(Some(thread)) })
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
        if matches!(self.hands, Hands::Thread(_)) {
            return self.news.recv().ok();
        }
        loop {
            if let Some(news) = self.poll() {
                return Some(news);
            }
            if !self.step() {
                return None;
            }
        }
    }

    /// Without a thread: does the next job, or a half of it if it is one that does not hold the log. Whether there was one.
    pub fn step(&self) -> bool {
        let Hands::Caller(worker) = &self.hands else { return false };
        lock(worker).step()
    }

    /// Ends the thread, after all jobs.
    pub fn stop(&mut self) {
        while self.step() {}
        drop(self.jobs.send(Job::Stop));
        if let Hands::Thread(thread) = &mut self.hands {
            if thread.take().is_some_and(|thread| thread.join().is_err()) {
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

/// Does the jobs.
struct Worker {
    log: Arc<Mutex<Log>>,
    jobs: Receiver<Job>,
    teller: Sender<News>,
    wake: Box<dyn Fn() + Send>,
    /// A sync that was begun.
    sync: Option<Sync>,
}

impl Worker {
    /// Does a job; false if it was the last.
    fn work(&mut self, job: Job) -> bool {
        let news = match job {
            Job::Commit(bytes, end, secs, fills) => News::Committed(lock(&self.log).commit(bytes, end, secs, fills)),
            Job::Sync => {
                self.begin_sync();
                self.end_sync()
            }
            Job::NextIncrement => News::Increment(lock(&self.log).next_increment()),
            Job::Install(base, bytes, first_kept, keep_history) => {
                News::Installed(lock(&self.log).install_base(base, bytes, first_kept, keep_history))
            }
            Job::Recover => News::Recovered(lock(&self.log).recover()),
            Job::Stop => return false,
        };
        self.tell(news)
    }

    fn begin_sync(&mut self) {
        self.sync = lock(&self.log).begin_sync();
    }

    fn end_sync(&mut self) -> News {
        if let Some(mut sync) = self.sync.take() {
            let run = sync.run();
            lock(&self.log).end_sync(&sync, run);
        }
        News::Synced
    }

    fn tell(&self, news: News) -> bool {
        let is_heard = self.teller.send(news).is_ok();
        (self.wake)();
        is_heard
    }

    /// Does the next job, or half a sync.
    fn step(&mut self) -> bool {
        if self.sync.is_some() {
            let news = self.end_sync();
            return self.tell(news);
        }
        match self.jobs.try_recv() {
            Ok(Job::Sync) => {
                self.begin_sync();
                self.sync.is_some() || self.tell(News::Synced)
            }
            Ok(job) => self.work(job),
            Err(_) => false,
        }
    }
}
