//! Tenants, connections, secrets, and what processes agree on among themselves.

use super::{Sql, per_engine, portable, statements};

statements! {
    TENANT = portable("SELECT doc FROM tenants WHERE number = $1");
    TENANTS = portable("SELECT doc FROM tenants ORDER BY number");
    HIGHEST_TENANT = portable("SELECT max(number) FROM tenants");
    ADD_TENANT = per_engine(
        "INSERT INTO tenants (number, doc, version) VALUES (?1, ?2, ?3)",
        "INSERT INTO tenants (number, doc, version) VALUES ($1, $2, $3) ON CONFLICT (number) DO NOTHING",
    );

    CHANGE_TENANT = portable(
        "UPDATE tenants SET doc = $1, version = $2 WHERE number = $3 AND coalesce(version, 0) = $4",
    );

    CONNECTION = portable("SELECT c.doc, c.last_use, c.key_uses FROM connections c WHERE c.id = $1");
    CONNECTIONS = per_engine(
        "SELECT c.doc, c.last_use, c.key_uses FROM connections c WHERE ?1 IS NULL OR c.tenant = ?1 ORDER BY c.seq",
        "SELECT c.doc, c.last_use, c.key_uses FROM connections c WHERE $1 IS NULL OR c.tenant = $1 ORDER BY c.created, c.id",
    );
    CONNECTIONS_BY_KEY_PREFIX = per_engine(
        "SELECT c.doc, c.last_use, c.key_uses FROM connections c JOIN keys k ON k.connection = c.seq WHERE k.prefix = ?1",
        "SELECT c.doc, c.last_use, c.key_uses FROM connections c JOIN keys k ON k.connection = c.id WHERE k.prefix = $1",
    );
    /// A revoked connection gives its name to a new one.
    RELEASE_REVOKED_NAME = portable(
        "UPDATE connections SET name_key = $1
        WHERE tenant = $2 AND name_key = $3 AND doc LIKE '%\"revoked\":true%'",
    );
    ADD_CONNECTION = per_engine(
        "INSERT INTO connections (id, tenant, name_key, doc) VALUES (?1, ?2, ?3, ?4)",
        "INSERT INTO connections (id, tenant, name_key, created, doc) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING",
    );
    /// The server engine compares what it had read; the embedded one has compared already, in the same transaction.
    CHANGE_CONNECTION = per_engine(
        "UPDATE connections SET doc = ?1 WHERE id = ?2 RETURNING seq",
        "UPDATE connections SET doc = $1 WHERE id = $2 AND doc = $3",
    );
    RECORD_CONNECTION_USE = portable("UPDATE connections SET last_use = $1, key_uses = $2 WHERE id = $3");
    ADD_KEY = per_engine(
        "INSERT OR IGNORE INTO keys (prefix, connection) VALUES (?1, ?2)",
        "INSERT INTO keys (prefix, connection) VALUES ($1, $2) ON CONFLICT DO NOTHING",
    );
    REMOVE_KEYS = portable("DELETE FROM keys WHERE connection = $1");
    /// Which of these names another connection of the tenant has.
    CONNECTION_BY_NAME = per_engine("", "SELECT id FROM connections WHERE tenant = $1 AND name_key = $2
        AND doc NOT LIKE '%\"revoked\":true%'");

    SECRET = portable("SELECT bytes FROM secrets WHERE name = $1");
    ADD_SECRET = per_engine(
        "INSERT INTO secrets (name, bytes) VALUES (?1, ?2)",
        "INSERT INTO secrets (name, bytes) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
    );

    /// Which of the server's processes answers; those that have none say always the same.
    BACKEND_PID = per_engine("", "SELECT pg_backend_pid()");
    PREFER_INDEXES = per_engine("", "SET enable_seqscan = off; SET jit = off");
    SHOW_READ_ONLY = per_engine("", "SHOW transaction_read_only");
    IN_RECOVERY = per_engine("", "SELECT pg_is_in_recovery()");
    /// Whether it answers.
    PING = portable("SELECT count(*) FROM secrets");

    RANDOM = per_engine("SELECT random()", "");

    CREATE_MIGRATIONS_TABLE = per_engine(
        "CREATE TABLE IF NOT EXISTS migrations
        (number INTEGER PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL) STRICT",
        "CREATE TABLE IF NOT EXISTS migrations
        (number INT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL)",
    );
    CREATE_LEASES_TABLE = per_engine(
        "",
        "CREATE TABLE IF NOT EXISTS leases
        (name TEXT PRIMARY KEY, holder UUID NOT NULL, until TIMESTAMPTZ NOT NULL, value BIGINT NOT NULL)",
    );
    NEWEST_MIGRATION = per_engine("SELECT max(number) FROM migrations", "");
    MIGRATION_CHECKSUM = per_engine("SELECT checksum FROM migrations WHERE number = ?1", "");
    /// How many tables and the like a file has, ours or not.
    COUNT_SCHEMA_OBJECTS = per_engine("SELECT count(*) FROM sqlite_schema", "");
    APPLIED_MIGRATIONS = portable("SELECT number, checksum FROM migrations ORDER BY number");
    ADD_MIGRATION = per_engine(
        "INSERT INTO migrations (number, name, checksum) VALUES (?1, ?2, ?3)",
        "INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3) ON CONFLICT (number) DO NOTHING",
    );

    /// Takes or keeps a lease for some milliseconds, unless somebody else holds it.
    ACQUIRE_LEASE = per_engine(
        "",
        "INSERT INTO leases (name, holder, until, value)
        VALUES ($1, $2, clock_timestamp() + $3 * INTERVAL '1 millisecond', 0)
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE leases.holder = excluded.holder OR leases.until < clock_timestamp()
        RETURNING value",
    );
    /// Other processes that have the database open.
    OTHER_PROCESS_LEASES = per_engine(
        "",
        "SELECT name FROM leases WHERE name LIKE 'process %' AND holder <> $1 AND until > clock_timestamp()",
    );
    /// Removes the lease of a process that ends, and those of processes that ended without doing so.
    REMOVE_PROCESS_LEASES = per_engine(
        "",
        "DELETE FROM leases WHERE name LIKE 'process %' AND (holder = $1 OR until < clock_timestamp())",
    );
    /// Takes or keeps the whole database for some milliseconds, unless another process holds it.
    ACQUIRE_EXCLUSIVE_LOCK = per_engine(
        "",
        "INSERT INTO holds (name, holder, until)
        VALUES ('store', $1, clock_timestamp() + $2 * INTERVAL '1 millisecond')
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE holds.holder = excluded.holder OR holds.until < clock_timestamp()
        RETURNING name",
    );
    /// Whether a process holds the database. One of an earlier version has a lease.
    EXCLUSIVE_LOCK_HOLDER = per_engine(
        "",
        "SELECT holder FROM holds WHERE until > clock_timestamp()
        UNION ALL SELECT holder FROM leases WHERE name = 'hold' AND until > clock_timestamp()",
    );
    RELEASE_EXCLUSIVE_LOCK = per_engine("", "UPDATE holds SET until = clock_timestamp() WHERE holder = $1");
    /// Moves the value of a lease on, for its holder alone.
    ADVANCE_LEASE_VALUE = per_engine(
        "",
        "UPDATE leases SET value = value + $3 WHERE name = $1 AND holder = $2 RETURNING value",
    );
    RELEASE_LEASE = per_engine(
        "",
        "UPDATE leases SET until = clock_timestamp() WHERE name = $1 AND holder = $2",
    );

    /// Lets the next numbers of a sort to whoever asks.
    ALLOCATE_NUMBERS = per_engine(
        "",
        "INSERT INTO counters (tenant, sort, last) VALUES ($1, $2, $3 + $4)
        ON CONFLICT (tenant, sort) DO UPDATE SET last = counters.last + $4 RETURNING last",
    );
    /// Takes numbers back that were let last and never given.
    RETURN_UNUSED_NUMBERS = per_engine(
        "",
        "UPDATE counters SET last = $3 WHERE tenant = $1 AND sort = $2 AND last = $4",
    );
}
