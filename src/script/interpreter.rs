//! A Lua state in its sandbox: compiles, runs, and says why something failed. Time is bounded by asking the host every so
//! many instructions, memory by the allocator.

use super::api::Registered;
use super::host::{Host, Interrupt, LentHost};
use super::random::Random;
use super::sandbox::{self, Entries};
use crate::base::{float, number};
use crate::resp::{Argv, OwnedArgv, Proto};
use crate::sys::loan::Loan;
use crate::sys::lua::{self, CallArg, CallArgs, doors};
use mlua::{ChunkMode, Function, HookTriggers, Lua, LuaOptions, StdLib, Table, Value, VmState};
use std::cell::{Cell, OnceCell, RefCell};
use std::ops::Range;
use std::rc::Rc;

/// Instructions between two looks at the clock: about a millisecond.
const INSTRUCTIONS_PER_LOOK: u32 = 100_000;
/// Runs between two looks at what Lua holds.
const RUNS_PER_LOOK: u32 = 50;
/// With more in use at a look, everything is collected at once.
const LARGE_BYTES: usize = 8 << 20;
/// A collection by steps begins when Lua holds so many per cent of what the last one left: each walks the libraries, which are
/// most of it, and at Lua's own 200 that took a twelfth of a small script's time.
const PAUSE_PERCENT: i32 = 400;
/// With so many bytes in use what is compiled pays for the collector's walk over them, which then ends before much has come
/// to it: many scripts and libraries would else leave as much waste as they take.
const GROWN_BYTES: usize = 1 << 20;
/// Up to so many bytes a collection is over in a fraction of a millisecond: it can be had ten times a second.
const SMALL_BYTES: usize = 256 * 1024;
/// Steps of the collector for each text that is compiled: some 2 KB walked by each.
const STEPS_PER_TEXT: u32 = 4;

/// What the functions that Lua calls find of the server and of each other.
pub(super) struct Shared {
    /// Whoever lends itself for a run.
    pub host: Loan<LentHost>,
    /// The protocol's version that replies are in, for the running script.
    pub proto: Cell<Proto>,
    /// Behind `math.random`.
    pub random: Random,
    /// What a library registers while it is loaded.
    pub registering: RefCell<Option<Vec<Registered>>>,
    /// `@user_script` or `@user_function`.
    pub source_name: &'static str,
    /// Compiled scripts and functions by number, in the state: it holds few references from outside.
    pub bodies: OnceCell<Table>,
    last_body: Cell<i64>,
    /// Words of the command that is called, kept for their room.
    words: RefCell<OwnedArgv>,
    /// Why and where the host ended the script.
    stopped: RefCell<Option<String>>,
}

/// Why a run failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The error line without its dash.
    pub text: Vec<u8>,
    /// Whether it was counted already, by the command that gave it.
    pub counted: bool,
}

impl Failed {
    pub(super) fn new(text: impl Into<Vec<u8>>) -> Failed {
        Failed { text: text.into(), counted: false }
    }
}

/// A state.
pub(super) struct Interpreter {
    entries: Entries,
    lua: Lua,
    shared: Rc<Shared>,
    runs: Cell<u32>,
    /// With more bytes in use at a look everything is collected.
    most_bytes: Cell<usize>,
    /// In use after the last tidying.
    left_bytes: Cell<usize>,
}

