//! A view of one tenant in a read transaction of its own.

use super::{item_pages, user_pages};
use directory::{BoxFuture, EventPosition, SnapshotPage, StoreError, TenantNumber, TenantSnapshot};
use rusqlite::Connection;
use store::sql;
use store::tenant_snapshot::{PageQuery, SnapshotCursor};

pub(super) struct SqliteTenantSnapshot {
    /// In a transaction. `None` after an error.
    db: Option<Connection>,
    tenant: TenantNumber,
    position: EventPosition,
    cursor: SnapshotCursor,
}

impl SqliteTenantSnapshot {
    pub(super) fn begin(db: Connection, tenant: TenantNumber) -> rusqlite::Result<Self> {
        db.execute_batch(sql::BEGIN_SNAPSHOT.sqlite)?;
        // The first read begins the view.
        let position: i64 = db.query_row(sql::LAST_POSITION.sqlite, [], |row| row.get(0))?;
        let position = EventPosition(position.unsigned_abs());
        Ok(Self { db: Some(db), tenant, position, cursor: SnapshotCursor::default() })
    }
}

impl TenantSnapshot for SqliteTenantSnapshot {
    fn position(&self) -> EventPosition {
        self.position
    }

    fn next_page(&mut self) -> BoxFuture<'_, Result<Option<SnapshotPage>, StoreError>> {
        Box::pin(async move {
            let Some(query) = self.cursor.query() else { return Ok(None) };
            let ended = || StoreError::Unavailable("the snapshot has ended".into());
            let (db, tenant, mut cursor) = (self.db.take().ok_or_else(ended)?, self.tenant, self.cursor.clone());
            #[expect(clippy::disallowed_methods, reason = "one page at a time")]
            let task = tokio::task::spawn_blocking(move || {
                let page = match &query {
                    PageQuery::Items(query) => cursor.items(item_pages::items(&db, tenant, query)?.rows),
                    PageQuery::Users(query) => cursor.users(user_pages::users(&db, tenant, query)?.rows),
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
