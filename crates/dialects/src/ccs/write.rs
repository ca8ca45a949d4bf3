//! Writes users and responses in the format that the framework's content negotiation selects.

use super::wire::{ROOT_ATTRIBUTES, USER_VIEW, clr_name};
use crate::kit::{
    DialectRequest, DialectResponse, Direction, Format, OutputValue, Property, RequestError, ResponseFormat,
    WriteContext, json, media_types, xml,
};
use crate::text_response;
use directory::{Field, Slot, User};
use http::StatusCode;
use std::borrow::Cow;

/// Earlier formats win ties.
const RESPONSE_FORMATS: [(&str, ResponseFormat); 5] = [
    ("application/json", ResponseFormat { format: Format::Json, content_type: "application/json; charset=utf-8" }),
    ("text/json", ResponseFormat { format: Format::Json, content_type: "text/json; charset=utf-8" }),
    ("text/html", ResponseFormat { format: Format::Json, content_type: "text/html; charset=utf-8" }),
    ("application/xml", ResponseFormat { format: Format::Xml, content_type: "application/xml; charset=utf-8" }),
    ("text/xml", ResponseFormat { format: Format::Xml, content_type: "text/xml; charset=utf-8" }),
];

pub(super) fn response_format(request: &DialectRequest) -> ResponseFormat {
    request.response_format(negotiate_format)
}

/// The framework's negotiation: JSON for scripts that accept anything; then the best match of `Accept`, where an exact
/// entry wins over `type/*`, that over `*/*`, and JSON over XML; then the type of the request body; then JSON. There is
/// no 406.
fn negotiate_format(request: &DialectRequest) -> ResponseFormat {
    let wanted = media_types::accepted_media_ranges(&request.headers);
    let is_script =
        request.header("x-requested-with").is_some_and(|by| by.to_ascii_lowercase().contains("xmlhttprequest"));
    let accepts_anything = wanted.is_empty() || (wanted.len() == 1 && wanted[0].media == "*/*");
    if is_script && accepts_anything {
        return RESPONSE_FORMATS[0].1;
    }
    // The best match of each writer, then the better of both; JSON wins a tie.
    let best = |writer: &'static [(&'static str, ResponseFormat)]| {
        let mut best: Option<(u8, u32, ResponseFormat)> = None;
        for entry in wanted.iter().filter(|entry| entry.quality > 0) {
            for (media, negotiated) in writer {
                let specificity = entry.specificity(media);
                let better = best.is_none_or(|(l, q, _)| (entry.quality, specificity) > (q, l));
                if specificity > 0 && better {
                    best = Some((specificity, entry.quality, *negotiated));
                }
            }
        }
        best
    };
    let (as_json, as_xml) = (best(&RESPONSE_FORMATS[..3]), best(&RESPONSE_FORMATS[3..]));
    let chosen = match (as_json, as_xml) {
        (Some(a), Some(b)) if (b.1, b.0) > (a.1, a.0) => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    };
    let request_format = || {
        let sent = media_types::content_type(&request.headers)?;
        RESPONSE_FORMATS.iter().find(|(media, _)| *media == sent).map(|(_, format)| *format)
    };
    chosen.map(|(_, _, format)| format).or_else(request_format).unwrap_or(RESPONSE_FORMATS[0].1)
}

pub(super) fn response(
    request: &DialectRequest,
    status: StatusCode,
    root: &str,
    attributes: &'static str,
    out: &OutputValue,
) -> DialectResponse {
    let negotiated = response_format(request);
    let body = match negotiated.format {
        Format::Xml => xml::write(xml::WriteOptions { declaration: "", root_attributes: attributes }, root, out),
        Format::Json | Format::Form => json::write(out),
    };
    text_response(status, negotiated.content_type, body)
}

pub(super) fn model_response(request: &DialectRequest, root: &str, out: &OutputValue) -> DialectResponse {
    response(request, StatusCode::OK, root, ROOT_ATTRIBUTES, out)
}

pub(super) fn context(request: &DialectRequest) -> Result<WriteContext, RequestError> {
    request.write_context(response_format(request).format)
}

/// A user with explicit nulls. `departments` are the numbers and names of all departments.
pub(super) fn user(context: &WriteContext, user: &User, departments: &[(u32, String)]) -> OutputValue {
    let written = USER_VIEW.properties.iter().filter(|property| property.direction != Direction::Request);
    members(context, written.map(|property| (property.name, value(property, user, departments))).collect())
}

fn value(property: &Property, user: &User, departments: &[(u32, String)]) -> OutputValue {
    let number = |value: Option<u32>| value.map_or(OutputValue::Null, |n| OutputValue::Integer(n.into()));
    let Some(attribute) = property.field.and_then(Field::attribute) else { return OutputValue::Null };
    match attribute.slot {
        Slot::Number => OutputValue::Integer(user.number.into()),
        Slot::Text(_) => user.text(attribute.field).map_or(OutputValue::Null, OutputValue::text),
        Slot::Boolean(_) => OutputValue::Bool(user.boolean(attribute.field).unwrap_or(false)),
        Slot::Role => number(user.role),
        Slot::Department => {
            let number_of =
                |name: &String| departments.iter().find(|(_, other)| other == name).map(|(number, _)| *number);
            number(user.department.as_ref().and_then(number_of))
        }
        Slot::Id
        | Slot::Timestamp(_)
        | Slot::MultiValued(_)
        | Slot::PostalAddresses
        | Slot::Links(_)
        | Slot::Metadata
        | Slot::Items(_)
        | Slot::Organization
        | Slot::Office
        | Slot::Roles
        | Slot::Status
        | Slot::Active
        | Slot::Password => OutputValue::Null,
    }
}

/// JSON names in declared order, or CLR names in ordinal order for XML.
pub(super) fn members(context: &WriteContext, members: Vec<(&'static str, OutputValue)>) -> OutputValue {
    if context.format != Format::Xml {
        return OutputValue::object(members);
    }
    let named = members.into_iter().map(|(name, out)| (Cow::Owned(clr_name(name)), out));
    let mut named: Vec<(Cow<'static, str>, OutputValue)> = named.collect();
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    OutputValue::Object(named)
}
