//! Names of user fields in the dialects, from their tables, for imported files whose columns have an API's names.

use crate::USER_APIS;
use crate::kit::{ObjectSchema, Property, ValueType};
use directory::Field;

/// Every name of a user field in any dialect, qualified (`name.givenName`) and unqualified. A name that dialects use
/// for different fields appears once for each, SCIM's first.
pub fn field_aliases() -> Vec<(String, Field)> {
    let mut aliases = Vec::new();
    let mut records: Vec<&'static ObjectSchema> = Vec::new();
    for dialect in USER_APIS.iter().rev() {
        let bodies = dialect.routes.iter().flat_map(|route| route.methods).filter_map(|method| method.spec.body);
        for object_schema in bodies.filter(|object_schema| is_user_schema(object_schema)) {
            if !records.iter().any(|known| std::ptr::eq(*known, object_schema)) {
                records.push(object_schema);
                collect_aliases(object_schema, "", &mut aliases);
            }
        }
    }
    aliases
}

/// Whether a body is a user or contains one.
fn is_user_schema(object_schema: &ObjectSchema) -> bool {
    object_schema.properties.iter().any(|member| {
        matches!(member.field, Some(Field::Email | Field::Emails | Field::UserName))
            || matches!(member.value_type, ValueType::Object(inner) if is_user_schema(inner))
    })
}

fn collect_aliases(object_schema: &'static ObjectSchema, prefix: &str, aliases: &mut Vec<(String, Field)>) {
    for Property { name, field, value_type: kind, .. } in object_schema.properties {
        let qualified_name = if prefix.is_empty() { (*name).to_owned() } else { format!("{prefix}.{name}") };
        if let Some(field) = field {
            aliases.push((qualified_name.clone(), *field));
            if !prefix.is_empty() {
                aliases.push(((*name).to_owned(), *field));
            }
        }
        if let ValueType::Object(inner) = kind {
            collect_aliases(inner, &qualified_name, aliases);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_include_every_given_name() {
        let aliases = field_aliases();
        for name in ["FirstName", "firstname", "givenName", "name.givenName"] {
            assert!(aliases.iter().any(|(known, field)| known.ends_with(name) && *field == Field::GivenName), "{name}");
        }
    }
}
