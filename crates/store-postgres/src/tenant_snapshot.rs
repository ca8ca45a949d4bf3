//! A view of one tenant in a read transaction on a connection of its own.

use super::managed_connection::{Connector, Session};
use super::pg_error::PgError;
use super::{item_pages, user_pages};
use directory::{BoxFuture, EventPosition, SnapshotPage, StoreError, TenantNumber, TenantSnapshot};
use std::sync::Arc;
use store::sql;
use store::tenant_snapshot::{PageQuery, SnapshotCursor};

pub(super) struct PostgresTenantSnapshot {
    /// Closed on drop, which ends the transaction.
    session: Arc<Session>,
    tenant: TenantNumber,
    position: EventPosition,
    cursor: SnapshotCursor,
}

impl PostgresTenantSnapshot {
    pub(super) async fn begin(connector: &Arc<Connector>, tenant: TenantNumber) -> Result<Self, PgError> {
        let session = connector.open().await?;
        session.batch_execute(sql::BEGIN_SNAPSHOT.postgres).await?;
        let row = session.query_opt(sql::LAST_POSITION.postgres, &[]).await?;
        let position: i64 = row.map(|row| row.try_get(0)).transpose()?.unwrap_or(0);
        let position = EventPosition(position.unsigned_abs());
        Ok(Self { session, tenant, position, cursor: SnapshotCursor::default() })
    }
}

impl TenantSnapshot for PostgresTenantSnapshot {
    fn position(&self) -> EventPosition {
        self.position
    }

    fn next_page(&mut self) -> BoxFuture<'_, Result<Option<SnapshotPage>, StoreError>> {
        Box::pin(async move {
            let Some(query) = self.cursor.query() else { return Ok(None) };
            let (session, tenant) = (&*self.session, self.tenant);
            Ok(Some(match query {
                PageQuery::Items(query) => {
                    self.cursor.items(item_pages::items(session, tenant, query).await.map_err(StoreError::from)?.rows)
                }
                PageQuery::Users(query) => {
                    self.cursor.users(user_pages::users(session, tenant, query).await.map_err(StoreError::from)?.rows)
                }
            }))
        })
    }
}
