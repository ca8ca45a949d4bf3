//! Attribute tables: every attribute of RFC 7643 and of our extension, one row each.
//!
//! Readers, writers, PATCH, filters, `/Schemas` and the OpenAPI document use these rows, which alone define an
//! attribute's type, mutability, returnability and comparison. A row's field is the core's field; for
//! sub-attributes of a multi-valued attribute it is the part of one value.

use crate::kit::{ObjectSchema, Property, ValueType};
use directory::{ATTRIBUTES, Field, Slot};

#[derive(Debug)]
pub(super) struct Schema {
    pub(super) urn: &'static str,
    pub(super) object_schema: &'static ObjectSchema,
}

/// RFC 7643 section 6.
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
/// Attributes that RFC 7643 does not define, so that SCIM clients see and keep all data of a user.
pub(super) static MUSTER_SCHEMA: Schema =
    Schema { urn: "urn:muster:params:scim:schemas:extension:2.0:User", object_schema: &MUSTER_USER };

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
const fn pairs_text(name: &'static str, field: Field, description: &'static str) -> Property {
    Property::text(name, field, description).case_exact().not_filterable()
}
const fn reference_uri(of: &'static [&'static str]) -> Property {
    Property::new("$ref", ValueType::Reference(of), "URL of the resource").case_exact().not_filterable().wire_only()
}

/// RFC 7643 section 3.1; not part of a schema.
pub(super) static COMMON_ATTRIBUTES: ObjectSchema = ObjectSchema {
    name: "common",
    description: "Common attributes",
    properties: &[
        Property::new("schemas", ValueType::List("schemas", &ValueType::Reference(&["uri"])), "Schema URNs")
            .case_exact()
            .always_returned(),
        Property::text("id", Field::Id, "Id, assigned by the server").case_exact().always_returned().response_only(),
        Property::text("externalId", Field::ExternalId, "Id, set by the client"),
        complex("meta", &META, "Resource metadata").response_only(),
    ],
};
pub(super) static META: ObjectSchema = ObjectSchema {
    name: "meta",
    description: "Resource metadata",
    properties: &[
        Property::new("resourceType", ValueType::Text, "Name of the resource type").case_exact().response_only(),
        timestamp("created", Field::Created, "Time of creation"),
        timestamp("lastModified", Field::Updated, "Time of the last change"),
        Property::new("location", ValueType::Reference(&["uri"]), "URL").case_exact().not_filterable().response_only(),
        Property::new("version", ValueType::Text, "Version (ETag)").case_exact().not_filterable().response_only(),
    ],
};

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
pub(super) static USER: ObjectSchema = ObjectSchema::of_user(
    "User",
    "A user",
    &[
        Property::text("userName", Field::UserName, "Login name, case-insensitive").required().unique(),
        complex("name", &NAME, "Components of the name"),
        Property::text("displayName", Field::DisplayName, "Name to display"),
        Property::text("nickName", Field::NickName, "Nickname"),
        Property::new("profileUrl", ValueType::Reference(&["external"]), "URL of the user's page")
            .field(Field::ProfileUrl),
        Property::text("title", Field::Title, "Job title"),
        Property::text("userType", Field::UserType, "Relationship to the organization, such as `Employee`"),
        Property::text("preferredLanguage", Field::PreferredLanguage, "Preferred language, as in `Accept-Language`"),
        Property::text("locale", Field::Locale, "Locale for dates, numbers and currency"),
        Property::text("timezone", Field::TimeZone, "Time zone"),
        boolean("active", Field::Active, "Whether the user is active"),
        Property::new("password", ValueType::Text, "Never returned").field(Field::Password).request_only(),
        multi_valued("emails", Field::Emails, &ValueType::Object(&EMAIL), "Emails; other APIs show the primary one"),
        multi_valued("phoneNumbers", Field::Phones, &ValueType::Object(&PHONE), "Phone numbers"),
        multi_valued("ims", Field::MessagingLinks, &ValueType::Object(&IM), "Instant messaging addresses"),
        multi_valued("photos", Field::Photos, &ValueType::Object(&PHOTO), "Photos"),
        multi_valued("addresses", Field::PostalAddresses, &ValueType::Object(&ADDRESS), "Postal addresses"),
        multi_valued("groups", Field::Groups, &ValueType::Object(&MEMBERSHIP), "Groups of the user").response_only(),
        multi_valued("entitlements", Field::Entitlements, &ValueType::Object(&ENTITLEMENT), "Entitlements"),
        multi_valued(
            "roles",
            Field::Roles,
            &ValueType::Object(&ROLE),
            "Roles; the primary one is effective, else the first one that exists in the tenant",
        ),
        multi_valued("x509Certificates", Field::Certificates, &ValueType::Object(&CERTIFICATE), "X.509 certificates"),
    ],
);

