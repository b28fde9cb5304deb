//! How an input is made worse. Knows no format but that of requests, whose lengths it can make lie.

use super::support::random::Random;

/// Longest input that grows out of mutations.
const MAX_BYTES: usize = 1 << 20;

/// Words that are the border of something.
const BORDERS: &[&[u8]] = &[
    b"",
    b"0",
    b"-0",
    b"1",
    b"-1",
    b"2147483647",
    b"-2147483649",
    b"4294967296",
    b"9223372036854775807",
    b"-9223372036854775808",
    b"9223372036854775808",
    b"18446744073709551616",
    b"1e400",
    b"nan",
    b"inf",
    b"-inf",
    b"0.1",
    b"(1",
    b"[a",
    b"+",
    b"-",
    b"*",
    b"\0",
    b"\r\n",
    b"\xff\xfe",
    b"%n%s",
    b"[",
    b"\\",
    b"a*a*a*a*a*b",
    b"limit",
    b"withscores",
    b"count",
    b"get",
];

/// Bytes changed, dropped, doubled; anything may come of it.
pub fn bytes(random: &mut Random, data: &mut Vec<u8>) {
    for _ in 0..1 + random.below(4) {
        if data.is_empty() {
            data.push(random.next() as u8);
        }
        let at = random.below(data.len());
        match random.below(9) {
            0 => data[at] ^= 1 << random.below(8),
            1 => data[at] = random.next() as u8,
            2 => data.truncate(at),
            3 => data.insert(at, random.next() as u8),
            4 => {
                let end = (at + 1 + random.below(16)).min(data.len());
                data.drain(at..end);
            }
            5 if data.len() < MAX_BYTES => {
                let end = (at + 1 + random.below(64)).min(data.len());
                let part = data[at..end].to_vec();
                data.splice(at..at, part);
            }
            6 => {
                let border = *random.pick(BORDERS);
                data.splice(at..at, border.iter().copied());
            }
            _ => digits(random, data),
        }
    }
}

/// A number somewhere becomes another: lengths and counts that lie.
pub fn digits(random: &mut Random, data: &mut Vec<u8>) {
    const LIES: &[&[u8]] = &[
        b"0",
        b"-1",
        b"1",
        b"7",
        b"1000",
        b"65536",
        b"1048576",
        b"1048577",
        b"536870912",
        b"99999999999",
        b"00",
        b"+3",
        b"3 ",
    ];
    let begin = random.below(data.len().max(1));
    let Some(from) = data.iter().skip(begin).position(u8::is_ascii_digit).map(|at| at + begin) else { return };
    let len = data[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let lie = *random.pick(LIES);
    data.splice(from..from + len, lie.iter().copied());
}

/// Words dropped, doubled, swapped, replaced by a border or by a word of another command.
pub fn words(random: &mut Random, words: &mut Vec<Vec<u8>>, others: &[Vec<Vec<u8>>]) {
    for _ in 0..random.below(4) {
        let at = random.below(words.len().max(1));
        match random.below(10) {
            0 if words.len() > 1 => drop(words.remove(at)),
            1 => words.insert(at, random.pick(BORDERS).to_vec()),
            2 | 3 if at > 0 => words[at] = random.pick(BORDERS).to_vec(),
            4 if words.len() > 1 => words.swap(at, 0),
            5 if !words.is_empty() => words.push(words[at].clone()),
            6 => {
                let other = random.pick(others);
                words.insert(at, random.pick(other).clone());
            }
            7 => words.extend(random.pick(others).iter().skip(1).cloned()),
            8 if random.chance(20) => {
                let more = random.below(2000);
                words.extend((0..more).map(|i| i.to_string().into_bytes()));
            }
            9 if at > 0 => {
                let most = if random.chance(5) { 100_000 } else { 200 };
                words[at] = vec![b'x'; random.below(most)];
            }
            _ => {}
        }
    }
}

/// Bytes that are no request at all, and requests that no client sends.
pub fn nonsense(random: &mut Random) -> Vec<u8> {
    let many = random.below(70_000);
    match random.below(9) {
        0 => (0..random.below(300)).map(|_| random.next() as u8).collect(),
        1 => [b"*".to_vec(), vec![b'1'; many]].concat(),
        2 => vec![b'a'; many],
        3 => b"*2\r\n".repeat(random.below(1000)),
        4 => b"*1048576\r\n$1\r\na\r\n$1\r\nb\r\n".to_vec(),
        5 => b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048576\r\nabc".to_vec(),
        6 => b"*-1\r\n*0\r\n\r\n\n".repeat(random.below(300)),
        7 => b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        _ => b"set \"\\x41".repeat(random.below(50)),
    }
}
