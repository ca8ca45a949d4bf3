//! Made over one dialect, a user is read over every other with all that it can show; changed there, nothing is lost:
//! generated users, all ordered pairs of dialects.

use crate::support::{House, request, runtime};
use directory::{
    Caller, Command, Field, FolderEdit, Given, GroupEdit, ItemId, ItemKind, ItemQuery, LinkKind, Status,
    User, UserKey, role_numbered,
};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Map, Value, json};

/// A way to reach people, spoken as a client of it would.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tongue {
    OnfireV2,
    OnfireV1,
    Ccs,
    Publisher,
}

const ALL: [Tongue; 4] = [Tongue::OnfireV2, Tongue::OnfireV1, Tongue::Ccs, Tongue::Publisher];

/// A person as some client has it; each dialect sends the part it knows.
#[derive(Clone, Debug)]
struct Person {
    first: String,
    last: String,
    prefix: Option<String>,
    external_id: Option<String>,
    phone: Option<String>,
    mobile: Option<String>,
    job: Option<String>,
    department: Option<String>,
    department_number: Option<u8>,
    lines: [Option<String>; 5],
    photo: Option<String>,
    links: Vec<(u8, String, String)>,
    secretary: Option<(String, String)>,
    bio: Option<String>,
    source: Option<String>,
    specialities: Option<String>,
    role: u32,
    licence: Option<String>,
    zone: Option<String>,
    color: Option<String>,
    metadata: Vec<(String, String)>,
    in_group: bool,
    in_folder: bool,
    status: &'static str,
    password: bool,
    force: bool,
}

fn words(max: usize) -> impl Strategy<Value = String> {
    // Letters of many scripts, marks of markup, blanks inside, astral characters.
    proptest::collection::vec(
        prop::sample::select(vec![
            "a", "Z", "é", "ß", "日", "ع", "🦀", "<", "&", "'", "\"", "\\", " ", "0", "=", "]]>",
        ]),
        1..max,
    )
    .prop_map(|parts| format!("x{}x", parts.concat()))
    .prop_filter("length", move |text| text.encode_utf16().count() <= max)
}

fn maybe(max: usize) -> impl Strategy<Value = Option<String>> {
    proptest::option::of(words(max))
}

fn person() -> impl Strategy<Value = Person> {
    let names = (words(40), words(40), maybe(10), maybe(50), maybe(20), maybe(20), maybe(60));
    let places = (
        maybe(60),
        proptest::option::of(any::<u8>()),
        [maybe(60), maybe(60), maybe(40), maybe(40), maybe(30)],
    );
    let texts = (maybe(80), proptest::option::of(words(20)), maybe(200), maybe(30), maybe(80));
    let links = proptest::collection::vec((0..3_u8, words(20), words(60)), 0..5);
    let more =
        (1..=6_u32, maybe(20), maybe(30), maybe(20), proptest::collection::vec((words(10), words(30)), 0..3));
    let status = prop::sample::select(vec!["active", "suspended", "disable", "archive", "pending"]);
    let flags = (any::<bool>(), any::<bool>(), status, any::<bool>(), any::<bool>());
    (names, places, texts, links, more, flags).prop_map(|(n, p, t, links, m, f)| Person {
        first: n.0,
        last: n.1,
        prefix: n.2,
        external_id: n.3,
        phone: n.4,
        mobile: n.5,
        job: n.6,
        department: p.0,
        department_number: p.1,
        lines: p.2,
        photo: t.0,
        secretary: t.1.map(|name| (name, "secretary@example.com".into())),
        bio: t.2,
        source: t.3,
        specialities: t.4,
        links,
        role: m.0,
        licence: m.1,
        zone: m.2,
        color: m.3,
        metadata: m.4,
        in_group: f.0,
        in_folder: f.1,
        status: f.2,
        password: f.3,
        force: f.4,
    })
}

/// A house with a tenant, a key, a group and a folder.
struct World {
    house: House,
    caller: Caller,
    key: String,
    group: ItemId,
    folder: ItemId,
}

impl World {
    async fn new() -> Self {
        let house = House::new();
        let caller = house.tenant("T").await;
        let key = house.key(&caller, "c", |_| {}).await;
        let name = || Given::Value("Staff".to_owned());
        let group = Command::CreateGroup(GroupEdit { name: name(), ..GroupEdit::default() });
        let folder = Command::CreateFolder(FolderEdit { name: name(), ..FolderEdit::default() });
        let group = house.directory().run(&caller, group).await.expect("added").items[0].id();
        let folder = house.directory().run(&caller, folder).await.expect("added").items[0].id();
        Self { house, caller, key, group, folder }
    }

    async fn truth(&self, number: u32) -> User {
        self.house.directory().user(&self.caller, UserKey::Number(number)).await.expect("there")
    }