static NAME: ObjectSchema = ObjectSchema::of_user(
    "name",
    "Components of a name",
    &[
        Property::text("formatted", Field::FormattedName, "Full name"),
        Property::text("familyName", Field::FamilyName, "Last name"),
        Property::text("givenName", Field::GivenName, "First name"),
        Property::text("middleName", Field::MiddleName, "Middle name"),
        Property::text("honorificPrefix", Field::HonorificPrefix, "Prefix, such as `Dr`"),
        Property::text("honorificSuffix", Field::HonorificSuffix, "Suffix, such as `Jr`"),
    ],
);

const VALUE: Property = Property::text("value", Field::Value, "Value").required();
const DISPLAY: Property = Property::text("display", Field::Display, "Name to display");
const TYPE: Property = Property::text("type", Field::Kind, "Type of the value");
const PRIMARY: Property = boolean("primary", Field::Primary, "Whether it is the primary value");

static EMAIL: ObjectSchema = ObjectSchema {
    name: "emails",
    description: "An email address",
    properties: &[VALUE.unique(), DISPLAY, TYPE.canonical_values(&["work", "home", "other"]), PRIMARY],
};
static PHONE: ObjectSchema = ObjectSchema {
    name: "phoneNumbers",
    description: "A phone number",
    properties: &[VALUE, DISPLAY, TYPE.canonical_values(&["work", "home", "mobile", "fax", "pager", "other"]), PRIMARY],
};
static IM: ObjectSchema = ObjectSchema {
    name: "ims",
    description: "An instant messaging address",
    properties: &[
        VALUE,
        DISPLAY,
        // A link's name in other dialects.
        Property::text("type", Field::Name, "Messaging service")
            .canonical_values(&["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo"]),
        PRIMARY,
    ],
};
static PHOTO: ObjectSchema = ObjectSchema {
    name: "photos",
    description: "A photo",
    properties: &[
        Property::new("value", ValueType::Reference(&["external"]), "URL").field(Field::Value).case_exact().required(),
        DISPLAY,
        TYPE.canonical_values(&["photo", "thumbnail"]),
        PRIMARY,
    ],
};
static ADDRESS: ObjectSchema = ObjectSchema {
    name: "addresses",
    description: "A postal address",
    properties: &[
        Property::text("formatted", Field::Formatted, "Full address"),
        Property::text("streetAddress", Field::AddressLine1, "Street; a line break separates other APIs' two lines"),
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
    description: "A group of the user",
    properties: &[
        Property::text("value", Field::Value, "Id of the group").case_exact().response_only(),
        reference_uri(&["Group"]).response_only(),
        Property::text("display", Field::Display, "Name of the group").response_only(),
        Property::new("type", ValueType::Text, "`direct`: groups cannot be nested")
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
        Property::new("value", ValueType::Binary, "Certificate in DER").field(Field::Value).case_exact().required(),
        DISPLAY,
        TYPE,
        PRIMARY,
    ],
};

/// RFC 7643 section 4.3.
pub(super) static ENTERPRISE_USER: ObjectSchema = ObjectSchema::of_user(
    "EnterpriseUser",
    "Enterprise attributes of a user",
    &[
        Property::text("employeeNumber", Field::EmployeeNumber, "Employee number"),
        Property::text("costCenter", Field::CostCenter, "Cost center"),
        Property::text("organization", Field::Organization, "Organization; created if unknown"),
        Property::text("division", Field::Division, "Division"),
        Property::text("department", Field::Department, "Department; added to the tenant's catalog"),
        complex("manager", &MANAGER, "Manager of the user"),
    ],
);
pub(super) static MANAGER: ObjectSchema = ObjectSchema::of_user(
    "manager",
    "The manager of a user",
    &[
        Property::text("value", Field::Manager, "Id of the manager"),
        reference_uri(&["User"]),
        Property::new("displayName", ValueType::Text, "Name of the manager").not_filterable().response_only(),
    ],
);

pub(super) static MUSTER_USER: ObjectSchema = ObjectSchema::of_user(
    "MusterUser",
    "Attributes of a user that RFC 7643 does not define",
    &[
        Property::new("number", ValueType::Integer, "Number of the user within the tenant")
            .field(Field::Number)
            .response_only()
            .returned_on_request(),
        Property::text("status", Field::Status, "`invited`, `active`, `suspended`, `inactive` or `archived`")
            .response_only()
            .returned_on_request(),
        Property::new("office", ValueType::Integer, "Number of an address of the organization").field(Field::Office),
        pairs_text("socialLinks", Field::SocialLinks, "Social links, one `name=value` per line"),
        pairs_text("customLinks", Field::CustomLinks, "Other links, one `name=value` per line"),
        Property::text("secretaryName", Field::SecretaryName, "Name of the secretary"),
        Property::text("secretaryEmail", Field::SecretaryEmail, "Email of the secretary"),
        Property::text("bio", Field::Bio, "Short biography"),
        Property::text("source", Field::Source, "Source system"),
        Property::text("specialities", Field::Specialties, "Specialties"),
        Property::text("licence", Field::License, "Type of license"),
        Property::text("color", Field::Color, "Color to display"),
        pairs_text("metadata", Field::Metadata, "Custom metadata, one `key=value` per line"),
        boolean("doNotEmail", Field::DoNotEmail, "Whether to send no invitation email"),
        boolean(
            "forcePasswordChange",
            Field::ForcePasswordChange,
            "Whether the password must be changed at the next sign-in",
        ),
        multi_valued("folders", Field::Folders, &ValueType::Object(&FOLDER), "Visible folders").response_only(),
        timestamp("invited", Field::Invited, "Time of the last invitation"),
        timestamp("lastActivity", Field::LastActivity, "Time of the last activity"),
    ],
);
/// SCIM clients see and keep all data of a user: an attribute without a property does not compile.
const _: () = {
    let schemas = [&COMMON_ATTRIBUTES, &USER, &ENTERPRISE_USER, &MUSTER_USER];
    let mut index = 0;
    while index < ATTRIBUTES.len() {
        let attribute = &ATTRIBUTES[index];
        // A value of a multi-valued attribute has no property of its own.
        let mut is_found = attribute.part_of.is_some() || matches!(attribute.slot, Slot::Role);
        let mut schema = 0;
        while schema < schemas.len() {
            is_found |= schemas[schema].has_field(attribute.field);
            schema += 1;
        }
        assert!(is_found, "an attribute of users has no property in SCIM");
        index += 1;
    }
};

static FOLDER: ObjectSchema = ObjectSchema {
    name: "folder",
    description: "A folder",
    properties: &[
        Property::text("value", Field::Value, "Id of the folder").case_exact().response_only(),
        Property::text("display", Field::Display, "Name of the folder").response_only(),
    ],
};

/// RFC 7643 section 4.2.
pub(super) static GROUP: ObjectSchema = ObjectSchema {
    name: "Group",
    description: "A group of users",
    properties: &[
        Property::text("displayName", Field::Name, "Name of the group").required(),
        multi_valued("members", Field::Members, &ValueType::Object(&MEMBER), "Members of the group"),
    ],
};
static MEMBER: ObjectSchema = ObjectSchema {
    name: "members",
    description: "A member of a group",
    properties: &[
        Property::text("value", Field::Value, "Id of the user").case_exact().immutable(),
        reference_uri(&["User"]).immutable(),
        Property::new("type", ValueType::Text, "`User`: groups contain only users")
            .not_filterable()
            .immutable()
            .canonical_values(&["User"]),
    ],
};
