//! What an operation is, takes and answers, for the OpenAPI document.

use super::{Kind, Record};
use http::StatusCode;

/// Whether a verb may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It only looks.
    Read,
    /// It may change.
    Write,
    /// Anybody may: it says nothing of any tenant, or looks at credentials of its own.
    Open,
}

/// What a verb is and takes.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// One line.
    pub summary: &'static str,
    /// Query parameters: name, kind and meaning.
    pub query: &'static [(&'static str, Kind, &'static str)],
    /// What the body is.
    pub body: Option<&'static Record>,
    /// Whether the body may leave out what a new object needs.
    pub is_partial: bool,
    /// What it answers if it succeeds.
    pub success: Success,
    /// Statuses of failures that only it has.
    pub own_failures: &'static [StatusCode],
}

/// What a verb answers if it succeeds.
#[derive(Clone, Copy, Debug)]
pub enum Success {
    /// 204 without a body.
    Nothing,
    /// 200 with an object.
    Object(&'static Record),
    /// 200 with an object, or 304 if the client has it already.
    Versioned(&'static Record),
    /// 200 with an object, or 204 if no attributes were asked for.
    ObjectOrNothing(&'static Record),
    /// 200 with a list: in JSON an array, in XML an object whose only member is the list.
    List(&'static Record),
    /// 201 with what was created.
    Created(&'static Record),
    /// 202 with what was begun.
    Accepted(&'static Record),
    /// 200 with a file of one of these media types.
    File(&'static [&'static str]),
}

impl About {
    /// A verb that answers with an object.
    pub(crate) const fn new(
        summary: &'static str,
        query: &'static [(&'static str, Kind, &'static str)],
        body: Option<&'static Record>,
        answer: &'static Record,
    ) -> Self {
        Self { summary, query, body, is_partial: false, success: Success::Object(answer), own_failures: &[] }
    }

    /// The same with another answer.
    #[must_use]
    pub(crate) const fn with(self, success: Success) -> Self {
        Self { success, ..self }
    }

    /// The same, whose body may leave out what a new object needs.
    #[must_use]
    pub(crate) const fn partial(self) -> Self {
        Self { is_partial: true, ..self }
    }

    /// The same with failures of its own.
    #[must_use]
    pub(crate) const fn failing(self, own_failures: &'static [StatusCode]) -> Self {
        Self { own_failures, ..self }
    }
}
