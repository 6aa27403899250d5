//! The parts of the standard library that a program needs: an entry point, an exit, output, and a panic handler.

use core::fmt::Write;

#[cfg(target_os = "none")]
#[path = "rt/cortex_m.rs"]
mod system;
#[cfg(target_os = "linux")]
#[path = "rt/linux.rs"]
mod system;

pub use system::Stdout;

/// Prints a line, like `println!`.
#[macro_export]
macro_rules! say {
    ($($part:tt)*) => {{
        use core::fmt::Write as _;
        writeln!($crate::rt::Stdout, $($part)*).unwrap();
    }};
}

/// Prints the panic and exits with 101. If the standard library is linked in, there are two panic handlers, and the
/// build fails.
#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let _ = writeln!(Stdout, "{info}");
    system::exit(101)
}
