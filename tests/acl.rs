//! Users against the real binary: what they may do, how they log in, what becomes of their connections, what is kept and
//! what is logged.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;
use support::client::Client;
use support::{Folder, Process, start, wait_until};

fn log_in(server: &Process, user: &str, password: &str) -> Client {
    let mut client = server.client();
    assert_eq!(client.say(&format!("AUTH {user} {password}")), "+OK");
    client
}

/// A server whose data folder is kept when it ends.
fn start_in(folder: &Folder, flags: &[&str]) -> Process {
    let dir = folder.path().to_str().expect("a path is text");
    start(&[&["--dir", dir], flags].concat())
}

fn kill_hard(server: &mut Process) {
    let killed = std::process::Command::new("kill").args(["-9", &server.pid().to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()) && server.ends_within(Duration::from_secs(10)));
}

#[test]
fn a_user_may_do_what_its_rules_say_and_the_log_lists_the_rest() {
    let server = start(&[]);
    let mut admin = server.client();
    assert_eq!(admin.say("ACL SETUSER r on >p ~data:* &news:* +@read +publish +select"), "+OK");
    admin.ask("SET data:1 v");
    let mut r = log_in(&server, "r", "p");
    assert_eq!(r.say("GET data:1"), "\"v\"");
    assert_eq!(r.say("GET x"), "-NOPERM No permissions to access a key");
    assert_eq!(r.say("SET data:1 w"), "-NOPERM User r has no permissions to run the 'set' command");
    assert_eq!(r.say("MGET data:1 other"), "-NOPERM No permissions to access a key");
    assert_eq!(r.say("PUBLISH news:a m"), ":0");
    assert_eq!(r.say("PUBLISH other m"), "-NOPERM No permissions to access a channel");
    assert_eq!(r.say("sel 1"), "+OK");
    assert_eq!(r.say("SELECT 0"), "+OK");
    let log = admin.say("ACL LOG");
    for part in ["\"x\"", "\"other\"", "\"set\"", "\"reason\" \"channel\"", "\"username\" \"r\"", "user=r"] {
        assert!(log.contains(part), "{part}: {log}");
    }
    assert_eq!((admin.say("ACL LOG RESET"), admin.say("ACL LOG")), ("+OK".into(), "*[]".into()));
    assert_eq!(admin.say("ACL DRYRUN r GET x"), "\"User r has no permissions to access the 'x' key\"");
    assert_eq!(admin.say("ACL DRYRUN r GET data:2"), "+OK");
    let info = admin.ask("INFO stats").string();
    assert!(
        info.contains("acl_access_denied_cmd:1\r\nacl_access_denied_key:2\r\nacl_access_denied_channel:1"),
        "{info}"
    );
}

#[test]
fn a_change_of_rules_holds_for_connected_clients_at_once() {
    let server = start(&[]);
    let mut admin = server.client();
    admin.ask("ACL SETUSER amy on >p ~* &* +@all");
    let (mut amy, mut listener, mut blocked, mut queue) = (
        log_in(&server, "amy", "p"),
        log_in(&server, "amy", "p"),
        log_in(&server, "amy", "p"),
        log_in(&server, "amy", "p"),
    );
    listener.ask("SUBSCRIBE news");
    blocked.send("BLPOP list 0");
    wait_until("a client is blocked", || admin.ask("INFO clients").string().contains("blocked_clients:1"));
    queue.ask("MULTI");
    assert_eq!(queue.say("SET k v"), "+QUEUED");
    admin.ask("ACL SETUSER amy -set -blpop");
    assert_eq!(amy.say("SET k v"), "-NOPERM User amy has no permissions to run the 'set' command");
    assert!(
        queue
            .say("EXEC")
            .starts_with("*[-NOPERM ACLs rules changed between the moment the transaction was accumulated")
    );
    admin.ask("RPUSH list a");
    assert_eq!(blocked.hear(), "-NOPERM User amy has no permissions to run the 'blpop' command");
    assert_eq!(admin.say("LLEN list"), ":1");
    assert_eq!(amy.say("EVAL return{redis.pcall('set','k','v').err,redis.acl_check_cmd('set','k','v'),redis.acl_check_cmd('get','k')} 0"),
        "*[\"NOPERM ACL failure in script: User amy has no permissions to run the 'set' command\" ($null) :1]");
    assert_eq!(amy.say("GET k"), "($null)");
    admin.ask("ACL SETUSER amy resetchannels &news");
    assert!(!listener.has_more());
    admin.ask("ACL SETUSER amy resetchannels &other");
    assert!(listener.is_closed());
    assert_eq!(amy.say("CLIENT LIST USER amy").matches("user=amy").count(), 3);
    assert_eq!(admin.say("ACL DELUSER amy nobody"), ":1");
    assert!(amy.is_closed() && blocked.is_closed() && queue.is_closed());
    assert_eq!(server.client().say("AUTH amy p"), "-WRONGPASS invalid username-password pair or user is disabled.");
    assert_eq!(admin.say("ACL DELUSER default"), "-ERR The 'default' user cannot be removed");
}

