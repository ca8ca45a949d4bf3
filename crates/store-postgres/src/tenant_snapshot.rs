//! A consistent snapshot of one tenant, in a read transaction on a connection of its own.

use super::managed_connection::{Connector, Session};
use super::pg_error::PgError;
use super::read::LONG_READ_TIMEOUT;
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
            let Some(query) = self.cursor.next_query() else { return Ok(None) };
            let (session, tenant) = (&*self.session, self.tenant);
            let page = async {
                Ok::<_, PgError>(match query {
                    PageQuery::Items(query) => {
                        let found = item_pages::items(session, tenant, query).await?;
                        self.cursor.advance_items(found.rows)
                    }
                    PageQuery::Users(query) => {
                        let found = user_pages::users(session, tenant, query).await?;
                        self.cursor.advance_users(found.rows)
                    }
                })
            };
            let no_answer = |_| StoreError::Unavailable("the database does not answer".into());
            Ok(Some(tokio::time::timeout(LONG_READ_TIMEOUT, page).await.map_err(no_answer)??))
        })
    }
}
