//! CLIENT against the real binary: who is connected, who is closed, who has to wait, who is answered.

mod support;

use support::client::Client;
use support::{Process, start, wait_until};

/// A field of this client's line.
fn own(client: &mut Client, name: &str) -> String {
    field(&client.ask("CLIENT INFO").string(), name)
}

/// A field of a line of CLIENT LIST.
fn field(line: &str, name: &str) -> String {
    let start = format!("{name}=");
    let found = line.split_whitespace().find_map(|part| part.strip_prefix(&start));
    found.unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
}

/// The line of the client of this name, if it is there.
fn line_of(asking: &mut Client, name: &str) -> Option<String> {
    let all = asking.ask("CLIENT LIST").string();
    all.lines().find(|line| field(line, "name") == name).map(str::to_owned)
}

fn named(server: &Process, name: &str) -> Client {
    let mut client = server.client();
    client.ask(&format!("CLIENT SETNAME {name}"));
    client
}

/// A server and its only client: the one that waited for the start has left.
fn start_alone() -> (Process, Client) {
    let server = start(&[]);
    let mut client = server.client();
    wait_until("nobody else is there", || client.ask("CLIENT LIST").string().lines().count() == 1);
    (server, client)
}

const FIELDS: &str = "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem multi-mem \
                      rbs rbp obl oll omem tot-mem events cmd user redir resp lib-name lib-ver";

#[test]
fn a_line_has_every_field_in_order() {
    let (server, mut client) = start_alone();
    let text = client.ask("CLIENT LIST").string();
    assert!(text.ends_with('\n') && text.lines().count() == 1, "{text}");
    let names: Vec<&str> = text.split_whitespace().map(|part| part.split('=').next().unwrap_or_default()).collect();
    assert_eq!(names.join(" "), FIELDS);
    let own = text.trim_end();
    for (name, value) in [
        ("flags", "N"),
        ("db", "0"),
        ("multi", "-1"),
        ("watch", "0"),
        ("qbuf", "26"),
        ("argv-mem", "10"),
        ("multi-mem", "0"),
        ("obl", "0"),
        ("events", "r"),
        ("cmd", "client|list"),
        ("user", "default"),
        ("redir", "-1"),
        ("resp", "2"),
    ] {
        assert_eq!(field(own, name), value, "{name}");
    }
    assert!(field(own, "addr").starts_with("127.0.0.1:"));
    assert_eq!(field(own, "laddr"), format!("127.0.0.1:{}", server.port));
    client.ask("HELLO 3");
    assert!(client.say("CLIENT INFO").starts_with("=txt:id="), "verbatim text");
}

#[test]
fn lines_follow_what_the_client_does() {
    let server = start(&[]);
    let (mut client, mut other) = (named(&server, "me"), named(&server, "other"));
    client.ask("SELECT 3");
    client.ask("WATCH a b");
    assert_eq!((own(&mut client, "db"), own(&mut client, "watch")), ("3".into(), "2".into()));
    client.ask("MULTI");
    client.ask("GET a");
    client.ask("CLIENT INFO");
    let line = line_of(&mut other, "me").expect("it is connected");
    assert_eq!(
        (field(&line, "flags"), field(&line, "multi"), field(&line, "cmd")),
        ("x".into(), "2".into(), "client|info".into())
    );
    assert_ne!(field(&line, "multi-mem"), "0");
    let reply = client.ask("EXEC");
    let within = reply.children[1].string();
    assert_eq!(
        (field(&within, "cmd"), field(&within, "multi"), field(&within, "qbuf")),
        ("exec".into(), "2".into(), "14".into())
    );
    other.send_raw(b"*2\r\n$4\r\nECHO\r\n$3\r\nab").expect("the server listens");
    wait_until("the incomplete request is held", || {
        field(&line_of(&mut client, "other").expect("it is connected"), "qbuf") == "20"
    });
}

