//! Parses bodies by their media type to commands. All members are converted and checked, and all errors are
//! reported at once.

use super::convert::{self, ConversionError};
use super::wire::{self, clr_name};
use crate::kit::{
    BodyUse, DialectRequest, Duplicates, Format, MemberError, Node, Object, ParsedBody, Property, RequestError, form,
    json, lenient_json, media_types,
};
use directory::{
    DepartmentRef, Field, FieldErrorKind, FieldUpdate, RequestedStatus, RoleRef, SecretString, Status, UserEdit,
    UserKey,
};

/// Replaces the details of conversion errors.
pub(super) const GENERIC_ERROR: &str = "An error has occurred.";

/// `None` for a null model: an empty body, `null`, or a nil root.
pub(super) fn body(request: &DialectRequest) -> Result<Option<ParsedBody>, RequestError> {
    let media = media_types::content_type(&request.headers);
    let format = match media.as_deref() {
        Some("application/json" | "text/json" | "text/html" | "application/*" | "text/*" | "*/*") => Format::Json,
        Some("application/xml" | "text/xml") => Format::Xml,
        Some("application/x-www-form-urlencoded") => Format::Form,
        None if request.body.is_empty() => return Ok(None),
        _ => return Err(RequestError::UnsupportedMediaType(media)),
    };
    if request.body.is_empty() {
        return Ok(None);
    }
    let parsed = match format {
        Format::Form => return Ok(Some(ParsedBody::new(format, form::parse(&request.body)?))),
        Format::Xml => ParsedBody::from_xml(request.body_text()?)?,
        Format::Json => {
            let text = request.body_text()?;
            if text.trim_start_matches('\u{FEFF}').trim().is_empty() {
                return Ok(None);
            }
            let leniently = |_| lenient_json::parse(text, lenient_json::Leniency::JsonNet);
            ParsedBody::new(format, json::parse(text).or_else(leniently)?)
        }
    };
    Ok((parsed.node != Node::Null).then_some(parsed))
}

/// Errors, in the framework's order.
#[derive(Default)]
struct ModelState {
    errors: Vec<MemberError>,
}

impl ModelState {
    fn add(&mut self, key: &str, kind: FieldErrorKind, message: Option<String>) {
        self.errors.push(MemberError { name: key.to_owned(), kind, message });
    }
}

/// A member with its name as sent. `joined_values` has all values that a form sent under the name.
struct SentMember<'a> {
    name: &'a str,
    node: &'a Node,
    joined_values: Option<String>,
}

