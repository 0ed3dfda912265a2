//! `cargo fuzz run polling_bodies`: see `src/polling_bodies.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::polling_bodies::check(data));
