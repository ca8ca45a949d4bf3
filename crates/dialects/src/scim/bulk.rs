//! `/Bulk` (RFC 7644 section 3.7): many requests in one. Each is the very request it would be alone, sent through the
//! same table of routes; only references to what is still to be made are put in between.
//!
//! Requests are done in an order in which every reference can be resolved. Where references go in a circle, one of the
//! circle is made without them and gets them when all are there.

use super::schema::texts;
use super::{errors, read, write};
use crate::kit::{
    AppState, DialectRequest, DialectResponse, Duplicates, Format, Handler, Node, Object, OutputValue,
    ParsedBody, RequestError, RequiredAccess,
};
use http::{HeaderValue, StatusCode, header};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

/// How many requests one may hold.
pub(super) const MAX_OPERATIONS: usize = 1_000;

/// One request of many.
struct Operation {
    method: String,
    path: String,
    bulk_id: Option<String>,
    version: Option<HeaderValue>,
    data: Option<Node>,
}

/// What came of one.
struct Done {
    status: StatusCode,
    location: Option<String>,
    version: Option<String>,
    response: Option<OutputValue>,
}

pub(super) async fn bulk(desk: &AppState, call: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let body = read::object(call)?;
    let (mut operations, fail_on_errors) = operations(body)?;
    let mut done: Vec<Option<Done>> = operations.iter().map(|_| None).collect();
    let mut made: HashMap<String, String> = HashMap::new();
    let mut failures = 0_u64;
    let mut later: Vec<(usize, Object)> = Vec::new();
    let mut waiting = Waiting::new(&operations);
    while failures < fail_on_errors {
        let Some((next, is_circular)) = waiting.next(&operations) else { break };
        let operation = &mut operations[next];
        if is_circular && let Some(data) = &mut operation.data {
            // Made without what is not there yet, and changed when it is.
            let whole = data.clone();
            if without_references(data, &made) {
                later.push((next, left_out(&whole, data)));
            }
        }
        let outcome = run(desk, call, operation, &made).await?;
        if outcome.status.is_success() {
            let id = outcome.location.as_ref().and_then(|url| url.rsplit('/').next());
            if let (Some(bulk_id), Some(id)) = (&operation.bulk_id, id) {
                made.insert(bulk_id.clone(), id.to_owned());
            }
        } else {
            failures += 1;
        }
        done[next] = Some(outcome);
        for (place, left_out) in later.extract_if(.., |(_, left_out)| is_made(left_out, &waiting, &made)) {
            complete(desk, call, &operations[place], &mut done[place], left_out, &made).await?;
        }
    }
    // Where too many failed, what was begun is still not left half done.
    for (place, left_out) in later {
        complete(desk, call, &operations[place], &mut done[place], left_out, &made).await?;
    }
    let answers =
        operations.iter().zip(done).filter_map(|(operation, done)| Some(describe(operation, done?)));
    let out = OutputValue::object(vec![
        ("schemas", texts(&["urn:ietf:params:scim:api:messages:2.0:BulkResponse"])),
        ("Operations", OutputValue::List("Operations", answers.collect())),
    ]);
    Ok(write::reply(call, StatusCode::OK, &out))
}

/// The attributes that differ between what was sent and what was made of it at first.
fn left_out(whole: &Node, at_first: &Node) -> Object {
    let mut left_out = Object::default();
    for (name, node) in whole.as_object().map_or(&[][..], |whole| &whole.members) {
        let first = at_first.as_object().and_then(|first| first.get(name, Duplicates::LastWins));
        if first != Some(node) {
            left_out.members.push((name.clone(), node.clone()));
        }
    }
    left_out
}

/// Whether all that was left out refers to is made by now, or never will be.
fn is_made(left_out: &Object, waiting: &Waiting, made: &HashMap<String, String>) -> bool {
    let mut references = Vec::new();
    left_out.members.iter().for_each(|(_, node)| references_in(node, &mut references));
    references.iter().all(|id| made.contains_key(*id) || !waiting.to_come.contains(*id))
}

