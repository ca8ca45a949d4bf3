//! A consistent snapshot of one tenant, in a read transaction of its own.

use super::shared_state::SharedState;
use super::{item_pages, user_pages};
use directory::{BoxFuture, EventPosition, SnapshotPage, StoreError, TenantNumber, TenantSnapshot};
use rusqlite::Connection;
use std::sync::Arc;
use store::sql;
use store::tenant_snapshot::{PageQuery, SnapshotCursor};

pub(super) struct SqliteTenantSnapshot {
    /// In a transaction. `None` after an error.
    db: Option<SnapshotConnection>,
    tenant: TenantNumber,
    position: EventPosition,
    cursor: SnapshotCursor,
}

struct SnapshotConnection {
    db: Connection,
    // Dropped after the connection: see `lock::StoreFiles`.
    _shared: Arc<SharedState>,
}

impl SqliteTenantSnapshot {
    pub(super) fn begin(db: Connection, shared: &Arc<SharedState>, tenant: TenantNumber) -> rusqlite::Result<Self> {
        db.execute_batch(sql::BEGIN_SNAPSHOT.sqlite)?;
        // A deferred transaction takes its snapshot at its first read.
        let position: i64 = db.query_row(sql::LAST_POSITION.sqlite, [], |row| row.get(0))?;
        let position = EventPosition(position.unsigned_abs());
        let db = Some(SnapshotConnection { db, _shared: Arc::clone(shared) });
        Ok(Self { db, tenant, position, cursor: SnapshotCursor::default() })
    }
}

impl TenantSnapshot for SqliteTenantSnapshot {
    fn position(&self) -> EventPosition {
        self.position
    }

    fn next_page(&mut self) -> BoxFuture<'_, Result<Option<SnapshotPage>, StoreError>> {
        Box::pin(async move {
            let Some(query) = self.cursor.next_query() else { return Ok(None) };
            let ended = || StoreError::Unavailable("the snapshot has ended".into());
            let (db, tenant, mut cursor) = (self.db.take().ok_or_else(ended)?, self.tenant, self.cursor.clone());
            #[expect(clippy::disallowed_methods, reason = "one page at a time")]
            let task = tokio::task::spawn_blocking(move || {
                let page = match &query {
                    PageQuery::Items(query) => cursor.advance_items(item_pages::items(&db.db, tenant, query)?.rows),
                    PageQuery::Users(query) => cursor.advance_users(user_pages::users(&db.db, tenant, query)?.rows),
                };
                Ok::<_, rusqlite::Error>((db, cursor, page))
            });
            let read = task.await.map_err(|error| StoreError::Internal(error.to_string()))?;
            let (db, cursor, page) = read.map_err(|error| StoreError::Unavailable(error.to_string()))?;
            (self.db, self.cursor) = (Some(db), cursor);
            Ok(Some(page))
        })
    }
}
