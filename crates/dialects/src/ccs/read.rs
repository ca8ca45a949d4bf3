//! From bytes to commands: the type of the body chooses the reader, every member is converted and checked, and all
//! that is wrong is said at once.

use super::convert::{self, Wrong};
use super::wire::{self, clr_name};
use crate::kit::{
    Body, Call, Duplicates, Fault, FieldFault, Format, Member, Node, Object, accept, form, json, lenient, xml,
};
use directory::{
    DepartmentRef, Field, FieldErrorKind, FieldUpdate, RequestedStatus, RoleRef, SecretString, Status,
    UserEdit, UserKey,
};

/// What stands for a conversion error whose details are hidden.
pub(super) const AN_ERROR: &str = "An error has occurred.";

/// The body by its type; `None` for a null model: an empty body, `null`, or a nil root.
pub(super) fn body(call: &Call) -> Result<Option<Body>, Fault> {
    let media = accept::content_type(&call.headers);
    let format = match media.as_deref() {
        Some("application/json" | "text/json" | "text/html" | "application/*" | "text/*" | "*/*") => {
            Format::Json
        }
        Some("application/xml" | "text/xml") => Format::Xml,
        Some("application/x-www-form-urlencoded") => Format::Form,
        None if call.body.is_empty() => return Ok(None),
        _ => return Err(Fault::UnsupportedMedia(media)),
    };
    if call.body.is_empty() {
        return Ok(None);
    }
    if format == Format::Form {
        let node = form::read(&call.body).map_err(Fault::Unparsable)?;
        return Ok(Some(Body { format, root: None, node }));
    }
    let text = std::str::from_utf8(&call.body).map_err(|error| Fault::Unparsable(error.to_string()))?;
    let (root, node) = if format == Format::Json {
        if text.trim_start_matches('\u{FEFF}').trim().is_empty() {
            return Ok(None);
        }
        let strictly = json::read(text);
        (
            None,
            strictly
                .or_else(|_| lenient::read(text, lenient::Leniency::JsonNet))
                .map_err(Fault::Unparsable)?,
        )
    } else {
        let document = xml::read(text).map_err(Fault::Unparsable)?;
        (Some(document.root), document.node)
    };
    Ok(if node == Node::Null { None } else { Some(Body { format, root, node }) })
}

/// What was found wrong, in the order the framework says it.
#[derive(Default)]
struct ModelState {
    faults: Vec<FieldFault>,
}

impl ModelState {
    fn add(&mut self, key: &str, rule: FieldErrorKind, text: Option<String>) {
        self.faults.push(FieldFault { name: key.to_owned(), rule, text });
    }
}

/// A member that is in the body: its name as sent, what it holds, and all that a form sent under the name.
struct Sent<'a> {
    name: &'a str,
    node: &'a Node,
    all: Option<String>,
}

/// The member of that name: XML to the letter with its capital, all else in any case.
fn find<'a>(object: &'a Object, member: &Member, body: &Body) -> Option<Sent<'a>> {
    let clr = clr_name(member.name);
    let is_it = |name: &str| {
        if body.format == Format::Xml { name == clr } else { name.eq_ignore_ascii_case(member.name) }
    };
    let texts = object.members.iter().filter(|(name, _)| is_it(name)).filter_map(|(_, node)| match node {
        Node::Text(text) => Some(text.as_str()),
        _ => None,
    });
    let all = (body.format == Format::Form).then(|| texts.collect::<Vec<_>>().join(","));
    let mut named = object.members.iter().filter(|(name, _)| is_it(name));
    let (name, node) = match body.duplicates() {
        Duplicates::FirstWins => named.next()?,
        Duplicates::LastWins => named.next_back()?,
    };
    Some(Sent { name, node, all })
}

/// What a POST or PUT says of a user. On PUT what is absent stays; null and empty clear.
pub(super) fn user_edit(call: &Call, is_new: bool) -> Result<UserEdit, Fault> {
    let body = call.body(body)?.ok_or(Fault::BodyMissing)?;
    let whole = |text: &str| Fault::Unparsable(text.to_owned());
    // The original calls the same model `UserPut` in a PUT.
    let is_known = |root: &str| root == wire::USER_POST.name || !is_new && root == "UserPut";
    if body.root.as_deref().is_some_and(|root| !is_known(root)) {
        return Err(whole("the root is neither UserPost nor, in a PUT, UserPut"));
    }
    let empty = Object::default();
    let object = match &body.node {
        Node::Object(object) => object,
        Node::Text(text) if body.format == Format::Xml && text.trim().is_empty() => &empty,
        _ => return Err(whole("the body is no object")),
    };
    call.ignore(object.unknown_to(&wire::USER_POST, &[]));
    let (mut edit, mut state) = (UserEdit::default(), ModelState::default());
    let mut order: Vec<(usize, &Member)> = wire::sent().map(|m| (position(object, m, body), m)).collect();
    order.sort_by_key(|(position, _)| *position);
    for (_, member) in order {
        if let Some(sent) = find(object, member, body) {
            put(&mut edit, &mut state, member, &sent, body.format)
                .map_err(|()| whole("a value of the wrong type"))?;
        }
    }
    validate(&edit, &mut state);
    if !state.faults.is_empty() {
        return Err(Fault::Fields(state.faults));
    }
    if is_new {
        let status = if edit.password.is_some() { Status::Active } else { Status::Invited };
        edit.status = FieldUpdate::Set(RequestedStatus::Exact(status));
    }
    Ok(edit)
}

