//! What travels: every attribute of RFC 7643 and of our extension, one row each.
//!
//! These rows are the only place that says what type an attribute has, who may set it, when it is returned and how it
//! is compared. Readers, writers, PATCH, filters, `/Schemas` and the OpenAPI document all walk them. A row's field
//! is the canonical field behind it; for the sub-attributes of a plural it is the part of one value.

use crate::kit::{Kind, Member, Record};
use directory::Field;

/// A schema: a record under a URN.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) urn: &'static str,
    pub(super) record: &'static Record,
}

/// A type of resources (RFC 7643 section 6).
#[derive(Debug)]
pub(super) struct Resource {
    pub(super) name: &'static str,
    pub(super) endpoint: &'static str,
    pub(super) schema: &'static Schema,
    pub(super) extensions: &'static [&'static Schema],
}

pub(super) static USERS: Resource = Resource {
    name: "User",
    endpoint: "/Users",
    schema: &USER_SCHEMA,
    extensions: &[&ENTERPRISE_SCHEMA, &MORE_SCHEMA],
};
pub(super) static GROUPS: Resource =
    Resource { name: "Group", endpoint: "/Groups", schema: &GROUP_SCHEMA, extensions: &[] };

pub(super) static USER_SCHEMA: Schema =
    Schema { urn: "urn:ietf:params:scim:schemas:core:2.0:User", record: &USER };
pub(super) static GROUP_SCHEMA: Schema =
    Schema { urn: "urn:ietf:params:scim:schemas:core:2.0:Group", record: &GROUP };
pub(super) static ENTERPRISE_SCHEMA: Schema =
    Schema { urn: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", record: &ENTERPRISE };
/// What only other dialects have, so that nothing of a person is invisible or lost here.
pub(super) static MORE_SCHEMA: Schema =
    Schema { urn: "urn:muster:params:scim:schemas:extension:2.0:User", record: &MORE };

/// Every schema, in the order `/Schemas` lists them.
pub(super) static SCHEMAS: [&Schema; 4] = [&USER_SCHEMA, &GROUP_SCHEMA, &ENTERPRISE_SCHEMA, &MORE_SCHEMA];

const fn complex(name: &'static str, record: &'static Record, about: &'static str) -> Member {
    Member::of(name, Kind::Object(record), about)
}
const fn plural(name: &'static str, field: Field, kind: &'static Kind, about: &'static str) -> Member {
    Member::of(name, Kind::List(name, kind), about).field(field)
}
const fn boolean(name: &'static str, field: Field, about: &'static str) -> Member {
    Member::of(name, Kind::Boolean, about).field(field)
}
const fn moment(name: &'static str, field: Field, about: &'static str) -> Member {
    Member::of(name, Kind::Moment, about).field(field).only_out()
}
/// Pairs as lines of one text (`lines.rs`).
const fn pairs(name: &'static str, field: Field, about: &'static str) -> Member {
    Member::text(name, field, about).exact().unfiltered()
}
/// Where the thing is that a value names.
const fn location(of: &'static [&'static str]) -> Member {
    Member::of("$ref", Kind::Reference(of), "Where it is").exact().unfiltered()
}

/// What every resource has (RFC 7643 section 3.1); not part of a schema.
pub(super) static COMMON: Record = Record {
    name: "common",
    about: "What every resource has",
    members: &[
        Member::of("schemas", Kind::List("schemas", &Kind::Reference(&["uri"])), "The schemas that are used")
            .exact()
            .always(),
        Member::text("id", Field::Id, "Identity, given by the server").exact().always().only_out(),
        Member::text("externalId", Field::ExternalId, "The client's own key").exact(),
        complex("meta", &META, "About the resource itself").only_out(),
    ],
};
pub(super) static META: Record = Record {
    name: "meta",
    about: "About the resource itself",
    members: &[
        Member::of("resourceType", Kind::Text, "Its type").exact().only_out(),
        moment("created", Field::Created, "When it was made"),
        moment("lastModified", Field::Updated, "When it last changed"),
        Member::of("location", Kind::Reference(&["uri"]), "Where it is").exact().unfiltered().only_out(),
        Member::of("version", Kind::Text, "Its version, as an ETag").exact().unfiltered().only_out(),
    ],
};

/// What a record has besides its own members.
pub(super) fn common(record: &Record) -> Vec<Member> {
    let Some(resource) = [&USERS, &GROUPS].into_iter().find(|r| r.schema.record.name == record.name) else {
        return Vec::new();
    };
    let extension = |schema: &&Schema| complex(schema.urn, schema.record, schema.record.about);
    COMMON.members.iter().copied().chain(resource.extensions.iter().map(extension)).collect()
}

