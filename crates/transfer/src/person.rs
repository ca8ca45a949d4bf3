//! People as cells, and cells as what shall become of a person. Both directions stand side by side here, since what one
//! writes the other reads.

use crate::account_state::{self, State};
use crate::column::{COLUMNS, Column, Kind, What};
use crate::import::Cell;
use crate::refer::Names;
use crate::stored_password;
use crate::value::{self, Wrong};
use directory::{
    Address, DepartmentRef, DirectoryError, ExposeSecret, Field, FieldUpdate, MetadataEntry, OrganizationRef,
    PasswordHash, ProfileLinkKind, RequestedStatus, RoleRef, Status, Time, TypedValue, User, UserEdit,
    UserId, identifier_key,
};
use serde_json::{Value, json};

/// What a row says of a person.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) edit: Box<UserEdit>,
    /// What they may be known by.
    pub(crate) id: Option<UserId>,
    pub(crate) external_id: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) user_name: Option<String>,
    /// Groups and folders as the row calls them; nothing, where it does not speak of them.
    pub(crate) groups: Option<Vec<String>>,
    pub(crate) folders: Option<Vec<String>>,
    /// The manager as the row calls them.
    pub(crate) manager: Option<String>,
    /// The status, where it is one that somebody must have before it can be taken away.
    pub(crate) unsaid_after: bool,
    /// The most restrictive statement about the account.
    state: Option<State>,
    /// The whole name, where it is in one column.
    name: Option<String>,
    /// There was a stored password that cannot be verified here, as directories have them.
    pub(crate) lost_password: bool,
    /// The stored password is of a known form, but may still be one that cannot be verified here.
    pub(crate) may_lose_password: bool,
}

impl Said {
    /// Whether the file says that the user is deleted.
    pub(crate) fn is_deleted(&self) -> bool {
        self.state == Some(State::Deleted)
    }

    fn take_hash(&mut self, text: &str) {
        self.edit.password_hash = stored_password::stored(text);
        self.lost_password = self.edit.password_hash.is_none();
        self.may_lose_password = text.starts_with(['$', '{']);
    }

    /// Leaves the stored password out if it is why the row is rejected.
    pub(crate) fn loses_password(&mut self, refusal: &DirectoryError) -> bool {
        let is_it = |fault: &directory::FieldError| fault.field == Field::Password;
        let loses = self.may_lose_password
            && matches!(refusal, DirectoryError::Invalid(faults) if faults.iter().all(is_it));
        if loses {
            (self.edit.password, self.edit.password_hash) = (None, None);
            self.lost_password = true;
        }
        loses
    }

    /// Takes the manager as a text that is not looked up.
    pub(crate) fn keep_manager(&mut self) {
        if let Some(manager) = self.manager.take() {
            self.edit.set_text(Field::Manager, FieldUpdate::Set(manager));
        }
    }

    /// Takes a statement about the account unless one that is as restrictive was taken.
    fn restrict(&mut self, state: State, status: RequestedStatus) {
        if self.state.is_none_or(|known| known < state) {
            self.state = Some(state);
            self.edit.status = FieldUpdate::Set(status);
            self.unsaid_after = false;
        }
    }

    /// Takes a name in one column apart: at a comma, as `Lee, Ann`; else the last word is the family name.
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

    /// The organisation it names.
    pub(crate) fn organisation(&self) -> Option<&String> {
        self.edit.organization.value()?.name.as_ref()
    }

