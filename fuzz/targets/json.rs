//! Fuzzes `dialects::fuzzing::json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dialects::fuzzing::json(bytes));
