//! Transactions against the real binary: MULTI, EXEC, WATCH and everything that breaks them.

mod support;

use support::client::Client;
use support::{start, wait_until};

/// What EXEC says about an empty transaction.
fn exec_after(client: &mut Client) -> String {
    assert_eq!(client.say("MULTI"), "+OK");
    client.say("EXEC")
}

const BROKEN: &str = "(*null)";
const RAN: &str = "*[]";

#[test]
fn queued_commands_run_in_order_and_an_error_stops_none_of_the_others() {
    let server = start(&[]);
    let mut client = server.client();
    assert_eq!(client.say("MULTI"), "+OK");
    for line in ["SET s a", "INCR s", "SET t b", "GET t"] {
        assert_eq!(client.say(line), "+QUEUED");
    }
    assert_eq!(server.client().say("EXISTS t"), ":0", "another client sees nothing yet");
    assert_eq!(client.say("EXEC"), "*[+OK -ERR value is not an integer or out of range +OK \"b\"]");
    assert_eq!(client.say("EXEC"), "-ERR EXEC without MULTI");
    assert_eq!(client.say("DISCARD"), "-ERR DISCARD without MULTI");
}

#[test]
fn discard_forgets_the_queue_and_the_watches() {
    let server = start(&[]);
    let mut client = server.client();
    client.ask("WATCH k");
    client.ask("MULTI");
    client.ask("SET x 1");
    client.ask("SET k 1");
    assert_eq!(client.say("DISCARD"), "+OK");
    assert_eq!(client.say("EXISTS x"), ":0");
    client.ask("WATCH k");
    client.ask("SET k 2");
    client.ask("MULTI");
    client.ask("DISCARD");
    assert_eq!(exec_after(&mut client), RAN);
}

#[test]
fn what_can_not_be_queued_aborts_exec() {
    let server = start(&[]);
    let mut client = server.client();
    for fault in ["GET", "foo", "CLIENT", "CLIENT foo", "WATCH", "MULTI x", "DISCARD x"] {
        assert_eq!(client.say("MULTI"), "+OK", "{fault}");
        assert!(client.say(fault).starts_with("-ERR "), "{fault}");
        assert_eq!(client.say("SET x 1"), "+QUEUED");
        assert_eq!(client.say("EXEC"), "-EXECABORT Transaction discarded because of previous errors.", "{fault}");
    }
    assert_eq!(client.say("EXISTS x"), ":0");
    assert_eq!(client.say("PING"), "+PONG", "the state is clear again");
}

#[test]
fn multi_and_watch_inside_multi_are_errors_that_break_nothing() {
    let server = start(&[]);
    let mut client = server.client();
    client.ask("MULTI");
    assert_eq!(client.say("MULTI"), "-ERR MULTI calls can not be nested");
    assert_eq!(client.say("WATCH k"), "-ERR WATCH inside MULTI is not allowed");
    client.ask("PING");
    assert_eq!(client.say("EXEC"), "*[+PONG]");
}

#[test]
fn exec_with_too_many_words_ends_the_transaction() {
    let server = start(&[]);
    let mut client = server.client();
    client.ask("MULTI");
    let error = "-EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
    assert_eq!(client.say("EXEC x"), error);
    assert_eq!(client.say("EXEC"), "-ERR EXEC without MULTI");
}

#[test]
fn watched_keys_break_exec_when_anybody_changes_them() {
    let server = start(&[]);
    let (mut client, mut other) = (server.client(), server.client());
    client.ask("SET k 1");
    client.ask("WATCH a b k");
    assert_eq!(exec_after(&mut client), RAN);
    client.ask("SET k 2");
    assert_eq!(exec_after(&mut client), RAN, "EXEC has ended the watch");
    for change in ["SET k 3", "SET k 3", "DEL k", "RPUSH k x", "EXPIRE k 100", "PERSIST k", "RENAME k q"] {
        client.ask("WATCH k");
        other.ask(change);
        assert_eq!(exec_after(&mut client), BROKEN, "{change}");
        assert_eq!(exec_after(&mut client), RAN, "{change}");
    }
    for no_change in ["GET k", "DEL none", "PERSIST k", "SET elsewhere 1", "EXPIRE none 1"] {
        client.ask("WATCH k");
        other.ask(no_change);
        assert_eq!(exec_after(&mut client), RAN, "{no_change}");
    }
}

#[test]
fn own_changes_before_multi_count_too_and_unwatch_forgets_them() {
    let server = start(&[]);
    let mut client = server.client();
    client.ask("WATCH k");
    client.ask("SET k 1");
    assert_eq!(exec_after(&mut client), BROKEN);
    client.ask("WATCH k");
    client.ask("SET k 2");
    assert_eq!(client.say("UNWATCH"), "+OK");
    assert_eq!(exec_after(&mut client), RAN);
    client.ask("WATCH k");
    client.ask("MULTI");
    client.ask("UNWATCH");
    server.client().ask("SET k 3");
    assert_eq!(client.say("EXEC"), BROKEN, "UNWATCH in the queue comes too late");
}

