//! The process's title, as `ps` and `/proc/<pid>/cmdline` show it.
//!
//! The kernel shows the memory in which it laid down the command line at start. A new title is written over it; what
//! does not fit goes on into the environment that lies behind, after its texts have been copied elsewhere:
//!
//! ```text
//! arg_start              arg_end = env_start                      env_end
//! | redis-server\0--port\07000\0 | PATH=/bin\0LANG=C\0HOME=/root\0 |
//! | redis-server 127.0.0.1:7000 [cluster]\0\0\0\0\0\0\0\0\0\0\0\0\0 |
//! ```
//!
//! Knows no template and no option. Invariant: the last byte of the room is always NUL, so each old pointer into it (the
//! arguments that `std::env::args` reads) still leads to a text that ends within.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::{Mutex, PoisonError};

unsafe extern "C" {
    /// The environment: pointers to texts, the last one null.
    static mut environ: *mut *mut c_char;
}

/// The room for the title, from the first claim on.
static ROOM: Mutex<Option<Room>> = Mutex::new(None);

struct Room {
    start: usize,
    len: usize,
    /// What stood there first: the program as it was called.
    program: String,
}

/// Takes the room in which the command line lies; the program's name as it was called. `None` where the system does not
/// tell. While the process has only one thread the environment's room is taken as well: call it early.
pub fn claim() -> Option<String> {
    let mut room = ROOM.lock().unwrap_or_else(PoisonError::into_inner);
    if room.is_none() {
        *room = find_room();
    }
    room.as_ref().map(|room| room.program.clone())
}

/// Shows this title from now on, as much of it as there is room for; nothing happens without [`claim`]. From then on
/// `std::env::args` tells parts of the title.
pub fn set(title: &str) {
    let room = ROOM.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(room) = room.as_ref() else { return };
    let len = title.len().min(room.len - 1);
    let start = ptr::with_exposed_provenance_mut::<u8>(room.start);
    // SAFETY: `start` and `len` are the writable memory that the kernel named (`find_room`), `len` of it is more than the
    // title's, and the title lies elsewhere; readers of the old texts find one that ends, since the rest becomes NUL.
    unsafe {
        ptr::copy_nonoverlapping(title.as_ptr(), start, len);
        ptr::write_bytes(start.add(len), 0, room.len - len);
    }
}

/// Bounds of the command line and the environment in memory: fields 48 to 51 of `/proc/self/stat`.
struct Bounds {
    arg_start: usize,
    arg_end: usize,
    env_start: usize,
    env_end: usize,
}

fn find_room() -> Option<Room> {
    let bounds = parse_bounds(&std::fs::read_to_string("/proc/self/stat").ok()?)?;
    // SAFETY: the kernel put the texts of the command line there, each ending with NUL, and nobody has changed them.
    let program = unsafe { CStr::from_ptr(ptr::with_exposed_provenance(bounds.arg_start)) };
    let program = program.to_string_lossy().into_owned();
    let adjacent = bounds.env_start == bounds.arg_end && bounds.env_end > bounds.env_start;
    let end =
        if adjacent && is_single_threaded() && move_environment(&bounds) { bounds.env_end } else { bounds.arg_end };
    Some(Room { start: bounds.arg_start, len: end - bounds.arg_start, program })
}

/// The name in the second field may contain blanks and brackets, so counting begins behind its last bracket.
fn parse_bounds(stat: &str) -> Option<Bounds> {
    let fields = &stat[stat.rfind(')')? + 1..];
    let mut bounds = fields.split_ascii_whitespace().skip(48 - 3).map(|field| field.parse::<usize>().ok());
    let mut next = || bounds.next().flatten();
    let bounds = Bounds { arg_start: next()?, arg_end: next()?, env_start: next()?, env_end: next()? };
    (bounds.arg_start != 0 && bounds.arg_end > bounds.arg_start).then_some(bounds)
}

fn is_single_threaded() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|tasks| tasks.count() == 1)
}

/// Copies the environment's texts that lie within the bounds to the heap, where they stay as long as the process. Only
/// with one thread. Whether all could be moved.
fn move_environment(bounds: &Bounds) -> bool {
    // SAFETY: there is one thread, so nobody reads or changes the environment meanwhile; the list ends with null, and
    // each of its texts with NUL. A replaced pointer leads to a copy that is never freed.
    unsafe {
        let mut slot = environ;
        while !slot.is_null() && !(*slot).is_null() {
            if (bounds.env_start..bounds.env_end).contains(&(*slot).expose_provenance()) {
                let copy = libc::strdup(*slot);
                if copy.is_null() {
                    return false;
                }
                *slot = copy;
            }
            slot = slot.add(1);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_found_behind_any_name() {
        let fields: Vec<String> = (3..=52).map(|field| field.to_string()).collect();
        let stat = format!("4711 (a) b ( c) {}", fields.join(" "));
        let bounds = parse_bounds(&stat).expect("the fields are there");
        assert_eq!((bounds.arg_start, bounds.arg_end, bounds.env_start, bounds.env_end), (48, 49, 50, 51));
        assert!(parse_bounds("4711 (a) R 1 2").is_none());
        assert!(parse_bounds("").is_none());
    }

    #[test]
    fn the_title_is_shown_as_far_as_it_fits() {
        let Some(program) = claim() else { return }; // a system without /proc
        assert!(!program.is_empty() && claim().as_ref() == Some(&program));
        let shown = || std::fs::read("/proc/self/cmdline").expect("it is readable");
        set("a title");
        assert!(shown().starts_with(b"a title\0") || b"a title".starts_with(&shown()[..]));
        set(&"x".repeat(1 << 20));
        let all = shown();
        assert!(!all.is_empty() && all.iter().all(|&byte| byte == b'x' || byte == 0));
        set("b");
        assert!(shown().starts_with(b"b"));
        assert!(std::env::vars_os().count() > 0, "the environment can still be read");
    }
}
