//! What travels besides resources: errors, changes, questions, pages, many requests in one, and what the service says of
//! itself. Only the OpenAPI document walks these rows; resources are in `wire.rs`.

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
    "What went wrong (RFC 7644 section 3.12)",
    [
        Property::new(
            "schemas",
            ValueType::List("schemas", &ValueType::Text),
            "`urn:ietf:params:scim:api:messages:2.0:Error`"
        ),
        Property::new("status", ValueType::Text, "The HTTP status, as a text").always_returned(),
        Property::new("scimType", ValueType::Text, "What is wrong, for programs"),
        Property::new("detail", ValueType::Text, "What is wrong, for people"),
    ]
);
message!(
    PATCH_OP,
    "PatchOp",
    "Changes (RFC 7644 section 3.5.2)",
    [
        Property::new(
            "schemas",
            ValueType::List("schemas", &ValueType::Text),
            "`urn:ietf:params:scim:api:messages:2.0:PatchOp`"
        ),
        Property::new(
            "Operations",
            ValueType::List("Operations", &ValueType::Object(&PATCH_OPERATION)),
            "What to do, in order"
        )
        .required(),
    ]
);
message!(
    PATCH_OPERATION,
    "PatchOperation",
    "One change",
    [
        Property::new("op", ValueType::Text, "`add`, `replace` or `remove`, in any case").required(),
        Property::new("path", ValueType::Text, "What to change"),
        Property::new("value", ValueType::Any, "A text, a list, an object"),
    ]
);
/// A page of a collection (RFC 7644 section 3.4.2, RFC 9865).
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
                Property::new("totalResults", ValueType::Integer, "All that match").always_returned(),
                Property::new("itemsPerPage", ValueType::Integer, "In this answer"),
                Property::new("startIndex", ValueType::Integer, "Where this page begins, from 1"),
                Property::new("nextCursor", ValueType::Text, "Where the next page begins"),
                Property::new("previousCursor", ValueType::Text, "Where the page before begins"),
                Property::new("Resources", ValueType::List("Resources", &$of), "The page"),
            ]
        );
    };
}
list!(USER_LIST, "UserList", "A page of users (RFC 7644 section 3.4.2)", ValueType::Object(&USER));
list!(GROUP_LIST, "GroupList", "A page of groups (RFC 7644 section 3.4.2)", ValueType::Object(&GROUP));
list!(RESOURCE_LIST, "ResourceList", "A page of users and groups (RFC 7644 section 3.4.2)", ValueType::Any);
list!(TYPE_LIST, "ResourceTypeList", "The types of resources", ValueType::Object(&RESOURCE_TYPE));
list!(SCHEMA_LIST, "SchemaList", "The schemas", ValueType::Object(&SCHEMA));
/// Orders of a sorted list.
pub(super) const SORT_ORDERS: ValueType = ValueType::Enum(&["ascending", "descending"]);
message!(
    SEARCH_REQUEST,
    "SearchRequest",
    "A question (RFC 7644 section 3.4.3)",
    [
        Property::new("filter", ValueType::Text, "What must hold"),
        Property::new("sortBy", ValueType::Text, "An attribute"),
        Property::new("sortOrder", SORT_ORDERS, "`ascending` or `descending`"),
        Property::new("startIndex", ValueType::Integer, "Where to begin, from 1"),
        Property::new("count", ValueType::Integer, "How many at the most"),
        Property::new("cursor", ValueType::Text, "Where to begin, by cursor; empty for the first page"),
        Property::new("attributes", ValueType::List("attributes", &ValueType::Text), "Only these attributes"),
        Property::new(
            "excludedAttributes",
            ValueType::List("excludedAttributes", &ValueType::Text),
            "Not these attributes"
        ),
    ]
);
message!(
    BULK_REQUEST,
    "BulkRequest",
    "Many requests in one (RFC 7644 section 3.7)",
    [
        Property::new("failOnErrors", ValueType::Integer, "After how many errors to stop"),
        Property::new("Operations", ValueType::List("Operations", &ValueType::Object(&BULK_OPERATION)), "The requests")
            .required(),
    ]
);
message!(
    BULK_OPERATION,
    "BulkOperation",
    "One request",
    [
        Property::new("method", ValueType::Enum(&["POST", "PUT", "PATCH", "DELETE"]), "What to do").required(),
        Property::new("bulkId", ValueType::Text, "A name by which others may refer to what a POST creates"),
        Property::new("version", ValueType::Text, "As in `If-Match`"),
        Property::new("path", ValueType::Text, "Below the base path").required(),
        Property::new("data", ValueType::Any, "The body: a JSON object"),
    ]
);
message!(
    BULK_RESPONSE,
    "BulkResponse",
    "The answers to many requests (RFC 7644 section 3.7)",
    [
        Property::new(
            "schemas",
            ValueType::List("schemas", &ValueType::Text),
            "`urn:ietf:params:scim:api:messages:2.0:BulkResponse`"
        )
        .always_returned(),
        Property::new("Operations", ValueType::List("Operations", &ValueType::Object(&BULK_RESULT)), "One each")
            .always_returned(),
    ]
);
message!(
    BULK_RESULT,
    "BulkResult",
    "The answer to one request",
    [
        Property::new("method", ValueType::Text, "Of the request"),
        Property::new("bulkId", ValueType::Text, "Of the request"),
        Property::new("location", ValueType::Text, "Where the resource is"),
        Property::new("version", ValueType::Text, "Its version, as an ETag"),
        Property::new("status", ValueType::Text, "The HTTP status, as a text").always_returned(),
        Property::new("response", ValueType::Any, "The body, if it failed"),
    ]
);

