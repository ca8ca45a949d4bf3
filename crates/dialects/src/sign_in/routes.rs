//! The table of paths.

use super::{read, wire, write};
use crate::kit::{About, Access, Answer, Call, Desk, Fault, Route, Verb};

/// Every path.
pub(super) static ROUTES: &[Route] = &[Route {
    path: "/v1/sign-in",
    verbs: &[Verb {
        method: "POST",
        // It changes when somebody was last seen, and nothing that the caller could choose.
        access: Access::Read,
        about: About::new("Who signs in with this", &[], Some(&wire::REQUEST), &wire::ANSWER),
        handler: |desk, call| Box::pin(sign_in(desk, call)),
    }],
}];

async fn sign_in(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let user = desk.directory.sign_in(call.caller()?, read::guess(call)?, None).await?;
    Ok(write::signed_in(&user))
}
