//! Ten thousand mutated bodies for every body parser: no panic, no 500, and no change without a 200.
//!
//! This tests parsers, not engines, so it runs in memory. The seeds are fixed; `MUSTER_TEST_SEED=n` generates other
//! bodies, the same for the same `n`.

use crate::support::{TestApp, build_request, runtime};
use directory::EventPosition;
use testkit::generators::Rng;
use testkit::seeds;

const MUTATIONS: usize = 10_000;

/// Changes after which a test continues with a new store: the in-memory store copies all data with each change.
const CHANGES_PER_STORE: usize = 50;

/// Fragments that are difficult for parsers.
const FRAGMENTS: [&str; 30] = [
    "\"",
    "'",
    "{",
    "}",
    "[",
    "]",
    "<",
    ">",
    "</",
    "/>",
    "&",
    "&amp;",
    "&#0;",
    "&#x110000;",
    "<![CDATA[",
    "]]>",
    "<!DOCTYPE a>",
    "<?xml version=\"1.0\" encoding=\"utf-16\"?>",
    "\u{0}",
    "\u{FEFF}",
    "\\u0000",
    "\\ud800",
    ",",
    ":",
    "null",
    "1e999",
    "-99999999999999999999",
    "%",
    "%zz",
    "=",
];

pub(super) fn mutate(body: &str, rng: &mut Rng) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    for _ in 0..=rng.below(4) {
        let at = usize::try_from(rng.below(bytes.len() as u64 + 1)).expect("small");
        match rng.below(6) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(rng.below(256)).expect("a byte"),
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            2 => bytes.truncate(at),
            3 => {
                let from = usize::try_from(rng.below(at as u64 + 1)).expect("small");
                let copy = bytes[from..at].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                bytes.splice(at..at, rng.choose(&FRAGMENTS).bytes());
            }
        }
    }
    bytes
}

/// A request whose body is mutated. In the target, `{t}` is the tenant, `{k}` a key and `{u}` an existing user.
struct ReaderRequest {
    dialect: &'static str,
    media: &'static str,
    method: &'static str,
    target: &'static str,
    body: &'static str,
}

/// A new store with a user and a folder that the requests conflict with.
struct TestTenant {
    app: TestApp,
    target: String,
    bearer: String,
    last_event: EventPosition,
}

impl TestTenant {
    async fn new(reader: &ReaderRequest) -> Self {
        let test_app = TestApp::in_memory();
        let caller = test_app.create_tenant("T").await;
        let key = test_app.create_key(&caller, "c", |_| {}).await;
        let taken = directory::Command::CreateUser(testkit::conformance::new_user("taken@x.y"));
        let taken = test_app.directory().run(&caller, taken).await.expect("added");
        let folder = directory::FolderEdit {
            name: directory::FieldUpdate::Set("F".into()),
            external_id: directory::FieldUpdate::Set("taken".into()),
            ..directory::FolderEdit::default()
        };
        test_app.directory().run(&caller, directory::Command::CreateFolder(folder)).await.expect("added");
        let target = reader.target.replace("{t}", &caller.tenant.to_string()).replace("{k}", &key);
        let target = target.replace("{u}", &taken.users[0].id.to_string());
        let seen = test_app.newest_event_after(EventPosition(0)).await.expect("earlier events");
        Self { app: test_app, target, bearer: format!("Bearer {key}"), last_event: seen }
    }

    /// Sends a body; returns whether it was accepted.
    async fn send(&mut self, reader: &ReaderRequest, sent: &[u8]) -> bool {
        let ReaderRequest { dialect, media, method, .. } = reader;
        let mut asked = build_request(method, &self.target, &[("content-type", media)], "");
        if !matches!(*dialect, "onfire" | "oauth") {
            asked.headers_mut().insert("authorization", self.bearer.parse().expect("a header"));
        }
        *asked.body_mut() = sent.to_vec();
        let (status, answer) = self.app.send_request(asked).await;
        let text = String::from_utf8_lossy(sent);
        let is_accepted = matches!(status, 200 | 201);
        assert!(is_accepted || (400..500).contains(&status), "{dialect} {media}: {status} {answer}\n{text}");
        let news = self.app.newest_event_after(self.last_event).await;
        if is_accepted {
            // Activating an active user changes nothing.
            self.last_event = news.unwrap_or(self.last_event);
        } else {
            assert_eq!(news, None, "{dialect} {media} changed something: {text}");
        }
        is_accepted
    }
}

/// The base seed; each parser derives its own.
fn seed() -> u64 {
    let set = std::env::var("MUSTER_TEST_SEED").ok();
    set.map_or_else(|| seeds::seed(0), |seed| seed.parse().expect("a number in MUSTER_TEST_SEED"))
}

fn check_mutated_bodies(number: u64, reader: &ReaderRequest) {
    let seed = seed().wrapping_add(number);
    let mut rng = Rng::new(seed);
    runtime().block_on(async {
        let mut receiver = TestTenant::new(reader).await;
        let mut done = 0;
        for _ in 0..MUTATIONS {
            if receiver.send(reader, &mutate(reader.body, &mut rng)).await {
                done += 1;
                if done % CHANGES_PER_STORE == 0 {
                    receiver = TestTenant::new(reader).await;
                }
            }
        }
        assert!(done < MUTATIONS / 2, "most mutations should be rejected: {done} accepted, seed {seed}");
    });
}

