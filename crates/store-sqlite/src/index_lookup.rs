//! The SQLite statements of an [`IndexLookup`].

use rusqlite::types::Value;
use store::query_plan::IndexLookup;
use store::{sql, unique_keys};
use uuid::Uuid;

/// The statements that return the matching user numbers, with the values from `?2` on; `?1` is the tenant.
pub(super) fn lookup_statements(source: &IndexLookup) -> Vec<(&'static str, Vec<Value>)> {
    let id = |id: &Uuid| Value::Blob(id.as_bytes().to_vec());
    let one = match source {
        IndexLookup::UniqueKeys(space, from, to) => (
            sql::USER_NUMBERS_BY_UNIQUE_KEY.sqlite,
            vec![Value::Integer((*space).into()), Value::Text(from.clone()), Value::Text(to.clone())],
        ),
        IndexLookup::SecondaryEmail(text) => {
            (sql::USER_NUMBERS_BY_SECONDARY_EMAIL.sqlite, vec![Value::Text(text.clone())])
        }
        IndexLookup::Id(user) => (sql::USER_NUMBERS_BY_ID.sqlite, vec![id(&user.0)]),
        IndexLookup::Number(number) => (sql::USER_NUMBERS_BY_NUMBER.sqlite, vec![Value::Integer((*number).into())]),
        IndexLookup::Active(active) => (sql::USER_NUMBERS_BY_ACTIVE.sqlite, vec![Value::Integer((*active).into())]),
        IndexLookup::UpdatedRange(from, to) => {
            (sql::USER_NUMBERS_BY_UPDATED.sqlite, vec![Value::Integer(*from), Value::Integer(*to)])
        }
        IndexLookup::Member(kind, item) => (
            sql::USER_NUMBERS_BY_MEMBERSHIP.sqlite,
            vec![id(&item.0), Value::Integer((1 + unique_keys::kind_index(*kind)).into())],
        ),
        IndexLookup::Union(sources) => return sources.iter().flat_map(lookup_statements).collect(),
    };
    vec![one]
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::{AttributeValue, CompareOp, Comparison, Field, Filter, Labels, UserPredicate, UserQuery};
    use rusqlite::params_from_iter;
    use std::sync::Arc;
    use store::query_plan::plan_users;

    fn equal(field: Field, part: Option<Field>, value: AttributeValue<'static>) -> Filter {
        Filter::Comparison(Comparison::new(field, part, CompareOp::Equal, value, false))
    }

    fn planned(filter: Filter) -> Option<IndexLookup> {
        let test = UserPredicate::Filter(Arc::new(filter), Arc::new(Labels::default()));
        plan_users(&UserQuery { predicates: vec![test], ..UserQuery::default() }).map(|(source, _)| source)
    }

    fn since(op: CompareOp) -> Filter {
        Filter::Comparison(Comparison::new(Field::Updated, None, op, AttributeValue::Time(directory::Time(7)), true))
    }

    /// The query plan of each filter that must use an index has searches, never a scan.
    #[test]
    fn filters_that_must_use_an_index_never_scan() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        let store = crate::Sqlite::open(&path, &crate::SqliteOptions::default()).unwrap();
        let db = rusqlite::Connection::open(&path).unwrap();
        let text = || AttributeValue::text("00000000-0000-0000-0000-000000000001");
        let work = equal(Field::Kind, None, AttributeValue::text("work"));
        let entry = Filter::ValuePath(
            Field::Emails,
            Box::new(Filter::All(vec![work, equal(Field::Value, None, AttributeValue::text("a@x.y"))])),
        );
        let filters = [
            ("userName", equal(Field::UserName, None, text())),
            ("externalId", equal(Field::ExternalId, None, text())),
            ("emails.value", equal(Field::Emails, Some(Field::Value), text())),
            ("emails[type eq \"work\"].value", entry.clone()),
            ("id", equal(Field::Id, None, text())),
            ("active eq true", equal(Field::Active, None, AttributeValue::Bool(true))),
            ("active eq false", equal(Field::Active, None, AttributeValue::Bool(false))),
            ("meta.lastModified eq", since(CompareOp::Equal)),
            ("meta.lastModified gt", since(CompareOp::Greater)),
            ("meta.lastModified ge", since(CompareOp::GreaterOrEqual)),
            ("meta.lastModified lt", since(CompareOp::Less)),
            ("meta.lastModified le", since(CompareOp::LessOrEqual)),
            ("groups.value", equal(Field::Groups, Some(Field::Value), text())),
            ("two of them", Filter::All(vec![since(CompareOp::Greater), entry.clone()])),
            ("one of two", Filter::Any(vec![equal(Field::UserName, None, text()), entry])),
        ];
        for (name, filter) in filters {
            let source = planned(filter).unwrap_or_else(|| panic!("{name} has no index"));
            let mut looked_at = 0;
            for (sql, bound) in lookup_statements(&source) {
                let bound = std::iter::once(Value::Integer(1)).chain(bound);
                let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let steps = statement.query_map(params_from_iter(bound), |row| row.get::<_, String>(3)).unwrap();
                for step in steps.map(Result::unwrap) {
                    assert!(!step.contains("SCAN"), "{name}: {step}");
                    looked_at += usize::from(step.contains("SEARCH"));
                }
            }
            assert!(looked_at > 0, "{name}");
        }
        drop(store);
    }

    #[test]
    fn queries_without_an_index_are_scans() {
        let contains = Comparison::new(Field::UserName, None, CompareOp::Contains, AttributeValue::text("a"), false);
        assert_eq!(planned(Filter::Comparison(contains)), None);
        assert_eq!(planned(Filter::Not(Box::new(since(CompareOp::Equal)))), None);
        let either = vec![since(CompareOp::Equal), equal(Field::UserName, None, AttributeValue::text("a"))];
        assert_eq!(planned(Filter::Any(either)), None, "a union of long lists is a scan");
        // A malformed id matches nothing and needs no lookup.
        assert_eq!(
            planned(equal(Field::Id, None, AttributeValue::text("nobody"))),
            Some(IndexLookup::Union(Vec::new()))
        );
    }
}
