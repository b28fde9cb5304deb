//! What the system tells about this process and its machine. Read when asked for, never on the way of a request.

use std::ffi::CStr;
use std::io;

/// Processor time in microseconds.
#[derive(Clone, Copy, Debug, Default)]
pub struct CpuTimes {
    /// In the kernel.
    pub system_us: u64,
    /// In the program.
    pub user_us: u64,
}

/// Whose processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// All threads of this process.
    Process,
    /// Children that have ended.
    Children,
    /// The calling thread.
    Thread,
}

/// Processor time used so far; zero where the system does not tell.
pub fn cpu_times(who: Who) -> CpuTimes {
    let who = match who {
        Who::Process => libc::RUSAGE_SELF,
        Who::Children => libc::RUSAGE_CHILDREN,
        Who::Thread => libc::RUSAGE_THREAD,
    };
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to room for one `rusage`.
    if unsafe { libc::getrusage(who, usage.as_mut_ptr()) } != 0 {
        return CpuTimes::default();
    }
    // SAFETY: zeroed bytes are a valid `rusage`, and the call has filled it.
    let usage = unsafe { usage.assume_init() };
    let us = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    CpuTimes { system_us: us(usage.ru_stime), user_us: us(usage.ru_utime) }
}

fn page_bytes() -> u64 {
    // SAFETY: a question without pointers.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Bytes of this process in physical memory; 0 where the system does not tell.
pub fn resident_bytes() -> u64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * page_bytes()
}

/// Physical memory of the machine in bytes; 0 where the system does not tell.
pub fn total_memory_bytes() -> u64 {
    // SAFETY: a question without pointers.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) }).unwrap_or(0) * page_bytes()
}

/// System, release and processor: `Linux 6.1.0 x86_64`.
pub fn system_name() -> String {
    let mut name = std::mem::MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the pointer is to room for one `utsname`.
    if unsafe { libc::uname(name.as_mut_ptr()) } != 0 {
        return std::env::consts::OS.to_owned();
    }
    // SAFETY: zeroed bytes are a valid `utsname`, and the call has filled it.
    let name = unsafe { name.assume_init() };
    let text = |field: &[libc::c_char]| {
        // SAFETY: the kernel ends each field with NUL within its bounds.
        unsafe { CStr::from_ptr(field.as_ptr()) }.to_string_lossy().into_owned()
    };
    format!("{} {} {}", text(&name.sysname), text(&name.release), text(&name.machine))
}

/// Raises the limit of open files so that `wanted` can be open; returns the limit that holds then.
///
/// # Errors
/// The system's, when it does not tell the limit.
pub fn raise_open_files(wanted: u64) -> io::Result<u64> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to an `rlimit` of ours.
    if unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if limit.rlim_cur >= wanted {
        return Ok(limit.rlim_cur);
    }
    // The hard limit may be raised too by those who are allowed; else go as far as it.
    for goal in [wanted, limit.rlim_max.min(wanted)] {
        let next = libc::rlimit { rlim_cur: goal, rlim_max: limit.rlim_max.max(goal) };
        // SAFETY: the pointer is to an `rlimit` of ours.
        if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &next) } == 0 {
            return Ok(goal);
        }
    }
    Ok(limit.rlim_cur)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells() {
        let kept = vec![1u8; 1 << 20];
        assert!(resident_bytes() > kept.len() as u64 && total_memory_bytes() > resident_bytes());
        assert!(system_name().starts_with("Linux "), "{}", system_name());
        let all = cpu_times(Who::Process);
        assert!(all.user_us + all.system_us >= cpu_times(Who::Thread).user_us);
        assert!(raise_open_files(1).expect("the limit is told") >= 1);
    }
}
