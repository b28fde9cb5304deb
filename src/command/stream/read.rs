//! Streams: XREAD and XREADGROUP, and how they wait.

use super::{no_group, reply_body, reply_entry, reply_id};
use crate::command::table::{Find, KeySpec, key_flag as kf};
use crate::command::{Args, CmdError, Ctx, Flow, Outcome, Wait};
use crate::keyspace::{Event, Key, Missing};
use crate::resp::{OwnedArgv, Proto, Reply};
use crate::types::{ConsumerNumber, Group, Log, Pending, Stream, StreamId, Type};

const GROUP_IN_XREAD: CmdError =
    CmdError::text("ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.");
const NOACK_IN_XREAD: CmdError =
    CmdError::text("ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.");
const CLAIM_IN_XREAD: CmdError =
    CmdError::text("ERR The CLAIM option is only supported by XREADGROUP. You called XREAD instead.");
const UNBALANCED: CmdError =
    CmdError::text("ERR Unbalanced 'xread' list of streams: for each stream key an ID, '+', or '$' must be specified.");
const UNBALANCED_GROUP: CmdError =
    CmdError::text("ERR Unbalanced 'xreadgroup' list of streams: for each stream key an ID or '>' must be specified.");
const NO_GROUP_OPTION: CmdError = CmdError::text("ERR Missing GROUP option for XREADGROUP");
const DOLLAR_IN_GROUP: CmdError = CmdError::text(
    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying \
     a proper ID, or use the > ID to get new messages. The $ ID would just return an empty result set.",
);
const PLUS_IN_GROUP: CmdError = CmdError::text(
    "ERR The + ID is meaningless in the context of XREADGROUP: you want to read the history of this consumer by specifying \
     a proper ID, or use the > ID to get new messages. The + ID would just return an empty result set.",
);
const NEW_IN_XREAD: CmdError = CmdError::text(
    "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.",
);
const MIN_IDLE_NOT_INTEGER: CmdError = CmdError::text("ERR min-idle-time is not an integer or out of range");
const MIN_IDLE_NEGATIVE: CmdError = CmdError::text("ERR min-idle-time must be a positive integer");

/// Who claims whatever is pending is not tried more often than this while nothing is, milliseconds.
const LEAST_ALARM_MS: i64 = 10;

/// The keys behind STREAMS, looked for from a word on.
pub const fn keys_from(word: i32) -> KeySpec {
    let flags = kf::RO | kf::ACCESS | kf::INCOMPLETE;
    KeySpec::keyword("STREAMS", word, Find::Range { last: -1, step: 1, limit: 2 }, flags)
}

/// What both commands are told.
struct Options<'a> {
    /// Most entries of each stream.
    count: usize,
    /// Whether to wait, and until when.
    block: Option<Option<u64>>,
    group: Option<(&'a [u8], &'a [u8])>,
    noack: bool,
    /// Pending entries that nobody touched for so long come first, milliseconds.
    claim_ms: Option<i64>,
    /// Index of the first key.
    first: usize,
    /// Number of keys.
    streams: usize,
}

