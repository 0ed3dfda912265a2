//! `cargo fuzz run configuration`: see `src/configuration.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::configuration::check(data));
