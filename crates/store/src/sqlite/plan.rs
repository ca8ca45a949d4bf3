//! How people are found: which index serves a question, if any. What an index finds is still checked against the whole
//! question, so a plan may find too many, and never too few.

use crate::claims::{self, HANDLES, USER_EXTERNAL_IDS};
use directory::{Field, Filter, ItemId, ItemKind, Op, Scalar, Test, UserId, UserQuery, UserTest, fold};
use rusqlite::types::Value;
use uuid::Uuid;

/// An index and where in it to look.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// Claims of a space from one text up to another, the second not included.
    Claims(u8, String, String),
    /// E-mails besides the preferred one.
    Mentions(String),
    /// The identity.
    Id(UserId),
    /// The number.
    Number(u32),
    /// Whether they are switched on.
    Active(bool),
    /// When they last changed: from, and up to but not including.
    Updated(i64, i64),
    /// Who belongs to an item of a kind.
    Member(ItemKind, ItemId),
    /// What any of these finds.
    Several(Vec<Source>),
}

/// The best index for a question, and whether it finds exactly what was asked for.
pub(super) fn plan(query: &UserQuery) -> Option<(Source, bool)> {
    let best = query.tests.iter().filter_map(of_test).min_by_key(|(source, _)| source.rank());
    best.map(|(source, exact)| (source, exact && query.tests.len() == 1))
}

fn of_test(test: &UserTest) -> Option<(Source, bool)> {
    match test {
        UserTest::Email(email) => Some((handle(email), false)),
        UserTest::ExternalId(id) => {
            let (from, to) = claims::external_ids_like(id);
            Some((Source::Claims(USER_EXTERNAL_IDS, from, to), false))
        }
        UserTest::Meets(filter, _) => of_filter(filter),
        _ => None,
    }
}

fn of_filter(filter: &Filter) -> Option<(Source, bool)> {
    match filter {
        Filter::All(filters) => {
            let best = filters.iter().filter_map(of_filter).min_by_key(|(source, _)| source.rank());
            best.map(|(source, exact)| (source, exact && filters.len() == 1))
        }
        Filter::Any(filters) => {
            let sources: Option<Vec<Source>> = filters.iter().map(|f| of_filter(f).map(|(s, _)| s)).collect();
            // The union of long lists would cost more than a walk.
            sources.filter(|all| all.iter().all(Source::is_short)).map(|all| (Source::Several(all), false))
        }
        Filter::Not(_) => None,
        Filter::Test(test) => of_comparison(test.field, test.part, test),
        Filter::Entry(field, filter) => of_entry(*field, filter).map(|source| (source, false)),
    }
}

/// One entry of a plural that must have a certain value.
fn of_entry(field: Field, filter: &Filter) -> Option<Source> {
    match filter {
        Filter::All(filters) => filters.iter().find_map(|filter| of_entry(field, filter)),
        Filter::Test(test) => of_comparison(field, Some(test.field), test).map(|(source, _)| source),
        Filter::Any(_) | Filter::Not(_) | Filter::Entry(..) => None,
    }
}

