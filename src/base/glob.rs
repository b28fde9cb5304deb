//! Glob patterns of KEYS, SCAN, PSUBSCRIBE, CONFIG GET and ACL rules: `*` `?` `[abc]` `[^a-z]` `\x`.
//!
//! Knows bytes only. Every pattern is legal; the odd ones mean what they mean in Redis:
//! - a class without `]` ends with the pattern (`[ab` is `[ab]`, `[^` is any byte, `[` and `[]` are no byte);
//! - `[z-a]` is `[a-z]`; the byte after `x-` is the range's end whatever it is, `]` and `\` too;
//! - an empty text matches the empty pattern only, so `*` and `**` do not match it (KEYS and the SCAN family
//!   take the pattern `*` for "no pattern" before they come here);
//! - `\` at the very end stands for itself; inside a class an escaped byte is compared with its case;
//! - a pattern that needs more than a thousand stars before its end matches nothing.
//!
//! # The algorithm
//! One pass with one way back. Every token but `*` consumes exactly one byte, so after a second `*` it is
//! never useful to let an earlier one take more: only the latest `*` is remembered. That bounds the work by
//! pattern length times text length, without recursion, for patterns like `a*a*a*a*b` too.

/// Most stars, apart from one at the end, of a pattern that can match.
const MOST_STARS: usize = 1000;

/// Whether all of `text` matches `pattern`; with `nocase`, ASCII letters match in either case.
pub fn glob_match(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut p, mut t) = (0, 0);
    let mut star: Option<Star> = None;
    let mut stars = 0;
    loop {
        match token(pattern, p) {
            Token::Star => {
                // Stars side by side are one.
                stars += usize::from(star.as_ref().is_none_or(|latest| latest.after != p));
                p += 1;
                if p == pattern.len() {
                    return true;
                }
                if stars > MOST_STARS {
                    return false;
                }
                star = Some(Star { after: p, text_from: t });
                continue;
            }
            Token::End if t == text.len() => return true,
            Token::End => {}
            // The text is used up: only stars could match nothing, and this is none.
            _ if t == text.len() => return false,
            single => {
                if let Some(len) = match_one(pattern, p, single, text[t], nocase) {
                    p += len;
                    t += 1;
                    continue;
                }
            }
        }
        // Mismatch: the latest star takes one more byte, or there is none to ask.
        let Some(back) = star.as_mut() else {
            return false;
        };
        let Some(next) = back.retry(pattern, text, nocase) else {
            return false;
        };
        (p, t) = (back.after, next);
    }
}

/// The latest `*`: where the pattern goes on, and from which byte of the text this was tried last.
struct Star {
    after: usize,
    text_from: usize,
}

impl Star {
    /// The next place in the text worth a try, at least one byte on; `None` if there is none.
    fn retry(&mut self, pattern: &[u8], text: &[u8], nocase: bool) -> Option<usize> {
        let from = self.text_from + 1;
        let tail = text.get(from..)?;
        let skip = match token(pattern, self.after) {
            // A literal after the star: jump to where it next occurs.
            Token::Literal { byte, .. } if !nocase => memchr::memchr(byte, tail)?,
            _ => 0,
        };
        self.text_from = from + skip;
        Some(self.text_from)
    }
}

enum Token {
    /// The pattern is used up.
    End,
    Star,
    /// `?`
    Any,
    /// `[`
    Class,
    /// A byte that stands for itself, and how many bytes of the pattern it takes.
    Literal {
        byte: u8,
        len: usize,
    },
}

#[inline]
fn token(pattern: &[u8], at: usize) -> Token {
    match pattern.get(at..) {
        None | Some([]) => Token::End,
        Some([b'*', ..]) => Token::Star,
        Some([b'?', ..]) => Token::Any,
        Some([b'[', ..]) => Token::Class,
        Some([b'\\', byte, ..]) => Token::Literal { byte: *byte, len: 2 },
        Some([byte, ..]) => Token::Literal { byte: *byte, len: 1 },
    }
}

