//! The names of everything a file can say: one table, which readers, writers and the documentation walk.
//!
//! Names are those of RFC 7643 where it has one. What else a file may call a column is found by its letters and digits
//! alone: in this table, in the tables of the dialects, and in what the caller maps.

mod state_headers;
mod table;

pub use table::COLUMNS;

pub use crate::account_state::{Rule, Unit};
use crate::value::squeezed;
use directory::{Field, ItemKind, ProfileLinkKind};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

/// What a row is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// A person.
    User,
    /// A group, folder, organisation, role or department.
    Item(ItemKind),
}

impl Kind {
    /// Every kind, in the order in which they are written: what is referred to comes first.
    pub const ALL: [Self; 6] = [
        Self::Item(ItemKind::Role),
        Self::Item(ItemKind::Department),
        Self::Item(ItemKind::Organization),
        Self::Item(ItemKind::Group),
        Self::Item(ItemKind::Folder),
        Self::User,
    ];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Item(kind) => kind.as_str(),
        }
    }

    /// The kind that a word in a file means.
    pub fn of_word(word: &str) -> Option<Self> {
        let word = squeezed(word);
        let singular = word.strip_suffix('s').unwrap_or(&word);
        match singular {
            "person" | "people" | "member" | "contact" => Some(Self::User),
            "organization" | "company" | "companie" => Some(Self::Item(ItemKind::Organization)),
            singular => Self::ALL.into_iter().find(|kind| kind.word() == singular),
        }
    }
}

/// What a column holds and where it belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is explained by its row in the table")]
pub enum What {
    Kind,
    Id,
    Number,
    Text(Field),
    Entries(Field),
    Links(ProfileLinkKind),
    PostalAddresses,
    Metadata,
    Department,
    Organisation,
    Office,
    Role,
    Roles,
    Groups,
    Folders,
    Status,
    /// Another statement about whether the account may be used.
    State(Rule),
    DoNotEmail,
    ForcePasswordChange,
    Password,
    PasswordHash,
    /// The kind of hash that the password is, if it is one.
    HashFunction,
    /// LDAP's `userPassword`: a hash behind its scheme, or clear text.
    LdapPassword,
    Moment(Field),
    Name,
    IsRestricted,
    RestrictedTo,
    Entries4Folder,
    Domains,
    Offices,
    AutoLogin,
    Page(Page),
    KeyContacts,
    Rank,
    Members,
    /// The distinguished name of a directory's entry.
    Dn,
    ObjectClass,
    Ignored,
}

/// Numbers that an organisation keeps for client systems.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Page {
    Homepage,
    Guid,
    Industry,
    Category,
}

/// One column.
#[derive(Debug)]
pub struct Column {
    /// Its name in what is written.
    pub name: &'static str,
    /// What it holds.
    pub what: What,
    /// What else it is called, as letters and digits.
    aliases: &'static [&'static str],
    /// The kinds that have it, as letters: `u` person, `g` group, `f` folder, `o` organisation, `r` role, `d` department.
    kinds: &'static str,
    /// What it means.
    pub about: &'static str,
}

impl Column {
    /// Whether things of that kind have it.
    pub fn is_of(&self, kind: Kind) -> bool {
        let letter = match kind {
            Kind::User => 'u',
            Kind::Item(ItemKind::Group) => 'g',
            Kind::Item(ItemKind::Folder) => 'f',
            Kind::Item(ItemKind::Organization) => 'o',
            Kind::Item(ItemKind::Role) => 'r',
            Kind::Item(ItemKind::Department) => 'd',
        };
        self.kinds.contains(letter)
    }

    /// Whether it is written when nothing else was asked for: not what the store gives, nor secrets.
    pub fn is_usual(&self) -> bool {
        let is_written_back = !matches!(
            self.what,
            What::Moment(_)
                | What::Password
                | What::PasswordHash
                | What::HashFunction
                | What::LdapPassword
                | What::Members
                | What::State(_)
                | What::Dn
                | What::ObjectClass
                | What::Ignored
        );
        is_written_back && (self.what != What::Number || self.kinds != "u")
    }

