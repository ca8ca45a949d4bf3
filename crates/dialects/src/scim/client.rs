//! Muster as a SCIM client (RFC 7644): the users of targets that are SCIM service providers.

use super::wire::{self, Schema};
use super::write;
use crate::kit::{
    Account, AccountPage, Direction, Discovery, Document, DocumentAttribute, Duplicates, Endpoint, IdProof, Node,
    Object, Operation, OutgoingUser, OutputValue, Property, TargetAttribute, TargetClient, ValueType, Verdict,
    encode_segment, is_html, json, judge_status, rejected, text_member,
};
use bytes::Bytes;
use directory::{Field, MatchKey, TargetCapabilities};
use http::{Method, Request, Response, StatusCode, header};
use std::borrow::Cow;

pub(crate) struct Client;

pub(crate) static CLIENT: Client = Client;

const MEDIA_TYPE: &str = "application/scim+json";
const PATCH_URN: &str = "urn:ietf:params:scim:api:messages:2.0:PatchOp";
/// Accounts in a page, if the target does not say how many it returns.
const PAGE_SIZE: u32 = 100;

impl TargetClient for Client {
    fn name(&self) -> &'static str {
        "scim"
    }

    /// What RFC 7644 requires of every service provider, and the enterprise extension, which nearly all have.
    fn default_capabilities(&self) -> TargetCapabilities {
        let finds_by = vec![MatchKey::ExternalId, MatchKey::UserName];
        TargetCapabilities {
            extensions: vec![wire::ENTERPRISE_SCHEMA.urn.to_owned()],
            ..TargetCapabilities::untested(finds_by, MatchKey::UserName, PAGE_SIZE)
        }
    }

    fn password_attribute(&self) -> Option<&'static str> {
        Some("password")
    }

    fn key_attribute(&self, key: MatchKey) -> Option<&'static str> {
        (key == MatchKey::UserName).then_some("userName")
    }

    fn attributes(&self, capabilities: &TargetCapabilities) -> Vec<TargetAttribute> {
        let mut attributes = Vec::new();
        for (schema, urn) in sent_schemas(capabilities) {
            for (path, property, _) in sent_properties(schema, urn) {
                if property.field != Some(Field::Active) {
                    attributes.push(TargetAttribute::of(property, path));
                }
            }
        }
        attributes
    }

    fn document(&self, outgoing: &OutgoingUser<'_>, capabilities: &TargetCapabilities) -> Document {
        let user = outgoing.user;
        let id = user.id.to_string();
        let mut attributes = vec![DocumentAttribute { name: "externalId".into(), value: Some(OutputValue::text(&id)) }];
        for (schema, urn) in sent_schemas(capabilities) {
            for (name, property, is_manager) in sent_properties(schema, urn) {
                let value = match property.field {
                    _ if is_manager => {
                        outgoing.manager.map(|id| OutputValue::object(vec![("value", OutputValue::text(id))]))
                    }
                    Some(Field::Active) => Some(OutputValue::Bool(outgoing.is_active)),
                    _ => write::attribute(property, user, outgoing.labels),
                };
                attributes.push(DocumentAttribute { name, value });
            }
        }
        let keys = [
            Some((MatchKey::ExternalId, id)),
            Some((MatchKey::UserName, user.user_name.clone())),
            user.email().map(|email| (MatchKey::Email, email.to_owned())),
        ];
        Document { attributes, keys: keys.into_iter().flatten().collect() }
    }

    fn request(&self, endpoint: &Endpoint<'_>, operation: &Operation<'_>) -> Result<Request<Bytes>, http::Error> {
        let users = format!("{}/Users", endpoint.url);
        let by_id = |id: &str| format!("{users}/{}", encode_segment(id));
        let (method, url, body) = match operation {
            Operation::Create(document) => (Method::POST, users, Some(resource(document, None))),
            Operation::Update { id, document, changed, patch: true } => {
                (Method::PATCH, by_id(id), Some(patch(document, changed)))
            }
            Operation::Update { id, document, .. } => (Method::PUT, by_id(id), Some(resource(document, Some(id)))),
            Operation::Delete { id } => (Method::DELETE, by_id(id), None),
            Operation::Get { id } => (Method::GET, by_id(id), None),
            Operation::Find { key, value } => {
                let filter = format!("{} eq {}", attribute_of(*key), json::quote(value));
                (Method::GET, format!("{users}?filter={}&count=3", encode_segment(&filter)), None)
            }
            Operation::List { offset, limit } => {
                (Method::GET, format!("{users}?startIndex={}&count={limit}", offset + 1), None)
            }
        };
        let request = Request::builder().method(method).uri(url).header(header::ACCEPT, MEDIA_TYPE);
        match body {
            Some(body) => request.header(header::CONTENT_TYPE, MEDIA_TYPE).body(json::write(&body).into()),
            None => request.body(Bytes::new()),
        }
    }

    fn judge(&self, operation: &Operation<'_>, response: &Response<Bytes>) -> Verdict {
        let body = std::str::from_utf8(response.body()).ok().and_then(|text| json::parse(text).ok());
        let object = body.as_ref().and_then(Node::as_object);
        let is_error = |object: &&Object| text_member(object, "status").is_some();
        if let Some(verdict) = judge_status(operation, response, object.filter(is_error)) {
            return verdict;
        }
        if is_html(response) {
            return Verdict::InvalidResponse("an HTML page");
        }
        if !response.status().is_success() {
            return judge_error(operation, response.status(), object);
        }
        match operation {
            Operation::Delete { .. } => Verdict::Done(None),
            Operation::Create(_) => match object.and_then(account) {
                Some(mut account) => {
                    let header = response.headers().get(header::LOCATION).and_then(|value| value.to_str().ok());
                    if let Some(location) = header
                        && account.id_proof != IdProof::Different
                    {
                        account.id_proof = id_proof(&account.id, location);
                    }
                    Verdict::Done(Some(account))
                }
                None => Verdict::InvalidResponse("no user with an id"),
            },
            // RFC 7644 section 3.5.2 allows 204 without a body.
            Operation::Update { .. } if response.body().is_empty() => Verdict::Done(None),
            Operation::Update { id, .. } | Operation::Get { id } => match object.and_then(account) {
                Some(account) if account.id == *id => Verdict::Done(Some(account)),
                Some(_) => Verdict::OtherAccount,
                None => Verdict::InvalidResponse("no user with an id"),
            },
            Operation::Find { .. } | Operation::List { .. } => {
                object.and_then(page).map_or(Verdict::InvalidResponse("no list of users"), Verdict::Found)
            }
        }
    }

    fn discovery(&self) -> &'static [Discovery] {
        &[
            Discovery { path: "/ServiceProviderConfig", apply: apply_config },
            Discovery { path: "/Schemas", apply: apply_schemas },
        ]
    }
}

