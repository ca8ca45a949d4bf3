//! Messages other than resources, used only by the OpenAPI document; resources are in `wire.rs`.

use super::wire::{self, GROUP, USER};
use crate::kit::{ObjectSchema, Property, ValueType};

macro_rules! message {
    ($name:ident, $title:literal, $about:literal, [$($member:expr),* $(,)?]) => {
        pub(super) static $name: ObjectSchema = ObjectSchema { name: $title, description: $about, properties: &[$($member),*] };
    };
}
message!(
    ERROR,
    "Error",
    "An error (RFC 7644 section 3.12)",
    [
        Property::new(
            "schemas",
            ValueType::List("schemas", &ValueType::Text),
            "`urn:ietf:params:scim:api:messages:2.0:Error`"
        ),
        Property::new("status", ValueType::Text, "HTTP status code, as a string").always_returned(),
        Property::new("scimType", ValueType::Text, "Error keyword"),
        Property::new("detail", ValueType::Text, "Error message"),
    ]
);
message!(
    PATCH_OP,
    "PatchOp",
    "A PATCH request (RFC 7644 section 3.5.2)",
    [
        Property::new(
            "schemas",
            ValueType::List("schemas", &ValueType::Text),
            "`urn:ietf:params:scim:api:messages:2.0:PatchOp`"
        ),
        Property::new("Operations", ValueType::List("Operations", &ValueType::Object(&PATCH_OPERATION)), "Operations")
            .required(),
    ]
);
message!(
    PATCH_OPERATION,
    "PatchOperation",
    "A PATCH operation",
    [
        Property::new("op", ValueType::Text, "`add`, `replace` or `remove`, case-insensitive").required(),
        Property::new("path", ValueType::Text, "Path of the attribute"),
        Property::new("value", ValueType::Any, "New value, or the values to remove"),
    ]
);
/// RFC 7644 section 3.4.2, RFC 9865.
macro_rules! list {
    ($name:ident, $type:literal, $about:literal, $of:expr) => {
        message!(
            $name,
            $type,
            $about,
            [
                Property::new(
                    "schemas",
                    ValueType::List("schemas", &ValueType::Text),
                    "`urn:ietf:params:scim:api:messages:2.0:ListResponse`"
                )
                .always_returned(),
                Property::new("totalResults", ValueType::Integer, "Number of matching resources").always_returned(),
                Property::new("itemsPerPage", ValueType::Integer, "Number of resources in this page"),
                Property::new("startIndex", ValueType::Integer, "1-based index of the first resource"),
                Property::new("nextCursor", ValueType::Text, "Cursor of the next page"),
                Property::new("previousCursor", ValueType::Text, "Cursor of the previous page"),
                Property::new("Resources", ValueType::List("Resources", &$of), "Resources in this page"),
            ]
        );
    };
}
list!(USER_LIST, "UserList", "A page of users (RFC 7644 section 3.4.2)", ValueType::Object(&USER));
list!(GROUP_LIST, "GroupList", "A page of groups (RFC 7644 section 3.4.2)", ValueType::Object(&GROUP));
list!(RESOURCE_LIST, "ResourceList", "A page of users and groups (RFC 7644 section 3.4.2)", ValueType::Any);
list!(TYPE_LIST, "ResourceTypeList", "A list of resource types", ValueType::Object(&RESOURCE_TYPE));
list!(SCHEMA_LIST, "SchemaList", "A list of schemas", ValueType::Object(&SCHEMA));
pub(super) const SORT_ORDERS: ValueType = ValueType::Enum(&["ascending", "descending"]);
message!(
    SEARCH_REQUEST,
    "SearchRequest",
    "A search request (RFC 7644 section 3.4.3)",
    [
        Property::new("filter", ValueType::Text, "Filter expression"),
        Property::new("sortBy", ValueType::Text, "Attribute to sort by"),
        Property::new("sortOrder", SORT_ORDERS, "`ascending` or `descending`"),
        Property::new("startIndex", ValueType::Integer, "1-based index of the first result"),
        Property::new("count", ValueType::Integer, "Maximum page size"),
        Property::new("cursor", ValueType::Text, "Cursor of the page; empty for the first page"),
        Property::new("attributes", ValueType::List("attributes", &ValueType::Text), "Attributes to return"),
        Property::new(
            "excludedAttributes",
            ValueType::List("excludedAttributes", &ValueType::Text),
            "Attributes to omit"
        ),
    ]
);
message!(
    BULK_REQUEST,
    "BulkRequest",
    "A bulk request (RFC 7644 section 3.7)",
    [
        Property::new("failOnErrors", ValueType::Integer, "Number of errors after which to stop"),
        Property::new("Operations", ValueType::List("Operations", &ValueType::Object(&BULK_OPERATION)), "Operations")
            .required(),
    ]
);
message!(
    BULK_OPERATION,
    "BulkOperation",
    "A bulk operation",
    [
        Property::new("method", ValueType::Enum(&["POST", "PUT", "PATCH", "DELETE"]), "HTTP method").required(),
        Property::new("bulkId", ValueType::Text, "Temporary id for references to the created resource"),
        Property::new("version", ValueType::Text, "Expected version, as in `If-Match`"),
        Property::new("path", ValueType::Text, "Path below the base path").required(),
        Property::new("data", ValueType::Any, "Request body, a JSON object"),
    ]
);
message!(
    BULK_RESPONSE,
    "BulkResponse",
    "A bulk response (RFC 7644 section 3.7)",
    [
        Property::new(
            "schemas",
            ValueType::List("schemas", &ValueType::Text),
            "`urn:ietf:params:scim:api:messages:2.0:BulkResponse`"
        )
        .always_returned(),
        Property::new("Operations", ValueType::List("Operations", &ValueType::Object(&BULK_RESULT)), "Results")
            .always_returned(),
    ]
);
message!(
    BULK_RESULT,
    "BulkResult",
    "The result of a bulk operation",
    [
        Property::new("method", ValueType::Text, "HTTP method of the operation"),
        Property::new("bulkId", ValueType::Text, "`bulkId` of the operation"),
        Property::new("location", ValueType::Text, "URL of the resource"),
        Property::new("version", ValueType::Text, "Version of the resource (ETag)"),
        Property::new("status", ValueType::Text, "HTTP status code, as a string").always_returned(),
        Property::new("response", ValueType::Any, "Error, if the operation failed"),
    ]
);

