//! Lays the server's everyday code side by side (`hot.ld`, written by `scripts/layout`): the system maps a file 64 KB at a
//! time, so that spread over the whole program some 350 KB of code made nearly 4 MB resident.
//!
//! Tells the tests whether they are optimised.
//!
//! `REDSTART_LAYOUT=none` in the environment leaves the order to the linker, for one that knows no such script.

use std::env;
use std::path::Path;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(optimised)");
    if env::var("OPT_LEVEL").is_ok_and(|level| level != "0") {
        // Tests against models take a million steps a structure where that takes seconds.
        println!("cargo::rustc-cfg=optimised");
    }
    println!("cargo::rerun-if-changed=src/build.rs");
    println!("cargo::rerun-if-changed=src/hot.ld");
    println!("cargo::rerun-if-env-changed=REDSTART_LAYOUT");
    let none = env::var("REDSTART_LAYOUT").is_ok_and(|value| value == "none");
    if none || env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux") {
        return;
    }
    let root = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg-bin=redstart-server=-Wl,-T,{}", Path::new(&root).join("src/hot.ld").display());
}
