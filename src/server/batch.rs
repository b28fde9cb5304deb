//! A turn's requests, decoded ahead of their execution so that the cache misses of many overlap.

use super::{Server, limits};
use crate::base::clock::Now;
use crate::base::float::parse_double;
use crate::base::hash::Hasher;
use crate::command::{Ctx, Row, Table, refuse_protocol, scrape};
use crate::keyspace::DbIndex;
use crate::net::Input;
use crate::resp::{Argv, Decoded, Decoder, Head, ProtocolError, RequestLimits, Span};
use crate::session::{ConnId, mode};
use crate::sys::loan::Lendable;
use crate::types::{Big, Stage};
use bytes::Bytes;
use std::cell::Cell;
use std::rc::Rc;

/// Requests decoded before they are executed. More would push each other's lines out of the first-level cache.
const BATCH: usize = 64;

/// Room for words that is kept from turn to turn; one request of very many words must not hold its own for ever.
const KEPT_SPANS: usize = 8192;

/// One decoded request.
struct Request {
    /// Index into the turn's cursors.
    cursor: u32,
    /// Its first span and how many.
    first: u32,
    argc: u32,
    /// Word index of its first key; 0 if it has none that is fixed.
    key_word: u32,
    /// Its first key has to be brought into the cache: the request before it did not name the same.
    is_new_key: bool,
    /// Database it will look in.
    db: DbIndex,
    /// Its row; `None` for an unknown name.
    row: Option<Row>,
    /// Hash of the first key.
    hash: u64,
    /// Hash of the member within that key's value; 0 if the row names none.
    member_hash: u64,
    /// The score that the member is to get, where the row says that the word before it is one.
    new_score: Option<f64>,
}

/// A kind of request that came before: how it begins, and what is known of it from that.
#[derive(Clone, Copy)]
struct Kind {
    head: Head,
    row: Row,
    /// Word index of its first key, 0 if none is fixed.
    key_word: usize,
}

/// Kinds that are known at a time.
const KINDS: usize = 16;

/// The kinds of requests that came last, each at a place that follows from its first bytes.
#[derive(Default)]
pub(super) struct Kinds([Option<Kind>; KINDS]);

/// The requests of a batch and the memory they are decoded into; kept from turn to turn.
#[derive(Default)]
pub(super) struct Batch {
    requests: Vec<Request>,
    spans: Vec<Span>,
    bigs: Vec<Bytes>,
}

impl Kinds {
    /// Decodes a request; and its row and first key if its kind, which would be at `place`, is known.
    #[inline(always)]
    fn decode(
        &self,
        place: usize,
        decoder: &mut Decoder,
        buf: &[u8],
        at: usize,
        limits: RequestLimits,
        batch: &mut Batch,
    ) -> (Decoded, Option<(Row, usize)>) {
        if let Some(kind) = &self.0[place] {
            if let Some(decoded) = decoder.decode_known(&kind.head, buf, at, limits, &mut batch.spans) {
                return (decoded, Some((kind.row, kind.key_word)));
            }
        }
        (decoder.decode(buf, at, limits, &mut batch.spans, &mut batch.bigs), None)
    }

    /// The row and the first key of a request that was decoded at `at`, whose kind is known from now on.
    fn learn(
        &mut self,
        place: usize,
        table: &Table,
        buf: &[u8],
        at: usize,
        spans: &[Span],
        argv: Argv<'_>,
    ) -> (Option<Row>, usize) {
        let Some(row) = argv.get(0).and_then(|name| table.find(name)) else { return (None, 0) };
        let key_word = table.first_key(row.id);
        if let Some(head) = Head::of(buf, at, spans) {
            self.0[place] = Some(Kind { head, row, key_word });
        }
        (Some(row), key_word)
    }
}

impl Request {
    /// Hashes what the request looks up first: its key, and the member in that key's value.
    #[inline(always)]
    fn look_ahead(&mut self, key_word: usize, argv: Argv<'_>, hasher: Hasher, before: Option<&Request>) {
        if let Some(key) = argv.get(key_word) {
            self.key_word = key_word as u32;
            self.hash = hasher.hash(key);
            // Two keys of one hash in a row only cost a miss.
            self.is_new_key = before.is_none_or(|before| before.hash != self.hash);
        }
        let member = self.row.map_or(0, |row| row.command.member);
        if member > 0 {
            self.member_hash = argv.get(member).map_or(0, |member| hasher.hash(member));
            // A member that is not the word after the key comes after its score.
            if member > key_word + 1 {
                self.new_score = argv.get(member - 1).and_then(parse_double);
            }
        }
    }
}

