//! A forgotten password: whoever asks is answered the same, whether there is such a person or not.

use super::request::Visit;
use super::respond::html;
use super::{Page, Portal, shown_name};
use serde::Serialize;
use std::time::Duration;

/// Every answer takes this long at the least, so that time does not tell whether a mail was queued.
const LEAST: Duration = Duration::from_millis(400);

#[derive(Serialize)]
struct Form<'a> {
    tenant: &'a str,
    base: String,
    token: String,
    notice: &'a str,
    problem: &'a str,
}

pub(super) fn show(visit: &Visit) -> Page {
    let form = Form {
        tenant: shown_name(&visit.tenant),
        base: visit.base(""),
        token: visit.token(),
        notice: "",
        problem: "",
    };
    Ok(visit.page(html(200, "forgot.html", &form)?))
}

pub(super) async fn submit(portal: &Portal, visit: &Visit) -> Page {
    let caller = visit.caller("forgot page");
    let asked = portal.directory.request_password_reset(&caller, visit.field("user"), Some(visit.address));
    let (asked, ()) = futures_util::future::join(asked, tokio::time::sleep(LEAST)).await;
    if let Err(refusal) = asked {
        // Only for who is there could it fail so, which is nobody's business.
        tracing::warn!(?refusal, "a link that somebody asked for was not made");
    }
    let texts = [
        "If there is an account with that e-mail or user name, a mail with a link is on its way. It can take a few minutes.",
        "If nothing comes, look among unwanted mails, or ask whoever looks after your account. A link that was sent in the last two minutes is not sent again.",
    ];
    visit.message(200, "Look at your mails", &texts, &[("sign-in", "Back to sign in")])
}
