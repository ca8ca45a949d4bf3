//! Wakes the workers of a target in this process.

use directory::TenantNumber;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, watch};

#[derive(Default)]
pub(crate) struct Signals(Mutex<HashMap<(TenantNumber, u32), Arc<Notify>>>);

impl Signals {
    pub(crate) fn of(&self, tenant: TenantNumber, target: u32) -> Arc<Notify> {
        Arc::clone(self.0.lock().entry((tenant, target)).or_default())
    }

    pub(crate) fn wake(&self, tenant: TenantNumber, target: u32) {
        if let Some(signal) = self.0.lock().get(&(tenant, target)) {
            signal.notify_one();
        }
    }
}

/// Ends when the task is to stop.
pub(crate) async fn stopped(stop: &mut watch::Receiver<bool>) {
    // Without a sender, nobody waits for the task.
    drop(stop.wait_for(|is_over| *is_over).await);
}
