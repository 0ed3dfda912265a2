//! A program of one's own.

use acme_plugins as _;

fn main() -> std::process::ExitCode {
    carillon_server::main!()
}

/// It is called by name: a test has a `main` of its own.
#[test]
fn a_program_is_one_line() {
    let _: fn() -> std::process::ExitCode = main;
}
