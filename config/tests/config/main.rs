//! The package as the server and the plugins use it: precedence, every kind of mistake, generated files.
mod aliases;
mod all_at_once;
mod auth;
mod environment;
#[cfg(test)]
mod file;
mod generated;
mod mistakes;
mod plugins;
mod precedence;
#[cfg(test)]
mod sample;
