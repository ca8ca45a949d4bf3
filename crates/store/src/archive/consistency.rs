//! Whether the entries of a stream fit together: a restore would fail on a reference to nothing, or on what is there twice.
//! A store that gave no single view of everything, on whatever engine, is found out here.

use super::{ArchiveError, Entry};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What went by so far, by tenant.
#[derive(Default)]
pub struct ConsistencyChecker(HashMap<u32, TenantIds>);

#[derive(Default)]
struct TenantIds {
    items: HashSet<[u8; 16]>,
    users: HashSet<[u8; 16]>,
    /// Ascending.
    numbers: Vec<u32>,
}

/// What is looked at of a user.
#[derive(Deserialize)]
struct UserDocument {
    id: Uuid,
    number: u32,
    #[serde(rename = "organisation")]
    organization: Option<Uuid>,
}

/// What is looked at of an item.
#[derive(Deserialize)]
struct ItemDocument {
    id: Uuid,
}

impl ConsistencyChecker {
    /// Looks at the next entry.
    pub fn check(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let damaged = |text: String| Err(ArchiveError::Corrupt(text));
        match entry {
            Entry::Item { tenant, doc } => {
                let item: ItemDocument = serde_json::from_str(doc)?;
                if !self.0.entry(*tenant).or_default().items.insert(*item.id.as_bytes()) {
                    return damaged(format!("tenant {tenant}: item {} is there twice", item.id));
                }
            }
            Entry::User { tenant, doc, .. } => {
                let UserDocument { id, number, organization: organisation } = serde_json::from_str(doc)?;
                let ids = self.0.entry(*tenant).or_default();
                if ids.numbers.last().is_some_and(|last| *last >= number) || !ids.users.insert(*id.as_bytes()) {
                    return damaged(format!("tenant {tenant}: user {number} is there twice"));
                }
                ids.numbers.push(number);
                if let Some(item) = organisation.filter(|item| !ids.items.contains(item.as_bytes())) {
                    return damaged(format!(
                        "tenant {tenant}: user {number} is in organisation {item}, which is missing"
                    ));
                }
            }
            Entry::Members { tenant, item, numbers } => {
                let ids = self.0.entry(*tenant).or_default();
                let item_id = Uuid::from_bytes(*item);
                if !ids.items.contains(item) {
                    return damaged(format!("tenant {tenant}: {item_id} has members and is missing"));
                }
                if let Some(number) = numbers.iter().find(|number| ids.numbers.binary_search(number).is_err()) {
                    return damaged(format!("tenant {tenant}: user {number} is a member of {item_id} and is missing"));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