#[test]
fn users_of_the_reference_system_have_its_rules() {
    let server = start(&["--requirepass", "dsl"]);
    let mut root = log_in(&server, "root", "dsl");
    assert_eq!(root.say("ACL WHOAMI"), "\"default\"");
    assert_eq!(root.say("USERADD 0 amy pw1"), "+OK");
    assert!(root.say("USERADD 0 bob a-b").starts_with("-ERR The password must consist of letters and digits"));
    assert_eq!(root.say("USERADD 0 amy pw2"), "-ERR User 'amy' exists already");
    assert!(root.say("USERADD 2 eve pw").starts_with("-ERR"));
    let mut amy = log_in(&server, "amy", "pw1");
    assert_eq!((amy.say("ACL WHOAMI"), amy.say("SET k v")), ("\"amy\"".into(), "+OK".into()));
    assert_eq!(amy.say("USERADD 1 eve x"), "-NOPERM User amy has no permissions to run the 'useradd' command");
    for denied in ["BGSAVE", "SAVE", "FLUSHDB", "DROPDB", "FLUSHALL", "USERDEL amy", "CONFIG GET dir", "ACL LIST"] {
        assert!(amy.say(denied).starts_with("-NOPERM User amy"), "{denied}");
    }
    assert!(amy.say("KEYS *").contains("\"k\"") && !amy.say("INFO server").starts_with('-'));
    assert_eq!((amy.say("PASSWD amy new1"), amy.say("PASSWD default x1").starts_with("-NOPERM")), ("+OK".into(), true));
    assert_eq!(
        (root.say("PASSWD amy z9"), root.say("PASSWD amy a-b").starts_with("-ERR The password")),
        ("+OK".into(), true)
    );
    assert_eq!(root.say("USERS"), "*[\"amy\" \"default\"]");
    assert!(root.say("USERS amy").starts_with("*[\"username\" \"amy\" \"admin\" \"0\""));
    assert_eq!(root.say("USERS none"), "-ERR No such user 'none'");
    assert!(amy.say("WHOAMI").starts_with("*[\"username\" \"amy\" \"ip\" \"127.0.0.1\" \"admin\" \"0\" \"full-name\""));
    assert!(root.say("USERDEL root").starts_with("-ERR") && root.say("USERDEL default").starts_with("-ERR"));
    assert_eq!(root.say("USERDEL amy"), "+OK");
    assert!(amy.is_closed());
    assert_eq!(root.say("USERDEL amy"), "-ERR No such user 'amy'");
}

