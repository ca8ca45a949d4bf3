//! Reads commands and queries.
//!
//! The body is parsed by its `Content-Type` (XML if there is none) and overlaid with the query: that is
//! ServiceStack's order, and credentials may be in either.

use super::{ApiVersion, api_version, form_lists, wire};
use crate::kit::{
    ApiCredential, BodyUse, DialectRequest, Direction, Duplicates, Format, MemberError, Node, Object, ObjectSchema,
    ParsedBody, RequestError, ValueType, boolean_of, check_members, child_nodes, form, integer_of, json, media_types,
    pairs_of, text_of, validate_members,
};
use directory::{
    Field, FieldErrorKind, FieldUpdate, FolderEdit, FolderEntry, GroupEdit, ItemId, ItemKey, MemberEdit, MetadataEntry,
    RequestedStatus, RoleRef, SecretString, Status, UserEdit, UserId, UserKey,
};
use uuid::Uuid;

pub(super) fn parse_body(request: &DialectRequest) -> Result<Option<ParsedBody>, RequestError> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let looks_like_json = request.body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    let format = match media_types::content_type(&request.headers).as_deref() {
        Some("application/json" | "text/json") => Format::Json,
        Some("application/xml" | "text/xml") => Format::Xml,
        Some("application/x-www-form-urlencoded") => Format::Form,
        None if !request.headers.contains_key(http::header::CONTENT_TYPE) => {
            if looks_like_json {
                Format::Json
            } else {
                Format::Xml
            }
        }
        other => return Err(RequestError::UnsupportedMediaType(other.map(str::to_owned))),
    };
    Ok(Some(match format {
        Format::Form => ParsedBody::new(format, form::parse(&request.body)?),
        Format::Json => ParsedBody::new(format, json::parse(request.body_text()?)?),
        Format::Xml => ParsedBody::from_xml(request.body_text()?)?,
    }))
}

/// The body's members, overlaid with the query's.
pub(super) struct RequestFields {
    pub(super) object: Object,
    duplicates: Duplicates,
}

impl RequestFields {
    pub(super) fn from_request(request: &DialectRequest, object_schema: &ObjectSchema) -> Result<Self, RequestError> {
        let mut fields = Self { object: Object::default(), duplicates: Duplicates::FirstWins };
        if let Some(body) = request.parsed_body(parse_body)? {
            fields.duplicates = body.duplicates();
            fields.object = match (&body.node, &body.root) {
                (_, Some(root)) if root != object_schema.name => {
                    return Err(RequestError::Unparsable(
                        format!("the root is {root}, not {}", object_schema.name).into(),
                    ));
                }
                (Node::Object(object), _) => object.clone(),
                (Node::Text(text), Some(_)) if text.trim().is_empty() => Object::default(),
                _ => return Err(RequestError::Unparsable("the body is not an object".into())),
            };
            if body.format == Format::Form {
                form_lists::collect_lists(&mut fields.object, object_schema);
                request.count_ignored(form_lists::count_repeated(&fields.object));
            }
            request.count_ignored(fields.object.count_unknown(object_schema, &["CompanyId", "ProviderId"]));
        }
        // ServiceStack prefers form fields to the query, and the query to the path.
        let is_form = request.parsed_body(parse_body)?.is_some_and(|body| body.format == Format::Form);
        for property in object_schema.properties.iter().filter(|m| m.direction != Direction::Response) {
            let Some(value) = request.query.get(property.name) else { continue };
            if is_form && fields.get(property.name).is_some() {
                continue;
            }
            let node = match property.value_type {
                ValueType::List(..) => {
                    Node::List(value.split(',').map(|part| Node::Text(part.trim().to_owned())).collect())
                }
                _ => Node::Text(value.to_owned()),
            };
            fields.object.members.retain(|(name, _)| !name.eq_ignore_ascii_case(property.name));
            fields.object.members.push((property.name.to_owned(), node));
        }
        Ok(fields)
    }

    fn get(&self, name: &str) -> Option<&Node> {
        self.object.get(name, self.duplicates)
    }

