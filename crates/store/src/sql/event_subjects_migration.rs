//! The migration `event subjects`: the kind of each event and its subjects, which are stored beside it from then on.

use super::{Sql, per_engine, statements};

statements! {
    /// Events without a kind, after a position, or after a tenant, batch and place.
    EVENTS_WITHOUT_KIND = per_engine(
        "SELECT position, tenant, at, connection, who, request, action, before, after, joined, left, password_set, notes
        FROM events WHERE position > ?1 AND kind IS NULL ORDER BY position LIMIT ?2",
        "SELECT e.place, e.tenant, e.at, e.connection, e.who, e.request, e.action, e.before, e.after, e.joined, e.departed,
        e.password_set, e.notes, e.batch FROM events e
        WHERE (e.tenant, e.batch, e.place) > ($1, $2, $3) AND e.kind IS NULL
        ORDER BY e.tenant, e.batch, e.place LIMIT $4",
    );
    SET_EVENT_KIND = per_engine(
        "UPDATE events SET kind = ?1 WHERE position = ?2",
        "UPDATE events SET kind = n.kind FROM unnest($1, $2, $3, $4) AS n (tenant, batch, place, kind)
        WHERE events.tenant = n.tenant AND events.batch = n.batch AND events.place = n.place",
    );
}
