//! The command table and the families. A command is one row and one function in one family file; what it may see of the
//! rooms above comes to it through `Ctx`. COMMAND, arity errors, HELP and the README's table are derived from the rows.

mod access;
mod args;
mod blocking;
mod client;
mod connection;
mod ctx;
pub mod derived;
mod error;
mod execute;
mod gate;
mod login;
mod table;

mod array;
mod bitmap;
mod dump;
mod expiry;
mod function;
mod generic;
mod geo;
mod hash;
mod help;
mod hyperloglog;
pub mod keys;
mod lcs;
mod list;
mod news;
mod popping;
mod pubsub;
mod room;
mod scan;
mod script;
mod server;
mod set;
mod sort;
mod stream;
mod string;
mod transactions;
pub mod users;
mod vector;
mod zset;

pub use access::catalog;
pub use args::Args;
pub use blocking::{give_up_waiting, retry, time_out};
pub use ctx::{Ask, Ctx, Debug, Facts, Flow, Outcome, PauseKind, Pump, Saving, Shutdown, Wait};
pub use dump::Links;
pub use error::CmdError;
pub use execute::{Handled, close_vanished, end_unit, execute, refuse_protocol, resolve};
pub use function::adopt_libraries;
pub use login::login_as;
pub use news::{Mail, broadcast, deliver_events, forget_surplus, interest};
pub use room::make_room;
pub use server::append_log::LogDesk;
pub use server::persistence;
pub use server::scrape;
pub use table::{Arg, ArgType, Begin, Command, Find, Handler, KeySpec, Row, Table, acl, flag, key_flag};

use crate::resp::Reply;
use crate::types::Elem;

/// All families.
pub static FAMILIES: &[&[Command]] = &[
    connection::COMMANDS,
    client::COMMANDS,
    transactions::COMMANDS,
    generic::COMMANDS,
    generic::MEMBER_COMMANDS,
    string::COMMANDS,
    hash::COMMANDS,
    hash::EXPIRY_COMMANDS,
    hash::SEVERAL_COMMANDS,
    hash::IMPORT_COMMANDS,
    list::COMMANDS,
    list::blocking::COMMANDS,
    list::moving::COMMANDS,
    set::COMMANDS,
    zset::COMMANDS,
    zset::blocking::COMMANDS,
    bitmap::COMMANDS,
    hyperloglog::COMMANDS,
    geo::COMMANDS,
    sort::COMMANDS,
    stream::COMMANDS,
    pubsub::COMMANDS,
    dump::COMMANDS,
    script::COMMANDS,
    function::COMMANDS,
    vector::COMMANDS,
    array::COMMANDS,
    server::admin::COMMANDS,
    server::append_log::COMMANDS,
    server::command::COMMANDS,
    server::config::COMMANDS,
    server::debug::COMMANDS,
    server::info::COMMANDS,
    server::latency::COMMANDS,
    server::memory::COMMANDS,
    server::persistence::COMMANDS,
    server::slowlog::COMMANDS,
    users::COMMANDS,
    users::ADMIN_COMMANDS,
];

/// An element as a bulk string.
#[inline]
pub(crate) fn reply_elem(reply: &mut Reply<'_>, elem: Elem<'_>) {
    match elem {
        Elem::Int(n) => reply.bulk_int(n),
        Elem::Str(bytes) => reply.bulk(bytes),
    }
}

/// An element, or no value.
#[inline]
pub(crate) fn reply_elem_opt(reply: &mut Reply<'_>, elem: Option<Elem<'_>>) {
    match elem {
        Some(elem) => reply_elem(reply, elem),
        None => reply.null(),
    }
}

/// The first `count` elements become a random choice of all, in random order (Fisher and Yates, as far as needed).
pub(crate) fn shuffle_front<T>(all: &mut [T], count: usize, random: &mut impl FnMut() -> u64) {
    for index in 0..count.min(all.len()) {
        let left = (all.len() - index) as u128;
        let other = index + ((u128::from(random()) * left) >> 64) as usize;
        all.swap(index, other);
    }
}
