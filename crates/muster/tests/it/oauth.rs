//! OAuth tokens: issued for a connection's key or a signed assertion, valid in every bearer dialect, and only as long
//! as the connection.

use crate::support::{MUSTER, TestApp, TestStore, build_request, runtime};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use directory::{Access, Caller, Command, ConnectionId};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use serde_json::{Value, json};
use testkit::conformance::new_user;

struct Fixture {
    app: TestApp,
    caller: Caller,
    key: String,
    id: ConnectionId,
}

const FORM: (&str, &str) = ("content-type", "application/x-www-form-urlencoded");

/// The server's public URL.
fn public_config() -> server::PublicConfig {
    server::PublicConfig { public_url: Some("http://example.com".into()), ..server::PublicConfig::default() }
}

impl Fixture {
    async fn new(change: impl FnOnce(&mut directory::NewConnection)) -> Self {
        let test_app = TestApp::on_store(TestStore::new(), public_config());
        let caller = test_app.create_tenant("T").await;
        test_app.directory().run(&caller, Command::CreateUser(new_user("ann@x.y"))).await.expect("added");
        let key = test_app.create_key(&caller, "client", change).await;
        let id = test_app.directory().all_connections(&Caller::installation()).await.expect("listed")[0].id;
        Self { app: test_app, caller, key, id }
    }

    async fn send_form(&self, path: &str, headers: &[(&str, &str)], form: &str) -> (u16, Value) {
        let headers = [&[FORM], headers].concat();
        let (status, body) = self.app.send_request(build_request("POST", path, &headers, form)).await;
        (status, serde_json::from_str(&body).expect("JSON"))
    }

    fn form(&self) -> String {
        format!("grant_type=client_credentials&client_id={}&client_secret={}", self.id, self.key)
    }

