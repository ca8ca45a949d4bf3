//! Writes users, groups and lists.

use super::pairs_text;
use super::projection::Projection;
use super::schema::{self, text_list};
use super::wire::{self, ResourceType};
use crate::kit::{
    DialectRequest, DialectResponse, Direction, ObjectSchema, OutputValue, Property, ValueType, json, media_types,
    timestamps,
};
use crate::text_response;
use directory::{
    AttributeSource, AttributeValue, Field, Item, Labels, ProfileLinkKind, SubAttributes, User, UserId, UserView,
};
use http::{HeaderValue, StatusCode, header};
use std::borrow::Cow;
use std::collections::HashSet;
use uuid::Uuid;

pub(super) const BASE_PATH: &str = "/scim/v2";

pub(super) fn base_url(request: &DialectRequest) -> String {
    format!("{}{BASE_PATH}", request.origin)
}

/// `application/json` if the client accepts only that.
fn response_media_type(request: &DialectRequest) -> &'static str {
    let accepted = media_types::accepted_media_ranges(&request.headers);
    let accepts = |media: &str| accepted.iter().any(|entry| entry.quality > 0 && entry.media == media);
    let is_json = accepts("application/json") && !accepts("application/scim+json");
    if is_json { "application/json" } else { "application/scim+json" }
}

pub(super) fn response(request: &DialectRequest, status: StatusCode, out: &OutputValue) -> DialectResponse {
    text_response(status, response_media_type(request), json::write(out))
}

pub(super) fn raw_response(request: &DialectRequest, body: impl Into<crate::kit::ResponseBody>) -> DialectResponse {
    let mut response = text_response(StatusCode::OK, response_media_type(request), String::new());
    *response.body_mut() = body.into();
    response
}

pub(super) fn with_resource_headers(
    mut response: DialectResponse,
    location: Option<&str>,
    etag: &str,
) -> DialectResponse {
    let headers = response.headers_mut();
    if let Some(value) = location.and_then(|url| HeaderValue::from_str(url).ok()) {
        headers.insert(header::LOCATION, value);
    }
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, value);
    }
    response
}

pub(super) fn location(base: &str, resource_type: &ResourceType, id: &str) -> String {
    format!("{base}{}/{id}", resource_type.endpoint)
}

/// Changes with the user, their groups and their folders.
pub(super) fn user_etag(user: &User) -> String {
    let mut membership_hash = 0_u64;
    for id in user.groups.iter().chain(&user.folders) {
        let (high, low) = id.0.as_u64_pair();
        membership_hash = membership_hash.rotate_left(7) ^ high ^ low.rotate_left(32);
    }
    if membership_hash == 0 {
        format!("W/\"{}\"", user.version)
    } else {
        format!("W/\"{}-{membership_hash:x}\"", user.version)
    }
}

pub(super) fn group_etag(item: &Item) -> String {
    format!("W/\"{}\"", item.version())
}

struct ScimUserView<'a>(UserView<'a>);

impl AttributeSource for ScimUserView<'_> {
    fn value(&self, field: Field) -> Option<AttributeValue<'_>> {
        let user = self.0.user;
        let links = |kind| pairs_text::write(user.links_of(kind).map(|link| (link.name.as_str(), link.value.as_str())));
        let text = match field {
            Field::SocialLinks => links(ProfileLinkKind::Social),
            Field::CustomLinks => links(ProfileLinkKind::Custom),
            Field::Metadata => {
                pairs_text::write(user.metadata.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())))
            }
            field => return self.0.value(field),
        };
        (!text.is_empty()).then(|| AttributeValue::text(text))
    }

    fn values(&self, field: Field) -> Vec<SubAttributes<'_>> {
        self.0.values(field)
    }
}

/// A user as SCIM shows it.
pub(super) fn view<'a>(user: &'a User, labels: &'a Labels) -> impl AttributeSource + 'a {
    ScimUserView(UserView { user, labels })
}

