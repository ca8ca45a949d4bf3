//! Tests of the directory as its callers see it.

mod actors;
mod idempotency;
mod permission_attacks;
mod permissions;
