//! The short benchmark: so many requests of each kind over so many connections; how many a second, and how long one takes.
//! A thread drives its share of the connections in step: to each a request (or a pipeline of them), then from each the replies.

use super::options::{Options, Plan};
use super::wire::{Connection, Reply, encode, plain};
use std::thread;
use std::time::{Duration, Instant};

/// The one key of each kind: what is measured is the server, not its memory.
const KEY: &str = "key:000000000000";

/// What one thread saw.
#[derive(Default)]
struct Seen {
    requests: u64,
    /// Sum over all requests, from sending to reading.
    waited: Duration,
    error: Option<String>,
}

/// Runs the tests and prints a line for each; false if the server gave an error.
///
/// # Errors
/// A text for the user: the server cannot be reached, or breaks off.
pub fn run(options: &Options, plan: &Plan) -> Result<bool, String> {
    let threads = thread::available_parallelism().map_or(1, |n| n.get()).min(plan.clients);
    let mut groups: Vec<Vec<Connection>> = (0..threads).map(|_| Vec::new()).collect();
    for client in 0..plan.clients {
        groups[client % threads].push(Connection::open(options)?);
    }
    println!(
        "{} clients, {} requests a test, {} bytes a value, pipeline of {}",
        plan.clients, plan.requests, plan.value_bytes, plan.pipeline
    );
    for test in &plan.tests {
        let begin = Instant::now();
        let seen = measure(&mut groups, test, plan);
        let seconds = begin.elapsed().as_secs_f64().max(1e-9);
        if let Some(error) = seen.error {
            eprintln!("{}: {error}", test.to_uppercase());
            return Ok(false);
        }
        let mean_ms = seen.waited.as_secs_f64() * 1e3 / seen.requests.max(1) as f64;
        let rate = seen.requests as f64 / seconds;
        println!(
            "{:<6}{rate:>12.2} ops/s, mean latency {mean_ms:.3} ms, total time {seconds:.3} s",
            test.to_uppercase()
        );
    }
    Ok(true)
}

/// The words of one test's request.
fn request(test: &str, value: &str) -> Vec<String> {
    let words: &[&str] = match test {
        "set" => &["SET", KEY, value],
        "get" => &["GET", KEY],
        "incr" => &["INCR", "counter:000000000000"],
        "lpush" => &["LPUSH", "mylist", value],
        "sadd" => &["SADD", "myset", "element:000000000000"],
        _ => &["PING"],
    };
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// One test over all connections: exactly `plan.requests` requests.
fn measure(groups: &mut [Vec<Connection>], test: &str, plan: &Plan) -> Seen {
    let words = request(test, &"x".repeat(plan.value_bytes));
    let threads = groups.len() as u64;
    let seen: Vec<Seen> = thread::scope(|scope| {
        let mut running = Vec::new();
        for (index, group) in groups.iter_mut().enumerate() {
            let share = plan.requests / threads + u64::from((index as u64) < plan.requests % threads);
            let words = &words;
            running.push(scope.spawn(move || drive(group, words, share, plan.pipeline as u64)));
        }
        let failed = || Seen { error: Some("a thread of the benchmark failed".into()), ..Seen::default() };
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| failed())).collect()
    });
    seen.into_iter().fold(Seen::default(), |sum, one| Seen {
        requests: sum.requests + one.requests,
        waited: sum.waited + one.waited,
        error: sum.error.or(one.error),
    })
}

fn drive(group: &mut [Connection], words: &[String], share: u64, pipeline: u64) -> Seen {
    let mut one = Vec::new();
    encode(words, &mut one);
    let many = one.repeat(pipeline as usize);
    let mut seen = Seen::default();
    let mut left = share;
    let mut sent: Vec<(u64, Instant)> = Vec::with_capacity(group.len());
    while left > 0 && seen.error.is_none() {
        sent.clear();
        for connection in group.iter_mut() {
            let count = pipeline.min(left);
            left -= count;
            sent.push((count, Instant::now()));
            if let Err(e) = connection.send(&many[..one.len() * count as usize]) {
                seen.error = Some(plain(&e));
                return seen;
            }
        }
        for (connection, (count, at)) in group.iter_mut().zip(&sent) {
            for _ in 0..*count {
                match connection.read() {
                    Ok(Reply::Error(text)) => seen.error = Some(String::from_utf8_lossy(&text).into_owned()),
                    Ok(_) => {}
                    Err(e) => {
                        seen.error = Some(plain(&e));
                        return seen;
                    }
                }
                seen.requests += 1;
                seen.waited += at.elapsed();
            }
        }
    }
    seen
}
