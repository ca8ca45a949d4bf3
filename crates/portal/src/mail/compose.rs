//! Composes mails.

use crate::Portal;
use crate::messages;
use crate::pages::display_name;
use crate::portal_keys::PortalKeys;
use crate::templates::{MailContext, render_mail};
use directory::{DirectoryError, Mail, PasswordLink, Tenant, User};
use lettre::Message;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart};
use outbound::{MailSummary, OutgoingMail};
use std::time::{Duration, UNIX_EPOCH};

/// Prevents automatic replies (RFC 3834 section 5).
#[derive(Clone)]
struct AutoSubmitted;

impl Header for AutoSubmitted {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("Auto-Submitted")
    }

    fn parse(_: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self)
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), "auto-generated".to_owned())
    }
}

/// Why a mail can never be composed.
pub(super) struct Unsendable(pub(super) String);

pub(super) fn link_url(keys: &PortalKeys, url: &str, mail: &Mail) -> String {
    let link = PasswordLink { user: mail.user, id: mail.id, purpose: mail.purpose };
    format!("{url}{}", Portal::link_path(mail.tenant, mail.purpose, &keys.sign_link(mail.tenant, &link)))
}

/// Replaces control characters: in a header, line breaks would start another one.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Composes text and HTML. The Message-ID is the same in every attempt.
pub(super) fn compose(
    (keys, url, from): (&PortalKeys, &str, &lettre::Address),
    mail: &Mail,
    tenant: &Tenant,
    user: &User,
) -> Result<Result<OutgoingMail, Unsendable>, DirectoryError> {
    let settings = &tenant.settings;
    let Some(email) = user.email() else { return Ok(Err(Unsendable("the user has no email address".into()))) };
    let to = settings.redirect_mails_to.as_deref().unwrap_or(email);
    let Ok(address) = to.parse::<lettre::Address>() else {
        return Ok(Err(Unsendable(format!("'{to}' is not a valid email address"))));
    };
    let link = link_url(keys, url, mail);
    let lifetime = settings.link_lifetime_seconds(mail.purpose);
    let context = MailContext {
        tenant: one_line(&tenant.name),
        name: one_line(&display_name(user)),
        email: email.to_owned(),
        link: link.clone(),
        lasts: messages::format_duration(lifetime),
        until: messages::format_timestamp(mail.queued.plus_seconds(lifetime)),
    };
    let part = |name: &str| render_mail(&format!("{}.{name}", mail.purpose.as_str()), settings, &context);
    let subject = part("subject.txt")?;
    let sender = one_line(settings.sender_name.as_deref().unwrap_or(&tenant.name));
    let queued = Duration::from_micros(mail.queued.0.unsigned_abs());
    let message = Message::builder()
        .from(Mailbox::new(Some(sender), from.clone()))
        .to(Mailbox::new(None, address))
        .subject(one_line(&subject))
        .message_id(Some(format!("<{}@{}>", mail.id, from.domain())))
        .date(UNIX_EPOCH + queued)
        .header(AutoSubmitted)
        .multipart(MultiPart::alternative_plain_html(part("txt")?, part("html")?));
    let build_error = |error: lettre::error::Error| DirectoryError::Internal(format!("cannot compose a mail: {error}"));
    let summary = MailSummary { id: mail.id, to: to.to_owned(), link };
    Ok(Ok(OutgoingMail { message: message.map_err(build_error)?, summary }))
}