    /// The department it names.
    pub(crate) fn department(&self) -> Option<&String> {
        match self.edit.department.value()? {
            DepartmentRef::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// What is wrong with a cell: the column, and what.
pub(crate) type CellFault = (&'static Column, Wrong);

/// Reads a row about a person.
pub(crate) fn read(cells: &[Cell<'_>], now: Time) -> Result<Said, Vec<CellFault>> {
    let mut said = Said::default();
    let mut faults = Vec::new();
    for (column, value) in cells {
        if says_nothing(column, value, cells) {
            continue;
        }
        let taken = match column.what {
            What::State(rule) => account_state::read(rule, value, now).map(|state| {
                if let Some((state, status)) = state {
                    said.restrict(state, status);
                }
            }),
            _ => take(&mut said, column, value),
        };
        if let Err(Wrong(what)) = taken {
            faults.push((*column, Wrong(what)));
        }
    }
    if let Some(name) = said.name.take() {
        said.split_name(name);
    }
    whole_roles(&mut said.edit);
    if faults.is_empty() { Ok(said) } else { Err(faults) }
}

/// Whether a list is empty because plain columns beside it say all there is, which is how people are written.
fn says_nothing(column: &Column, cell: &Value, cells: &[Cell<'_>]) -> bool {
    let plain: &[Field] = match column.what {
        What::Entries(Field::Emails) => &[Field::Email],
        What::Entries(Field::Phones) => &[Field::WorkPhone, Field::MobilePhone],
        What::Entries(Field::Photos) => &[Field::Photo],
        What::PostalAddresses => &[
            Field::AddressLine1,
            Field::AddressLine2,
            Field::City,
            Field::Region,
            Field::PostalCode,
            Field::Country,
        ],
        _ => return false,
    };
    let is_empty = match cell {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        _ => false,
    };
    let is_plain = |(column, _): &Cell<'_>| matches!(column.what, What::Text(of) if plain.contains(&of));
    is_empty && cells.iter().any(is_plain)
}

#[expect(clippy::too_many_lines, reason = "one arm a column, to be compared with what is written")]
fn take(said: &mut Said, column: &Column, cell: &Value) -> Result<(), Wrong> {
    let edit = &mut said.edit;
    match column.what {
        What::Id => {
            if let FieldUpdate::Set(text) = value::text(cell)? {
                let id = uuid::Uuid::try_parse(text.trim()).map_err(|_| Wrong("is no UUID".into()))?;
                said.id = Some(UserId(id));
            }
        }
        What::Text(field) => {
            let given = match field {
                Field::Email | Field::UserName => value::identifier(cell)?,
                _ => value::text(cell)?,
            };
            let text = given.value().cloned();
            match field {
                Field::ExternalId => said.external_id = text,
                Field::Email => said.email = text,
                Field::UserName => said.user_name = text,
                // Who that is, is found first.
                Field::Manager if text.is_some() => {
                    said.manager = text;
                    return Ok(());
                }
                _ => {}
            }
            // A user name is never taken away; it follows the email.
            if !(field == Field::UserName && given.value().is_none()) {
                edit.set_text(field, given);
            }
        }
        What::Entries(field) => {
            let (kind, has_preferred) = usual(field);
            let entries = value::entries(cell, kind, has_preferred)?;
            if field == Field::Emails {
                let preferred = entries.iter().find(|entry| entry.is_primary());
                let work = || entries.iter().find(|entry| entry.has_kind("work"));
                said.email = preferred.or_else(work).or(entries.first()).map(|entry| entry.value.clone());
            }
            edit.multi_valued.push((field, FieldUpdate::Set(entries)));
        }
        What::Roles => {
            edit.multi_valued.push((Field::Roles, FieldUpdate::Set(value::entries(cell, "", false)?)))
        }
        What::Links(kind) => edit.links.push((kind, FieldUpdate::Set(value::links(cell, kind)?))),
        What::PostalAddresses => edit.addresses = FieldUpdate::Set(value::addresses(cell)?),
        What::Metadata => edit.metadata = FieldUpdate::Set(value::pairs(cell)?),
        What::Department => {
            edit.department = match (cell, value::text(cell)?) {
                (Value::Number(number), _) => {
                    let number = number.as_u64().and_then(|number| u8::try_from(number).ok());
                    FieldUpdate::Set(DepartmentRef::Number(
                        number.ok_or(Wrong("is no number of a department".into()))?,
                    ))
                }
                (_, FieldUpdate::Set(name)) => FieldUpdate::Set(DepartmentRef::Name(name)),
                (_, FieldUpdate::Clear | FieldUpdate::Keep) => FieldUpdate::Clear,
            }
        }
        What::Organisation => {
            edit.organization = match value::text(cell)? {
                FieldUpdate::Set(name) => {
                    FieldUpdate::Set(OrganizationRef { name: Some(name), ..OrganizationRef::default() })
                }
                FieldUpdate::Clear | FieldUpdate::Keep => FieldUpdate::Clear,
            };
        }
        What::Office => edit.office = value::number(cell)?,
        What::Role => edit.role = role(value::text(cell)?),
        What::Groups => said.groups = Some(value::texts(cell)?),
        What::Folders => said.folders = Some(value::texts(cell)?),
        What::Status => status(said, &value::text(cell)?)?,
        What::Name => said.name = value::text(cell)?.value().cloned(),
        What::DoNotEmail => edit.do_not_email = value::flag(cell)?,
        What::ForcePasswordChange => edit.force_password_change = value::flag(cell)?,
        What::Password => {
            if let FieldUpdate::Set(text) = value::text(cell)? {
                // Taken as a password, a stored hash would be one that every reader of the file knows.
                if stored_password::is_ldap_hash(&text) {
                    said.take_hash(&text);
                } else {
                    edit.password = Some(text.into());
                }
            }
        }
        What::PasswordHash => {
            if let FieldUpdate::Set(text) = value::text(cell)? {
                said.take_hash(&text);
            }
        }
        What::LdapPassword => {
            if let FieldUpdate::Set(text) = value::text(cell)? {
                match stored_password::clear(&text) {
                    Some(clear) => {
                        edit.password = Some(clear.to_owned().into());
                        said.may_lose_password = true;
                    }
                    None => said.take_hash(&text),
                }
            }
        }
        // The password before it is none in clear text.
        What::HashFunction => {
            if let (FieldUpdate::Set(_), Some(hash)) = (value::text(cell)?, edit.password.take()) {
                said.take_hash(hash.expose_secret());
            }
        }
        _ => {}
    }
    Ok(())
}

/// The kind of plain values, and whether the first of them is the preferred one.
fn usual(field: Field) -> (&'static str, bool) {
    match field {
        Field::Emails => ("work", true),
        Field::Phones => ("work", false),
        Field::Photos => ("photo", true),
        _ => ("", false),
    }
}

fn role(given: FieldUpdate<String>) -> FieldUpdate<RoleRef> {
    match given {
        FieldUpdate::Set(text) => {
            FieldUpdate::Set(text.trim().parse().map_or(RoleRef::Name(text), RoleRef::Number))
        }
        FieldUpdate::Clear => FieldUpdate::Clear,
        FieldUpdate::Keep => FieldUpdate::Keep,
    }
}

/// A status that nobody says any more.
const UNSAID: &str = "unsaid";

fn status(said: &mut Said, given: &FieldUpdate<String>) -> Result<(), Wrong> {
    let FieldUpdate::Set(text) = given else { return Ok(()) };
    let text = text.trim().to_lowercase();
    let (word, unsaid) =
        text.strip_suffix(UNSAID).map_or((text.as_str(), false), |word| (word.trim_end(), true));
    let Some(state) = State::of_word(word) else {
        if unsaid && word.is_empty() {
            said.edit.status = FieldUpdate::Clear;
            return Ok(());
        }
        return Err(Wrong("is not one of invited, active, suspended, inactive and archived".into()));
    };
    said.restrict(state, state.status().map_or(RequestedStatus::Inactive, RequestedStatus::Exact));
    said.unsaid_after = unsaid;
    Ok(())
}

/// A role and a list of roles are one list to the core, which keeps of it what says more than the role.
fn whole_roles(edit: &mut UserEdit) {
    let Some((_, FieldUpdate::Set(entries))) =
        edit.multi_valued.iter_mut().find(|(field, _)| *field == Field::Roles)
    else {
        return;
    };
    let FieldUpdate::Set(RoleRef::Name(name)) = &edit.role else { return };
    if !entries.iter().any(|entry| identifier_key(&entry.value) == identifier_key(name)) {
        let others_prefer = entries.iter().any(TypedValue::is_primary);
        let primary = (!others_prefer).then_some(true);
        entries.insert(0, TypedValue { value: name.clone(), primary, ..TypedValue::default() });
    }
    edit.role = FieldUpdate::Keep;
}

/// What a person's cells are written with.
pub(crate) struct Shown<'a> {
    pub(crate) user: &'a User,
    pub(crate) names: &'a Names,
    pub(crate) password: Option<&'a PasswordHash>,
}

impl Shown<'_> {
    /// The cell of a column; nothing, where there is nothing to say.
    pub(crate) fn cell(&self, column: &Column) -> Option<Value> {
        let (user, names) = (self.user, self.names);
        Some(match column.what {
            What::Kind => json!(Kind::User.word()),
            What::Id => json!(user.id.to_string()),
            What::Number => json!(user.number),
            What::Text(field) => json!(user.text(field)?),
            What::Entries(field) => entries(user, field)?,
            What::Links(kind) => links(user, kind)?,
            What::PostalAddresses => addresses(user)?,
            What::Metadata => pairs(&user.metadata)?,
            What::Department => json!(user.department.as_deref()?),
            // Whoever belongs to none says so: a new person would get one by the domain of their e-mail.
            What::Organisation => user.organization.map_or(Value::Null, |id| json!(names.item(id))),
            What::Office => json!(user.office?.to_string()),
            What::Role => json!(names.role(user.role?)),
            What::Roles => list(user.other_roles.iter().map(entry))?,
            What::Groups => list(user.groups.iter().map(|id| json!(names.item(*id))))?,
            What::Folders => list(user.folders.iter().map(|id| json!(names.item(*id))))?,
            What::Status if user.active_cleared && user.status == Status::Inactive => json!(UNSAID),
            What::Status if user.active_cleared => json!(format!("{} {UNSAID}", user.status.as_str())),
            What::Status => json!(user.status.as_str()),
            What::DoNotEmail => json!(user.do_not_email?),
            What::ForcePasswordChange => json!(user.force_password_change?),
            What::PasswordHash => json!(self.password?.0.expose_secret()),
            What::Moment(field) => json!(moment(match field {
                Field::Created => user.created,
                Field::Updated => user.updated,
                Field::Invited => user.invited?,
                _ => user.last_activity?,
            })),
            _ => return None,
        })
    }
}

/// A moment as RFC 3339 writes it.
fn moment(time: Time) -> String {
    jiff::Timestamp::from_microsecond(time.0).map_or_else(|_| String::new(), |moment| moment.to_string())
}

fn list(all: impl Iterator<Item = Value>) -> Option<Value> {
    let all: Vec<Value> = all.collect();
    (!all.is_empty()).then_some(Value::Array(all))
}

fn entry(entry: &TypedValue) -> Value {
    serde_json::to_value(entry).unwrap_or_default()
}

/// All values of a plural, where the plain columns do not say the same.
fn entries(user: &User, field: Field) -> Option<Value> {
    let (all, plain): (&[TypedValue], Vec<TypedValue>) = match field {
        Field::Emails => {
            let plain = user.email().map(|email| TypedValue::new("work", email).with_primary());
            (&user.emails, plain.into_iter().collect())
        }
        Field::Photos => {
            let plain = user.text(Field::Photo).map(|photo| TypedValue::new("photo", photo).with_primary());
            (&user.photos, plain.into_iter().collect())
        }
        Field::Phones => {
            let phone = |field, kind| user.text(field).map(|number| TypedValue::new(kind, number));
            let plain = [phone(Field::WorkPhone, "work"), phone(Field::MobilePhone, "mobile")];
            (&user.phones, plain.into_iter().flatten().collect())
        }
        Field::Entitlements => (&user.entitlements, Vec::new()),
        _ => (&user.certificates, Vec::new()),
    };
    if all == plain { None } else { list(all.iter().map(entry)) }
}

fn links(user: &User, kind: ProfileLinkKind) -> Option<Value> {
    list(user.links_of(kind).map(|link| {
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
        let Address { line1, line2, city, region, postal_code, country, formatted: _, kind: _, primary: _ } =
            only;
        let lines = [line1, line2, city, region, postal_code, country];
        let is_plain =
            only.kind.as_deref() == Some("work") && only.formatted.is_none() && only.primary.is_none();
        // An empty line is none in a cell.
        if is_plain
            && lines.iter().any(|line| line.is_some())
            && !lines.iter().any(|line| line.as_deref() == Some(""))
        {
            return None;
        }
    }
    list(user.addresses.iter().map(|address| serde_json::to_value(address).unwrap_or_default()))
}

fn pairs(metadata: &[MetadataEntry]) -> Option<Value> {
    list(metadata.iter().map(|pair| json!({"key": pair.key, "value": pair.value})))
}

/// The columns in which two states of a person differ.
pub(crate) fn differences(before: &User, after: &User, names: &Names) -> Vec<&'static str> {
    let shown = |user| Shown { user, names, password: None };
    let (before, after) = (shown(before), shown(after));
    let differs = |column: &&Column| {
        column.is_of(Kind::User) && column.is_usual() && before.cell(column) != after.cell(column)
    };
    COLUMNS.iter().filter(differs).map(|column| column.name).collect()
}