    /// Whether it says who somebody is.
    pub fn identifies(&self) -> bool {
        matches!(
            self.what,
            What::Id
                | What::Text(Field::UserName | Field::Email | Field::ExternalId)
                | What::Entries(Field::Emails)
        )
    }
}

/// The column of that name.
pub fn named(name: &str) -> Option<&'static Column> {
    static NAMES: LazyLock<HashMap<String, &'static Column>> =
        LazyLock::new(|| COLUMNS.iter().map(|column| (squeezed(column.name), column)).collect());
    NAMES.get(&squeezed(name)).copied()
}

/// What a header means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// No column has this name.
    Unknown,
    /// This column.
    Column(&'static Column),
    /// A status, if each value below it is a known word for one; else this, or nothing. The state of an account instead, if
    /// each value can be read as one; else nothing.
    StatusOr(Option<&'static Column>),
}

impl PartialEq for Column {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Eq for Column {}

/// Headers that some systems use for a status and others for a region.
const STATUS_OR_REGION: [&str; 6] = ["state", "userstate", "estado", "stato", "etat", "état"];
/// `WordPress` has numbers under it that mean nothing.
const STATUS_OR_NOTHING: [&str; 1] = ["userstatus"];

/// The meaning of headers: in the table, in dialects, and as the caller maps them.
#[derive(Clone, Debug, Default)]
pub struct Columns {
    known: HashMap<String, usize>,
    /// Headers as the caller maps them, to a column or to nothing.
    mapped: HashMap<String, Option<usize>>,
}

impl Columns {
    /// With what dialects call things; this table's own names come first.
    pub fn new<S: AsRef<str>>(spellings: impl IntoIterator<Item = (S, Field)>) -> Self {
        let mut known = HashMap::new();
        for (place, column) in COLUMNS.iter().enumerate() {
            known.insert(squeezed(column.name), place);
        }
        for (place, column) in COLUMNS.iter().enumerate() {
            for alias in column.aliases {
                known.entry((*alias).to_owned()).or_insert(place);
            }
        }
        for (spelling, field) in spellings {
            if let Some(place) = COLUMNS.iter().position(|column| holds(column, field)) {
                known.entry(squeezed(spelling.as_ref())).or_insert(place);
            }
        }
        Self { known, mapped: HashMap::new() }
    }

    /// Maps a header to the column of that name; to none, when it is empty.
    pub fn map(&mut self, header: &str, column: &str) -> Result<(), String> {
        let place = if column.is_empty() {
            None
        } else {
            let place = COLUMNS.iter().position(|known| squeezed(known.name) == squeezed(column));
            Some(place.ok_or_else(|| {
                format!("there is no column {column}; `muster import --list-columns` tells them")
            })?)
        };
        self.mapped.insert(header.trim().to_owned(), place);
        Ok(())
    }

    /// The column a header means, whatever is below it; `None` when it means none.
    pub fn find(&self, header: &str) -> Option<&'static Column> {
        match self.meaning(header) {
            Meaning::Column(column) => Some(column),
            Meaning::StatusOr(other) => other,
            Meaning::Unknown => None,
        }
    }

    /// What a header means.
    pub fn meaning(&self, header: &str) -> Meaning {
        let header = header.trim();
        if let Some(mapped) = self.mapped.get(header) {
            return mapped.map_or(Meaning::Unknown, |place| Meaning::Column(&COLUMNS[place]));
        }
        let name = self.template(header);
        let column = self.known(name);
        match squeezed(name).as_str() {
            name if STATUS_OR_REGION.contains(&name) => Meaning::StatusOr(column),
            name if STATUS_OR_NOTHING.contains(&name) => Meaning::StatusOr(None),
            name if column.is_none() && state_headers::may_be_status(name) => Meaning::StatusOr(None),
            name => match column.or_else(|| state_headers::column(name)) {
                Some(state) if column.is_none() => Meaning::StatusOr(Some(state)),
                found => found.map_or(Meaning::Unknown, Meaning::Column),
            },
        }
    }

    /// What counts of a header of a template. Entra ID has its property in brackets behind the text (`First name [givenName]
    /// Required`), Google a remark (`Email Address [Required]`).
    fn template<'a>(&self, header: &'a str) -> &'a str {
        let Some((text, behind)) = header.split_once('[') else { return header };
        let Some((property, _)) = behind.split_once(']') else { return header };
        let text = text.split('(').next().unwrap_or(text).trim();
        let says_state = |text| self.known(text).is_some_and(|column| matches!(column.what, What::State(_)));
        let is_property = property.starts_with(|c: char| c.is_ascii_lowercase())
            && property.chars().all(|c| c.is_ascii_alphanumeric());
        // "Block sign in [accountEnabled]" says the opposite of its property.
        if text.is_empty() || is_property && !says_state(text) { property } else { text }
    }

    fn known(&self, header: &str) -> Option<&'static Column> {
        // SCIM's long names: what comes behind the last colon counts.
        let short = header.rsplit(':').next().unwrap_or(header);
        let short =
            if header.starts_with("urn:") { short.strip_prefix("User.").unwrap_or(short) } else { header };
        // What our own LDIF calls things that LDAP has no name for.
        let short = squeezed(short);
        let own = short.strip_prefix("muster").unwrap_or(&short);
        let within = |outer: &str| self.known.get(own.strip_prefix(outer)?);
        let is_state = |place: &&usize| matches!(COLUMNS[**place].what, What::State(_));
        let state_of = |outer: &str| within(outer).filter(is_state);
        let place = self
            .known
            .get(own)
            .or_else(|| within("username"))
            .or_else(|| within("user"))
            .or_else(|| within("name"))
            .or_else(|| ["is", "account", "konto", "cuenta", "compte"].into_iter().find_map(state_of));
        place.map(|place| &COLUMNS[*place])
    }
}

