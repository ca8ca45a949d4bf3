//! The route, and its handler.

use super::{read, wire, write};
use crate::kit::{AppState, DialectRequest, DialectResponse, MethodSpec, RequestError, Route, route_method};

pub(super) static ROUTES: &[Route] = &[Route {
    path: "/v1/sign-in",
    methods: &[
        // `Read` suffices: a sign-in changes nothing that the caller chooses.
        route_method!(
            "POST",
            Read,
            sign_in,
            MethodSpec::new("Check a user's credentials", &[], Some(&wire::REQUEST), &wire::RESPONSE)
        ),
    ],
}];

async fn sign_in(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let user = state.directory.sign_in(request.caller()?, read::sign_in_credentials(request)?, None).await?;
    Ok(write::sign_in_response(&user))
}