    async fn token(&self) -> String {
        let (status, answer) = self.send_form("/oauth2/token", &[], &self.form()).await;
        assert_eq!((status, answer["token_type"].as_str()), (200, Some("Bearer")), "{answer}");
        assert_eq!(answer["expires_in"], 3600);
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    async fn status(&self, method: &str, path: &str, token: &str) -> u16 {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        self.app.send_request(build_request(method, path, &headers, "{\"userName\":\"b@x.y\"}")).await.0
    }
}

#[test]
fn a_token_works_in_every_bearer_dialect_until_revocation() {
    runtime().block_on(async {
        let world = Fixture::new(|_| {}).await;
        let token = world.token().await;
        for path in ["/scim/v2/Users", "/request/user/1", "/api/2/users/ann@x.y"] {
            assert_eq!(world.status("GET", path, &token).await, 200, "{path}");
            assert_eq!(world.status("GET", path, &world.key).await, 200, "the key itself still works: {path}");
        }
        // The paths that clients of the original API use.
        for path in ["/api/oauth2/token", "/context/api/oauth2/token"] {
            assert_eq!(world.send_form(path, &[], &world.form()).await.0, 200, "{path}");
        }
        world.app.directory().run(&world.caller, Command::RevokeConnection(world.id)).await.expect("revoked");
        world.app.advance_clock(2);
        assert_eq!(world.status("GET", "/scim/v2/Users", &token).await, 401);
        assert_eq!(world.send_form("/oauth2/token", &[], &world.form()).await.0, 401);
    });
}

#[test]
fn tokens_and_cursors_expire() {
    runtime().block_on(async {
        let world = Fixture::new(|_| {}).await;
        world.app.directory().run(&world.caller, Command::CreateUser(new_user("b@x.y"))).await.expect("added");
        let token = world.token().await;
        let bearer = format!("Bearer {}", world.key);
        let page = async |cursor: &str| {
            let target = format!("/scim/v2/Users?count=1&cursor={cursor}");
            let answer = world.app.send_request(build_request("GET", &target, &[("authorization", &bearer)], "")).await;
            (answer.0, serde_json::from_str::<Value>(&answer.1).expect("JSON"))
        };
        let (_, first) = page("").await;
        let cursor = first["nextCursor"].as_str().expect("a cursor");
        world.app.advance_clock(3_590);
        assert_eq!(world.status("GET", "/scim/v2/Users", &token).await, 200);
        assert_eq!(page(cursor).await.0, 200);
        world.app.advance_clock(12);
        assert_eq!(world.status("GET", "/scim/v2/Users", &token).await, 401);
        let (status, answer) = page(cursor).await;
        assert_eq!((status, answer["scimType"].as_str()), (400, Some("expiredCursor")), "{answer}");
    });
}

#[test]
fn a_token_has_exactly_the_rights_of_its_connection() {
    runtime().block_on(async {
        let world = Fixture::new(|new| {
            new.access = Access::ReadOnly;
            new.dialects = vec!["scim".into()];
        })
        .await;
        let token = world.token().await;
        assert_eq!(world.status("GET", "/scim/v2/Users", &token).await, 200);
        assert_eq!(world.status("POST", "/scim/v2/Users", &token).await, 403);
        assert_eq!(world.status("GET", "/api/2/users/ann@x.y", &token).await, 403);
        let again = format!("grant_type=client_credentials&client_id={}&client_secret={token}", world.id);
        assert_eq!(
            world.send_form("/oauth2/token", &[], &again).await.0,
            401,
            "a token cannot be exchanged for a token"
        );
    });
}

#[test]
fn altered_or_foreign_tokens_are_rejected() {
    runtime().block_on(async {
        let (world, other) = (Fixture::new(|_| {}).await, Fixture::new(|_| {}).await);
        let token = world.token().await;
        assert_eq!(other.status("GET", "/scim/v2/Users", &token).await, 401);
        let parts: Vec<&str> = token.split('.').collect();
        let claims = URL_SAFE_NO_PAD.decode(parts[1]).expect("Base64");
        let mut claims: Value = serde_json::from_slice(&claims).expect("claims");
        assert_eq!(claims["sub"], world.id.to_string());
        claims["exp"] = json!(claims["exp"].as_i64().expect("an expiration time") + 1_000_000);
        let longer = URL_SAFE_NO_PAD.encode(claims.to_string());
        let unsigned = URL_SAFE_NO_PAD.encode("{\"alg\":\"none\",\"typ\":\"at+jwt\"}");
        let forged = [
            format!("{}.{longer}.{}", parts[0], parts[2]),
            format!("{unsigned}.{longer}."),
            format!("{}.{}.", parts[0], parts[1]),
            "a.b.c".to_owned(),
            "..".to_owned(),
        ];
        for token in forged {
            assert_eq!(world.status("GET", "/scim/v2/Users", &token).await, 401, "{token}");
        }
    });
}

#[test]
fn client_credentials_are_validated() {
    runtime().block_on(async {
        let world = Fixture::new(|_| {}).await;
        let (id, key) = (world.id.to_string(), world.key.clone());
        let basic = |id: &str, key: &str| format!("Basic {}", STANDARD.encode(format!("{id}:{key}")));
        let ask = async |headers: &[(&str, &str)], form: &str| {
            let (status, answer) = world.send_form("/oauth2/token", headers, form).await;
            (status, answer["error"].as_str().unwrap_or_default().to_owned())
        };
        let grant = "grant_type=client_credentials";
        let good = basic(&id, &key);
        assert_eq!(ask(&[("authorization", &good)], grant).await.0, 200);
        let other = world.app.create_key(&world.caller, "other", |_| {}).await;
        for bad in [basic(&id, &other), basic("x", &key), basic(&id, ""), "Basic ???".into(), "Bearer x".into()] {
            assert_eq!(ask(&[("authorization", &bad)], grant).await, (401, "invalid_client".into()), "{bad}");
        }
        let invalid = (400, "invalid_request".to_owned());
        assert_eq!(ask(&[], "client_id=a&client_secret=b").await, invalid);
        assert_eq!(ask(&[], &format!("{grant}&{grant}")).await, invalid);
        assert_eq!(
            ask(&[("authorization", &good)], &world.form()).await,
            invalid,
            "only one authentication method is allowed"
        );
        let password = "grant_type=password&username=a&password=b";
        assert_eq!(ask(&[], password).await, (400, "unsupported_grant_type".into()));
        assert_eq!(ask(&[], grant).await, (401, "invalid_client".into()));
    });
}

/// A signing key and its public key in PEM.
fn key_pair() -> (EcdsaKeyPair, String) {
    let random = SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("made");
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref(), &random).expect("read");
    // The prefix of a SubjectPublicKeyInfo for P-256 (RFC 5480), followed by the point.
    let head = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
    ];
    let der = [head.as_slice(), pair.public_key().as_ref()].concat();
    let pem = format!("-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n", STANDARD.encode(der));
    (pair, pem)
}