impl<'a> Options<'a> {
    fn read(cx: &Ctx<'_>, args: &mut Args<'a>, in_group: bool) -> Result<Options<'a>, CmdError> {
        let mut options =
            Options { count: usize::MAX, block: None, group: None, noack: false, claim_ms: None, first: 0, streams: 0 };
        while args.more() && options.streams == 0 {
            let left = args.left() - 1;
            if left >= 1 && args.accept("block") {
                options.block = Some(args.timeout_ms(cx.now)?);
            } else if left >= 1 && args.accept("count") {
                let count = args.int()?;
                options.count = if count > 0 { usize::try_from(count).unwrap_or(usize::MAX) } else { usize::MAX };
            } else if left >= 1 && args.accept("streams") {
                options.streams = args.left() / 2;
                options.first = args.position();
                if args.left() % 2 != 0 {
                    return Err(if in_group { UNBALANCED_GROUP } else { UNBALANCED });
                }
            } else if left >= 2 && args.accept("group") {
                if !in_group {
                    return Err(GROUP_IN_XREAD);
                }
                options.group = Some((args.bytes()?, args.bytes()?));
            } else if args.accept("noack") {
                if !in_group {
                    return Err(NOACK_IN_XREAD);
                }
                options.noack = true;
            } else if left >= 1 && args.accept("claim") {
                if !in_group {
                    return Err(CLAIM_IN_XREAD);
                }
                options.claim_ms = Some(match args.int().map_err(|_| MIN_IDLE_NOT_INTEGER)? {
                    ms @ 0.. => ms,
                    _ => return Err(MIN_IDLE_NEGATIVE),
                });
            } else {
                return Err(CmdError::SYNTAX);
            }
        }
        if options.streams == 0 {
            return Err(CmdError::SYNTAX);
        }
        if in_group && options.group.is_none() {
            return Err(NO_GROUP_OPTION);
        }
        Ok(options)
    }

    /// A key and what stands for its id.
    fn stream(&self, args: &Args<'a>, index: usize) -> (Key<'a>, &'a [u8]) {
        let argv = args.argv();
        let word = |at: usize| argv.get(at).unwrap_or_default();
        let key = word(self.first + index);
        (args.clone().key_of(key), word(self.first + self.streams + index))
    }

    /// The client waits for one of the streams, or hears that there is nothing. `argv`: the words to run then.
    fn wait(&self, cx: &mut Ctx<'_>, args: &Args<'_>, also_gone: bool, argv: Option<OwnedArgv>) -> Outcome {
        let Some(deadline_ms) = self.block.filter(|_| cx.may_block()) else {
            cx.reply.null_array();
            return Ok(Flow::Done);
        };
        let keys = args.argv().iter().skip(self.first).take(self.streams).map(Box::from).collect();
        Ok(Flow::Block(Box::new(Wait { keys, want: Type::Stream, also_gone, deadline_ms, again: false, argv })))
    }
}

/// Streams that were replied so far.
struct Served {
    at: crate::resp::Deferred,
    count: usize,
}

impl Served {
    fn begin(reply: &mut Reply<'_>) -> Served {
        Served { at: reply.defer(), count: 0 }
    }

    /// A stream's name: pairs of name and entries are arrays in RESP2, a map in RESP3.
    #[inline]
    fn stream(&mut self, reply: &mut Reply<'_>, key: &[u8]) {
        if reply.proto() == Proto::Resp2 {
            reply.array(2);
        }
        reply.bulk(key);
        self.count += 1;
    }

    /// Whether any was.
    fn end(self, reply: &mut Reply<'_>) -> bool {
        match (self.count, reply.proto()) {
            (0, _) => return false,
            (count, Proto::Resp2) => reply.fill_array(self.at, count),
            (count, Proto::Resp3) => reply.fill_map(self.at, count),
        }
        true
    }
}

/// The id behind which XREAD begins.
fn start_of(cx: &mut Ctx<'_>, key: Key<'_>, text: &[u8]) -> Result<StreamId, CmdError> {
    // Looked at even if the id says it all: another type is an error before any other.
    let log = cx.db.read::<Stream>(key)?.map(|stream| stream.log());
    match text {
        b"$" => Ok(log.map_or(StreamId::MIN, |log| log.last_id())),
        b"+" => {
            let last = log.map_or(StreamId::MIN, |log| log.last_entry_id());
            Ok(last.prev().unwrap_or(last))
        }
        b">" => Err(NEW_IN_XREAD),
        text => super::parse_id(text),
    }
}

