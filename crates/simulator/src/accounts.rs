//! The accounts of a simulated system.

use crate::faults::{Faults, Rng};
use serde_json::{Map, Value};
use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

pub(crate) type Fields = Map<String, Value>;

#[derive(Debug)]
pub(crate) struct Account {
    pub(crate) id: String,
    pub(crate) fields: Fields,
    changed: Instant,
}

/// Accounts in the order of their creation.
#[derive(Debug)]
pub(crate) struct Accounts {
    by_number: BTreeMap<u64, Account>,
    numbers: HashMap<String, u64>,
    /// Numbers of the accounts with a value of a key, by the name of the key and the value in lower case.
    by_key: HashMap<(&'static str, String), Vec<u64>>,
    keys: &'static [Key],
    last: u64,
    visible_after: Duration,
}

/// A value by which accounts are found.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    pub(crate) name: &'static str,
    /// Reads it from the fields.
    pub(crate) value: fn(&Fields) -> Option<&str>,
    /// Whether a second account with it is rejected.
    pub(crate) is_unique: bool,
}

impl Accounts {
    pub(crate) fn new(keys: &'static [Key], faults: &Faults) -> Self {
        Self {
            by_number: BTreeMap::new(),
            numbers: HashMap::new(),
            by_key: HashMap::new(),
            keys,
            last: 0,
            visible_after: Duration::from_millis(faults.visible_after_ms),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.by_number.len()
    }

    pub(crate) fn get(&self, id: &str) -> Option<&Account> {
        self.by_number.get(self.numbers.get(id)?)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Account> {
        self.by_number.values()
    }

    /// Accounts that searches show.
    pub(crate) fn visible(&self) -> impl Iterator<Item = &Account> {
        let now = Instant::now();
        self.all().filter(move |account| now.duration_since(account.changed) >= self.visible_after)
    }

    pub(crate) fn with_key(&self, key: &str, value: &str) -> Vec<&Account> {
        let found = self.keys.iter().find(|known| known.name == key);
        let numbers = found.and_then(|key| self.by_key.get(&(key.name, value.to_lowercase())));
        let now = Instant::now();
        let accounts = numbers.into_iter().flatten().filter_map(|number| self.by_number.get(number));
        accounts.filter(|account| now.duration_since(account.changed) >= self.visible_after).collect()
    }

    /// The name of a unique key of these fields that another account has.
    pub(crate) fn taken(&self, fields: &Fields, own: Option<&str>) -> Option<&'static str> {
        let own = own.and_then(|id| self.numbers.get(id));
        self.keys.iter().filter(|key| key.is_unique).find_map(|key| {
            let value = (key.value)(fields)?.to_lowercase();
            let others = self.by_key.get(&(key.name, value))?;
            others.iter().any(|number| Some(number) != own).then_some(key.name)
        })
    }

    pub(crate) fn add(&mut self, id: String, fields: Fields) {
        self.last += 1;
        self.numbers.insert(id.clone(), self.last);
        self.by_number.insert(self.last, Account { id, fields: Fields::new(), changed: Instant::now() });
        self.set(self.last, fields);
    }

    /// Replaces the fields of an account.
    pub(crate) fn replace(&mut self, id: &str, fields: Fields) {
        if let Some(number) = self.numbers.get(id).copied() {
            self.set(number, fields);
        }
    }

    fn set(&mut self, number: u64, fields: Fields) {
        let keys = self.keys;
        let Some(account) = self.by_number.get_mut(&number) else { return };
        let old = std::mem::replace(&mut account.fields, fields);
        for key in keys {
            if let Some(value) = (key.value)(&old)
                && let Some(numbers) = self.by_key.get_mut(&(key.name, value.to_lowercase()))
            {
                numbers.retain(|other| *other != number);
            }
            if let Some(value) = (key.value)(&account.fields) {
                self.by_key.entry((key.name, value.to_lowercase())).or_default().push(number);
            }
        }
    }

    pub(crate) fn remove(&mut self, id: &str) -> bool {
        let Some(number) = self.numbers.remove(id) else { return false };
        self.set(number, Fields::new());
        self.by_number.remove(&number);
        true
    }

    /// The id of another account than this one.
    pub(crate) fn other_id(&self, id: &str, rng: &mut Rng) -> Option<String> {
        let others = u64::try_from(self.by_number.len()).ok()?.checked_sub(1).filter(|count| *count > 0)?;
        let skip = usize::try_from(rng.next() % others).ok()?;
        self.all().filter(|account| account.id != id).nth(skip).map(|account| account.id.clone())
    }
}
