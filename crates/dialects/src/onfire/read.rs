//! From bytes to commands and queries.
//!
//! The body is read by its `ResponseBody-Type` (XML when there is none), then the query is laid over it: that is the
//! framework's order, and it lets credentials travel in either.

use super::{Generation, form_lists, generation, wire};
use crate::kit::{
    ApiCredential, DialectRequest, Direction, Duplicates, Format, MemberError, Node, Object, ObjectSchema,
    ParsedBody, RequestError, ValueType, boolean_of, child_nodes, form, integer_of, json, media_types,
    pairs_of, text_of, validate_members, xml,
};
use directory::{
    Field, FieldErrorKind, FieldUpdate, FolderEdit, FolderEntry, GroupEdit, ItemId, ItemKey, MemberEdit,
    MetadataEntry, RequestedStatus, RoleRef, SecretString, Status, UserEdit, UserId, UserKey,
};
use uuid::Uuid;

/// The body by its type; `None` when there is none.
pub(super) fn body(call: &DialectRequest) -> Result<Option<ParsedBody>, RequestError> {
    if call.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let looks_like_json = call.body.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    let format = match media_types::content_type(&call.headers).as_deref() {
        Some("application/json" | "text/json") => Format::Json,
        Some("application/xml" | "text/xml") => Format::Xml,
        Some("application/x-www-form-urlencoded") => Format::Form,
        None if !call.headers.contains_key(http::header::CONTENT_TYPE) => {
            if looks_like_json {
                Format::Json
            } else {
                Format::Xml
            }
        }
        other => return Err(RequestError::UnsupportedMediaType(other.map(str::to_owned))),
    };
    if format == Format::Form {
        let node = form::parse(&call.body).map_err(RequestError::Unparsable)?;
        return Ok(Some(ParsedBody { format, root: None, node }));
    }
    let text =
        std::str::from_utf8(&call.body).map_err(|error| RequestError::Unparsable(error.to_string()))?;
    let (root, node) = if format == Format::Json {
        (None, json::parse(text).map_err(RequestError::Unparsable)?)
    } else {
        let document = xml::parse(text).map_err(RequestError::Unparsable)?;
        (Some(document.root), document.node)
    };
    Ok(Some(ParsedBody { format, root, node }))
}

/// A request as one object: the body's members with the query's over them.
pub(super) struct Request {
    pub(super) object: Object,
    duplicates: Duplicates,
}

impl Request {
    /// The request as one of `record`.
    pub(super) fn of(call: &DialectRequest, record: &ObjectSchema) -> Result<Self, RequestError> {
        let mut request = Self { object: Object::default(), duplicates: Duplicates::FirstWins };
        if let Some(body) = call.parsed_body(body)? {
            request.duplicates = body.duplicates();
            request.object = match (&body.node, &body.root) {
                (_, Some(root)) if root != record.name => {
                    return Err(RequestError::Unparsable(format!("the root is {root}, not {}", record.name)));
                }
                (Node::Object(object), _) => object.clone(),
                // An element without children.
                (Node::Text(text), Some(_)) if text.trim().is_empty() => Object::default(),
                _ => return Err(RequestError::Unparsable("the body is no object".into())),
            };
            if body.format == Format::Form {
                form_lists::collect(&mut request.object, record);
                call.count_ignored(form_lists::repeated(&request.object));
            }
            // Either generation's name of the tenant is known in both.
            call.count_ignored(request.object.count_unknown(record, &["CompanyId", "ProviderId"]));
        }
        // The framework lays path under query under form.
        let is_form = call.parsed_body(body)?.is_some_and(|body| body.format == Format::Form);
        for member in record.properties.iter().filter(|m| m.direction != Direction::Response) {
            let Some(value) = call.query.get(member.name) else { continue };
            if is_form && request.get(member.name).is_some() {
                continue;
            }
            let node = match member.value_type {
                ValueType::List(..) => {
                    Node::List(value.split(',').map(|part| Node::Text(part.trim().to_owned())).collect())
                }
                _ => Node::Text(value.to_owned()),
            };
            request.object.members.retain(|(name, _)| !name.eq_ignore_ascii_case(member.name));
            request.object.members.push((member.name.to_owned(), node));
        }
        Ok(request)
    }

