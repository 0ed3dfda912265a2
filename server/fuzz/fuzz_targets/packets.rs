//! `cargo fuzz run packets`: see `src/packets.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::packets::check(data));
