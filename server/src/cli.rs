//! The command line: what can be asked of the `carillon` program.

mod check;
mod config;
mod contract;
mod describe;
mod plugins;
mod probe;
mod token;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use carillon_config::{Loaded, Loader, LogSettings, Source, all_sections};
use carillon_core::registry::Registry;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::exit::Exit;
use crate::program::Program;
use crate::reload::Reload;
use crate::{app, legacy, logs, say};

/// Read when no file is named and this one is there.
const DEFAULT_FILE: &str = "carillon.toml";
/// Names the file where there is no flag.
const FILE_VARIABLE: &str = "CARILLON_CONFIG";

const EXIT_CODES: &str = "Exit codes: 0 success, 1 failure at run time, 2 wrong command line, 78 wrong configuration.";
const SETTINGS: &str = "Settings come from flags, then environment variables (CARILLON_SERVER__LISTEN=0.0.0.0:80 is \
server.listen), then the configuration file, then the defaults, which `carillon config default` prints with their \
meaning. The file is the one named by --config or CARILLON_CONFIG, else ./carillon.toml where there is one. Where none of these set it, the variables
of DispyCluster count: HOST, PORT, REDIS_HOST and others (docs/migrating.md).";
const COMPLETIONS: &str = "Where shells look for it, for all users:
  bash  carillon completions bash > /usr/share/bash-completion/completions/carillon
  zsh   carillon completions zsh > /usr/share/zsh/site-functions/_carillon
  fish  carillon completions fish > /usr/share/fish/vendor_completions.d/carillon.fish";

/// An event router for Socket.IO: finds plugins at link time, dispatches clients' events to them, fans events out.
#[derive(Debug, Parser)]
#[command(name = "carillon", bin_name = "carillon", version, arg_required_else_help = true)]
#[command(after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start the server; nothing need be configured
    #[command(after_help = SETTINGS)]
    Serve(Serve),
    /// Check the configuration: all its mistakes at once, nothing is started
    #[command(after_help = SETTINGS)]
    Check {
        #[command(flatten)]
        file: File,
        /// Print every setting with its value and where it comes from
        #[arg(short, long)]
        verbose: bool,
    },
    /// List the plugins: their namespaces, events, HTTP routes and settings, and where they are defined
    Plugins {
        #[command(flatten)]
        file: File,
        /// Print JSON, for programs
        #[arg(long)]
        json: bool,
    },
    /// Print every setting with its default and meaning, or the configuration's JSON schema
    Config {
        #[command(subcommand)]
        what: config::What,
    },
    /// Print types for the programs of clients: every event, what it carries and what it is answered with
    Types {
        /// The language
        language: contract::Language,
        #[command(flatten)]
        file: File,
    },
    /// Print the AsyncAPI 3.0 document of all namespaces and events
    Asyncapi {
        #[command(flatten)]
        file: File,
    },
    /// Ask a running server whether it lives or is ready: exit code 0 is yes, 1 is no; for health checks of containers
    #[command(after_help = EXIT_CODES)]
    Probe {
        #[command(subcommand)]
        what: probe::What,
    },
    /// Make a client's token, ask why one is refused, or revoke it, as `[auth]` and `[bus]` say
    Token {
        #[command(subcommand)]
        what: token::What,
    },
    /// Print what a shell reads to complete this command line
    #[command(after_help = COMPLETIONS)]
    Completions {
        /// The shell
        shell: Shell,
    },
    /// Print the manual page of this program, or of one of its commands
    #[command(after_help = "For example: carillon man serve | man -l -")]
    Man {
        /// The words that lead to the command, as in `probe ready`
        #[arg(value_name = "COMMAND")]
        path: Vec<String>,
        /// Write the pages of all commands into this folder instead, each under the name that `man` looks for
        #[arg(long, value_name = "FOLDER", conflicts_with = "path")]
        all: Option<PathBuf>,
    },
}

