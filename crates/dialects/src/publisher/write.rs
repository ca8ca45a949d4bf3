//! From users, groups and organisations to bytes.

use super::{status, wire};
use crate::answer;
use crate::kit::{Answer, Call, Format, Out, Voice, accept, dates, json, xml};
use directory::{Group, Organization, ProfileLinkKind, User};
use http::StatusCode;
use std::borrow::Cow;

const JSON: Voice = Voice { format: Format::Json, media: "application/json" };
const XML: Voice = Voice { format: Format::Xml, media: "application/xml" };
const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"yes\"?>";
const ATOM: &str = " xmlns:atom=\"http://www.w3.org/2005/Atom\"";

/// How the answer is written.
pub(super) fn voice(call: &Call) -> Voice {
    call.voice(choose)
}

/// XML when `Accept` likes it better, else JSON.
fn choose(call: &Call) -> Voice {
    let wanted = accept::wanted(&call.headers);
    let best = |media: [&str; 2]| {
        let matches = wanted.iter().map(|entry| {
            let level = media.iter().map(|media| entry.matches(media)).max().unwrap_or(0);
            if level == 0 { (0, 0) } else { (entry.quality, level) }
        });
        matches.filter(|(quality, _)| *quality > 0).max().unwrap_or((0, 0))
    };
    let (as_json, as_xml) = (best(["application/json", "text/json"]), best(["application/xml", "text/xml"]));
    if as_xml > as_json { XML } else { JSON }
}

/// An answer with one root, which is the outermost member in JSON.
pub(super) fn reply(call: &Call, status: StatusCode, root: &'static str, out: Out) -> Answer {
    let voice = voice(call);
    let body = match voice.format {
        Format::Xml => {
            let attributes = if has_atom_link(&out) { ATOM } else { "" };
            xml::write(xml::Frame { declaration: DECLARATION, attributes }, root, &out)
        }
        Format::Json | Format::Form => json::write(&Out::object(vec![(root, out)])),
    };
    answer(status, voice.media, body)
}

fn has_atom_link(out: &Out) -> bool {
    match out {
        Out::Link(_) => true,
        Out::Object(members) => members.iter().any(|(_, out)| has_atom_link(out)),
        Out::List(_, entries) | Out::Repeated(entries) => entries.iter().any(has_atom_link),
        _ => false,
    }
}

pub(super) fn ok(call: &Call, root: &'static str, out: Out) -> Answer {
    reply(call, StatusCode::OK, root, out)
}

/// Which of the two spellings a link has.
#[derive(Clone, Copy)]
pub(super) enum LinkStyle {
    /// `/api/2/user/3`: add and the bulk calls.
    Singular,
    /// `/api/2/users/3`: everything else.
    Plural,
}

/// A link to something under `/api/2/`, with the context the client came in by.
fn link(call: &Call, path: &str, number: u32) -> (Cow<'static, str>, Out) {
    let context = call.context.as_ref().map_or_else(String::new, |context| format!("/{context}"));
    (Cow::Borrowed("link"), Out::Link(format!("{}{context}/api/2/{path}/{number}", call.origin)))
}

fn text(name: &'static str, value: impl Into<String>) -> (Cow<'static, str>, Out) {
    (Cow::Borrowed(name), Out::text(value))
}
fn number(name: &'static str, value: u32) -> (Cow<'static, str>, Out) {
    (Cow::Borrowed(name), Out::Integer(value.into()))
}

/// A user in short.
pub(super) fn summary(call: &Call, user: &User, style: LinkStyle) -> Out {
    let path = match style {
        LinkStyle::Singular => "user",
        LinkStyle::Plural => "users",
    };
    let mut members = vec![number("id", user.number)];
    members.extend(user.email().map(|email| text("email", email)));
    members.push(link(call, path, user.number));
    Out::Object(members)
}

/// A group or organisation in short.
pub(super) fn named_summary(call: &Call, path: &str, id: u32, name: &str) -> Out {
    Out::Object(vec![number("id", id), text("name", name), link(call, path, id)])
}

/// A whole user; `organisation` is the one the user belongs to.
pub(super) fn user(user: &User, organisation: Option<&Organization>) -> Out {
    let mut members = vec![number("id", user.number)];
    let texts = |record: &'static crate::kit::Record| -> Vec<(Cow<'static, str>, Out)> {
        let known = record.texts().filter_map(|(m, field)| Some(text(m.name, user.text(field)?)));
        known.collect()
    };
    for member in wire::USER.members.iter().skip(1) {
        let mut put = |out: Out| members.push((Cow::Borrowed(member.name), out));
        match member.name {
            "name" => put(Out::Object(texts(&wire::NAME))),
            "location" => {
                let lines = texts(&wire::LOCATION);
                if !lines.is_empty() {
                    put(Out::Object(lines));
                }
            }
            "status" => put(Out::text(status::user_word(user.status))),
            "organisation" => {
                if let Some(organisation) = organisation {
                    let mut inner =
                        vec![text("orgname", &organisation.name), number("orgid", organisation.number)];
                    inner.extend(user.office.map(|office| number("orgaddressid", office)));
                    put(Out::Object(inner));
                }
            }
            "sociallinks" => links(user, ProfileLinkKind::Social).into_iter().for_each(put),
            "customlinks" => links(user, ProfileLinkKind::Custom).into_iter().for_each(put),
            "messaginglinks" => links(user, ProfileLinkKind::Messaging).into_iter().for_each(put),
            "created" => put(Out::Text(dates::day_first(user.created))),
            "updated" => put(Out::Text(dates::day_first(user.updated))),
            "invited" => user.invited.into_iter().for_each(|time| put(Out::Text(dates::day_first(time)))),
            "lastlogin" => {
                user.last_activity.into_iter().for_each(|time| put(Out::Text(dates::day_first(time))));
            }
            _ => {
                if let Some(value) = member.field.and_then(|field| user.text(field)) {
                    put(Out::text(value));
                }
            }
        }
    }
    Out::Object(members)
}

