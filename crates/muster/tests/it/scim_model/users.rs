//! Sixty users with different values for filters.

use super::Fixture;
use super::resource::{CORE, ENTERPRISE};
use serde_json::{Value, json};

pub(crate) const COUNT: usize = 60;

// Only letters whose case folding equals lowercasing; the sharp s and the final sigma are tested elsewhere.
const GIVEN_NAMES: [&str; 8] = ["Ann", "Élodie", "Øyvind", "ДМИТРИЙ", "春子", "ann-marie", "ÅSE", "bob"];
const FAMILY_NAMES: [&str; 6] = ["Müller", "MÜLLER-Lund", "O'Neill", "łukasz", "Smith", "van der \"Berg\""];
const USER_NAMES: [&str; 5] = ["Ann.Lee", "bob.smith", "CAROL", "déjà.Vu", "eVe_99"];
const TITLES: [&str; 4] = ["Engineer", "chief ENGINEER", "Gärtner", "Painter \\ Decorator"];
const ROLES: [&str; 4] = ["Painter", "chief painter", "Gärtner", "night shift"];

fn choose(all: &[&'static str], number: usize) -> &'static str {
    all[number % all.len()]
}

/// The user with a number. The divisors are distinct primes, so that all combinations occur.
fn user_numbered(n: usize) -> Value {
    let mut user = json!({
        "schemas": [CORE, ENTERPRISE],
        "userName": format!("{}{n}", choose(&USER_NAMES, n)),
        "active": !n.is_multiple_of(3),
        "emails": [],
    });
    let mut name = json!({"givenName": choose(&GIVEN_NAMES, n)});
    if n % 5 != 4 {
        name["familyName"] = json!(choose(&FAMILY_NAMES, n / 2));
    }
    user["name"] = name;
    if n % 4 < 3 {
        // Neighbors have external ids that differ only in case.
        let letters = if n.is_multiple_of(2) { "Ext" } else { "eXT" };
        user["externalId"] = json!(format!("{letters}-{}", n / 2));
    }
    let domain = choose(&["Example.com", "example.ORG", "mail.example.net"], n / 3);
    let mut emails = Vec::new();
    if n % 7 != 6 {
        let mut email = json!({"value": format!("Work.{n}@{domain}"), "type": "work"});
        if n % 2 == 1 {
            email["primary"] = json!(true);
        }
        emails.push(email);
    }
    if n % 3 == 1 {
        let mut email = json!({"value": format!("home{n}@{domain}"), "type": "Home", "display": "At home"});
        if n.is_multiple_of(2) {
            email["primary"] = json!(n.is_multiple_of(4));
        }
        emails.push(email);
    }
    if n % 11 == 5 {
        emails.push(json!({"value": format!("plain.{n}@example.com")}));
    }
    user["emails"] = json!(emails);
    user["phoneNumbers"] = match n % 4 {
        0 => json!([]),
        1 => json!([{"value": format!("+47 55 {n}"), "type": "work"}]),
        2 => json!([{"value": format!("+47 99 {n}"), "type": "mobile", "primary": true},
                    {"value": format!("+46 8 {n}"), "type": "work"}]),
        _ => json!([{"value": format!("ext. {n}")}]),
    };
    add_optional_attributes(&mut user, n);
    user
}

fn add_optional_attributes(user: &mut Value, n: usize) {
    if n % 5 < 3 {
        user["title"] = json!(choose(&TITLES, n / 5));
    }
    if n % 6 < 2 {
        user["nickName"] = json!(choose(&["Nick", "nick", "Ñandú", "x"], n));
    }
    if n % 7 < 3 {
        user["displayName"] = json!(format!("Person {n}"));
    }
    if n % 8 < 3 {
        user["profileUrl"] = json!(format!("https://example.com/{}", choose(&["Ann", "ann"], n)));
    }
    if n % 9 < 4 {
        user["roles"] = json!([{"value": choose(&ROLES, n)}, {"value": choose(&ROLES, n + 1), "type": "Site"}]);
    }
    if n % 10 < 4 {
        user["addresses"] = json!([{"type": "work", "locality": choose(&["Bergen", "ÅLESUND", "Oslo"], n),
            "country": choose(&["NO", "no"], n / 3), "streetAddress": format!("Street {n}")}]);
    }
    if n % 11 < 3 {
        user["photos"] =
            json!([{"value": format!("https://example.com/{}.png", choose(&["A", "a"], n)), "type": "photo"}]);
    }
    let mut employment = json!({});
    if n.is_multiple_of(2) {
        employment["department"] = json!(choose(&["Sales", "Research & Development", "Økonomi"], n / 2));
    }
    if n.is_multiple_of(3) {
        employment["employeeNumber"] = json!(format!("E{n:03}"));
    }
    if n.is_multiple_of(5) {
        employment["manager"] = json!({"value": choose(&["Boss-1", "boss-1", "Boss-2"], n / 5)});
    }
    user[ENTERPRISE] = employment;
}

/// Creates the users and changes some of them; returns their documents as GET shows them.
pub(crate) async fn create_users(world: &Fixture) -> Vec<Value> {
    let mut targets = Vec::new();
    for n in 0..COUNT {
        let made = world.add(&user_numbered(n)).await;
        targets.push(format!("/Users/{}", made["id"].as_str().expect("an id")));
    }
    for target in targets.iter().step_by(4) {
        let operation = json!({"op": "replace", "path": "userType", "value": "Changed"});
        let body = json!({"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [operation]});
        let (status, answer) = world.send_request("PATCH", target, Some(&body)).await;
        assert!(matches!(status, 200 | 204), "{answer}");
    }
    let mut all = Vec::new();
    for target in &targets {
        let (status, user) = world.send_request("GET", target, None).await;
        assert_eq!(status, 200, "{user}");
        all.push(user);
    }
    all
}