#[test]
fn lists_are_in_order_of_arrival_and_can_be_asked_for_by_number_and_type() {
    let (server, first) = start_alone();
    drop(first);
    let mut clients: Vec<Client> = (0..5).map(|i| named(&server, &format!("c{i}"))).collect();
    let ids: Vec<String> = clients.iter_mut().map(|c| c.say("CLIENT ID").trim_start_matches(':').to_owned()).collect();
    // A place that becomes free is taken by whoever comes next, who must still be last in the list.
    drop(clients.remove(1));
    let mut last = named(&server, "last");
    wait_until("the closed ones are gone", || last.ask("CLIENT LIST").string().lines().count() == 5);
    let order: Vec<String> = last.ask("CLIENT LIST").string().lines().map(|line| field(line, "name")).collect();
    assert_eq!(order, ["c0", "c2", "c3", "c4", "last"]);
    let picked = last.ask(&format!("CLIENT LIST ID {} 99999 {}", ids[3], ids[0])).string();
    assert_eq!(picked.lines().map(|line| field(line, "name")).collect::<Vec<_>>(), ["c3", "c0"]);
    assert_eq!(last.ask("CLIENT LIST TYPE normal").string().lines().count(), 5);
    for kind in ["master", "replica", "SLAVE", "pubsub"] {
        assert_eq!(last.say(&format!("CLIENT LIST TYPE {kind}")), "\"\"");
    }
    for (line, error) in [
        ("CLIENT LIST TYPE foo", "-ERR Unknown client type 'foo'"),
        ("CLIENT LIST TYPE", "-ERR syntax error"),
        ("CLIENT LIST ID", "-ERR syntax error"),
        ("CLIENT LIST ID x", "-ERR Invalid client ID"),
        ("CLIENT LIST foo", "-ERR syntax error"),
        ("CLIENT LIST TYPE normal ID 1", "-ERR syntax error"),
    ] {
        assert_eq!(last.say(line), error, "{line}");
    }
}

#[test]
fn names_and_libraries_can_be_set_and_taken_away() {
    let server = start(&[]);
    let mut client = server.client();
    assert_eq!(client.say("CLIENT GETNAME"), "($null)");
    assert_eq!(client.say("CLIENT SETNAME foo~bar"), "+OK");
    assert_eq!(client.say("CLIENT GETNAME"), "\"foo~bar\"");
    assert_eq!(client.say("CLIENT SETNAME "), "+OK");
    assert_eq!(client.say("CLIENT GETNAME"), "($null)");
    for bad in ["a b", "a\nb", "\u{e9}"] {
        let reply = client.call(&["CLIENT", "SETNAME", bad]).expect("a reply").render();
        assert_eq!(reply, "-ERR Client names cannot contain spaces, newlines or special characters.");
    }
    assert_eq!(client.say("CLIENT SETINFO lib-name redis.py"), "+OK");
    assert_eq!(client.say("CLIENT SETINFO LIB-VER 1.2.3"), "+OK");
    let reply = client.call(&["CLIENT", "SETINFO", "lib-name", "redis py"]).expect("a reply").render();
    assert_eq!(reply, "-ERR lib-name cannot contain spaces, newlines or special characters.");
    assert_eq!(client.say("CLIENT SETINFO badger hamster"), "-ERR Unrecognized option 'badger'");
    assert_eq!(client.say("CLIENT SETINFO lib-name"), "-ERR wrong number of arguments for 'client|setinfo' command");
    assert!(client.ask("CLIENT INFO").string().ends_with(" lib-name=redis.py lib-ver=1.2.3\n"));
    client.ask("CLIENT SETINFO lib-name ");
    assert!(client.ask("CLIENT INFO").string().ends_with(" lib-name= lib-ver=1.2.3\n"));
}

