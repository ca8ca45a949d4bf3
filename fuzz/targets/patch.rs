//! Fuzzes `dialects::fuzzing::patch`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dialects::fuzzing::patch(bytes));
