//! Options with forms of their own: rules, limits, addresses, and the lines that only a file may hold.
//! Each checks all its words before it changes anything.

use super::fields::Config;
use super::option::*;
use super::value::*;
use crate::base::number::parse_i64;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Addresses one server may listen on.
const BIND_MAX: usize = 16;

pub(super) static BIND: Special = Special {
    form: "up to 16 addresses; * and -::* for all; a leading - skips an address that is not there",
    split: true,
    write: |config, words, _| {
        if words.len() > BIND_MAX {
            return Err(BadValue::at(BIND_MAX, "Too many bind addresses specified."));
        }
        // Empty quotes stand for no address at all.
        config.bind = words.iter().filter(|_| words != [b""]).map(|word| Text::from(*word)).collect();
        Ok(())
    },
    show: |config| join(config.bind.iter().map(|address| address.to_vec())),
    lines: |config| {
        let all = join(config.bind.iter().map(|address| word_in_file(address)));
        vec![if all.is_empty() { b"\"\"".to_vec() } else { all }]
    },
};

pub(super) static SAVE: Special = Special {
    form: "pairs of seconds and changes; lines add up; \"\" clears all rules",
    split: true,
    write: write_save,
    show: |config| join(config.save.iter().map(save_rule)),
    lines: |config| match config.save.is_empty() {
        true => vec![b"\"\"".to_vec()],
        false => config.save.iter().map(save_rule).collect(),
    },
};

fn save_rule(rule: &SaveRule) -> Vec<u8> {
    format!("{} {}", rule.seconds, rule.changes).into_bytes()
}

/// The first rule of a file drops the built-in ones, later ones add to it; CONFIG SET replaces all.
fn write_save(config: &mut Config, words: &[&[u8]], source: Source) -> Result<(), BadValue> {
    const BAD: &str = "Invalid save parameters";
    let clears = words.is_empty() || words == [b""];
    if !clears && words.len() % 2 != 0 {
        return Err(BadValue::at(words.len() - 1, BAD));
    }
    let mut rules = Vec::new();
    for (index, pair) in words.chunks_exact(2).enumerate() {
        let number = |offset: usize, least: i64| match parse_i64(pair[offset]) {
            Some(value) if value >= least && value <= i64::from(i32::MAX) => Ok(value.unsigned_abs()),
            _ => Err(BadValue::at(index * 2 + offset, BAD)),
        };
        rules.push(SaveRule { seconds: number(0, 1)?, changes: number(1, 0)? });
    }
    if clears || source != Source::File || !config.save_given {
        config.save.clear();
    }
    config.save.append(&mut rules);
    config.save_given = source != Source::Default;
    Ok(())
}

pub(super) static OUTPUT_LIMIT: Special = Special {
    form: "groups of class (normal, replica, pubsub), hard limit, soft limit, soft seconds",
    split: true,
    write: write_output_limit,
    show: |config| join(output_limits(config, |bytes| bytes.to_string(), "slave")),
    lines: |config| output_limits(config, memory_with_unit, "replica").collect(),
};

/// One `class hard soft seconds` per class; GET and files spell the replica's class differently, as in Redis.
fn output_limits(config: &Config, bytes: fn(u64) -> String, replica: &'static str) -> impl Iterator<Item = Vec<u8>> {
    let limits = config.client_output_buffer_limit;
    ["normal", replica, "pubsub"].into_iter().zip(limits).map(move |(class, limit)| {
        format!("{class} {} {} {}", bytes(limit.hard_bytes), bytes(limit.soft_bytes), limit.soft_seconds).into_bytes()
    })
}

