//! `/Bulk` (RFC 7644 section 3.7). Each operation is dispatched like a single request, once its `bulkId:`
//! references can be resolved. In a cycle, one resource is created without its references and gets them as soon
//! as they are resolved.

use super::schema::text_list;
use super::{errors, read, users, write};
use crate::kit::{
    AppState, DialectRequest, DialectResponse, Duplicates, Format, Handler, Node, Object, OutputValue, ParsedBody,
    RequestError, RequiredAccess, TemporaryResponse, is_temporary_error, is_temporary_status,
};
use directory::{Command, DirectoryError};
use http::{HeaderValue, StatusCode, header};
use std::collections::{HashMap, HashSet};
use std::sync::atomic::Ordering;

pub(super) const MAX_BULK_OPERATIONS: usize = 1_000;
/// Operations of one request that run at the same time.
const MAX_CONCURRENT_OPERATIONS: usize = 100;

struct BulkOperation {
    method: String,
    path: String,
    bulk_id: Option<String>,
    version: Option<HeaderValue>,
    data: Option<Node>,
    /// Numbers its command, if the request has an `Idempotency-Key`.
    step: u32,
}

/// The commands of an operation: itself, and those that complete or undo it.
const STEPS_PER_OPERATION: u32 = 4;

struct BulkResult {
    status: StatusCode,
    location: Option<String>,
    version: Option<String>,
    response: Option<OutputValue>,
    /// Whether it is worth trying again.
    is_temporary: bool,
}

pub(super) async fn bulk(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let body = read::body_object(request)?;
    let (mut operations, fail_on_errors) = parse_operations(body)?;
    let mut results: Vec<Option<BulkResult>> = operations.iter().map(|_| None).collect();
    let mut created_ids: HashMap<String, String> = HashMap::new();
    let mut failures = 0_u64;
    let mut deferred: Vec<(usize, Object)> = Vec::new();
    let mut pending = PendingOperations::new(&operations);
    while failures < fail_on_errors {
        if fail_on_errors == u64::MAX {
            let together = pending.next_creates(&operations);
            let creates = together.iter().map(|next| &operations[*next]);
            for (next, outcome) in together.iter().zip(create_users(state, request, creates, &created_ids).await?) {
                record(&operations[*next], outcome, &mut results[*next], &mut created_ids);
            }
        }
        let Some((next, is_circular)) = pending.next(&operations) else { break };
        let operation = &mut operations[next];
        if is_circular && let Some(data) = &mut operation.data {
            // Created without unresolved references, which are added later.
            let original = data.clone();
            if remove_unresolved_references(data, &created_ids) {
                deferred.push((next, deferred_attributes(&original, data)));
            }
        }
        let outcome = execute(state, request, operation, &created_ids).await?;
        failures += u64::from(!outcome.status.is_success());
        record(operation, outcome, &mut results[next], &mut created_ids);
        for (index, attributes) in
            deferred.extract_if(.., |(_, left_out)| references_are_resolved(left_out, &pending, &created_ids))
        {
            apply_deferred(state, request, &operations[index], &mut results[index], attributes, &created_ids).await?;
        }
    }
    // Also after too many errors: created resources must not stay incomplete.
    for (index, attributes) in deferred {
        apply_deferred(state, request, &operations[index], &mut results[index], attributes, &created_ids).await?;
    }
    let is_temporary = results.iter().flatten().any(|result| result.is_temporary);
    let answers = operations.iter().zip(results).filter_map(|(operation, done)| Some(result_output(operation, done?)));
    let out = OutputValue::object(vec![
        ("schemas", text_list(&["urn:ietf:params:scim:api:messages:2.0:BulkResponse"])),
        ("Operations", OutputValue::List("Operations", answers.collect())),
    ]);
    let mut response = write::response(request, StatusCode::OK, &out);
    if is_temporary {
        response.extensions_mut().insert(TemporaryResponse);
    }
    Ok(response)
}

