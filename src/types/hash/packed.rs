//! A small hash with deadlines: triples in one listpack, in the order of their deadlines. Knows no entry, only the blob.
//!
//! ```text
//! [field][value][deadline, Unix milliseconds, or 0 for none] ...        the soonest first; those without behind all others
//! ```
//! The order is that of RDB's listpack with deadlines, so that such a blob is taken over as it is.

use crate::ds::blob::Blob;
use crate::ds::listpack::{self, HEADER_BYTES, Value as Elem};

/// Elements of a triple.
const STRIDE: usize = 3;

/// A field with its value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Triple<'a> {
    /// Its offset.
    pub at: usize,
    pub field: Elem<'a>,
    pub value: Elem<'a>,
    /// Offset of the deadline.
    pub deadline_at: usize,
    pub deadline: Option<i64>,
}

/// A deadline as it is stored; nothing for none.
fn deadline_of(elem: Elem<'_>) -> Option<i64> {
    elem.to_i64().filter(|at| *at != 0)
}

/// All triples.
pub(super) fn iter(pack: &[u8]) -> impl Iterator<Item = Triple<'_>> {
    let mut walk = listpack::iter(pack);
    std::iter::from_fn(move || {
        let (at, field) = walk.next()?;
        let (_, value) = walk.next()?;
        let (deadline_at, deadline) = walk.next()?;
        Some(Triple { at, field, value, deadline_at, deadline: deadline_of(deadline) })
    })
}

/// The triples that were not due by `hidden_until`.
pub(super) fn visible(pack: &[u8], hidden_until: i64) -> impl Iterator<Item = Triple<'_>> {
    iter(pack).filter(move |triple| super::is_visible(triple.deadline, hidden_until))
}

/// Number of fields.
pub(super) fn len(pack: &[u8]) -> usize {
    listpack::count(pack) / STRIDE
}

/// The triple of a field.
pub(super) fn find<'a>(pack: &'a [u8], field: &[u8]) -> Option<Triple<'a>> {
    let at = listpack::find(pack, field, HEADER_BYTES, STRIDE)?;
    let mut walk = listpack::iter_from(pack, at);
    let (_, field) = walk.next()?;
    let (_, value) = walk.next()?;
    let (deadline_at, deadline) = walk.next()?;
    Some(Triple { at, field, value, deadline_at, deadline: deadline_of(deadline) })
}

/// The soonest deadline.
pub(super) fn soonest(pack: &[u8]) -> Option<i64> {
    iter(pack).next()?.deadline
}

/// The fields that were due by `now_ms`.
fn due(pack: &[u8], now_ms: i64) -> impl Iterator<Item = Triple<'_>> {
    iter(pack).take_while(move |triple| triple.deadline.is_some_and(|at| at <= now_ms))
}

/// How many fields were due by `now_ms`.
pub(super) fn count_due(pack: &[u8], now_ms: i64) -> usize {
    due(pack, now_ms).count()
}

/// Whether a blob of triples, correct as a listpack, is a hash: whole triples in the order of their deadlines, none
/// negative, no field twice. For blobs from files.
pub fn is_valid(pack: &[u8]) -> bool {
    let count = listpack::count(pack);
    if count == 0 || count % STRIDE != 0 || iter(pack).count() * STRIDE != count {
        return false;
    }
    let mut fields = std::collections::HashSet::with_capacity(count / STRIDE);
    let (mut last, mut ordered) = (0, true);
    for triple in iter(pack) {
        let stored = listpack::at(pack, triple.deadline_at).and_then(|elem| match elem {
            Elem::Int(at) if at >= 0 => Some(at),
            _ => None,
        });
        let Some(stored) = stored else { return false };
        let at = if stored == 0 { i64::MAX } else { stored };
        ordered &= at >= last && fields.insert(triple.field.to_vec());
        last = at;
    }
    ordered
}

/// The triples of a hash that was without deadlines.
pub(super) fn from_pairs(pack: &[u8]) -> Vec<u8> {
    let mut triples = Vec::with_capacity(pack.len() + listpack::count(pack));
    triples.extend_from_slice(&listpack::EMPTY);
    let mut walk = listpack::iter(pack);
    while let (Some((_, field)), Some((_, value))) = (walk.next(), walk.next()) {
        listpack::push_back_all(&mut triples, &[field, value, Elem::Int(0)]);
    }
    triples
}