fn of_comparison(field: Field, part: Option<Field>, test: &Test) -> Option<(Source, bool)> {
    let found = match (field, part, test.op, &test.value) {
        (Field::UserName, None, Op::Equal, Scalar::Text(name)) => (handle(&fold(name)), false),
        (Field::Emails, Some(Field::Value), Op::Equal, Scalar::Text(email)) => {
            let email = fold(email);
            (Source::Several(vec![handle(&email), Source::Mentions(email)]), false)
        }
        (Field::ExternalId, None, Op::Equal, Scalar::Text(id)) => {
            let (from, to) = claims::external_ids_like(&fold(id));
            (Source::Claims(USER_EXTERNAL_IDS, from, to), false)
        }
        (Field::Id, None, Op::Equal, Scalar::Text(id)) => (id_source(id, |id| Source::Id(UserId(id))), false),
        (Field::Groups | Field::Folders, Some(Field::Value), Op::Equal, Scalar::Text(id)) => {
            let kind = if field == Field::Groups { ItemKind::Group } else { ItemKind::Folder };
            // Only the usual spelling is compared equal, and so found by the index alone.
            let is_usual = Uuid::try_parse(id).is_ok_and(|known| known.to_string() == **id);
            (id_source(id, |id| Source::Member(kind, ItemId(id))), is_usual)
        }
        (Field::Number, None, Op::Equal, Scalar::Integer(number)) => {
            (u32::try_from(*number).map_or(Source::Several(Vec::new()), Source::Number), false)
        }
        (Field::Active, None, Op::Equal, Scalar::Bool(active)) => (Source::Active(*active), true),
        (Field::Updated, None, op, Scalar::Time(time)) => {
            let next = time.0.saturating_add(1);
            let (from, to) = match op {
                Op::Equal => (time.0, next),
                Op::Greater => (next, i64::MAX),
                Op::GreaterOrEqual => (time.0, i64::MAX),
                Op::Less => (i64::MIN, time.0),
                Op::LessOrEqual => (i64::MIN, next),
                _ => return None,
            };
            (Source::Updated(from, to), true)
        }
        _ => return None,
    };
    Some(found)
}

/// Whoever signs in with this; the text right behind it ends the range.
fn handle(folded: &str) -> Source {
    Source::Claims(HANDLES, folded.to_owned(), format!("{folded}\0"))
}

/// What is no identity is nobody's.
fn id_source(text: &str, source: impl FnOnce(Uuid) -> Source) -> Source {
    Uuid::try_parse(text).map_or(Source::Several(Vec::new()), source)
}

impl Source {
    /// Whether it finds a handful at the most.
    pub(super) fn is_short(&self) -> bool {
        match self {
            Self::Claims(..) | Self::Mentions(_) | Self::Id(_) | Self::Number(_) => true,
            Self::Several(sources) => sources.iter().all(Self::is_short),
            Self::Active(_) | Self::Updated(..) | Self::Member(..) => false,
        }
    }

    fn rank(&self) -> u8 {
        match self {
            _ if self.is_short() => 0,
            Self::Member(..) => 1,
            Self::Updated(..) => 2,
            _ => 3,
        }
    }