/// Keeps the result of an operation, and the id of what it created.
fn record(
    operation: &BulkOperation,
    outcome: BulkResult,
    result: &mut Option<BulkResult>,
    created_ids: &mut HashMap<String, String>,
) {
    let id = outcome.location.as_ref().and_then(|url| url.rsplit('/').next());
    if let (true, Some(bulk_id), Some(id)) = (outcome.status.is_success(), &operation.bulk_id, id) {
        created_ids.insert(bulk_id.clone(), id.to_owned());
    }
    *result = Some(outcome);
}

fn deferred_attributes(original: &Node, at_first: &Node) -> Object {
    let mut attributes = Object::default();
    for (name, node) in original.as_object().map_or(&[][..], |original| &original.members) {
        let first = at_first.as_object().and_then(|first| first.get(name, Duplicates::LastWins));
        if first != Some(node) {
            attributes.members.push((name.clone(), node.clone()));
        }
    }
    attributes
}

fn references_are_resolved(
    attributes: &Object,
    pending: &PendingOperations,
    created_ids: &HashMap<String, String>,
) -> bool {
    let mut references = Vec::new();
    attributes.members.iter().for_each(|(_, node)| collect_references(node, &mut references));
    references.iter().all(|id| created_ids.contains_key(*id) || !pending.pending_bulk_ids.contains(*id))
}

async fn apply_deferred(
    state: &AppState,
    request: &DialectRequest,
    operation: &BulkOperation,
    results: &mut Option<BulkResult>,
    attributes: Object,
    created_ids: &HashMap<String, String>,
) -> Result<(), RequestError> {
    let Some(first) = results.as_mut().filter(|first| first.status.is_success()) else { return Ok(()) };
    let id = first.location.as_ref().and_then(|url| url.rsplit('/').next()).unwrap_or_default();
    let path = format!("{}/{id}", operation.path.trim_end_matches('/'));
    let add = |(name, value): (String, Node)| {
        let members = [("op", Node::Text("add".into())), ("path", Node::Text(name)), ("value", value)];
        Node::Object(Object { members: members.map(|(name, node)| (name.to_owned(), node)).into() })
    };
    let operations = Node::List(attributes.members.into_iter().map(add).collect());
    let data = Node::Object(Object { members: vec![("Operations".into(), operations)] });
    let follow_up = |method: &str, data, step| BulkOperation {
        method: method.into(),
        path: path.clone(),
        bulk_id: None,
        version: None,
        data,
        step: operation.step + step,
    };
    let outcome = execute(state, request, &follow_up("PATCH", Some(data), 1), created_ids).await?;
    if outcome.status.is_success() {
        first.version = outcome.version.or(first.version.take());
        return Ok(());
    }
    // An incomplete resource is deleted, and the result reports the error.
    execute(state, request, &follow_up("DELETE", None, 2), created_ids).await?;
    *results = Some(BulkResult { location: None, ..outcome });
    Ok(())
}

fn invalid_syntax(text: impl Into<String>) -> RequestError {
    RequestError::dialect_specific(StatusCode::BAD_REQUEST, "invalidSyntax", text)
}

fn invalid_version() -> RequestError {
    invalid_syntax("version must be an entity tag")
}

