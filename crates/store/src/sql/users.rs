//! Reading users: by key, pages by number, and the numbers that an index finds.

use super::{Sql, per_engine, portable, statements};

/// A user's document, and the memberships as `<kind>:<id>,…`, so that one statement reads both. The memberships are those
/// of the tenant in the first parameter: an engine that shards by tenant reads them on the shard of the user.
macro_rules! select_sqlite_user {
    ($from:literal) => {
        select_sqlite_user!(" FROM ", $from)
    };
    ($between:literal, $from:literal) => {
        concat!(
            "SELECT u.doc, (SELECT group_concat(i.kind || ':' || hex(i.id))
            FROM memberships m JOIN items i ON i.pk = m.item WHERE m.user = u.pk AND i.kind < 3)",
            $between,
            $from
        )
    };
}
macro_rules! select_postgres_user {
    ($from:literal) => {
        select_postgres_user!(") FROM ", $from)
    };
    ($between:literal, $from:literal) => {
        concat!(
            "SELECT u.doc, (SELECT string_agg(CAST(m.kind AS TEXT) || ':' || CAST(m.item AS TEXT), ',')
            FROM memberships m WHERE m.tenant = $1 AND m.member = u.number AND m.kind < 3",
            $between,
            $from
        )
    };
}
/// With the index of the lookup in the batch.
macro_rules! select_postgres_users_batched {
    ($from:literal) => {
        select_postgres_user!("), n.place FROM ", $from)
    };
}
macro_rules! select_user {
    ($from:literal) => {
        per_engine(select_sqlite_user!($from), select_postgres_user!($from))
    };
}

