//! Changing users, items and their related rows. SQLite writes row by row in one thread; PostgreSQL writes all rows
//! of a batch in one table with one statement.
//!
//! A condition that is always true, such as `coalesce(n.id, n.id) = n.id`, makes the planner of PostgreSQL expect one row
//! to write, so that it looks up each by the whole key. It expects ten otherwise, and reads all rows of a tenant if it
//! expects fewer of these: in a new database, which has no statistics, or where most tenants are small. A prepared
//! statement keeps this plan. If tenants have one user on average, the planner expects the same of both plans.

use super::{Sql, exactly, per_engine, portable, statements};

statements! {
    /// The timeouts abort the transaction of a process that was stopped or lost, before others give up waiting for
    /// its locks. They also end a transaction that no caller waits for any more.
    BEGIN_BATCH = per_engine("", "BEGIN; SET LOCAL lock_timeout = 4000; SET LOCAL idle_in_transaction_session_timeout = 3000");
    /// A consistent snapshot for reading.
    BEGIN_SERIALIZABLE_READ = per_engine("BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY");
    COMMIT = portable("COMMIT");
    ROLLBACK = portable("ROLLBACK");

    ADD_USERS = per_engine(
        // Rows are in the order of numbers, so the row id of a deleted user, who may be restored, is not reused.
        "INSERT INTO users (tenant, number, id, version, password, account, doc, active, updated, pk)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, max(coalesce((SELECT max(pk) FROM users), 0),
        coalesce((SELECT max(pk) FROM tombstones), 0)) + 1)",
        "INSERT INTO users (tenant, number, id, version, active, updated, password, account, doc)
        SELECT $1, n.number, n.id, n.version, n.active, n.updated, n.password, n.account, n.doc
        FROM unnest($2, $3, $4, $5, $6, $7, $8, $9)
        AS n (number, id, version, active, updated, password, account, doc)",
    );
    CHANGE_USERS = per_engine(
        "UPDATE users SET version = ?1, doc = ?2, password = nullif(coalesce(?3, password), ''), account = coalesce(?4, account),
        active = ?5, updated = ?6 WHERE tenant = ?7 AND number = ?8 AND version = ?9",
        exactly!(
            "UPDATE users SET version = n.version, active = n.active, updated = n.updated,
            password = nullif(coalesce(n.password, users.password), ''), account = coalesce(n.account, users.account), doc = n.doc
            FROM unnest($2, $3, $4, $5, $6, $7, $8, $9)
            AS n (number, before, version, active, updated, password, account, doc)
            WHERE users.tenant = $1 AND users.number = n.number AND users.version = n.before
            AND coalesce(n.number, n.number) = n.number",
            "$10"
        ),
    );
    REMOVE_USERS = per_engine(
        "DELETE FROM users WHERE pk = ?1",
        "DELETE FROM users WHERE tenant = $1 AND (number, version) IN (SELECT n.number, n.version
        FROM unnest($2, $3) AS n (number, version) WHERE coalesce(n.number, n.number) = n.number)",
    );
    /// Keeps the password, in case the user is restored.
    ADD_TOMBSTONE = per_engine(
        "INSERT INTO tombstones (pk, tenant, number, id, deleted, external_key, password, doc)
        SELECT pk, tenant, number, id, ?2, ?3, password, ?4 FROM users WHERE pk = ?1 AND version = ?5",
        exactly!(
            "INSERT INTO tombstones (tenant, number, id, deleted, external_key, password, doc)
            SELECT u.tenant, u.number, u.id, n.deleted, n.external_key, u.password, n.doc
            FROM unnest($2, $3, $4, $5, $6) AS n (number, version, deleted, external_key, doc)
            JOIN LATERAL (SELECT u.tenant, u.number, u.id, u.password FROM users u
            WHERE u.tenant = $1 AND u.number = n.number AND u.version = n.version LIMIT 1) AS u ON TRUE",
            "$7"
        ),
    );
    /// Restores the user in the old row, with the old password if it is kept.
    ADD_USER_FROM_TOMBSTONE = per_engine(
        "INSERT INTO users (pk, tenant, number, id, version, password, account, doc, active, updated)
        SELECT pk, tenant, number, id, ?4, CASE WHEN ?5 THEN password ELSE ?6 END, ?7, ?8, ?9, ?10
        FROM tombstones WHERE tenant = ?1 AND number = ?2 AND deleted = ?3",
        exactly!(
            "INSERT INTO users (tenant, number, id, version, password, account, doc, active, updated)
            SELECT t.tenant, t.number, t.id, n.version, CASE WHEN n.keeps_password THEN t.password ELSE n.password END,
            n.account, n.doc, n.active, n.updated FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10)
            AS n (number, deleted, version, keeps_password, password, account, doc, active, updated)
            JOIN LATERAL (SELECT t.tenant, t.number, t.id, t.password FROM tombstones t
            WHERE t.tenant = $1 AND t.number = n.number AND t.deleted = n.deleted LIMIT 1) AS t ON TRUE",
            "$11"
        ),
    );
    REMOVE_TOMBSTONE = per_engine(
        "DELETE FROM tombstones WHERE tenant = ?1 AND number = ?2 AND deleted = ?3",
        exactly!(
            "DELETE FROM tombstones WHERE tenant = $1 AND (number, deleted) IN (SELECT n.number, n.deleted
            FROM unnest($2, $3) AS n (number, deleted) WHERE coalesce(n.number, n.number) = n.number)",
            "$4"
        ),
    );
    /// Which of these external ids belong to deleted users.
    DELETED_EXTERNAL_IDS = per_engine(
        "SELECT EXISTS (SELECT 1 FROM tombstones WHERE tenant = ?1 AND external_key = ?2)",
        "SELECT external_key FROM tombstones WHERE tenant = $1 AND external_key = ANY($2)",
    );
    REQUIRE_NOT_DELETED = per_engine(
        "",
        "SELECT 1 / (CASE WHEN count(*) = 0 THEN 1 ELSE 0 END) FROM tombstones
        WHERE tenant = $1 AND external_key = ANY($2)",
    );
    TOMBSTONE_TIMES = per_engine("", "SELECT number, deleted FROM tombstones WHERE tenant = $1 AND number = ANY($2)");

    ADD_ITEM = per_engine(
        "INSERT INTO items (tenant, kind, number, id, version, name_key, doc)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        "INSERT INTO items (tenant, kind, number, id, version, name_key, doc, updated)
        SELECT $1, n.kind, n.number, n.id, n.version, n.name_key, n.doc, n.updated
        FROM unnest($2, $3, $4, $5, $6, $7, $8) AS n (kind, number, id, version, name_key, doc, updated)",
    );
    CHANGE_ITEM = per_engine(
        "UPDATE items SET version = ?1, name_key = ?2, doc = ?3 WHERE tenant = ?4 AND id = ?5 AND version = ?6",
        exactly!(
            "UPDATE items SET version = n.version, name_key = n.name_key, doc = n.doc, updated = n.updated
            FROM unnest($2, $3, $4, $5, $6, $7) AS n (id, before, version, name_key, doc, updated)
            WHERE items.tenant = $1 AND items.id = n.id AND items.version = n.before AND coalesce(n.id, n.id) = n.id",
            "$8"
        ),
    );
    /// Keeps the name. PostgreSQL updates the columns beside the document, without reading it.
    BUMP_ITEM_VERSIONS = per_engine(
        "UPDATE items SET version = ?1, doc = ?2 WHERE pk = ?3",
        "UPDATE items SET version = items.version + n.times, updated = n.at
        FROM unnest($2, $3, $4) AS n (id, times, at)
        WHERE items.tenant = $1 AND items.id = n.id AND coalesce(n.id, n.id) = n.id",
    );
    REMOVE_ITEM = per_engine(
        "DELETE FROM items WHERE pk = ?1 AND version = ?2",
        exactly!(
            "DELETE FROM items WHERE tenant = $1 AND (id, version) IN (SELECT n.id, n.version
            FROM unnest($2, $3) AS n (id, version) WHERE coalesce(n.id, n.id) = n.id)",
            "$4"
        ),
    );
    ITEM_PK = per_engine("SELECT pk FROM items WHERE tenant = ?1 AND id = ?2", "");
    ITEM_PK_BY_NUMBER = per_engine("SELECT pk, id FROM items WHERE tenant = ?1 AND kind = ?2 AND number = ?3", "");

    /// A taken key aborts the transaction, which costs less than checking first as long as conflicts are rare.
    ADD_UNIQUE_KEYS = per_engine(
        "INSERT INTO claims (tenant, space, text, owner) VALUES (?1, ?2, ?3, ?4)",
        "INSERT INTO claims (tenant, space, text, owner)
        SELECT $1, n.space, n.text, n.owner FROM unnest($2, $3, $4) AS n (space, text, owner)",
    );
    /// Taken keys are skipped.
    ADD_FREE_UNIQUE_KEYS = per_engine(
        "INSERT INTO claims (tenant, space, text, owner) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        "INSERT INTO claims (tenant, space, text, owner)
        SELECT $1, n.space, n.text, n.owner FROM unnest($2, $3, $4) AS n (space, text, owner)
        ON CONFLICT DO NOTHING",
    );
    REMOVE_UNIQUE_KEYS = per_engine(
        "DELETE FROM claims WHERE tenant = ?1 AND space = ?2 AND text = ?3 AND owner = ?4",
        "DELETE FROM claims WHERE tenant = $1 AND (space, text, owner) IN (SELECT n.space, n.text, n.owner
        FROM unnest($2, $3, $4) AS n (space, text, owner) WHERE coalesce(n.text, n.text) = n.text)",
    );
    ADD_SECONDARY_EMAILS = per_engine(
        "INSERT INTO mentions (tenant, text, owner) VALUES (?1, ?2, ?3)",
        "INSERT INTO mentions (tenant, text, owner)
        SELECT $1, n.text, n.owner FROM unnest($2, $3) AS n (text, owner) ON CONFLICT DO NOTHING",
    );
    REMOVE_SECONDARY_EMAILS = per_engine(
        "DELETE FROM mentions WHERE tenant = ?1 AND text = ?2 AND owner = ?3",
        "DELETE FROM mentions WHERE tenant = $1 AND (text, owner) IN (SELECT n.text, n.owner
        FROM unnest($2, $3) AS n (text, owner) WHERE coalesce(n.text, n.text) = n.text)",
    );

    /// Locks users whose memberships change from the item's side, so that a concurrent change of the same user
    /// comes before or after: a transaction that is not serializable would not see these memberships, and its event
    /// would lack them. It is an update because distributed databases lock rows of several shards in no other way.
    LOCK_USERS = per_engine(
        "",
        "UPDATE users SET number = number WHERE tenant = $1 AND number = ANY($2)",
    );
    LOCK_MEMBERS = per_engine(
        "",
        "UPDATE users SET number = users.number FROM memberships m
        WHERE m.tenant = $1 AND m.item = ANY($2) AND users.tenant = $1 AND users.number = m.member",
    );
    ADD_MEMBERSHIPS = per_engine(
        "INSERT OR IGNORE INTO memberships (item, user) VALUES (?1, ?2)",
        "INSERT INTO memberships (tenant, item, member, kind)
        SELECT $1, n.item, n.member, n.kind FROM unnest($2, $3, $4) AS n (item, member, kind) ON CONFLICT DO NOTHING",
    );
    /// Fails if one of them exists.
    ADD_EXACT_MEMBERSHIPS = per_engine(
        "",
        "INSERT INTO memberships (tenant, item, member, kind)
        SELECT $1, n.item, n.member, n.kind FROM unnest($2, $3, $4) AS n (item, member, kind)",
    );
    REMOVE_EXACT_MEMBERSHIPS = per_engine(
        "",
        exactly!(
            "DELETE FROM memberships WHERE tenant = $1 AND (item, member) IN (SELECT n.item, n.member
            FROM unnest($2, $3) AS n (item, member) WHERE coalesce(n.member, n.member) = n.member)",
            "$4"
        ),
    );
    REMOVE_MEMBERSHIPS = per_engine(
        "DELETE FROM memberships WHERE item = ?1 AND user = ?2",
        "DELETE FROM memberships WHERE tenant = $1 AND (item, member) IN (SELECT n.item, n.member
        FROM unnest($2, $3) AS n (item, member) WHERE coalesce(n.member, n.member) = n.member)",
    );
    MEMBERSHIP_EXISTS = per_engine(
        "SELECT EXISTS (SELECT 1 FROM memberships m JOIN users u ON u.pk = m.user JOIN items i ON i.pk = m.item
        WHERE i.tenant = ?1 AND i.id = ?2 AND u.tenant = ?1 AND u.number = ?3)",
        "",
    );
    REMOVE_MEMBERSHIPS_OF_ITEM = per_engine("DELETE FROM memberships WHERE item = ?1",
        "DELETE FROM memberships WHERE tenant = $1 AND item = ANY($2)",
    );

    COUNTER = portable("SELECT coalesce(max(last), 0) FROM counters WHERE tenant = $1 AND sort = $2");
    SET_COUNTER = per_engine(
        "INSERT INTO counters (tenant, sort, last) VALUES (?1, ?2, ?3)
        ON CONFLICT (tenant, sort) DO UPDATE SET last = excluded.last",
        "",
    );

    // Diagnosis of failed changes, and what changes must know beforehand.
    EXISTING_UNIQUE_KEYS = per_engine(
        "",
        "SELECT c.space, c.text FROM unnest($2, $3) AS n (space, text)
        JOIN LATERAL (SELECT c.space, c.text, c.owner FROM claims c
        WHERE c.tenant = $1 AND c.space = n.space AND c.text = n.text LIMIT 1) AS c ON TRUE",
    );
    REQUIRE_KEYS_ABSENT = per_engine(
        "",
        "SELECT 1 / (CASE WHEN count(*) = 0 THEN 1 ELSE 0 END) FROM unnest($2, $3) AS n (space, text)
        JOIN LATERAL (SELECT c.space, c.text, c.owner FROM claims c
        WHERE c.tenant = $1 AND c.space = n.space AND c.text = n.text LIMIT 1) AS c ON TRUE",
    );
    USER_VERSIONS = per_engine(
        "",
        "SELECT number, version FROM users WHERE tenant = $1 AND number = ANY($2)",
    );
    EXISTING_USERS = per_engine(
        "",
        "SELECT id, number FROM users WHERE tenant = $1 AND id = ANY($2)",
    );
    EXISTING_TOMBSTONES = per_engine(
        "",
        "SELECT id FROM tombstones WHERE tenant = $1 AND id = ANY($2)",
    );
    ITEM_VERSIONS = per_engine(
        "",
        "SELECT id, version FROM items WHERE tenant = $1 AND id = ANY($2)",
    );
    EXISTING_ITEM_NUMBERS = per_engine(
        "",
        "SELECT i.kind, i.number FROM unnest($2, $3) AS n (kind, number)
        JOIN LATERAL (SELECT i.kind, i.number FROM items i
        WHERE i.tenant = $1 AND i.kind = n.kind AND i.number = n.number LIMIT 1) AS i ON TRUE",
    );
    // For the check of the whole database.
    UNIQUE_KEY_OWNERS = per_engine(
        "",
        "SELECT c.space, c.text, c.owner FROM unnest($2, $3) AS n (space, text)
        JOIN LATERAL (SELECT c.space, c.text, c.owner FROM claims c
        WHERE c.tenant = $1 AND c.space = n.space AND c.text = n.text LIMIT 1) AS c ON TRUE",
    );
    USER_WITH_UNIQUE_KEY = per_engine(
        "SELECT u.number FROM claims c JOIN users u ON u.pk = c.owner WHERE c.tenant = ?1 AND c.space = ?2 AND c.text = ?3",
        "",
    );
    ITEM_WITH_UNIQUE_KEY = per_engine(
        "SELECT i.number FROM claims c JOIN items i ON i.pk = c.owner WHERE c.tenant = ?1 AND c.space = ?2 AND c.text = ?3",
        "",
    );
    /// Without former logins.
    COUNT_UNIQUE_KEYS = portable("SELECT count(*) FROM claims WHERE tenant = $1 AND (space < 2 OR space > 2)");
    ROWS_OF_ITEMS = per_engine(
        "SELECT doc, number, id, name_key FROM items WHERE tenant = ?1 AND kind = ?2 AND number > ?3
        ORDER BY number LIMIT ?4",
        "SELECT doc, version, updated, number, id, name_key FROM items WHERE tenant = $1 AND kind = $2 AND number > $3
        ORDER BY number LIMIT $4",
    );
    /// Users whose row comes before that of a lower number.
    UNSORTED_USERS = per_engine(
        "SELECT tenant, number FROM (SELECT tenant, number, pk, lag(pk) OVER (PARTITION BY tenant ORDER BY number) AS last
        FROM users) WHERE pk <= last",
        "",
    );
    /// An owner that does not exist is number 0.
    ROWS_OF_SECONDARY_EMAILS = per_engine(
        "SELECT coalesce(u.number, 0), m.text FROM mentions m LEFT JOIN users u ON u.pk = m.owner WHERE m.tenant = ?1",
        "SELECT m.owner, m.text FROM mentions m WHERE m.tenant = $1",
    );
    MEMBERSHIPS_OF_KIND = per_engine(
        "SELECT u.number, i.id FROM memberships m JOIN items i ON i.pk = m.item JOIN users u ON u.pk = m.user
        WHERE i.tenant = ?1 AND i.kind = ?2",
        "SELECT m.member, m.item FROM memberships m WHERE m.tenant = $1 AND m.kind = $2",
    );
    /// Memberships between two tenants, or with another kind than the item's.
    COUNT_INVALID_MEMBERSHIPS = per_engine(
        "SELECT count(*) FROM memberships m JOIN items i ON i.pk = m.item JOIN users u ON u.pk = m.user
        WHERE i.tenant <> u.tenant",
        "SELECT count(*) FROM memberships m JOIN items i ON i.tenant = m.tenant AND i.id = m.item WHERE i.kind <> m.kind",
    );
    COUNT_EVENTS_AND_LAST_POSITION = per_engine("SELECT count(*), coalesce(max(position), 0) FROM events", "");
    COUNT_BATCHES_AND_LAST_POSITION = per_engine(
        "",
        "SELECT count(*), CAST(coalesce(sum(events), 0) AS BIGINT), CAST(coalesce(max(position), 0) AS BIGINT)
        FROM batches WHERE position IS NOT NULL",
    );
    COUNT_EVENTS = per_engine(
        "",
        "SELECT count(*) FROM events e JOIN batches b ON b.id = e.batch WHERE b.position IS NOT NULL",
    );
    COUNT_ORPHANED_EVENTS = per_engine("", "SELECT count(*) FROM events e WHERE e.batch NOT IN (SELECT b.id FROM batches b)");

    MEMBERSHIPS_OF_USERS = per_engine(
        "",
        "SELECT member, item, kind FROM memberships WHERE tenant = $1 AND member = ANY($2)",
    );
    /// Fails unless these users have exactly these memberships, and as many as the last parameter says.
    REQUIRE_EXACT_MEMBERSHIPS = per_engine(
        "",
        "SELECT 1 / (CASE WHEN count(*) = $5 AND count(e.item) = $5 THEN 1 ELSE 0 END) FROM memberships m
        LEFT JOIN unnest($3, $4) AS e (item, member) ON e.item = m.item AND e.member = m.member
        WHERE m.tenant = $1 AND m.member = ANY($2)",
    );
    /// Which of these users are members of the items already.
    EXISTING_MEMBERSHIPS = per_engine(
        "",
        "SELECT m.item, m.member FROM unnest($2, $3) AS n (item, member)
        JOIN LATERAL (SELECT m.item, m.member FROM memberships m
        WHERE m.tenant = $1 AND m.item = n.item AND m.member = n.member LIMIT 1) AS m ON TRUE",
    );
}
