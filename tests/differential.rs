//! Generated commands to our server and to a real redis-server in turn: replies are compared byte for byte, then what
//! listeners heard, then the key spaces. A failing seed is printed with the smallest script that still differs.
//!
//! ```text
//! REDSTART_DIFFERENTIAL_COMMANDS  how many commands (60,000)
//! REDSTART_DIFFERENTIAL_SEED      the first seed (one per day otherwise, so that the tests see new ones)
//! REDSTART_DIFFERENTIAL_FAMILY    only the families that begin so, comma between
//! REDSTART_DIFFERENTIAL_FAILURES  how many different failures are collected before it gives up (4)
//! REDSTART_DIFFERENTIAL_WAITS     how many rounds of waiting clients (300)
//! REDSTART_NO_ORACLE              leaves the test out
//! REDSTART_BIN                    another binary in our place
//! ```

#[path = "differential/check.rs"]
mod check;
#[path = "differential/episode.rs"]
mod episode;
#[path = "differential/forms.rs"]
mod forms;
#[path = "differential/forms_bits.rs"]
mod forms_bits;
#[path = "differential/forms_geo.rs"]
mod forms_geo;
#[path = "differential/forms_pubsub.rs"]
mod forms_pubsub;
#[path = "differential/forms_scripts.rs"]
mod forms_scripts;
#[path = "differential/grammar.rs"]
mod grammar;
#[path = "differential/hash_expiry.rs"]
mod hash_expiry;
#[path = "differential/known.rs"]
mod known;
#[path = "differential/news.rs"]
mod news;
#[path = "differential/pair.rs"]
mod pair;
#[path = "differential/pools.rs"]
mod pools;
#[path = "differential/shrink.rs"]
mod shrink;
#[path = "differential/streams.rs"]
mod streams;
mod support;
#[path = "differential/waits.rs"]
mod waits;

use episode::Book;
use pair::Pair;
use std::collections::BTreeSet;
use std::time::{SystemTime, UNIX_EPOCH};

const DEFAULT_COMMANDS: u64 = 60_000;
const DEFAULT_FAILURES: u64 = 4;
const DEFAULT_WAITS: u64 = 300;
const DAY_SECONDS: u64 = 86_400;

/// A seed that changes from day to day; within a day a failure comes again.
fn seed_of_today() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_secs() / DAY_SECONDS) * 1_000_000
}

#[test]
fn our_replies_are_those_of_the_reference() {
    let Some(oracle) = support::oracle("differential test") else { return };
    let commands = support::env_number("REDSTART_DIFFERENTIAL_COMMANDS", DEFAULT_COMMANDS);
    let first_seed = support::env_number("REDSTART_DIFFERENTIAL_SEED", seed_of_today());
    let most_failures = support::env_number("REDSTART_DIFFERENTIAL_FAILURES", DEFAULT_FAILURES) as usize;
    let family = std::env::var("REDSTART_DIFFERENTIAL_FAMILY").ok();

    let mut pair = Pair::start(&oracle);
    let missing: Vec<String> = all_commands().into_iter().filter(|c| !pair.has(c)).collect();
    if !missing.is_empty() {
        println!("LEFT OUT, as not both servers have it: {}", missing.join(", "));
    }
    let book = Book::new(|command| !missing.iter().any(|m| m == command), family.as_deref());
    let mut failures: Vec<String> = Vec::new();
    let mut signatures = BTreeSet::new();
    let (mut seed, mut sent) = (first_seed, 0);
    while sent < commands && signatures.len() < most_failures {
        let before = pair.commands;
        let batches = book.episode(seed);
        // Every other episode is listened to: what nobody hears takes another way.
        pair.listens = seed % 2 == 1;
        let mut found = pair.play(&batches);
        sent += pair.commands - before;
        if let Some(difference) = found.take_if(|difference| pair.has_lost_theirs(difference)) {
            println!("LEFT OUT: seed {seed}, for the reference crashed: {}", difference.signature());
            pair.revive_theirs();
        }
        if let Some(difference) = found.filter(|d| signatures.insert(d.signature())) {
            let minimal = shrink::shrink(&mut pair, &batches, difference);
            println!("REDSTART_DIFFERENTIAL_SEED={seed}:\n{minimal}\n");
            failures.push(minimal.difference.signature());
        }
        seed += 1;
    }
    println!("{sent} commands from seed {first_seed}; known differences met:\n{}", known::report().join("\n"));
    assert!(
        failures.is_empty(),
        "{} differences: {failures:?}; run with --nocapture to see the scripts",
        failures.len()
    );
}

#[test]
fn who_waits_is_served_as_by_the_reference() {
    let Some(oracle) = support::oracle("differential test of waiting clients") else { return };
    let rounds = support::env_number("REDSTART_DIFFERENTIAL_WAITS", DEFAULT_WAITS);
    let found = waits::differences(&oracle, rounds, support::env_number("REDSTART_DIFFERENTIAL_SEED", seed_of_today()));
    assert!(found.is_empty(), "{} of {rounds} rounds differ:\n{}", found.len(), found[..found.len().min(4)].join("\n"));
}

/// Every command that a form names.
fn all_commands() -> Vec<String> {
    let forms = forms::FAMILIES.iter().filter(|f| f.name != "connection").flat_map(|f| f.forms);
    let commands: BTreeSet<String> = forms.flat_map(|form| grammar::Grammar::parse(form.text).commands()).collect();
    commands.into_iter().collect()
}
