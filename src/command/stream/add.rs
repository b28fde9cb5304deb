//! Streams: XADD and XTRIM.
//!
//! Who says who it is (IDMP, IDMPAUTO) may send a message again: it is not added again, and its id is replied. Those who follow
//! hear of such an entry as of any other, and then which message it was.

use super::{INVALID_ID, parse_id, reply_id};
use crate::command::{Args, CmdError, Ctx, Flow, Outcome};
use crate::journal::Effects;
use crate::keyspace::{Event, Missing};
use crate::types::{
    GivenId, Limits, Log, References, Stream, StreamData, StreamId, StreamMut, Threshold, Trim, content_id,
};

const TWO_STRATEGIES: CmdError =
    CmdError::text("ERR syntax error, MAXLEN and MINID options at the same time are not compatible");
const MAXLEN_NEGATIVE: CmdError = CmdError::text("ERR The MAXLEN argument must be >= 0.");
const LIMIT_NEGATIVE: CmdError = CmdError::text("ERR The LIMIT argument must be >= 0.");
const LIMIT_ALONE: CmdError =
    CmdError::text("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy");
const LIMIT_EXACT: CmdError = CmdError::text("ERR syntax error, LIMIT cannot be used without the special ~ option");
const NO_STRATEGY: CmdError = CmdError::text("ERR syntax error, XTRIM must be called with a trimming strategy");
const ZERO_ID: CmdError = CmdError::text("ERR The ID specified in XADD must be greater than 0-0");
const OLD_ID: CmdError =
    CmdError::text("ERR The ID specified in XADD is equal or smaller than the target stream top item");
const EXHAUSTED: CmdError =
    CmdError::text("ERR The stream has exhausted the last possible ID, unable to add more items");
const SENDER_TWICE: CmdError = CmdError::text("ERR IDMP/IDMPAUTO specified multiple times");
const SENDER_WITH_ID: CmdError = CmdError::text("ERR IDMP/IDMPAUTO can be used only with auto-generated IDs");
const NO_PRODUCER: CmdError = CmdError::text("ERR IDMP requires a non-empty producer ID");
const NO_IID: CmdError = CmdError::text("ERR IDMP requires a non-empty idempotent ID");
const NO_AUTO_PRODUCER: CmdError = CmdError::text("ERR IDMPAUTO requires a non-empty producer ID");
const TOO_LARGE: CmdError = CmdError::text("ERR Elements are too large to be stored");

/// Most entries that a trim of whole nodes removes when it is not told, in nodes; bounds of that.
const DEFAULT_LIMIT_NODES: u64 = 100;
const DEFAULT_LIMIT: u64 = 10_000;
const MAX_DEFAULT_LIMIT: u64 = 1_000_000;

/// A change that breaks a WATCH and is not announced.
const UNANNOUNCED: Event = Event { changed: true, ..Event::SILENT };

/// Who sends a message, and which of its messages it is, unless that is to be told by what it says.
#[derive(Clone, Copy)]
struct Sender<'a> {
    producer: &'a [u8],
    iid: Option<&'a [u8]>,
}

/// What XADD and XTRIM are told besides the entry's words.
struct Options<'a> {
    trim: Option<Trim>,
    references: References,
    make: bool,
    /// The id that XADD was given, unless it is to make one.
    id: Option<GivenId>,
    sender: Option<Sender<'a>>,
}

/// Takes KEEPREF, DELREF or ACKED.
pub fn accept_references(args: &mut Args<'_>) -> Option<References> {
    if args.accept("keepref") {
        Some(References::Keep)
    } else if args.accept("delref") {
        Some(References::Delete)
    } else if args.accept("acked") {
        Some(References::Acked)
    } else {
        None
    }
}