fn sign_assertion(pair: &EcdsaKeyPair, claims: &Value) -> String {
    sign_with_header(pair, &json!({"alg": "ES256", "typ": "JWT"}), claims)
}

fn sign_with_header(pair: &EcdsaKeyPair, header: &Value, claims: &Value) -> String {
    jws(header, claims, |message| pair.sign(&SystemRandom::new(), message).expect("signed").as_ref().to_vec())
}

fn jws(header: &Value, claims: &Value, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(header), part(claims));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// RFC 9864 calls the algorithm `Ed25519`; older libraries call it `EdDSA`.
#[test]
fn assertions_are_signed_with_ed25519_under_both_names() {
    runtime().block_on(async {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).expect("made");
        let pair = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).expect("read");
        // The prefix of a SubjectPublicKeyInfo for Ed25519 (RFC 8410), followed by the key.
        let head = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let der = STANDARD.encode([head.as_slice(), pair.public_key().as_ref()].concat());
        let pem = format!("-----BEGIN PUBLIC KEY-----\n{der}\n-----END PUBLIC KEY-----\n");
        let (other, other_pem) = self::key_pair();
        let world = Fixture::new(|new| new.public_keys = vec![pem, other_pem]).await;
        let now = world.app.directory().now().0 / 1_000_000;
        let id = world.id.to_string();
        let claims =
            json!({"iss": id, "sub": id, "aud": "http://example.com/oauth2/token", "exp": now + 300, "jti": "1"});
        let ask = async |assertion: String| {
            let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
            let form =
                format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}");
            world.send_form("/oauth2/token", &[], &form).await.0
        };
        let ed25519 = |header: Value| jws(&header, &claims, |message| pair.sign(message).as_ref().to_vec());
        for name in ["Ed25519", "EdDSA"] {
            assert_eq!(ask(ed25519(json!({"alg": name, "typ": "JWT"}))).await, 200, "{name}");
            // A signature by a key of another type does not match the algorithm.
            assert_eq!(ask(sign_with_header(&other, &json!({"alg": name}), &claims)).await, 401, "{name}");
        }
        for header in
            [json!({"alg": "Ed25519", "crit": ["b64"], "b64": true}), json!({"alg": "ES256"}), json!({"alg": "none"})]
        {
            assert_eq!(ask(ed25519(header.clone())).await, 401, "{header}");
        }
        let (_, body) =
            world.app.send_request(build_request("GET", "/.well-known/oauth-authorization-server", &[], "")).await;
        let metadata: Value = serde_json::from_str(&body).expect("JSON");
        let announced = metadata["token_endpoint_auth_signing_alg_values_supported"].as_array().expect("a list");
        assert!(announced.contains(&json!("Ed25519")) && announced.contains(&json!("EdDSA")), "{body}");
    });
}