/// Gives what was made without its references the attributes that were left out, and touches no other.
async fn complete(
    desk: &AppState,
    call: &DialectRequest,
    operation: &Operation,
    done: &mut Option<Done>,
    left_out: Object,
    made: &HashMap<String, String>,
) -> Result<(), RequestError> {
    let Some(first) = done.as_mut().filter(|first| first.status.is_success()) else { return Ok(()) };
    let id = first.location.as_ref().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
    let path = format!("{}/{id}", operation.path.trim_end_matches('/'));
    let add = |(name, value): (String, Node)| {
        let members = [("op", Node::Text("add".into())), ("path", Node::Text(name)), ("value", value)];
        Node::Object(Object { members: members.map(|(name, node)| (name.to_owned(), node)).into() })
    };
    let operations = Node::List(left_out.members.into_iter().map(add).collect());
    let data = Node::Object(Object { members: vec![("Operations".into(), operations)] });
    let step = |method: &str, data| Operation {
        method: method.into(),
        path: path.clone(),
        bulk_id: None,
        version: None,
        data,
    };
    let outcome = run(desk, call, &step("PATCH", Some(data)), made).await?;
    if outcome.status.is_success() {
        first.version = outcome.version.or(first.version.take());
        return Ok(());
    }
    // What cannot be made whole is not made: its answer says so, and nothing is left of it.
    run(desk, call, &step("DELETE", None), made).await?;
    *done = Some(Done { location: None, ..outcome });
    Ok(())
}

fn syntax(text: impl Into<String>) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalidSyntax", text)
}

fn wrong_version() -> RequestError {
    syntax("version must be an entity tag")
}

fn operations(body: &Object) -> Result<(Vec<Operation>, u64), RequestError> {
    let Some(Node::List(list)) = body.get("Operations", Duplicates::LastWins) else {
        return Err(syntax("Operations must be a list"));
    };
    if list.len() > MAX_OPERATIONS {
        let text = format!("More than {MAX_OPERATIONS} operations");
        return Err(RequestError::dialect_specific(StatusCode::BAD_REQUEST, "tooMany", text));
    }
    let fail_on_errors = match body.get("failOnErrors", Duplicates::LastWins) {
        Some(Node::Number(number) | Node::Text(number)) => {
            let number: u64 = number.parse().map_err(|_| syntax("failOnErrors must be a whole number"))?;
            if number == 0 { u64::MAX } else { number }
        }
        _ => u64::MAX,
    };
    let mut operations = Vec::with_capacity(list.len());
    for node in list {
        let object = node.as_object().ok_or_else(|| syntax("An operation must be an object"))?;
        let text = |name: &str| match object.get(name, Duplicates::LastWins) {
            Some(Node::Text(text)) => Some(text.clone()),
            _ => None,
        };
        // A version that cannot be read must not leave the change unguarded.
        let version = match object.get("version", Duplicates::LastWins) {
            None | Some(Node::Null) => None,
            Some(Node::Text(version)) => Some(HeaderValue::from_str(version).map_err(|_| wrong_version())?),
            Some(_) => return Err(wrong_version()),
        };
        let operation = Operation {
            method: text("method").ok_or_else(|| syntax("An operation needs a method"))?.to_ascii_uppercase(),
            path: text("path").ok_or_else(|| syntax("An operation needs a path"))?,
            bulk_id: text("bulkId"),
            version,
            data: object.get("data", Duplicates::LastWins).filter(|data| **data != Node::Null).cloned(),
        };
        if operation.method == "POST" && operation.bulk_id.is_none() {
            return Err(syntax("A POST needs a bulkId"));
        }
        let is_known = |other: &Operation| other.bulk_id.is_some() && other.bulk_id == operation.bulk_id;
        if operation.method == "POST" && operations.iter().any(is_known) {
            return Err(syntax("Two operations have the same bulkId"));
        }
        operations.push(operation);
    }
    Ok((operations, fail_on_errors))
}

/// What is still to be done, and what waits for what.
struct Waiting {
    /// Operations in the order they came, with the bulkIds each refers to.
    operations: Vec<(usize, Vec<String>)>,
    /// The ids by which others refer to what is still to be made.
    to_come: HashSet<String>,
}