#[test]
fn users_survive_a_restart_and_the_deleted_stay_deleted() {
    for flags in [&[][..], &["--encrypt", "yes"]] {
        let folder = Folder::new("users");
        let mut server = start_in(&folder, flags);
        let mut admin = server.client();
        for name in ["amy", "bob"] {
            assert_eq!(admin.say(&format!("USERADD 0 {name} pw1")), "+OK");
        }
        admin.ask("ACL SETUSER amy -get");
        admin.ask("ACL SETUSER passing on nopass +@all");
        assert_eq!(admin.say("USERDEL bob"), "+OK");
        kill_hard(&mut server);
        let sealed = !flags.is_empty();
        let content = fs::read(folder.path().join("users.acl")).expect("the file is there");
        assert_eq!(content.windows(3).any(|part| part == b"amy"), !sealed);
        let server = start_in(&folder, flags);
        let mut amy = log_in(&server, "amy", "pw1");
        assert!(amy.say("GET k").starts_with("-NOPERM") && amy.say("SAVE").starts_with("-NOPERM"));
        assert_eq!(amy.say("SET k v"), "+OK");
        assert!(server.client().say("AUTH bob pw1").starts_with("-WRONGPASS"));
        assert_eq!(server.client().say("ACL USERS"), "*[\"amy\" \"default\"]");
    }
}

#[test]
fn an_aclfile_is_saved_and_loaded_and_bad_ones_change_nothing() {
    let folder = Folder::new("aclfile");
    let file = folder.path().join("users");
    fs::write(&file, "user default on nopass ~* &* +@all\nuser amy on >p ~a +@all &x\n").expect("it can be written");
    let server = start(&["--aclfile", file.to_str().expect("a path is text")]);
    let (mut admin, mut amy) = (server.client(), log_in(&server, "amy", "p"));
    admin.ask("ACL SETUSER new on >n ~\"quoted\" +get");
    assert_eq!((admin.say("ACL SAVE"), admin.say("USERADD 1 kept p1")), ("+OK".into(), "+OK".into()));
    let before = admin.say("ACL LIST");
    assert_eq!((admin.say("ACL LOAD"), admin.say("ACL LIST")), ("+OK".into(), before.clone()));
    assert_eq!(amy.say("SET a 1"), "+OK");
    for bad in ["user amy +nope\n", "foo\n", "user default on\nuser default on\n"] {
        fs::write(&file, bad).expect("it can be written");
        let refused = admin.say("ACL LOAD");
        assert!(
            refused.starts_with("-ERR ") && refused.contains("no change to the previously active ACL rules"),
            "{refused}"
        );
        assert_eq!(admin.say("ACL LIST"), before);
    }
    fs::write(&file, "user default on nopass ~* &* +@all\nuser new on >n\n").expect("it can be written");
    assert_eq!(admin.say("ACL LOAD"), "+OK");
    assert!(amy.is_closed());
    assert_eq!(admin.say("ACL USERS"), "*[\"default\" \"new\"]");
    assert!(
        start(&[])
            .client()
            .say("ACL SAVE")
            .starts_with("-ERR This Redis instance is not configured to use an ACL file.")
    );
}

#[test]
fn users_of_the_configuration_are_taken_over_rewritten_and_checked() {
    let folder = Folder::new("config");
    let file = folder.path().join("redis.conf");
    let text = "user amy on >p ~a:* (+get ~b) +set\nrequirepass secret\n";
    fs::write(&file, text).expect("it can be written");
    let path = file.to_str().expect("a path is text").to_owned();
    // The configuration file comes before all flags.
    let started = std::process::Command::new(support::our_binary()).args([&path, "--check-config"]).output();
    assert!(started.is_ok());
    let port = support::free_port().to_string();
    let mut child = std::process::Command::new(support::our_binary())
        .args([&path, "--port", &port, "--save", "", "--bind", "127.0.0.1", "--dir"])
        .arg(folder.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let port: u16 = port.parse().expect("a number");
    let mut client = None;
    wait_until("the server answers", || {
        client = Client::connect(port).ok();
        client.is_some()
    });
    let mut admin = client.expect("connected");
    assert_eq!(admin.say("PING"), "-NOAUTH Authentication required.");
    assert_eq!((admin.say("AUTH secret"), admin.say("ACL DRYRUN amy GET b")), ("+OK".into(), "+OK".into()));
    assert_eq!(admin.say("CONFIG REWRITE"), "+OK");
    let rewritten = fs::read_to_string(&file).expect("it is there");
    assert!(
        rewritten.contains("user amy on sanitize-payload #") && rewritten.contains("(~b resetchannels -@all +get)"),
        "{rewritten}"
    );
    assert!(rewritten.contains("user default on"), "{rewritten}");
    admin.send("SHUTDOWN NOSAVE");
    assert!(child.wait().is_ok());
    for bad in [
        "user amy +nope\n",
        "user amy on\nuser amy off\n",
        "user amy (on\n",
        "user a on\naclfile x\n",
        "aclfile /no/such/file\n",
    ] {
        fs::write(&file, bad).expect("it can be written");
        let output =
            std::process::Command::new(support::our_binary()).args([&path, "--port", "0"]).output().expect("it runs");
        assert!(!output.status.success(), "{bad}");
    }
}

/// A connection from another address of this machine.
fn connect_from(server: &Process, address: [u8; 4]) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).expect("a socket");
    socket.bind(&std::net::SocketAddr::from((address, 0)).into()).expect("the address is ours");
    socket.connect(&std::net::SocketAddr::from(([127, 0, 0, 1], server.port)).into()).expect("it listens");
    socket.into()
}

