//! From bytes to commands: bodies, trees and what changed between two of them.

use super::lines;
use super::members::{self, get};
use super::patch::{self, Operation, Verb};
use super::schema::record_of;
use super::tree::{Former, invalid};
use super::wire::{self, Resource};
use crate::kit::{
    DialectRequest, Direction, Format, Node, Object, ObjectSchema, ParsedBody, Property, RequestError,
    ValueType, json, media_types,
};
use directory::{
    Address, ClientProfile, DepartmentRef, Field, FieldUpdate, GroupEdit, ItemId, ItemKey, MemberEdit,
    MetadataEntry, OrganizationRef, ProfileLink, ProfileLinkKind, RequestedStatus, TypedValue, UserEdit,
    UserId, UserKey,
};
use std::collections::HashSet;
use uuid::Uuid;

/// The body as JSON, whichever of the two types it is sent under.
fn parse(call: &DialectRequest) -> Result<Option<ParsedBody>, RequestError> {
    if call.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    match media_types::content_type(&call.headers).as_deref() {
        Some("application/scim+json" | "application/json" | "text/json") => {}
        None if !call.headers.contains_key(http::header::CONTENT_TYPE) => {}
        other => return Err(RequestError::UnsupportedMediaType(other.map(str::to_owned))),
    }
    let text =
        std::str::from_utf8(&call.body).map_err(|error| RequestError::Unparsable(error.to_string()))?;
    let node = json::parse(text).map_err(RequestError::Unparsable)?;
    Ok(Some(ParsedBody { format: Format::Json, root: None, node }))
}

/// The object that a body must be.
pub(super) fn object(call: &DialectRequest) -> Result<&Object, RequestError> {
    let body = call.parsed_body(parse)?.ok_or(RequestError::BodyMissing)?;
    body.as_object().ok_or_else(|| RequestError::Unparsable("no object".into()))
}

/// Whether a client is taken by the letter of the standard.
pub(super) fn is_strict(call: &DialectRequest) -> bool {
    call.caller.as_ref().map(|caller| caller.profile) == Some(ClientProfile::Strict)
}

pub(super) fn former(call: &DialectRequest, resource: &'static Resource) -> Former {
    Former::new(resource, is_strict(call))
}

/// A resource as it is stored, brought into form. What was stored is taken as it is, also under a strict profile.
pub(super) fn stored(written: &Object, resource: &'static Resource) -> Result<Object, RequestError> {
    Former::of_stored(resource).resource(written)
}

/// The whole resource that a POST or PUT sends.
pub(super) fn resource(call: &DialectRequest, resource: &'static Resource) -> Result<Object, RequestError> {
    let former = former(call, resource);
    let tree = former.resource(object(call)?)?;
    call.count_ignored(former.ignored());
    let missing = |member: &&Property| member.required && get(&tree, member.name).is_none();
    match resource.schema.record.properties.iter().find(missing) {
        Some(member) => Err(invalid(member.name, "is required")),
        None => Ok(tree),
    }
}

/// The operations that a PATCH sends.
pub(super) fn operations(call: &DialectRequest, former: &Former) -> Result<Vec<Operation>, RequestError> {
    let body = call.parsed_body(parse)?.ok_or(RequestError::BodyMissing)?;
    // In a bulk, the RFC prints the bare list (RFC 7644 section 3.7.3).
    if let Node::List(_) = &body.node {
        let body = Object { members: vec![("Operations".into(), body.node.clone())] };
        return patch::operations(&body, former);
    }
    patch::operations(object(call)?, former)
}

/// The person a path names; what is no id is nobody's.
pub(super) fn user_key(id: &str) -> UserKey {
    UserKey::Id(UserId(uuid(id)))
}

/// The group a path names.
pub(super) fn group_key(id: &str) -> ItemKey {
    ItemKey::Id(ItemId(uuid(id)))
}

fn uuid(id: &str) -> Uuid {
    Uuid::try_parse(id).unwrap_or_default()
}

/// Whether a version is among those that a header such as `If-Match` names; `None` where there is no such header.
pub(super) fn matching(call: &DialectRequest, name: &str, etag: &str) -> Option<bool> {
    let mut sent = call.headers.get_all(name).iter().peekable();
    sent.peek()?;
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let ours = opaque(etag);
    let names = |line: &str| line.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == ours);
    Some(sent.any(|line| line.to_str().is_ok_and(names)))
}

/// What has to be said of a person so that `before` becomes `after`.
pub(super) fn user_edit(before: &Object, after: &Object) -> Result<UserEdit, RequestError> {
    let mut change = Change { edit: UserEdit::default(), after };
    change.record(&wire::COMMON, before, after)?;
    change.record(&wire::USER, before, after)?;
    for schema in wire::USERS.extensions {
        let empty = Object::default();
        let of = |tree: &Object| get(tree, schema.urn).and_then(Node::as_object).cloned();
        let (before, after) = (of(before).unwrap_or_default(), of(after).unwrap_or(empty));
        change.record(schema.record, &before, &after)?;
    }
    Ok(change.edit)
}

