//! The OpenAPI 3.1 document, made of the same tables that the readers and the router use.

use super::{Access, Call, FILE, Fault, Kind, Member, Record, Route, Success, Verb, Way};
use crate::Dialect;
use directory::{DirectoryError, Field, FieldErrorKind, ItemKind, SignInError};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Schemas = Map<String, Value>;

/// How the XML of a dialect is named.
pub struct XmlNames {
    /// The namespace of a record.
    pub namespace: fn(&Record) -> Option<&'static str>,
    /// The name of a member, from its name in JSON.
    pub member: fn(&str) -> String,
}

/// What a schema describes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// A request.
    In,
    /// A request that may leave out what a new object needs.
    Change,
    /// An answer.
    Out,
}

/// One document over all dialects.
pub(crate) fn document(dialects: &[&Dialect], version: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    let mut security = Map::new();
    for dialect in dialects {
        security.extend(dialect.security.iter().map(|(name, scheme)| ((*name).to_owned(), scheme())));
        for route in dialect.routes {
            // A context in front may be left out, which OpenAPI can only say with two paths.
            for path in [Some(route.path), route.path.strip_prefix("/{context}")].into_iter().flatten() {
                let entry = paths.entry(path).or_insert_with(|| json!({}));
                if let Value::Object(methods) = entry {
                    for verb in route.verbs {
                        let operation = operation(dialect, route, path, verb, &mut schemas);
                        methods.insert(verb.method.to_ascii_lowercase(), operation);
                    }
                }
            }
        }
    }
    let responses = shared_responses(&mut paths);
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Muster",
            "version": version,
            "summary": "One user directory that speaks many APIs",
            "license": { "name": "Apache-2.0 OR MIT", "identifier": "Apache-2.0 OR MIT" },
        },
        "tags": dialects.iter().map(|d| json!({"name": d.name, "description": d.about})).collect::<Vec<_>>(),
        "paths": paths,
        "components": { "schemas": schemas, "responses": responses, "securitySchemes": security },
    })
}

/// Takes the failures that operations of a dialect share out of them: they are most of the document otherwise.
fn shared_responses(paths: &mut Map<String, Value>) -> Map<String, Value> {
    let mut shared = Map::new();
    let operations = paths.values_mut().filter_map(Value::as_object_mut).flat_map(|path| path.values_mut());
    for operation in operations {
        let dialect = operation["tags"][0].as_str().unwrap_or_default().to_owned();
        let Some(responses) = operation["responses"].as_object_mut() else { continue };
        for (status, response) in responses.iter_mut().filter(|(status, _)| status.as_str() >= "400") {
            let name = format!("{dialect}.{status}");
            let first = shared.entry(&name).or_insert_with(|| response.clone());
            if first == response {
                *response = json!({"$ref": format!("#/components/responses/{name}")});
            }
        }
    }
    shared
}

fn operation(
    dialect: &Dialect,
    route: &'static Route,
    path: &str,
    verb: &'static Verb,
    schemas: &mut Schemas,
) -> Value {
    let parameter = |name: &str, place: &str, kind: &Kind, about: &str, schemas: &mut Schemas| {
        let schema = kind_schema(dialect, kind, schemas, Side::In);
        let mut parameter = json!({
            "name": name, "in": place, "required": place == "path", "description": about, "schema": schema,
        });
        if let Some(example) = (dialect.examples.parameter)(route.path, name) {
            let number = example.parse::<u32>().ok().filter(|_| matches!(kind, Kind::Integer));
            parameter["example"] = number.map_or_else(|| json!(example), |number| json!(number));
        }
        parameter
    };
    let mut parameters = Vec::new();
    for name in path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')) {
        let known = dialect.parameters.iter().find(|(known, ..)| *known == name);
        let (kind, about) = known.map_or((&Kind::Text, ""), |(_, kind, about)| (kind, about));
        parameters.push(parameter(name, "path", kind, about, schemas));
    }
    for (name, kind, about) in verb.about.query.iter().chain(dialect.parameters) {
        if !parameters.iter().any(|parameter| parameter["name"] == *name) {
            parameters.push(parameter(name, "query", kind, about, schemas));
        }
    }
    let mut operation = json!({
        "tags": [dialect.name],
        "summary": verb.about.summary,
        "operationId": operation_id(dialect, path, verb),
        "parameters": parameters,
        "responses": responses(dialect, route, verb, schemas),
    });
    if verb.access == Access::Open {
        operation["security"] = json!([]);
    } else {
        let schemes = dialect.security.iter().map(|(name, _)| json!({*name: []}));
        operation["security"] = schemes.collect::<Vec<_>>().into();
    }
    if let Some(record) = verb.about.body {
        operation["requestBody"] = request_body(dialect, verb, record, schemas);
    }
    operation
}

