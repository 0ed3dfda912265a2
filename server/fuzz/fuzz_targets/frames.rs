//! `cargo fuzz run frames`: see `src/frames.rs`.
#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| carillon_fuzz::frames::check(data));
