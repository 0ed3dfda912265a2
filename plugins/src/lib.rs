//! The namespaces Carillon brings along, one file or folder each, found at link time.
//!
//! A binary names this crate once, as in `use carillon_plugins as _;`, and every namespace below is there. To add one,
//! copy `echo.rs` and write its `mod` line here; nothing else is to be done.

// One line for each namespace.
mod echo;
mod health;
mod monitoring;
mod relay;
mod router;

// The bus to other programs and other Carillons.
mod redis;

// What several namespaces speak about. Namespaces do not know each other.
mod cluster;

#[cfg(test)]
mod testing;
