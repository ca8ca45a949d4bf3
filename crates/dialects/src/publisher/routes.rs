//! The table of paths, each also behind one segment of context.

use super::{groups, organisations, users, wire};
use crate::kit::{MethodSpec, RequiredAccess, Route, RouteMethod, ValueType};

type Parameters = &'static [(&'static str, ValueType, &'static str)];

const PAGE: [(&str, ValueType, &str); 2] = [
    ("offset", ValueType::Integer, "How many to leave out, 0"),
    ("limit", ValueType::Integer, "How many to return, 200"),
];
const DATES: [(&str, ValueType, &str); 2] = [
    ("createddate", ValueType::Text, "`lastweek`, `lastmonth`, `lastyear` or `YYYYMMDD,YYYYMMDD`"),
    ("modifieddate", ValueType::Text, "The same for the last change"),
];
const FIND_USERS: Parameters = &[
    ("organisations", ValueType::Text, "Numbers or names, comma-separated"),
    ("organisationgroups", ValueType::Text, "Numbers; nobody, as there are none"),
    ("usergroups", ValueType::Text, "Numbers or names, comma-separated"),
    ("departments", ValueType::Text, "Names, comma-separated"),
    ("locations", ValueType::Text, "Parts of the address, comma-separated"),
    ("search", ValueType::Text, "Part of any text of a user"),
    ("status", ValueType::Text, "`active`, `archive`, `disable`, `suspended`, `pending`, or 1, 2, 0, 3"),
    ("sort", ValueType::Text, "`+` or `-` and a field"),
    ("fields", ValueType::Text, "`all`, or names, comma-separated; summaries when left out"),
    PAGE[0],
    PAGE[1],
    DATES[0],
    DATES[1],
];
const FIND_GROUPS: Parameters = &[
    ("search", ValueType::Text, "Part of the name"),
    ("sort", ValueType::Text, "`+` or `-` and `name`, `created` or `updated`; several, comma-separated"),
    ("fields", ValueType::Text, "`all` for whole groups"),
    PAGE[0],
    PAGE[1],
    DATES[0],
    DATES[1],
];
const FIND_ORGANISATIONS: Parameters = &[
    ("domain", ValueType::Text, "E-mail domains, comma-separated"),
    ("autologin", ValueType::Boolean, "Only those with this setting"),
    ("homepage", ValueType::Integer, "Only those with this number"),
    ("industry", ValueType::Integer, "Only those with this number"),
    ("category", ValueType::Integer, "Only those with this number"),
    ("locations", ValueType::Text, "Part of an address of one of its users, comma-separated"),
    ("search", ValueType::Text, "Part of the name, URL or a domain"),
    ("status", ValueType::Text, "`active`, `archive`, `disabled`, `suspended`"),
    ("sort", ValueType::Text, "`+` or `-` and `id`, `name`, `status`, `url`, `created` or `updated`"),
    ("fields", ValueType::Text, "`all` for whole organisations"),
    PAGE[0],
    PAGE[1],
    DATES[0],
    DATES[1],
];

macro_rules! verb {
    ($method:literal, $access:ident, $about:expr, $handler:path) => {
        RouteMethod {
            name: $method,
            access: RequiredAccess::$access,
            spec: $about,
            handler: |desk, call| Box::pin($handler(desk, call)),
        }
    };
}

macro_rules! post {
    ($path:literal, $summary:literal, $body:expr, $answer:expr, $handler:path) => {
        Route {
            path: $path,
            methods: &[verb!("POST", Write, MethodSpec::new($summary, &[], $body, $answer), $handler)],
        }
    };
}

const ONE_USER: &[RouteMethod] = &[
    verb!(
        "GET",
        Read,
        MethodSpec::new("Get a user by number or e-mail", &[], None, &wire::USER_BODY),
        users::get
    ),
    verb!(
        "PUT",
        Write,
        MethodSpec::new("Replace a user", &[], Some(&wire::USER_BODY), &wire::SUMMARY_BODY),
        users::update
    ),
];
const ONE_GROUP: &[RouteMethod] = &[
    verb!("GET", Read, MethodSpec::new("Get a group", &[], None, &wire::GROUP_BODY), groups::get),
    verb!(
        "PUT",
        Write,
        MethodSpec::new(
            "Replace a group and its members",
            &[],
            Some(&wire::GROUP_BODY),
            &wire::GROUP_SUMMARY_BODY
        ),
        groups::update
    ),
];
const ONE_ORGANISATION: &[RouteMethod] = &[
    verb!(
        "GET",
        Read,
        MethodSpec::new("Get an organisation", &[], None, &wire::ORGANISATION_BODY),
        organisations::get
    ),
    verb!(
        "PUT",
        Write,
        MethodSpec::new(
            "Replace an organisation",
            &[],
            Some(&wire::ORGANISATION_BODY),
            &wire::ORGANISATION_SUMMARY_BODY
        ),
        organisations::update
    ),
];

