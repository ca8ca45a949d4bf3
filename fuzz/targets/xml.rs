//! Fuzzes `dialects::fuzzing::xml`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dialects::fuzzing::xml(bytes));
