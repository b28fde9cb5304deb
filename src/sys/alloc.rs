//! The process's allocator (jemalloc), its size classes and its counts of bytes. Knows no key and no limit.
//!
//! jemalloc keeps two running totals per thread, bytes ever allocated and bytes ever freed, in that thread's own memory.
//! Threads that register lend us the addresses, so `used_bytes` is a few loads and no system call:
//!
//! ```text
//! used = ENDED + sum over registered threads of (allocated - freed)      ENDED: the folded totals of threads that are gone
//! ```
//!
//! Memory may be allocated in one thread and freed in another; only the sum means anything, so each thread that allocates
//! for the data set must register. One arena: helper threads free what the loop allocated, and the loop's bins stay dense.

use super::thread::{self, Way};
use std::ffi::{CStr, c_char, c_void};
use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError, TryLockError};

use tikv_jemalloc_ctl::{Error, epoch, raw, stats};
use tikv_jemalloc_sys as ffi;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Options that jemalloc reads before `main`: one arena, and freed pages go back to the system over a fifth of a second: what the
/// loop frees in one turn it mostly takes again in the next, and what is left is not kept. (Over two seconds a table that grows by
/// millions would be spared some of the thread's work, and hold 3 bytes more for each key meanwhile.)
const OPTIONS: &CStr = c"narenas:1,dirty_decay_ms:200,muzzy_decay_ms:0,max_background_threads:1";

/// The symbol jemalloc looks for; it wants the address of the first byte of `OPTIONS`.
// SAFETY: the name is jemalloc's documented hook and nobody else in the process defines it.
#[unsafe(export_name = "_rjem_malloc_conf")]
#[used]
// SAFETY: a C string literal has at least its NUL byte, is never null and lives for ever.
static MALLOC_CONF: Option<&'static c_char> = Some(unsafe { &*OPTIONS.as_ptr() });

/// The control that purges; 4096 stands for every arena.
const ALL_ARENAS_PURGE: &CStr = c"arena.4096.purge";

/// Where one running thread's totals live.
#[derive(Clone, Copy)]
struct Meter {
    allocated: *mut u64,
    freed: *mut u64,
}

// SAFETY: the pointers are only loaded from, atomically, while `THREADS` is locked, and a meter leaves `THREADS` before its
// thread ends.
unsafe impl Send for Meter {}

impl Meter {
    fn balance(self) -> i64 {
        // SAFETY: the thread is alive (see `Send`), its counters are aligned words that only it writes.
        let (allocated, freed) = unsafe {
            (
                AtomicU64::from_ptr(self.allocated).load(Ordering::Relaxed),
                AtomicU64::from_ptr(self.freed).load(Ordering::Relaxed),
            )
        };
        allocated.wrapping_sub(freed) as i64
    }
}

static THREADS: Mutex<Vec<Meter>> = Mutex::new(Vec::new());
/// Balance of registered threads that have ended.
static ENDED: AtomicI64 = AtomicI64::new(0);
/// The last sum, for the instant in which another thread holds the lock.
static LAST: AtomicI64 = AtomicI64::new(0);

/// A registered thread's place in the sum; dropping it, in the same thread, folds the thread's totals.
pub struct ThreadGuard {
    meter: Meter,
    /// A guard must be dropped by the thread that made it.
    _bound: std::marker::PhantomData<*const ()>,
}

impl Drop for ThreadGuard {
    fn drop(&mut self) {
        let mut threads = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = threads.iter().position(|m| m.allocated == self.meter.allocated) {
            threads.swap_remove(at);
            ENDED.fetch_add(self.meter.balance(), Ordering::Relaxed);
        }
    }
}

/// Counts the calling thread's allocations, since its start, in `used_bytes` for as long as the guard lives and, folded, ever
/// after. Every thread calls it once, first of all; the loop's thread keeps its guard to the end.
///
/// # Errors
/// If jemalloc was built without statistics.
pub fn register_thread() -> io::Result<ThreadGuard> {
    // SAFETY: both names are documented to yield a `uint64_t *`, the address of the calling thread's counter.
    let meter = unsafe {
        Meter {
            allocated: raw::read(b"thread.allocatedp\0").map_err(to_io)?,
            freed: raw::read(b"thread.deallocatedp\0").map_err(to_io)?,
        }
    };
    THREADS.lock().unwrap_or_else(PoisonError::into_inner).push(meter);
    Ok(ThreadGuard { meter, _bound: std::marker::PhantomData })
}

