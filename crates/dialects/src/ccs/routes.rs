//! The routes.

use super::{users, wire};
use crate::kit::{MethodSpec, ObjectSchema, RequiredAccess, Route, RouteMethod, SuccessResponse, ValueType};

const fn spec(summary: &'static str, body: Option<&'static ObjectSchema>, success: SuccessResponse) -> MethodSpec {
    MethodSpec { summary, query_params: &[], body, is_partial: false, success, error_statuses: &[] }
}

pub(super) static ROUTES: &[Route] = &[
    Route {
        path: "/request/user",
        methods: &[
            RouteMethod {
                name: "POST",
                access: RequiredAccess::Write,
                spec: spec(
                    "Add a new user",
                    Some(&wire::USER_POST),
                    SuccessResponse::Object(&wire::USER_POST_RESPONSE),
                ),
                handler: |state, request| Box::pin(users::create(state, request)),
            },
            RouteMethod {
                name: "GET",
                access: RequiredAccess::Read,
                spec: MethodSpec {
                    query_params: &[
                        ("skip", ValueType::Integer, "Number of users to skip"),
                        ("take", ValueType::Integer, "Maximum number of users to return; all by default"),
                    ],
                    ..spec("List all users", None, SuccessResponse::List(&wire::USER_LIST))
                },
                handler: |state, request| Box::pin(users::list(state, request)),
            },
        ],
    },
    Route {
        path: "/request/user/{id}",
        methods: &[
            RouteMethod {
                name: "GET",
                access: RequiredAccess::Read,
                spec: spec("Get a user", None, SuccessResponse::Object(&wire::USER_VIEW)),
                handler: |state, request| Box::pin(users::get(state, request)),
            },
            RouteMethod {
                name: "PUT",
                access: RequiredAccess::Write,
                spec: spec(
                    "Change a user; absent members are kept",
                    Some(&wire::USER_POST),
                    SuccessResponse::Object(&wire::USER_POST_RESPONSE),
                ),
                handler: |state, request| Box::pin(users::update(state, request)),
            },
            RouteMethod {
                name: "DELETE",
                access: RequiredAccess::Write,
                spec: spec("Delete a user", None, SuccessResponse::NoContent),
                handler: |state, request| Box::pin(users::delete(state, request)),
            },
        ],
    },
    Route {
        path: "/request/role",
        methods: &[RouteMethod {
            name: "GET",
            access: RequiredAccess::Read,
            spec: spec("List the roles", None, SuccessResponse::List(&wire::ROLE_LIST)),
            handler: |state, request| Box::pin(users::roles(state, request)),
        }],
    },
    Route {
        path: "/request/department",
        methods: &[RouteMethod {
            name: "GET",
            access: RequiredAccess::Read,
            spec: spec("List the departments", None, SuccessResponse::List(&wire::DEPARTMENT_LIST)),
            handler: |state, request| Box::pin(users::departments(state, request)),
        }],
    },
];
