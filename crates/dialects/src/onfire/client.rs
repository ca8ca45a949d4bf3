//! Muster as a client of the `onfire` API: the users of targets that have it, v1 or v2.
//!
//! Bodies are XML, as the documents of the API show them; searches are answered in JSON, whose member names they show.

use super::wire;
use super::write::{self, WrittenNames};
use crate::kit::{
    Account, AccountPage, Direction, Document, DocumentAttribute, Duplicates, Endpoint, Format, IdProof, Node, Object,
    ObjectSchema, Operation, OutgoingUser, OutputValue, Property, TargetAttribute, TargetClient, ValueType, Verdict,
    WriteContext, is_html, json, judge_status, rejected, text_member, xml,
};
use bytes::Bytes;
use directory::{Field, MatchKey, Slot, TargetCapabilities, TenantNumber};
use http::{Method, Request, Response, StatusCode, header};
use std::borrow::Cow;
use uuid::Uuid;

pub(crate) struct Client {
    name: &'static str,
    path: &'static str,
    schema: &'static ObjectSchema,
    /// The name of the account's number.
    account: &'static str,
}

pub(crate) static V2: Client =
    Client { name: "onfire", path: "/api/v2/user", schema: &wire::USER, account: "CompanyId" };
pub(crate) static V1: Client =
    Client { name: "onfire-v1", path: "/api/v1/suser", schema: &wire::SUSER, account: "ProviderId" };

/// The largest page of a search that the documents allow.
const PAGE_SIZE: u32 = 250;

