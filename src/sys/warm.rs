//! Brings the program's own code into memory before the first request, which would else wait for its page faults one by one.

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

    /// Maps all pages of the program's code.
    ///
    /// # Errors
    /// The system's: a kernel before 5.14 does not know how.
    pub fn code() -> io::Result<()> {
        const PAGE: usize = 4096;
        let start = (&raw const __executable_start).addr() & !(PAGE - 1);
        let end = (&raw const etext).addr();
        // SAFETY: the range is our own loaded program; populating it for reading changes nothing in it.
        let code = unsafe { libc::madvise(start as *mut c_void, end - start, libc::MADV_POPULATE_READ) };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(target_os = "linux")]
pub use linux::code;

/// Elsewhere the pages come when they are needed.
///
/// # Errors
/// None.
#[cfg(not(target_os = "linux"))]
pub fn code() -> std::io::Result<()> {
    Ok(())
}
