//! Requests for a password reset. The response is the same whether the user exists or not.

use super::request::PageRequest;
use super::responses::render_page;
use super::{PageResult, Portal, public_name};
use serde::Serialize;
use std::time::Duration;

/// The minimum response time, so that timing does not reveal whether a mail was queued.
const MIN_RESPONSE_TIME: Duration = Duration::from_millis(400);

#[derive(Serialize)]
struct ForgotPasswordForm<'a> {
    tenant: &'a str,
    base: String,
    token: String,
    notice: &'a str,
    problem: &'a str,
}

pub(super) fn show(request: &PageRequest) -> PageResult {
    let form = ForgotPasswordForm {
        tenant: public_name(&request.tenant),
        base: request.page_path(""),
        token: request.csrf_token(),
        notice: "",
        problem: "",
    };
    Ok(request.with_browser_cookie(render_page(200, "forgot_password.html", &form)?))
}

pub(super) async fn submit(portal: &Portal, request: &PageRequest) -> PageResult {
    let caller = request.visitor("forgot page");
    let result = portal.directory.request_password_reset(&caller, request.field("user"), Some(request.address));
    let (asked, ()) = futures_util::future::join(result, tokio::time::sleep(MIN_RESPONSE_TIME)).await;
    if let Err(error) = asked {
        // Some errors occur only for existing users, so the response must not reveal any.
        tracing::warn!(?error, "cannot create a requested password reset link");
    }
    let paragraphs = [
        "If there is an account with this email or user name, we sent a link to choose a new password. It can take a few minutes to arrive.",
        "No email? Check your spam folder, or contact your administrator. We send at most one link every two minutes.",
    ];
    request.message(200, "Check your email", &paragraphs, &[("sign-in", "Back to sign in")])
}