fn parse_operations(body: &Object) -> Result<(Vec<BulkOperation>, u64), RequestError> {
    let Some(Node::List(list)) = body.get("Operations", Duplicates::LastWins) else {
        return Err(invalid_syntax("Operations must be a list"));
    };
    if list.len() > MAX_BULK_OPERATIONS {
        let text = format!("At most {MAX_BULK_OPERATIONS} operations are allowed");
        return Err(RequestError::dialect_specific(StatusCode::BAD_REQUEST, "tooMany", text));
    }
    let fail_on_errors = match body.get("failOnErrors", Duplicates::LastWins) {
        Some(Node::Number(number) | Node::Text(number)) => {
            let number: u64 = number.parse().map_err(|_| invalid_syntax("failOnErrors must be an integer"))?;
            if number == 0 { u64::MAX } else { number }
        }
        _ => u64::MAX,
    };
    let mut operations = Vec::with_capacity(list.len());
    for (node, step) in list.iter().zip((0..).step_by(STEPS_PER_OPERATION as usize)) {
        let object = node.as_object().ok_or_else(|| invalid_syntax("An operation must be an object"))?;
        let text = |name: &str| match object.get(name, Duplicates::LastWins) {
            Some(Node::Text(text)) => Some(text.clone()),
            _ => None,
        };
        // An invalid version must not make the change unconditional.
        let version = match object.get("version", Duplicates::LastWins) {
            None | Some(Node::Null) => None,
            Some(Node::Text(version)) => Some(HeaderValue::from_str(version).map_err(|_| invalid_version())?),
            Some(_) => return Err(invalid_version()),
        };
        let operation = BulkOperation {
            method: text("method").ok_or_else(|| invalid_syntax("An operation needs a method"))?.to_ascii_uppercase(),
            path: text("path").ok_or_else(|| invalid_syntax("An operation needs a path"))?,
            bulk_id: text("bulkId"),
            version,
            data: object.get("data", Duplicates::LastWins).filter(|data| **data != Node::Null).cloned(),
            step,
        };
        if operation.method == "POST" && operation.bulk_id.is_none() {
            return Err(invalid_syntax("A POST needs a bulkId"));
        }
        let is_known = |other: &BulkOperation| other.bulk_id.is_some() && other.bulk_id == operation.bulk_id;
        if operation.method == "POST" && operations.iter().any(is_known) {
            return Err(invalid_syntax("Two operations have the same bulkId"));
        }
        operations.push(operation);
    }
    Ok((operations, fail_on_errors))
}

struct PendingOperations {
    /// In the order of the request, with the bulkIds each refers to.
    queue: Vec<(usize, Vec<String>)>,
    pending_bulk_ids: HashSet<String>,
}

impl PendingOperations {
    fn new(operations: &[BulkOperation]) -> Self {
        let mut pending = Self { queue: Vec::new(), pending_bulk_ids: HashSet::new() };
        for (n, operation) in operations.iter().enumerate() {
            let mut references = Vec::new();
            operation.data.iter().for_each(|data| collect_references(data, &mut references));
            references.extend(operation.path.split('/').filter_map(bulk_id_reference));
            pending.queue.push((n, references.into_iter().map(str::to_owned).collect()));
            if operation.method == "POST" {
                pending.pending_bulk_ids.extend(operation.bulk_id.clone());
            }
        }
        pending
    }

    /// Creations of users at the head of the queue that refer to nothing that is pending. They can run at the same time:
    /// their look-ups and their commit are shared. Hashing a password takes long: others must not wait for it.
    fn next_creates(&mut self, operations: &[BulkOperation]) -> Vec<usize> {
        let is_independent = |(n, references): &&(usize, Vec<String>)| {
            let operation = &operations[*n];
            let members = operation.data.as_ref().and_then(Node::as_object).map_or(&[][..], |data| &data.members);
            operation.method == "POST"
                && !members.iter().any(|(name, _)| name.eq_ignore_ascii_case("password"))
                && operation.path.trim_end_matches('/').eq_ignore_ascii_case("/Users")
                && !references.iter().any(|id| self.pending_bulk_ids.contains(id))
        };
        let count = self.queue.iter().take(MAX_CONCURRENT_OPERATIONS).take_while(is_independent).count();
        let creates: Vec<usize> = self.queue.drain(..count).map(|(n, _)| n).collect();
        for bulk_id in creates.iter().filter_map(|n| operations[*n].bulk_id.as_ref()) {
            self.pending_bulk_ids.remove(bulk_id);
        }
        creates
    }

    /// The first operation whose references are all resolved or never will be. In a cycle: the first POST, to
    /// run without its references (`true`).
    fn next(&mut self, operations: &[BulkOperation]) -> Option<(usize, bool)> {
        let is_ready =
            |(_, references): &(usize, Vec<String>)| !references.iter().any(|id| self.pending_bulk_ids.contains(id));
        let ready = self.queue.iter().position(is_ready);
        let is_post = |(n, _): &(usize, Vec<String>)| operations[*n].method == "POST";
        let index = ready.or_else(|| self.queue.iter().position(is_post));
        let index = index.or(if self.queue.is_empty() { None } else { Some(0) })?;
        let (n, _) = self.queue.remove(index);
        if let (true, Some(bulk_id)) = (operations[n].method == "POST", &operations[n].bulk_id) {
            self.pending_bulk_ids.remove(bulk_id);
        }
        Some((n, ready.is_none()))
    }
}

