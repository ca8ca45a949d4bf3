//! Reads requests: bodies, resource trees, and edits as the difference between two trees.

use super::object::{self, get};
use super::pairs_text;
use super::patch::{self, PatchOp, PatchOperation};
use super::schema::object_schema_of;
use super::tree::{Normalizer, invalid_value};
use super::wire::{self, ResourceType};
use crate::kit::{
    BodyUse, DialectRequest, Direction, Format, Node, Object, ObjectSchema, ParsedBody, Property, RequestError,
    ValueType, json, media_types,
};
use directory::{
    Address, ClientProfile, DepartmentRef, Field, FieldUpdate, GroupEdit, ItemId, ItemKey, MemberEdit, MetadataEntry,
    OrganizationRef, ProfileLink, RequestedStatus, Slot, TypedValue, UserEdit, UserId, UserKey,
};
use std::collections::HashSet;
use uuid::Uuid;

fn parse_body(request: &DialectRequest) -> Result<Option<ParsedBody>, RequestError> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    match media_types::content_type(&request.headers).as_deref() {
        Some("application/scim+json" | "application/json" | "text/json") => {}
        None if !request.headers.contains_key(http::header::CONTENT_TYPE) => {}
        other => return Err(RequestError::UnsupportedMediaType(other.map(str::to_owned))),
    }
    let text = request.body_text()?;
    let node = json::parse(text)?;
    Ok(Some(ParsedBody { format: Format::Json, root: None, node }))
}

pub(super) fn body_object(request: &DialectRequest) -> Result<&Object, RequestError> {
    let body = request.parsed_body(parse_body)?.ok_or(RequestError::BodyMissing)?;
    body.as_object().ok_or_else(|| RequestError::Unparsable("no object".into()))
}

pub(super) fn is_strict(request: &DialectRequest) -> bool {
    request.caller.as_ref().map(|caller| caller.profile) == Some(ClientProfile::Strict)
}

pub(super) fn normalizer(request: &DialectRequest, resource_type: &'static ResourceType) -> Normalizer {
    Normalizer::new(resource_type, is_strict(request))
}

/// Stored values are kept as they are, also under the `strict` profile.
pub(super) fn normalize_stored(written: &Object, resource_type: &'static ResourceType) -> Result<Object, RequestError> {
    Normalizer::for_stored(resource_type).resource(written)
}

pub(super) fn parse_resource(
    request: &DialectRequest,
    resource_type: &'static ResourceType,
) -> Result<Object, RequestError> {
    let normalizer = normalizer(request, resource_type);
    let tree = normalizer.resource(body_object(request)?)?;
    request.count_ignored(normalizer.ignored_count());
    let missing = |property: &&Property| property.required && get(&tree, property.name).is_none();
    match resource_type.schema.object_schema.properties.iter().find(missing) {
        Some(property) => Err(invalid_value(property.name, "is required")),
        None => Ok(tree),
    }
}

pub(super) fn patch_operations(
    request: &DialectRequest,
    normalizer: &Normalizer,
) -> Result<Vec<PatchOperation>, RequestError> {
    let body = request.parsed_body(parse_body)?.ok_or(RequestError::BodyMissing)?;
    // Bulk operations may have the bare list, as in RFC 7644 section 3.7.3.
    if let Node::List(_) = &body.node {
        let body = Object { members: vec![("Operations".into(), body.node.clone())] };
        return patch::parse_operations(&body, normalizer);
    }
    patch::parse_operations(body_object(request)?, normalizer)
}

/// A malformed id matches no user.
pub(super) fn user_key(id: &str) -> UserKey {
    UserKey::Id(UserId(parse_uuid(id)))
}

pub(super) fn group_key(id: &str) -> ItemKey {
    ItemKey::Id(ItemId(parse_uuid(id)))
}

fn parse_uuid(id: &str) -> Uuid {
    Uuid::try_parse(id).unwrap_or_default()
}

/// `None` if the request has no such header.
pub(super) fn matches_etag(request: &DialectRequest, name: &str, etag: &str) -> Option<bool> {
    let mut sent = request.headers.get_all(name).iter().peekable();
    sent.peek()?;
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").trim_matches('"').to_owned();
    let current = opaque(etag);
    let names = |line: &str| line.split(',').any(|tag| tag.trim() == "*" || opaque(tag) == current);
    Some(sent.any(|line| line.to_str().is_ok_and(names)))
}