pub fn xread(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let options = Options::read(cx, args, false)?;
    let mut starts = [StreamId::MIN; 4];
    let mut more = Vec::new();
    for index in 0..options.streams {
        let (key, text) = options.stream(args, index);
        let start = start_of(cx, key, text)?;
        match starts.get_mut(index) {
            Some(place) => *place = start,
            None => more.push(start),
        }
    }
    let start =
        |index: usize| starts.get(index).or_else(|| more.get(index - starts.len())).copied().unwrap_or_default();
    let mut served = Served::begin(&mut cx.reply);
    for index in 0..options.streams {
        let (key, _) = options.stream(args, index);
        let Some(stream) = cx.db.read::<Stream>(key)? else { continue };
        let Some(start) = start(index).next() else { continue };
        let mut entries = stream.log().range(start, StreamId::MAX).take(options.count).peekable();
        if entries.peek().is_none() {
            continue;
        }
        let reply = &mut cx.reply;
        served.stream(reply, key.bytes);
        let (at, mut written) = (reply.defer(), 0);
        for entry in entries {
            reply_entry(reply, &entry);
            written += 1;
            if reply.is_over(cx.reply_limit_bytes) {
                break;
            }
        }
        reply.fill_array(at, written);
    }
    if served.end(&mut cx.reply) {
        return Ok(Flow::Done);
    }
    // What `$` and `+` mean is said now: when the words are run again, they would mean another entry.
    let argv = options.block.map(|_| {
        let first_id = options.first + options.streams;
        let mut argv = OwnedArgv::default();
        for (at, word) in args.argv().iter().enumerate() {
            match word {
                b"$" | b"+" if at >= first_id => argv.push(start(at - first_id).text().as_bytes()),
                word => argv.push(word),
            }
        }
        argv
    });
    options.wait(cx, args, false, argv)
}

/// What a consumer asks for.
enum Wanted {
    /// Entries that no consumer of the group has got.
    New,
    /// Its pending entries behind this one.
    History(StreamId),
}

fn wanted(text: &[u8]) -> Result<Wanted, CmdError> {
    match text {
        b">" => Ok(Wanted::New),
        b"$" => Err(DOLLAR_IN_GROUP),
        b"+" => Err(PLUS_IN_GROUP),
        text => match super::parse_id(text)? {
            // The greatest id stands for new entries, too.
            StreamId::MAX => Ok(Wanted::New),
            id => Ok(Wanted::History(id)),
        },
    }
}

pub fn xreadgroup(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let options = Options::read(cx, args, true)?;
    let (group, consumer) = options.group.unwrap_or_default();
    for index in 0..options.streams {
        let (key, text) = options.stream(args, index);
        let stream = cx.db.read::<Stream>(key)?;
        if stream.is_none_or(|stream| stream.group(group).is_none()) {
            return Err(no_group(key.bytes, group, " in XREADGROUP with GROUP option"));
        }
        wanted(text)?;
    }
    cx.effects.none();
    let mut served = Served::begin(&mut cx.reply);
    for index in 0..options.streams {
        let (key, text) = options.stream(args, index);
        read_stream(cx, &options, (group, consumer), key, wanted(text)?, &mut served)?;
    }
    if served.end(&mut cx.reply) {
        return Ok(Flow::Done);
    }
    options.wait(cx, args, true, None)
}

