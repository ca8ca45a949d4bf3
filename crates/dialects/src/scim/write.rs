//! From people and groups to bytes.

use super::lines;
use super::schema::{self, texts};
use super::select::Selection;
use super::wire::{self, Resource};
use crate::kit::{
    DialectRequest, DialectResponse, Direction, ObjectSchema, OutputValue, Property, ValueType, json,
    media_types, timestamps,
};
use crate::text_response;
use directory::{
    AttributeSource, AttributeValue, Field, Item, Labels, ProfileLinkKind, SubAttributes, User, UserId,
    UserView,
};
use http::{HeaderValue, StatusCode, header};
use std::borrow::Cow;
use std::collections::HashSet;
use uuid::Uuid;

/// Under which path everything is.
pub(super) const BASE: &str = "/scim/v2";

/// Scheme, host and base path.
pub(super) fn base(call: &DialectRequest) -> String {
    format!("{}{BASE}", call.origin)
}

/// `application/json` for who asks for that, and for that alone; else the standard's own type.
fn media(call: &DialectRequest) -> &'static str {
    let wanted = media_types::accepted_media_ranges(&call.headers);
    let asks = |media: &str| wanted.iter().any(|entry| entry.quality > 0 && entry.media == media);
    let is_json = asks("application/json") && !asks("application/scim+json");
    if is_json { "application/json" } else { "application/scim+json" }
}

/// An answer with a body.
pub(super) fn reply(call: &DialectRequest, status: StatusCode, out: &OutputValue) -> DialectResponse {
    text_response(status, media(call), json::write(out))
}

/// An answer whose body is text already.
pub(super) fn raw(call: &DialectRequest, body: impl Into<crate::kit::ResponseBody>) -> DialectResponse {
    let mut answer = text_response(StatusCode::OK, media(call), String::new());
    *answer.body_mut() = body.into();
    answer
}

/// Adds the headers of a resource.
pub(super) fn with_head(mut answer: DialectResponse, location: Option<&str>, etag: &str) -> DialectResponse {
    let headers = answer.headers_mut();
    if let Some(value) = location.and_then(|url| HeaderValue::from_str(url).ok()) {
        headers.insert(header::LOCATION, value);
    }
    if let Ok(value) = HeaderValue::from_str(etag) {
        headers.insert(header::ETAG, value);
    }
    answer
}

/// Where a resource is.
pub(super) fn location(base: &str, resource: &Resource, id: &str) -> String {
    format!("{base}{}/{id}", resource.endpoint)
}

/// A person's version: it changes with the person, and with the groups and folders they are in.
pub(super) fn etag_of_user(user: &User) -> String {
    let mut mix = 0_u64;
    for id in user.groups.iter().chain(&user.folders) {
        let (high, low) = id.0.as_u64_pair();
        mix = mix.rotate_left(7) ^ high ^ low.rotate_left(32);
    }
    if mix == 0 { format!("W/\"{}\"", user.version) } else { format!("W/\"{}-{mix:x}\"", user.version) }
}

/// A group's version.
pub(super) fn etag_of_group(item: &Item) -> String {
    format!("W/\"{}\"", item.version())
}

/// A person as the standard sees one: pairs are lines.
struct Person<'a>(UserView<'a>);

impl AttributeSource for Person<'_> {
    fn value(&self, field: Field) -> Option<AttributeValue<'_>> {
        let user = self.0.user;
        let links =
            |kind| lines::write(user.links_of(kind).map(|link| (link.name.as_str(), link.value.as_str())));
        let text = match field {
            Field::SocialLinks => links(ProfileLinkKind::Social),
            Field::CustomLinks => links(ProfileLinkKind::Custom),
            Field::Metadata => {
                lines::write(user.metadata.iter().map(|pair| (pair.key.as_str(), pair.value.as_str())))
            }
            field => return self.0.value(field),
        };
        (!text.is_empty()).then(|| AttributeValue::text(text))
    }

    fn values(&self, field: Field) -> Vec<SubAttributes<'_>> {
        self.0.values(field)
    }
}

