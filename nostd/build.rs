//! Links the programs without a C library, its start files or an unwinder.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for arg in [
        "-nostartfiles",
        "-nostdlib",
        "-static",
        "-no-pie",
        // The precompiled `core` names these two; with `panic = "abort"` nothing calls them.
        "-Wl,--defsym=rust_eh_personality=0",
        "-Wl,--defsym=_Unwind_Resume=0",
    ] {
        println!("cargo:rustc-link-arg-bins={arg}");
    }
}