/// Replies what a consumer gets of one stream, if it gets anything.
fn read_stream(
    cx: &mut Ctx<'_>,
    options: &Options<'_>,
    (name, consumer): (&[u8], &[u8]),
    key: Key<'_>,
    wanted: Wanted,
    served: &mut Served,
) -> Result<(), CmdError> {
    let (now_ms, db) = (cx.now.wall_ms(), cx.db.index);
    let Some(mut edit) = cx.db.edit::<Stream>(key, Missing::Skip)? else { return Ok(()) };
    let mut stream = edit.value();
    let Some((group, log)) = stream.group_and_log(name) else { return Ok(()) };
    let (number, created) = match group.find_consumer(consumer) {
        Some(number) => (Some(number), false),
        None => (group.add_consumer(consumer, now_ms), true),
    };
    let Some(number) = number else { return Ok(()) };
    if let Some(consumer) = group.consumer_at_mut(number) {
        consumer.seen_ms = now_ms;
    }
    let mut delivery = Delivery { group, log, number, now_ms, names: [key.bytes, name, consumer], words: Vec::new() };
    if cx.effects.wanted && created {
        delivery.words.push(creation_words(delivery.names));
    }
    let keep_words = cx.effects.wanted;
    let mut changes = u64::from(created);
    let mut alarm_ms = None;
    let reply = &mut cx.reply;
    match wanted {
        Wanted::History(after) => {
            served.stream(reply, key.bytes);
            delivery.history(reply, after, options.count);
        }
        Wanted::New => {
            let claimed = options.claim_ms.map_or_else(Vec::new, |idle_ms| delivery.idle(idle_ms, options.count));
            if !claimed.is_empty() || delivery.has_new() {
                served.stream(reply, key.bytes);
                delivery.claim_and_new(reply, options, &claimed, keep_words);
                changes += 1;
            } else if let Some(idle_ms) = options.claim_ms.filter(|_| options.block.is_some()) {
                alarm_ms = Some(delivery.next_idle_ms(idle_ms));
            }
        }
    }
    let words = std::mem::take(&mut delivery.words);
    drop(stream);
    if changes > 0 {
        let made = Event { changed: false, ..Event::stream("xgroup-createconsumer") };
        edit.finish_with(changes, if created { made } else { Event::SILENT });
    } else {
        drop(edit);
    }
    if let Some(in_ms) = alarm_ms {
        let at_ms = cx.now.mono_ms().saturating_add(in_ms.unsigned_abs());
        cx.db.space.book.awaited.alarms.set(at_ms, db, key.bytes);
    }
    // Not as what replaces the words: a client that waits on has its consumer all the same.
    for effect in &words {
        let words: Vec<&[u8]> = effect.argv().iter().collect();
        cx.effects.push(db, &words);
    }
    Ok(())
}

/// Entries on their way to a consumer.
struct Delivery<'s> {
    group: &'s mut Group,
    log: &'s Log,
    number: ConsumerNumber,
    now_ms: i64,
    /// Key, group, consumer.
    names: [&'s [u8]; 3],
    /// What happened, as commands.
    words: Vec<OwnedArgv>,
}