fn write_output_limit(config: &mut Config, words: &[&[u8]], _: Source) -> Result<(), BadValue> {
    if words.len() % 4 != 0 {
        return Err(BadValue::new("Wrong number of arguments in buffer limit configuration."));
    }
    let mut limits = config.client_output_buffer_limit;
    for (index, group) in words.chunks_exact(4).enumerate() {
        let class = match group[0].to_ascii_lowercase().as_slice() {
            b"normal" => ClientClass::Normal,
            b"slave" | b"replica" => ClientClass::Replica,
            b"pubsub" => ClientClass::Pubsub,
            _ => return Err(BadValue::at(index * 4, "Invalid client class specified in buffer limit configuration.")),
        };
        let bad = |offset| {
            BadValue::at(
                index * 4 + offset,
                "Error in hard, soft or soft_seconds setting in buffer limit configuration.",
            )
        };
        let bytes = |offset: usize| parse_memory(group[offset]).ok_or(bad(offset));
        let seconds =
            parse_i64(group[3]).filter(|seconds| (0..=i64::from(i32::MAX)).contains(seconds)).ok_or(bad(3))?;
        limits[class as usize] =
            OutputBufferLimit { hard_bytes: bytes(1)?, soft_bytes: bytes(2)?, soft_seconds: seconds.unsigned_abs() };
    }
    config.client_output_buffer_limit = limits;
    Ok(())
}

pub(super) static OOM_VALUES: Special = Special {
    form: "three numbers from -2000 to 2000: primary, replica, background process",
    split: true,
    write: |config, words, _| {
        let [a, b, c] = words else { return Err(BadValue::new(WRONG_ARITY)) };
        let mut values = [0; 3];
        for (index, word) in [a, b, c].into_iter().enumerate() {
            let value = parse_i64(word)
                .and_then(|value| i32::try_from(value).ok())
                .filter(|value| (-2000..=2000).contains(value));
            values[index] = value
                .ok_or(BadValue::at(index, "Invalid oom-score-adj-values, elements must be between -2000 and 2000."))?;
        }
        config.oom_score_adj_values = values;
        Ok(())
    },
    show: oom_values,
    lines: |config| vec![oom_values(config)],
};

fn oom_values(config: &Config) -> Vec<u8> {
    join(config.oom_score_adj_values.iter().map(|value| value.to_string().into_bytes()))
}

pub(super) static PERCENTILES: Special = Special {
    form: "percentiles from 0 to 100, or \"\" for none",
    split: true,
    write: |config, words, _| {
        let mut percentiles = Vec::with_capacity(words.len());
        for (index, word) in words.iter().enumerate().filter(|_| words != [b""]) {
            let number = std::str::from_utf8(word)
                .ok()
                .and_then(|text| text.parse::<f64>().ok())
                .filter(|value| !value.is_nan());
            let number = number.ok_or(BadValue::at(index, "Invalid latency-tracking-info-percentiles parameters"))?;
            if !(0.0..=100.0).contains(&number) {
                let cause = "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]";
                return Err(BadValue::at(index, cause));
            }
            percentiles.push(number);
        }
        config.latency_tracking_info_percentiles = percentiles;
        Ok(())
    },
    show: percentiles,
    lines: |config| match config.latency_tracking_info_percentiles.is_empty() {
        true => vec![b"\"\"".to_vec()],
        false => vec![percentiles(config)],
    },
};

fn percentiles(config: &Config) -> Vec<u8> {
    join(config.latency_tracking_info_percentiles.iter().map(|value| percentile_text(*value).into_bytes()))
}

pub(super) static NOTIFY: Special = Special {
    form: "letters: K E (channels), g $ l s h z x e t d a m n o c (classes), A (all classes but m, n, o and c); \"\" for none",
    split: false,
    write: |config, words, _| {
        let [letters] = words else { return Err(BadValue::at(usize::from(words.len() > 1), WRONG_ARITY)) };
        let bad = BadValue::new("Invalid event class character. Use 'Ag$lshzxeKEtmdn'.");
        config.notify_keyspace_events = NotifyFlags::parse(letters).ok_or(bad)?;
        Ok(())
    },
    show: |config| config.notify_keyspace_events.letters(false).into_bytes(),
    lines: |config| vec![quoted(config.notify_keyspace_events.letters(true).as_bytes())],
};