struct Change<'a> {
    edit: UserEdit,
    after: &'a Object,
}

impl Change<'_> {
    fn record(
        &mut self,
        record: &'static ObjectSchema,
        before: &Object,
        after: &Object,
    ) -> Result<(), RequestError> {
        for member in record.properties.iter().filter(|member| member.direction != Direction::Response) {
            let (old, new) = (get(before, member.name), get(after, member.name));
            if old == new {
                continue;
            }
            match (member.value_type, member.field) {
                (ValueType::Object(inner), _) => {
                    let object =
                        |node: Option<&Node>| node.and_then(Node::as_object).cloned().unwrap_or_default();
                    self.record(inner, &object(old), &object(new))?;
                }
                (ValueType::List(..), Some(field)) => self.plural(member, field, new),
                (_, Some(field)) => self.single(member, field, new)?,
                (_, None) => {}
            }
        }
        Ok(())
    }

    fn single(&mut self, member: &Property, field: Field, node: Option<&Node>) -> Result<(), RequestError> {
        let text = || node.and_then(text_of);
        let flag = || {
            FieldUpdate::set_or_clear(
                node.and_then(|node| if let Node::Bool(on) = node { Some(*on) } else { None }),
            )
        };
        let edit = &mut self.edit;
        match field {
            Field::Active => {
                edit.status =
                    flag().map(|on| if on { RequestedStatus::Active } else { RequestedStatus::Inactive });
            }
            Field::Password => {
                let password = text().ok_or_else(|| invalid(member.name, "cannot be taken away"))?;
                edit.password = Some(password.into());
            }
            Field::Department => edit.department = FieldUpdate::set_or_clear(text().map(DepartmentRef::Name)),
            Field::Organization => {
                let office = get(self.after, wire::MORE_SCHEMA.urn).and_then(Node::as_object);
                let office = office.and_then(|more| get(more, "office")).and_then(number_of);
                let named = |name| OrganizationRef { number: None, name: Some(name), office_number: office };
                edit.organization = FieldUpdate::set_or_clear(text().map(named));
            }
            Field::Office => edit.office = FieldUpdate::set_or_clear(node.and_then(number_of)),
            Field::SocialLinks | Field::CustomLinks => {
                let kind = if field == Field::SocialLinks {
                    ProfileLinkKind::Social
                } else {
                    ProfileLinkKind::Custom
                };
                let pairs = lines::read(&text().unwrap_or_default());
                let links =
                    pairs.into_iter().map(|(name, value)| ProfileLink::new(kind, name, value)).collect();
                edit.links.push((kind, FieldUpdate::Set(links)));
            }
            Field::Metadata => {
                let pairs = lines::read(&text().unwrap_or_default());
                edit.metadata = FieldUpdate::Set(
                    pairs.into_iter().map(|(key, value)| MetadataEntry { key, value }).collect(),
                );
            }
            Field::DoNotEmail => edit.do_not_email = flag(),
            Field::ForcePasswordChange => edit.force_password_change = flag(),
            field => edit.set_text(field, FieldUpdate::set_or_clear(text())),
        }
        Ok(())
    }

    fn plural(&mut self, member: &'static Property, field: Field, node: Option<&Node>) {
        let nodes: &[Node] = if let Some(Node::List(nodes)) = node { nodes } else { &[] };
        let objects = || nodes.iter().filter_map(Node::as_object);
        let record = record_of(member);
        let part = |object: &Object, part: Field| {
            let name = record?.properties.iter().find(|member| member.field == Some(part))?.name;
            get(object, name).and_then(text_of)
        };
        let primary = |object: &Object| match get(object, "primary") {
            Some(Node::Bool(value)) => Some(*value),
            _ => None,
        };
        let edit = &mut self.edit;
        match field {
            Field::PostalAddresses => {
                let addresses = objects().map(|object| {
                    let street = part(object, Field::AddressLine1);
                    let (line1, line2) = match street.as_deref().and_then(|street| street.split_once('\n')) {
                        Some((line1, line2)) => (Some(line1.to_owned()), Some(line2.to_owned())),
                        None => (street, None),
                    };
                    Address {
                        line1: line1.filter(|line| !line.is_empty()),
                        line2: line2.filter(|line| !line.is_empty()),
                        city: part(object, Field::City),
                        region: part(object, Field::Region),
                        postal_code: part(object, Field::PostalCode),
                        country: part(object, Field::Country),
                        formatted: part(object, Field::Formatted),
                        kind: part(object, Field::Kind),
                        primary: primary(object),
                    }
                });
                edit.addresses = FieldUpdate::Set(addresses.collect());
            }
            field => {
                let entry = |object: &Object| TypedValue {
                    value: part(object, Field::Value).unwrap_or_default(),
                    kind: part(object, Field::Kind).or_else(|| part(object, Field::Name)),
                    display: part(object, Field::Display),
                    primary: primary(object),
                };
                edit.multi_valued.push((field, FieldUpdate::Set(objects().map(entry).collect())));
                if field == Field::Emails {
                    // Elsewhere the user name follows the e-mail; here it is what the client says.
                    let name = get(self.after, "userName").and_then(text_of);
                    edit.set_text(Field::UserName, FieldUpdate::set_or_keep(name));
                }
            }
        }
    }
}

