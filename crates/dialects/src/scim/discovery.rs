//! What this service can do (RFC 7644 section 4): open to everybody, the same for everybody.

use super::bulk::MAX_OPERATIONS;
use super::schema::texts;
use super::search::{CURSOR_SECONDS, MOST, USUAL};
use super::wire::{GROUPS, Resource, SCHEMAS, USERS};
use super::write::{self, Heading};
use crate::kit::{AppState, DialectRequest, DialectResponse, OutputValue, RequestError};
use http::StatusCode;

const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0";

/// A filter is of no use here, and is refused lest somebody takes its silence for an answer (RFC 7644 section 4).
fn no_filter(call: &DialectRequest) -> Result<(), RequestError> {
    if call.query.get("filter").is_some() {
        return Err(RequestError::dialect_specific(StatusCode::FORBIDDEN, "", "These are not filtered"));
    }
    Ok(())
}

pub(super) async fn config(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    no_filter(call)?;
    let base = write::base(call);
    let number = |n: usize| OutputValue::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let supported = || OutputValue::object(vec![("supported", OutputValue::Bool(true))]);
    let out = OutputValue::object(vec![
        ("schemas", texts(&[&format!("{CORE}:ServiceProviderConfig")])),
        ("documentationUri", OutputValue::Text(format!("{}/docs", call.origin))),
        ("patch", supported()),
        (
            "bulk",
            OutputValue::object(vec![
                ("supported", OutputValue::Bool(true)),
                ("maxOperations", number(MAX_OPERATIONS)),
                ("maxPayloadSize", number(desk.body_limit)),
            ]),
        ),
        (
            "filter",
            OutputValue::object(vec![
                ("supported", OutputValue::Bool(true)),
                ("maxResults", OutputValue::Integer(MOST.into())),
            ]),
        ),
        ("changePassword", supported()),
        ("sort", supported()),
        ("etag", supported()),
        (
            "authenticationSchemes",
            OutputValue::List("authenticationSchemes", SCHEMES.iter().map(scheme).collect()),
        ),
        (
            "pagination",
            OutputValue::object(vec![
                ("cursor", OutputValue::Bool(true)),
                ("index", OutputValue::Bool(true)),
                ("defaultPaginationMethod", OutputValue::text("index")),
                ("defaultPageSize", OutputValue::Integer(USUAL.into())),
                ("maxPageSize", OutputValue::Integer(MOST.into())),
                ("cursorTimeout", OutputValue::Integer(CURSOR_SECONDS)),
            ]),
        ),
        ("meta", meta("ServiceProviderConfig", format!("{base}/ServiceProviderConfig"))),
    ]);
    Ok(write::reply(call, StatusCode::OK, &out))
}

/// How clients show who they are: type, name, what it is, and where it is specified; the usual one first.
const SCHEMES: [[&str; 4]; 2] = [
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

fn scheme(scheme: &[&'static str; 4]) -> OutputValue {
    let [kind, name, about, spec] = *scheme;
    OutputValue::object(vec![
        ("type", OutputValue::text(kind)),
        ("name", OutputValue::text(name)),
        ("description", OutputValue::text(about)),
        ("specUri", OutputValue::text(spec)),
        ("primary", OutputValue::Bool(kind == SCHEMES[0][0])),
    ])
}

fn meta(kind: &'static str, location: String) -> OutputValue {
    OutputValue::object(vec![
        ("resourceType", OutputValue::text(kind)),
        ("location", OutputValue::Text(location)),
    ])
}

fn whole(call: &DialectRequest, outs: Vec<OutputValue>) -> DialectResponse {
    let heading = Heading { total: outs.len() as u64, start: Some(1), next: None, previous: None };
    write::list(call, heading, outs)
}

fn unknown() -> RequestError {
    RequestError::dialect_specific(StatusCode::NOT_FOUND, "", "There is nothing of that name")
}

pub(super) async fn schemas(_: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    no_filter(call)?;
    Ok(whole(call, SCHEMAS.iter().map(|schema| write::schema(call, schema)).collect()))
}

pub(super) async fn schema(_: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let named = SCHEMAS.iter().find(|schema| schema.urn.eq_ignore_ascii_case(call.path_param(0)));
    Ok(write::reply(call, StatusCode::OK, &write::schema(call, named.ok_or_else(unknown)?)))
}

pub(super) async fn types(_: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    no_filter(call)?;
    Ok(whole(call, [&USERS, &GROUPS].map(|resource| kind(call, resource)).into()))
}

pub(super) async fn type_named(_: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let named = [&USERS, &GROUPS].into_iter().find(|resource| resource.name == call.path_param(0));
    Ok(write::reply(call, StatusCode::OK, &kind(call, named.ok_or_else(unknown)?)))
}

fn kind(call: &DialectRequest, resource: &Resource) -> OutputValue {
    let extension = |schema: &&super::wire::Schema| {
        OutputValue::object(vec![
            ("schema", OutputValue::text(schema.urn)),
            ("required", OutputValue::Bool(false)),
        ])
    };
    let mut members = vec![
        ("schemas", texts(&[&format!("{CORE}:ResourceType")])),
        ("id", OutputValue::text(resource.name)),
        ("name", OutputValue::text(resource.name)),
        ("description", OutputValue::text(resource.schema.record.description)),
        ("endpoint", OutputValue::text(resource.endpoint)),
        ("schema", OutputValue::text(resource.schema.urn)),
    ];
    if !resource.extensions.is_empty() {
        let extensions = resource.extensions.iter().map(extension).collect();
        members.push(("schemaExtensions", OutputValue::List("schemaExtensions", extensions)));
    }
    let location = format!("{}/ResourceTypes/{}", write::base(call), resource.name);
    members.push(("meta", meta("ResourceType", location)));
    OutputValue::object(members)
}
