//! One episode: some batches of commands that begin with empty servers, drawn from a seed. Knows no server.

use super::check::Check;
use super::forms::{FAMILIES, Form};
use super::grammar::Grammar;
use super::pools;
use super::support::random::Random;

/// Connections that take turns; the second speaks RESP3.
pub const CONNS: usize = 2;
/// Commands of an episode.
const EPISODE_COMMANDS: usize = 1500;
/// Commands in a hundred that are bent: a word dropped, doubled, replaced, in capitals.
const BENT_PERCENT: usize = 5;

/// One command.
#[derive(Debug, Clone)]
pub struct Step {
    pub argv: Vec<Vec<u8>>,
    pub check: Check,
    /// Whether a reply comes.
    pub replied: bool,
}

/// Commands that belong together.
#[derive(Debug, Clone)]
pub struct Unit {
    pub steps: Vec<Step>,
}

/// Units that are sent in one go over one connection; then the key spaces are compared.
#[derive(Debug, Clone)]
pub struct Batch {
    pub conn: usize,
    pub units: Vec<Unit>,
    /// Draws the iterations that follow.
    pub seed: u64,
}

/// The forms that both servers have, ready to be drawn from.
pub struct Book {
    families: Vec<(u32, Vec<(Form, Grammar)>)>,
}

impl Book {
    /// The forms whose commands `is_known` has; `only` names the families that are wanted.
    pub fn new(is_known: impl Fn(&str) -> bool, only: Option<&str>) -> Book {
        let wanted = |name: &str| only.is_none_or(|only| only.split(',').any(|o| name.starts_with(o)));
        let families = FAMILIES.iter().filter(|f| wanted(f.name)).map(|family| {
            let forms = family.forms.iter().map(|form| (*form, Grammar::parse(form.text)));
            let is_usable = |g: &Grammar| family.name == "connection" || g.commands().iter().all(|c| is_known(c));
            (family.weight, forms.filter(|(_, grammar)| is_usable(grammar)).collect())
        });
        Book { families: families.filter(|(_, forms): &(u32, Vec<_>)| !forms.is_empty()).collect() }
    }

    fn draw(&self, random: &mut Random) -> &(Form, Grammar) {
        let forms = &weighted(random, &self.families, |f| f.0).1;
        weighted(random, forms, |f| f.0.weight)
    }

    /// The episode of a seed.
    pub fn episode(&self, seed: u64) -> Vec<Batch> {
        let mut random = Random::seeded(seed);
        let mut in_multi = [false; CONNS];
        let mut batches = Vec::new();
        let mut commands = 0;
        while commands < EPISODE_COMMANDS {
            let conn = random.below(CONNS);
            let units: Vec<Unit> =
                (0..random.between(1, 120)).map(|_| self.unit(&mut random, &mut in_multi[conn])).collect();
            commands += units.iter().map(|u| u.steps.len()).sum::<usize>();
            batches.push(Batch { conn, units, seed: random.next() });
        }
        batches
    }

    fn unit(&self, random: &mut Random, in_multi: &mut bool) -> Unit {
        loop {
            let (form, grammar) = self.draw(random);
            let alone = matches!(form.check, Check::Sample { .. } | Check::Pops { .. } | Check::Silent);
            // Most transactions are short.
            let ends = *in_multi && form.check != Check::Exec && random.chance(4);
            if alone && *in_multi || ends {
                continue;
            }
            let mut argv = grammar.draw(random);
            let is_ours = SHORT_FORMS.contains(&grammar.command().as_str());
            if !is_ours && !matches!(form.check, Check::Fixed | Check::Hello | Check::Exec | Check::Silent) {
                bend(random, &mut argv, form.text);
            }
            match argv[0].as_slice() {
                b"multi" => *in_multi = true,
                b"exec" | b"discard" | b"reset" => *in_multi = false,
                _ => {}
            }
            return Unit { steps: with_companions(argv, form.check) };
        }
    }
}

/// Commands that we take with fewer or more words, too: the reference would refuse them, and the transaction, and not note for
/// its client's cache that the key was read.
const SHORT_FORMS: [&str; 5] = ["hexpire", "persist", "pfdebug", "pttl", "ttl"];

fn weighted<'a, T>(random: &mut Random, from: &'a [T], weight: impl Fn(&T) -> u32) -> &'a T {
    let total: u32 = from.iter().map(&weight).sum();
    let mut left = random.below(total as usize) as u32;
    for item in from {
        match left.checked_sub(weight(item)) {
            Some(rest) => left = rest,
            None => return item,
        }
    }
    &from[from.len() - 1]
}

/// Words as nobody should send them. Forms with times get no other numbers: they could be times close to now.
fn bend(random: &mut Random, argv: &mut Vec<Vec<u8>>, form: &str) {
    if random.chance(10) {
        let at = random.below(argv.len());
        let is_option =
            argv[at].iter().all(u8::is_ascii_lowercase) && form.contains(&*String::from_utf8_lossy(&argv[at]));
        if at == 0 || is_option && argv[at].len() > 2 {
            argv[at].make_ascii_uppercase();
        }
    }
    if !random.chance(BENT_PERCENT) {
        return;
    }
    let at = random.below(argv.len());
    // COMMAND alone replies the whole table, in any order.
    let least = if argv[0].eq_ignore_ascii_case(b"command") { 2 } else { 1 };
    match random.below(5) {
        0 if argv.len() > least => {
            argv.remove(at.max(1));
        }
        1 => argv.push(pools::junk(random)),
        2 if at > 0 => argv.insert(at, argv[at].clone()),
        3 => argv.truncate(at.max(least)),
        _ if at > 0 => argv[at] = pools::junk(random),
        _ => {}
    }
}

fn step(argv: Vec<Vec<u8>>, check: Check) -> Step {
    Step { argv, check, replied: true }
}

/// A plain line of words, `@` for the key.
pub fn words(line: &str, key: &[u8]) -> Vec<Vec<u8>> {
    line.split(' ').map(|w| if w == "@" { key.to_vec() } else { w.as_bytes().to_vec() }).collect()
}

/// The command, and those around it that its check needs.
fn with_companions(argv: Vec<Vec<u8>>, check: Check) -> Vec<Step> {
    let key = argv.get(1).cloned().unwrap_or_default();
    let all_check = |line: &str| match line.split(' ').next() {
        Some("hgetall") => Check::Pairs,
        Some("zrange") => Check::Exact,
        _ => Check::Unordered,
    };
    match check {
        Check::Sample { all } => vec![step(words(all, &key), all_check(all)), step(argv, check)],
        Check::Pops { all } => vec![
            step(words(all, &key), Check::Unordered),
            step(argv, check),
            step(words(all, &key), Check::Kind),
            step(words("del @", &key), Check::Kind),
        ],
        Check::Silent => {
            let silent = |argv| Step { argv, check, replied: false };
            // A subscriber of RESP2 would be refused, with a reply.
            let before = ["discard", "unsubscribe", "punsubscribe", "sunsubscribe"];
            let before = before.into_iter().map(|line| step(words(line, b""), Check::Exact));
            before.chain([silent(argv), silent(words("ping", b""))]).collect()
        }
        check => vec![step(argv, check)],
    }
}