message!(
    SUPPORTED,
    "Supported",
    "Whether this service can do it",
    [Property::new("supported", ValueType::Boolean, "Whether it can").always_returned()]
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
    Property::new("schemas", ValueType::List("schemas", &ValueType::Text), "The schema of this document")
        .always_returned();
const META_PROPERTY: Property = Property::new("meta", ValueType::Object(&wire::META), "About the document itself");
message!(
    SERVICE_PROVIDER_CONFIG,
    "ServiceProviderConfig",
    "What this service can do (RFC 7643 section 5)",
    [
        SCHEMAS_PROPERTY,
        text("documentationUri", "Where its documentation is"),
        supported("patch", "PATCH"),
        Property::new("bulk", ValueType::Object(&BULK_LIMITS), "Many requests in one").always_returned(),
        Property::new("filter", ValueType::Object(&FILTER_LIMITS), "Filters").always_returned(),
        supported("changePassword", "Passwords may be set"),
        supported("sort", "Lists may be sorted"),
        supported("etag", "Versions"),
        Property::new(
            "authenticationSchemes",
            ValueType::List("authenticationSchemes", &ValueType::Object(&AUTHENTICATION_SCHEME)),
            "How clients authenticate"
        )
        .always_returned(),
        Property::new("pagination", ValueType::Object(&PAGINATION), "How pages are asked for (RFC 9865)")
            .always_returned(),
        META_PROPERTY,
    ]
);
message!(
    BULK_LIMITS,
    "BulkLimits",
    "Many requests in one",
    [
        boolean("supported", "Whether it can"),
        number("maxOperations", "The most requests"),
        number("maxPayloadSize", "The most bytes"),
    ]
);
message!(
    FILTER_LIMITS,
    "FilterLimits",
    "Filters",
    [boolean("supported", "Whether it can"), number("maxResults", "The most resources of a page")]
);
message!(
    AUTHENTICATION_SCHEME,
    "AuthenticationScheme",
    "How clients authenticate",
    [
        text("type", "`oauthbearertoken` or `oauth2`"),
        text("name", "Its name"),
        text("description", "What it is"),
        text("specUri", "Where it is specified"),
        boolean("primary", "Whether it is the usual one"),
    ]
);
message!(
    PAGINATION,
    "Pagination",
    "How pages are asked for (RFC 9865)",
    [
        boolean("cursor", "By cursor"),
        boolean("index", "By index"),
        text("defaultPaginationMethod", "`cursor` or `index`"),
        number("defaultPageSize", "Resources of a page"),
        number("maxPageSize", "The most resources of a page"),
        number("cursorTimeout", "Seconds for which a cursor is good"),
    ]
);
message!(
    RESOURCE_TYPE,
    "ResourceType",
    "A type of resources (RFC 7643 section 6)",
    [
        SCHEMAS_PROPERTY,
        text("id", "Its name"),
        text("name", "Its name"),
        text("description", "What it is"),
        text("endpoint", "Where its resources are, below the base path"),
        text("schema", "The URN of its schema"),
        Property::new(
            "schemaExtensions",
            ValueType::List("schemaExtensions", &ValueType::Object(&SCHEMA_EXTENSION)),
            "Schemas whose attributes its resources may have"
        ),
        META_PROPERTY,
    ]
);
message!(
    SCHEMA_EXTENSION,
    "SchemaExtension",
    "A schema whose attributes a resource may have",
    [text("schema", "Its URN"), boolean("required", "Whether each resource has it")]
);
message!(
    SCHEMA,
    "Schema",
    "A schema (RFC 7643 section 7)",
    [
        SCHEMAS_PROPERTY,
        text("id", "Its URN"),
        text("name", "Its name"),
        text("description", "What it is"),
        Property::new("attributes", ValueType::List("attributes", &ValueType::Object(&ATTRIBUTE)), "Its attributes")
            .always_returned(),
        META_PROPERTY,
    ]
);
message!(
    ATTRIBUTE,
    "Attribute",
    "An attribute (RFC 7643 section 7)",
    [
        text("name", "Its name"),
        text("type", "Its type"),
        boolean("multiValued", "Whether it holds a list"),
        text("description", "What it holds"),
        boolean("required", "Whether each resource has it"),
        Property::new(
            "subAttributes",
            ValueType::List("subAttributes", &ValueType::Object(&ATTRIBUTE)),
            "The parts of a complex one"
        ),
        Property::new("canonicalValues", ValueType::List("canonicalValues", &ValueType::Text), "Usual values"),
        Property::new("caseExact", ValueType::Boolean, "Whether case counts"),
        text("mutability", "`readOnly`, `readWrite`, `immutable` or `writeOnly`"),
        text("returned", "`always`, `never`, `default` or `request`"),
        text("uniqueness", "`none`, `server` or `global`"),
        Property::new(
            "referenceTypes",
            ValueType::List("referenceTypes", &ValueType::Text),
            "What a reference leads to"
        ),
    ]
);