fn ask_raw(stream: &mut TcpStream, line: &str) -> String {
    stream.write_all(format!("{line}\r\n").as_bytes()).expect("it is sent");
    let mut reply = [0; 256];
    let len = stream.read(&mut reply).expect("a reply");
    String::from_utf8_lossy(&reply[..len]).into_owned()
}

#[test]
fn guessing_slows_its_own_address_down_and_nobody_else() {
    let server = start(&["--requirepass", "right"]);
    let mut guesser = server.client();
    for _ in 0..20 {
        assert!(guesser.say("AUTH wrong").starts_with("-WRONGPASS"));
    }
    guesser.send("AUTH wrong");
    let (mut same, mut other) = (server.client(), connect_from(&server, [127, 0, 0, 2]));
    same.send("AUTH right");
    // Theirs comes while the guess before it still waits.
    assert_eq!(ask_raw(&mut other, "AUTH right"), "+OK\r\n");
    assert_eq!(ask_raw(&mut other, "PING"), "+PONG\r\n");
    assert!(!guesser.has_more() && !same.has_more());
    assert!(guesser.hear().starts_with("-WRONGPASS"));
    assert_eq!(same.hear(), "+OK");
    assert!(same.ask("INFO stats").string().contains("acl_access_denied_auth:21"));
}

#[test]
fn who_waits_for_its_turn_to_log_in_can_pile_up_little() {
    let server = start(&["--requirepass", "right", "--auth-failure-limit", "1"]);
    let mut guesser = server.client();
    assert!(guesser.say("AUTH wrong").starts_with("-WRONGPASS"));
    guesser.send("AUTH wrong");
    let chunk = "PING 123456789012345678901234567890\r\n".repeat(4000);
    let mut sent = 0;
    while sent < 64 << 20 && guesser.send_raw(chunk.as_bytes()).is_ok() {
        sent += chunk.len();
    }
    assert!(sent < 64 << 20, "a stranger could send {sent} bytes");
    assert_eq!(log_in_when_due(&server), "+OK");
}

fn log_in_when_due(server: &Process) -> String {
    server.client().say("AUTH right")
}

#[test]
fn slow_hashes_are_checked_beside_the_loop() {
    let server = start(&["--password-hash", "argon2id", "--requirepass", ""]);
    let mut admin = server.client();
    admin.ask("ACL SETUSER amy on >p1 >p2 ~* +@all");
    let rules = admin.say("ACL GETUSER amy");
    assert!(rules.matches("$argon2id$v=19$m=").count() == 2, "{rules}");
    let (mut amy, mut wrong) = (server.client(), server.client());
    amy.send("AUTH amy p2");
    wrong.send("AUTH amy p3");
    assert_eq!(admin.say("PING"), "+PONG");
    assert_eq!(amy.hear(), "+OK");
    assert!(wrong.hear().starts_with("-WRONGPASS"));
    assert_eq!((amy.say("ACL WHOAMI"), amy.say("SET k v")), ("\"amy\"".into(), "+OK".into()));
    assert!(amy.say("HELLO 3 AUTH amy p1").contains("\"proto\" :3"));
    admin.ask("ACL SETUSER amy <p1");
    assert!(server.client().say("AUTH amy p1").starts_with("-WRONGPASS"));
    admin.ask("MULTI");
    admin.ask("AUTH amy p2");
    assert!(admin.say("EXEC").contains("-ERR This user's password can't be checked inside a transaction"));
}