/// The schemas that the target has, those of extensions with their URNs.
fn sent_schemas(capabilities: &TargetCapabilities) -> impl Iterator<Item = (&'static Schema, Option<&'static str>)> {
    let extensions = [&wire::ENTERPRISE_SCHEMA, &wire::MUSTER_SCHEMA].into_iter();
    let known = extensions.filter(|schema| capabilities.extensions.iter().any(|urn| urn == schema.urn));
    std::iter::once((&wire::USER_SCHEMA, None)).chain(known.map(|schema| (schema, Some(schema.urn))))
}

/// The writable attributes of a schema with their paths, and whether it is the manager, which is set as a whole.
fn sent_properties(
    schema: &'static Schema,
    urn: Option<&'static str>,
) -> Vec<(Cow<'static, str>, &'static Property, bool)> {
    let mut properties = Vec::new();
    for property in schema.object_schema.properties.iter().filter(|property| property.direction == Direction::Both) {
        let name = match urn {
            Some(urn) => Cow::Owned(format!("{urn}:{}", property.name)),
            None => Cow::Borrowed(property.name),
        };
        match property.value_type {
            ValueType::Object(inner) if !std::ptr::eq(inner, &raw const wire::MANAGER) => {
                let parts = inner.properties.iter().filter(|part| part.direction == Direction::Both);
                properties.extend(parts.map(|part| (Cow::Owned(format!("{name}.{}", part.name)), part, false)));
            }
            ValueType::Object(_) => properties.push((name, property, true)),
            _ => properties.push((name, property, false)),
        }
    }
    properties
}

