//! Reading a quicklist in order, either way, without changing it: a compressed node is decompressed into the walk's own
//! memory and stays as it is.

use super::chain::{Chain, Pos};
use super::node::{Node, Page, walk_offset};
use crate::ds::listpack::{self, Value, canonical_i64};
use std::borrow::Cow;

/// A walk over neighbouring elements. It lends each value until the next is asked for, so it is no `Iterator`:
/// `while let Some(value) = walk.next_value() { ... }`.
pub struct Walk<'a> {
    chain: &'a Chain,
    pos: Option<Pos>,
    page: Page<'a>,
    /// Elements of the page still to come, and the offset of the next: its begin, or walking backward its end.
    page_left: usize,
    at: usize,
    left: usize,
    index: usize,
    backward: bool,
}

impl<'a> Walk<'a> {
    /// Starts at `index` and gives up to `limit` elements.
    pub(super) fn new(chain: &'a Chain, index: usize, limit: usize, backward: bool) -> Self {
        let mut walk = Self { chain, pos: None, page: Page::blank(), page_left: 0, at: 0, left: 0, index, backward };
        if let Some((pos, ordinal)) = chain.locate(index).filter(|_| limit > 0) {
            let node = chain.node(pos);
            walk.pos = Some(pos);
            walk.page = node.page();
            walk.at = walk_offset(&walk.page, node.count(), ordinal, backward);
            walk.page_left = if backward { ordinal + 1 } else { node.count() - ordinal };
            walk.left = limit.min(if backward { index + 1 } else { chain.count() - index });
        }
        walk
    }

    /// Elements still to come.
    #[inline]
    pub fn remaining(&self) -> usize {
        self.left
    }

    /// Index of the element that comes next, if one does.
    #[inline]
    pub fn index(&self) -> usize {
        self.index
    }

    /// The next element.
    #[inline]
    pub fn next_value(&mut self) -> Option<Value<'_>> {
        if self.left == 0 {
            return None;
        }
        if self.page_left == 0 {
            self.turn_page()?;
        }
        self.left -= 1;
        self.page_left -= 1;
        let entries = self.page.bytes();
        if self.page.plain {
            self.index = self.index.wrapping_add_signed(if self.backward { -1 } else { 1 });
            return Some(Value::Str(entries));
        }
        if self.backward {
            self.index = self.index.wrapping_sub(1);
            self.at = listpack::step_back(entries, self.at, 0)?;
            listpack::at(entries, self.at)
        } else {
            self.index += 1;
            let (value, next) = listpack::decode(entries, self.at)?;
            self.at = next;
            Some(value)
        }
    }

    /// Gives all that is still to come to `each`: faster than one by one, as the place in a node stays in registers.
    #[inline]
    pub fn for_each(mut self, mut each: impl FnMut(Value<'_>)) {
        while self.left > 0 {
            if self.page_left == 0 && self.turn_page().is_none() {
                return;
            }
            if self.backward || self.page.plain {
                self.next_value().map(&mut each);
                continue;
            }
            let here = self.left.min(self.page_left);
            let values = listpack::Iter::new(self.page.bytes(), self.at);
            values.take(here).for_each(|(_, value)| each(value));
            self.left -= here;
            self.page_left = 0;
        }
    }

    #[cold]
    fn turn_page(&mut self) -> Option<()> {
        let pos = self.chain.step(self.pos?, self.backward)?;
        let node = self.chain.node(pos);
        self.pos = Some(pos);
        self.page = node.page();
        self.page_left = node.count();
        self.at = if self.backward { self.page.bytes().len() } else { 0 };
        Some(())
    }
}

/// Indices of the elements equal to one, in the order of a walk.
pub struct Positions<'a, 'n> {
    walk: Walk<'a>,
    text: &'n [u8],
    number: Option<i64>,
}

impl<'a, 'n> Positions<'a, 'n> {
    pub(super) fn new(walk: Walk<'a>, text: &'n [u8]) -> Self {
        Self { walk, text, number: canonical_i64(text) }
    }
}

impl Iterator for Positions<'_, '_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let index = self.walk.index();
            let equal = match self.walk.next_value()? {
                Value::Int(number) => Some(number) == self.number,
                Value::Str(text) => text == self.text,
            };
            if equal {
                return Some(index);
            }
        }
    }
}

/// A node as files have it.
#[derive(Clone, Copy)]
pub struct NodeView<'a>(pub(super) &'a Node);

impl<'a> NodeView<'a> {
    /// Elements in the node.
    pub fn count(self) -> usize {
        self.0.count()
    }

    /// Whether it is one large element instead of a listpack.
    pub fn is_plain(self) -> bool {
        self.0.is_plain()
    }

    /// Whether it is kept compressed.
    pub fn is_compressed(self) -> bool {
        self.0.is_compressed()
    }

    /// The large element's bytes, or the listpack in its wire form.
    pub fn wire(self) -> Cow<'a, [u8]> {
        let page = self.0.page();
        if page.plain { page.into_cow() } else { Cow::Owned(listpack::entries_to_wire(page.bytes(), self.count())) }
    }
}
