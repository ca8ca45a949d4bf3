//! Delivers mails by SMTP, or to a spool directory if there is no SMTP server.

use futures_util::future::BoxFuture;
use lettre::Message;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A mail that is ready to be sent.
pub struct OutgoingMail {
    pub message: Message,
    pub summary: MailSummary,
}

/// What a mail is about, for display.
#[derive(Clone, Debug)]
pub struct MailSummary {
    pub id: Uuid,
    /// The recipient.
    pub to: String,
    pub link: String,
}

#[derive(Clone)]
pub struct MailSender {
    from: Address,
    delivery: Delivery,
    timeout: Duration,
}

#[derive(Clone)]
enum Delivery {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Spool(PathBuf, Option<Arc<dyn Fn(MailSummary) + Send + Sync>>),
    Custom(Arc<dyn MailTransport>),
}

/// A custom transport, such as that of a simulation.
pub trait MailTransport: Send + Sync {
    /// Sends a mail.
    ///
    /// # Errors
    /// The mail was not accepted. It is retried later.
    fn send(&self, mail: MailSummary) -> BoxFuture<'_, Result<(), NotAccepted>>;
}

/// The reason why a transport did not accept a mail.
#[derive(Debug)]
pub struct NotAccepted(pub String);

/// An error in the mail settings.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MailConfigError(String);

/// The result of an attempt.
pub enum SendResult {
    Sent,
    /// A retry may succeed.
    Temporary(String),
    /// A permanent error that may be due to the server's configuration: it is retried a few times.
    PossiblyPermanent(String),
    /// Never retried.
    Permanent(String),
}

impl MailSender {
    /// Delivers by SMTP to a URL such as `smtps://user:password@mail.example.com` or `smtp://mail.example.com:587`. For
    /// other machines, TLS is required; a URL without a password may end in `?tls=none` or `?tls=opportunistic` instead.
    pub fn smtp(url: &str, from: &str, timeout: Duration) -> Result<Self, MailConfigError> {
        let from = parse_sender(from)?;
        let invalid_url = |text: &str| MailConfigError(format!("the SMTP URL (--smtp-url) {text}"));
        let url = require_tls(url).map_err(invalid_url)?;
        // The parser's error can contain the password.
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url)
            .map_err(|_| invalid_url("is invalid; it must have the form smtps://user:password@mail.example.com:465"))?;
        let transport = builder.timeout(Some(timeout)).hello_name(ClientId::Domain(from.domain().to_owned())).build();
        Ok(Self { from, delivery: Delivery::Smtp(transport), timeout })
    }

    /// Writes one file per mail to a directory, and calls `on_sent` for each.
    pub fn spool(
        folder: &Path,
        from: &str,
        on_sent: Option<Arc<dyn Fn(MailSummary) + Send + Sync>>,
    ) -> Result<Self, MailConfigError> {
        let timeout = Duration::from_secs(10);
        Ok(Self { from: parse_sender(from)?, delivery: Delivery::Spool(folder.to_owned(), on_sent), timeout })
    }

    /// Delivers over a custom transport.
    pub fn with_transport(transport: Arc<dyn MailTransport>, from: &str) -> Result<Self, MailConfigError> {
        Ok(Self { from: parse_sender(from)?, delivery: Delivery::Custom(transport), timeout: Duration::from_secs(10) })
    }

    /// The sender of all mails.
    pub fn from(&self) -> &Address {
        &self.from
    }

    /// The maximum duration of an attempt.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub async fn send(&self, mail: &OutgoingMail) -> SendResult {
        match &self.delivery {
            Delivery::Smtp(transport) => {
                let (envelope, bytes) = (mail.message.envelope(), mail.message.formatted());
                // The transport's own timeout only covers connecting.
                let sent = tokio::time::timeout(self.timeout, transport.send_raw(envelope, &bytes)).await;
                sent.map_or_else(
                    |_| SendResult::Temporary("the mail server did not respond in time".into()),
                    classify_smtp_result,
                )
            }
            Delivery::Spool(folder, on_sent) => match write_to_spool(folder, &mail.message).await {
                Ok(()) => {
                    if let Some(on_sent) = on_sent {
                        on_sent(mail.summary.clone());
                    }
                    SendResult::Sent
                }
                Err(error) => SendResult::Temporary(format!("{}: {error}", folder.display())),
            },
            Delivery::Custom(transport) => {
                let sent = tokio::time::timeout(self.timeout, transport.send(mail.summary.clone())).await;
                let sent = sent.unwrap_or_else(|_| Err(NotAccepted("the transport did not respond in time".into())));
                sent.map_or_else(|NotAccepted(reason)| SendResult::Temporary(reason), |()| SendResult::Sent)
            }
        }
    }
}

fn parse_sender(from: &str) -> Result<Address, MailConfigError> {
    from.parse()
        .map_err(|_| MailConfigError(format!("the sender address '{from}' (--mail-from) is not a valid email address")))
}

