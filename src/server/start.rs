//! From the command line to a running reactor, and from its end to the exit status.

use super::Server;
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::command::{Debug, FAMILIES, Facts};
use crate::config::Config;
use crate::net::{Listener, Reactor};
use crate::sys::{alloc, ticks};
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;

/// Said to a client from elsewhere while the server has neither a password nor a named address to listen on.
pub const PROTECTED_MODE_TEXT: &str = "-DENIED This server runs in protected mode: it has no password and was not told \
which address to listen on, so it takes connections of its own machine only. To open it: (1) CONFIG SET protected-mode no \
from the machine itself, if the network keeps strangers away, and CONFIG REWRITE to keep it so; (2) 'protected-mode no' in \
the configuration file, then a restart; (3) --protected-mode no at the start, for a trial; (4) a password, which is the best \
way: requirepass, or ACL SETUSER for the default user.\r\n";

/// Why the server did not start.
#[derive(Debug)]
pub enum StartError {
    /// No event loop, no signals or no randomness.
    System(io::Error),
    /// An address could not be listened on.
    Listen(SocketAddr, io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartError::System(error) => write!(f, "The system refuses what the server needs: {error}"),
            StartError::Listen(addr, error) => {
                write!(f, "Could not create server TCP listening socket {addr}: {error}")
            }
        }
    }
}

/// Runs the server until it ends.
pub fn run(args: impl Iterator<Item = OsString>) -> ExitCode {
    let args: Vec<OsString> = args.collect();
    let mut config = Config::default();
    for pair in args[1..].chunks(2) {
        if pair[0] == "--port" {
            config.port = pair[1].to_str().and_then(|text| text.parse().ok()).unwrap_or(config.port);
        }
    }
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(config: Config) -> Result<(), StartError> {
    ticks::calibrate();
    let clock = Clock::default();
    let mut rng = Rng::from_entropy().map_err(|error| StartError::System(io::Error::other(error)))?;
    let mut reactor = Reactor::new(clock, &[libc::SIGTERM, libc::SIGINT]).map_err(StartError::System)?;
    reactor.keepalive_secs = config.tcp_keepalive;
    let port = config.port;
    let addr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port);
    let listener = Listener::tcp(addr, config.tcp_backlog).map_err(|error| StartError::Listen(addr, error))?;
    reactor.add_listener(listener).map_err(StartError::System)?;
    let facts = Facts {
        run_id: rng.hex(40),
        started: clock.read(),
        config_file: None,
        executable: std::env::current_exe().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        port,
        pause: None,
        debug: Debug::default(),
        startup_used_bytes: alloc::used_bytes() as usize,
    };
    let mut server = Server::new(config, facts, FAMILIES, rng, clock.read());
    println!("Ready to accept connections tcp, PID: {}", std::process::id());
    reactor.run(&mut server).map_err(StartError::System)
}
