//! The rows of `spec/scim.md` that are about the dialect alone, one test for each, written from the specification alone.

mod profiles;
mod providers;
mod refusals;
mod rules;
mod surface;

pub(crate) use crate::scim_rows::*;

use crate::support::{House, runtime};

/// Runs a test with the first client of a fresh house in memory.
pub(crate) fn scim(test: impl AsyncFnOnce(Client)) {
    runtime().block_on(async { test(Client::on(House::in_memory()).await).await });
}
