//! The two servers: plays batches to both, compares replies, what listeners heard, and then the key spaces.

use super::check::{self, Answered, Check};
use super::episode::{Batch, CONNS, Step, words};
use super::forms::DEFAULT_LIMITS;
use super::known;
use super::news::{Listeners, News};
use super::pools::DBS;
use super::support::client::{Client, Value, encode};
use super::support::random::Random;
use super::support::{Process, our_binary};
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Databases whose keys are compared.
const COMPARED_DBS: [i64; DBS as usize + 1] = [0, 1, 2, 15];
/// Flags of both servers.
const FLAGS: &[&str] = &["--enable-debug-command", "yes"];
/// Stands for the replies of the server that did not break off.
const ANSWERED: &str = "a reply";
/// How long a server that broke off may take to be gone.
const DEATH_LIMIT: Duration = Duration::from_secs(2);
/// Bytes of a dead server's log that are shown.
const LOG_BYTES: usize = 3000;
/// Iterations after each batch.
const SCANS: usize = 2;

/// Where the servers differ.
#[derive(Debug, Clone)]
pub struct Difference {
    /// What was asked.
    pub argv: Vec<Vec<u8>>,
    pub ours: String,
    pub theirs: String,
}

impl Difference {
    /// What two differences share that have one cause, as far as can be told.
    pub fn signature(&self) -> String {
        // A comparison of states is one string with the key at its end.
        let first = self.argv.first().map(|w| w.escape_ascii().to_string().to_lowercase()).unwrap_or_default();
        let what = first.rsplit_once(' ').map_or(first.as_str(), |(what, _key)| what);
        let kind = |text: &str| text.chars().next().unwrap_or(' ');
        format!("{what} {}{}", kind(&self.ours), kind(&self.theirs))
    }
}

/// One server and the connections to it.
struct Side {
    binary: PathBuf,
    process: Process,
    conns: Vec<Client>,
    probe: Client,
    listeners: Option<Listeners>,
}

/// Both servers.
pub struct Pair {
    ours: Side,
    theirs: Side,
    /// Commands of each connection that wait for EXEC.
    queued: [Vec<Step>; CONNS],
    /// Commands sent to each so far.
    pub commands: u64,
    /// Whether what listeners hear is compared too.
    pub listens: bool,
}

impl Side {
    fn start(binary: &Path) -> Side {
        let process = Process::start(binary, FLAGS);
        let probe = process.client();
        Side { binary: binary.to_path_buf(), process, conns: Vec::new(), probe, listeners: None }
    }

    /// Empty, with default thresholds and new connections.
    fn reset(&mut self, listens: bool) {
        match Client::connect(self.process.port) {
            Ok(probe) if self.process.ended().is_none() => self.probe = probe,
            _ => {
                self.process = Process::start(&self.binary, FLAGS);
                self.probe = self.process.client();
            }
        }
        self.probe.ask("flushall");
        for line in DEFAULT_LIMITS {
            self.probe.ask(line);
        }
        self.conns = (0..CONNS).map(|_| self.process.client()).collect();
        self.conns[1].ask("hello 3");
        self.listeners = None;
        if listens {
            let listeners =
                Listeners::begin(self.process.port, &mut self.probe).expect("the server was reached before");
            listeners.follow(&mut self.conns[0], "");
            listeners.follow(&mut self.conns[1], "noloop");
            self.listeners = Some(listeners);
        } else {
            self.probe.call(&["config", "set", "notify-keyspace-events", ""]).expect("the server was reached before");
        }
    }

