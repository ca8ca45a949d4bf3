//! The table of paths: the standard one, and the one where clients of another API expect it.

use super::{token, wire};
use crate::kit::{About, Access, Route, Verb};

const TOKEN: &[Verb] = &[Verb {
    method: "POST",
    access: Access::Open,
    about: About::new("Get an access token", &[], Some(&wire::REQUEST), &wire::TOKEN),
    handler: |desk, call| Box::pin(token::give(desk, call)),
}];

/// Every path.
pub(super) static ROUTES: &[Route] = &[
    Route { path: "/oauth2/token", verbs: TOKEN },
    Route { path: "/{context}/api/oauth2/token", verbs: TOKEN },
    Route {
        path: "/.well-known/oauth-authorization-server",
        verbs: &[Verb {
            method: "GET",
            access: Access::Open,
            about: About::new("What this authorization server can do", &[], None, &wire::METADATA),
            handler: |desk, call| Box::pin(std::future::ready(Ok(token::metadata(desk, call)))),
        }],
    },
];