impl TargetClient for Client {
    fn name(&self) -> &'static str {
        self.name
    }

    fn default_capabilities(&self) -> TargetCapabilities {
        TargetCapabilities {
            // PUT changes only what is sent.
            patch: true,
            ..TargetCapabilities::untested(vec![MatchKey::ExternalId, MatchKey::Email], MatchKey::Email, PAGE_SIZE)
        }
    }

    fn needs_account(&self) -> bool {
        true
    }

    fn password_attribute(&self) -> Option<&'static str> {
        Some("Password")
    }

    fn key_attribute(&self, key: MatchKey) -> Option<&'static str> {
        (key == MatchKey::Email).then_some("Email")
    }

    fn attributes(&self, _: &TargetCapabilities) -> Vec<TargetAttribute> {
        let is_mappable = |property: &&Property| {
            is_sent(property) && !matches!(property.field, Some(Field::ExternalId | Field::Status))
        };
        let properties = self.schema.properties.iter().filter(is_mappable);
        properties.map(|property| TargetAttribute::of(property, property.name)).collect()
    }

    fn document(&self, outgoing: &OutgoingUser<'_>, _: &TargetCapabilities) -> Document {
        let user = outgoing.user;
        let id = user.id.to_string();
        let roles = outgoing.labels.roles.clone();
        let names = WrittenNames { roles, ..WrittenNames::default() };
        let context =
            WriteContext { format: Format::Xml, base_url: String::new(), tenant: TenantNumber(0), highest_role: 0 };
        let mut attributes = Vec::new();
        for property in self.schema.properties.iter().filter(|property| is_sent(property)) {
            let value = match property.field {
                Some(Field::ExternalId) => Some(OutputValue::text(&id)),
                Some(Field::Status) => Some(OutputValue::text(if outgoing.is_active { "Active" } else { "Inactive" })),
                // Muster invites users itself, unless a client wants the target to do it.
                Some(Field::DoNotEmail) => Some(OutputValue::Bool(user.do_not_email.unwrap_or(true))),
                Some(Field::License) => user.license.as_ref().map(OutputValue::text),
                _ => write::value(&context, property, user, &names),
            };
            attributes.push(DocumentAttribute { name: property.name.into(), value });
        }
        let email = user.email().map(|email| (MatchKey::Email, email.to_owned()));
        Document { attributes, keys: std::iter::once((MatchKey::ExternalId, id)).chain(email).collect() }
    }

    fn request(&self, endpoint: &Endpoint<'_>, operation: &Operation<'_>) -> Result<Request<Bytes>, http::Error> {
        let base = format!("{}{}", endpoint.url, self.path);
        let query = |pairs: &[(&str, &str)]| {
            let mut query = form_urlencoded::Serializer::new(String::new());
            query.append_pair(self.account, endpoint.account).append_pair("IntegrationKey", endpoint.key);
            query.extend_pairs(pairs).append_pair("format", "json");
            query.finish()
        };
        let get =
            |url: String| Request::builder().uri(url).header(header::ACCEPT, "application/json").body(Bytes::new());
        let send = |method: Method, members: Vec<(Cow<'static, str>, OutputValue)>| {
            Request::builder()
                .method(method)
                .uri(format!("{base}?format=xml"))
                .header(header::CONTENT_TYPE, "application/xml")
                .header(header::ACCEPT, "application/xml")
                .body(self.body(endpoint, members).into())
        };
        match operation {
            Operation::Create(document) => {
                let is_set = |attribute: &&DocumentAttribute| {
                    // A new user is always invited, unless it is to be inactive.
                    attribute.name != "Status" || attribute.value == Some(OutputValue::text("Inactive"))
                };
                let attributes = document.attributes.iter().filter(is_set);
                let members = attributes.filter_map(|it| Some((it.name.clone(), it.value.clone()?)));
                send(Method::POST, members.collect())
            }
            Operation::Update { id, document, changed, .. } => {
                let changed = changed.iter().filter_map(|index| document.attributes.get(*index));
                // Only a create can send an invitation.
                let changed = changed.filter(|attribute| attribute.name != "DoNotEmail");
                let members =
                    changed.map(|it| (it.name.clone(), it.value.clone().unwrap_or_else(|| self.unset(&it.name))));
                let id = (Cow::Borrowed("Id"), OutputValue::text(*id));
                send(Method::PUT, std::iter::once(id).chain(members).collect())
            }
            // The documents show the id in the body and in the query. The query is what proxies pass on.
            Operation::Delete { id } => Request::builder()
                .method(Method::DELETE)
                .uri(format!("{base}?{}", query(&[("Id", id)])))
                .header(header::ACCEPT, "application/json")
                .body(Bytes::new()),
            Operation::Get { id } => get(format!("{base}?{}", query(&[("Id", id)]))),
            Operation::Find { key, value } => {
                let name = if *key == MatchKey::ExternalId { "ExternalId" } else { "Email" };
                get(format!("{base}/search?{}", query(&[(name, value)])))
            }
            Operation::List { offset, limit } => {
                let size = (*limit).clamp(1, PAGE_SIZE);
                let (page, size) = ((offset / u64::from(size)).to_string(), size.to_string());
                get(format!("{base}/search?{}", query(&[("PageNo", &page), ("PageSize", &size)])))
            }
        }
    }

    fn judge(&self, operation: &Operation<'_>, response: &Response<Bytes>) -> Verdict {
        let body = parse(response);
        let status_of =
            |body: &Object| body.get("ResponseStatus", Duplicates::FirstWins).and_then(Node::as_object).cloned();
        let status = body.as_ref().and_then(status_of);
        // The documents have no 404: a missing user is a 400. A 404 or 405 means that there is no such endpoint.
        match judge_status(operation, response, status.as_ref()) {
            Some(Verdict::NotFound) if status.is_some() => {}
            Some(Verdict::Unsupported | Verdict::NotFound) => return Verdict::InvalidResponse("no such endpoint"),
            Some(verdict) => return verdict,
            None => {}
        }
        if is_html(response) {
            return Verdict::InvalidResponse("an HTML page");
        }
        let Some(body) = body else {
            let is_empty = response.body().iter().all(u8::is_ascii_whitespace);
            return match operation {
                Operation::Delete { .. } if response.status().is_success() && is_empty => Verdict::Done(None),
                _ if response.status().is_success() => Verdict::InvalidResponse("neither XML nor JSON"),
                _ => Verdict::Rejected(response.status().as_u16().to_string()),
            };
        };
        let code = status.as_ref().and_then(|status| text_member(status, "ErrorCode"));
        if !response.status().is_success() || code.is_some() {
            return judge_error(operation, response.status(), status.as_ref());
        }
        let user = || body.get(self.schema.name, Duplicates::FirstWins).and_then(Node::as_object).and_then(account);
        match operation {
            Operation::Delete { .. } => Verdict::Done(None),
            Operation::Create(_) => {
                user().map_or(Verdict::InvalidResponse("no user with an id"), |account| Verdict::Done(Some(account)))
            }
            Operation::Update { id, .. } | Operation::Get { id } => match user() {
                Some(account) if account.id == canonical_id(id) => Verdict::Done(Some(account)),
                Some(_) => Verdict::OtherAccount,
                None => Verdict::InvalidResponse("no user with an id"),
            },
            Operation::Find { .. } | Operation::List { .. } => self.page(&body),
        }
    }
}

/// What is sent of a user. Groups and folders are not: they are ids of the target.
fn is_sent(property: &Property) -> bool {
    let is_writable = property.direction == Direction::Both || property.field == Some(Field::DoNotEmail);
    let slot = property.field.and_then(Field::attribute).map(|attribute| attribute.slot);
    is_writable && slot.is_some_and(|slot| !matches!(slot, Slot::Id | Slot::Items(_) | Slot::Password))
}

