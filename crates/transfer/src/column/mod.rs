//! The table of columns, named as in RFC 7643 where possible, and the mapping of headers to them: by the aliases of
//! the table, those of the dialects, and the caller's mappings. Headers are compared by letters and digits only.

mod state_headers;
mod table;

pub use table::COLUMNS;

use crate::InvalidOption;
pub use crate::account_state::{ExpiryUnit, StateRule};
use crate::cell_value::normalize_header;
use directory::{Attribute, Field, ItemKind, ProfileLinkKind, Slot};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RecordKind {
    User,
    Item(ItemKind),
}

impl RecordKind {
    /// In export order: referenced kinds first.
    pub const ALL: [Self; 6] = [
        Self::Item(ItemKind::Role),
        Self::Item(ItemKind::Department),
        Self::Item(ItemKind::Organization),
        Self::Item(ItemKind::Group),
        Self::Item(ItemKind::Folder),
        Self::User,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Item(kind) => kind.as_str(),
        }
    }

    /// The kind that a word in a file means, in singular or plural.
    pub fn from_word(word: &str) -> Option<Self> {
        let word = normalize_header(word);
        let singular = word.strip_suffix('s').unwrap_or(&word);
        match singular {
            "person" | "people" | "member" | "contact" => Some(Self::User),
            "organization" | "company" | "companie" => Some(Self::Item(ItemKind::Organization)),
            singular => Self::ALL.into_iter().find(|kind| kind.as_str() == singular),
        }
    }
}

/// What a column holds. The descriptions are in [`COLUMNS`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    RecordKind,
    Id,
    Number,
    Text(Field),
    MultiValued(Field),
    Links(ProfileLinkKind),
    PostalAddresses,
    Metadata,
    Department,
    Organization,
    Office,
    Role,
    Roles,
    /// The groups or folders of a user.
    Memberships(ItemKind),
    Status,
    /// A mark of other systems for inactive, locked, expired or deleted users.
    AccountState(StateRule),
    Boolean(Field),
    Password,
    PasswordHash,
    /// Google's function of the hash in `password`.
    PasswordHashFunction,
    /// LDAP's `userPassword`: a hash after its scheme, or clear text.
    LdapPassword,
    Timestamp(Field),
    Name,
    IsRestricted,
    RestrictedTo,
    FolderEntries,
    Domains,
    Offices,
    AutoLogin,
    ClientNumber(ClientNumber),
    KeyContacts,
    Rank,
    Members,
    /// The distinguished name of a directory entry.
    Dn,
    ObjectClass,
    Ignored,
}

/// Numbers that an organization keeps for client systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientNumber {
    Homepage,
    Guid,
    Industry,
    Category,
}

#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// The name in exported files.
    pub name: &'static str,
    pub kind: ColumnKind,
    /// Other headers, normalized to letters and digits.
    aliases: &'static [&'static str],
    record_kinds: RecordKinds,
    pub description: &'static str,
    pub(crate) ldap_name: Option<&'static str>,
}

