//! Strings: an integer in as few bytes as hold it, bytes inside the entry, or, from 32 KiB on, an allocation that is shared
//! with the request it came in and with replies on their way out. Knows no key.

use super::value::{Big, Entry, EntryMut, EntryRef, Kind, Limits, Type, Value};
use crate::base::number;
use bytes::{Bytes, BytesMut};

/// From this length on a string is an allocation of its own.
pub const BIG_STRING_BYTES: usize = 32 * 1024;
/// Longest string shown as `embstr`.
const EMBSTR_BYTES: usize = 44;
/// Longest text of a 64-bit integer.
const MAX_INT_TEXT: usize = 20;

/// The marker of strings.
pub struct Str;

/// The string would be longer than `proto-max-bulk-len`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// A value in the form in which it will be kept.
#[derive(Debug)]
pub enum Encoded<'a> {
    /// An integer.
    Int(i64),
    /// Bytes in the entry.
    Inline(&'a [u8]),
    /// An allocation of its own.
    Big(Bytes),
}

impl<'a> Encoded<'a> {
    /// How `bytes` are best kept. `shared`: the allocation they arrived in, if they have one.
    #[inline]
    pub fn of(bytes: &'a [u8], shared: Option<&Bytes>) -> Encoded<'a> {
        if bytes.len() <= MAX_INT_TEXT {
            if let Some(n) = number::parse_i64(bytes) {
                return Encoded::Int(n);
            }
            return Encoded::Inline(bytes);
        }
        if bytes.len() < BIG_STRING_BYTES {
            return Encoded::Inline(bytes);
        }
        Encoded::Big(shared.cloned().unwrap_or_else(|| Bytes::copy_from_slice(bytes)))
    }

    /// Puts it into an entry in place of what is there, or makes one.
    #[inline]
    pub fn store(self, key: &[u8], old: Option<&mut Entry>, access: u32) -> Option<Entry> {
        let int;
        let (kind, value): (Kind, &[u8]) = match self {
            Encoded::Int(n) => {
                int = n.to_le_bytes();
                (Kind::Int, &int[..int_len(n)])
            }
            Encoded::Inline(bytes) => (Kind::Str, bytes),
            Encoded::Big(bytes) => {
                return Some(Entry::new_big(key, Kind::BigStr as u8, Box::new(Big::Str(bytes)), access, None));
            }
        };
        match old {
            // A large collection is not freed here: the caller frees what is swapped out.
            Some(entry) if entry.big().is_none() => {
                entry.set_value(kind as u8, value);
                None
            }
            _ => Some(Entry::new(key, kind as u8, value, access, None)),
        }
    }
}

/// Bytes that hold `n` in two's complement: 1, 2, 4 or 8.
#[inline]
fn int_len(n: i64) -> usize {
    // Any number of bytes would do; 1 to 8 fit every class of the allocator.
    let significant = 65 - (n ^ (n >> 63)).leading_zeros() as usize;
    significant.div_ceil(8).max(1)
}

#[inline]
fn int_of(bytes: &[u8]) -> i64 {
    let mut wide = [0u8; 8];
    wide[..bytes.len()].copy_from_slice(bytes);
    let shift = 64 - 8 * bytes.len() as u32;
    (i64::from_le_bytes(wide) << shift) >> shift
}

/// A string to read.
#[derive(Clone, Copy, Debug)]
pub enum StrRef<'a> {
    /// An integer.
    Int(i64),
    /// Bytes.
    Bytes(&'a [u8]),
    /// Bytes that can be shared.
    Shared(&'a Bytes),
}

/// Room for an integer's text.
#[derive(Default)]
pub struct Scratch(itoa::Buffer);

impl<'a> StrRef<'a> {
    /// The bytes; an integer's text is made in `scratch`.
    #[inline]
    pub fn bytes<'s>(&self, scratch: &'s mut Scratch) -> &'s [u8]
    where
        'a: 's,
    {
        match *self {
            StrRef::Int(n) => scratch.0.format(n).as_bytes(),
            StrRef::Bytes(bytes) => bytes,
            StrRef::Shared(bytes) => bytes,
        }
    }

    /// Length in bytes of the text.
    pub fn len(&self) -> usize {
        self.bytes(&mut Scratch::default()).len()
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The integer that the text is.
    #[inline]
    pub fn int(&self) -> Option<i64> {
        match *self {
            StrRef::Int(n) => Some(n),
            StrRef::Bytes(bytes) => number::parse_i64(bytes),
            StrRef::Shared(_) => None,
        }
    }
}

/// The name that OBJECT ENCODING shows.
pub fn encoding(entry: EntryRef<'_>) -> &'static str {
    match Kind::of(entry.kind()) {
        Kind::Int => "int",
        Kind::Str if entry.value().len() <= EMBSTR_BYTES => "embstr",
        _ => "raw",
    }
}

/// A string to change.
pub struct StrMut<'a> {
    entry: EntryMut<'a>,
    bulk_len: u64,
}

impl StrMut<'_> {
    /// The value as it is.
    #[inline]
    pub fn view(&self) -> StrRef<'_> {
        view(Kind::of(self.entry.kind()), self.entry.value(), self.entry.big())
    }

