//! Fuzzes `dialects::fuzzing::form`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dialects::fuzzing::form(bytes));
