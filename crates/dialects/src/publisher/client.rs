//! Muster as a client of the `publisher` API: the users of targets that have it.
//!
//! PUT replaces a user. The documents do not say whether it changes the status, too, so that is a separate request. The
//! API cannot delete: users are archived.

use super::{status, wire, write};
use crate::kit::{
    Account, AccountPage, AttributeKind, Direction, Document, DocumentAttribute, Duplicates, Endpoint, IdProof, Node,
    Object, ObjectSchema, Operation, OutgoingUser, OutputValue, Property, TargetAttribute, TargetClient, Verdict,
    encode_segment, is_html, json, judge_status, rejected, text_member,
};
use bytes::Bytes;
use directory::{MatchKey, ProfileLinkKind, Status, TargetCapabilities, User, fold};
use http::{Method, Request, Response, StatusCode, header};

pub(crate) struct Client;

pub(crate) static CLIENT: Client = Client;

const PATH: &str = "/api/2/users";
/// The default of `limit`.
const PAGE_SIZE: u32 = 200;
const STATUS: &str = "status";
const ACTIVATE: &str = "activate";
/// What is read of accounts in lists, which otherwise show only the number and email.
const FIELDS: &str = "id,email,externalid,status";
/// `ref` of errors.
const NO_SUCH_USER: &str = "108";
const NO_SUCH_RESOURCE: &str = "404";
const API_DISABLED: &str = "51";
const EMAIL_TAKEN: &str = "103";
const EXTERNAL_ID_TAKEN: &str = "105";
/// Accounts that a search returns at most: two are too many already.
const MAX_FOUND: u32 = 2;

