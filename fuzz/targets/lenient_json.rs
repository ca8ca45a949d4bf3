//! Fuzzes `dialects::fuzzing::lenient_json`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| dialects::fuzzing::lenient_json(bytes));
