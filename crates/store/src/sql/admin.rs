//! Tenants, connections, secrets, migrations, leases and locks.

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
    /// The name of a revoked connection can be reused.
    RELEASE_REVOKED_NAME = portable(
        "UPDATE connections SET name_key = $1
        WHERE tenant = $2 AND name_key = $3 AND doc LIKE '%\"revoked\":true%'",
    );
    ADD_CONNECTION = per_engine(
        "INSERT INTO connections (id, tenant, name_key, doc) VALUES (?1, ?2, ?3, ?4)",
        "INSERT INTO connections (id, tenant, name_key, created, doc) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING",
    );
    /// PostgreSQL compares with the document that was read. SQLite has compared already, in the same transaction.
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
    CONNECTION_BY_NAME = per_engine("", "SELECT id FROM connections WHERE tenant = $1 AND name_key = $2
        AND doc NOT LIKE '%\"revoked\":true%'");

    SECRET = portable("SELECT bytes FROM secrets WHERE name = $1");
    ADD_SECRET = per_engine(
        "INSERT INTO secrets (name, bytes) VALUES (?1, ?2)",
        "INSERT INTO secrets (name, bytes) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING",
    );

    /// The server process of this connection. Databases without processes always return the same value.
    BACKEND_PID = per_engine("", "SELECT pg_backend_pid()");
    PREFER_INDEXES = per_engine("", "SET enable_seqscan = off; SET jit = off");
    SHOW_READ_ONLY = per_engine("", "SHOW transaction_read_only");
    IN_RECOVERY = per_engine("", "SELECT pg_is_in_recovery()");
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
    /// Also counts the objects of other programs.
    COUNT_SCHEMA_OBJECTS = per_engine("SELECT count(*) FROM sqlite_schema", "");
    APPLIED_MIGRATIONS = portable("SELECT number, checksum FROM migrations ORDER BY number");
    ADD_MIGRATION = per_engine(
        "INSERT INTO migrations (number, name, checksum) VALUES (?1, ?2, ?3)",
        "INSERT INTO migrations (number, name, checksum) VALUES ($1, $2, $3) ON CONFLICT (number) DO NOTHING",
    );

    /// Acquires or renews a lease for some milliseconds, unless another process holds it.
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
    /// Removes the lease of this process, and those of processes that ended without removing theirs.
    REMOVE_PROCESS_LEASES = per_engine(
        "",
        "DELETE FROM leases WHERE name LIKE 'process %' AND (holder = $1 OR until < clock_timestamp())",
    );
    /// Locks the whole database for some milliseconds or renews the lock, unless another process holds it.
    ACQUIRE_EXCLUSIVE_LOCK = per_engine(
        "",
        "INSERT INTO holds (name, holder, until)
        VALUES ('store', $1, clock_timestamp() + $2 * INTERVAL '1 millisecond')
        ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
        WHERE holds.holder = excluded.holder OR holds.until < clock_timestamp()
        RETURNING name",
    );
    /// Whether a process has locked the database. Earlier versions use a lease for it.
    EXCLUSIVE_LOCK_HOLDER = per_engine(
        "",
        "SELECT holder FROM holds WHERE until > clock_timestamp()
        UNION ALL SELECT holder FROM leases WHERE name = 'hold' AND until > clock_timestamp()",
    );
    RELEASE_EXCLUSIVE_LOCK = per_engine("", "UPDATE holds SET until = clock_timestamp() WHERE holder = $1");
    /// Only the holder can advance the value.
    ADVANCE_LEASE_VALUE = per_engine(
        "",
        "UPDATE leases SET value = value + $3 WHERE name = $1 AND holder = $2 RETURNING value",
    );
    RELEASE_LEASE = per_engine(
        "",
        "UPDATE leases SET until = clock_timestamp() WHERE name = $1 AND holder = $2",
    );

    /// Allocates the next numbers of a sequence to this process.
    ALLOCATE_NUMBERS = per_engine(
        "",
        "INSERT INTO counters (tenant, sort, last) VALUES ($1, $2, $3 + $4)
        ON CONFLICT (tenant, sort) DO UPDATE SET last = counters.last + $4 RETURNING last",
    );
    /// Returns unused numbers, if they were the last ones allocated.
    RETURN_UNUSED_NUMBERS = per_engine(
        "",
        "UPDATE counters SET last = $3 WHERE tenant = $1 AND sort = $2 AND last = $4",
    );
}
