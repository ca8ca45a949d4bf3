//! How mails leave: over SMTP, or into a folder where there is no server for it.

use super::compose::{Composed, Sent};
use futures_util::future::BoxFuture;
use lettre::transport::smtp::extension::ClientId;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Tokio1Executor};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// The way out.
#[derive(Clone)]
pub struct Sender {
    pub(super) from: Address,
    way: Way,
    timeout: Duration,
}

#[derive(Clone)]
enum Way {
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
    Spool(PathBuf, Option<Arc<dyn Fn(Sent) + Send + Sync>>),
    Other(Arc<dyn Transport>),
}

/// A custom transport, such as that of a simulation.
pub trait Transport: Send + Sync {
    /// Sends a mail.
    ///
    /// # Errors
    /// Why it was not accepted; it is retried later.
    fn send(&self, mail: Sent) -> BoxFuture<'_, Result<(), String>>;
}

/// What is wrong with the settings of mail.
#[derive(Debug, PartialEq, Eq)]
pub struct SenderError(String);

impl std::fmt::Display for SenderError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for SenderError {}

/// What came of an attempt.
pub(super) enum Attempt {
    /// It was taken in.
    Sent,
    /// Not now; trying again may help.
    NotNow(String),
    /// It was refused for good, perhaps because of us and not of the mail.
    Refused(String),
    /// It was refused for good.
    Never(String),
}

impl Sender {
    /// Over SMTP, by a URL such as `smtps://user:password@mail.example.com` or `smtp://mail.example.com:587`. To other
    /// machines TLS is spoken, unless the URL ends in `?tls=none`, which takes no password.
    pub fn smtp(url: &str, from: &str, timeout: Duration) -> Result<Self, SenderError> {
        let from = address(from)?;
        let bad = |text: &str| SenderError(format!("the SMTP server's URL {text}"));
        let url = secured(url).map_err(bad)?;
        // What the parser quotes may be a password.
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url)
            .map_err(|_| bad("cannot be used; it is like smtps://user:password@mail.example.com:465"))?;
        let way =
            builder.timeout(Some(timeout)).hello_name(ClientId::Domain(from.domain().to_owned())).build();
        Ok(Self { from, way: Way::Smtp(way), timeout })
    }

    /// Into a folder, one file a mail; `shown` is told of each.
    pub fn spool(
        folder: &Path,
        from: &str,
        shown: Option<Arc<dyn Fn(Sent) + Send + Sync>>,
    ) -> Result<Self, SenderError> {
        let timeout = Duration::from_secs(10);
        Ok(Self { from: address(from)?, way: Way::Spool(folder.to_owned(), shown), timeout })
    }

    /// Over another transport.
    ///
    /// # Errors
    /// `from` is no address.
    pub fn over(transport: Arc<dyn Transport>, from: &str) -> Result<Self, SenderError> {
        Ok(Self { from: address(from)?, way: Way::Other(transport), timeout: Duration::from_secs(10) })
    }

    /// The longest that one attempt takes.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    pub(super) async fn send(&self, composed: &Composed) -> Attempt {
        match &self.way {
            Way::Smtp(transport) => {
                let (envelope, bytes) = (composed.message.envelope(), composed.message.formatted());
                // The transport's own limit is for connecting alone.
                let sent = tokio::time::timeout(self.timeout, transport.send_raw(envelope, &bytes)).await;
                sent.map_or_else(
                    |_| Attempt::NotNow("the mail server did not answer in time".into()),
                    outcome,
                )
            }
            Way::Spool(folder, shown) => match put(folder, composed).await {
                Ok(()) => {
                    if let Some(shown) = shown {
                        shown(composed.sent());
                    }
                    Attempt::Sent
                }
                Err(error) => Attempt::NotNow(format!("{}: {error}", folder.display())),
            },
            Way::Other(transport) => {
                let sent = tokio::time::timeout(self.timeout, transport.send(composed.sent())).await;
                let sent = sent.unwrap_or_else(|_| Err("the transport did not answer in time".into()));
                sent.map_or_else(Attempt::NotNow, |()| Attempt::Sent)
            }
        }
    }
}

fn address(from: &str) -> Result<Address, SenderError> {
    from.parse().map_err(|_| SenderError(format!("mails cannot be sent from {from}: it is no e-mail")))
}

