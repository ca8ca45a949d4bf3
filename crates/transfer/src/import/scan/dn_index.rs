//! The users and groups that distinguished names in a file refer to.

use crate::column::{ColumnCell, ColumnKind, RecordKind};
use crate::dn::{self, Dn};
use crate::import::scan::keys::key_hash;
use directory::{ItemKind, identifier_key};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The target of a distinguished name.
#[derive(Debug)]
enum DnTarget {
    /// A user with their login; `None` if an earlier entry has the same login, so that this one is rejected.
    User(Option<String>),
    /// A group with its name, and its distinguished name as written.
    Group(String, String),
    Other,
}

#[derive(Debug, Default)]
pub(crate) struct DnIndex {
    by_dn: HashMap<String, DnTarget>,
    /// Hashes of the logins of users with distinguished names.
    login_hashes: HashSet<u64>,
    /// The hashed distinguished name of each group by name; `None` for names of several groups.
    group_dns: HashMap<String, Option<u64>>,
}

impl DnIndex {
    /// Adds an entry. `name` is the login of a user, or the name of an item.
    pub(crate) fn add(&mut self, dn: &str, kind: RecordKind, name: String) {
        let Some(parsed) = Dn::parse(dn) else { return };
        let entry = match kind {
            RecordKind::User => {
                let is_first = self.login_hashes.insert(key_hash(kind, "login", &identifier_key(&name)));
                DnTarget::User(is_first.then_some(name))
            }
            RecordKind::Item(ItemKind::Group) => {
                self.add_group_name(&parsed, &name);
                DnTarget::Group(name, dn.to_owned())
            }
            RecordKind::Item(_) => DnTarget::Other,
        };
        self.by_dn.insert(parsed.normalized(), entry);
    }

    /// Adds the groups that a row of a user refers to.
    pub(crate) fn add_referenced_groups(&mut self, value: &Value) {
        let texts = match value {
            Value::Array(list) => list.iter().filter_map(Value::as_str).collect(),
            Value::String(text) => dn::split_dns(text),
            _ => Vec::new(),
        };
        for text in texts.into_iter().filter(|text| is_dn(text)) {
            if let Some(dn) = Dn::parse(text) {
                self.add_group_name(&dn, dn.first_rdn_value());
            }
        }
    }

    fn add_group_name(&mut self, dn: &Dn, name: &str) {
        let dn = key_hash(RecordKind::Item(ItemKind::Group), "dn", &dn.normalized());
        let group_dn = self.group_dns.entry(identifier_key(name)).or_insert(Some(dn));
        if *group_dn != Some(dn) {
            *group_dn = None;
        }
    }

    /// The number of names that several groups share. These groups are named by their distinguished names instead.
    pub(crate) fn ambiguous_group_names(&self) -> u64 {
        self.group_dns.values().filter(|dn| dn.is_none()).count() as u64
    }

    fn is_ambiguous(&self, name: &str) -> bool {
        self.group_dns.get(&identifier_key(name)).is_some_and(Option::is_none)
    }

    /// The name of the group that a row of a user refers to.
    pub(crate) fn group_name(&self, text: &str) -> String {
        let Some(dn) = Dn::parse(text).filter(|_| is_dn(text)) else { return text.to_owned() };
        match self.by_dn.get(&dn.normalized()) {
            Some(DnTarget::Group(name, dn)) => if self.is_ambiguous(name) { dn } else { name }.clone(),
            _ if self.is_ambiguous(dn.first_rdn_value()) => text.to_owned(),
            _ => dn.first_rdn_value().to_owned(),
        }
    }

    /// Replaces the name of a group by its distinguished name if several groups share the name.
    pub(crate) fn disambiguate_group(&self, cells: &mut [ColumnCell<'_>]) {
        let dn = cells.iter().find(|(column, _)| column.kind == ColumnKind::Dn);
        let dn = dn.and_then(|(_, value)| value.as_str()).and_then(Dn::parse);
        let Some(DnTarget::Group(name, dn)) = dn.and_then(|dn| self.by_dn.get(&dn.normalized())) else {
            return;
        };
        if self.is_ambiguous(name)
            && let Some((_, value)) = cells.iter_mut().find(|(column, _)| column.kind == ColumnKind::Name)
        {
            *value = Cow::Owned(Value::from(dn.as_str()));
        }
    }

    /// The login of the user that a distinguished name refers to. If it is not in the file, its innermost value,
    /// unless a user with another distinguished name has it. `is_in_file` looks up the logins of the file.
    pub(crate) fn user_login(&self, text: &str, is_in_file: impl Fn(&str) -> bool) -> Option<String> {
        let dn = Dn::parse(text)?;
        match self.by_dn.get(&dn.normalized()) {
            Some(DnTarget::User(name)) => name.clone(),
            Some(_) => None,
            None => {
                let is_another = !self.login_hashes.is_empty() && is_in_file(dn.first_rdn_value());
                (!is_another).then(|| dn.first_rdn_value().to_owned())
            }
        }
    }

    /// The name of the user or group of an entry in the file.
    pub(crate) fn name_in_file(&self, text: &str) -> Option<&str> {
        match self.by_dn.get(&Dn::parse(text)?.normalized())? {
            DnTarget::User(name) => name.as_deref(),
            DnTarget::Group(name, dn) => Some(if self.is_ambiguous(name) { dn } else { name }),
            DnTarget::Other => None,
        }
    }
}

/// Whether a text is a distinguished name of at least two RDNs. A single one could be any text with an equals sign.
pub(crate) fn is_dn(text: &str) -> bool {
    text.contains('=') && text.contains([',', ';']) && Dn::parse(text).is_some()
}
