//! Reads commands and queries.

use super::{status, wire};
use crate::kit::{
    BodyUse, DialectRequest, Direction, Format, MemberError, Node, Object, ObjectSchema, ParsedBody, RequestError,
    boolean_of, check_members, integer_of, json, lenient_json, media_types, text_of, timestamps, validate_members,
};
use directory::{
    DepartmentRef, Field, FieldErrorKind, FieldUpdate, GroupEdit, ItemKey, MemberEdit, OrganizationEdit,
    OrganizationRef, ProfileLink, ProfileLinkKind, RequestedStatus, Time, TimeRange, UserEdit, UserKey, is_email,
};

/// JSON if there is no type. A trailing comma is accepted, since the documents print one.
pub(super) fn parse_body(request: &DialectRequest) -> Result<Option<ParsedBody>, RequestError> {
    if request.body.iter().all(u8::is_ascii_whitespace) {
        return Ok(None);
    }
    let format = match media_types::content_type(&request.headers).as_deref() {
        Some("application/json" | "text/json") => Format::Json,
        Some("application/xml" | "text/xml") => Format::Xml,
        None if !request.headers.contains_key(http::header::CONTENT_TYPE) => Format::Json,
        other => return Err(RequestError::UnsupportedMediaType(other.map(str::to_owned))),
    };
    let text = request.body_text()?;
    if format == Format::Xml {
        return Ok(Some(ParsedBody::from_xml(text)?));
    }
    let leniently = |_| lenient_json::parse(text, lenient_json::Leniency::TrailingCommas);
    Ok(Some(ParsedBody::new(format, json::parse(text).or_else(leniently)?)))
}

fn root_node<'a>(request: &'a DialectRequest, root: &str) -> Result<(&'a Node, &'a ParsedBody), RequestError> {
    let body = request.parsed_body(parse_body)?.ok_or(RequestError::BodyMissing)?;
    let missing = || RequestError::Unparsable(format!("no {root}").into());
    let node = match &body.root {
        Some(name) if name == root => &body.node,
        Some(_) => return Err(missing()),
        None => body.as_object().and_then(|m| m.get(root, body.duplicates())).ok_or_else(missing)?,
    };
    Ok((node, body))
}

fn root_object<'a>(request: &'a DialectRequest, root: &str) -> Result<(&'a Object, &'a ParsedBody), RequestError> {
    static EMPTY: Object = Object { members: Vec::new() };
    let (node, body) = root_node(request, root)?;
    match node {
        Node::Object(object) => Ok((object, body)),
        Node::Text(text) if body.format == Format::Xml && text.trim().is_empty() => Ok((&EMPTY, body)),
        _ => Err(RequestError::Unparsable(format!("{root} is not an object").into())),
    }
}

struct UserEditBuilder<'a> {
    body: &'a ParsedBody,
    edit: UserEdit,
    errors: Vec<MemberError>,
}

impl<'a> UserEditBuilder<'a> {
    fn get(&self, object: &'a Object, names: &[&str]) -> Option<&'a Node> {
        names.iter().find_map(|name| object.get(name, self.body.duplicates()))
    }

    /// Any other value than an object is an error.
    fn object(&mut self, object: &'a Object, names: &[&'static str]) -> Option<&'a Object> {
        match self.get(object, names)? {
            Node::Object(object) => return Some(object),
            Node::Null => {}
            Node::Text(text) if text.trim().is_empty() => {}
            _ => self.errors.push(MemberError::new(names[0], FieldErrorKind::Malformed)),
        }
        None
    }

    /// Missing texts are cleared, since PUT replaces.
    fn texts(&mut self, object_schema: &ObjectSchema, object: Option<&'a Object>) {
        for (property, field) in object_schema.text_properties().filter(|(m, _)| m.direction != Direction::Response) {
            if matches!(field, Field::Department | Field::Status) {
                continue;
            }
            let node = object.and_then(|object| self.get(object, &[property.name]));
            match node.map_or(Ok(None), text_of) {
                // Other dialects accept any text here.
                Ok(Some(text)) if field == Field::SecretaryEmail && !text.is_empty() && !is_email(&text) => {
                    self.errors.push(MemberError::new(property.name, FieldErrorKind::Malformed));
                }
                Ok(text) => self.edit.set_text(field, FieldUpdate::set_or_clear(text)),
                Err(kind) => self.errors.push(MemberError::new(property.name, kind)),
            }
        }
    }

    fn links(&mut self, object: &'a Object, kind: ProfileLinkKind, names: &[&'static str]) {
        let mut links = Vec::new();
        let entries = self.object(object, names).map(|object| {
            let named = object.members.iter().filter(|(name, _)| name.eq_ignore_ascii_case("link"));
            named.flat_map(|(_, node)| if let Node::List(n) = node { n.iter().collect() } else { vec![node] })
        });
        for node in entries.into_iter().flatten().collect::<Vec<&Node>>() {
            let text = |name| {
                let found = node.as_object()?.get(name, self.body.duplicates());
                Some(found.map_or(Ok(None), text_of).ok()?.unwrap_or_default())
            };
            match (text("name"), text("value")) {
                (Some(name), Some(value)) => links.push(ProfileLink::new(kind, name, value)),
                _ => self.errors.push(MemberError::new(names[0], FieldErrorKind::Malformed)),
            }
        }
        self.edit.links.push((kind, FieldUpdate::Set(links)));
    }
}