statements! {
    // Single lookups; PostgreSQL uses the batched ones below.
    USER_BY_ID = per_engine(select_sqlite_user!("users u WHERE u.tenant = ?1 AND u.id = ?2"), "");
    USER_BY_NUMBER = select_user!("users u WHERE u.tenant = $1 AND u.number = $2");
    USER_BY_UNIQUE_KEY = per_engine(
        select_sqlite_user!("claims c JOIN users u ON u.pk = c.owner WHERE c.tenant = ?1 AND c.space = ?2 AND c.text = ?3"),
        "",
    );
    // Batched lookups: `place` is the index of the lookup in the batch. `LATERAL` with a limit is one index entry for each. A
    // plain join reads all rows of the tenant if the planner expects few: in a new database, which has no statistics, or
    // where most tenants are small.
    USERS_BY_IDS = per_engine(
        "",
        select_postgres_users_batched!(
            "unnest($2, $3) AS n (place, id) JOIN LATERAL
            (SELECT u.number, u.doc FROM users u WHERE u.tenant = $1 AND u.id = n.id LIMIT 1) AS u ON TRUE"
        ),
    );
    USERS_BY_NUMBERS = per_engine(
        "",
        select_postgres_users_batched!(
            "unnest($2, $3) AS n (place, number) JOIN LATERAL
            (SELECT u.number, u.doc FROM users u WHERE u.tenant = $1 AND u.number = n.number LIMIT 1) AS u ON TRUE"
        ),
    );
    /// Users that are not found have an empty row.
    USERS_BY_UNIQUE_KEYS = per_engine(
        "",
        select_postgres_users_batched!(
            "unnest($2, $3, $4) AS n (place, space, text)
            LEFT JOIN LATERAL (SELECT c.owner FROM claims c
            WHERE c.tenant = $1 AND c.space = n.space AND c.text = n.text LIMIT 1) AS c ON TRUE
            LEFT JOIN LATERAL
            (SELECT u.number, u.doc FROM users u WHERE u.tenant = $1 AND u.number = c.owner LIMIT 1) AS u ON TRUE"
        ),
    );
    ACCOUNT = per_engine("SELECT password, account FROM users WHERE tenant = ?1 AND id = ?2", "");
    ACCOUNTS = per_engine("", "SELECT u.password, u.account, u.id FROM users u WHERE u.tenant = $1 AND u.id = ANY($2)");
    PASSWORD_HASHES = portable(
        "SELECT number, password FROM users WHERE tenant = $1 AND number >= $2 AND number <= $3
        AND password IS NOT NULL ORDER BY number",
    );

    // Deleted users.
    TOMBSTONE_BY_ID = portable("SELECT tenant, deleted, doc FROM tombstones WHERE tenant = $1 AND id = $2");
    TOMBSTONE_BY_NUMBER = portable("SELECT tenant, deleted, doc FROM tombstones WHERE tenant = $1 AND number = $2");
    TOMBSTONE_BY_EXTERNAL_ID = portable(
        "SELECT tenant, deleted, doc FROM tombstones WHERE tenant = $1 AND external_key = $2
        ORDER BY deleted DESC, number DESC LIMIT 1",
    );
    TOMBSTONES_AFTER = portable(
        "SELECT tenant, deleted, doc FROM tombstones WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT $3",
    );
    TOMBSTONES_BETWEEN = portable(
        "SELECT tenant, deleted, doc FROM tombstones WHERE deleted >= $1 AND deleted <= $2 ORDER BY deleted LIMIT $3",
    );

    USERS_FROM = select_user!("users u WHERE u.tenant = $1 AND u.number >= $2 ORDER BY u.number LIMIT $3");
    USERS_BELOW = select_user!("users u WHERE u.tenant = $1 AND u.number < $2 ORDER BY u.number DESC LIMIT $3");
    USERS_WITH_NUMBERS = per_engine("", select_postgres_user!("users u WHERE u.tenant = $1 AND u.number = ANY($2) ORDER BY u.number"));
    USER_NUMBER_AT_OFFSET = portable("SELECT number FROM users WHERE tenant = $1 AND number >= $2 ORDER BY number LIMIT 1 OFFSET $3");
    COUNT_USERS_IN_RANGE = portable("SELECT count(*) FROM users WHERE tenant = $1 AND number >= $2 AND number < $3");
    /// Sorted on SQLite; on PostgreSQL, a block can have several rows, to be added up.
    BLOCK_COUNTS = per_engine(
        "SELECT block, live FROM blocks WHERE tenant = ?1 ORDER BY block",
        "SELECT block, live FROM blocks WHERE tenant = $1 UNION ALL SELECT block, live FROM counted WHERE tenant = $1",
    );

    // Numbers of the users that an index finds; the first parameter is the tenant.
    USER_NUMBERS_BY_UNIQUE_KEY = per_engine(
        "SELECT u.number FROM claims c JOIN users u ON u.pk = c.owner
        WHERE c.tenant = ?1 AND c.space = ?2 AND c.text >= ?3 AND c.text < ?4",
        "SELECT owner AS number FROM claims WHERE tenant = $1 AND space = $2 AND text >= $3 AND text < $4",
    );
    USER_NUMBERS_BY_SECONDARY_EMAIL = per_engine(
        "SELECT u.number FROM mentions m JOIN users u ON u.pk = m.owner WHERE m.tenant = ?1 AND m.text = ?2",
        "SELECT owner AS number FROM mentions WHERE tenant = $1 AND text = $2",
    );
    USER_NUMBERS_BY_ID = portable("SELECT number FROM users WHERE tenant = $1 AND id = $2");
    USER_NUMBERS_BY_NUMBER = portable("SELECT number FROM users WHERE tenant = $1 AND number = $2");
    USER_NUMBERS_BY_ACTIVE = per_engine(
        "SELECT number FROM users INDEXED BY users_by_active WHERE tenant = ?1 AND active = ?2",
        "SELECT number FROM users WHERE tenant = $1 AND active = $2",
    );
    USER_NUMBERS_BY_UPDATED = per_engine(
        "SELECT number FROM users INDEXED BY users_by_update WHERE tenant = ?1 AND updated >= ?2 AND updated < ?3",
        "SELECT number FROM users WHERE tenant = $1 AND updated >= $2 AND updated < $3",
    );
    USER_NUMBERS_BY_MEMBERSHIP = per_engine(
        "SELECT u.number FROM memberships m JOIN users u ON u.pk = m.user
        WHERE m.item = (SELECT pk FROM items WHERE tenant = ?1 AND id = ?2 AND kind = ?3)",
        "SELECT member AS number FROM memberships WHERE tenant = $1 AND item = $2 AND kind = $3",
    );
}

/// How many of these numbers are below an additional last parameter.
pub fn count_below_sql(numbers_sql: &str, param_count: usize) -> String {
    format!("SELECT count(*) FROM ({numbers_sql}) AS n WHERE n.number < ${}", param_count + 1)
}

/// A sorted page of these numbers. Three additional parameters: boundary (exclusive), limit, offset.
pub fn number_page_sql(numbers_sql: &str, param_count: usize, is_backward: bool) -> String {
    let (comparison, order) = if is_backward { ("<", "DESC") } else { (">", "ASC") };
    let [place, limit, offset] = [param_count + 1, param_count + 2, param_count + 3];
    format!(
        "SELECT n.number FROM ({numbers_sql}) AS n WHERE n.number {comparison} ${place} ORDER BY n.number {order}
        LIMIT ${limit} OFFSET ${offset}"
    )
}