    /// Blank counts as absent.
    fn non_blank(&self, name: &str) -> Result<Option<String>, RequestError> {
        let node = self.get(name);
        let text = node.map_or(Ok(None), text_of).map_err(|kind| RequestError::invalid_member(name, kind))?;
        Ok(text.filter(|text| !text.trim().is_empty()))
    }

    fn guid(&self, name: &str) -> Result<Option<Uuid>, RequestError> {
        let text = self.non_blank(name)?;
        let parsed = text.map(|text| Uuid::try_parse(text.trim())).transpose();
        parsed.map_err(|_| RequestError::invalid_member(name, FieldErrorKind::Malformed))
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, RequestError> {
        self.get(name).map_or(Ok(None), boolean_of).map_err(|kind| RequestError::invalid_member(name, kind))
    }

    /// Null counts as absent, as in the original's own types.
    fn field_update(&self, name: &str) -> Result<FieldUpdate<String>, FieldErrorKind> {
        Ok(FieldUpdate::set_or_keep(self.get(name).map_or(Ok(None), text_of)?))
    }
}

/// From the query, else from the body; both versions accept either name of the tenant.
pub(super) fn credential(request: &DialectRequest) -> Result<Option<ApiCredential>, RequestError> {
    let sent = request.parsed_body(parse_body)?;
    let find = |name: &str| {
        let in_body = || {
            let body = sent?;
            text_of(body.as_object()?.get(name, body.duplicates())?).ok().flatten()
        };
        request.query.get(name).map(str::to_owned).or_else(in_body).filter(|text| !text.trim().is_empty())
    };
    let Some(key) = find("IntegrationKey") else { return Ok(None) };
    let tenant = find("CompanyId").or_else(|| find("ProviderId")).unwrap_or_default();
    Ok(Some(ApiCredential { key: key.trim().to_owned(), tenant: Some(tenant) }))
}

pub(super) fn user_edit(
    request: &DialectRequest,
    body_use: BodyUse,
) -> Result<(RequestFields, UserEdit), RequestError> {
    let object_schema = user_record(request);
    let fields = RequestFields::from_request(request, object_schema)?;
    let mut errors = validate_members(object_schema, &fields.object, fields.duplicates, body_use);
    let mut edit = UserEdit::default();
    for (member, field) in object_schema.text_properties().filter(|(member, _)| member.direction != Direction::Response)
    {
        if !matches!(field, Field::Password | Field::Status | Field::Role) {
            match fields.field_update(member.name) {
                Ok(update) => edit.set_text(field, update),
                Err(kind) => errors.push(MemberError::new(member.name, kind)),
            }
        }
    }
    let mut collect_errors = |name: &str, error: Result<(), RequestError>| match error {
        Err(RequestError::InvalidMembers(found)) => errors.extend(found),
        Err(_) => errors.push(MemberError::new(name, FieldErrorKind::Malformed)),
        Ok(()) => {}
    };
    collect_errors("Status", set_status(&fields, body_use, &mut edit));
    collect_errors("WebsiteRole", set_role(&fields, &mut edit));
    collect_errors("Password", set_password(&fields, &mut edit));
    let do_not_email = fields.flag("DoNotEmail");
    let set = do_not_email.map(|flag| edit.set_boolean(Field::DoNotEmail, FieldUpdate::set_or_keep(flag)));
    collect_errors("DoNotEmail", set);
    // New users get an invitation email unless they have `DoNotEmail`.
    edit.invite = body_use == BodyUse::Create;
    collect_errors("Groups", parse_references(&fields, "Groups").map(|update| edit.groups = update));
    collect_errors("Folders", parse_references(&fields, "Folders").map(|update| edit.folders = update));
    collect_errors("Metadata", set_metadata(&fields, &mut edit));
    if errors.is_empty() { Ok((fields, edit)) } else { Err(RequestError::InvalidMembers(errors)) }
}

pub(super) fn user_record(request: &DialectRequest) -> &'static ObjectSchema {
    match api_version(request) {
        ApiVersion::V1 => &wire::SUSER,
        ApiVersion::V2 => &wire::USER,
    }
}

