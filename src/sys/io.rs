//! Reading a socket into the unused room of a vector, so that no byte is written twice.

use std::io;
use std::os::fd::RawFd;

/// Receives up to `max` bytes behind the vector's contents. 0 means that the peer has closed.
///
/// # Errors
/// The system's; `WouldBlock` when nothing has arrived.
pub fn recv_behind(fd: RawFd, vec: &mut Vec<u8>, max: usize) -> io::Result<usize> {
    let spare = vec.spare_capacity_mut();
    let room = spare.len().min(max);
    debug_assert!(room > 0, "a read without room looks like the peer's close");
    // SAFETY: the pointer and `room` describe unused capacity of `vec`, which outlives the call.
    let got = unsafe { libc::recv(fd, spare.as_mut_ptr().cast(), room, 0) };
    if got < 0 {
        return Err(io::Error::last_os_error());
    }
    let len = vec.len() + got as usize;
    // SAFETY: the kernel has just written `got` bytes (at most `room`) behind the old length.
    unsafe { vec.set_len(len) };
    Ok(got as usize)
}
