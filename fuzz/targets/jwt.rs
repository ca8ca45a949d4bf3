//! Fuzzes `dialects::fuzzing::jwt`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dialects::fuzzing::jwt(bytes));
