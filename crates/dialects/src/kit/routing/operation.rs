//! What an operation is, takes and answers, for the OpenAPI document.

use crate::kit::{ObjectSchema, ValueType};
use http::StatusCode;

/// Whether a verb may change anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredAccess {
    /// It only looks.
    Read,
    /// It may change.
    Write,
    /// Anybody may: it says nothing of any tenant, or looks at credentials of its own.
    Public,
}

/// What a verb is and takes.
#[derive(Clone, Copy, Debug)]
pub struct MethodSpec {
    /// One line.
    pub summary: &'static str,
    /// Query parameters: name, kind and meaning.
    pub query_params: &'static [(&'static str, ValueType, &'static str)],
    /// What the body is.
    pub body: Option<&'static ObjectSchema>,
    /// Whether the body may leave out what a new object needs.
    pub is_partial: bool,
    /// What it answers if it succeeds.
    pub success: SuccessResponse,
    /// Statuses of failures that only it has.
    pub error_statuses: &'static [StatusCode],
}

/// What a verb answers if it succeeds.
#[derive(Clone, Copy, Debug)]
pub enum SuccessResponse {
    /// 204 without a body.
    NoContent,
    /// 200 with an object.
    Object(&'static ObjectSchema),
    /// 200 with an object, or 304 if the client has it already.
    Versioned(&'static ObjectSchema),
    /// 200 with an object, or 204 if no attributes were asked for.
    ObjectOrNoContent(&'static ObjectSchema),
    /// 200 with a list: in JSON an array, in XML an object whose only member is the list.
    List(&'static ObjectSchema),
    /// 201 with what was created.
    Created(&'static ObjectSchema),
    /// 202 with what was begun.
    Accepted(&'static ObjectSchema),
    /// 200 with a file of one of these media types.
    File(&'static [&'static str]),
}

impl MethodSpec {
    /// A verb that answers with an object.
    pub(crate) const fn new(
        summary: &'static str,
        query: &'static [(&'static str, ValueType, &'static str)],
        body: Option<&'static ObjectSchema>,
        answer: &'static ObjectSchema,
    ) -> Self {
        Self {
            summary,
            query_params: query,
            body,
            is_partial: false,
            success: SuccessResponse::Object(answer),
            error_statuses: &[],
        }
    }

    /// The same with another answer.
    #[must_use]
    pub(crate) const fn with_success(self, success: SuccessResponse) -> Self {
        Self { success, ..self }
    }

    /// The same, whose body may leave out what a new object needs.
    #[must_use]
    pub(crate) const fn partial(self) -> Self {
        Self { is_partial: true, ..self }
    }

    /// The same with failures of its own.
    #[must_use]
    pub(crate) const fn with_error_statuses(self, own_failures: &'static [StatusCode]) -> Self {
        Self { error_statuses: own_failures, ..self }
    }
}
