//! The `carillon` program.

use std::process::ExitCode;

/// Fast at the many small, short-lived buffers that messages are.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    carillon_server::main()
}