impl TargetClient for Client {
    fn name(&self) -> &'static str {
        "publisher"
    }

    fn default_capabilities(&self) -> TargetCapabilities {
        TargetCapabilities::untested(vec![MatchKey::Email], MatchKey::Email, PAGE_SIZE)
    }

    fn deletes_accounts(&self) -> bool {
        false
    }

    fn key_attribute(&self, key: MatchKey) -> Option<&'static str> {
        (key == MatchKey::Email).then_some("email")
    }

    fn attributes(&self, _: &TargetCapabilities) -> Vec<TargetAttribute> {
        let mut attributes = Vec::new();
        for property in sent_properties() {
            match property.name {
                "externalid" | STATUS => {}
                "name" => attributes.extend(TargetAttribute::members_of(&wire::NAME)),
                "location" => attributes.extend(TargetAttribute::members_of(&wire::LOCATION)),
                "organisation" => attributes.push(TargetAttribute {
                    name: "organisation.orgname".into(),
                    kind: AttributeKind::Text,
                    required: false,
                    max_chars: 0,
                }),
                name => attributes.push(TargetAttribute::of(property, name)),
            }
        }
        attributes
    }

    fn document(&self, outgoing: &OutgoingUser<'_>, _: &TargetCapabilities) -> Document {
        let user = outgoing.user;
        let id = user.id.to_string();
        let mut attributes = Vec::new();
        for property in sent_properties() {
            let value = match property.name {
                STATUS => Some(OutputValue::text(status_of(user.status, outgoing.is_active))),
                "externalid" => Some(OutputValue::text(&id)),
                "name" => texts(user, &wire::NAME),
                "location" => texts(user, &wire::LOCATION),
                "organisation" => organization(outgoing),
                "sociallinks" => write::links(user, ProfileLinkKind::Social),
                "customlinks" => write::links(user, ProfileLinkKind::Custom),
                "messaginglinks" => write::links(user, ProfileLinkKind::Messaging),
                _ => property.field.and_then(|field| user.text(field)).map(OutputValue::text),
            };
            attributes.push(DocumentAttribute { name: property.name.into(), value });
        }
        let email = user.email().map(|email| (MatchKey::Email, email.to_owned()));
        Document { attributes, keys: std::iter::once((MatchKey::ExternalId, id)).chain(email).collect() }
    }

    /// PUT replaces the account, so that only the status can be sent.
    fn without_invalid(&self, document: &mut Document, _: &[&str]) {
        document.attributes.retain(|attribute| attribute.name == STATUS);
    }

    fn requests_of_update(&self, document: &Document, changed: &[usize]) -> Vec<Vec<usize>> {
        let is_status = |index: &usize| document.attributes.get(*index).is_some_and(|it| it.name == STATUS);
        let (status, others): (Vec<usize>, Vec<usize>) = changed.iter().partition(|index| is_status(index));
        let is_activation = new_status(document, &status) == Some(ACTIVATE);
        // A deactivation does not wait for what the target may reject; an activation does.
        let parts = if is_activation { [others, status] } else { [status, others] };
        parts.into_iter().filter(|part| !part.is_empty()).collect()
    }

    fn request(&self, endpoint: &Endpoint<'_>, operation: &Operation<'_>) -> Result<Request<Bytes>, http::Error> {
        let users = format!("{}{PATH}", endpoint.url);
        let by_key = |key: &str| format!("{users}/{}", encode_segment(key));
        let (method, url, body) = match operation {
            Operation::Create(document) => (Method::POST, users, Some(body(document))),
            Operation::Update { id, document, changed, .. } => match new_status(document, changed) {
                Some(action) => (Method::POST, format!("{}/{action}", by_key(id)), None),
                None => (Method::PUT, by_key(id), Some(body(document))),
            },
            Operation::Delete { id } => (Method::POST, format!("{}/archive", by_key(id)), None),
            Operation::Get { id } => (Method::GET, by_key(id), None),
            Operation::Find { key: MatchKey::Email, value } => (Method::GET, by_key(value), None),
            Operation::Find { value, .. } => (
                Method::GET,
                format!("{users}?search={}&fields={FIELDS}&limit={MAX_FOUND}", encode_segment(value)),
                None,
            ),
            Operation::List { offset, limit } => {
                (Method::GET, format!("{users}?fields={FIELDS}&offset={offset}&limit={limit}"), None)
            }
        };
        let request = Request::builder().method(method).uri(url).header(header::ACCEPT, "application/json");
        match body {
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(json::write(&body).into()),
            None => request.body(Bytes::new()),
        }
    }

    fn judge(&self, operation: &Operation<'_>, response: &Response<Bytes>) -> Verdict {
        let body = std::str::from_utf8(response.body()).ok().and_then(|text| json::parse(text).ok());
        let object = body.as_ref().and_then(Node::as_object);
        let error = object.and_then(|object| member(object, "error")).and_then(Node::as_object);
        let reference = error.and_then(|error| text_member(error, "ref")).unwrap_or_default();
        match (operation, response.status(), reference) {
            (_, StatusCode::FORBIDDEN, API_DISABLED) => return Verdict::Denied,
            (Operation::Find { key: MatchKey::Email, .. }, StatusCode::NOT_FOUND, NO_SUCH_USER) => {
                return Verdict::Found(AccountPage { accounts: Vec::new(), total: Some(0) });
            }
            _ => {}
        }
        // What is missing can be something else than the user, such as the organization.
        let is_other =
            response.status() == StatusCode::NOT_FOUND && !matches!(reference, "" | NO_SUCH_USER | NO_SUCH_RESOURCE);
        if !is_other && let Some(verdict) = judge_status(operation, response, error) {
            return verdict;
        }
        if is_html(response) {
            return Verdict::InvalidResponse("an HTML page");
        }
        if let (Some(error), false) = (error, response.status().is_success()) {
            return judge_error(operation, response.status(), error, reference);
        }
        let Some(object) = object.filter(|_| response.status().is_success()) else {
            return Verdict::InvalidResponse("not one of this API");
        };
        let user = || member(object, "user").and_then(Node::as_object).and_then(account);
        match operation {
            Operation::Create(_) => {
                user().map_or(Verdict::InvalidResponse("no user with an id"), |account| Verdict::Done(Some(account)))
            }
            Operation::Update { id, .. } | Operation::Delete { id } | Operation::Get { id } => match user() {
                Some(account) if account.id == *id => Verdict::Done(Some(account)),
                Some(_) => Verdict::OtherAccount,
                None => Verdict::InvalidResponse("no user with an id"),
            },
            Operation::Find { key: MatchKey::Email, .. } => match user() {
                Some(account) => Verdict::Found(AccountPage { accounts: vec![account], total: Some(1) }),
                None => Verdict::InvalidResponse("no user with an id"),
            },
            Operation::Find { .. } | Operation::List { .. } => page(object),
        }
    }
}

/// The status, which has requests of its own, then the others. The number is the target's.
fn sent_properties() -> impl Iterator<Item = &'static Property> {
    let is_sent = |property: &&Property| property.direction != Direction::Response && property.name != "id";
    let (status, others): (Vec<_>, Vec<_>) =
        wire::USER.properties.iter().filter(is_sent).partition(|property| property.name == STATUS);
    status.into_iter().chain(others)
}

