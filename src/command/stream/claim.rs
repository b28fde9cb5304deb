//! Streams: XCLAIM and XAUTOCLAIM.

use super::group::existing;
use super::read::{claim_words, creation_words, position_words};
use super::{parse_id, parse_start, reply_entry, reply_id};
use crate::base::number;
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::keyspace::{Event, Key, Missing};
use crate::resp::{OwnedArgv, Reply};
use crate::types::{ConsumerNumber, Group, Log, Pending, Stream, StreamId};

const AUTO_COUNT: CmdError = CmdError::text("ERR COUNT must be > 0");
/// Pending entries that XAUTOCLAIM looks at for each that it may claim.
const ATTEMPTS: usize = 10;
const DEFAULT_COUNT: i64 = 100;

/// How entries are claimed.
#[derive(Clone, Copy)]
struct Claim {
    min_idle_ms: i64,
    /// The time of delivery that they get.
    delivered_ms: i64,
    retry_count: Option<i64>,
    force: bool,
    just_id: bool,
}

fn option_int(args: &mut Args<'_>, what: &str, command: &str) -> Result<i64, CmdError> {
    let invalid = || CmdError::owned(format!("ERR Invalid {what} argument for {command}"));
    number::parse_i64(args.bytes()?).ok_or_else(invalid)
}

/// Options of XCLAIM behind the ids, and LASTID.
fn options(args: &mut Args<'_>, min_idle_ms: i64, now_ms: i64) -> Result<(Claim, Option<StreamId>), CmdError> {
    let mut claim = Claim { min_idle_ms, delivered_ms: now_ms, retry_count: None, force: false, just_id: false };
    let mut last_id = None;
    let mut time = -1;
    while args.more() {
        let follows = args.left() > 1;
        if args.accept("force") {
            claim.force = true;
        } else if args.accept("justid") {
            claim.just_id = true;
        } else if follows && args.accept("idle") {
            time = now_ms.wrapping_sub(option_int(args, "IDLE option", "XCLAIM")?);
        } else if follows && args.accept("time") {
            time = option_int(args, "TIME option", "XCLAIM")?;
        } else if follows && args.accept("retrycount") {
            let count = option_int(args, "RETRYCOUNT option", "XCLAIM")?;
            claim.retry_count = (count >= 0).then_some(count);
        } else if follows && args.accept("lastid") {
            last_id = Some(parse_id(args.bytes()?)?);
        } else {
            return Err(CmdError::quoting("ERR Unrecognized XCLAIM option '", args.bytes()?, "'"));
        }
    }
    // A time to come would let the entry rest for ever.
    if (0..=now_ms).contains(&time) {
        claim.delivered_ms = time;
    }
    Ok((claim, last_id))
}

/// Entries on their way to the consumer that claims them.
struct Claiming<'a> {
    names: [&'a [u8]; 3],
    number: ConsumerNumber,
    now_ms: i64,
    keep_words: bool,
    words: Vec<OwnedArgv>,
    changes: u64,
}

