//! Conversations with a server, written down: one request a line, ` => `, and the reply as `Value::render` shows it.
//! Knows no command.
//!
//! ```text
//! SET k v EX 0 => -ERR invalid expire time in 'set' command
//! SMEMBERS s => sorted ["a" "b"]         elements in any order
//! ZSCORE z a => "1" =3> ,1               another reply in RESP3
//! GET '' => "x"                          quotes around a word with blanks, or none; \n \0 and the like inside
//! ```

use super::client::{Client, Value};

/// Sends every request and compares every reply, in one version of the protocol.
pub fn follow(client: &mut Client, proto: u8, transcript: &str) {
    client.ask(&format!("HELLO {proto}"));
    for line in transcript.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (request, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("no reply in: {line}"));
        let expected = match expected.split_once(" =3> ") {
            Some((_, newer)) if proto == 3 => newer,
            Some((older, _)) => older,
            None => expected,
        };
        let reply = ask(client, request);
        let shown = if expected.starts_with("sorted ") { sorted(&reply) } else { reply.render() };
        assert_eq!(shown, expected, "after {request}");
    }
}

/// Whether a watched key counts as changed by `request`, sent by another client.
pub fn breaks_watch(client: &mut Client, other: &mut Client, key: &str, request: &str) -> bool {
    ask(client, &format!("WATCH {key}"));
    ask(other, request);
    ask(client, "MULTI");
    ask(client, "EXEC").is_null()
}

/// One request in the notation above.
pub fn ask(client: &mut Client, request: &str) -> Value {
    client.call(&words(request)).unwrap_or_else(|e| panic!("{request}: {e}"))
}

fn sorted(reply: &Value) -> String {
    let mut children: Vec<String> = reply.children.iter().map(Value::render).collect();
    children.sort();
    format!("sorted [{}]", children.join(" "))
}

/// A request's words. A number after `x*` stands for as many bytes.
fn words(request: &str) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut rest = request.trim();
    while !rest.is_empty() {
        let (word, tail) = match rest.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'').expect("a quote is closed"),
            None => rest.split_once(' ').unwrap_or((rest, "")),
        };
        words.push(match word.strip_prefix("x*").and_then(|count| count.parse().ok()) {
            Some(count) => vec![b'x'; count],
            None => unescape(word),
        });
        rest = tail.trim_start();
    }
    words
}

fn unescape(word: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut chars = word.bytes();
    while let Some(byte) = chars.next() {
        bytes.push(match byte {
            b'\\' => match chars.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b'0') => 0,
                Some(other) => other,
                None => b'\\',
            },
            byte => byte,
        });
    }
    bytes
}
