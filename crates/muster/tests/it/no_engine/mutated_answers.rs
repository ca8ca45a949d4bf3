//! Ten thousand mutated answers for each operation of each client of targets: no panic, and no user is linked to another
//! account. Hostile ids and values stay within their place in URLs and headers.

use super::mutated_bodies::mutate;
use bytes::Bytes;
use dialects::kit::{
    Account, AccountPage, Document, Endpoint, IdProof, Match, Operation, OutgoingUser, TargetClient, Verdict,
};
use directory::{Labels, MatchKey, Status, Time, TypedValue, User, UserId};
use http::Response;
use testkit::generators::Rng;
use testkit::seeds;
use uuid::Uuid;

const MUTATIONS: u64 = 10_000;
const ID: &str = "0f0e0d0c0b0a09080706050403020100";
const USER: Uuid = Uuid::from_u128(0x1111_2222_3333_4444_5555_6666_7777_8888);

fn user() -> User {
    let mut user = User::new(UserId(USER), Time(1));
    user.user_name = "ann@example.com".into();
    user.emails = vec![TypedValue::new("work", "ann@example.com")];
    user.name.given = Some("Ann".into());
    user.name.family = Some("Lee".into());
    user.status = Status::Active;
    user
}

fn document(client: &dyn TargetClient, user: &User) -> Document {
    let labels = Labels::default();
    let outgoing = OutgoingUser { user, labels: &labels, manager: None, is_active: true };
    client.document(&outgoing, &client.default_capabilities())
}

fn scim_user() -> String {
    format!(
        r#"{{"schemas":["urn:ietf:params:scim:schemas:core:2.0:User"],"id":"{ID}","externalId":"{USER}","userName":"ann@example.com","active":true,"emails":[{{"value":"ann@example.com","primary":true}}],"meta":{{"location":"https://example.com/scim/v2/Users/{ID}"}}}}"#
    )
}

/// The id of the account: numbers in `ccs`.
fn id_of(client: &dyn TargetClient) -> &'static str {
    if client.name() == "ccs" { "77" } else { ID }
}