/// A request body: one media type of each syntax, since generators of clients have one method for all of an operation. The
/// others are in the description.
fn request_body(dialect: &Dialect, verb: &Verb, record: &Record, schemas: &mut Schemas) -> Value {
    let is_json = |media: &&&str| media.ends_with("/json") || media.ends_with("+json");
    let is_xml = |media: &&&str| media.ends_with("/xml");
    let json = dialect.reads.iter().find(is_json);
    let media: Vec<&str> = match json {
        Some(json) => {
            [Some(json), dialect.reads.iter().find(is_xml)].into_iter().flatten().copied().collect()
        }
        None => dialect.reads.to_vec(),
    };
    let side = if verb.about.is_partial { Side::Change } else { Side::In };
    let mut content = if std::ptr::eq(record, &raw const FILE) {
        files(&media)
    } else {
        content(&media, &reference(dialect, record, schemas, side))
    };
    if let Some(example) = (dialect.examples.body)(record, verb.about.is_partial) {
        let of_example = if example.is_string() { "text/csv" } else { media[0] };
        content[of_example]["example"] = example;
    }
    let mut body = json!({"required": verb.method != "DELETE", "content": content});
    let others: Vec<String> =
        dialect.reads.iter().filter(|read| !media.contains(read)).map(|read| format!("`{read}`")).collect();
    if !others.is_empty() {
        body["description"] = json!(format!("Also accepted: {}", others.join(", ")));
    }
    body
}

fn operation_id(dialect: &Dialect, path: &str, verb: &Verb) -> String {
    let id = format!("{}_{}{path}", dialect.name, verb.method).to_ascii_lowercase();
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn content(media: &[&str], schema: &Value) -> Value {
    media.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect::<Map<_, _>>().into()
}

/// Files of these media types.
fn files(media: &[&str]) -> Value {
    let schema = |media: &str| {
        if media.starts_with("text/") {
            json!({"type": "string"})
        } else {
            json!({"type": "string", "format": "binary"})
        }
    };
    media
        .iter()
        .map(|media| ((*media).to_owned(), json!({"schema": schema(media)})))
        .collect::<Map<_, _>>()
        .into()
}

fn responses(dialect: &Dialect, route: &'static Route, verb: &'static Verb, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    let mut answer = |status: &str, text: &str, content: Option<Value>| {
        let mut response = json!({"description": text});
        response["content"] = content.unwrap_or_else(|| json!({}));
        responses.insert(status.to_owned(), response);
    };
    let mut object = |record: &'static Record| {
        Some(content(dialect.writes, &reference(dialect, record, schemas, Side::Out)))
    };
    match verb.about.success {
        Success::Nothing => answer("204", "Done", None),
        Success::Object(record) => answer("200", "Done", object(record)),
        Success::Versioned(record) => {
            answer("200", "Done", object(record));
            answer("304", "The client has this version (`If-None-Match`)", None);
        }
        Success::ObjectOrNothing(record) => {
            answer("200", "Done", object(record));
            answer("204", "Done; no attributes were asked for", None);
        }
        Success::Created(record) => answer("201", "Created", object(record)),
        Success::Accepted(record) => answer("202", "Begun", object(record)),
        Success::List(record) => answer("200", "Done", Some(list(dialect, record, schemas))),
        Success::File(media) => {
            answer("200", "Done", Some(files(media)));
        }
    }
    let error = reference(dialect, dialect.error, schemas, Side::Out);
    for (status, media) in failures(dialect, route, verb) {
        let mut response =
            json!({"description": StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason())});
        let media: Vec<&str> = media.iter().map(String::as_str).collect();
        response["content"] = content(&media, &error);
        responses.insert(status.to_string(), response);
    }
    responses.into()
}