/// New users are always invited, but an unknown status is still an error.
fn set_status(fields: &RequestFields, body_use: BodyUse, edit: &mut UserEdit) -> Result<(), RequestError> {
    let Some(word) = fields.non_blank("Status")? else { return Ok(()) };
    let requested_status = match word.trim().to_ascii_lowercase().as_str() {
        "invited" => RequestedStatus::Exact(Status::Invited),
        "active" => RequestedStatus::Exact(Status::Active),
        "inactive" => RequestedStatus::Inactive,
        _ => return Err(RequestError::invalid_member("Status", FieldErrorKind::Malformed)),
    };
    if body_use == BodyUse::Update {
        edit.status = FieldUpdate::Set(requested_status);
    }
    Ok(())
}

fn set_role(fields: &RequestFields, edit: &mut UserEdit) -> Result<(), RequestError> {
    let update =
        fields.field_update("WebsiteRole").map_err(|kind| RequestError::invalid_member("WebsiteRole", kind))?;
    edit.role = match update {
        FieldUpdate::Set(name) if name.trim().is_empty() => FieldUpdate::Clear,
        other => other.map(|name| RoleRef::Name(name.trim().to_owned())),
    };
    Ok(())
}

fn set_password(fields: &RequestFields, edit: &mut UserEdit) -> Result<(), RequestError> {
    let update = fields.field_update("Password").map_err(|kind| RequestError::invalid_member("Password", kind))?;
    edit.password = update.value().filter(|p| !p.is_empty()).map(|p| SecretString::from(p.clone()));
    Ok(())
}

/// By GUID, or by name or external id with `UseNames` or `UseExternalIds`.
fn parse_references(fields: &RequestFields, name: &'static str) -> Result<FieldUpdate<Vec<ItemKey>>, RequestError> {
    let invalid_member = |kind| RequestError::invalid_member(name, kind);
    let Some(node) = fields.get(name).filter(|node| **node != Node::Null) else {
        return Ok(FieldUpdate::Keep);
    };
    let by_name = fields.flag("UseNames")?.unwrap_or(false);
    let by_external_id = fields.flag("UseExternalIds")?.unwrap_or(false);
    if by_name && by_external_id {
        return Err(RequestError::invalid_member("UseExternalIds", FieldErrorKind::NotAllowed));
    }
    let mut keys = Vec::new();
    for entry in node.entries("Id") {
        let text = text_of(entry).map_err(invalid_member)?.unwrap_or_default();
        keys.push(if by_name {
            ItemKey::Name(text)
        } else if by_external_id {
            ItemKey::ExternalId(text)
        } else {
            ItemKey::Id(ItemId(Uuid::try_parse(text.trim()).map_err(|_| invalid_member(FieldErrorKind::Malformed))?))
        });
    }
    Ok(FieldUpdate::Set(keys))
}

fn set_metadata(fields: &RequestFields, edit: &mut UserEdit) -> Result<(), RequestError> {
    let Some(node) = fields.get("Metadata").filter(|node| **node != Node::Null) else { return Ok(()) };
    let pairs = pairs_of(node, "KeyValue", ("Key", "Value"), fields.duplicates)
        .map_err(|kind| RequestError::invalid_member("Metadata", kind))?;
    edit.metadata = FieldUpdate::Set(pairs.into_iter().map(|(key, value)| MetadataEntry { key, value }).collect());
    Ok(())
}

/// What identifies a user without `Id`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum KeyOrder {
    EmailFirst,
    /// For a PUT, whose email may be new.
    ExternalIdFirst,
}

pub(super) fn user_key(fields: &RequestFields, order: KeyOrder) -> Result<UserKey, RequestError> {
    if let Some(id) = fields.guid("Id")? {
        return Ok(UserKey::Id(UserId(id)));
    }
    let email = fields.non_blank("Email")?.map(UserKey::Email);
    let external_id = fields.non_blank("ExternalId")?.map(UserKey::ExternalId);
    let found = if order == KeyOrder::ExternalIdFirst { external_id.or(email) } else { email.or(external_id) };
    found.ok_or_else(|| RequestError::invalid_member("Id", FieldErrorKind::Missing))
}

