//! The corpora of the parsers: every file, and for a while what mutation makes of them. A panic keeps its input.

use super::mutate;
use super::support::random::Random;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Bytes of a failing input that are printed.
const SHOWN_BYTES: usize = 400;

/// Longer inputs are seldom mutated.
const LONG_BYTES: usize = 5000;

/// One parser's fuzz entry, and the folder of its corpus.
type Target = (&'static str, fn(&[u8]));

const TARGETS: &[Target] = &[
    ("request", redstart::resp::fuzz_request),
    ("glob", redstart::base::glob::fuzz_glob),
    ("text", redstart::base::text::fuzz_text),
    ("float", redstart::base::float::fuzz_float),
    ("regex", redstart::base::regex::fuzz_regex),
    ("listpack", redstart::ds::listpack::fuzz_listpack),
    ("intset", redstart::ds::intset::fuzz_intset),
    ("lzf", redstart::base::lzf::fuzz_lzf),
    ("rdb-value", redstart::persist::rdb::fuzz_value),
    ("rdb-file", redstart::persist::rdb::fuzz_file),
    ("payload", redstart::persist::rdb::fuzz_payload),
    ("log", redstart::persist::aof::fuzz_log),
    ("manifest", redstart::persist::aof::fuzz_manifest),
    ("acl", redstart::acl::fuzz_rules),
    ("sealed", redstart::persist::seal::fuzz_sealed),
    ("stream", redstart::types::fuzz_stream),
    ("filter", redstart::types::fuzz_filter),
];

/// The folder of the corpora.
pub fn corpora() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpora")
}

/// The files of a corpus, in the order of their names.
pub fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = corpora().join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|e| e.expect("the corpus can be read").path()).collect();
    files.sort();
    let read = |file: &PathBuf| fs::read(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    files.iter().map(read).collect()
}

/// Runs one input; a panic writes it where it can be found, and goes on.
fn run(name: &str, target: fn(&[u8]), data: &[u8]) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| target(data))) {
        let file = std::env::temp_dir().join(format!("redstart-fuzz-{name}"));
        let kept = fs::write(&file, data).map(|()| file.display().to_string());
        let shown = data[..data.len().min(SHOWN_BYTES)].escape_ascii();
        println!("fuzz_{name} panicked; its input of {} bytes is in {kept:?} and begins {shown}", data.len());
        std::panic::resume_unwind(panic);
    }
}

/// Every file of every corpus, once.
pub fn replay() {
    for (name, target) in TARGETS {
        let files = corpus(name);
        assert!(!files.is_empty(), "the corpus {name} is empty");
        files.iter().for_each(|data| run(name, *target, data));
    }
    let named: Vec<&str> = TARGETS.iter().map(|t| t.0).chain(["commands"]).collect();
    for folder in fs::read_dir(corpora()).expect("the corpora are there") {
        let folder = folder.expect("the corpora can be read").file_name().into_string().expect("folder names are text");
        assert!(named.contains(&folder.as_str()), "nobody reads the corpus {folder}");
    }
}

/// What mutation makes of the corpora, for so long.
pub fn mutate_for(limit: Duration, seed: u64) {
    let mut random = Random::seeded(seed);
    let corpora: Vec<Vec<Vec<u8>>> = TARGETS.iter().map(|(name, _)| corpus(name)).collect();
    let begin = Instant::now();
    let mut runs = 0u64;
    while begin.elapsed() < limit {
        for ((name, target), files) in TARGETS.iter().zip(&corpora) {
            let mut data = random.pick(files).clone();
            // Long ones take long and find little.
            if data.len() > LONG_BYTES && !random.chance(1) {
                continue;
            }
            if random.chance(20) {
                let more: &Vec<u8> = random.pick(files);
                let more = &more[..more.len().min(LONG_BYTES)];
                data.extend_from_slice(more);
            }
            mutate::bytes(&mut random, &mut data);
            run(name, *target, &data);
            runs += 1;
        }
    }
    println!("{runs} mutated inputs from seed {seed}");
}
