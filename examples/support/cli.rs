//! The command line that all example servers share: `[ADDR] [OPTION…]`.

use std::error::Error;
use std::fmt::Display;
use std::io::{Write, stdout};
use std::process::{ExitCode, exit};

/// Returns the address to listen on, and which of `options` are given. Prints the usage and exits upon `--help`.
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
            return Err(format!("unexpected second address {arg}\n{usage}"));
        } else {
            address = Some(arg);
        }
    }
    Ok((address.unwrap_or_else(|| "127.0.0.1:9001".into()), given))
}

/// Prints a line to standard output. Errors are ignored: a server is useful even if its output is closed.
pub(crate) fn say(line: impl Display) {
    let _ = writeln!(stdout(), "{line}");
}

/// Returns the exit code of `main`, and prints an error with `Display`. Returning the error would print its `Debug`.
pub(crate) fn end(result: Result<(), Box<dyn Error>>) -> ExitCode {
    if let Err(error) = result {
        eprintln!("{error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
