//! A forgotten password: whoever asks is answered the same, whether there is such a person or not.

use super::request::PageRequest;
use super::responses::render_page;
use super::{PageResult, Portal, public_name};
use serde::Serialize;
use std::time::Duration;

/// Every answer takes this long at the least, so that time does not tell whether a mail was queued.
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
    let caller = request.caller("forgot page");
    let result = portal.directory.request_password_reset(&caller, request.field("user"), Some(request.address));
    let (asked, ()) = futures_util::future::join(result, tokio::time::sleep(MIN_RESPONSE_TIME)).await;
    if let Err(refusal) = asked {
        // Only for who is there could it fail so, which is nobody's business.
        tracing::warn!(?refusal, "a link that somebody asked for was not made");
    }
    let paragraphs = [
        "If there is an account with that e-mail or user name, a mail with a link is on its way. It can take a few minutes.",
        "If nothing comes, look among unwanted mails, or ask whoever looks after your account. A link that was sent in the last two minutes is not sent again.",
    ];
    request.message(200, "Look at your mails", &paragraphs, &[("sign-in", "Back to sign in")])
}
