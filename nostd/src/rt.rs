//! What a program needs that has no standard library: a beginning, an end, a way to print, and a panic
//! handler.

use core::fmt::Write;

#[cfg(target_os = "none")]
#[path = "rt/cortex_m.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "rt/linux.rs"]
mod system;

pub use system::Stdout;

/// `println!`.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {{
        use core::fmt::Write as _;
        writeln!($crate::rt::Stdout, $($part)*).unwrap();
    }};
}

/// Prints the panic and ends the program. With the standard library linked in, this is the second one.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Stdout, "{info}");
    system::exit(101)
}