    /// Replaces the whole value.
    pub fn set(&mut self, bytes: &[u8]) {
        match Encoded::of(bytes, None) {
            Encoded::Int(n) => self.set_int(n),
            Encoded::Inline(bytes) => self.entry.set_value(Kind::Str as u8, bytes),
            Encoded::Big(bytes) => self.entry.set_big(Kind::BigStr as u8, Box::new(Big::Str(bytes))),
        }
    }

    /// Replaces the whole value by an integer.
    #[inline]
    pub fn set_int(&mut self, n: i64) {
        self.entry.set_value(Kind::Int as u8, &n.to_le_bytes()[..int_len(n)]);
    }

    /// Adds bytes at the end; the new length.
    ///
    /// # Errors
    /// `TooLong`, and nothing is changed.
    pub fn append(&mut self, tail: &[u8]) -> Result<usize, TooLong> {
        let len = self.view().len();
        self.write(len, tail)
    }

    /// Overwrites from `offset` on, with zero bytes before it if the string is shorter; the new length.
    ///
    /// # Errors
    /// `TooLong`, and nothing is changed.
    pub fn write(&mut self, offset: usize, bytes: &[u8]) -> Result<usize, TooLong> {
        let end = offset.checked_add(bytes.len()).filter(|end| *end as u64 <= self.bulk_len).ok_or(TooLong)?;
        Ok(self.change(end, |all| {
            all[offset..end].copy_from_slice(bytes);
            all.len()
        }))
    }

    /// Changes bytes in place, after zero bytes were added up to a length that the caller has checked.
    pub fn change<R>(&mut self, min_len: usize, change: impl FnOnce(&mut [u8]) -> R) -> R {
        self.unpack_int();
        let len = self.view().len();
        // A long string stays one, wherever it is written.
        if min_len >= BIG_STRING_BYTES || self.entry.big().is_some() {
            return self.change_big(len.max(min_len), change);
        }
        if min_len > len {
            self.entry.grow_value(min_len - len);
        }
        self.entry.set_kind(Kind::StrRaw as u8);
        change(self.entry.value_mut())
    }

    fn change_big<R>(&mut self, new_len: usize, change: impl FnOnce(&mut [u8]) -> R) -> R {
        if self.entry.big().is_none() {
            let all = extended(self.entry.value(), new_len);
            self.entry.set_big(Kind::BigStr as u8, Box::new(Big::Str(all.freeze())));
        }
        let Some(Big::Str(big)) = self.entry.big_mut() else { unreachable!("it was just made a long string") };
        // Nobody else holds it as a rule; a reply that is still being sent keeps the old bytes.
        let mut own = std::mem::take(big).try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        if new_len / 2 > own.len() {
            own = extended(&own, new_len);
        } else if new_len > own.len() {
            own.resize(new_len, 0);
        }
        let result = change(&mut own);
        *big = own.freeze();
        result
    }

