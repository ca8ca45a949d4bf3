//! The table of paths.

use super::{bulk, discovery, groups, search, shapes, users, wire};
use crate::kit::{About, Access, Kind, Record, Route, Success, Verb};
use http::StatusCode;

type Parameters = &'static [(&'static str, Kind, &'static str)];

const SELECT: [(&str, Kind, &str); 2] = [
    ("attributes", Kind::Text, "Only these attributes, comma-separated"),
    ("excludedAttributes", Kind::Text, "Not these attributes, comma-separated"),
];
const ONE: Parameters = &SELECT;
const MANY: Parameters = &[
    ("filter", Kind::Text, "What must hold (RFC 7644 section 3.4.2.2)"),
    ("sortBy", Kind::Text, "An attribute"),
    ("sortOrder", shapes::ORDERS, "`ascending` or `descending`"),
    ("startIndex", Kind::Integer, "Where to begin, from 1"),
    ("count", Kind::Integer, "How many, 100 when not said, 1,000 at the most"),
    ("cursor", Kind::Text, "Where to begin, by cursor (RFC 9865); empty for the first page"),
    SELECT[0],
    SELECT[1],
];

macro_rules! verb {
    ($method:literal, $access:ident, $about:literal, $query:expr, $body:expr, $success:expr, $handler:path) => {
        verb!($method, $access, $about, $query, $body, $success, $handler, &[])
    };
    (
        $method:literal, $access:ident, $about:literal, $query:expr, $body:expr, $success:expr, $handler:path,
        $own_failures:expr
    ) => {
        Verb {
            method: $method,
            access: Access::$access,
            about: About {
                summary: $about,
                query: $query,
                body: $body,
                is_partial: false,
                success: $success,
                own_failures: $own_failures,
            },
            handler: |desk, call| Box::pin($handler(desk, call)),
        }
    };
}

const USER: Option<&'static Record> = Some(&wire::USER);
const GROUP: Option<&'static Record> = Some(&wire::GROUP);
const PATCH: Option<&'static Record> = Some(&shapes::PATCH);

/// The connection is of no user.
const ME: &[StatusCode] = &[StatusCode::NOT_IMPLEMENTED];
/// A filter is rejected.
const UNFILTERED: &[StatusCode] = &[StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];

/// Every path.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/scim/v2/Users",
        verbs: &[
            verb!(
                "GET",
                Read,
                "List users",
                MANY,
                None,
                Success::Object(&shapes::USER_LIST),
                search::users_by_query
            ),
            verb!("POST", Write, "Create a user", ONE, USER, Success::Created(&wire::USER), users::create),
        ],
    },
    Route {
        path: "/scim/v2/Users/.search",
        verbs: &[verb!(
            "POST",
            Read,
            "List users, asked in a body",
            &[],
            Some(&shapes::SEARCH),
            Success::Object(&shapes::USER_LIST),
            search::users_by_body
        )],
    },
    Route {
        path: "/scim/v2/Users/{id}",
        verbs: &[
            verb!("GET", Read, "Get a user", ONE, None, Success::Versioned(&wire::USER), users::get),
            verb!("PUT", Write, "Replace a user", ONE, USER, Success::Object(&wire::USER), users::replace),
            verb!("PATCH", Write, "Change a user", ONE, PATCH, Success::Object(&wire::USER), users::modify),
            verb!("DELETE", Write, "Delete a user", &[], None, Success::Nothing, users::delete),
        ],
    },
    Route {
        path: "/scim/v2/Groups",
        verbs: &[
            verb!(
                "GET",
                Read,
                "List groups",
                MANY,
                None,
                Success::Object(&shapes::GROUP_LIST),
                search::groups_by_query
            ),
            verb!(
                "POST",
                Write,
                "Create a group",
                ONE,
                GROUP,
                Success::Created(&wire::GROUP),
                groups::create
            ),
        ],
    },
    Route {
        path: "/scim/v2/Groups/.search",
        verbs: &[verb!(
            "POST",
            Read,
            "List groups, asked in a body",
            &[],
            Some(&shapes::SEARCH),
            Success::Object(&shapes::GROUP_LIST),
            search::groups_by_body
        )],
    },
    Route {
        path: "/scim/v2/Groups/{id}",
        verbs: &[
            verb!("GET", Read, "Get a group", ONE, None, Success::Versioned(&wire::GROUP), groups::get),
            verb!(
                "PUT",
                Write,
                "Replace a group and its members",
                ONE,
                GROUP,
                Success::Object(&wire::GROUP),
                groups::replace
            ),
            verb!(
                "PATCH",
                Write,
                "Change a group; 204 unless attributes are asked for",
                ONE,
                PATCH,
                Success::ObjectOrNothing(&wire::GROUP),
                groups::modify
            ),
            verb!("DELETE", Write, "Delete a group", &[], None, Success::Nothing, groups::delete),
        ],
    },
    Route {
        path: "/scim/v2/.search",
        verbs: &[verb!(
            "POST",
            Read,
            "List users and groups",
            &[],
            Some(&shapes::SEARCH),
            Success::Object(&shapes::RESOURCE_LIST),
            search::everything
        )],
    },
    Route {
        path: "/scim/v2/Bulk",
        verbs: &[verb!(
            "POST",
            Write,
            "Many requests in one",
            &[],
            Some(&shapes::BULK),
            Success::Object(&shapes::BULK_ANSWER),
            bulk::bulk
        )],
    },
    Route {
        path: "/scim/v2/Me",
        verbs: &[
            verb!(
                "GET",
                Read,
                "Get the person whose own client it is",
                ONE,
                None,
                Success::Versioned(&wire::USER),
                users::get_me,
                ME
            ),
            verb!(
                "PUT",
                Write,
                "Replace that person",
                ONE,
                USER,
                Success::Object(&wire::USER),
                users::replace_me,
                ME
            ),
            verb!(
                "PATCH",
                Write,
                "Change that person",
                ONE,
                PATCH,
                Success::Object(&wire::USER),
                users::modify_me,
                ME
            ),
            verb!("DELETE", Write, "Delete that person", &[], None, Success::Nothing, users::delete_me, ME),
        ],
    },
    Route {
        path: "/scim/v2/ServiceProviderConfig",
        verbs: &[verb!(
            "GET",
            Open,
            "What this service can do",
            &[],
            None,
            Success::Object(&shapes::CONFIG),
            discovery::config,
            UNFILTERED
        )],
    },
    Route {
        path: "/scim/v2/ResourceTypes",
        verbs: &[verb!(
            "GET",
            Open,
            "List the types of resources",
            &[],
            None,
            Success::Object(&shapes::TYPE_LIST),
            discovery::types,
            UNFILTERED
        )],
    },
    Route {
        path: "/scim/v2/ResourceTypes/{name}",
        verbs: &[verb!(
            "GET",
            Open,
            "Get a type of resources",
            &[],
            None,
            Success::Object(&shapes::RESOURCE_TYPE),
            discovery::type_named,
            UNFILTERED
        )],
    },
    Route {
        path: "/scim/v2/Schemas",
        verbs: &[verb!(
            "GET",
            Open,
            "List the schemas",
            &[],
            None,
            Success::Object(&shapes::SCHEMA_LIST),
            discovery::schemas,
            UNFILTERED
        )],
    },
    Route {
        path: "/scim/v2/Schemas/{urn}",
        verbs: &[verb!(
            "GET",
            Open,
            "Get a schema",
            &[],
            None,
            Success::Object(&shapes::SCHEMA),
            discovery::schema,
            UNFILTERED
        )],
    },
];