fn text_of(node: &Node) -> Option<String> {
    match node {
        Node::Text(text) | Node::Number(text) => Some(text.clone()),
        _ => None,
    }
}

fn number_of(node: &Node) -> Option<u32> {
    text_of(node)?.parse().ok()
}

/// What a POST or PUT says of a group. Members are told apart from it, since they are rows of their own.
pub(super) fn group_edit(tree: &Object, is_new: bool) -> Result<GroupEdit, RequestError> {
    let text = |name: &str| FieldUpdate::set_or_clear(get(tree, name).and_then(text_of));
    let members = members_of(get(tree, "members"))?;
    let members = (!is_new || !members.is_empty()).then_some(MemberEdit::Replace(members));
    Ok(GroupEdit { id: None, name: text("displayName"), external_id: text("externalId"), members })
}

/// The people in a list of members.
fn members_of(node: Option<&Node>) -> Result<Vec<UserKey>, RequestError> {
    let nodes: &[Node] = if let Some(Node::List(nodes)) = node { nodes } else { &[] };
    let mut keys = Vec::with_capacity(nodes.len());
    for object in nodes.iter().filter_map(Node::as_object) {
        if get(object, "type").and_then(text_of).is_some_and(|kind| !kind.eq_ignore_ascii_case("User")) {
            return Err(invalid("members", "are people; a group holds no groups"));
        }
        let id = get(object, "value").and_then(text_of).ok_or_else(|| invalid("members", "need a value"))?;
        keys.push(user_key(&id));
    }
    Ok(keys)
}

/// What a PATCH says of a group: its own attributes by the same function as a person's, its members without looking at
/// those who are in it.
pub(super) fn group_patch(
    before: &Object,
    everybody: &[UserId],
    operations: &[Operation],
    former: &Former,
) -> Result<GroupEdit, RequestError> {
    let mut tree = before.clone();
    let mut members = Members { everybody, ..Members::default() };
    for operation in operations {
        if !members.take(operation, former)? {
            patch::one(&mut tree, &without_members(operation, &mut members, former)?, former)?;
        }
    }
    let changed = |name: &str| {
        let (old, new) = (get(before, name), get(&tree, name));
        if old == new { FieldUpdate::Keep } else { FieldUpdate::set_or_clear(new.and_then(text_of)) }
    };
    Ok(GroupEdit {
        id: None,
        name: changed("displayName"),
        external_id: changed("externalId"),
        members: members.edit(),
    })
}

/// An operation without a path may name members among other attributes.
fn without_members(
    operation: &Operation,
    members: &mut Members<'_>,
    former: &Former,
) -> Result<Operation, RequestError> {
    let mut rest = operation.clone();
    if operation.path.is_none()
        && let Some(Node::Object(object)) = &mut rest.value
    {
        let (ours, others) = std::mem::take(&mut object.members)
            .into_iter()
            .partition(|(name, _)| name.eq_ignore_ascii_case("members"));
        object.members = others;
        for (name, value) in ours {
            members
                .take(&Operation { verb: operation.verb, path: Some(name), value: Some(value) }, former)?;
        }
    }
    Ok(rest)
}

/// What becomes of a group's members, one operation after the other.
#[derive(Default)]
struct Members<'a> {
    /// Who is in it, where a condition asks more than a member's id.
    everybody: &'a [UserId],
    /// Exactly these instead of whoever was there.
    replaced: bool,
    join: HashSet<UserKey>,
    leave: HashSet<UserKey>,
}