/// The place of the kind of request that lies here, by the first bytes of its name where names usually begin.
#[inline(always)]
fn kind_place(buf: &[u8], at: usize) -> usize {
    const USUAL_NAME: usize = 8;
    let Some(name) = buf.get(at + USUAL_NAME..).and_then(|rest| rest.first_chunk::<8>()) else { return 0 };
    // Six bytes: what stands behind the shortest names and their end says how long the key is.
    let name = u64::from_le_bytes(*name) << 16;
    (name.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (u64::BITS - KINDS.ilog2())) as usize
}

/// How far one connection's input was decoded.
pub(super) struct Cursor<'a> {
    pub(super) conn: ConnId,
    bytes: Source<'a>,
    pub(super) at: usize,
    pub(super) error: Option<ProtocolError>,
    pub(super) too_long: bool,
    /// All of it was answered in the middle of another client's script.
    pub(super) closed: Cell<bool>,
}

/// What is left of a turn's requests while one of them runs: a script that runs for long lets the others be answered.
pub(super) struct Turn<'a> {
    batch: &'a Batch,
    /// Index of the request that runs.
    position: &'a Cell<usize>,
    pub(super) cursors: &'a [Cursor<'a>],
}

/// A turn that is lent.
pub(super) struct LentTurn;

impl Lendable for LentTurn {
    type Lent<'a> = Turn<'a>;
}

impl Turn<'_> {
    /// The requests of the batch behind the one that runs, each with its cursor.
    pub(super) fn rest(&self) -> impl Iterator<Item = (&Cursor<'_>, Argv<'_>)> {
        let rest = self.batch.requests.get(self.position.get() + 1..).unwrap_or_default();
        rest.iter().filter_map(|request| {
            let cursor = self.cursors.get(request.cursor as usize)?;
            let spans = self.batch.spans.get(request.first as usize..(request.first + request.argc) as usize)?;
            Some((cursor, Argv::new(cursor.bytes(), spans, &self.batch.bigs)))
        })
    }
}

/// Where a connection's bytes are this turn.
enum Source<'a> {
    Shared(&'a [u8]),
    Own(Vec<u8>),
}

impl Cursor<'_> {
    #[inline]
    pub(super) fn bytes(&self) -> &[u8] {
        match &self.bytes {
            Source::Shared(shared) => shared,
            Source::Own(own) => own,
        }
    }
}

/// Why decoding paused.
#[derive(PartialEq, Eq)]
enum Filled {
    /// The batch is full, or must run before more may be decoded.
    Batch,
    /// The connection's input is used up.
    Input,
}

impl Server {
    /// Decodes and executes all that arrived this turn.
    pub(super) fn run_batches(&mut self, inputs: &[Input], shared: &[u8], now: Now) {
        self.account_inputs(inputs);
        let mut batch = std::mem::take(&mut self.batch);
        let mut cursors: Vec<Cursor<'_>> = inputs.iter().map(|input| self.open_cursor(input, shared, now)).collect();
        let mut next = 0;
        while next < cursors.len() {
            batch.requests.clear();
            batch.spans.clear();
            batch.bigs.clear();
            while next < cursors.len() {
                match self.fill(&mut batch, &mut cursors[next], next as u32) {
                    Filled::Batch => break,
                    Filled::Input => next += 1,
                }
            }
            self.prefetch(&batch);
            self.run_batch(&batch, &cursors, now);
        }
        batch.bigs.clear();
        if batch.spans.capacity() > KEPT_SPANS {
            batch.spans = Vec::new();
        }
        self.batch = batch;
        for cursor in cursors {
            self.close_cursor(cursor, now);
        }
    }

