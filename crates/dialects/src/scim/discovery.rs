//! What this service can do (RFC 7644 section 4): open to everybody, the same for everybody.

use super::bulk::MAX_OPERATIONS;
use super::schema::texts;
use super::search::{CURSOR_SECONDS, MOST, USUAL};
use super::wire::{GROUPS, Resource, SCHEMAS, USERS};
use super::write::{self, Heading};
use crate::kit::{Answer, Call, Desk, Fault, Out};
use http::StatusCode;

const CORE: &str = "urn:ietf:params:scim:schemas:core:2.0";

/// A filter is of no use here, and is refused lest somebody takes its silence for an answer (RFC 7644 section 4).
fn no_filter(call: &Call) -> Result<(), Fault> {
    if call.query.get("filter").is_some() {
        return Err(Fault::own(StatusCode::FORBIDDEN, "", "These are not filtered"));
    }
    Ok(())
}

pub(super) async fn config(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    no_filter(call)?;
    let base = write::base(call);
    let number = |n: usize| Out::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let supported = || Out::object(vec![("supported", Out::Bool(true))]);
    let out = Out::object(vec![
        ("schemas", texts(&[&format!("{CORE}:ServiceProviderConfig")])),
        ("documentationUri", Out::Text(format!("{}/docs", call.origin))),
        ("patch", supported()),
        (
            "bulk",
            Out::object(vec![
                ("supported", Out::Bool(true)),
                ("maxOperations", number(MAX_OPERATIONS)),
                ("maxPayloadSize", number(desk.body_limit)),
            ]),
        ),
        (
            "filter",
            Out::object(vec![("supported", Out::Bool(true)), ("maxResults", Out::Integer(MOST.into()))]),
        ),
        ("changePassword", supported()),
        ("sort", supported()),
        ("etag", supported()),
        ("authenticationSchemes", Out::List("authenticationSchemes", SCHEMES.iter().map(scheme).collect())),
        (
            "pagination",
            Out::object(vec![
                ("cursor", Out::Bool(true)),
                ("index", Out::Bool(true)),
                ("defaultPaginationMethod", Out::text("index")),
                ("defaultPageSize", Out::Integer(USUAL.into())),
                ("maxPageSize", Out::Integer(MOST.into())),
                ("cursorTimeout", Out::Integer(CURSOR_SECONDS)),
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

fn scheme(scheme: &[&'static str; 4]) -> Out {
    let [kind, name, about, spec] = *scheme;
    Out::object(vec![
        ("type", Out::text(kind)),
        ("name", Out::text(name)),
        ("description", Out::text(about)),
        ("specUri", Out::text(spec)),
        ("primary", Out::Bool(kind == SCHEMES[0][0])),
    ])
}

fn meta(kind: &'static str, location: String) -> Out {
    Out::object(vec![("resourceType", Out::text(kind)), ("location", Out::Text(location))])
}

fn whole(call: &Call, outs: Vec<Out>) -> Answer {
    let heading = Heading { total: outs.len() as u64, start: Some(1), next: None, previous: None };
    write::list(call, heading, outs)
}

fn unknown() -> Fault {
    Fault::own(StatusCode::NOT_FOUND, "", "There is nothing of that name")
}

pub(super) async fn schemas(_: &Desk, call: &Call) -> Result<Answer, Fault> {
    no_filter(call)?;
    Ok(whole(call, SCHEMAS.iter().map(|schema| write::schema(call, schema)).collect()))
}

pub(super) async fn schema(_: &Desk, call: &Call) -> Result<Answer, Fault> {
    let named = SCHEMAS.iter().find(|schema| schema.urn.eq_ignore_ascii_case(call.named(0)));
    Ok(write::reply(call, StatusCode::OK, &write::schema(call, named.ok_or_else(unknown)?)))
}

pub(super) async fn types(_: &Desk, call: &Call) -> Result<Answer, Fault> {
    no_filter(call)?;
    Ok(whole(call, [&USERS, &GROUPS].map(|resource| kind(call, resource)).into()))
}

pub(super) async fn type_named(_: &Desk, call: &Call) -> Result<Answer, Fault> {
    let named = [&USERS, &GROUPS].into_iter().find(|resource| resource.name == call.named(0));
    Ok(write::reply(call, StatusCode::OK, &kind(call, named.ok_or_else(unknown)?)))
}

fn kind(call: &Call, resource: &Resource) -> Out {
    let extension = |schema: &&super::wire::Schema| {
        Out::object(vec![("schema", Out::text(schema.urn)), ("required", Out::Bool(false))])
    };
    let mut members = vec![
        ("schemas", texts(&[&format!("{CORE}:ResourceType")])),
        ("id", Out::text(resource.name)),
        ("name", Out::text(resource.name)),
        ("description", Out::text(resource.schema.record.about)),
        ("endpoint", Out::text(resource.endpoint)),
        ("schema", Out::text(resource.schema.urn)),
    ];
    if !resource.extensions.is_empty() {
        let extensions = resource.extensions.iter().map(extension).collect();
        members.push(("schemaExtensions", Out::List("schemaExtensions", extensions)));
    }
    let location = format!("{}/ResourceTypes/{}", write::base(call), resource.name);
    members.push(("meta", meta("ResourceType", location)));
    Out::object(members)
}
