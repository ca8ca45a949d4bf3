//! What travels: every attribute of RFC 7643 and of our extension, one row each.
//!
//! These rows are the only place that says what type an attribute has, who may set it, when it is returned and how it
//! is compared. Readers, writers, PATCH, filters, `/Schemas` and the OpenAPI document all walk them. A row's field
//! is the canonical field behind it; for the sub-attributes of a plural it is the part of one value.

use crate::kit::{ObjectSchema, Property, ValueType};
use directory::Field;

/// A schema: a record under a URN.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) urn: &'static str,
    pub(super) object_schema: &'static ObjectSchema,
}

/// A type of resources (RFC 7643 section 6).
#[derive(Debug)]
pub(super) struct ResourceType {
    pub(super) name: &'static str,
    pub(super) endpoint: &'static str,
    pub(super) schema: &'static Schema,
    pub(super) extensions: &'static [&'static Schema],
}

pub(super) static USER_TYPE: ResourceType = ResourceType {
    name: "User",
    endpoint: "/Users",
    schema: &USER_SCHEMA,
    extensions: &[&ENTERPRISE_SCHEMA, &MUSTER_SCHEMA],
};
pub(super) static GROUP_TYPE: ResourceType =
    ResourceType { name: "Group", endpoint: "/Groups", schema: &GROUP_SCHEMA, extensions: &[] };

pub(super) static USER_SCHEMA: Schema =
    Schema { urn: "urn:ietf:params:scim:schemas:core:2.0:User", object_schema: &USER };
pub(super) static GROUP_SCHEMA: Schema =
    Schema { urn: "urn:ietf:params:scim:schemas:core:2.0:Group", object_schema: &GROUP };
pub(super) static ENTERPRISE_SCHEMA: Schema =
    Schema { urn: "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User", object_schema: &ENTERPRISE_USER };
/// What only other dialects have, so that nothing of a person is invisible or lost here.
pub(super) static MUSTER_SCHEMA: Schema =
    Schema { urn: "urn:muster:params:scim:schemas:extension:2.0:User", object_schema: &MUSTER_USER };

/// Every schema, in the order `/Schemas` lists them.
pub(super) static SCHEMAS: [&Schema; 4] = [&USER_SCHEMA, &GROUP_SCHEMA, &ENTERPRISE_SCHEMA, &MUSTER_SCHEMA];

const fn complex(name: &'static str, object_schema: &'static ObjectSchema, description: &'static str) -> Property {
    Property::new(name, ValueType::Object(object_schema), description)
}
const fn multi_valued(
    name: &'static str,
    field: Field,
    kind: &'static ValueType,
    description: &'static str,
) -> Property {
    Property::new(name, ValueType::List(name, kind), description).field(field)
}
const fn boolean(name: &'static str, field: Field, description: &'static str) -> Property {
    Property::new(name, ValueType::Boolean, description).field(field)
}
const fn timestamp(name: &'static str, field: Field, description: &'static str) -> Property {
    Property::new(name, ValueType::Timestamp, description).field(field).response_only()
}
/// Pairs as lines of one text (`lines.rs`).
const fn pairs_text(name: &'static str, field: Field, description: &'static str) -> Property {
    Property::text(name, field, description).case_exact().not_filterable()
}
/// Where the thing is that a value names.
const fn reference_uri(of: &'static [&'static str]) -> Property {
    Property::new("$ref", ValueType::Reference(of), "Where it is").case_exact().not_filterable()
}