    fn get(&self, name: &str) -> Option<&Node> {
        self.object.get(name, self.duplicates)
    }

    /// A text; empty counts as absent.
    fn filled(&self, name: &str) -> Result<Option<String>, RequestError> {
        let node = self.get(name);
        let text = node.map_or(Ok(None), text_of).map_err(|rule| RequestError::invalid_member(name, rule))?;
        Ok(text.filter(|text| !text.trim().is_empty()))
    }

    fn guid(&self, name: &str) -> Result<Option<Uuid>, RequestError> {
        let text = self.filled(name)?;
        let parsed = text.map(|text| Uuid::try_parse(text.trim())).transpose();
        parsed.map_err(|_| RequestError::invalid_member(name, FieldErrorKind::Malformed))
    }

    fn flag(&self, name: &str) -> Result<Option<bool>, RequestError> {
        self.get(name).map_or(Ok(None), boolean_of).map_err(|rule| RequestError::invalid_member(name, rule))
    }

    /// What is said of a text: null is silence, as in the original's own types.
    fn given(&self, name: &str) -> Result<FieldUpdate<String>, FieldErrorKind> {
        Ok(FieldUpdate::set_or_keep(self.get(name).map_or(Ok(None), text_of)?))
    }
}

/// The key and tenant, from the query first, then from the body; either generation's name will do.
pub(super) fn credential(call: &DialectRequest) -> Result<Option<ApiCredential>, RequestError> {
    let sent = call.parsed_body(body)?;
    let find = |name: &str| {
        let in_body = || {
            let body = sent?;
            text_of(body.as_object()?.get(name, body.duplicates())?).ok().flatten()
        };
        call.query.get(name).map(str::to_owned).or_else(in_body).filter(|text| !text.trim().is_empty())
    };
    let Some(key) = find("IntegrationKey") else { return Ok(None) };
    // The tenant must be named; a credential without one opens nothing.
    let tenant = find("CompanyId").or_else(|| find("ProviderId")).unwrap_or_default();
    Ok(Some(ApiCredential { key: key.trim().to_owned(), tenant: Some(tenant) }))
}

/// What a POST or PUT says of a user.
pub(super) fn user_edit(call: &DialectRequest, is_new: bool) -> Result<(Request, UserEdit), RequestError> {
    let record = user_record(call);
    let request = Request::of(call, record)?;
    let mut faults = validate_members(record, &request.object, request.duplicates, is_new);
    let mut edit = UserEdit::default();
    for (member, field) in
        record.text_properties().filter(|(member, _)| member.direction != Direction::Response)
    {
        if !matches!(field, Field::Password | Field::Status | Field::Role) {
            match request.given(member.name) {
                Ok(given) => edit.set_text(field, given),
                Err(rule) => faults.push(MemberError::new(member.name, rule)),
            }
        }
    }
    let mut note = |name: &str, fault: Result<(), RequestError>| match fault {
        Err(RequestError::InvalidMembers(found)) => faults.extend(found),
        Err(_) => faults.push(MemberError::new(name, FieldErrorKind::Malformed)),
        Ok(()) => {}
    };
    note("Status", status(&request, is_new, &mut edit));
    note("WebsiteRole", role(&request, &mut edit));
    note("Password", password(&request, &mut edit));
    note("DoNotEmail", request.flag("DoNotEmail").map(|f| edit.do_not_email = FieldUpdate::set_or_keep(f)));
    // A mail asks every new person in, unless they want none.
    edit.invite = is_new;
    note("Groups", references(&request, "Groups").map(|given| edit.groups = given));
    note("Folders", references(&request, "Folders").map(|given| edit.folders = given));
    note("Metadata", metadata(&request, &mut edit));
    if faults.is_empty() { Ok((request, edit)) } else { Err(RequestError::InvalidMembers(faults)) }
}