    /// Replaces the `remove_len` bytes at `at` by `insert`.
    ///
    /// # Panics
    /// If the range goes beyond the end.
    pub fn splice(&mut self, at: usize, remove_len: usize, insert: &[u8]) {
        self.unpack_int();
        let new_len = self.view().len() - remove_len + insert.len();
        if self.entry.big().is_none() && new_len < BIG_STRING_BYTES {
            self.entry.set_kind(Kind::StrRaw as u8);
            return self.entry.splice(at, remove_len, insert);
        }
        let mut all = Vec::with_capacity(new_len);
        let old = self.view();
        let mut scratch = Scratch::default();
        let old = old.bytes(&mut scratch);
        all.extend_from_slice(&old[..at]);
        all.extend_from_slice(insert);
        all.extend_from_slice(&old[at + remove_len..]);
        self.set_raw(&all);
    }

    /// Replaces the whole value by bytes that are not looked at: no integer comes of them.
    pub fn set_raw(&mut self, bytes: &[u8]) {
        if bytes.len() < BIG_STRING_BYTES {
            self.entry.set_value(Kind::StrRaw as u8, bytes);
        } else {
            let bytes = Bytes::copy_from_slice(bytes);
            self.entry.set_big(Kind::BigStr as u8, Box::new(Big::Str(bytes)));
        }
    }

    /// An integer becomes its text.
    fn unpack_int(&mut self) {
        if let StrRef::Int(n) = self.view() {
            let mut text = itoa::Buffer::new();
            self.entry.set_value(Kind::StrRaw as u8, text.format(n).as_bytes());
        }
    }
}

/// A copy with zero bytes behind it. Fresh pages are zero already: a bit far out touches only those that it needs.
fn extended(bytes: &[u8], new_len: usize) -> BytesMut {
    let mut all = BytesMut::zeroed(new_len);
    all[..bytes.len()].copy_from_slice(bytes);
    all
}

#[inline]
fn view<'a>(kind: Kind, value: &'a [u8], big: Option<&'a Big>) -> StrRef<'a> {
    match (kind, big) {
        (_, Some(Big::Str(bytes))) => StrRef::Shared(bytes),
        (Kind::Int, _) => StrRef::Int(int_of(value)),
        _ => StrRef::Bytes(value),
    }
}

impl Value for Str {
    const TYPE: Type = Type::String;
    type Ref<'a> = StrRef<'a>;
    type Mut<'a> = StrMut<'a>;

    #[inline]
    fn view(entry: EntryRef<'_>) -> StrRef<'_> {
        match Kind::of(entry.kind()) {
            Kind::Int => StrRef::Int(int_of(entry.value())),
            Kind::BigStr => view(Kind::BigStr, &[], entry.big()),
            _ => StrRef::Bytes(entry.value()),
        }
    }

    #[inline]
    fn edit<'a>(entry: EntryMut<'a>, limits: &Limits) -> StrMut<'a> {
        StrMut { entry, bulk_len: limits.bulk_len }
    }

    fn create(key: &[u8], _limits: &Limits, lru: u32) -> Entry {
        Entry::new(key, Kind::Str as u8, b"", lru, None)
    }

    fn is_empty(_entry: EntryRef<'_>) -> bool {
        false
    }
}