/// A person, with what a selection leaves of them.
pub(super) fn user(base: &str, user: &User, labels: &Labels, selection: &Selection) -> OutputValue {
    let person = Person(UserView { user, labels });
    let page = Page { base, selection, managers: Some(&labels.managers) };
    resource(page, &wire::USERS, &person, &user.id.to_string(), &etag_of_user(user))
}

/// What all of one answer share.
#[derive(Clone, Copy)]
struct Page<'a> {
    base: &'a str,
    selection: &'a Selection,
    /// Managers who are users.
    managers: Option<&'a HashSet<UserId>>,
}

/// A group without its members, with what a selection leaves of it.
pub(super) fn group(base: &str, item: &Item, selection: &Selection) -> OutputValue {
    let page = Page { base, selection, managers: None };
    resource(page, &wire::GROUPS, item, &item.id().to_string(), &etag_of_group(item))
}

type Members = Vec<(Cow<'static, str>, OutputValue)>;

fn resource(
    page: Page<'_>,
    resource: &Resource,
    subject: &dyn AttributeSource,
    id: &str,
    etag: &str,
) -> OutputValue {
    let mut out: Members = vec![(Cow::Borrowed("id"), OutputValue::text(id))];
    if let Some(value) = subject.value(Field::ExternalId) {
        out.push((Cow::Borrowed("externalId"), scalar(value)));
    }
    out.extend(members(resource.schema.record, subject, page));
    for schema in resource.extensions {
        let members = members(schema.record, subject, page);
        if !members.is_empty() {
            out.push((Cow::Borrowed(schema.urn), OutputValue::Object(members)));
        }
    }
    let time = |field| match subject.value(field) {
        Some(AttributeValue::Time(time)) => OutputValue::Text(timestamps::rfc3339_micros(time)),
        _ => OutputValue::Null,
    };
    let meta = OutputValue::object(vec![
        ("resourceType", OutputValue::text(resource.name)),
        ("created", time(Field::Created)),
        ("lastModified", time(Field::Updated)),
        ("location", OutputValue::Text(location(page.base, resource, id))),
        ("version", OutputValue::text(etag)),
    ]);
    out.push((Cow::Borrowed("meta"), meta));
    let mut out = page.selection.apply(out);
    // Of the schemas, those that what is shown belongs to (RFC 7643 section 3).
    let is_shown = |schema: &&&wire::Schema| out.iter().any(|(name, _)| name == schema.urn);
    let urns: Vec<&str> = std::iter::once(resource.schema.urn)
        .chain(resource.extensions.iter().filter(is_shown).map(|schema| schema.urn))
        .collect();
    out.insert(0, (Cow::Borrowed("schemas"), texts(&urns)));
    OutputValue::Object(out)
}

fn members(record: &'static ObjectSchema, subject: &dyn AttributeSource, page: Page<'_>) -> Members {
    let is_shown = |member: &&Property| {
        member.direction != Direction::Request
            && (!member.characteristics.returned_on_request || page.selection.is_explicit())
    };
    let shown = record.properties.iter().filter(is_shown);
    shown.filter_map(|member| Some((Cow::Borrowed(member.name), value(member, subject, page)?))).collect()
}

fn value(member: &'static Property, subject: &dyn AttributeSource, page: Page<'_>) -> Option<OutputValue> {
    match (member.value_type, member.field) {
        (ValueType::List(name, ValueType::Object(record)), Some(field)) => {
            let entries = subject.values(field);
            let outs: Vec<OutputValue> =
                entries.iter().map(|parts| entry(record, parts, page.base)).collect();
            (!outs.is_empty()).then_some(OutputValue::List(name, outs))
        }
        (ValueType::Object(record), _) => {
            let mut members = members(record, subject, page);
            if members.is_empty() {
                return None;
            }
            // A manager's id may be that of another system.
            let is_manager = std::ptr::eq(record, &raw const wire::MANAGER);
            if !is_manager || page.managers.is_some_and(|known| names_user(&members, known)) {
                refer(record, &mut members, page.base);
            }
            Some(OutputValue::Object(members))
        }
        (_, Some(field)) => subject.value(field).map(scalar),
        (_, None) => None,
    }
}

/// Whether the value among members is the id of one of these users.
fn names_user(members: &Members, known: &HashSet<UserId>) -> bool {
    let id = members.iter().find(|(name, _)| name == "value").map(|(_, out)| out);
    matches!(id, Some(OutputValue::Text(id)) if Uuid::try_parse(id).is_ok_and(|id| known.contains(&UserId(id))))
}

fn entry(record: &'static ObjectSchema, parts: &SubAttributes<'_>, base: &str) -> OutputValue {
    let mut members: Members = Vec::with_capacity(record.properties.len());
    for member in record.properties {
        let found = member.field.and_then(|field| parts.iter().find(|(part, _)| *part == field));
        members.extend(found.map(|(_, value)| (Cow::Borrowed(member.name), scalar(value.clone()))));
    }
    refer(record, &mut members, base);
    OutputValue::Object(members)
}

/// Says where the thing is that a value names, and of what sort it is where there is only one.
fn refer(record: &'static ObjectSchema, members: &mut Members, base: &str) {
    let Some(OutputValue::Text(id)) = members.iter().find(|(name, _)| name == "value").map(|(_, out)| out)
    else {
        return;
    };
    let id = id.clone();
    for member in record.properties {
        let out = match (member.value_type, member.characteristics.canonical_values) {
            (ValueType::Reference(["Group"]), _) => OutputValue::Text(location(base, &wire::GROUPS, &id)),
            (ValueType::Reference(["User"]), _) => OutputValue::Text(location(base, &wire::USERS, &id)),
            (ValueType::Text, [only]) if member.characteristics.not_filterable => OutputValue::text(*only),
            _ => continue,
        };
        members.push((Cow::Borrowed(member.name), out));
    }
}

fn scalar(value: AttributeValue<'_>) -> OutputValue {
    match value {
        AttributeValue::Text(text) => OutputValue::Text(text.into_owned()),
        AttributeValue::Bool(value) => OutputValue::Bool(value),
        AttributeValue::Integer(number) => OutputValue::Integer(number),
        AttributeValue::Time(time) => OutputValue::Text(timestamps::rfc3339_micros(time)),
    }
}

/// What stands in front of a list's resources.
pub(super) struct Heading {
    pub(super) total: u64,
    pub(super) start: Option<u64>,
    pub(super) next: Option<String>,
    pub(super) previous: Option<String>,
}

/// A list (RFC 7644 section 3.4.2), with its last member open for the resources.
pub(super) fn list_head(heading: Heading, items: usize) -> Vec<(&'static str, OutputValue)> {
    let count = |n: u64| OutputValue::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let mut members = vec![
        ("schemas", texts(&["urn:ietf:params:scim:api:messages:2.0:ListResponse"])),
        ("totalResults", count(heading.total)),
        ("itemsPerPage", count(items as u64)),
    ];
    members.extend(heading.start.map(|start| ("startIndex", count(start))));
    members.extend(heading.next.map(|cursor| ("nextCursor", OutputValue::Text(cursor))));
    members.extend(heading.previous.map(|cursor| ("previousCursor", OutputValue::Text(cursor))));
    members
}

/// A list of things that are written already.
pub(super) fn list(call: &DialectRequest, heading: Heading, resources: Vec<OutputValue>) -> DialectResponse {
    let mut members = list_head(heading, resources.len());
    members.push(("Resources", OutputValue::List("Resources", resources)));
    reply(call, StatusCode::OK, &OutputValue::object(members))
}

/// A description of a schema.
pub(super) fn schema(call: &DialectRequest, schema: &wire::Schema) -> OutputValue {
    schema::describe(schema, &base(call))
}