impl Waiting {
    fn new(operations: &[Operation]) -> Self {
        let mut waiting = Self { operations: Vec::new(), to_come: HashSet::new() };
        for (n, operation) in operations.iter().enumerate() {
            let mut references = Vec::new();
            operation.data.iter().for_each(|data| references_in(data, &mut references));
            references.extend(operation.path.split('/').filter_map(reference));
            waiting.operations.push((n, references.into_iter().map(str::to_owned).collect()));
            if operation.method == "POST" {
                waiting.to_come.extend(operation.bulk_id.clone());
            }
        }
        waiting
    }

    /// The next operation to do: the first whose references are all made or never will be; where none is left but
    /// those that wait for one another, the first of those that makes something, without its references.
    fn next(&mut self, operations: &[Operation]) -> Option<(usize, bool)> {
        let is_free =
            |(_, references): &(usize, Vec<String>)| !references.iter().any(|id| self.to_come.contains(id));
        let free = self.operations.iter().position(is_free);
        let is_post = |(n, _): &(usize, Vec<String>)| operations[*n].method == "POST";
        let place = free.or_else(|| self.operations.iter().position(is_post));
        let place = place.or(if self.operations.is_empty() { None } else { Some(0) })?;
        let (n, _) = self.operations.remove(place);
        if let (true, Some(bulk_id)) = (operations[n].method == "POST", &operations[n].bulk_id) {
            self.to_come.remove(bulk_id);
        }
        Some((n, free.is_none()))
    }
}

/// The id in `bulkId:…`.
fn reference(text: &str) -> Option<&str> {
    let (prefix, id) = text.split_once(':')?;
    prefix.eq_ignore_ascii_case("bulkId").then_some(id)
}

fn references_in<'a>(node: &'a Node, found: &mut Vec<&'a str>) {
    match node {
        Node::Text(text) => found.extend(reference(text)),
        Node::List(nodes) => nodes.iter().for_each(|node| references_in(node, found)),
        Node::Object(object) => object.members.iter().for_each(|(_, node)| references_in(node, found)),
        Node::Null | Node::Number(_) | Node::Bool(_) => {}
    }
}

/// Takes out every object and value that refers to something that is not made; whether there was any.
fn without_references(node: &mut Node, made: &HashMap<String, String>) -> bool {
    let is_open = |node: &Node| {
        let mut found = Vec::new();
        references_in(node, &mut found);
        found.iter().any(|id| !made.contains_key(*id))
    };
    match node {
        Node::List(nodes) => {
            let before = nodes.len();
            nodes.retain(|node| !is_open(node));
            before != nodes.len()
        }
        Node::Object(object) => {
            let mut any = false;
            object.members.retain_mut(|(_, node)| {
                let keep = match node {
                    Node::Text(_) => !is_open(node),
                    Node::Object(inner) if inner.get("value", Duplicates::LastWins).is_some_and(is_open) => {
                        false
                    }
                    node => {
                        any |= without_references(node, made);
                        true
                    }
                };
                any |= !keep;
                keep
            });
            any
        }
        _ => false,
    }
}

/// Puts the ids of what was made in the place of references; one to what was not made is a fault.
fn resolve(node: &mut Node, made: &HashMap<String, String>) -> Result<(), RequestError> {
    match node {
        Node::Text(text) => {
            if let Some(bulk_id) = reference(text) {
                *text = made.get(bulk_id).cloned().ok_or_else(|| unmade(bulk_id))?;
            }
            Ok(())
        }
        Node::List(nodes) => nodes.iter_mut().try_for_each(|node| resolve(node, made)),
        Node::Object(object) => object.members.iter_mut().try_for_each(|(_, node)| resolve(node, made)),
        Node::Null | Node::Number(_) | Node::Bool(_) => Ok(()),
    }
}

fn unmade(bulk_id: &str) -> RequestError {
    RequestError::dialect_specific(
        StatusCode::CONFLICT,
        "invalidValue",
        format!("bulkId:{bulk_id} was not made"),
    )
}