/// What every resource has (RFC 7643 section 3.1); not part of a schema.
pub(super) static COMMON_ATTRIBUTES: ObjectSchema = ObjectSchema {
    name: "common",
    description: "What every resource has",
    properties: &[
        Property::new(
            "schemas",
            ValueType::List("schemas", &ValueType::Reference(&["uri"])),
            "The schemas that are used",
        )
        .case_exact()
        .always_returned(),
        Property::text("id", Field::Id, "Identity, given by the server").case_exact().always_returned().response_only(),
        Property::text("externalId", Field::ExternalId, "The client's own key").case_exact(),
        complex("meta", &META, "About the resource itself").response_only(),
    ],
};
pub(super) static META: ObjectSchema = ObjectSchema {
    name: "meta",
    description: "About the resource itself",
    properties: &[
        Property::new("resourceType", ValueType::Text, "Its type").case_exact().response_only(),
        timestamp("created", Field::Created, "When it was made"),
        timestamp("lastModified", Field::Updated, "When it last changed"),
        Property::new("location", ValueType::Reference(&["uri"]), "Where it is")
            .case_exact()
            .not_filterable()
            .response_only(),
        Property::new("version", ValueType::Text, "Its version, as an ETag")
            .case_exact()
            .not_filterable()
            .response_only(),
    ],
};

/// What a record has besides its own members.
pub(super) fn common_properties(object_schema: &ObjectSchema) -> Vec<Property> {
    let Some(resource) =
        [&USER_TYPE, &GROUP_TYPE].into_iter().find(|r| r.schema.object_schema.name == object_schema.name)
    else {
        return Vec::new();
    };
    let extension = |schema: &&Schema| complex(schema.urn, schema.object_schema, schema.object_schema.description);
    COMMON_ATTRIBUTES.properties.iter().copied().chain(resource.extensions.iter().map(extension)).collect()
}

/// RFC 7643 section 4.1.
pub(super) static USER: ObjectSchema = ObjectSchema {
    name: "User",
    description: "A person",
    properties: &[
        Property::text("userName", Field::UserName, "What the person signs in with, in any case").required().unique(),
        complex("name", &NAME, "The parts of the name"),
        Property::text("displayName", Field::DisplayName, "What the person is called where there is room for one name"),
        Property::text("nickName", Field::NickName, "What friends call the person"),
        Property::new("profileUrl", ValueType::Reference(&["external"]), "The person's page")
            .field(Field::ProfileUrl)
            .case_exact(),
        Property::text("title", Field::Title, "Job title"),
        Property::text("userType", Field::UserType, "How the person belongs to the company"),
        Property::text("preferredLanguage", Field::PreferredLanguage, "As in `Accept-Language`"),
        Property::text("locale", Field::Locale, "For dates, numbers and money"),
        Property::text("timezone", Field::TimeZone, "Time zone"),
        boolean("active", Field::Active, "Whether the person is switched on"),
        Property::new("password", ValueType::Text, "The password; never shown")
            .field(Field::Password)
            .case_exact()
            .request_only(),
        multi_valued(
            "emails",
            Field::Emails,
            &ValueType::Object(&EMAIL),
            "E-mails; other dialects show the primary one",
        ),
        multi_valued("phoneNumbers", Field::Phones, &ValueType::Object(&PHONE), "Phone numbers"),
        multi_valued("ims", Field::MessagingLinks, &ValueType::Object(&IM), "Messaging handles"),
        multi_valued("photos", Field::Photos, &ValueType::Object(&PHOTO), "Pictures"),
        multi_valued("addresses", Field::PostalAddresses, &ValueType::Object(&ADDRESS), "Postal addresses"),
        multi_valued("groups", Field::Groups, &ValueType::Object(&MEMBERSHIP), "Groups the person is in")
            .response_only(),
        multi_valued(
            "entitlements",
            Field::Entitlements,
            &ValueType::Object(&ENTITLEMENT),
            "What the person is entitled to",
        ),
        multi_valued(
            "roles",
            Field::Roles,
            &ValueType::Object(&ROLE),
            "Roles; the first that the tenant's catalogue knows counts",
        ),
        multi_valued("x509Certificates", Field::Certificates, &ValueType::Object(&CERTIFICATE), "Certificates"),
    ],
};

