//! Channels: PUBLISH, SUBSCRIBE and their kin, sharded ones, PUBSUB. Who listens is known to the hub; here are the words.
//!
//! A client of RESP2 that listens may do little else (the gate `heard_while_subscribed`): its replies and the messages could
//! not be told apart.

use super::args::Args;
use super::ctx::{Ctx, Flow, Outcome, Wait};
use super::error::CmdError;
use super::help;
use super::news::Message;
use super::table::{Arg, ArgType, Channels, Command, KeySpec, flag, key_flag as kf};
use crate::base::glob::glob_match;
use crate::hub::Topic;
use crate::resp::Reply;
use crate::session::ReplyMode;

/// A row of this family.
const PUBSUB: Command = Command { group: "pubsub", ..Command::BLANK };
const ALWAYS: u32 = flag::PUBSUB | flag::LOADING | flag::STALE;
const LISTEN: u32 = ALWAYS | flag::NOSCRIPT | flag::WHILE_SUBSCRIBED;
const SHARD: &[KeySpec] = &[KeySpec::at(1, kf::NOT_KEY)];
const SHARDS: &[KeySpec] = &[KeySpec::range(1, -1, 1, kf::NOT_KEY)];
const CHANNEL: Arg = Arg::string("channel");
const SHARD_CHANNEL: Arg = Arg::string("shardchannel");
const MESSAGE: Arg = Arg::string("message");
/// Topics that a client who leaves all leaves in one go: others are served between the parts.
const LEAVE_AT_ONCE: usize = 1_000;
const PATTERN: Arg = Arg::new("pattern", ArgType::Pattern);

const PUBLISH: Command = Command {
    name: "publish",
    arity: 3,
    flags: ALWAYS | flag::FAST | flag::MAY_REPLICATE,
    args: &[CHANNEL, MESSAGE],
    channels: Channels::First,
    since: "2.0.0",
    complexity: "O(N+M), N the clients that listen to the channel, M the patterns that all clients listen to",
    summary: "Sends a message to all who listen to a channel; replies how many do.",
    run: Some(publish),
    ..PUBSUB
};
const SUBSCRIBE: Command = Command {
    name: "subscribe",
    arity: -2,
    flags: LISTEN | flag::DENYOOM,
    channels: Channels::All,
    args: &[CHANNEL.multiple()],
    since: "2.0.0",
    complexity: "O(N) in the channels",
    summary: "Listens to channels.",
    run: Some(subscribe),
    ..PUBSUB
};
const UNSUBSCRIBE: Command = Command {
    name: "unsubscribe",
    arity: -1,
    flags: LISTEN,
    args: &[CHANNEL.optional().multiple()],
    since: "2.0.0",
    complexity: "O(N) in the channels",
    summary: "Listens to channels no longer; to none if none is named.",
    run: Some(unsubscribe),
    ..PUBSUB
};
const PSUBSCRIBE: Command = Command {
    name: "psubscribe",
    channels: Channels::Patterns,
    args: &[PATTERN.multiple()],
    complexity: "O(N) in the patterns",
    summary: "Listens to all channels that match patterns.",
    run: Some(psubscribe),
    ..SUBSCRIBE
};
const PUNSUBSCRIBE: Command = Command {
    name: "punsubscribe",
    args: &[PATTERN.optional().multiple()],
    complexity: "O(N) in the patterns",
    summary: "Listens to patterns no longer; to none if none is named.",
    run: Some(punsubscribe),
    ..UNSUBSCRIBE
};