/// Where the path of an attribute leads: the extension, if there is one, the attribute, and the sub-attribute.
fn split_path(name: &str) -> (Option<&'static str>, &str, Option<&str>) {
    let extensions = [wire::ENTERPRISE_SCHEMA.urn, wire::MUSTER_SCHEMA.urn];
    let in_extension = extensions.into_iter().find_map(|urn| Some((urn, name.strip_prefix(urn)?.strip_prefix(':')?)));
    match in_extension {
        Some((urn, rest)) => (Some(urn), rest, None),
        None => name.split_once('.').map_or((None, name, None), |(name, part)| (None, name, Some(part))),
    }
}

type Members = Vec<(Cow<'static, str>, OutputValue)>;

/// The complete resource.
fn resource(document: &Document, id: Option<&str>) -> OutputValue {
    let mut members: Members = Vec::new();
    // Objects of extensions and complex attributes, by name.
    let mut objects: Vec<(&str, Members)> = Vec::new();
    let mut schemas = vec![OutputValue::text(wire::USER_SCHEMA.urn)];
    members.extend(id.map(|id| (Cow::Borrowed("id"), OutputValue::text(id))));
    for attribute in &document.attributes {
        let Some(value) = &attribute.value else { continue };
        let (urn, name, part) = split_path(&attribute.name);
        let member = (Cow::Owned(part.unwrap_or(name).to_owned()), value.clone());
        let Some(object) = urn.or(part.map(|_| name)) else {
            members.push(member);
            continue;
        };
        if let Some((_, inner)) = objects.iter_mut().find(|(known, _)| *known == object) {
            inner.push(member);
            continue;
        }
        schemas.extend(urn.map(OutputValue::text));
        objects.push((object, vec![member]));
    }
    members.insert(0, (Cow::Borrowed("schemas"), OutputValue::List("schemas", schemas)));
    members.extend(objects.into_iter().map(|(name, inner)| (Cow::Owned(name.to_owned()), OutputValue::Object(inner))));
    OutputValue::Object(members)
}

/// A PATCH request (RFC 7644 section 3.5.2).
fn patch(document: &Document, changed: &[usize]) -> OutputValue {
    let operations = changed.iter().filter_map(|index| document.attributes.get(*index)).map(|attribute| {
        let path = ("path", OutputValue::text(attribute.name.as_ref()));
        OutputValue::object(match &attribute.value {
            Some(value) => vec![("op", OutputValue::text("replace")), path, ("value", value.clone())],
            None => vec![("op", OutputValue::text("remove")), path],
        })
    });
    OutputValue::object(vec![
        ("schemas", OutputValue::List("schemas", vec![OutputValue::text(PATCH_URN)])),
        ("Operations", OutputValue::List("Operations", operations.collect())),
    ])
}

fn attribute_of(key: MatchKey) -> &'static str {
    match key {
        MatchKey::ExternalId => "externalId",
        MatchKey::UserName => "userName",
        MatchKey::Email => "emails.value",
    }
}

/// Compares an id with the URL of its resource (RFC 7643 section 3.1, `meta.location`).
fn id_proof(id: &str, location: &str) -> IdProof {
    let last = location.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let last = percent_encoding::percent_decode_str(last).decode_utf8_lossy();
    if last == id { IdProof::Same } else { IdProof::Different }
}