impl Str {
    /// A finished string of bytes that are not looked at: no integer comes of them.
    pub fn raw(key: &[u8], bytes: Vec<u8>) -> Entry {
        if bytes.len() < BIG_STRING_BYTES {
            return Entry::new(key, Kind::StrRaw as u8, &bytes, 0, None);
        }
        Entry::new_big(key, Kind::BigStr as u8, Box::new(Big::Str(Bytes::from(bytes))), 0, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use crate::types::testing::{Held, element, limits, steps};

    fn agree(held: &Held<Str>, model: &[u8]) {
        let mut scratch = Scratch::default();
        assert!(held.view().bytes(&mut scratch) == model, "{} bytes, {} expected", held.view().len(), model.len());
        assert_eq!(held.view().len(), model.len());
        assert_eq!(held.view().int(), number::parse_i64(model));
        held.check_copy();
    }

    fn change(held: &mut Held<Str>, model: &mut Vec<u8>, rng: &mut Rng) {
        let most = held.limits.bulk_len as usize;
        let mut bytes = element(rng, 1_000_000);
        if rng.below(20) == 0 {
            bytes.resize(BIG_STRING_BYTES - 3 + rng.below(6) as usize, b'x');
        }
        match rng.below(10) {
            0..=1 => {
                held.edit(|string| string.set(&bytes));
                *model = bytes;
            }
            8 => {
                let at = rng.below(model.len() as u64 + 1) as usize;
                let remove_len = rng.below((model.len() - at) as u64 + 1) as usize;
                held.edit(|string| string.splice(at, remove_len, &bytes));
                model.splice(at..at + remove_len, bytes);
            }
            9 if rng.below(2) == 0 => {
                held.edit(|string| string.set_raw(&bytes));
                *model = bytes;
            }
            9 => {
                let min_len = rng.below(model.len() as u64 * 5 / 2 + 9).min(most as u64) as usize;
                model.resize(min_len.max(model.len()), 0);
                model.reverse();
                held.edit(|string| string.change(min_len, |all| all.reverse()));
            }
            2 => {
                let n = rng.next_u64() as i64 >> rng.below(64);
                held.edit(|string| string.set_int(n));
                *model = n.to_string().into_bytes();
            }
            3..=5 => {
                let len = model.len() + bytes.len();
                let result = held.edit(|string| string.append(&bytes));
                assert_eq!(result, if len <= most { Ok(len) } else { Err(TooLong) });
                result.into_iter().for_each(|_| model.extend_from_slice(&bytes));
            }
            _ => {
                let offset = rng.below(2 * model.len() as u64 + 9) as usize;
                let end = offset + bytes.len();
                let result = held.edit(|string| string.write(offset, &bytes));
                assert_eq!(result, if end <= most { Ok(end.max(model.len())) } else { Err(TooLong) });
                if end <= most {
                    model.resize(end.max(model.len()), 0);
                    model[offset..end].copy_from_slice(&bytes);
                }
            }
        }
    }

    #[test]
    fn behaves_as_naive_bytes() {
        for seed in 0..10 {
            println!("seed {seed}");
            let (mut rng, mut model) = (Rng::seeded(seed), Vec::new());
            let mut held = Held::<Str>::new(Limits { bulk_len: 80_000, ..limits(seed) });
            for _ in 0..steps(10_000) {
                change(&mut held, &mut model, &mut rng);
                agree(&held, &model);
            }
        }
    }

    #[test]
    fn bytes_on_their_way_out_are_not_overwritten() {
        let mut held = Held::<Str>::new(limits(0));
        held.edit(|string| string.set(&[b'a'; BIG_STRING_BYTES]));
        let StrRef::Shared(reply) = held.view() else { panic!("a long string can be shared") };
        let reply = reply.clone();
        held.edit(|string| string.write(0, b"b")).expect("it is short enough");
        assert!(reply.iter().all(|byte| *byte == b'a'));
        assert!(held.view().bytes(&mut Scratch::default()).starts_with(b"ba"));
    }

    #[test]
    fn integers_take_as_few_bytes_as_hold_them() {
        for n in [0, 1, -1, 127, 128, -128, -129, 32767, 32768, 1 << 23, -(1 << 23) - 1, i64::MAX, i64::MIN] {
            let len = int_len(n);
            assert_eq!(int_of(&n.to_le_bytes()[..len]), n, "{n} in {len} bytes");
            assert!(len == 1 || int_of(&n.to_le_bytes()[..len - 1]) != n, "{n} needs fewer than {len}");
        }
    }

    #[test]
    fn text_of_an_integer_is_kept_as_one_and_other_text_is_not() {
        assert!(matches!(Encoded::of(b"12", None), Encoded::Int(12)));
        assert!(matches!(Encoded::of(b"012", None), Encoded::Inline(b"012")));
        assert!(matches!(Encoded::of(&[b'x'; BIG_STRING_BYTES], None), Encoded::Big(_)));
    }
}
