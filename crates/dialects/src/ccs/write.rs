//! From users to bytes, in the format the framework's negotiation chooses.

use super::wire::{NAMESPACE, clr_name};
use crate::answer;
use crate::kit::{Answer, Call, Format, Out, Voice, accept, json, xml};
use directory::{Field, User};
use http::StatusCode;
use std::borrow::Cow;

/// What can be written, in the order in which ties are broken.
const VOICES: [(&str, Voice); 5] = [
    ("application/json", Voice { format: Format::Json, media: "application/json; charset=utf-8" }),
    ("text/json", Voice { format: Format::Json, media: "text/json; charset=utf-8" }),
    ("text/html", Voice { format: Format::Json, media: "text/html; charset=utf-8" }),
    ("application/xml", Voice { format: Format::Xml, media: "application/xml; charset=utf-8" }),
    ("text/xml", Voice { format: Format::Xml, media: "text/xml; charset=utf-8" }),
];

/// How the answer is written.
pub(super) fn voice(call: &Call) -> Voice {
    call.voice(choose)
}

/// The framework's choice: a script that says nothing else gets JSON; then the best of `Accept`, where a literal
/// entry goes before `type/*` and that before `*/*`, and the JSON writer before the XML one; then the request's own
/// type; then JSON. There is no 406.
fn choose(call: &Call) -> Voice {
    let wanted = accept::wanted(&call.headers);
    let is_script =
        call.header("x-requested-with").is_some_and(|by| by.to_ascii_lowercase().contains("xmlhttprequest"));
    let says_nothing = wanted.is_empty() || (wanted.len() == 1 && wanted[0].media == "*/*");
    if is_script && says_nothing {
        return VOICES[0].1;
    }
    // The best match of each writer, then the better of both; the JSON writer wins a tie.
    let best = |writer: &'static [(&'static str, Voice)]| {
        let mut best: Option<(u8, u32, Voice)> = None;
        for entry in wanted.iter().filter(|entry| entry.quality > 0) {
            for (media, voice) in writer {
                let level = entry.matches(media);
                let better = best.is_none_or(|(l, q, _)| (entry.quality, level) > (q, l));
                if level > 0 && better {
                    best = Some((level, entry.quality, *voice));
                }
            }
        }
        best
    };
    let (as_json, as_xml) = (best(&VOICES[..3]), best(&VOICES[3..]));
    let chosen = match (as_json, as_xml) {
        (Some(a), Some(b)) if (b.1, b.0) > (a.1, a.0) => Some(b),
        (Some(a), _) => Some(a),
        (None, b) => b,
    };
    let echoed = || {
        let sent = accept::content_type(&call.headers)?;
        VOICES.iter().find(|(media, _)| *media == sent).map(|(_, voice)| *voice)
    };
    chosen.map(|(_, _, voice)| voice).or_else(echoed).unwrap_or(VOICES[0].1)
}

/// An answer; `root` is the XML root, `frame` its attributes.
pub(super) fn reply(
    call: &Call,
    status: StatusCode,
    root: &str,
    attributes: &'static str,
    out: &Out,
) -> Answer {
    let voice = voice(call);
    let body = match voice.format {
        Format::Xml => xml::write(xml::Frame { declaration: "", attributes }, root, out),
        Format::Json | Format::Form => json::write(out),
    };
    answer(status, voice.media, body)
}

/// An answer with a model in it.
pub(super) fn model(call: &Call, root: &str, out: &Out) -> Answer {
    reply(call, StatusCode::OK, root, NAMESPACE, out)
}

/// A user as a GET shows it, nulls written. `departments` are the numbers and names of the catalogue.
pub(super) fn user(call: &Call, user: &User, departments: &[(u32, String)]) -> Out {
    let text = |field: Field| user.text(field).map_or(Out::Null, Out::text);
    let number = |value: Option<u32>| value.map_or(Out::Null, |n| Out::Integer(n.into()));
    let department = user
        .department
        .as_ref()
        .and_then(|name| departments.iter().find(|(_, n)| n == name).map(|(number, _)| *number));
    members(
        call,
        vec![
            ("id", Out::Integer(user.number.into())),
            ("title", text(Field::HonorificPrefix)),
            ("firstName", text(Field::GivenName)),
            ("lastName", text(Field::FamilyName)),
            ("phone", text(Field::WorkPhone)),
            ("email", text(Field::Email)),
            ("roleId", number(user.role)),
            ("departmentId", number(department)),
            ("forcePasswordChange", Out::Bool(user.force_password_change.unwrap_or(false))),
        ],
    )
}

/// Members by their JSON names in declared order, or by their CLR names in ordinal order for XML.
pub(super) fn members(call: &Call, members: Vec<(&'static str, Out)>) -> Out {
    if voice(call).format != Format::Xml {
        return Out::object(members);
    }
    let named = members.into_iter().map(|(name, out)| (Cow::Owned(clr_name(name)), out));
    let mut named: Vec<(Cow<'static, str>, Out)> = named.collect();
    named.sort_by(|(a, _), (b, _)| a.cmp(b));
    Out::Object(named)
}
