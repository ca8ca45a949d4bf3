//! Changing users, items and their related rows. SQLite writes row by row in one thread; PostgreSQL writes all rows
//! of a batch in one table with one statement.

use super::{Sql, per_engine, portable, statements};

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
        SELECT n.tenant, n.number, n.id, n.version, n.active, n.updated, n.password, n.account, n.doc
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
        AS n (tenant, number, id, version, active, updated, password, account, doc)",
    );
    CHANGE_USERS = per_engine(
        "UPDATE users SET version = ?1, doc = ?2, password = nullif(coalesce(?3, password), ''), account = coalesce(?4, account),
        active = ?5, updated = ?6 WHERE pk = ?7",
        "UPDATE users SET version = n.version, active = n.active, updated = n.updated,
        password = nullif(coalesce(n.password, users.password), ''), account = coalesce(n.account, users.account), doc = n.doc
        FROM unnest($1, $2, $3, $4, $5, $6, $7, $8, $9)
        AS n (tenant, number, before, version, active, updated, password, account, doc)
        WHERE users.tenant = n.tenant AND users.number = n.number AND users.version = n.before",
    );
    REMOVE_USERS = per_engine(
        "DELETE FROM users WHERE pk = ?1",
        "DELETE FROM users WHERE (tenant, number, version) IN (SELECT n.tenant, n.number, n.version
        FROM unnest($1, $2, $3) AS n (tenant, number, version))",
    );
    /// Keeps the password, in case the user is restored.
    ADD_TOMBSTONE = per_engine(
        "INSERT INTO tombstones (pk, tenant, number, id, deleted, external_key, password, doc)
        SELECT pk, tenant, number, id, ?2, ?3, password, ?4 FROM users WHERE pk = ?1",
        "INSERT INTO tombstones (tenant, number, id, deleted, external_key, password, doc)
        SELECT u.tenant, u.number, u.id, $4, $5, u.password, $6 FROM users u
        WHERE u.tenant = $1 AND u.number = $2 AND u.version = $3",
    );
    /// Restores the user in the old row, with the old password if it is kept.
    ADD_USER_FROM_TOMBSTONE = per_engine(
        "INSERT INTO users (pk, tenant, number, id, version, password, account, doc, active, updated)
        SELECT pk, tenant, number, id, ?4, CASE WHEN ?5 THEN password ELSE ?6 END, ?7, ?8, ?9, ?10
        FROM tombstones WHERE tenant = ?1 AND number = ?2 AND deleted = ?3",
        "INSERT INTO users (tenant, number, id, version, password, account, doc, active, updated)
        SELECT t.tenant, t.number, t.id, $4, CASE WHEN $5 THEN t.password ELSE $6 END, $7, $8, $9, $10
        FROM tombstones t WHERE t.tenant = $1 AND t.number = $2 AND t.deleted = $3",
    );
    REMOVE_TOMBSTONE = portable("DELETE FROM tombstones WHERE tenant = $1 AND number = $2 AND deleted = $3");
    /// Which of these external ids belong to deleted users.
    DELETED_EXTERNAL_IDS = per_engine(
        "SELECT EXISTS (SELECT 1 FROM tombstones WHERE tenant = ?1 AND external_key = ?2)",
        "SELECT t.tenant, t.external_key FROM tombstones t JOIN unnest($1, $2) AS n (tenant, external_key)
        ON t.tenant = n.tenant AND t.external_key = n.external_key",
    );
    TOMBSTONE_EXISTS = portable("SELECT number FROM tombstones WHERE tenant = $1 AND number = $2 AND deleted = $3");

    ADD_MAIL = per_engine(
        "INSERT INTO mails (id, tenant, user, due, queued, version, doc) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        "INSERT INTO mails (id, tenant, person, due, queued, version, doc)
        SELECT n.id, n.tenant, n.person, n.due, n.queued, n.version, n.doc
        FROM unnest($1, $2, $3, $4, $5, $6, $7) AS n (id, tenant, person, due, queued, version, doc)",
    );
    CHANGE_MAIL = portable("UPDATE mails SET due = $1, version = $2, doc = $3 WHERE id = $4 AND version = $5");
    REMOVE_MAIL = portable("DELETE FROM mails WHERE id = $1 AND version = $2");
    MAILS_DUE = portable("SELECT doc FROM mails WHERE due <= $1 ORDER BY due, id LIMIT $2");
    MAILS_OF_TENANT = portable(
        "SELECT doc FROM mails WHERE tenant = $1 AND (queued > $2 OR queued = $2 AND id > $3) ORDER BY queued, id LIMIT $4",
    );
    MAILS_OF_USER = per_engine(
        "SELECT doc FROM mails WHERE tenant = ?1 AND user = ?2 ORDER BY queued, id LIMIT ?3",
        "SELECT m.doc FROM mails m WHERE m.tenant = $1 AND m.person = $2 ORDER BY m.queued, m.id LIMIT $3",
    );
    MAIL_AT_VERSION = per_engine("", "SELECT version FROM mails WHERE id = $1 AND version = $2");

    USER_PK = per_engine("SELECT pk FROM users WHERE tenant = ?1 AND id = ?2", "");

    ADD_ITEM = per_engine(
        "INSERT INTO items (tenant, kind, number, id, version, name_key, doc)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        "INSERT INTO items (tenant, kind, number, id, version, name_key, doc, updated)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT DO NOTHING",
    );
    CHANGE_ITEM = per_engine(
        "UPDATE items SET version = ?1, name_key = ?2, doc = ?3 WHERE pk = ?4",
        "UPDATE items SET version = $1, name_key = $2, doc = $3, updated = $4
        WHERE tenant = $5 AND id = $6 AND version = $7",
    );
    /// Keeps the name. PostgreSQL updates the columns beside the document, without reading it.
    BUMP_ITEM_VERSIONS = per_engine(
        "UPDATE items SET version = ?1, doc = ?2 WHERE pk = ?3",
        "UPDATE items SET version = items.version + n.times, updated = n.at
        FROM unnest($1, $2, $3, $4) AS n (tenant, id, times, at) WHERE items.tenant = n.tenant AND items.id = n.id",
    );
    REMOVE_ITEM = per_engine(
        "DELETE FROM items WHERE pk = ?1",
        "DELETE FROM items WHERE tenant = $1 AND id = $2 AND version = $3",
    );
    ITEM_AT_VERSION = per_engine("SELECT doc, pk FROM items WHERE tenant = ?1 AND id = ?2 AND version = ?3", "");
    ITEM_PK = per_engine("SELECT pk FROM items WHERE tenant = ?1 AND id = ?2", "");
    ITEM_NUMBER_EXISTS = per_engine("SELECT EXISTS (SELECT 1 FROM items WHERE tenant = ?1 AND kind = ?2 AND number = ?3)", "");

    /// A taken key aborts the transaction, which costs less than checking first as long as conflicts are rare.
    ADD_UNIQUE_KEYS = per_engine(
        "INSERT INTO claims (tenant, space, text, owner) VALUES (?1, ?2, ?3, ?4)",
        "INSERT INTO claims (tenant, space, text, owner)
        SELECT n.tenant, n.space, n.text, n.owner FROM unnest($1, $2, $3, $4) AS n (tenant, space, text, owner)",
    );
    /// For frequent conflicts: taken keys are skipped, and fewer rows change than expected.
    ADD_FREE_UNIQUE_KEYS = per_engine(
        "INSERT INTO claims (tenant, space, text, owner) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO NOTHING",
        "INSERT INTO claims (tenant, space, text, owner)
        SELECT n.tenant, n.space, n.text, n.owner FROM unnest($1, $2, $3, $4) AS n (tenant, space, text, owner)
        ON CONFLICT DO NOTHING",
    );
    REMOVE_UNIQUE_KEYS = per_engine(
        "DELETE FROM claims WHERE tenant = ?1 AND space = ?2 AND text = ?3 AND owner = ?4",
        "DELETE FROM claims WHERE (tenant, space, text, owner) IN (SELECT n.tenant, n.space, n.text, n.owner
        FROM unnest($1, $2, $3, $4) AS n (tenant, space, text, owner))",
    );
    ADD_SECONDARY_EMAILS = per_engine(
        "INSERT INTO mentions (tenant, text, owner) VALUES (?1, ?2, ?3)",
        "INSERT INTO mentions (tenant, text, owner)
        SELECT n.tenant, n.text, n.owner FROM unnest($1, $2, $3) AS n (tenant, text, owner) ON CONFLICT DO NOTHING",
    );
    REMOVE_SECONDARY_EMAILS = per_engine(
        "DELETE FROM mentions WHERE tenant = ?1 AND text = ?2 AND owner = ?3",
        "DELETE FROM mentions WHERE (tenant, text, owner) IN (SELECT n.tenant, n.text, n.owner
        FROM unnest($1, $2, $3) AS n (tenant, text, owner))",
    );

    /// Locks users whose memberships change from the item's side, so that a concurrent change of the same user
    /// comes before or after: a transaction that is not serializable would not see these memberships, and its event
    /// would lack them. It is an update because distributed databases lock rows of several shards in no other way.
    LOCK_USERS = per_engine(
        "",
        "UPDATE users SET number = users.number FROM unnest($1, $2) AS n (tenant, number)
        WHERE users.tenant = n.tenant AND users.number = n.number",
    );
    LOCK_MEMBERS = per_engine(
        "",
        "UPDATE users SET number = users.number FROM memberships m
        WHERE m.tenant = $1 AND m.item = $2 AND users.tenant = m.tenant AND users.number = m.member",
    );
    /// From the user's side.
    ADD_MEMBERSHIP_BY_ITEM_ID = per_engine(
        "INSERT OR IGNORE INTO memberships (item, user)
        SELECT pk, ?1 FROM items WHERE tenant = ?2 AND id = ?3 RETURNING 1",
        "",
    );
    /// On PostgreSQL, from either side.
    ADD_MEMBERSHIPS = per_engine(
        "INSERT OR IGNORE INTO memberships (item, user) VALUES (?1, ?2)",
        "INSERT INTO memberships (tenant, item, member, kind)
        SELECT n.tenant, n.item, n.member, n.kind FROM unnest($1, $2, $3, $4) AS n (tenant, item, member, kind)
        ON CONFLICT DO NOTHING",
    );
    REMOVE_MEMBERSHIP_BY_ITEM_ID = per_engine(
        "DELETE FROM memberships WHERE user = ?1 AND item = (SELECT pk FROM items WHERE tenant = ?2 AND id = ?3)",
        "",
    );
    REMOVE_MEMBERSHIPS = per_engine(
        "DELETE FROM memberships WHERE item = ?1 AND user = (SELECT pk FROM users WHERE tenant = ?2 AND id = ?3)",
        "DELETE FROM memberships WHERE (tenant, item, member) IN (SELECT n.tenant, n.item, n.member
        FROM unnest($1, $2, $3) AS n (tenant, item, member))",
    );
    REMOVE_MEMBERSHIPS_OF_USER = per_engine("DELETE FROM memberships WHERE user = ?1", "");
    REMOVE_MEMBERSHIPS_OF_ITEM = per_engine("DELETE FROM memberships WHERE item = ?1", "DELETE FROM memberships WHERE tenant = $1 AND item = $2");

    COUNTER = portable("SELECT coalesce(max(last), 0) FROM counters WHERE tenant = $1 AND sort = $2");
    SET_COUNTER = per_engine(
        "INSERT INTO counters (tenant, sort, last) VALUES (?1, ?2, ?3)
        ON CONFLICT (tenant, sort) DO UPDATE SET last = excluded.last",
        "",
    );

    // Diagnosis of failed changes, and what changes must know beforehand.
    EXISTING_UNIQUE_KEYS = per_engine(
        "",
        "SELECT c.tenant, c.space, c.text FROM claims c JOIN unnest($1, $2, $3) AS n (tenant, space, text)
        ON c.tenant = n.tenant AND c.space = n.space AND c.text = n.text",
    );
    USER_VERSIONS = per_engine(
        "",
        "SELECT u.tenant, u.number, u.version FROM users u JOIN unnest($1, $2) AS n (tenant, number)
        ON u.tenant = n.tenant AND u.number = n.number",
    );
    EXISTING_USERS = per_engine(
        "",
        "SELECT u.tenant, u.id, u.number FROM users u JOIN unnest($1, $2) AS n (tenant, id)
        ON u.tenant = n.tenant AND u.id = n.id",
    );
    EXISTING_TOMBSTONES = per_engine(
        "",
        "SELECT t.tenant, t.id FROM tombstones t JOIN unnest($1, $2) AS n (tenant, id)
        ON t.tenant = n.tenant AND t.id = n.id",
    );
    EXISTING_MAILS = per_engine("", "SELECT m.id FROM mails m JOIN unnest($1) AS n (id) ON m.id = n.id");
    ITEM_VERSIONS = per_engine(
        "",
        "SELECT i.tenant, i.id, i.version FROM items i JOIN unnest($1, $2) AS n (tenant, id)
        ON i.tenant = n.tenant AND i.id = n.id",
    );
    EXISTING_ITEM_NUMBERS = per_engine(
        "",
        "SELECT i.tenant, i.kind, i.number FROM items i JOIN unnest($1, $2, $3) AS n (tenant, kind, number)
        ON i.tenant = n.tenant AND i.kind = n.kind AND i.number = n.number",
    );
    // For the check of the whole database.
    UNIQUE_KEY_OWNERS = per_engine(
        "SELECT owner FROM claims WHERE tenant = ?1 AND space = ?2 AND text = ?3",
        "SELECT c.tenant, c.space, c.text, c.owner FROM claims c JOIN unnest($1, $2, $3) AS n (tenant, space, text)
        ON c.tenant = n.tenant AND c.space = n.space AND c.text = n.text",
    );
    NUMBER_OF_USER = per_engine("SELECT number FROM users WHERE pk = ?1", "");
    NUMBER_OF_ITEM = per_engine("SELECT number FROM items WHERE pk = ?1", "");
    /// Without former logins.
    COUNT_UNIQUE_KEYS = portable("SELECT count(*) FROM claims WHERE tenant = $1 AND (space < 2 OR space > 2)");
    ROWS_OF_USERS = per_engine(
        "SELECT pk, number, id, version, active, updated, doc FROM users WHERE tenant = ?1 ORDER BY number",
        "SELECT number, id, version, active, updated, doc FROM users WHERE tenant = $1 AND number >= $2
        ORDER BY number LIMIT $3",
    );
    ROWS_OF_ITEMS = per_engine(
        "SELECT doc, pk, number, id, name_key, version FROM items WHERE tenant = ?1 AND kind = ?2",
        "SELECT doc, version, updated, number, id, name_key FROM items WHERE tenant = $1 AND kind = $2",
    );
    ROWS_OF_TOMBSTONES = portable("SELECT number, id, external_key, doc FROM tombstones WHERE tenant = $1 ORDER BY number");
    ROWS_OF_TENANTS = portable("SELECT number, coalesce(version, 0), doc FROM tenants ORDER BY number");
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
        "SELECT m.tenant, m.member, m.item, m.kind FROM memberships m JOIN unnest($1, $2) AS n (tenant, member)
        ON m.tenant = n.tenant AND m.member = n.member",
    );
    /// Memberships of these users other than the expected ones.
    UNEXPECTED_MEMBERSHIPS = per_engine(
        "",
        "SELECT m.item FROM memberships m JOIN unnest($1, $2) AS n (tenant, member)
        ON m.tenant = n.tenant AND m.member = n.member
        LEFT JOIN unnest($3, $4, $5) AS e (tenant, item, member)
        ON e.tenant = m.tenant AND e.item = m.item AND e.member = m.member WHERE e.item IS NULL",
    );
    /// Which of these users are members of the items already.
    EXISTING_MEMBERSHIPS = per_engine(
        "",
        "SELECT m.tenant, m.item, m.member FROM memberships m JOIN unnest($1, $2, $3) AS n (tenant, item, member)
        ON m.tenant = n.tenant AND m.item = n.item AND m.member = n.member",
    );
}