#[test]
fn a_broken_watch_is_null_in_both_protocols() {
    let server = start(&[]);
    let mut client = server.client();
    client.ask("HELLO 3");
    client.ask("WATCH k");
    client.ask("SET k 1");
    assert_eq!(exec_after(&mut client), "_");
}

#[test]
fn a_watched_key_belongs_to_its_database() {
    let server = start(&[]);
    let mut client = server.client();
    client.ask("SELECT 5");
    client.ask("WATCH k");
    client.ask("SELECT 1");
    client.ask("SET k 1");
    assert_eq!(exec_after(&mut client), RAN);
    client.ask("SELECT 5");
    client.ask("WATCH k");
    client.ask("SELECT 1");
    server.client().ask("SET k 1");
    let mut other = server.client();
    other.ask("SELECT 5");
    other.ask("SET k 1");
    assert_eq!(exec_after(&mut client), BROKEN);
}

#[test]
fn flushes_break_only_watches_of_keys_that_were_there() {
    let server = start(&[]);
    let (mut client, mut other) = (server.client(), server.client());
    for flush in ["FLUSHALL", "FLUSHDB", "FLUSHALL ASYNC"] {
        other.ask("SET here 1");
        client.ask("WATCH here");
        other.ask(flush);
        assert_eq!(exec_after(&mut client), BROKEN, "{flush}");
        other.ask("SET here 1");
        client.ask("WATCH gone");
        other.ask(flush);
        assert_eq!(exec_after(&mut client), RAN, "{flush}");
    }
    client.ask("SET here 1");
    client.ask("WATCH here");
    other.ask("SELECT 1");
    other.ask("FLUSHDB");
    assert_eq!(exec_after(&mut client), RAN, "another database");
}

#[test]
fn swapdb_breaks_watches_of_keys_on_either_side() {
    let server = start(&[]);
    let (mut client, mut other) = (server.client(), server.client());
    client.ask("SET k 1");
    client.ask("WATCH k");
    other.ask("SWAPDB 0 1");
    assert_eq!(exec_after(&mut client), BROKEN, "it went");
    client.ask("WATCH k");
    other.ask("SWAPDB 0 1");
    assert_eq!(exec_after(&mut client), BROKEN, "it came");
    client.ask("WATCH none");
    other.ask("SWAPDB 0 1");
    assert_eq!(exec_after(&mut client), RAN, "it was on neither side");
    client.ask("WATCH k");
    other.ask("SWAPDB 2 3");
    assert_eq!(exec_after(&mut client), RAN, "other databases");
}

/// A server whose dead keys stay until somebody looks.
fn start_without_expiry() -> support::Process {
    let server = start(&["--enable-debug-command", "yes"]);
    server.client().ask("DEBUG SET-ACTIVE-EXPIRE 0");
    server
}

/// Sets a key and waits until its time has come, without touching it.
fn set_dead_key(client: &mut Client, key: &str) {
    let before = client.ask("TIME");
    client.ask(&format!("SET {key} v PX 1"));
    let micros = |time: &support::client::Value| {
        let part = |i: usize| time.children[i].string().parse::<i64>().expect("TIME replies numbers");
        part(0) * 1_000_000 + part(1)
    };
    wait_until("5 ms have passed", || micros(&client.ask("TIME")) > micros(&before) + 5_000);
}

#[test]
fn a_key_that_was_dead_when_it_was_watched_does_not_change_by_going() {
    let server = start_without_expiry();
    let (mut client, mut other) = (server.client(), server.client());
    set_dead_key(&mut client, "k");
    client.ask("WATCH k");
    assert_eq!(exec_after(&mut client), RAN);
    for what in ["EXISTS k", "DEL k", "FLUSHDB", "FLUSHALL"] {
        set_dead_key(&mut client, "k");
        client.ask("WATCH k");
        other.ask(what);
        assert_eq!(exec_after(&mut client), RAN, "{what}");
    }
    set_dead_key(&mut client, "k");
    client.ask("WATCH k");
    other.ask("SET k new");
    assert_eq!(exec_after(&mut client), BROKEN);
}

#[test]
fn a_key_whose_time_comes_while_it_is_watched_has_changed() {
    let server = start_without_expiry();
    let mut client = server.client();
    client.ask("SET k v");
    client.ask("WATCH k");
    set_dead_key(&mut server.client(), "k");
    assert_eq!(exec_after(&mut client), BROKEN);
    let server = start(&[]);
    let mut client = server.client();
    client.ask("SET k v PX 20");
    client.ask("WATCH k");
    wait_until("the key has gone by itself", || server.client().say("DBSIZE") == ":0");
    assert_eq!(exec_after(&mut client), BROKEN, "active expiry is a change");
}