#[derive(Clone, Copy, Debug)]
enum RecordKinds {
    Listed(&'static [RecordKind]),
    /// Users, and items of these kinds.
    UsersAnd(&'static [ItemKind]),
}

impl Column {
    /// The column of an attribute of users; `None` if files have other columns for it.
    fn of_attribute(attribute: &Attribute) -> Option<Self> {
        let field = attribute.field;
        let kind = match attribute.slot {
            Slot::Text(_) => ColumnKind::Text(field),
            Slot::Boolean(_) => ColumnKind::Boolean(field),
            Slot::Timestamp(_) => ColumnKind::Timestamp(field),
            Slot::MultiValued(_) => ColumnKind::MultiValued(field),
            Slot::PostalAddresses => ColumnKind::PostalAddresses,
            Slot::Links(kind) => ColumnKind::Links(kind),
            Slot::Metadata => ColumnKind::Metadata,
            Slot::Items(kind) => ColumnKind::Memberships(kind),
            Slot::Department => ColumnKind::Department,
            Slot::Organization => ColumnKind::Organization,
            Slot::Office => ColumnKind::Office,
            Slot::Role => ColumnKind::Role,
            Slot::Roles => ColumnKind::Roles,
            Slot::Status => ColumnKind::Status,
            Slot::Id | Slot::Number | Slot::Active | Slot::Password => return None,
        };
        let Attribute { name, aliases, description, ldap_name, .. } = *attribute;
        let record_kinds = RecordKinds::UsersAnd(attribute.shared_with);
        Some(Self { name, kind, aliases, record_kinds, description, ldap_name })
    }

    const fn ldap_name(self, name: &'static str) -> Self {
        Self { ldap_name: Some(name), ..self }
    }

    pub fn applies_to(&self, kind: RecordKind) -> bool {
        match (self.record_kinds, kind) {
            (RecordKinds::Listed(kinds), kind) => kinds.contains(&kind),
            (RecordKinds::UsersAnd(_), RecordKind::User) => true,
            (RecordKinds::UsersAnd(kinds), RecordKind::Item(kind)) => kinds.contains(&kind),
        }
    }

    /// Whether an export includes it by default: no secrets, and nothing that only files of other systems have or that
    /// another column expresses.
    pub fn is_exported_by_default(&self) -> bool {
        let is_excluded = matches!(
            self.kind,
            ColumnKind::Timestamp(_)
                | ColumnKind::Password
                | ColumnKind::PasswordHash
                | ColumnKind::PasswordHashFunction
                | ColumnKind::LdapPassword
                | ColumnKind::Members
                | ColumnKind::AccountState(_)
                | ColumnKind::Dn
                | ColumnKind::ObjectClass
                | ColumnKind::Ignored
        );
        !is_excluded && (self.kind != ColumnKind::Number || !self.applies_to(RecordKind::User))
    }

    /// Whether its value identifies a user.
    pub fn is_identifier(&self) -> bool {
        matches!(
            self.kind,
            ColumnKind::Id
                | ColumnKind::Text(Field::UserName | Field::Email | Field::ExternalId)
                | ColumnKind::MultiValued(Field::Emails)
        )
    }
}

impl ColumnKind {
    /// Whether a column of this kind holds this field.
    pub(crate) fn holds(self, field: Field) -> bool {
        match self {
            Self::Text(of) | Self::Boolean(of) | Self::MultiValued(of) | Self::Timestamp(of) => of == field,
            Self::Links(ProfileLinkKind::Social) => field == Field::SocialLinks,
            Self::Links(ProfileLinkKind::Custom) => field == Field::CustomLinks,
            Self::Links(ProfileLinkKind::Messaging) => field == Field::MessagingLinks,
            Self::Department => field == Field::Department,
            Self::Organization => field == Field::Organization,
            Self::Office => field == Field::Office,
            Self::Role => field == Field::Role,
            Self::Roles => field == Field::Roles,
            Self::Memberships(ItemKind::Group) => field == Field::Groups,
            Self::Memberships(ItemKind::Folder) => field == Field::Folders,
            Self::Status => field == Field::Status,
            Self::Password | Self::PasswordHash | Self::LdapPassword => field == Field::Password,
            Self::Name => field == Field::Name,
            Self::Id => field == Field::Id,
            Self::Number => field == Field::Number,
            Self::Metadata => field == Field::Metadata,
            Self::PostalAddresses => field == Field::PostalAddresses,
            Self::Domains => field == Field::Domains,
            Self::Offices => field == Field::OfficeNumbers,
            Self::FolderEntries => field == Field::Entries,
            Self::RestrictedTo => field == Field::RestrictedTo,
            Self::AccountState(StateRule::Enabled) => field == Field::Active,
            _ => false,
        }
    }
}

/// The name of the column that holds a field, or the field's own name.
pub(crate) fn column_of_field(field: Field) -> String {
    let column = COLUMNS.iter().find(|column| column.kind.holds(field));
    column.map_or_else(|| format!("{field:?}"), |column| column.name.to_owned())
}

pub fn column_by_name(name: &str) -> Option<&'static Column> {
    static NAMES: LazyLock<HashMap<String, &'static Column>> =
        LazyLock::new(|| COLUMNS.iter().map(|column| (normalize_header(column.name), column)).collect());
    NAMES.get(&normalize_header(name)).copied()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HeaderMeaning {
    /// No column has this name or alias.
    Unknown,
    Column(&'static Column),
    /// Decided after the scan. A column of account states is used only if every value is one. Any other header means
    /// `status` if every value is a status word, else this column.
    DependsOnValues(Option<&'static Column>),
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Column {}

/// Headers that some systems use for a status and others for a region.
const STATUS_OR_REGION: [&str; 6] = ["state", "userstate", "estado", "stato", "etat", "état"];
/// In `WordPress`, it has meaningless numbers.
const STATUS_OR_NOTHING: [&str; 1] = ["userstatus"];

/// Maps headers to columns: by name, by alias, by the aliases of dialects, and by the caller's mappings.
#[derive(Clone, Debug, Default)]
pub struct ColumnMapping {
    columns_by_alias: HashMap<String, usize>,
    /// The caller's mappings; `None` ignores the header.
    custom_mappings: HashMap<String, Option<usize>>,
}

impl ColumnMapping {
    /// `field_aliases` are the names in dialects. The names and aliases of the table take precedence.
    pub fn new<S: AsRef<str>>(field_aliases: impl IntoIterator<Item = (S, Field)>) -> Self {
        let mut known = HashMap::new();
        for (index, column) in COLUMNS.iter().enumerate() {
            known.insert(normalize_header(column.name), index);
        }
        for (index, column) in COLUMNS.iter().enumerate() {
            for alias in column.aliases {
                known.entry((*alias).to_owned()).or_insert(index);
            }
        }
        for (spelling, field) in field_aliases {
            if let Some(index) = COLUMNS.iter().position(|column| sets_field(column, field)) {
                known.entry(normalize_header(spelling.as_ref())).or_insert(index);
            }
        }
        Self { columns_by_alias: known, custom_mappings: HashMap::new() }
    }

    /// Maps a header to a column; an empty column name ignores the header.
    ///
    /// # Errors
    /// The column is unknown.
    pub fn map_header(&mut self, header: &str, column: &str) -> Result<(), InvalidOption> {
        let index = if column.is_empty() {
            None
        } else {
            let index = COLUMNS.iter().position(|known| normalize_header(known.name) == normalize_header(column));
            let unknown = || format!("unknown column '{column}' (see `muster import --list-columns`)");
            Some(index.ok_or_else(unknown)?)
        };
        self.custom_mappings.insert(header.trim().to_owned(), index);
        Ok(())
    }

    /// The column of a header regardless of the values below it.
    pub fn find(&self, header: &str) -> Option<&'static Column> {
        match self.meaning(header) {
            HeaderMeaning::Column(column) => Some(column),
            HeaderMeaning::DependsOnValues(other) => other,
            HeaderMeaning::Unknown => None,
        }
    }

    pub fn meaning(&self, header: &str) -> HeaderMeaning {
        let header = header.trim();
        if let Some(mapped) = self.custom_mappings.get(header) {
            return mapped.map_or(HeaderMeaning::Unknown, |index| HeaderMeaning::Column(&COLUMNS[index]));
        }
        let name = self.strip_template_text(header);
        let column = self.find_by_alias(name);
        match normalize_header(name).as_str() {
            name if STATUS_OR_REGION.contains(&name) => HeaderMeaning::DependsOnValues(column),
            name if STATUS_OR_NOTHING.contains(&name) => HeaderMeaning::DependsOnValues(None),
            name if column.is_none() && state_headers::may_be_status(name) => HeaderMeaning::DependsOnValues(None),
            name => match column.or_else(|| state_headers::state_column(name)) {
                Some(state) if column.is_none() => HeaderMeaning::DependsOnValues(Some(state)),
                found => found.map_or(HeaderMeaning::Unknown, HeaderMeaning::Column),
            },
        }
    }

    /// The significant part of a header of a template. Entra ID puts the property in brackets (`First name
    /// [givenName] Required`), Google a remark (`Email Address [Required]`).
    fn strip_template_text<'a>(&self, header: &'a str) -> &'a str {
        let Some((text, behind)) = header.split_once('[') else { return header };
        let Some((property, _)) = behind.split_once(']') else { return header };
        let text = text.split('(').next().unwrap_or(text).trim();
        let is_state_column =
            |text| self.find_by_alias(text).is_some_and(|column| matches!(column.kind, ColumnKind::AccountState(_)));
        let is_property = property.starts_with(|c: char| c.is_ascii_lowercase())
            && property.chars().all(|c| c.is_ascii_alphanumeric());
        // "Block sign in [accountEnabled]" means the opposite of its property.
        if text.is_empty() || is_property && !is_state_column(text) { property } else { text }
    }

    fn find_by_alias(&self, header: &str) -> Option<&'static Column> {
        // In a SCIM URN, the attribute follows the last colon.
        let local_name = header.rsplit(':').next().unwrap_or(header);
        let local_name =
            if header.starts_with("urn:") { local_name.strip_prefix("User.").unwrap_or(local_name) } else { header };
        // LDIF exports prefix columns that have no LDAP name.
        let local_name = normalize_header(local_name);
        let key = local_name.strip_prefix("muster").unwrap_or(&local_name);
        let without_prefix = |outer: &str| self.columns_by_alias.get(key.strip_prefix(outer)?);
        let is_state = |index: &&usize| matches!(COLUMNS[**index].kind, ColumnKind::AccountState(_));
        let state_of = |outer: &str| without_prefix(outer).filter(is_state);
        let index = self
            .columns_by_alias
            .get(key)
            .or_else(|| without_prefix("username"))
            .or_else(|| without_prefix("user"))
            .or_else(|| without_prefix("name"))
            .or_else(|| ["is", "account", "konto", "cuenta", "compte"].into_iter().find_map(state_of));
        index.map(|index| &COLUMNS[*index])
    }
}

/// Whether an imported column sets a field of users; times and numbers are only exported.
fn sets_field(column: &Column, field: Field) -> bool {
    let is_exported_only = matches!(column.kind, ColumnKind::Timestamp(_) | ColumnKind::Number);
    column.kind.holds(field) && column.applies_to(RecordKind::User) && !is_exported_only
}

pub(crate) type ColumnCell<'a> = (&'static Column, Cow<'a, Value>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_resolved() {
        let columns = ColumnMapping::new([("FirstName", Field::GivenName), ("Ansprache", Field::HonorificPrefix)]);
        let name = |header: &str| columns.find(header).map(|column| column.name);
        for (header, wanted) in [
            ("First Name", "givenName"),
            ("first_name", "givenName"),
            ("name.givenName", "givenName"),
            ("E-Mail", "email"),
            ("Ansprache", "honorificPrefix"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User.department", "department"),
            ("urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:employeeNumber", "employeeNumber"),
            ("muster-emails", "emails"),
            ("POSTCODE", "postalCode"),
            ("First name [givenName] Required", "givenName"),
            ("Name (example: Chris Green) [displayName] *", "displayName"),
            ("Block sign in (Yes/No) [accountEnabled] Required", "disabled"),
            ("Email Address [Required]", "email"),
        ] {
            assert_eq!(name(header), Some(wanted), "{header}");
        }
        for header in ["Start Date", "Office [physicalDeliveryOfficeName]", "Recovery Phone [MUST BE E.164]"] {
            assert_eq!(name(header), None, "{header}");
        }
    }

    #[test]
    fn each_name_means_one_column() {
        let mut seen = HashMap::new();
        for column in COLUMNS.iter() {
            for name in column.aliases.iter().map(|alias| (*alias).to_owned()).chain([normalize_header(column.name)]) {
                let before = seen.insert(name.clone(), column.name);
                assert!(before.is_none(), "{name} is {before:?} and {}", column.name);
            }
        }
    }

    #[test]
    fn kinds_are_parsed() {
        assert_eq!(RecordKind::from_word("Groups"), Some(RecordKind::Item(ItemKind::Group)));
        assert_eq!(RecordKind::from_word("people"), Some(RecordKind::User));
        assert_eq!(RecordKind::from_word("Organizations"), Some(RecordKind::Item(ItemKind::Organization)));
        assert_eq!(RecordKind::from_word("Sheet1"), None);
    }
}