impl<'a> Claiming<'a> {
    /// The consumer is made if there is none of this name; false then.
    fn begin(group: &mut Group, names: [&'a [u8]; 3], now_ms: i64, keep_words: bool) -> Option<(Claiming<'a>, bool)> {
        let found = group.find_consumer(names[2]);
        let number = found.or_else(|| group.add_consumer(names[2], now_ms))?;
        if let Some(consumer) = group.consumer_at_mut(number) {
            consumer.seen_ms = now_ms;
        }
        let created = found.is_none();
        let mut claiming =
            Claiming { names, number, now_ms, keep_words, words: Vec::new(), changes: u64::from(created) };
        if created && keep_words {
            claiming.words.push(creation_words(names));
        }
        Some((claiming, created))
    }

    /// Claims an entry if it may be; whether it was.
    fn claim(&mut self, group: &mut Group, id: StreamId, claim: &Claim) -> bool {
        let before = group.pending(id);
        if before.is_none() && !claim.force {
            return false;
        }
        if before
            .is_some_and(|p| claim.min_idle_ms > 0 && self.now_ms.saturating_sub(p.delivered_ms) < claim.min_idle_ms)
        {
            return false;
        }
        let deliveries = before.map_or(1, |pending| pending.deliveries);
        let deliveries = match claim.retry_count {
            Some(count) => count as u64,
            None => deliveries.wrapping_add(u64::from(!claim.just_id)),
        };
        let pending = Pending { delivered_ms: claim.delivered_ms, deliveries, consumer: self.number };
        group.deliver(id, pending);
        if let Some(consumer) = group.consumer_at_mut(self.number) {
            consumer.active_ms = self.now_ms;
        }
        self.note(group, id, &pending, self.names[2]);
        true
    }

    /// What is deleted in the stream can't be claimed: it is pending no more. Whether it was.
    fn forget(&mut self, group: &mut Group, id: StreamId) -> bool {
        let Some(pending) = group.pending(id) else { return false };
        let owner = group.consumer_at(pending.consumer).map(|consumer| consumer.name().to_vec());
        group.acknowledge(id);
        match owner {
            // Claimed where it is deleted, too, it is forgotten there.
            Some(owner) => self.note(group, id, &pending, &owner),
            None => {
                self.changes += 1;
                if self.keep_words {
                    let [key, name, _] = self.names;
                    self.words.push(OwnedArgv::of(&[b"XACK", key, name, id.text().as_bytes()]));
                }
            }
        }
        true
    }

    fn note(&mut self, group: &Group, id: StreamId, pending: &Pending, consumer: &[u8]) {
        self.changes += 1;
        if self.keep_words {
            let [key, name, _] = self.names;
            self.words.push(claim_words([key, name, consumer], group.last_id, id, pending));
        }
    }
}

/// Lets `work` claim entries for a consumer, which is made if there is none; announces and propagates what it did.
fn claiming(
    cx: &mut Ctx<'_>,
    key: Key<'_>,
    (name, consumer): (&[u8], &[u8]),
    work: impl FnOnce(&mut Claiming<'_>, &mut Group, &Log, &mut Reply<'_>),
) -> Result<(), CmdError> {
    let (now_ms, keep_words) = (cx.now.wall_ms(), cx.effects.wanted);
    let Some(mut edit) = cx.db.edit::<Stream>(key, Missing::Skip)? else { return Ok(()) };
    let mut stream = edit.value();
    let Some((group, log)) = stream.group_and_log(name) else { return Ok(()) };
    let names = [key.bytes, name, consumer];
    let Some((mut claiming, created)) = Claiming::begin(group, names, now_ms, keep_words) else { return Ok(()) };
    work(&mut claiming, group, log, &mut cx.reply);
    let Claiming { changes, words, .. } = claiming;
    drop(stream);
    if changes > 0 {
        let made = Event { changed: false, ..Event::stream("xgroup-createconsumer") };
        edit.finish_with(changes, if created { made } else { Event::SILENT });
    }
    cx.effects.none();
    for effect in &words {
        let words: Vec<&[u8]> = effect.argv().iter().collect();
        cx.effects.replace(&words);
    }
    Ok(())
}

/// Replies an entry that was claimed.
fn show(reply: &mut Reply<'_>, log: &Log, id: StreamId, just_id: bool) {
    match log.get(id).filter(|_| !just_id) {
        Some(entry) => reply_entry(reply, &entry),
        None => reply_id(reply, id),
    }
}

pub fn xclaim(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name, consumer) = (args.key()?, args.bytes()?, args.bytes()?);
    existing(cx.db.read::<Stream>(key)?, key, name)?;
    let min_idle_ms = option_int(args, "min-idle-time", "XCLAIM")?.max(0);
    let mut ids = Vec::with_capacity(args.left());
    while let Some(id) = args.peek().and_then(|text| StreamId::parse(text, 0)) {
        ids.push(id);
        args.bytes()?;
    }
    let (claim, last_id) = options(args, min_idle_ms, cx.now.wall_ms())?;
    claiming(cx, key, (name, consumer), |claiming, group, log, reply| {
        let moved = last_id.is_some_and(|last_id| last_id > group.last_id);
        group.last_id = last_id.unwrap_or_default().max(group.last_id);
        let (at, mut claimed) = (reply.defer(), 0);
        for id in ids {
            if log.get(id).is_none() {
                claiming.forget(group, id);
            } else if claiming.claim(group, id, &claim) {
                show(reply, log, id, claim.just_id);
                claimed += 1;
            }
        }
        reply.fill_array(at, claimed);
        // Each entry that was claimed carries the last id with it.
        if moved && claimed == 0 {
            claiming.changes += 1;
            if claiming.keep_words {
                claiming.words.push(position_words(claiming.names, group));
            }
        }
    })?;
    Ok(Flow::Done)
}

pub fn xautoclaim(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let (key, name, consumer) = (args.key()?, args.bytes()?, args.bytes()?);
    // The look is counted before the other words are read, what it found is judged after them.
    cx.db.entry(key);
    let min_idle_ms = option_int(args, "min-idle-time", "XAUTOCLAIM")?.max(0);
    let start = parse_start(args.bytes()?)?;
    let delivered_ms = cx.now.wall_ms();
    let mut claim = Claim { min_idle_ms, delivered_ms, retry_count: None, force: false, just_id: false };
    let mut count = DEFAULT_COUNT;
    while args.more() {
        if args.left() > 1 && args.accept("count") {
            count = args.int_in(1, i64::MAX / size_of::<StreamId>() as i64, AUTO_COUNT).map_err(|_| AUTO_COUNT)?;
        } else if args.accept("justid") {
            claim.just_id = true;
        } else {
            return Err(CmdError::SYNTAX);
        }
    }
    existing(cx.db.read_to_change::<Stream>(key)?, key, name)?;
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    claiming(cx, key, (name, consumer), |claiming, group, log, reply| {
        let looked_at: Vec<StreamId> = {
            let attempts = count.saturating_mul(ATTEMPTS).min(group.pending_len());
            group.pending_from(start).take(attempts).map(|(id, _)| id).collect()
        };
        let (mut claimed, mut deleted, mut after) = (Vec::new(), Vec::new(), None);
        for id in looked_at {
            if claimed.len() + deleted.len() == count {
                break;
            }
            after = Some(id);
            if log.get(id).is_none() {
                claiming.forget(group, id);
                deleted.push(id);
            } else if claiming.claim(group, id, &claim) {
                claimed.push(id);
            }
        }
        // Where to go on.
        let next = match after {
            Some(after) => after.next().and_then(|next| group.pending_from(next).next()),
            None => group.pending_from(start).next(),
        };
        reply.array(3);
        reply_id(reply, next.map_or(StreamId::MIN, |(id, _)| id));
        reply.array(claimed.len());
        claimed.into_iter().for_each(|id| show(reply, log, id, claim.just_id));
        reply.array(deleted.len());
        deleted.into_iter().for_each(|id| reply_id(reply, id));
    })?;
    Ok(Flow::Done)
}