impl Client {
    fn body(&self, endpoint: &Endpoint<'_>, mut members: Vec<(Cow<'static, str>, OutputValue)>) -> String {
        members.push((Cow::Borrowed(self.account), OutputValue::text(endpoint.account)));
        members.push((Cow::Borrowed("IntegrationKey"), OutputValue::text(endpoint.key)));
        // `DataContract` readers need members in ordinal order.
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        let root_attributes = match wire::namespace(self.schema) {
            Some(_) => write::V1_NAMESPACES,
            None => "",
        };
        let options = xml::WriteOptions { declaration: write::XML_DECLARATION, root_attributes };
        xml::write(options, self.schema.name, &OutputValue::Object(members))
    }

    /// The value that clears an attribute.
    fn unset(&self, name: &str) -> OutputValue {
        match self.schema.properties.iter().find(|property| property.name == name).map(|it| it.value_type) {
            Some(ValueType::List(item, _)) => OutputValue::List(item, Vec::new()),
            _ => OutputValue::text(""),
        }
    }

    fn page(&self, body: &Object) -> Verdict {
        let list = format!("{}s", self.schema.name);
        let total = text_member(body, "TotalRows").and_then(|text| text.parse().ok());
        let rows = match body.get(&list, Duplicates::FirstWins) {
            Some(rows) => rows.entries(self.schema.name),
            None if total == Some(0) => Vec::new(),
            None => return Verdict::InvalidResponse("no list of users"),
        };
        match rows.into_iter().map(|row| row.as_object().and_then(account)).collect() {
            Some(accounts) => Verdict::Found(AccountPage { accounts, total }),
            None => Verdict::InvalidResponse("a user without an id"),
        }
    }
}

/// The members below the root element, or of the JSON object.
fn parse(response: &Response<Bytes>) -> Option<Object> {
    let text = std::str::from_utf8(response.body()).ok()?;
    let start = text.trim_start_matches('\u{FEFF}').trim_start();
    let node = if start.starts_with('<') { xml::parse(text).ok()?.node } else { json::parse(text).ok()? };
    match node {
        Node::Object(object) => Some(object),
        // `<UserResponse/>`
        Node::Text(text) if start.starts_with('<') && text.trim().is_empty() => Some(Object::default()),
        _ => None,
    }
}

/// 32 digits in JSON and dashed in XML are the same id.
fn canonical_id(text: &str) -> String {
    Uuid::try_parse(text.trim()).map_or_else(|_| text.trim().to_owned(), |id| id.simple().to_string())
}

fn account(object: &Object) -> Option<Account> {
    let text = |name| text_member(object, name).map(str::to_owned);
    let is_active = text("Status").map(|status| !status.eq_ignore_ascii_case("Inactive"));
    Some(Account {
        id: canonical_id(text_member(object, "Id")?),
        external_id: text("ExternalId"),
        user_name: None,
        email: text("Email"),
        is_active,
        id_proof: IdProof::None,
    })
}

fn judge_error(operation: &Operation<'_>, http_status: StatusCode, status: Option<&Object>) -> Verdict {
    let text = |name| status.and_then(|status| text_member(status, name)).unwrap_or_default();
    let errors = status.and_then(|status| status.get("Errors", Duplicates::FirstWins));
    let entries = errors.map(|errors| errors.entries("ResponseError")).unwrap_or_default();
    let code_of = |error: &Node| {
        let error = error.as_object()?;
        let text = |name| text_member(error, name).unwrap_or_default().to_owned();
        Some((text("ErrorCode"), text("FieldName")))
    };
    let mut codes: Vec<(String, String)> = entries.into_iter().filter_map(code_of).collect();
    if codes.is_empty() {
        // With errors of fields, it is that of the first one.
        codes.push((text("ErrorCode").to_owned(), String::new()));
    }
    let has_id = matches!(operation, Operation::Update { .. } | Operation::Delete { .. } | Operation::Get { .. });
    if has_id && codes.iter().any(|(code, field)| code.contains("NotFound") && matches!(field.as_str(), "" | "Id")) {
        return Verdict::NotFound;
    }
    let taken = codes.iter().find(|(code, _)| code.contains("AlreadyExists"));
    if let (Some((_, field)), Operation::Create(_) | Operation::Update { .. }) = (taken, operation) {
        return Verdict::Duplicate(match field.as_str() {
            "Email" => Some(MatchKey::Email),
            "ExternalId" => Some(MatchKey::ExternalId),
            _ => None,
        });
    }
    if codes.iter().any(|(code, _)| code == "Unauthorized") {
        return Verdict::Denied;
    }
    let first = codes.first().map_or(["", ""], |(code, field)| [code.as_str(), field.as_str()]);
    rejected(http_status, operation, &first, text("Message"))
}