/// Finds a member: XML names are case-sensitive and capitalized, all others case-insensitive.
fn find_member<'a>(object: &'a Object, member: &Property, body: &ParsedBody) -> Option<SentMember<'a>> {
    let clr = clr_name(member.name);
    let has_name = |name: &str| {
        if body.format == Format::Xml { name == clr } else { name.eq_ignore_ascii_case(member.name) }
    };
    let texts = object.members.iter().filter(|(name, _)| has_name(name)).filter_map(|(_, node)| match node {
        Node::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let all = (body.format == Format::Form).then(|| texts.collect::<Vec<_>>().join(","));
    let mut named = object.members.iter().filter(|(name, _)| has_name(name));
    let (name, node) = match body.duplicates() {
        Duplicates::FirstWins => named.next()?,
        Duplicates::LastWins => named.next_back()?,
    };
    Some(SentMember { name, node, joined_values: all })
}

/// Parses the body of a POST or PUT. In a PUT, absent members are kept; null and empty clear.
pub(super) fn user_edit(request: &DialectRequest, body_use: BodyUse) -> Result<UserEdit, RequestError> {
    let body = request.parsed_body(body)?.ok_or(RequestError::BodyMissing)?;
    let unparsable = |text: &str| RequestError::Unparsable(text.into());
    // The original names the same model `UserPut` in a PUT.
    let is_known = |root: &str| root == wire::USER_POST.name || body_use == BodyUse::Update && root == "UserPut";
    if body.root.as_deref().is_some_and(|root| !is_known(root)) {
        return Err(unparsable("the root element must be UserPost or, in a PUT, UserPut"));
    }
    let empty = Object::default();
    let object = match &body.node {
        Node::Object(object) => object,
        Node::Text(text) if body.format == Format::Xml && text.trim().is_empty() => &empty,
        _ => return Err(unparsable("the body is not an object")),
    };
    request.count_ignored(object.count_unknown(&wire::USER_POST, &[]));
    let (mut edit, mut state) = (UserEdit::default(), ModelState::default());
    let mut order: Vec<(usize, &Property)> =
        wire::request_properties().map(|m| (body_position(object, m, body), m)).collect();
    order.sort_by_key(|(position, _)| *position);
    for (_, member) in order {
        if let Some(sent) = find_member(object, member, body) {
            apply_member(&mut edit, &mut state, member, &sent, body.format)
                .map_err(|()| unparsable("a value of the wrong type"))?;
        }
    }
    validate(&edit, &mut state);
    if !state.errors.is_empty() {
        return Err(RequestError::InvalidMembers(state.errors));
    }
    if body_use == BodyUse::Create {
        let status = if edit.password.is_some() { Status::Active } else { Status::Invited };
        edit.status = FieldUpdate::Set(RequestedStatus::Exact(status));
    }
    Ok(edit)
}

/// Conversion errors are reported in the order of the body.
fn body_position(object: &Object, member: &Property, body: &ParsedBody) -> usize {
    let found = find_member(object, member, body).map(|sent| sent.name);
    found.and_then(|name| object.members.iter().position(|(n, _)| n == name)).unwrap_or(usize::MAX)
}

/// Converts one member and adds it to the edit; `Err` if the whole body fails.
fn apply_member(
    edit: &mut UserEdit,
    state: &mut ModelState,
    member: &Property,
    sent: &SentMember<'_>,
    format: Format,
) -> Result<(), ()> {
    let clr = clr_name(member.name);
    // JSON errors are keyed as the client spelled the name, all others by the CLR name.
    let key = if format == Format::Json { sent.name } else { clr.as_str() };
    let sent_text = match sent.node {
        Node::Text(text) => text.clone(),
        _ => String::new(),
    };
    let mut add_error = |error: ConversionError| match error {
        ConversionError::Body => Err(()),
        ConversionError::Member(text) => {
            let text = text
                .map(|text| sent.joined_values.as_ref().map_or(text.clone(), |all| text.replacen(&sent_text, all, 1)));
            state.add(key, FieldErrorKind::Malformed, Some(text.unwrap_or_else(|| GENERIC_ERROR.into())));
            Ok(())
        }
        ConversionError::MemberTwice => {
            state.add(key, FieldErrorKind::Malformed, Some(GENERIC_ERROR.into()));
            state.add(key, FieldErrorKind::Malformed, Some(GENERIC_ERROR.into()));
            Ok(())
        }
    };
    match member.field {
        Some(Field::Role) => {
            match convert::integer(sent.node, format, (i32::MIN.into(), i32::MAX.into()), &clr) {
                // The directory rejects numbers of roles that do not exist, including negative ones.
                Ok(number) => {
                    edit.role =
                        FieldUpdate::set_or_clear(number.map(|n| RoleRef::Number(u32::try_from(n).unwrap_or(0))));
                }
                Err(error) => return add_error(error),
            }
        }
        Some(Field::Department) => match convert::integer(sent.node, format, (0, 255), &clr) {
            Ok(number) => {
                let number = number.and_then(|n| u8::try_from(n).ok());
                edit.department = FieldUpdate::Set(number.map_or(DepartmentRef::NoNumber, DepartmentRef::Number));
            }
            Err(error) => return add_error(error),
        },
        Some(Field::ForcePasswordChange) => match convert::boolean(sent.node, format, &clr) {
            Ok(value) => edit.set_boolean(Field::ForcePasswordChange, FieldUpdate::set_or_clear(value)),
            Err(error) => return add_error(error),
        },
        Some(Field::Password) => match convert::text(sent.node, format) {
            Ok(text) => edit.password = text.filter(|t| !t.is_empty()).map(SecretString::from),
            Err(error) => return add_error(error),
        },
        Some(field) => match convert::text(sent.node, format) {
            Ok(text) => edit.set_text(field, FieldUpdate::set_or_clear(text)),
            Err(error) => return add_error(error),
        },
        None => {}
    }
    Ok(())
}

/// Checks the model's annotations in declared order: required members, and lengths in UTF-16 units.
fn validate(edit: &UserEdit, state: &mut ModelState) {
    use directory::ExposeSecret;
    for member in wire::request_properties() {
        let clr = clr_name(member.name);
        let text = match member.field {
            Some(Field::Role) => {
                if edit.role.value().is_none() {
                    state.add(&clr, FieldErrorKind::Missing, None);
                }
                continue;
            }
            Some(Field::Password) => edit.password.as_ref().map(ExposeSecret::expose_secret),
            Some(field) => edit.text_update(field).and_then(FieldUpdate::value).map(String::as_str),
            None => None,
        };
        let is_blank = text.is_none_or(|text| text.trim().is_empty());
        if member.required && is_blank {
            state.add(&clr, FieldErrorKind::Missing, None);
        } else if member.max_length > 0 && text.is_some_and(|text| text.encode_utf16().count() > member.max_length) {
            state.add(&clr, FieldErrorKind::TooLong(member.max_length), None);
        }
    }
}

/// The user number in the path. Anything else is a bad request, as in the original.
pub(super) fn user_key(request: &DialectRequest) -> Result<UserKey, RequestError> {
    let number = request.path_param(0).parse::<i32>().map_err(|_| RequestError::BodyMissing)?;
    Ok(UserKey::Number(u32::try_from(number).unwrap_or(0)))
}

/// `skip` and `take` of a list; the original does not have them. Without them, a list has all users.
pub(super) fn skip_and_take(request: &DialectRequest) -> Result<(u64, Option<u32>), RequestError> {
    let number = |name: &str| {
        let text = request.query.get(name);
        let parsed = text.map(|text| text.trim().parse::<u32>()).transpose();
        parsed.map_err(|_| RequestError::invalid_member(clr_name(name), FieldErrorKind::Malformed))
    };
    Ok((number("skip")?.unwrap_or(0).into(), number("take")?))
}
