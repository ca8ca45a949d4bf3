//! The table of paths.

use super::{users, wire};
use crate::kit::{About, Access, Kind, Record, Route, Success, Verb};

const fn about(summary: &'static str, body: Option<&'static Record>, success: Success) -> About {
    About { summary, query: &[], body, is_partial: false, success, own_failures: &[] }
}

/// Every path.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/request/user",
        verbs: &[
            Verb {
                method: "POST",
                access: Access::Write,
                about: about(
                    "Add a new user",
                    Some(&wire::USER_POST),
                    Success::Object(&wire::USER_POST_RESPONSE),
                ),
                handler: |desk, call| Box::pin(users::create(desk, call)),
            },
            Verb {
                method: "GET",
                access: Access::Read,
                about: About {
                    query: &[
                        ("skip", Kind::Integer, "How many to leave out at the start"),
                        ("take", Kind::Integer, "How many to return; everybody when left out"),
                    ],
                    ..about("List all users", None, Success::List(&wire::USER_LIST))
                },
                handler: |desk, call| Box::pin(users::list(desk, call)),
            },
        ],
    },
    Route {
        path: "/request/user/{id}",
        verbs: &[
            Verb {
                method: "GET",
                access: Access::Read,
                about: about("Get a user", None, Success::Object(&wire::USER_VIEW)),
                handler: |desk, call| Box::pin(users::get(desk, call)),
            },
            Verb {
                method: "PUT",
                access: Access::Write,
                about: about(
                    "Change a user; what is left out stays",
                    Some(&wire::USER_POST),
                    Success::Object(&wire::USER_POST_RESPONSE),
                ),
                handler: |desk, call| Box::pin(users::update(desk, call)),
            },
            Verb {
                method: "DELETE",
                access: Access::Write,
                about: about("Delete a user", None, Success::Nothing),
                handler: |desk, call| Box::pin(users::delete(desk, call)),
            },
        ],
    },
    Route {
        path: "/request/role",
        verbs: &[Verb {
            method: "GET",
            access: Access::Read,
            about: about("List the roles", None, Success::List(&wire::ROLE_LIST)),
            handler: |desk, call| Box::pin(users::roles(desk, call)),
        }],
    },
    Route {
        path: "/request/department",
        verbs: &[Verb {
            method: "GET",
            access: Access::Read,
            about: about("List the departments", None, Success::List(&wire::DEPARTMENT_LIST)),
            handler: |desk, call| Box::pin(users::departments(desk, call)),
        }],
    },
];
