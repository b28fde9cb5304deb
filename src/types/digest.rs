//! Digests of values: equal for equal data whatever the encoding, and for sets, hashes and sorted sets whatever the order.
//! For DEBUG DIGEST, which is compared between runs and servers of this kind only.
//!
//! ```text
//! string                  H(text)                       H = SHA-1 over the parts, each behind its length
//! list                    H(... H(H(0, a), b) ..., z)   in order
//! stream                  in order: entries, what it remembers, groups with what is pending (times left out)
//! array                   H(... H(H(0, i, a), j, b) ...)   in order, with the indexes
//! stream                  in order: entries, what it remembers, groups with what is pending (times left out)
//! set, hash, sorted set   H(a) xor H(b) xor ...         a pair, with its deadline if it has one, counts as one element
//! vector set              the same, of name, attributes, stored vector and its length; links do not count
//! ```

use super::value::{Elem, EntryRef, Kind, Type, Value};
use super::{
    Array, ConsumerNumber, Hash, List, Scratch, Set, Str, Stream, StreamData, StreamId, VectorSet, ZSet,
    member_deadline,
};
use sha1::{Digest as _, Sha1};

/// 160 bits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
pub struct Digest(pub [u8; 20]);

impl Digest {
    /// The digest of some byte strings in this order.
    pub fn of(parts: &[&[u8]]) -> Digest {
        let mut hash = Sha1::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Digest(hash.finalize().into())
    }

    /// Adds another digest; the order of such additions does not matter.
    pub fn mix(&mut self, other: Digest) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine ^= theirs);
    }

    /// 40 hexadecimal digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The digest of a value and of whether it expires; not of its key.
pub fn digest(entry: EntryRef<'_>) -> Digest {
    let mut digest = Digest::default();
    match Kind::of(entry.kind()).type_of() {
        Type::String => digest = Digest::of(&[Str::view(entry).bytes(&mut Scratch::default())]),
        Type::List => List::view(entry).range(0, usize::MAX, |elem| {
            digest = with_text(elem, |text| Digest::of(&[&digest.0, text]));
        }),
        Type::Set => Set::view(entry).for_each_dated(|elem, deadline| {
            digest.mix(with_text(elem, |text| match deadline {
                None => Digest::of(&[text]),
                Some(at) => Digest::of(&[text, b"", &at.to_le_bytes()]),
            }));
        }),
        Type::Hash => Hash::view(entry).for_each_dated(|field, value, deadline| {
            let (mut field_text, mut value_text) = (itoa::Buffer::new(), itoa::Buffer::new());
            let (field, value) = (field.text(&mut field_text), value.text(&mut value_text));
            digest.mix(match deadline {
                None => Digest::of(&[field, value]),
                Some(at) => Digest::of(&[field, value, &at.to_le_bytes()]),
            });
        }),
        Type::ZSet => ZSet::view(entry).range(0, usize::MAX, |member, score| {
            // Both zeros are one score.
            let score = if score == 0.0 { 0.0f64 } else { score };
            digest.mix(with_text(member, |member| match member_deadline(entry, member).flatten() {
                None => Digest::of(&[member, &score.to_le_bytes()]),
                Some(at) => Digest::of(&[member, &score.to_le_bytes(), &at.to_le_bytes()]),
            }));
        }),
        Type::Stream => digest = stream(Stream::view(entry)),
        Type::Array => Array::view(entry).walk(0, u64::MAX, false, |index, elem| {
            digest = with_text(elem, |text| Digest::of(&[&digest.0, &index.to_le_bytes(), text]));
            true
        }),
        Type::VectorSet => VectorSet::view(entry).iter().for_each(|(node, attributes)| {
            let (norm, range) = (node.norm().to_le_bytes(), node.range().to_le_bytes());
            digest.mix(Digest::of(&[node.name(), attributes.unwrap_or_default(), &node.bytes(), &norm, &range]));
        }),
    }
    let expires = u8::from(entry.deadline().is_some());
    Digest::of(&[Kind::of(entry.kind()).type_of().name().as_bytes(), &digest.0, &[expires]])
}

/// Times are left out: they differ between a server and its copy.
fn stream(data: &StreamData) -> Digest {
    let log = data.log();
    let mut digest = Digest::default();
    for entry in log.range(StreamId::MIN, StreamId::MAX) {
        digest = Digest::of(&[&digest.0, &entry.id.to_be_bytes()]);
        for word in entry.words() {
            digest = with_text(word, |text| Digest::of(&[&digest.0, text]));
        }
    }
    let (last, deleted) = (log.last_id().to_be_bytes(), log.max_deleted_id().to_be_bytes());
    digest = Digest::of(&[&digest.0, &last, &deleted, &log.entries_added().to_be_bytes()]);
    for (name, group) in data.groups() {
        let read = group.entries_read.unwrap_or(-1).to_be_bytes();
        digest = Digest::of(&[&digest.0, name, &group.last_id.to_be_bytes(), &read]);
        for (_, consumer) in group.consumers() {
            digest = Digest::of(&[&digest.0, consumer.name()]);
            for id in consumer.pending_from(StreamId::MIN) {
                let deliveries = group.pending(id).map_or(0, |pending| pending.deliveries).to_be_bytes();
                digest = Digest::of(&[&digest.0, &id.to_be_bytes(), &deliveries]);
            }
        }
        if group.nacked() > 0 {
            for (id, pending) in group.pending_from(StreamId::MIN) {
                if pending.consumer == ConsumerNumber::NOBODY {
                    digest = Digest::of(&[&digest.0, &id.to_be_bytes(), &pending.deliveries.to_be_bytes()]);
                }
            }
        }
    }
    digest
}

fn with_text<R>(elem: Elem<'_>, f: impl FnOnce(&[u8]) -> R) -> R {
    match elem {
        Elem::Int(n) => f(itoa::Buffer::new().format(n).as_bytes()),
        Elem::Str(bytes) => f(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_apart_and_their_sum_is_not_ordered() {
        assert_ne!(Digest::of(&[b"ab", b"c"]), Digest::of(&[b"a", b"bc"]));
        let (a, b) = (Digest::of(&[b"a"]), Digest::of(&[b"b"]));
        let (mut one, mut other) = (a, b);
        one.mix(b);
        other.mix(a);
        assert_eq!(one, other);
        assert_eq!(Digest::default().hex(), "0".repeat(40));
    }
}
