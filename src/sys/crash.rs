//! The report that a crash leaves in the log. In a signal handler only calls are made that may be made there: `open`, `write`,
//! `backtrace` (warmed up beforehand, so that it allocates nothing) and `raise`. No data of users is written.
//!
//! ```text
//! panic        hook: report with message and symbols -> abort -> handler: has been told already -> default action
//! bad signal   handler: report with addresses                                                   -> default action
//! SIGALRM      handler: stack trace, and the server goes on
//! ```

use crate::base::version;
use std::ffi::{CString, c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// The signals that end the process with a report.
const FATAL: [c_int; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];
/// Frames that a trace shows at most.
#[cfg(target_env = "gnu")]
const FRAMES: usize = 64;
/// Room for the handler's own frames: a stack that overflowed can't hold them.
const STACK_BYTES: usize = 64 * 1024;

const START: &[u8] = b"\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n";
const END: &[u8] = b"\n=== REDIS BUG REPORT END. Please send this report to the maintainers of Redstart. ===\n";

/// Where reports go, and how the process ends.
struct Plan {
    /// The log; standard output if there is none.
    log: Option<CString>,
    exit: bool,
    header: String,
}

static PLAN: OnceLock<Plan> = OnceLock::new();
/// A panic has been reported: the abort that follows is not worth a second report.
static REPORTED: AtomicBool = AtomicBool::new(false);
/// The name of the command that runs.
static COMMAND: AtomicPtr<&'static str> = AtomicPtr::new(ptr::null_mut());

/// Notes which command runs, for the report: one store.
#[inline(always)]
pub fn note_command(name: &'static &'static str) {
    COMMAND.store(ptr::from_ref(name).cast_mut(), Ordering::Relaxed);
}

/// From now on crashes are reported into `log` (standard output if `None`). `exit`: the process then ends with status 1 and
/// not by its signal, so that no core is written.
///
/// # Errors
/// The system's, if a handler can't be set.
pub fn install(log: Option<&std::path::Path>, exit: bool) -> io::Result<()> {
    use std::os::unix::ffi::OsStrExt;
    let log = log.and_then(|path| CString::new(path.as_os_str().as_bytes()).ok());
    let header = format!(
        "Redstart {} (Redis {}), commit {}, pid {}",
        version::REDSTART,
        version::REDIS,
        version::COMMIT,
        std::process::id()
    );
    if PLAN.set(Plan { log, exit, header }).is_err() {
        return Ok(());
    }
    warm_up();
    use_own_stack()?;
    for signal in FATAL {
        set_handler(signal, on_fatal, libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESETHAND)?;
    }
    set_handler(libc::SIGALRM, on_alarm, libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_RESTART)?;
    std::panic::set_hook(Box::new(on_panic));
    Ok(())
}

type Handler = extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void);

