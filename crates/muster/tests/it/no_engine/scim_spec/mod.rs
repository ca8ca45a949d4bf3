//! The rows of `spec/scim.md` that are about the dialect alone, one test for each, written from the specification alone.

mod errors;
mod profiles;
mod providers;
mod rules;
mod surface;

pub(crate) use crate::scim_spec::*;

use crate::support::{TestApp, runtime};

/// Runs a test with the first client of a fresh house in memory.
pub(crate) fn scim(test: impl AsyncFnOnce(Client)) {
    runtime().block_on(async { test(Client::on_app(TestApp::in_memory()).await).await });
}
