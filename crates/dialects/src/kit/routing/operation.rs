//! Descriptions of operations: access, parameters, bodies and responses, for routing and the OpenAPI document.

use crate::kit::{ObjectSchema, ValueType};
use http::StatusCode;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequiredAccess {
    Read,
    Write,
    /// No key needed: the operation reveals nothing about any tenant, or checks credentials itself.
    Public,
}

#[derive(Clone, Copy, Debug)]
pub struct MethodSpec {
    pub summary: &'static str,
    pub query_parameters: &'static [Parameter],
    pub body: Option<&'static ObjectSchema>,
    /// Whether the body may omit members that a new object requires.
    pub is_partial: bool,
    pub success: SuccessResponse,
    /// Error statuses that only this operation has.
    pub error_statuses: &'static [StatusCode],
}

#[derive(Clone, Copy, Debug)]
pub struct Parameter {
    pub name: &'static str,
    pub value_type: ValueType,
    pub description: &'static str,
}

pub(crate) const fn param(name: &'static str, value_type: ValueType, description: &'static str) -> Parameter {
    Parameter { name, value_type, description }
}

#[derive(Clone, Copy, Debug)]
pub enum SuccessResponse {
    NoContent,
    Object(&'static ObjectSchema),
    /// 200 with an object, or 304 if the client has this version.
    Versioned(&'static ObjectSchema),
    /// 200 with an object, or 204 if no attributes were requested.
    ObjectOrNoContent(&'static ObjectSchema),
    /// 200 with a list: in JSON an array, in XML an object whose only member is the list.
    List(&'static ObjectSchema),
    Created(&'static ObjectSchema),
    Accepted(&'static ObjectSchema),
    /// 200 with a file of one of these media types.
    File(&'static [&'static str]),
}

impl MethodSpec {
    pub(crate) const fn new(
        summary: &'static str,
        query_parameters: &'static [Parameter],
        body: Option<&'static ObjectSchema>,
        response: &'static ObjectSchema,
    ) -> Self {
        Self {
            summary,
            query_parameters,
            body,
            is_partial: false,
            success: SuccessResponse::Object(response),
            error_statuses: &[],
        }
    }

    #[must_use]
    pub(crate) const fn with_success(self, success: SuccessResponse) -> Self {
        Self { success, ..self }
    }

    #[must_use]
    pub(crate) const fn partial(self) -> Self {
        Self { is_partial: true, ..self }
    }

    #[must_use]
    pub(crate) const fn with_error_statuses(self, error_statuses: &'static [StatusCode]) -> Self {
        Self { error_statuses, ..self }
    }
}
