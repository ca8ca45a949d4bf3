//! The migration `identifiers`: replaces unique keys by those of the current normalization.

use super::{Sql, per_engine, portable, statements};

statements! {
    TENANT_NUMBERS = per_engine("", "SELECT number FROM tenants ORDER BY number");
    USERS_TO_MIGRATE = per_engine("SELECT pk, tenant, doc FROM users WHERE pk > ?1 ORDER BY pk LIMIT ?2", "");
    ITEMS_TO_MIGRATE = per_engine("SELECT pk, tenant, doc FROM items", "");
    TOMBSTONES_TO_MIGRATE = per_engine("SELECT pk, tenant, doc FROM tombstones WHERE external_key IS NOT NULL", "");
    CONNECTIONS_TO_MIGRATE = per_engine("SELECT seq, tenant, doc FROM connections", "SELECT id, tenant, doc FROM connections");
    TOMBSTONE_PAGE_TO_MIGRATE = per_engine(
        "",
        "SELECT number, doc FROM tombstones WHERE tenant = $1 AND number > $2 AND external_key IS NOT NULL
        ORDER BY number LIMIT $3",
    );
    /// Of two owners with the same key, the older one has it.
    ADD_UNIQUE_KEY_OLDEST_WINS = per_engine(
        "INSERT INTO claims (tenant, space, text, owner) VALUES (?1, ?2, ?3, ?4)
        ON CONFLICT (tenant, space, text) DO UPDATE SET owner = excluded.owner WHERE excluded.owner < claims.owner",
        "INSERT INTO claims (tenant, space, text, owner) VALUES ($1, $2, $3, $4)
        ON CONFLICT (tenant, space, text) DO UPDATE SET owner = excluded.owner WHERE excluded.owner < claims.owner",
    );
    UNIQUE_KEY_OWNER = portable("SELECT owner FROM claims WHERE tenant = $1 AND space = $2 AND text = $3");
    SET_ITEM_NAME_KEY = per_engine(
        "UPDATE items SET name_key = ?1 WHERE pk = ?2",
        "UPDATE items SET name_key = $1 WHERE tenant = $2 AND id = $3",
    );
    SET_TOMBSTONE_EXTERNAL_KEY = per_engine(
        "UPDATE tombstones SET external_key = ?1 WHERE pk = ?2",
        "UPDATE tombstones SET external_key = $1 WHERE tenant = $2 AND number = $3",
    );
    /// Only if no other connection has the new key.
    SET_CONNECTION_NAME_KEY = portable(
        "UPDATE connections SET name_key = $1 WHERE tenant = $2 AND name_key = $3
        AND (SELECT count(*) FROM connections c WHERE c.tenant = $2 AND c.name_key = $1) = 0",
    );
}