#[derive(Debug, Args)]
struct File {
    /// The configuration file (TOML)
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    file: File,
    /// Address and port to listen on; port 0 takes any free port [setting: server.listen]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// The bus: memory:// lives in this process, redis://HOST connects to others [setting: bus.url]
    #[arg(long, value_name = "URL")]
    bus: Option<String>,
    /// Log more, beginning with every setting and where it comes from; -vv for details of single messages
    #[arg(short, long, action = clap::ArgAction::Count)]
    verbose: u8,
    /// The form of log lines [setting: log.format]
    #[arg(long, value_name = "FORM")]
    log_format: Option<Form>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Form {
    /// For people
    Human,
    /// One JSON object a line
    Json,
}

/// The command line under the program's own name.
fn command(program: Program) -> clap::Command {
    Cli::command().name(program.name).bin_name(program.name).version(program.version)
}

/// Does what the command line says.
pub(crate) fn run(program: Program, args: impl IntoIterator<Item = OsString>) -> Exit {
    let parsed = command(program).try_get_matches_from(args).and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            let exit = if error.use_stderr() { Exit::Usage } else { Exit::Success };
            // Help and version go to standard output, mistakes to standard error; neither stream need be there.
            error.print().ok();
            return exit;
        }
    };
    let registry = match Registry::linked() {
        Ok(registry) => registry,
        Err(error) => return say::trouble(error, Exit::Config),
    };
    match cli.command {
        Command::Serve(serve) => serve.run(program, &registry),
        Command::Check { file, verbose } => check::run(&registry, file.loader(&registry), verbose),
        Command::Plugins { file, json } => plugins::run(&registry, file.loader(&registry), json),
        Command::Config { what } => config::run(&registry, what),
        Command::Types { language, file } => contract::types(&registry, file.loader(&registry), language),
        Command::Asyncapi { file } => contract::asyncapi(&registry, file.loader(&registry), program),
        Command::Probe { what } => probe::run(what, |file| file.loader(&registry)),
        Command::Token { what } => token::run(what, &registry, |file| file.loader(&registry)),
        Command::Completions { shell } => describe::completions(command(program), shell),
        Command::Man { all: Some(folder), .. } => describe::manuals(command(program), &folder),
        Command::Man { path, all: None } => describe::manual(command(program), &path),
    }
}

impl File {
    /// Defaults, the old system's variables, file and environment.
    fn loader(&self, registry: &Registry) -> Loader {
        let environment = std::env::vars_os().filter(|(name, _)| name != FILE_VARIABLE);
        let loader = Loader::new(all_sections(registry.sections())).aliases(legacy::ALIASES).env(environment);
        let named = self.config.clone().or_else(|| std::env::var_os(FILE_VARIABLE).map(PathBuf::from));
        match named.or_else(|| Path::new(DEFAULT_FILE).exists().then(|| PathBuf::from(DEFAULT_FILE))) {
            Some(file) => loader.file(file),
            None => loader,
        }
    }
}

impl Serve {
    /// The settings as this command line has them.
    fn loader(&self, registry: &Registry) -> Loader {
        let mut loader = self.file.loader(registry);
        if let Some(listen) = &self.listen {
            loader = loader.flag("server.listen", listen, "--listen");
        }
        if let Some(bus) = &self.bus {
            loader = loader.flag("bus.url", bus, "--bus");
        }
        if let Some(form) = self.log_format {
            loader = loader.flag(
                "log.format",
                form.to_possible_value().map_or_else(String::new, |v| v.get_name().to_owned()),
                "--log-format",
            );
        }
        match self.verbose {
            0 => {}
            1 => loader = loader.flag("log.level", "debug,hyper=info", "-v"),
            _ => loader = loader.flag("log.level", "trace", "-vv"),
        }
        loader
    }

    fn run(&self, program: Program, registry: &Registry) -> Exit {
        let config = match load_all(registry, self.loader(registry)) {
            Ok(config) => config,
            Err(exit) => return exit,
        };
        let logs = match logs::start(&config.get::<LogSettings>("log")) {
            Ok(logs) => logs,
            Err(problem) => return say::refusal(&config, &problem, Exit::Config),
        };
        let unset = |key: &str| config.sources().any(|(name, _, source)| name == key && *source == Source::Default);
        if let Some(notice) = legacy::unused_host().filter(|_| unset("server.listen")) {
            tracing::warn!("{notice}");
        }
        for notice in legacy::in_force(&config) {
            tracing::warn!("{notice}");
        }
        if self.verbose > 0 {
            check::effective(&config).lines().for_each(|line| tracing::info!("{line}"));
        }
        let read = Box::new(|| self.loader(registry).load());
        app::serve(program, registry, Reload { read, running: config, logs })
    }
}

/// Loads the settings, or says everything that is wrong with them.
fn load(loader: Loader) -> Result<Loaded, Exit> {
    let (config, problems) = loader.examine();
    if problems.is_empty() { Ok(config) } else { Err(say::problems(&config, &problems)) }
}

/// The same for who is about to start a server: with what only the settings and the plugins together show, where anything is
/// wrong at all.
fn load_all(registry: &Registry, loader: Loader) -> Result<Loaded, Exit> {
    let (config, mut problems) = loader.examine();
    if problems.is_empty() {
        return Ok(config);
    }
    crate::check::add_all(registry, &config, &mut problems);
    Err(say::problems(&config, &problems))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_binary_of_ones_own_tells_its_own_name_and_version() {
        let acme = command(Program { name: "acme", version: "1.2.3" });
        assert_eq!(acme.render_version(), "acme 1.2.3\n");
    }
}
