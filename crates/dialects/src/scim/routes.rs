//! The table of paths.

use super::{bulk, discovery, groups, search, shapes, users, wire};
use crate::kit::{MethodSpec, ObjectSchema, RequiredAccess, Route, RouteMethod, SuccessResponse, ValueType};
use http::StatusCode;

type Parameters = &'static [(&'static str, ValueType, &'static str)];

const SELECT: [(&str, ValueType, &str); 2] = [
    ("attributes", ValueType::Text, "Only these attributes, comma-separated"),
    ("excludedAttributes", ValueType::Text, "Not these attributes, comma-separated"),
];
const ONE: Parameters = &SELECT;
const MANY: Parameters = &[
    ("filter", ValueType::Text, "What must hold (RFC 7644 section 3.4.2.2)"),
    ("sortBy", ValueType::Text, "An attribute"),
    ("sortOrder", shapes::ORDERS, "`ascending` or `descending`"),
    ("startIndex", ValueType::Integer, "Where to begin, from 1"),
    ("count", ValueType::Integer, "How many, 100 when not said, 1,000 at the most"),
    ("cursor", ValueType::Text, "Where to begin, by cursor (RFC 9865); empty for the first page"),
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
        RouteMethod {
            name: $method,
            access: RequiredAccess::$access,
            spec: MethodSpec {
                summary: $about,
                query_params: $query,
                body: $body,
                is_partial: false,
                success: $success,
                error_statuses: $own_failures,
            },
            handler: |desk, call| Box::pin($handler(desk, call)),
        }
    };
}

const USER: Option<&'static ObjectSchema> = Some(&wire::USER);
const GROUP: Option<&'static ObjectSchema> = Some(&wire::GROUP);
const PATCH: Option<&'static ObjectSchema> = Some(&shapes::PATCH);

/// The connection is of no user.
const ME: &[StatusCode] = &[StatusCode::NOT_IMPLEMENTED];
/// A filter is rejected.
const UNFILTERED: &[StatusCode] = &[StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];