/// Missing fields are cleared, except the password, which this API does not have.
pub(super) fn user_edit(request: &DialectRequest, body_use: BodyUse) -> Result<UserEdit, RequestError> {
    let (object, body) = root_object(request, "user")?;
    request.count_ignored(object.count_unknown(&wire::USER, &[]));
    let mut builder = UserEditBuilder { body, edit: UserEdit::default(), errors: Vec::new() };
    builder.errors = validate_members(&wire::USER, object, body.duplicates(), BodyUse::Replace);
    let name = builder.object(object, &["name"]);
    let empty = Object::default();
    builder.errors.extend(validate_members(&wire::NAME, name.unwrap_or(&empty), body.duplicates(), BodyUse::Replace));
    builder.texts(&wire::USER, Some(object));
    builder.texts(&wire::NAME, name);
    let location = builder.object(object, &["location"]);
    builder.texts(&wire::LOCATION, location);
    builder.links(object, ProfileLinkKind::Social, &["sociallinks", "sociallink"]);
    builder.links(object, ProfileLinkKind::Custom, &["customlinks", "customlink"]);
    builder.links(object, ProfileLinkKind::Messaging, &["messaginglinks", "messaginglink"]);
    match builder.get(object, &["department"]).map_or(Ok(None), text_of) {
        Ok(text) => builder.edit.department = FieldUpdate::set_or_clear(text.map(DepartmentRef::Name)),
        Err(kind) => builder.errors.push(MemberError::new("department", kind)),
    }
    match parse_status(builder.get(object, &["status"])) {
        Ok(Some(requested_status)) => builder.edit.status = FieldUpdate::Set(requested_status),
        Ok(None) if body_use == BodyUse::Create => builder.edit.status = FieldUpdate::Set(RequestedStatus::Active),
        Ok(None) => {}
        Err(kind) => builder.errors.push(MemberError::new("status", kind)),
    }
    let organization = builder.object(object, &["organisation"]);
    match organization.map(|object| parse_organization_ref(object, body)).transpose() {
        // New users without an organization get the one of their email's domain.
        Ok(None) => {
            builder.edit.organization = if body_use == BodyUse::Create { FieldUpdate::Keep } else { FieldUpdate::Clear }
        }
        Ok(Some(Some(organization))) => builder.edit.organization = FieldUpdate::Set(organization),
        Ok(Some(None)) => builder.edit.organization = FieldUpdate::Clear,
        Err(error) => builder.errors.push(error),
    }
    if builder.errors.is_empty() { Ok(builder.edit) } else { Err(RequestError::InvalidMembers(builder.errors)) }
}

fn parse_status(node: Option<&Node>) -> Result<Option<RequestedStatus>, FieldErrorKind> {
    let text = node.map_or(Ok(None), text_of)?.filter(|text| !text.trim().is_empty());
    text.map(|word| status::parse_user_status(&word).map(RequestedStatus::Exact).ok_or(FieldErrorKind::Malformed))
        .transpose()
}