impl Members<'_> {
    /// Takes an operation on members; whether it was one.
    fn take(&mut self, operation: &Operation, former: &Former) -> Result<bool, RequestError> {
        let Some(path) = &operation.path else { return Ok(false) };
        let Some(target) = patch::target(path, former)? else { return Ok(false) };
        let super::schema::Named::Attribute(attribute) = target.named else { return Ok(false) };
        if attribute.member.field != Some(Field::Members) {
            return Ok(false);
        }
        let value =
            operation.value.as_ref().map_or(Ok(None), |value| former.value(attribute.member, value))?;
        match (operation.verb, &target.filter) {
            (Verb::Add, None) => self.add(members_of(value.as_ref())?),
            (Verb::Replace, None) => {
                let join = members_of(value.as_ref())?.into_iter().collect();
                (self.join, self.leave, self.replaced) = (join, HashSet::new(), true);
            }
            // A list of nobody takes nobody out.
            (Verb::Remove, None) if matches!(&operation.value, Some(Node::List(nodes)) if nodes.is_empty()) =>
                {}
            (Verb::Remove, None) if value.is_some() => self.remove(members_of(value.as_ref())?),
            (Verb::Remove, None) => {
                (self.join, self.leave, self.replaced) = (HashSet::new(), HashSet::new(), true);
            }
            (Verb::Remove, Some(filter)) => {
                let keys = named_by(filter).unwrap_or_else(|| {
                    let parts = |id: &UserId| -> directory::SubAttributes<'static> {
                        vec![(Field::Value, directory::AttributeValue::text(id.to_string()))]
                    };
                    let hit = self.everybody.iter().filter(|id| filter.matches(&parts(id)));
                    hit.map(|id| UserKey::Id(*id)).collect()
                });
                self.remove(keys);
            }
            // Who is in a group has nothing else that could be set.
            (Verb::Add | Verb::Replace, Some(filter)) => {
                self.add(named_by(filter).unwrap_or_default());
            }
        }
        Ok(true)
    }

    fn add(&mut self, keys: Vec<UserKey>) {
        for key in keys {
            self.leave.remove(&key);
            self.join.insert(key);
        }
    }

    fn remove(&mut self, keys: Vec<UserKey>) {
        for key in keys {
            self.join.remove(&key);
            if !self.replaced {
                self.leave.insert(key);
            }
        }
    }

    fn edit(self) -> Option<MemberEdit> {
        match self {
            Self { replaced: true, join, .. } => Some(MemberEdit::Replace(join.into_iter().collect())),
            Self { join, leave, .. } if join.is_empty() && leave.is_empty() => None,
            Self { join, leave, .. } => Some(MemberEdit::Change {
                add: join.into_iter().collect(),
                remove: leave.into_iter().collect(),
            }),
        }
    }
}

/// Whether an operation picks members by more than their ids, so that all of them must be looked at; that is done once at
/// the most.
pub(super) fn needs_everybody(operations: &[Operation], former: &Former) -> Result<bool, RequestError> {
    let looks = |operation: &&Operation| {
        let target = operation.path.as_ref().and_then(|path| patch::target(path, former).ok().flatten());
        let filter = target.as_ref().and_then(|target| target.filter.as_ref());
        operation.verb == Verb::Remove && filter.is_some_and(|filter| named_by(filter).is_none())
    };
    let count = operations.iter().filter(looks).count();
    if count > MAX_LOOKS {
        let text = format!("More than {MAX_LOOKS} condition that all members must be looked at for");
        return Err(RequestError::dialect_specific(http::StatusCode::BAD_REQUEST, "tooMany", text));
    }
    Ok(count > 0)
}

/// How many conditions of one request all members are looked at for.
const MAX_LOOKS: usize = 1;

/// The people a condition on members names.
fn named_by(filter: &directory::Filter) -> Option<Vec<UserKey>> {
    use directory::{AttributeValue, CompareOp, Filter};
    match filter {
        Filter::Comparison(test) if test.field == Field::Value && test.op == CompareOp::Equal => {
            match &test.value {
                AttributeValue::Text(id) => Some(vec![user_key(id)]),
                _ => None,
            }
        }
        Filter::Any(filters) => {
            let keys: Option<Vec<Vec<UserKey>>> = filters.iter().map(named_by).collect();
            keys.map(|keys| keys.concat())
        }
        _ => None,
    }
}

/// A PUT keeps what our own extension holds when it does not speak of it: clients of the standard cannot know it.
pub(super) fn keep_unmentioned(before: &Object, after: &mut Object, sent: &Object) {
    let urn = wire::MORE_SCHEMA.urn;
    let is_named = |(name, _): &(String, Node)| {
        name.get(..urn.len()).is_some_and(|start| start.eq_ignore_ascii_case(urn))
    };
    let is_listed = matches!(sent.get("schemas", crate::kit::Duplicates::LastWins),
        Some(Node::List(urns)) if urns.contains(&Node::Text(urn.into())));
    if !is_listed && !sent.members.iter().any(is_named) {
        members::put(after, urn, get(before, urn).cloned());
    }
    // Whether somebody is switched on is not an option that could be left out.
    if get(after, "active").is_none() {
        members::put(after, "active", get(before, "active").cloned());
    }
}
