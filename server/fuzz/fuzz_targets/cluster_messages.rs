//! `cargo fuzz run cluster_messages`: see `src/cluster_messages.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::cluster_messages::check(data));