#[test]
fn a_client_can_authenticate_with_a_signed_assertion() {
    runtime().block_on(async {
        let (pair, pem) = key_pair();
        let world = Fixture::new(|new| new.public_keys = vec![pem]).await;
        let now = world.app.directory().now().0 / 1_000_000;
        let id = world.id.to_string();
        let claims =
            json!({"iss": id, "sub": id, "aud": "http://example.com/oauth2/token", "exp": now + 300, "jti": "1"});
        let ask = async |assertion: String| {
            let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
            let form =
                format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={assertion}");
            world.send_form("/oauth2/token", &[], &form).await
        };
        let (status, answer) = ask(sign_assertion(&pair, &claims)).await;
        assert_eq!(status, 200, "{answer}");
        let token = answer["access_token"].as_str().expect("a token");
        assert_eq!(world.status("GET", "/scim/v2/Users", token).await, 200);
        let changed = |name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            claims
        };
        let (stranger, _) = self::key_pair();
        let bad = [
            ("another key's signature", sign_assertion(&stranger, &claims)),
            ("ended", sign_assertion(&pair, &changed("exp", json!(now - 300)))),
            ("no expiration", sign_assertion(&pair, &changed("exp", json!(now + 1_000_000)))),
            ("another audience", sign_assertion(&pair, &changed("aud", json!("https://elsewhere.example/token")))),
            ("not yet valid", sign_assertion(&pair, &changed("nbf", json!(now + 3_000)))),
            ("another issuer", sign_assertion(&pair, &changed("iss", json!("somebody")))),
            ("another client", sign_assertion(&pair, &changed("sub", json!(uuid::Uuid::nil().to_string())))),
            ("not a JWT", "nonsense".to_owned()),
            (
                "with an unknown critical extension",
                sign_with_header(&pair, &json!({"alg": "ES256", "crit": ["b64"], "b64": true}), &claims),
            ),
        ];
        for (what, assertion) in bad {
            let (status, answer) = ask(assertion).await;
            assert_eq!((status, answer["error"].as_str()), (401, Some("invalid_client")), "{what}");
        }
        // The Host header is not an accepted audience: otherwise assertions for another server would be accepted.
        let elsewhere = sign_assertion(&pair, &changed("aud", json!("http://evil.example/oauth2/token")));
        let kind = "urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer";
        let form = format!("grant_type=client_credentials&client_assertion_type={kind}&client_assertion={elsewhere}");
        let (status, answer) = world.send_form("/oauth2/token", &[("host", "evil.example")], &form).await;
        assert_eq!((status, answer["error"].as_str()), (401, Some("invalid_client")), "{answer}");
    });
}

#[test]
fn metadata_describes_the_token_endpoint() {
    runtime().block_on(async {
        let test_app = TestApp::on_store(TestStore::new(), public_config());
        let host = [("host", "evil.example")];
        let (status, body) =
            test_app.send_request(build_request("GET", "/.well-known/oauth-authorization-server", &host, "")).await;
        let metadata: Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!((status, metadata["issuer"].as_str()), (200, Some("http://example.com")));
        assert_eq!(metadata["token_endpoint"], "http://example.com/oauth2/token");
        assert_eq!(metadata["grant_types_supported"], json!(["client_credentials"]));
        let methods = metadata["token_endpoint_auth_methods_supported"].as_array().expect("a list").len();
        assert_eq!(methods, 3);
    });
}

