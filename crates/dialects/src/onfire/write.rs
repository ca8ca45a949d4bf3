//! Writes users, groups and folders.

use super::{ApiVersion, api_version};
use crate::kit::{
    DialectRequest, DialectResponse, Direction, Format, ObjectSchema, OutputValue, Property, RequestError,
    ResponseFormat, ValueType, WriteContext, json, media_types, timestamps, xml,
};
use crate::text_response;
use directory::{Field, Folder, Group, ItemId, ItemKind, MetadataEntry, Slot, Status, User, UserId, builtin_role_name};
use http::StatusCode;
use std::borrow::Cow;
use std::collections::HashMap;
use uuid::Uuid;

const JSON: ResponseFormat = ResponseFormat { format: Format::Json, content_type: "application/json; charset=utf-8" };
const XML: ResponseFormat = ResponseFormat { format: Format::Xml, content_type: "application/xml" };
pub(super) const XML_DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>";
pub(super) const V1_NAMESPACES: &str =
    " xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns=\"http://schemas.servicestack.net/types\"";

pub(super) fn response_format(request: &DialectRequest) -> ResponseFormat {
    request.response_format(negotiate_format)
}

/// `format=`, path suffix, `/api/{format}/reply/…`, `Accept`, the request's own type; else XML for v1, JSON for v2.
fn negotiate_format(request: &DialectRequest) -> ResponseFormat {
    let format_named = |text: &str| match text.to_ascii_lowercase().as_str() {
        "json" => Some(JSON),
        "xml" => Some(XML),
        _ => None,
    };
    let of_media = |media: &str| match media {
        "application/json" | "text/json" => Some(JSON),
        "application/xml" | "text/xml" => Some(XML),
        _ => None,
    };
    let on_reply_route =
        || request.path.to_ascii_lowercase().contains("/reply/").then(|| format_named(request.path_param(0)))?;
    let accepted = || {
        let mut best: Option<(u32, ResponseFormat)> = None;
        for media_range in media_types::accepted_media_ranges(&request.headers) {
            if let Some(negotiated) = of_media(&media_range.media)
                && media_range.quality > best.map_or(0, |(quality, _)| quality)
            {
                best = Some((media_range.quality, negotiated));
            }
        }
        best.map(|(_, format)| format)
    };
    let echoed = || of_media(&media_types::content_type(&request.headers)?);
    request
        .query
        .get("format")
        .and_then(format_named)
        .or_else(|| request.format_suffix.and_then(format_named))
        .or_else(on_reply_route)
        .or_else(accepted)
        .or_else(echoed)
        .unwrap_or(if api_version(request) == ApiVersion::V1 { XML } else { JSON })
}

pub(super) fn response(request: &DialectRequest, status: StatusCode, root: &str, out: OutputValue) -> DialectResponse {
    let negotiated = response_format(request);
    let body = match negotiated.format {
        Format::Xml => {
            let attributes = if api_version(request) == ApiVersion::V1 { V1_NAMESPACES } else { "" };
            xml::write(
                xml::WriteOptions { declaration: XML_DECLARATION, root_attributes: attributes },
                root,
                &sort_members(out),
            )
        }
        Format::Json | Format::Form => json::write(&out),
    };
    let mut response = text_response(status, negotiated.content_type, body);
    response.headers_mut().insert(http::header::VARY, http::HeaderValue::from_static("Accept"));
    response
}

/// `DataContract` readers need members in ordinal order; errors keep the documented order.
fn sort_members(out: OutputValue) -> OutputValue {
    match out {
        OutputValue::Object(mut members) => {
            let is_error = members.iter().any(|(name, _)| name == "ErrorCode");
            if !is_error {
                members.sort_by(|(a, _), (b, _)| a.cmp(b));
            }
            OutputValue::Object(members.into_iter().map(|(name, out)| (name, sort_members(out))).collect())
        }
        OutputValue::List(item, entries) => OutputValue::List(item, entries.into_iter().map(sort_members).collect()),
        other => other,
    }
}

pub(super) fn context(request: &DialectRequest) -> Result<WriteContext, RequestError> {
    request.write_context(response_format(request).format)
}

/// 32 digits in JSON, dashed in XML, as ServiceStack does.
pub(super) fn guid(context: &WriteContext, id: Uuid) -> OutputValue {
    OutputValue::Text(match context.format {
        Format::Xml => id.hyphenated().to_string(),
        Format::Json | Format::Form => id.simple().to_string(),
    })
}

fn status_name(user: &User) -> &'static str {
    match user.status {
        Status::Invited => "Invited",
        Status::Active => "Active",
        Status::Suspended | Status::Inactive | Status::Archived => "Inactive",
    }
}

pub(super) fn short_user(context: &WriteContext, user: &User) -> OutputValue {
    OutputValue::object(vec![("Id", guid(context, user.id.0)), ("Status", OutputValue::text(status_name(user)))])
}

/// Names or external ids to write. Groups and folders without one are written as GUIDs.
#[derive(Default)]
pub(super) struct WrittenNames {
    pub(super) items: HashMap<ItemId, String>,
    pub(super) roles: HashMap<u32, String>,
}

/// Only vendors see a user's number: connections that may grant a vendor administrator's role.
const VENDOR_MIN_ROLE: u32 = 5;

