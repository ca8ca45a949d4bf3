//! Every word that engines behind PostgreSQL's protocol are asked must be on a short list: what PostgreSQL,
//! CockroachDB and YugabyteDB all understand. A new construct fails here until somebody has looked it up for all three.

use super::tests::all;
use std::collections::BTreeSet;

const SCHEMA: &str = concat!(
    include_str!("../../migrations/postgres/0001_first.sql"),
    include_str!("../../migrations/postgres/0002_accounts.sql"),
    include_str!("../../migrations/postgres/0003_filling.sql"),
    include_str!("../../migrations/postgres/0004_dialects.sql"),
    include_str!("../../migrations/postgres/0005_identifiers.sql"),
    include_str!("../../migrations/postgres/0006_tenants.sql"),
    include_str!("../../migrations/postgres/0007_holds.sql"),
    include_str!("../../migrations/postgres/0008_key_uses.sql")
);

const WORDS: &str =
    "select from where and or not like is null in any as join on order by asc desc limit offset group union
    all insert into values conflict do nothing update set delete returning excluded cast interval millisecond
    begin commit rollback local isolation level serializable repeatable read only
    create table alter add column index if exists primary key unique foreign references
    left like case when then else end";
const TYPES: &str = "int smallint bigint text bytea uuid boolean timestamptz";
const FUNCTIONS: &str = "count sum max coalesce nullif replace unnest string_agg clock_timestamp pg_backend_pid pg_is_in_recovery";
/// Names that statements give themselves, and the one setting that is set.
const NAMES: &str =
    "n b c e i k l m t u times lock_timeout idle_in_transaction_session_timeout enable_seqscan jit off show transaction_read_only migrations
    checksum";

/// Words of the schema that are no words of the language: its tables, columns and indexes.
fn names() -> BTreeSet<String> {
    let language: BTreeSet<String> =
        [WORDS, TYPES].iter().flat_map(|list| list.split_whitespace()).map(str::to_owned).collect();
    let ddl = words(SCHEMA);
    // `text` is a column of ours and a type.
    ddl.into_iter().filter(|word| !language.contains(word)).collect()
}

/// The words of a statement in lower case, without what stands in quotes or behind `--`.
fn words(sql: &str) -> Vec<String> {
    let plain: String = sql.lines().map(|line| line.split("--").next().unwrap_or_default()).fold(
        String::new(),
        |mut text, line| {
            text.push_str(line);
            text.push(' ');
            text
        },
    );
    let outside: String = plain.split('\'').step_by(2).collect::<Vec<_>>().join(" ");
    outside
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '$'))
        .filter(|word| {
            !word.is_empty() && !word.starts_with('$') && !word.starts_with(|c: char| c.is_ascii_digit())
        })
        .map(str::to_ascii_lowercase)
        .collect()
}

/// What in a statement is not allowed; nothing, where all is.
fn foreign(sql: &str) -> Vec<String> {
    let mut allowed = names();
    let lists = [WORDS, TYPES, FUNCTIONS, NAMES];
    allowed.extend(lists.iter().flat_map(|list| list.split_whitespace()).map(str::to_owned));
    let mut found: Vec<String> = words(sql).into_iter().filter(|word| !allowed.contains(word)).collect();
    // What is not a word: casts by colons, JSON and pattern operators, named parameters.
    let signs = ["::", "->", "~", "@", "#", "?", "%", "&", "!"];
    let outside: String = sql.split('\'').step_by(2).collect();
    found.extend(signs.iter().filter(|sign| outside.contains(*sign)).map(|sign| (*sign).to_owned()));
    let flat = words(sql).join(" ");
    let phrases = ["for update", "on constraint", "in any"];
    found.extend(phrases.iter().filter(|phrase| flat.contains(*phrase)).map(|phrase| (*phrase).to_owned()));
    found
}

#[test]
fn every_statement_keeps_to_the_subset() {
    let mut read = 0;
    for (name, sql) in all().filter(|(_, sql)| !sql.postgres.is_empty()) {
        assert_eq!(foreign(sql.postgres), Vec::<String>::new(), "{name}: {}", sql.postgres);
        read += 1;
    }
    assert!(read > 60, "{read} statements were read");
    for numbers in [super::WITH_ACTIVE, super::BELONGING] {
        for sql in [
            super::count_below(numbers.postgres, 3),
            super::cut(numbers.postgres, 3, true),
            super::cut(numbers.postgres, 3, false),
        ] {
            assert_eq!(foreign(&sql), Vec::<String>::new(), "{sql}");
        }
    }
}

/// The schema is made of single statements that may run twice, in the same words; `SCHEMA`'s own names are held to a
/// pattern, so that a word of the language that is not on the list cannot pass as a name.
#[test]
fn the_schema_keeps_to_the_subset() {
    for statement in crate::postgres::statements(SCHEMA) {
        let head = words(&statement).into_iter().take(5).collect::<Vec<_>>().join(" ");
        assert!(
            head.starts_with("create table if not exists")
                || head.starts_with("create index if not exists")
                || words(&statement).join(" ").contains(" add column if not exists")
                || (head.starts_with("insert into") && statement.ends_with("DO NOTHING"))
                // What was replaced once is not found again.
                || head.starts_with("update connections set doc replace"),
            "{statement}"
        );
        for word in [
            "serial",
            "identity",
            "generated",
            "deferrable",
            "jsonb",
            "citext",
            "default",
            "check",
            "trigger",
            "inherits",
            "partition",
            "exclude",
            "using",
            "where",
            "cascade",
        ] {
            assert!(!words(&statement).iter().any(|other| other == word), "{word}: {statement}");
        }
    }
}

/// The check can fail.
#[test]
fn what_is_not_portable_is_found() {
    for (sql, what) in [
        ("SELECT pg_advisory_lock(1)", "pg_advisory_lock"),
        ("LISTEN events", "listen"),
        ("SELECT doc FROM users FOR UPDATE", "for"),
        ("SELECT doc::jsonb FROM users", "::"),
        ("INSERT INTO users VALUES ($1) ON CONFLICT ON CONSTRAINT users_pkey DO NOTHING", "constraint"),
        ("SELECT xmin FROM users", "xmin"),
        ("SELECT doc FROM users WHERE doc ILIKE 'a%'", "ilike"),
        ("SAVEPOINT change", "savepoint"),
        ("SELECT nextval('s')", "nextval"),
        ("SELECT doc->>'a' FROM users", "->"),
    ] {
        assert!(foreign(sql).contains(&what.to_owned()), "{sql}: {:?}", foreign(sql));
    }
}