/// The URL with TLS asked for, wherever it leaves this machine and does not say otherwise. It is read to the letter, as
/// the transport reads it: what that would not understand must not pass for TLS here.
fn secured(url: &str) -> Result<String, &'static str> {
    if url.contains(['#', ' ', '\t', '\n']) {
        return Err("must not hold # or blanks; in a password they are written as %23 and %20");
    }
    let (place, query) = url.split_once('?').map_or((url, None), |(place, query)| (place, Some(query)));
    if place.starts_with("smtps://") {
        return if query.is_none() {
            Ok(url.to_owned())
        } else {
            Err("says nothing behind a ? with smtps://")
        };
    }
    let Some(rest) = place.strip_prefix("smtp://") else { return Err("begins with smtp:// or smtps://") };
    let authority = rest.split('/').next().unwrap_or_default();
    let (has_user, host) = authority.rsplit_once('@').map_or((false, authority), |(_, host)| (true, host));
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let is_near = matches!(host, "localhost" | "127.0.0.1");
    match query {
        None if is_near => Ok(url.to_owned()),
        None => Ok(format!("{url}?tls=required")),
        // Whoever is in between can take the offer of TLS away, and read the password.
        Some("tls=opportunistic" | "tls=none") if has_user && !is_near => {
            Err("would send its password in the clear")
        }
        Some("tls=required" | "tls=opportunistic") => Ok(url.to_owned()),
        Some("tls=none") => Ok(place.to_owned()),
        Some(_) => Err("ends in ?tls=required, ?tls=opportunistic or ?tls=none, or says nothing of it"),
    }
}

fn outcome(
    sent: Result<lettre::transport::smtp::response::Response, lettre::transport::smtp::Error>,
) -> Attempt {
    let Err(error) = sent else { return Attempt::Sent };
    let said = std::error::Error::source(&error).map_or_else(|| error.to_string(), ToString::to_string);
    let said: String = said.chars().filter(|c| !c.is_control()).take(300).collect();
    match error.status().map(u16::from) {
        // The server wants another name or password than it was shown: that is mended here, not at the person's.
        Some(code @ (530 | 534 | 535 | 538)) => {
            tracing::error!(code, "the mail server does not let us in");
            Attempt::NotNow(format!("{code} {said}"))
        }
        // There is no such mailbox.
        Some(code @ (550 | 551 | 553)) => Attempt::Never(format!("{code} {said}")),
        Some(code) if error.is_permanent() => Attempt::Refused(format!("{code} {said}")),
        Some(code) => Attempt::NotNow(format!("{code} {said}")),
        None => Attempt::NotNow(said),
    }
}

/// Under its own name, so that a mail that is put there twice is there once.
async fn put(folder: &Path, composed: &Composed) -> std::io::Result<()> {
    let mut builder = tokio::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    builder.mode(0o700);
    builder.create(folder).await?;
    let id = composed.message.headers().get_raw("Message-ID").unwrap_or("mail");
    let name: String = id.chars().filter(|c| c.is_ascii_hexdigit() || *c == '-').take(36).collect();
    let (unfinished, path) = (folder.join(format!(".{name}")), folder.join(format!("{name}.eml")));
    let mut options = tokio::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    options.mode(0o600);
    let mut file = options.open(&unfinished).await?;
    tokio::io::AsyncWriteExt::write_all(&mut file, &composed.message.formatted()).await?;
    // It is written in the background; only this says whether that worked.
    tokio::io::AsyncWriteExt::flush(&mut file).await?;
    file.sync_all().await?;
    tokio::fs::rename(unfinished, path).await?;
    tokio::fs::File::open(folder).await?.sync_all().await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leaves_the_machine_goes_over_tls() {
        let same = ["smtps://u:p@mail.x.y", "smtp://127.0.0.1:2525", "smtp://u:p@localhost:25"];
        for url in same {
            assert_eq!(secured(url), Ok(url.to_owned()));
        }
        assert_eq!(secured("smtp://mail.x.y"), Ok("smtp://mail.x.y?tls=required".into()));
        assert_eq!(secured("smtp://mail.x.y:25?tls=none"), Ok("smtp://mail.x.y:25".into()));
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
            assert!(secured(bad).is_err(), "{bad}");
        }
        let error = Sender::smtp("smtp://u:secret@[bad", "a@x.y", Duration::from_secs(1)).err().expect("bad");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