fn user_record(call: &DialectRequest) -> &'static ObjectSchema {
    match generation(call) {
        Generation::V1 => &wire::SUSER,
        Generation::V2 => &wire::USER,
    }
}

/// A new user is invited whatever the body says; a word that is no status is an error all the same.
fn status(request: &Request, is_new: bool, edit: &mut UserEdit) -> Result<(), RequestError> {
    let Some(word) = request.filled("Status")? else { return Ok(()) };
    let wish = match word.trim().to_ascii_lowercase().as_str() {
        "invited" => RequestedStatus::Exact(Status::Invited),
        "active" => RequestedStatus::Exact(Status::Active),
        "inactive" => RequestedStatus::Inactive,
        _ => return Err(RequestError::invalid_member("Status", FieldErrorKind::Malformed)),
    };
    if !is_new {
        edit.status = FieldUpdate::Set(wish);
    }
    Ok(())
}

fn role(request: &Request, edit: &mut UserEdit) -> Result<(), RequestError> {
    let given =
        request.given("WebsiteRole").map_err(|rule| RequestError::invalid_member("WebsiteRole", rule))?;
    edit.role = match given {
        FieldUpdate::Set(name) if name.trim().is_empty() => FieldUpdate::Clear,
        other => other.map(|name| RoleRef::Name(name.trim().to_owned())),
    };
    Ok(())
}

fn password(request: &Request, edit: &mut UserEdit) -> Result<(), RequestError> {
    let given = request.given("Password").map_err(|rule| RequestError::invalid_member("Password", rule))?;
    edit.password = given.value().filter(|p| !p.is_empty()).map(|p| SecretString::from(p.clone()));
    Ok(())
}

/// Groups or folders by GUID, or by name or external id where the request says so.
fn references(request: &Request, name: &'static str) -> Result<FieldUpdate<Vec<ItemKey>>, RequestError> {
    let wrong = |rule| RequestError::invalid_member(name, rule);
    let Some(node) = request.get(name).filter(|node| **node != Node::Null) else {
        return Ok(FieldUpdate::Keep);
    };
    let by_name = request.flag("UseNames")?.unwrap_or(false);
    let by_external_id = request.flag("UseExternalIds")?.unwrap_or(false);
    if by_name && by_external_id {
        return Err(RequestError::invalid_member("UseExternalIds", FieldErrorKind::NotAllowed));
    }
    let mut keys = Vec::new();
    for entry in node.entries("Id") {
        let text = text_of(entry).map_err(wrong)?.unwrap_or_default();
        keys.push(if by_name {
            ItemKey::Name(text)
        } else if by_external_id {
            ItemKey::ExternalId(text)
        } else {
            ItemKey::Id(ItemId(Uuid::try_parse(text.trim()).map_err(|_| wrong(FieldErrorKind::Malformed))?))
        });
    }
    Ok(FieldUpdate::Set(keys))
}

fn metadata(request: &Request, edit: &mut UserEdit) -> Result<(), RequestError> {
    let Some(node) = request.get("Metadata").filter(|node| **node != Node::Null) else { return Ok(()) };
    let pairs = pairs_of(node, "KeyValue", ("Key", "Value"), request.duplicates)
        .map_err(|rule| RequestError::invalid_member("Metadata", rule))?;
    edit.metadata =
        FieldUpdate::Set(pairs.into_iter().map(|(key, value)| MetadataEntry { key, value }).collect());
    Ok(())
}

/// Whom a GET, PUT or DELETE means: `Id`, else `Email`, else `ExternalId`. A PUT sends its new e-mail in the same
/// place, so there the external id goes first.
pub(super) fn user_key(request: &Request, external_id_first: bool) -> Result<UserKey, RequestError> {
    if let Some(id) = request.guid("Id")? {
        return Ok(UserKey::Id(UserId(id)));
    }
    let email = request.filled("Email")?.map(UserKey::Email);
    let external_id = request.filled("ExternalId")?.map(UserKey::ExternalId);
    let found = if external_id_first { external_id.or(email) } else { email.or(external_id) };
    found.ok_or_else(|| RequestError::invalid_member("Id", FieldErrorKind::Missing))
}

