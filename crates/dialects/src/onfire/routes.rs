//! The table of paths.

use super::{groups, users, wire};
use crate::kit::{About, Access, Kind, Route, Verb};

type Parameters = &'static [(&'static str, Kind, &'static str)];

const ID: Parameters = &[("Id", Kind::Guid, "Its id; nothing else says which")];
const WHO: Parameters = &[
    ("Id", Kind::Guid, "The user's id"),
    ("Email", Kind::Text, "Or the e-mail"),
    ("ExternalId", Kind::Text, "Or your own key"),
];
const WHICH: Parameters = &[
    ("Id", Kind::Guid, "Its id"),
    ("ExternalId", Kind::Text, "Or your own key"),
    ("Name", Kind::Text, "Or its name"),
];
const FIND_USERS: Parameters = &[
    ("Name", Kind::Text, "Part of first and last name, in any case"),
    ("Email", Kind::Text, "The e-mail, in any case"),
    ("ExternalId", Kind::Text, "Your own key, in any case"),
    ("Status", Kind::Text, "`Invited`, `Active` or `Inactive`"),
    ("UseNames", Kind::Boolean, "Groups and folders by name"),
    ("UseExternalIds", Kind::Boolean, "Groups and folders by external id"),
    ("PageNo", Kind::Integer, "From 0"),
    ("PageSize", Kind::Integer, "100 unless said otherwise, at most 250"),
];
const FIND_ITEMS: Parameters = &[
    ("Name", Kind::Text, "Part of the name, in any case"),
    ("ExternalId", Kind::Text, "Your own key, in any case"),
    ("PageNo", Kind::Integer, "From 0"),
    ("PageSize", Kind::Integer, "100 unless said otherwise, at most 250"),
];

macro_rules! resource {
    ($name:ident, $record:expr, $answer:expr, $who:expr, $what:literal, $module:ident: $get:ident $post:ident $put:ident $delete:ident) => {
        const $name: &[Verb] = &[
            Verb {
                method: "GET",
                access: Access::Read,
                about: About::new(concat!("Get a ", $what), $who, None, $answer),
                handler: |desk, call| Box::pin($module::$get(desk, call)),
            },
            Verb {
                method: "POST",
                access: Access::Write,
                about: About::new(concat!("Create a ", $what), &[], Some($record), $answer),
                handler: |desk, call| Box::pin($module::$post(desk, call)),
            },
            Verb {
                method: "PUT",
                access: Access::Write,
                about: About::new(
                    concat!("Change a ", $what, "; what is left out stays"),
                    &[],
                    Some($record),
                    $answer,
                )
                .partial(),
                handler: |desk, call| Box::pin($module::$put(desk, call)),
            },
            Verb {
                method: "DELETE",
                access: Access::Write,
                about: About::new(concat!("Delete a ", $what), ID, Some($record), $answer).partial(),
                handler: |desk, call| Box::pin($module::$delete(desk, call)),
            },
        ];
    };
}
resource!(SUSER, &wire::SUSER, &wire::SUSER_RESPONSE, WHO, "user", users: get create update delete);
resource!(USER, &wire::USER, &wire::USER_RESPONSE, WHO, "user", users: get create update delete);
resource!(GROUP, &wire::USER_GROUP, &wire::USER_GROUP_RESPONSE, WHICH, "group",
    groups: get_group create_group update_group delete_group);
resource!(FOLDER, &wire::FOLDER, &wire::FOLDER_RESPONSE, WHICH, "folder",
    groups: get_folder create_folder update_folder delete_folder);

macro_rules! search {
    ($name:ident, $answer:expr, $query:expr, $what:literal, $handler:path, $($method:literal),+) => {
        const $name: &[Verb] = &[$(Verb {
            method: $method,
            access: Access::Read,
            about: About::new(concat!("Find ", $what), $query, None, $answer),
            handler: |desk, call| Box::pin($handler(desk, call)),
        }),+];
    };
}
search!(FIND_SUSER, &wire::SUSER_PAGE, FIND_USERS, "users", users::search, "GET");
search!(FIND_USER, &wire::USER_PAGE, FIND_USERS, "users", users::search, "GET");
search!(FIND_GROUP, &wire::USER_GROUP_PAGE, FIND_ITEMS, "groups", groups::search_groups, "GET");
search!(FIND_FOLDER, &wire::FOLDER_PAGE, FIND_ITEMS, "folders", groups::search_folders, "GET");
// On the reply routes a request is a typed message, and a search may be posted.
search!(REPLY_FIND_SUSER, &wire::SUSER_PAGE, FIND_USERS, "users", users::search, "GET", "POST");
search!(REPLY_FIND_USER, &wire::USER_PAGE, FIND_USERS, "users", users::search, "GET", "POST");
search!(REPLY_FIND_GROUP, &wire::USER_GROUP_PAGE, FIND_ITEMS, "groups", groups::search_groups, "GET", "POST");
search!(REPLY_FIND_FOLDER, &wire::FOLDER_PAGE, FIND_ITEMS, "folders", groups::search_folders, "GET", "POST");

/// Every path; `{format}` is `json` or `xml`.
pub(super) static ROUTES: &[Route] = &[
    Route { path: "/api/v1/suser", verbs: SUSER },
    Route { path: "/api/v1/suser/search", verbs: FIND_SUSER },
    Route { path: "/api/v2/user", verbs: USER },
    Route { path: "/api/v2/user/search", verbs: FIND_USER },
    Route { path: "/api/v2/usergroup", verbs: GROUP },
    Route { path: "/api/v2/usergroup/search", verbs: FIND_GROUP },
    Route { path: "/api/v2/folder", verbs: FOLDER },
    Route { path: "/api/v2/folder/search", verbs: FIND_FOLDER },
    Route { path: "/api/{format}/reply/SUser", verbs: SUSER },
    Route { path: "/api/{format}/reply/SUserSearch", verbs: REPLY_FIND_SUSER },
    Route { path: "/api/{format}/reply/User", verbs: USER },
    Route { path: "/api/{format}/reply/UserSearch", verbs: REPLY_FIND_USER },
    Route { path: "/api/{format}/reply/UserGroup", verbs: GROUP },
    Route { path: "/api/{format}/reply/UserGroupSearch", verbs: REPLY_FIND_GROUP },
    Route { path: "/api/{format}/reply/Folder", verbs: FOLDER },
    Route { path: "/api/{format}/reply/FolderSearch", verbs: REPLY_FIND_FOLDER },
];
