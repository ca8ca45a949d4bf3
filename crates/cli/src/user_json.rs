//! A user as a JSON object. All members are present, `null` or `[]` if there is no value. Names are those of RFC 7643,
//! where it defines one.

use crate::session::format_timestamp;
use directory::{Address, ItemId, MetadataEntry, ProfileLink, Time, TypedValue, User, builtin_role_name};
use serde::Serialize;
use serde_json::Value;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UserJson<'a> {
    number: u32,
    id: String,
    version: u32,
    user_name: &'a str,
    external_id: Option<&'a str>,
    status: &'a str,
    role: Option<String>,
    roles: Vec<EntryJson<'a>>,
    name: NameJson<'a>,
    display_name: Option<&'a str>,
    nick_name: Option<&'a str>,
    profile_url: Option<&'a str>,
    user_type: Option<&'a str>,
    preferred_language: Option<&'a str>,
    locale: Option<&'a str>,
    timezone: Option<&'a str>,
    /// The primary email.
    email: Option<&'a str>,
    emails: Vec<EntryJson<'a>>,
    phone_numbers: Vec<EntryJson<'a>>,
    photos: Vec<EntryJson<'a>>,
    entitlements: Vec<EntryJson<'a>>,
    x509_certificates: Vec<EntryJson<'a>>,
    addresses: Vec<AddressJson<'a>>,
    title: Option<&'a str>,
    department: Option<&'a str>,
    organization: Option<String>,
    office: Option<u32>,
    employee_number: Option<&'a str>,
    cost_center: Option<&'a str>,
    division: Option<&'a str>,
    manager: Option<&'a str>,
    secretary_name: Option<&'a str>,
    secretary_email: Option<&'a str>,
    links: &'a [ProfileLink],
    bio: Option<&'a str>,
    source: Option<&'a str>,
    specialities: Option<&'a str>,
    license: Option<&'a str>,
    color: Option<&'a str>,
    metadata: &'a [MetadataEntry],
    do_not_email: Option<bool>,
    force_password_change: Option<bool>,
    groups: Vec<String>,
    folders: Vec<String>,
    created: String,
    updated: String,
    invited: Option<String>,
    last_activity: Option<String>,
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
    let (profile, employment) = (&user.profile, &user.employment);
    let document = UserJson {
        number: user.number,
        id: user.id.to_string(),
        version: user.version,
        user_name: &user.user_name,
        external_id: user.external_id.as_deref(),
        status: user.status.as_str(),
        role: role_name(user),
        roles: entries(&user.other_roles),
        name: name(user),
        display_name: profile.display_name.as_deref(),
        nick_name: profile.nick_name.as_deref(),
        profile_url: profile.profile_url.as_deref(),
        user_type: profile.user_type.as_deref(),
        preferred_language: profile.preferred_language.as_deref(),
        locale: profile.locale.as_deref(),
        timezone: user.time_zone.as_deref(),
        email: user.email(),
        emails: entries(&user.emails),
        phone_numbers: entries(&user.phones),
        photos: entries(&user.photos),
        entitlements: entries(&user.entitlements),
        x509_certificates: entries(&user.certificates),
        addresses: user.addresses.iter().map(address).collect(),
        title: user.title.as_deref(),
        department: user.department.as_deref(),
        organization: user.organization.map(|id| id.to_string()),
        office: user.office,
        employee_number: employment.employee_number.as_deref(),
        cost_center: employment.cost_center.as_deref(),
        division: employment.division.as_deref(),
        manager: employment.manager.as_deref(),
        secretary_name: user.secretary.name.as_deref(),
        secretary_email: user.secretary.email.as_deref(),
        links: &user.links,
        bio: user.bio.as_deref(),
        source: user.source.as_deref(),
        specialities: user.specialties.as_deref(),
        license: user.license.as_deref(),
        color: user.color.as_deref(),
        metadata: &user.metadata,
        do_not_email: user.do_not_email,
        force_password_change: user.force_password_change,
        groups: id_strings(&user.groups),
        folders: id_strings(&user.folders),
        created: format_timestamp(user.created),
        updated: format_timestamp(user.updated),
        invited: time(user.invited),
        last_activity: time(user.last_activity),
    };
    // Cannot fail: all names and values are valid JSON.
    serde_json::to_value(document).unwrap_or_default()
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
