//! Rules and requests made at random, given to our server and to the reference one: whether a user may run a request, and
//! what is missing, must be the same. `REDSTART_ACL_SEED` repeats a run.

mod support;

use support::random::Random;
use support::{env_number, oracle, our_binary};

const COMMANDS: &[&str] = &[
    "get",
    "set",
    "mget",
    "mset",
    "del",
    "config|get",
    "config|set",
    "config",
    "client|id",
    "client",
    "publish",
    "subscribe",
    "@read",
    "@write",
    "@admin",
    "@dangerous",
    "@fast",
    "@slow",
    "@keyspace",
    "@string",
    "@hash",
    "@set",
    "@pubsub",
    "@connection",
    "@scripting",
    "@transaction",
    "@blocking",
    "select",
    "sort",
    "eval",
    "bitfield",
    "hset",
    "xread",
    "info",
];
const OTHERS: &[&str] = &[
    "~*",
    "~a*",
    "~b",
    "%R~a*",
    "%W~b*",
    "%RW~c?",
    "allkeys",
    "resetkeys",
    "&*",
    "&ch*",
    "&x",
    "allchannels",
    "resetchannels",
    "+@all",
    "-@all",
    "allcommands",
    "nocommands",
    "(+get ~a*)",
    "(+@write %W~b*)",
    "(+@all ~c* &x)",
    "clearselectors",
    "on",
    "off",
    "nopass",
    "+select|0",
    "+client|list",
    "-client|kill",
    "+config|rewrite",
    "%X~a",
    "+nope",
    "%~a",
    "(foo)",
    "(",
    "~",
    "resetpass",
    ">p",
    "<p",
    "<q",
    "reset",
];
const REQUESTS: &[&str] = &[
    "get KEY",
    "set KEY v",
    "set KEY v GET",
    "mget KEY KEY",
    "mset KEY 1 KEY 2",
    "del KEY KEY",
    "config get maxmemory",
    "config set maxmemory 0",
    "client id",
    "client list",
    "client kill 1",
    "publish CH m",
    "subscribe CH CH",
    "psubscribe CH",
    "select 0",
    "select 1",
    "sort KEY",
    "sort KEY STORE KEY",
    "eval s 1 KEY",
    "eval s 0",
    "bitfield KEY get u8 0",
    "bitfield KEY set u8 0 1",
    "hset KEY f v",
    "hget KEY f",
    "xread STREAMS KEY 0",
    "xgroup create KEY g $",
    "info",
    "ping",
    "auth p",
    "hello",
    "multi",
    "exec",
    "blpop KEY 0",
    "lmove KEY KEY left right",
    "exists KEY",
    "touch KEY",
    "type KEY",
    "copy KEY KEY",
    "rename KEY KEY",
    "sinterstore KEY KEY KEY",
    "zunionstore KEY 2 KEY KEY",
    "zinter 2 KEY KEY",
    "xadd KEY * f v",
    "georadius KEY 1 1 1 m STORE KEY",
    "georadius KEY 1 1 1 m",
    "object freq KEY",
    "memory usage KEY",
    "watch KEY",
    "getex KEY",
    "getex KEY persist",
    "bitop and KEY KEY KEY",
    "spublish CH m",
    "ssubscribe CH",
    "pfcount KEY KEY",
    "pfmerge KEY KEY",
    "lmpop 2 KEY KEY left",
    "unsubscribe CH",
    "script load x",
    "function list",
    "acl whoami",
    "acl list",
    "dbsize",
    "flushall",
];

fn word<'a>(random: &mut Random, words: &[&'a str]) -> &'a str {
    words[random.below(words.len())]
}

fn rule(random: &mut Random) -> String {
    match random.below(3) {
        0 => word(random, OTHERS).to_owned(),
        1 => format!("+{}", word(random, COMMANDS)),
        _ => format!("-{}", word(random, COMMANDS)),
    }
}

fn request(random: &mut Random) -> String {
    let filled = |word_of: &str, random: &mut Random| match word_of {
        "KEY" => word(random, &["a", "a1", "b", "b1", "c", "c1", "d"]).to_owned(),
        "CH" => word(random, &["ch1", "x", "ch*", "other"]).to_owned(),
        other => other.to_owned(),
    };
    let form = word(random, REQUESTS);
    form.split(' ').map(|part| filled(part, random)).collect::<Vec<_>>().join(" ")
}

/// The reference's former words for the same.
fn in_our_words(reply: &str) -> String {
    reply.replace("This user has", "User amy has")
}

#[test]
fn users_may_do_what_they_may_do_on_the_reference_server() {
    let Some(reference) = oracle("access rules") else { return };
    let (ours, theirs) = (support::start(&[]), support::Process::start(&reference, &[]));
    assert!(our_binary().exists());
    let (mut our, mut their) = (ours.client(), theirs.client());
    let seed = env_number("REDSTART_ACL_SEED", u64::from(std::process::id()));
    println!("REDSTART_ACL_SEED={seed}");
    let mut random = Random::seeded(seed);
    for _ in 0..250 {
        our.ask("ACL DELUSER amy");
        their.ask("ACL DELUSER amy");
        let mut history = Vec::new();
        for _ in 0..random.below(10) + 1 {
            let line = format!("ACL SETUSER amy {}", rule(&mut random));
            let (our_reply, their_reply) = (our.say(&line), their.say(&line));
            history.push(line);
            assert_eq!(our_reply, their_reply, "{history:#?}");
        }
        for _ in 0..30 {
            let line = format!("ACL DRYRUN amy {}", request(&mut random));
            assert_eq!(our.say(&line), in_our_words(&their.say(&line)), "{line} after {history:#?}");
        }
    }
}