/// Conversion errors come in the order of the body.
fn position(object: &Object, member: &Member, body: &Body) -> usize {
    let found = find(object, member, body).map(|sent| sent.name);
    found.and_then(|name| object.members.iter().position(|(n, _)| n == name)).unwrap_or(usize::MAX)
}

/// Converts one member and puts it in the edit; `Err` when the whole body fails.
fn put(
    edit: &mut UserEdit,
    state: &mut ModelState,
    member: &Member,
    sent: &Sent<'_>,
    format: Format,
) -> Result<(), ()> {
    let clr = clr_name(member.name);
    // JSON errors quote the path as the client spelled it, all others the CLR name.
    let key = if format == Format::Json { sent.name } else { clr.as_str() };
    let first = match sent.node {
        Node::Text(text) => text.clone(),
        _ => String::new(),
    };
    let mut wrong = |wrong: Wrong| match wrong {
        Wrong::Body => Err(()),
        Wrong::Member(text) => {
            let text =
                text.map(|text| sent.all.as_ref().map_or(text.clone(), |all| text.replacen(&first, all, 1)));
            state.add(key, FieldErrorKind::Malformed, Some(text.unwrap_or_else(|| AN_ERROR.into())));
            Ok(())
        }
        Wrong::Twice => {
            state.add(key, FieldErrorKind::Malformed, Some(AN_ERROR.into()));
            state.add(key, FieldErrorKind::Malformed, Some(AN_ERROR.into()));
            Ok(())
        }
    };
    match member.field {
        Some(Field::Role) => {
            match convert::integer(sent.node, format, (i32::MIN.into(), i32::MAX.into()), &clr) {
                // A number that is no role of the catalogue, a negative one included, is refused by the core.
                Ok(number) => {
                    edit.role = FieldUpdate::set_or_clear(
                        number.map(|n| RoleRef::Number(u32::try_from(n).unwrap_or(0))),
                    );
                }
                Err(error) => return wrong(error),
            }
        }
        Some(Field::Department) => match convert::integer(sent.node, format, (0, 255), &clr) {
            Ok(number) => {
                let number = number.and_then(|n| u8::try_from(n).ok());
                edit.department =
                    FieldUpdate::Set(number.map_or(DepartmentRef::NoNumber, DepartmentRef::Number));
            }
            Err(error) => return wrong(error),
        },
        Some(Field::ForcePasswordChange) => match convert::boolean(sent.node, format, &clr) {
            Ok(value) => edit.force_password_change = FieldUpdate::set_or_clear(value),
            Err(error) => return wrong(error),
        },
        Some(Field::Password) => match convert::text(sent.node, format) {
            Ok(text) => edit.password = text.filter(|t| !t.is_empty()).map(SecretString::from),
            Err(error) => return wrong(error),
        },
        Some(field) => match convert::text(sent.node, format) {
            Ok(text) => edit.set_text(field, FieldUpdate::set_or_clear(text)),
            Err(error) => return wrong(error),
        },
        None => {}
    }
    Ok(())
}

/// What the model's annotations say, in declared order: needed members, and lengths in UTF-16 units.
fn validate(edit: &UserEdit, state: &mut ModelState) {
    use directory::ExposeSecret;
    for member in wire::sent() {
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
        } else if member.max > 0 && text.is_some_and(|text| text.encode_utf16().count() > member.max) {
            state.add(&clr, FieldErrorKind::TooLong(member.max), None);
        }
    }
}

/// The user a path names, by number. What is no number is a bad request, as in the original.
pub(super) fn user_key(call: &Call) -> Result<UserKey, Fault> {
    let number = call.named(0).parse::<i32>().map_err(|_| Fault::BodyMissing)?;
    Ok(UserKey::Number(u32::try_from(number).unwrap_or(0)))
}

/// `skip` and `take` of a list, which the original does not have; without them it is everybody.
pub(super) fn part(call: &Call) -> Result<(u64, Option<u32>), Fault> {
    let number = |name: &str| {
        let text = call.query.get(name);
        let parsed = text.map(|text| text.trim().parse::<u32>()).transpose();
        parsed.map_err(|_| Fault::field(clr_name(name), FieldErrorKind::Malformed))
    };
    Ok((number("skip")?.unwrap_or(0).into(), number("take")?))
}