fn parse_organization_ref(object: &Object, body: &ParsedBody) -> Result<Option<OrganizationRef>, MemberError> {
    let get = |name: &str| object.get(name, body.duplicates());
    let number =
        |name: &'static str| get(name).map_or(Ok(None), integer_of).map_err(|kind| MemberError::new(name, kind));
    let name = get("orgname").map_or(Ok(None), text_of).map_err(|kind| MemberError::new("orgname", kind))?;
    let organization = OrganizationRef {
        number: number("orgid")?,
        name: name.filter(|name| !name.trim().is_empty()),
        office_number: number("orgaddressid")?.filter(|n| *n > 0),
    };
    Ok((organization != OrganizationRef::default()).then_some(organization))
}

fn parse_user_key(text: &str) -> Result<UserKey, RequestError> {
    let text = text.trim();
    if text.contains('@') {
        return Ok(UserKey::Email(text.to_owned()));
    }
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(RequestError::invalid_member("id", FieldErrorKind::Malformed));
    }
    // Numbers that are too large match no user.
    Ok(UserKey::Number(text.parse().unwrap_or(0)))
}

pub(super) fn user_key(request: &DialectRequest) -> Result<UserKey, RequestError> {
    parse_user_key(request.path_param(0))
}

pub(super) fn bulk_user_keys(request: &DialectRequest) -> Result<Vec<UserKey>, RequestError> {
    let keys = root_texts(request, "users", "user")?;
    keys.iter().map(|text| parse_user_key(text)).collect()
}

/// Scheduled invitations are rejected, since they could only be sent now or never.
pub(super) fn invited_users(request: &DialectRequest) -> Result<Vec<UserKey>, RequestError> {
    let body = request.parsed_body(parse_body)?.ok_or(RequestError::BodyMissing)?;
    let members = body.as_object().ok_or_else(|| RequestError::Unparsable("no object".into()))?;
    request.count_ignored(members.count_unknown(&wire::INVITATION, &[]));
    if let Some(now) = members.get("sendInvitationNow", body.duplicates()) {
        let now = text_of(now).map_err(|kind| RequestError::invalid_member("sendInvitationNow", kind))?;
        if now.is_some_and(|now| !now.trim().eq_ignore_ascii_case("true")) {
            return Err(RequestError::invalid_member("sendInvitationNow", FieldErrorKind::NotAllowed));
        }
    }
    let mut keys = Vec::new();
    for entry in body.node.entries("emailAddress") {
        let text = text_of(entry).map_err(|kind| RequestError::invalid_member("emailAddress", kind))?;
        keys.extend(text.map(|email| UserKey::Email(email.trim().to_owned())));
    }
    if keys.is_empty() { Err(RequestError::BodyMissing) } else { Ok(keys) }
}

/// `{"users":{"user":[…]}}` or `<users><user>…</user>…</users>`.
fn root_texts(request: &DialectRequest, root: &str, item: &str) -> Result<Vec<String>, RequestError> {
    let (node, _) = root_node(request, root)?;
    let mut texts = Vec::new();
    for entry in node.entries(item) {
        texts.extend(text_of(entry).map_err(|kind| RequestError::invalid_member(item, kind))?);
    }
    if texts.is_empty() { Err(RequestError::BodyMissing) } else { Ok(texts) }
}

/// An invalid number matches no item.
pub(super) fn item_key(request: &DialectRequest) -> ItemKey {
    ItemKey::Number(request.path_param(0).trim().parse().unwrap_or(0))
}

pub(super) fn group_edit(request: &DialectRequest) -> Result<GroupEdit, RequestError> {
    let (object, body) = root_object(request, "group")?;
    request.count_ignored(object.count_unknown(&wire::GROUP, &[]));
    check_members(&wire::GROUP, object, body.duplicates(), BodyUse::Replace)?;
    let name = object.get("name", body.duplicates()).map_or(Ok(None), text_of);
    let name = name.map_err(|kind| RequestError::invalid_member("name", kind))?;
    let members = Some(MemberEdit::Replace(member_keys(object, body)?));
    Ok(GroupEdit { id: None, name: FieldUpdate::set_or_clear(name), external_id: FieldUpdate::Keep, members })
}

