//! Fuzzes `dialects::fuzzing::filter`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dialects::fuzzing::filter(bytes));