    /// Sends all at once and reads what comes back.
    fn play(&mut self, conn: usize, steps: &[&Step]) -> (Vec<Value>, io::Result<()>) {
        let mut bytes = Vec::new();
        steps.iter().for_each(|step| encode(&step.argv, &mut bytes));
        let client = &mut self.conns[conn];
        let mut replies = Vec::new();
        if let Err(e) = client.send_raw(&bytes) {
            return (replies, Err(e));
        }
        for _ in steps.iter().filter(|step| step.replied) {
            match client.read() {
                Ok(reply) => replies.push(reply),
                Err(e) => return (replies, Err(e)),
            }
        }
        let more = client.has_more();
        (replies, if more { Err(io::Error::other("more replies than commands")) } else { Ok(()) })
    }

    /// What is to be said of a server that gave fewer replies than it was asked for.
    fn last_words(&mut self, end: &io::Result<()>) -> String {
        let Err(error) = end else { return "a reply".into() };
        if !self.process.ends_within(DEATH_LIMIT) {
            return error.to_string();
        }
        let log = self.process.log();
        let tail = log.char_indices().map(|(at, _)| at).find(|at| log.len() - at <= LOG_BYTES).unwrap_or(0);
        format!("it ended with {:?}:\n{}", self.process.ended(), &log[tail..])
    }

    /// What was heard since the last time.
    fn hear(&mut self) -> io::Result<News> {
        self.listeners.as_mut().map_or(Ok(News::default()), |listeners| listeners.hear(&mut self.probe))
    }

    fn probe(&mut self, lines: &[Vec<Vec<u8>>]) -> io::Result<Vec<Value>> {
        let mut bytes = Vec::new();
        lines.iter().for_each(|words| encode(words, &mut bytes));
        self.probe.send_raw(&bytes)?;
        lines.iter().map(|_| self.probe.read()).collect()
    }

    /// A whole iteration: everything that `line` yields from cursor 0 until it is 0 again.
    fn iterate(&mut self, head: &[Vec<u8>], tail: &[Vec<u8>], width: usize) -> io::Result<BTreeSet<Vec<Vec<u8>>>> {
        let mut seen = BTreeSet::new();
        let mut cursor = b"0".to_vec();
        loop {
            let words: Vec<Vec<u8>> = head.iter().chain([&cursor]).chain(tail).cloned().collect();
            let reply = self.probe.call(&words)?;
            let [next, elements] = reply.children.as_slice() else {
                return Err(io::Error::other(format!("no cursor and elements: {}", reply.render())));
            };
            seen.extend(elements.children.chunks(width).map(|e| e.iter().map(|v| v.text.clone()).collect()));
            cursor = next.text.clone();
            if cursor == b"0" {
                return Ok(seen);
            }
        }
    }
}

impl Pair {
    pub fn start(oracle: &Path) -> Pair {
        let (ours, theirs) = (Side::start(&our_binary()), Side::start(oracle));
        Pair { ours, theirs, queued: [const { Vec::new() }; CONNS], commands: 0, listens: false }
    }

    /// Whether both servers have a command.
    pub fn has(&mut self, command: &str) -> bool {
        [&mut self.ours, &mut self.theirs].into_iter().all(|side| {
            let reply = side.probe.call(&["COMMAND", "INFO", command]);
            reply.is_ok_and(|r| r.children.first().is_some_and(|c| !c.children.is_empty()))
        })
    }

    /// Whether the reference has crashed: newer ones do now and then.
    pub fn has_lost_theirs(&mut self, difference: &Difference) -> bool {
        difference.ours == ANSWERED && self.theirs.process.ends_within(DEATH_LIMIT)
    }

    /// Starts another reference.
    pub fn revive_theirs(&mut self) {
        self.theirs = Side::start(&self.theirs.binary.clone());
    }

    /// Plays batches from an empty state until the servers differ.
    pub fn play(&mut self, batches: &[Batch]) -> Option<Difference> {
        self.ours.reset(self.listens);
        self.theirs.reset(self.listens);
        self.queued.iter_mut().for_each(Vec::clear);
        known::begin_episode();
        batches.iter().take_while(|_| !known::have_parted()).find_map(|batch| {
            let met = known::met();
            let is_news = |_: &Difference| known::met() == met;
            let difference = self.play_batch(batch).or_else(|| self.compare_news(batch).filter(is_news));
            difference.or_else(|| if known::have_parted() { None } else { self.compare_states(batch.seed) })
        })
    }