/// How many bytes of the pattern the token takes if it matches `byte`.
#[inline]
fn match_one(pattern: &[u8], at: usize, token: Token, byte: u8, nocase: bool) -> Option<usize> {
    match token {
        Token::Any => Some(1),
        Token::Literal { byte: wanted, len } => same(wanted, byte, nocase).then_some(len),
        Token::Class => {
            let (matched, len) = match_class(&pattern[at..], byte, nocase);
            matched.then_some(len)
        }
        Token::Star | Token::End => None,
    }
}

#[inline]
fn same(a: u8, b: u8, nocase: bool) -> bool {
    a == b || (nocase && a.eq_ignore_ascii_case(&b))
}

/// Reads the class that `pattern` begins with: whether it matches `byte`, and its length.
fn match_class(pattern: &[u8], byte: u8, nocase: bool) -> (bool, usize) {
    let negated = pattern.get(1) == Some(&b'^');
    let mut at = 1 + usize::from(negated);
    let mut found = false;
    loop {
        match pattern.get(at..) {
            None | Some([]) => break,
            Some([b'\\', escaped, ..]) => {
                found |= *escaped == byte; // with its case even if nocase, as in Redis
                at += 2;
            }
            Some([b']', ..]) => {
                at += 1;
                break;
            }
            Some([from, b'-', to, ..]) => {
                found |= in_range(*from, *to, byte, nocase);
                at += 3;
            }
            Some([single, ..]) => {
                found |= same(*single, byte, nocase);
                at += 1;
            }
        }
    }
    (found != negated, at)
}

/// A range is put in order first and lowered after, so `[Z-a]` is empty when case is ignored.
fn in_range(from: u8, to: u8, byte: u8, nocase: bool) -> bool {
    let (low, high) = if from <= to { (from, to) } else { (to, from) };
    if nocase {
        (low.to_ascii_lowercase()..=high.to_ascii_lowercase()).contains(&byte.to_ascii_lowercase())
    } else {
        (low..=high).contains(&byte)
    }
}

/// Whether `pattern` has no special bytes, so that it can match only itself.
pub fn is_literal(pattern: &[u8]) -> bool {
    !pattern.iter().any(|byte| matches!(byte, b'*' | b'?' | b'[' | b'\\'))
}

/// Matches any bytes against any bytes: first byte the mode, second the pattern's length.
pub fn fuzz_glob(data: &[u8]) {
    let [mode, len, rest @ ..] = data else { return };
    let (pattern, text) = rest.split_at(usize::from(*len).min(rest.len()));
    let nocase = mode & 1 == 1;
    let matched = glob_match(pattern, text, nocase);
    if !nocase && is_literal(pattern) {
        assert_eq!(matched, pattern == text, "a pattern without special bytes matches itself only");
    }
    assert!(!matched || nocase || glob_match(pattern, text, true) || pattern.contains(&b'['));
}

#[cfg(test)]
mod tests {
    #[test]
    fn patterns_of_very_many_stars_match_nothing() {
        let text = vec![b'a'; 5000];
        assert!(super::glob_match(&b"*?".repeat(1000), &text, false));
        assert!(!super::glob_match(&b"*?".repeat(1001), &text, false));
        assert!(super::glob_match(&[&b"?*".repeat(1000)[..], b"*"].concat(), &text, false));
    }

    use super::*;
    use crate::base::rng::Rng;

    fn matches(pattern: &str, text: &str) -> bool {
        glob_match(pattern.as_bytes(), text.as_bytes(), false)
    }

