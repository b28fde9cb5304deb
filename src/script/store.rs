//! All scripts: those of EVAL by their SHA-1, and the libraries. Knows what runs now.

use super::api::sha1_hex;
use super::header::Header;
use super::host::Host;
use super::interpreter::{Failed, Interpreter, Run};
use super::library::{FunctionRow, Libraries, LibraryRow};
use crate::resp::{Argv, OwnedArgv, Proto};
use crate::session::ConnId;
use crate::stats::ScriptFigures;
use mlua::Value;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;

/// Scripts that came with EVAL, beyond which those are forgotten that were not used for longest. What SCRIPT LOAD brought
/// stays.
const MAX_EVAL_SCRIPTS: usize = 500;

/// A script's SHA-1 in 40 hexadecimal digits, lower case.
pub type Sha = [u8; 40];

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// EVAL and EVALSHA.
    Script,
    /// FCALL.
    Function,
}

/// What runs now.
pub struct Running {
    /// Whose request it is.
    pub conn: ConnId,
    /// A script or a function.
    pub kind: Kind,
    /// Its SHA-1 or its name.
    pub name: RunName,
    /// The request, once it has run for long: others may ask for it.
    pub argv: Option<OwnedArgv>,
    /// Reading of the tick clock at its beginning.
    pub started_ticks: u64,
    /// Others are told that the server is busy.
    pub is_slow: bool,
    /// It has changed data.
    pub wrote: bool,
    /// It was told to end.
    pub killed: bool,
}

/// How what runs is called. Made for each run: a SHA-1 takes no memory of its own.
#[derive(Debug, Clone)]
pub enum RunName {
    /// A script.
    Sha(Sha),
    /// A function.
    Function(Box<str>),
}

impl RunName {
    /// As text.
    pub fn as_str(&self) -> &str {
        match self {
            RunName::Sha(sha) => std::str::from_utf8(sha).unwrap_or_default(),
            RunName::Function(name) => name,
        }
    }
}

struct Script {
    body: i64,
    flags: u32,
    /// Bytes of its text.
    len: usize,
    /// It was loaded to stay.
    stays: bool,
    /// When it was used last, by the count of uses.
    used: u64,
}

/// A script or function that was found, ready to run.
pub struct Found {
    interpreter: Rc<Interpreter>,
    kind: Kind,
    body: i64,
    /// Bits of `flags`.
    pub flags: u32,
}

impl Found {
    /// Runs it with words of a request as keys and, behind them, arguments. Gives its value, and the version of the
    /// protocol it chose.
    ///
    /// # Errors
    /// Why it failed.
    pub fn run(
        &self,
        name: &str,
        argv: Argv<'_>,
        keys: Range<usize>,
        limit_bytes: usize,
        host: &mut dyn Host,
    ) -> Result<(Value, Proto), Failed> {
        let call = Run { id: self.body, is_function: self.kind == Kind::Function, name, argv, keys, limit_bytes };
        let value = self.interpreter.run(&call, host)?;
        Ok((value, self.interpreter.proto()))
    }
}

/// All of them.
#[derive(Default)]
pub struct Scripts {
    interpreter: Option<Rc<Interpreter>>,
    cache: BTreeMap<Sha, Script>,
    uses: u64,
    /// Scripts of the cache that may be forgotten.
    passing: usize,
    body_bytes: usize,
    evicted: u64,
    libraries: Libraries,
    /// What runs now.
    pub running: Option<Running>,
}

/// A SHA-1 as it was written, in lower case.
pub fn sha_of(text: &[u8]) -> Option<Sha> {
    let mut sha: Sha = text.try_into().ok()?;
    sha.make_ascii_lowercase();
    Some(sha)
}

impl Scripts {
    fn interpreter(&mut self) -> Result<Rc<Interpreter>, Failed> {
        if let Some(interpreter) = &self.interpreter {
            return Ok(Rc::clone(interpreter));
        }
        let new = Interpreter::new(false).map_err(|error| Failed::new(format!("ERR {error}")))?;
        Ok(Rc::clone(self.interpreter.insert(Rc::new(new))))
    }

    /// The script of a SHA-1.
    pub fn find(&mut self, sha: &Sha) -> Option<Found> {
        self.uses += 1;
        let script = self.cache.get_mut(sha)?;
        script.used = self.uses;
        let interpreter = Rc::clone(self.interpreter.as_ref()?);
        Some(Found { interpreter, kind: Kind::Script, body: script.body, flags: script.flags })
    }

    /// What a script declares of itself; nothing if it is not known.
    pub fn flags_of(&self, sha: &Sha) -> Option<u32> {
        self.cache.get(sha).map(|script| script.flags)
    }

    /// What a script declares of itself; nothing if it does so wrongly.
    pub fn declared(code: &[u8]) -> Option<u32> {
        Header::of_script(code).ok().map(|header| header.flags)
    }

    /// Whether a script is known.
    pub fn knows(&self, sha: &Sha) -> bool {
        self.cache.contains_key(sha)
    }

    /// The SHA-1 of a script.
    pub fn sha(code: &[u8]) -> Sha {
        sha1_hex(code)
    }

