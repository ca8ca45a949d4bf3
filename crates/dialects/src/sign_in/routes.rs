//! The table of paths.

use super::{read, wire, write};
use crate::kit::{
    AppState, DialectRequest, DialectResponse, MethodSpec, RequestError, RequiredAccess, Route, RouteMethod,
};

/// Every path.
pub(super) static ROUTES: &[Route] = &[Route {
    path: "/v1/sign-in",
    methods: &[RouteMethod {
        name: "POST",
        // It changes when somebody was last seen, and nothing that the caller could choose.
        access: RequiredAccess::Read,
        spec: MethodSpec::new("Who signs in with this", &[], Some(&wire::REQUEST), &wire::RESPONSE),
        handler: |state, request| Box::pin(sign_in(state, request)),
    }],
}];

async fn sign_in(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let user = state.directory.sign_in(request.caller()?, read::sign_in_credentials(request)?, None).await?;
    Ok(write::sign_in_response(&user))
}
