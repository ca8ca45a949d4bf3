//! Conversion between rows and users. Both directions are in one module, since one reads what the other writes.

use crate::account_state::{self, AccountState};
use crate::cell_value::{self, InvalidValue};
use crate::column::{COLUMNS, Column, ColumnCell, ColumnKind, RecordKind};
use crate::foreign_hashes;
use crate::reference_resolver::ItemNames;
use directory::{
    Address, DepartmentRef, DirectoryError, ExposeSecret, Field, FieldUpdate, ItemKind, MetadataEntry, OrganizationRef,
    PasswordHash, ProfileLinkKind, RequestedStatus, RoleRef, Slot, Status, Time, TypedValue, User, UserEdit, UserId,
    identifier_key,
};
use serde_json::{Value, json};

#[derive(Debug, Default)]
pub(crate) struct UserRow {
    pub(crate) edit: Box<UserEdit>,
    /// The keys that may identify the user.
    pub(crate) id: Option<UserId>,
    pub(crate) external_id: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) user_name: Option<String>,
    /// Groups and folders as named in the row; `None` if the row does not mention them.
    pub(crate) groups: Option<Vec<String>>,
    pub(crate) folders: Option<Vec<String>>,
    /// The manager as named in the row.
    pub(crate) manager: Option<String>,
    /// Whether `active` was cleared: the user is imported with the status, then the status is cleared.
    pub(crate) clears_active: bool,
    /// The most restrictive state in the row.
    state: Option<AccountState>,
    /// The whole name, if it is in one column.
    full_name: Option<String>,
    /// Whether the row had a password hash that cannot be verified here, such as those of LDAP directories.
    pub(crate) password_dropped: bool,
    /// Whether the hash has a known form, but may still be one that cannot be verified here.
    pub(crate) password_is_droppable: bool,
}

impl UserRow {
    /// Whether the user is deleted in the file.
    pub(crate) fn is_deleted(&self) -> bool {
        self.state == Some(AccountState::Deleted)
    }

    fn set_password_hash(&mut self, text: &str) {
        self.edit.password_hash = foreign_hashes::parse_hash(text);
        self.password_dropped = self.edit.password_hash.is_none();
        self.password_is_droppable = text.starts_with(['$', '{']);
    }

    /// Removes the password if it is the only reason for a rejection.
    pub(crate) fn drop_rejected_password(&mut self, error: &DirectoryError) -> bool {
        let is_password = |fault: &directory::FieldError| fault.field == Field::Password;
        let is_droppable = self.password_is_droppable
            && matches!(error, DirectoryError::Invalid(errors) if errors.iter().all(is_password));
        if is_droppable {
            (self.edit.password, self.edit.password_hash) = (None, None);
            self.password_dropped = true;
        }
        is_droppable
    }

    /// Stores the manager as text, without a lookup.
    pub(crate) fn set_manager_verbatim(&mut self) {
        if let Some(manager) = self.manager.take() {
            self.edit.set_text(Field::Manager, FieldUpdate::Set(manager));
        }
    }

    /// Applies a state unless an equally or more restrictive one was applied.
    fn apply_state(&mut self, state: AccountState, status: RequestedStatus) {
        if self.state.is_none_or(|known| known < state) {
            self.state = Some(state);
            self.edit.status = FieldUpdate::Set(status);
            self.clears_active = false;
        }
    }

    /// Splits a full name: at a comma, as in `Lee, Ann`; else the last word is the family name.
    fn split_name(&mut self, name: String) {
        let has = |field| self.edit.texts.iter().any(|(of, _)| *of == field);
        if !has(Field::GivenName) && !has(Field::FamilyName) {
            let (given, family) = match name.split_once(',') {
                Some((family, given)) => (given.trim(), family.trim()),
                None => name.trim().rsplit_once(char::is_whitespace).unwrap_or((name.trim(), "")),
            };
            let parts = [(Field::GivenName, given.trim().to_owned()), (Field::FamilyName, family.to_owned())];
            for (field, part) in parts.into_iter().filter(|(_, part)| !part.is_empty()) {
                self.edit.set_text(field, FieldUpdate::Set(part));
            }
        }
        self.edit.set_text(Field::FormattedName, FieldUpdate::Set(name));
    }

    pub(crate) fn organization_name(&self) -> Option<&String> {
        self.edit.organization.value()?.name.as_ref()
    }

    pub(crate) fn department_name(&self) -> Option<&String> {
        match self.edit.department.value()? {
            DepartmentRef::Name(name) => Some(name),
            _ => None,
        }
    }
}

