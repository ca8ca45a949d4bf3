//! Tests of the directory as its callers see it.

mod actors;
mod event_labels;
mod idempotency;
mod permission_attacks;
mod permissions;