/// A list that JSON has without an object around it.
fn list(dialect: &Dialect, record: &'static Record, schemas: &mut Schemas) -> Value {
    let object = reference(dialect, record, schemas, Side::Out);
    let array = record.members.first().map(|list| kind_schema(dialect, &list.kind, schemas, Side::Out));
    let schema = |media: &&str| if media.contains("xml") { Some(object.clone()) } else { array.clone() };
    dialect
        .writes
        .iter()
        .map(|media| ((*media).to_owned(), json!({"schema": schema(media)})))
        .collect::<Map<_, _>>()
        .into()
}

/// Statuses of failures with the media types of their bodies: what the dialect answers to each fault that the operation can have.
fn failures(
    dialect: &Dialect,
    route: &'static Route,
    verb: &'static Verb,
) -> BTreeMap<u16, BTreeSet<String>> {
    let call = |accept: &str| {
        let mut call = Call::new(verb.method.to_owned(), route.path.to_owned());
        (call.route_path, call.access) = (route.path, verb.access);
        if let Ok(accept) = HeaderValue::from_str(accept) {
            call.headers.insert(header::ACCEPT, accept);
        }
        call
    };
    let mut failures: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for fault in faults(verb, route).into_iter().chain((dialect.acceptable)(&call("image/png")).err()) {
        for accept in dialect.writes {
            let answer = (dialect.refuse)(&fault, &call(accept));
            let status = answer.status().as_u16();
            // What is missing at a path that exists is what it names, and the error for that may have another form.
            if matches!(fault, Fault::NoRoute) && failures.contains_key(&status) {
                continue;
            }
            let media = failures.entry(status).or_default();
            let sent = answer.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
            media.extend(sent.map(str::to_owned));
        }
    }
    failures
}

fn faults(verb: &Verb, route: &Route) -> Vec<Fault> {
    let refused = |refusals: Vec<DirectoryError>| refusals.into_iter().map(Fault::Refused);
    let invalid =
        |rule| DirectoryError::Invalid(vec![directory::FieldError { field: Field::Id, kind: rule }]);
    let mut faults = vec![
        Fault::field("", FieldErrorKind::Malformed),
        Fault::WrongMethod(Vec::new()),
        Fault::UnsupportedMedia(None),
        Fault::BodyTooLarge(0),
        Fault::BodyCut,
        Fault::WrongHost,
        Fault::Unparsable(String::new()),
        Fault::TooManyAttempts { retry_after: 1 },
        Fault::TooManyConcurrent { retry_after: 1 },
        Fault::TimedOut,
    ];
    faults.extend(refused(vec![
        invalid(FieldErrorKind::Malformed),
        DirectoryError::Busy { retry_after: 1 },
        DirectoryError::Unavailable(String::new()),
        DirectoryError::Internal(String::new()),
    ]));
    if verb.about.body.is_some() {
        faults.push(Fault::BodyMissing);
    }
    if route.path.contains('{') || verb.about.body.is_some() {
        faults.extend(refused(vec![DirectoryError::NoSuchUser, DirectoryError::NoSuchItem(ItemKind::Group)]));
        faults.push(Fault::NoRoute);
    }
    if verb.access != Access::Open {
        faults.extend([Fault::Unauthorised, Fault::Forbidden]);
        faults.extend(refused(vec![DirectoryError::ConnectionEnded, DirectoryError::RoleTooHigh]));
        faults.extend(refused(vec![DirectoryError::SignIn(SignInError::InvalidCredentials)]));
    } else if verb.about.body.is_some() {
        faults.push(Fault::Unauthorised);
    }
    if verb.access == Access::Write {
        let refusals = vec![
            invalid(FieldErrorKind::Taken),
            DirectoryError::WrongStatus,
            DirectoryError::VersionMismatch,
            DirectoryError::Conflict,
        ];
        faults.extend(refused(refusals));
    }
    faults.extend(verb.about.own_failures.iter().map(|status| Fault::own(*status, "", "")));
    faults
}