/// The one word of an option as a whole number.
fn whole(words: &[&[u8]], min: i64, max: i64) -> Result<usize, BadValue> {
    let [word] = words else { return Err(BadValue::at(usize::from(words.len() > 1), WRONG_ARITY)) };
    let number = parse_i64(word).ok_or(BadValue::new("argument couldn't be parsed into an integer"))?;
    let fits = usize::try_from(number).ok().filter(|_| (min..=max).contains(&number));
    fits.ok_or_else(|| BadValue::new(format!("argument must be between {min} and {max} inclusive")))
}

pub(super) static ARRAY_SLICE_SIZE: Special = Special {
    form: "a power of two from 256 to 65536",
    split: false,
    write: |config, words, _| {
        let size = whole(words, 256, 65_536)?;
        if !size.is_power_of_two() {
            return Err(BadValue::new("array-slice-size must be a power of two"));
        }
        config.array_slice_size = size;
        Ok(())
    },
    show: |config| config.array_slice_size.to_string().into_bytes(),
    lines: |config| vec![config.array_slice_size.to_string().into_bytes()],
};

/// Elements of the largest slice.
const SLICE_MAX: i64 = 65_536;

pub(super) static ARRAY_SPARSE_KMAX: Special = Special {
    form: "0 to 65536, more than array-sparse-kmin unless 0",
    split: false,
    write: |config, words, _| {
        let most = whole(words, 0, SLICE_MAX)?;
        if most > 0 && most <= config.array_sparse_kmin {
            return Err(BadValue::new("array-sparse-kmax must be greater than array-sparse-kmin when non-zero"));
        }
        config.array_sparse_kmax = most;
        Ok(())
    },
    show: |config| config.array_sparse_kmax.to_string().into_bytes(),
    lines: |config| vec![config.array_sparse_kmax.to_string().into_bytes()],
};

pub(super) static ARRAY_SPARSE_KMIN: Special = Special {
    form: "0 to 65536, less than array-sparse-kmax unless that is 0",
    split: false,
    write: |config, words, _| {
        let least = whole(words, 0, SLICE_MAX)?;
        if config.array_sparse_kmax > 0 && least >= config.array_sparse_kmax {
            return Err(BadValue::new("array-sparse-kmin must be less than array-sparse-kmax"));
        }
        config.array_sparse_kmin = least;
        Ok(())
    },
    show: |config| config.array_sparse_kmin.to_string().into_bytes(),
    lines: |config| vec![config.array_sparse_kmin.to_string().into_bytes()],
};

const SHUTDOWN_FORM: &str = "default, or some of save, nosave, now, force";

pub(super) static SHUTDOWN_ON_SIGINT: Special = Special {
    form: SHUTDOWN_FORM,
    split: true,
    write: |config, words, _| parse_shutdown(words).map(|flags| config.shutdown_on_sigint = flags),
    show: |config| config.shutdown_on_sigint.words().into_bytes(),
    lines: |config| vec![config.shutdown_on_sigint.words().into_bytes()],
};

pub(super) static SHUTDOWN_ON_SIGTERM: Special = Special {
    form: SHUTDOWN_FORM,
    split: true,
    write: |config, words, _| parse_shutdown(words).map(|flags| config.shutdown_on_sigterm = flags),
    show: |config| config.shutdown_on_sigterm.words().into_bytes(),
    lines: |config| vec![config.shutdown_on_sigterm.words().into_bytes()],
};

fn parse_shutdown(words: &[&[u8]]) -> Result<ShutdownFlags, BadValue> {
    let mut flags = ShutdownFlags::default();
    if words.is_empty() {
        return Err(one_of(ShutdownFlags::WORDS));
    }
    for (index, word) in words.iter().enumerate() {
        if !flags.add(word) {
            return Err(BadValue { word: index, ..one_of(ShutdownFlags::WORDS) });
        }
    }
    if flags.save && flags.nosave {
        return Err(BadValue::new("shutdown options SAVE and NOSAVE can't be used simultaneously"));
    }
    Ok(flags)
}

