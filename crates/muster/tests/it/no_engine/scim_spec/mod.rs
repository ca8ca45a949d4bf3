//! One test for each row of `spec/scim.md` that does not depend on the store, written from the specification alone.

mod errors;
mod profiles;
mod providers;
mod rules;
mod surface;

pub(crate) use crate::scim_spec::*;

use crate::support::{TestApp, runtime};

/// Runs a test with a client of a new in-memory application.
pub(crate) fn scim(test: impl AsyncFnOnce(Client)) {
    runtime().block_on(async { test(Client::on_app(TestApp::in_memory()).await).await });
}
