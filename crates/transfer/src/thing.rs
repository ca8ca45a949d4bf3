//! Groups, folders, organisations, roles and departments as cells, and cells as what shall become of them.

use crate::column::{Column, Kind, Page, What};
use crate::import::Cell;
use crate::person::CellFault;
use crate::refer::Names;
use crate::value::{self, Wrong};
use directory::{
    Command, Field, FieldUpdate, FolderEdit, FolderEntry, GroupEdit, Item, ItemId, ItemKey, ItemKind,
    OrganizationEdit, OrganizationStatus, builtin_role_name, builtin_role_number,
};
use serde_json::{Value, json};

/// What a row says of an item.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) id: Option<ItemId>,
    pub(crate) number: Option<u32>,
    pub(crate) name: Option<String>,
    pub(crate) external_id: FieldUpdate<String>,
    pub(crate) description: FieldUpdate<String>,
    pub(crate) is_restricted: FieldUpdate<bool>,
    /// The group, as the row calls it.
    pub(crate) restricted_to: FieldUpdate<String>,
    pub(crate) entries: FieldUpdate<Vec<FolderEntry>>,
    pub(crate) organisation: OrganizationEdit,
    pub(crate) rank: Option<u32>,
    /// Who is to belong to it, as the row calls them.
    pub(crate) members: Vec<String>,
}

