//! Reading people: one by a key, pages by number, and the numbers that an index finds.

use super::{Sql, both, each, statements};

/// A person's document, and what they belong to as `<kind>:<id>` with commas between, so that one statement reads it
/// all.
macro_rules! sqlite_user {
    ($from:literal) => {
        sqlite_user!(" FROM ", $from)
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
macro_rules! postgres_user {
    ($from:literal) => {
        postgres_user!(") FROM ", $from)
    };
    ($between:literal, $from:literal) => {
        concat!(
            "SELECT u.doc, (SELECT string_agg(CAST(m.kind AS TEXT) || ':' || CAST(m.item AS TEXT), ',')
            FROM memberships m WHERE m.tenant = u.tenant AND m.member = u.number AND m.kind < 3",
            $between,
            $from
        )
    };
}
/// With the place of who asked.
macro_rules! asked {
    ($from:literal) => {
        postgres_user!("), n.place FROM ", $from)
    };
}
macro_rules! user {
    ($from:literal) => {
        each(sqlite_user!($from), postgres_user!($from))
    };
}

statements! {
    // One at a time; the server engine asks for many, below.
    USER_BY_ID = each(sqlite_user!("users u WHERE u.tenant = ?1 AND u.id = ?2"), "");
    USER_BY_NUMBER = user!("users u WHERE u.tenant = $1 AND u.number = $2");
    /// A person who is still of that version, and their row.
    USER_AT = each(sqlite_user!(", u.pk FROM ", "users u WHERE u.tenant = ?1 AND u.number = ?2 AND u.version = ?3"), "");
    USER_BY_CLAIM = each(
        sqlite_user!("claims c JOIN users u ON u.pk = c.owner WHERE c.tenant = ?1 AND c.space = ?2 AND c.text = ?3"),
        "",
    );
    // The same for many who ask at once: who asked comes along as a place in their list.
    USERS_BY_IDS = each(
        "",
        asked!("unnest($1, $2, $3) AS n (place, tenant, id) JOIN users u ON u.tenant = n.tenant AND u.id = n.id"),
    );
    USERS_BY_NUMBERS = each(
        "",
        asked!(
            "unnest($1, $2, $3) AS n (place, tenant, number)
            JOIN users u ON u.tenant = n.tenant AND u.number = n.number"
        ),
    );
    /// What is not there has an empty row: outer joins leave a planner that knows nothing of a new database yet no choice but
    /// to look for the claims first. It would join people with what is asked for by tenant alone.
    USERS_BY_CLAIMS = each(
        "",
        asked!(
            "unnest($1, $2, $3, $4) AS n (place, tenant, space, text)
            LEFT JOIN claims c ON c.tenant = n.tenant AND c.space = n.space AND c.text = n.text
            LEFT JOIN users u ON u.tenant = c.tenant AND u.number = c.owner"
        ),
    );
    ACCOUNT = both("SELECT password, account FROM users WHERE tenant = $1 AND id = $2");
    PASSWORDS = both(
        "SELECT number, password FROM users WHERE tenant = $1 AND number >= $2 AND number <= $3
        AND password IS NOT NULL ORDER BY number",
    );

    // Those who were deleted.
    TOMBSTONE_BY_ID = both("SELECT tenant, deleted, doc FROM tombstones WHERE tenant = $1 AND id = $2");
    TOMBSTONE_BY_NUMBER = both("SELECT tenant, deleted, doc FROM tombstones WHERE tenant = $1 AND number = $2");
    TOMBSTONE_BY_EXTERNAL_ID = both(
        "SELECT tenant, deleted, doc FROM tombstones WHERE tenant = $1 AND external_key = $2
        ORDER BY deleted DESC, number DESC LIMIT 1",
    );
    TOMBSTONES = both(
        "SELECT tenant, deleted, doc FROM tombstones WHERE tenant = $1 AND number > $2 ORDER BY number LIMIT $3",
    );
    TOMBSTONES_BEFORE = both(
        "SELECT tenant, deleted, doc FROM tombstones WHERE deleted >= $1 AND deleted <= $2 ORDER BY deleted LIMIT $3",
    );

    USERS_FROM = user!("users u WHERE u.tenant = $1 AND u.number >= $2 ORDER BY u.number LIMIT $3");
    USERS_BELOW = user!("users u WHERE u.tenant = $1 AND u.number < $2 ORDER BY u.number DESC LIMIT $3");
    /// The people of some numbers.
    USERS_NUMBERED = each("", postgres_user!("users u WHERE u.tenant = $1 AND u.number = ANY($2) ORDER BY u.number"));
    NUMBER_AT = both("SELECT number FROM users WHERE tenant = $1 AND number >= $2 ORDER BY number LIMIT 1 OFFSET $3");
    COUNT_NUMBERS = both("SELECT count(*) FROM users WHERE tenant = $1 AND number >= $2 AND number < $3");
    /// In order on the embedded engine; to be summed up on the other.
    BLOCKS = each(
        "SELECT block, live FROM blocks WHERE tenant = ?1 ORDER BY block",
        "SELECT block, live FROM blocks WHERE tenant = $1 UNION ALL SELECT block, live FROM counted WHERE tenant = $1",
    );

    // The numbers of those an index finds; the tenant comes first.
    CLAIMING = each(
        "SELECT u.number FROM claims c JOIN users u ON u.pk = c.owner
        WHERE c.tenant = ?1 AND c.space = ?2 AND c.text >= ?3 AND c.text < ?4",
        "SELECT owner AS number FROM claims WHERE tenant = $1 AND space = $2 AND text >= $3 AND text < $4",
    );
    MENTIONED = each(
        "SELECT u.number FROM mentions m JOIN users u ON u.pk = m.owner WHERE m.tenant = ?1 AND m.text = ?2",
        "SELECT owner AS number FROM mentions WHERE tenant = $1 AND text = $2",
    );
    WITH_ID = both("SELECT number FROM users WHERE tenant = $1 AND id = $2");
    WITH_NUMBER = both("SELECT number FROM users WHERE tenant = $1 AND number = $2");
    WITH_ACTIVE = each(
        "SELECT number FROM users INDEXED BY users_by_active WHERE tenant = ?1 AND active = ?2",
        "SELECT number FROM users WHERE tenant = $1 AND active = $2",
    );
    WITH_UPDATE = each(
        "SELECT number FROM users INDEXED BY users_by_update WHERE tenant = ?1 AND updated >= ?2 AND updated < ?3",
        "SELECT number FROM users WHERE tenant = $1 AND updated >= $2 AND updated < $3",
    );
    BELONGING = each(
        "SELECT u.number FROM memberships m JOIN users u ON u.pk = m.user
        WHERE m.item = (SELECT pk FROM items WHERE tenant = ?1 AND id = ?2 AND kind = ?3)",
        "SELECT member AS number FROM memberships WHERE tenant = $1 AND item = $2 AND kind = $3",
    );
}

/// How many of the numbers that a statement gives are below the parameter after its last one, `$last`.
pub(crate) fn count_below(numbers: &str, last: usize) -> String {
    format!("SELECT count(*) FROM ({numbers}) AS n WHERE n.number < ${}", last + 1)
}

/// Some of those numbers, in order: above a place (below it, from there down), so many, so many of them left out. These
/// are the three parameters after the last one.
pub(crate) fn cut(numbers: &str, last: usize, is_backward: bool) -> String {
    let (side, order) = if is_backward { ("<", "DESC") } else { (">", "ASC") };
    let [place, limit, offset] = [last + 1, last + 2, last + 3];
    format!(
        "SELECT n.number FROM ({numbers}) AS n WHERE n.number {side} ${place} ORDER BY n.number {order}
        LIMIT ${limit} OFFSET ${offset}"
    )
}
