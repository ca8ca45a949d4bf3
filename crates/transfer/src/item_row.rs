//! Conversion between rows and groups, folders, organizations, roles and departments.

use crate::cell_value::{self, InvalidValue};
use crate::column::{ClientNumber, Column, ColumnCell, ColumnKind, RecordKind};
use crate::reference_resolver::ItemNames;
use crate::user_row::InvalidCell;
use directory::{
    Command, Field, FieldUpdate, FolderEdit, FolderEntry, GroupEdit, Item, ItemId, ItemKey, ItemKind, OrganizationEdit,
    OrganizationStatus, builtin_role_name, builtin_role_number,
};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(crate) struct ItemRow {
    pub(crate) id: Option<ItemId>,
    pub(crate) number: Option<u32>,
    pub(crate) name: Option<String>,
    pub(crate) external_id: FieldUpdate<String>,
    pub(crate) description: FieldUpdate<String>,
    pub(crate) is_restricted: FieldUpdate<bool>,
    /// The group as named in the row.
    pub(crate) restricted_to: FieldUpdate<String>,
    pub(crate) folder_entries: FieldUpdate<Vec<FolderEntry>>,
    pub(crate) organization: OrganizationEdit,
    pub(crate) rank: Option<u32>,
    /// The members as named in the row.
    pub(crate) members: Vec<String>,
}

