//! The request body for a generated user in each dialect.

use super::Dialect;
use super::fixture::Fixture;
use super::user_generator::GeneratedUser;
use directory::builtin_role_name;
use serde_json::{Map, Value, json};

impl Fixture {
    pub(super) fn request_body(&self, api: Dialect, p: &GeneratedUser, email: &str) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                body.insert(name.into(), value);
            }
        };
        match api {
            Dialect::OnfireV2 | Dialect::OnfireV1 => {
                put("Email", json!(email));
                put("FirstName", json!(p.first));
                put("LastName", json!(p.last));
                put("ExternalId", json!(p.external_id));
                put("WebsiteRole", json!(builtin_role_name(p.role)));
                put("Groups", if p.in_group { json!([self.group.0.simple().to_string()]) } else { json!([]) });
                put("Folders", if p.in_folder { json!([self.folder.0.to_string()]) } else { json!([]) });
                put("Password", if p.has_password { json!("long enough") } else { Value::Null });
                if api == Dialect::OnfireV2 {
                    put("Type", json!(p.licence));
                    put("TimeZone", json!(p.time_zone));
                    put("Country", json!(p.address_lines[4]));
                    put("ColorCode", json!(p.color));
                    let pairs: Vec<Value> = p.metadata.iter().map(|(k, v)| json!({"Key": k, "Value": v})).collect();
                    put("Metadata", json!(pairs));
                }
            }
            Dialect::Ccs => {
                put("title", json!(p.prefix));
                put("firstName", json!(p.first));
                put("lastName", json!(p.last));
                put("phone", json!(p.phone));
                put("email", json!(email));
                put("password", if p.has_password { json!("long enough") } else { Value::Null });
                put("roleId", json!(p.role));
                put("departmentId", json!(p.department_number));
                put("forcePasswordChange", json!(p.force_password_change));
            }
            Dialect::Scim => return scim_body(p, email),
            Dialect::Publisher => {
                put("name", json!({"firstname": p.first, "lastname": p.last, "title": p.prefix}));
                put("externalid", json!(p.external_id));
                put("email", json!(email));
                put("phone", json!(p.phone));
                put("mobile", json!(p.mobile));
                put("jobtitle", json!(p.title));
                put("department", json!(p.department));
                put("status", json!(p.status));
                put("organisation", json!({"orgname": "Organisation of many", "orgaddressid": 5}));
                let l = &p.address_lines;
                put(
                    "location",
                    json!({"addressline1": l[0], "addressline2": l[1], "city": l[2], "postcode": l[3], "country": l[4]}),
                );
                put("img", json!(p.photo));
                for (kind, name) in ["sociallinks", "customlinks", "messaginglinks"].into_iter().enumerate() {
                    let of_kind = p.links.iter().filter(|link| usize::from(link.0) == kind);
                    let links: Vec<Value> = of_kind.map(|(_, n, v)| json!({"name": n, "value": v})).collect();
                    put(name, json!({"link": links}));
                }
                put("secretaryname", json!(p.secretary.as_ref().map(|s| &s.0)));
                put("secretarymail", json!(p.secretary.as_ref().map(|s| &s.1)));
                put("bio", json!(p.bio));
                put("sourcetype", json!(p.source));
                put("specialities", json!(p.specialities));
                return json!({"user": body});
            }
        }
        Value::Object(body)
    }
}

/// A SCIM user with core schema, enterprise extension and Muster extension.
fn scim_body(p: &GeneratedUser, email: &str) -> Value {
    let bare = |object: Value| {
        let members = object.as_object().expect("an object").clone();
        Value::Object(members.into_iter().filter(|(_, value)| !value.is_null()).collect::<Map<_, _>>())
    };
    let typed = |value: &Option<String>, kind: &str| value.as_ref().map(|v| json!({"value": v, "type": kind}));
    let mut emails = vec![json!({"value": email, "type": "work", "primary": true})];
    if p.has_home_email {
        emails.push(json!({"value": format!("home.{email}"), "type": "home", "display": "At home"}));
    }
    let phones: Vec<Value> = typed(&p.phone, "work").into_iter().chain(typed(&p.mobile, "mobile")).collect();
    let l = &p.address_lines;
    let street = match (&l[0], &l[1]) {
        (None, None) => None,
        (Some(line1), None) => Some(line1.clone()),
        (line1, Some(line2)) => Some(format!("{}\n{line2}", line1.as_deref().unwrap_or_default())),
    };
    let address = bare(json!({"streetAddress": street, "locality": l[2], "postalCode": l[3], "country": l[4]}));
    let mut addresses = Vec::new();
    if address != json!({}) {
        let mut address = address;
        address["type"] = json!("work");
        addresses.push(address);
    }
    let of_kind = |kind: u8| p.links.iter().filter(move |link| link.0 == kind);
    let lines = |kind: u8| pairs_text(of_kind(kind).map(|(_, name, value)| (name.as_str(), value.as_str())));
    let ims: Vec<Value> = of_kind(2).map(|(_, name, value)| json!({"type": name, "value": value})).collect();
    bare(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": email, "externalId": p.external_id, "title": p.title, "nickName": p.nick_name, "timezone": p.time_zone,
        "name": bare(json!({"givenName": p.first, "familyName": p.last, "honorificPrefix": p.prefix, "middleName": p.middle_name})),
        "active": matches!(p.status, "active" | "pending"),
        "password": p.has_password.then_some("long enough"),
        "emails": emails, "phoneNumbers": phones, "addresses": addresses, "ims": ims,
        "photos": p.photo.as_ref().map(|url| json!([{"value": url, "type": "photo", "primary": true}])),
        "roles": [{"value": builtin_role_name(p.role), "primary": true}],
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": bare(json!({
            "department": p.department, "division": p.division, "organization": "Organisation of many",
        })),
        "urn:muster:params:scim:schemas:extension:2.0:User": bare(json!({
            "bio": p.bio, "source": p.source, "specialities": p.specialities, "licence": p.licence, "color": p.color,
            "secretaryName": p.secretary.as_ref().map(|s| &s.0), "secretaryEmail": p.secretary.as_ref().map(|s| &s.1),
            "socialLinks": lines(0), "customLinks": lines(1),
            "metadata": super::request_bodies::pairs_text(p.metadata.iter().map(|(k, v)| (k.as_str(), v.as_str()))),
            "forcePasswordChange": p.force_password_change,
        })),
    }))
}

/// Key-value pairs as the extension expects them: one line each, with backslash escapes.
pub(super) fn pairs_text<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Option<String> {
    let escape_backslashes = |text: &str| text.replace('\\', "\\\\");
    let line = |(name, value): (&str, &str)| {
        format!("{}={}", escape_backslashes(name).replace('=', "\\="), escape_backslashes(value))
    };
    let lines: Vec<String> = pairs.map(line).collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}
