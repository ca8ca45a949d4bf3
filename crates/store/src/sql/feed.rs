//! The history: events as they are written and read, and how they get their positions.

use super::{Sql, each, statements};

statements! {
    /// The embedded engine's one writer gives positions as it writes.
    ADD_EVENT = each(
        "INSERT INTO events
        (tenant, at, connection, who, request, action, before, after, joined, left, password_set)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
        "INSERT INTO events
        (batch, place, tenant, at, connection, who, request, action, before, after, joined, departed, password_set)
        SELECT $1, n.place, n.tenant, n.at, n.connection, n.who, n.request, n.action, n.before, n.after, n.joined,
        n.departed, n.password_set
        FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        AS n (place, tenant, at, connection, who, request, action, before, after, joined, departed, password_set)",
    );
    EVENTS_AFTER = each(
        "SELECT position, tenant, at, connection, who, request, action, before, after, joined, left, password_set
        FROM events WHERE position > ?1 ORDER BY position LIMIT ?2",
        "SELECT b.position - b.events + e.place + 1, e.tenant, e.at, e.connection, e.who, e.request, e.action,
        e.before, e.after, e.joined, e.departed, e.password_set
        FROM batches b JOIN events e ON e.batch = b.id
        WHERE b.position > $1 AND b.position - b.events + e.place >= $1
        ORDER BY b.position, e.place LIMIT $2",
    );

    /// The last statement of a batch before its commit: what it waited for has happened, so that of two batches that
    /// touch the same, the later one has the later time.
    ADD_BATCH = each("", "INSERT INTO batches (id, at, events) VALUES ($1, clock_timestamp(), $2)");
    /// Whether a batch went in. As a change of its own it is answered when it is as safe as that, and so is all before it.
    CONFIRM_BATCH = each("", "UPDATE batches SET events = events WHERE id = $1");
    UNSEALED = each("", "SELECT id, events FROM batches WHERE position IS NULL ORDER BY at, id LIMIT $1");
    SEAL = each(
        "",
        "UPDATE batches SET position = n.position FROM unnest($1, $2) AS n (id, position)
        WHERE batches.id = n.id AND batches.position IS NULL",
    );

    ADD_COUNTED = each(
        "",
        "INSERT INTO counted (tenant, block, batch, live)
        SELECT n.tenant, n.block, $1, n.live FROM unnest($2, $3, $4) AS n (tenant, block, live)",
    );
    /// Counts what has come since.
    TAKE_COUNTED = each("", "DELETE FROM counted WHERE batch IS NOT NULL RETURNING tenant, block, live");
    ADD_TO_BLOCKS = each(
        "INSERT INTO blocks (tenant, block, live) VALUES (?1, ?2, ?3)
        ON CONFLICT (tenant, block) DO UPDATE SET live = live + excluded.live",
        "INSERT INTO blocks (tenant, block, live)
        SELECT n.tenant, n.block, n.live FROM unnest($1, $2, $3) AS n (tenant, block, live)
        ON CONFLICT (tenant, block) DO UPDATE SET live = blocks.live + excluded.live",
    );
}