/// Bytes that are allocated now, rounded to size classes, by all registered threads: some ten nanoseconds.
///
/// Never waits: while a thread registers or ends, the last answer is given.
pub fn used_bytes() -> usize {
    let sum = match THREADS.try_lock() {
        Ok(threads) => sum_of(&threads),
        Err(TryLockError::Poisoned(e)) => sum_of(&e.into_inner()),
        Err(TryLockError::WouldBlock) => LAST.load(Ordering::Relaxed),
    };
    usize::try_from(sum).unwrap_or(0)
}

fn sum_of(threads: &[Meter]) -> i64 {
    let ended = ENDED.load(Ordering::Relaxed);
    let sum = threads.iter().fold(ended, |sum, m| sum.wrapping_add(m.balance()));
    LAST.store(sum, Ordering::Relaxed);
    sum
}

/// The bytes that an allocation of `len` bytes (alignment up to 16) occupies: jemalloc's classes are multiples of 16 up to 128
/// (and 8), then four to each doubling, then whole pages. Pure arithmetic; a test compares it with the allocator.
#[inline]
pub const fn size_class(len: usize) -> usize {
    let step = match len {
        0..=8 => 8,
        9..=128 => 16,
        129..=32_768 => 1 << ((len - 1).ilog2() - 2),
        _ => 4096,
    };
    if len == 0 { 8 } else { (len + step - 1) & !(step - 1) }
}

/// The bytes that the allocation at `p` may use.
///
/// # Safety
/// `p` is the start of a live allocation of the global allocator.
pub unsafe fn usable_size(p: *const u8) -> usize {
    // SAFETY: the caller's promise is the function's.
    unsafe { ffi::malloc_usable_size(p.cast::<c_void>()) }
}

/// jemalloc's own account, in bytes; see its manual under `stats.*`.
#[derive(Clone, Copy, Debug, Default)]
pub struct AllocStats {
    /// Asked for by the program, rounded to size classes.
    pub allocated: usize,
    /// In pages that hold at least one allocation.
    pub active: usize,
    /// Held in physical memory, at most: active, metadata and pages freed but not yet returned.
    pub resident: usize,
    /// In extents mapped from the system.
    pub mapped: usize,
    /// Mapped, returned to the system, and kept as address space.
    pub retained: usize,
    /// Used by the allocator itself.
    pub metadata: usize,
}

/// Reads the account afresh: some microseconds, for INFO and MEMORY STATS.
///
/// # Errors
/// If jemalloc was built without statistics.
pub fn alloc_stats() -> io::Result<AllocStats> {
    let read = || -> Result<AllocStats, Error> {
        epoch::advance()?;
        Ok(AllocStats {
            allocated: stats::allocated::read()?,
            active: stats::active::read()?,
            resident: stats::resident::read()?,
            mapped: stats::mapped::read()?,
            retained: stats::retained::read()?,
            metadata: stats::metadata::read()?,
        })
    };
    read().map_err(to_io)
}

/// Returns all freed pages to the system at once (MEMORY PURGE): as long as the system calls take.
///
/// # Errors
/// jemalloc's error number.
pub fn purge() -> io::Result<()> {
    run(ALL_ARENAS_PURGE)
}

/// Starts or stops jemalloc's own thread that returns freed pages when their time has come. Without it the loop's allocations
/// do so now and then, and one of them takes about a millisecond (worst of 8 M inserts; with the thread some 0.3 ms); and an
/// idle process keeps what it freed. Call it after the last `fork` of start-up: threads do not survive one.
///
/// The thread gives way: at equal rights on the loop's core, or with a lesser share of it, it held a request up for 4 ms.
///
/// # Errors
/// jemalloc's, where threads are not supported or cannot be made.
pub fn set_background_purge(on: bool) -> io::Result<()> {
    // A new thread takes over the priority of the one that makes it.
    let maker = std::thread::Builder::new().name("purge-maker".into()).spawn(move || {
        if let Err(error) = thread::give_way(Way::Last) {
            log::debug!("The allocator's thread does not give way to the loop: {error}");
        }
        tikv_jemalloc_ctl::background_thread::write(on).map_err(to_io)
    })?;
    maker.join().unwrap_or_else(|_| Err(io::Error::other("the thread that was to set it up panicked")))
}