    fn open_cursor<'a>(&mut self, input: &Input, shared: &'a [u8], now: Now) -> Cursor<'a> {
        self.stats.totals.input_bytes += input.len as u64;
        let mut bytes = Source::Shared(&[]);
        if let Some(session) = self.sessions.get_mut(input.conn) {
            session.active = now;
            session.input_bytes += input.len as u64;
            bytes = match &input.shared {
                Some(range) => Source::Shared(&shared[range.clone()]),
                None => Source::Own(session.decoder.take_tail()),
            };
        }
        Cursor { conn: input.conn, bytes, at: 0, error: None, too_long: false, closed: Cell::new(false) }
    }

    /// Decodes requests of one connection into the batch, finds their rows and hashes their first keys.
    fn fill(&mut self, batch: &mut Batch, cursor: &mut Cursor<'_>, index: u32) -> Filled {
        let Some(session) = self.sessions.get_mut(cursor.conn) else { return Filled::Input };
        if session.is(mode::CLOSE_AFTER_REPLY | mode::CLOSE_NOW | mode::METRICS) || cursor.closed.get() {
            return Filled::Input;
        }
        let authenticated = session.authenticated || self.acl.is_open();
        let limits = RequestLimits { bulk_len: self.config.proto_max_bulk_len as u64, authenticated };
        let buf: &[u8] = match &cursor.bytes {
            Source::Shared(shared) => shared,
            Source::Own(own) => own,
        };
        let hasher = self.keyspace.hasher();
        let query_limit = self.config.client_query_buffer_limit;
        while batch.requests.len() < BATCH {
            let (first, first_big) = (batch.spans.len(), batch.bigs.len());
            let place = kind_place(buf, cursor.at);
            let (decoded, kind) = self.kinds.decode(place, &mut session.decoder, buf, cursor.at, limits, batch);
            match decoded {
                Decoded::Request { argc, next } => {
                    let bigs: usize = batch.bigs[first_big..].iter().map(Bytes::len).sum();
                    if bigs + (next - cursor.at) > query_limit {
                        // Longer than the client may send, even if it arrived between two looks at what it holds.
                        cursor.too_long = true;
                        return Filled::Input;
                    }
                    let argv = Argv::new(buf, &batch.spans[first..], &batch.bigs);
                    let (row, key_word) = match kind {
                        Some((row, key_word)) => (Some(row), key_word),
                        None => self.kinds.learn(place, &self.table, buf, cursor.at, &batch.spans[first..], argv),
                    };
                    cursor.at = next;
                    let mut request = Request {
                        cursor: index,
                        first: first as u32,
                        argc: argc as u32,
                        key_word: 0,
                        is_new_key: false,
                        db: session.db,
                        row,
                        hash: 0,
                        member_hash: 0,
                        new_score: None,
                    };
                    if key_word > 0 {
                        request.look_ahead(key_word, argv, hasher, batch.requests.last());
                    }
                    batch.requests.push(request);
                    if !limits.authenticated {
                        return Filled::Batch;
                    }
                }
                Decoded::Skip(next) => cursor.at = next,
                Decoded::Incomplete => return Filled::Input,
                Decoded::Error(error) => {
                    cursor.error = Some(error);
                    return Filled::Input;
                }
            }
        }
        Filled::Batch
    }

    /// Passes, each bringing in what the next one reads: directory entry, bucket, entry; then the same within large values.
    fn prefetch(&self, batch: &Batch) {
        let keyed = || batch.requests.iter().filter(|r| r.is_new_key);
        if batch.requests.len() < 2 {
            return;
        }
        let table = |r: &Request| &self.keyspace.dbs[r.db.0 as usize].table;
        keyed().for_each(|r| table(r).prefetch_segment(r.hash));
        keyed().for_each(|r| table(r).prefetch_bucket(r.hash));
        // One bit for each request whose item was pushed out of its home bucket: these need a step more.
        let mut pushed_out = 0u64;
        for (nth, r) in batch.requests.iter().enumerate().filter(|(_, r)| r.is_new_key) {
            pushed_out |= u64::from(!table(r).prefetch_item(r.hash)) << (nth as u32 % u64::BITS);
        }
        while pushed_out != 0 {
            let r = &batch.requests[pushed_out.trailing_zeros() as usize];
            table(r).prefetch_overflow(r.hash);
            pushed_out &= pushed_out - 1;
        }
        let with_member = || batch.requests.iter().filter(|r| r.member_hash != 0);
        if with_member().next().is_none() {
            return;
        }
        // The entries are in the cache now; what a large one holds is brought in the same way.
        let find = |r: &Request| table(r).glance(r.hash).and_then(|entry| entry.big());
        let bigs: Vec<(&Big, u64, Option<f64>)> =
            with_member().filter_map(|r| Some((find(r)?, r.member_hash, r.new_score))).collect();
        for stage in [Stage::Segment, Stage::Bucket] {
            for (big, hash, _) in &bigs {
                big.prefetch_member(*hash, stage);
            }
        }
        let is_pushed_out = |(big, hash, _): &&(&Big, u64, Option<f64>)| !big.prefetch_member(*hash, Stage::Item);
        let pushed_out: Vec<_> = bigs.iter().filter(is_pushed_out).collect();
        for (big, hash, _) in pushed_out {
            big.prefetch_member(*hash, Stage::Overflow);
        }
        Self::prefetch_order(&bigs);
    }

    /// Sorted sets: the places in the order where members are and will be, all their misses together.
    fn prefetch_order(bigs: &[(&Big, u64, Option<f64>)]) {
        let mut scores: Vec<f64> = Vec::new();
        for group in bigs.chunk_by(|a, b| std::ptr::eq(a.0, b.0)) {
            let Big::ZSet(sorted) = group[0].0 else { continue };
            scores.clear();
            for (_, hash, new_score) in group {
                scores.extend(new_score.iter().copied());
                scores.extend(sorted.glance_score(*hash));
            }
            sorted.prefetch_scores(&scores);
        }
    }

    /// Executes a batch: runs of requests of one connection share one context.
    fn run_batch(&mut self, batch: &Batch, cursors: &[Cursor<'_>], now: Now) {
        let mut next = 0;
        while next < batch.requests.len() {
            let cursor = &cursors[batch.requests[next].cursor as usize];
            if cursor.closed.get() {
                next += 1;
                continue;
            }
            let position = Cell::new(next);
            let loan = Rc::clone(&self.open_turn);
            let ran = loan.lend(&mut Turn { batch, position: &position, cursors }, || {
                self.with_session(cursor.conn, now, |cx| Self::run_group(cx, batch, cursor, &position))
            });
            next = ran.unwrap_or(next + 1);
        }
    }

    /// Executes requests from `next` on as long as they are of one connection and want nothing of the server;
    /// returns the index of the first one not executed.
    fn run_group(cx: &mut Ctx<'_>, batch: &Batch, cursor: &Cursor<'_>, position: &Cell<usize>) -> usize {
        let mut next = position.get();
        let which = batch.requests[next].cursor;
        let bytes = cursor.bytes();
        while let Some(request) = batch.requests.get(next) {
            if request.cursor != which {
                break;
            }
            let spans = &batch.spans[request.first as usize..(request.first + request.argc) as usize];
            let argv = Argv::new(bytes, spans, &batch.bigs);
            let hashed = (request.key_word > 0).then_some((request.key_word as usize, request.hash));
            position.set(next);
            Self::serve(cx, request.row, argv, hashed);
            next += 1;
            if cx.must_pause() {
                break;
            }
        }
        next
    }

    /// Keeps an incomplete request; tells a client that broke the protocol, and closes it.
    fn close_cursor(&mut self, cursor: Cursor<'_>, now: Now) {
        if cursor.closed.get() {
            return;
        }
        if let Some(error) = &cursor.error {
            self.with_session(cursor.conn, now, |cx| {
                refuse_protocol(cx, error);
                cx.session.mode |= mode::CLOSE_AFTER_REPLY;
            });
            return;
        }
        let Some(session) = self.sessions.get_mut(cursor.conn) else { return };
        if session.is_closing() {
            return;
        }
        if session.is(mode::METRICS) {
            if let Some(true) = self.with_session(cursor.conn, now, |cx| scrape::answer(cx, cursor.bytes())) {
                return;
            }
        }
        let Some(session) = self.sessions.get_mut(cursor.conn) else { return };
        match cursor.bytes {
            Source::Own(own) => session.decoder.keep(own, cursor.at),
            Source::Shared(shared) if cursor.at < shared.len() => session.decoder.keep_copy(shared, cursor.at),
            Source::Shared(_) => {}
        }
        let held = session.decoder.held_bytes() + session.waiting_bytes;
        let is_stranger = !session.authenticated && !self.acl.is_open() || session.is(mode::METRICS);
        let most = if is_stranger { limits::STRANGER_REQUEST_BYTES } else { self.config.client_query_buffer_limit };
        if cursor.too_long || held > most {
            log::warn!("Closing client that reached max query buffer length: id={} addr={}", session.id, session.peer);
            self.stats.totals.query_limit_disconnections += 1;
            self.close_soon(cursor.conn);
        } else if self.accounting {
            self.sessions.account(cursor.conn);
        }
    }
}