impl Interpreter {
    /// A new state, for scripts of EVAL or for functions.
    ///
    /// # Errors
    /// Memory.
    pub(super) fn new(for_functions: bool) -> mlua::Result<Interpreter> {
        let libraries = StdLib::TABLE | StdLib::STRING | StdLib::MATH | StdLib::OS;
        let lua = Lua::new_with(libraries, LuaOptions::new().catch_rust_panics(true))?;
        let shared = Rc::new(Shared {
            host: Loan::default(),
            proto: Cell::new(Proto::Resp2),
            random: Random::default(),
            registering: RefCell::default(),
            source_name: if for_functions { "@user_function" } else { "@user_script" },
            bodies: OnceCell::new(),
            last_body: Cell::new(0),
            words: RefCell::default(),
            stopped: RefCell::default(),
        });
        let of = Rc::clone(&shared);
        let calls = doors(&lua, move |args, out| of.call(args, out))?;
        let entries = sandbox::build(&lua, &shared, calls, for_functions)?;
        let interpreter = Interpreter {
            entries,
            lua,
            shared,
            runs: Cell::new(0),
            most_bytes: Cell::new(LARGE_BYTES),
            left_bytes: Cell::new(0),
        };
        interpreter.lua.gc_set_pause(PAUSE_PERCENT);
        interpreter.watch(false)?;
        interpreter.lua.gc_collect()?;
        interpreter.left_bytes.set(interpreter.used_bytes());
        Ok(interpreter)
    }

    /// The version of the protocol that the last run chose.
    pub(super) fn proto(&self) -> Proto {
        self.shared.proto.get()
    }

    /// Bytes that Lua uses.
    pub(super) fn used_bytes(&self) -> usize {
        self.lua.used_memory()
    }

    /// Compiles a text and keeps it under a number.
    ///
    /// # Errors
    /// What the compiler says.
    pub(super) fn compile(&self, code: &[u8]) -> Result<i64, String> {
        let chunk = self.lua.load(code).set_name(self.shared.source_name).set_mode(ChunkMode::Text);
        self.lua.gc_stop();
        let body = chunk.into_function();
        self.lua.gc_restart();
        let body = body.map_err(|error| sandbox::syntax_error(&error))?;
        let kept = self.shared.keep(&body).map_err(|error| error.to_string());
        self.collect_some();
        kept
    }

    /// Collects what small scripts have left, if it is half as much as what is in use. For the server's tick.
    pub(super) fn tidy(&self) {
        let used = self.lua.used_memory();
        if used > SMALL_BYTES || used < self.left_bytes.get() / 2 * 3 {
            return;
        }
        if let Err(error) = self.lua.gc_collect() {
            log::warn!("Lua's collector: {error}");
        }
        self.left_bytes.set(self.lua.used_memory());
    }

    /// Lets the collector go some steps further, if there is much to walk over.
    fn collect_some(&self) {
        if self.lua.used_memory() < GROWN_BYTES {
            return;
        }
        for _ in 0..STEPS_PER_TEXT {
            if let Err(error) = self.lua.gc_step() {
                log::warn!("Lua's collector: {error}");
            }
        }
    }

    /// Forgets what is kept under a number.
    pub(super) fn forget(&self, id: i64) {
        let forgotten = self.shared.bodies.get().map_or(Ok(()), |bodies| bodies.raw_set(id, Value::Nil));
        if let Err(error) = forgotten {
            log::warn!("A script could not be forgotten: {error}");
        }
    }

    /// Asks the host every so many instructions, or (once it has said that the script must end) at every line.
    fn watch(&self, closely: bool) -> mlua::Result<()> {
        watch(&self.lua, &self.shared, closely)
    }

    /// Runs what is kept under `id` with keys and arguments that are words of a request.
    ///
    /// # Errors
    /// Why it failed; `name` is how the text calls it.
    pub(super) fn run(&self, call: &Run<'_>, host: &mut dyn Host) -> Result<Value, Failed> {
        self.shared.proto.set(Proto::Resp2);
        let result = self.enter(call, host);
        self.after_run();
        let stopped = self.shared.stopped.take();
        match result {
            Ok((true, value)) => Ok(value),
            Ok((false, error)) => Err(failed(call.name, &error, stopped)),
            Err(error) => Err(failed(call.name, &Value::Error(Box::new(error)), stopped)),
        }
    }

