//! The patterns of BY and GET: which key, and which field of it, an element leads to. Knows no keyspace.

use crate::types::Elem;

/// A pattern, taken apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pattern<'a> {
    /// `#`: the element.
    Itself,
    /// No star: leads to nothing.
    Constant,
    /// `before*after` or `before*after->field`.
    Name {
        /// What stands before the star.
        before: &'a [u8],
        /// What stands behind it.
        after: &'a [u8],
        /// The field, of a hash then.
        field: Option<&'a [u8]>,
    },
}

impl<'a> Pattern<'a> {
    /// Star and arrow are looked for before the first NUL, as the reference does.
    pub(super) fn of(text: &'a [u8]) -> Pattern<'a> {
        let end = memchr::memchr(0, text).unwrap_or(text.len());
        let Some(star) = memchr::memchr(b'*', &text[..end]) else {
            return if text == b"#" { Pattern::Itself } else { Pattern::Constant };
        };
        let before = &text[..star];
        let arrow = memchr::memmem::find(&text[star + 1..end], b"->").map(|at| star + 1 + at);
        match arrow {
            // An arrow at the end is part of the name.
            Some(arrow) if arrow + 2 < end => {
                Pattern::Name { before, after: &text[star + 1..arrow], field: Some(&text[arrow + 2..]) }
            }
            _ => Pattern::Name { before, after: &text[star + 1..], field: None },
        }
    }

    /// Whether there is no star in it.
    pub(super) fn is_constant(&self) -> bool {
        !matches!(self, Pattern::Name { .. })
    }
}

/// The key's name for an element.
pub(super) fn name(before: &[u8], elem: Elem<'_>, after: &[u8]) -> Vec<u8> {
    [before, elem.text(&mut itoa::Buffer::new()), after].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_taken_apart() {
        fn part<'a>(before: &'a str, after: &'a str, field: Option<&'a str>) -> Pattern<'a> {
            let field = field.map(str::as_bytes);
            Pattern::Name { before: before.as_bytes(), after: after.as_bytes(), field }
        }
        for (text, expected) in [
            ("#", Pattern::Itself),
            ("##", Pattern::Constant),
            ("", Pattern::Constant),
            ("nosort", Pattern::Constant),
            ("h->f", Pattern::Constant),
            ("a\0*", Pattern::Constant),
            ("*", part("", "", None)),
            ("w_*", part("w_", "", None)),
            ("w_*_x*", part("w_", "_x*", None)),
            ("h*->f", part("h", "", Some("f"))),
            ("h->*b->f->g", part("h->", "b", Some("f->g"))),
            ("h*->", part("h", "->", None)),
            ("h*->\0f", part("h", "->\0f", None)),
            ("h*->f\0g", part("h", "", Some("f\0g"))),
        ] {
            assert_eq!(Pattern::of(text.as_bytes()), expected, "{text:?}");
        }
        assert_eq!(name(b"a", Elem::Int(-5), b"b"), b"a-5b");
    }
}
