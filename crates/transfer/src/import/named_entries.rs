//! Entries that are named by distinguished names: who or what a name in a reference is.

use super::keys::hash;
use crate::column::Cell;
use crate::column::{Kind, What};
use crate::dn::{self, Dn};
use directory::{ItemKind, identifier_key};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// What a distinguished name stands for.
#[derive(Debug)]
enum Entry {
    /// A user, and what they sign in with; none if an earlier entry signs in with it, so that this one is rejected.
    User(Option<String>),
    /// A group: its name, and its distinguished name as it is written.
    Group(String, String),
    Other,
}

/// Entries by their distinguished names.
#[derive(Debug, Default)]
pub(super) struct Entries {
    by_dn: HashMap<String, Entry>,
    /// Hashes of what users with distinguished names sign in with.
    users: HashSet<u64>,
    /// The distinguished name of each group as a hash, by name; none for a name of several.
    groups: HashMap<String, Option<u64>>,
}

impl Entries {
    /// Adds an entry of the file. `name` is what a user signs in with, or the name of an item.
    pub(super) fn add(&mut self, dn: &str, kind: Kind, name: String) {
        let Some(parsed) = Dn::parse(dn) else { return };
        let entry = match kind {
            Kind::User => {
                let is_first = self.users.insert(hash(kind, "handle", &identifier_key(&name)));
                Entry::User(is_first.then_some(name))
            }
            Kind::Item(ItemKind::Group) => {
                self.note_group(&parsed, &name);
                Entry::Group(name, dn.to_owned())
            }
            Kind::Item(_) => Entry::Other,
        };
        self.by_dn.insert(parsed.key(), entry);
    }

    /// Learns the groups that a user's row names.
    pub(super) fn note_groups(&mut self, value: &Value) {
        let texts = match value {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            Value::String(text) => dn::split(text),
            _ => Vec::new(),
        };
        for text in texts.into_iter().filter(|text| is_distinguished(text)) {
            if let Some(dn) = Dn::parse(text) {
                self.note_group(&dn, dn.name());
            }
        }
    }

    fn note_group(&mut self, dn: &Dn, name: &str) {
        let dn = hash(Kind::Item(ItemKind::Group), "dn", &dn.key());
        let known = self.groups.entry(identifier_key(name)).or_insert(Some(dn));
        if *known != Some(dn) {
            *known = None;
        }
    }

    /// Names of groups that several have. Each of them is called by its distinguished name instead.
    pub(super) fn shared_names(&self) -> u64 {
        self.groups.values().filter(|dn| dn.is_none()).count() as u64
    }

    fn is_shared(&self, name: &str) -> bool {
        self.groups.get(&identifier_key(name)).is_some_and(Option::is_none)
    }

    /// What a group that a user names is called.
    pub(super) fn group(&self, text: &str) -> String {
        let Some(dn) = Dn::parse(text).filter(|_| is_distinguished(text)) else { return text.to_owned() };
        match self.by_dn.get(&dn.key()) {
            Some(Entry::Group(name, dn)) => if self.is_shared(name) { dn } else { name }.clone(),
            _ if self.is_shared(dn.name()) => text.to_owned(),
            _ => dn.name().to_owned(),
        }
    }

    /// Calls the group of a row by its distinguished name if others have its name.
    pub(super) fn name_group(&self, cells: &mut [Cell<'_>]) {
        let dn = cells.iter().find(|(column, _)| column.what == What::Dn);
        let dn = dn.and_then(|(_, value)| value.as_str()).and_then(Dn::parse);
        let Some(Entry::Group(name, dn)) = dn.and_then(|dn| self.by_dn.get(&dn.key())) else { return };
        if self.is_shared(name)
            && let Some((_, value)) = cells.iter_mut().find(|(column, _)| column.what == What::Name)
        {
            *value = Cow::Owned(Value::from(dn.as_str()));
        }
    }

    /// What the user of a distinguished name is looked up by. Outside the file it is the innermost part, which must not be that of
    /// a user who has another distinguished name; `is_in_file` says whether a user of the file has it.
    pub(super) fn user(&self, text: &str, is_in_file: impl Fn(&str) -> bool) -> Option<String> {
        let dn = Dn::parse(text)?;
        match self.by_dn.get(&dn.key()) {
            Some(Entry::User(name)) => name.clone(),
            Some(_) => None,
            None => {
                let is_another = !self.users.is_empty() && is_in_file(dn.name());
                (!is_another).then(|| dn.name().to_owned())
            }
        }
    }

    /// The name of a user or group whose entry is in the file.
    pub(super) fn in_file(&self, text: &str) -> Option<&str> {
        match self.by_dn.get(&Dn::parse(text)?.key())? {
            Entry::User(name) => name.as_deref(),
            Entry::Group(name, dn) => Some(if self.is_shared(name) { dn } else { name }),
            Entry::Other => None,
        }
    }
}

/// Whether a text is a distinguished name of two parts at least: one part may be anything with an equals sign.
pub(super) fn is_distinguished(text: &str) -> bool {
    text.contains('=') && text.contains([',', ';']) && Dn::parse(text).is_some()
}
