//! The routes of the dialect, each also below one path segment, the context.

use super::{groups, organizations, users, wire};
use crate::kit::{MethodSpec, Parameter, Route, RouteMethod, ValueType, param, route_method};

const PAGE_PARAMETERS: [Parameter; 2] = [
    param("offset", ValueType::Integer, "Number of results to skip; default 0"),
    param("limit", ValueType::Integer, "Page size; default 200, maximum 1,000"),
];
const DATE_PARAMETERS: [Parameter; 2] = [
    param("createddate", ValueType::Text, "Created in `lastweek`, `lastmonth`, `lastyear` or `YYYYMMDD,YYYYMMDD`"),
    param("modifieddate", ValueType::Text, "Changed in `lastweek`, `lastmonth`, `lastyear` or `YYYYMMDD,YYYYMMDD`"),
];
const USER_LIST_PARAMETERS: &[Parameter] = &[
    param("organisations", ValueType::Text, "Numbers or names, comma-separated"),
    param("organisationgroups", ValueType::Text, "Numbers; matches no users, since there are no organization groups"),
    param("usergroups", ValueType::Text, "Numbers or names, comma-separated"),
    param("departments", ValueType::Text, "Names, comma-separated"),
    param("locations", ValueType::Text, "Substrings of the address, comma-separated"),
    param("search", ValueType::Text, "Substring of any text of a user"),
    param("status", ValueType::Text, "`active`, `archive`, `disable`, `suspended`, `pending`, or 1, 2, 0, 3"),
    param("sort", ValueType::Text, "`+` or `-`, then a field"),
    param("fields", ValueType::Text, "`all`, or comma-separated names; omit for summaries"),
    PAGE_PARAMETERS[0],
    PAGE_PARAMETERS[1],
    DATE_PARAMETERS[0],
    DATE_PARAMETERS[1],
];
const GROUP_LIST_PARAMETERS: &[Parameter] = &[
    param("search", ValueType::Text, "Substring of the name"),
    param("sort", ValueType::Text, "`+` or `-`, then `name`, `created` or `updated`; several, comma-separated"),
    param("fields", ValueType::Text, "`all` for complete groups"),
    PAGE_PARAMETERS[0],
    PAGE_PARAMETERS[1],
    DATE_PARAMETERS[0],
    DATE_PARAMETERS[1],
];
const ORGANIZATION_LIST_PARAMETERS: &[Parameter] = &[
    param("domain", ValueType::Text, "Email domains, comma-separated"),
    param("autologin", ValueType::Boolean, "Only organizations with this value of `autologin`"),
    param("homepage", ValueType::Integer, "Only organizations with this `homepage`"),
    param("industry", ValueType::Integer, "Only organizations with this `industry`"),
    param("category", ValueType::Integer, "Only organizations with this `category`"),
    param("locations", ValueType::Text, "Substrings of addresses of its users, comma-separated"),
    param("search", ValueType::Text, "Substring of the name, URL or a domain"),
    param("status", ValueType::Text, "`active`, `archive`, `disabled`, `suspended`"),
    param("sort", ValueType::Text, "`+` or `-`, then `id`, `name`, `status`, `url`, `created` or `updated`"),
    param("fields", ValueType::Text, "`all` for complete organizations"),
    PAGE_PARAMETERS[0],
    PAGE_PARAMETERS[1],
    DATE_PARAMETERS[0],
    DATE_PARAMETERS[1],
];

macro_rules! post {
    ($path:literal, $summary:literal, $body:expr, $answer:expr, $handler:path) => {
        Route {
            path: $path,
            methods: &[route_method!("POST", Write, $handler, MethodSpec::new($summary, &[], $body, $answer))],
        }
    };
}

const ONE_USER: &[RouteMethod] = &[
    route_method!(
        "GET",
        Read,
        users::get,
        MethodSpec::new("Get a user by number or email", &[], None, &wire::USER_BODY)
    ),
    route_method!(
        "PUT",
        Write,
        users::update,
        MethodSpec::new("Replace a user", &[], Some(&wire::USER_BODY), &wire::USER_SUMMARY_BODY)
    ),
];
const ONE_GROUP: &[RouteMethod] = &[
    route_method!("GET", Read, groups::get, MethodSpec::new("Get a group", &[], None, &wire::GROUP_BODY)),
    route_method!(
        "PUT",
        Write,
        groups::update,
        MethodSpec::new("Replace a group and its members", &[], Some(&wire::GROUP_BODY), &wire::GROUP_SUMMARY_BODY)
    ),
];
const ONE_ORGANIZATION: &[RouteMethod] = &[
    route_method!(
        "GET",
        Read,
        organizations::get,
        MethodSpec::new("Get an organization", &[], None, &wire::ORGANIZATION_BODY)
    ),
    route_method!(
        "PUT",
        Write,
        organizations::update,
        MethodSpec::new(
            "Replace an organization",
            &[],
            Some(&wire::ORGANIZATION_BODY),
            &wire::ORGANIZATION_SUMMARY_BODY
        )
    ),
];