static NAME: ObjectSchema = ObjectSchema {
    name: "name",
    description: "The parts of a name",
    properties: &[
        Property::text("formatted", Field::FormattedName, "All of it in one"),
        Property::text("familyName", Field::FamilyName, "Last name"),
        Property::text("givenName", Field::GivenName, "First name"),
        Property::text("middleName", Field::MiddleName, "Middle name"),
        Property::text("honorificPrefix", Field::HonorificPrefix, "`Dr`, `Ms`"),
        Property::text("honorificSuffix", Field::HonorificSuffix, "`III`, `Jr`"),
    ],
};

const VALUE: Property = Property::text("value", Field::Value, "The value").required();
const DISPLAY: Property = Property::text("display", Field::Display, "How to show it");
const TYPE: Property = Property::text("type", Field::Kind, "What sort of value it is");
const PRIMARY: Property = boolean("primary", Field::Primary, "Whether it is the preferred one");

static EMAIL: ObjectSchema = ObjectSchema {
    name: "emails",
    description: "An e-mail",
    properties: &[VALUE.unique(), DISPLAY, TYPE.canonical_values(&["work", "home", "other"]), PRIMARY],
};
static PHONE: ObjectSchema = ObjectSchema {
    name: "phoneNumbers",
    description: "A phone number",
    properties: &[VALUE, DISPLAY, TYPE.canonical_values(&["work", "home", "mobile", "fax", "pager", "other"]), PRIMARY],
};
static IM: ObjectSchema = ObjectSchema {
    name: "ims",
    description: "A messaging handle",
    properties: &[
        VALUE,
        DISPLAY,
        // What other dialects call the name of a link.
        Property::text("type", Field::Name, "Of which service")
            .canonical_values(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]),
        PRIMARY,
    ],
};
static PHOTO: ObjectSchema = ObjectSchema {
    name: "photos",
    description: "A picture",
    properties: &[
        Property::new("value", ValueType::Reference(&["external"]), "Its URL")
            .field(Field::Value)
            .case_exact()
            .required(),
        DISPLAY,
        TYPE.canonical_values(&["photo", "thumbnail"]),
        PRIMARY,
    ],
};
static ADDRESS: ObjectSchema = ObjectSchema {
    name: "addresses",
    description: "A postal address",
    properties: &[
        Property::text("formatted", Field::Formatted, "As on an envelope"),
        Property::text(
            "streetAddress",
            Field::AddressLine1,
            "Street and house; a line break parts the two lines that other APIs have",
        ),
        Property::text("locality", Field::City, "City"),
        Property::text("region", Field::Region, "State or region"),
        Property::text("postalCode", Field::PostalCode, "Postal code"),
        Property::text("country", Field::Country, "Country"),
        TYPE.canonical_values(&["work", "home", "other"]),
        PRIMARY,
    ],
};
static MEMBERSHIP: ObjectSchema = ObjectSchema {
    name: "groups",
    description: "A group the person is in",
    properties: &[
        Property::text("value", Field::Value, "Its id").case_exact().response_only(),
        reference_uri(&["Group"]).response_only(),
        Property::text("display", Field::Display, "Its name").response_only(),
        Property::new("type", ValueType::Text, "`direct`: groups are in no groups")
            .not_filterable()
            .canonical_values(&["direct"])
            .response_only(),
    ],
};
static ENTITLEMENT: ObjectSchema =
    ObjectSchema { name: "entitlements", description: "An entitlement", properties: &[VALUE, DISPLAY, TYPE, PRIMARY] };
pub(super) static ROLE: ObjectSchema =
    ObjectSchema { name: "roles", description: "A role", properties: &[VALUE, DISPLAY, TYPE, PRIMARY] };
static CERTIFICATE: ObjectSchema = ObjectSchema {
    name: "x509Certificates",
    description: "A certificate",
    properties: &[
        Property::new("value", ValueType::Binary, "The certificate in DER").field(Field::Value).case_exact().required(),
        DISPLAY,
        TYPE,
        PRIMARY,
    ],
};

