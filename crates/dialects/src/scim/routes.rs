//! The routes of the dialect.

use super::{bulk, discovery, groups, messages, search, users, wire};
use crate::kit::{MethodSpec, ObjectSchema, Parameter, Route, SuccessResponse, ValueType, param, route_method};
use http::StatusCode;

const PROJECTION_PARAMETERS: [Parameter; 2] = [
    param("attributes", ValueType::Text, "Attributes to return, comma-separated"),
    param("excludedAttributes", ValueType::Text, "Attributes to omit, comma-separated"),
];
const RESOURCE_PARAMETERS: &[Parameter] = &PROJECTION_PARAMETERS;
const LIST_PARAMETERS: &[Parameter] = &[
    param("filter", ValueType::Text, "Filter expression (RFC 7644 section 3.4.2.2)"),
    param("sortBy", ValueType::Text, "Attribute to sort by"),
    param("sortOrder", messages::SORT_ORDERS, "`ascending` or `descending`"),
    param("startIndex", ValueType::Integer, "1-based index of the first result"),
    param("count", ValueType::Integer, "Page size; default 100, maximum 1,000"),
    param("cursor", ValueType::Text, "Cursor of the page (RFC 9865); empty for the first page"),
    PROJECTION_PARAMETERS[0],
    PROJECTION_PARAMETERS[1],
];

const fn spec(
    summary: &'static str,
    query_parameters: &'static [Parameter],
    body: Option<&'static ObjectSchema>,
    success: SuccessResponse,
) -> MethodSpec {
    MethodSpec { summary, query_parameters, body, is_partial: false, success, error_statuses: &[] }
}

const USER: Option<&'static ObjectSchema> = Some(&wire::USER);
const GROUP: Option<&'static ObjectSchema> = Some(&wire::GROUP);
const PATCH: Option<&'static ObjectSchema> = Some(&messages::PATCH_OP);

/// The connection belongs to no user.
const ME_ERRORS: &[StatusCode] = &[StatusCode::NOT_IMPLEMENTED];
/// Discovery endpoints reject filters (RFC 7644 section 4).
const DISCOVERY_ERRORS: &[StatusCode] = &[StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];

pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/scim/v2/Users",
        methods: &[
            route_method!(
                "GET",
                Read,
                search::users_by_query,
                spec("List users", LIST_PARAMETERS, None, SuccessResponse::Object(&messages::USER_LIST))
            ),
            route_method!(
                "POST",
                Write,
                users::create,
                spec("Create a user", RESOURCE_PARAMETERS, USER, SuccessResponse::Created(&wire::USER))
            ),
        ],
    },
    Route {
        path: "/scim/v2/Users/.search",
        methods: &[route_method!(
            "POST",
            Read,
            search::users_by_body,
            spec("Search users", &[], Some(&messages::SEARCH_REQUEST), SuccessResponse::Object(&messages::USER_LIST))
        )],
    },
    Route {
        path: "/scim/v2/Users/{id}",
        methods: &[
            route_method!(
                "GET",
                Read,
                users::get,
                spec("Get a user", RESOURCE_PARAMETERS, None, SuccessResponse::Versioned(&wire::USER))
            ),
            route_method!(
                "PUT",
                Write,
                users::replace,
                spec("Replace a user", RESOURCE_PARAMETERS, USER, SuccessResponse::Object(&wire::USER))
            ),
            route_method!(
                "PATCH",
                Write,
                users::modify,
                spec("Modify a user", RESOURCE_PARAMETERS, PATCH, SuccessResponse::Object(&wire::USER))
            ),
            route_method!("DELETE", Write, users::delete, spec("Delete a user", &[], None, SuccessResponse::NoContent)),
        ],
    },
    Route {
        path: "/scim/v2/Groups",
        methods: &[
            route_method!(
                "GET",
                Read,
                search::groups_by_query,
                spec("List groups", LIST_PARAMETERS, None, SuccessResponse::Object(&messages::GROUP_LIST))
            ),
            route_method!(
                "POST",
                Write,
                groups::create,
                spec("Create a group", RESOURCE_PARAMETERS, GROUP, SuccessResponse::Created(&wire::GROUP))
            ),
        ],
    },
    Route {
        path: "/scim/v2/Groups/.search",
        methods: &[route_method!(
            "POST",
            Read,
            search::groups_by_body,
            spec("Search groups", &[], Some(&messages::SEARCH_REQUEST), SuccessResponse::Object(&messages::GROUP_LIST))
        )],
    },
    Route {
        path: "/scim/v2/Groups/{id}",
        methods: &[
            route_method!(
                "GET",
                Read,
                groups::get,
                spec("Get a group", RESOURCE_PARAMETERS, None, SuccessResponse::Versioned(&wire::GROUP))
            ),
            route_method!(
                "PUT",
                Write,
                groups::replace,
                spec(
                    "Replace a group and its members",
                    RESOURCE_PARAMETERS,
                    GROUP,
                    SuccessResponse::Object(&wire::GROUP)
                )
            ),
            route_method!(
                "PATCH",
                Write,
                groups::modify,
                spec(
                    "Modify a group; 204 unless `attributes` is given",
                    RESOURCE_PARAMETERS,
                    PATCH,
                    SuccessResponse::ObjectOrNoContent(&wire::GROUP)
                )
            ),
            route_method!(
                "DELETE",
                Write,
                groups::delete,
                spec("Delete a group", &[], None, SuccessResponse::NoContent)
            ),
        ],
    },
    Route {
        path: "/scim/v2/.search",
        methods: &[route_method!(
            "POST",
            Read,
            search::resources_by_body,
            spec(
                "Search users and groups",
                &[],
                Some(&messages::SEARCH_REQUEST),
                SuccessResponse::Object(&messages::RESOURCE_LIST)
            )
        )],
    },
    Route {
        path: "/scim/v2/Bulk",
        methods: &[route_method!(
            "POST",
            Write,
            bulk::bulk,
            spec(
                "Run several operations in one request",
                &[],
                Some(&messages::BULK_REQUEST),
                SuccessResponse::Object(&messages::BULK_RESPONSE)
            )
        )],
    },
    Route {
        path: "/scim/v2/Me",
        methods: &[
            route_method!(
                "GET",
                Read,
                users::get_me,
                spec(
                    "Get the user the connection belongs to",
                    RESOURCE_PARAMETERS,
                    None,
                    SuccessResponse::Versioned(&wire::USER)
                )
                .with_error_statuses(ME_ERRORS)
            ),
            route_method!(
                "PUT",
                Write,
                users::replace_me,
                spec(
                    "Replace the user the connection belongs to",
                    RESOURCE_PARAMETERS,
                    USER,
                    SuccessResponse::Object(&wire::USER)
                )
                .with_error_statuses(ME_ERRORS)
            ),
            route_method!(
                "PATCH",
                Write,
                users::modify_me,
                spec(
                    "Modify the user the connection belongs to",
                    RESOURCE_PARAMETERS,
                    PATCH,
                    SuccessResponse::Object(&wire::USER)
                )
                .with_error_statuses(ME_ERRORS)
            ),
            route_method!(
                "DELETE",
                Write,
                users::delete_me,
                spec("Delete the user the connection belongs to", &[], None, SuccessResponse::NoContent)
                    .with_error_statuses(ME_ERRORS)
            ),
        ],
    },
    Route {
        path: "/scim/v2/ServiceProviderConfig",
        methods: &[route_method!(
            "GET",
            Public,
            discovery::service_provider_config,
            spec(
                "Get the service provider configuration",
                &[],
                None,
                SuccessResponse::Object(&messages::SERVICE_PROVIDER_CONFIG)
            )
            .with_error_statuses(DISCOVERY_ERRORS)
        )],
    },
    Route {
        path: "/scim/v2/ResourceTypes",
        methods: &[route_method!(
            "GET",
            Public,
            discovery::resource_types,
            spec("List resource types", &[], None, SuccessResponse::Object(&messages::TYPE_LIST))
                .with_error_statuses(DISCOVERY_ERRORS)
        )],
    },
    Route {
        path: "/scim/v2/ResourceTypes/{name}",
        methods: &[route_method!(
            "GET",
            Public,
            discovery::resource_type,
            spec("Get a resource type", &[], None, SuccessResponse::Object(&messages::RESOURCE_TYPE))
                .with_error_statuses(DISCOVERY_ERRORS)
        )],
    },
    Route {
        path: "/scim/v2/Schemas",
        methods: &[route_method!(
            "GET",
            Public,
            discovery::schemas,
            spec("List schemas", &[], None, SuccessResponse::Object(&messages::SCHEMA_LIST))
                .with_error_statuses(DISCOVERY_ERRORS)
        )],
    },
    Route {
        path: "/scim/v2/Schemas/{urn}",
        methods: &[route_method!(
            "GET",
            Public,
            discovery::schema,
            spec("Get a schema", &[], None, SuccessResponse::Object(&messages::SCHEMA))
                .with_error_statuses(DISCOVERY_ERRORS)
        )],
    },
];