#[test]
fn a_connection_is_created_with_profile_user_and_public_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = folder.path().join("s.db");
    let pem = folder.path().join("key.pem");
    std::fs::write(&pem, key_pair().1).expect("written");
    let run = |arguments: &[&str]| {
        let output = std::process::Command::new(MUSTER)
            .arg("--store")
            .arg(&store)
            .arg("--json")
            .args(arguments)
            .output()
            .expect("ran");
        serde_json::from_slice::<Value>(&output.stdout).expect("one document")
    };
    run(&["tenant", "add", "Acme"]);
    run(&["user", "add", "ann@x.y"]);
    let path = pem.to_str().expect("text");
    let added = run(&["connection", "add", "idp", "--profile", "entra", "--user", "ann@x.y", "--public-key", path]);
    assert_eq!((added["profile"].as_str(), added["publicKeys"].as_u64()), (Some("entra"), Some(1)), "{added}");
    assert_eq!(added["user"], run(&["user", "show", "ann@x.y"])["id"]);
    let nobody = run(&["connection", "add", "x", "--dialect", "scim", "--user", "nobody@x.y"]);
    assert!(nobody["error"].as_str().is_some_and(|text| text.contains("nobody@x.y")), "{nobody}");
    std::fs::write(&pem, "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").expect("written");
    let private = run(&["connection", "add", "y", "--dialect", "scim", "--public-key", path]);
    assert!(private["error"].as_str().is_some_and(|text| text.contains("private key")), "{private}");
}

#[test]
fn tokens_and_cursors_survive_a_restart() {
    let server = crate::support::Server::start(&[]);
    let (_, key) = server.create_tenant(&[]);
    let id = server.run_json(&["connection", "list"])[0]["id"].as_str().expect("an id").to_owned();
    for n in 0..3 {
        server.run_json(&["user", "add", &format!("p{n}@x.y")]);
    }
    let ask = |address: &str, method: &str, target: &str, bearer: &str, body: &str| {
        let bearer = format!("Bearer {bearer}");
        let mut headers = vec![FORM];
        if method == "GET" {
            headers.push(("Authorization", bearer.as_str()));
        }
        let reply = crate::support::send(address, method, target, &headers, body.as_bytes());
        (reply.status, serde_json::from_str::<Value>(&reply.body).expect("JSON"))
    };
    let form = format!("grant_type=client_credentials&client_id={id}&client_secret={key}");
    let (_, answer) = ask(&server.address, "POST", "/oauth2/token", "", &form);
    let token = answer["access_token"].as_str().expect("a token").to_owned();
    let (_, page) = ask(&server.address, "GET", "/scim/v2/Users?count=2&cursor", &token, "");
    let cursor = page["nextCursor"].as_str().expect("a cursor").to_owned();
    let server = crate::support::Server::start_on(server.kill(), &[]);
    let (status, page) = ask(&server.address, "GET", &format!("/scim/v2/Users?cursor={cursor}"), &token, "");
    assert_eq!((status, page["Resources"].as_array().map(Vec::len)), (200, Some(1)), "{page}");
    assert_eq!(page["Resources"][0]["userName"], "p2@x.y");
}

#[test]
fn a_token_is_invalid_once_its_key_is_rotated_out() {
    runtime().block_on(async {
        let world = Fixture::new(|_| {}).await;
        let token = world.token().await;
        for (round, status) in [(1, 200), (2, 401)] {
            let next = adapters::generate_api_key().expect("a key");
            let key = dialects::kit::hash_key(&next);
            let command = Command::AddKey { connection: world.id, key_hash: key, revoke_others: false };
            world.app.directory().run(&world.caller, command).await.expect("rotated");
            world.app.advance_clock(2);
            assert_eq!(world.status("GET", "/scim/v2/Users", &world.key).await, status, "round {round}");
            assert_eq!(world.status("GET", "/scim/v2/Users", &token).await, status, "round {round}");
        }
    });
}

#[test]
fn a_form_with_many_names_is_parsed_in_linear_time() {
    runtime().block_on(async {
        let world = Fixture::new(|_| {}).await;
        let names: Vec<String> = (0..100_000).map(|n| format!("a{n}")).collect();
        let (status, answer) = world.send_form("/oauth2/token", &[], &names.join("&")).await;
        assert_eq!((status, &answer["error"]), (400, &json!("invalid_request")));
    });
}