/// Only active users can be added.
pub(super) fn add_members_edit(request: &DialectRequest) -> Result<GroupEdit, RequestError> {
    let (object, body) = root_object(request, "group")?;
    Ok(GroupEdit { members: Some(MemberEdit::Add(member_keys(object, body)?, true)), ..GroupEdit::default() })
}

fn member_keys(object: &Object, body: &ParsedBody) -> Result<Vec<UserKey>, RequestError> {
    let mut keys = Vec::new();
    for node in object.get("users", body.duplicates()).map(|node| node.entries("user")).unwrap_or_default() {
        let text = text_of(node).map_err(|kind| RequestError::invalid_member("users", kind))?;
        keys.push(
            parse_user_key(&text.unwrap_or_default())
                .map_err(|_| RequestError::invalid_member("users", FieldErrorKind::Malformed))?,
        );
    }
    Ok(keys)
}

pub(super) fn organization_edit(request: &DialectRequest) -> Result<OrganizationEdit, RequestError> {
    let (object, body) = root_object(request, "organisation")?;
    request.count_ignored(object.count_unknown(&wire::ORGANIZATION, &[]));
    check_members(&wire::ORGANIZATION, object, body.duplicates(), BodyUse::Replace)?;
    let get = |name: &str| object.get(name, body.duplicates());
    let text = |name: &'static str| {
        let text = get(name).map_or(Ok(None), text_of).map_err(|kind| RequestError::invalid_member(name, kind))?;
        Ok::<_, RequestError>(FieldUpdate::set_or_clear(text.filter(|text| !text.is_empty())))
    };
    let number = |name: &'static str| {
        let number = get(name).map_or(Ok(None), integer_of).map_err(|kind| RequestError::invalid_member(name, kind))?;
        Ok::<_, RequestError>(FieldUpdate::set_or_clear(number))
    };
    let status =
        get("status").map_or(Ok(None), text_of).map_err(|kind| RequestError::invalid_member("status", kind))?;
    let status = status.map(|word| {
        status::parse_organization_status(&word)
            .ok_or(RequestError::invalid_member("status", FieldErrorKind::Malformed))
    });
    let auto_login = get("autologin")
        .map_or(Ok(None), boolean_of)
        .map_err(|kind| RequestError::invalid_member("autologin", kind))?;
    Ok(OrganizationEdit {
        id: None,
        number: None,
        name: text("name")?,
        status: status.transpose()?,
        domains: FieldUpdate::Set(texts(get("domains"), "domain")?),
        add_domains: Vec::new(),
        office_numbers: FieldUpdate::Set(addresses(get("addresses"), body)?),
        url: text("url")?,
        photo: text("img")?,
        auto_login: FieldUpdate::set_or_clear(auto_login),
        homepage: number("homepage")?,
        guid: number("guid")?,
        industry: number("industry")?,
        category: number("category")?,
        key_contacts: FieldUpdate::Set(numbers(get("keycontacts"), "keycontact")?),
    })
}

fn texts(node: Option<&Node>, item: &'static str) -> Result<Vec<String>, RequestError> {
    let entries = node.map(|node| node.entries(item)).unwrap_or_default();
    let texts = entries.into_iter().map(|node| text_of(node).map(Option::unwrap_or_default));
    texts.collect::<Result<_, FieldErrorKind>>().map_err(|kind| RequestError::invalid_member(item, kind))
}

fn numbers(node: Option<&Node>, item: &'static str) -> Result<Vec<u32>, RequestError> {
    let entries = node.map(|node| node.entries(item)).unwrap_or_default();
    let numbers = entries.into_iter().map(|node| integer_of(node)?.ok_or(FieldErrorKind::Malformed));
    numbers.collect::<Result<_, FieldErrorKind>>().map_err(|kind| RequestError::invalid_member(item, kind))
}

