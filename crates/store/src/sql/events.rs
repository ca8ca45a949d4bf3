//! The event history: writing, reading and positions.

use super::{Sql, per_engine, portable, statements};

macro_rules! sqlite_event_columns {
    () => {
        "position, tenant, at, connection, who, request, action, before, after, joined, left, password_set, notes"
    };
}
macro_rules! postgres_event_columns {
    () => {
        "b.position - b.events + e.place + 1, e.tenant, e.at, e.connection, e.who, e.request, e.action, e.before, e.after,
        e.joined, e.departed, e.password_set, e.notes"
    };
}

statements! {
    /// SQLite's single writer assigns positions as it writes, and links each event to the previous one.
    ADD_EVENT = per_engine(
        "INSERT INTO events
        (position, tenant, at, connection, who, request, action, before, after, joined, left, password_set, notes, link,
        kind)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        "INSERT INTO events
        (batch, place, tenant, at, connection, who, request, action, before, after, joined, departed, password_set, notes,
        digest, kind)
        SELECT n.batch, n.place, $1, n.at, n.connection, n.who, n.request, n.action, n.before, n.after, n.joined,
        n.departed, n.password_set, n.notes, n.digest, n.kind
        FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16)
        AS n (batch, place, at, connection, who, request, action, before, after, joined, departed, password_set, notes,
        digest, kind)",
    );
    /// The users, items and connections that an event is about.
    ADD_EVENT_SUBJECTS = per_engine(
        "INSERT OR IGNORE INTO event_subjects (tenant, subject, position) VALUES (?1, ?2, ?3)",
        "INSERT INTO event_subjects (tenant, subject, batch, place)
        SELECT $1, n.subject, n.batch, n.place FROM unnest($2, $3, $4) AS n (subject, batch, place)
        ON CONFLICT DO NOTHING",
    );
    EVENT_SUBJECT_COUNTS = portable("SELECT tenant, count(*) FROM event_subjects GROUP BY tenant");
    // The kinds are a set of bits on SQLite (-1: all), a list on PostgreSQL (`NULL`: all).
    EVENTS_AFTER = per_engine(
        concat!("SELECT ", sqlite_event_columns!(), " FROM events WHERE position > ?1 AND (?2 = -1 OR (1 << kind) & ?2)
        ORDER BY position LIMIT ?3"),
        concat!("SELECT ", postgres_event_columns!(), " FROM batches b JOIN events e ON e.batch = b.id
        WHERE b.position > $1 AND b.position - b.events + e.place >= $1 AND ($2 IS NULL OR e.kind = ANY($2))
        ORDER BY b.position, e.place LIMIT $3"),
    );
    HAS_EVENTS_AFTER = per_engine("", "SELECT 1 FROM batches WHERE position > $1 LIMIT 1");
    EVENTS_OF_TENANT = per_engine(
        concat!("SELECT ", sqlite_event_columns!(), " FROM events WHERE position > ?1 AND (?2 = -1 OR (1 << kind) & ?2)
        AND tenant = ?3 ORDER BY position LIMIT ?4"),
        concat!("SELECT ", postgres_event_columns!(), " FROM batches b JOIN events e ON e.batch = b.id
        WHERE b.position > $1 AND b.position - b.events + e.place >= $1 AND ($2 IS NULL OR e.kind = ANY($2)) AND e.tenant = $3
        ORDER BY b.position, e.place LIMIT $4"),
    );
    /// Only what shows how users have changed. By the batches after the position: those of a tenant are not in their order,
    /// and reading all of them would take longer with each change.
    USER_CHANGES = per_engine(
        "SELECT position, before, after, joined, left FROM events WHERE position > ?1 AND (1 << kind) & ?2 AND tenant = ?3
        ORDER BY position LIMIT ?4",
        "SELECT b.position - b.events + e.place + 1, e.before, e.after, e.joined, e.departed FROM batches b JOIN LATERAL
        (SELECT place, before, after, joined, departed FROM events WHERE tenant = $3 AND batch = b.id AND kind = ANY($2) OFFSET 0) AS e ON TRUE
        WHERE b.position > $1 AND b.position - b.events + e.place >= $1 ORDER BY b.position, e.place LIMIT $4",
    );
    EVENTS_OF_SUBJECT = per_engine(
        concat!("SELECT ", sqlite_event_columns!(), " FROM events WHERE position > ?1 AND (?2 = -1 OR (1 << kind) & ?2)
        AND tenant = ?3 AND position IN (SELECT t.position FROM event_subjects t WHERE t.tenant = ?3 AND t.subject = ?4
        AND t.position > ?1) ORDER BY position LIMIT ?5"),
        concat!("SELECT ", postgres_event_columns!(), " FROM event_subjects t JOIN batches b ON b.id = t.batch
        JOIN events e ON e.tenant = t.tenant AND e.batch = t.batch AND e.place = t.place
        WHERE b.position > $1 AND b.position - b.events + e.place >= $1 AND ($2 IS NULL OR e.kind = ANY($2)) AND t.tenant = $3
        AND t.subject = $4 ORDER BY b.position, e.place LIMIT $5"),
    );
    /// Events with their digests and links, of one tenant or all.
    EVENTS_WITH_LINKS = per_engine(
        concat!("SELECT ", sqlite_event_columns!(), ", link FROM events WHERE position > ?1 AND (?2 IS NULL OR tenant = ?2)
        ORDER BY position LIMIT ?3"),
        concat!("SELECT ", postgres_event_columns!(), ", e.digest, l.link, b.position FROM batches b JOIN events e ON e.batch = b.id
        LEFT JOIN links l ON l.batch = b.id AND l.tenant = e.tenant
        WHERE b.position > $1 AND b.position - b.events + e.place >= $1
        AND ($2 IS NULL OR e.tenant = $2) ORDER BY b.position, e.place LIMIT $3"),
    );
    CHAIN_HASH_AT = per_engine(
        "SELECT link FROM events WHERE position = ?1 AND tenant = ?2",
        "SELECT l.link FROM batches b JOIN links l ON l.batch = b.id WHERE b.position = $1 AND l.tenant = $2",
    );
    LAST_POSITION = per_engine(
        "SELECT coalesce(max(position), 0) FROM events",
        "SELECT CAST(coalesce(max(position), 0) AS BIGINT) FROM batches",
    );
    CHAIN_END = per_engine("SELECT position, link FROM chains WHERE tenant = ?1", "");
    /// The newest readable time of a tenant: of its last event and of its users.
    NEWEST_TIME = per_engine(
        "SELECT max(coalesce((SELECT at FROM events WHERE position = (SELECT position FROM chains WHERE tenant = ?1)), 0),
        coalesce((SELECT max(u.updated) FROM users u WHERE u.tenant = ?1), 0))",
        "",
    );
    /// `older` is the number of events from before the chain.
    ALL_CHAIN_ENDS = portable("SELECT tenant, position, link, older FROM chains WHERE $1 IS NULL OR tenant = $1");
    CHAIN_ENDS = per_engine("", "SELECT tenant, position, link FROM chains WHERE tenant = ANY($1)");
    SET_CHAIN_END = per_engine(
        "INSERT INTO chains (tenant, position, link, older) VALUES (?1, ?2, ?3, 0)
        ON CONFLICT (tenant) DO UPDATE SET position = excluded.position, link = excluded.link",
        "INSERT INTO chains (tenant, position, link, older)
        SELECT n.tenant, n.position, n.link, 0 FROM unnest($1, $2, $3) AS n (tenant, position, link)
        ON CONFLICT (tenant) DO UPDATE SET position = excluded.position, link = excluded.link",
    );
    /// The event digests of batches that are being linked.
    EVENT_DIGESTS = per_engine("", "SELECT batch, tenant, digest FROM events WHERE batch = ANY($1) ORDER BY batch, place");
    ADD_LINKS = per_engine(
        "",
        "INSERT INTO links (batch, tenant, link)
        SELECT n.batch, n.tenant, n.link FROM unnest($1, $2, $3) AS n (batch, tenant, link)",
    );

    /// The last statement of a batch before its commit. All its locks are held by then, so of two batches that change
    /// the same rows, the later one has the later time. Fails while the store is being restored or is locked.
    ADD_BATCH = per_engine(
        "",
        "WITH done AS (INSERT INTO batches (id, at, events) SELECT $1, clock_timestamp(), $2
        WHERE NOT EXISTS (SELECT 1 FROM filling)
        AND NOT EXISTS (SELECT 1 FROM holds WHERE until > clock_timestamp()) RETURNING 1)
        SELECT 1 / count(*) FROM done",
    );
    /// Takes the row of a batch, so that a transaction that adds the batch fails, even if it arrives later. Waits for one
    /// in progress. The time distinguishes this row from that of the batch.
    FENCE_BATCH = per_engine("", "INSERT INTO batches (id, at, events) VALUES ($1, '1970-01-01 00:00:00+00', 0)");
    /// Whether a batch was committed. The update is acknowledged only when it is as durable as a change, and so is
    /// all before it.
    CONFIRM_BATCH_COMMIT = per_engine(
        "",
        "UPDATE batches SET events = events WHERE id = $1 AND at > '1970-01-01 00:00:00+00'",
    );
    UNSEQUENCED_BATCHES = per_engine("", "SELECT id, events FROM batches WHERE position IS NULL ORDER BY at, id LIMIT $1");
    SET_BATCH_POSITIONS = per_engine(
        "",
        "UPDATE batches SET position = n.position FROM unnest($1, $2) AS n (id, position)
        WHERE batches.id = n.id AND batches.position IS NULL",
    );

    ADD_PENDING_COUNTS = per_engine(
        "",
        "INSERT INTO counted (tenant, block, batch, live)
        SELECT $1, n.block, n.batch, n.live FROM unnest($2, $3, $4) AS n (batch, block, live)",
    );
    /// Takes the pending counts, to add them to the block counts.
    DRAIN_PENDING_COUNTS = per_engine("", "DELETE FROM counted WHERE batch IS NOT NULL RETURNING tenant, block, live");
    ADD_TO_BLOCK_COUNTS = per_engine(
        "INSERT INTO blocks (tenant, block, live) VALUES (?1, ?2, ?3)
        ON CONFLICT (tenant, block) DO UPDATE SET live = live + excluded.live",
        "INSERT INTO blocks (tenant, block, live)
        SELECT n.tenant, n.block, n.live FROM unnest($1, $2, $3) AS n (tenant, block, live)
        ON CONFLICT (tenant, block) DO UPDATE SET live = blocks.live + excluded.live",
    );
}
