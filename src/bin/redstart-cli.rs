//! `redstart-cli`: a small client. One command, a prompt, commands from standard input, or a short benchmark. Knows the
//! protocol and the quoting of lines, nothing of the server's insides.

#![deny(unsafe_code)]

#[path = "../cli/bench.rs"]
mod bench;
#[path = "../cli/options.rs"]
mod options;
#[path = "../cli/print.rs"]
mod print;
#[path = "../cli/prompt.rs"]
mod prompt;
#[path = "../cli/wire.rs"]
mod wire;

use options::Todo;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<Vec<u8>> = std::env::args_os().skip(1).map(std::ffi::OsString::into_encoded_bytes).collect();
    let done = match options::parse(args, std::env::var("REDISCLI_AUTH").ok()) {
        Ok(Todo::Help(text)) => {
            print!("{text}");
            Ok(true)
        }
        Ok(Todo::Command(options, words)) => prompt::one_command(&options, &words),
        Ok(Todo::Prompt(options)) => prompt::run(&options),
        Ok(Todo::Bench(options, plan)) => bench::run(&options, &plan),
        Err(text) => Err(text),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(text) => {
            eprintln!("{text}");
            ExitCode::FAILURE
        }
    }
}
