//! Discovery (RFC 7644 section 4): public, and the same for all clients.

use super::bulk::MAX_BULK_OPERATIONS;
use super::schema::text_list;
use super::search::{CURSOR_LIFETIME_SECONDS, DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE};
use super::wire::{GROUP_TYPE, ResourceType, SCHEMAS, USER_TYPE};
use super::write::{self, PageInfo};
use crate::kit::{AppState, DialectRequest, DialectResponse, OutputValue, RequestError};
use http::StatusCode;

const CORE_URN: &str = "urn:ietf:params:scim:schemas:core:2.0";

/// An ignored filter would make clients mistake the list for a filtered one (RFC 7644 section 4).
fn reject_filter(request: &DialectRequest) -> Result<(), RequestError> {
    if request.query.get("filter").is_some() {
        return Err(RequestError::dialect_specific(StatusCode::FORBIDDEN, "", "Filters are not supported here"));
    }
    Ok(())
}

pub(super) async fn service_provider_config(
    state: &AppState,
    request: &DialectRequest,
) -> Result<DialectResponse, RequestError> {
    reject_filter(request)?;
    let base = write::base_url(request);
    let number = |n: usize| OutputValue::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let supported = || OutputValue::object(vec![("supported", OutputValue::Bool(true))]);
    let out = OutputValue::object(vec![
        ("schemas", text_list(&[&format!("{CORE_URN}:ServiceProviderConfig")])),
        ("documentationUri", OutputValue::Text(format!("{}/docs", request.origin))),
        ("patch", supported()),
        (
            "bulk",
            OutputValue::object(vec![
                ("supported", OutputValue::Bool(true)),
                ("maxOperations", number(MAX_BULK_OPERATIONS)),
                ("maxPayloadSize", number(state.body_limit)),
            ]),
        ),
        (
            "filter",
            OutputValue::object(vec![
                ("supported", OutputValue::Bool(true)),
                ("maxResults", OutputValue::Integer(MAX_PAGE_SIZE.into())),
            ]),
        ),
        ("changePassword", supported()),
        ("sort", supported()),
        ("etag", supported()),
        (
            "authenticationSchemes",
            OutputValue::List(
                "authenticationSchemes",
                AUTHENTICATION_SCHEMES.iter().map(authentication_scheme).collect(),
            ),
        ),
        (
            "pagination",
            OutputValue::object(vec![
                ("cursor", OutputValue::Bool(true)),
                ("index", OutputValue::Bool(true)),
                ("defaultPaginationMethod", OutputValue::text("index")),
                ("defaultPageSize", OutputValue::Integer(DEFAULT_PAGE_SIZE.into())),
                ("maxPageSize", OutputValue::Integer(MAX_PAGE_SIZE.into())),
                ("cursorTimeout", OutputValue::Integer(CURSOR_LIFETIME_SECONDS)),
            ]),
        ),
        ("meta", meta("ServiceProviderConfig", format!("{base}/ServiceProviderConfig"))),
    ]);
    Ok(write::response(request, StatusCode::OK, &out))
}

/// Type, name, description and specification; the preferred scheme first.
const AUTHENTICATION_SCHEMES: [[&str; 4]; 2] = [
    [
        "oauthbearertoken",
        "Bearer token",
        "The connection's key as a bearer token",
        "https://www.rfc-editor.org/rfc/rfc6750",
    ],
    [
        "oauth2",
        "Client credentials",
        "A short-lived bearer token from /oauth2/token, for the connection's id and key",
        "https://www.rfc-editor.org/rfc/rfc6749#section-4.4",
    ],
];

fn authentication_scheme(scheme: &[&'static str; 4]) -> OutputValue {
    let [kind, name, about, spec] = *scheme;
    OutputValue::object(vec![
        ("type", OutputValue::text(kind)),
        ("name", OutputValue::text(name)),
        ("description", OutputValue::text(about)),
        ("specUri", OutputValue::text(spec)),
        ("primary", OutputValue::Bool(kind == AUTHENTICATION_SCHEMES[0][0])),
    ])
}

fn meta(kind: &'static str, location: String) -> OutputValue {
    OutputValue::object(vec![("resourceType", OutputValue::text(kind)), ("location", OutputValue::Text(location))])
}

fn complete_list(request: &DialectRequest, outs: Vec<OutputValue>) -> DialectResponse {
    let page_info =
        PageInfo { total_results: outs.len() as u64, start_index: Some(1), next_cursor: None, previous_cursor: None };
    write::list(request, page_info, outs)
}

fn not_found() -> RequestError {
    RequestError::dialect_specific(StatusCode::NOT_FOUND, "", "There is no such schema or resource type")
}

pub(super) async fn schemas(_: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    reject_filter(request)?;
    Ok(complete_list(request, SCHEMAS.iter().map(|schema| write::schema(request, schema)).collect()))
}

pub(super) async fn schema(_: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let named = SCHEMAS.iter().find(|schema| schema.urn.eq_ignore_ascii_case(request.path_param(0)));
    Ok(write::response(request, StatusCode::OK, &write::schema(request, named.ok_or_else(not_found)?)))
}

pub(super) async fn resource_types(_: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    reject_filter(request)?;
    Ok(complete_list(
        request,
        [&USER_TYPE, &GROUP_TYPE].map(|resource_type| describe_resource_type(request, resource_type)).into(),
    ))
}

pub(super) async fn resource_type(_: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let named = [&USER_TYPE, &GROUP_TYPE].into_iter().find(|resource_type| resource_type.name == request.path_param(0));
    Ok(write::response(request, StatusCode::OK, &describe_resource_type(request, named.ok_or_else(not_found)?)))
}

fn describe_resource_type(request: &DialectRequest, resource_type: &ResourceType) -> OutputValue {
    let extension = |schema: &&super::wire::Schema| {
        OutputValue::object(vec![("schema", OutputValue::text(schema.urn)), ("required", OutputValue::Bool(false))])
    };
    let mut members = vec![
        ("schemas", text_list(&[&format!("{CORE_URN}:ResourceType")])),
        ("id", OutputValue::text(resource_type.name)),
        ("name", OutputValue::text(resource_type.name)),
        ("description", OutputValue::text(resource_type.schema.object_schema.description)),
        ("endpoint", OutputValue::text(resource_type.endpoint)),
        ("schema", OutputValue::text(resource_type.schema.urn)),
    ];
    if !resource_type.extensions.is_empty() {
        let extensions = resource_type.extensions.iter().map(extension).collect();
        members.push(("schemaExtensions", OutputValue::List("schemaExtensions", extensions)));
    }
    let location = format!("{}/ResourceTypes/{}", write::base_url(request), resource_type.name);
    members.push(("meta", meta("ResourceType", location)));
    OutputValue::object(members)
}