    /// One request in a dialect's JSON; credentials as it carries them.
    async fn ask(&self, tongue: Tongue, method: &str, target: &str, body: Option<Value>) -> Value {
        let bearer = format!("Bearer {}", self.key);
        let mut target = target.to_owned();
        let mut headers = vec![("content-type", "application/json")];
        if matches!(tongue, Tongue::OnfireV1 | Tongue::OnfireV2) {
            let join = if target.contains('?') { '&' } else { '?' };
            target.push_str(&format!(
                "{join}format=json&CompanyId={}&IntegrationKey={}",
                self.caller.tenant, self.key
            ));
        } else {
            headers.push(("authorization", &bearer));
        }
        let body = body.map_or_else(String::new, |body| body.to_string());
        let (status, answer) = self.house.call(request(method, &target, &headers, &body)).await;
        assert_eq!(status, 200, "{method} {target} {body}\n{answer}");
        serde_json::from_str(&answer).expect("JSON")
    }

    fn path(tongue: Tongue, user: Option<&User>) -> String {
        match (tongue, user) {
            (Tongue::OnfireV2, None) => "/api/v2/user".into(),
            (Tongue::OnfireV2, Some(user)) => format!("/api/v2/user?Id={}", user.id.0.simple()),
            (Tongue::OnfireV1, None) => "/api/v1/suser".into(),
            (Tongue::OnfireV1, Some(user)) => format!("/api/v1/suser?Id={}", user.id.0.simple()),
            (Tongue::Ccs, None) => "/request/user".into(),
            (Tongue::Ccs, Some(user)) => format!("/request/user/{}", user.number),
            (Tongue::Publisher, None) => "/api/2/users".into(),
            (Tongue::Publisher, Some(user)) => format!("/api/2/users/{}", user.number),
        }
    }

    async fn read(&self, tongue: Tongue, user: &User) -> Value {
        let answer = self.ask(tongue, "GET", &Self::path(tongue, Some(user)), None).await;
        match tongue {
            Tongue::OnfireV2 => answer["User"].clone(),
            Tongue::OnfireV1 => answer["SUser"].clone(),
            Tongue::Ccs => answer,
            Tongue::Publisher => answer["user"].clone(),
        }
    }

    /// Creates the person over a dialect; what it can say of it.
    async fn create(&self, tongue: Tongue, person: &Person, email: &str) -> User {
        let body = self.body(tongue, person, email);
        let answer = self.ask(tongue, "POST", &Self::path(tongue, None), Some(body)).await;
        let key = match tongue {
            Tongue::OnfireV2 | Tongue::OnfireV1 => UserKey::Email(email.to_owned()),
            Tongue::Ccs => {
                UserKey::Number(u32::try_from(answer["id"].as_u64().expect("a number")).expect("small"))
            }
            Tongue::Publisher => UserKey::Number(
                u32::try_from(answer["user"]["id"].as_u64().expect("a number")).expect("small"),
            ),
        };
        self.house.directory().user(&self.caller, key).await.expect("made")
    }

