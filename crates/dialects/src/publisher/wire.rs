//! What travels, as the API's own documents have it.

use crate::kit::{ObjectSchema, Property, ValueType};
use directory::Field;

const fn complex(name: &'static str, object_schema: &'static ObjectSchema, description: &'static str) -> Property {
    Property::new(name, ValueType::Object(object_schema), description)
}
const NUMBER: ValueType = ValueType::Integer;
const TEXT: ValueType = ValueType::Text;

/// The User Object.
pub(super) static USER: ObjectSchema = ObjectSchema {
    name: "user",
    description: "The User Object",
    properties: &[
        Property::new("id", ValueType::Integer, "Number of the user").field(Field::Number),
        complex("name", &NAME, "Parts of the name"),
        Property::text("externalid", Field::ExternalId, "Id in an external system"),
        Property::text("email", Field::Email, "The user's unique key").required(),
        Property::text("phone", Field::WorkPhone, "Phone"),
        Property::text("mobile", Field::MobilePhone, "Mobile"),
        Property::text("jobtitle", Field::Title, "Job title"),
        Property::new("department", ValueType::Text, "Name of the department").field(Field::Department),
        Property::new("status", ValueType::Text, "`active`, `disable`, `suspended`, `archive`; `pending` in answers")
            .field(Field::Status),
        complex("organisation", &USER_ORGANIZATION, "Where the user belongs; created when it has a name and is new")
            .field(Field::Organization),
        complex("location", &LOCATION, "Work address"),
        Property::text("img", Field::Photo, "URL of a picture"),
        complex("sociallinks", &LINKS, "Social links").field(Field::SocialLinks),
        complex("customlinks", &LINKS, "Other links").field(Field::CustomLinks),
        complex("messaginglinks", &LINKS, "Messaging handles").field(Field::MessagingLinks),
        Property::text("secretaryname", Field::SecretaryName, "The secretary's name"),
        Property::text("secretarymail", Field::SecretaryEmail, "The secretary's e-mail"),
        Property::text("bio", Field::Bio, "A few words"),
        Property::text("sourcetype", Field::Source, "Which system the user came from"),
        Property::text("specialities", Field::Specialties, "One comma-separated text"),
        Property::new("invited", ValueType::Timestamp, "When invited").response_only(),
        Property::new("lastlogin", ValueType::Timestamp, "When last seen").response_only(),
        Property::new("created", ValueType::Timestamp, "When created").response_only(),
        Property::new("updated", ValueType::Timestamp, "When last changed").response_only(),
    ],
};

/// `name` of a user.
pub(super) static NAME: ObjectSchema = ObjectSchema {
    name: "name",
    description: "Parts of a name",
    properties: &[
        Property::text("firstname", Field::GivenName, "First name").max_length(100).required(),
        Property::text("lastname", Field::FamilyName, "Last name"),
        Property::text("title", Field::HonorificPrefix, "Title"),
    ],
};

/// `location` of a user.
pub(super) static LOCATION: ObjectSchema = ObjectSchema {
    name: "location",
    description: "A work address",
    properties: &[
        Property::text("addressline1", Field::AddressLine1, "First line"),
        Property::text("addressline2", Field::AddressLine2, "Second line"),
        Property::text("city", Field::City, "City"),
        Property::text("country", Field::Country, "Country"),
        Property::text("postcode", Field::PostalCode, "Postal code"),
    ],
};

/// `organisation` of a user.
pub(super) static USER_ORGANIZATION: ObjectSchema = ObjectSchema {
    name: "userorganisation",
    description: "Where a user belongs",
    properties: &[
        Property::new("orgname", ValueType::Text, "Its name"),
        Property::new("orgid", ValueType::Integer, "Its number"),
        Property::new("orgaddressid", ValueType::Integer, "Number of one of its addresses").field(Field::Office),
    ],
};

static LINKS: ObjectSchema = ObjectSchema {
    name: "links",
    description: "One link, or several in an array",
    properties: &[Property::new("link", ValueType::OneOrMore(&ValueType::Object(&LINK)), "The links")],
};
static LINK: ObjectSchema = ObjectSchema {
    name: "link",
    description: "A named link",
    properties: &[
        Property::new("name", ValueType::Text, "What it is called"),
        Property::new("value", ValueType::Text, "Where it leads"),
    ],
};