pub(super) fn user(base: &str, user: &User, labels: &Labels, projection: &Projection) -> OutputValue {
    let view = ScimUserView(UserView { user, labels });
    let context = WriteContext { base, projection, managers: Some(&labels.managers) };
    resource(context, &wire::USER_TYPE, &view, &user.id.to_string(), &user_etag(user))
}

/// The value of an attribute, as it is sent to another system: without URLs of this one.
pub(super) fn attribute(property: &'static Property, user: &User, labels: &Labels) -> Option<OutputValue> {
    let view = ScimUserView(UserView { user, labels });
    value(property, &view, WriteContext { base: "", projection: &Projection::default(), managers: None })
}

#[derive(Clone, Copy)]
struct WriteContext<'a> {
    base: &'a str,
    projection: &'a Projection,
    managers: Option<&'a HashSet<UserId>>,
}

pub(super) fn group(base: &str, item: &Item, projection: &Projection) -> OutputValue {
    let context = WriteContext { base, projection, managers: None };
    resource(context, &wire::GROUP_TYPE, item, &item.id().to_string(), &group_etag(item))
}

type Members = Vec<(Cow<'static, str>, OutputValue)>;

fn resource(
    context: WriteContext<'_>,
    resource_type: &ResourceType,
    source: &dyn AttributeSource,
    id: &str,
    etag: &str,
) -> OutputValue {
    let mut out: Members = vec![(Cow::Borrowed("id"), OutputValue::text(id))];
    if let Some(value) = source.value(Field::ExternalId) {
        out.push((Cow::Borrowed("externalId"), write_simple_value(value)));
    }
    out.extend(members(resource_type.schema.object_schema, source, context));
    for schema in resource_type.extensions {
        let members = members(schema.object_schema, source, context);
        if !members.is_empty() {
            out.push((Cow::Borrowed(schema.urn), OutputValue::Object(members)));
        }
    }
    let time = |field| match source.value(field) {
        Some(AttributeValue::Time(time)) => OutputValue::Text(timestamps::rfc3339_micros(time)),
        _ => OutputValue::Null,
    };
    let meta = OutputValue::object(vec![
        ("resourceType", OutputValue::text(resource_type.name)),
        ("created", time(Field::Created)),
        ("lastModified", time(Field::Updated)),
        ("location", OutputValue::Text(location(context.base, resource_type, id))),
        ("version", OutputValue::text(etag)),
    ]);
    out.push((Cow::Borrowed("meta"), meta));
    let mut out = context.projection.apply(out);
    // Only schemas with returned attributes (RFC 7643 section 3).
    let is_returned = |schema: &&&wire::Schema| out.iter().any(|(name, _)| name == schema.urn);
    let urns: Vec<&str> = std::iter::once(resource_type.schema.urn)
        .chain(resource_type.extensions.iter().filter(is_returned).map(|schema| schema.urn))
        .collect();
    out.insert(0, (Cow::Borrowed("schemas"), text_list(&urns)));
    OutputValue::Object(out)
}

fn members(object_schema: &'static ObjectSchema, source: &dyn AttributeSource, context: WriteContext<'_>) -> Members {
    let is_returned = |property: &&Property| {
        property.direction != Direction::Request
            && (!property.characteristics.returned_on_request || context.projection.is_explicit())
    };
    let shown = object_schema.properties.iter().filter(is_returned);
    shown.filter_map(|property| Some((Cow::Borrowed(property.name), value(property, source, context)?))).collect()
}

fn value(property: &'static Property, source: &dyn AttributeSource, context: WriteContext<'_>) -> Option<OutputValue> {
    match (property.value_type, property.field) {
        (ValueType::List(name, ValueType::Object(object_schema)), Some(field)) => {
            let entries = source.values(field);
            let outs: Vec<OutputValue> =
                entries.iter().map(|parts| write_typed_value(object_schema, parts, context.base)).collect();
            (!outs.is_empty()).then_some(OutputValue::List(name, outs))
        }
        (ValueType::Object(object_schema), _) => {
            let mut members = members(object_schema, source, context);
            if members.is_empty() {
                return None;
            }
            // A manager's id may come from another system.
            let is_manager = std::ptr::eq(object_schema, &raw const wire::MANAGER);
            if !is_manager || context.managers.is_some_and(|known| references_user(&members, known)) {
                add_reference(object_schema, &mut members, context.base);
            }
            Some(OutputValue::Object(members))
        }
        (_, Some(field)) => source.value(field).map(write_simple_value),
        (_, None) => None,
    }
}

fn references_user(members: &Members, known: &HashSet<UserId>) -> bool {
    let id = members.iter().find(|(name, _)| name == "value").map(|(_, out)| out);
    matches!(id, Some(OutputValue::Text(id)) if Uuid::try_parse(id).is_ok_and(|id| known.contains(&UserId(id))))
}

fn write_typed_value(object_schema: &'static ObjectSchema, parts: &SubAttributes<'_>, base: &str) -> OutputValue {
    let mut members: Members = Vec::with_capacity(object_schema.properties.len());
    for property in object_schema.properties {
        let found = property.field.and_then(|field| parts.iter().find(|(part, _)| *part == field));
        members.extend(found.map(|(_, value)| (Cow::Borrowed(property.name), write_simple_value(value.clone()))));
    }
    add_reference(object_schema, &mut members, base);
    OutputValue::Object(members)
}

/// Adds `$ref`, and `type` if it has only one possible value.
fn add_reference(object_schema: &'static ObjectSchema, members: &mut Members, base: &str) {
    let Some(OutputValue::Text(id)) = members.iter().find(|(name, _)| name == "value").map(|(_, out)| out) else {
        return;
    };
    let id = id.clone();
    for property in object_schema.properties {
        let out = match (property.value_type, property.characteristics.canonical_values) {
            (ValueType::Reference(["Group"]), _) => OutputValue::Text(location(base, &wire::GROUP_TYPE, &id)),
            (ValueType::Reference(["User"]), _) => OutputValue::Text(location(base, &wire::USER_TYPE, &id)),
            (ValueType::Text, [only]) if property.characteristics.not_filterable => OutputValue::text(*only),
            _ => continue,
        };
        members.push((Cow::Borrowed(property.name), out));
    }
}

fn write_simple_value(value: AttributeValue<'_>) -> OutputValue {
    match value {
        AttributeValue::Text(text) => OutputValue::Text(text.into_owned()),
        AttributeValue::Bool(value) => OutputValue::Bool(value),
        AttributeValue::Integer(number) => OutputValue::Integer(number),
        AttributeValue::Time(time) => OutputValue::Text(timestamps::rfc3339_micros(time)),
    }
}

pub(super) struct PageInfo {
    pub(super) total_results: u64,
    pub(super) start_index: Option<u64>,
    pub(super) next_cursor: Option<String>,
    pub(super) previous_cursor: Option<String>,
}

/// A list response (RFC 7644 section 3.4.2) without `Resources`.
pub(super) fn list_members(page_info: PageInfo, items: usize) -> Vec<(&'static str, OutputValue)> {
    let count = |n: u64| OutputValue::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let mut members = vec![
        ("schemas", text_list(&["urn:ietf:params:scim:api:messages:2.0:ListResponse"])),
        ("totalResults", count(page_info.total_results)),
        ("itemsPerPage", count(items as u64)),
    ];
    members.extend(page_info.start_index.map(|start| ("startIndex", count(start))));
    members.extend(page_info.next_cursor.map(|cursor| ("nextCursor", OutputValue::Text(cursor))));
    members.extend(page_info.previous_cursor.map(|cursor| ("previousCursor", OutputValue::Text(cursor))));
    members
}

pub(super) fn list(request: &DialectRequest, page_info: PageInfo, resources: Vec<OutputValue>) -> DialectResponse {
    let mut members = list_members(page_info, resources.len());
    members.push(("Resources", OutputValue::List("Resources", resources)));
    response(request, StatusCode::OK, &OutputValue::object(members))
}

pub(super) fn schema(request: &DialectRequest, schema: &wire::Schema) -> OutputValue {
    schema::describe(schema, &base_url(request))
}
