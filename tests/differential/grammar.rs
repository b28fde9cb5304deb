//! The little language in which the forms of commands are written. Knows no command.
//!
//! ```text
//! word            itself                          <pool>   a value of that pool
//! (a b | c)       one of the alternatives         [a | b]  one of them, or nothing, each in half of the cases
//! {a | b <n>}     any of the options, in any order, seldom one twice
//! +(<m>)          the group one to five times, seldom none
//! *(<m>)          the group 20 to 150 times
//! #(<k>)          how many follow, then that many of the group; the number lies seldom
//! =(<w>)          the group as often as the last #( ) said
//! ```

use super::pools::{self, Pool};
use super::support::random::Random;

type Seq = Vec<Node>;

#[derive(Debug, Clone)]
enum Node {
    Word(Vec<u8>),
    Pool(Pool),
    One(Vec<Seq>),
    Maybe(Vec<Seq>),
    Any(Vec<Seq>),
    Some(Seq),
    Many(Seq),
    Counted(Seq),
    Same(Seq),
}

/// A form, ready to be drawn from.
#[derive(Debug, Clone)]
pub struct Grammar(Seq);

impl Grammar {
    /// Reads a form's text; a mistake in it is ours and ends the test.
    pub fn parse(text: &str) -> Grammar {
        let spaced: String = text.chars().fold(String::new(), |mut out, c| {
            match c {
                '(' | '[' | '{' => out.extend([c, ' ']),
                ')' | ']' | '}' | '|' => out.extend([' ', c, ' ']),
                c => out.push(c),
            }
            out
        });
        let tokens: Vec<&str> = spaced.split_whitespace().collect();
        let mut at = 0;
        let mut alternatives = alternatives(&tokens, &mut at, text);
        assert!(at == tokens.len() && alternatives.len() == 1, "form {text:?} ends at token {at}");
        Grammar(alternatives.remove(0))
    }

    /// The first word: the command's name.
    pub fn command(&self) -> String {
        match self.0.first() {
            Some(Node::Word(word)) => String::from_utf8_lossy(word).into_owned(),
            Some(Node::One(alternatives)) => Grammar(alternatives[0].clone()).command(),
            other => panic!("a form begins with a word, not {other:?}"),
        }
    }

    /// The commands that can come of it.
    pub fn commands(&self) -> Vec<String> {
        match self.0.first() {
            Some(Node::One(alternatives)) => alternatives.iter().map(|a| Grammar(a.clone()).command()).collect(),
            _ => vec![self.command()],
        }
    }

    /// The words of one command.
    pub fn draw(&self, random: &mut Random) -> Vec<Vec<u8>> {
        let mut words = Vec::new();
        draw_all(&self.0, random, &mut words, &mut 1);
        words
    }
}

fn alternatives(tokens: &[&str], at: &mut usize, text: &str) -> Vec<Seq> {
    let mut all = vec![Vec::new()];
    while let Some(&token) = tokens.get(*at) {
        let last = all.last_mut().expect("there is always one");
        *at += 1;
        match token {
            ")" | "]" | "}" => {
                *at -= 1;
                break;
            }
            "|" => all.push(Vec::new()),
            "(" => last.push(Node::One(group(tokens, at, ")", text))),
            "[" => last.push(Node::Maybe(group(tokens, at, "]", text))),
            "{" => last.push(Node::Any(group(tokens, at, "}", text))),
            "+(" => last.push(Node::Some(group(tokens, at, ")", text).remove(0))),
            "*(" => last.push(Node::Many(group(tokens, at, ")", text).remove(0))),
            "#(" => last.push(Node::Counted(group(tokens, at, ")", text).remove(0))),
            "=(" => last.push(Node::Same(group(tokens, at, ")", text).remove(0))),
            pool if pool.starts_with('<') && pool.ends_with('>') => {
                last.push(Node::Pool(pools::named(pool.trim_matches(['<', '>']))));
            }
            word => last.push(Node::Word(word.as_bytes().to_vec())),
        }
    }
    all
}

fn group(tokens: &[&str], at: &mut usize, end: &str, text: &str) -> Vec<Seq> {
    let all = alternatives(tokens, at, text);
    assert_eq!(tokens.get(*at), Some(&end), "form {text:?} lacks {end}");
    *at += 1;
    all
}

fn draw_all(seq: &Seq, random: &mut Random, words: &mut Vec<Vec<u8>>, counted: &mut usize) {
    for node in seq {
        match node {
            Node::Word(word) => words.push(word.clone()),
            Node::Pool(pool) => words.push(pool(random)),
            Node::One(all) => draw_all(random.pick(all), random, words, counted),
            Node::Maybe(all) => {
                if random.chance(50) {
                    draw_all(random.pick(all), random, words, counted);
                }
            }
            Node::Any(all) => draw_options(all, random, words, counted),
            Node::Some(seq) => {
                let most = 1 + random.below(5);
                let times = if random.chance(3) { 0 } else { 1 + random.below(most) };
                (0..times).for_each(|_| draw_all(seq, random, words, counted));
            }
            Node::Many(seq) => {
                let times = random.between(20, 150);
                (0..times).for_each(|_| draw_all(seq, random, words, counted));
            }
            Node::Counted(seq) => {
                *counted = 1 + random.below(3);
                let lie = random.chance(3).then(|| *random.pick(&[-1, 0, 1, 2, 5]));
                words.push(lie.unwrap_or(*counted as i64).to_string().into_bytes());
                (0..*counted).for_each(|_| draw_all(seq, random, words, counted));
            }
            Node::Same(seq) => {
                let times = if random.chance(5) { random.below(4) } else { *counted };
                (0..times).for_each(|_| draw_all(seq, random, words, counted));
            }
        }
    }
}

fn draw_options(all: &[Seq], random: &mut Random, words: &mut Vec<Vec<u8>>, counted: &mut usize) {
    // About one option on average, whatever their number: combinations that are refused must not be all we ask.
    let percent = 100 / (all.len() + 1) + 10;
    let mut chosen: Vec<&Seq> = all.iter().filter(|_| random.chance(percent)).collect();
    if !chosen.is_empty() && random.chance(3) {
        chosen.push(random.pick(all));
    }
    random.shuffle(&mut chosen);
    for seq in chosen {
        draw_all(seq, random, words, counted);
    }
}