fn reference(dialect: &Dialect, record: &Record, schemas: &mut Schemas, side: Side) -> Value {
    let suffix = match side {
        Side::In => "In",
        Side::Change => "Change",
        Side::Out => "Out",
    };
    let name = format!("{}.{}.{suffix}", dialect.name, record.name);
    if !schemas.contains_key(&name) {
        schemas.insert(name.clone(), Value::Null);
        let all = [record.members, &(dialect.common)(record)].concat();
        let way = if side == Side::Out { Way::Out } else { Way::In };
        let members = || all.iter().filter(|m| m.way == way || m.way == Way::Both);
        let mut properties = Map::new();
        for member in members() {
            properties.insert(member.name.to_owned(), member_schema(dialect, member, schemas, side));
        }
        let required: Vec<&str> = members()
            .filter(|m| match side {
                Side::In => m.required,
                Side::Change => false,
                Side::Out => m.traits.always,
            })
            .map(|m| m.name)
            .collect();
        let mut schema = json!({"type": "object", "description": record.about, "properties": properties});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if let Some(xml) = &dialect.xml {
            schema["xml"] = json!({"name": record.name});
            if let Some(namespace) = (xml.namespace)(record) {
                schema["xml"]["namespace"] = json!(namespace);
            }
        }
        schemas.insert(name.clone(), schema);
    }
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn member_schema(dialect: &Dialect, member: &Member, schemas: &mut Schemas, side: Side) -> Value {
    // What a change says of an object inside of another is the whole of it.
    let inner = if side == Side::Change { Side::In } else { side };
    let mut schema = kind_schema(dialect, &member.kind, schemas, inner);
    if side != Side::Out && member.required && matches!(member.kind, Kind::Text) {
        schema["minLength"] = json!(1);
    }
    if member.nullable && side == Side::Out {
        schema = match schema.get("type").cloned() {
            Some(kind) => {
                schema["type"] = json!([kind, "null"]);
                schema
            }
            None => json!({"anyOf": [schema, {"type": "null"}]}),
        };
    }
    schema["description"] = json!(member.about);
    if member.max > 0 {
        schema["maxLength"] = json!(member.max);
    }
    if let Some(xml) = &dialect.xml {
        let name = (xml.member)(member.name);
        if name != member.name {
            schema["xml"]["name"] = json!(name);
        }
    }
    schema
}

fn kind_schema(dialect: &Dialect, kind: &Kind, schemas: &mut Schemas, side: Side) -> Value {
    match kind {
        Kind::Text | Kind::Moment | Kind::Binary => json!({"type": "string"}),
        Kind::Word(words) => json!({"type": "string", "enum": words}),
        Kind::Any => json!({}),
        Kind::Reference(_) => json!({"type": "string", "format": "uri-reference"}),
        Kind::Guid => {
            json!({"type": "string", "pattern": "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"})
        }
        Kind::Integer => json!({"type": "integer"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Object(record) => reference(dialect, record, schemas, side),
        Kind::OneOrMore(kind) => {
            let one = kind_schema(dialect, kind, schemas, side);
            json!({"anyOf": [one, {"type": "array", "items": one}]})
        }
        Kind::List(item, kind) => {
            let mut items = kind_schema(dialect, kind, schemas, side);
            if dialect.xml.is_none() {
                return json!({"type": "array", "items": items});
            }
            items["xml"]["name"] = json!(item);
            json!({"type": "array", "items": items, "xml": {"wrapped": true}})
        }
    }
}