pub(super) fn user_edit(before: &Object, after: &Object) -> Result<UserEdit, RequestError> {
    let mut diff = UserDiff { edit: UserEdit::default(), after };
    diff.diff_object(&wire::COMMON_ATTRIBUTES, before, after)?;
    diff.diff_object(&wire::USER, before, after)?;
    for schema in wire::USER_TYPE.extensions {
        let empty = Object::default();
        let of = |tree: &Object| get(tree, schema.urn).and_then(Node::as_object).cloned();
        let (before, after) = (of(before).unwrap_or_default(), of(after).unwrap_or(empty));
        diff.diff_object(schema.object_schema, &before, &after)?;
    }
    Ok(diff.edit)
}

struct UserDiff<'a> {
    edit: UserEdit,
    after: &'a Object,
}

impl UserDiff<'_> {
    fn diff_object(
        &mut self,
        object_schema: &'static ObjectSchema,
        before: &Object,
        after: &Object,
    ) -> Result<(), RequestError> {
        for property in object_schema.properties.iter().filter(|property| property.direction != Direction::Response) {
            let (old, new) = (get(before, property.name), get(after, property.name));
            if old == new {
                continue;
            }
            match (property.value_type, property.field) {
                (ValueType::Object(inner), _) => {
                    let object = |node: Option<&Node>| node.and_then(Node::as_object).cloned().unwrap_or_default();
                    self.diff_object(inner, &object(old), &object(new))?;
                }
                (ValueType::List(..), Some(field)) => self.diff_multi_valued(property, field, new),
                (_, Some(field)) => self.diff_single_valued(property, field, new)?,
                (_, None) => {}
            }
        }
        Ok(())
    }

    fn diff_single_valued(
        &mut self,
        property: &Property,
        field: Field,
        node: Option<&Node>,
    ) -> Result<(), RequestError> {
        let text = || node.and_then(as_text);
        let flag = || {
            FieldUpdate::set_or_clear(node.and_then(|node| if let Node::Bool(on) = node { Some(*on) } else { None }))
        };
        let Some(attribute) = field.attribute() else { return Ok(()) };
        let edit = &mut self.edit;
        match attribute.slot {
            Slot::Active => {
                edit.status = flag().map(|on| if on { RequestedStatus::Active } else { RequestedStatus::Inactive });
            }
            Slot::Password => {
                let password = text().ok_or_else(|| invalid_value(property.name, "cannot be removed"))?;
                edit.password = Some(password.into());
            }
            Slot::Department => edit.department = FieldUpdate::set_or_clear(text().map(DepartmentRef::Name)),
            Slot::Organization => {
                let office = get(self.after, wire::MUSTER_SCHEMA.urn).and_then(Node::as_object);
                let office = office.and_then(|more| get(more, "office")).and_then(as_u32);
                let named = |name| OrganizationRef { number: None, name: Some(name), office_number: office };
                edit.organization = FieldUpdate::set_or_clear(text().map(named));
            }
            Slot::Office => edit.office = FieldUpdate::set_or_clear(node.and_then(as_u32)),
            Slot::Links(kind) => {
                let pairs = pairs_text::parse(&text().unwrap_or_default());
                let links = pairs.into_iter().map(|(name, value)| ProfileLink::new(kind, name, value)).collect();
                edit.links.push((kind, FieldUpdate::Set(links)));
            }
            Slot::Metadata => {
                let pairs = pairs_text::parse(&text().unwrap_or_default());
                edit.metadata =
                    FieldUpdate::Set(pairs.into_iter().map(|(key, value)| MetadataEntry { key, value }).collect());
            }
            Slot::Boolean(_) => edit.set_boolean(field, flag()),
            Slot::Text(_) => edit.set_text(field, FieldUpdate::set_or_clear(text())),
            // Lists, and attributes that only responses have.
            Slot::MultiValued(_)
            | Slot::PostalAddresses
            | Slot::Items(_)
            | Slot::Role
            | Slot::Roles
            | Slot::Id
            | Slot::Number
            | Slot::Status
            | Slot::Timestamp(_) => {}
        }
        Ok(())
    }

    fn diff_multi_valued(&mut self, property: &'static Property, field: Field, node: Option<&Node>) {
        let nodes: &[Node] = if let Some(Node::List(nodes)) = node { nodes } else { &[] };
        let objects = || nodes.iter().filter_map(Node::as_object);
        let object_schema = object_schema_of(property);
        let part = |object: &Object, part: Field| {
            let name = object_schema?.properties.iter().find(|property| property.field == Some(part))?.name;
            get(object, name).and_then(as_text)
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
                    // In other dialects the user name follows the email; here clients set it.
                    let name = get(self.after, "userName").and_then(as_text);
                    edit.set_text(Field::UserName, FieldUpdate::set_or_keep(name));
                }
            }
        }
    }
}