/// The properties of `object_schema`, v1 or v2.
pub(super) fn user(
    context: &WriteContext,
    object_schema: &'static ObjectSchema,
    user: &User,
    labels: &WrittenNames,
) -> OutputValue {
    let written = object_schema.properties.iter().filter(|property| property.direction != Direction::Request);
    let member = |property: &'static Property| Some((property.name, value(context, property, user, labels)?));
    OutputValue::object(written.filter_map(member).collect())
}

pub(super) fn value(
    context: &WriteContext,
    property: &Property,
    user: &User,
    labels: &WrittenNames,
) -> Option<OutputValue> {
    let Some(field) = property.field else {
        return match property.value_type {
            ValueType::Integer => Some(OutputValue::Integer(context.tenant.0.into())),
            // A list that is always empty.
            ValueType::List(item, _) => Some(OutputValue::List(item, Vec::new())),
            _ => None,
        };
    };
    let item = |id: &ItemId| labels.items.get(id).map_or_else(|| guid(context, id.0), OutputValue::text);
    match field.attribute()?.slot {
        Slot::Id => Some(guid(context, user.id.0)),
        Slot::Number => (context.highest_role >= VENDOR_MIN_ROLE).then_some(OutputValue::Integer(user.number.into())),
        Slot::Text(_) if field == Field::License => {
            Some(OutputValue::text(user.license.as_deref().unwrap_or("Standard")))
        }
        Slot::Text(_) | Slot::Department => user.text(field).map(OutputValue::text),
        Slot::Boolean(_) => user.boolean(field).map(OutputValue::Bool),
        Slot::Timestamp(read) => read(user).map(|time| OutputValue::Text(timestamps::dotnet(time))),
        Slot::Status => Some(OutputValue::text(status_name(user))),
        Slot::Role => user.role.map(|number| {
            let name = builtin_role_name(number).or_else(|| labels.roles.get(&number).map(String::as_str));
            OutputValue::text(name.map_or_else(|| number.to_string(), str::to_owned))
        }),
        Slot::Items(ItemKind::Folder) => Some(OutputValue::List("Id", user.folders.iter().map(item).collect())),
        Slot::Items(_) => Some(OutputValue::List("Id", user.groups.iter().map(item).collect())),
        Slot::Metadata => {
            let pair = |pair: &MetadataEntry| {
                OutputValue::object(vec![
                    ("Key", OutputValue::text(&pair.key)),
                    ("Value", OutputValue::text(&pair.value)),
                ])
            };
            let pairs: Vec<OutputValue> = user.metadata.iter().map(pair).collect();
            (!pairs.is_empty()).then_some(OutputValue::List("KeyValue", pairs))
        }
        Slot::MultiValued(_)
        | Slot::PostalAddresses
        | Slot::Links(_)
        | Slot::Organization
        | Slot::Office
        | Slot::Roles
        | Slot::Active
        | Slot::Password => None,
    }
}

pub(super) fn group(context: &WriteContext, group: &Group, members: Option<&[(UserId, u32)]>) -> OutputValue {
    let mut out = vec![("Id", guid(context, group.id.0)), ("Name", OutputValue::text(&group.name))];
    out.extend(group.external_id.as_ref().map(|id| ("ExternalId", OutputValue::text(id))));
    if let Some(members) = members {
        let ids = members.iter().map(|(id, _)| guid(context, id.0)).collect();
        out.push(("UserIds", OutputValue::List("Id", ids)));
    }
    out.push(("CompanyId", OutputValue::Integer(context.tenant.0.into())));
    OutputValue::object(out)
}

pub(super) fn folder(context: &WriteContext, folder: &Folder) -> OutputValue {
    let mut out = vec![("Id", guid(context, folder.id.0)), ("Name", OutputValue::text(&folder.name))];
    out.extend(folder.external_id.as_ref().map(|id| ("ExternalId", OutputValue::text(id))));
    out.extend(folder.description.as_ref().map(|text| ("Description", OutputValue::text(text))));
    out.extend(folder.is_restricted.then_some(("IsRestricted", OutputValue::Bool(true))));
    out.extend(folder.restricted_to.map(|id| ("RestrictToGroup", guid(context, id.0))));
    if !folder.entries.is_empty() {
        let entry = |entry: &directory::FolderEntry| {
            OutputValue::object(vec![
                ("KeyId", OutputValue::text(&entry.key)),
                ("Type", OutputValue::text(&entry.kind)),
            ])
        };
        out.push(("Items", OutputValue::List("FolderItem", folder.entries.iter().map(entry).collect())));
    }
    out.push(("CompanyId", OutputValue::Integer(context.tenant.0.into())));
    OutputValue::object(out)
}

pub(super) fn wrapped(name: &'static str, out: OutputValue) -> OutputValue {
    OutputValue::object(vec![(name, out)])
}

pub(super) fn wrapped_page(name: &'static str, item: &'static str, rows: Vec<OutputValue>, total: u64) -> OutputValue {
    let total = i64::try_from(total).unwrap_or(i64::MAX);
    OutputValue::Object(vec![
        (Cow::Borrowed(name), OutputValue::List(item, rows)),
        (Cow::Borrowed("TotalRows"), OutputValue::Integer(total)),
    ])
}
