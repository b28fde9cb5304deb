//! One node of a stream: entries with neighbouring ids in one listpack, as files have it. Its first entry's id, under which
//! the node is found, is the master id; the fields of its first entry are the master fields. Knows no other node.
//!
//! ```text
//! node   [live entries] [deleted entries] [fields] [field] ... [0]   [entry] [entry] ...
//! entry  [flags] [ms - master ms] [seq - master seq] [value] ...                          [elements of the entry]
//!        [flags] [ms - master ms] [seq - master seq] [fields] [field] [value] ...         [elements of the entry]
//! flags  1: deleted   2: its fields are the master fields, only values follow
//! ```
//!
//! Each bracket is one element of the listpack. The last element of an entry, for walking back, counts those before it.
//! Nodes that break this never make a function here panic: walks end early.

use super::id::StreamId;
use crate::ds::blob::Corrupt;
use crate::ds::listpack::{self, ELEMENT_OVERHEAD_BYTES, Encoded, HEADER_BYTES, Pen, Value};

const DELETED: i64 = 1;
const SAME_FIELDS: i64 = 2;
/// Flags and the two parts of the id.
const FIXED: usize = 3;
/// Entries of so many bytes are written at once into room made for them; it is cleared first, which costs longer ones more.
const SHORT_BYTES: usize = 256;

/// What stands before a node's entries.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// Entries that are not deleted.
    pub live: u64,
    /// Entries that are.
    pub deleted: u64,
    /// Number of master fields.
    fields: usize,
    /// Offset of the first of them.
    fields_at: usize,
}

#[inline]
fn int_at(pack: &[u8], at: usize) -> Option<(i64, usize)> {
    match listpack::decode(pack, at)? {
        (Value::Int(n), next) => Some((n, next)),
        (Value::Str(_), _) => None,
    }
}

#[inline]
fn count_at(pack: &[u8], at: usize) -> Option<(usize, usize)> {
    let (n, next) = int_at(pack, at)?;
    Some((usize::try_from(n).ok()?, next))
}

#[inline]
fn skip_n(pack: &[u8], at: usize, n: usize) -> Option<usize> {
    let mut at = at;
    for _ in 0..n {
        at = listpack::skip(pack, at)?;
    }
    Some(at)
}

impl Head {
    /// Reads a node's head.
    #[inline]
    pub fn read(pack: &[u8]) -> Option<Head> {
        let (live, at) = int_at(pack, HEADER_BYTES)?;
        let (deleted, at) = int_at(pack, at)?;
        let (fields, fields_at) = count_at(pack, at)?;
        Some(Head { live: u64::try_from(live).ok()?, deleted: u64::try_from(deleted).ok()?, fields, fields_at })
    }

    /// Offset of the first entry.
    #[inline]
    pub fn entries_at(&self, pack: &[u8]) -> Option<usize> {
        // The master fields and their terminator.
        skip_n(pack, self.fields_at, self.fields.checked_add(1)?)
    }

    /// Whether these are the master fields.
    #[inline]
    fn matches<'w>(&self, pack: &[u8], pairs: usize, word: &impl Fn(usize) -> &'w [u8]) -> bool {
        let behind = |at, pair: usize| listpack::text_at(pack, at, word(2 * pair));
        self.fields == pairs && (0..pairs).try_fold(self.fields_at, behind).is_some()
    }
}

/// Says anew how many entries are live and deleted.
pub fn set_counts(pack: &mut Vec<u8>, live: u64, deleted: u64) {
    listpack::replace(pack, HEADER_BYTES, live as i64);
    if let Some(at) = listpack::skip(pack, HEADER_BYTES) {
        listpack::replace(pack, at, deleted as i64);
    }
}

/// Makes an empty vector a node without entries, with the fields among `pairs` fields and values as master fields.
pub fn begin<'w>(pack: &mut Vec<u8>, pairs: usize, word: &impl Fn(usize) -> &'w [u8]) -> Head {
    let bytes: usize = (0..pairs).map(|pair| word(2 * pair).len() + ELEMENT_OVERHEAD_BYTES).sum();
    pack.reserve(HEADER_BYTES + bytes + 4 * ELEMENT_OVERHEAD_BYTES);
    pack.extend_from_slice(&listpack::EMPTY);
    listpack::append_int(pack, 0);
    listpack::append_int(pack, 0);
    listpack::append_int(pack, pairs as i64);
    for pair in 0..pairs {
        Encoded::new(word(2 * pair)).append_to(pack);
    }
    listpack::append_int(pack, 0);
    listpack::count_appended(pack, 4 + pairs);
    Head::read(pack).expect("the head was just written")
}

