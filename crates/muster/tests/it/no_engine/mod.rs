//! Tests that open no engine: they run once, use the in-memory store, and fail if they open another.

mod examples;
mod filter_oracle;
pub(crate) mod golden;
mod mutated_answers;
mod mutated_bodies;
mod openapi;
mod scim_spec;