message!(
    SUPPORTED,
    "Supported",
    "Support for a feature",
    [Property::new("supported", ValueType::Boolean, "Whether it is supported").always_returned()]
);
const fn supported(name: &'static str, description: &'static str) -> Property {
    Property::new(name, ValueType::Object(&SUPPORTED), description).always_returned()
}
const fn text(name: &'static str, description: &'static str) -> Property {
    Property::new(name, ValueType::Text, description).always_returned()
}
const fn number(name: &'static str, description: &'static str) -> Property {
    Property::new(name, ValueType::Integer, description).always_returned()
}
const fn boolean(name: &'static str, description: &'static str) -> Property {
    Property::new(name, ValueType::Boolean, description).always_returned()
}
const SCHEMAS_PROPERTY: Property =
    Property::new("schemas", ValueType::List("schemas", &ValueType::Text), "Schemas of this document")
        .always_returned();
const META_PROPERTY: Property = Property::new("meta", ValueType::Object(&wire::META), "Metadata of this document");
message!(
    SERVICE_PROVIDER_CONFIG,
    "ServiceProviderConfig",
    "Service provider configuration (RFC 7643 section 5)",
    [
        SCHEMAS_PROPERTY,
        text("documentationUri", "URL of the documentation"),
        supported("patch", "Support for PATCH"),
        Property::new("bulk", ValueType::Object(&BULK_LIMITS), "Support for bulk requests").always_returned(),
        Property::new("filter", ValueType::Object(&FILTER_LIMITS), "Support for filters").always_returned(),
        supported("changePassword", "Support for setting passwords"),
        supported("sort", "Support for sorting"),
        supported("etag", "Support for ETags"),
        Property::new(
            "authenticationSchemes",
            ValueType::List("authenticationSchemes", &ValueType::Object(&AUTHENTICATION_SCHEME)),
            "Authentication schemes"
        )
        .always_returned(),
        Property::new("pagination", ValueType::Object(&PAGINATION), "Support for pagination (RFC 9865)")
            .always_returned(),
        META_PROPERTY,
    ]
);
message!(
    BULK_LIMITS,
    "BulkLimits",
    "Support for bulk requests",
    [
        boolean("supported", "Whether it is supported"),
        number("maxOperations", "Maximum number of operations"),
        number("maxPayloadSize", "Maximum size of the body in bytes"),
    ]
);
message!(
    FILTER_LIMITS,
    "FilterLimits",
    "Support for filters",
    [boolean("supported", "Whether it is supported"), number("maxResults", "Maximum page size")]
);
message!(
    AUTHENTICATION_SCHEME,
    "AuthenticationScheme",
    "An authentication scheme",
    [
        text("type", "`oauthbearertoken` or `oauth2`"),
        text("name", "Name"),
        text("description", "Description"),
        text("specUri", "URL of the specification"),
        boolean("primary", "Whether it is the preferred scheme"),
    ]
);
message!(
    PAGINATION,
    "Pagination",
    "Support for pagination (RFC 9865)",
    [
        boolean("cursor", "Whether cursors are supported"),
        boolean("index", "Whether indexes are supported"),
        text("defaultPaginationMethod", "`cursor` or `index`"),
        number("defaultPageSize", "Default page size"),
        number("maxPageSize", "Maximum page size"),
        number("cursorTimeout", "Lifetime of a cursor in seconds"),
    ]
);
message!(
    RESOURCE_TYPE,
    "ResourceType",
    "A resource type (RFC 7643 section 6)",
    [
        SCHEMAS_PROPERTY,
        text("id", "Name"),
        text("name", "Name"),
        text("description", "Description"),
        text("endpoint", "Endpoint below the base path"),
        text("schema", "URN of the schema"),
        Property::new(
            "schemaExtensions",
            ValueType::List("schemaExtensions", &ValueType::Object(&SCHEMA_EXTENSION)),
            "Schema extensions"
        ),
        META_PROPERTY,
    ]
);
message!(
    SCHEMA_EXTENSION,
    "SchemaExtension",
    "A schema extension",
    [text("schema", "URN"), boolean("required", "Whether it is required")]
);
message!(
    SCHEMA,
    "Schema",
    "A schema (RFC 7643 section 7)",
    [
        SCHEMAS_PROPERTY,
        text("id", "URN"),
        text("name", "Name"),
        text("description", "Description"),
        Property::new("attributes", ValueType::List("attributes", &ValueType::Object(&ATTRIBUTE)), "Sub-attributes")
            .always_returned(),
        META_PROPERTY,
    ]
);
message!(
    ATTRIBUTE,
    "Attribute",
    "An attribute (RFC 7643 section 7)",
    [
        text("name", "Name"),
        text("type", "Data type"),
        boolean("multiValued", "Whether it is multi-valued"),
        text("description", "Description"),
        boolean("required", "Whether it is required"),
        Property::new(
            "subAttributes",
            ValueType::List("subAttributes", &ValueType::Object(&ATTRIBUTE)),
            "Sub-attributes"
        ),
        Property::new("canonicalValues", ValueType::List("canonicalValues", &ValueType::Text), "Canonical values"),
        Property::new("caseExact", ValueType::Boolean, "Whether it is case-sensitive"),
        text("mutability", "`readOnly`, `readWrite`, `immutable` or `writeOnly`"),
        text("returned", "`always`, `never`, `default` or `request`"),
        text("uniqueness", "`none`, `server` or `global`"),
        Property::new("referenceTypes", ValueType::List("referenceTypes", &ValueType::Text), "Types it may refer to"),
    ]
);
