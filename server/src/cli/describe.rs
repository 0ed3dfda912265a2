//! `carillon completions` and `carillon man`: the command line described, for shells and for `man`.

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
    let name = words(page).replace(' ', "-");
    let mut text = Vec::new();
    match Man::new(page.clone()).title(name.to_uppercase()).render(&mut text) {
        Ok(()) => say::result(&String::from_utf8_lossy(&text)),
        Err(error) => say::trouble(format_args!("cannot write the page: {error}"), Exit::Failure),
    }
}

/// What is typed to get to a command.
fn words(command: &Command) -> &str {
    command.get_bin_name().unwrap_or(command.get_name())
}