    /// Compiles a script and remembers it, for ever if it `stays`.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn add(&mut self, sha: Sha, code: &[u8], stays: bool) -> Result<(), Failed> {
        if let Some(script) = self.cache.get_mut(&sha) {
            if stays && !script.stays {
                script.stays = true;
                self.passing -= 1;
            }
            return Ok(());
        }
        let header = Header::of_script(code).map_err(|text| Failed::new(format!("ERR {text}")))?;
        let interpreter = self.interpreter()?;
        let body = interpreter
            .compile(code.get(header.len..).unwrap_or_default())
            .map_err(|text| Failed::new(format!("ERR Error compiling script (new function): {text}")))?;
        if !stays {
            self.passing += 1;
            if self.passing > MAX_EVAL_SCRIPTS {
                self.evict();
            }
        }
        self.uses += 1;
        self.body_bytes += code.len();
        self.cache.insert(sha, Script { body, flags: header.flags, len: code.len(), stays, used: self.uses });
        Ok(())
    }

    /// Forgets the script that was not used for longest among those that do not stay.
    fn evict(&mut self) {
        let passing = self.cache.iter().filter(|(_, script)| !script.stays);
        let Some(sha) = passing.min_by_key(|(_, script)| script.used).map(|(sha, _)| *sha) else { return };
        if let Some(script) = self.cache.remove(&sha) {
            self.passing -= 1;
            self.evicted += 1;
            self.body_bytes -= script.len;
            if let Some(interpreter) = &self.interpreter {
                interpreter.forget(script.body);
            }
        }
    }

    /// Forgets all scripts of EVAL, and all that they left in Lua.
    pub fn flush(&mut self) {
        self.cache.clear();
        self.passing = 0;
        self.body_bytes = 0;
        self.interpreter = None;
    }

    /// The function of a name.
    ///
    /// # Errors
    /// There is no memory for Lua.
    pub fn function(&mut self, name: &[u8]) -> Result<Option<Found>, Failed> {
        let Some(row) = self.libraries.function(name) else { return Ok(None) };
        let (body, flags) = (row.body, row.flags);
        Ok(Some(Found { interpreter: self.libraries.interpreter()?, kind: Kind::Function, body, flags }))
    }

    /// The row of a function.
    pub fn function_row(&self, name: &[u8]) -> Option<&FunctionRow> {
        self.libraries.function(name)
    }

    /// Loads a library; its name.
    ///
    /// # Errors
    /// Why it was refused.
    pub fn load(&mut self, code: &[u8], replace: bool, host: &mut dyn Host) -> Result<Vec<u8>, Failed> {
        self.libraries.load(code, replace, host)
    }

    /// The library of a name.
    pub fn library(&self, name: &[u8]) -> Option<&LibraryRow> {
        self.libraries.get(name)
    }

    /// All libraries, by name: what is saved.
    pub fn libraries(&self) -> impl Iterator<Item = &LibraryRow> {
        self.libraries.iter()
    }

    /// Number of libraries and of functions.
    pub fn counts(&self) -> (usize, usize) {
        self.libraries.counts()
    }

    /// Forgets a library; whether there was one.
    pub fn delete_library(&mut self, name: &[u8]) -> bool {
        self.libraries.remove(name)
    }

    /// Forgets all libraries; how many there were.
    pub fn flush_libraries(&mut self) -> usize {
        std::mem::take(&mut self.libraries).counts().0
    }

    /// Loads several libraries: all of them, or none if one is refused.
    ///
    /// # Errors
    /// Why one was refused.
    pub fn restore(&mut self, codes: &[Vec<u8>], how: Restore, host: &mut dyn Host) -> Result<(), Failed> {
        let old: Vec<Vec<u8>> = self.libraries().map(|library| library.code.clone()).collect();
        if how == Restore::Flush {
            self.flush_libraries();
        }
        for code in codes {
            if let Err(failed) = self.load_restored(code, how, host) {
                self.flush_libraries();
                for code in &old {
                    if let Err(again) = self.load(code, false, host) {
                        log::warn!("A library could not be loaded again: {}", String::from_utf8_lossy(&again.text));
                    }
                }
                return Err(failed);
            }
        }
        Ok(())
    }

    fn load_restored(&mut self, code: &[u8], how: Restore, host: &mut dyn Host) -> Result<(), Failed> {
        let name = Header::of_library(code).ok().and_then(|header| header.name).unwrap_or_default();
        if how != Restore::Replace && self.library(&name).is_some() {
            let text = format!("ERR Library {} already exists", String::from_utf8_lossy(&name));
            return Err(Failed::new(text));
        }
        self.load(code, how == Restore::Replace, host).map(|_| ())
    }

    /// Counts begin anew: CONFIG RESETSTAT.
    pub fn reset_stats(&mut self) {
        self.evicted = 0;
    }

    /// Collects what small scripts and functions have left. For the server's tick; not while one runs.
    pub fn tidy(&self) {
        if let Some(interpreter) = &self.interpreter {
            interpreter.tidy();
        }
        self.libraries.tidy();
    }

    /// What INFO tells.
    pub fn figures(&self) -> ScriptFigures {
        let (vm_functions, functions) = self.libraries.used_bytes();
        let (libraries, function_count) = self.counts();
        ScriptFigures {
            vm_eval_bytes: self.interpreter.as_ref().map_or(0, |interpreter| interpreter.used_bytes()) as u64,
            scripts_bytes: (self.body_bytes + self.cache.len() * size_of::<(Sha, Script)>()) as u64,
            scripts: self.cache.len() as u64,
            evicted: self.evicted,
            vm_functions_bytes: vm_functions as u64,
            functions_bytes: functions as u64,
            libraries: libraries as u64,
            functions: function_count as u64,
        }
    }
}

/// What FUNCTION RESTORE does with what is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restore {
    /// It stays; a name twice is an error.
    Append,
    /// It gives way to a library of its name.
    Replace,
    /// It goes.
    Flush,
}
