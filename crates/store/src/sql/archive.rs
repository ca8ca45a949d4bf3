//! Reading and filling a whole store: statements of backup, restore and move.

use super::{Sql, per_engine, portable, statements};

statements! {
    /// A snapshot of everything, which neither blocks writers nor sees their changes.
    BEGIN_SNAPSHOT = per_engine("BEGIN", "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");

    /// Users and deleted users by number. Each part has its own limit, otherwise both could be sorted completely for every
    /// page.
    ALL_USERS = portable(
        "SELECT * FROM (SELECT number, id, doc, password, version, active, updated, account, CAST(NULL AS BIGINT) AS deleted,
        CAST(NULL AS BYTEA) AS external_key FROM users
        WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT $3) AS u
        UNION ALL SELECT * FROM (SELECT number, id, doc, password, CAST(NULL AS INT) AS version,
        CAST(NULL AS SMALLINT) AS active, CAST(NULL AS BIGINT) AS updated, CAST(NULL AS TEXT) AS account, deleted,
        external_key FROM tombstones WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT $3) AS t
        ORDER BY number LIMIT $3",
    );
    /// Members of groups and folders (kinds 1 and 2), by item id and number of the user.
    ALL_MEMBERSHIPS = per_engine(
        "SELECT i.id, u.number FROM items i JOIN memberships m ON m.item = i.pk JOIN users u ON u.pk = m.user
        WHERE i.tenant = ?1 AND i.kind < 3 AND i.id >= ?2 AND (i.id > ?2
        OR m.user > coalesce((SELECT pk FROM users WHERE tenant = ?1 AND number = ?3), 0))
        ORDER BY i.id, m.user LIMIT ?4",
        "SELECT m.item, m.member FROM memberships m WHERE m.tenant = $1 AND (m.item, m.member) > ($2, $3) AND m.kind < 3
        ORDER BY m.item, m.member LIMIT $4",
    );
    ALL_COUNTERS = portable("SELECT tenant, sort, last FROM counters ORDER BY tenant, sort");
    /// Events without a position, in the order in which they will get one.
    UNSEQUENCED_EVENTS = per_engine(
        "",
        "SELECT e.batch, e.tenant, e.at, e.connection, e.who, e.request, e.action, e.before, e.after, e.joined, e.departed,
        e.password_set, e.notes, e.digest FROM batches b JOIN events e ON e.batch = b.id
        WHERE b.position IS NULL ORDER BY b.at, b.id, e.place",
    );

    RESTORE_PROGRESS = portable("SELECT origin, done, sum FROM filling");
    /// Whether writes are blocked: a restore is in progress, or another process has locked the store.
    WRITE_BLOCKERS = per_engine(
        "",
        "SELECT 'filling' FROM filling UNION ALL SELECT 'hold' FROM holds WHERE until > clock_timestamp()",
    );
    BEGIN_RESTORE = portable("INSERT INTO filling (origin, done, sum) VALUES ($1, 0, $2)");
    UPDATE_RESTORE_PROGRESS = portable("UPDATE filling SET done = $1, sum = $2 WHERE done = $3");
    END_RESTORE = portable("DELETE FROM filling");
    COUNT_TENANTS = portable("SELECT count(*) FROM tenants");
    /// The newest restored chain hash of a tenant.
    NEWEST_CHAIN_HASH = per_engine(
        "",
        "SELECT b.position, l.link FROM batches b JOIN links l ON l.batch = b.id WHERE l.tenant = $1
        ORDER BY b.position DESC LIMIT 1",
    );

    BULK_INSERT_TOMBSTONES = per_engine(
        "INSERT INTO tombstones (tenant, number, id, deleted, external_key, password, doc, pk)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, max(coalesce((SELECT max(pk) FROM users), 0),
        coalesce((SELECT max(pk) FROM tombstones), 0)) + 1)",
        "INSERT INTO tombstones (tenant, number, id, deleted, external_key, password, doc)
        SELECT $1, n.number, n.id, n.deleted, n.external_key, n.password, n.doc
        FROM unnest($2, $3, $4, $5, $6, $7) AS n (number, id, deleted, external_key, password, doc)",
    );
    USER_PK_BY_NUMBER = per_engine("SELECT pk FROM users WHERE tenant = ?1 AND number = ?2", "");
    BULK_INSERT_COUNTER = per_engine(
        "INSERT INTO counters (tenant, sort, last) VALUES (?1, ?2, ?3)",
        "INSERT INTO counters (tenant, sort, last)
        SELECT $1, n.sort, n.last FROM unnest($2, $3) AS n (sort, last)",
    );
    BULK_INSERT_CHAIN = portable("INSERT INTO chains (tenant, position, link, older) VALUES ($1, $2, $3, $4)");
    BULK_INSERT_EVENTS = per_engine(
        "",
        "INSERT INTO events
        (batch, place, tenant, at, connection, who, request, action, before, after, joined, departed, password_set, notes,
        digest, kind)
        SELECT n.batch, n.place, n.tenant, n.at, n.connection, n.who, n.request, n.action, n.before, n.after, n.joined,
        n.departed, n.password_set, n.notes, n.digest, n.kind
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        AS n (batch, place, tenant, at, connection, who, request, action, before, after, joined, departed, password_set,
        notes, digest, kind)",
    );
    BULK_INSERT_EVENT_SUBJECTS = per_engine(
        "",
        "INSERT INTO event_subjects (tenant, subject, batch, place)
        SELECT n.tenant, n.subject, n.batch, n.place FROM unnest($1, $2, $3, $4) AS n (tenant, subject, batch, place)
        ON CONFLICT DO NOTHING",
    );
    BULK_INSERT_BATCHES = per_engine(
        "",
        "INSERT INTO batches (id, at, events, position)
        SELECT n.id, clock_timestamp(), n.events, n.position FROM unnest($1, $2, $3) AS n (id, events, position)",
    );
    /// Sets the position from which the event sequencer continues.
    SET_LEASE_VALUE = per_engine(
        "",
        "INSERT INTO leases (name, holder, until, value) VALUES ($1, $2, $3, $4)
        ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    );
}

/// The tables that a restore fills, referencing tables first: they are emptied in this order. `mentions` are emails other
/// than the preferred one, `claims` unique keys, `blocks` numbers of users per 1,000 numbers.
pub fn restored_tables() -> impl Iterator<Item = &'static str> {
    let core = ["memberships", "mentions", "claims", "tombstones", "users", "items", "counters", "blocks", "chains"];
    core.into_iter().chain(directory::TABLES.iter().rev().map(|table| table().name))
}

/// The tables of the event history. `links` are chain hashes; `counted` adds to `blocks` what was not yet summed up.
pub const SQLITE_EVENT_TABLES: [&str; 2] = ["event_subjects", "events"];
pub const POSTGRES_EVENT_TABLES: [&str; 5] = ["event_subjects", "events", "links", "batches", "counted"];

pub fn delete_all_sql(table: &str) -> String {
    format!("DELETE FROM {table}")
}