/// Reads a row about an item.
pub(crate) fn read(cells: &[Cell<'_>]) -> Result<Said, Vec<CellFault>> {
    let mut said = Said::default();
    let mut faults = Vec::new();
    for (column, value) in cells {
        if let Err(wrong) = take(&mut said, column, value) {
            faults.push((*column, wrong));
        }
    }
    if faults.is_empty() { Ok(said) } else { Err(faults) }
}

fn take(said: &mut Said, column: &Column, cell: &Value) -> Result<(), Wrong> {
    let organisation = &mut said.organisation;
    match column.what {
        What::Id => {
            if let FieldUpdate::Set(text) = value::text(cell)? {
                let id = uuid::Uuid::try_parse(text.trim()).map_err(|_| Wrong("is no UUID".into()))?;
                said.id = Some(ItemId(id));
            }
        }
        What::Number => said.number = value::number(cell)?.value().copied(),
        What::Name => said.name = value::text(cell)?.value().cloned(),
        What::Text(Field::ExternalId) => said.external_id = value::text(cell)?,
        What::Text(Field::Description) => said.description = value::text(cell)?,
        What::Text(Field::Photo) => organisation.photo = value::text(cell)?,
        What::Text(Field::Url) => organisation.url = value::text(cell)?,
        What::IsRestricted => said.is_restricted = value::flag(cell)?,
        What::RestrictedTo => said.restricted_to = value::text(cell)?,
        What::Entries4Folder => {
            let pairs = value::pairs(cell)?;
            let entry = |pair: directory::MetadataEntry| FolderEntry { key: pair.key, kind: pair.value };
            said.entries = FieldUpdate::Set(pairs.into_iter().map(entry).collect());
        }
        What::Domains => organisation.domains = FieldUpdate::Set(value::texts(cell)?),
        What::Offices => organisation.office_numbers = FieldUpdate::Set(value::numbers(cell)?),
        What::KeyContacts => organisation.key_contacts = FieldUpdate::Set(value::numbers(cell)?),
        What::AutoLogin => organisation.auto_login = value::flag(cell)?,
        What::Page(page) => *place(organisation, page) = value::number(cell)?,
        What::Status => organisation.status = status(&value::text(cell)?)?,
        What::Rank => {
            if let FieldUpdate::Set(text) = value::text(cell)? {
                let rank = builtin_role_number(&text)
                    .or_else(|| text.parse().ok().filter(|rank| builtin_role_name(*rank).is_some()));
                said.rank = Some(rank.ok_or(Wrong("is no built-in role".into()))?);
            }
        }
        What::Members => said.members = value::texts(cell)?,
        _ => {}
    }
    Ok(())
}

fn place(organisation: &mut OrganizationEdit, page: Page) -> &mut FieldUpdate<u32> {
    match page {
        Page::Homepage => &mut organisation.homepage,
        Page::Guid => &mut organisation.guid,
        Page::Industry => &mut organisation.industry,
        Page::Category => &mut organisation.category,
    }
}

const STATUSES: [(OrganizationStatus, &str); 4] = [
    (OrganizationStatus::Active, "active"),
    (OrganizationStatus::Disabled, "disabled"),
    (OrganizationStatus::Suspended, "suspended"),
    (OrganizationStatus::Archived, "archived"),
];

fn status(given: &FieldUpdate<String>) -> Result<Option<OrganizationStatus>, Wrong> {
    let FieldUpdate::Set(text) = given else { return Ok(None) };
    let text = text.trim().to_lowercase();
    let found = STATUSES.iter().find(|(_, word)| *word == text).map(|(status, _)| *status);
    found.map(Some).ok_or(Wrong("is none of active, disabled, suspended and archived".into()))
}

impl Said {
    /// What it may be known by, the surest first.
    pub(crate) fn keys(&self, kind: ItemKind) -> Vec<ItemKey> {
        let id = self.id.map(ItemKey::Id);
        let external = self.external_id.value().cloned().map(ItemKey::ExternalId);
        // Groups and folders may share a name, so one that has an id or a key of its own is known by these alone.
        let is_named =
            id.is_none() && external.is_none() || !matches!(kind, ItemKind::Group | ItemKind::Folder);
        let name = self.name.clone().filter(|_| is_named).map(ItemKey::Name);
        id.into_iter().chain(external).chain(name).collect()
    }

    /// Makes it. What restricts a folder was found before.
    pub(crate) fn create(&self, kind: ItemKind, restricted_to: FieldUpdate<ItemId>) -> Command {
        let name = self.name.clone().map_or(FieldUpdate::Keep, FieldUpdate::Set);
        match kind {
            ItemKind::Group => Command::CreateGroup(GroupEdit { id: self.id, ..self.group(name) }),
            ItemKind::Folder => {
                Command::CreateFolder(FolderEdit { id: self.id, ..self.folder(name, restricted_to) })
            }
            ItemKind::Organization => Command::CreateOrganization(OrganizationEdit {
                id: self.id,
                number: self.number,
                name,
                ..self.organisation.clone()
            }),
            ItemKind::Role => {
                Command::AddRole { name: self.name.clone().unwrap_or_default(), rank: self.rank.unwrap_or(2) }
            }
            ItemKind::Department => Command::AddDepartment {
                name: self.name.clone().unwrap_or_default(),
                number: self.number.and_then(|number| u8::try_from(number).ok()),
            },
        }
    }

    /// Changes one that is there; nothing can be changed of roles and departments.
    pub(crate) fn update(&self, item: &Item, restricted_to: FieldUpdate<ItemId>) -> Option<Command> {
        let name = self.name.clone().map_or(FieldUpdate::Keep, FieldUpdate::Set);
        let key = ItemKey::Id(item.id());
        match item.kind() {
            ItemKind::Group => Some(Command::UpdateGroup { group: key, edit: self.group(name) }),
            ItemKind::Folder => {
                Some(Command::UpdateFolder { folder: key, edit: self.folder(name, restricted_to) })
            }
            ItemKind::Organization => Some(Command::UpdateOrganizations {
                organizations: vec![key],
                edit: OrganizationEdit { name, ..self.organisation.clone() },
            }),
            ItemKind::Role | ItemKind::Department => None,
        }
    }

    fn group(&self, name: FieldUpdate<String>) -> GroupEdit {
        GroupEdit { name, external_id: self.external_id.clone(), ..GroupEdit::default() }
    }

    fn folder(&self, name: FieldUpdate<String>, restricted_to: FieldUpdate<ItemId>) -> FolderEdit {
        FolderEdit {
            id: None,
            name,
            external_id: self.external_id.clone(),
            description: self.description.clone(),
            is_restricted: self.is_restricted.clone(),
            restricted_to,
            entries: self.entries.clone(),
        }
    }
}

/// The cell of a column for an item; nothing, where there is nothing to say.
pub(crate) fn cell(item: &Item, column: &Column, names: &Names) -> Option<Value> {
    if !column.is_of(Kind::Item(item.kind())) {
        return None;
    }
    Some(match (column.what, item) {
        (What::Kind, item) => json!(item.kind().as_str()),
        (What::Id, item) => json!(item.id().to_string()),
        (What::Number, item) => json!(item.number().to_string()),
        (What::Name, item) => json!(item.name()),
        (What::Text(Field::ExternalId), item) => json!(item.external_id()?),
        (What::Text(Field::Description), Item::Folder(folder)) => json!(folder.description.as_deref()?),
        (What::IsRestricted, Item::Folder(folder)) => json!(folder.is_restricted),
        (What::RestrictedTo, Item::Folder(folder)) => json!(names.known(folder.restricted_to?)?),
        (What::Entries4Folder, Item::Folder(folder)) => {
            let entry = |entry: &FolderEntry| json!({"key": entry.key, "value": entry.kind});
            list(folder.entries.iter().map(entry))?
        }
        (What::Status, Item::Organization(organisation)) => {
            json!(STATUSES.iter().find(|(status, _)| *status == organisation.status)?.1)
        }
        (What::Domains, Item::Organization(organisation)) => {
            list(organisation.domains.iter().map(|one| json!(one)))?
        }
        (What::Offices, Item::Organization(organisation)) => numbers(&organisation.office_numbers)?,
        (What::KeyContacts, Item::Organization(organisation)) => numbers(&organisation.key_contacts)?,
        (What::Text(Field::Url), Item::Organization(organisation)) => json!(organisation.url.as_deref()?),
        (What::Text(Field::Photo), Item::Organization(organisation)) => json!(organisation.photo.as_deref()?),
        (What::AutoLogin, Item::Organization(organisation)) => json!(organisation.auto_login),
        (What::Page(page), Item::Organization(organisation)) => {
            let number = match page {
                Page::Homepage => organisation.homepage,
                Page::Guid => organisation.guid,
                Page::Industry => organisation.industry,
                Page::Category => organisation.category,
            };
            json!(number?.to_string())
        }
        (What::Rank, Item::Role(role)) => json!(builtin_role_name(role.rank)?),
        _ => return None,
    })
}

fn numbers(numbers: &[u32]) -> Option<Value> {
    list(numbers.iter().map(|number| json!(number.to_string())))
}

fn list(all: impl Iterator<Item = Value>) -> Option<Value> {
    let all: Vec<Value> = all.collect();
    (!all.is_empty()).then_some(Value::Array(all))
}
