//! What the calling thread may have of the processors. Knows no thread's work.

use std::io;

/// Who goes before whom where threads compete for a processor: whoever gives way gets the lesser share, and lets the others in
/// when they wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Work that somebody waits for, but not this moment: a third of what the loop gets.
    Behind,
    /// Work that can wait: a sixtieth.
    Last,
}

/// The calling thread, and those that it makes from now on, give way.
///
/// # Errors
/// The system's.
#[cfg(target_os = "linux")]
pub fn give_way(way: Way) -> io::Result<()> {
    let nice: libc::c_int = match way {
        Way::Behind => 5,
        Way::Last => 19,
    };
    // SAFETY: a plain call; on Linux, process 0 is the calling thread.
    if unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Elsewhere a thread has no priority of its own to lower.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn give_way(_way: Way) -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn nice() -> libc::c_int {
        // SAFETY: a plain call; on Linux, process 0 is the calling thread.
        unsafe { libc::getpriority(libc::PRIO_PROCESS, 0) }
    }

    #[test]
    fn only_the_calling_thread_gives_way() {
        let before = nice();
        let theirs = std::thread::spawn(|| {
            give_way(Way::Behind).expect("lowering is always allowed");
            let behind = nice();
            give_way(Way::Last).expect("lowering is always allowed");
            (behind, nice())
        });
        let (behind, last) = theirs.join().expect("no panic");
        assert!(behind >= 5 && last == 19 && nice() == before);
    }
}
