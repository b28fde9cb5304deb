//! Which files the log consists of when the server starts, and how a log in the form of older servers, a single file, is
//! taken over. Knows no command.

use super::log::Place;
use super::manifest::{Manifest, ManifestFault, Part, PartKind, is_part_name};
use crate::persist::seal::{self, SealFault};
use crate::persist::vault::FileKind;
use std::fmt;
use std::io::{self, Read};
use std::path::Path;

/// Longest list of parts that is read, bytes.
const MAX_MANIFEST_BYTES: u64 = 64 << 20;

/// Why it is not known what the log consists of.
#[derive(Debug)]
pub enum FindFault {
    /// The system refuses.
    Io(String, io::Error),
    /// The list of parts is wrong.
    Manifest(String, ManifestFault),
    /// There are parts, but no list of them.
    Lost(String, String),
}

impl fmt::Display for FindFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FindFault::Io(file, error) => write!(f, "Fatal error: can't open the AOF file {file}: {error}"),
            FindFault::Manifest(file, fault) => write!(f, "*** FATAL AOF MANIFEST FILE ERROR *** {file}: {fault}"),
            FindFault::Lost(file, part) => write!(
                f,
                "The AOF manifest file {file} is missing, but there is {part}: the data would be taken for none. Bring the \
                 manifest back, or write one that names the parts, or move the folder away to start without them."
            ),
        }
    }
}

/// The list of parts, `None` if there is none.
///
/// # Errors
/// It is there and can't be read.
pub fn read_manifest(place: &Place) -> Result<Option<Manifest>, FindFault> {
    let name = place.manifest_name();
    let opened = place.vault.open(&place.path(&name), FileKind::Manifest);
    let io = |error| FindFault::Io(name.clone(), error);
    let Some(file) = opened.map_err(io)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.bytes.take(MAX_MANIFEST_BYTES).read_to_end(&mut bytes).map_err(io)?;
    Manifest::parse(&bytes).map(Some).map_err(|fault| FindFault::Manifest(name, fault))
}

/// What the log consists of; nothing if there is no log. A single file of the log's name beside its folder becomes the base.
///
/// # Errors
/// There is something that can't be read.
pub fn find(place: &Place, old: &Path) -> Result<Manifest, FindFault> {
    let found = read_manifest(place)?;
    let storage = place.vault.storage();
    let io = |name: &Path| {
        let name = name.display().to_string();
        move |error| FindFault::Io(name, error)
    };
    let has_old = storage.open(old).map_err(io(old))?.is_some();
    if has_old && found.as_ref().is_none_or(|manifest| waits_for_old(place, manifest)) {
        return adopt(place, old, found).map_err(io(old));
    }
    if let Some(manifest) = found {
        if let Some(part) = manifest.increments.last().filter(|part| waits_for_name(place, part)) {
            place.name_listed(part).map_err(io(&place.path(&part.name)))?;
        }
        return Ok(manifest);
    }
    let names = storage.list(&place.folder).map_err(io(&place.folder))?.unwrap_or_default();
    let mut parts: Vec<&str> = names.iter().filter_map(|name| name.to_str()).collect();
    parts.retain(|name| is_part_name(name, &place.name));
    if !parts.is_empty() && parts.iter().all(|part| is_of_first_attempt(place, part)) {
        set_aside(place, &parts).map_err(io(&place.folder))?;
        parts.clear();
    }
    parts
        .first()
        .map_or(Ok(Manifest::default()), |part| Err(FindFault::Lost(place.manifest_name(), (*part).to_owned())))
}

/// Whether the list tells of an increment whose file still has its first name.
fn waits_for_name(place: &Place, part: &Part) -> bool {
    let storage = place.vault.storage();
    let is_there = |name: &str| storage.open(&place.path(name)).is_ok_and(|file| file.is_some());
    !is_there(&part.name) && is_there(&place.unlisted_name(part.seq))
}

/// Whether a part may be of a log that was begun and never came to its first list: a first base, or a first increment with
/// nothing in it. The data that the base was made of are where they were.
fn is_of_first_attempt(place: &Place, part: &str) -> bool {
    let is = |form: &str| part == format!("{}.1.{form}", place.name);
    let is_empty = || match place.vault.open(&place.path(part), FileKind::Log) {
        Ok(file) => file.is_some_and(|file| file.len == 0),
        Err(error) => matches!(seal::fault_of(&error), Some(SealFault::Torn { .. })),
    };
    is("base.rdb") || is("base.aof") || (is("incr.aof") && is_empty())
}

/// Gives the parts of a log that was never listed other names: nothing is lost if somebody wants them.
fn set_aside(place: &Place, parts: &[&str]) -> io::Result<()> {
    for part in parts {
        log::warn!(
            "{part} is in no list of parts: a log was begun and not listed before the server ended. It is kept as \
             {part}.unlisted, and a new log is begun."
        );
        place.vault.storage().rename(&place.path(part), &place.path(&format!("{part}.unlisted")))?;
    }
    place.vault.storage().sync_folder(&place.folder)
}

/// Whether the only part is the old file, which has not been moved into the folder yet.
fn waits_for_old(place: &Place, manifest: &Manifest) -> bool {
    let is_alone = manifest.increments.is_empty() && manifest.history.is_empty();
    let is_named = manifest.base.as_ref().is_some_and(|base| base.name == place.name);
    let is_there = place.vault.storage().open(&place.path(&place.name)).is_ok_and(|file| file.is_some());
    is_alone && is_named && !is_there
}

/// The list comes first, the file after: whatever interrupts this, it can be gone on with.
fn adopt(place: &Place, old: &Path, found: Option<Manifest>) -> io::Result<Manifest> {
    let storage = place.vault.storage();
    storage.make_folder(&place.folder)?;
    let manifest = match found {
        Some(manifest) => manifest,
        None => {
            let base = Part::new(place.name.clone(), 1, PartKind::Base);
            let manifest = Manifest { base: Some(base), base_seq: 1, ..Manifest::default() };
            place.write_manifest(&manifest)?;
            manifest
        }
    };
    storage.rename(old, &place.path(&place.name))?;
    storage.sync_folder(&place.folder)?;
    log::info!(
        "Successfully migrated an old-style AOF file ({}) into the AOF directory ({}).",
        place.name,
        place.folder.file_name().map(|name| name.to_string_lossy()).unwrap_or_default()
    );
    Ok(manifest)
}