#[test]
fn dead_keys_are_no_keys_to_swapdb() {
    let server = start_without_expiry();
    let (mut client, mut other) = (server.client(), server.client());
    set_dead_key(&mut client, "k");
    client.ask("WATCH k");
    other.ask("SWAPDB 0 1");
    assert_eq!(exec_after(&mut client), RAN, "dead before, nothing now");
    client.ask("WATCH k");
    other.ask("SWAPDB 0 1");
    assert_eq!(exec_after(&mut client), RAN, "nothing before, dead now");
    client.ask("SELECT 1");
    set_dead_key(&mut client, "k");
    client.ask("SELECT 0");
    client.ask("WATCH k");
    other.ask("SWAPDB 0 1");
    assert_eq!(exec_after(&mut client), RAN, "dead before and now");
}

#[test]
fn eviction_is_a_change() {
    let server = start(&["--maxmemory-policy", "allkeys-random"]);
    let (mut client, mut other) = (server.client(), server.client());
    client.ask("SET k v");
    client.ask("WATCH k");
    other.ask("CONFIG SET maxmemory 1");
    assert!(other.say("SET x y").starts_with("-OOM"));
    other.ask("CONFIG SET maxmemory 0");
    assert_eq!(other.say("EXISTS k"), ":0");
    assert_eq!(exec_after(&mut client), BROKEN);
}

#[test]
fn memory_that_is_used_up_refuses_what_needs_more() {
    let server = start(&["--maxmemory-policy", "noeviction"]);
    let (mut client, mut other) = (server.client(), server.client());
    client.ask("SET x value");
    client.ask("MULTI");
    client.ask("GET x");
    client.ask("PING");
    other.ask("CONFIG SET maxmemory 1");
    assert_eq!(client.say("EXEC"), "*[\"value\" +PONG]", "reading needs none");
    other.ask("CONFIG SET maxmemory 0");
    client.ask("MULTI");
    client.ask("SET x 1");
    other.ask("CONFIG SET maxmemory 1");
    let oom = "OOM command not allowed when used memory > 'maxmemory'.";
    assert_eq!(client.say("EXEC"), format!("-EXECABORT Transaction discarded because of: {oom}"));
    client.ask("MULTI");
    assert_eq!(client.say("SET x 2"), format!("-{oom}"));
    assert_eq!(client.say("EXEC"), "-EXECABORT Transaction discarded because of previous errors.");
    client.ask("MULTI");
    assert_eq!(client.say("SET x 2"), format!("-{oom}"));
    assert_eq!(client.say("DISCARD"), "+OK");
    other.ask("CONFIG SET maxmemory 0");
    assert_eq!(client.say("GET x"), "\"value\"");
    client.ask("MULTI");
    for line in ["SET a b", "CONFIG SET maxmemory 1", "SET c d"] {
        client.ask(line);
    }
    assert_eq!(client.say("EXEC"), "*[+OK +OK +OK]", "a transaction that began is finished");
    other.ask("CONFIG SET maxmemory 0");
}

#[test]
fn select_and_hello_inside_exec_stay_in_force() {
    let server = start(&[]);
    let mut client = server.client();
    client.ask("MULTI");
    for line in ["SELECT 20", "SELECT 3", "SET k v", "HELLO 3", "GET none"] {
        assert_eq!(client.say(line), "+QUEUED");
    }
    let reply = client.say("EXEC");
    assert!(reply.starts_with("*[-ERR DB index is out of range +OK +OK %[") && reply.ends_with(" _]"), "{reply}");
    assert_eq!(client.say("GET k"), "\"v\"");
}

#[test]
fn monitor_and_statistics_see_queued_commands_when_they_run() {
    let server = start(&[]);
    let (mut monitor, mut client) = (server.client(), server.client());
    monitor.ask("MONITOR");
    client.ask("MULTI");
    client.ask("SET k v");
    client.ask("EXEC");
    for word in ["MULTI", "SET", "EXEC"] {
        assert!(monitor.hear().contains(&format!("\"{word}\"")), "{word} comes next");
    }
    let stats = client.ask("INFO commandstats").string();
    for name in ["multi", "set", "exec"] {
        assert!(stats.contains(&format!("cmdstat_{name}:calls=1,")), "{stats}");
    }
}

#[test]
fn twenty_writers_never_show_half_of_a_write() {
    let server = start(&[]);
    std::thread::scope(|scope| {
        for writer in 0..20 {
            let mut client = server.client();
            scope
                .spawn(move || (0..200).for_each(|n| drop(client.ask(&format!("MSET a {writer}.{n} b {writer}.{n}")))));
        }
        let mut reader = server.client();
        for _ in 0..500 {
            let both = reader.ask("MGET a b");
            assert_eq!(both.children[0], both.children[1]);
        }
    });
}

#[test]
fn fifty_clients_lose_no_increment() {
    let server = start(&[]);
    std::thread::scope(|scope| {
        for _ in 0..50 {
            let mut client = server.client();
            scope.spawn(move || {
                client.send_raw(&b"INCR n\r\n".repeat(200)).expect("the server listens");
                (0..200).for_each(|_| drop(client.read().expect("a reply for each")));
            });
        }
    });
    assert_eq!(server.client().say("GET n"), "\"10000\"");
}