/// RFC 7643 section 4.1.
pub(super) static USER: Record = Record {
    name: "User",
    about: "A person",
    members: &[
        Member::text("userName", Field::UserName, "What the person signs in with, in any case")
            .required()
            .unique(),
        complex("name", &NAME, "The parts of the name"),
        Member::text(
            "displayName",
            Field::DisplayName,
            "What the person is called where there is room for one name",
        ),
        Member::text("nickName", Field::NickName, "What friends call the person"),
        Member::of("profileUrl", Kind::Reference(&["external"]), "The person's page")
            .field(Field::ProfileUrl)
            .exact(),
        Member::text("title", Field::Title, "Job title"),
        Member::text("userType", Field::UserType, "How the person belongs to the company"),
        Member::text("preferredLanguage", Field::PreferredLanguage, "As in `Accept-Language`"),
        Member::text("locale", Field::Locale, "For dates, numbers and money"),
        Member::text("timezone", Field::TimeZone, "Time zone"),
        boolean("active", Field::Active, "Whether the person is switched on"),
        Member::of("password", Kind::Text, "The password; never shown")
            .field(Field::Password)
            .exact()
            .only_in(),
        plural(
            "emails",
            Field::Emails,
            &Kind::Object(&EMAIL),
            "E-mails; other dialects show the primary one",
        ),
        plural("phoneNumbers", Field::Phones, &Kind::Object(&PHONE), "Phone numbers"),
        plural("ims", Field::MessagingLinks, &Kind::Object(&IM), "Messaging handles"),
        plural("photos", Field::Photos, &Kind::Object(&PHOTO), "Pictures"),
        plural("addresses", Field::PostalAddresses, &Kind::Object(&ADDRESS), "Postal addresses"),
        plural("groups", Field::Groups, &Kind::Object(&MEMBERSHIP), "Groups the person is in").only_out(),
        plural("entitlements", Field::Entitlements, &Kind::Object(&VALUED), "What the person is entitled to"),
        plural(
            "roles",
            Field::Roles,
            &Kind::Object(&ROLE),
            "Roles; the first that the tenant's catalogue knows counts",
        ),
        plural("x509Certificates", Field::Certificates, &Kind::Object(&CERTIFICATE), "Certificates"),
    ],
};

static NAME: Record = Record {
    name: "name",
    about: "The parts of a name",
    members: &[
        Member::text("formatted", Field::FormattedName, "All of it in one"),
        Member::text("familyName", Field::FamilyName, "Last name"),
        Member::text("givenName", Field::GivenName, "First name"),
        Member::text("middleName", Field::MiddleName, "Middle name"),
        Member::text("honorificPrefix", Field::HonorificPrefix, "`Dr`, `Ms`"),
        Member::text("honorificSuffix", Field::HonorificSuffix, "`III`, `Jr`"),
    ],
};

const VALUE: Member = Member::text("value", Field::Value, "The value").required();
const DISPLAY: Member = Member::text("display", Field::Display, "How to show it");
const TYPE: Member = Member::text("type", Field::Kind, "What sort of value it is");
const PRIMARY: Member = boolean("primary", Field::Primary, "Whether it is the preferred one");

static EMAIL: Record = Record {
    name: "emails",
    about: "An e-mail",
    members: &[VALUE.unique(), DISPLAY, TYPE.words(&["work", "home", "other"]), PRIMARY],
};
static PHONE: Record = Record {
    name: "phoneNumbers",
    about: "A phone number",
    members: &[VALUE, DISPLAY, TYPE.words(&["work", "home", "mobile", "fax", "pager", "other"]), PRIMARY],
};
static IM: Record = Record {
    name: "ims",
    about: "A messaging handle",
    members: &[
        VALUE,
        DISPLAY,
        // What other dialects call the name of a link.
        Member::text("type", Field::Name, "Of which service")
            .words(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]),
        PRIMARY,
    ],
};
static PHOTO: Record = Record {
    name: "photos",
    about: "A picture",
    members: &[
        Member::of("value", Kind::Reference(&["external"]), "Its URL").field(Field::Value).exact().required(),
        DISPLAY,
        TYPE.words(&["photo", "thumbnail"]),
        PRIMARY,
    ],
};
static ADDRESS: Record = Record {
    name: "addresses",
    about: "A postal address",
    members: &[
        Member::text("formatted", Field::Formatted, "As on an envelope"),
        Member::text(
            "streetAddress",
            Field::AddressLine1,
            "Street and house; a line break parts the two lines that other APIs have",
        ),
        Member::text("locality", Field::City, "City"),
        Member::text("region", Field::Region, "State or region"),
        Member::text("postalCode", Field::PostalCode, "Postal code"),
        Member::text("country", Field::Country, "Country"),
        TYPE.words(&["work", "home", "other"]),
        PRIMARY,
    ],
};
static MEMBERSHIP: Record = Record {
    name: "groups",
    about: "A group the person is in",
    members: &[
        Member::text("value", Field::Value, "Its id").exact().only_out(),
        location(&["Group"]).only_out(),
        Member::text("display", Field::Display, "Its name").only_out(),
        Member::of("type", Kind::Text, "`direct`: groups are in no groups")
            .unfiltered()
            .words(&["direct"])
            .only_out(),
    ],
};
static VALUED: Record =
    Record { name: "entitlements", about: "An entitlement", members: &[VALUE, DISPLAY, TYPE, PRIMARY] };
