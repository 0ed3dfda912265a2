//! What must hold whatever a stranger sends. The tests of `core` and `config` hold the same over the corpus and 100,000
//! random mutations of it; `cargo fuzz run <target>` in this folder goes on for as long as one likes.

pub mod cluster_messages;
pub mod configuration;
pub mod frames;
pub mod packets;
pub mod polling_bodies;
