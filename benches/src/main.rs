//! The load tool: sets Carillon beside its peers, and beside what the kernel alone takes, and says what a delivery costs.

use std::error::Error;
use std::ffi::OsStr;
use std::process::ExitCode;

use clap::Parser;

mod cli;
mod clock;
mod load;
mod machine;
mod measure;
mod peers;
mod report;

use cli::{Cli, What};
use measure::Measure;
use peers::child;

/// The same for Carillon, the floor and bare socketioxide; the other peers bring their own.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What can go wrong here is told to a person and ends the run.
pub(crate) type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    // Carillon under test is this program: `carillon-benches serve` is `carillon serve` with one more plugin.
    if std::env::args_os().nth(1).is_some_and(|first| first == "serve") {
        machine::die_with_parent();
        return carillon_server::main();
    }
    // A server that is no program of ours: see `peers::child::guarded`.
    if std::env::args_os().nth(1).as_deref() == Some(OsStr::new(child::BECOME)) {
        return match child::become_other(std::env::args_os().skip(2)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::from(2)
            }
        };
    }
    match run(Cli::parse().what) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(1),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::from(2)
        }
    }
}

/// Does what the command line says; false when a round failed.
fn run(what: What) -> Result<bool> {
    match what {
        What::Fanout(options) => options.run(),
        What::Idle(options) => options.run(),
        What::Slow(options) => options.run(),
        What::Relay(options) => options.run(),
        What::Nodes(options) => options.run(),
        What::Faults(options) => options.run(),
        What::Replay(options) => options.run(),
        What::Ack(options) => options.run(),
        What::Ingress(options) => options.run(),
        What::Connect(options) => options.run(),
        What::Poll(options) => options.run(),
        What::Scrape(options) => options.run(),
        What::Overload(options) => options.run(),
        What::Suite(options) => measure::suite::run(&options),
        What::Report(options) => report::run(&options).map(|()| true),
        What::ServeFloor(serve) => {
            machine::die_with_parent();
            peers::floor::serve(serve.address).map(|()| true)
        }
        What::ServeSocketioxide(serve) => {
            machine::die_with_parent();
            peers::socketioxide::serve(serve.address, serve.workers).map(|()| true)
        }
    }
}
