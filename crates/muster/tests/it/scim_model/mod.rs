//! Compares SCIM with simple models: the effect of PATCH on a resource, and the users that a filter selects. The models
//! were written from RFC 7643, RFC 7644 and the table of tolerances, without knowledge of the implementation.

pub(crate) mod choices;
mod filter;
mod patch;
pub(crate) mod random_filters;
mod random_patches;
mod rejected_patches;
pub(crate) mod resource;
pub(crate) mod users;

use crate::support::{TestApp, build_request};
use serde_json::Value;

/// An application with one tenant and a key.
pub(crate) struct Fixture {
    app: TestApp,
    authorization: String,
}

impl Fixture {
    async fn new() -> Self {
        Self::on(TestApp::new()).await
    }

    pub(crate) async fn on(test_app: TestApp) -> Self {
        let caller = test_app.create_tenant("T").await;
        let key = test_app.create_key(&caller, "scim", |_| {}).await;
        Self { app: test_app, authorization: format!("Bearer {key}") }
    }

    /// Sends a request; returns status and body.
    pub(crate) async fn send_request(&self, method: &str, target: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string);
        let headers = [("authorization", self.authorization.as_str()), ("content-type", "application/scim+json")];
        let headers = if body.is_some() { &headers[..] } else { &headers[..1] };
        let target = format!("/scim/v2{target}");
        let (status, text) =
            self.app.send_request(build_request(method, &target, headers, body.as_deref().unwrap_or_default())).await;
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") })
    }

    /// Creates a user; returns the response body.
    pub(crate) async fn add(&self, user: &Value) -> Value {
        let (status, made) = self.send_request("POST", "/Users", Some(user)).await;
        assert_eq!(status, 201, "{user} gave {made}");
        made
    }

    /// Searches users with a filter; returns status and body.
    pub(crate) async fn search(&self, filter: &str) -> (u16, Value) {
        self.send_request("GET", &format!("/Users?filter={}&count=1000", percent_encoded(filter)), None).await
    }
}

/// Percent-encodes everything except unreserved characters.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}
