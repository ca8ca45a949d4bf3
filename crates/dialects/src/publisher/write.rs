//! Writes users, groups and organizations.

use super::{status, wire};
use crate::kit::{
    DialectRequest, DialectResponse, Format, OutputValue, RequestError, ResponseFormat, WriteContext, json,
    media_types, timestamps, xml,
};
use crate::text_response;
use directory::{Group, Organization, ProfileLinkKind, User};
use http::StatusCode;
use std::borrow::Cow;

const JSON: ResponseFormat = ResponseFormat { format: Format::Json, content_type: "application/json" };
const XML: ResponseFormat = ResponseFormat { format: Format::Xml, content_type: "application/xml" };
const XML_DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>";
const ATOM_NAMESPACE: &str = " xmlns:atom=\"http://www.w3.org/2005/Atom\"";

pub(super) fn response_format(request: &DialectRequest) -> ResponseFormat {
    request.response_format(negotiate_format)
}

/// XML if `Accept` prefers it, else JSON.
fn negotiate_format(request: &DialectRequest) -> ResponseFormat {
    let accepted = media_types::accepted_media_ranges(&request.headers);
    let best = |media: [&str; 2]| {
        let matches = accepted.iter().map(|entry| {
            let level = media.iter().map(|media| entry.specificity(media)).max().unwrap_or(0);
            if level == 0 { (0, 0) } else { (entry.quality, level) }
        });
        matches.filter(|(quality, _)| *quality > 0).max().unwrap_or((0, 0))
    };
    let (as_json, as_xml) = (best(["application/json", "text/json"]), best(["application/xml", "text/xml"]));
    if as_xml > as_json { XML } else { JSON }
}

/// In JSON, the root is the outermost member.
pub(super) fn response(
    request: &DialectRequest,
    status: StatusCode,
    root: &'static str,
    out: OutputValue,
) -> DialectResponse {
    let negotiated = response_format(request);
    let body = match negotiated.format {
        Format::Xml => {
            let attributes = if has_atom_link(&out) { ATOM_NAMESPACE } else { "" };
            xml::write(xml::WriteOptions { declaration: XML_DECLARATION, root_attributes: attributes }, root, &out)
        }
        Format::Json | Format::Form => json::write(&OutputValue::object(vec![(root, out)])),
    };
    text_response(status, negotiated.content_type, body)
}

fn has_atom_link(out: &OutputValue) -> bool {
    match out {
        OutputValue::Link(_) => true,
        OutputValue::Object(members) => members.iter().any(|(_, out)| has_atom_link(out)),
        OutputValue::List(_, entries) | OutputValue::Repeated(entries) => entries.iter().any(has_atom_link),
        _ => false,
    }
}

pub(super) fn ok_response(request: &DialectRequest, root: &'static str, out: OutputValue) -> DialectResponse {
    response(request, StatusCode::OK, root, out)
}

#[derive(Clone, Copy)]
pub(super) enum LinkStyle {
    /// `/api/2/user/3`: responses to add and bulk calls.
    Singular,
    /// `/api/2/users/3`: everything else.
    Plural,
}

pub(super) fn context(request: &DialectRequest) -> Result<WriteContext, RequestError> {
    request.write_context(response_format(request).format)
}

fn link(context: &WriteContext, path: &str, number: u32) -> (Cow<'static, str>, OutputValue) {
    (Cow::Borrowed("link"), OutputValue::Link(format!("{}/api/2/{path}/{number}", context.base_url)))
}

fn text(name: &'static str, value: impl Into<String>) -> (Cow<'static, str>, OutputValue) {
    (Cow::Borrowed(name), OutputValue::text(value))
}
fn number(name: &'static str, value: u32) -> (Cow<'static, str>, OutputValue) {
    (Cow::Borrowed(name), OutputValue::Integer(value.into()))
}

pub(super) fn summary(context: &WriteContext, user: &User, style: LinkStyle) -> OutputValue {
    let path = match style {
        LinkStyle::Singular => "user",
        LinkStyle::Plural => "users",
    };
    let mut members = vec![number("id", user.number)];
    members.extend(user.email().map(|email| text("email", email)));
    members.push(link(context, path, user.number));
    OutputValue::Object(members)
}

pub(super) fn named_summary(context: &WriteContext, path: &str, id: u32, name: &str) -> OutputValue {
    OutputValue::Object(vec![number("id", id), text("name", name), link(context, path, id)])
}

