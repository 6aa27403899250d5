//! Entry, output and exit on a Cortex-M microcontroller, through its debugger or an emulator.

use core::fmt::{self, Write};

use cortex_m_semihosting::{debug, hio};

#[cortex_m_rt::entry]
fn enter() -> ! {
    crate::main();
    exit(0)
}

/// The standard output of the host.
pub struct Stdout;

impl Write for Stdout {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        hio::hstdout().map_err(|()| fmt::Error)?.write_str(text)
    }
}

/// Ends the program. Reports success only for status 0.
pub fn exit(status: usize) -> ! {
    loop {
        debug::exit(if status == 0 { debug::EXIT_SUCCESS } else { debug::EXIT_FAILURE });
    }
}