pub(super) fn user_to_get(request: &DialectRequest) -> Result<UserKey, RequestError> {
    user_key(&RequestFields::from_request(request, user_record(request))?, KeyOrder::EmailFirst)
}

/// Only `Id` identifies the user; other fields are ignored.
pub(super) fn user_to_delete(request: &DialectRequest) -> Result<UserKey, RequestError> {
    let id = RequestFields::from_request(request, user_record(request))?.guid("Id")?;
    id.map(|id| UserKey::Id(UserId(id))).ok_or_else(|| RequestError::invalid_member("Id", FieldErrorKind::Missing))
}

pub(super) fn item_to_change(fields: &RequestFields) -> Result<ItemKey, RequestError> {
    let id = fields.guid("Id")?;
    id.map(|id| ItemKey::Id(ItemId(id))).ok_or_else(|| RequestError::invalid_member("Id", FieldErrorKind::Missing))
}

/// `Id`, else `ExternalId`, else `Name`.
pub(super) fn item_key(fields: &RequestFields) -> Result<ItemKey, RequestError> {
    if let Some(id) = fields.guid("Id")? {
        return Ok(ItemKey::Id(ItemId(id)));
    }
    if let Some(id) = fields.non_blank("ExternalId")? {
        return Ok(ItemKey::ExternalId(id));
    }
    fields
        .non_blank("Name")?
        .map(ItemKey::Name)
        .ok_or_else(|| RequestError::invalid_member("Id", FieldErrorKind::Missing))
}

pub(super) fn group_edit(
    request: &DialectRequest,
    body_use: BodyUse,
) -> Result<(RequestFields, GroupEdit), RequestError> {
    let object_schema = &wire::USER_GROUP;
    let fields = RequestFields::from_request(request, object_schema)?;
    check_members(object_schema, &fields.object, fields.duplicates, body_use)?;
    let invalid_member = |name: &'static str| move |kind| RequestError::invalid_member(name, kind);
    let mut edit = GroupEdit {
        id: None,
        name: fields.field_update("Name").map_err(invalid_member("Name"))?,
        external_id: fields.field_update("ExternalId").map_err(invalid_member("ExternalId"))?,
        members: None,
    };
    if let Some(node) = fields.get("UserIds").filter(|node| **node != Node::Null) {
        let nodes = if matches!(node, Node::Object(_)) { child_nodes(node) } else { node.entries("Id") };
        let mut keys = Vec::with_capacity(nodes.len());
        for node in nodes {
            let text = text_of(node).map_err(invalid_member("UserIds"))?.unwrap_or_default();
            let id = Uuid::try_parse(text.trim())
                .map_err(|_| RequestError::invalid_member("UserIds", FieldErrorKind::Malformed))?;
            keys.push(UserKey::Id(UserId(id)));
        }
        edit.members = Some(MemberEdit::Replace(keys));
    }
    Ok((fields, edit))
}

pub(super) fn folder_edit(
    request: &DialectRequest,
    body_use: BodyUse,
) -> Result<(RequestFields, FolderEdit), RequestError> {
    let object_schema = &wire::FOLDER;
    let fields = RequestFields::from_request(request, object_schema)?;
    check_members(object_schema, &fields.object, fields.duplicates, body_use)?;
    let invalid_member = |name: &'static str| move |kind| RequestError::invalid_member(name, kind);
    let mut edit = FolderEdit {
        id: if body_use == BodyUse::Create { fields.guid("Id")?.filter(|id| !id.is_nil()).map(ItemId) } else { None },
        name: fields.field_update("Name").map_err(invalid_member("Name"))?,
        external_id: fields.field_update("ExternalId").map_err(invalid_member("ExternalId"))?,
        description: fields.field_update("Description").map_err(invalid_member("Description"))?,
        is_restricted: FieldUpdate::set_or_keep(fields.flag("IsRestricted")?),
        ..FolderEdit::default()
    };
    if let Some(node) = fields.get("RestrictToGroup").filter(|node| **node != Node::Null) {
        let is_empty = matches!(node, Node::Text(text) if text.trim().is_empty());
        edit.restricted_to = if is_empty {
            FieldUpdate::Clear
        } else {
            FieldUpdate::set_or_keep(fields.guid("RestrictToGroup")?.map(ItemId))
        };
    }
    if let Some(node) = fields.get("Items").filter(|node| **node != Node::Null) {
        edit.entries = FieldUpdate::Set(folder_entries(node, fields.duplicates)?);
    }
    Ok((fields, edit))
}

