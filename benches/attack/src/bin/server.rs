//! The attacked server, which is the example `tokio_echo_server` on a runtime of one thread: `server [ADDR]
//! [--deflate]`.

use std::process::ExitCode;

/// The unchanged example, on a different runtime.
#[allow(dead_code, reason = "the main function of the example")]
#[path = "../../../../examples/tokio_echo_server.rs"]
mod example;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    hybi_attack::limits::raise_descriptors();
    match example::run(std::env::args().skip(1)).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