/// The family.
pub const COMMANDS: &[Command] = &[
    Command {
        name: "psub",
        same_as: "psubscribe",
        summary: "Listens to patterns: another name of PSUBSCRIBE.",
        ..PSUBSCRIBE
    },
    PSUBSCRIBE,
    Command { name: "pub", same_as: "publish", summary: "Sends a message: another name of PUBLISH.", ..PUBLISH },
    PUBLISH,
    Command {
        name: "pubsub",
        arity: -2,
        since: "2.8.0",
        complexity: "Depends on the subcommand",
        summary: "Tells who listens to what.",
        subcommands: SUBCOMMANDS,
        ..PUBSUB
    },
    Command {
        name: "punsub",
        same_as: "punsubscribe",
        summary: "Leaves patterns: another name of PUNSUBSCRIBE.",
        ..PUNSUBSCRIBE
    },
    PUNSUBSCRIBE,
    Command {
        name: "spublish",
        keys: SHARD,
        args: &[SHARD_CHANNEL, MESSAGE],
        since: "7.0.0",
        complexity: "O(N) in the clients that listen to the shard channel",
        summary: "Sends a message to all who listen to a shard channel; replies how many do.",
        run: Some(spublish),
        ..PUBLISH
    },
    Command {
        name: "ssubscribe",
        keys: SHARDS,
        args: &[SHARD_CHANNEL.multiple()],
        since: "7.0.0",
        summary: "Listens to shard channels.",
        run: Some(ssubscribe),
        ..SUBSCRIBE
    },
    Command {
        name: "sub",
        same_as: "subscribe",
        summary: "Listens to channels: another name of SUBSCRIBE.",
        ..SUBSCRIBE
    },
    SUBSCRIBE,
    Command {
        name: "sunsubscribe",
        keys: SHARDS,
        args: &[SHARD_CHANNEL.optional().multiple()],
        since: "7.0.0",
        summary: "Listens to shard channels no longer; to none if none is named.",
        run: Some(sunsubscribe),
        ..UNSUBSCRIBE
    },
    Command {
        name: "unsub",
        same_as: "unsubscribe",
        summary: "Leaves channels: another name of UNSUBSCRIBE.",
        ..UNSUBSCRIBE
    },
    UNSUBSCRIBE,
];

const SUBCOMMANDS: &[Command] = &[
    Command {
        name: "channels",
        full_name: "pubsub|channels",
        arity: -2,
        flags: ALWAYS,
        args: &[PATTERN.optional()],
        since: "2.8.0",
        complexity: "O(N) in the channels that anybody listens to",
        summary: "Replies the channels that anybody listens to, or those of them that match a pattern.",
        run: Some(channels),
        ..PUBSUB
    },
    Command { full_name: "pubsub|help", since: "6.2.0", group: "pubsub", ..help::ROW },
    Command {
        name: "numpat",
        full_name: "pubsub|numpat",
        arity: 2,
        flags: ALWAYS,
        since: "2.8.0",
        complexity: "O(1)",
        summary: "Counts the patterns that anybody listens to.",
        run: Some(numpat),
        ..PUBSUB
    },
    Command {
        name: "numsub",
        full_name: "pubsub|numsub",
        arity: -2,
        flags: ALWAYS,
        args: &[CHANNEL.optional().multiple()],
        since: "2.8.0",
        complexity: "O(N) in the channels named",
        summary: "Counts who listens to each of some channels.",
        run: Some(numsub),
        ..PUBSUB
    },
    Command {
        name: "shardchannels",
        full_name: "pubsub|shardchannels",
        arity: -2,
        flags: ALWAYS,
        args: &[PATTERN.optional()],
        since: "7.0.0",
        complexity: "O(N) in the shard channels that anybody listens to",
        summary: "Replies the shard channels that anybody listens to, or those of them that match a pattern.",
        run: Some(shardchannels),
        ..PUBSUB
    },
    Command {
        name: "shardnumsub",
        full_name: "pubsub|shardnumsub",
        arity: -2,
        flags: ALWAYS,
        args: &[SHARD_CHANNEL.optional().multiple()],
        since: "7.0.0",
        complexity: "O(N) in the shard channels named",
        summary: "Counts who listens to each of some shard channels.",
        run: Some(shardnumsub),
        ..PUBSUB
    },
];

fn publish(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    send(cx, args, Topic::Channel)
}

fn spublish(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    send(cx, args, Topic::Shard)
}

fn send(cx: &mut Ctx<'_>, args: &mut Args<'_>, kind: Topic) -> Outcome {
    let channel = args.bytes()?;
    let (bytes, shared) = args.value()?;
    let receivers = cx.publish(kind, channel, Message { bytes, shared });
    cx.effects.force_to_replicas();
    cx.reply.len(receivers);
    Ok(Flow::Done)
}

fn subscribe(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    listen(cx, args, Topic::Channel, "subscribe")
}

fn psubscribe(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    listen(cx, args, Topic::Pattern, "psubscribe")
}

fn ssubscribe(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    if !cx.may_block() {
        return Err(CmdError::SSUBSCRIBE_DENIED);
    }
    listen(cx, args, Topic::Shard, "ssubscribe")
}

fn listen(cx: &mut Ctx<'_>, args: &mut Args<'_>, kind: Topic, verb: &str) -> Outcome {
    // What happened before was not listened to.
    cx.deliver();
    while args.more() {
        let name = args.bytes()?;
        if cx.hub.channels.subscribe(cx.session.conn, kind, name) {
            cx.session.listens(kind as usize, name.len());
        }
        confirm(cx, kind, verb, Some(name));
    }
    cx.refresh_interest();
    Ok(Flow::Done)
}