/// Bulk routes precede those with a user, so that `activate` is not taken for one.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/{context}/api/2/users",
        methods: &[
            route_method!(
                "GET",
                Read,
                users::list,
                MethodSpec::new("List users", USER_LIST_PARAMETERS, None, &wire::USERS_BODY)
            ),
            route_method!(
                "POST",
                Write,
                users::create,
                MethodSpec::new("Add a user", &[], Some(&wire::USER_BODY), &wire::USER_SUMMARY_BODY)
            ),
        ],
    },
    post!(
        "/{context}/api/2/users/activate",
        "Activate several users",
        Some(&wire::BULK_USERS),
        &wire::USERS_BODY,
        users::activate_many
    ),
    post!(
        "/{context}/api/2/users/disable",
        "Disable several users",
        Some(&wire::BULK_USERS),
        &wire::USERS_BODY,
        users::disable_many
    ),
    post!("/{context}/api/2/users/invite", "Invite users", Some(&wire::INVITATION), &wire::USERS_BODY, users::invite),
    Route { path: "/{context}/api/2/users/{user}", methods: ONE_USER },
    Route { path: "/{context}/api/2/user/{user}", methods: ONE_USER },
    post!("/{context}/api/2/users/{user}/activate", "Activate a user", None, &wire::USER_SUMMARY_BODY, users::activate),
    post!("/{context}/api/2/users/{user}/disable", "Disable a user", None, &wire::USER_SUMMARY_BODY, users::disable),
    post!("/{context}/api/2/users/{user}/archive", "Archive a user", None, &wire::USER_SUMMARY_BODY, users::archive),
    post!(
        "/{context}/api/2/users/{user}/reinstate",
        "Reinstate a suspended user",
        None,
        &wire::USER_SUMMARY_BODY,
        users::reinstate
    ),
    Route {
        path: "/{context}/api/2/groups",
        methods: &[
            route_method!(
                "GET",
                Read,
                groups::list,
                MethodSpec::new("List groups", GROUP_LIST_PARAMETERS, None, &wire::GROUPS_BODY)
            ),
            route_method!(
                "POST",
                Write,
                groups::create,
                MethodSpec::new("Add a group", &[], Some(&wire::GROUP_BODY), &wire::GROUP_SUMMARY_BODY)
            ),
        ],
    },
    Route { path: "/{context}/api/2/groups/{group}", methods: ONE_GROUP },
    Route {
        path: "/{context}/api/2/groups/{group}/users",
        methods: &[route_method!(
            "PUT",
            Write,
            groups::add_users,
            MethodSpec::new("Add active users to a group", &[], Some(&wire::GROUP_MEMBERS_BODY), &wire::GROUP_BODY)
        )],
    },
    Route {
        path: "/{context}/api/2/organisations",
        methods: &[
            route_method!(
                "GET",
                Read,
                organizations::list,
                MethodSpec::new("List organizations", ORGANIZATION_LIST_PARAMETERS, None, &wire::ORGANIZATIONS_BODY)
            ),
            route_method!(
                "POST",
                Write,
                organizations::create,
                MethodSpec::new(
                    "Add an organization",
                    &[],
                    Some(&wire::ORGANIZATION_BODY),
                    &wire::ORGANIZATION_SUMMARY_BODY
                )
            ),
        ],
    },
    post!(
        "/{context}/api/2/organisations/activate",
        "Activate several organizations",
        Some(&wire::BULK_ORGANIZATIONS),
        &wire::ORGANIZATIONS_BODY,
        organizations::activate_many
    ),
    post!(
        "/{context}/api/2/organisations/disable",
        "Disable several organizations",
        Some(&wire::BULK_ORGANIZATIONS),
        &wire::ORGANIZATIONS_BODY,
        organizations::disable_many
    ),
    Route { path: "/{context}/api/2/organisations/{organisation}", methods: ONE_ORGANIZATION },
    post!(
        "/{context}/api/2/organisations/{organisation}/activate",
        "Activate an organization",
        None,
        &wire::ORGANIZATION_SUMMARY_BODY,
        organizations::activate
    ),
    post!(
        "/{context}/api/2/organisations/{organisation}/disable",
        "Disable an organization",
        None,
        &wire::ORGANIZATION_SUMMARY_BODY,
        organizations::disable
    ),
    post!(
        "/{context}/api/2/organisations/{organisation}/archive",
        "Archive an organization",
        None,
        &wire::ORGANIZATION_SUMMARY_BODY,
        organizations::archive
    ),
    post!(
        "/{context}/api/2/organisations/{organisation}/domains",
        "Add an email domain to an organization",
        Some(&wire::DOMAIN_BODY),
        &wire::ORGANIZATION_SUMMARY_BODY,
        organizations::add_domain
    ),
    Route {
        path: "/{context}/api/2/organisationgroups",
        methods: &[route_method!(
            "GET",
            Read,
            organizations::list_groups,
            MethodSpec::new(
                "List organization groups (there are none)",
                GROUP_LIST_PARAMETERS,
                None,
                &wire::ORGANIZATION_GROUPS_BODY
            )
        )],
    },
    Route {
        path: "/{context}/api/2/organisationgroups/{group}",
        methods: &[route_method!(
            "GET",
            Read,
            organizations::get_group,
            MethodSpec::new("Get an organization group (there are none)", &[], None, &wire::ORGANIZATION_GROUP_BODY)
        )],
    },
];