    fn enter(&self, call: &Run<'_>, host: &mut dyn Host) -> mlua::Result<(bool, Value)> {
        let mut keys = call.argv.iter().skip(call.keys.start).take(call.keys.len());
        let mut rest = call.argv.iter().skip(call.keys.end);
        self.lua.set_memory_limit(call.limit_bytes)?;
        let mut host = host;
        let entry = &self.entries.entry;
        let result = self
            .shared
            .host
            .lend(&mut host, || lua::run(&self.lua, entry, call.id, call.is_function, [&mut keys, &mut rest]));
        self.lua.set_memory_limit(0)?;
        result
    }

    fn after_run(&self) {
        if self.shared.stopped.borrow().is_some() {
            self.look_again();
        }
        let runs = self.runs.get() + 1;
        self.runs.set(runs % RUNS_PER_LOOK);
        if runs < RUNS_PER_LOOK || self.lua.used_memory() <= self.most_bytes.get() {
            return;
        }
        if let Err(error) = self.lua.gc_collect() {
            log::warn!("Lua's collector: {error}");
        }
        self.most_bytes.set(LARGE_BYTES.max(2 * self.lua.used_memory()));
    }

    fn look_again(&self) {
        if let Err(error) = self.watch(false) {
            log::warn!("Lua's hook could not be set: {error}");
        }
    }

    /// Runs a library's code; what it registers. `host` bounds its time.
    ///
    /// # Errors
    /// Why it failed.
    pub(super) fn load_library(&self, code: &[u8], host: &mut dyn Host) -> Result<Vec<Registered>, Failed> {
        let chunk = self.lua.load(code).set_name(self.shared.source_name).set_mode(ChunkMode::Text);
        let body = chunk
            .into_function()
            .map_err(|error| Failed::new(format!("ERR Error compiling function: {}", sandbox::syntax_error(&error))))?;
        *self.shared.registering.borrow_mut() = Some(Vec::new());
        let mut host = host;
        let result = self.shared.host.lend(&mut host, || self.entries.load.call::<(bool, Value)>(body));
        let registered = self.shared.registering.take().unwrap_or_default();
        self.collect_some();
        let stopped = self.shared.stopped.take();
        if stopped.is_some() {
            self.look_again();
        }
        let error = match result {
            Ok((true, _)) => return Ok(registered),
            Ok((false, error)) => error,
            Err(error) => Value::Error(Box::new(error)),
        };
        registered.iter().for_each(|function| self.forget(function.body));
        let text = stopped.map_or_else(|| error_text(&error), |text| text.into_bytes());
        Err(Failed::new([b"ERR Error registering functions: ", &text[..]].concat()))
    }
}

/// One run.
pub(super) struct Run<'a> {
    /// What runs.
    pub id: i64,
    /// Whether it is a function of a library, which takes its words as arguments.
    pub is_function: bool,
    /// How errors call it.
    pub name: &'a str,
    /// The request.
    pub argv: Argv<'a>,
    /// Which of its words are keys; all behind them are arguments.
    pub keys: Range<usize>,
    /// Memory that Lua may use; 0 for no limit.
    pub limit_bytes: usize,
}

fn watch(lua: &Lua, shared: &Rc<Shared>, closely: bool) -> mlua::Result<()> {
    let mut triggers = HookTriggers::new().every_nth_instruction(INSTRUCTIONS_PER_LOOK);
    if closely {
        triggers = triggers.every_line();
    }
    let shared = Rc::clone(shared);
    lua.set_global_hook(triggers, move |lua, debug| {
        let Some(Interrupt::Stop(text)) = shared.host.borrow(|host| host.interrupt()) else {
            return Ok(VmState::Continue);
        };
        if shared.stopped.borrow().is_none() {
            let source = debug.source().source.map(|s| s.into_owned()).unwrap_or_default();
            let line = debug.current_line().map_or(-1, |line| line as i64);
            *shared.stopped.borrow_mut() = Some(format!("ERR {text}\n{source}:{line}"));
        }
        // A script that catches the error meets it again at its next line.
        watch(lua, &shared, true)?;
        Err(mlua::Error::runtime(text))
    })
}