fn audit_lines(path: &Path) -> Vec<serde_json::Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect()
}

#[test]
fn the_audit_log_tells_who_did_what_and_no_secret() {
    let folder = Folder::new("audit");
    let path = folder.path().join("audit.log");
    let server = start(&["--audit-log-file", path.to_str().expect("a path is text"), "--requirepass", "topsecret"]);
    let mut admin = server.client();
    assert!(admin.say("AUTH wrong1").starts_with("-WRONGPASS"));
    admin.ask("AUTH topsecret");
    admin.ask("ACL SETUSER amy on >pass77 +@read ~data:*");
    let mut amy = log_in(&server, "amy", "pass77");
    assert!(amy.say("GET hiddenkey").starts_with("-NOPERM"));
    admin.ask("CONFIG SET maxmemory-samples 7 requirepass other88");
    admin.ask("SET somekey somevalue");
    admin.ask("FLUSHALL");
    admin.send("SHUTDOWN NOSAVE");
    wait_until("the last line is there", || audit_lines(&path).iter().any(|line| line["event"] == "shutdown"));
    let lines = audit_lines(&path);
    let events: Vec<String> = lines
        .iter()
        .map(|l| format!("{}:{}", l["event"].as_str().unwrap_or(""), l["user"].as_str().unwrap_or("")))
        .collect();
    assert_eq!(
        events,
        [
            "login:default",
            "login:default",
            "users:default",
            "login:amy",
            "denied:amy",
            "config:default",
            "flush:default",
            "shutdown:default"
        ]
    );
    assert_eq!((&lines[0]["ok"], &lines[1]["ok"]), (&serde_json::json!(false), &serde_json::json!(true)));
    assert_eq!((&lines[4]["reason"], &lines[4]["command"]), (&serde_json::json!("key"), &serde_json::json!("get")));
    assert!(lines.iter().all(|line| line["addr"].as_str().is_some_and(|addr| addr.starts_with("127.0.0.1:"))));
    let text = fs::read_to_string(&path).expect("it is there");
    for secret in ["topsecret", "wrong1", "pass77", "other88", "hiddenkey", "somekey", "somevalue"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn a_password_from_a_file_is_shown_nowhere() {
    let folder = Folder::new("passfile");
    let file = folder.path().join("password");
    fs::write(&file, "fromfile99\r\nsecond line\n").expect("it can be written");
    let server = start(&["--requirepass-file", file.to_str().expect("a path is text")]);
    assert_eq!(server.client().say("PING"), "-NOAUTH Authentication required.");
    let mut admin = log_in(&server, "default", "fromfile99");
    assert!(!admin.say("CONFIG GET *").contains("fromfile99"));
    let words = fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&words).contains("fromfile99"));
}

#[test]
fn databases_and_rates_are_bounded_for_those_whose_rules_say_so() {
    let server = start(&[]);
    let mut admin = server.client();
    admin.ask("ACL SETUSER amy on >p ~* +@all -@admin db=1,2");
    let mut amy = log_in(&server, "amy", "p");
    const DENIED: &str = "-NOPERM No permissions to access the database";
    for denied in ["GET k", "SET k v", "SELECT 3", "SELECT 0", "FLUSHALL", "SWAPDB 1 2", "KEYS *"] {
        assert_eq!(amy.say(denied), DENIED, "{denied}");
    }
    assert_eq!(
        (amy.say("PING"), amy.say("SELECT 1"), amy.say("SET k v")),
        ("+PONG".into(), "+OK".into(), "+OK".into())
    );
    assert_eq!((amy.say("COPY k k DB 3"), amy.say("MOVE k 0")), (DENIED.into(), DENIED.into()));
    assert_eq!((amy.say("COPY k k DB 2"), amy.say("DBSIZE")), (":1".into(), ":1".into()));
    assert_eq!(amy.say("SELECT notanumber"), "-ERR value is not an integer or out of range");
    assert!(admin.say("ACL LIST").contains("db=1,2 +@all -@admin"));
    assert_eq!(admin.say("ACL SETUSER amy alldbs rate=3"), "+OK");
    let replies: Vec<String> = (0..8).map(|_| amy.say("PING")).collect();
    assert!(replies.contains(&"-ERR User amy may run 3 commands per second and has done so".to_owned()), "{replies:?}");
    assert_eq!(admin.say("PING"), "+PONG");
}