/// A user in short.
static USER_SUMMARY: ObjectSchema = ObjectSchema {
    name: "usersummary",
    description: "A user in short",
    properties: &[
        Property::new("id", ValueType::Integer, "Number"),
        Property::new("email", ValueType::Text, "E-mail"),
        Property::new("link", ValueType::Text, "Where to get it (`atom:link` in XML)"),
    ],
};
/// A group or organisation in short.
static NAMED_SUMMARY: ObjectSchema = ObjectSchema {
    name: "summary",
    description: "A group or organisation in short",
    properties: &[
        Property::new("id", ValueType::Integer, "Number"),
        Property::new("name", ValueType::Text, "Name"),
        Property::new("link", ValueType::Text, "Where to get it (`atom:link` in XML)"),
    ],
};

/// A group.
pub(super) static GROUP: ObjectSchema = ObjectSchema {
    name: "group",
    description: "A group of users",
    properties: &[
        Property::new("id", ValueType::Integer, "Number of the group"),
        Property::new("name", ValueType::Text, "Name").field(Field::Name).required(),
        Property::new("users", ValueType::List("user", &NUMBER), "Numbers of the members").response_only(),
        Property::new("users", ValueType::List("user", &TEXT), "Numbers and emails of the members")
            .field(Field::Members)
            .request_only(),
        Property::new("createddate", ValueType::Timestamp, "When created").response_only(),
    ],
};

/// Users to be added to a group.
static GROUP_MEMBERS: ObjectSchema = ObjectSchema {
    name: "groupmembers",
    description: "Users to be added to a group",
    properties: &[Property::new("users", ValueType::List("user", &TEXT), "Numbers and emails").required()],
};

/// An organisation.
pub(super) static ORGANIZATION: ObjectSchema = ObjectSchema {
    name: "organisation",
    description: "An organisation",
    properties: &[
        Property::new("id", ValueType::Integer, "Number of the organisation"),
        Property::new("name", ValueType::Text, "Name, unique").field(Field::Name).required(),
        Property::new("status", ValueType::Text, "`Active`, `Disabled`, `Suspended`, `Archived`").field(Field::Status),
        Property::new("autologin", ValueType::Boolean, "Kept as given"),
        Property::new("domains", ValueType::List("domain", &TEXT), "E-mail domains").field(Field::Domains),
        Property::new("homepage", ValueType::Integer, "Kept as given"),
        Property::new("guid", ValueType::Integer, "Kept as given"),
        Property::new("url", ValueType::Text, "Web site").field(Field::Url),
        Property::new("addresses", ValueType::List("address", &ValueType::Object(&ADDRESS)), "Office addresses")
            .field(Field::Addresses),
        Property::new("img", ValueType::Text, "URL of a picture").field(Field::Photo),
        Property::new("industry", ValueType::Integer, "Kept as given"),
        Property::new("category", ValueType::Integer, "Kept as given"),
        Property::new("keycontacts", ValueType::List("keycontact", &NUMBER), "Numbers of users"),
        Property::new("users", ValueType::List("user", &NUMBER), "Numbers of its users").response_only(),
    ],
};
static ADDRESS: ObjectSchema = ObjectSchema {
    name: "address",
    description: "An office address",
    properties: &[
        Property::new("addressid", ValueType::Integer, "Its number, unique over all organisations"),
        Property::new("isDefault", ValueType::Boolean, "Whether it is the default one"),
    ],
};
/// A domain to be added to an organisation.
static DOMAIN: ObjectSchema = ObjectSchema {
    name: "domain",
    description: "An e-mail domain",
    properties: &[Property::new("url", ValueType::Text, "The domain").required()],
};

const fn wrapped(name: &'static str, inner: &'static ObjectSchema) -> Property {
    Property::new(name, ValueType::Object(inner), "The one meant").required()
}

pub(super) static USER_BODY: ObjectSchema =
    ObjectSchema { name: "UserBody", description: "A user", properties: &[wrapped("user", &USER)] };
pub(super) static USER_SUMMARY_BODY: ObjectSchema = ObjectSchema {
    name: "UserSummaryBody",
    description: "A user in short",
    properties: &[wrapped("user", &USER_SUMMARY)],
};
pub(super) static GROUP_BODY: ObjectSchema =
    ObjectSchema { name: "GroupBody", description: "A group", properties: &[wrapped("group", &GROUP)] };
