//! What a server does to its own process: goes to the background, ignores signals, tells the kernel how dear it is; and whether
//! another one lives.

use std::io;

/// Goes on in a child without terminal; the parent ends at once with status 0. Only before any thread is started.
///
/// # Errors
/// The system's, if no child can be had.
pub fn daemonize() -> io::Result<()> {
    fork_and_leave()?;
    // SAFETY: a call without pointers.
    if unsafe { libc::setsid() } < 0 {
        return Err(io::Error::last_os_error());
    }
    // The second child is no session leader: it never gets a terminal again.
    fork_and_leave()?;
    let null = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    let null = std::os::fd::IntoRawFd::into_raw_fd(null);
    for fd in [libc::STDIN_FILENO, libc::STDOUT_FILENO, libc::STDERR_FILENO] {
        // SAFETY: a call without pointers; `null` is open.
        unsafe { libc::dup2(null, fd) };
    }
    if null > libc::STDERR_FILENO {
        // SAFETY: the descriptor is ours and used no more.
        unsafe { libc::close(null) };
    }
    Ok(())
}

fn fork_and_leave() -> io::Result<()> {
    // SAFETY: the process has one thread yet, so the child finds every lock free.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(()),
        // SAFETY: ends the parent without running what the child is to run at its end.
        _ => unsafe { libc::_exit(0) },
    }
}

/// Whether there is a process of this number, of whomever.
pub fn lives(pid: u32) -> bool {
    let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 0) else { return false };
    // SAFETY: a call without pointers; signal 0 is sent to nobody.
    unsafe { libc::kill(pid, 0) == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EPERM) }
}

/// From now on this signal does nothing.
pub fn ignore_signal(signal: i32) {
    // SAFETY: SIG_IGN is a valid disposition for every signal that can be ignored.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Has the kernel send SIGALRM once, in so many milliseconds; 0 for never.
pub fn set_alarm(ms: u32) {
    let after = libc::timeval { tv_sec: i64::from(ms / 1000), tv_usec: i64::from(ms % 1000 * 1000) };
    let timer = libc::itimerval { it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 }, it_value: after };
    // SAFETY: the pointer is to a timer of ours, and the old one is not asked for.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &timer, std::ptr::null_mut()) };
}

/// Stops this process as Upstart expects it of a service that is ready.
pub fn stop_self() {
    // SAFETY: a call without pointers.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// Asks the kernel not to back this process's memory with huge pages.
///
/// # Errors
/// The system's.
pub fn disable_huge_pages() -> io::Result<()> {
    // SAFETY: prctl with this option takes plain numbers.
    match unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The kernel's out-of-memory score adjustment of this process.
///
/// # Errors
/// The system's.
pub fn oom_score() -> io::Result<i32> {
    let text = std::fs::read_to_string("/proc/self/oom_score_adj")?;
    text.trim().parse().map_err(io::Error::other)
}

/// Sets it, within -1000 to 1000.
///
/// # Errors
/// The system's: only the privileged may lower it.
pub fn set_oom_score(score: i32) -> io::Result<()> {
    std::fs::write("/proc/self/oom_score_adj", score.clamp(-1000, 1000).to_string())
}