impl<'a> Options<'a> {
    /// Reads options; of XADD up to its id, of XTRIM all words.
    #[inline]
    fn read(args: &mut Args<'a>, adds: bool, limits: &Limits) -> Result<Options<'a>, CmdError> {
        let mut options = Options { trim: None, references: References::Keep, make: true, id: None, sender: None };
        // Most XADDs have none.
        if adds && args.accept("*") {
            return Ok(options);
        }
        let mut limit = None;
        while args.more() {
            let follows = args.left() > 1;
            if adds && args.accept("*") {
                break;
            } else if follows && args.accept("maxlen") {
                options.threshold(args, |args| match args.int()? {
                    most @ 0.. => Ok(Threshold::MaxLen(most as u64)),
                    _ => Err(MAXLEN_NEGATIVE),
                })?;
            } else if follows && args.accept("minid") {
                options.threshold(args, |args| Ok(Threshold::MinId(parse_id(args.bytes()?)?)))?;
            } else if follows && args.accept("limit") {
                limit = Some(u64::try_from(args.int()?).map_err(|_| LIMIT_NEGATIVE)?);
            } else if adds && args.accept("nomkstream") {
                options.make = false;
            } else if let Some(references) = accept_references(args) {
                options.references = references;
            } else if adds && follows && args.accept("idmpauto") {
                options.sent_by(Sender { producer: args.bytes()?, iid: None })?;
            } else if adds && args.left() > 2 && args.accept("idmp") {
                options.sent_by(Sender { producer: args.bytes()?, iid: Some(args.bytes()?) })?;
            } else if adds {
                options.id = Some(StreamId::parse_given(args.bytes()?).ok_or(INVALID_ID)?);
                if options.sender.is_some() {
                    return Err(SENDER_WITH_ID);
                }
                break;
            } else {
                return Err(CmdError::SYNTAX);
            }
        }
        options.set_limit(limit, adds, limits)?;
        options.keep_repeatable();
        Ok(options)
    }

    fn sent_by(&mut self, sender: Sender<'a>) -> Result<(), CmdError> {
        if self.sender.replace(sender).is_some() {
            return Err(SENDER_TWICE);
        }
        match sender.iid {
            None if sender.producer.is_empty() => Err(NO_AUTO_PRODUCER),
            Some(_) if sender.producer.is_empty() => Err(NO_PRODUCER),
            Some([]) => Err(NO_IID),
            _ => Ok(()),
        }
    }

    /// The words behind MAXLEN or MINID.
    fn threshold(
        &mut self,
        args: &mut Args<'a>,
        read: impl FnOnce(&mut Args<'a>) -> Result<Threshold, CmdError>,
    ) -> Result<(), CmdError> {
        if self.trim.is_some() {
            return Err(TWO_STRATEGIES);
        }
        let follows = args.left() > 1;
        let approximate = follows && args.accept("~");
        if follows && !approximate {
            args.accept("=");
        }
        self.trim = Some(Trim { threshold: read(args)?, approximate, limit: 0 });
        Ok(())
    }

    fn set_limit(&mut self, limit: Option<u64>, adds: bool, limits: &Limits) -> Result<(), CmdError> {
        let Some(trim) = &mut self.trim else {
            return match limit {
                Some(1..) => Err(LIMIT_ALONE),
                _ if !adds => Err(NO_STRATEGY),
                Some(0) => Err(LIMIT_EXACT),
                None => Ok(()),
            };
        };
        trim.limit = match limit {
            Some(_) if !trim.approximate => return Err(LIMIT_EXACT),
            Some(limit) => limit,
            None if !trim.approximate => 0,
            None => match limits.stream_entries.saturating_mul(DEFAULT_LIMIT_NODES) {
                0 => DEFAULT_LIMIT,
                limit => limit.min(MAX_DEFAULT_LIMIT),
            },
        };
        Ok(())
    }

    /// Entries that stay because a group needs them may stand before others that went: no first id tells another copy
    /// which those were, so that the threshold must be taken as it is.
    fn keep_repeatable(&mut self) {
        if let (References::Acked, Some(trim @ Trim { threshold: Threshold::MinId(_), .. })) =
            (self.references, &mut self.trim)
        {
            trim.approximate = false;
            trim.limit = 0;
        }
    }

    /// The words that trim another copy of the stream to what this one is now.
    fn exact_words(&self, stream: &StreamData) -> Vec<Vec<u8>> {
        let mut words: Vec<Vec<u8>> = Vec::new();
        if let Some(trim) = self.trim {
            let (strategy, value) = match trim.threshold {
                Threshold::MaxLen(_) if trim.approximate => ("MAXLEN", stream.log().len().to_string().into_bytes()),
                Threshold::MaxLen(most) => ("MAXLEN", most.to_string().into_bytes()),
                Threshold::MinId(_) if trim.approximate => {
                    // Where nothing is left, nothing shall be left there.
                    let first = if stream.log().is_empty() { StreamId::MAX } else { stream.log().first_id() };
                    ("MINID", first.text().as_bytes().to_vec())
                }
                Threshold::MinId(min) => ("MINID", min.text().as_bytes().to_vec()),
            };
            words.extend([strategy.into(), b"=".to_vec(), value]);
        }
        match self.references {
            References::Keep => {}
            References::Delete => words.push(b"DELREF".to_vec()),
            References::Acked => words.push(b"ACKED".to_vec()),
        }
        words
    }
}

/// The id of a new entry behind `last`.
fn next_id(given: Option<GivenId>, last: StreamId, now_ms: i64) -> Result<StreamId, CmdError> {
    let id = match given {
        // A clock that went back changes nothing: ids ascend.
        None => StreamId::new(u64::try_from(now_ms).unwrap_or(0), 0).max(last.next().unwrap_or(last)),
        Some(GivenId { id, any_seq: true }) if id.ms() == last.ms() => {
            StreamId::new(id.ms(), last.seq().checked_add(1).ok_or(OLD_ID)?)
        }
        Some(given) => given.id,
    };
    if id > last { Ok(id) } else { Err(OLD_ID) }
}

pub fn xadd(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let options = Options::read(args, true, &cx.db.space.book.limits)?;
    let (first, words) = (args.position(), args.left());
    if words < 2 || words % 2 == 1 {
        return Err(CmdError::arity("xadd"));
    }
    if options.id.is_some_and(|given| given.id.is_zero() && !given.any_seq) {
        return Err(ZERO_ID);
    }
    let argv = args.argv();
    let word = |index: usize| argv.get(first + index).unwrap_or_default();
    let bytes: usize = (0..words).map(|index| word(index).len()).sum();
    let missing = if options.make { Missing::Create } else { Missing::Skip };
    let Some(mut edit) = cx.db.edit::<Stream>(key, missing)? else {
        cx.reply.null();
        return Ok(Flow::Done);
    };
    let now_ms = cx.now.unix_ms.0;
    let content = options.sender.filter(|sender| sender.iid.is_none()).map(|_| content_id(words / 2, &word));
    let auto_iid = content.as_ref().map_or(&b""[..], |id| id);
    let sent = options.sender.map(|sender| (sender.producer, sender.iid.unwrap_or(auto_iid)));
    let mut stream = edit.value();
    if let Some(known) = sent.and_then(|sent| sent_before(&mut stream, sent, now_ms)) {
        drop(stream);
        edit.finish(UNANNOUNCED);
        cx.effects.none();
        reply_id(&mut cx.reply, known);
        return Ok(Flow::Done);
    }
    let last = stream.log().last_id();
    if last == StreamId::MAX {
        return Err(EXHAUSTED);
    }
    let id = next_id(options.id, last, now_ms)?;
    if !Log::takes(bytes) {
        return Err(TOO_LARGE);
    }
    stream.append(id, words / 2, bytes, &word);
    if let Some((producer, iid)) = sent {
        stream.idmp_mut().record(producer, iid, id, now_ms);
    }
    let trimmed = options.trim.map_or(0, |trim| stream.trim(trim, options.references));
    if cx.effects.wanted {
        tell(cx.effects, key.bytes, &options, &stream, id, sent, argv.iter().skip(first));
    }
    drop(stream);
    edit.finish(Event::stream("xadd"));
    if trimmed > 0 {
        cx.announce(key.bytes, Event::stream("xtrim"));
    }
    reply_id(&mut cx.reply, id);
    Ok(Flow::Done)
}

/// The id that a message got when it was sent before.
#[cold]
fn sent_before(stream: &mut StreamMut<'_>, (producer, iid): (&[u8], &[u8]), now_ms: i64) -> Option<StreamId> {
    let known = stream.idmp()?.find(producer, iid, now_ms)?;
    let idmp = stream.idmp_mut();
    idmp.duplicates = idmp.duplicates.saturating_add(1);
    Some(known)
}

/// An entry was added: what makes it elsewhere.
fn tell<'a>(
    effects: &mut Effects,
    key: &[u8],
    options: &Options<'_>,
    stream: &StreamData,
    id: StreamId,
    sent: Option<(&[u8], &[u8])>,
    words: impl Iterator<Item = &'a [u8]>,
) {
    let (trim, text) = (options.exact_words(stream), id.text());
    // An entry that the trim took at once must be there while its message is recorded.
    let trims_later = sent.is_some() && stream.log().get(id).is_none();
    let mut effect: Vec<&[u8]> = vec![b"XADD", key];
    effect.extend(trim.iter().filter(|_| !trims_later).map(|word| &word[..]));
    effect.push(text.as_bytes());
    words.for_each(|word| effect.push(word));
    effects.replace(&effect);
    if let Some((producer, iid)) = sent {
        effects.replace(&[b"XIDMPRECORD", key, producer, iid, text.as_bytes()]);
    }
    if trims_later {
        let mut effect: Vec<&[u8]> = vec![b"XTRIM", key];
        effect.extend(trim.iter().map(|word| &word[..]));
        effects.replace(&effect);
    }
}

pub fn xtrim(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let key = args.key()?;
    let options = Options::read(args, false, &cx.db.space.book.limits)?;
    let trim = options.trim.ok_or(NO_STRATEGY)?;
    let mut removed = 0;
    if let Some(mut edit) = cx.db.edit::<Stream>(key, Missing::Skip)? {
        let mut stream = edit.value();
        removed = stream.trim(trim, options.references);
        if removed > 0 && cx.effects.wanted {
            let words = options.exact_words(&stream);
            let mut effect: Vec<&[u8]> = vec![b"XTRIM", key.bytes];
            effect.extend(words.iter().map(|word| &word[..]));
            cx.effects.replace(&effect);
        }
        drop(stream);
        if removed > 0 {
            edit.finish_with(removed, Event::stream("xtrim"));
        }
    }
    cx.reply.int(removed as i64);
    Ok(Flow::Done)
}