pub(super) static GROUP_MEMBERS_BODY: ObjectSchema = ObjectSchema {
    name: "GroupMembersBody",
    description: "Users to be added to a group",
    properties: &[wrapped("group", &GROUP_MEMBERS)],
};
pub(super) static GROUP_SUMMARY_BODY: ObjectSchema = ObjectSchema {
    name: "GroupSummaryBody",
    description: "A group in short",
    properties: &[wrapped("group", &NAMED_SUMMARY)],
};
pub(super) static ORGANIZATION_BODY: ObjectSchema = ObjectSchema {
    name: "OrganisationBody",
    description: "An organisation",
    properties: &[wrapped("organisation", &ORGANIZATION)],
};
pub(super) static ORGANIZATION_SUMMARY_BODY: ObjectSchema = ObjectSchema {
    name: "OrganisationSummaryBody",
    description: "An organisation in short",
    properties: &[wrapped("organisation", &NAMED_SUMMARY)],
};
pub(super) static DOMAIN_BODY: ObjectSchema =
    ObjectSchema { name: "DomainBody", description: "A domain", properties: &[wrapped("domain", &DOMAIN)] };
pub(super) static ORGANIZATION_GROUP_BODY: ObjectSchema = ObjectSchema {
    name: "OrganisationGroupBody",
    description: "A group of organisations",
    properties: &[wrapped("organisationgroup", &NAMED_SUMMARY)],
};

macro_rules! list {
    ($name:ident, $list:ident, $wire:literal, $list_wire:literal, $plural:literal, $item:expr) => {
        static $list: ObjectSchema = ObjectSchema {
            name: $list_wire,
            description: "Some of what was asked for, and how much there is",
            properties: &[
                Property::new("totalcount", ValueType::Integer, "All that match"),
                Property::new("total", ValueType::Integer, "In this answer"),
                Property::new("currentpage", ValueType::Integer, "`offset` divided by `limit`"),
                Property::new($plural, ValueType::List($plural, &ValueType::Object($item)), "The page"),
            ],
        };
        pub(super) static $name: ObjectSchema =
            ObjectSchema { name: $wire, description: "A list", properties: &[wrapped($plural, &$list)] };
    };
}
list!(USERS_BODY, USER_LIST, "UsersBody", "userlist", "users", &USER);
list!(GROUPS_BODY, GROUP_LIST, "GroupsBody", "grouplist", "groups", &GROUP);
list!(ORGANIZATIONS_BODY, ORGANIZATION_LIST, "OrganisationsBody", "organisationlist", "organisations", &ORGANIZATION);
list!(
    ORGANIZATION_GROUPS_BODY,
    ORGANIZATION_GROUP_LIST,
    "OrganisationGroupsBody",
    "organisationgrouplist",
    "organisationgroups",
    &NAMED_SUMMARY
);

static USER_KEYS: ObjectSchema = ObjectSchema {
    name: "userkeys",
    description: "Users by number or e-mail",
    properties: &[Property::new("user", ValueType::List("user", &TEXT), "Numbers and e-mails, mixed")],
};
/// Whom a bulk call means.
pub(super) static BULK_USERS: ObjectSchema =
    ObjectSchema { name: "BulkUsers", description: "Users", properties: &[wrapped("users", &USER_KEYS)] };
/// Who is asked in.
pub(super) static INVITATION: ObjectSchema = ObjectSchema {
    name: "Invitation",
    description: "People to be asked in by mail",
    properties: &[
        Property::new("emailAddress", ValueType::List("emailAddress", &TEXT), "Their e-mails").required(),
        Property::new("sendInvitationNow", ValueType::Boolean, "`true`, or left out: mails are not kept for later"),
    ],
};
static ORGANIZATION_KEYS: ObjectSchema = ObjectSchema {
    name: "organisationkeys",
    description: "Organisations by number or name",
    properties: &[Property::new("organisation", ValueType::List("organisation", &TEXT), "Numbers and names, mixed")],
};
/// Which organisations a bulk call means.
pub(super) static BULK_ORGANIZATIONS: ObjectSchema = ObjectSchema {
    name: "BulkOrganisations",
    description: "Organisations",
    properties: &[wrapped("organisations", &ORGANIZATION_KEYS)],
};

pub(super) static ERROR: ObjectSchema =
    ObjectSchema { name: "ErrorBody", description: "What went wrong", properties: &[wrapped("error", &ERROR_INNER)] };
static ERROR_INNER: ObjectSchema = ObjectSchema {
    name: "error",
    description: "What went wrong",
    properties: &[
        Property::new("summary", ValueType::Text, "A sentence"),
        Property::new("ref", ValueType::Integer, "A number for programs"),
        Property::new("link", ValueType::Text, "Where this error is known under its own number"),
    ],
};