/// Every path. The bulk calls stand before those that name a user, since `activate` is no user.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/{context}/api/2/users",
        methods: &[
            verb!(
                "GET",
                Read,
                MethodSpec::new("List users", FIND_USERS, None, &wire::USERS_BODY),
                users::list
            ),
            verb!(
                "POST",
                Write,
                MethodSpec::new("Add a user", &[], Some(&wire::USER_BODY), &wire::SUMMARY_BODY),
                users::create
            ),
        ],
    },
    post!(
        "/{context}/api/2/users/activate",
        "Activate several users",
        Some(&wire::BULK_USERS),
        &wire::USERS_BODY,
        users::activate_all
    ),
    post!(
        "/{context}/api/2/users/disable",
        "Disable several users",
        Some(&wire::BULK_USERS),
        &wire::USERS_BODY,
        users::disable_all
    ),
    post!(
        "/{context}/api/2/users/invite",
        "Ask users in by mail",
        Some(&wire::INVITATION),
        &wire::USERS_BODY,
        users::invite
    ),
    Route { path: "/{context}/api/2/users/{user}", methods: ONE_USER },
    Route { path: "/{context}/api/2/user/{user}", methods: ONE_USER },
    post!(
        "/{context}/api/2/users/{user}/activate",
        "Activate a user",
        None,
        &wire::SUMMARY_BODY,
        users::activate
    ),
    post!(
        "/{context}/api/2/users/{user}/disable",
        "Disable a user",
        None,
        &wire::SUMMARY_BODY,
        users::disable
    ),
    post!(
        "/{context}/api/2/users/{user}/archive",
        "Archive a user",
        None,
        &wire::SUMMARY_BODY,
        users::archive
    ),
    post!(
        "/{context}/api/2/users/{user}/reinstate",
        "Reinstate a suspended user",
        None,
        &wire::SUMMARY_BODY,
        users::reinstate
    ),
    Route {
        path: "/{context}/api/2/groups",
        methods: &[
            verb!(
                "GET",
                Read,
                MethodSpec::new("List groups", FIND_GROUPS, None, &wire::GROUPS_BODY),
                groups::list
            ),
            verb!(
                "POST",
                Write,
                MethodSpec::new("Add a group", &[], Some(&wire::GROUP_BODY), &wire::GROUP_SUMMARY_BODY),
                groups::create
            ),
        ],
    },
    Route { path: "/{context}/api/2/groups/{group}", methods: ONE_GROUP },
    Route {
        path: "/{context}/api/2/groups/{group}/users",
        methods: &[verb!(
            "PUT",
            Write,
            MethodSpec::new(
                "Add active users to a group",
                &[],
                Some(&wire::GROUP_MEMBERS_BODY),
                &wire::GROUP_BODY
            ),
            groups::add_users
        )],
    },
    Route {
        path: "/{context}/api/2/organisations",
        methods: &[
            verb!(
                "GET",
                Read,
                MethodSpec::new("List organisations", FIND_ORGANISATIONS, None, &wire::ORGANISATIONS_BODY),
                organisations::list
            ),
            verb!(
                "POST",
                Write,
                MethodSpec::new(
                    "Add an organisation",
                    &[],
                    Some(&wire::ORGANISATION_BODY),
                    &wire::ORGANISATION_SUMMARY_BODY
                ),
                organisations::create
            ),
        ],
    },
    post!(
        "/{context}/api/2/organisations/activate",
        "Activate several organisations",
        Some(&wire::BULK_ORGANISATIONS),
        &wire::ORGANISATIONS_BODY,
        organisations::activate_all
    ),
    post!(
        "/{context}/api/2/organisations/disable",
        "Disable several organisations",
        Some(&wire::BULK_ORGANISATIONS),
        &wire::ORGANISATIONS_BODY,
        organisations::disable_all
    ),
    Route { path: "/{context}/api/2/organisations/{organisation}", methods: ONE_ORGANISATION },
    post!(
        "/{context}/api/2/organisations/{organisation}/activate",
        "Activate an organisation",
        None,
        &wire::ORGANISATION_SUMMARY_BODY,
        organisations::activate
    ),
    post!(
        "/{context}/api/2/organisations/{organisation}/disable",
        "Disable an organisation",
        None,
        &wire::ORGANISATION_SUMMARY_BODY,
        organisations::disable
    ),
    post!(
        "/{context}/api/2/organisations/{organisation}/archive",
        "Archive an organisation",
        None,
        &wire::ORGANISATION_SUMMARY_BODY,
        organisations::archive
    ),
    post!(
        "/{context}/api/2/organisations/{organisation}/domains",
        "Add an e-mail domain to an organisation",
        Some(&wire::DOMAIN_BODY),
        &wire::ORGANISATION_SUMMARY_BODY,
        organisations::add_domain
    ),
    Route {
        path: "/{context}/api/2/organisationgroups",
        methods: &[verb!(
            "GET",
            Read,
            MethodSpec::new(
                "List groups of organisations; there are none",
                FIND_GROUPS,
                None,
                &wire::ORGANISATION_GROUPS_BODY
            ),
            organisations::list_groups
        )],
    },
    Route {
        path: "/{context}/api/2/organisationgroups/{group}",
        methods: &[verb!(
            "GET",
            Read,
            MethodSpec::new(
                "Get a group of organisations; there are none",
                &[],
                None,
                &wire::ORGANISATION_GROUP_BODY
            ),
            organisations::get_group
        )],
    },
];