    fn play_batch(&mut self, batch: &Batch) -> Option<Difference> {
        let _ = (self.ours.hear(), self.theirs.hear());
        let steps: Vec<&Step> = batch.units.iter().flat_map(|u| &u.steps).collect();
        self.commands += steps.len() as u64;
        let (ours, our_end) = self.ours.play(batch.conn, &steps);
        let (theirs, their_end) = self.theirs.play(batch.conn, &steps);
        let mut at = 0;
        for unit in &batch.units {
            let len = unit.steps.iter().filter(|s| s.replied).count();
            let replied: Vec<&Step> = unit.steps.iter().filter(|s| s.replied).collect();
            for (i, step) in replied.iter().enumerate() {
                let (Some(a), Some(b)) = (ours.get(at + i), theirs.get(at + i)) else {
                    let text = |end: &io::Result<()>| end.as_ref().err().map_or(ANSWERED.into(), ToString::to_string);
                    return Some(Difference {
                        argv: step.argv.clone(),
                        ours: text(&our_end),
                        theirs: text(&their_end),
                    });
                };
                let difference = self.compare(batch.conn, step, a, b);
                if difference.is_some() || known::have_parted() {
                    return difference;
                }
            }
            for (replies, is_ours) in [(&ours, true), (&theirs, false)] {
                if let Some(text) = wrong_choice(&replied, &replies[at..at + len]) {
                    let (ours, theirs) = if is_ours { (text, String::new()) } else { (String::new(), text) };
                    return Some(Difference { argv: replied[1].argv.clone(), ours, theirs });
                }
            }
            at += len;
        }
        let argv = vec![b"end of batch".to_vec()];
        match (our_end, their_end) {
            (Ok(()), Ok(())) => None,
            (a, b) => Some(Difference { argv, ours: format!("{a:?}"), theirs: format!("{b:?}") }),
        }
    }

    /// What listeners heard during a batch. The states are read before the next one, which is heard, too.
    fn compare_news(&mut self, batch: &Batch) -> Option<Difference> {
        let (ours, theirs) = match (self.ours.hear(), self.theirs.hear()) {
            (Ok(ours), Ok(theirs)) => (ours, theirs),
            (ours, theirs) => {
                let text = |news: io::Result<News>| news.err().map_or("news".into(), |e| e.to_string());
                return Some(Difference { argv: vec![b"news".to_vec()], ours: text(ours), theirs: text(theirs) });
            }
        };
        let (mut ours, mut theirs) = (ours.without_read_here_alone(), theirs.without_read_here_alone());
        if batch.units.iter().flat_map(|unit| &unit.steps).any(stops_caching) {
            // Whoever does so in a transaction hears then of what that has changed, before what changes later in it; with the
            // reference at its end.
            ours.invalid.sort_unstable();
            theirs.invalid.sort_unstable();
        }
        for (what, ours, theirs) in
            [("events", &ours.events, &theirs.events), ("invalidations", &ours.invalid, &theirs.invalid)]
        {
            let same = ours.iter().zip(theirs).take_while(|(a, b)| a == b).count();
            if same < ours.len().max(theirs.len()) {
                let show = |list: &[String]| list.iter().skip(same).take(6).cloned().collect::<Vec<_>>().join("; ");
                let name = |list: &[String]| {
                    list.get(same).map_or("nothing".into(), |e| e.split(' ').next_back().unwrap_or("").to_owned())
                };
                let argv = vec![format!("news: {what}: {} for {} at {same}", name(ours), name(theirs)).into_bytes()];
                return Some(Difference { argv, ours: show(ours), theirs: show(theirs) });
            }
        }
        None
    }

