//! Forms of pub/sub and client-side caching, as far as each has one reply: what is listened to is never published to, and one topic of a
//! kind is all that anybody listens to. Knows
//! no server.

use super::check::Check::*;
use super::forms::{Form, form};

pub const PUBSUB: &[Form] = &[
    form(6, Exact, "publish (c1|c2|__key1) <v>"),
    form(3, Exact, "spublish (c1|c2) <v>"),
    form(4, Fixed, "subscribe q1"),
    form(3, Fixed, "psubscribe q?"),
    form(2, Fixed, "ssubscribe q1"),
    form(6, Fixed, "unsubscribe q1"),
    form(6, Fixed, "punsubscribe q?"),
    form(4, Fixed, "sunsubscribe q1"),
    form(8, Fixed, "reset"),
    form(2, Unordered, "pubsub (channels|shardchannels) [(q*|q1|[a-q]2)]"),
    form(2, Exact, "pubsub (numsub|shardnumsub) *(<name>)"),
    form(2, Exact, "pubsub numsub q1 q2 mark"),
    form(2, Exact, "pubsub (numpat|channels|nonsense) x y"),
    form(1, Exact, "pubsub numpat"),
    form(4, Kind, "client trackinginfo"),
    form(4, Exact, "client caching (yes|no|maybe)"),
    form(2, Fixed, "client tracking off"),
    // Turned on without a redirection a client of RESP3 would be told things between its replies.
    form(
        4,
        Fixed,
        "client tracking (maybe bcast|on bcast optin|on prefix a|on optin optout|on redirect x|on redirect 99999|on prefix|on nonsense)",
    ),
];
