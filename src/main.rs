//! The server's program: everything begins in `server::run`.

use std::process::ExitCode;

fn main() -> ExitCode {
    redstart::server::run(std::env::args_os())
}
