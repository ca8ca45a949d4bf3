//! Muster as a client of the `ccs` API: the users of targets that have it.
//!
//! The documents of the API have only POST, so that is all that a target is assumed to have before it was tested. They have
//! no status and no external id either: accounts are recognized by email, and cannot be deactivated.

use super::wire;
use crate::kit::{
    Account, AccountPage, Direction, Discovery, Document, DocumentAttribute, Duplicates, Endpoint, Node, Object,
    Operation, OutgoingUser, OutputValue, Property, TargetAttribute, TargetClient, Verdict, encode_segment, is_html,
    json, judge_status, rejected, text_member,
};
use bytes::Bytes;
use directory::{BUILTIN_ROLES, Field, MatchKey, TargetCapabilities, builtin_role_name, fold};
use http::{Method, Request, Response, header};

pub(crate) struct Client;

pub(crate) static CLIENT: Client = Client;

const PATH: &str = "/request/user";
const PAGE_SIZE: u32 = 250;
/// What a target has whose roles have the numbers of Muster's built-in roles.
const HAS_BUILTIN_ROLES: &str = "built-in role numbers";
/// Invalid members that are named at most.
const MAX_INVALID: usize = 5;

impl TargetClient for Client {
    fn name(&self) -> &'static str {
        "ccs"
    }

    fn default_capabilities(&self) -> TargetCapabilities {
        TargetCapabilities {
            creates_only: true,
            lists_all: false,
            deactivates: false,
            deletes: false,
            ..TargetCapabilities::untested(Vec::new(), MatchKey::Email, PAGE_SIZE)
        }
    }

    fn search_keys(&self) -> &'static [MatchKey] {
        &[]
    }

    fn creates_show_user(&self) -> bool {
        false
    }

    fn password_attribute(&self) -> Option<&'static str> {
        Some("password")
    }

    fn key_attribute(&self, key: MatchKey) -> Option<&'static str> {
        (key == MatchKey::Email).then_some("email")
    }

    fn attributes(&self, _: &TargetCapabilities) -> Vec<TargetAttribute> {
        sent_properties().map(|property| TargetAttribute::of(property, property.name)).collect()
    }

    fn document(&self, outgoing: &OutgoingUser<'_>, capabilities: &TargetCapabilities) -> Document {
        let user = outgoing.user;
        let has_builtin_roles = capabilities.extensions.iter().any(|known| known == HAS_BUILTIN_ROLES);
        let value = |property: &Property| match property.field? {
            // Numbers of roles are the target's: a wrong one could give more rights.
            Field::Role => user
                .role
                .filter(|role| has_builtin_roles && builtin_role_name(*role).is_some())
                .map(|role| OutputValue::Integer(role.into())),
            Field::ForcePasswordChange => Some(OutputValue::Bool(user.force_password_change.unwrap_or(false))),
            field => user.text(field).map(OutputValue::text),
        };
        // Numbers of departments are the target's, too: only a mapping sets them.
        let attributes = sent_properties()
            .filter(|property| property.field != Some(Field::Department))
            .map(|property| DocumentAttribute { name: property.name.into(), value: value(property) })
            .collect();
        let keys = user.email().map(|email| (MatchKey::Email, email.to_owned()));
        Document { attributes, keys: keys.into_iter().collect() }
    }

    /// PUT always needs the required members, and there is no status.
    fn without_invalid(&self, document: &mut Document, _: &[&str]) {
        document.attributes.clear();
    }

    fn request(&self, endpoint: &Endpoint<'_>, operation: &Operation<'_>) -> Result<Request<Bytes>, http::Error> {
        let users = format!("{}{PATH}", endpoint.url);
        let by_id = |id: &str| format!("{users}/{}", encode_segment(id));
        let (method, url, body) = match operation {
            Operation::Create(document) => {
                let set = document.attributes.iter().filter_map(|it| Some((it.name.clone(), it.value.clone()?)));
                (Method::POST, users, Some(OutputValue::Object(set.collect())))
            }
            // A null clears.
            Operation::Update { id, document, .. } => {
                let members = document.attributes.iter();
                let members = members.map(|it| (it.name.clone(), it.value.clone().unwrap_or(OutputValue::Null)));
                (Method::PUT, by_id(id), Some(OutputValue::Object(members.collect())))
            }
            Operation::Delete { id } => (Method::DELETE, by_id(id), None),
            Operation::Get { id } => (Method::GET, by_id(id), None),
            // There is no search.
            Operation::Find { .. } => (Method::GET, format!("{users}?skip=0&take=1"), None),
            Operation::List { offset, limit } => (Method::GET, format!("{users}?skip={offset}&take={limit}"), None),
        };
        let request = Request::builder().method(method).uri(url).header(header::ACCEPT, "application/json");
        match body {
            Some(body) => request.header(header::CONTENT_TYPE, "application/json").body(json::write(&body).into()),
            None => request.body(Bytes::new()),
        }
    }

    fn judge(&self, operation: &Operation<'_>, response: &Response<Bytes>) -> Verdict {
        if let Operation::Find { .. } = operation {
            return Verdict::Unsupported;
        }
        let body = std::str::from_utf8(response.body()).ok().and_then(|text| json::parse(text).ok());
        let object = body.as_ref().and_then(Node::as_object);
        let error = object.filter(|object| member(object, "message").is_some());
        if let Some(verdict) = judge_status(operation, response, error) {
            return verdict;
        }
        if is_html(response) {
            return Verdict::InvalidResponse("an HTML page");
        }
        if !response.status().is_success() {
            return error.map_or(Verdict::InvalidResponse("not one of this API"), |error| {
                judge_error(operation, response, error)
            });
        }
        match operation {
            Operation::Delete { .. } => Verdict::Done(None),
            Operation::Create(_) => match object.and_then(account) {
                Some(account) => Verdict::Done(Some(account)),
                None => Verdict::InvalidResponse("no user with an id"),
            },
            Operation::Update { id, .. } | Operation::Get { id } => match object.and_then(account) {
                Some(account) if account.id == *id => Verdict::Done(Some(account)),
                Some(_) => Verdict::OtherAccount,
                None => Verdict::InvalidResponse("no user with an id"),
            },
            Operation::Find { .. } | Operation::List { .. } => match &body {
                Some(Node::List(rows)) => {
                    let accounts: Option<Vec<Account>> =
                        rows.iter().map(|row| row.as_object().and_then(account)).collect();
                    accounts.map_or(Verdict::InvalidResponse("a user without an id"), |accounts| {
                        // The list does not say how many there are.
                        let total = accounts.is_empty().then_some(0);
                        Verdict::Found(AccountPage { accounts, total })
                    })
                }
                _ => Verdict::InvalidResponse("no list of users"),
            },
        }
    }

    fn discovery(&self) -> &'static [Discovery] {
        &[Discovery { path: "/request/role", apply: apply_roles }]
    }
}

