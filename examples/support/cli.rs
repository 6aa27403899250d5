//! What the servers have in common on the command line: `[ADDR] [OPTION…]`.

use std::error::Error;
use std::fmt::Display;
use std::io::{Write, stdout};
use std::process::{ExitCode, exit};

/// The address to listen on, and which of `options` are given. Who asks for help gets no more than that.
pub(crate) fn parse<const N: usize>(
    args: impl Iterator<Item = String>,
    usage: &str,
    options: [&str; N],
) -> Result<(String, [bool; N]), String> {
    let (mut address, mut given) = (None, [false; N]);
    for arg in args {
        if let Some((_, given)) = options.iter().zip(&mut given).find(|(option, _)| **option == arg) {
            *given = true;
        } else if arg == "-h" || arg == "--help" {
            say(usage);
            exit(0);
        } else if arg.starts_with('-') {
            return Err(format!("unknown option {arg}\n{usage}"));
        } else if address.is_some() {
            return Err(format!("a second address, {arg}\n{usage}"));
        } else {
            address = Some(arg);
        }
    }
    Ok((address.unwrap_or_else(|| "127.0.0.1:9001".into()), given))
}

/// A line on standard output. A server is of use where nobody reads it, too.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// The end of `main`, which would show an error as `Debug` does.
pub(crate) fn end(result: Result<(), Box<dyn Error>>) -> ExitCode {
    if let Err(error) = result {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
