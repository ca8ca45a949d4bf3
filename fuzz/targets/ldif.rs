//! Fuzzes `transfer::fuzzing::ldif`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| transfer::fuzzing::ldif(bytes));