pub(crate) type InvalidCell = (&'static Column, InvalidValue);

pub(crate) fn parse(cells: &[ColumnCell<'_>], now: Time) -> Result<UserRow, Vec<InvalidCell>> {
    let mut row = UserRow::default();
    let mut errors = Vec::new();
    for (column, value) in cells {
        if is_redundant(column, value, cells) {
            continue;
        }
        let result = match column.kind {
            ColumnKind::AccountState(rule) => account_state::parse(rule, value, now).map(|state| {
                if let Some((state, status)) = state {
                    row.apply_state(state, status);
                }
            }),
            _ => apply_cell(&mut row, column, value),
        };
        if let Err(InvalidValue(what)) = result {
            errors.push((*column, InvalidValue(what)));
        }
    }
    if let Some(name) = row.full_name.take() {
        row.split_name(name);
    }
    merge_role_into_roles(&mut row.edit);
    if errors.is_empty() { Ok(row) } else { Err(errors) }
}

/// Whether a list is empty because plain columns beside it hold all values, as in exports.
fn is_redundant(column: &Column, cell: &Value, cells: &[ColumnCell<'_>]) -> bool {
    let list = match column.kind {
        ColumnKind::MultiValued(field) => field,
        ColumnKind::PostalAddresses => Field::PostalAddresses,
        _ => return false,
    };
    let is_empty = match cell {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    let is_part = |field: Field| field.attribute().is_some_and(|attribute| attribute.part_of == Some(list));
    let is_plain = |(column, _): &ColumnCell<'_>| matches!(column.kind, ColumnKind::Text(field) if is_part(field));
    is_empty && cells.iter().any(is_plain)
}

#[expect(clippy::too_many_lines, reason = "one arm per column, to be compared with the export")]
fn apply_cell(row: &mut UserRow, column: &Column, cell: &Value) -> Result<(), InvalidValue> {
    let edit = &mut row.edit;
    match column.kind {
        ColumnKind::Id => {
            if let FieldUpdate::Set(text) = cell_value::text(cell)? {
                let id = uuid::Uuid::try_parse(text.trim()).map_err(|_| InvalidValue("is not a valid UUID".into()))?;
                row.id = Some(UserId(id));
            }
        }
        ColumnKind::Text(field) => {
            let update = match field {
                Field::Email | Field::UserName => cell_value::identifier(cell)?,
                _ => cell_value::text(cell)?,
            };
            let text = update.value().cloned();
            match field {
                Field::ExternalId => row.external_id = text,
                Field::Email => row.email = text,
                Field::UserName => row.user_name = text,
                // Managers are looked up later.
                Field::Manager if text.is_some() => {
                    row.manager = text;
                    return Ok(());
                }
                _ => {}
            }
            // A user name cannot be cleared; it follows the email.
            if !(field == Field::UserName && update.value().is_none()) {
                edit.set_text(field, update);
            }
        }
        ColumnKind::MultiValued(field) => {
            let Some(Slot::MultiValued(slot)) = field.attribute().map(|attribute| attribute.slot) else {
                return Ok(());
            };
            let entries = cell_value::multi_valued(cell, slot.default_type, slot.has_primary)?;
            if field == Field::Emails {
                let preferred = entries.iter().find(|entry| entry.is_primary());
                let work = || entries.iter().find(|entry| entry.has_kind("work"));
                row.email = preferred.or_else(work).or(entries.first()).map(|entry| entry.value.clone());
            }
            edit.multi_valued.push((field, FieldUpdate::Set(entries)));
        }
        ColumnKind::Roles => {
            edit.multi_valued.push((Field::Roles, FieldUpdate::Set(cell_value::multi_valued(cell, "", false)?)));
        }
        ColumnKind::Links(kind) => edit.links.push((kind, FieldUpdate::Set(cell_value::links(cell, kind)?))),
        ColumnKind::PostalAddresses => edit.addresses = FieldUpdate::Set(cell_value::addresses(cell)?),
        ColumnKind::Metadata => edit.metadata = FieldUpdate::Set(cell_value::pairs(cell)?),
        ColumnKind::Department => {
            edit.department = match (cell, cell_value::text(cell)?) {
                (Value::Number(number), _) => {
                    let number = number.as_u64().and_then(|number| u8::try_from(number).ok());
                    FieldUpdate::Set(DepartmentRef::Number(
                        number.ok_or(InvalidValue("must be a department number from 0 to 255".into()))?,
                    ))
                }
                (_, FieldUpdate::Set(name)) => FieldUpdate::Set(DepartmentRef::Name(name)),
                (_, FieldUpdate::Clear | FieldUpdate::Keep) => FieldUpdate::Clear,
            }
        }
        ColumnKind::Organization => {
            edit.organization = match cell_value::text(cell)? {
                FieldUpdate::Set(name) => {
                    FieldUpdate::Set(OrganizationRef { name: Some(name), ..OrganizationRef::default() })
                }
                FieldUpdate::Clear | FieldUpdate::Keep => FieldUpdate::Clear,
            };
        }
        ColumnKind::Office => edit.office = cell_value::number(cell)?,
        ColumnKind::Role => edit.role = parse_role(cell_value::text(cell)?),
        ColumnKind::Memberships(ItemKind::Folder) => row.folders = Some(cell_value::text_list(cell)?),
        ColumnKind::Memberships(_) => row.groups = Some(cell_value::text_list(cell)?),
        ColumnKind::Status => apply_status(row, &cell_value::text(cell)?)?,
        ColumnKind::Name => row.full_name = cell_value::text(cell)?.value().cloned(),
        ColumnKind::Boolean(field) => edit.set_boolean(field, cell_value::boolean(cell)?),
        ColumnKind::Password => {
            if let FieldUpdate::Set(text) = cell_value::text(cell)? {
                // A stored hash, taken as a password, would be a password that every reader of the file knows.
                if foreign_hashes::is_ldap_hash(&text) {
                    row.set_password_hash(&text);
                } else {
                    edit.password = Some(text.into());
                }
            }
        }
        ColumnKind::PasswordHash => {
            if let FieldUpdate::Set(text) = cell_value::text(cell)? {
                row.set_password_hash(&text);
            }
        }
        ColumnKind::LdapPassword => {
            if let FieldUpdate::Set(text) = cell_value::text(cell)? {
                match foreign_hashes::cleartext(&text) {
                    Some(clear) => {
                        edit.password = Some(clear.to_owned().into());
                        row.password_is_droppable = true;
                    }
                    None => row.set_password_hash(&text),
                }
            }
        }
        // The value of `password` is a hash.
        ColumnKind::PasswordHashFunction => {
            if let (FieldUpdate::Set(_), Some(hash)) = (cell_value::text(cell)?, edit.password.take()) {
                row.set_password_hash(hash.expose_secret());
            }
        }
        _ => {}
    }
    Ok(())
}

fn parse_role(update: FieldUpdate<String>) -> FieldUpdate<RoleRef> {
    match update {
        FieldUpdate::Set(text) => FieldUpdate::Set(text.trim().parse().map_or(RoleRef::Name(text), RoleRef::Number)),
        FieldUpdate::Clear => FieldUpdate::Clear,
        FieldUpdate::Keep => FieldUpdate::Keep,
    }
}

/// Marks a status whose `active` was cleared.
const ACTIVE_CLEARED: &str = "unsaid";

fn apply_status(row: &mut UserRow, update: &FieldUpdate<String>) -> Result<(), InvalidValue> {
    let FieldUpdate::Set(text) = update else { return Ok(()) };
    let text = text.trim().to_lowercase();
    let (word, clears_active) =
        text.strip_suffix(ACTIVE_CLEARED).map_or((text.as_str(), false), |word| (word.trim_end(), true));
    let Some(state) = AccountState::from_word(word) else {
        if clears_active && word.is_empty() {
            row.edit.status = FieldUpdate::Clear;
            return Ok(());
        }
        return Err(InvalidValue("must be invited, active, suspended, inactive or archived".into()));
    };
    row.apply_state(state, state.status().map_or(RequestedStatus::Inactive, RequestedStatus::Exact));
    row.clears_active = clears_active;
    Ok(())
}

/// Merges a role into the list of roles. The core keeps of the list what goes beyond the role.
fn merge_role_into_roles(edit: &mut UserEdit) {
    let Some((_, FieldUpdate::Set(entries))) = edit.multi_valued.iter_mut().find(|(field, _)| *field == Field::Roles)
    else {
        return;
    };
    let FieldUpdate::Set(RoleRef::Name(name)) = &edit.role else { return };
    if !entries.iter().any(|entry| identifier_key(&entry.value) == identifier_key(name)) {
        let has_primary = entries.iter().any(TypedValue::is_primary);
        let primary = (!has_primary).then_some(true);
        entries.insert(0, TypedValue { value: name.clone(), primary, ..TypedValue::default() });
    }
    edit.role = FieldUpdate::Keep;
}

pub(crate) struct UserCells<'a> {
    pub(crate) user: &'a User,
    pub(crate) names: &'a ItemNames,
    pub(crate) password: Option<&'a PasswordHash>,
}

impl UserCells<'_> {
    /// The cell of a column, if the user has a value for it.
    pub(crate) fn cell(&self, column: &Column) -> Option<Value> {
        let (user, names) = (self.user, self.names);
        Some(match column.kind {
            ColumnKind::RecordKind => json!(RecordKind::User.as_str()),
            ColumnKind::Id => json!(user.id.to_string()),
            ColumnKind::Number => json!(user.number),
            ColumnKind::Text(field) => json!(user.text(field)?),
            ColumnKind::MultiValued(field) => multi_valued(user, field)?,
            ColumnKind::Links(kind) => links(user, kind)?,
            ColumnKind::PostalAddresses => addresses(user)?,
            ColumnKind::Metadata => pairs(&user.metadata)?,
            ColumnKind::Department => json!(user.department.as_deref()?),
            // Explicitly none: otherwise the import would assign an organization by the domain of the email.
            ColumnKind::Organization => user.organization.map_or(Value::Null, |id| json!(names.name_or_id(id))),
            ColumnKind::Office => json!(user.office?.to_string()),
            ColumnKind::Role => json!(names.role_name(user.role?)),
            ColumnKind::Roles => non_empty_array(user.other_roles.iter().map(entry_json))?,
            ColumnKind::Memberships(kind) => {
                let ids = if kind == ItemKind::Folder { &user.folders } else { &user.groups };
                non_empty_array(ids.iter().map(|id| json!(names.name_or_id(*id))))?
            }
            ColumnKind::Status if user.active_cleared && user.status == Status::Inactive => {
                json!(ACTIVE_CLEARED)
            }
            ColumnKind::Status if user.active_cleared => {
                json!(format!("{} {ACTIVE_CLEARED}", user.status.as_str()))
            }
            ColumnKind::Status => json!(user.status.as_str()),
            ColumnKind::Boolean(field) => json!(user.boolean(field)?),
            ColumnKind::PasswordHash => json!(self.password?.0.expose_secret()),
            ColumnKind::Timestamp(field) => json!(format_timestamp(user.timestamp(field)?)),
            _ => return None,
        })
    }
}

fn format_timestamp(time: Time) -> String {
    jiff::Timestamp::from_microsecond(time.0).map_or_else(|_| String::new(), |moment| moment.to_string())
}

fn non_empty_array(all: impl Iterator<Item = Value>) -> Option<Value> {
    let all: Vec<Value> = all.collect();
    (!all.is_empty()).then_some(Value::Array(all))
}

fn entry_json(entry: &TypedValue) -> Value {
    serde_json::to_value(entry).unwrap_or_default()
}

/// All values of a multi-valued attribute, unless the plain columns hold the same.
fn multi_valued(user: &User, field: Field) -> Option<Value> {
    let Slot::MultiValued(slot) = field.attribute()?.slot else { return None };
    let all = (slot.read)(user);
    let plain: Vec<TypedValue> = match field {
        Field::Emails => user.email().map(|email| TypedValue::new("work", email).with_primary()).into_iter().collect(),
        Field::Photos => {
            let photo = user.text(Field::Photo).map(|photo| TypedValue::new("photo", photo).with_primary());
            photo.into_iter().collect()
        }
        Field::Phones => {
            let phone = |field, kind| user.text(field).map(|number| TypedValue::new(kind, number));
            let phones = [phone(Field::WorkPhone, "work"), phone(Field::MobilePhone, "mobile")];
            phones.into_iter().flatten().collect()
        }
        _ => Vec::new(),
    };
    if all == plain { None } else { non_empty_array(all.iter().map(entry_json)) }
}

fn links(user: &User, kind: ProfileLinkKind) -> Option<Value> {
    non_empty_array(user.links_of(kind).map(|link| {
        let mut value = json!({"name": link.name, "value": link.value});
        if let Some(display) = &link.display {
            value["display"] = json!(display);
        }
        if let Some(primary) = link.primary {
            value["primary"] = json!(primary);
        }
        value
    }))
}

fn addresses(user: &User) -> Option<Value> {
    if let [only] = user.addresses.as_slice() {
        let Address { line1, line2, city, region, postal_code, country, formatted: _, kind: _, primary: _ } = only;
        let lines = [line1, line2, city, region, postal_code, country];
        let is_plain = only.kind.as_deref() == Some("work") && only.formatted.is_none() && only.primary.is_none();
        // An empty line would not be imported from a cell.
        if is_plain && lines.iter().any(|line| line.is_some()) && !lines.iter().any(|line| line.as_deref() == Some(""))
        {
            return None;
        }
    }
    non_empty_array(user.addresses.iter().map(|address| serde_json::to_value(address).unwrap_or_default()))
}

fn pairs(metadata: &[MetadataEntry]) -> Option<Value> {
    non_empty_array(metadata.iter().map(|pair| json!({"key": pair.key, "value": pair.value})))
}

/// The columns in which two states of a user differ.
pub(crate) fn changed_columns(before: &User, after: &User, names: &ItemNames) -> Vec<&'static str> {
    let cells = |user| UserCells { user, names, password: None };
    let (before, after) = (cells(before), cells(after));
    let differs = |column: &&Column| {
        column.applies_to(RecordKind::User)
            && column.is_exported_by_default()
            && before.cell(column) != after.cell(column)
    };
    COLUMNS.iter().filter(differs).map(|column| column.name).collect()
}
