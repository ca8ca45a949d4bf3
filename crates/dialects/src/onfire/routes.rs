//! The routes of the dialect.

use super::{groups, users, wire};
use crate::kit::{MethodSpec, Parameter, Route, RouteMethod, ValueType, param, route_method};

const ID_PARAMETER: &[Parameter] = &[param("Id", ValueType::Guid, "Id of the item")];
const USER_KEY_PARAMETERS: &[Parameter] = &[
    param("Id", ValueType::Guid, "Id of the user"),
    param("Email", ValueType::Text, "Email of the user, if no `Id` is sent"),
    param("ExternalId", ValueType::Text, "External id of the user, if no `Id` or `Email` is sent"),
];
const ITEM_KEY_PARAMETERS: &[Parameter] = &[
    param("Id", ValueType::Guid, "Id of the item"),
    param("ExternalId", ValueType::Text, "External id of the item, if no `Id` is sent"),
    param("Name", ValueType::Text, "Name of the item, if no `Id` or `ExternalId` is sent"),
];
const USER_SEARCH_PARAMETERS: &[Parameter] = &[
    param("Name", ValueType::Text, "Substring of first and last name, case-insensitive"),
    param("Email", ValueType::Text, "Email, case-insensitive"),
    param("ExternalId", ValueType::Text, "External id, case-insensitive"),
    param("Status", ValueType::Text, "`Invited`, `Active` or `Inactive`"),
    param("UseNames", ValueType::Boolean, "Return groups and folders by name"),
    param("UseExternalIds", ValueType::Boolean, "Return groups and folders by external id"),
    param("PageNo", ValueType::Integer, "Page number, from 0"),
    param("PageSize", ValueType::Integer, "Page size; default 100, maximum 250"),
];
const ITEM_SEARCH_PARAMETERS: &[Parameter] = &[
    param("Name", ValueType::Text, "Substring of the name, case-insensitive"),
    param("ExternalId", ValueType::Text, "External id, case-insensitive"),
    param("PageNo", ValueType::Integer, "Page number, from 0"),
    param("PageSize", ValueType::Integer, "Page size; default 100, maximum 250"),
];

macro_rules! resource {
    ($name:ident, $record:expr, $answer:expr, $who:expr, $what:literal, $module:ident: $get:ident $post:ident $put:ident $delete:ident) => {
        const $name: &[RouteMethod] = &[
            route_method!("GET", Read, $module::$get, MethodSpec::new(concat!("Get a ", $what), $who, None, $answer)),
            route_method!(
                "POST",
                Write,
                $module::$post,
                MethodSpec::new(concat!("Create a ", $what), &[], Some($record), $answer)
            ),
            route_method!(
                "PUT",
                Write,
                $module::$put,
                MethodSpec::new(concat!("Change the sent properties of a ", $what), &[], Some($record), $answer)
                    .partial()
            ),
            route_method!(
                "DELETE",
                Write,
                $module::$delete,
                MethodSpec::new(concat!("Delete a ", $what), ID_PARAMETER, Some($record), $answer).partial()
            ),
        ];
    };
}
resource!(SUSER, &wire::SUSER, &wire::SUSER_RESPONSE, USER_KEY_PARAMETERS, "user", users: get create update delete);
resource!(USER, &wire::USER, &wire::USER_RESPONSE, USER_KEY_PARAMETERS, "user", users: get create update delete);
resource!(GROUP, &wire::USER_GROUP, &wire::USER_GROUP_RESPONSE, ITEM_KEY_PARAMETERS, "group",
    groups: get_group create_group update_group delete_group);
resource!(FOLDER, &wire::FOLDER, &wire::FOLDER_RESPONSE, ITEM_KEY_PARAMETERS, "folder",
    groups: get_folder create_folder update_folder delete_folder);

macro_rules! search {
    ($name:ident, $answer:expr, $query:expr, $what:literal, $handler:path, $($method:literal),+) => {
        const $name: &[RouteMethod] = &[$(route_method!($method, Read, $handler, MethodSpec::new(concat!("Search ", $what), $query, None, $answer))),+];
    };
}
search!(FIND_SUSER, &wire::SUSER_PAGE, USER_SEARCH_PARAMETERS, "users", users::search, "GET");
search!(FIND_USER, &wire::USER_PAGE, USER_SEARCH_PARAMETERS, "users", users::search, "GET");
search!(FIND_GROUP, &wire::USER_GROUP_PAGE, ITEM_SEARCH_PARAMETERS, "groups", groups::search_groups, "GET");
search!(FIND_FOLDER, &wire::FOLDER_PAGE, ITEM_SEARCH_PARAMETERS, "folders", groups::search_folders, "GET");
// Reply routes take typed messages, so a search may also be posted.
search!(REPLY_FIND_SUSER, &wire::SUSER_PAGE, USER_SEARCH_PARAMETERS, "users", users::search, "GET", "POST");
search!(REPLY_FIND_USER, &wire::USER_PAGE, USER_SEARCH_PARAMETERS, "users", users::search, "GET", "POST");
search!(
    REPLY_FIND_GROUP,
    &wire::USER_GROUP_PAGE,
    ITEM_SEARCH_PARAMETERS,
    "groups",
    groups::search_groups,
    "GET",
    "POST"
);
search!(
    REPLY_FIND_FOLDER,
    &wire::FOLDER_PAGE,
    ITEM_SEARCH_PARAMETERS,
    "folders",
    groups::search_folders,
    "GET",
    "POST"
);

/// `{format}` is `json` or `xml`.
pub(super) static ROUTES: &[Route] = &[
    Route { path: "/api/v1/suser", methods: SUSER },
    Route { path: "/api/v1/suser/search", methods: FIND_SUSER },
    Route { path: "/api/v2/user", methods: USER },
    Route { path: "/api/v2/user/search", methods: FIND_USER },
    Route { path: "/api/v2/usergroup", methods: GROUP },
    Route { path: "/api/v2/usergroup/search", methods: FIND_GROUP },
    Route { path: "/api/v2/folder", methods: FOLDER },
    Route { path: "/api/v2/folder/search", methods: FIND_FOLDER },
    Route { path: "/api/{format}/reply/SUser", methods: SUSER },
    Route { path: "/api/{format}/reply/SUserSearch", methods: REPLY_FIND_SUSER },
    Route { path: "/api/{format}/reply/User", methods: USER },
    Route { path: "/api/{format}/reply/UserSearch", methods: REPLY_FIND_USER },
    Route { path: "/api/{format}/reply/UserGroup", methods: GROUP },
    Route { path: "/api/{format}/reply/UserGroupSearch", methods: REPLY_FIND_GROUP },
    Route { path: "/api/{format}/reply/Folder", methods: FOLDER },
    Route { path: "/api/{format}/reply/FolderSearch", methods: REPLY_FIND_FOLDER },
];