/// The text of an error value.
fn error_text(error: &Value) -> Vec<u8> {
    match error {
        Value::String(text) => text.as_bytes().to_vec(),
        Value::Table(table) => match table.raw_get::<Value>("err") {
            Ok(Value::String(text)) => text.as_bytes().to_vec(),
            _ => b"ERR unknown error".to_vec(),
        },
        Value::Error(error) => match &**error {
            mlua::Error::MemoryError(_) => b"not enough memory".to_vec(),
            other => other.to_string().into_bytes(),
        },
        _ => b"execution failure".to_vec(),
    }
}

/// What the client is told of a run that failed.
fn failed(name: &str, error: &Value, stopped: Option<String>) -> Failed {
    if let Some(stopped) = stopped {
        let (text, place) = stopped.split_once('\n').unwrap_or((&stopped, ""));
        return Failed::new(format!("{text} script: {name}, on {place}."));
    }
    let Value::Table(table) = error else {
        let text = error_text(error);
        let text = String::from_utf8_lossy(&text[..text.len().min(100)]).into_owned();
        return Failed::new(format!("ERR Error running script {name}, {text}"));
    };
    let mut text = error_text(error);
    let source = match table.raw_get::<Value>("source") {
        Ok(Value::String(source)) => source.as_bytes().to_vec(),
        _ => Vec::new(),
    };
    let line = match table.raw_get::<Value>("line") {
        Ok(Value::Integer(n)) => n,
        Ok(Value::Number(n)) => n as i64,
        _ => 0,
    };
    if !source.is_empty() {
        text.extend_from_slice(b" script: ");
        text.extend_from_slice(name.as_bytes());
        text.extend_from_slice(b", on ");
        text.extend_from_slice(&source);
        text.extend_from_slice(format!(":{line}.").as_bytes());
    }
    let counted = matches!(table.raw_get::<Value>("ignore_error_stats_update"), Ok(Value::Boolean(true)));
    Failed { text, counted }
}

impl Shared {
    /// Keeps a function under a number.
    pub(super) fn keep(&self, body: &Function) -> mlua::Result<i64> {
        let id = self.last_body.get() + 1;
        self.last_body.set(id);
        self.bodies.get().map_or(Ok(()), |bodies| bodies.raw_set(id, body))?;
        Ok(id)
    }

    /// `redis.call`: the words, then the command.
    fn call(&self, args: &CallArgs<'_>, out: &mut Vec<u8>) {
        if args.is_empty() {
            return out.extend_from_slice(b"-ERR Please specify at least one argument for this redis lib call\r\n");
        }
        let mut words = self.words.take();
        words.clear();
        let mut texts = (number::IntBuffer::new(), float::Buffer::new());
        for arg in args.iter() {
            match arg {
                CallArg::Bytes(bytes) => words.push(bytes),
                CallArg::Number(n) => words.push(number_word(n, &mut texts)),
                CallArg::Other => {
                    self.words.replace(words);
                    return out
                        .extend_from_slice(b"-ERR Lua redis lib command arguments must be strings or integers\r\n");
                }
            }
        }
        let proto = self.proto.get();
        if self.host.borrow(|host| host.call(words.argv(), proto, out)).is_none() {
            out.extend_from_slice(b"-ERR redis.call/pcall can only be called inside a script invocation\r\n");
        }
        self.words.replace(words);
    }
}

/// A number as a command's word: all digits that it has.
pub(super) fn number_word(n: f64, texts: &mut (number::IntBuffer, float::Buffer)) -> &[u8] {
    // Up to 2^63 a whole number is one of 64 bits.
    if n == n.trunc() && n.abs() < 9.2e18 { texts.0.format(n as i64) } else { texts.1.format(n) }
}