/// Does one operation as the request it is. Only what concerns the whole of the bulk is a fault.
async fn run(
    desk: &AppState,
    call: &DialectRequest,
    operation: &Operation,
    made: &HashMap<String, String>,
) -> Result<Done, RequestError> {
    let mut sub = sub_call(call, operation);
    let answered = match prepare(desk, &mut sub, operation, made) {
        Ok(handler) => handler(desk, &sub).await,
        Err(fault) => Err(fault),
    };
    call.count_ignored(sub.ignored_members.load(Ordering::Relaxed));
    let text = |answer: &DialectResponse, name| {
        answer.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned)
    };
    Ok(match answered {
        Ok(answer) => Done {
            status: answer.status(),
            location: text(&answer, header::LOCATION).or_else(|| location_of(&sub)),
            version: text(&answer, header::ETAG),
            response: None,
        },
        Err(fault) => {
            let (status, code, text) = errors::say(&fault, &sub);
            let response = Some(errors::document(status, code, text));
            Done { status, location: location_of(&sub), version: None, response }
        }
    })
}

/// Where the resource is that a path names.
fn location_of(sub: &DialectRequest) -> Option<String> {
    (!sub.path_params.is_empty()).then(|| format!("{}{}", sub.origin, sub.path))
}

/// The request that an operation stands for.
fn sub_call(call: &DialectRequest, operation: &Operation) -> DialectRequest {
    let mut sub = call.sub_request(operation.method.clone(), String::new());
    sub.headers.remove(header::IF_MATCH);
    sub.headers.remove(header::IF_NONE_MATCH);
    if let Some(version) = &operation.version {
        sub.headers.insert(header::IF_MATCH, version.clone());
    }
    sub
}

fn prepare(
    desk: &AppState,
    sub: &mut DialectRequest,
    operation: &Operation,
    made: &HashMap<String, String>,
) -> Result<Handler, RequestError> {
    let segments: Result<Vec<String>, RequestError> = operation
        .path
        .split('/')
        .map(|segment| match reference(segment) {
            Some(bulk_id) => made.get(bulk_id).cloned().ok_or_else(|| unmade(bulk_id)),
            None => Ok(segment.to_owned()),
        })
        .collect();
    let path = segments?.join("/");
    sub.path = format!("{}/{}", write::BASE, path.trim_start_matches('/'));
    let mut data = operation.data.clone();
    data.iter_mut().try_for_each(|data| resolve(data, made))?;
    let body = data.map(|node| ParsedBody { format: Format::Json, root: None, node });
    // Nobody has asked for the body yet, so this is the one that will be seen.
    drop(sub.parsed_body.set(Ok(body)));
    let matched = desk.routes.find(&sub.path).and_then(|found| found.matched).ok_or(RequestError::NoRoute)?;
    let is_resource = matched.route.path.contains("/Users") || matched.route.path.contains("/Groups");
    if !is_resource || matched.route.path.ends_with(".search") {
        return Err(syntax("Only users and groups can be changed in bulk"));
    }
    let verb = matched
        .route
        .methods
        .iter()
        .find(|verb| verb.name == sub.method && verb.access == RequiredAccess::Write);
    let methods = || matched.route.methods.iter().map(|verb| verb.name).collect();
    let verb = verb.ok_or_else(|| RequestError::MethodNotAllowed(methods()))?;
    sub.path_params = matched.path_params;
    (sub.route_path, sub.access) = (matched.route.path, verb.access);
    Ok(verb.handler)
}

fn describe(operation: &Operation, done: Done) -> OutputValue {
    let mut members = vec![("method", OutputValue::text(operation.method.as_str()))];
    members.extend(operation.bulk_id.as_deref().map(|id| ("bulkId", OutputValue::text(id))));
    members.extend(done.location.map(|location| ("location", OutputValue::Text(location))));
    members.extend(done.version.map(|version| ("version", OutputValue::Text(version))));
    members.push(("status", OutputValue::text(done.status.as_str())));
    members.extend(done.response.map(|response| ("response", response)));
    OutputValue::object(members)
}