/// Every path.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/scim/v2/Users",
        methods: &[
            verb!(
                "GET",
                Read,
                "List users",
                MANY,
                None,
                SuccessResponse::Object(&shapes::USER_LIST),
                search::users_by_query
            ),
            verb!(
                "POST",
                Write,
                "Create a user",
                ONE,
                USER,
                SuccessResponse::Created(&wire::USER),
                users::create
            ),
        ],
    },
    Route {
        path: "/scim/v2/Users/.search",
        methods: &[verb!(
            "POST",
            Read,
            "List users, asked in a body",
            &[],
            Some(&shapes::SEARCH),
            SuccessResponse::Object(&shapes::USER_LIST),
            search::users_by_body
        )],
    },
    Route {
        path: "/scim/v2/Users/{id}",
        methods: &[
            verb!("GET", Read, "Get a user", ONE, None, SuccessResponse::Versioned(&wire::USER), users::get),
            verb!(
                "PUT",
                Write,
                "Replace a user",
                ONE,
                USER,
                SuccessResponse::Object(&wire::USER),
                users::replace
            ),
            verb!(
                "PATCH",
                Write,
                "Change a user",
                ONE,
                PATCH,
                SuccessResponse::Object(&wire::USER),
                users::modify
            ),
            verb!("DELETE", Write, "Delete a user", &[], None, SuccessResponse::NoContent, users::delete),
        ],
    },
    Route {
        path: "/scim/v2/Groups",
        methods: &[
            verb!(
                "GET",
                Read,
                "List groups",
                MANY,
                None,
                SuccessResponse::Object(&shapes::GROUP_LIST),
                search::groups_by_query
            ),
            verb!(
                "POST",
                Write,
                "Create a group",
                ONE,
                GROUP,
                SuccessResponse::Created(&wire::GROUP),
                groups::create
            ),
        ],
    },
    Route {
        path: "/scim/v2/Groups/.search",
        methods: &[verb!(
            "POST",
            Read,
            "List groups, asked in a body",
            &[],
            Some(&shapes::SEARCH),
            SuccessResponse::Object(&shapes::GROUP_LIST),
            search::groups_by_body
        )],
    },
    Route {
        path: "/scim/v2/Groups/{id}",
        methods: &[
            verb!(
                "GET",
                Read,
                "Get a group",
                ONE,
                None,
                SuccessResponse::Versioned(&wire::GROUP),
                groups::get
            ),
            verb!(
                "PUT",
                Write,
                "Replace a group and its members",
                ONE,
                GROUP,
                SuccessResponse::Object(&wire::GROUP),
                groups::replace
            ),
            verb!(
                "PATCH",
                Write,
                "Change a group; 204 unless attributes are asked for",
                ONE,
                PATCH,
                SuccessResponse::ObjectOrNoContent(&wire::GROUP),
                groups::modify
            ),
            verb!("DELETE", Write, "Delete a group", &[], None, SuccessResponse::NoContent, groups::delete),
        ],
    },
    Route {
        path: "/scim/v2/.search",
        methods: &[verb!(
            "POST",
            Read,
            "List users and groups",
            &[],
            Some(&shapes::SEARCH),
            SuccessResponse::Object(&shapes::RESOURCE_LIST),
            search::everything
        )],
    },
    Route {
        path: "/scim/v2/Bulk",
        methods: &[verb!(
            "POST",
            Write,
            "Many requests in one",
            &[],
            Some(&shapes::BULK),
            SuccessResponse::Object(&shapes::BULK_ANSWER),
            bulk::bulk
        )],
    },
    Route {
        path: "/scim/v2/Me",
        methods: &[
            verb!(
                "GET",
                Read,
                "Get the person whose own client it is",
                ONE,
                None,
                SuccessResponse::Versioned(&wire::USER),
                users::get_me,
                ME
            ),
            verb!(
                "PUT",
                Write,
                "Replace that person",
                ONE,
                USER,
                SuccessResponse::Object(&wire::USER),
                users::replace_me,
                ME
            ),
            verb!(
                "PATCH",
                Write,
                "Change that person",
                ONE,
                PATCH,
                SuccessResponse::Object(&wire::USER),
                users::modify_me,
                ME
            ),
            verb!(
                "DELETE",
                Write,
                "Delete that person",
                &[],
                None,
                SuccessResponse::NoContent,
                users::delete_me,
                ME
            ),
        ],
    },
    Route {
        path: "/scim/v2/ServiceProviderConfig",
        methods: &[verb!(
            "GET",
            Public,
            "What this service can do",
            &[],
            None,
            SuccessResponse::Object(&shapes::CONFIG),
            discovery::config,
            UNFILTERED
        )],
    },
    Route {
        path: "/scim/v2/ResourceTypes",
        methods: &[verb!(
            "GET",
            Public,
            "List the types of resources",
            &[],
            None,
            SuccessResponse::Object(&shapes::TYPE_LIST),
            discovery::types,
            UNFILTERED
        )],
    },
    Route {
        path: "/scim/v2/ResourceTypes/{name}",
        methods: &[verb!(
            "GET",
            Public,
            "Get a type of resources",
            &[],
            None,
            SuccessResponse::Object(&shapes::RESOURCE_TYPE),
            discovery::type_named,
            UNFILTERED
        )],
    },
    Route {
        path: "/scim/v2/Schemas",
        methods: &[verb!(
            "GET",
            Public,
            "List the schemas",
            &[],
            None,
            SuccessResponse::Object(&shapes::SCHEMA_LIST),
            discovery::schemas,
            UNFILTERED
        )],
    },
    Route {
        path: "/scim/v2/Schemas/{urn}",
        methods: &[verb!(
            "GET",
            Public,
            "Get a schema",
            &[],
            None,
            SuccessResponse::Object(&shapes::SCHEMA),
            discovery::schema,
            UNFILTERED
        )],
    },
];
