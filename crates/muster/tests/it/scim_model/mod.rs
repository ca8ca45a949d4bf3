//! SCIM against plain models of it: what PATCH does to a resource, and what a filter selects. The models were written from RFC 7643 and RFC 7644 and the table of tolerances, by somebody who
//! had not seen the implementation.

pub(crate) mod dice;
mod edits;
mod filter;
mod patch;
pub(crate) mod people;
pub(crate) mod questions;
mod refusals;
pub(crate) mod resource;

use crate::support::{House, request};
use serde_json::Value;

/// A house with one tenant and a key to it.
pub(crate) struct World {
    house: House,
    authorization: String,
}

impl World {
    async fn new() -> Self {
        Self::on(House::new()).await
    }

    pub(crate) async fn on(house: House) -> Self {
        let caller = house.tenant("T").await;
        let key = house.key(&caller, "scim", |_| {}).await;
        Self { house, authorization: format!("Bearer {key}") }
    }

    /// One request; status and document.
    pub(crate) async fn ask(&self, method: &str, target: &str, body: Option<&Value>) -> (u16, Value) {
        let body = body.map(Value::to_string);
        let headers =
            [("authorization", self.authorization.as_str()), ("content-type", "application/scim+json")];
        let headers = if body.is_some() { &headers[..] } else { &headers[..1] };
        let target = format!("/scim/v2{target}");
        let (status, text) =
            self.house.call(request(method, &target, headers, body.as_deref().unwrap_or_default())).await;
        (status, if text.is_empty() { Value::Null } else { serde_json::from_str(&text).expect("JSON") })
    }

    /// A new user; the answer's document.
    pub(crate) async fn add(&self, user: &Value) -> Value {
        let (status, made) = self.ask("POST", "/Users", Some(user)).await;
        assert_eq!(status, 201, "{user} gave {made}");
        made
    }

    /// The users that a filter selects: the status and the document.
    pub(crate) async fn search(&self, filter: &str) -> (u16, Value) {
        self.ask("GET", &format!("/Users?filter={}&count=1000", percent_encoded(filter)), None).await
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