/// The default address first.
fn addresses(node: Option<&Node>, body: &ParsedBody) -> Result<Vec<u32>, RequestError> {
    let mut addresses = Vec::new();
    for node in node.map(|node| node.entries("address")).unwrap_or_default() {
        let get = |name: &str| node.as_object().and_then(|object| object.get(name, body.duplicates()));
        let invalid = |kind| RequestError::invalid_member("addressid", kind);
        let number = get("addressid").map_or(Ok(None), integer_of).map_err(invalid)?;
        let number = number.ok_or_else(|| invalid(FieldErrorKind::Missing))?;
        if addresses.len() > MAX_LIST_LENGTH * 10 {
            return Err(invalid(FieldErrorKind::TooLong(MAX_LIST_LENGTH * 10)));
        }
        let is_default = get("isDefault").map_or(Ok(None), boolean_of).map_err(invalid)?.unwrap_or(false);
        addresses.insert(if is_default { 0 } else { addresses.len() }, number);
    }
    Ok(addresses)
}

pub(super) fn add_domain_edit(request: &DialectRequest) -> Result<OrganizationEdit, RequestError> {
    let (object, body) = root_object(request, "domain")?;
    let url = object.get("url", body.duplicates()).map_or(Ok(None), text_of);
    let url = url.map_err(|kind| RequestError::invalid_member("url", kind))?.filter(|url| !url.trim().is_empty());
    let url = url.ok_or_else(|| RequestError::invalid_member("url", FieldErrorKind::Missing))?;
    Ok(OrganizationEdit { add_domains: vec![url], ..OrganizationEdit::default() })
}

pub(super) fn bulk_organization_keys(request: &DialectRequest) -> Result<Vec<ItemKey>, RequestError> {
    let keys = root_texts(request, "organisations", "organisation")?;
    Ok(keys.into_iter().map(|text| parse_item_key(&text)).collect())
}

pub(super) fn parse_item_key(text: &str) -> ItemKey {
    let text = text.trim();
    text.parse().map_or_else(|_| ItemKey::Name(text.to_owned()), ItemKey::Number)
}

pub(super) struct PageParameters {
    pub(super) offset: u32,
    pub(super) limit: u32,
}

pub(super) fn page_parameters(request: &DialectRequest, default_limit: u32) -> Result<PageParameters, RequestError> {
    let number = |name: &'static str, default: u32| match request.query.get(name) {
        None => Ok(default),
        Some(text) if text.trim().bytes().all(|b| b.is_ascii_digit()) => Ok(text.trim().parse().unwrap_or(u32::MAX)),
        Some(_) => Err(RequestError::invalid_member(name, FieldErrorKind::Malformed)),
    };
    Ok(PageParameters { offset: number("offset", 0)?, limit: number("limit", default_limit)?.min(MAX_LIMIT) })
}

/// Larger limits are reduced; `total` in the response shows it.
const MAX_LIMIT: u32 = 1000;

pub(super) fn list_parameter(
    request: &DialectRequest,
    name: &'static str,
) -> Result<Option<Vec<String>>, RequestError> {
    let Some(text) = request.query.get(name) else { return Ok(None) };
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    let parts: Vec<String> = parts.take(MAX_LIST_LENGTH + 1).map(str::to_owned).collect();
    if parts.len() > MAX_LIST_LENGTH {
        Err(RequestError::invalid_member(name, FieldErrorKind::TooLong(MAX_LIST_LENGTH)))
    } else {
        Ok(Some(parts))
    }
}

const MAX_LIST_LENGTH: usize = 100;

pub(super) struct SortField {
    pub(super) name: String,
    pub(super) is_descending: bool,
}

/// An unescaped plus sign arrives as a space.
pub(super) fn parse_sort_field(part: &str) -> Option<SortField> {
    let is_descending = match part.chars().next()? {
        '+' | ' ' => false,
        '-' => true,
        _ => return None,
    };
    Some(SortField { name: part[1..].trim().to_ascii_lowercase().replace(' ', ""), is_descending })
}

pub(super) fn time_range_parameter(
    request: &DialectRequest,
    names: &[&'static str],
    now: Time,
) -> Result<Option<TimeRange>, RequestError> {
    let Some(text) = names.iter().find_map(|name| request.query.get(name)) else { return Ok(None) };
    timestamps::parse_time_range(text, now)
        .map(Some)
        .ok_or_else(|| RequestError::invalid_member(names[0], FieldErrorKind::Malformed))
}
