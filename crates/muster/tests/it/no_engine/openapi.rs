//! The OpenAPI document describes every route, and its references resolve.

use crate::support::{TestApp, build_request, runtime};
use serde_json::Value;

#[test]
fn every_route_is_described_and_references_resolve() {
    let document = runtime().block_on(async {
        let (status, body) = TestApp::in_memory().send_request(build_request("GET", "/openapi.json", &[], "")).await;
        assert_eq!(status, 200);
        serde_json::from_str::<Value>(&body).expect("JSON")
    });
    assert_eq!(document["openapi"], "3.1.0");
    let mut ids = std::collections::HashSet::new();
    for dialect in dialects::all_dialects() {
        for route in dialect.routes {
            for verb in route.methods {
                let operation = &document["paths"][route.path][verb.name.to_ascii_lowercase()];
                assert!(operation["summary"].is_string(), "{} {}", verb.name, route.path);
                for parameter in operation["parameters"].as_array().expect("parameters") {
                    assert_ne!(parameter["description"], "", "{} {}: {}", verb.name, route.path, parameter["name"]);
                }
                assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()));
                let takes_body = verb.spec.body.is_some();
                assert_eq!(operation["requestBody"].is_object(), takes_body, "{} {}", verb.name, route.path);
            }
        }
    }
    assert!(document["paths"]["/api/2/users/{user}"]["get"].is_object(), "the context is optional");
    check_references(&document, &document);
}

fn check_references(node: &Value, document: &Value) {
    match node {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get("$ref") {
                let pointer = reference.strip_prefix('#').expect("a local reference");
                assert!(document.pointer(pointer).is_some_and(Value::is_object), "{reference}");
            }
            members.values().for_each(|value| check_references(value, document));
        }
        Value::Array(values) => values.iter().for_each(|value| check_references(value, document)),
        _ => {}
    }
}

#[test]
fn the_docs_page_loads_nothing_external() {
    runtime().block_on(async {
        let test_app = TestApp::in_memory();
        let (_, page) = test_app.send_request(build_request("GET", "/docs", &[], "")).await;
        assert!(!page.contains("http://") && !page.contains("https://"), "{page}");
        for part in ["/docs/start.js", "/docs/swagger-ui-bundle.js", "/docs/swagger-ui.css", "/openapi.json"] {
            assert_eq!(test_app.send_request(build_request("GET", part, &[], "")).await.0, 200, "{part}");
        }
        let answer = test_app.respond(build_request("GET", "/docs", &[], "")).await;
        let policy = answer.headers()["content-security-policy"].to_str().expect("text").to_owned();
        assert!(policy.contains("default-src 'none'") && policy.contains("connect-src 'self'"));
    });
}

#[test]
fn built_in_pages_are_read_only_and_exact() {
    runtime().block_on(async {
        let test_app = TestApp::in_memory();
        for path in ["/healthz", "/readyz", "/openapi.json", "/docs", "/docs/start.js"] {
            for method in ["GET", "HEAD"] {
                assert_eq!(test_app.send_request(build_request(method, path, &[], "")).await.0, 200, "{method} {path}");
            }
            let answer = test_app.respond(build_request("POST", path, &[], "x")).await;
            assert_eq!(answer.status(), 405, "{path}");
            assert_eq!(answer.headers()["allow"], "GET,HEAD", "{path}");
            for other in [path.to_uppercase(), format!("{path}/")] {
                assert_eq!(test_app.send_request(build_request("GET", &other, &[], "")).await.0, 404, "{other}");
            }
        }
        assert_eq!(test_app.send_request(build_request("POST", "/docs/other", &[], "")).await.0, 404);
        let (status, body) = test_app.send_request(build_request("GET", "/docs/api/2/users", &[], "")).await;
        assert_eq!((status, body.as_str()), (404, ""), "docs is not a context");
    });
}
