//! Tests that open no engine: they run once, in memory where they need a directory, and fail if they open one.

mod examples;
mod filter_oracle;
pub(crate) mod golden;
mod mutated_bodies;
mod openapi;
mod scim_spec;
