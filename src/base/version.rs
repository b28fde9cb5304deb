//! Versions: our own, and the Redis version whose behaviour clients may count on.

/// The Redis version that INFO, HELLO and LOLWUT name.
pub const REDIS: &str = "7.4.2";
/// Redstart's own version.
pub const REDSTART: &str = env!("CARGO_PKG_VERSION");
/// The commit it was built from, if the build told.
pub const COMMIT: &str = match option_env!("REDSTART_COMMIT") {
    Some(commit) => commit,
    None => "00000000",
};
/// Whether the build had changes beside that commit, if the build told.
pub const DIRTY: &str = match option_env!("REDSTART_DIRTY") {
    Some(dirty) => dirty,
    None => "0",
};

/// A number of this build: 64-bit FNV-1a over what distinguishes builds.
pub fn build_id() -> String {
    let words = [REDSTART, COMMIT, DIRTY, std::env::consts::ARCH, std::env::consts::OS];
    let bytes = words.iter().flat_map(|word| word.bytes().chain([0]));
    let hash =
        bytes.fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}