/// Whether a column is where a field of a person belongs.
fn holds(column: &Column, field: Field) -> bool {
    let what = match field {
        Field::Groups => What::Groups,
        Field::Folders => What::Folders,
        Field::Status => What::Status,
        Field::Active => What::State(Rule::Enabled),
        Field::Role => What::Role,
        Field::Roles => What::Roles,
        Field::Department => What::Department,
        Field::Organization => What::Organisation,
        Field::Office => What::Office,
        Field::Metadata => What::Metadata,
        Field::DoNotEmail => What::DoNotEmail,
        Field::ForcePasswordChange => What::ForcePasswordChange,
        Field::Password => What::Password,
        Field::Id => What::Id,
        Field::PostalAddresses => What::PostalAddresses,
        Field::SocialLinks => What::Links(ProfileLinkKind::Social),
        Field::CustomLinks => What::Links(ProfileLinkKind::Custom),
        Field::MessagingLinks => What::Links(ProfileLinkKind::Messaging),
        Field::Emails | Field::Phones | Field::Photos | Field::Entitlements | Field::Certificates => {
            What::Entries(field)
        }
        field => What::Text(field),
    };
    column.what == what && column.is_of(Kind::User)
}

/// A cell whose column is known.
pub(crate) type Cell<'a> = (&'static Column, Cow<'a, Value>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_apart() {
        let columns = Columns::new([("FirstName", Field::GivenName), ("Ansprache", Field::HonorificPrefix)]);
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
        for header in ["Start Date", "Office [physicalDeliveryOfficeName]", "Recovery Phone [MUST BE E.164]"]
        {
            assert_eq!(name(header), None, "{header}");
        }
    }

    #[test]
    fn each_name_means_one_column() {
        let mut seen = HashMap::new();
        for column in COLUMNS {
            for name in column.aliases.iter().map(|alias| (*alias).to_owned()).chain([squeezed(column.name)])
            {
                let before = seen.insert(name.clone(), column.name);
                assert!(before.is_none(), "{name} is {before:?} and {}", column.name);
            }
        }
    }

    #[test]
    fn kinds_are_told_by_their_words() {
        assert_eq!(Kind::of_word("Groups"), Some(Kind::Item(ItemKind::Group)));
        assert_eq!(Kind::of_word("people"), Some(Kind::User));
        assert_eq!(Kind::of_word("Organizations"), Some(Kind::Item(ItemKind::Organization)));
        assert_eq!(Kind::of_word("Sheet1"), None);
    }
}