pub(crate) fn parse(cells: &[ColumnCell<'_>]) -> Result<ItemRow, Vec<InvalidCell>> {
    let mut row = ItemRow::default();
    let mut errors = Vec::new();
    for (column, value) in cells {
        if let Err(wrong) = apply_cell(&mut row, column, value) {
            errors.push((*column, wrong));
        }
    }
    if errors.is_empty() { Ok(row) } else { Err(errors) }
}

fn apply_cell(row: &mut ItemRow, column: &Column, cell: &Value) -> Result<(), InvalidValue> {
    let organization = &mut row.organization;
    match column.kind {
        ColumnKind::Id => {
            if let FieldUpdate::Set(text) = cell_value::text(cell)? {
                let id = uuid::Uuid::try_parse(text.trim()).map_err(|_| InvalidValue("is not a valid UUID".into()))?;
                row.id = Some(ItemId(id));
            }
        }
        ColumnKind::Number => row.number = cell_value::number(cell)?.value().copied(),
        ColumnKind::Name => row.name = cell_value::text(cell)?.value().cloned(),
        ColumnKind::Text(Field::ExternalId) => row.external_id = cell_value::text(cell)?,
        ColumnKind::Text(Field::Description) => row.description = cell_value::text(cell)?,
        ColumnKind::Text(Field::Photo) => organization.photo = cell_value::text(cell)?,
        ColumnKind::Text(Field::Url) => organization.url = cell_value::text(cell)?,
        ColumnKind::IsRestricted => row.is_restricted = cell_value::boolean(cell)?,
        ColumnKind::RestrictedTo => row.restricted_to = cell_value::text(cell)?,
        ColumnKind::FolderEntries => {
            let pairs = cell_value::pairs(cell)?;
            let entry = |pair: directory::MetadataEntry| FolderEntry { key: pair.key, kind: pair.value };
            row.folder_entries = FieldUpdate::Set(pairs.into_iter().map(entry).collect());
        }
        ColumnKind::Domains => organization.domains = FieldUpdate::Set(cell_value::text_list(cell)?),
        ColumnKind::Offices => organization.office_numbers = FieldUpdate::Set(cell_value::number_list(cell)?),
        ColumnKind::KeyContacts => {
            organization.key_contacts = FieldUpdate::Set(cell_value::number_list(cell)?);
        }
        ColumnKind::AutoLogin => organization.auto_login = cell_value::boolean(cell)?,
        ColumnKind::ClientNumber(page) => *client_number_mut(organization, page) = cell_value::number(cell)?,
        ColumnKind::Status => organization.status = parse_status(&cell_value::text(cell)?)?,
        ColumnKind::Rank => {
            if let FieldUpdate::Set(text) = cell_value::text(cell)? {
                let rank = builtin_role_number(&text)
                    .or_else(|| text.parse().ok().filter(|rank| builtin_role_name(*rank).is_some()));
                row.rank = Some(rank.ok_or(InvalidValue("is not a built-in role".into()))?);
            }
        }
        ColumnKind::Members => row.members = cell_value::text_list(cell)?,
        _ => {}
    }
    Ok(())
}

fn client_number_mut(organization: &mut OrganizationEdit, page: ClientNumber) -> &mut FieldUpdate<u32> {
    match page {
        ClientNumber::Homepage => &mut organization.homepage,
        ClientNumber::Guid => &mut organization.guid,
        ClientNumber::Industry => &mut organization.industry,
        ClientNumber::Category => &mut organization.category,
    }
}

const STATUSES: [(OrganizationStatus, &str); 4] = [
    (OrganizationStatus::Active, "active"),
    (OrganizationStatus::Disabled, "disabled"),
    (OrganizationStatus::Suspended, "suspended"),
    (OrganizationStatus::Archived, "archived"),
];

fn parse_status(update: &FieldUpdate<String>) -> Result<Option<OrganizationStatus>, InvalidValue> {
    let FieldUpdate::Set(text) = update else { return Ok(None) };
    let text = text.trim().to_lowercase();
    let found = STATUSES.iter().find(|(_, word)| *word == text).map(|(status, _)| *status);
    found.map(Some).ok_or(InvalidValue("must be active, disabled, suspended or archived".into()))
}

impl ItemRow {
    /// Keys that may identify the item, most reliable first.
    pub(crate) fn lookup_keys(&self, kind: ItemKind) -> Vec<ItemKey> {
        let id = self.id.map(ItemKey::Id);
        let external = self.external_id.value().cloned().map(ItemKey::ExternalId);
        // Groups and folders may share a name, so the name identifies only those without an id and external id.
        let may_match_by_name =
            id.is_none() && external.is_none() || !matches!(kind, ItemKind::Group | ItemKind::Folder);
        let name = self.name.clone().filter(|_| may_match_by_name).map(ItemKey::Name);
        id.into_iter().chain(external).chain(name).collect()
    }

    /// `restricted_to` is the resolved group of a folder.
    pub(crate) fn create_command(&self, kind: ItemKind, restricted_to: FieldUpdate<ItemId>) -> Command {
        let name = self.name.clone().map_or(FieldUpdate::Keep, FieldUpdate::Set);
        match kind {
            ItemKind::Group => Command::CreateGroup(GroupEdit { id: self.id, ..self.group_edit(name) }),
            ItemKind::Folder => {
                Command::CreateFolder(FolderEdit { id: self.id, ..self.folder_edit(name, restricted_to) })
            }
            ItemKind::Organization => Command::CreateOrganization(OrganizationEdit {
                id: self.id,
                number: self.number,
                name,
                ..self.organization.clone()
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

    /// `None` for roles and departments, which cannot be updated.
    pub(crate) fn update_command(&self, item: &Item, restricted_to: FieldUpdate<ItemId>) -> Option<Command> {
        let name = self.name.clone().map_or(FieldUpdate::Keep, FieldUpdate::Set);
        let key = ItemKey::Id(item.id());
        match item.kind() {
            ItemKind::Group => Some(Command::UpdateGroup { group: key, edit: self.group_edit(name) }),
            ItemKind::Folder => {
                Some(Command::UpdateFolder { folder: key, edit: self.folder_edit(name, restricted_to) })
            }
            ItemKind::Organization => Some(Command::UpdateOrganizations {
                organizations: vec![key],
                edit: OrganizationEdit { name, ..self.organization.clone() },
            }),
            ItemKind::Role | ItemKind::Department => None,
        }
    }

    fn group_edit(&self, name: FieldUpdate<String>) -> GroupEdit {
        GroupEdit { name, external_id: self.external_id.clone(), ..GroupEdit::default() }
    }

    fn folder_edit(&self, name: FieldUpdate<String>, restricted_to: FieldUpdate<ItemId>) -> FolderEdit {
        FolderEdit {
            id: None,
            name,
            external_id: self.external_id.clone(),
            description: self.description.clone(),
            is_restricted: self.is_restricted.clone(),
            restricted_to,
            entries: self.folder_entries.clone(),
        }
    }
}

/// The cell of a column, if the item has a value for it.
pub(crate) fn cell(item: &Item, column: &Column, names: &ItemNames) -> Option<Value> {
    if !column.applies_to(RecordKind::Item(item.kind())) {
        return None;
    }
    Some(match (column.kind, item) {
        (ColumnKind::RecordKind, item) => json!(item.kind().as_str()),
        (ColumnKind::Id, item) => json!(item.id().to_string()),
        (ColumnKind::Number, item) => json!(item.number().to_string()),
        (ColumnKind::Name, item) => json!(item.name()),
        (ColumnKind::Text(Field::ExternalId), item) => json!(item.external_id()?),
        (ColumnKind::Text(Field::Description), Item::Folder(folder)) => json!(folder.description.as_deref()?),
        (ColumnKind::IsRestricted, Item::Folder(folder)) => json!(folder.is_restricted),
        (ColumnKind::RestrictedTo, Item::Folder(folder)) => json!(names.name(folder.restricted_to?)?),
        (ColumnKind::FolderEntries, Item::Folder(folder)) => {
            let entry = |entry: &FolderEntry| json!({"key": entry.key, "value": entry.kind});
            non_empty_array(folder.entries.iter().map(entry))?
        }
        (ColumnKind::Status, Item::Organization(organization)) => {
            json!(STATUSES.iter().find(|(status, _)| *status == organization.status)?.1)
        }
        (ColumnKind::Domains, Item::Organization(organization)) => {
            non_empty_array(organization.domains.iter().map(|one| json!(one)))?
        }
        (ColumnKind::Offices, Item::Organization(organization)) => number_array(&organization.office_numbers)?,
        (ColumnKind::KeyContacts, Item::Organization(organization)) => number_array(&organization.key_contacts)?,
        (ColumnKind::Text(Field::Url), Item::Organization(organization)) => {
            json!(organization.url.as_deref()?)
        }
        (ColumnKind::Text(Field::Photo), Item::Organization(organization)) => {
            json!(organization.photo.as_deref()?)
        }
        (ColumnKind::AutoLogin, Item::Organization(organization)) => json!(organization.auto_login),
        (ColumnKind::ClientNumber(page), Item::Organization(organization)) => {
            let number = match page {
                ClientNumber::Homepage => organization.homepage,
                ClientNumber::Guid => organization.guid,
                ClientNumber::Industry => organization.industry,
                ClientNumber::Category => organization.category,
            };
            json!(number?.to_string())
        }
        (ColumnKind::Rank, Item::Role(role)) => json!(builtin_role_name(role.rank)?),
        _ => return None,
    })
}

fn number_array(numbers: &[u32]) -> Option<Value> {
    non_empty_array(numbers.iter().map(|number| json!(number.to_string())))
}

fn non_empty_array(all: impl Iterator<Item = Value>) -> Option<Value> {
    let all: Vec<Value> = all.collect();
    (!all.is_empty()).then_some(Value::Array(all))
}
