//! Commands that wait, against the real binary and, where it can be had, a real redis-server: the same scenes with the same
//! replies. A client counts as waiting when INFO says so; nothing depends on how long anything takes.

mod support;

use support::client::Client;
use support::{Process, oracle, start, wait_until};

/// A server and those who talk to it, by a letter each; `z` only asks how many wait.
struct Scene {
    server: Process,
    clients: Vec<(char, Client)>,
    waiting: u64,
}

impl Scene {
    fn client(&mut self, name: char) -> &mut Client {
        if !self.clients.iter().any(|(other, _)| *other == name) {
            let client = self.server.client();
            self.clients.push((name, client));
        }
        let found = self.clients.iter_mut().find(|(other, _)| *other == name);
        &mut found.expect("it was just made").1
    }

    fn waiting(&mut self) -> u64 {
        let text = self.client('z').ask("INFO clients").string();
        let line = text.lines().find_map(|line| line.strip_prefix("blocked_clients:"));
        line.and_then(|n| n.trim().parse().ok()).expect("INFO tells")
    }

    fn wait_for(&mut self, count: u64) {
        let mut asking = Client::connect(self.server.port).expect("the server listens");
        wait_until("as many clients wait as should", || {
            asking.ask("INFO clients").string().contains(&format!("blocked_clients:{count}\r\n"))
        });
        self.waiting = count;
    }

    /// One line of a scene: `a: REQUEST => REPLY`, `a: REQUEST ...` (waits), `a: => REPLY` (it hears), `a: REQUEST` (sent
    /// only), `a closes`.
    fn play(&mut self, line: &str) {
        let name = line.chars().next().expect("a line names a client");
        if line.ends_with(" closes") {
            self.clients.retain(|(other, _)| *other != name);
            let count = self.waiting - 1;
            return self.wait_for(count);
        }
        let rest = line[2..].trim();
        if let Some(request) = rest.strip_suffix(" ...") {
            self.client(name).send(request);
            let count = self.waiting + 1;
            return self.wait_for(count);
        }
        let Some((request, reply)) = rest.split_once("=>") else {
            return self.client(name).send(rest);
        };
        if !request.trim().is_empty() {
            self.client(name).send(request.trim());
        }
        let heard = self.client(name).hear();
        assert_eq!(heard, reply.trim(), "{line}");
        self.waiting = self.waiting();
    }
}

fn play(scene: &str) {
    let mut servers = vec![start(&[])];
    if let Some(binary) = oracle("the scenes of waiting, on the reference") {
        servers.push(Process::start(&binary, &["--save", ""]));
    }
    for server in servers {
        let mut scene_of = Scene { server, clients: Vec::new(), waiting: 0 };
        scene.lines().map(str::trim).filter(|line| !line.is_empty()).for_each(|line| scene_of.play(line));
    }
}

#[test]
fn one_waits_for_very_many_keys_some_of_them_named_twice() {
    let server = start(&[]);
    let (mut waiting, mut other) = (server.client(), server.client());
    let awaited = |client: &mut Client| {
        let text = client.ask("INFO clients").string();
        let count = text.lines().find_map(|line| line.strip_prefix("total_blocking_keys:")?.trim().parse::<u64>().ok());
        count.expect("INFO tells")
    };
    let keys: Vec<String> = (0..30_000).map(|n| format!("key:{}", n % 20_000)).collect();
    waiting.send(&format!("BLPOP {} 0", keys.join(" ")));
    wait_until("it waits", || awaited(&mut other) == 20_000);
    assert_eq!(other.say("LPUSH key:19999 x"), ":1");
    assert_eq!(waiting.hear(), "*[\"key:19999\" \"x\"]");
    assert_eq!(awaited(&mut other), 0);
}

