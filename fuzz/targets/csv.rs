//! Fuzzes `transfer::fuzzing::csv`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transfer::fuzzing::csv(bytes));
