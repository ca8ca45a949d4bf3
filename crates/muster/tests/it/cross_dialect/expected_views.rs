//! The expected representation of a user in each dialect, written independently of the implementation.

use super::Dialect;
use super::fixture::Fixture;
use super::request_bodies::pairs_text;
use directory::{
    Address, Field, ItemId, ItemKey, ItemKind, ItemQuery, ProfileLinkKind, Status, TypedValue, User, builtin_role_name,
};
use serde_json::{Map, Value, json};

impl Fixture {
    #[expect(clippy::too_many_lines, reason = "one document per dialect")]
    pub(super) async fn expected_view(&self, api: Dialect, u: &User) -> Value {
        let word = |on: &'static str, off: &'static str, wait: &'static str| match u.status {
            Status::Invited => wait,
            Status::Active => on,
            _ => off,
        };
        let role = u.role.map(|n| builtin_role_name(n).expect("built in"));
        let ids = |ids: &[ItemId]| ids.iter().map(|id| id.0.simple().to_string()).collect::<Vec<_>>();
        match api {
            Dialect::OnfireV2 | Dialect::OnfireV1 => {
                let mut shown = json!({
                    "Id": u.id.0.simple().to_string(), "FirstName": u.name.given, "LastName": u.name.family,
                    "Email": u.email(), "Status": word("Active", "Inactive", "Invited"), "ExternalId": u.external_id,
                    "WebsiteRole": role, "Groups": ids(&u.groups), "Folders": ids(&u.folders),
                });
                if api == Dialect::OnfireV2 {
                    let pairs: Vec<Value> =
                        u.metadata.iter().map(|p| json!({"Key": p.key, "Value": p.value})).collect();
                    for (name, value) in [
                        ("UserID", json!(u.number)),
                        ("Type", json!(u.license.as_deref().unwrap_or("Standard"))),
                        ("TimeZone", json!(u.time_zone)),
                        ("Country", json!(u.text(Field::Country))),
                        ("ColorCode", json!(u.color)),
                        ("Metadata", if pairs.is_empty() { Value::Null } else { json!(pairs) }),
                    ] {
                        shown[name] = value;
                    }
                }
                shown
            }
            Dialect::Scim => self.expected_scim_view(u).await,
            Dialect::Ccs => {
                let all = ItemQuery::all(ItemKind::Department);
                let all = self.app.directory().find_items(&self.caller, all).await.expect("read").rows;
                let department =
                    all.iter().find(|d| Some(d.name()) == u.department.as_deref()).map(directory::Item::number);
                json!({
                    "id": u.number, "title": u.name.honorific_prefix, "firstName": u.name.given, "lastName": u.name.family,
                    "phone": u.phone("work"), "email": u.email(), "roleId": u.role, "departmentId": department,
                    "forcePasswordChange": u.force_password_change.unwrap_or(false),
                })
            }
            Dialect::Publisher => {
                let status = match u.status {
                    Status::Suspended => "suspended",
                    Status::Archived => "archive",
                    _ => word("active", "disable", "pending"),
                };
                let links = |kind: ProfileLinkKind| {
                    let all: Vec<Value> = u.links_of(kind).map(|l| json!({"name": l.name, "value": l.value})).collect();
                    match all.as_slice() {
                        [] => Value::Null,
                        [one] => json!({"link": one}),
                        many => json!({"link": many}),
                    }
                };
                let bare = |object: Value| {
                    let object = object.as_object().expect("an object").clone();
                    let set: Map<String, Value> = object.into_iter().filter(|(_, v)| !v.is_null()).collect();
                    Value::Object(set)
                };
                let a = u.work_address().cloned().unwrap_or_default();
                let location = bare(json!({"addressline1": a.line1, "addressline2": a.line2, "city": a.city,
                    "country": a.country, "postcode": a.postal_code}));
                json!({
                    "id": u.number, "externalid": u.external_id, "email": u.email(), "phone": u.phone("work"),
                    "name": bare(json!({"firstname": u.name.given, "lastname": u.name.family, "title": u.name.honorific_prefix})),
                    "mobile": u.phone("mobile"), "jobtitle": u.title, "department": u.department, "status": status,
                    "location": if location == json!({}) { Value::Null } else { location }, "img": u.preferred_photo(),
                    "sociallinks": links(ProfileLinkKind::Social), "customlinks": links(ProfileLinkKind::Custom),
                    "messaginglinks": links(ProfileLinkKind::Messaging), "secretaryname": u.secretary.name,
                    "secretarymail": u.secretary.email, "bio": u.bio, "sourcetype": u.source,
                    "specialities": u.specialties,
                })
            }
        }
    }

    async fn expected_scim_view(&self, u: &User) -> Value {
        let bare = |object: Value| {
            let members = object.as_object().expect("an object").clone();
            let is_said = |(_, value): &(String, Value)| !(value.is_null() || value == &json!([]));
            let set: Map<String, Value> = members.into_iter().filter(is_said).collect();
            if set.is_empty() { Value::Null } else { Value::Object(set) }
        };
        let entry = |e: &TypedValue| {
            bare(json!({"value": e.value, "type": e.kind, "display": e.display, "primary": e.primary}))
        };
        let entries = |all: &[TypedValue]| if all.is_empty() { Value::Null } else { all.iter().map(entry).collect() };
        let directory = self.app.directory();
        let organisation = match u.organization {
            Some(id) => {
                let found = directory.item(&self.caller, ItemKind::Organization, ItemKey::Id(id)).await;
                Some(found.expect("found").name().to_owned())
            }
            None => None,
        };
        let address = |a: &Address| {
            let street = match (&a.line1, &a.line2) {
                (None, None) => None,
                (Some(line1), None) => Some(line1.clone()),
                (line1, Some(line2)) => Some(format!("{}\n{line2}", line1.as_deref().unwrap_or_default())),
            };
            bare(json!({"streetAddress": street, "locality": a.city, "postalCode": a.postal_code,
                "country": a.country, "type": a.kind, "primary": a.primary}))
        };
        let ims: Vec<Value> =
            u.links_of(ProfileLinkKind::Messaging).map(|l| json!({"type": l.name, "value": l.value})).collect();
        let links = |kind| pairs_text(u.links_of(kind).map(|l| (l.name.as_str(), l.value.as_str())));
        let groups: Vec<Value> = u
            .groups
            .iter()
            .map(|id| {
                let url = format!("http://example.com/scim/v2/Groups/{id}");
                json!({"value": id.to_string(), "$ref": url, "display": "Staff", "type": "direct"})
            })
            .collect();
        let folders: Vec<Value> =
            u.folders.iter().map(|id| json!({"value": id.to_string(), "display": "Staff"})).collect();
        let list = |values: Vec<Value>| if values.is_empty() { Value::Null } else { Value::Array(values) };
        let role = u.role.map(|n| json!([{"value": builtin_role_name(n), "primary": true}]));
        json!({
            "id": u.id.to_string(), "userName": u.user_name, "externalId": u.external_id, "title": u.title,
            "nickName": u.profile.nick_name, "timezone": u.time_zone,
            "name": bare(json!({"givenName": u.name.given, "familyName": u.name.family,
                "honorificPrefix": u.name.honorific_prefix, "middleName": u.name.middle})),
            "active": matches!(u.status, Status::Active | Status::Invited),
            "emails": entries(&u.emails), "phoneNumbers": entries(&u.phones), "photos": entries(&u.photos),
            "addresses": list(u.addresses.iter().map(address).collect()), "ims": list(ims), "roles": role,
            "groups": list(groups),
            "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": bare(json!({
                "department": u.department, "division": u.employment.division, "organization": organisation,
            })),
            "urn:muster:params:scim:schemas:extension:2.0:User": bare(json!({
                "office": u.office, "bio": u.bio, "source": u.source, "specialities": u.specialties,
                "licence": u.license, "color": u.color, "secretaryName": u.secretary.name,
                "secretaryEmail": u.secretary.email, "socialLinks": links(ProfileLinkKind::Social),
                "customLinks": links(ProfileLinkKind::Custom),
                "metadata": pairs_text(u.metadata.iter().map(|p| (p.key.as_str(), p.value.as_str()))),
                "doNotEmail": u.do_not_email, "forcePasswordChange": u.force_password_change, "folders": folders,
                "invited": u.invited.map(rfc3339_micros),
            })),
        })
    }
}

/// The timestamp format of `scim`.
fn rfc3339_micros(time: directory::Time) -> String {
    let seconds = dialects::kit::rfc3339(time);
    format!("{}.{:06}Z", seconds.trim_end_matches('Z'), time.0 % 1_000_000)
}
