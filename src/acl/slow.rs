//! A thread for slow hashes: the loop hands it a password and looks for the answer later. Its queue is bounded; whoever
//! finds it full is refused. The thread starts with the first such login.

use super::password::Password;
use std::sync::mpsc::{self, Receiver, SyncSender, TryRecvError};
use std::thread;
use zeroize::Zeroizing;

/// Logins that may wait for the thread.
const QUEUE: usize = 128;

struct Job {
    hashes: Vec<Box<str>>,
    text: Zeroizing<Vec<u8>>,
    answer: SyncSender<bool>,
}

/// A login whose password is being hashed.
#[derive(Debug)]
pub struct SlowCheck(Receiver<bool>);

impl SlowCheck {
    /// Whether the password is right; `None` as long as that is not known.
    pub fn poll(&self) -> Option<bool> {
        match self.0.try_recv() {
            Ok(right) => Some(right),
            Err(TryRecvError::Empty) => None,
            // The thread is gone, and with it the login.
            Err(TryRecvError::Disconnected) => Some(false),
        }
    }
}

/// The way to the thread.
#[derive(Default)]
pub struct Worker(Option<SyncSender<Job>>);

impl Worker {
    /// Has a password compared with slow hashes; `None` if too many wait already or there is no thread.
    pub fn check(&mut self, hashes: Vec<Box<str>>, text: &[u8]) -> Option<SlowCheck> {
        if self.0.is_none() {
            self.0 = start();
        }
        let (answer, receiver) = mpsc::sync_channel(1);
        let job = Job { hashes, text: Zeroizing::new(text.to_vec()), answer };
        self.0.as_ref()?.try_send(job).ok()?;
        Some(SlowCheck(receiver))
    }
}

fn start() -> Option<SyncSender<Job>> {
    let (sender, receiver) = mpsc::sync_channel::<Job>(QUEUE);
    let run = move || {
        for job in receiver {
            // All are tried, so that the time does not tell which it was.
            let right = job.hashes.iter().fold(false, |right, hash| right | Password::verify_slow(hash, &job.text));
            // Whoever asked may be gone.
            let _ = job.answer.send(right);
        }
    };
    match thread::Builder::new().name("passwords".into()).spawn(run) {
        Ok(_) => Some(sender),
        Err(error) => {
            log::warn!("The thread that checks slow password hashes can't be started: {error}");
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_comes_later() {
        let mut worker = Worker::default();
        let hash = |text: &[u8]| match Password::slow_of(text, [3; 16]).expect("short") {
            Password::Slow(phc) => phc,
            Password::Sha(_) => unreachable!("a slow one was asked for"),
        };
        let hashes = vec![hash(b"a"), hash(b"b")];
        for (text, right) in [(&b"a"[..], true), (b"b", true), (b"c", false)] {
            let check = worker.check(hashes.clone(), text).expect("room for it");
            let answer = loop {
                if let Some(answer) = check.poll() {
                    break answer;
                }
                thread::yield_now();
            };
            assert_eq!(answer, right);
        }
    }
}
