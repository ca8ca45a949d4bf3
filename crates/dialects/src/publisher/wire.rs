//! What travels, as the API's own documents have it.

use crate::kit::{Kind, Member, Record};
use directory::Field;

const fn object(name: &'static str, record: &'static Record, about: &'static str) -> Member {
    Member::of(name, Kind::Object(record), about)
}
const NUMBERS: Kind = Kind::Integer;
const TEXTS: Kind = Kind::Text;

/// The User Object.
pub(super) static USER: Record = Record {
    name: "user",
    about: "The User Object",
    members: &[
        Member::of("id", Kind::Integer, "Number of the user").field(Field::Number),
        object("name", &NAME, "Parts of the name"),
        Member::text("externalid", Field::ExternalId, "Id in an external system"),
        Member::text("email", Field::Email, "The user's unique key").required(),
        Member::text("phone", Field::WorkPhone, "Phone"),
        Member::text("mobile", Field::MobilePhone, "Mobile"),
        Member::text("jobtitle", Field::Title, "Job title"),
        Member::of("department", Kind::Text, "Name of the department").field(Field::Department),
        Member::of("status", Kind::Text, "`active`, `disable`, `suspended`, `archive`; `pending` in answers")
            .field(Field::Status),
        object(
            "organisation",
            &USER_ORGANISATION,
            "Where the user belongs; created when it has a name and is new",
        )
        .field(Field::Organization),
        object("location", &LOCATION, "Work address"),
        Member::text("img", Field::Photo, "URL of a picture"),
        object("sociallinks", &LINKS, "Social links").field(Field::SocialLinks),
        object("customlinks", &LINKS, "Other links").field(Field::CustomLinks),
        object("messaginglinks", &LINKS, "Messaging handles").field(Field::MessagingLinks),
        Member::text("secretaryname", Field::SecretaryName, "The secretary's name"),
        Member::text("secretarymail", Field::SecretaryEmail, "The secretary's e-mail"),
        Member::text("bio", Field::Bio, "A few words"),
        Member::text("sourcetype", Field::Source, "Which system the user came from"),
        Member::text("specialities", Field::Specialties, "One comma-separated text"),
        Member::of("invited", Kind::Moment, "When invited").only_out(),
        Member::of("lastlogin", Kind::Moment, "When last seen").only_out(),
        Member::of("created", Kind::Moment, "When created").only_out(),
        Member::of("updated", Kind::Moment, "When last changed").only_out(),
    ],
};

/// `name` of a user.
pub(super) static NAME: Record = Record {
    name: "name",
    about: "Parts of a name",
    members: &[
        Member::text("firstname", Field::GivenName, "First name").max(100).required(),
        Member::text("lastname", Field::FamilyName, "Last name"),
        Member::text("title", Field::HonorificPrefix, "Title"),
    ],
};

/// `location` of a user.
pub(super) static LOCATION: Record = Record {
    name: "location",
    about: "A work address",
    members: &[
        Member::text("addressline1", Field::AddressLine1, "First line"),
        Member::text("addressline2", Field::AddressLine2, "Second line"),
        Member::text("city", Field::City, "City"),
        Member::text("country", Field::Country, "Country"),
        Member::text("postcode", Field::PostalCode, "Postal code"),
    ],
};

/// `organisation` of a user.
pub(super) static USER_ORGANISATION: Record = Record {
    name: "userorganisation",
    about: "Where a user belongs",
    members: &[
        Member::of("orgname", Kind::Text, "Its name"),
        Member::of("orgid", Kind::Integer, "Its number"),
        Member::of("orgaddressid", Kind::Integer, "Number of one of its addresses").field(Field::Office),
    ],
};

static LINKS: Record = Record {
    name: "links",
    about: "One link, or several in an array",
    members: &[Member::of("link", Kind::OneOrMore(&Kind::Object(&LINK)), "The links")],
};
static LINK: Record = Record {
    name: "link",
    about: "A named link",
    members: &[
        Member::of("name", Kind::Text, "What it is called"),
        Member::of("value", Kind::Text, "Where it leads"),
    ],
};

