//! The routes of the dialect.

use super::{bulk, discovery, groups, messages, search, users, wire};
use crate::kit::{MethodSpec, ObjectSchema, RequiredAccess, Route, RouteMethod, SuccessResponse, ValueType};
use http::StatusCode;

type Parameters = &'static [(&'static str, ValueType, &'static str)];

const PROJECTION_PARAMETERS: [(&str, ValueType, &str); 2] = [
    ("attributes", ValueType::Text, "Attributes to return, comma-separated"),
    ("excludedAttributes", ValueType::Text, "Attributes to omit, comma-separated"),
];
const RESOURCE_PARAMETERS: Parameters = &PROJECTION_PARAMETERS;
const LIST_PARAMETERS: Parameters = &[
    ("filter", ValueType::Text, "Filter expression (RFC 7644 section 3.4.2.2)"),
    ("sortBy", ValueType::Text, "Attribute to sort by"),
    ("sortOrder", messages::SORT_ORDERS, "`ascending` or `descending`"),
    ("startIndex", ValueType::Integer, "1-based index of the first result"),
    ("count", ValueType::Integer, "Page size; default 100, maximum 1,000"),
    ("cursor", ValueType::Text, "Cursor of the page (RFC 9865); empty for the first page"),
    PROJECTION_PARAMETERS[0],
    PROJECTION_PARAMETERS[1],
];

macro_rules! route_method {
    ($method:literal, $access:ident, $about:literal, $query:expr, $body:expr, $success:expr, $handler:path) => {
        route_method!($method, $access, $about, $query, $body, $success, $handler, &[])
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
            handler: |state, request| Box::pin($handler(state, request)),
        }
    };
}

const USER: Option<&'static ObjectSchema> = Some(&wire::USER);
const GROUP: Option<&'static ObjectSchema> = Some(&wire::GROUP);
const PATCH: Option<&'static ObjectSchema> = Some(&messages::PATCH_OP);

/// The connection belongs to no user.
const ME_FAILURES: &[StatusCode] = &[StatusCode::NOT_IMPLEMENTED];
/// Discovery endpoints reject filters (RFC 7644 section 4).
const DISCOVERY_FAILURES: &[StatusCode] = &[StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];

pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/scim/v2/Users",
        methods: &[
            route_method!(
                "GET",
                Read,
                "List users",
                LIST_PARAMETERS,
                None,
                SuccessResponse::Object(&messages::USER_LIST),
                search::users_by_query
            ),
            route_method!(
                "POST",
                Write,
                "Create a user",
                RESOURCE_PARAMETERS,
                USER,
                SuccessResponse::Created(&wire::USER),
                users::create
            ),
        ],
    },
    Route {
        path: "/scim/v2/Users/.search",
        methods: &[route_method!(
            "POST",
            Read,
            "Search users",
            &[],
            Some(&messages::SEARCH_REQUEST),
            SuccessResponse::Object(&messages::USER_LIST),
            search::users_by_body
        )],
    },
    Route {
        path: "/scim/v2/Users/{id}",
        methods: &[
            route_method!(
                "GET",
                Read,
                "Get a user",
                RESOURCE_PARAMETERS,
                None,
                SuccessResponse::Versioned(&wire::USER),
                users::get
            ),
            route_method!(
                "PUT",
                Write,
                "Replace a user",
                RESOURCE_PARAMETERS,
                USER,
                SuccessResponse::Object(&wire::USER),
                users::replace
            ),
            route_method!(
                "PATCH",
                Write,
                "Modify a user",
                RESOURCE_PARAMETERS,
                PATCH,
                SuccessResponse::Object(&wire::USER),
                users::modify
            ),
            route_method!("DELETE", Write, "Delete a user", &[], None, SuccessResponse::NoContent, users::delete),
        ],
    },
    Route {
        path: "/scim/v2/Groups",
        methods: &[
            route_method!(
                "GET",
                Read,
                "List groups",
                LIST_PARAMETERS,
                None,
                SuccessResponse::Object(&messages::GROUP_LIST),
                search::groups_by_query
            ),
            route_method!(
                "POST",
                Write,
                "Create a group",
                RESOURCE_PARAMETERS,
                GROUP,
                SuccessResponse::Created(&wire::GROUP),
                groups::create
            ),
        ],
    },
    Route {
        path: "/scim/v2/Groups/.search",
        methods: &[route_method!(
            "POST",
            Read,
            "Search groups",
            &[],
            Some(&messages::SEARCH_REQUEST),
            SuccessResponse::Object(&messages::GROUP_LIST),
            search::groups_by_body
        )],
    },
    Route {
        path: "/scim/v2/Groups/{id}",
        methods: &[
            route_method!(
                "GET",
                Read,
                "Get a group",
                RESOURCE_PARAMETERS,
                None,
                SuccessResponse::Versioned(&wire::GROUP),
                groups::get
            ),
            route_method!(
                "PUT",
                Write,
                "Replace a group and its members",
                RESOURCE_PARAMETERS,
                GROUP,
                SuccessResponse::Object(&wire::GROUP),
                groups::replace
            ),
            route_method!(
                "PATCH",
                Write,
                "Modify a group; 204 unless `attributes` is given",
                RESOURCE_PARAMETERS,
                PATCH,
                SuccessResponse::ObjectOrNoContent(&wire::GROUP),
                groups::modify
            ),
            route_method!("DELETE", Write, "Delete a group", &[], None, SuccessResponse::NoContent, groups::delete),
        ],
    },
    Route {
        path: "/scim/v2/.search",
        methods: &[route_method!(
            "POST",
            Read,
            "Search users and groups",
            &[],
            Some(&messages::SEARCH_REQUEST),
            SuccessResponse::Object(&messages::RESOURCE_LIST),
            search::resources_by_body
        )],
    },
    Route {
        path: "/scim/v2/Bulk",
        methods: &[route_method!(
            "POST",
            Write,
            "Run several operations in one request",
            &[],
            Some(&messages::BULK_REQUEST),
            SuccessResponse::Object(&messages::BULK_RESPONSE),
            bulk::bulk
        )],
    },
    Route {
        path: "/scim/v2/Me",
        methods: &[
            route_method!(
                "GET",
                Read,
                "Get the user the connection belongs to",
                RESOURCE_PARAMETERS,
                None,
                SuccessResponse::Versioned(&wire::USER),
                users::get_me,
                ME_FAILURES
            ),
            route_method!(
                "PUT",
                Write,
                "Replace the user the connection belongs to",
                RESOURCE_PARAMETERS,
                USER,
                SuccessResponse::Object(&wire::USER),
                users::replace_me,
                ME_FAILURES
            ),
            route_method!(
                "PATCH",
                Write,
                "Modify the user the connection belongs to",
                RESOURCE_PARAMETERS,
                PATCH,
                SuccessResponse::Object(&wire::USER),
                users::modify_me,
                ME_FAILURES
            ),
            route_method!(
                "DELETE",
                Write,
                "Delete the user the connection belongs to",
                &[],
                None,
                SuccessResponse::NoContent,
                users::delete_me,
                ME_FAILURES
            ),
        ],
    },
    Route {
        path: "/scim/v2/ServiceProviderConfig",
        methods: &[route_method!(
            "GET",
            Public,
            "Get the service provider configuration",
            &[],
            None,
            SuccessResponse::Object(&messages::SERVICE_PROVIDER_CONFIG),
            discovery::service_provider_config,
            DISCOVERY_FAILURES
        )],
    },
    Route {
        path: "/scim/v2/ResourceTypes",
        methods: &[route_method!(
            "GET",
            Public,
            "List resource types",
            &[],
            None,
            SuccessResponse::Object(&messages::TYPE_LIST),
            discovery::resource_types,
            DISCOVERY_FAILURES
        )],
    },
    Route {
        path: "/scim/v2/ResourceTypes/{name}",
        methods: &[route_method!(
            "GET",
            Public,
            "Get a resource type",
            &[],
            None,
            SuccessResponse::Object(&messages::RESOURCE_TYPE),
            discovery::resource_type,
            DISCOVERY_FAILURES
        )],
    },
    Route {
        path: "/scim/v2/Schemas",
        methods: &[route_method!(
            "GET",
            Public,
            "List schemas",
            &[],
            None,
            SuccessResponse::Object(&messages::SCHEMA_LIST),
            discovery::schemas,
            DISCOVERY_FAILURES
        )],
    },
    Route {
        path: "/scim/v2/Schemas/{urn}",
        methods: &[route_method!(
            "GET",
            Public,
            "Get a schema",
            &[],
            None,
            SuccessResponse::Object(&messages::SCHEMA),
            discovery::schema,
            DISCOVERY_FAILURES
        )],
    },
];