#[test]
fn kill_by_address_closes_that_client() {
    let server = start(&[]);
    let (mut client, mut victim) = (server.client(), named(&server, "victim"));
    let addr = own(&mut victim, "addr");
    assert_eq!(client.say("CLIENT KILL 1.2.3.4:5"), "-ERR No such client");
    assert_eq!(client.say(&format!("CLIENT KILL {addr}")), "+OK");
    assert!(line_of(&mut client, "victim").is_none(), "gone for whoever asks next");
    assert!(victim.is_closed());
    let addr = own(&mut client, "addr");
    assert_eq!(client.say(&format!("CLIENT KILL {addr}")), "+OK", "whoever kills itself is answered");
    assert!(client.is_closed());
}

#[test]
fn kill_by_conditions_counts_who_was_closed() {
    let (server, mut client) = start_alone();
    let mut victims: Vec<Client> = (0..4).map(|i| named(&server, &format!("v{i}"))).collect();
    let id = |c: &mut Client| c.say("CLIENT ID").trim_start_matches(':').to_owned();
    let (first, second) = (id(&mut victims[0]), id(&mut victims[1]));
    let addr = own(&mut victims[1], "addr");
    assert_eq!(client.say(&format!("CLIENT KILL ID {first} ADDR {addr}")), ":0", "all conditions must be met");
    assert_eq!(client.say(&format!("CLIENT KILL ID {first}")), ":1");
    assert_eq!(client.say(&format!("CLIENT KILL ID {second} ADDR {addr} USER default TYPE normal")), ":1");
    assert_eq!(client.say("CLIENT KILL TYPE pubsub"), ":0");
    assert_eq!(client.say("CLIENT KILL MAXAGE 100000"), ":0");
    assert_eq!(client.say(&format!("CLIENT KILL LADDR 127.0.0.1:{} SKIPME yes", server.port)), ":2");
    assert!(victims.iter_mut().all(Client::is_closed));
    assert_eq!(client.say("CLIENT KILL SKIPME yes"), ":0");
    let mut other = server.client();
    assert_eq!(client.say("CLIENT KILL SKIPME no"), ":2");
    assert!(client.is_closed() && other.is_closed());
}

