//! Types and members, as in the API's own documents.

use crate::kit::{ObjectSchema, Property, ValueType};
use directory::Field;

const fn complex(name: &'static str, object_schema: &'static ObjectSchema, description: &'static str) -> Property {
    Property::new(name, ValueType::Object(object_schema), description)
}
const NUMBER: ValueType = ValueType::Integer;
const TEXT: ValueType = ValueType::Text;

pub(super) static USER: ObjectSchema = ObjectSchema::of_user(
    "user",
    "A user",
    &[
        Property::new("id", ValueType::Integer, "Number of the user").field(Field::Number),
        complex("name", &NAME, "Components of the name"),
        Property::text("externalid", Field::ExternalId, "Id in an external system"),
        Property::text("email", Field::Email, "Email, unique within the tenant").required(),
        Property::text("phone", Field::WorkPhone, "Phone"),
        Property::text("mobile", Field::MobilePhone, "Mobile phone"),
        Property::text("jobtitle", Field::Title, "Job title"),
        Property::new("department", ValueType::Text, "Name of the department").field(Field::Department),
        Property::new("status", ValueType::Text, "`active`, `disable`, `suspended`, `archive`; `pending` in responses")
            .field(Field::Status),
        complex("organisation", &USER_ORGANIZATION, "Organization of the user; created if its name is new")
            .field(Field::Organization),
        complex("location", &LOCATION, "Work address"),
        Property::text("img", Field::Photo, "URL of a picture"),
        complex("sociallinks", &LINKS, "Social links").field(Field::SocialLinks),
        complex("customlinks", &LINKS, "Other links").field(Field::CustomLinks),
        complex("messaginglinks", &LINKS, "Instant messaging addresses").field(Field::MessagingLinks),
        Property::text("secretaryname", Field::SecretaryName, "Name of the secretary"),
        Property::text("secretarymail", Field::SecretaryEmail, "Email of the secretary"),
        Property::text("bio", Field::Bio, "Short biography"),
        Property::text("sourcetype", Field::Source, "Source system"),
        Property::text("specialities", Field::Specialties, "Specialties, comma-separated"),
        Property::new("invited", ValueType::Timestamp, "Time of the last invitation").response_only(),
        Property::new("lastlogin", ValueType::Timestamp, "Time of the last activity").response_only(),
        Property::new("created", ValueType::Timestamp, "Time of creation").response_only(),
        Property::new("updated", ValueType::Timestamp, "Time of the last change").response_only(),
    ],
);

pub(super) static NAME: ObjectSchema = ObjectSchema::of_user(
    "name",
    "Components of a name",
    &[
        Property::text("firstname", Field::GivenName, "First name").max_length(100).required(),
        Property::text("lastname", Field::FamilyName, "Last name"),
        Property::text("title", Field::HonorificPrefix, "Title"),
    ],
);

pub(super) static LOCATION: ObjectSchema = ObjectSchema::of_user(
    "location",
    "A work address",
    &[
        Property::text("addressline1", Field::AddressLine1, "First line"),
        Property::text("addressline2", Field::AddressLine2, "Second line"),
        Property::text("city", Field::City, "City"),
        Property::text("country", Field::Country, "Country"),
        Property::text("postcode", Field::PostalCode, "Postal code"),
    ],
);

pub(super) static USER_ORGANIZATION: ObjectSchema = ObjectSchema {
    name: "userorganisation",
    description: "The organization of a user",
    properties: &[
        Property::new("orgname", ValueType::Text, "Name of the organization"),
        Property::new("orgid", ValueType::Integer, "Number of the organization"),
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
        Property::new("name", ValueType::Text, "Name of the link"),
        Property::new("value", ValueType::Text, "Target of the link"),
    ],
};

static USER_SUMMARY: ObjectSchema = ObjectSchema {
    name: "usersummary",
    description: "Summary of a user",
    properties: &[
        Property::new("id", ValueType::Integer, "Number"),
        Property::new("email", ValueType::Text, "Email"),
        Property::new("link", ValueType::Text, "URL of the resource (`atom:link` in XML)"),
    ],
};
static NAMED_SUMMARY: ObjectSchema = ObjectSchema {
    name: "summary",
    description: "Summary of a group or organization",
    properties: &[
        Property::new("id", ValueType::Integer, "Number"),
        Property::new("name", ValueType::Text, "Name"),
        Property::new("link", ValueType::Text, "URL of the resource (`atom:link` in XML)"),
    ],
};

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
        Property::new("createddate", ValueType::Timestamp, "Time of creation").response_only(),
    ],
};

static GROUP_MEMBERS: ObjectSchema = ObjectSchema {
    name: "groupmembers",
    description: "Users to add to a group",
    properties: &[Property::new("users", ValueType::List("user", &TEXT), "Numbers and emails").required()],
};