    fn compare(&mut self, conn: usize, step: &Step, ours: &Value, theirs: &Value) -> Option<Difference> {
        let difference = |argv: &[Vec<u8>], a: &Value, b: &Value| {
            Some(Difference { argv: argv.to_vec(), ours: a.render(), theirs: b.render() })
        };
        if theirs.kind == b'+' && theirs.text == b"QUEUED" {
            self.queued[conn].push(step.clone());
            return if ours == theirs { None } else { difference(&step.argv, ours, theirs) };
        }
        let is = |name: &[u8]| step.argv[0].eq_ignore_ascii_case(name);
        if is(b"exec") || is(b"discard") || is(b"reset") {
            let queued = std::mem::take(&mut self.queued[conn]);
            if theirs.kind == b'*' && theirs.children.len() == queued.len() && ours.children.len() == queued.len() {
                let mut each = queued.iter().zip(&ours.children).zip(&theirs.children);
                let differs = |((s, a), b): &((&Step, &Value), &Value)| {
                    !check::agrees(Answered { argv: &s.argv, check: s.check, ours: a, theirs: b })
                };
                return each.find(differs).and_then(|((s, a), b)| difference(&s.argv, a, b));
            }
        }
        if theirs.is_error() {
            known::note_refused(&step.argv);
        }
        let same = check::agrees(Answered { argv: &step.argv, check: step.check, ours, theirs });
        if same { None } else { difference(&step.argv, ours, theirs) }
    }

    /// Asks both the same over the probing connections; every line is compared by its check.
    fn probe(&mut self, lines: &[(Vec<Vec<u8>>, Check, String)]) -> Result<Vec<Value>, Difference> {
        let argvs: Vec<Vec<Vec<u8>>> = lines.iter().map(|l| l.0.clone()).collect();
        let broken = |ours: String, theirs: String| Difference { argv: vec![b"state".to_vec()], ours, theirs };
        let ours = self.ours.probe(&argvs).map_err(|e| broken(self.ours.last_words(&Err(e)), String::new()))?;
        let theirs = self.theirs.probe(&argvs).map_err(|e| broken(String::new(), self.theirs.last_words(&Err(e))))?;
        for (((_, check, label), a), b) in lines.iter().zip(&ours).zip(&theirs) {
            let argv = vec![label.as_bytes().to_vec()];
            if !check::agrees(Answered { argv: &argv, check: *check, ours: a, theirs: b }) {
                return Err(Difference { argv, ours: a.render(), theirs: b.render() });
            }
        }
        Ok(theirs)
    }

    fn compare_states(&mut self, seed: u64) -> Option<Difference> {
        let mut random = Random::seeded(seed);
        for db in COMPARED_DBS {
            let result = self.compare_db(db, &mut random);
            if let Err(difference) = result {
                return Some(difference);
            }
        }
        None
    }

    fn compare_db(&mut self, db: i64, random: &mut Random) -> Result<(), Difference> {
        let plain = |line: String, check| (words(&line, b""), check, line);
        let keys = self.probe(&[
            plain(format!("select {db}"), Check::Exact),
            plain("keys *".into(), Check::Unordered),
            plain("dbsize".into(), Check::Exact),
        ])?;
        let mut keys: Vec<Vec<u8>> = keys[1].children.iter().map(|k| k.text.clone()).collect();
        if keys.is_empty() {
            return Ok(());
        }
        keys.sort_unstable();
        let labelled = |line: &str, key: &Vec<u8>, check, label: &str| {
            (words(line, key), check, format!("{label} {}", key.escape_ascii()))
        };
        let types: Vec<_> = keys.iter().map(|key| labelled("type @", key, Check::Exact, "state: type of")).collect();
        let types = self.probe(&types)?;
        let mut lines = Vec::new();
        for (key, kind) in keys.iter().zip(&types) {
            let kind = kind.string();
            lines.push(labelled("object encoding @", key, Check::Exact, &format!("object encoding of {kind}")));
            lines.push(labelled("pexpiretime @", key, Check::Near, "pexpiretime of"));
            lines.push(labelled("dump @", key, Check::Dump, &format!("dump of {kind}")));
            let (line, check) = match kind.as_str() {
                "string" => ("get @", Check::Exact),
                "list" => ("lrange @ 0 -1", Check::Exact),
                "set" => ("smembers @", Check::Unordered),
                "hash" => {
                    lines.push(labelled("hlen @", key, Check::Exact, "hlen of"));
                    ("hgetall @", Check::Pairs)
                }
                "zset" => ("zrange @ 0 -1 withscores", Check::Exact),
                "stream" => ("xrange @ - +", Check::Exact),
                _ => continue,
            };
            lines.push(labelled(line, key, check, &format!("state of {kind}")));
        }
        self.probe(&lines)?;
        for _ in 0..SCANS {
            let at = random.below(keys.len());
            self.compare_iterations(&keys[at], &types[at].string(), random)?;
        }
        Ok(())
    }