pub(super) static REPLICAOF: Special = Special {
    form: "host and port, or no one",
    split: true,
    write: |config, words, _| {
        let [host, port] = words else { return Err(BadValue::new(WRONG_ARITY)) };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            config.replicaof = None;
            return Ok(());
        }
        let port =
            parse_i64(port).and_then(|port| u16::try_from(port).ok()).ok_or(BadValue::at(1, "Invalid master port"))?;
        config.replicaof = Some(ReplicaOf { host: Text::from(*host), port });
        Ok(())
    },
    show: |config| match &config.replicaof {
        Some(primary) => [&primary.host[..], b" ", primary.port.to_string().as_bytes()].concat(),
        None => Vec::new(),
    },
    lines: |config| {
        let line = |primary: &ReplicaOf| {
            [&word_in_file(&primary.host), &b" "[..], primary.port.to_string().as_bytes()].concat()
        };
        config.replicaof.iter().map(line).collect()
    },
};

pub(super) static DIR: Special = Special {
    form: "a folder; made at start when it is missing",
    split: false,
    write: |config, words, source| {
        let [word] = words else { return Err(BadValue::at(usize::from(words.len() > 1), WRONG_ARITY)) };
        let path = Text::from(*word);
        let found = std::fs::canonicalize(path.path());
        // A start makes the folder it lacks; a running server must not move to a place that is none.
        let absolute = match (found, source) {
            (Ok(found), _) if found.is_dir() => found,
            (Ok(_), _) => return Err(BadValue::new("Not a directory")),
            (Err(error), Source::Set) => return Err(BadValue::new(system_text(&error))),
            (Err(_), _) => absolute(path.path()).map_err(|error| BadValue::new(system_text(&error)))?,
        };
        config.dir = Text::from(absolute.as_os_str().as_bytes());
        Ok(())
    },
    show: |config| config.dir.to_vec(),
    lines: |config| vec![quoted(&config.dir)],
};

/// A file from elsewhere may ask for it; a client is told at once that there is nothing to switch on.
pub(super) static ACTIVEDEFRAG: Special = Special {
    form: "yes or no",
    split: false,
    write: |config, words, source| {
        let [word] = words else { return Err(BadValue::at(usize::from(words.len() > 1), WRONG_ARITY)) };
        let wanted = parse_bool(word)?;
        if wanted && source == Source::Set {
            return Err(BadValue::new("Active defragmentation cannot be enabled: this server has none"));
        }
        config.activedefrag = wanted;
        Ok(())
    },
    show: |config| yes_no(config.activedefrag).into(),
    lines: |config| vec![yes_no(config.activedefrag).into()],
};

pub(super) static USER: Special = Special {
    form: "name and ACL rules; one line per user",
    split: false,
    write: |config, words, _| {
        let Some(name) = words.first() else { return Err(BadValue::new(BAD_DIRECTIVE)) };
        if config.user.iter().any(|user| user.first().is_some_and(|known| &known[..] == *name)) {
            let name = String::from_utf8_lossy(name);
            return Err(BadValue::new(format!(
                "Error in user declaration '{name}': Duplicate user found. A user can only be defined once in config files"
            )));
        }
        config.user.push(words.iter().map(|word| Text::from(*word)).collect());
        Ok(())
    },
    show: |_| Vec::new(),
    lines: |_| Vec::new(),
};

pub(super) static RENAME_COMMAND: Special = Special {
    form: "a command's name and its new name; \"\" hides the command",
    split: false,
    write: |config, words, _| {
        let [from, to] = words else { return Err(BadValue::new(BAD_DIRECTIVE)) };
        config.rename_command.push((Text::from(*from), Text::from(*to)));
        Ok(())
    },
    show: |_| Vec::new(),
    lines: |_| Vec::new(),
};

pub(super) static LOADMODULE: Special = Special {
    form: "a library's path and its arguments",
    split: false,
    write: |config, words, _| {
        if words.is_empty() {
            return Err(BadValue::new(BAD_DIRECTIVE));
        }
        config.loadmodule.push(words.iter().map(|word| Text::from(*word)).collect());
        Ok(())
    },
    show: |_| Vec::new(),
    lines: |_| Vec::new(),
};

