//! What travels besides resources: errors, changes, questions, pages, many requests in one, and what the service says of
//! itself. Only the OpenAPI document walks these rows; resources are in `wire.rs`.

use super::wire::{self, GROUP, USER};
use crate::kit::{Kind, Member, Record};

macro_rules! message {
    ($name:ident, $title:literal, $about:literal, [$($member:expr),* $(,)?]) => {
        pub(super) static $name: Record = Record { name: $title, about: $about, members: &[$($member),*] };
    };
}
message!(
    ERROR,
    "Error",
    "What went wrong (RFC 7644 section 3.12)",
    [
        Member::of(
            "schemas",
            Kind::List("schemas", &Kind::Text),
            "`urn:ietf:params:scim:api:messages:2.0:Error`"
        ),
        Member::of("status", Kind::Text, "The HTTP status, as a text").always(),
        Member::of("scimType", Kind::Text, "What is wrong, for programs"),
        Member::of("detail", Kind::Text, "What is wrong, for people"),
    ]
);
message!(
    PATCH,
    "PatchOp",
    "Changes (RFC 7644 section 3.5.2)",
    [
        Member::of(
            "schemas",
            Kind::List("schemas", &Kind::Text),
            "`urn:ietf:params:scim:api:messages:2.0:PatchOp`"
        ),
        Member::of("Operations", Kind::List("Operations", &Kind::Object(&OPERATION)), "What to do, in order")
            .required(),
    ]
);
message!(
    OPERATION,
    "PatchOperation",
    "One change",
    [
        Member::of("op", Kind::Text, "`add`, `replace` or `remove`, in any case").required(),
        Member::of("path", Kind::Text, "What to change"),
        Member::of("value", Kind::Any, "A text, a list, an object"),
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
                Member::of(
                    "schemas",
                    Kind::List("schemas", &Kind::Text),
                    "`urn:ietf:params:scim:api:messages:2.0:ListResponse`"
                )
                .always(),
                Member::of("totalResults", Kind::Integer, "All that match").always(),
                Member::of("itemsPerPage", Kind::Integer, "In this answer"),
                Member::of("startIndex", Kind::Integer, "Where this page begins, from 1"),
                Member::of("nextCursor", Kind::Text, "Where the next page begins"),
                Member::of("previousCursor", Kind::Text, "Where the page before begins"),
                Member::of("Resources", Kind::List("Resources", &$of), "The page"),
            ]
        );
    };
}
list!(USER_LIST, "UserList", "A page of users (RFC 7644 section 3.4.2)", Kind::Object(&USER));
list!(GROUP_LIST, "GroupList", "A page of groups (RFC 7644 section 3.4.2)", Kind::Object(&GROUP));
list!(RESOURCE_LIST, "ResourceList", "A page of users and groups (RFC 7644 section 3.4.2)", Kind::Any);
list!(TYPE_LIST, "ResourceTypeList", "The types of resources", Kind::Object(&RESOURCE_TYPE));
list!(SCHEMA_LIST, "SchemaList", "The schemas", Kind::Object(&SCHEMA));
/// Orders of a sorted list.
pub(super) const ORDERS: Kind = Kind::Word(&["ascending", "descending"]);
message!(
    SEARCH,
    "SearchRequest",
    "A question (RFC 7644 section 3.4.3)",
    [
        Member::of("filter", Kind::Text, "What must hold"),
        Member::of("sortBy", Kind::Text, "An attribute"),
        Member::of("sortOrder", ORDERS, "`ascending` or `descending`"),
        Member::of("startIndex", Kind::Integer, "Where to begin, from 1"),
        Member::of("count", Kind::Integer, "How many at the most"),
        Member::of("cursor", Kind::Text, "Where to begin, by cursor; empty for the first page"),
        Member::of("attributes", Kind::List("attributes", &Kind::Text), "Only these attributes"),
        Member::of(
            "excludedAttributes",
            Kind::List("excludedAttributes", &Kind::Text),
            "Not these attributes"
        ),
    ]
);
message!(
    BULK,
    "BulkRequest",
    "Many requests in one (RFC 7644 section 3.7)",
    [
        Member::of("failOnErrors", Kind::Integer, "After how many errors to stop"),
        Member::of("Operations", Kind::List("Operations", &Kind::Object(&BULK_OPERATION)), "The requests")
            .required(),
    ]
);
message!(
    BULK_OPERATION,
    "BulkOperation",
    "One request",
    [
        Member::of("method", Kind::Word(&["POST", "PUT", "PATCH", "DELETE"]), "What to do").required(),
        Member::of("bulkId", Kind::Text, "A name by which others may refer to what a POST creates"),
        Member::of("version", Kind::Text, "As in `If-Match`"),
        Member::of("path", Kind::Text, "Below the base path").required(),
        Member::of("data", Kind::Any, "The body: a JSON object"),
    ]
);
message!(
    BULK_ANSWER,
    "BulkResponse",
    "The answers to many requests (RFC 7644 section 3.7)",
    [
        Member::of(
            "schemas",
            Kind::List("schemas", &Kind::Text),
            "`urn:ietf:params:scim:api:messages:2.0:BulkResponse`"
        )
        .always(),
        Member::of("Operations", Kind::List("Operations", &Kind::Object(&BULK_RESULT)), "One each").always(),
    ]
);
message!(
    BULK_RESULT,
    "BulkResult",
    "The answer to one request",
    [
        Member::of("method", Kind::Text, "Of the request"),
        Member::of("bulkId", Kind::Text, "Of the request"),
        Member::of("location", Kind::Text, "Where the resource is"),
        Member::of("version", Kind::Text, "Its version, as an ETag"),
        Member::of("status", Kind::Text, "The HTTP status, as a text").always(),
        Member::of("response", Kind::Any, "The body, if it failed"),
    ]
);