    #[test]
    fn patterns_match_as_documented() {
        let cases: [(&str, &str, bool); 40] = [
            ("", "", true),
            ("", "a", false),
            ("*", "", false),
            ("*", "abc", true),
            ("**", "", false),
            ("?", "", false),
            ("h?llo", "hello", true),
            ("h?llo", "hllo", false),
            ("h*llo", "heeeello", true),
            ("h*llo*", "hllo", true),
            ("*a*", "bab", true),
            ("*a", "aab", false),
            ("*ab", "aab", true),
            ("h[ae]llo", "hallo", true),
            ("h[ae]llo", "hillo", false),
            ("h[^e]llo", "hbllo", true),
            ("h[^e]llo", "hello", false),
            ("h[a-b]llo", "hbllo", true),
            ("h[b-a]llo", "hallo", true),
            (r"\*", "*", true),
            (r"\*", "a", false),
            (r"\", r"\", true),
            (r"a\", "a", false),
            (r"[\]]", "]", true),
            (r"[\-a]", "-", true),
            ("[]", "]", false),
            ("[]]", "]", false),
            ("[", "[", false),
            ("[", "", false),
            ("[^", "x", true),
            ("[^]", "x", true),
            ("[ab", "b", true),
            ("[ab", "bb", false),
            ("[a-", "-", true),
            ("[a-]", "]", true),
            ("[a-]", "_", true),
            ("[a-]", "-", false),
            ("a*?b", "axb", true),
            ("a*?b", "ab", false),
            ("*[0-9]", "key9", true),
        ];
        for (pattern, text, expected) in cases {
            assert_eq!(matches(pattern, text), expected, "{pattern:?} {text:?}");
        }
    }

    #[test]
    fn case_is_ignored_on_demand() {
        assert!(glob_match(b"MaX*", b"maxmemory", true));
        assert!(glob_match(b"[A-C]x", b"bX", true));
        assert!(!glob_match(b"[\\A]", b"a", true), "escaped bytes of a class keep their case");
        assert!(!glob_match(b"[Z-a]", b"z", true));
        assert!(!glob_match(b"A", b"a", false));
    }

    #[test]
    fn the_worst_patterns_cost_no_more_than_a_product_of_lengths() {
        let text = vec![b'a'; 3_000];
        let pattern = [b"a*".repeat(60).as_slice(), b"b"].concat();
        assert!(!glob_match(&pattern, &text, false));
        assert!(!glob_match(&[b"*[ab]?".repeat(40).as_slice(), b"c"].concat(), &text, true));
        assert!(glob_match(&b"*a".repeat(1_000), &text, false));
    }

    /// The meaning said naively: a star takes nothing, or one byte and again.
    fn model(pattern: &[u8], text: &[u8], nocase: bool) -> bool {
        match (token(pattern, 0), text) {
            (Token::End, _) => text.is_empty(),
            (Token::Star, _) => {
                model(&pattern[1..], text, nocase) || (!text.is_empty() && model(pattern, &text[1..], nocase))
            }
            (_, []) => false,
            (single, [byte, rest @ ..]) => match match_one(pattern, 0, single, *byte, nocase) {
                Some(len) => model(&pattern[len..], rest, nocase),
                None => false,
            },
        }
    }

    #[test]
    fn random_patterns_agree_with_the_model() {
        let mut rng = Rng::seeded(31);
        let mut draw = |letters: &[u8], max: u64| -> Vec<u8> {
            (0..rng.below(max)).map(|_| letters[rng.below(letters.len() as u64) as usize]).collect()
        };
        for _ in 0..60_000 {
            let (pattern, text) = (draw(b"aabB*?[]^-\\", 9), draw(b"aabB-]\\[", 8));
            for nocase in [false, true] {
                let expected = if text.is_empty() { pattern.is_empty() } else { model(&pattern, &text, nocase) };
                assert_eq!(
                    glob_match(&pattern, &text, nocase),
                    expected,
                    "{:?} {:?} {nocase}",
                    String::from_utf8_lossy(&pattern),
                    String::from_utf8_lossy(&text)
                );
            }
            fuzz_glob(&[&[0, pattern.len() as u8], pattern.as_slice(), &text].concat());
        }
    }
}
