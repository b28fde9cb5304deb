//! Requests that a stranger to the rules might try: the whole command table, with keys and channels that are its own, that
//! it may only read or write, and that it may not touch at all. Knows no rule and no reply.

use super::inputs::corpus;
use crate::support::client::{Client, Value};
use crate::support::random::Random;
use redstart::base::text::split_args;

/// Beginnings of the names of keys; a digit follows.
const KEYS: &[&str] = &["mine:", "mine:", "mine:", "shared:", "drop:", "secret:", "secret:"];
/// Names and patterns that are nearly something else.
const TRICKS: &[&str] =
    &["", "mine", "mine:", "MINE:1", "secret:1\0", "mine:*", "s?cret:1", "*", "secret:*->field", "#", "mine:1\r\n"];
const CHANNELS: &[&str] =
    &["news:1", "news:2", "private:1", "private:2", "news:*", "private:*", "*", "__keyspace@0__:secret:1"];
const NUMBERS: &[&str] = &["0", "1", "1", "2", "3", "-1", "10", "1.5", "-", "+", "$", "100000", "(1", "[a", "inf"];
/// Words of the corpus that stand for keys.
const CORPUS_KEYS: &[&str] =
    &["key", "key2", "key3", "key4", "list", "hash", "set", "zset", "stream", "hll", "bits", "str", "num", "counter"];
const SCRIPTS: &[&str] = &[
    "return redis.call('get', KEYS[1] or 'secret:1')",
    "return redis.call('get', 'secret:1')",
    "return redis.pcall('lrange', 'secret:2', 0, -1)",
    "return redis.call('set', 'secret:1', 'x')",
    "return redis.pcall(ARGV[1] or 'get', ARGV[2] or 'secret:1', ARGV[3])",
    "return redis.call('copy', 'secret:1', 'mine:1', 'replace')",
    "#!lua flags=no-writes,allow-oom\nreturn redis.call('dump', 'secret:3')",
    "redis.setresp(3) return redis.call('hgetall', 'secret:3')",
    "return redis.call('publish', 'private:1', 'hello')",
    "redis.call('select', 1) return redis.call('get', 'secret:1')",
    "redis.set_repl(0) return redis.call('del', 'secret:1', 'mine:1')",
    "return redis.call('eval', 'return 1', 0)",
    "return redis.acl_check_cmd('get', 'secret:1')",
];
const LIBRARIES: &[&str] = &[
    "#!lua name=guests\nredis.register_function('guest_f', function(k, a) return redis.pcall(unpack(a)) end)",
    "#!lua name=guests\nredis.register_function{function_name='guest_f', callback=function(k) return redis.call('get', 'secret:1') end, flags={'no-writes'}}",
];

/// What requests are made of.
pub struct Requests {
    /// Names with their subcommands, and how many words the request has at least.
    commands: Vec<(Vec<Vec<u8>>, usize)>,
    /// Words that options are.
    tokens: Vec<Vec<u8>>,
    /// Requests of the corpus.
    examples: Vec<Vec<Vec<u8>>>,
}

fn pairs(map: &Value) -> impl Iterator<Item = (&Value, &Value)> {
    map.children.chunks_exact(2).map(|pair| (&pair[0], &pair[1]))
}

/// All option words of a reply of COMMAND DOCS.
fn gather_tokens(docs: &Value, tokens: &mut Vec<Vec<u8>>) {
    for (name, value) in pairs(docs).filter(|(name, _)| name.text == b"token") {
        debug_assert!(name.children.is_empty());
        tokens.push(value.text.clone());
    }
    docs.children.iter().for_each(|child| gather_tokens(child, tokens));
}

fn gather_commands(rows: &Value, commands: &mut Vec<(Vec<Vec<u8>>, usize)>) {
    for row in &rows.children {
        let [name, arity, .., subcommands] = row.children.as_slice() else { continue };
        let words = name.text.split(|byte| *byte == b'|').map(<[u8]>::to_vec).collect();
        let least = arity.int().map_or(1, |arity| arity.unsigned_abs() as usize);
        commands.push((words, least));
        gather_commands(subcommands, commands);
    }
}

impl Requests {
    /// Of the table of a server, as it tells it.
    pub fn new(client: &mut Client) -> Requests {
        let (mut commands, mut tokens) = (Vec::new(), Vec::new());
        gather_commands(&client.ask("COMMAND"), &mut commands);
        gather_tokens(&client.ask("COMMAND DOCS"), &mut tokens);
        tokens.sort();
        tokens.dedup();
        assert!(commands.len() > 300 && tokens.len() > 100, "{} {}", commands.len(), tokens.len());
        let lines = corpus("commands").concat();
        let examples = lines.split(|byte| *byte == b'\n').filter_map(|line| split_args(line).ok());
        Requests { commands, tokens, examples: examples.filter(|words| !words.is_empty()).collect() }
    }

    /// A request.
    pub fn one(&self, random: &mut Random) -> Vec<Vec<u8>> {
        if random.chance(30) {
            return self.example(random);
        }
        let (name, least) = random.pick(&self.commands);
        let mut words = name.clone();
        let len = (*least).max(words.len()) + random.below(4) * usize::from(random.chance(60));
        while words.len() < len {
            words.push(self.word(random));
        }
        self.script(random, &mut words);
        if random.chance(3) {
            words[0] = words[0].to_ascii_uppercase();
        }
        words
    }

    fn example(&self, random: &mut Random) -> Vec<Vec<u8>> {
        let mut words = random.pick(&self.examples).clone();
        for word in words.iter_mut().skip(1) {
            if CORPUS_KEYS.iter().any(|key| key.as_bytes() == word.as_slice()) {
                *word = key(random);
            }
        }
        words
    }

    /// Where a script is due there is one.
    fn script(&self, random: &mut Random, words: &mut [Vec<u8>]) {
        let is = |at: usize, text: &str| words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(text.as_bytes()));
        let place = match () {
            () if is(0, "eval") || is(0, "eval_ro") => 1,
            () if is(0, "script") && is(1, "load") => 2,
            () if is(0, "fcall") || is(0, "fcall_ro") => {
                words[1] = random.pick(&["guest_f", "admins_peek"]).as_bytes().to_vec();
                words[2] = b"0".to_vec();
                return;
            }
            () if is(0, "function") && is(1, "load") => {
                let last = words.len() - 1;
                words[last] = random.pick(LIBRARIES).as_bytes().to_vec();
                return;
            }
            () => return,
        };
        words[place] = random.pick(SCRIPTS).as_bytes().to_vec();
        if let Some(count) = words.get_mut(place + 1) {
            *count = random.pick(&["0", "0", "1", "2"]).as_bytes().to_vec();
        }
    }

    fn word(&self, random: &mut Random) -> Vec<u8> {
        match random.below(100) {
            0..45 => key(random),
            45..55 => random.pick(CHANNELS).as_bytes().to_vec(),
            55..75 => random.pick(NUMBERS).as_bytes().to_vec(),
            75..90 => random.pick(&self.tokens).clone(),
            90..93 => random.pick(TRICKS).as_bytes().to_vec(),
            93..96 => random.pick(&self.commands).0[0].clone(),
            _ => vec![b'v'; random.below(300)],
        }
    }
}

fn key(random: &mut Random) -> Vec<u8> {
    format!("{}{}", random.pick(KEYS), random.below(8)).into_bytes()
}
