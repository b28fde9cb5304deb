//! Libraries of functions: what was loaded, and the functions by name.

use super::api::Registered;
use super::header::Header;
use super::host::Host;
use super::interpreter::{Failed, Interpreter};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A function, as it is listed.
#[derive(Debug, Clone)]
pub struct FunctionRow {
    /// Its name.
    pub name: Vec<u8>,
    /// What it is for.
    pub description: Option<Vec<u8>>,
    /// Bits of `flags`.
    pub flags: u32,
    pub(super) body: i64,
}

/// A library, as it is listed.
#[derive(Debug, Clone)]
pub struct LibraryRow {
    /// Its name.
    pub name: Vec<u8>,
    /// The code that was loaded.
    pub code: Vec<u8>,
    /// Its functions.
    pub functions: Vec<FunctionRow>,
}

/// All libraries, and the state they live in.
#[derive(Default)]
pub(super) struct Libraries {
    interpreter: Option<Rc<Interpreter>>,
    by_name: BTreeMap<Vec<u8>, LibraryRow>,
    /// For each function, in lower case, its library: they are found in any case.
    functions: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl From<Registered> for FunctionRow {
    fn from(f: Registered) -> FunctionRow {
        FunctionRow { name: f.name, description: f.description, flags: f.flags, body: f.body }
    }
}

impl Libraries {
    pub(super) fn interpreter(&mut self) -> Result<Rc<Interpreter>, Failed> {
        if let Some(interpreter) = &self.interpreter {
            return Ok(Rc::clone(interpreter));
        }
        let new = Interpreter::new(true).map_err(|error| Failed::new(format!("ERR {error}")))?;
        Ok(Rc::clone(self.interpreter.insert(Rc::new(new))))
    }

    /// The function of a name.
    pub(super) fn function(&self, name: &[u8]) -> Option<&FunctionRow> {
        let library = self.by_name.get(self.functions.get(&name.to_ascii_lowercase())?)?;
        library.functions.iter().find(|function| function.name.eq_ignore_ascii_case(name))
    }

    pub(super) fn get(&self, name: &[u8]) -> Option<&LibraryRow> {
        self.by_name.get(name)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &LibraryRow> {
        self.by_name.values()
    }

    /// Number of libraries and of functions.
    pub(super) fn counts(&self) -> (usize, usize) {
        (self.by_name.len(), self.functions.len())
    }

    /// Collects what small functions have left.
    pub(super) fn tidy(&self) {
        if let Some(interpreter) = &self.interpreter {
            interpreter.tidy();
        }
    }

    /// Bytes that Lua uses, and that the code takes beside it.
    pub(super) fn used_bytes(&self) -> (usize, usize) {
        let lua = self.interpreter.as_ref().map_or(0, |interpreter| interpreter.used_bytes());
        let row = |library: &LibraryRow| {
            size_of::<LibraryRow>()
                + 2 * library.name.len()
                + library.code.len()
                + library.functions.iter().map(|f| size_of::<FunctionRow>() + 2 * f.name.len()).sum::<usize>()
        };
        (lua, self.by_name.values().map(row).sum())
    }

    /// Loads a library; its name.
    ///
    /// # Errors
    /// Why it was refused; then all is as it was.
    pub(super) fn load(&mut self, code: &[u8], replace: bool, host: &mut dyn Host) -> Result<Vec<u8>, Failed> {
        let refuse = |text: String| Failed::new(format!("ERR {text}"));
        let header = Header::of_library(code).map_err(refuse)?;
        let name = header.name.unwrap_or_default();
        let shown = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
        if !replace && self.by_name.contains_key(&name) {
            return Err(refuse(format!("Library '{}' already exists", shown(&name))));
        }
        let interpreter = self.interpreter()?;
        let code_part = code.get(header.len..).unwrap_or_default();
        let registered = interpreter.load_library(code_part, host)?;
        let clash = registered
            .iter()
            .find(|f| self.functions.get(&f.name.to_ascii_lowercase()).is_some_and(|library| *library != name));
        let fault = match clash {
            _ if registered.is_empty() => Some("No functions registered".to_owned()),
            Some(function) => Some(format!("Function {} already exists", shown(&function.name))),
            None => None,
        };
        if let Some(fault) = fault {
            registered.iter().for_each(|function| interpreter.forget(function.body));
            return Err(refuse(fault));
        }
        self.remove(&name);
        let functions: Vec<FunctionRow> = registered.into_iter().map(FunctionRow::from).collect();
        self.functions.extend(functions.iter().map(|function| (function.name.to_ascii_lowercase(), name.clone())));
        self.by_name.insert(name.clone(), LibraryRow { name: name.clone(), code: code.to_vec(), functions });
        Ok(name)
    }

    /// Forgets a library; whether there was one.
    pub(super) fn remove(&mut self, name: &[u8]) -> bool {
        let Some(library) = self.by_name.remove(name) else { return false };
        for function in &library.functions {
            self.functions.remove(&function.name.to_ascii_lowercase());
            if let Some(interpreter) = &self.interpreter {
                interpreter.forget(function.body);
            }
        }
        true
    }
}