/// The allocator's whole account in words (MEMORY MALLOC-STATS): some milliseconds.
///
/// # Errors
/// If jemalloc has no statistics.
pub fn report() -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    tikv_jemalloc_ctl::stats_print::stats_print(&mut text, tikv_jemalloc_ctl::stats_print::Options::default())?;
    Ok(text)
}

/// Runs a jemalloc control that takes and gives nothing.
fn run(name: &CStr) -> io::Result<()> {
    let null = std::ptr::null_mut();
    // SAFETY: `name` ends with NUL; null pointers say that nothing is read or written.
    let code = unsafe { ffi::mallctl(name.as_ptr(), null, null.cast(), null, 0) };
    if code == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(code)) }
}

/// The allocator's name and version, as in `jemalloc-5.3.1`.
pub fn version() -> String {
    // SAFETY: the name is documented to yield a `const char *` to a string that lives for ever.
    let text = unsafe { raw::read::<*const c_char>(b"version\0") };
    let text = match text {
        // SAFETY: see above; jemalloc's version string ends with NUL.
        Ok(p) if !p.is_null() => unsafe { CStr::from_ptr(p) }.to_string_lossy(),
        _ => return "jemalloc".to_owned(),
    };
    let number = text.split('-').next().unwrap_or("");
    format!("jemalloc-{number}")
}

fn to_io(e: Error) -> io::Error {
    io::Error::other(e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_classes_are_those_of_the_allocator() {
        // SAFETY: `nallocx` is pure for sizes above zero.
        let real = |len: usize| unsafe { ffi::nallocx(len, 0) };
        let sparse = (0..40).map(|i| (1usize << 16) + i * 37_129);
        for len in (1..70_000).chain(sparse) {
            assert_eq!(size_class(len), real(len), "at {len}");
        }
        assert_eq!(size_class(0), 8);
    }

    #[test]
    fn options_reached_the_allocator() {
        // SAFETY: both options have these types.
        let (narenas, decay) = unsafe {
            (
                raw::read::<u32>(b"opt.narenas\0").expect("an option"),
                raw::read::<isize>(b"opt.dirty_decay_ms\0").expect("an option"),
            )
        };
        assert_eq!((narenas, decay), (1, 200));
    }

    #[test]
    fn used_bytes_follow_allocation_across_threads_and_their_end() {
        const BIG: usize = 64 << 20;
        let guard = register_thread().expect("statistics are built in");
        // Not `used_bytes`, which gives its last answer while another test's thread registers.
        let used = || sum_of(&THREADS.lock().expect("nobody panics with it"));
        let before = used();
        let moved = std::thread::spawn(|| {
            let _guard = register_thread().expect("statistics are built in");
            vec![1u8; BIG]
        })
        .join()
        .expect("no panic");
        // Other tests run in threads of their own, unregistered; only this one's balance counts.
        let after = used();
        assert!(after - before > BIG as i64 / 2, "{before} -> {after}");
        drop(moved);
        assert!(after - used() > BIG as i64 / 2);
        assert!(usize::try_from(after).is_ok() || used_bytes() == 0);
        drop(guard);
    }

    #[test]
    fn stats_and_version_are_there() {
        let kept = vec![1u8; 1 << 20];
        let stats = alloc_stats().expect("statistics are built in");
        assert!(stats.allocated >= kept.len() && stats.active >= stats.allocated);
        assert!(stats.resident >= stats.active && stats.metadata > 0);
        assert!(version().starts_with("jemalloc-5."), "{}", version());
        purge().expect("purge is allowed");
        set_background_purge(true).expect("threads are supported");
        set_background_purge(false).expect("threads are supported");
        // SAFETY: a live vector's allocation.
        assert!(unsafe { usable_size(kept.as_ptr()) } >= 1 << 20);
    }
}
