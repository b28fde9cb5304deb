//! Bytes to requests, replies to bytes: RESP2 and RESP3. Knows no command, no client, no socket.

mod command;
mod outbox;
mod reply;
mod request;

pub use command::encode_command;
pub use outbox::{Outbox, SHARE_BYTES};
pub use reply::{Deferred, Proto, Reply};
pub use request::{
    Argv, BIG_BULK_BYTES, Decoded, Decoder, Head, OwnedArgv, ProtocolError, RequestLimits, Span, fuzz_request,
};