fn bulk_id_reference(text: &str) -> Option<&str> {
    let (prefix, id) = text.split_once(':')?;
    prefix.eq_ignore_ascii_case("bulkId").then_some(id)
}

fn collect_references<'a>(node: &'a Node, references: &mut Vec<&'a str>) {
    match node {
        Node::Text(text) => references.extend(bulk_id_reference(text)),
        Node::List(nodes) => nodes.iter().for_each(|node| collect_references(node, references)),
        Node::Object(object) => {
            object.members.iter().for_each(|(_, node)| collect_references(node, references));
        }
        Node::Null | Node::Number(_) | Node::Bool(_) => {}
    }
}

fn remove_unresolved_references(node: &mut Node, created_ids: &HashMap<String, String>) -> bool {
    let is_open = |node: &Node| {
        let mut references = Vec::new();
        collect_references(node, &mut references);
        references.iter().any(|id| !created_ids.contains_key(*id))
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
                    Node::Object(inner) if inner.get("value", Duplicates::LastWins).is_some_and(is_open) => false,
                    node => {
                        any |= remove_unresolved_references(node, created_ids);
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

fn resolve_references(node: &mut Node, created_ids: &HashMap<String, String>) -> Result<(), RequestError> {
    match node {
        Node::Text(text) => {
            if let Some(bulk_id) = bulk_id_reference(text) {
                *text = created_ids.get(bulk_id).cloned().ok_or_else(|| unresolved_reference(bulk_id))?;
            }
            Ok(())
        }
        Node::List(nodes) => nodes.iter_mut().try_for_each(|node| resolve_references(node, created_ids)),
        Node::Object(object) => {
            object.members.iter_mut().try_for_each(|(_, node)| resolve_references(node, created_ids))
        }
        Node::Null | Node::Number(_) | Node::Bool(_) => Ok(()),
    }
}

fn unresolved_reference(bulk_id: &str) -> RequestError {
    RequestError::dialect_specific(StatusCode::CONFLICT, "invalidValue", format!("bulkId:{bulk_id} was not created"))
}

/// `Err` only for errors of the bulk request as a whole.
async fn execute(
    state: &AppState,
    request: &DialectRequest,
    operation: &BulkOperation,
    created_ids: &HashMap<String, String>,
) -> Result<BulkResult, RequestError> {
    let mut sub_request = to_sub_request(request, operation);
    let answered = match prepare_sub_request(state, &mut sub_request, operation, created_ids) {
        Ok(handler) => handler(state, &sub_request).await,
        Err(error) => Err(error),
    };
    Ok(bulk_result(request, &sub_request, answered))
}

/// Creates users that do not depend on each other, at the same time.
async fn create_users(
    state: &AppState,
    request: &DialectRequest,
    operations: impl Iterator<Item = &BulkOperation>,
    created_ids: &HashMap<String, String>,
) -> Result<Vec<BulkResult>, RequestError> {
    let prepared: Vec<_> = operations
        .map(|operation| {
            let mut sub_request = to_sub_request(request, operation);
            let new = prepare_sub_request(state, &mut sub_request, operation, created_ids)
                .and_then(|_| users::new_user(&sub_request));
            (sub_request, new)
        })
        .collect();
    let mut commands = Vec::new();
    for (sub_request, new) in &prepared {
        if let Ok(new) = new {
            commands.push((sub_request.caller()?, Command::CreateUser(new.edit.clone())));
        }
    }
    let mut done = state.directory.run_all(commands).await.into_iter();
    let mut results = Vec::with_capacity(prepared.len());
    for (sub_request, new) in prepared {
        let answered = match new {
            Ok(new) => {
                let done = done.next().unwrap_or(Err(DirectoryError::Conflict));
                users::created(state, &sub_request, new, done).await
            }
            Err(error) => Err(error),
        };
        results.push(bulk_result(request, &sub_request, answered));
    }
    Ok(results)
}

fn bulk_result(
    request: &DialectRequest,
    sub_request: &DialectRequest,
    answered: Result<DialectResponse, RequestError>,
) -> BulkResult {
    request.count_ignored(sub_request.ignored_members.load(Ordering::Relaxed));
    let text = |response: &DialectResponse, name| {
        response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::to_owned)
    };
    match answered {
        Ok(response) => BulkResult {
            status: response.status(),
            location: text(&response, header::LOCATION).or_else(|| resource_location(sub_request)),
            version: text(&response, header::ETAG),
            response: None,
            is_temporary: false,
        },
        Err(error) => {
            let is_conflict = is_temporary_error(&error);
            let error = errors::describe(&error, sub_request);
            let status = error.status;
            let is_temporary = is_conflict || is_temporary_status(status);
            let response = Some(errors::document(error));
            BulkResult { status, location: resource_location(sub_request), version: None, response, is_temporary }
        }
    }
}

fn resource_location(sub_request: &DialectRequest) -> Option<String> {
    (!sub_request.path_params.is_empty()).then(|| format!("{}{}", sub_request.origin, sub_request.path))
}

fn to_sub_request(request: &DialectRequest, operation: &BulkOperation) -> DialectRequest {
    let mut sub_request = request.sub_request(operation.method.clone(), String::new());
    sub_request.headers.remove(header::IF_MATCH);
    sub_request.headers.remove(header::IF_NONE_MATCH);
    sub_request.caller = sub_request.caller.map(|caller| caller.at_step(operation.step));
    if let Some(version) = &operation.version {
        sub_request.headers.insert(header::IF_MATCH, version.clone());
    }
    sub_request
}

fn prepare_sub_request(
    state: &AppState,
    sub_request: &mut DialectRequest,
    operation: &BulkOperation,
    created_ids: &HashMap<String, String>,
) -> Result<Handler, RequestError> {
    let segments: Result<Vec<String>, RequestError> = operation
        .path
        .split('/')
        .map(|segment| match bulk_id_reference(segment) {
            Some(bulk_id) => created_ids.get(bulk_id).cloned().ok_or_else(|| unresolved_reference(bulk_id)),
            None => Ok(segment.to_owned()),
        })
        .collect();
    let path = segments?.join("/");
    sub_request.path = format!("{}/{}", write::BASE_PATH, path.trim_start_matches('/'));
    let mut data = operation.data.clone();
    data.iter_mut().try_for_each(|data| resolve_references(data, created_ids))?;
    let body = data.map(|node| ParsedBody { format: Format::Json, root: None, node });
    // The body is not parsed yet, so this becomes the parsed one.
    drop(sub_request.parsed_body.set(Ok(body)));
    let matched = state.routes.find(&sub_request.path).and_then(|found| found.matched).ok_or(RequestError::NoRoute)?;
    let is_resource = matched.route.path.contains("/Users") || matched.route.path.contains("/Groups");
    if !is_resource || matched.route.path.ends_with(".search") {
        return Err(invalid_syntax("Only users and groups can be changed in bulk"));
    }
    let route_method =
        matched.route.methods.iter().find(|route_method| {
            route_method.name == sub_request.method && route_method.access == RequiredAccess::Write
        });
    let methods = || matched.route.methods.iter().map(|route_method| route_method.name).collect();
    let route_method = route_method.ok_or_else(|| RequestError::MethodNotAllowed(methods()))?;
    sub_request.path_params = matched.path_params;
    (sub_request.route_path, sub_request.access) = (matched.route.path, route_method.access);
    Ok(route_method.handler)
}

fn result_output(operation: &BulkOperation, done: BulkResult) -> OutputValue {
    let mut members = vec![("method", OutputValue::text(operation.method.as_str()))];
    members.extend(operation.bulk_id.as_deref().map(|id| ("bulkId", OutputValue::text(id))));
    members.extend(done.location.map(|location| ("location", OutputValue::Text(location))));
    members.extend(done.version.map(|version| ("version", OutputValue::Text(version))));
    members.push(("status", OutputValue::text(done.status.as_str())));
    members.extend(done.response.map(|response| ("response", response)));
    OutputValue::object(members)
}