/// Sets a field; true if it is new. Its deadline stays or goes.
pub(super) fn set(blob: &mut (impl Blob + ?Sized), field: &[u8], value: &[u8], keep: bool) -> bool {
    let Some(triple) = find(blob.bytes(), field) else {
        listpack::push_back_all(blob, &[field.into(), value.into(), Elem::Int(0)]);
        return true;
    };
    if keep || triple.deadline.is_none() {
        if let Some(value_at) = listpack::next(blob.bytes(), triple.at) {
            listpack::replace(blob, value_at, value);
        }
    } else {
        let at = triple.at;
        listpack::remove_range(blob, at, STRIDE);
        listpack::push_back_all(blob, &[field.into(), value.into(), Elem::Int(0)]);
    }
    false
}

/// Where a triple with this deadline belongs, the one at `besides` left out: before the first that is due then or later.
fn place_of(pack: &[u8], deadline: Option<i64>, besides: usize) -> usize {
    let Some(wanted) = deadline else { return pack.len() };
    let later = |t: &Triple<'_>| t.at != besides && t.deadline.is_none_or(|at| at >= wanted);
    iter(pack).find(later).map_or(pack.len(), |triple| triple.at)
}

/// Sets a field with a deadline; true if it is new.
pub(super) fn set_dated(blob: &mut (impl Blob + ?Sized), field: &[u8], value: &[u8], deadline: i64) -> bool {
    let stored = Elem::Int(deadline);
    let old = find(blob.bytes(), field).map(|triple| (triple.at, triple.deadline_at));
    let mut place = place_of(blob.bytes(), Some(deadline), old.map_or(usize::MAX, |(at, _)| at));
    if let Some((at, deadline_at)) = old {
        let end = listpack::skip(blob.bytes(), deadline_at).unwrap_or(blob.bytes().len());
        if place == at || place == end {
            // The deadline first: it stands behind the value.
            listpack::replace(blob, deadline_at, stored);
            if let Some(value_at) = listpack::next(blob.bytes(), at) {
                listpack::replace(blob, value_at, value);
            }
            return false;
        }
        listpack::remove_range(blob, at, STRIDE);
        place -= if place > at { end - at } else { 0 };
    }
    listpack::insert_all(blob, place, &[field.into(), value.into(), stored]);
    old.is_none()
}

/// Sets or takes away the deadline of a field; whether there is such a field.
pub(super) fn set_deadline(blob: &mut (impl Blob + ?Sized), field: &[u8], deadline: Option<i64>) -> bool {
    let pack = blob.bytes();
    let Some(triple) = find(pack, field) else { return false };
    if triple.deadline == deadline {
        return true;
    }
    let (at, deadline_at) = (triple.at, triple.deadline_at);
    let end = listpack::skip(pack, deadline_at).unwrap_or(pack.len());
    let place = place_of(pack, deadline, at);
    let stored = Elem::Int(deadline.unwrap_or(0));
    if place == at || place == end {
        return listpack::replace(blob, deadline_at, stored);
    }
    let moved = pack[at..deadline_at].to_vec();
    listpack::remove_range(blob, at, STRIDE);
    let place = if place > at { place - (end - at) } else { place };
    let Some((field, next)) = listpack::decode(&moved, 0) else { return false };
    let Some((value, _)) = listpack::decode(&moved, next) else { return false };
    listpack::insert_all(blob, place, &[field, value, stored]);
    true
}

/// Removes fields that were due by `now_ms`, at most `most`, and names them; how many.
pub(super) fn remove_due(
    blob: &mut (impl Blob + ?Sized),
    now_ms: i64,
    most: usize,
    mut gone: impl FnMut(&[u8]),
) -> usize {
    let mut count = 0;
    for triple in due(blob.bytes(), now_ms).take(most) {
        gone(triple.field.text(&mut itoa::Buffer::new()));
        count += 1;
    }
    listpack::remove_range(blob, HEADER_BYTES, count * STRIDE);
    count
}
