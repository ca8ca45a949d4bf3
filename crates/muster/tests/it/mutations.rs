//! Ten thousand mutated bodies for every reader there is: no panic, no 500, and no change without a 200.

use crate::support::{House, request, runtime};
use directory::Position;
use testkit::chance::Dice;

const BODIES: usize = 10_000;

/// Pieces that readers stumble over.
const PIECES: [&str; 30] = [
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

fn mutate(body: &str, dice: &mut Dice) -> Vec<u8> {
    let mut bytes = body.as_bytes().to_vec();
    for _ in 0..=dice.roll(4) {
        let at = usize::try_from(dice.roll(bytes.len() as u64 + 1)).expect("small");
        match dice.roll(6) {
            0 if at < bytes.len() => bytes[at] = u8::try_from(dice.roll(256)).expect("a byte"),
            1 if at < bytes.len() => {
                bytes.remove(at);
            }
            2 => bytes.truncate(at),
            3 => {
                let from = usize::try_from(dice.roll(at as u64 + 1)).expect("small");
                let copy = bytes[from..at].to_vec();
                bytes.splice(at..at, copy);
            }
            _ => {
                bytes.splice(at..at, dice.pick(&PIECES).bytes());
            }
        }
    }
    bytes
}

#[test]
#[expect(clippy::too_many_lines, reason = "one story, told in order")]
fn mutated_bodies_never_hurt() {
    let readers = [
        (
            "onfire",
            "application/json",
            "POST",
            "/api/v2/user?CompanyId={t}&IntegrationKey={k}",
            r#"{"Email":"taken@x.y","FirstName":"A","LastName":"B","Groups":["00000000000000000000000000000001"],"Metadata":[{"Key":"a","Value":"b"}],"DoNotEmail":true}"#,
        ),
        (
            "onfire",
            "application/xml",
            "POST",
            "/api/v1/suser?ProviderId={t}&IntegrationKey={k}",
            "<SUser xmlns=\"u\"><Email>taken@x.y</Email><FirstName>A &amp; B</FirstName><Groups><Id>1</Id></Groups><LastName>B</LastName></SUser>",
        ),
        (
            "onfire",
            "application/x-www-form-urlencoded",
            "POST",
            "/api/v2/user?CompanyId={t}&IntegrationKey={k}",
            "Email=taken%40x.y&FirstName=A&LastName=B&Groups=a,b&X-Http-Method-Override=PUT",
        ),
        (
            "onfire",
            "application/json",
            "POST",
            "/api/v2/folder?CompanyId={t}&IntegrationKey={k}",
            r#"{"ExternalId":"taken","Name":"F","Items":[{"KeyId":"1","Type":"Doc"}],"RestrictToGroup":"x"}"#,
        ),
        (
            "ccs",
            "application/json",
            "POST",
            "/request/user",
            r#"{title:'Dr',"firstName":"A","email":"taken@x.y","roleId":0x1,/*c*/"departmentId":64,"forcePasswordChange":true,}"#,
        ),
        (
            "ccs",
            "application/xml",
            "POST",
            "/request/user",
            "<UserPost><DepartmentId>6</DepartmentId><Email>taken@x.y</Email><FirstName>A</FirstName><RoleId>1</RoleId></UserPost>",
        ),
        (
            "ccs",
            "application/x-www-form-urlencoded",
            "POST",
            "/request/user",
            "firstName=A&email=taken%40x.y&roleId=1&departmentId=64&forcePasswordChange=true&title[]=x",
        ),
        (
            "publisher",
            "application/json",
            "POST",
            "/c/api/2/users",
            r#"{"user":{"email":"taken@x.y","name":{"firstname":"A"},"sociallinks":{"link":[{"name":"a","value":"b"}]},"organisation":{"orgname":"O","orgid":1},"specialities":"a",}}"#,
        ),
        (
            "publisher",
            "application/xml",
            "POST",
            "/c/api/2/users",
            "<user><email>taken@x.y</email><name><firstname>A</firstname></name><sociallinks><link><name>a</name><value>b</value></link></sociallinks></user>",
        ),
        (
            "publisher",
            "application/json",
            "POST",
            "/c/api/2/users/disable",
            r#"{"users":{"user":["nobody@x.y",6,"7"]}}"#,
        ),
        (
            "scim",
            "application/scim+json",
            "POST",
            "/scim/v2/Users",
            r#"{"userName":"taken@x.y","name":{"givenName":"A"},"emails":[{"value":"a@x.y","type":"work","primary":true}],"active":"True","urn:ietf:params:scim:schemas:extension:enterprise:2.0:User":{"manager":"7"}}"#,
        ),
        (
            "scim",
            "application/scim+json",
            "PATCH",
            "/scim/v2/Users/{u}",
            r#"{"Operations":[{"op":"Replace","path":"emails[type eq \"work\" and value ew \"y\"].value","value":"not an e-mail"},{"op":"add","value":{"name.givenName":"B"}}]}"#,
        ),
        (
            "scim",
            "application/scim+json",
            "POST",
            "/scim/v2/Users/.search",
            r#"{"filter":"emails[type eq \"work\" and not (value co \"x\")] or userName sw \"a\" and meta.created gt \"2020-01-01T00:00:00Z\"","count":3}"#,
        ),
        (
            "scim",
            "application/scim+json",
            "POST",
            "/scim/v2/Bulk",
            r#"{"failOnErrors":1,"Operations":[{"method":"POST","path":"/Users","bulkId":"a","data":{"userName":"taken@x.y"}},{"method":"PATCH","path":"/Groups/bulkId:a","data":{"Operations":[]}}]}"#,
        ),
        (
            "oauth",
            "application/x-www-form-urlencoded",
            "POST",
            "/oauth2/token",
            "grant_type=client_credentials&client_id=a&client_secret=b&client_assertion=a.b.c&scope=x",
        ),
    ];
    runtime().block_on(async {
        for (number, (dialect, media, method, target, body)) in readers.into_iter().enumerate() {
            let house = House::new();
            let caller = house.tenant("T").await;
            let key = house.key(&caller, "c", |_| {}).await;
            let target = target.replace("{t}", &caller.tenant.to_string()).replace("{k}", &key);
            let bearer = format!("Bearer {key}");
            let taken = directory::Command::CreateUser(testkit::conformance::person("taken@x.y"));
            let taken = house.directory().run(&caller, taken).await.expect("added");
            let target = target.replace("{u}", &taken.users[0].id.to_string());
            let folder = directory::FolderEdit {
                name: directory::Given::Value("F".into()),
                external_id: directory::Given::Value("taken".into()),
                ..directory::FolderEdit::default()
            };
            house.directory().run(&caller, directory::Command::CreateFolder(folder)).await.expect("added");
            let mut seen = house.news(Position(0)).await.expect("there is a past");
            let mut dice = Dice::new(number as u64);
            let mut done = 0;
            for _ in 0..BODIES {
                let sent = mutate(body, &mut dice);
                let mut asked = request(method, &target, &[("content-type", media)], "");
                if !matches!(dialect, "onfire" | "oauth") {
                    asked.headers_mut().insert("authorization", bearer.parse().expect("a header"));
                }
                *asked.body_mut() = sent.clone();
                let (status, answer) = house.call(asked).await;
                let text = String::from_utf8_lossy(&sent);
                assert!(
                    matches!(status, 200 | 201) || (400..500).contains(&status),
                    "{dialect} {media}: {status} {answer}\n{text}"
                );
                if matches!(status, 200 | 201) {
                    done += 1;
                    // An activation of somebody who is active changes nothing.
                    seen = house.news(seen).await.unwrap_or(seen);
                } else {
                    assert_eq!(house.news(seen).await, None, "{dialect} {media} changed something: {text}");
                }
            }
            assert!(done < BODIES / 2, "most mutations are refused: {done}");
        }
    });
}
