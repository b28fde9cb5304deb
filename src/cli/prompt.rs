//! Commands one by one: from the command line, from a prompt on a terminal, from standard input. Knows no protocol.

use super::options::Options;
use super::print::{Style, render};
use super::wire::{Connection, Reply, address, plain};
use redstart::base::text::split_args;
use std::io::{self, BufRead, IsTerminal, Write};

/// Commands after which the server goes on sending.
const ENDLESS: &[&str] = &["monitor", "subscribe", "psubscribe", "ssubscribe"];

fn style(options: &Options) -> Style {
    match options.raw.unwrap_or_else(|| !io::stdout().is_terminal()) {
        true => Style::Raw,
        false => Style::People,
    }
}

fn print(reply: &Reply, style: Style) -> Result<(), String> {
    let mut out = io::stdout().lock();
    out.write_all(&render(reply, style)).and_then(|()| out.flush()).map_err(|e| plain(&e))
}

/// Runs a command and prints its replies; whether it gave no error.
fn run_command(connection: &mut Connection, words: &[Vec<u8>], style: Style) -> Result<bool, String> {
    let reply = connection.call(words).map_err(|e| format!("Error: {}", plain(&e)))?;
    print(&reply, style)?;
    let fine = !matches!(reply, Reply::Error(_));
    let is_endless = words.first().is_some_and(|word| ENDLESS.iter().any(|e| word.eq_ignore_ascii_case(e.as_bytes())));
    if !(fine && is_endless) {
        return Ok(fine);
    }
    loop {
        let reply = connection.read().map_err(|e| format!("Error: {}", plain(&e)))?;
        print(&reply, style)?;
    }
}

/// The command of the command line.
///
/// # Errors
/// A text for the user.
pub fn one_command(options: &Options, words: &[Vec<u8>]) -> Result<bool, String> {
    let mut connection = Connection::open(options)?;
    let fine = run_command(&mut connection, words, style(options))?;
    Ok(fine || !options.strict)
}

/// Commands from a terminal or from standard input, until it ends or says `exit` or `quit`.
///
/// # Errors
/// A text for the user; on a terminal a broken connection is told and opened anew.
pub fn run(options: &Options) -> Result<bool, String> {
    let interactive = io::stdin().is_terminal();
    let mut options = options.clone();
    let mut connection = match Connection::open(&options) {
        Ok(connection) => Some(connection),
        Err(text) if interactive => {
            println!("{text}");
            None
        }
        Err(text) => return Err(text),
    };
    let mut all_fine = true;
    loop {
        if interactive {
            show_prompt(&options, connection.is_some())?;
        }
        let Some(line) = next_line()? else { break };
        let words = match split_args(&line) {
            Ok(words) => words,
            Err(_) => {
                println!("Invalid argument(s)");
                all_fine = false;
                continue;
            }
        };
        match words.first() {
            None => continue,
            Some(first) if first.eq_ignore_ascii_case(b"exit") || first.eq_ignore_ascii_case(b"quit") => break,
            Some(_) => {}
        }
        let done = serve(&mut connection, &mut options, &words);
        match done {
            Ok(fine) => all_fine &= fine,
            Err(text) if interactive => {
                println!("{text}");
                connection = None;
            }
            Err(text) => return Err(text),
        }
    }
    Ok(all_fine || !options.strict)
}

fn serve(connection: &mut Option<Connection>, options: &mut Options, words: &[Vec<u8>]) -> Result<bool, String> {
    let open = match connection {
        Some(open) => open,
        None => connection.insert(Connection::open(options)?),
    };
    let fine = run_command(open, words, style(options))?;
    if let (true, [name, db]) = (fine, words) {
        if name.eq_ignore_ascii_case(b"select") {
            // The prompt shows it, and a new connection goes there.
            options.db = std::str::from_utf8(db).ok().and_then(|db| db.parse().ok()).unwrap_or(options.db);
        }
    }
    Ok(fine)
}

fn show_prompt(options: &Options, connected: bool) -> Result<(), String> {
    let place = if connected { address(options) } else { "not connected".to_owned() };
    let db = if connected && options.db != 0 { format!("[{}]", options.db) } else { String::new() };
    let mut out = io::stdout().lock();
    write!(out, "{place}{db}> ").and_then(|()| out.flush()).map_err(|e| plain(&e))
}

fn next_line() -> Result<Option<Vec<u8>>, String> {
    let mut line = Vec::new();
    match io::stdin().lock().read_until(b'\n', &mut line) {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(line)),
        Err(e) => Err(plain(&e)),
    }
}
