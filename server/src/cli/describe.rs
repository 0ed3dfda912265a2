//! `carillon completions` and `carillon man`: the command line described, for shells and for `man`.

use std::io;
use std::path::Path;

use clap::Command;
use clap_complete::Shell;
use clap_mangen::Man;

use crate::exit::Exit;
use crate::say;

/// Prints what a shell reads to complete this command line.
pub(super) fn completions(mut command: Command, shell: Shell) -> Exit {
    let name = command.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut text);
    say::result(&String::from_utf8_lossy(&text))
}

/// Prints the manual page of the program, or of the command that `path` leads to.
pub(super) fn manual(mut command: Command, path: &[String]) -> Exit {
    // Tells every command the words that lead to it, which its page begins with.
    command.build();
    let mut page = &command;
    for name in path {
        match page.find_subcommand(name) {
            Some(found) => page = found,
            None => return say::trouble(format_args!("{} has no command {name:?}", words(page)), Exit::Usage),
        }
    }
    match rendered(page) {
        Ok(text) => say::result(&String::from_utf8_lossy(&text)),
        Err(error) => say::trouble(format_args!("cannot write the page: {error}"), Exit::Failure),
    }
}

/// Writes the pages of the program and all its commands into a folder that is there.
pub(super) fn manuals(command: Command, folder: &Path) -> Exit {
    // Where there is `help`, its pages would repeat those of all others.
    let mut command = command.disable_help_subcommand(true);
    command.build();
    match write_pages(&command, folder) {
        Ok(()) => Exit::Success,
        Err(error) => {
            say::trouble(format_args!("cannot write the pages into {}: {error}", folder.display()), Exit::Failure)
        }
    }
}

fn write_pages(command: &Command, folder: &Path) -> io::Result<()> {
    std::fs::write(folder.join(page_name(command) + ".1"), rendered(command)?)?;
    command.get_subcommands().try_for_each(|one| write_pages(one, folder))
}

/// The page of one command, as `man` reads it.
fn rendered(command: &Command) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    Man::new(command.clone()).title(page_name(command).to_uppercase()).render(&mut text)?;
    Ok(text)
}

/// What `man` is asked for to show this command's page.
fn page_name(command: &Command) -> String {
    words(command).replace(' ', "-")
}

/// What is typed to get to a command.
fn words(command: &Command) -> &str {
    command.get_bin_name().unwrap_or(command.get_name())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;
    use crate::cli::Cli;

    #[test]
    fn every_command_gets_a_page_under_its_own_name_and_help_gets_none() {
        let folder = std::env::temp_dir().join(format!("carillon-pages-{}", std::process::id()));
        std::fs::create_dir(&folder).unwrap();
        assert_eq!(manuals(Cli::command(), &folder), Exit::Success);
        let mut names: Vec<_> =
            std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let page = std::fs::read_to_string(folder.join("carillon-probe-ready.1")).unwrap();
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(page.contains(".TH CARILLON-PROBE-READY 1"), "{page}");
        for name in ["carillon.1", "carillon-serve.1", "carillon-probe.1", "carillon-probe-live.1"] {
            assert!(names.iter().any(|one| one == name), "{name} is missing: {names:?}");
        }
        assert!(!names.iter().any(|name| name.contains("help")), "{names:?}");
        assert_eq!(manuals(Cli::command(), &folder), Exit::Failure);
    }
}