/// Which user a GET means.
pub(super) fn user_named(call: &DialectRequest) -> Result<UserKey, RequestError> {
    user_key(&Request::of(call, user_record(call))?, false)
}

/// Which user a DELETE means: the id alone says so, and every other field is ignored.
pub(super) fn user_to_delete(call: &DialectRequest) -> Result<UserKey, RequestError> {
    let id = Request::of(call, user_record(call))?.guid("Id")?;
    id.map(|id| UserKey::Id(UserId(id)))
        .ok_or_else(|| RequestError::invalid_member("Id", FieldErrorKind::Missing))
}

/// Which group or folder a PUT or DELETE means: the id alone says so.
pub(super) fn item_to_change(request: &Request) -> Result<ItemKey, RequestError> {
    let id = request.guid("Id")?;
    id.map(|id| ItemKey::Id(ItemId(id)))
        .ok_or_else(|| RequestError::invalid_member("Id", FieldErrorKind::Missing))
}

/// Which group or folder is meant: `Id`, else `ExternalId`, else `Name`.
pub(super) fn item_key(request: &Request) -> Result<ItemKey, RequestError> {
    if let Some(id) = request.guid("Id")? {
        return Ok(ItemKey::Id(ItemId(id)));
    }
    if let Some(id) = request.filled("ExternalId")? {
        return Ok(ItemKey::ExternalId(id));
    }
    request
        .filled("Name")?
        .map(ItemKey::Name)
        .ok_or_else(|| RequestError::invalid_member("Id", FieldErrorKind::Missing))
}

/// What a POST or PUT says of a group.
pub(super) fn group_edit(call: &DialectRequest, is_new: bool) -> Result<(Request, GroupEdit), RequestError> {
    let record = &wire::USER_GROUP;
    let request = Request::of(call, record)?;
    let faults = validate_members(record, &request.object, request.duplicates, is_new);
    if !faults.is_empty() {
        return Err(RequestError::InvalidMembers(faults));
    }
    let wrong = |name: &'static str| move |rule| RequestError::invalid_member(name, rule);
    let mut edit = GroupEdit {
        id: None,
        name: request.given("Name").map_err(wrong("Name"))?,
        external_id: request.given("ExternalId").map_err(wrong("ExternalId"))?,
        members: None,
    };
    if let Some(node) = request.get("UserIds").filter(|node| **node != Node::Null) {
        let nodes = if matches!(node, Node::Object(_)) { child_nodes(node) } else { node.entries("Id") };
        let mut keys = Vec::with_capacity(nodes.len());
        for node in nodes {
            let text = text_of(node).map_err(wrong("UserIds"))?.unwrap_or_default();
            let id = Uuid::try_parse(text.trim())
                .map_err(|_| RequestError::invalid_member("UserIds", FieldErrorKind::Malformed))?;
            keys.push(UserKey::Id(UserId(id)));
        }
        edit.members = Some(MemberEdit::Replace(keys));
    }
    Ok((request, edit))
}

/// What a POST or PUT says of a folder.
pub(super) fn folder_edit(
    call: &DialectRequest,
    is_new: bool,
) -> Result<(Request, FolderEdit), RequestError> {
    let record = &wire::FOLDER;
    let request = Request::of(call, record)?;
    let faults = validate_members(record, &request.object, request.duplicates, is_new);
    if !faults.is_empty() {
        return Err(RequestError::InvalidMembers(faults));
    }
    let wrong = |name: &'static str| move |rule| RequestError::invalid_member(name, rule);
    let mut edit = FolderEdit {
        id: if is_new { request.guid("Id")?.filter(|id| !id.is_nil()).map(ItemId) } else { None },
        name: request.given("Name").map_err(wrong("Name"))?,
        external_id: request.given("ExternalId").map_err(wrong("ExternalId"))?,
        description: request.given("Description").map_err(wrong("Description"))?,
        is_restricted: FieldUpdate::set_or_keep(request.flag("IsRestricted")?),
        ..FolderEdit::default()
    };
    if let Some(node) = request.get("RestrictToGroup").filter(|node| **node != Node::Null) {
        let is_empty = matches!(node, Node::Text(text) if text.trim().is_empty());
        edit.restricted_to = if is_empty {
            FieldUpdate::Clear
        } else {
            FieldUpdate::set_or_keep(request.guid("RestrictToGroup")?.map(ItemId))
        };
    }
    if let Some(node) = request.get("Items").filter(|node| **node != Node::Null) {
        edit.entries = FieldUpdate::Set(folder_entries(node, request.duplicates)?);
    }
    Ok((request, edit))
}