fn account(object: &Object) -> Option<Account> {
    let id = text_member(object, "id")?.to_owned();
    let emails = match object.get("emails", Duplicates::LastWins) {
        Some(Node::List(emails)) => emails.as_slice(),
        _ => &[],
    };
    let is_primary = |email: &&Object| email.get("primary", Duplicates::LastWins) == Some(&Node::Bool(true));
    let emails: Vec<&Object> = emails.iter().filter_map(Node::as_object).collect();
    let email = emails.iter().copied().find(is_primary).or(emails.first().copied());
    let is_active = match object.get("active", Duplicates::LastWins) {
        Some(Node::Bool(is_active)) => Some(*is_active),
        _ => None,
    };
    let text = |name| text_member(object, name).map(str::to_owned);
    let meta = object.get("meta", Duplicates::LastWins).and_then(Node::as_object);
    let location = meta.and_then(|meta| text_member(meta, "location"));
    Some(Account {
        id_proof: location.map_or(IdProof::None, |location| id_proof(&id, location)),
        id,
        external_id: text("externalId"),
        user_name: text("userName"),
        email: email.and_then(|email| text_member(email, "value")).map(str::to_owned),
        is_active,
    })
}

fn page(object: &Object) -> Option<AccountPage> {
    let total = text_member(object, "totalResults")?.parse().ok()?;
    let accounts = match object.get("Resources", Duplicates::LastWins) {
        Some(Node::List(resources)) => {
            resources.iter().map(|node| node.as_object().and_then(account)).collect::<Option<_>>()?
        }
        // RFC 7644 section 3.4.2: only if there are results.
        None | Some(Node::Null) => Vec::new(),
        Some(_) => return None,
    };
    Some(AccountPage { accounts, total: Some(total) })
}

/// RFC 7644 section 3.12.
fn judge_error(operation: &Operation<'_>, status: StatusCode, object: Option<&Object>) -> Verdict {
    let text = |name| object.and_then(|object| text_member(object, name)).unwrap_or_default();
    let is_search = matches!(operation, Operation::Find { .. } | Operation::List { .. });
    let is_duplicate = text("scimType") == "uniqueness";
    match operation {
        Operation::Create(_) if is_duplicate || status == StatusCode::CONFLICT => return Verdict::Duplicate(None),
        // Without the type, another client may have changed the account at the same time.
        Operation::Update { .. } if is_duplicate => return Verdict::Duplicate(None),
        _ => {}
    }
    if is_search {
        return Verdict::Unsupported;
    }
    rejected(status, operation, &[status.as_str(), text("scimType")], text("detail"))
}

/// RFC 7643 section 5.
fn apply_config(body: &Node, capabilities: &mut TargetCapabilities) {
    let feature = |name: &str| body.as_object()?.get(name, Duplicates::LastWins)?.as_object();
    let is_supported = |name: &str| {
        feature(name).is_some_and(|it| it.get("supported", Duplicates::LastWins) == Some(&Node::Bool(true)))
    };
    capabilities.patch = is_supported("patch");
    let number = |feature_name, name| {
        feature(feature_name).and_then(|it| text_member(it, name)).and_then(|text| text.parse::<u32>().ok())
    };
    capabilities.bulk_operations = if is_supported("bulk") { number("bulk", "maxOperations").unwrap_or(0) } else { 0 };
    if let Some(max) = number("filter", "maxResults").filter(|max| *max > 0) {
        capabilities.page_size = max.min(1_000);
    }
}

fn apply_schemas(body: &Node, capabilities: &mut TargetCapabilities) {
    let resources = match body {
        Node::List(schemas) => Some(schemas),
        Node::Object(list) => match list.get("Resources", Duplicates::LastWins) {
            Some(Node::List(schemas)) => Some(schemas),
            _ => None,
        },
        _ => None,
    };
    let Some(resources) = resources else { return };
    let ids: Vec<&str> = resources.iter().filter_map(|schema| text_member(schema.as_object()?, "id")).collect();
    let known = [wire::ENTERPRISE_SCHEMA.urn, wire::MUSTER_SCHEMA.urn];
    capabilities.extensions = known.into_iter().filter(|urn| ids.contains(urn)).map(str::to_owned).collect();
}