    fn body(&self, tongue: Tongue, p: &Person, email: &str) -> Value {
        let mut body = Map::new();
        let mut put = |name: &str, value: Value| {
            if !value.is_null() {
                body.insert(name.into(), value);
            }
        };
        match tongue {
            Tongue::OnfireV2 | Tongue::OnfireV1 => {
                put("Email", json!(email));
                put("FirstName", json!(p.first));
                put("LastName", json!(p.last));
                put("ExternalId", json!(p.external_id));
                put("WebsiteRole", json!(role_numbered(p.role)));
                put(
                    "Groups",
                    if p.in_group { json!([self.group.0.simple().to_string()]) } else { json!([]) },
                );
                put("Folders", if p.in_folder { json!([self.folder.0.to_string()]) } else { json!([]) });
                put("Password", if p.password { json!("long enough") } else { Value::Null });
                if tongue == Tongue::OnfireV2 {
                    put("Type", json!(p.licence));
                    put("TimeZone", json!(p.zone));
                    put("Country", json!(p.lines[4]));
                    put("ColorCode", json!(p.color));
                    let pairs: Vec<Value> =
                        p.metadata.iter().map(|(k, v)| json!({"Key": k, "Value": v})).collect();
                    put("Metadata", json!(pairs));
                }
            }
            Tongue::Ccs => {
                put("title", json!(p.prefix));
                put("firstName", json!(p.first));
                put("lastName", json!(p.last));
                put("phone", json!(p.phone));
                put("email", json!(email));
                put("password", if p.password { json!("long enough") } else { Value::Null });
                put("roleId", json!(p.role));
                put("departmentId", json!(p.department_number));
                put("forcePasswordChange", json!(p.force));
            }
            Tongue::Publisher => {
                put("name", json!({"firstname": p.first, "lastname": p.last, "title": p.prefix}));
                put("externalid", json!(p.external_id));
                put("email", json!(email));
                put("phone", json!(p.phone));
                put("mobile", json!(p.mobile));
                put("jobtitle", json!(p.job));
                put("department", json!(p.department));
                put("status", json!(p.status));
                put("organisation", json!({"orgname": "Organisation of many", "orgaddressid": 5}));
                let l = &p.lines;
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

    /// What a dialect must show of a person, said apart from the code that shows it.
    #[expect(clippy::too_many_lines, reason = "one story, told in order")]
    async fn shown(&self, tongue: Tongue, u: &User) -> Value {
        let word = |on: &'static str, off: &'static str, wait: &'static str| match u.status {
            Status::Invited => wait,
            Status::Active => on,
            _ => off,
        };
        let role = u.role.map(|n| role_numbered(n).expect("built in"));
        let ids = |ids: &[ItemId]| ids.iter().map(|id| id.0.simple().to_string()).collect::<Vec<_>>();
        match tongue {
            Tongue::OnfireV2 | Tongue::OnfireV1 => {
                let mut shown = json!({
                    "Id": u.id.0.simple().to_string(), "FirstName": u.name.given, "LastName": u.name.family,
                    "Email": u.email(), "Status": word("Active", "Inactive", "Invited"), "ExternalId": u.external_id,
                    "WebsiteRole": role, "Groups": ids(&u.groups), "Folders": ids(&u.folders),
                });
                if tongue == Tongue::OnfireV2 {
                    let pairs: Vec<Value> =
                        u.metadata.iter().map(|p| json!({"Key": p.key, "Value": p.value})).collect();
                    for (name, value) in [
                        ("UserID", json!(u.number)),
                        ("Type", json!(u.licence.as_deref().unwrap_or("Standard"))),
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
            Tongue::Ccs => {
                let all = ItemQuery::all(ItemKind::Department);
                let all = self.house.directory().items(&self.caller, all).await.expect("read").rows;
                let department = all
                    .iter()
                    .find(|d| Some(d.name()) == u.department.as_deref())
                    .map(directory::Item::number);
                json!({
                    "id": u.number, "title": u.name.honorific_prefix, "firstName": u.name.given, "lastName": u.name.family,
                    "phone": u.phone("work"), "email": u.email(), "roleId": u.role, "departmentId": department,
                    "forcePasswordChange": u.force_password_change.unwrap_or(false),
                })
            }
            Tongue::Publisher => {
                let status = match u.status {
                    Status::Suspended => "suspended",
                    Status::Archived => "archive",
                    _ => word("active", "disable", "pending"),
                };
                let links = |kind: LinkKind| {
                    let all: Vec<Value> =
                        u.links_of(kind).map(|l| json!({"name": l.name, "value": l.value})).collect();
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
                let a = u.address().cloned().unwrap_or_default();
                let location = bare(json!({"addressline1": a.line1, "addressline2": a.line2, "city": a.city,
                    "country": a.country, "postcode": a.postal_code}));
                json!({
                    "id": u.number, "externalid": u.external_id, "email": u.email(), "phone": u.phone("work"),
                    "name": bare(json!({"firstname": u.name.given, "lastname": u.name.family, "title": u.name.honorific_prefix})),
                    "mobile": u.phone("mobile"), "jobtitle": u.title, "department": u.department, "status": status,
                    "location": if location == json!({}) { Value::Null } else { location }, "img": u.photo(),
                    "sociallinks": links(LinkKind::Social), "customlinks": links(LinkKind::Custom),
                    "messaginglinks": links(LinkKind::Messaging), "secretaryname": u.secretary.name,
                    "secretarymail": u.secretary.email, "bio": u.bio, "sourcetype": u.source,
                    "specialities": u.specialities,
                })
            }
        }
    }

    async fn check_shown(&self, tongue: Tongue, user: &User) {
        let (read, wanted) = (self.read(tongue, user).await, self.shown(tongue, user).await);
        for (name, value) in wanted.as_object().expect("an object") {
            assert_eq!(read.get(name).unwrap_or(&Value::Null), value, "{tongue:?} {name} in {read}");
        }
    }

    /// Changes the first name the way a client does: read, change, send back.
    async fn rename(&self, tongue: Tongue, user: &User, name: &str) {
        let mut body = self.read(tongue, user).await;
        match tongue {
            Tongue::OnfireV2 | Tongue::OnfireV1 => body["FirstName"] = json!(name),
            Tongue::Ccs => {
                body["firstName"] = json!(name);
                if body["roleId"].is_null() {
                    body["roleId"] = json!(1);
                }
            }
            Tongue::Publisher => body = json!({"user": {"name": {}, "x": 0}}).merged(&body, name),
        }
        let path = match tongue {
            Tongue::OnfireV2 | Tongue::OnfireV1 => Self::path(tongue, None),
            _ => Self::path(tongue, Some(user)),
        };
        self.ask(tongue, "PUT", &path, Some(body)).await;
    }
}

/// The publisher's PUT takes the whole object under its root.
trait Merged {
    fn merged(self, read: &Value, name: &str) -> Value;
}
impl Merged for Value {
    fn merged(mut self, read: &Value, name: &str) -> Value {
        self["user"] = read.clone();
        self["user"]["name"]["firstname"] = json!(name);
        self
    }
}

/// What a dialect sent must be what is kept.
fn check_kept(tongue: Tongue, p: &Person, u: &User) {
    assert_eq!((u.name.given.as_ref(), u.name.family.as_ref()), (Some(&p.first), Some(&p.last)));
    let onfire = matches!(tongue, Tongue::OnfireV1 | Tongue::OnfireV2);
    if onfire {
        assert_eq!(u.groups.len() + u.folders.len(), usize::from(p.in_group) + usize::from(p.in_folder));
        assert_eq!(u.status, Status::Invited);
    }
    if tongue == Tongue::OnfireV2 {
        assert_eq!((&u.licence, &u.time_zone, &u.color), (&p.licence, &p.zone, &p.color));
        assert_eq!(u.text(Field::Country), p.lines[4].as_deref());
        assert_eq!(u.metadata.len(), p.metadata.len());
    }
    if onfire || tongue == Tongue::Publisher {
        assert_eq!(u.external_id, p.external_id);
    }
    if tongue != Tongue::Publisher {
        assert_eq!(u.role, Some(p.role));
    }
    if tongue == Tongue::Ccs {
        assert_eq!(
            (u.text(Field::HonorificPrefix), u.phone("work")),
            (p.prefix.as_deref(), p.phone.as_deref())
        );
        assert_eq!(u.department.is_some(), p.department_number.is_some());
        assert_eq!(u.force_password_change, Some(p.force));
    }
    if tongue == Tongue::Publisher {
        assert_eq!(u.phone("mobile"), p.mobile.as_deref());
        assert_eq!((&u.title, &u.department), (&p.job, &p.department));
        assert_eq!(
            (&u.bio, &u.source, &u.specialities, u.photo()),
            (&p.bio, &p.source, &p.specialities, p.photo.as_deref())
        );
        let lines = (u.text(Field::AddressLine1), u.text(Field::PostalCode));
        assert_eq!(lines, (p.lines[0].as_deref(), p.lines[3].as_deref()));
        assert_eq!(u.links.len(), p.links.len());
        assert_eq!(u.office, Some(5));
    }
}

#[test]
fn made_anywhere_seen_everywhere_changed_anywhere_lost_nowhere() {
    let runtime = runtime();
    let world = runtime.block_on(World::new());
    let next = std::cell::Cell::new(0_u32);
    let mut runner = TestRunner::new(Config { cases: 40, ..Config::default() });
    let outcome = runner.run(&person(), |person| {
        runtime.block_on(async {
            for maker in ALL {
                for changer in ALL {
                    next.set(next.get() + 1);
                    let email = format!("Person.{}@Example.com", next.get());
                    let mut person = person.clone();
                    person.external_id = person.external_id.map(|id| {
                        let short: String = id.chars().take(20).collect();
                        format!("{short}{}", next.get())
                    });
                    let made = world.create(maker, &person, &email).await;
                    check_kept(maker, &person, &made);
                    for reader in ALL {
                        world.check_shown(reader, &made).await;
                    }
                    world.rename(changer, &made, "Renamed").await;
                    let changed = world.truth(made.number).await;
                    let mut wanted = made.clone();
                    wanted.name.given = Some("Renamed".into());
                    (wanted.version, wanted.updated) = (changed.version, changed.updated);
                    if changer == Tongue::Ccs && wanted.role.is_none() {
                        wanted.role = Some(1);
                    }
                    if changer == Tongue::OnfireV2 && wanted.licence.is_none() {
                        // It shows the licence everybody has who has no other, and sends it back.
                        wanted.licence = Some("Standard".into());
                    }
                    assert_eq!(changed, wanted, "made over {maker:?}, changed over {changer:?}");
                    for reader in ALL {
                        world.check_shown(reader, &changed).await;
                    }
                    let gone = Command::DeleteUser(UserKey::Id(made.id));
                    world.house.directory().run(&world.caller, gone).await.expect("gone");
                }
            }
        });
        Ok(())
    });
    outcome.expect("every pair");
}