/// The file parser follows it before it gets here; only a wrong count of words is left to be said.
pub(super) static INCLUDE: Special = Special {
    form: "a file, or a pattern with * and ?",
    split: false,
    write: |_, words, _| if words.len() == 1 { Ok(()) } else { Err(BadValue::new(BAD_DIRECTIVE)) },
    show: |_| Vec::new(),
    lines: |_| Vec::new(),
};

/// Directives of old Redis versions that mean nothing any more.
pub(super) static IGNORED: Special = Special {
    form: "anything; has no effect",
    split: false,
    write: |_, words, _| if words.len() == 1 { Ok(()) } else { Err(BadValue::new(BAD_DIRECTIVE)) },
    show: |_| Vec::new(),
    lines: |_| Vec::new(),
};

/// The path from the root, without `.` parts; it need not exist.
pub(super) fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}

/// The system's words for an error, without Rust's `(os error n)`.
pub(super) fn system_text(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

/// Quoted only where a plain word would be read as something else.
fn word_in_file(word: &[u8]) -> Vec<u8> {
    let plain = !word.is_empty() && word.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'\\#".contains(byte));
    if plain { word.to_vec() } else { quoted(word) }
}

fn join(words: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
    words.collect::<Vec<_>>().join(&b' ')
}

/// Checks of text options.
pub(super) mod check {
    pub(in crate::config) fn dbfilename(text: &[u8]) -> Result<(), &'static str> {
        if text.contains(&b'/') { Err("dbfilename can't be a path, just a filename") } else { Ok(()) }
    }

    pub(in crate::config) fn appendfilename(text: &[u8]) -> Result<(), &'static str> {
        match text {
            b"" => Err("appendfilename can't be empty"),
            _ if text.contains(&b'/') => Err("appendfilename can't be a path, just a filename"),
            _ => Ok(()),
        }
    }

    pub(in crate::config) fn appenddirname(text: &[u8]) -> Result<(), &'static str> {
        match text {
            b"" => Err("appenddirname can't be empty"),
            _ if text.contains(&b'/') => Err("appenddirname can't be a path, just a dirname"),
            _ => Ok(()),
        }
    }

    pub(in crate::config) fn moment(text: &[u8]) -> Result<(), &'static str> {
        if text.is_empty() || crate::base::clock::parse_moment(text).is_some() {
            return Ok(());
        }
        Err("argument must be Unix seconds or a time like 2026-11-30T12:00:00Z")
    }

    pub(in crate::config) fn hostname(text: &[u8]) -> Result<(), &'static str> {
        if text.len() >= 256 {
            return Err("Hostnames must be less than 256 characters");
        }
        if text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte)) {
            return Ok(());
        }
        Err("Hostnames may only contain alphanumeric characters, hyphens or dots")
    }

    pub(in crate::config) fn nodename(text: &[u8]) -> Result<(), &'static str> {
        // What would break a line of the cluster's file.
        let bad = |byte: &u8| !byte.is_ascii_graphic() || b"!\"#$%&'()*+,/:;<=>?@[]^{|}~".contains(byte);
        if text.iter().any(bad) { Err("Announced human node name contained invalid character") } else { Ok(()) }
    }

    pub(in crate::config) fn proc_title(text: &[u8]) -> Result<(), &'static str> {
        const VARIABLES: [&[u8]; 7] =
            [b"title", b"listen-addr", b"server-mode", b"port", b"tls-port", b"unixsocket", b"config-file"];
        let bad = Err("template format is invalid or contains unknown variables");
        let mut rest = text;
        if text.is_empty() {
            return bad;
        }
        while let Some(open) = rest.iter().position(|byte| *byte == b'{') {
            let inside = &rest[open + 1..];
            let Some(close) = inside.iter().position(|byte| *byte == b'}') else { return bad };
            if !VARIABLES.contains(&&inside[..close]) {
                return bad;
            }
            rest = &inside[close + 1..];
        }
        Ok(())
    }
}