/// One test for each parser, so that they run concurrently.
macro_rules! readers {
    ($($number:literal $name:ident: $dialect:literal $media:literal $method:literal $target:literal $body:literal;)*) => {$(
        #[test]
        fn $name() {
            let reader = ReaderRequest {
                dialect: $dialect,
                media: $media,
                method: $method,
                target: $target,
                body: $body,
            };
            check_mutated_bodies($number, &reader);
        }
    )*};
}

readers! {
    0 onfire_json: "onfire" "application/json" "POST"
        "/api/v2/user?CompanyId={t}&IntegrationKey={k}"
        r#"{"Email":"taken@x.y","FirstName":"A","LastName":"B","Groups":["00000000000000000000000000000001"],"Metadata":[{"Key":"a","Value":"b"}],"DoNotEmail":true}"#;
    1 onfire_xml: "onfire" "application/xml" "POST"
        "/api/v1/suser?ProviderId={t}&IntegrationKey={k}"
        "<SUser xmlns=\"u\"><Email>taken@x.y</Email><FirstName>A &amp; B</FirstName><Groups><Id>1</Id></Groups><LastName>B</LastName></SUser>";
    2 onfire_form: "onfire" "application/x-www-form-urlencoded" "POST"
        "/api/v2/user?CompanyId={t}&IntegrationKey={k}"
        "Email=taken%40x.y&FirstName=A&LastName=B&Groups=a,b&X-Http-Method-Override=PUT";
    3 onfire_json_folder: "onfire" "application/json" "POST"
        "/api/v2/folder?CompanyId={t}&IntegrationKey={k}"
        r#"{"ExternalId":"taken","Name":"F","Items":[{"KeyId":"1","Type":"Doc"}],"RestrictToGroup":"x"}"#;
    4 ccs_json: "ccs" "application/json" "POST"
        "/request/user"
        r#"{title:'Dr',"firstName":"A","email":"taken@x.y","roleId":0x1,/*c*/"departmentId":64,"forcePasswordChange":true,}"#;
    5 ccs_xml: "ccs" "application/xml" "POST"
        "/request/user"
        "<UserPost><DepartmentId>6</DepartmentId><Email>taken@x.y</Email><FirstName>A</FirstName><RoleId>1</RoleId></UserPost>";
    6 ccs_form: "ccs" "application/x-www-form-urlencoded" "POST"
        "/request/user"
        "firstName=A&email=taken%40x.y&roleId=1&departmentId=64&forcePasswordChange=true&title[]=x";
    7 publisher_json: "publisher" "application/json" "POST"
        "/c/api/2/users"
        r#"{"user":{"email":"taken@x.y","name":{"firstname":"A"},"sociallinks":{"link":[{"name":"a","value":"b"}]},"organisation":{"orgname":"O","orgid":1},"specialities":"a",}}"#;
    8 publisher_xml: "publisher" "application/xml" "POST"
        "/c/api/2/users"
        "<user><email>taken@x.y</email><name><firstname>A</firstname></name><sociallinks><link><name>a</name><value>b</value></link></sociallinks></user>";
    9 publisher_json_list: "publisher" "application/json" "POST"
        "/c/api/2/users/disable"
        r#"{"users":{"user":["nobody@x.y",6,"7"]}}"#;
    10 scim_json: "scim" "application/scim+json" "POST"
        "/scim/v2/Users"
        r#"{"userName":"taken@x.y","name":{"givenName":"A"},"emails":[{"value":"a@x.y","type":"work","primary":true}],"active":"True","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":"7"}}"#;
    11 scim_patch: "scim" "application/scim+json" "PATCH"
        "/scim/v2/Users/{u}"
        r#"{"Operations":[{"op":"Replace","path":"emails[type eq \"work\" and value ew \"y\"].value","value":"not an e-mail"},{"op":"add","value":{"name.givenName":"B"}}]}"#;
    12 scim_search: "scim" "application/scim+json" "POST"
        "/scim/v2/Users/.search"
        r#"{"filter":"emails[type eq \"work\" and not (value co \"x\")] or userName sw \"a\" and meta.created gt \"2020-01-01T00:00:00Z\"","count":3}"#;
    13 scim_bulk: "scim" "application/scim+json" "POST"
        "/scim/v2/Bulk"
        r#"{"failOnErrors":1,"Operations":[{"method":"POST","path":"/Users","bulkId":"a","data":{"userName":"taken@x.y"}},{"method":"PATCH","path":"/Groups/bulkId:a","data":{"Operations":[]}}]}"#;
    14 oauth_form: "oauth" "application/x-www-form-urlencoded" "POST"
        "/oauth2/token"
        "grant_type=client_credentials&client_id=a&client_secret=b&client_assertion=a.b.c&scope=x";
}