fn as_text(node: &Node) -> Option<String> {
    match node {
        Node::Text(text) | Node::Number(text) => Some(text.clone()),
        _ => None,
    }
}

fn as_u32(node: &Node) -> Option<u32> {
    as_text(node)?.parse().ok()
}

pub(super) fn group_edit(tree: &Object, body_use: BodyUse) -> Result<GroupEdit, RequestError> {
    let text = |name: &str| FieldUpdate::set_or_clear(get(tree, name).and_then(as_text));
    let members = parse_members(get(tree, "members"))?;
    let members = (body_use == BodyUse::Replace || !members.is_empty()).then_some(MemberEdit::Replace(members));
    Ok(GroupEdit { id: None, name: text("displayName"), external_id: text("externalId"), members })
}

fn parse_members(node: Option<&Node>) -> Result<Vec<UserKey>, RequestError> {
    let nodes: &[Node] = if let Some(Node::List(nodes)) = node { nodes } else { &[] };
    let mut keys = Vec::with_capacity(nodes.len());
    for object in nodes.iter().filter_map(Node::as_object) {
        if get(object, "type").and_then(as_text).is_some_and(|kind| !kind.eq_ignore_ascii_case("User")) {
            return Err(invalid_value("members", "must be users; groups cannot be nested"));
        }
        let id = get(object, "value").and_then(as_text).ok_or_else(|| invalid_value("members", "must have a value"))?;
        keys.push(user_key(&id));
    }
    Ok(keys)
}

/// Attributes are patched like a user's; members without reading the current ones.
pub(super) fn group_patch(
    before: &Object,
    all_members: &[UserId],
    operations: &[PatchOperation],
    normalizer: &Normalizer,
) -> Result<GroupEdit, RequestError> {
    let mut tree = before.clone();
    let mut members = MemberChanges { all_members, ..MemberChanges::default() };
    for operation in operations {
        if !members.apply(operation, normalizer)? {
            patch::apply_operation(&mut tree, &extract_members(operation, &mut members, normalizer)?, normalizer)?;
        }
    }
    let changed = |name: &str| {
        let (old, new) = (get(before, name), get(&tree, name));
        if old == new { FieldUpdate::Keep } else { FieldUpdate::set_or_clear(new.and_then(as_text)) }
    };
    Ok(GroupEdit {
        id: None,
        name: changed("displayName"),
        external_id: changed("externalId"),
        members: members.into_edit(),
    })
}

fn extract_members(
    operation: &PatchOperation,
    members: &mut MemberChanges<'_>,
    normalizer: &Normalizer,
) -> Result<PatchOperation, RequestError> {
    let mut rest = operation.clone();
    if operation.path.is_none()
        && let Some(Node::Object(object)) = &mut rest.value
    {
        let (member_values, others) =
            std::mem::take(&mut object.members).into_iter().partition(|(name, _)| name.eq_ignore_ascii_case("members"));
        object.members = others;
        for (name, value) in member_values {
            members.apply(&PatchOperation { op: operation.op, path: Some(name), value: Some(value) }, normalizer)?;
        }
    }
    Ok(rest)
}

#[derive(Default)]
struct MemberChanges<'a> {
    /// Loaded only if members are removed by a filter other than `value eq`.
    all_members: &'a [UserId],
    is_replacement: bool,
    added: HashSet<UserKey>,
    removed: HashSet<UserKey>,
}

