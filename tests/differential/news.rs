//! What others hear while commands are played: events about keys, and keys that a client has read and that changed. Knows no
//! command.
//!
//! ```text
//! listener   psubscribe __key*          every event, in order
//! cache      RESP3, nothing of its own  what the playing clients read and what changed then (tracking with redirection)
//! ```

use super::known;
use super::support::client::{Client, Value};
use std::io;

/// All classes of events that both servers have.
const CLASSES: &str = "KEAmn";
/// Events whose moment is not the same for two servers. (Since 7.2 who only tries to read or claim is a consumer.)
const UNTIMELY: &[&str] = &["expired", "evicted", "xgroup-createconsumer", "xgroup-delconsumer"];

/// Two clients that listen.
#[derive(Debug)]
pub struct Listeners {
    listener: Client,
    cache: Client,
    cache_id: i64,
}

/// What they heard, in order.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct News {
    pub events: Vec<String>,
    pub invalid: Vec<String>,
}

impl News {
    /// What both servers can have heard of.
    pub fn without_read_here_alone(mut self) -> News {
        self.invalid.retain(|news| !known::is_of_read_here_alone(news));
        self
    }
}

impl Listeners {
    /// Turns events on and listens to all.
    pub fn begin(port: u16, probe: &mut Client) -> io::Result<Listeners> {
        probe.ask(&format!("config set notify-keyspace-events {CLASSES}"));
        let (mut listener, mut cache) = (Client::connect(port)?, Client::connect(port)?);
        listener.ask("psubscribe __key*");
        listener.ask("subscribe mark");
        cache.ask("hello 3");
        cache.ask("subscribe mark");
        let cache_id = cache.ask("client id").int().unwrap_or_default();
        Ok(Listeners { listener, cache, cache_id })
    }

    /// A playing client lets the cache hear about what it reads.
    pub fn follow(&self, conn: &mut Client, options: &str) {
        conn.ask(format!("client tracking on redirect {} {options}", self.cache_id).trim());
    }

    /// What was heard since the last time.
    pub fn hear(&mut self, probe: &mut Client) -> io::Result<News> {
        probe.ask("publish mark end");
        let mut news = News::default();
        while let Some(event) = next(&mut self.listener)? {
            if !UNTIMELY.iter().any(|name| event.contains(name)) {
                news.events.push(event);
            }
        }
        while let Some(keys) = next(&mut self.cache)? {
            news.invalid.push(keys);
        }
        // SORT looks up what a set's elements lead to in an order that is the table's own.
        let is_miss = |event: &String| event.contains("keymiss\"");
        news.events.chunk_by_mut(|a, b| is_miss(a) && is_miss(b)).for_each(|run| run.sort_unstable());
        Ok(news)
    }
}

/// The next message; none after the mark.
fn next(client: &mut Client) -> io::Result<Option<String>> {
    let message = client.read()?;
    let words = &message.children;
    let is_mark = words.len() == 3 && words[1].text == b"mark";
    // All keys: the reference writes that null in the protocol of the client that cached, not of the one that is told.
    let render = |value: &Value| if value.is_null() { "all".to_owned() } else { value.render() };
    let told: Vec<String> = words.iter().skip(if words.len() > 3 { 2 } else { 1 }).map(render).collect();
    Ok((!is_mark).then(|| told.join(" ")))
}
