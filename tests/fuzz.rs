//! Bad input: the parsers' corpora and what mutation makes of them, then mutated commands over sockets against the real
//! binary. `scripts/fuzz --seconds N` runs longer.
//!
//! ```text
//! REDSTART_FUZZ_SECONDS  how long the sockets are flooded (5); the parsers get a third of it
//! REDSTART_FUZZ_SEED     the seed (the second of the start otherwise); a failure prints it
//! REDSTART_BIN           another binary in our place
//! ```

#[path = "fuzz/flood.rs"]
mod flood;
#[path = "fuzz/inputs.rs"]
mod inputs;
#[path = "fuzz/mutate.rs"]
mod mutate;
#[path = "fuzz/requests.rs"]
mod requests;
#[path = "fuzz/rights.rs"]
mod rights;
mod support;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DEFAULT_SECONDS: u64 = 5;

fn seconds() -> u64 {
    support::env_number("REDSTART_FUZZ_SECONDS", DEFAULT_SECONDS)
}

fn seed() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |d| d.as_secs());
    support::env_number("REDSTART_FUZZ_SEED", now)
}

#[test]
fn every_input_of_the_corpora_is_read_without_a_panic() {
    inputs::replay();
}

#[test]
fn no_mutation_of_the_corpora_panics() {
    inputs::mutate_for(Duration::from_secs(seconds().div_ceil(3)), seed());
}

#[test]
fn no_client_can_stop_the_server() {
    flood::run(flood::Who::Known, Duration::from_secs(seconds()), seed());
}

#[test]
fn no_stranger_can_stop_the_server() {
    flood::run(flood::Who::Stranger, Duration::from_secs(seconds()), seed());
}

#[test]
fn nobody_gets_beyond_its_rights() {
    rights::run(Duration::from_secs(seconds()), seed());
}
