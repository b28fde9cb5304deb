//! What the calling thread may have of the processors. Knows no thread's work.

use std::io;

/// Who goes before whom where threads compete for a processor: whoever gives way gets the lesser share, and lets the others in
/// when they wake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Work that somebody waits for, but not this moment: a third of what the loop gets.
    Behind,
    /// Work that can wait: what is left, and the loop need not wait for a slice of it to end.
    Last,
}

/// The calling thread, and those that it makes from now on, give way. When they sleep it is for no longer than they say.
///
/// # Errors
/// The system's.
#[cfg(target_os = "linux")]
pub fn give_way(way: Way) -> io::Result<()> {
    const LEAST_SLACK_NS: libc::c_ulong = 1;
    // SAFETY: a plain call with numbers. It can't fail for the calling thread.
    unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, LEAST_SLACK_NS) };
    let nice: libc::c_int = match way {
        Way::Behind => 5,
        Way::Last => 19,
    };
    // SAFETY: a plain call; on Linux, process 0 is the calling thread.
    let mut code = unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, nice) };
    if code == 0 && way == Way::Last {
        // Else it would keep the processor to the end of its slice (some milliseconds) when others wake.
        let param = libc::sched_param { sched_priority: 0 };
        // SAFETY: a plain call with a parameter that lives; 0 is the calling thread.
        code = unsafe { libc::sched_setscheduler(0, libc::SCHED_IDLE, &param) };
    }
    if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The calling thread, and those that it makes from now on, take the processor in slices of half a millisecond: it gets it sooner
/// when it wakes while another thread is in the midst of a longer slice, and leaves it sooner when others wait. For kernels before
/// 6.12 this says nothing.
///
/// # Errors
/// The system's.
#[cfg(target_os = "linux")]
pub fn take_short_slices() -> io::Result<()> {
    const SLICE_NS: u64 = 500_000;
    // SAFETY: a structure of numbers, for which zeros are values.
    let mut attributes: libc::sched_attr = unsafe { std::mem::zeroed() };
    let size = size_of::<libc::sched_attr>();
    // SAFETY: the structure is as long as it is said to be; 0 is the calling thread.
    if unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if attributes.sched_policy != libc::SCHED_OTHER as u32 {
        // Whoever started the process knows better.
        return Ok(());
    }
    attributes.sched_runtime = SLICE_NS;
    // SAFETY: as above.
    match unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Elsewhere slices are the system's affair.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn take_short_slices() -> io::Result<()> {
    Ok(())
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
            // SAFETY: a plain call; 0 is the calling thread.
            (behind, nice(), unsafe { libc::sched_getscheduler(0) })
        });
        let (behind, last, policy) = theirs.join().expect("no panic");
        take_short_slices().expect("this is always allowed");
        assert!(behind >= 5 && last == 19 && policy == libc::SCHED_IDLE && nice() == before);
    }
}
