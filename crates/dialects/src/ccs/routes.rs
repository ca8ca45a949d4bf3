//! The routes.

use super::{users, wire};
use crate::kit::{MethodSpec, ObjectSchema, Route, SuccessResponse, ValueType, param, route_method};

const fn spec(summary: &'static str, body: Option<&'static ObjectSchema>, success: SuccessResponse) -> MethodSpec {
    MethodSpec { summary, query_parameters: &[], body, is_partial: false, success, error_statuses: &[] }
}

pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/request/user",
        methods: &[
            route_method!(
                "POST",
                Write,
                users::create,
                spec("Add a new user", Some(&wire::USER_POST), SuccessResponse::Object(&wire::USER_POST_RESPONSE),)
            ),
            route_method!(
                "GET",
                Read,
                users::list,
                MethodSpec {
                    query_parameters: &[
                        param("skip", ValueType::Integer, "Number of users to skip"),
                        param("take", ValueType::Integer, "Maximum number of users to return; all by default"),
                    ],
                    ..spec("List all users", None, SuccessResponse::List(&wire::USER_LIST))
                }
            ),
        ],
    },
    Route {
        path: "/request/user/{id}",
        methods: &[
            route_method!("GET", Read, users::get, spec("Get a user", None, SuccessResponse::Object(&wire::USER_VIEW))),
            route_method!(
                "PUT",
                Write,
                users::update,
                spec(
                    "Change a user; absent members are kept",
                    Some(&wire::USER_POST),
                    SuccessResponse::Object(&wire::USER_POST_RESPONSE),
                )
            ),
            route_method!("DELETE", Write, users::delete, spec("Delete a user", None, SuccessResponse::NoContent)),
        ],
    },
    Route {
        path: "/request/role",
        methods: &[route_method!(
            "GET",
            Read,
            users::roles,
            spec("List the roles", None, SuccessResponse::List(&wire::ROLE_LIST))
        )],
    },
    Route {
        path: "/request/department",
        methods: &[route_method!(
            "GET",
            Read,
            users::departments,
            spec("List the departments", None, SuccessResponse::List(&wire::DEPARTMENT_LIST))
        )],
    },
];