/// The status in the target. Invited users are active there, since Muster invites users itself; no request suspends.
fn status_of(status: Status, is_active: bool) -> &'static str {
    match status {
        _ if is_active => "active",
        Status::Archived => "archive",
        _ => "disable",
    }
}

fn texts(user: &User, schema: &'static ObjectSchema) -> Option<OutputValue> {
    let texts = schema.text_properties().filter_map(|(part, field)| Some((part.name, user.text(field)?)));
    let members: Vec<_> = texts.map(|(name, text)| (name, OutputValue::text(text))).collect();
    (!members.is_empty()).then(|| OutputValue::object(members))
}

/// By name: the numbers of organizations and of their addresses are the target's.
fn organization(outgoing: &OutgoingUser<'_>) -> Option<OutputValue> {
    let name = outgoing.labels.items.get(&outgoing.user.organization?)?;
    Some(OutputValue::object(vec![("orgname", OutputValue::text(name))]))
}

/// The complete user.
fn body(document: &Document) -> OutputValue {
    let members = document.attributes.iter().filter_map(|it| Some((it.name.clone(), it.value.clone()?)));
    OutputValue::object(vec![("user", OutputValue::Object(members.collect()))])
}

/// The request that changes the status, if nothing else changes.
fn new_status(document: &Document, changed: &[usize]) -> Option<&'static str> {
    let [index] = changed else { return None };
    let attribute = document.attributes.get(*index).filter(|attribute| attribute.name == STATUS)?;
    Some(match attribute.value.as_ref()? {
        OutputValue::Text(text) if text == "active" => ACTIVATE,
        OutputValue::Text(text) if text == "archive" => "archive",
        _ => "disable",
    })
}

fn member<'a>(object: &'a Object, name: &str) -> Option<&'a Node> {
    object.get(name, Duplicates::FirstWins)
}

fn account(object: &Object) -> Option<Account> {
    let text = |name| text_member(object, name).map(str::to_owned);
    let id = text("id")?;
    let id_proof = text("link").map_or(IdProof::None, |link| id_proof(&id, &link));
    Some(Account {
        external_id: text("externalid"),
        user_name: None,
        email: text("email"),
        is_active: text(STATUS).map(|status| status::parse_user_status(&status) == Some(Status::Active)),
        id_proof,
        id,
    })
}

/// Links end in the number of the user.
fn id_proof(id: &str, link: &str) -> IdProof {
    match link.trim_end_matches('/').rsplit('/').next() {
        Some(last) if last == id => IdProof::Same,
        Some(last) if !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit()) => IdProof::Different,
        _ => IdProof::None,
    }
}

/// `{"users": {"totalcount": 1, "users": […]}}`, as the documents show it for bulk requests.
fn page(object: &Object) -> Verdict {
    let list = member(object, "users").and_then(Node::as_object);
    let rows = list.and_then(|list| member(list, "users"));
    let (Some(list), Some(Node::List(rows))) = (list, rows) else {
        return Verdict::InvalidResponse("no list of users");
    };
    let total = text_member(list, "totalcount").and_then(|text| text.parse().ok());
    match rows.iter().map(|row| row.as_object().and_then(account)).collect() {
        Some(accounts) => Verdict::Found(AccountPage { accounts, total }),
        None => Verdict::InvalidResponse("a user without an id"),
    }
}

fn judge_error(operation: &Operation<'_>, status: StatusCode, error: &Object, reference: &str) -> Verdict {
    let summary = text_member(error, "summary").unwrap_or_default();
    let text = fold(summary);
    let is_user = text.contains("user") || text.contains("email") || text.contains("e-mail");
    match (operation, reference) {
        (Operation::Create(_) | Operation::Update { .. }, EXTERNAL_ID_TAKEN) => {
            Verdict::Duplicate(Some(MatchKey::ExternalId))
        }
        // The documents have no number for it: 103 is Muster's. Organizations can exist already, too.
        (Operation::Create(_) | Operation::Update { .. }, reference)
            if reference == EMAIL_TAKEN || is_user && text.contains("already exist") =>
        {
            Verdict::Duplicate(Some(MatchKey::Email))
        }
        _ => rejected(status, operation, &[reference], summary),
    }
}