    /// The statements that give the numbers of those it finds, `?1` being the tenant, with what is bound from `?2` on.
    pub(super) fn statements(&self) -> Vec<(&'static str, Vec<Value>)> {
        let id = |id: &Uuid| Value::Blob(id.as_bytes().to_vec());
        let one = match self {
            Self::Claims(space, from, to) => (
                "SELECT u.number FROM claims c JOIN users u ON u.pk = c.owner
                WHERE c.tenant = ?1 AND c.space = ?2 AND c.text >= ?3 AND c.text < ?4",
                vec![Value::Integer((*space).into()), Value::Text(from.clone()), Value::Text(to.clone())],
            ),
            Self::Mentions(text) => (
                "SELECT u.number FROM mentions m JOIN users u ON u.pk = m.owner WHERE m.tenant = ?1 AND m.text = ?2",
                vec![Value::Text(text.clone())],
            ),
            Self::Id(user) => ("SELECT number FROM users WHERE tenant = ?1 AND id = ?2", vec![id(&user.0)]),
            Self::Number(number) => (
                "SELECT number FROM users WHERE tenant = ?1 AND number = ?2",
                vec![Value::Integer((*number).into())],
            ),
            Self::Active(active) => (
                "SELECT number FROM users INDEXED BY users_by_active WHERE tenant = ?1 AND active = ?2",
                vec![Value::Integer((*active).into())],
            ),
            Self::Updated(from, to) => (
                "SELECT number FROM users INDEXED BY users_by_update
                WHERE tenant = ?1 AND updated >= ?2 AND updated < ?3",
                vec![Value::Integer(*from), Value::Integer(*to)],
            ),
            Self::Member(kind, item) => (
                "SELECT u.number FROM memberships m JOIN users u ON u.pk = m.user
                WHERE m.item = (SELECT pk FROM items WHERE tenant = ?1 AND id = ?2 AND kind = ?3)",
                vec![id(&item.0), Value::Integer((1 + claims::kind_number(*kind)).into())],
            ),
            Self::Several(sources) => return sources.iter().flat_map(Self::statements).collect(),
        };
        vec![one]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::Labels;
    use rusqlite::params_from_iter;
    use std::sync::Arc;

    fn equal(field: Field, part: Option<Field>, value: Scalar<'static>) -> Filter {
        Filter::Test(Test::new(field, part, Op::Equal, value, false))
    }

    fn planned(filter: Filter) -> Option<Source> {
        let test = UserTest::Meets(Arc::new(filter), Arc::new(Labels::default()));
        plan(&UserQuery { tests: vec![test], ..UserQuery::default() }).map(|(source, _)| source)
    }

    fn since(op: Op) -> Filter {
        Filter::Test(Test::new(Field::Updated, None, op, Scalar::Time(directory::Time(7)), true))
    }

    /// What the engine says it will do for each filter that must use an index: searches, and never a scan.
    #[test]
    fn filters_that_must_use_an_index_never_scan() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.db");
        let store = crate::Sqlite::open(&path, &crate::Options::default()).unwrap();
        let db = rusqlite::Connection::open(&path).unwrap();
        let text = || Scalar::text("00000000-0000-0000-0000-000000000001");
        let work = equal(Field::Kind, None, Scalar::text("work"));
        let entry = Filter::Entry(
            Field::Emails,
            Box::new(Filter::All(vec![work, equal(Field::Value, None, Scalar::text("a@x.y"))])),
        );
        let filters = [
            ("userName", equal(Field::UserName, None, text())),
            ("externalId", equal(Field::ExternalId, None, text())),
            ("emails.value", equal(Field::Emails, Some(Field::Value), text())),
            ("emails[type eq \"work\"].value", entry.clone()),
            ("id", equal(Field::Id, None, text())),
            ("active eq true", equal(Field::Active, None, Scalar::Bool(true))),
            ("active eq false", equal(Field::Active, None, Scalar::Bool(false))),
            ("meta.lastModified eq", since(Op::Equal)),
            ("meta.lastModified gt", since(Op::Greater)),
            ("meta.lastModified ge", since(Op::GreaterOrEqual)),
            ("meta.lastModified lt", since(Op::Less)),
            ("meta.lastModified le", since(Op::LessOrEqual)),
            ("groups.value", equal(Field::Groups, Some(Field::Value), text())),
            ("two of them", Filter::All(vec![since(Op::Greater), entry.clone()])),
            ("one of two", Filter::Any(vec![equal(Field::UserName, None, text()), entry])),
        ];
        for (name, filter) in filters {
            let source = planned(filter).unwrap_or_else(|| panic!("{name} has no index"));
            let mut looked_at = 0;
            for (sql, bound) in source.statements() {
                let bound = std::iter::once(Value::Integer(1)).chain(bound);
                let mut statement = db.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
                let steps =
                    statement.query_map(params_from_iter(bound), |row| row.get::<_, String>(3)).unwrap();
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
    fn what_no_index_serves_is_walked() {
        let contains = Test::new(Field::UserName, None, Op::Contains, Scalar::text("a"), false);
        assert_eq!(planned(Filter::Test(contains)), None);
        assert_eq!(planned(Filter::Not(Box::new(since(Op::Equal)))), None);
        let either = vec![since(Op::Equal), equal(Field::UserName, None, Scalar::text("a"))];
        assert_eq!(planned(Filter::Any(either)), None, "a union of long lists is a walk");
        // What is no identity is nobody's, and takes no look at all.
        assert_eq!(
            planned(equal(Field::Id, None, Scalar::text("nobody"))),
            Some(Source::Several(Vec::new()))
        );
    }
}
