//! INFO, and the extension that tells of one key.

use super::SERVER;
use crate::base::clock::{lfu_unpack, lru_idle_secs};
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Flow, Outcome};
use crate::command::table::{Arg, Command, acl, flag};
use crate::keyspace::Touch;
use crate::session::Session;
use crate::stats::MemoryFigures;
use crate::stats::info::{self, Process, Source};
use crate::types::Kind;

/// The family.
pub const COMMANDS: &[Command] = &[Command {
    name: "info",
    arity: -1,
    flags: flag::LOADING | flag::STALE,
    acl: acl::DANGEROUS,
    args: &[Arg::string("section").multiple().optional()],
    since: "1.0.0",
    complexity: "O(1)",
    summary: "Tells how the server is and how it does.",
    history: &[("7.0.0", "Takes several sections.")],
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    run: Some(info),
    ..SERVER
}];

fn info(cx: &mut Ctx<'_>, args: &mut Args<'_>) -> Outcome {
    let words: Vec<&[u8]> = args.argv().skip(args.position()).iter().collect();
    let sections = info::wanted(&words);
    // Taken before the text is made, which is memory too.
    let wants_memory = sections.iter().any(|section| section.name == "Memory");
    let memory = wants_memory.then(|| cx.memory_figures());
    let text = match words.as_slice() {
        [word] if sections.is_empty() => about_key(cx, args, word),
        _ => info::render(&sections, &cx.info_source(memory)),
    };
    cx.reply.verbatim("txt", text.as_bytes());
    Ok(Flow::Done)
}

/// What is known of one key, without marking it as used; nothing if there is none.
fn about_key(cx: &mut Ctx<'_>, args: &Args<'_>, name: &[u8]) -> String {
    let (now, touch) = (cx.now, cx.db.space.book.touch);
    let key = args.key_of(name);
    let Some(entry) = cx.db.peek(key) else { return String::new() };
    let ttl = entry.deadline().map_or(-1, |at| ((at - now.unix_ms.0).max(0) + 500) / 1000);
    let used = match touch {
        Touch::Lru => format!("idle:{}", lru_idle_secs(entry.lru(), now)),
        Touch::Lfu { .. } => format!("freq:{}", lfu_unpack(entry.lru()).0),
    };
    format!(
        "# Key\r\ntype:{}\r\nencoding:{}\r\nttl:{ttl}\r\nmemory:{}\r\n{used}\r\n",
        Kind::of(entry.kind()).type_of().name(),
        crate::types::encoding(entry),
        super::memory::key_bytes(entry)
    )
}

impl Ctx<'_> {
    /// Where the memory is now.
    pub fn memory_figures(&self) -> MemoryFigures {
        let used = crate::sys::alloc::used_bytes() as u64;
        let others: usize = self.sessions.iter().map(Session::alloc_bytes).sum();
        let clients = (others + self.session.alloc_bytes()) as u64;
        let peak = self.stats.totals.peak_used_bytes;
        MemoryFigures::gather(used, peak, self.facts.startup_used_bytes as u64, clients, self.db.space)
    }

    /// What INFO looks at.
    pub fn info_source(&self, memory: Option<MemoryFigures>) -> Source<'_> {
        let names = self.table.rows().map(|row| row.command.shown_name());
        Source {
            now: self.now,
            process: Process {
                run_id: &self.facts.run_id,
                replid: &self.facts.replid,
                started: self.facts.started,
                executable: &self.facts.executable,
            },
            config: self.config,
            keyspace: self.db.space,
            session: self.session,
            sessions: self.sessions,
            hub: self.hub,
            stats: self.stats,
            commands: names.zip(&self.stats.commands).collect(),
            memory,
            scripts: self.scripts.figures(),
        }
    }
}
