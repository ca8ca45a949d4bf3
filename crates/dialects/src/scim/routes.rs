//! The table of paths.

use super::{bulk, discovery, groups, search, users, wire};
use crate::kit::{About, Access, Kind, Record, Route, Verb};

type Parameters = &'static [(&'static str, Kind, &'static str)];

const SELECT: [(&str, Kind, &str); 2] = [
    ("attributes", Kind::Text, "Only these attributes, comma-separated"),
    ("excludedAttributes", Kind::Text, "Not these attributes, comma-separated"),
];
const ONE: Parameters = &SELECT;
const MANY: Parameters = &[
    ("filter", Kind::Text, "What must hold (RFC 7644 section 3.4.2.2)"),
    ("sortBy", Kind::Text, "An attribute"),
    ("sortOrder", Kind::Text, "`ascending` or `descending`"),
    ("startIndex", Kind::Integer, "Where to begin, from 1"),
    ("count", Kind::Integer, "How many, 100 when not said, 1,000 at the most"),
    ("cursor", Kind::Text, "Where to begin, by cursor (RFC 9865); empty for the first page"),
    SELECT[0],
    SELECT[1],
];

macro_rules! verb {
    ($method:literal, $access:ident, $about:literal, $query:expr, $body:expr, $answer:expr, $handler:path) => {
        Verb {
            method: $method,
            access: Access::$access,
            about: About { summary: $about, query: $query, body: $body, answer: $answer },
            handler: |desk, call| Box::pin($handler(desk, call)),
        }
    };
}

const USER: Option<&'static Record> = Some(&wire::USER);
const GROUP: Option<&'static Record> = Some(&wire::GROUP);
const PATCH: Option<&'static Record> = Some(&wire::PATCH);

/// Every path.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/scim/v2/Users",
        verbs: &[
            verb!("GET", Read, "List users", MANY, None, Some(&wire::USER_LIST), search::users_by_query),
            verb!("POST", Write, "Create a user", ONE, USER, USER, users::create),
        ],
    },
    Route {
        path: "/scim/v2/Users/.search",
        verbs: &[verb!(
            "POST",
            Read,
            "List users, asked in a body",
            &[],
            Some(&wire::SEARCH),
            Some(&wire::USER_LIST),
            search::users_by_body
        )],
    },
    Route {
        path: "/scim/v2/Users/{id}",
        verbs: &[
            verb!("GET", Read, "Get a user", ONE, None, USER, users::get),
            verb!("PUT", Write, "Replace a user", ONE, USER, USER, users::replace),
            verb!("PATCH", Write, "Change a user", ONE, PATCH, USER, users::modify),
            verb!("DELETE", Write, "Delete a user", &[], None, None, users::delete),
        ],
    },
    Route {
        path: "/scim/v2/Groups",
        verbs: &[
            verb!("GET", Read, "List groups", MANY, None, Some(&wire::GROUP_LIST), search::groups_by_query),
            verb!("POST", Write, "Create a group", ONE, GROUP, GROUP, groups::create),
        ],
    },
    Route {
        path: "/scim/v2/Groups/.search",
        verbs: &[verb!(
            "POST",
            Read,
            "List groups, asked in a body",
            &[],
            Some(&wire::SEARCH),
            Some(&wire::GROUP_LIST),
            search::groups_by_body
        )],
    },
    Route {
        path: "/scim/v2/Groups/{id}",
        verbs: &[
            verb!("GET", Read, "Get a group", ONE, None, GROUP, groups::get),
            verb!("PUT", Write, "Replace a group and its members", ONE, GROUP, GROUP, groups::replace),
            verb!(
                "PATCH",
                Write,
                "Change a group; 204 unless attributes are asked for",
                ONE,
                PATCH,
                GROUP,
                groups::modify
            ),
            verb!("DELETE", Write, "Delete a group", &[], None, None, groups::delete),
        ],
    },
    Route {
        path: "/scim/v2/.search",
        verbs: &[verb!(
            "POST",
            Read,
            "List users and groups",
            &[],
            Some(&wire::SEARCH),
            Some(&wire::USER_LIST),
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
            Some(&wire::BULK),
            Some(&wire::BULK),
            bulk::bulk
        )],
    },
    Route {
        path: "/scim/v2/Me",
        verbs: &[
            verb!("GET", Read, "Get the person whose own client it is", ONE, None, USER, users::get_me),
            verb!("PUT", Write, "Replace that person", ONE, USER, USER, users::replace_me),
            verb!("PATCH", Write, "Change that person", ONE, PATCH, USER, users::modify_me),
            verb!("DELETE", Write, "Delete that person", &[], None, None, users::delete_me),
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
            Some(&wire::DISCOVERY),
            discovery::config
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
            Some(&wire::DISCOVERY),
            discovery::types
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
            Some(&wire::DISCOVERY),
            discovery::type_named
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
            Some(&wire::DISCOVERY),
            discovery::schemas
        )],
    },
    Route {
        path: "/scim/v2/Schemas/{urn}",
        verbs: &[verb!("GET", Open, "Get a schema", &[], None, Some(&wire::DISCOVERY), discovery::schema)],
    },
];
