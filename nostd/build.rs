//! Sets the link arguments of the programs.
//!
//! On Linux the programs are linked without a C library, its start files or an unwinder. On a microcontroller they are
//! linked with the script of cortex-m-rt and the memory layout of the board (`memory.x`).

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "none") {
        println!("cargo:rustc-link-search={}", env!("CARGO_MANIFEST_DIR"));
        println!("cargo:rustc-link-arg-bins=-Tlink.x");
        return;
    }
    for arg in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        // The precompiled `core` refers to these two symbols, so the linker needs them. With `panic = "abort"` nothing
        // calls them.
        "-Wl,--defsym=rust_eh_personality=0",
        "-Wl,--defsym=_Unwind_Resume=0",
    ] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
}
