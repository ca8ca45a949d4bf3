//! The OpenAPI 3.1 document, made of the same tables that the readers and the router use.

use super::{Access, Kind, Member, Record, Verb, Way};
use crate::Dialect;
use serde_json::{Map, Value, json};

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
                        let operation = operation(dialect, path, verb, &mut schemas);
                        methods.insert(verb.method.to_ascii_lowercase(), operation);
                    }
                }
            }
        }
    }
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
        "components": { "schemas": schemas, "securitySchemes": security },
    })
}

fn operation(dialect: &Dialect, path: &str, verb: &Verb, schemas: &mut Map<String, Value>) -> Value {
    let mut parameters: Vec<Value> = path
        .split('/')
        .filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}))
        .collect();
    parameters.extend(verb.about.query.iter().chain(dialect.parameters).map(|(name, kind, about)| {
        let schema = kind_schema(dialect, kind, schemas, Way::In);
        json!({"name": name, "in": "query", "required": false, "description": about, "schema": schema})
    }));
    let mut operation = json!({
        "tags": [dialect.name],
        "summary": verb.about.summary,
        "operationId": operation_id(dialect, path, verb),
        "parameters": parameters,
        "responses": responses(dialect, verb, schemas),
    });
    if verb.access == Access::Open {
        operation["security"] = json!([]);
    } else {
        let schemes = dialect.security.iter().map(|(name, _)| json!({*name: []}));
        operation["security"] = schemes.collect::<Vec<_>>().into();
    }
    if let Some(record) = verb.about.body {
        let reference = reference(dialect, record, schemas, Way::In);
        let content: Map<String, Value> =
            dialect.reads.iter().map(|media| ((*media).to_owned(), json!({"schema": reference}))).collect();
        operation["requestBody"] = json!({"required": verb.method != "DELETE", "content": content});
    }
    operation
}

fn operation_id(dialect: &Dialect, path: &str, verb: &Verb) -> String {
    let path: String = path.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    format!("{}_{}{}", dialect.name, verb.method.to_ascii_lowercase(), path)
}

fn responses(dialect: &Dialect, verb: &Verb, schemas: &mut Map<String, Value>) -> Value {
    let content = |reference: &Value| -> Value {
        dialect
            .writes
            .iter()
            .map(|media| ((*media).to_owned(), json!({"schema": reference})))
            .collect::<Map<_, _>>()
            .into()
    };
    let (ok, done) = match verb.about.answer {
        Some(record) => {
            let reference = reference(dialect, record, schemas, Way::Out);
            ("200", json!({"description": "Done", "content": content(&reference)}))
        }
        None => ("204", json!({"description": "Done, nothing to say"})),
    };
    let refused = reference(dialect, dialect.error, schemas, Way::Out);
    let mut responses = json!({ ok: done });
    for (status, text) in [
        ("400", "What was sent breaks a rule, or cannot be read"),
        ("401", "No key, or one that opens nothing here"),
        ("413", "The body is too large"),
        ("415", "The body's media type is not read here"),
        ("429", "Too many bad keys from this address, or too many requests in progress"),
        ("503", "Busy; try again after `Retry-After` seconds"),
    ] {
        responses[status] = json!({"description": text, "content": content(&refused)});
    }
    responses
}

fn reference(dialect: &Dialect, record: &Record, schemas: &mut Map<String, Value>, way: Way) -> Value {
    let side = match way {
        Way::In => "In",
        Way::Out | Way::Both => "Out",
    };
    let name = format!("{}.{}.{}", dialect.name, record.name, side);
    if !schemas.contains_key(&name) {
        schemas.insert(name.clone(), Value::Null);
        let members = || record.members.iter().filter(|m| m.way == way || m.way == Way::Both);
        let mut properties = Map::new();
        for member in members() {
            properties.insert(member.name.to_owned(), member_schema(dialect, member, schemas, way));
        }
        let required: Vec<&str> =
            members().filter(|m| m.required && way == Way::In).map(|m| m.name).collect();
        let mut schema = json!({"type": "object", "description": record.about, "properties": properties});
        if !required.is_empty() {
            schema["required"] = json!(required);
        }
        schemas.insert(name.clone(), schema);
    }
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn member_schema(dialect: &Dialect, member: &Member, schemas: &mut Map<String, Value>, way: Way) -> Value {
    let mut schema = kind_schema(dialect, &member.kind, schemas, way);
    schema["description"] = json!(member.about);
    if member.max > 0 {
        schema["maxLength"] = json!(member.max);
    }
    schema
}

fn kind_schema(dialect: &Dialect, kind: &Kind, schemas: &mut Map<String, Value>, way: Way) -> Value {
    match kind {
        Kind::Text | Kind::Moment | Kind::Binary => json!({"type": "string"}),
        Kind::Reference(_) => json!({"type": "string", "format": "uri-reference"}),
        Kind::Guid => {
            json!({"type": "string", "pattern": "^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}$"})
        }
        Kind::Integer => json!({"type": "integer", "format": "int32"}),
        Kind::Boolean => json!({"type": "boolean"}),
        Kind::Object(record) => reference(dialect, record, schemas, way),
        Kind::List(item, kind) => {
            let items = kind_schema(dialect, kind, schemas, way);
            json!({"type": "array", "items": items, "xml": {"wrapped": true}, "x-xml-item": item})
        }
    }
}