/// RFC 7643 section 4.3.
pub(super) static ENTERPRISE_USER: ObjectSchema = ObjectSchema {
    name: "EnterpriseUser",
    description: "A person in a company",
    properties: &[
        Property::text("employeeNumber", Field::EmployeeNumber, "Number in the company's books"),
        Property::text("costCenter", Field::CostCenter, "Cost centre"),
        Property::text("organization", Field::Organization, "Organisation; made when no such one is known"),
        Property::text("division", Field::Division, "Division"),
        Property::text("department", Field::Department, "Department; entered in the tenant's catalogue"),
        complex("manager", &MANAGER, "The person's manager"),
    ],
};
pub(super) static MANAGER: ObjectSchema = ObjectSchema {
    name: "manager",
    description: "A person's manager",
    properties: &[
        Property::text("value", Field::Manager, "The manager's id").case_exact(),
        reference_uri(&["User"]),
        Property::new("displayName", ValueType::Text, "The manager's name").not_filterable().response_only(),
    ],
};

/// Our own extension.
pub(super) static MUSTER_USER: ObjectSchema = ObjectSchema {
    name: "MusterUser",
    description: "What a person has over other APIs",
    properties: &[
        Property::new("number", ValueType::Integer, "Number in the tenant, ascending")
            .field(Field::Number)
            .response_only()
            .returned_on_request(),
        Property::text("status", Field::Status, "`invited`, `active`, `suspended`, `inactive` or `archived`")
            .response_only()
            .returned_on_request(),
        Property::new("office", ValueType::Integer, "Number of an address of the organisation").field(Field::Office),
        pairs_text("socialLinks", Field::SocialLinks, "Social links: `name=value`, a line each"),
        pairs_text("customLinks", Field::CustomLinks, "Other links: `name=value`, a line each"),
        Property::text("secretaryName", Field::SecretaryName, "The secretary's name"),
        Property::text("secretaryEmail", Field::SecretaryEmail, "The secretary's e-mail"),
        Property::text("bio", Field::Bio, "A few words about the person"),
        Property::text("source", Field::Source, "Which system the person came from"),
        Property::text("specialities", Field::Specialties, "What the person is good at"),
        Property::text("licence", Field::License, "Kind of licence"),
        Property::text("color", Field::Color, "A colour for lists"),
        pairs_text("metadata", Field::Metadata, "Free pairs: `key=value`, a line each"),
        boolean("doNotEmail", Field::DoNotEmail, "No invitation mail is wanted"),
        boolean("forcePasswordChange", Field::ForcePasswordChange, "The password must be changed at next sign-in"),
        multi_valued("folders", Field::Folders, &ValueType::Object(&FOLDER), "Folders the person may see")
            .response_only(),
        timestamp("invited", Field::Invited, "When last invited"),
        timestamp("lastActivity", Field::LastActivity, "When last seen"),
    ],
};
static FOLDER: ObjectSchema = ObjectSchema {
    name: "folder",
    description: "A folder",
    properties: &[
        Property::text("value", Field::Value, "Its id").case_exact().response_only(),
        Property::text("display", Field::Display, "Its name").response_only(),
    ],
};

/// RFC 7643 section 4.2.
pub(super) static GROUP: ObjectSchema = ObjectSchema {
    name: "Group",
    description: "A group of people",
    properties: &[
        Property::text("displayName", Field::Name, "What it is called").required(),
        multi_valued("members", Field::Members, &ValueType::Object(&MEMBER), "Who is in it"),
    ],
};
static MEMBER: ObjectSchema = ObjectSchema {
    name: "members",
    description: "Somebody in a group",
    properties: &[
        Property::text("value", Field::Value, "The person's id").case_exact().immutable(),
        reference_uri(&["User"]).immutable(),
        Property::new("type", ValueType::Text, "`User`: groups hold people")
            .not_filterable()
            .immutable()
            .canonical_values(&["User"]),
    ],
};
