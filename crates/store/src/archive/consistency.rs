//! Checks that the entries of a stream fit together: no duplicates, no references to missing entries. A restore
//! would fail on them. They come from a store that was not dumped as one snapshot.

use super::{ArchiveError, Entry};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The ids so far, by tenant.
#[derive(Default)]
pub struct ConsistencyChecker(HashMap<u32, TenantIds>);

#[derive(Default)]
struct TenantIds {
    items: HashSet<[u8; 16]>,
    users: HashSet<[u8; 16]>,
    /// Ascending.
    numbers: Vec<u32>,
}

#[derive(Deserialize)]
struct UserDocument {
    id: Uuid,
    number: u32,
    #[serde(rename = "organisation")]
    organization: Option<Uuid>,
}

#[derive(Deserialize)]
struct ItemDocument {
    id: Uuid,
}

impl ConsistencyChecker {
    /// Fails if the entry is a duplicate or refers to a missing one.
    pub fn check(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let damaged = |text: String| Err(ArchiveError::Corrupt(text));
        match entry {
            Entry::Item { tenant, doc } => {
                let item: ItemDocument = serde_json::from_str(doc)?;
                if !self.0.entry(*tenant).or_default().items.insert(*item.id.as_bytes()) {
                    return damaged(format!("tenant {tenant}: item {} appears twice", item.id));
                }
            }
            Entry::User { tenant, doc, .. } => {
                let UserDocument { id, number, organization } = serde_json::from_str(doc)?;
                let ids = self.0.entry(*tenant).or_default();
                if ids.numbers.last().is_some_and(|last| *last >= number) || !ids.users.insert(*id.as_bytes()) {
                    return damaged(format!("tenant {tenant}: user {number} appears twice"));
                }
                ids.numbers.push(number);
                if let Some(item) = organization.filter(|item| !ids.items.contains(item.as_bytes())) {
                    return damaged(format!(
                        "tenant {tenant}: user {number} belongs to organization {item}, which is missing"
                    ));
                }
            }
            Entry::Members { tenant, item, numbers } => {
                let ids = self.0.entry(*tenant).or_default();
                let item_id = Uuid::from_bytes(*item);
                if !ids.items.contains(item) {
                    return damaged(format!("tenant {tenant}: item {item_id} has members, but is missing"));
                }
                if let Some(number) = numbers.iter().find(|number| ids.numbers.binary_search(number).is_err()) {
                    return damaged(format!("tenant {tenant}: user {number} is a member of {item_id}, but is missing"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