pub(super) static ROLE: Record =
    Record { name: "roles", about: "A role", members: &[VALUE, DISPLAY, TYPE, PRIMARY] };
static CERTIFICATE: Record = Record {
    name: "x509Certificates",
    about: "A certificate",
    members: &[
        Member::of("value", Kind::Binary, "The certificate in DER").field(Field::Value).exact().required(),
        DISPLAY,
        TYPE,
        PRIMARY,
    ],
};

/// RFC 7643 section 4.3.
pub(super) static ENTERPRISE: Record = Record {
    name: "EnterpriseUser",
    about: "A person in a company",
    members: &[
        Member::text("employeeNumber", Field::EmployeeNumber, "Number in the company's books"),
        Member::text("costCenter", Field::CostCenter, "Cost centre"),
        Member::text("organization", Field::Organization, "Organisation; made when no such one is known"),
        Member::text("division", Field::Division, "Division"),
        Member::text("department", Field::Department, "Department; entered in the tenant's catalogue"),
        complex("manager", &MANAGER, "The person's manager"),
    ],
};
pub(super) static MANAGER: Record = Record {
    name: "manager",
    about: "A person's manager",
    members: &[
        Member::text("value", Field::Manager, "The manager's id").exact(),
        location(&["User"]),
        Member::of("displayName", Kind::Text, "The manager's name").unfiltered().only_out(),
    ],
};

/// Our own extension.
pub(super) static MORE: Record = Record {
    name: "MusterUser",
    about: "What a person has over other APIs",
    members: &[
        Member::of("number", Kind::Integer, "Number in the tenant, ascending")
            .field(Field::Number)
            .only_out()
            .on_request(),
        Member::text("status", Field::Status, "`invited`, `active`, `suspended`, `inactive` or `archived`")
            .only_out()
            .on_request(),
        Member::of("office", Kind::Integer, "Number of an address of the organisation").field(Field::Office),
        pairs("socialLinks", Field::SocialLinks, "Social links: `name=value`, a line each"),
        pairs("customLinks", Field::CustomLinks, "Other links: `name=value`, a line each"),
        Member::text("secretaryName", Field::SecretaryName, "The secretary's name"),
        Member::text("secretaryEmail", Field::SecretaryEmail, "The secretary's e-mail"),
        Member::text("bio", Field::Bio, "A few words about the person"),
        Member::text("source", Field::Source, "Which system the person came from"),
        Member::text("specialities", Field::Specialties, "What the person is good at"),
        Member::text("licence", Field::License, "Kind of licence"),
        Member::text("color", Field::Color, "A colour for lists"),
        pairs("metadata", Field::Metadata, "Free pairs: `key=value`, a line each"),
        boolean("doNotEmail", Field::DoNotEmail, "No invitation mail is wanted"),
        boolean(
            "forcePasswordChange",
            Field::ForcePasswordChange,
            "The password must be changed at next sign-in",
        ),
        plural("folders", Field::Folders, &Kind::Object(&FOLDER), "Folders the person may see").only_out(),
        moment("invited", Field::Invited, "When last invited"),
        moment("lastActivity", Field::LastActivity, "When last seen"),
    ],
};
static FOLDER: Record = Record {
    name: "folder",
    about: "A folder",
    members: &[
        Member::text("value", Field::Value, "Its id").exact().only_out(),
        Member::text("display", Field::Display, "Its name").only_out(),
    ],
};

/// RFC 7643 section 4.2.
pub(super) static GROUP: Record = Record {
    name: "Group",
    about: "A group of people",
    members: &[
        Member::text("displayName", Field::Name, "What it is called").required(),
        plural("members", Field::Members, &Kind::Object(&MEMBER), "Who is in it"),
    ],
};
static MEMBER: Record = Record {
    name: "members",
    about: "Somebody in a group",
    members: &[
        Member::text("value", Field::Value, "The person's id").exact().fixed(),
        location(&["User"]).fixed(),
        Member::of("type", Kind::Text, "`User`: groups hold people").unfiltered().fixed().words(&["User"]),
    ],
};
