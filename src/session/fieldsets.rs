//! The named lists of field names that a client has prepared for HIMPORT SET. Knows no hash.
//!
//! Invariant: no name twice, and within a list no field twice.

/// The lists of one client.
#[derive(Debug, Default)]
pub struct Fieldsets {
    /// Few: looked through one after the other.
    lists: Vec<Fieldset>,
    /// Heap bytes of names and fields.
    bytes: usize,
}

#[derive(Debug)]
struct Fieldset {
    name: Box<[u8]>,
    fields: Box<[Box<[u8]>]>,
}

/// A field stands in the list twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DuplicateField;

impl Fieldset {
    fn bytes(&self) -> usize {
        self.name.len() + self.fields.iter().map(|field| size_of::<Box<[u8]>>() + field.len()).sum::<usize>()
    }
}

impl Fieldsets {
    /// The fields of a list.
    pub fn get(&self, name: &[u8]) -> Option<&[Box<[u8]>]> {
        self.lists.iter().find(|list| *list.name == *name).map(|list| &*list.fields)
    }

    /// Keeps a list, in place of another one of this name.
    ///
    /// # Errors
    /// A field stands in it twice: all stays as it was.
    pub fn prepare<'a>(
        &mut self,
        name: &[u8],
        fields: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Result<(), DuplicateField> {
        let mut sorted: Vec<&[u8]> = fields.clone().collect();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(DuplicateField);
        }
        self.discard(name);
        let list = Fieldset { name: name.into(), fields: fields.map(Box::from).collect() };
        self.bytes += list.bytes();
        self.lists.push(list);
        Ok(())
    }

    /// Forgets a list; whether there was one.
    pub fn discard(&mut self, name: &[u8]) -> bool {
        let Some(at) = self.lists.iter().position(|list| *list.name == *name) else { return false };
        self.bytes -= self.lists.swap_remove(at).bytes();
        true
    }

    /// Forgets all lists; how many there were.
    pub fn discard_all(&mut self) -> usize {
        let count = self.lists.len();
        *self = Fieldsets::default();
        count
    }

    /// Heap bytes.
    pub fn alloc_bytes(&self) -> usize {
        self.bytes + self.lists.capacity() * size_of::<Fieldset>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prepare(sets: &mut Fieldsets, name: &str, fields: &[&str]) -> Result<(), DuplicateField> {
        sets.prepare(name.as_bytes(), fields.iter().map(|field| field.as_bytes()))
    }

    #[test]
    fn lists_are_replaced_and_forgotten_and_their_bytes_counted() {
        let mut sets = Fieldsets::default();
        assert_eq!(prepare(&mut sets, "a", &["x", "y", ""]), Ok(()));
        assert_eq!(prepare(&mut sets, "", &["z"]), Ok(()));
        assert_eq!(prepare(&mut sets, "a", &["y", "x", "y"]), Err(DuplicateField));
        assert_eq!(sets.get(b"a").map(<[_]>::len), Some(3));
        let before = sets.bytes;
        assert_eq!(prepare(&mut sets, "a", &["longer"]), Ok(()));
        assert!(sets.bytes < before);
        assert_eq!(sets.get(b"a").map(|fields| fields[0].to_vec()), Some(b"longer".to_vec()));
        assert!(sets.discard(b"a") && !sets.discard(b"a") && sets.get(b"a").is_none());
        assert_eq!(sets.discard_all(), 1);
        assert_eq!((sets.bytes, sets.discard_all()), (0, 0));
    }
}