/// A user in short.
static SUMMARY: Record = Record {
    name: "usersummary",
    about: "A user in short",
    members: &[
        Member::of("id", Kind::Integer, "Number"),
        Member::of("email", Kind::Text, "E-mail"),
        Member::of("link", Kind::Text, "Where to get it (`atom:link` in XML)"),
    ],
};
/// A group or organisation in short.
static NAMED_SUMMARY: Record = Record {
    name: "summary",
    about: "A group or organisation in short",
    members: &[
        Member::of("id", Kind::Integer, "Number"),
        Member::of("name", Kind::Text, "Name"),
        Member::of("link", Kind::Text, "Where to get it (`atom:link` in XML)"),
    ],
};

/// A group.
pub(super) static GROUP: Record = Record {
    name: "group",
    about: "A group of users",
    members: &[
        Member::of("id", Kind::Integer, "Number of the group"),
        Member::of("name", Kind::Text, "Name").field(Field::Name).required(),
        Member::of("users", Kind::List("user", &NUMBERS), "Numbers of the members").only_out(),
        Member::of("users", Kind::List("user", &TEXTS), "Numbers and emails of the members")
            .field(Field::Members)
            .only_in(),
        Member::of("createddate", Kind::Moment, "When created").only_out(),
    ],
};

/// Users to be added to a group.
static GROUP_MEMBERS: Record = Record {
    name: "groupmembers",
    about: "Users to be added to a group",
    members: &[Member::of("users", Kind::List("user", &TEXTS), "Numbers and emails").required()],
};

/// An organisation.
pub(super) static ORGANISATION: Record = Record {
    name: "organisation",
    about: "An organisation",
    members: &[
        Member::of("id", Kind::Integer, "Number of the organisation"),
        Member::of("name", Kind::Text, "Name, unique").field(Field::Name).required(),
        Member::of("status", Kind::Text, "`Active`, `Disabled`, `Suspended`, `Archived`")
            .field(Field::Status),
        Member::of("autologin", Kind::Boolean, "Kept as given"),
        Member::of("domains", Kind::List("domain", &TEXTS), "E-mail domains").field(Field::Domains),
        Member::of("homepage", Kind::Integer, "Kept as given"),
        Member::of("guid", Kind::Integer, "Kept as given"),
        Member::of("url", Kind::Text, "Web site").field(Field::Url),
        Member::of("addresses", Kind::List("address", &Kind::Object(&ADDRESS)), "Office addresses")
            .field(Field::Addresses),
        Member::of("img", Kind::Text, "URL of a picture").field(Field::Photo),
        Member::of("industry", Kind::Integer, "Kept as given"),
        Member::of("category", Kind::Integer, "Kept as given"),
        Member::of("keycontacts", Kind::List("keycontact", &NUMBERS), "Numbers of users"),
        Member::of("users", Kind::List("user", &NUMBERS), "Numbers of its users").only_out(),
    ],
};
static ADDRESS: Record = Record {
    name: "address",
    about: "An office address",
    members: &[
        Member::of("addressid", Kind::Integer, "Its number, unique over all organisations"),
        Member::of("isDefault", Kind::Boolean, "Whether it is the default one"),
    ],
};
/// A domain to be added to an organisation.
static DOMAIN: Record = Record {
    name: "domain",
    about: "An e-mail domain",
    members: &[Member::of("url", Kind::Text, "The domain").required()],
};

const fn wrapped(name: &'static str, inner: &'static Record) -> Member {
    Member::of(name, Kind::Object(inner), "The one meant").required()
}

pub(super) static USER_BODY: Record =
    Record { name: "UserBody", about: "A user", members: &[wrapped("user", &USER)] };
pub(super) static SUMMARY_BODY: Record =
    Record { name: "UserSummaryBody", about: "A user in short", members: &[wrapped("user", &SUMMARY)] };
pub(super) static GROUP_BODY: Record =
    Record { name: "GroupBody", about: "A group", members: &[wrapped("group", &GROUP)] };
