//! Users in files: `aclfile` (ACL LOAD and SAVE, all users), and the file of users in the data folder, where USERADD and its
//! kin keep theirs so that they survive a restart. Both are sealed when `encrypt` is on.
//!
//! ```text
//! user amy on sanitize-payload #5e88... ~data:* resetchannels -@all +@read
//! ```
//!
//! With an aclfile there is no second file: what USERADD makes is saved there, with all the others.

use crate::acl::{Acl, User};
use crate::command::args::Args;
use crate::command::ctx::{Ctx, Outcome};
use crate::command::error::CmdError;
use crate::config::Config;
use crate::persist::storage::Replacement;
use crate::persist::vault::{FileKind, Vault};
use std::fmt;
use std::io::{self, Read};
use std::path::Path;
use std::rc::Rc;

/// The file of users in the data folder.
pub(super) const USERS_FILE: &str = "users.acl";
/// Longest file of users that is read, bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Why users could not be taken over at the start.
#[derive(Debug)]
pub enum LoadFault {
    /// What is wrong with the rules.
    Rules(String),
    /// A file can't be read.
    File(String, io::Error),
}

impl fmt::Display for LoadFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LoadFault::Rules(text) => f.write_str(text),
            LoadFault::File(path, error) => write!(f, "Error loading ACLs, opening file '{path}': {error}"),
        }
    }
}

/// Takes over the users of the configuration, of the aclfile, and of the file in the data folder. Without a vault (when only
/// the configuration is checked) files are not looked at.
///
/// # Errors
/// Something is wrong: nobody may be let in by half of the rules.
pub fn load_at_start(config: &Config, acl: &mut Acl, vault: Option<&Vault>) -> Result<(), LoadFault> {
    for words in &config.user {
        let words: Vec<&[u8]> = words.iter().map(|word| &word[..]).collect();
        let user = acl.user_of_words(&words).map_err(|(word, error)| {
            LoadFault::Rules(format!("Error in user declaration '{}': {error}", String::from_utf8_lossy(&word)))
        })?;
        if !user.enabled {
            log::info!(
                "The user '{}' is disabled (there is no 'on' modifier in the user description). Make sure this is not a \
                 configuration error.",
                String::from_utf8_lossy(&user.name)
            );
        }
        acl.put(user);
    }
    let Some(vault) = vault else { return Ok(()) };
    if !config.requirepass_file.is_empty() {
        let password = read_password(config.requirepass_file.path())?;
        acl.put(acl.with_default_password(&password));
    }
    if !config.aclfile.is_empty() {
        let missing = || LoadFault::File(config.aclfile.lossy().into_owned(), io::ErrorKind::NotFound.into());
        let users = read_users(acl, vault, config.aclfile.path())?.ok_or_else(missing)?;
        acl.replace(users);
        return Ok(());
    }
    for mut user in read_users(acl, vault, Path::new(USERS_FILE))?.unwrap_or_default() {
        if *user.name == *b"default" && !acl.is_open() {
            log::warn!(
                "The default user's password is the one that PASSWD set ({USERS_FILE}), not the configuration's"
            );
        }
        user.kept = true;
        acl.put(user);
    }
    Ok(())
}

/// The first line of a file.
fn read_password(path: &Path) -> Result<Vec<u8>, LoadFault> {
    let content = std::fs::read(path).map_err(|error| LoadFault::File(path.display().to_string(), error))?;
    let line = content.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.is_empty() {
        return Err(LoadFault::Rules(format!("requirepass-file {}: its first line is empty", path.display())));
    }
    Ok(line.to_vec())
}

/// The users of a file; `None` if there is none of that name.
fn read_users(acl: &Acl, vault: &Vault, path: &Path) -> Result<Option<Vec<User>>, LoadFault> {
    let fault = |error| LoadFault::File(path.display().to_string(), error);
    let Some(file) = vault.open(path, FileKind::Users).map_err(fault)? else { return Ok(None) };
    let mut content = Vec::new();
    file.bytes.take(FILE_BYTES_MAX).read_to_end(&mut content).map_err(fault)?;
    let users = acl.parse(&content, &path.display().to_string());
    users.map(Some).map_err(|error| LoadFault::Rules(error.to_string()))
}

fn write_users<'a>(vault: &Vault, path: &Path, users: impl Iterator<Item = &'a Rc<User>>) -> io::Result<()> {
    let temporary = format!("temp-{}-{}", std::process::id(), path.file_name().unwrap_or_default().to_string_lossy());
    let mut replacement = Replacement::begin(vault, FileKind::Users, path, &temporary)?;
    let written = replacement.file().append(&Acl::text_of(users));
    written.and_then(|()| replacement.commit())
}

const NO_FILE: CmdError = CmdError::text(
    "ERR This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER \
     command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users in \
     the Redis configuration.",
);
const NOT_SAVED: CmdError =
    CmdError::text("ERR There was an error trying to save the ACLs. Please check the server logs for more information");

/// ACL SAVE.
pub(super) fn save(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    if cx.config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    write_users(&cx.facts.vault, cx.config.aclfile.path(), cx.acl.iter()).map_err(|error| not_saved(&error))?;
    super::done(cx)
}

fn not_saved(error: &io::Error) -> CmdError {
    log::warn!("Writing the file of users failed: {error}");
    NOT_SAVED
}

/// ACL LOAD: users that are in the file keep their connections, the others lose them.
pub(super) fn load(cx: &mut Ctx<'_>, _args: &mut Args<'_>) -> Outcome {
    if cx.config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    let path = cx.config.aclfile.path();
    let users = match read_users(cx.acl, &cx.facts.vault, path) {
        Ok(Some(users)) => users,
        Ok(None) => {
            let fault = LoadFault::File(path.display().to_string(), io::Error::from_raw_os_error(libc::ENOENT));
            return Err(CmdError::owned(format!("ERR {fault}")));
        }
        Err(fault) => return Err(CmdError::owned(format!("ERR {fault}").replace(['\r', '\n'], " "))),
    };
    let old = cx.acl.replace(users);
    for old in old {
        match cx.acl.get(&old.name).cloned() {
            Some(new) => cx.user_changed(&old, &new),
            None => cx.user_removed(&old),
        }
    }
    super::change::note(cx, "load", b"");
    super::done(cx)
}

/// Writes the users that are kept to their file, one of them changed or added, or one of them gone.
///
/// # Errors
/// The file can't be written: the change must not happen.
pub(in crate::command) fn keep(cx: &Ctx<'_>, changed: Option<&User>, gone: Option<&[u8]>) -> Result<(), CmdError> {
    let to_all = !cx.config.aclfile.is_empty();
    let path = if to_all { cx.config.aclfile.path() } else { Path::new(USERS_FILE) };
    let stays = |user: &&Rc<User>| {
        (to_all || user.kept) && gone != Some(&*user.name) && changed.is_none_or(|changed| changed.name != user.name)
    };
    let added = changed.map(|user| Rc::new(user.clone()));
    let users = cx.acl.iter().filter(stays).chain(&added);
    write_users(&cx.facts.vault, path, users).map_err(|error| not_saved(&error))
}
