//! What dialects call the fields of a person, from their tables: for files whose columns are named as an API names them.

use super::{Kind, Member, Record};
use crate::ALL;
use directory::Field;

/// Every name that a dialect has for a field of a person, whole (`name.givenName`) and by itself, each with its field. Names
/// that dialects use for different fields come in the order of the dialects, the standard first.
pub fn spellings() -> Vec<(String, Field)> {
    let mut all = Vec::new();
    let mut records: Vec<&'static Record> = Vec::new();
    for dialect in ALL.iter().rev() {
        let bodies = dialect.routes.iter().flat_map(|route| route.verbs).filter_map(|verb| verb.about.body);
        for record in bodies.filter(|record| is_person(record)) {
            if !records.iter().any(|known| std::ptr::eq(*known, record)) {
                records.push(record);
                walk(record, "", &mut all);
            }
        }
    }
    all
}

/// Whether a body is a person, or has one in it.
fn is_person(record: &Record) -> bool {
    record.members.iter().any(|member| {
        matches!(member.field, Some(Field::Email | Field::Emails | Field::UserName))
            || matches!(member.kind, Kind::Object(inner) if is_person(inner))
    })
}

fn walk(record: &'static Record, outer: &str, all: &mut Vec<(String, Field)>) {
    for Member { name, field, kind, .. } in record.members {
        let whole = if outer.is_empty() { (*name).to_owned() } else { format!("{outer}.{name}") };
        if let Some(field) = field {
            all.push((whole.clone(), *field));
            if !outer.is_empty() {
                all.push(((*name).to_owned(), *field));
            }
        }
        if let Kind::Object(inner) = kind {
            walk(inner, &whole, all);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_names_a_first_name() {
        let all = spellings();
        for name in ["FirstName", "firstname", "givenName", "name.givenName"] {
            assert!(
                all.iter().any(|(known, field)| known.ends_with(name) && *field == Field::GivenName),
                "{name}"
            );
        }
    }
}
