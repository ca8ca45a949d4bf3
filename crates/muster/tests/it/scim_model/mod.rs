//! SCIM against plain models of it: what PATCH does to a resource, and what a filter selects. The models were written from RFC 7643 and RFC 7644 and the table of tolerances, by somebody who
//! had not seen the implementation.

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

/// A house with one tenant and a key to it.
pub(crate) struct Fixture {
    app: TestApp,
    authorization: String,
}

impl Fixture {
    async fn new() -> Self {
        Self::on(TestApp::new()).await
    }

    pub(crate) async fn on(house: TestApp) -> Self {
        let caller = house.create_tenant("T").await;
        let key = house.create_key(&caller, "scim", |_| {}).await;
        Self { app: house, authorization: format!("Bearer {key}") }
    }

    /// One request; status and document.
    pub(crate) async fn send_request(&self, method: &str, target: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string);
        let headers = [("authorization", self.authorization.as_str()), ("content-type", "application/scim+json")];
        let headers = if body.is_some() { &headers[..] } else { &headers[..1] };
        let target = format!("/scim/v2{target}");
        let (status, text) =
            self.app.send_request(build_request(method, &target, headers, body.as_deref().unwrap_or_default())).await;
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") })
    }

    /// A new user; the answer's document.
    pub(crate) async fn add(&self, user: &Value) -> Value {
        let (status, made) = self.send_request("POST", "/Users", Some(user)).await;
        assert_eq!(status, 201, "{user} gave {made}");
        made
    }

    /// The users that a filter selects: the status and the document.
    pub(crate) async fn search(&self, filter: &str) -> (u16, Value) {
        self.send_request("GET", &format!("/Users?filter={}&count=1000", percent_encoded(filter)), None).await
    }
}

/// Everything escaped that is not a letter, a digit or one of the marks that never need it.
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