/// What is sent of a user. Muster sends no passwords.
fn sent_properties() -> impl Iterator<Item = &'static Property> {
    let is_sent = |property: &&Property| {
        property.direction == Direction::Both && !matches!(property.field, Some(Field::Number | Field::Password))
    };
    wire::USER_POST.properties.iter().filter(is_sent)
}

fn member<'a>(object: &'a Object, name: &str) -> Option<&'a Node> {
    object.get(name, Duplicates::LastWins)
}

/// Responses to changes have only the id.
fn account(object: &Object) -> Option<Account> {
    let id = text_member(object, "id").filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))?;
    Some(Account { id: id.to_owned(), email: text_member(object, "email").map(str::to_owned), ..Account::default() })
}

fn judge_error(operation: &Operation<'_>, response: &Response<Bytes>, error: &Object) -> Verdict {
    let message = text_member(error, "message").unwrap_or_default();
    let folded = fold(message);
    // The documents show no errors: this text is Muster's, and others mean the same by similar ones.
    let is_duplicate = folded.contains("email") && (folded.contains("already") || folded.contains("exists"));
    if is_duplicate && matches!(operation, Operation::Create(_) | Operation::Update { .. }) {
        return Verdict::Duplicate(Some(MatchKey::Email));
    }
    // Members that are not valid. Their messages can repeat what was sent.
    let invalid: Vec<&str> = match member(error, "modelState") {
        Some(Node::Object(state)) => state.members.iter().map(|(name, _)| name.as_str()).collect(),
        _ => Vec::new(),
    };
    let names = invalid.iter().take(MAX_INVALID).map(|name| name.rsplit('.').next().unwrap_or(name));
    let codes: Vec<&str> = names.collect();
    rejected(response.status(), operation, &codes, message)
}

/// Whether the target's roles have the numbers of Muster's built-in ones.
fn apply_roles(body: &Node, capabilities: &mut TargetCapabilities) {
    let Node::List(roles) = body else { return };
    let has = |(number, name): &(u32, &str)| {
        let is_same = |role: &Object| {
            text_member(role, "id") == Some(&number.to_string()) && text_member(role, "label") == Some(name)
        };
        roles.iter().filter_map(Node::as_object).any(is_same)
    };
    if BUILTIN_ROLES.iter().all(has) {
        capabilities.extensions.push(HAS_BUILTIN_ROLES.to_owned());
    }
}
