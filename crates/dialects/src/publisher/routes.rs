//! The table of paths, each also behind one segment of context.

use super::{groups, organisations, users, wire};
use crate::kit::{About, Access, Kind, Route, Verb};

type Parameters = &'static [(&'static str, Kind, &'static str)];

const PAGE: [(&str, Kind, &str); 2] = [
    ("offset", Kind::Integer, "How many to leave out, 0"),
    ("limit", Kind::Integer, "How many to return, 200"),
];
const DATES: [(&str, Kind, &str); 2] = [
    ("createddate", Kind::Text, "`lastweek`, `lastmonth`, `lastyear` or `YYYYMMDD,YYYYMMDD`"),
    ("modifieddate", Kind::Text, "The same for the last change"),
];
const FIND_USERS: Parameters = &[
    ("organisations", Kind::Text, "Numbers or names, comma-separated"),
    ("organisationgroups", Kind::Text, "Numbers; nobody, as there are none"),
    ("usergroups", Kind::Text, "Numbers or names, comma-separated"),
    ("departments", Kind::Text, "Names, comma-separated"),
    ("locations", Kind::Text, "Parts of the address, comma-separated"),
    ("search", Kind::Text, "Part of any text of a user"),
    ("status", Kind::Text, "`active`, `archive`, `disable`, `suspended`, `pending`, or 1, 2, 0, 3"),
    ("sort", Kind::Text, "`+` or `-` and a field"),
    ("fields", Kind::Text, "`all`, or names, comma-separated; summaries when left out"),
    PAGE[0],
    PAGE[1],
    DATES[0],
    DATES[1],
];
const FIND_GROUPS: Parameters = &[
    ("search", Kind::Text, "Part of the name"),
    ("sort", Kind::Text, "`+` or `-` and `name`, `created` or `updated`; several, comma-separated"),
    ("fields", Kind::Text, "`all` for whole groups"),
    PAGE[0],
    PAGE[1],
    DATES[0],
    DATES[1],
];
const FIND_ORGANISATIONS: Parameters = &[
    ("domain", Kind::Text, "E-mail domains, comma-separated"),
    ("autologin", Kind::Boolean, "Only those with this setting"),
    ("homepage", Kind::Integer, "Only those with this number"),
    ("industry", Kind::Integer, "Only those with this number"),
    ("category", Kind::Integer, "Only those with this number"),
    ("locations", Kind::Text, "Part of an address of one of its users, comma-separated"),
    ("search", Kind::Text, "Part of the name, URL or a domain"),
    ("status", Kind::Text, "`active`, `archive`, `disabled`, `suspended`"),
    ("sort", Kind::Text, "`+` or `-` and `id`, `name`, `status`, `url`, `created` or `updated`"),
    ("fields", Kind::Text, "`all` for whole organisations"),
    PAGE[0],
    PAGE[1],
    DATES[0],
    DATES[1],
];

macro_rules! verb {
    ($method:literal, $access:ident, $about:expr, $handler:path) => {
        Verb {
            method: $method,
            access: Access::$access,
            about: $about,
            handler: |desk, call| Box::pin($handler(desk, call)),
        }
    };
}

macro_rules! post {
    ($path:literal, $summary:literal, $body:expr, $answer:expr, $handler:path) => {
        Route {
            path: $path,
            verbs: &[verb!("POST", Write, About::new($summary, &[], $body, $answer), $handler)],
        }
    };
}

const ONE_USER: &[Verb] = &[
    verb!("GET", Read, About::new("Get a user by number or e-mail", &[], None, &wire::USER_BODY), users::get),
    verb!(
        "PUT",
        Write,
        About::new("Replace a user", &[], Some(&wire::USER_BODY), &wire::SUMMARY_BODY),
        users::update
    ),
];
const ONE_GROUP: &[Verb] = &[
    verb!("GET", Read, About::new("Get a group", &[], None, &wire::GROUP_BODY), groups::get),
    verb!(
        "PUT",
        Write,
        About::new(
            "Replace a group and its members",
            &[],
            Some(&wire::GROUP_BODY),
            &wire::GROUP_SUMMARY_BODY
        ),
        groups::update
    ),
];
const ONE_ORGANISATION: &[Verb] = &[
    verb!(
        "GET",
        Read,
        About::new("Get an organisation", &[], None, &wire::ORGANISATION_BODY),
        organisations::get
    ),
    verb!(
        "PUT",
        Write,
        About::new(
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
        verbs: &[
            verb!("GET", Read, About::new("List users", FIND_USERS, None, &wire::USERS_BODY), users::list),
            verb!(
                "POST",
                Write,
                About::new("Add a user", &[], Some(&wire::USER_BODY), &wire::SUMMARY_BODY),
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
    Route { path: "/{context}/api/2/users/{user}", verbs: ONE_USER },
    Route { path: "/{context}/api/2/user/{user}", verbs: ONE_USER },
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
        verbs: &[
            verb!(
                "GET",
                Read,
                About::new("List groups", FIND_GROUPS, None, &wire::GROUPS_BODY),
                groups::list
            ),
            verb!(
                "POST",
                Write,
                About::new("Add a group", &[], Some(&wire::GROUP_BODY), &wire::GROUP_SUMMARY_BODY),
                groups::create
            ),
        ],
    },
    Route { path: "/{context}/api/2/groups/{group}", verbs: ONE_GROUP },
    Route {
        path: "/{context}/api/2/groups/{group}/users",
        verbs: &[verb!(
            "PUT",
            Write,
            About::new(
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
        verbs: &[
            verb!(
                "GET",
                Read,
                About::new("List organisations", FIND_ORGANISATIONS, None, &wire::ORGANISATIONS_BODY),
                organisations::list
            ),
            verb!(
                "POST",
                Write,
                About::new(
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
    Route { path: "/{context}/api/2/organisations/{organisation}", verbs: ONE_ORGANISATION },
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
        verbs: &[verb!(
            "GET",
            Read,
            About::new(
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
        verbs: &[verb!(
            "GET",
            Read,
            About::new(
                "Get a group of organisations; there are none",
                &[],
                None,
                &wire::ORGANISATION_GROUP_BODY
            ),
            organisations::get_group
        )],
    },
];