message!(
    SUPPORTED,
    "Supported",
    "Whether this service can do it",
    [Member::of("supported", Kind::Boolean, "Whether it can").always()]
);
const fn supported(name: &'static str, about: &'static str) -> Member {
    Member::of(name, Kind::Object(&SUPPORTED), about).always()
}
const fn text(name: &'static str, about: &'static str) -> Member {
    Member::of(name, Kind::Text, about).always()
}
const fn number(name: &'static str, about: &'static str) -> Member {
    Member::of(name, Kind::Integer, about).always()
}
const fn boolean(name: &'static str, about: &'static str) -> Member {
    Member::of(name, Kind::Boolean, about).always()
}
const SCHEMAS: Member =
    Member::of("schemas", Kind::List("schemas", &Kind::Text), "The schema of this document").always();
const META: Member = Member::of("meta", Kind::Object(&wire::META), "About the document itself");
message!(
    CONFIG,
    "ServiceProviderConfig",
    "What this service can do (RFC 7643 section 5)",
    [
        SCHEMAS,
        text("documentationUri", "Where its documentation is"),
        supported("patch", "PATCH"),
        Member::of("bulk", Kind::Object(&BULK_LIMITS), "Many requests in one").always(),
        Member::of("filter", Kind::Object(&FILTER_LIMITS), "Filters").always(),
        supported("changePassword", "Passwords may be set"),
        supported("sort", "Lists may be sorted"),
        supported("etag", "Versions"),
        Member::of(
            "authenticationSchemes",
            Kind::List("authenticationSchemes", &Kind::Object(&SCHEME)),
            "How clients authenticate"
        )
        .always(),
        Member::of("pagination", Kind::Object(&PAGINATION), "How pages are asked for (RFC 9865)").always(),
        META,
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
    SCHEME,
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
        SCHEMAS,
        text("id", "Its name"),
        text("name", "Its name"),
        text("description", "What it is"),
        text("endpoint", "Where its resources are, below the base path"),
        text("schema", "The URN of its schema"),
        Member::of(
            "schemaExtensions",
            Kind::List("schemaExtensions", &Kind::Object(&EXTENSION)),
            "Schemas whose attributes its resources may have"
        ),
        META,
    ]
);
message!(
    EXTENSION,
    "SchemaExtension",
    "A schema whose attributes a resource may have",
    [text("schema", "Its URN"), boolean("required", "Whether each resource has it")]
);
message!(
    SCHEMA,
    "Schema",
    "A schema (RFC 7643 section 7)",
    [
        SCHEMAS,
        text("id", "Its URN"),
        text("name", "Its name"),
        text("description", "What it is"),
        Member::of("attributes", Kind::List("attributes", &Kind::Object(&ATTRIBUTE)), "Its attributes")
            .always(),
        META,
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
        Member::of(
            "subAttributes",
            Kind::List("subAttributes", &Kind::Object(&ATTRIBUTE)),
            "The parts of a complex one"
        ),
        Member::of("canonicalValues", Kind::List("canonicalValues", &Kind::Text), "Usual values"),
        Member::of("caseExact", Kind::Boolean, "Whether case counts"),
        text("mutability", "`readOnly`, `readWrite`, `immutable` or `writeOnly`"),
        text("returned", "`always`, `never`, `default` or `request`"),
        text("uniqueness", "`none`, `server` or `global`"),
        Member::of("referenceTypes", Kind::List("referenceTypes", &Kind::Text), "What a reference leads to"),
    ]
);
