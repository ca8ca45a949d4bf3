//! Whether the entries of a stream fit together: a restore would fail on a reference to nothing, or on what is there twice.
//! A store that gave no single view of everything, on whatever engine, is found out here.

use super::{ArchiveError, Entry};
use serde::Deserialize;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// What went by so far, by tenant.
#[derive(Default)]
pub struct Consistency(HashMap<u32, Seen>);

#[derive(Default)]
struct Seen {
    items: HashSet<[u8; 16]>,
    users: HashSet<[u8; 16]>,
    /// Ascending.
    numbers: Vec<u32>,
}

/// What is looked at of a user.
#[derive(Deserialize)]
struct Identity {
    id: Uuid,
    number: u32,
    organisation: Option<Uuid>,
}

/// What is looked at of an item.
#[derive(Deserialize)]
struct Named {
    id: Uuid,
}

impl Consistency {
    /// Looks at the next entry.
    pub fn note(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let damaged = |text: String| Err(ArchiveError::Damaged(text));
        match entry {
            Entry::Item { tenant, doc } => {
                let item: Named = serde_json::from_str(doc)?;
                if !self.0.entry(*tenant).or_default().items.insert(*item.id.as_bytes()) {
                    return damaged(format!("tenant {tenant}: item {} is there twice", item.id));
                }
            }
            Entry::Person { tenant, doc, .. } => {
                let Identity { id, number, organisation } = serde_json::from_str(doc)?;
                let seen = self.0.entry(*tenant).or_default();
                if seen.numbers.last().is_some_and(|last| *last >= number)
                    || !seen.users.insert(*id.as_bytes())
                {
                    return damaged(format!("tenant {tenant}: user {number} is there twice"));
                }
                seen.numbers.push(number);
                if let Some(item) = organisation.filter(|item| !seen.items.contains(item.as_bytes())) {
                    return damaged(format!(
                        "tenant {tenant}: user {number} is in organisation {item}, which is missing"
                    ));
                }
            }
            Entry::Members { tenant, item, numbers } => {
                let seen = self.0.entry(*tenant).or_default();
                let name = Uuid::from_bytes(*item);
                if !seen.items.contains(item) {
                    return damaged(format!("tenant {tenant}: {name} has members and is missing"));
                }
                if let Some(number) =
                    numbers.iter().find(|number| seen.numbers.binary_search(number).is_err())
                {
                    return damaged(format!(
                        "tenant {tenant}: user {number} is a member of {name} and is missing"
                    ));
                }
            }
            _ => {}
        }
        Ok(())
    }
}