/// What can lie in a folder.
const ENTRY_KINDS: [&str; 5] = ["Screen", "Doc", "DataSource", "Folder", "TaskTemplate"];

fn folder_entries(node: &Node, duplicates: Duplicates) -> Result<Vec<FolderEntry>, RequestError> {
    let mut entries = Vec::new();
    for node in child_nodes(node) {
        let object = node
            .as_object()
            .ok_or_else(|| RequestError::invalid_member("Items", FieldErrorKind::Malformed))?;
        let text = |name: &str| {
            let node = object.get(name, duplicates);
            let text =
                node.map_or(Ok(None), text_of).map_err(|rule| RequestError::invalid_member("Items", rule))?;
            Ok::<_, RequestError>(text.unwrap_or_default())
        };
        let sent = text("Type")?;
        let kind = ENTRY_KINDS.iter().find(|kind| kind.eq_ignore_ascii_case(sent.trim()));
        let kind = kind.ok_or_else(|| RequestError::invalid_member("Items", FieldErrorKind::Malformed))?;
        entries.push(FolderEntry { key: text("KeyId")?, kind: (*kind).to_owned() });
    }
    Ok(entries)
}

/// `PageNo` from 0, `PageSize` 100 unless said otherwise and 250 at the most: rows to leave out, rows to return.
pub(super) fn page(call: &DialectRequest) -> Result<(u64, u32), RequestError> {
    let mut faults = Vec::new();
    let mut number = |name: &str, default: u32| {
        let text = parameter(call, name)?;
        let number = text.as_ref().map_or(Ok(None), |text| integer_of(&Node::Text(text.clone())));
        if number.is_err() {
            faults.extend(text.map(|text| unbound(name, &text)));
        }
        Ok::<u32, RequestError>(number.ok().flatten().unwrap_or(default))
    };
    let (page, size) = (number("PageNo", 0)?, number("PageSize", 100)?.clamp(1, 250));
    if faults.is_empty() {
        Ok((u64::from(page) * u64::from(size), size))
    } else {
        Err(RequestError::InvalidMembers(faults))
    }
}

/// A parameter that could not be bound, in the framework's words.
fn unbound(name: &str, value: &str) -> MemberError {
    let text = Some(format!("{value} is an Invalid value for '{name}'"));
    MemberError { name: name.to_owned(), kind: FieldErrorKind::Malformed, message: text }
}

/// A parameter of a search, from the query or, on the reply routes, from the body.
pub(super) fn parameter(call: &DialectRequest, name: &str) -> Result<Option<String>, RequestError> {
    if let Some(text) = call.query.get(name) {
        return Ok(Some(text.to_owned()));
    }
    let Some(body) = call.parsed_body(body)? else { return Ok(None) };
    let node = body.as_object().and_then(|object| object.get(name, body.duplicates()));
    let text = node.map_or(Ok(None), text_of).map_err(|rule| RequestError::invalid_member(name, rule))?;
    Ok(text.filter(|text| !text.trim().is_empty()))
}

/// A switch of a search.
pub(super) fn switch(call: &DialectRequest, name: &str) -> Result<bool, RequestError> {
    let Some(text) = parameter(call, name)? else { return Ok(false) };
    let on = boolean_of(&Node::Text(text.clone()));
    Ok(on.map_err(|_| RequestError::InvalidMembers(vec![unbound(name, &text)]))?.unwrap_or(false))
}
