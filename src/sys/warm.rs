//! Has the program's own code read from the disk before the first request, which would else wait for it piece by piece. The
//! pages are only made ready: what is never used, such as TLS where there is none, does not count as resident.

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::c_void;
    use std::io;

    unsafe extern "C" {
        /// First byte of the program as it is loaded: defined by the linker.
        static __executable_start: u8;
        /// First byte behind its code: defined by the linker.
        static etext: u8;
    }

    /// Asks for all pages of the program's code, and waits for none.
    ///
    /// # Errors
    /// The system's.
    pub fn code() -> io::Result<()> {
        advise(libc::MADV_WILLNEED)
    }

    /// The start is over: the code that only it needed is resident no more. What is used again is found in the page cache.
    ///
    /// # Errors
    /// The system's.
    pub fn release() -> io::Result<()> {
        advise(libc::MADV_DONTNEED)
    }

    fn advise(advice: i32) -> io::Result<()> {
        const PAGE: usize = 4096;
        let start = (&raw const __executable_start).addr() & !(PAGE - 1);
        let end = (&raw const etext).addr();
        // SAFETY: the range is our own program's constants and code, mapped from its file and never written: neither piece of
        // advice changes what is read there.
        let code = unsafe { libc::madvise(start as *mut c_void, end - start, advice) };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(target_os = "linux")]
pub use linux::{code, release};

/// Elsewhere the pages come when they are needed.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn code() -> std::io::Result<()> {
    Ok(())
}

/// Elsewhere nothing is done.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn release() -> std::io::Result<()> {
    Ok(())
}
