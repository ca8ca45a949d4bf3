//! Generates the OpenAPI 3.1 document from the tables that the parsers and the router use.

mod examples;

use crate::Dialect;
use crate::kit::{
    DialectRequest, Direction, FILE, IdempotencyError, ObjectSchema, Parameter, Property, RequestError, RequiredAccess,
    Route, RouteMethod, SuccessResponse, ValueType, idempotency_header, takes_key,
};
use directory::{DirectoryError, Field, FieldErrorKind, ItemKind, SignInError};
pub use examples::{EMAIL, EXTERNAL_ID, Examples, FOLDER_ID, GROUP_ID, USER_ID};
use http::{HeaderValue, StatusCode, header};
use serde_json::{Map, Value, json};
use std::collections::{BTreeMap, BTreeSet};

type Schemas = Map<String, Value>;

pub struct XmlNames {
    pub namespace: fn(&ObjectSchema) -> Option<&'static str>,
    /// Converts the name of a member in JSON to its name in XML.
    pub property: fn(&str) -> String,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum SchemaUse {
    Request,
    PartialRequest,
    Response,
}

pub(crate) fn document(dialects: &[&Dialect], version: &str) -> Value {
    let mut paths = Map::new();
    let mut schemas = Map::new();
    let mut security = Map::new();
    for dialect in dialects {
        security.extend(dialect.security_schemes.iter().map(|(name, scheme)| ((*name).to_owned(), scheme())));
        for route in dialect.routes {
            // The leading context is optional, which OpenAPI can only express with two paths.
            for path in [Some(route.path), route.path.strip_prefix("/{context}")].into_iter().flatten() {
                let entry = paths.entry(path).or_insert_with(|| json!({}));
                if let Value::Object(methods) = entry {
                    for method in route.methods {
                        let operation = operation(dialect, route, path, method, &mut schemas);
                        methods.insert(method.name.to_ascii_lowercase(), operation);
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
        "tags": dialects.iter().map(|d| json!({"name": d.name, "description": d.description})).collect::<Vec<_>>(),
        "paths": paths,
        "components": { "schemas": schemas, "responses": responses, "securitySchemes": security },
    })
}

/// Moves the error responses that operations of a dialect share to `components`: they would be most of the document.
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
    method: &'static RouteMethod,
    schemas: &mut Schemas,
) -> Value {
    let parameter = |&Parameter { name, value_type, description }: &Parameter,
                     location: &str,
                     schemas: &mut Schemas| {
        let schema = value_schema(dialect, &value_type, schemas, SchemaUse::Request);
        let mut parameter = json!({
            "name": name, "in": location, "required": location == "path", "description": description, "schema": schema,
        });
        if let Some(example) = (dialect.examples.parameter)(route.path, name) {
            let number = example.parse::<u32>().ok().filter(|_| matches!(value_type, ValueType::Integer));
            parameter["example"] = number.map_or_else(|| json!(example), |number| json!(number));
        }
        parameter
    };
    let mut parameters = Vec::new();
    for name in path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')) {
        let mut known = dialect.path_parameters.iter().chain(dialect.common_parameters);
        parameters.extend(known.find(|known| known.name == name).map(|known| parameter(known, "path", schemas)));
    }
    for known in method.spec.query_parameters.iter().chain(dialect.common_parameters) {
        if !parameters.iter().any(|parameter| parameter["name"] == known.name) {
            parameters.push(parameter(known, "query", schemas));
        }
    }
    if takes_key(method) {
        parameters.push(idempotency_header());
    }
    let mut operation = json!({
        "tags": [dialect.name],
        "summary": method.spec.summary,
        "operationId": operation_id(dialect, path, method),
        "parameters": parameters,
        "responses": responses(dialect, route, method, schemas),
    });
    if method.access == RequiredAccess::Public {
        operation["security"] = json!([]);
    } else {
        let schemes = dialect.security_schemes.iter().map(|(name, _)| json!({*name: []}));
        operation["security"] = schemes.collect::<Vec<_>>().into();
    }
    if let Some(schema) = method.spec.body {
        operation["requestBody"] = request_body(dialect, method, schema, schemas);
    }
    operation
}

/// A request body with one media type per syntax, since client generators create one method per operation. The
/// description lists the other media types.
fn request_body(dialect: &Dialect, method: &RouteMethod, schema: &ObjectSchema, schemas: &mut Schemas) -> Value {
    let is_json = |media: &&&str| media.ends_with("/json") || media.ends_with("+json");
    let is_xml = |media: &&&str| media.ends_with("/xml");
    let json = dialect.request_media_types.iter().find(is_json);
    let media: Vec<&str> = match json {
        Some(json) => {
            [Some(json), dialect.request_media_types.iter().find(is_xml)].into_iter().flatten().copied().collect()
        }
        None => dialect.request_media_types.to_vec(),
    };
    let schema_use = if method.spec.is_partial { SchemaUse::PartialRequest } else { SchemaUse::Request };
    let mut content = if std::ptr::eq(schema, &raw const FILE) {
        file_content(&media)
    } else {
        content(&media, &schema_ref(dialect, schema, schemas, schema_use))
    };
    if let Some(example) = (dialect.examples.body)(schema, method.spec.is_partial) {
        let example_media_type = if example.is_string() { "text/csv" } else { media[0] };
        content[example_media_type]["example"] = example;
    }
    let mut body = json!({"required": method.name != "DELETE", "content": content});
    let others: Vec<String> = dialect
        .request_media_types
        .iter()
        .filter(|read| !media.contains(read))
        .map(|read| format!("`{read}`"))
        .collect();
    if !others.is_empty() {
        body["description"] = json!(format!("Also accepted: {}", others.join(", ")));
    }
    body
}

fn operation_id(dialect: &Dialect, path: &str, method: &RouteMethod) -> String {
    let id = format!("{}_{}{path}", dialect.name, method.name).to_ascii_lowercase();
    id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn content(media: &[&str], schema: &Value) -> Value {
    media.iter().map(|media| ((*media).to_owned(), json!({"schema": schema}))).collect::<Map<_, _>>().into()
}

fn file_content(media: &[&str]) -> Value {
    let schema = |media: &str| {
        if media.starts_with("text/") {
            json!({"type": "string"})
        } else {
            json!({"type": "string", "format": "binary"})
        }
    };
    media.iter().map(|media| ((*media).to_owned(), json!({"schema": schema(media)}))).collect::<Map<_, _>>().into()
}

fn responses(dialect: &Dialect, route: &'static Route, method: &'static RouteMethod, schemas: &mut Schemas) -> Value {
    let mut responses = Map::new();
    let mut add_response = |status: &str, text: &str, content: Option<Value>| {
        let mut response = json!({"description": text});
        response["content"] = content.unwrap_or_else(|| json!({}));
        responses.insert(status.to_owned(), response);
    };
    let mut object = |schema: &'static ObjectSchema| {
        Some(content(dialect.response_media_types, &schema_ref(dialect, schema, schemas, SchemaUse::Response)))
    };
    match method.spec.success {
        SuccessResponse::NoContent => add_response("204", "Success", None),
        SuccessResponse::Object(schema) => add_response("200", "Success", object(schema)),
        SuccessResponse::Versioned(schema) => {
            add_response("200", "Success", object(schema));
            add_response("304", "Not modified: the client has this version (`If-None-Match`)", None);
        }
        SuccessResponse::ObjectOrNoContent(schema) => {
            add_response("200", "Success", object(schema));
            add_response("204", "Success; no attributes were requested", None);
        }
        SuccessResponse::Created(schema) => add_response("201", "Created", object(schema)),
        SuccessResponse::Accepted(schema) => add_response("202", "Accepted", object(schema)),
        SuccessResponse::List(schema) => {
            add_response("200", "Success", Some(list_content(dialect, schema, schemas)));
        }
        SuccessResponse::File(media) => {
            add_response("200", "Success", Some(file_content(media)));
        }
    }
    let error = schema_ref(dialect, dialect.error_schema, schemas, SchemaUse::Response);
    for (status, media) in error_responses(dialect, route, method) {
        let mut response = json!({"description": StatusCode::from_u16(status).ok().and_then(|s| s.canonical_reason())});
        let media: Vec<&str> = media.iter().map(String::as_str).collect();
        response["content"] = content(&media, &error);
        responses.insert(status.to_string(), response);
    }
    responses.into()
}

/// A list: a bare array in JSON, an object in XML.
fn list_content(dialect: &Dialect, schema: &'static ObjectSchema, schemas: &mut Schemas) -> Value {
    let object = schema_ref(dialect, schema, schemas, SchemaUse::Response);
    let array =
        schema.properties.first().map(|list| value_schema(dialect, &list.value_type, schemas, SchemaUse::Response));
    let schema = |media: &&str| if media.contains("xml") { Some(object.clone()) } else { array.clone() };
    dialect
        .response_media_types
        .iter()
        .map(|media| ((*media).to_owned(), json!({"schema": schema(media)})))
        .collect::<Map<_, _>>()
        .into()
}

/// Error statuses with the media types of their bodies: the response of the dialect to each error of the operation.
fn error_responses(
    dialect: &Dialect,
    route: &'static Route,
    method: &'static RouteMethod,
) -> BTreeMap<u16, BTreeSet<String>> {
    let request = |accept: &str| {
        let mut request = DialectRequest::new(method.name.to_owned(), route.path.to_owned());
        (request.route_path, request.access) = (route.path, method.access);
        if let Ok(accept) = HeaderValue::from_str(accept) {
            request.headers.insert(header::ACCEPT, accept);
        }
        request
    };
    let mut failures: BTreeMap<u16, BTreeSet<String>> = BTreeMap::new();
    for error in
        possible_errors(method, route).into_iter().chain((dialect.check_acceptable)(&request("image/png")).err())
    {
        for accept in dialect.response_media_types {
            let response = (dialect.error_response)(&error, &request(accept));
            let status = response.status().as_u16();
            // On an existing path, 404 means that the named object is missing, whose error may have another format.
            if matches!(error, RequestError::NoRoute) && failures.contains_key(&status) {
                continue;
            }
            let media = failures.entry(status).or_default();
            let sent = response.headers().get(header::CONTENT_TYPE).and_then(|media| media.to_str().ok());
            media.extend(sent.map(str::to_owned));
        }
    }
    failures
}

fn possible_errors(method: &RouteMethod, route: &Route) -> Vec<RequestError> {
    let refused = |refusals: Vec<DirectoryError>| refusals.into_iter().map(RequestError::Directory);
    let invalid = |rule| DirectoryError::Invalid(vec![directory::FieldError { field: Field::Id, kind: rule }]);
    let mut errors = vec![
        RequestError::invalid_member("", FieldErrorKind::Malformed),
        RequestError::MethodNotAllowed(Vec::new()),
        RequestError::UnsupportedMediaType(None),
        RequestError::BodyTooLarge(0),
        RequestError::BodyIncomplete,
        RequestError::InvalidHost,
        RequestError::Unparsable("".into()),
        RequestError::TooManyAttempts { retry_after: 1 },
        RequestError::TooManyConcurrentRequests { retry_after: 1 },
        RequestError::TimedOut,
    ];
    errors.extend(refused(vec![
        invalid(FieldErrorKind::Malformed),
        DirectoryError::Busy { retry_after: 1 },
        DirectoryError::Unavailable(String::new()),
        DirectoryError::Internal(String::new()),
    ]));
    if method.spec.body.is_some() {
        errors.push(RequestError::BodyMissing);
    }
    if route.path.contains('{') || method.spec.body.is_some() {
        errors.extend(refused(vec![DirectoryError::NoSuchUser, DirectoryError::NoSuchItem(ItemKind::Group)]));
        errors.push(RequestError::NoRoute);
    }
    if method.access != RequiredAccess::Public {
        errors.extend([RequestError::Unauthorized, RequestError::Forbidden]);
        errors.extend(refused(vec![
            DirectoryError::ConnectionEnded,
            DirectoryError::Forbidden,
            DirectoryError::RoleTooHigh,
        ]));
        errors.extend(refused(vec![DirectoryError::SignIn(SignInError::InvalidCredentials)]));
    } else if method.spec.body.is_some() {
        errors.push(RequestError::Unauthorized);
    }
    if takes_key(method) {
        errors.extend(IdempotencyError::ALL.map(RequestError::Idempotency));
    }
    if method.access == RequiredAccess::Write {
        let refusals = vec![
            invalid(FieldErrorKind::Taken),
            DirectoryError::WrongStatus,
            DirectoryError::VersionMismatch,
            DirectoryError::Conflict,
        ];
        errors.extend(refused(refusals));
    }
    errors.extend(method.spec.error_statuses.iter().map(|status| RequestError::dialect_specific(*status, "", "")));
    errors
}

fn schema_ref(dialect: &Dialect, object_schema: &ObjectSchema, schemas: &mut Schemas, schema_use: SchemaUse) -> Value {
    let suffix = match schema_use {
        SchemaUse::Request => "In",
        SchemaUse::PartialRequest => "Change",
        SchemaUse::Response => "Out",
    };
    let name = format!("{}.{}.{suffix}", dialect.name, object_schema.name);
    if !schemas.contains_key(&name) {
        schemas.insert(name.clone(), Value::Null);
        let all = [object_schema.properties, &(dialect.common_properties)(object_schema)].concat();
        let direction = if schema_use == SchemaUse::Response { Direction::Response } else { Direction::Request };
        let members = || all.iter().filter(|m| m.direction == direction || m.direction == Direction::Both);
        let mut properties = Map::new();
        for member in members() {
            properties.insert(member.name.to_owned(), property_schema(dialect, member, schemas, schema_use));
        }
        let required: Vec<&str> = members()
            .filter(|m| match schema_use {
                SchemaUse::Request => m.required,
                SchemaUse::PartialRequest => false,
                SchemaUse::Response => m.characteristics.always_returned,
            })
            .map(|m| m.name)
            .collect();
        let mut schema = json!({"type": "object", "description": object_schema.description, "properties": properties});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        if let Some(xml) = &dialect.xml_names {
            schema["xml"] = json!({"name": object_schema.name});
            if let Some(namespace) = (xml.namespace)(object_schema) {
                schema["xml"]["namespace"] = json!(namespace);
            }
        }
        schemas.insert(name.clone(), schema);
    }
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn property_schema(dialect: &Dialect, member: &Property, schemas: &mut Schemas, schema_use: SchemaUse) -> Value {
    // A nested object of a partial request is complete.
    let inner = if schema_use == SchemaUse::PartialRequest { SchemaUse::Request } else { schema_use };
    let mut schema = value_schema(dialect, &member.value_type, schemas, inner);
    if schema_use != SchemaUse::Response && member.required && matches!(member.value_type, ValueType::Text) {
        schema["minLength"] = json!(1);
    }
    if member.nullable && schema_use == SchemaUse::Response {
        schema = match schema.get("type").cloned() {
            Some(kind) => {
                schema["type"] = json!([kind, "null"]);
                schema
            }
            None => json!({"anyOf": [schema, {"type": "null"}]}),
        };
    }
    schema["description"] = json!(member.description);
    if let Some(max) = member.max_chars() {
        schema["maxLength"] = json!(max);
    }
    if let Some(xml) = &dialect.xml_names {
        let name = (xml.property)(member.name);
        if name != member.name {
            schema["xml"]["name"] = json!(name);
        }
    }
    schema
}

fn value_schema(dialect: &Dialect, kind: &ValueType, schemas: &mut Schemas, schema_use: SchemaUse) -> Value {
    match kind {
        ValueType::Text | ValueType::Timestamp | ValueType::Binary => json!({"type": "string"}),
        ValueType::Enum(words) => json!({"type": "string", "enum": words}),
        ValueType::Any => json!({}),
        ValueType::Reference(_) => json!({"type": "string", "format": "uri-reference"}),
        ValueType::Guid => {
            json!({"type": "string", "pattern": "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"})
        }
        ValueType::Integer => json!({"type": "integer"}),
        ValueType::Boolean => json!({"type": "boolean"}),
        ValueType::Object(schema) => schema_ref(dialect, schema, schemas, schema_use),
        ValueType::OneOrMore(kind) => {
            let one = value_schema(dialect, kind, schemas, schema_use);
            json!({"anyOf": [one, {"type": "array", "items": one}]})
        }
        ValueType::List(item, kind) => {
            let mut items = value_schema(dialect, kind, schemas, schema_use);
            if dialect.xml_names.is_none() {
                return json!({"type": "array", "items": items});
            }
            items["xml"]["name"] = json!(item);
            json!({"type": "array", "items": items, "xml": {"wrapped": true}})
        }
    }
}
