//! The `carillon` program.

use std::process::ExitCode;

/// Fast at the many small, short-lived buffers that messages are, and keeps what is alike side by side in memory: a
/// publish walks over thousands of connections.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    carillon_server::main()
}