    fn compare_iterations(&mut self, key: &[u8], kind: &str, random: &mut Random) -> Result<(), Difference> {
        let count = random.pick(&["1", "2", "7", "10", "100"]).as_bytes().to_vec();
        let mut tail = vec![b"count".to_vec(), count];
        if random.chance(40) {
            tail.extend([
                b"match".to_vec(),
                random.pick(&["*", "m*", "*1*", "[a-c]", "none", "?"]).as_bytes().to_vec(),
            ]);
        }
        let (head, width) = match kind {
            "set" => (words("sscan @", key), 1),
            "hash" => (words("hscan @", key), 2),
            "zset" => (words("zscan @", key), 2),
            _ => (words("scan", key), 1),
        };
        if head.len() == 1 && random.chance(30) {
            tail.extend([
                b"type".to_vec(),
                random.pick(&["string", "list", "zset", "hash", "set"]).as_bytes().to_vec(),
            ]);
        }
        let show = |result: io::Result<BTreeSet<Vec<Vec<u8>>>>| match result {
            Ok(seen) => {
                let number = |v: &[u8]| check::double_text(v);
                seen.iter()
                    .map(|e| e.iter().map(|v| number(v)).collect::<Vec<_>>().join("="))
                    .collect::<Vec<_>>()
                    .join(" ")
            }
            Err(e) => format!("error: {e}"),
        };
        let ours = show(self.ours.iterate(&head, &tail, width));
        let theirs = show(self.theirs.iterate(&head, &tail, width));
        let argv = [&[b"iterate".to_vec()], head.as_slice(), tail.as_slice()].concat();
        if ours == theirs { Ok(()) } else { Err(Difference { argv, ours, theirs }) }
    }
}

/// CLIENT TRACKING OFF, and what contains it.
fn stops_caching(step: &Step) -> bool {
    let is = |index: usize, word: &[u8]| step.argv.get(index).is_some_and(|w| w.eq_ignore_ascii_case(word));
    is(0, b"reset") || is(0, b"client") && is(1, b"tracking") && is(2, b"off")
}

/// What is wrong with a random choice, seen against what the same server replied around it.
fn wrong_choice(steps: &[&Step], replies: &[Value]) -> Option<String> {
    let (Some(step), Some(before), Some(chosen)) = (steps.get(1), replies.first(), replies.get(1)) else { return None };
    let queued = |v: &Value| v.kind == b'+' && v.text == b"QUEUED";
    if queued(before) || queued(chosen) {
        return None;
    }
    let fits = match step.check {
        Check::Sample { .. } => check::is_sample(&step.argv, before, chosen),
        Check::Pops { .. } => {
            check::is_sample(&step.argv, before, chosen) && check::is_rest(before, chosen, replies.get(2)?)
        }
        _ => true,
    };
    (!fits).then(|| format!("of {} it chose {}", before.render(), chosen.render()))
}