#[test]
fn an_element_goes_to_the_one_who_waited_longest() {
    play(
        "a: BLPOP k 0 ...
         b: BRPOP x k 0 ...
         c: RPUSH k 1 => :1
         a: => *[\"k\" \"1\"]
         c: RPUSH k 2 3 => :2
         b: => *[\"k\" \"3\"]
         c: LRANGE k 0 -1 => *[\"2\"]",
    );
}

#[test]
fn what_a_unit_leaves_behind_counts_and_nothing_in_between() {
    play(
        "a: BLPOP k 0 ...
         c: MULTI => +OK
         c: RPUSH k 1 2 => +QUEUED
         c: DEL k => +QUEUED
         c: RPUSH k 3 => +QUEUED
         c: EXEC => *[:2 :1 :1]
         a: => *[\"k\" \"3\"]
         a: BLPOP k 0 ...
         c: MULTI => +OK
         c: RPUSH k 1 => +QUEUED
         c: LPOP k => +QUEUED
         c: EXEC => *[:1 \"1\"]
         c: SET k v => +OK
         c: DEL k => :1
         c: ZADD k 1 m => :1
         c: DEL k => :1
         c: RPUSH k 7 => :1
         a: => *[\"k\" \"7\"]",
    );
}

#[test]
fn in_a_transaction_nobody_waits() {
    play(
        "a: MULTI => +OK
         a: BLPOP k 0 => +QUEUED
         a: BRPOPLPUSH k l 0 => +QUEUED
         a: BLMPOP 0 1 k LEFT => +QUEUED
         a: BZPOPMIN k 0 => +QUEUED
         a: EXEC => *[(*null) ($null) (*null) (*null)]
         a: PING => +PONG",
    );
}

#[test]
fn one_move_can_serve_the_next_who_waits() {
    play(
        "a: BRPOPLPUSH one two 0 ...
         b: BLMOVE two three LEFT RIGHT 0 ...
         d: BLMPOP 0 2 zero three RIGHT COUNT 5 ...
         c: RPUSH one v => :1
         a: => \"v\"
         b: => \"v\"
         d: => *[\"three\" *[\"v\"]]
         c: EXISTS one two three => :0",
    );
}

#[test]
fn keys_become_ready_by_rename_copy_and_swap() {
    play(
        "a: BLPOP k 0 ...
         c: RPUSH other 1 => :1
         c: RENAME other k => +OK
         a: => *[\"k\" \"1\"]
         a: BLPOP k 0 ...
         c: RPUSH other 2 => :1
         c: COPY other k => :1
         a: => *[\"k\" \"2\"]
         a: BLPOP k 0 ...
         c: SELECT 5 => +OK
         c: RPUSH k 3 => :1
         c: SWAPDB 0 5 => +OK
         a: => *[\"k\" \"3\"]
         a: BLPOP k 0 ...
         c: RPUSH k 4 => :1
         c: MOVE k 0 => :1
         a: => *[\"k\" \"4\"]",
    );
}

#[test]
fn sorted_sets_are_waited_for_too() {
    play(
        "a: BZPOPMIN z1 z2 0 ...
         b: BZPOPMAX z1 0 ...
         d: BZMPOP 0 1 z1 MIN COUNT 2 ...
         c: ZADD z1 1 a 2 b 3 c 4 d 5 e => :5
         a: => *[\"z1\" \"a\" \"1\"]
         b: => *[\"z1\" \"e\" \"5\"]
         d: => *[\"z1\" *[*[\"b\" \"2\"] *[\"c\" \"3\"]]]
         c: ZRANGE z1 0 -1 => *[\"d\"]",
    );
}

#[test]
fn what_was_sent_meanwhile_is_served_afterwards_in_order() {
    play(
        "a: BLPOP k 0 ...
         a: PING
         a: BLPOP k 0
         a: ECHO x
         c: RPUSH k 1 => :1
         a: => *[\"k\" \"1\"]
         a: => +PONG
         c: RPUSH k 2 => :1
         a: => *[\"k\" \"2\"]
         a: => \"x\"",
    );
}

#[test]
fn a_wait_ends_by_time_by_unblock_and_with_the_connection() {
    play(
        "a: BLPOP k 0.01
         a: => (*null)
         a: BLMOVE k l LEFT LEFT 0.01
         a: => (*null)",
    );
    let server = start(&[]);
    let (mut a, mut c) = (server.client(), server.client());
    // The older reference calls this one negative.
    assert_eq!(a.say("BLPOP k 0x7FFFFFFFFFFFFF"), "-ERR timeout is out of range");
    let id = a.ask("CLIENT ID").int().expect("a number");
    for (how, reply) in
        [("", "(*null)"), (" TIMEOUT", "(*null)"), (" ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK")]
    {
        a.send("BLPOP k 0");
        wait_until("it waits", || c.ask("INFO clients").string().contains("blocked_clients:1\r\n"));
        assert_eq!(c.say(&format!("CLIENT UNBLOCK {id}{how}")), ":1");
        assert_eq!(a.hear(), reply);
        assert_eq!(c.say(&format!("CLIENT UNBLOCK {id}{how}")), ":0");
    }
    a.send("BLPOP k 0");
    wait_until("it waits", || c.ask("INFO clients").string().contains("blocked_clients:1\r\n"));
    drop(a);
    wait_until("nobody waits", || c.ask("INFO clients").string().contains("blocked_clients:0\r\n"));
    assert_eq!(c.say("RPUSH k 1"), ":1");
    assert_eq!(c.say("LLEN k"), ":1");
    let text = c.ask("INFO clients").string();
    assert!(text.contains("total_blocking_keys:0\r\n") && text.contains("clients_in_timeout_table:0\r\n"), "{text}");
}

#[test]
fn words_that_make_no_sense_are_refused_at_once() {
    play(
        "a: BLPOP k x => -ERR timeout is not a float or out of range
         a: BLPOP k -1 => -ERR timeout is negative
         a: BLMOVE a b LEFT UP 0 => -ERR syntax error
         a: BLMPOP 0 0 k LEFT => -ERR numkeys should be greater than 0
         a: BLMPOP x 1 k LEFT => -ERR timeout is not a float or out of range
         a: SET s v => +OK
         a: BLPOP s 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
         a: BLMOVE s l LEFT LEFT 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
         a: BZPOPMIN s 0 => -WRONGTYPE Operation against a key holding the wrong kind of value
         a: BLPOP k => -ERR wrong number of arguments for 'blpop' command",
    );
}
