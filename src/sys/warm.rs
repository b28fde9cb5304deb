//! Which of the program's own pages are in memory. Its code is read from the disk before the first request, which would else
//! wait for it piece by piece; after the start only what everyday requests run stays mapped (laid side by side by
//! `hot.ld`), so that what is never used, such as TLS where there is none, does not count as resident.

#[cfg(target_os = "linux")]
mod linux {
    use std::ffi::{CStr, c_int, c_void};
    use std::io;

    const PAGE: usize = 4096;

    /// A part of the program or of a library, as the loader mapped it: `[start, start + len)`, on page boundaries.
    #[derive(Clone, Copy)]
    struct Part {
        start: usize,
        len: usize,
    }

    /// Asks for all pages of the program's code, and waits for none.
    ///
    /// # Errors
    /// The system's.
    pub fn code() -> io::Result<()> {
        unwritten(Whose::Own).into_iter().try_for_each(|part| advise(part, libc::MADV_WILLNEED))
    }

    /// The start is over: the code that only it needed, and what it used of the libraries, is resident no more; what everyday
    /// requests run is, before the first of them. What else is used again is found in the page cache.
    ///
    /// # Errors
    /// The system's, of kernels before 5.14 `EINVAL`: everyday code comes when it is used.
    pub fn settle() -> io::Result<()> {
        unwritten(Whose::LeftBehind).into_iter().try_for_each(|part| advise(part, libc::MADV_DONTNEED))?;
        everyday().map_or(Ok(()), |part| advise(part, libc::MADV_POPULATE_READ))
    }

    /// First function of the everyday code: the linker script (`hot.ld`) puts what has this section's name there.
    #[unsafe(link_section = ".text.redstart_everyday_first")]
    extern "C" fn everyday_first() -> c_int {
        1
    }

    /// Last function of the everyday code.
    #[unsafe(link_section = ".text.redstart_everyday_last")]
    extern "C" fn everyday_last() -> c_int {
        2
    }

    /// Where the everyday code lies; `None` if the program was linked without the script.
    fn everyday() -> Option<Part> {
        const LARGEST: usize = 4 << 20;
        let start = std::hint::black_box(everyday_first as extern "C" fn() -> c_int) as usize & !(PAGE - 1);
        let end = std::hint::black_box(everyday_last as extern "C" fn() -> c_int) as usize;
        let len = end.checked_sub(start).filter(|&len| len > PAGE && len < LARGEST)?;
        Some(Part { start, len })
    }

    /// Which of the parts that nobody may write, the loader at its work included.
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Whose {
        /// The program's code and constants.
        Own,
        /// The program's code, and all of the libraries: the program's constants are used again, wherever they lie.
        LeftBehind,
    }

    /// Every such part, as it is mapped from its file.
    fn unwritten(whose: Whose) -> Vec<Part> {
        struct Found {
            whose: Whose,
            parts: Vec<Part>,
        }
        unsafe extern "C" fn object(info: *mut libc::dl_phdr_info, _: usize, found: *mut c_void) -> c_int {
            // SAFETY: the loader hands out one object's headers and our own `Found`, both alive during the call.
            let (info, found) = unsafe { (&*info, &mut *found.cast::<Found>()) };
            // SAFETY: the name ends with NUL; the program's own is empty.
            let name = unsafe { CStr::from_ptr(info.dlpi_name) }.to_bytes();
            let own = name.is_empty();
            // The kernel's own page for clocks comes from no file.
            let skip = name.starts_with(b"linux-") || found.whose == Whose::Own && !own;
            if !skip && !info.dlpi_phdr.is_null() {
                // SAFETY: `dlpi_phnum` headers lie there.
                for header in unsafe { std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)) } {
                    let kept = found.whose == Whose::LeftBehind && own && header.p_flags & libc::PF_X == 0;
                    if header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0 && !kept {
                        let from = info.dlpi_addr as usize + header.p_vaddr as usize;
                        let start = from & !(PAGE - 1);
                        found.parts.push(Part { start, len: from + header.p_memsz as usize - start });
                    }
                }
            }
            0
        }
        let mut found = Found { whose, parts: Vec::new() };
        // SAFETY: `object` only reads what it is given and fills `found`, which outlives the call.
        unsafe { libc::dl_iterate_phdr(Some(object), (&raw mut found).cast()) };
        found.parts
    }

    fn advise(part: Part, advice: c_int) -> io::Result<()> {
        // SAFETY: the range is constants and code, mapped from a file and never written: neither piece of advice changes what
        // is read there.
        let code = unsafe { libc::madvise(part.start as *mut c_void, part.len, advice) };
        if code == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }
}

#[cfg(target_os = "linux")]
pub use linux::{code, settle};

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
pub fn settle() -> std::io::Result<()> {
    Ok(())
}