fn unsubscribe(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    stop_listening(cx, args, Topic::Channel, "unsubscribe")
}

fn punsubscribe(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    stop_listening(cx, args, Topic::Pattern, "punsubscribe")
}

fn sunsubscribe(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    stop_listening(cx, args, Topic::Shard, "sunsubscribe")
}

fn stop_listening(cx: &mut Ctx<'_>, args: &mut Args<'_>, kind: Topic, verb: &str) -> Outcome {
    // What happened before was listened to.
    cx.deliver();
    if args.more() {
        while args.more() {
            let name = args.bytes()?;
            leave(cx, kind, name);
            confirm(cx, kind, verb, Some(name));
        }
    } else if cx.session.subscribed[kind as usize] == 0 {
        confirm(cx, kind, verb, None);
    } else {
        return leave_all(cx, kind, verb);
    }
    cx.refresh_interest();
    Ok(Flow::Done)
}

/// All topics of a kind, however many: each is answered as it is left.
fn leave_all(cx: &mut Ctx<'_>, kind: Topic, verb: &str) -> Outcome {
    let most = if cx.may_block() { LEAVE_AT_ONCE } else { usize::MAX };
    for _ in 0..most {
        let Some(name) = cx.hub.channels.any(cx.session.conn, kind) else { break };
        leave(cx, kind, &name);
        confirm(cx, kind, verb, Some(&name));
    }
    cx.refresh_interest();
    if cx.session.subscribed[kind as usize] == 0 {
        return Ok(Flow::Done);
    }
    // The rest comes in the next turns, before anything else that the client has sent.
    Ok(Flow::Block(Box::new(Wait::to_go_on(cx.now.mono_ms() + 1))))
}

fn leave(cx: &mut Ctx<'_>, kind: Topic, name: &[u8]) {
    if cx.hub.channels.unsubscribe(cx.session.conn, kind, name) {
        cx.session.stops_listening(kind as usize, name.len());
    }
}

/// Tells the client what it listens to now: each topic is answered, and counted.
fn confirm(cx: &mut Ctx<'_>, kind: Topic, verb: &str, name: Option<&[u8]>) {
    let [channels, patterns, shards] = cx.session.subscribed;
    let count = if kind == Topic::Shard { shards } else { channels + patterns };
    let write = |reply: &mut Reply<'_>| {
        reply.push(3);
        reply.bulk(verb.as_bytes());
        match name {
            Some(name) => reply.bulk(name),
            None => reply.null(),
        }
        reply.int(i64::from(count));
    };
    if cx.session.reply_mode == ReplyMode::On {
        write(&mut cx.reply);
    } else {
        // Not a reply, which CLIENT REPLY would keep back: like a message it comes whatever the client said.
        write(&mut Reply::new(&mut cx.sessions.late, cx.session.proto));
    }
}

fn channels(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    names(cx, args, Topic::Channel)
}

fn shardchannels(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    names(cx, args, Topic::Shard)
}

fn names(cx: &mut Ctx<'_>, args: &mut Args<'_>, kind: Topic) -> Outcome {
    if args.left() > 1 {
        return Err(CmdError::subcommand_syntax(args.argv().get(1).unwrap_or_default(), "pubsub"));
    }
    let pattern = args.peek();
    let all = cx.hub.channels.names(kind);
    let names: Vec<&[u8]> = all.filter(|name| pattern.is_none_or(|p| glob_match(p, name, false))).collect();
    cx.reply.array(names.len());
    names.into_iter().for_each(|name| cx.reply.bulk(name));
    Ok(Flow::Done)
}

fn numpat(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    cx.reply.len(cx.hub.channels.count(Topic::Pattern));
    Ok(Flow::Done)
}

fn numsub(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    counts(cx, args, Topic::Channel)
}

fn shardnumsub(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    counts(cx, args, Topic::Shard)
}

fn counts(cx: &mut Ctx<'_>, args: &mut Args<'_>, kind: Topic) -> Outcome {
    cx.reply.array(2 * args.left());
    while args.more() {
        let name = args.bytes()?;
        cx.reply.bulk(name);
        cx.reply.len(cx.hub.channels.listeners(kind, name).count());
    }
    Ok(Flow::Done)
}

impl Ctx<'_> {
    /// The client listens to nothing any more, and is not told so.
    pub(super) fn leave_channels(&mut self) {
        if self.session.subscribed != [0; 3] {
            self.hub.channels.leave(self.session.conn);
            self.session.stops_listening_at_all();
            self.refresh_interest();
        }
    }
}