/// A valid answer to an operation.
fn answer(client: &dyn TargetClient, operation: &Operation<'_>) -> String {
    let is_search = matches!(operation, Operation::Find { .. } | Operation::List { .. });
    match client.name() {
        "scim" if is_search => format!(r#"{{"totalResults":1,"Resources":[{}]}}"#, scim_user()),
        "scim" => scim_user(),
        "ccs" => {
            let user = r#"{"id":77,"title":null,"firstName":"Ann","email":"ann@example.com","roleId":2}"#;
            match operation {
                Operation::Create(_) | Operation::Update { .. } => r#"{"id":77}"#.into(),
                Operation::List { .. } => format!("[{user}]"),
                _ => user.into(),
            }
        }
        "publisher" => {
            let user = format!(
                r#"{{"id":"{ID}","email":"ann@example.com","externalid":"{USER}","status":"active","link":"https://example.com/api/2/users/{ID}"}}"#
            );
            if is_search && !matches!(operation, Operation::Find { key: MatchKey::Email, .. }) {
                format!(r#"{{"users":{{"totalcount":1,"total":1,"currentpage":0,"users":[{user}]}}}}"#)
            } else {
                format!(r#"{{"user":{user}}}"#)
            }
        }
        name => {
            let kind = if name == "onfire" { "User" } else { "SUser" };
            let user = format!(r#"{{"Id":"{ID}","Email":"ann@example.com","ExternalId":"{USER}","Status":"Invited"}}"#);
            match operation {
                Operation::Create(_) | Operation::Update { .. } => {
                    format!("<{kind}Response><{kind}><Id>{ID}</Id><Status>Invited</Status></{kind}></{kind}Response>")
                }
                Operation::Get { .. } => format!(r#"{{"{kind}":{user}}}"#),
                Operation::Delete { .. } => "{}".into(),
                _ => format!(r#"{{"{kind}s":[{user}],"TotalRows":1}}"#),
            }
        }
    }
}

/// An account that is linked without reading it again must be the right one.
fn assert_right(account: &Account, text: &str) {
    let shows_user = match &account.external_id {
        Some(id) => *id == USER.to_string(),
        None => account.has(MatchKey::UserName, "ann@example.com") || account.has(MatchKey::Email, "ann@example.com"),
    };
    let is_linked = shows_user && account.id_proof == IdProof::Same;
    assert!(!is_linked || account.id == ID, "{text}");
}

#[test]
fn mutated_answers_link_no_user_to_another_account() {
    let user = user();
    for client in dialects::target_clients() {
        let document = document(client, &user);
        let (external_id, id) = (USER.to_string(), id_of(client));
        let operations = [
            Operation::Create(&document),
            Operation::Update { id, document: &document, changed: &[0], patch: true },
            Operation::Delete { id },
            Operation::Get { id },
            Operation::Find { key: MatchKey::ExternalId, value: &external_id },
            Operation::Find { key: MatchKey::Email, value: "ann@example.com" },
            Operation::List { offset: 0, limit: 100 },
        ];
        for operation in &operations {
            if matches!(operation, Operation::Find { key, .. } if !client.search_keys().contains(key)) {
                continue;
            }
            let valid = answer(client, operation);
            let (mut rng, mut accepted) = (Rng::new(seeds::seed(0)), 0);
            let judge = |body: Vec<u8>, status: u16| {
                let response = Response::builder().status(status).body(Bytes::from(body)).expect("a response");
                client.judge(operation, &response)
            };
            let verdict = judge(valid.clone().into_bytes(), 200);
            assert!(matches!(verdict, Verdict::Done(_) | Verdict::Found(_)), "{} {verdict:?}", operation.as_str());
            for _ in 0..MUTATIONS {
                let body = mutate(&valid, &mut rng);
                let text = String::from_utf8_lossy(&body).into_owned();
                let status = *rng.choose(&[200, 200, 200, 201, 204, 400, 404, 409, 500, 302]);
                match judge(body, status) {
                    Verdict::Done(Some(account)) => {
                        accepted += 1;
                        assert_right(&account, &text);
                        if matches!(operation, Operation::Update { .. } | Operation::Get { .. }) {
                            assert_eq!(account.id, id, "{text}");
                        }
                    }
                    Verdict::Found(page) => {
                        accepted += 1;
                        let keys = [(MatchKey::ExternalId, external_id.as_str()), (MatchKey::Email, "ann@example.com")];
                        for (key, value) in keys {
                            if let Match::One(account) = page.matching(key, value) {
                                assert_right(&account, &text);
                            }
                        }
                    }
                    _ => {}
                }
            }
            // The mutations leave some answers valid.
            assert!(accepted > 20 || matches!(operation, Operation::Delete { .. }), "{}", operation.as_str());
        }
    }
}

#[test]
fn hostile_values_stay_in_their_place() {
    let hostile =
        ["../../admin", "..", ".", "a/b?c#d", "a\r\nHost: evil", "%2e%2e", "a b", "ü\u{0}", "@evil.example", "\\..\\"];
    let endpoint = Endpoint { url: "https://example.com/base", account: "1\r\n&x=1", key: "k&e=y#" };
    let user = user();
    for client in dialects::target_clients() {
        let document = document(client, &user);
        for value in hostile {
            let operations = [
                Operation::Get { id: value },
                Operation::Delete { id: value },
                Operation::Update { id: value, document: &document, changed: &[0], patch: false },
                Operation::Find { key: MatchKey::ExternalId, value },
                Operation::Find { key: MatchKey::Email, value },
            ];
            for operation in operations {
                let request = client.request(&endpoint, &operation).expect("every value can be encoded");
                let uri = request.uri();
                assert_eq!(uri.host(), Some("example.com"), "{uri}");
                assert!(uri.path().starts_with("/base/"), "{uri}");
                let segments: Vec<&str> = uri.path().split('/').collect();
                assert!(!segments.contains(&"..") && !segments.contains(&"."), "{uri}");
                let is_find = matches!(operation, Operation::Find { .. });
                let expected = match (client.name(), operation) {
                    ("scim", _) => 4 - usize::from(is_find),
                    ("publisher", Operation::Find { key: MatchKey::ExternalId, .. }) => 5,
                    // The first attribute is the status, which has a request of its own.
                    ("publisher", Operation::Delete { .. } | Operation::Update { .. }) => 7,
                    ("publisher", _) => 6,
                    ("ccs", _) => 5 - usize::from(is_find),
                    _ => 5 + usize::from(is_find),
                };
                assert_eq!(segments.len(), expected, "{uri}");
                assert_query(client.name(), uri.query().unwrap_or_default(), &endpoint, value, &operation);
                assert!(request.headers().values().all(|header| !header.as_bytes().contains(&b'\n')), "{value:?}");
            }
        }
    }
}

/// No value has added a parameter or changed another one.
fn assert_query(client: &str, query: &str, endpoint: &Endpoint<'_>, value: &str, operation: &Operation<'_>) {
    let pairs: Vec<(String, String)> =
        form_urlencoded::parse(query.as_bytes()).map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
    let mut names: Vec<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    names.sort_unstable();
    let total = names.len();
    names.dedup();
    assert_eq!(names.len(), total, "{query}");
    if matches!(client, "scim" | "ccs") || matches!(operation, Operation::Update { .. }) {
        return;
    }
    if client == "publisher" {
        let is_search = matches!(operation, Operation::Find { key: MatchKey::ExternalId, .. });
        assert!(!is_search || pairs.iter().any(|(name, own)| name == "search" && own == value), "{query}");
        return;
    }
    let has = |name: &str, expected: &str| pairs.iter().any(|(own, value)| own == name && value == expected);
    assert!(has("IntegrationKey", endpoint.key), "{query}");
    assert!(pairs.iter().any(|(_, own)| own == value), "{query}");
}

/// What a rejection says about one user must not be taken for a fault of the target, or the other way round.
#[test]
fn rejections_are_distinguished() {
    let user = user();
    let judge = |name: &str, operation: &Operation<'_>, status: u16, body: &str| {
        let client = dialects::target_client(name).expect("a client");
        let response = Response::builder().status(status).header("content-type", "application/json");
        client.judge(operation, &response.body(Bytes::from(body.to_owned())).expect("valid"))
    };
    for name in ["scim", "onfire", "onfire-v1", "publisher"] {
        let document = document(dialects::target_client(name).expect("a client"), &user);
        let create = Operation::Create(&document);
        let update = Operation::Update { id: ID, document: &document, changed: &[0], patch: true };
        let forbidden = r#"{"status": "403", "detail": "the role is too high", "ResponseStatus": {"ErrorCode": "RoleTooHigh", "Message": "the role is too high", "Errors": [{"ErrorCode": "RoleTooHigh", "FieldName": "WebsiteRole"}]}, "error": {"summary": "the role is too high", "ref": 123}}"#;
        // A role that the credential must not grant, and a credential without any right.
        for operation in [&create, &update] {
            assert!(matches!(judge(name, operation, 403, forbidden), Verdict::NotAllowed(_)), "{name}");
            assert_eq!(judge(name, operation, 403, ""), Verdict::Denied, "{name}");
        }
        assert_eq!(judge(name, &Operation::List { offset: 0, limit: 1 }, 403, forbidden), Verdict::Denied, "{name}");
        assert_eq!(judge(name, &create, 401, forbidden), Verdict::Denied, "{name}");
        // What a target says of a user whose values are not known can contain them.
        let named = r#"{"status": "400", "detail": "ann@example.com is protected", "ResponseStatus": {"ErrorCode": "Protected", "Message": "ann@example.com is protected"}, "error": {"summary": "ann@example.com is protected", "ref": 100}}"#;
        let Verdict::Rejected(text) = judge(name, &Operation::Delete { id: ID }, 400, named) else { panic!("{name}") };
        assert!(!text.contains("ann"), "{name}: {text}");
    }
    let document = document(dialects::target_client("scim").expect("a client"), &user);
    let update = Operation::Update { id: ID, document: &document, changed: &[0], patch: true };
    let taken = r#"{"status": "409", "scimType": "uniqueness", "detail": "taken"}"#;
    assert_eq!(judge("scim", &update, 409, taken), Verdict::Duplicate(None));
    assert!(matches!(judge("scim", &update, 409, r#"{"status": "409"}"#), Verdict::Rejected(_)));
    assert_eq!(judge("scim", &Operation::Create(&document), 409, ""), Verdict::Duplicate(None));
    let missing = |field: &str| {
        format!(
            r#"{{"ResponseStatus": {{"ErrorCode": "NotFound", "Errors": [{{"ErrorCode": "NotFound", "FieldName": "{field}"}}]}}}}"#
        )
    };
    // A missing account, and an account whose role is missing.
    assert_eq!(judge("onfire", &update, 400, &missing("Id")), Verdict::NotFound);
    assert!(matches!(judge("onfire", &update, 400, &missing("WebsiteRole")), Verdict::Rejected(_)));
    assert_eq!(judge("onfire", &update, 404, &missing("Id")), Verdict::NotFound);
    assert!(matches!(judge("onfire", &update, 404, ""), Verdict::InvalidResponse(_)));
}

#[test]
fn errors_of_publisher_are_distinguished_by_their_numbers() {
    let client = dialects::target_client("publisher").expect("a client");
    let document = document(client, &user());
    let judge = |operation: &Operation<'_>, status: u16, reference: u32, summary: &str| {
        let body = format!(r#"{{"error": {{"summary": "{summary}", "ref": {reference}, "link": ""}}}}"#);
        client.judge(operation, &Response::builder().status(status).body(Bytes::from(body)).expect("valid"))
    };
    let create = Operation::Create(&document);
    let update = Operation::Update { id: ID, document: &document, changed: &[1], patch: false };
    let find = Operation::Find { key: MatchKey::Email, value: "ann@example.com" };
    assert_eq!(judge(&update, 404, 108, "The requested user does not exist"), Verdict::NotFound);
    assert_eq!(
        judge(&find, 404, 108, "The requested user does not exist"),
        Verdict::Found(AccountPage { accounts: Vec::new(), total: Some(0) })
    );
    assert!(matches!(judge(&find, 404, 404, "The requested resource does not exist"), Verdict::InvalidResponse(_)));
    for operation in [&create, &update] {
        let no_organization = judge(operation, 404, 75, "The requested organisation does not exist");
        assert!(matches!(no_organization, Verdict::Rejected(_)), "{no_organization:?}");
        let taken = judge(operation, 400, 103, "A user has it");
        assert_eq!(taken, Verdict::Duplicate(Some(MatchKey::Email)));
        let existing = |text| judge(operation, 400, 1, text);
        assert_eq!(existing("The e-mail already exists"), Verdict::Duplicate(Some(MatchKey::Email)));
        assert!(matches!(existing("An organisation with this name already exists"), Verdict::Rejected(_)));
    }
    assert_eq!(judge(&create, 403, 51, "API is not enabled"), Verdict::Denied);
    // Only with their status.
    assert!(matches!(judge(&create, 503, 51, ""), Verdict::Unavailable { is_uncertain: true, .. }));
    assert!(matches!(judge(&find, 200, 108, ""), Verdict::InvalidResponse(_)));
}

#[test]
fn errors_of_ccs_are_distinguished_by_their_texts() {
    let client = dialects::target_client("ccs").expect("a client");
    let document = document(client, &user());
    let judge = |operation: &Operation<'_>, status: u16, body: &str| {
        client.judge(operation, &Response::builder().status(status).body(Bytes::from(body.to_owned())).expect("valid"))
    };
    let create = Operation::Create(&document);
    let update = Operation::Update { id: "7", document: &document, changed: &[0], patch: false };
    let taken = r#"{"message": "A user with this email address already exists."}"#;
    assert_eq!(judge(&create, 400, taken), Verdict::Duplicate(Some(MatchKey::Email)));
    assert_eq!(judge(&update, 400, taken), Verdict::Duplicate(Some(MatchKey::Email)));
    let invalid = r#"{"message": "The request is invalid.", "modelState": {"user.RoleId": ["The value ann@example.com is not valid."]}}"#;
    assert_eq!(judge(&create, 400, invalid), Verdict::Rejected("RoleId The request is invalid.".into()));
    assert_eq!(judge(&update, 404, ""), Verdict::NotFound);
    assert_eq!(judge(&update, 405, r#"{"message": "no"}"#), Verdict::Unsupported);
    assert_eq!(judge(&Operation::List { offset: 0, limit: 1 }, 405, ""), Verdict::Unsupported);
    assert_eq!(
        judge(&create, 401, r#"{"message": "Authorization has been denied for this request."}"#),
        Verdict::Denied
    );
    assert!(matches!(judge(&create, 200, r#"{"id": "x"}"#), Verdict::InvalidResponse(_)));
    assert!(matches!(judge(&create, 400, "<html>"), Verdict::InvalidResponse(_)));
}

/// A change of the status and of something else takes two requests: a deactivation first, an activation last.
#[test]
fn publisher_changes_the_status_by_a_request_of_its_own() {
    let client = dialects::target_client("publisher").expect("a client");
    let endpoint = Endpoint { url: "https://x.example/p", account: "", key: "" };
    let sent = |operation: &Operation<'_>| {
        let request = client.request(&endpoint, operation).expect("valid");
        format!("{} {}", request.method(), request.uri().path())
    };
    for (is_active, expected) in [
        (true, ["PUT /p/api/2/users/7", "POST /p/api/2/users/7/activate"]),
        (false, ["POST /p/api/2/users/7/disable", "PUT /p/api/2/users/7"]),
    ] {
        let (user, labels) = (user(), Labels::default());
        let outgoing = OutgoingUser { user: &user, labels: &labels, manager: None, is_active };
        let document = client.document(&outgoing, &client.default_capabilities());
        let requests = client.requests_of_update(&document, &[0, 1, 2]);
        let update =
            |changed: &Vec<usize>| sent(&Operation::Update { id: "7", document: &document, changed, patch: false });
        assert_eq!(requests.iter().map(update).collect::<Vec<_>>(), expected);
        assert_eq!(client.requests_of_update(&document, &[2]), [vec![2]]);
    }
    assert_eq!(sent(&Operation::Delete { id: "7" }), "POST /p/api/2/users/7/archive");
}