fn set_handler(signal: c_int, handler: Handler, flags: c_int) -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: zeroed bytes are a valid `sigaction`: no flags, an empty mask, the default handler.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = handler as usize;
    action.sa_flags = flags;
    // SAFETY: the action is ours and whole; the handler has the signature that SA_SIGINFO asks for.
    match unsafe { libc::sigaction(signal, action, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives the calling thread's handlers a stack of their own, kept for ever.
fn use_own_stack() -> io::Result<()> {
    let stack = Box::leak(vec![0u8; STACK_BYTES].into_boxed_slice());
    let stack = libc::stack_t { ss_sp: stack.as_mut_ptr().cast(), ss_flags: 0, ss_size: STACK_BYTES };
    // SAFETY: the memory is leaked, so it outlives every handler.
    match unsafe { libc::sigaltstack(&stack, ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The log, opened anew: a crash may have come at any moment, the logger's own state is not looked at.
fn open_log() -> RawFd {
    let Some(path) = PLAN.get().and_then(|plan| plan.log.as_ref()) else { return libc::STDOUT_FILENO };
    // SAFETY: the path ends with NUL and lives for ever.
    let fd = unsafe { libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT, 0o600) };
    if fd < 0 { libc::STDOUT_FILENO } else { fd }
}

fn put(fd: RawFd, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        // SAFETY: pointer and length are those of a slice.
        let written = unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
        match usize::try_from(written) {
            Ok(written @ 1..) => bytes = &bytes[written.min(bytes.len())..],
            _ => return,
        }
    }
}

/// A number in base 10 or 16, without an allocation.
fn put_number(fd: RawFd, mut n: u64, base: u64) {
    let mut digits = [0u8; 20];
    let mut at = digits.len();
    loop {
        at -= 1;
        digits[at] = b"0123456789abcdef"[(n % base) as usize];
        n /= base;
        if n == 0 || at == 0 {
            break;
        }
    }
    put(fd, &digits[at..]);
}

fn put_header(fd: RawFd) {
    put(fd, START);
    if let Some(plan) = PLAN.get() {
        put(fd, plan.header.as_bytes());
    }
    put_command(fd);
}

fn put_command(fd: RawFd) {
    let name = COMMAND.load(Ordering::Relaxed);
    if !name.is_null() {
        put(fd, b"\nLast command: ");
        // SAFETY: the pointer is to a static string slice (`note_command`).
        put(fd, unsafe { *name }.as_bytes());
    }
    put(fd, b"\n");
}

#[cfg(target_env = "gnu")]
fn put_trace(fd: RawFd) {
    let mut frames = [ptr::null_mut::<c_void>(); FRAMES];
    put(fd, b"\n------ STACK TRACE ------\n");
    // SAFETY: the array has room for so many pointers; both calls allocate nothing once libgcc is loaded (`warm_up`).
    unsafe {
        let count = libc::backtrace(frames.as_mut_ptr(), FRAMES as c_int);
        libc::backtrace_symbols_fd(frames.as_ptr(), count, fd);
    }
    put(fd, b"------ STACK TRACE DONE ------\n");
}

#[cfg(not(target_env = "gnu"))]
fn put_trace(fd: RawFd) {
    put(fd, b"\n(no stack trace on this system)\n");
}

/// The first backtrace of a process loads a library, which a handler must not do.
#[cfg(target_env = "gnu")]
fn warm_up() {
    let mut frames = [ptr::null_mut::<c_void>(); 4];
    // SAFETY: the array has room for four pointers.
    unsafe { libc::backtrace(frames.as_mut_ptr(), 4) };
}

#[cfg(not(target_env = "gnu"))]
fn warm_up() {}

extern "C" fn on_fatal(signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    if !REPORTED.swap(true, Ordering::Relaxed) {
        let fd = open_log();
        put_header(fd);
        put(fd, b"Redstart crashed by signal: ");
        put_number(fd, signal as u64, 10);
        // SAFETY: the kernel passes a valid `siginfo` to a handler set with SA_SIGINFO.
        let (code, address) = unsafe { ((*info).si_code, (*info).si_addr() as u64) };
        put(fd, b", si_code: ");
        if code < 0 {
            put(fd, b"-");
        }
        put_number(fd, u64::from(code.unsigned_abs()), 10);
        if code > 0 && signal != libc::SIGABRT {
            put(fd, b"\nAccessing address: 0x");
            put_number(fd, address, 16);
        }
        put_trace(fd);
        put(fd, END);
    }
    if PLAN.get().is_some_and(|plan| plan.exit) {
        // SAFETY: a call without pointers that may be made in a handler.
        unsafe { libc::_exit(1) };
    }
    // The handler is gone (SA_RESETHAND): on return the signal takes its default action.
    // SAFETY: as above.
    unsafe { libc::raise(signal) };
}

extern "C" fn on_alarm(_signal: c_int, info: *mut libc::siginfo_t, _context: *mut c_void) {
    let fd = open_log();
    // SAFETY: the kernel passes a valid `siginfo` to a handler set with SA_SIGINFO.
    let sent = unsafe { (*info).si_code } == libc::SI_USER;
    put(fd, if sent { b"\n--- Received SIGALRM ---\n" } else { b"\n--- WATCHDOG TIMER EXPIRED ---\n" });
    put_command(fd);
    put_trace(fd);
    put(fd, b"--------\n");
    if fd != libc::STDOUT_FILENO {
        // SAFETY: the descriptor was opened above.
        unsafe { libc::close(fd) };
    }
}

fn on_panic(info: &std::panic::PanicHookInfo<'_>) {
    if REPORTED.swap(true, Ordering::Relaxed) {
        std::process::abort();
    }
    let fd = open_log();
    put_header(fd);
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let payload = info.payload();
    let words =
        payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let words = words.unwrap_or("a panic without words");
    let title = if words.starts_with("ASSERTION FAILED") { "" } else { "Guru Meditation: " };
    put(fd, format!("{title}{words} at {place}\n").as_bytes());
    put(fd, b"\n------ STACK TRACE ------\n");
    put(fd, std::backtrace::Backtrace::force_capture().to_string().as_bytes());
    put(fd, b"------ STACK TRACE DONE ------\n");
    put(fd, END);
    std::process::abort();
}

/// Ends the process by a bad memory access (DEBUG SEGFAULT).
pub fn segfault() -> ! {
    let nowhere = std::hint::black_box(ptr::null_mut::<u8>());
    // SAFETY: none: that the write is refused by the processor is what is asked for. The page at address 0 is never mapped.
    unsafe { nowhere.write_volatile(b'x') };
    // Where it was mapped all the same, the signal comes without the access.
    // SAFETY: a call without pointers.
    unsafe { libc::raise(libc::SIGSEGV) };
    std::process::abort()
}

/// Ends the process as when memory can't be had (DEBUG OOM).
pub fn out_of_memory() -> ! {
    std::alloc::handle_alloc_error(std::alloc::Layout::new::<[u8; 1 << 40]>())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};
    use std::os::fd::AsRawFd;

    #[test]
    fn numbers_are_written_without_allocation() {
        let mut file = tempfile::tempfile().expect("a file");
        let fd = file.as_raw_fd();
        put_number(fd, 0, 10);
        put(fd, b" ");
        put_number(fd, u64::MAX, 10);
        put(fd, b" ");
        put_number(fd, 0xDEAD_BEEF, 16);
        let mut text = String::new();
        file.rewind().expect("a file can be rewound");
        file.read_to_string(&mut text).expect("text was written");
        assert_eq!(text, "0 18446744073709551615 deadbeef");
    }
}