pub(super) static ORGANIZATION: ObjectSchema = ObjectSchema {
    name: "organisation",
    description: "An organization",
    properties: &[
        Property::new("id", ValueType::Integer, "Number of the organization"),
        Property::new("name", ValueType::Text, "Name, unique").field(Field::Name).required(),
        Property::new("status", ValueType::Text, "`Active`, `Disabled`, `Suspended`, `Archived`").field(Field::Status),
        Property::new("autologin", ValueType::Boolean, "Stored as sent"),
        Property::new("domains", ValueType::List("domain", &TEXT), "Email domains").field(Field::Domains),
        Property::new("homepage", ValueType::Integer, "Stored as sent"),
        Property::new("guid", ValueType::Integer, "Stored as sent"),
        Property::new("url", ValueType::Text, "Website").field(Field::Url),
        Property::new("addresses", ValueType::List("address", &ValueType::Object(&ADDRESS)), "Office addresses")
            .field(Field::OfficeNumbers),
        Property::new("img", ValueType::Text, "URL of a picture").field(Field::Photo),
        Property::new("industry", ValueType::Integer, "Stored as sent"),
        Property::new("category", ValueType::Integer, "Stored as sent"),
        Property::new("keycontacts", ValueType::List("keycontact", &NUMBER), "Numbers of users"),
        Property::new("users", ValueType::List("user", &NUMBER), "Numbers of its users").response_only(),
    ],
};
static ADDRESS: ObjectSchema = ObjectSchema {
    name: "address",
    description: "An office address",
    properties: &[
        Property::new("addressid", ValueType::Integer, "Number, unique across organizations"),
        Property::new("isDefault", ValueType::Boolean, "Whether it is the default address"),
    ],
};
static DOMAIN: ObjectSchema = ObjectSchema {
    name: "domain",
    description: "An email domain",
    properties: &[Property::new("url", ValueType::Text, "Name of the domain").required()],
};

const fn wrapped(name: &'static str, inner: &'static ObjectSchema) -> Property {
    Property::new(name, ValueType::Object(inner), "The content").required()
}

pub(super) static USER_BODY: ObjectSchema =
    ObjectSchema { name: "UserBody", description: "A user", properties: &[wrapped("user", &USER)] };
pub(super) static USER_SUMMARY_BODY: ObjectSchema = ObjectSchema {
    name: "UserSummaryBody",
    description: "Summary of a user",
    properties: &[wrapped("user", &USER_SUMMARY)],
};
pub(super) static GROUP_BODY: ObjectSchema =
    ObjectSchema { name: "GroupBody", description: "A group", properties: &[wrapped("group", &GROUP)] };
pub(super) static GROUP_MEMBERS_BODY: ObjectSchema = ObjectSchema {
    name: "GroupMembersBody",
    description: "Users to add to a group",
    properties: &[wrapped("group", &GROUP_MEMBERS)],
};
pub(super) static GROUP_SUMMARY_BODY: ObjectSchema = ObjectSchema {
    name: "GroupSummaryBody",
    description: "Summary of a group",
    properties: &[wrapped("group", &NAMED_SUMMARY)],
};
pub(super) static ORGANIZATION_BODY: ObjectSchema = ObjectSchema {
    name: "OrganisationBody",
    description: "An organization",
    properties: &[wrapped("organisation", &ORGANIZATION)],
};
pub(super) static ORGANIZATION_SUMMARY_BODY: ObjectSchema = ObjectSchema {
    name: "OrganisationSummaryBody",
    description: "Summary of an organization",
    properties: &[wrapped("organisation", &NAMED_SUMMARY)],
};
pub(super) static DOMAIN_BODY: ObjectSchema =
    ObjectSchema { name: "DomainBody", description: "A domain", properties: &[wrapped("domain", &DOMAIN)] };
pub(super) static ORGANIZATION_GROUP_BODY: ObjectSchema = ObjectSchema {
    name: "OrganisationGroupBody",
    description: "An organization group",
    properties: &[wrapped("organisationgroup", &NAMED_SUMMARY)],
};

macro_rules! list {
    ($name:ident, $list:ident, $wire:literal, $list_wire:literal, $plural:literal, $item:expr) => {
        static $list: ObjectSchema = ObjectSchema {
            name: $list_wire,
            description: "A page of results",
            properties: &[
                Property::new("totalcount", ValueType::Integer, "Number of results in all pages"),
                Property::new("total", ValueType::Integer, "Number of results in this page"),
                Property::new("currentpage", ValueType::Integer, "`offset` divided by `limit`"),
                Property::new($plural, ValueType::List($plural, &ValueType::Object($item)), "Results of this page"),
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
    description: "Users by number or email",
    properties: &[Property::new("user", ValueType::List("user", &TEXT), "Numbers and emails")],
};
pub(super) static BULK_USERS: ObjectSchema =
    ObjectSchema { name: "BulkUsers", description: "Users", properties: &[wrapped("users", &USER_KEYS)] };
pub(super) static INVITATION: ObjectSchema = ObjectSchema {
    name: "Invitation",
    description: "Users to invite by email",
    properties: &[
        Property::new("emailAddress", ValueType::List("emailAddress", &TEXT), "Emails of the users").required(),
        Property::new("sendInvitationNow", ValueType::Boolean, "`true` or omitted; invitations cannot be scheduled"),
    ],
};
static ORGANIZATION_KEYS: ObjectSchema = ObjectSchema {
    name: "organisationkeys",
    description: "Organizations by number or name",
    properties: &[Property::new("organisation", ValueType::List("organisation", &TEXT), "Numbers and names")],
};
pub(super) static BULK_ORGANIZATIONS: ObjectSchema = ObjectSchema {
    name: "BulkOrganisations",
    description: "Organizations",
    properties: &[wrapped("organisations", &ORGANIZATION_KEYS)],
};

pub(super) static ERROR: ObjectSchema =
    ObjectSchema { name: "ErrorBody", description: "An error", properties: &[wrapped("error", &ERROR_INNER)] };
static ERROR_INNER: ObjectSchema = ObjectSchema {
    name: "error",
    description: "An error",
    properties: &[
        Property::new("summary", ValueType::Text, "Error message"),
        Property::new("ref", ValueType::Integer, "Error number"),
        Property::new("link", ValueType::Text, "URL that ends in the request id"),
    ],
};