/// Adds `tls=required` to URLs of other machines that do not configure TLS. Parses case-sensitively, as the transport
/// does: it ignores options in another case, so accepting them here would send mail unencrypted.
fn require_tls(url: &str) -> Result<String, &'static str> {
    if url.contains(['#', ' ', '\t', '\n']) {
        return Err("must not contain # or spaces; write them as %23 and %20");
    }
    let (base, query) = url.split_once('?').map_or((url, None), |(base, query)| (base, Some(query)));
    if base.starts_with("smtps://") {
        return if query.is_none() { Ok(url.to_owned()) } else { Err("must not have a query with smtps://") };
    }
    let Some(rest) = base.strip_prefix("smtp://") else { return Err("must start with smtp:// or smtps://") };
    let authority = rest.split('/').next().unwrap_or_default();
    let (has_user, host) = authority.rsplit_once('@').map_or((false, authority), |(_, host)| (true, host));
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let is_loopback = matches!(host, "localhost" | "127.0.0.1");
    match query {
        None if is_loopback => Ok(url.to_owned()),
        None => Ok(format!("{url}?tls=required")),
        // A man in the middle can remove the offer of TLS and read the password.
        Some("tls=opportunistic" | "tls=none") if has_user && !is_loopback => {
            Err("would send its password unencrypted; use ?tls=required")
        }
        Some("tls=required" | "tls=opportunistic") => Ok(url.to_owned()),
        Some("tls=none") => Ok(base.to_owned()),
        Some(_) => Err("may only end in ?tls=required, ?tls=opportunistic or ?tls=none"),
    }
}

fn classify_smtp_result(
    sent: Result<lettre::transport::smtp::response::Response, lettre::transport::smtp::Error>,
) -> SendResult {
    let Err(error) = sent else { return SendResult::Sent };
    let reply = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    let reply: String = reply.chars().filter(|c| !c.is_control()).take(300).collect();
    match error.status().map(u16::from) {
        // Authentication failed: the settings must be fixed, not the recipient's address.
        Some(code @ (530 | 534 | 535 | 538)) => {
            tracing::error!(code, "the mail server rejected the credentials (check --smtp-url)");
            SendResult::Temporary(format!("{code} {reply}"))
        }
        // The mailbox does not exist.
        Some(code @ (550 | 551 | 553)) => SendResult::Permanent(format!("{code} {reply}")),
        Some(code) if error.is_permanent() => SendResult::PossiblyPermanent(format!("{code} {reply}")),
        Some(code) => SendResult::Temporary(format!("{code} {reply}")),
        None => SendResult::Temporary(reply),
    }
}

/// Names the file after the mail, so that a mail that is written twice exists once.
async fn write_to_spool(folder: &Path, message: &Message) -> std::io::Result<()> {
    let mut builder = tokio::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(folder).await?;
    let id = message.headers().get_raw("Message-ID").unwrap_or("mail");
    let name: String = id.chars().filter(|c| c.is_ascii_hexdigit() || *c == '-').take(36).collect();
    let (temp_path, path) = (folder.join(format!(".{name}")), folder.join(format!("{name}.eml")));
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(&temp_path).await?;
    tokio::io::AsyncWriteExt::write_all(&mut file, &message.formatted()).await?;
    // Writes happen in the background; only `flush` returns their errors.
    tokio::io::AsyncWriteExt::flush(&mut file).await?;
    file.sync_all().await?;
    tokio::fs::rename(temp_path, path).await?;
    tokio::fs::File::open(folder).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_leave_the_machine_only_over_tls() {
        let same = ["smtps://u:p@mail.x.y", "smtp://127.0.0.1:2525", "smtp://u:p@localhost:25"];
        for url in same {
            assert_eq!(require_tls(url), Ok(url.to_owned()));
        }
        assert_eq!(require_tls("smtp://mail.x.y"), Ok("smtp://mail.x.y?tls=required".into()));
        assert_eq!(require_tls("smtp://mail.x.y:25?tls=none"), Ok("smtp://mail.x.y:25".into()));
        for bad in [
            "smtp://u:p@mail.x.y?tls=none",
            "smtp://u:p@mail.x.y?tls=opportunistic",
            "smtp://u:p@mail.x.y?TLS=required",
            "smtp://u:p@mail.x.y?tls=Required",
            "smtp://u:p@mail.x.y?a=b&tls=required",
            "smtp://u:p@mail.x.y#a",
            "SMTP://u:p@mail.x.y",
            "smtp://mail.x.y?TLS=yes",
            "smtps://mail.x.y?tls=none",
            "http://x",
            "mail.x.y",
        ] {
            assert!(require_tls(bad).is_err(), "{bad}");
        }
        let error = MailSender::smtp("smtp://u:secret@[bad", "a@x.y", Duration::from_secs(1)).err().expect("bad");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
