//! Glob patterns: `*`, `?`, `[a-z]`, `[^a]`, `\x`.

/// Does `pattern` match all of `text`? With `fold_case` ASCII letters match in either case.
pub fn matches(pattern: &[u8], text: &[u8], fold_case: bool) -> bool {
    let fold = |byte: u8| if fold_case { byte.to_ascii_lowercase() } else { byte };
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(p) {
            None if t == text.len() => return true,
            Some(b'*') => {
                retry = Some((p + 1, t));
                p += 1;
                continue;
            }
            None => None,
            Some(_) => text.get(t).and_then(|&byte| one(&pattern[p..], byte, &fold)),
        };
        match (step, retry) {
            (Some(used), _) => {
                p += used;
                t += 1;
            }
            (None, Some((after_star, from))) if from < text.len() => {
                (p, t) = (after_star, from + 1);
                retry = Some((after_star, from + 1));
            }
            _ => return false,
        }
    }
}

/// Matches one byte against the pattern's first element; the element's length when it matches.
fn one(pattern: &[u8], byte: u8, fold: &impl Fn(u8) -> u8) -> Option<usize> {
    match pattern {
        [b'?', ..] => Some(1),
        [b'\\', escaped, ..] => (fold(*escaped) == fold(byte)).then_some(2),
        [b'[', rest @ ..] => {
            let negated = rest.first() == Some(&b'^');
            let set = &rest[usize::from(negated)..];
            let end = set.iter().position(|&b| b == b']').unwrap_or(set.len());
            let mut found = false;
            let mut index = 0;
            while index < end {
                if index + 2 < end && set[index + 1] == b'-' {
                    let (low, high) = (fold(set[index]), fold(set[index + 2]));
                    found |= (low.min(high)..=low.max(high)).contains(&fold(byte));
                    index += 3;
                } else {
                    found |= fold(set[index]) == fold(byte);
                    index += 1;
                }
            }
            (found != negated).then_some((1 + usize::from(negated) + end + 1).min(pattern.len()))
        }
        [first, ..] => (fold(*first) == fold(byte)).then_some(1),
        [] => None,
    }
}