pub(super) static GROUP_MEMBERS_BODY: Record = Record {
    name: "GroupMembersBody",
    about: "Users to be added to a group",
    members: &[wrapped("group", &GROUP_MEMBERS)],
};
pub(super) static GROUP_SUMMARY_BODY: Record = Record {
    name: "GroupSummaryBody",
    about: "A group in short",
    members: &[wrapped("group", &NAMED_SUMMARY)],
};
pub(super) static ORGANISATION_BODY: Record = Record {
    name: "OrganisationBody",
    about: "An organisation",
    members: &[wrapped("organisation", &ORGANISATION)],
};
pub(super) static ORGANISATION_SUMMARY_BODY: Record = Record {
    name: "OrganisationSummaryBody",
    about: "An organisation in short",
    members: &[wrapped("organisation", &NAMED_SUMMARY)],
};
pub(super) static DOMAIN_BODY: Record =
    Record { name: "DomainBody", about: "A domain", members: &[wrapped("domain", &DOMAIN)] };
pub(super) static ORGANISATION_GROUP_BODY: Record = Record {
    name: "OrganisationGroupBody",
    about: "A group of organisations",
    members: &[wrapped("organisationgroup", &NAMED_SUMMARY)],
};

macro_rules! list {
    ($name:ident, $list:ident, $wire:literal, $list_wire:literal, $plural:literal, $item:expr) => {
        static $list: Record = Record {
            name: $list_wire,
            about: "Some of what was asked for, and how much there is",
            members: &[
                Member::of("totalcount", Kind::Integer, "All that match"),
                Member::of("total", Kind::Integer, "In this answer"),
                Member::of("currentpage", Kind::Integer, "`offset` divided by `limit`"),
                Member::of($plural, Kind::List($plural, &Kind::Object($item)), "The page"),
            ],
        };
        pub(super) static $name: Record =
            Record { name: $wire, about: "A list", members: &[wrapped($plural, &$list)] };
    };
}
list!(USERS_BODY, USER_LIST, "UsersBody", "userlist", "users", &USER);
list!(GROUPS_BODY, GROUP_LIST, "GroupsBody", "grouplist", "groups", &GROUP);
list!(
    ORGANISATIONS_BODY,
    ORGANISATION_LIST,
    "OrganisationsBody",
    "organisationlist",
    "organisations",
    &ORGANISATION
);
list!(
    ORGANISATION_GROUPS_BODY,
    ORGANISATION_GROUP_LIST,
    "OrganisationGroupsBody",
    "organisationgrouplist",
    "organisationgroups",
    &NAMED_SUMMARY
);

static BULK_USERS_INNER: Record = Record {
    name: "userkeys",
    about: "Users by number or e-mail",
    members: &[Member::of("user", Kind::List("user", &TEXTS), "Numbers and e-mails, mixed")],
};
/// Whom a bulk call means.
pub(super) static BULK_USERS: Record =
    Record { name: "BulkUsers", about: "Users", members: &[wrapped("users", &BULK_USERS_INNER)] };
/// Who is asked in.
pub(super) static INVITATION: Record = Record {
    name: "Invitation",
    about: "People to be asked in by mail",
    members: &[
        Member::of("emailAddress", Kind::List("emailAddress", &TEXTS), "Their e-mails").required(),
        Member::of("sendInvitationNow", Kind::Boolean, "`true`, or left out: mails are not kept for later"),
    ],
};
static BULK_ORGANISATIONS_INNER: Record = Record {
    name: "organisationkeys",
    about: "Organisations by number or name",
    members: &[Member::of("organisation", Kind::List("organisation", &TEXTS), "Numbers and names, mixed")],
};
/// Which organisations a bulk call means.
pub(super) static BULK_ORGANISATIONS: Record = Record {
    name: "BulkOrganisations",
    about: "Organisations",
    members: &[wrapped("organisations", &BULK_ORGANISATIONS_INNER)],
};

pub(super) static ERROR: Record =
    Record { name: "ErrorBody", about: "What went wrong", members: &[wrapped("error", &ERROR_INNER)] };
static ERROR_INNER: Record = Record {
    name: "error",
    about: "What went wrong",
    members: &[
        Member::of("summary", Kind::Text, "A sentence"),
        Member::of("ref", Kind::Integer, "A number for programs"),
        Member::of("link", Kind::Text, "Where this error is known under its own number"),
    ],
};
