//! What the migration `identifiers` asks: claims by the keys of now instead of those of before.

use super::{Sql, both, each, statements};

statements! {
    USERS_TO_REKEY = each("SELECT pk, tenant, doc FROM users WHERE pk > ?1 ORDER BY pk LIMIT ?2", "");
    ITEMS_TO_REKEY = each("SELECT pk, tenant, doc FROM items", "");
    TOMBSTONES_TO_REKEY = each("SELECT pk, tenant, doc FROM tombstones WHERE external_key IS NOT NULL", "");
    CONNECTIONS_TO_REKEY = each("SELECT seq, tenant, doc FROM connections", "SELECT id, tenant, doc FROM connections");
    GONE_TO_REKEY = each(
        "",
        "SELECT number, doc FROM tombstones WHERE tenant = $1 AND number > $2 AND external_key IS NOT NULL
        ORDER BY number LIMIT $3",
    );
    /// Of two with one key, the older has it.
    CLAIM_BY_AGE = each(
        "INSERT INTO claims (tenant, space, text, owner) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (tenant, space, text) DO UPDATE SET owner = excluded.owner WHERE excluded.owner < claims.owner",
        "INSERT INTO claims (tenant, space, text, owner) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant, space, text) DO UPDATE SET owner = excluded.owner WHERE excluded.owner < claims.owner",
    );
    CLAIM_OWNER = both("SELECT owner FROM claims WHERE tenant = $1 AND space = $2 AND text = $3");
    REKEY_ITEM = each(
        "UPDATE items SET name_key = ?1 WHERE pk = ?2",
        "UPDATE items SET name_key = $1 WHERE tenant = $2 AND id = $3",
    );
    REKEY_TOMBSTONE = each(
        "UPDATE tombstones SET external_key = ?1 WHERE pk = ?2",
        "UPDATE tombstones SET external_key = $1 WHERE tenant = $2 AND number = $3",
    );
    /// The name of a connection, where no other has the same.
    REKEY_CONNECTION = both(
        "UPDATE connections SET name_key = $1 WHERE tenant = $2 AND name_key = $3
        AND (SELECT count(*) FROM connections c WHERE c.tenant = $2 AND c.name_key = $1) = 0",
    );
}