/// One link stands bare, several in an array; none is left out.
fn links(user: &User, kind: ProfileLinkKind) -> Option<Out> {
    let links: Vec<Out> = user
        .links_of(kind)
        .map(|link| Out::object(vec![("name", Out::text(&link.name)), ("value", Out::text(&link.value))]))
        .collect();
    (!links.is_empty()).then(|| Out::object(vec![("link", Out::Repeated(links))]))
}

/// Only some members of a user, flat, as `fields` names them.
pub(super) fn chosen(whole: &Out, fields: &[String]) -> Out {
    let Out::Object(members) = whole else { return Out::Null };
    let mut flat: Vec<(Cow<'static, str>, Out)> = Vec::new();
    for (name, out) in members {
        match out {
            Out::Object(inner) if matches!(name.as_ref(), "name" | "location" | "organisation") => {
                flat.extend(inner.iter().cloned());
                flat.push((name.clone(), out.clone()));
            }
            other => flat.push((name.clone(), other.clone())),
        }
    }
    flat.retain(|(name, _)| fields.iter().any(|field| field.eq_ignore_ascii_case(name)));
    Out::Object(flat)
}

/// A list with its counters. In XML the entries are `item` elements beside the counters.
pub(super) fn page(
    call: &Call,
    root: &'static str,
    item: &'static str,
    rows: Vec<Out>,
    total: u64,
    page: u32,
) -> Answer {
    let count = |n: u64| Out::Integer(i64::try_from(n).unwrap_or(i64::MAX));
    let mut members = vec![
        ("totalcount", count(total)),
        ("total", count(rows.len() as u64)),
        ("currentpage", Out::Integer(page.into())),
    ];
    if voice(call).format == Format::Xml {
        members.push((item, Out::Repeated(rows)));
    } else {
        members.push((root, Out::List(item, rows)));
    }
    ok(call, root, Out::object(members))
}

/// A whole group; `is_full` and `organisations`, how many its members belong to, are what only some calls answer.
pub(super) fn group(group: &Group, members: &[u32], is_full: bool, organisations: Option<u32>) -> Out {
    let users = members.iter().map(|n| Out::Integer((*n).into())).collect();
    let mut out = vec![
        number("id", group.number),
        text("name", &group.name),
        (Cow::Borrowed("users"), Out::List("user", users)),
    ];
    if is_full {
        out.push(text("createddate", dates::day_first(group.created)));
    }
    out.extend(organisations.map(|count| number("organisationcount", count)));
    Out::Object(out)
}

/// A whole organisation with the numbers of its users.
pub(super) fn organisation(organisation: &Organization, users: &[u32]) -> Out {
    let list = |item: &'static str, numbers: &[u32]| {
        Out::List(item, numbers.iter().map(|n| Out::Integer((*n).into())).collect())
    };
    let optional = |name: &'static str, value: Option<u32>| value.map(|value| number(name, value));
    let addresses = organisation.office_numbers.iter().enumerate().map(|(index, id)| {
        Out::object(vec![("addressid", Out::Integer((*id).into())), ("isDefault", Out::Bool(index == 0))])
    });
    let domains = organisation.domains.iter().map(Out::text).collect();
    let mut out = vec![
        number("id", organisation.number),
        text("name", &organisation.name),
        text("status", status::organisation_word(organisation.status)),
        (Cow::Borrowed("autologin"), Out::Bool(organisation.auto_login)),
        (Cow::Borrowed("domains"), Out::List("domain", domains)),
    ];
    out.extend(optional("homepage", organisation.homepage));
    out.extend(optional("guid", organisation.guid));
    out.extend(organisation.url.as_ref().map(|url| text("url", url)));
    out.push((Cow::Borrowed("addresses"), Out::List("address", addresses.collect())));
    out.extend(organisation.photo.as_ref().map(|photo| text("img", photo)));
    out.extend(optional("industry", organisation.industry));
    out.extend(optional("category", organisation.category));
    out.push((Cow::Borrowed("keycontacts"), list("keycontact", &organisation.key_contacts)));
    out.push((Cow::Borrowed("users"), list("user", users)));
    Out::Object(out)
}
