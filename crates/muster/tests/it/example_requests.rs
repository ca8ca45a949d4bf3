//! The example requests of the OpenAPI document, and the resources that they name. Tests that send every operation
//! use them, so that a new dialect or route needs no change in these tests.

use crate::support::{TestApp, build_request};
use dialects::kit::{EMAIL, EXTERNAL_ID, FOLDER_ID, GROUP_ID, USER_ID};
use directory::{
    Caller, Command, DepartmentRef, Field, FieldUpdate, FolderEdit, GroupEdit, ItemId, NewConnection, OrganizationEdit,
    RequestedStatus, UserEdit, UserId,
};
use form_urlencoded::Serializer;
use serde_json::Value;
use uuid::Uuid;

/// Parameters in paths that name no resource of a tenant.
const OTHER_PATH_PARAMETERS: [&str; 5] = ["context", "format", "name", "urn", "file"];

/// A documented example request.
#[derive(Clone)]
pub(crate) struct Example {
    method: String,
    pub(crate) target: String,
    media: Option<String>,
    pub(crate) body: Value,
    /// The query parameter of the key; `None` for a bearer token.
    key_parameter: Option<String>,
    /// Whether a parameter, or the body of a bulk operation, names a resource of the tenant.
    pub(crate) names_a_resource: bool,
}

impl Example {
    pub(crate) fn of(document: &Value, method: &str, path: &str) -> Self {
        let operation = &document["paths"][path][method];
        let (mut target, mut query) = (path.to_owned(), Serializer::new(String::new()));
        // Bulk operations name resources in the body.
        let mut names_a_resource = path.ends_with("/activate") || path.ends_with("/disable");
        for parameter in operation["parameters"].as_array().expect("parameters") {
            let name = parameter["name"].as_str().expect("a name");
            let example = match &parameter["example"] {
                Value::Null => {
                    assert_eq!(parameter["required"], false, "{method} {path}: {name} has no example");
                    continue;
                }
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            names_a_resource |= name == "Id" || parameter["in"] == "path" && !OTHER_PATH_PARAMETERS.contains(&name);
            if parameter["in"] == "path" {
                target = target.replace(&format!("{{{name}}}"), &example);
            } else {
                query.append_pair(name, &example);
            }
        }
        let content = operation["requestBody"]["content"].as_object();
        let with_example = content.map(|content| {
            let found = content.iter().find(|(_, content)| content.get("example").is_some());
            found.unwrap_or_else(|| panic!("{method} {path} has no example body"))
        });
        if let Some((_, content)) = with_example {
            let schema = serde_json::json!({"allOf": [content["schema"]], "components": document["components"]});
            let validator = jsonschema::validator_for(&schema).expect("a schema");
            let errors: Vec<String> = validator
                .iter_errors(&content["example"])
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert_eq!(errors, [""; 0], "{method} {path}");
        }
        let schemes = operation["security"].as_array().into_iter().flatten().filter_map(Value::as_object);
        let mut schemes = schemes.flat_map(|schemes| schemes.keys());
        let key_parameter = schemes.find_map(|name| document["components"]["securitySchemes"][name]["name"].as_str());
        Self {
            method: method.to_ascii_uppercase(),
            target: format!("{target}?{}", query.finish()),
            media: with_example.map(|(media, _)| media.clone()),
            body: with_example.map_or(Value::Null, |(_, content)| content["example"].clone()),
            key_parameter: key_parameter.map(str::to_owned),
            names_a_resource,
        }
    }

    /// Sends the request with this key, as its security scheme says; returns status and body.
    pub(crate) async fn send(&self, test_app: &TestApp, key: Option<&str>) -> (u16, String) {
        let is_form = self.media.as_deref() == Some("application/x-www-form-urlencoded");
        let body = match &self.body {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Object(members) if is_form => {
                let pairs = members.iter().map(|(name, value)| (name, value.as_str().expect("a text")));
                Serializer::new(String::new()).extend_pairs(pairs).finish()
            }
            other => other.to_string(),
        };
        let bearer = format!("Bearer {}", key.unwrap_or_default());
        let (mut headers, mut target) = (Vec::new(), self.target.clone());
        match (key, &self.key_parameter) {
            (Some(key), Some(parameter)) => target.push_str(&format!("&{parameter}={key}")),
            (Some(_), None) => headers.push(("Authorization", bearer.as_str())),
            (None, _) => {}
        }
        headers.extend(self.media.as_deref().map(|media| ("Content-Type", media)));
        test_app.send_request(build_request(&self.method, &target, &headers, &body)).await
    }
}

/// A resource that examples name.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resource {
    User,
    Group,
    Folder,
    Organization,
}

impl Resource {
    pub(crate) const ALL: [Self; 4] = [Self::User, Self::Group, Self::Folder, Self::Organization];

    /// The command that creates it, with `label` in its data.
    fn creation(self, label: &str, status: FieldUpdate<RequestedStatus>) -> Command {
        let id = |text: &str| Uuid::try_parse(text).expect("an id");
        let name = |name: &str| FieldUpdate::Set(format!("{name}{label}"));
        match self {
            Self::User => {
                let mut user = UserEdit { id: Some(UserId(id(USER_ID))), status, ..UserEdit::default() };
                user.set_text(Field::Email, FieldUpdate::Set(EMAIL.into()));
                user.set_text(Field::GivenName, name("Ada"));
                user.set_text(Field::ExternalId, FieldUpdate::Set(EXTERNAL_ID.into()));
                user.department = FieldUpdate::Set(DepartmentRef::Name(format!("Engines{label}")));
                user.password = Some("four red fish in a pond".into());
                Command::CreateUser(Box::new(user))
            }
            Self::Group => Command::CreateGroup(GroupEdit {
                id: Some(ItemId(id(GROUP_ID))),
                name: name("Analysts"),
                ..GroupEdit::default()
            }),
            Self::Folder => Command::CreateFolder(FolderEdit {
                id: Some(ItemId(id(FOLDER_ID))),
                name: name("Drawings"),
                ..FolderEdit::default()
            }),
            Self::Organization => Command::CreateOrganization(OrganizationEdit {
                name: name("Engine Works"),
                domains: FieldUpdate::Set(vec![format!("engines{label}.example.com")]),
                ..OrganizationEdit::default()
            }),
        }
    }
}

/// Creates resources that the examples name.
pub(crate) async fn create_resources(
    test_app: &TestApp,
    caller: &Caller,
    resources: impl IntoIterator<Item = Resource>,
    label: &str,
    status: FieldUpdate<RequestedStatus>,
) {
    for resource in resources {
        let command = resource.creation(label, status.clone());
        test_app.directory().run(caller, command).await.expect("created");
    }
}

/// Enables a connection for every dialect.
pub(crate) fn enable_every_dialect(connection: &mut NewConnection) {
    connection.dialects = dialects::grantable_dialects().map(|dialect| dialect.name.to_owned()).collect();
}