const ENTRY_KINDS: [&str; 5] = ["Screen", "Doc", "DataSource", "Folder", "TaskTemplate"];

fn folder_entries(node: &Node, duplicates: Duplicates) -> Result<Vec<FolderEntry>, RequestError> {
    let mut entries = Vec::new();
    for node in child_nodes(node) {
        let object =
            node.as_object().ok_or_else(|| RequestError::invalid_member("Items", FieldErrorKind::Malformed))?;
        let text = |name: &str| {
            let node = object.get(name, duplicates);
            let text = node.map_or(Ok(None), text_of).map_err(|rule| RequestError::invalid_member("Items", rule))?;
            Ok::<_, RequestError>(text.unwrap_or_default())
        };
        let sent = text("Type")?;
        let kind = ENTRY_KINDS.iter().find(|kind| kind.eq_ignore_ascii_case(sent.trim()));
        let kind = kind.ok_or_else(|| RequestError::invalid_member("Items", FieldErrorKind::Malformed))?;
        entries.push(FolderEntry { key: text("KeyId")?, kind: (*kind).to_owned() });
    }
    Ok(entries)
}

pub(super) struct PageParameters {
    pub(super) skip: u64,
    pub(super) limit: u32,
}

/// From `PageNo` (from 0) and `PageSize` (default 100, maximum 250).
pub(super) fn page_parameters(request: &DialectRequest) -> Result<PageParameters, RequestError> {
    let mut errors = Vec::new();
    let mut number = |name: &str, default: u32| {
        let text = parameter(request, name)?;
        let number = text.as_ref().map_or(Ok(None), |text| integer_of(&Node::Text(text.clone())));
        if number.is_err() {
            errors.extend(text.map(|text| binding_error(name, &text)));
        }
        Ok::<u32, RequestError>(number.ok().flatten().unwrap_or(default))
    };
    let (page, size) = (number("PageNo", 0)?, number("PageSize", 100)?.clamp(1, 250));
    if errors.is_empty() {
        Ok(PageParameters { skip: u64::from(page) * u64::from(size), limit: size })
    } else {
        Err(RequestError::InvalidMembers(errors))
    }
}

/// In ServiceStack's words.
fn binding_error(name: &str, value: &str) -> MemberError {
    let text = Some(format!("{value} is an Invalid value for '{name}'"));
    MemberError { name: name.to_owned(), kind: FieldErrorKind::Malformed, message: text }
}

/// From the query or, on reply routes, the body.
pub(super) fn parameter(request: &DialectRequest, name: &str) -> Result<Option<String>, RequestError> {
    if let Some(text) = request.query.get(name) {
        return Ok(Some(text.to_owned()));
    }
    let Some(body) = request.parsed_body(parse_body)? else { return Ok(None) };
    let node = body.as_object().and_then(|object| object.get(name, body.duplicates()));
    let text = node.map_or(Ok(None), text_of).map_err(|kind| RequestError::invalid_member(name, kind))?;
    Ok(text.filter(|text| !text.trim().is_empty()))
}

pub(super) fn boolean_parameter(request: &DialectRequest, name: &str) -> Result<bool, RequestError> {
    let Some(text) = parameter(request, name)? else { return Ok(false) };
    let on = boolean_of(&Node::Text(text.clone()));
    Ok(on.map_err(|_| RequestError::InvalidMembers(vec![binding_error(name, &text)]))?.unwrap_or(false))
}
