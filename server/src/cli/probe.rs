//! `carillon probe`: asks a running server whether it lives or is ready, for whoever can only run a command, such as the
//! health check of a container.

use std::time::Duration;

use carillon_config::{AdminSettings, Loader, ServerSettings};
use clap::{Args, Subcommand};
use http::Uri;

use super::{File, load};
use crate::exit::Exit;
use crate::{probe, say};

/// Which question.
#[derive(Debug, Subcommand)]
pub(super) enum What {
    /// Whether traffic should be sent to the server: /readyz
    Ready(Asked),
    /// Whether the server answers at all: /livez
    Live(Asked),
}

/// How it is asked.
#[derive(Debug, Args)]
pub(super) struct Asked {
    #[command(flatten)]
    pub(super) file: File,
    /// The server, as in http://127.0.0.1:8085; without it the one of admin.listen, else of server.listen, on this machine
    #[arg(long, value_name = "URL", value_parser = server)]
    url: Option<Uri>,
    /// How long the answer may take, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2000, value_parser = clap::value_parser!(u64).range(1..=600_000))]
    timeout: u64,
}

impl What {
    fn parts(self) -> (probe::Question, Asked) {
        match self {
            Self::Ready(asked) => (probe::Question::Ready, asked),
            Self::Live(asked) => (probe::Question::Live, asked),
        }
    }
}

/// Asks, and says in one line what came of it. `read` reads the settings, which only say where the server is.
pub(super) fn run(what: What, read: impl FnOnce(&File) -> Loader) -> Exit {
    let (question, Asked { file, url, timeout }) = what.parts();
    let target = match url {
        Some(url) => probe::Target::of(&url),
        None => match load(read(&file)) {
            Ok(config) => match config.get::<AdminSettings>("admin").listen {
                Some(listen) => probe::Target::listening("admin.listen", &listen),
                None => {
                    let server: ServerSettings = config.get("server");
                    let target = probe::Target::listening("server.listen", &server.listen);
                    if server.tls.files().is_some() { target.map(probe::Target::secure) } else { target }
                }
            },
            Err(exit) => return exit,
        },
    };
    let answer = target.and_then(|target| probe::ask(question, &target, Duration::from_millis(timeout)));
    match answer {
        Ok(line) => say::result(&line),
        Err(line) => say::trouble(line, Exit::Failure),
    }
}

/// A URL that names a server and nothing on it.
fn server(text: &str) -> Result<Uri, String> {
    let url: Uri = text.parse().map_err(|error| format!("{error}; write http://HOST:PORT or https://HOST:PORT"))?;
    let bare = url.path() == "/" && url.query().is_none();
    if !matches!(url.scheme_str(), Some("http" | "https")) || url.host().is_none_or(str::is_empty) || !bare {
        return Err("write http://HOST:PORT or https://HOST:PORT: a probe asks the server itself".to_owned());
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_and_nothing_else() {
        for url in ["http://127.0.0.1:8085", "http://[::1]:80/", "http://carillon", "https://carillon:8443"] {
            assert!(server(url).is_ok(), "{url}");
        }
        for url in ["ftp://carillon", "carillon:8085", "/readyz", "http://carillon/readyz", "http://c?x=1", ""] {
            assert!(server(url).is_err(), "{url}");
        }
    }
}
