//! One simulated system: a request in, a response out.

use crate::accounts::{Accounts, Fields, Key};
use crate::faults::{Faults, Rng};
use crate::record::Done;
use bytes::Bytes;
use http::request::Parts;
use http::{Response, StatusCode, header};
use serde_json::Value;
use std::collections::BTreeMap;

/// Which API the system has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VendorApi {
    Scim,
    /// v1 and v2.
    Onfire,
    /// The vendor's API, which can only create.
    Ccs,
    /// The same API as Muster has it.
    CcsOfMuster,
    Publisher,
}

impl std::str::FromStr for VendorApi {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let known = [
            ("scim", Self::Scim),
            ("onfire", Self::Onfire),
            ("ccs", Self::Ccs),
            ("ccs-muster", Self::CcsOfMuster),
            ("publisher", Self::Publisher),
        ];
        let names = known.map(|(name, _)| name).join(", ");
        let found = known.into_iter().find(|(own, _)| *own == name).map(|(_, api)| api);
        found.ok_or_else(|| format!("there is no API '{name}' to simulate (use one of: {names})"))
    }
}

/// The number of the company or tenant.
pub(crate) const ACCOUNT: &str = "1";

pub(crate) struct Vendor {
    pub(crate) api: VendorApi,
    pub(crate) key: String,
    pub(crate) faults: Faults,
    pub(crate) rng: Rng,
    pub(crate) accounts: Accounts,
    /// By id.
    pub(crate) groups: BTreeMap<String, Fields>,
    /// What the current request has changed.
    pub(crate) done: Option<Done>,
    /// Where its API begins, such as `http://127.0.0.1:9191/scim/v2`.
    pub(crate) base: String,
    last_id: u64,
}

pub(crate) type VendorResponse = Response<Bytes>;

impl Vendor {
    pub(crate) fn new(api: VendorApi, keys: &'static [Key], key: String, faults: Faults, base: String) -> Self {
        let (rng, accounts) = (Rng::new(faults.seed), Accounts::new(keys, &faults));
        Self { api, key, faults, rng, accounts, groups: BTreeMap::new(), done: None, base, last_id: 0 }
    }

    /// The number of a new account.
    pub(crate) fn next_number(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    /// An id of 32 digits that no other account has.
    pub(crate) fn next_guid(&mut self) -> String {
        let number = self.next_number();
        format!("{:016x}{number:016x}", self.rng.next())
    }

    /// Without the attributes that the system drops.
    pub(crate) fn stored(&self, mut fields: Fields) -> Fields {
        fields.retain(|name, _| !self.faults.drop_attributes.contains(name));
        fields
    }

    /// The name of a unique key that another account has.
    pub(crate) fn taken(&self, fields: &Fields, own: Option<&str>) -> Option<&'static str> {
        if self.faults.allow_duplicates { None } else { self.accounts.taken(fields, own) }
    }

    pub(crate) fn create(&mut self, id: String, fields: Fields) {
        self.done = Some(Done { what: "create", id: id.clone(), fields: Value::Object(fields.clone()) });
        self.accounts.add(id, fields);
    }

    pub(crate) fn update(&mut self, id: &str, fields: Fields) {
        self.done = Some(Done { what: "update", id: id.to_owned(), fields: Value::Object(fields.clone()) });
        self.accounts.replace(id, fields);
    }

    pub(crate) fn delete(&mut self, id: &str) -> bool {
        let fields = self.accounts.get(id).map(|account| Value::Object(account.fields.clone()));
        let Some(fields) = fields else { return false };
        self.done = Some(Done { what: "delete", id: id.to_owned(), fields });
        self.accounts.remove(id)
    }

    /// The id that the response to a create shows.
    pub(crate) fn shown_id(&mut self, id: &str) -> String {
        if self.rng.roll(self.faults.wrong_id) {
            return self.next_guid();
        }
        if self.rng.roll(self.faults.other_id)
            && let Some(other) = self.accounts.other_id(id, &mut self.rng)
        {
            return other;
        }
        id.to_owned()
    }
}

pub(crate) fn respond(status: u16, media_type: &'static str, body: impl Into<Bytes>) -> VendorResponse {
    let mut response = Response::new(body.into());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(header::CONTENT_TYPE, http::HeaderValue::from_static(media_type));
    response
}

pub(crate) fn json_response(status: u16, body: &Value) -> VendorResponse {
    respond(status, "application/json", body.to_string())
}

/// The last value of a query parameter, whatever the case of its name.
pub(crate) fn query_value(head: &Parts, name: &str) -> Option<String> {
    let pairs = form_urlencoded::parse(head.uri.query().unwrap_or_default().as_bytes());
    pairs.filter(|(key, _)| key.eq_ignore_ascii_case(name)).last().map(|(_, value)| value.into_owned())
}

pub(crate) fn bearer_is(head: &Parts, key: &str) -> bool {
    let value = head.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    value.and_then(|value| value.strip_prefix("Bearer ")) == Some(key)
}

/// A page of a list: rows to skip and the number of rows.
pub(crate) fn page(head: &Parts, offset: &str, limit: &str, max: usize) -> (usize, usize) {
    let number = |name| query_value(head, name).and_then(|text| text.parse().ok());
    (number(offset).unwrap_or(0), number(limit).unwrap_or(max).min(max))
}