impl MemberChanges<'_> {
    /// Whether the operation was one on members.
    fn apply(&mut self, operation: &PatchOperation, normalizer: &Normalizer) -> Result<bool, RequestError> {
        let Some(path) = &operation.path else { return Ok(false) };
        let Some(target) = patch::parse_target(path, normalizer)? else { return Ok(false) };
        let super::schema::ResolvedName::Attribute(attribute) = target.resolved else { return Ok(false) };
        if attribute.property.field != Some(Field::Members) {
            return Ok(false);
        }
        let value = operation.value.as_ref().map_or(Ok(None), |value| normalizer.value(attribute.property, value))?;
        match (operation.op, &target.filter) {
            (PatchOp::Add, None) => self.add(parse_members(value.as_ref())?),
            (PatchOp::Replace, None) => {
                let added = parse_members(value.as_ref())?.into_iter().collect();
                (self.added, self.removed, self.is_replacement) = (added, HashSet::new(), true);
            }
            (PatchOp::Remove, None) if matches!(&operation.value, Some(Node::List(nodes)) if nodes.is_empty()) => {}
            (PatchOp::Remove, None) if value.is_some() => self.remove(parse_members(value.as_ref())?),
            (PatchOp::Remove, None) => {
                (self.added, self.removed, self.is_replacement) = (HashSet::new(), HashSet::new(), true);
            }
            (PatchOp::Remove, Some(filter)) => {
                let keys = user_keys_in_filter(filter).unwrap_or_else(|| {
                    let parts = |id: &UserId| -> directory::SubAttributes<'static> {
                        vec![(Field::Value, directory::AttributeValue::text(id.to_string()))]
                    };
                    let hit = self.all_members.iter().filter(|id| filter.matches(&parts(id)));
                    hit.map(|id| UserKey::Id(*id)).collect()
                });
                self.remove(keys);
            }
            // Members have no attributes that could be set.
            (PatchOp::Add | PatchOp::Replace, Some(filter)) => {
                self.add(user_keys_in_filter(filter).unwrap_or_default());
            }
        }
        Ok(true)
    }

    fn add(&mut self, keys: Vec<UserKey>) {
        for key in keys {
            self.removed.remove(&key);
            self.added.insert(key);
        }
    }

    fn remove(&mut self, keys: Vec<UserKey>) {
        for key in keys {
            self.added.remove(&key);
            if !self.is_replacement {
                self.removed.insert(key);
            }
        }
    }

    fn into_edit(self) -> Option<MemberEdit> {
        match self {
            Self { is_replacement: true, added: join, .. } => Some(MemberEdit::Replace(join.into_iter().collect())),
            Self { added: join, removed: leave, .. } if join.is_empty() && leave.is_empty() => None,
            Self { added: join, removed: leave, .. } => {
                Some(MemberEdit::Change { add: join.into_iter().collect(), remove: leave.into_iter().collect() })
            }
        }
    }
}

/// Whether an operation selects members by more than their ids, so that all must be read.
pub(super) fn needs_all_members(operations: &[PatchOperation], normalizer: &Normalizer) -> Result<bool, RequestError> {
    let needs_scan = |operation: &&PatchOperation| {
        let target = operation.path.as_ref().and_then(|path| patch::parse_target(path, normalizer).ok().flatten());
        let filter = target.as_ref().and_then(|target| target.filter.as_ref());
        operation.op == PatchOp::Remove && filter.is_some_and(|filter| user_keys_in_filter(filter).is_none())
    };
    let count = operations.iter().filter(needs_scan).count();
    if count > MAX_MEMBER_SCANS {
        let text = format!("At most {MAX_MEMBER_SCANS} operation may remove members by a filter other than `value eq`");
        return Err(RequestError::dialect_specific(http::StatusCode::BAD_REQUEST, "tooMany", text));
    }
    Ok(count > 0)
}

const MAX_MEMBER_SCANS: usize = 1;

/// `None` unless the filter is `value eq`, or several of them joined with `or`.
fn user_keys_in_filter(filter: &directory::Filter) -> Option<Vec<UserKey>> {
    use directory::{AttributeValue, CompareOp, Filter};
    match filter {
        Filter::Comparison(test) if test.field == Field::Value && test.op == CompareOp::Equal => match &test.value {
            AttributeValue::Text(id) => Some(vec![user_key(id)]),
            _ => None,
        },
        Filter::Any(filters) => {
            let keys: Option<Vec<Vec<UserKey>>> = filters.iter().map(user_keys_in_filter).collect();
            keys.map(|keys| keys.concat())
        }
        _ => None,
    }
}

/// PUT keeps our extension unless the request has it, since standard clients do not know it.
pub(super) fn keep_omitted(before: &Object, after: &mut Object, sent: &Object) {
    let urn = wire::MUSTER_SCHEMA.urn;
    let is_named =
        |(name, _): &(String, Node)| name.get(..urn.len()).is_some_and(|start| start.eq_ignore_ascii_case(urn));
    let is_listed = matches!(sent.get("schemas", crate::kit::Duplicates::LastWins),
        Some(Node::List(urns)) if urns.contains(&Node::Text(urn.into())));
    if !is_listed && !sent.members.iter().any(is_named) {
        object::set(after, urn, get(before, urn).cloned());
    }
    // PUT without `active` does not change it.
    if get(after, "active").is_none() {
        object::set(after, "active", get(before, "active").cloned());
    }
}
