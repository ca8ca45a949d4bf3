//! A user as a JSON object. All members are present, `null` or `[]` if there is no value. Names are those of RFC 7643,
//! where it defines one.

use crate::session::format_timestamp;
use directory::{
    ATTRIBUTES, Address, Attribute, Field, ItemId, MetadataEntry, ProfileLink, Slot, Time, TypedValue, User,
    builtin_role_name,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserJson<'a> {
    number: u32,
    id: String,
    version: u32,
    status: &'a str,
    role: Option<String>,
    roles: Vec<EntryJson<'a>>,
    name: NameJson<'a>,
    emails: Vec<EntryJson<'a>>,
    phone_numbers: Vec<EntryJson<'a>>,
    photos: Vec<EntryJson<'a>>,
    entitlements: Vec<EntryJson<'a>>,
    x509_certificates: Vec<EntryJson<'a>>,
    addresses: Vec<AddressJson<'a>>,
    organization: Option<String>,
    office: Option<u32>,
    links: &'a [ProfileLink],
    metadata: &'a [MetadataEntry],
    groups: Vec<String>,
    folders: Vec<String>,
    created: String,
    updated: String,
    invited: Option<String>,
    last_activity: Option<String>,
    /// The other texts and booleans.
    #[serde(flatten)]
    attributes: BTreeMap<&'static str, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NameJson<'a> {
    given_name: Option<&'a str>,
    family_name: Option<&'a str>,
    middle_name: Option<&'a str>,
    honorific_prefix: Option<&'a str>,
    honorific_suffix: Option<&'a str>,
    formatted: Option<&'a str>,
}

#[derive(Serialize)]
struct EntryJson<'a> {
    value: &'a str,
    r#type: Option<&'a str>,
    display: Option<&'a str>,
    primary: Option<bool>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct AddressJson<'a> {
    line1: Option<&'a str>,
    line2: Option<&'a str>,
    locality: Option<&'a str>,
    region: Option<&'a str>,
    postal_code: Option<&'a str>,
    country: Option<&'a str>,
    formatted: Option<&'a str>,
    r#type: Option<&'a str>,
    primary: Option<bool>,
}

pub(crate) fn user_json(user: &User) -> Value {
    let time = |time: Option<Time>| time.map(format_timestamp);
    let document = UserJson {
        number: user.number,
        id: user.id.to_string(),
        version: user.version,
        status: user.status.as_str(),
        role: role_name(user),
        roles: entries(&user.other_roles),
        name: name(user),
        emails: entries(&user.emails),
        phone_numbers: entries(&user.phones),
        photos: entries(&user.photos),
        entitlements: entries(&user.entitlements),
        x509_certificates: entries(&user.certificates),
        addresses: user.addresses.iter().map(address).collect(),
        organization: user.organization.map(|id| id.to_string()),
        office: user.office,
        links: &user.links,
        metadata: &user.metadata,
        groups: id_strings(&user.groups),
        folders: id_strings(&user.folders),
        created: format_timestamp(user.created),
        updated: format_timestamp(user.updated),
        invited: time(user.invited),
        last_activity: time(user.last_activity),
        attributes: ATTRIBUTES.iter().filter_map(|attribute| member(user, attribute)).collect(),
    };
    // Cannot fail: all names and values are valid JSON.
    serde_json::to_value(document).unwrap_or_default()
}

/// The name and value of an attribute whose value is one text or boolean, unless an object or list contains it.
fn member(user: &User, attribute: &Attribute) -> Option<(&'static str, Value)> {
    const PARTS_OF_NAME: [Field; 6] = [
        Field::GivenName,
        Field::FamilyName,
        Field::MiddleName,
        Field::HonorificPrefix,
        Field::HonorificSuffix,
        Field::FormattedName,
    ];
    let field = attribute.field;
    let value = match attribute.slot {
        Slot::Text(_) if PARTS_OF_NAME.contains(&field) => return None,
        Slot::Text(_) if attribute.part_of.is_some() && field != Field::Email => return None,
        Slot::Text(_) | Slot::Department => user.text(field).map(Value::from),
        Slot::Boolean(_) => user.boolean(field).map(Value::from),
        _ => return None,
    };
    Some((attribute.json_name.unwrap_or(attribute.name), value.unwrap_or_default()))
}

/// The name of a built-in role, or the number of a custom role.
pub(crate) fn role_name(user: &User) -> Option<String> {
    user.role.map(|number| builtin_role_name(number).map_or_else(|| number.to_string(), str::to_owned))
}

fn name(user: &User) -> NameJson<'_> {
    let name = &user.name;
    NameJson {
        given_name: name.given.as_deref(),
        family_name: name.family.as_deref(),
        middle_name: name.middle.as_deref(),
        honorific_prefix: name.honorific_prefix.as_deref(),
        honorific_suffix: name.honorific_suffix.as_deref(),
        formatted: name.formatted.as_deref(),
    }
}

fn address(address: &Address) -> AddressJson<'_> {
    AddressJson {
        line1: address.line1.as_deref(),
        line2: address.line2.as_deref(),
        locality: address.city.as_deref(),
        region: address.region.as_deref(),
        postal_code: address.postal_code.as_deref(),
        country: address.country.as_deref(),
        formatted: address.formatted.as_deref(),
        r#type: address.kind.as_deref(),
        primary: address.primary,
    }
}

fn entries<'a>(entries: &'a [TypedValue]) -> Vec<EntryJson<'a>> {
    let entry_json = |entry: &'a TypedValue| EntryJson {
        value: &entry.value,
        r#type: entry.kind.as_deref(),
        display: entry.display.as_deref(),
        primary: entry.primary,
    };
    entries.iter().map(entry_json).collect()
}

fn id_strings(ids: &[ItemId]) -> Vec<String> {
    ids.iter().map(ToString::to_string).collect()
}