#[test]
fn bounds_of_a_user_are_shown_kept_and_refused_like_other_rules() {
    let folder = Folder::new("bounds");
    let file = folder.path().join("users.acl");
    fs::write(&file, "user amy on nopass +ping rate=100000 memory=3mb\n").expect("it can be written");
    let server = start(&["--aclfile", file.to_str().expect("a path is text")]);
    let mut admin = server.client();
    let shown = |admin: &mut Client| admin.say("ACL GETUSER amy");
    assert!(
        shown(&mut admin).contains("\"rate\" :100000 \"memory\" :3145728 \"memory-used\" :0"),
        "{}",
        shown(&mut admin)
    );
    assert!(admin.say("ACL LIST").contains("rate=100000 memory=3145728 resetchannels -@all +ping"));
    for (rule, cause) in [
        ("memory=", "The memory must be a number of bytes, with or without a unit as in 10mb, or 0 for no limit"),
        ("memory=10x", "The memory must be a number of bytes, with or without a unit as in 10mb, or 0 for no limit"),
        ("rate=-1", "The rate must be a number of commands per second, or 0 for no limit"),
        ("memory", "Syntax error"),
    ] {
        let refused = admin.say(&format!("ACL SETUSER amy off {rule}"));
        assert_eq!(refused, format!("-ERR Error in ACL SETUSER modifier '{rule}': {cause}"));
    }
    let mut amy = log_in(&server, "amy", "any");
    assert_eq!((amy.say("PING"), admin.say("ACL SETUSER amy memory=5kb")), ("+PONG".into(), "+OK".into()));
    assert_eq!((amy.say("PING"), admin.say("ACL SAVE")), ("+PONG".into(), "+OK".into()));
    let saved = fs::read_to_string(&file).expect("it can be read");
    assert!(saved.contains("user amy on nopass sanitize-payload rate=100000 memory=5120 "), "{saved}");
    assert_eq!((admin.say("ACL LOAD"), amy.say("PING")), ("+OK".into(), "+PONG".into()));
    assert!(shown(&mut admin).contains("\"memory\" :5120"));
}

#[test]
fn rules_are_refused_in_the_reference_words_and_nothing_changes() {
    let server = start(&[]);
    let mut admin = server.client();
    admin.ask("ACL SETUSER amy on >p ~a");
    let before = admin.say("ACL LIST");
    for (rules, text) in [
        ("foo", "modifier 'foo': Syntax error"),
        ("off +nope", "modifier '+nope': Unknown command or category name in ACL"),
        ("<wrong", "modifier '<wrong': The password you are trying to remove from the user does not exist"),
        (
            "#12",
            "modifier '#12': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters",
        ),
        ("+config|get|x", "modifier '+config|get|x': Allowing first-arg of a subcommand is not supported"),
    ] {
        assert_eq!(admin.say(&format!("ACL SETUSER amy {rules}")), format!("-ERR Error in ACL SETUSER {text}"));
    }
    assert_eq!(admin.say("ACL SETUSER amy (+get"), "-ERR Unmatched parenthesis in acl selector starting at '(+get'.");
    assert_eq!(admin.say("ACL LIST"), before);
    for absent in ["+replicaof", "-cluster", "+cluster|info", "-module", "+psync"] {
        assert_eq!(admin.say(&format!("ACL SETUSER amy {absent}")), "+OK", "{absent}");
    }
    assert_eq!(admin.say("ACL GENPASS 5").len(), 4);
    assert_ne!(admin.say("ACL GENPASS"), admin.say("ACL GENPASS"));
    assert_eq!(admin.say("ACL CAT nope"), "-ERR Unknown category 'nope'");
}
