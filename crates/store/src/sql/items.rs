//! Reading items and their members. PostgreSQL stores version and time beside the document.

use super::{Sql, per_engine, portable, statements};

macro_rules! select_item {
    ($from:literal) => {
        per_engine(concat!("SELECT i.doc FROM ", $from), concat!("SELECT i.doc, i.version, i.updated FROM ", $from))
    };
}

statements! {
    ITEM_BY_ID = per_engine("SELECT i.doc FROM items i WHERE i.tenant = $1 AND i.id = $2 AND i.kind = $3", "");
    ITEM_BY_NUMBER = per_engine("SELECT i.doc FROM items i WHERE i.tenant = ?1 AND i.kind = ?2 AND i.number = ?3", "");
    ITEM_BY_NAME = per_engine(
        "SELECT i.doc FROM items i WHERE i.tenant = ?1 AND i.kind = ?2 AND i.name_key = ?3 ORDER BY i.number LIMIT 1",
        "",
    );
    /// Used numbers, from a given one upward.
    ITEM_NUMBERS_FROM = per_engine("", "SELECT number FROM items WHERE tenant = $1 AND kind = $2 AND number >= $3 ORDER BY number LIMIT 2000");
    ITEM_BY_UNIQUE_KEY = per_engine(
        "SELECT i.doc FROM claims c JOIN items i ON i.pk = c.owner
        WHERE c.tenant = ?1 AND c.space = ?2 AND c.text = ?3",
        "",
    );

    // Batched lookups, like those of users.
    /// The caller checks the kind: with it in the statement, a planner without statistics (new database) takes
    /// another index.
    ITEMS_BY_IDS = per_engine(
        "",
        "SELECT i.doc, i.version, i.updated, n.place FROM unnest($2, $3) AS n (place, id)
        JOIN LATERAL (SELECT i.doc, i.version, i.updated FROM items i
        WHERE i.tenant = $1 AND i.id = n.id LIMIT 1) AS i ON TRUE",
    );
    /// Of any kind.
    ITEMS_TO_CHANGE = per_engine(
        "",
        "SELECT i.doc, i.version, i.updated FROM items i WHERE i.tenant = $1 AND i.id = ANY($2)",
    );
    ITEMS_BY_UNIQUE_KEYS = per_engine(
        "",
        "SELECT i.doc, i.version, i.updated, n.place
        FROM unnest($2, $3, $4, $5) AS n (place, space, text, kind)
        LEFT JOIN LATERAL (SELECT c.owner FROM claims c
        WHERE c.tenant = $1 AND c.space = n.space AND c.text = n.text LIMIT 1) AS c ON TRUE
        LEFT JOIN LATERAL (SELECT i.doc, i.version, i.updated FROM items i
        WHERE i.tenant = $1 AND i.kind = n.kind AND i.number = c.owner LIMIT 1) AS i ON TRUE",
    );

    ITEMS_BY_NUMBERS = per_engine(
        "",
        "SELECT i.doc, i.version, i.updated, n.place FROM unnest($2, $3, $4) AS n (place, kind, number)
        JOIN LATERAL (SELECT i.doc, i.version, i.updated FROM items i
        WHERE i.tenant = $1 AND i.kind = n.kind AND i.number = n.number LIMIT 1) AS i ON TRUE",
    );
    /// The oldest item with each name. The subquery reads one index entry, however many items share the name.
    ITEMS_BY_NAMES = per_engine(
        "",
        "SELECT i.doc, i.version, i.updated, n.place FROM unnest($2, $3, $4) AS n (place, kind, name)
        JOIN LATERAL (SELECT i.doc, i.version, i.updated FROM items i
        WHERE i.tenant = $1 AND i.kind = n.kind AND i.number = (SELECT min(k.number) FROM items k
        WHERE k.tenant = $1 AND k.kind = n.kind AND k.name_key = n.name) LIMIT 1) AS i ON TRUE",
    );

    ALL_ITEMS = select_item!("items i WHERE i.tenant = $1 AND i.kind = $2 ORDER BY i.number");
    ITEMS_WITH_NAME = select_item!("items i WHERE i.tenant = $1 AND i.kind = $2 AND i.name_key = $3 ORDER BY i.number");
    ITEMS_WITH_UNIQUE_KEY_IN_RANGE = per_engine(
        "SELECT i.doc FROM claims c JOIN items i ON i.pk = c.owner
        WHERE c.tenant = ?1 AND i.kind = ?2 AND c.space = ?3 AND c.text >= ?4 AND c.text < ?5 ORDER BY i.number",
        "SELECT i.doc, i.version, i.updated FROM claims c JOIN items i ON i.tenant = c.tenant AND i.number = c.owner
        WHERE c.tenant = $1 AND i.kind = $2 AND c.space = $3 AND c.text >= $4 AND c.text < $5 ORDER BY i.number",
    );
    /// SQLite binds each id separately, see [`items_with_ids_sql`].
    ITEMS_WITH_IDS = per_engine(
        "",
        "SELECT i.doc, i.version, i.updated FROM items i WHERE i.tenant = $1 AND i.kind = $2 AND i.id = ANY($3)
        ORDER BY i.number",
    );
    ITEMS_AFTER = select_item!(
        "items i WHERE i.tenant = $1 AND i.kind = $2 AND i.number > $3 ORDER BY i.number LIMIT $4 OFFSET $5"
    );
    ITEMS_BEFORE = select_item!(
        "items i WHERE i.tenant = $1 AND i.kind = $2 AND i.number < $3 ORDER BY i.number DESC LIMIT $4 OFFSET $5"
    );
    COUNT_ITEMS_BELOW = portable("SELECT count(*) FROM items WHERE tenant = $1 AND kind = $2 AND number < $3");

    /// SQLite binds one item, PostgreSQL a list.
    MEMBERS = per_engine(
        "SELECT u.id, u.number FROM items i JOIN memberships m ON m.item = i.pk JOIN users u ON u.pk = m.user
        WHERE i.tenant = ?1 AND i.id = ?2 ORDER BY u.number",
        "SELECT m.item, u.id, u.number FROM memberships m JOIN users u ON u.tenant = m.tenant AND u.number = m.member
        WHERE m.tenant = $1 AND m.item = ANY($2) ORDER BY m.item, m.member",
    );
    /// SQLite sorts memberships by user row, which is the order of numbers.
    MEMBERS_AFTER = per_engine(
        "SELECT u.id, u.number FROM memberships m JOIN users u ON u.pk = m.user
        WHERE m.item = (SELECT pk FROM items WHERE tenant = ?1 AND id = ?2) AND m.user > coalesce(
        (SELECT pk FROM users WHERE tenant = ?1 AND number <= ?3 ORDER BY number DESC LIMIT 1), 0)
        ORDER BY m.user LIMIT ?4",
        "SELECT u.id, u.number FROM memberships m JOIN users u ON u.tenant = m.tenant AND u.number = m.member
        WHERE m.tenant = $1 AND m.item = $2 AND m.member > $3 ORDER BY m.member LIMIT $4",
    );
}

/// For SQLite: the ids are `?3` and following.
pub fn items_with_ids_sql(count: usize) -> String {
    let placeholders: Vec<String> = (0..count).map(|n| format!("?{}", n + 3)).collect();
    let placeholders = placeholders.join(",");
    format!(
        "SELECT i.doc FROM items i WHERE i.tenant = ?1 AND i.kind = ?2 AND i.id IN ({placeholders}) ORDER BY i.number"
    )
}