/// Adds an entry behind all others of a node with this head, which it keeps true; `bytes`: those of all its words.
#[inline]
pub fn push<'w>(
    pack: &mut Vec<u8>,
    head: &mut Head,
    id: (StreamId, StreamId),
    pairs: usize,
    bytes: usize,
    word: &impl Fn(usize) -> &'w [u8],
) {
    let same = head.matches(pack, pairs, word);
    let elements = if same { FIXED + pairs } else { FIXED + 1 + 2 * pairs };
    let room = bytes + (elements + 1) * ELEMENT_OVERHEAD_BYTES;
    if room <= SHORT_BYTES {
        let end = pack.len();
        pack.resize(end + room, 0);
        let mut pen = Pen::new(&mut pack[end..]);
        write_short(&mut pen, same, id, pairs, word);
        pen.int(elements as i64);
        let len = pen.len();
        pack.truncate(end + len);
    } else {
        // The shortcut of `append_to` for short elements wants a little room left.
        pack.reserve(room + 128);
        append_long(pack, same, id, pairs, word);
        listpack::append_int(pack, elements as i64);
    }
    listpack::count_appended(pack, elements + 1);
    head.live += 1;
    let (live, old_len) = (head.live, pack.len());
    if !u8::try_from(live).is_ok_and(|live| listpack::replace_small(pack, HEADER_BYTES, live)) {
        // Last, for it may move all bytes when the count gets wider.
        listpack::replace(pack, HEADER_BYTES, live as i64);
        head.fields_at = head.fields_at + pack.len() - old_len;
    }
}

#[inline]
fn write_short<'w>(
    pen: &mut Pen<'_>,
    same: bool,
    (master, id): (StreamId, StreamId),
    pairs: usize,
    word: &impl Fn(usize) -> &'w [u8],
) {
    pen.int(if same { SAME_FIELDS } else { 0 });
    pen.int(id.ms().wrapping_sub(master.ms()) as i64);
    pen.int(id.seq().wrapping_sub(master.seq()) as i64);
    if same {
        (0..pairs).for_each(|pair| pen.text(word(2 * pair + 1)));
    } else {
        pen.int(pairs as i64);
        (0..2 * pairs).for_each(|index| pen.text(word(index)));
    }
}

#[inline(never)]
fn append_long<'w>(
    pack: &mut Vec<u8>,
    same: bool,
    (master, id): (StreamId, StreamId),
    pairs: usize,
    word: &impl Fn(usize) -> &'w [u8],
) {
    listpack::append_int(pack, if same { SAME_FIELDS } else { 0 });
    listpack::append_int(pack, id.ms().wrapping_sub(master.ms()) as i64);
    listpack::append_int(pack, id.seq().wrapping_sub(master.seq()) as i64);
    if same {
        (0..pairs).for_each(|pair| Encoded::new(word(2 * pair + 1)).append_to(pack));
    } else {
        listpack::append_int(pack, pairs as i64);
        (0..2 * pairs).for_each(|index| Encoded::new(word(index)).append_to(pack));
    }
}

/// An entry in its node.
#[derive(Clone, Copy, Debug)]
pub struct StreamEntry<'a> {
    /// Its id.
    pub id: StreamId,
    /// Number of its fields.
    pub fields: usize,
    /// Whether it is deleted: walks leave such out.
    pub(super) deleted: bool,
    pack: &'a [u8],
    /// Offset of its first flag.
    pub(super) at: usize,
    /// Offset of the master fields if it has these.
    names_at: Option<usize>,
    /// Offset of its first value, or field and value.
    body_at: usize,
}

impl<'a> StreamEntry<'a> {
    /// The entry at `at` and the offset behind it.
    #[inline]
    pub(super) fn read(pack: &'a [u8], master: StreamId, head: &Head, at: usize) -> Option<(StreamEntry<'a>, usize)> {
        let (flags, next) = int_at(pack, at)?;
        let (ms, next) = int_at(pack, next)?;
        let (seq, next) = int_at(pack, next)?;
        let id = StreamId::new(master.ms().wrapping_add(ms as u64), master.seq().wrapping_add(seq as u64));
        let (fields, body_at, names_at, elements) = if flags & SAME_FIELDS != 0 {
            (head.fields, next, Some(head.fields_at), head.fields)
        } else {
            let (fields, body_at) = count_at(pack, next)?;
            (fields, body_at, None, fields.checked_mul(2)?)
        };
        let end = skip_n(pack, body_at, elements.checked_add(1)?)?;
        Some((StreamEntry { id, fields, deleted: flags & DELETED != 0, pack, at, names_at, body_at }, end))
    }