pub(super) fn user(user: &User, organization: Option<&Organization>) -> OutputValue {
    let mut members = vec![number("id", user.number)];
    let texts = |object_schema: &'static crate::kit::ObjectSchema| -> Vec<(Cow<'static, str>, OutputValue)> {
        let known = object_schema.text_properties().filter_map(|(m, field)| Some(text(m.name, user.text(field)?)));
        known.collect()
    };
    for property in wire::USER.properties.iter().skip(1) {
        let mut put = |out: OutputValue| members.push((Cow::Borrowed(property.name), out));
        match property.name {
            "name" => put(OutputValue::Object(texts(&wire::NAME))),
            "location" => {
                let lines = texts(&wire::LOCATION);
                if !lines.is_empty() {
                    put(OutputValue::Object(lines));
                }
            }
            "status" => put(OutputValue::text(status::user_status_name(user.status))),
            "organisation" => {
                if let Some(organization) = organization {
                    let mut inner = vec![text("orgname", &organization.name), number("orgid", organization.number)];
                    inner.extend(user.office.map(|office| number("orgaddressid", office)));
                    put(OutputValue::Object(inner));
                }
            }
            "sociallinks" => links(user, ProfileLinkKind::Social).into_iter().for_each(put),
            "customlinks" => links(user, ProfileLinkKind::Custom).into_iter().for_each(put),
            "messaginglinks" => links(user, ProfileLinkKind::Messaging).into_iter().for_each(put),
            "created" => put(OutputValue::Text(timestamps::day_first(user.created))),
            "updated" => put(OutputValue::Text(timestamps::day_first(user.updated))),
            "invited" => {
                user.invited.into_iter().for_each(|time| put(OutputValue::Text(timestamps::day_first(time))));
            }
            "lastlogin" => {
                user.last_activity.into_iter().for_each(|time| put(OutputValue::Text(timestamps::day_first(time))));
            }
            _ => {
                if let Some(value) = property.field.and_then(|field| user.text(field)) {
                    put(OutputValue::text(value));
                }
            }
        }
    }
    OutputValue::Object(members)
}

/// One link is bare, several are an array.
pub(super) fn links(user: &User, kind: ProfileLinkKind) -> Option<OutputValue> {
    let links: Vec<OutputValue> = user
        .links_of(kind)
        .map(|link| {
            OutputValue::object(vec![
                ("name", OutputValue::text(&link.name)),
                ("value", OutputValue::text(&link.value)),
            ])
        })
        .collect();
    (!links.is_empty()).then(|| OutputValue::object(vec![("link", OutputValue::Repeated(links))]))
}

pub(super) fn select_fields(full: &OutputValue, fields: &[String]) -> OutputValue {
    let OutputValue::Object(members) = full else { return OutputValue::Null };
    let mut flat: Vec<(Cow<'static, str>, OutputValue)> = Vec::new();
    for (name, out) in members {
        match out {
            OutputValue::Object(inner) if matches!(name.as_ref(), "name" | "location" | "organisation") => {
                flat.extend(inner.iter().cloned());
                flat.push((name.clone(), out.clone()));
            }
            other => flat.push((name.clone(), other.clone())),
        }
    }
    flat.retain(|(name, _)| fields.iter().any(|field| field.eq_ignore_ascii_case(name)));
    OutputValue::Object(flat)
}

/// In XML, the entries are `item` elements beside the counters.
pub(super) fn list_response(
    request: &DialectRequest,
    root: &'static str,
    item: &'static str,
    rows: Vec<OutputValue>,
    total: u64,
    page_number: u32,
) -> DialectResponse {
    let count = |n: u64| OutputValue::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let mut members = vec![
        ("totalcount", count(total)),
        ("total", count(rows.len() as u64)),
        ("currentpage", OutputValue::Integer(page_number.into())),
    ];
    if response_format(request).format == Format::Xml {
        members.push((item, OutputValue::Repeated(rows)));
    } else {
        members.push((root, OutputValue::List(item, rows)));
    }
    ok_response(request, root, OutputValue::object(members))
}

/// Only some calls return the date (`is_full`) and the number of the members' organizations.
pub(super) fn group(group: &Group, members: &[u32], is_full: bool, organizations: Option<u32>) -> OutputValue {
    let users = members.iter().map(|n| OutputValue::Integer((*n).into())).collect();
    let mut out = vec![
        number("id", group.number),
        text("name", &group.name),
        (Cow::Borrowed("users"), OutputValue::List("user", users)),
    ];
    if is_full {
        out.push(text("createddate", timestamps::day_first(group.created)));
    }
    out.extend(organizations.map(|count| number("organisationcount", count)));
    OutputValue::Object(out)
}

pub(super) fn organization(organization: &Organization, users: &[u32]) -> OutputValue {
    let list = |item: &'static str, numbers: &[u32]| {
        OutputValue::List(item, numbers.iter().map(|n| OutputValue::Integer((*n).into())).collect())
    };
    let optional = |name: &'static str, value: Option<u32>| value.map(|value| number(name, value));
    let addresses = organization.office_numbers.iter().enumerate().map(|(index, id)| {
        OutputValue::object(vec![
            ("addressid", OutputValue::Integer((*id).into())),
            ("isDefault", OutputValue::Bool(index == 0)),
        ])
    });
    let domains = organization.domains.iter().map(OutputValue::text).collect();
    let mut out = vec![
        number("id", organization.number),
        text("name", &organization.name),
        text("status", status::organization_status_name(organization.status)),
        (Cow::Borrowed("autologin"), OutputValue::Bool(organization.auto_login)),
        (Cow::Borrowed("domains"), OutputValue::List("domain", domains)),
    ];
    out.extend(optional("homepage", organization.homepage));
    out.extend(optional("guid", organization.guid));
    out.extend(organization.url.as_ref().map(|url| text("url", url)));
    out.push((Cow::Borrowed("addresses"), OutputValue::List("address", addresses.collect())));
    out.extend(organization.photo.as_ref().map(|photo| text("img", photo)));
    out.extend(optional("industry", organization.industry));
    out.extend(optional("category", organization.category));
    out.push((Cow::Borrowed("keycontacts"), list("keycontact", &organization.key_contacts)));
    out.push((Cow::Borrowed("users"), list("user", users)));
    OutputValue::Object(out)
}
