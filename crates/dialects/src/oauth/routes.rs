//! The routes: the standard ones, and a token endpoint where clients of another API expect it.

use super::{token, wire};
use crate::kit::{MethodSpec, RequiredAccess, Route, RouteMethod, route_method};

const TOKEN: &[RouteMethod] = &[route_method!(
    "POST",
    Public,
    token::issue_token,
    MethodSpec::new("Get an access token", &[], Some(&wire::REQUEST), &wire::TOKEN)
)];

pub(super) static ROUTES: &[Route] = &[
    Route { path: "/oauth2/token", methods: TOKEN },
    Route { path: "/{context}/api/oauth2/token", methods: TOKEN },
    Route {
        path: "/.well-known/oauth-authorization-server",
        methods: &[RouteMethod {
            name: "GET",
            access: RequiredAccess::Public,
            spec: MethodSpec::new("Get the metadata of this authorization server", &[], None, &wire::METADATA),
            handler: |state, request| Box::pin(std::future::ready(Ok(token::metadata(state, request)))),
        }],
    },
];