    /// Its fields and values, alternately.
    #[inline]
    pub fn words(&self) -> Words<'a> {
        Words { pack: self.pack, names_at: self.names_at, body_at: self.body_at, left: 2 * self.fields }
    }
}

/// Fields and values of an entry, alternately.
#[derive(Clone, Debug)]
pub struct Words<'a> {
    pack: &'a [u8],
    names_at: Option<usize>,
    body_at: usize,
    left: usize,
}

impl<'a> Iterator for Words<'a> {
    type Item = Value<'a>;

    #[inline]
    fn next(&mut self) -> Option<Value<'a>> {
        if self.left == 0 {
            return None;
        }
        let at = match &mut self.names_at {
            Some(names_at) if self.left % 2 == 0 => names_at,
            _ => &mut self.body_at,
        };
        let (value, next) = listpack::decode(self.pack, *at)?;
        *at = next;
        self.left -= 1;
        Some(value)
    }
}

/// Marks the entry at `at` as deleted; the counts are the caller's matter.
pub fn mark_deleted(pack: &mut Vec<u8>, at: usize) {
    if let Some((flags, _)) = int_at(pack, at) {
        // Flags are a small number: nothing moves.
        listpack::replace(pack, at, flags | DELETED);
    }
}

/// Offset of the entry that ends at `end`; nothing at the first one's begin.
#[inline]
pub fn step_back(pack: &[u8], end: usize, entries_at: usize) -> Option<usize> {
    if end <= entries_at {
        return None;
    }
    let mut at = listpack::prev(pack, end)?;
    let (elements, _) = count_at(pack, at)?;
    for _ in 0..elements {
        at = listpack::prev(pack, at)?;
    }
    (at >= entries_at && elements >= FIXED).then_some(at)
}

/// The id of the last entry, deleted or not.
pub fn last_id(pack: &[u8], master: StreamId) -> Option<StreamId> {
    let head = Head::read(pack)?;
    let at = step_back(pack, pack.len(), head.entries_at(pack)?)?;
    StreamEntry::read(pack, master, &head, at).map(|(entry, _)| entry.id)
}

/// What a node that came from outside holds, once it is known to be whole.
#[derive(Clone, Copy, Debug)]
pub struct Survey {
    /// Entries that are not deleted.
    pub live: u64,
    /// The last entry's id.
    pub last_id: StreamId,
}

/// Checks a node from outside (its listpack was checked before): every entry, every count, the order of ids.
///
/// # Errors
/// What contradicts itself, and where.
pub fn survey(pack: &[u8], master: StreamId) -> Result<Survey, Corrupt> {
    let corrupt = |offset, what| Corrupt { offset, what };
    let head = Head::read(pack).ok_or_else(|| corrupt(0, "stream node without a head"))?;
    let mut at = head.entries_at(pack).ok_or_else(|| corrupt(head.fields_at, "stream node with cut off fields"))?;
    let terminator = listpack::prev(pack, at).and_then(|before| int_at(pack, before));
    if head.fields == 0 || terminator.is_none_or(|(zero, _)| zero != 0) {
        return Err(corrupt(head.fields_at, "stream node with a broken list of fields"));
    }
    let (mut live, mut deleted, mut last) = (0, 0, None);
    while at < pack.len() {
        let read = StreamEntry::read(pack, master, &head, at);
        let (entry, next) = read.ok_or_else(|| corrupt(at, "stream entry unknown or cut off"))?;
        if step_back(pack, next, 0) != Some(at) {
            return Err(corrupt(at, "stream entry with a wrong number of elements"));
        }
        if entry.fields == 0 || entry.id < master || last.is_some_and(|last| entry.id <= last) {
            return Err(corrupt(at, "stream entry without fields or out of order"));
        }
        if entry.deleted {
            deleted += 1;
        } else {
            live += 1;
        }
        last = Some(entry.id);
        at = next;
    }
    match last {
        Some(last_id) if live == head.live && deleted == head.deleted && live > 0 => Ok(Survey { live, last_id }),
        _ => Err(corrupt(HEADER_BYTES, "stream node with a wrong count of entries")),
    }
}