#[test]
fn kill_has_an_error_for_each_fault() {
    let server = start(&[]);
    let mut client = server.client();
    for (line, error) in [
        ("CLIENT KILL", "-ERR wrong number of arguments for 'client|kill' command"),
        ("CLIENT KILL ID x", "-ERR client-id should be greater than 0"),
        ("CLIENT KILL ID -1", "-ERR client-id should be greater than 0"),
        ("CLIENT KILL ID 0", "-ERR client-id should be greater than 0"),
        ("CLIENT KILL TYPE foo", "-ERR Unknown client type 'foo'"),
        ("CLIENT KILL USER foo", "-ERR No such user 'foo'"),
        ("CLIENT KILL SKIPME maybe", "-ERR syntax error"),
        ("CLIENT KILL MAXAGE x", "-ERR maxage is not an integer or out of range"),
        ("CLIENT KILL MAXAGE -1", "-ERR maxage should be greater than 0"),
        ("CLIENT KILL ID 9 ADDR", "-ERR syntax error"),
        ("CLIENT KILL foo bar", "-ERR syntax error"),
        ("CLIENT KILL SKIPME", "-ERR No such client"),
        ("CLIENT foo", "-ERR unknown subcommand 'foo'. Try CLIENT HELP."),
        ("CLIENT NO-EVICT foo", "-ERR syntax error"),
        ("CLIENT NO-TOUCH foo", "-ERR syntax error"),
        ("CLIENT REPLY foo", "-ERR syntax error"),
        ("CLIENT UNBLOCK x", "-ERR value is not an integer or out of range"),
        ("CLIENT UNBLOCK 1 foo", "-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ("CLIENT UNBLOCK 1 error", ":0"),
        ("CLIENT PAUSE x", "-ERR timeout is not an integer or out of range"),
        ("CLIENT PAUSE -1", "-ERR timeout is negative"),
        ("CLIENT PAUSE 9223372036854775807", "-ERR timeout is out of range"),
        ("CLIENT PAUSE 1 foo", "-ERR CLIENT PAUSE mode must be WRITE or ALL"),
        ("CLIENT PAUSE 1 ALL x", "-ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP."),
    ] {
        assert_eq!(client.say(line), error, "{line}");
    }
    let help = client.ask("CLIENT HELP");
    assert_eq!(help.children[0].string(), "CLIENT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
}

#[test]
fn kill_inside_a_pipeline_spares_who_sent_it_until_it_was_answered() {
    let (server, mut client) = start_alone();
    let mut victim = named(&server, "victim");
    let id = client.say("CLIENT ID").trim_start_matches(':').to_owned();
    let line = format!("CLIENT KILL TYPE normal\r\nPING\r\nCLIENT KILL ID {id} SKIPME no\r\nSET k v\r\n");
    client.send_raw(line.as_bytes()).expect("the server listens");
    assert_eq!((client.hear(), client.hear(), client.hear()), (":1".into(), "+PONG".into(), ":1".into()));
    assert!(client.is_closed() && victim.is_closed());
    assert_eq!(server.client().say("EXISTS k"), ":0");
}

#[test]
fn replies_can_be_turned_off_and_left_out() {
    let server = start(&[]);
    let mut client = server.client();
    for line in ["CLIENT REPLY OFF", "PING a", "foo", "CLIENT REPLY SKIP", "PING b"] {
        client.send(line);
    }
    assert_eq!(client.say("CLIENT REPLY ON"), "+OK");
    client.send("CLIENT REPLY SKIP");
    client.send("PING left-out");
    assert_eq!(client.say("PING told"), "\"told\"");
    client.send("CLIENT REPLY SKIP");
    assert_eq!(client.say("CLIENT REPLY ON"), "+OK");
    assert_eq!(client.say("PING"), "+PONG");
}

#[test]
fn no_touch_leaves_keys_as_they_were_used() {
    let server = start(&["--maxmemory-policy", "allkeys-lfu"]);
    let (mut client, mut other) = (server.client(), server.client());
    client.ask("SET k v");
    client.ask("CLIENT NO-TOUCH ON");
    assert_eq!(own(&mut client, "flags"), "T");
    let before = other.say("OBJECT FREQ k");
    (0..100).for_each(|_| drop(client.ask("GET k")));
    assert_eq!(other.say("OBJECT FREQ k"), before);
    client.ask("CLIENT NO-TOUCH OFF");
    (0..100).for_each(|_| drop(client.ask("GET k")));
    assert_ne!(other.say("OBJECT FREQ k"), before);
}

/// Waits until so many clients are held up.
fn wait_for_held_up(client: &mut Client, count: usize) {
    let wanted = format!("blocked_clients:{count}\r\n");
    wait_until("clients are held up", || client.ask("INFO clients").string().contains(&wanted));
}

#[test]
fn a_pause_of_writes_holds_up_writes_until_it_ends() {
    let server = start(&[]);
    let (mut control, mut writer, mut queued) = (server.client(), named(&server, "writer"), server.client());
    queued.ask("MULTI");
    queued.ask("SET q 1");
    assert_eq!(control.say("CLIENT PAUSE 600000 WRITE"), "+OK");
    writer.send_raw(b"PING\r\nSET k v\r\nPING after\r\n").expect("the server listens");
    assert_eq!(writer.hear(), "+PONG", "what came before is answered");
    queued.send("EXEC");
    wait_for_held_up(&mut control, 2);
    assert_eq!(field(&line_of(&mut control, "writer").expect("it is connected"), "flags"), "b");
    assert_eq!(control.say("GET k"), "($null)", "reading goes on");
    assert_eq!(control.say("SET k"), "-ERR wrong number of arguments for 'set' command");
    control.ask("MULTI");
    control.ask("GET k");
    assert_eq!(control.say("EXEC"), "*[($null)]", "so does a transaction that only reads");
    assert_eq!(control.say("CLIENT UNPAUSE"), "+OK");
    assert_eq!((writer.hear(), writer.hear()), ("+OK".into(), "\"after\"".into()));
    assert_eq!(queued.hear(), "*[+OK]");
    wait_for_held_up(&mut control, 0);
}

#[test]
fn a_pause_ends_by_itself_and_gets_no_shorter() {
    let server = start(&[]);
    let (mut control, mut client) = (server.client(), server.client());
    control.ask("CLIENT PAUSE 600000 WRITE");
    control.ask("CLIENT PAUSE 1 WRITE");
    client.send("SET k v");
    wait_for_held_up(&mut control, 1);
    control.ask("CLIENT UNPAUSE");
    assert_eq!(client.hear(), "+OK");
    control.ask("CLIENT PAUSE 50 ALL");
    assert_eq!(control.say("CLIENT PAUSE 1 WRITE"), "+OK", "which itself had to wait");
    assert_eq!(client.say("SET k w"), "+OK");
}

#[test]
fn a_client_that_is_held_up_can_leave_or_be_closed() {
    let server = start(&[]);
    let (mut control, mut killed, left) = (server.client(), named(&server, "killed"), named(&server, "left"));
    let mut left = left;
    control.ask("CLIENT PAUSE 600000 WRITE");
    killed.send("SET a 1");
    left.send("SET b 1");
    wait_for_held_up(&mut control, 2);
    let id = field(&line_of(&mut control, "killed").expect("it is connected"), "id");
    assert_eq!(control.say(&format!("CLIENT KILL ID {id}")), ":1");
    assert!(killed.is_closed());
    drop(left);
    wait_for_held_up(&mut control, 0);
    control.ask("CLIENT UNPAUSE");
    assert_eq!(control.say("EXISTS a b"), ":0");
}

#[test]
fn a_pause_begins_after_the_transaction_that_asks_for_it() {
    let server = start(&[]);
    let (mut control, mut writer) = (server.client(), server.client());
    for line in ["MULTI", "SET a 1", "CLIENT PAUSE 600000 WRITE", "SET b 1"] {
        control.ask(line);
    }
    assert_eq!(control.say("EXEC"), "*[+OK +OK +OK]");
    writer.send("SET c 1");
    wait_for_held_up(&mut control, 1);
    assert_eq!(control.say("EXISTS a b c"), ":2");
    control.ask("CLIENT UNPAUSE");
    assert_eq!(writer.hear(), "+OK");
}

#[test]
fn nothing_expires_during_a_pause_but_dead_keys_are_not_shown() {
    let server = start(&[]);
    let mut control = server.client();
    for line in ["MULTI", "SET a 1 PX 10", "SET b 1 PX 10", "CLIENT PAUSE 600000 WRITE", "EXEC"] {
        control.ask(line);
    }
    wait_until("their time has come", || control.say("EXISTS a b") == ":0");
    assert_eq!(
        (control.say("GET a"), control.say("STRLEN b"), control.say("MGET a b")),
        ("($null)".into(), ":0".into(), "*[($null) ($null)]".into())
    );
    assert_eq!(control.say("DBSIZE"), ":2");
    assert!(control.ask("INFO stats").string().contains("\r\nexpired_keys:0\r\n"));
    let key = control.say("RANDOMKEY");
    assert!(key == "\"a\"" || key == "\"b\"", "{key}: and nothing runs for ever");
    control.ask("CLIENT UNPAUSE");
    wait_until("they went", || control.say("DBSIZE") == ":0");
    assert!(control.ask("INFO stats").string().contains("\r\nexpired_keys:2\r\n"));
}

#[test]
fn nothing_is_evicted_during_a_pause() {
    let server = start(&["--maxmemory-policy", "allkeys-random"]);
    let mut control = server.client();
    for line in ["MULTI", "SET a 1", "CLIENT PAUSE 600000 WRITE", "CONFIG SET maxmemory 1", "EXEC", "GET a", "PING"] {
        control.ask(line);
    }
    assert_eq!(control.say("DBSIZE"), ":1");
}