impl Delivery<'_> {
    /// Replies the consumer's pending entries behind an id; of those that were deleted only the id is left.
    fn history(&mut self, reply: &mut Reply<'_>, after: StreamId, count: usize) {
        let start = after.next().unwrap_or(after);
        let pending = self.group.consumer_at(self.number).map(|consumer| consumer.pending_from(start).take(count));
        let ids: Vec<StreamId> = pending.into_iter().flatten().collect();
        reply.array(ids.len());
        for id in ids {
            match self.log.get(id) {
                Some(entry) => {
                    reply_entry(reply, &entry);
                    self.group.deliver_again(id, self.now_ms);
                }
                None => {
                    reply.array(2);
                    reply_id(reply, id);
                    reply.null_array();
                }
            }
        }
    }

    fn has_new(&self) -> bool {
        let start = self.group.last_id.next();
        start.is_some_and(|start| self.log.range(start, StreamId::MAX).next().is_some())
    }

    /// Pending entries of anybody that nobody touched for a time, the longest idle first.
    fn idle(&mut self, idle_ms: i64, count: usize) -> Vec<(StreamId, Pending)> {
        let (log, now_ms) = (self.log, self.now_ms);
        let times = self.group.pending_by_time().take_while(|(time, _)| now_ms.saturating_sub(*time) >= idle_ms);
        // Of what is deleted there is nothing to be claimed.
        let ids: Vec<StreamId> = times.map(|(_, id)| id).filter(|id| log.get(*id).is_some()).take(count).collect();
        ids.into_iter().filter_map(|id| Some((id, self.group.pending(id)?))).collect()
    }

    /// Milliseconds until another entry will have been idle for so long: what is delivered from now on needs the whole time.
    fn next_idle_ms(&mut self, idle_ms: i64) -> i64 {
        let (log, now_ms) = (self.log, self.now_ms);
        match self.group.pending_by_time().find(|(_, id)| log.get(*id).is_some()) {
            Some((time, _)) => time.saturating_add(idle_ms).saturating_sub(now_ms).max(1),
            None => idle_ms.max(LEAST_ALARM_MS),
        }
    }

    /// Replies entries that are claimed, then new ones. Who claims is told of each how long it was idle and how often
    /// delivered before.
    fn claim_and_new(
        &mut self,
        reply: &mut Reply<'_>,
        options: &Options<'_>,
        claimed: &[(StreamId, Pending)],
        keep_words: bool,
    ) {
        let claims = options.claim_ms.is_some();
        let (at, mut written) = (reply.defer(), 0);
        for (id, before) in claimed {
            let Some(entry) = self.log.get(*id) else { continue };
            reply.array(4);
            reply_body(reply, &entry);
            let idle_ms = self.now_ms.saturating_sub(before.delivered_ms).max(0);
            reply.int(if before.consumer == ConsumerNumber::NOBODY { -1 } else { idle_ms });
            reply.int(before.deliveries as i64);
            self.deliver(*id, before.deliveries.saturating_add(1), keep_words);
            written += 1;
        }
        let log = self.log;
        let start = self.group.last_id.next().unwrap_or(StreamId::MAX);
        let mut reached = false;
        for entry in log.range(start, StreamId::MAX).take(options.count - written) {
            self.group.advance(log, entry.id);
            reached = true;
            if claims {
                reply.array(4);
                reply_body(reply, &entry);
                reply.int(0);
                reply.int(0);
            } else {
                reply_entry(reply, &entry);
            }
            written += 1;
            if !options.noack {
                self.deliver(entry.id, 1, keep_words);
            }
        }
        if written > 0 && (!options.noack || !claimed.is_empty()) {
            if let Some(consumer) = self.group.consumer_at_mut(self.number) {
                consumer.active_ms = self.now_ms;
            }
        }
        reply.fill_array(at, written);
        if keep_words && reached {
            self.words.push(position_words(self.names, self.group));
        }
    }

    fn deliver(&mut self, id: StreamId, deliveries: u64, keep_words: bool) {
        let pending = Pending { delivered_ms: self.now_ms, deliveries, consumer: self.number };
        self.group.deliver(id, pending);
        if keep_words {
            self.words.push(claim_words(self.names, self.group.last_id, id, &pending));
        }
    }
}

/// The command that makes a consumer; `names`: key, group and consumer.
pub fn creation_words([key, group, consumer]: [&[u8]; 3]) -> OwnedArgv {
    OwnedArgv::of(&[b"XGROUP", b"CREATECONSUMER", key, group, consumer])
}

/// The command that makes an entry pending just as it is; `names`: key, group and consumer.
pub fn claim_words(names: [&[u8]; 3], last_id: StreamId, id: StreamId, pending: &Pending) -> OwnedArgv {
    let [key, group, consumer] = names;
    let (id, last_id) = (id.text(), last_id.text());
    let (time, count) = (pending.delivered_ms.to_string(), pending.deliveries.to_string());
    let words: [&[u8]; 14] = [
        b"XCLAIM",
        key,
        group,
        consumer,
        b"0",
        id.as_bytes(),
        b"TIME",
        time.as_bytes(),
        b"RETRYCOUNT",
        count.as_bytes(),
        b"FORCE",
        b"JUSTID",
        b"LASTID",
        last_id.as_bytes(),
    ];
    OwnedArgv::of(&words)
}

/// The command that says how far a group has read.
pub fn position_words([key, name, _]: [&[u8]; 3], group: &Group) -> OwnedArgv {
    let (last_id, read) = (group.last_id.text(), group.entries_read.unwrap_or(-1).to_string());
    let words: [&[u8]; 7] = [b"XGROUP", b"SETID", key, name, last_id.as_bytes(), b"ENTRIESREAD", read.as_bytes()];
    OwnedArgv::of(&words)
}
