//! The record of requests, for tests: what was asked, what was done, and what was answered.

use serde::Serialize;
use serde_json::Value;

#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Recorded {
    /// From 1.
    pub(crate) number: usize,
    /// Milliseconds since the start.
    pub(crate) at: u64,
    pub(crate) method: String,
    /// Without the query, which can have the key.
    pub(crate) path: String,
    /// What was done, such as `create`; `None` if nothing was.
    pub(crate) done: Option<Done>,
    /// `None` if the connection was closed without an answer.
    pub(crate) status: Option<u16>,
}

/// A change of an account.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Done {
    pub(crate) what: &'static str,
    pub(crate) id: String,
    /// The fields after it.
    pub(crate) fields: Value,
}
