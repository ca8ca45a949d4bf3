//! Sends requests to one target and judges the answers.

use crate::account_rules::{AccountRules, RulesError};
use crate::credential::{Credential, CredentialError};
use crate::health::Signal;
use bytes::Bytes;
use dialects::kit::{AccountPage, Endpoint, Operation, TargetClient, Verdict, without_values};
use directory::{CredentialKind, Target};
use http::{HeaderValue, Request, Response, header};
use outbound::{AddressGuard, HttpClient, HttpError, HttpLimits, SendWindow};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject;
use secrecy::SecretString;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;
use uuid::Uuid;

/// A target, ready to be sent to.
pub struct Sender {
    target: Arc<Target>,
    dialect: &'static dyn TargetClient,
    rules: AccountRules,
    client: HttpClient,
    credential: Mutex<Credential>,
    window: SendWindow,
}

/// Why nothing can be sent to a target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SenderError {
    #[error("there is no API '{0}'")]
    UnknownDialect(String),
    #[error("'{0}' is not an address that can be allowed")]
    InvalidAddress(String),
    #[error("the root certificates of the target are not valid PEM")]
    InvalidCertificates,
    #[error(transparent)]
    Rules(#[from] RulesError),
}

/// The outcome of a request.
#[derive(Clone, Debug)]
pub enum Outcome {
    Answered(Verdict),
    /// It was certainly not sent.
    Unsent(String),
    /// It was not sent, since requests to this address are forbidden.
    Forbidden(String),
    /// There is no usable answer: it may have been carried out.
    Lost(String),
    /// It was not sent, since it might not have ended in time.
    TooLate,
    /// It could not be authenticated, and was not sent.
    NoCredential(CredentialError),
}

impl Outcome {
    /// The outcome without the accounts that the response shows: many results wait in memory until they are stored.
    pub(crate) fn summary(&self) -> Self {
        match self {
            Self::Answered(Verdict::Done(Some(_))) => Self::Answered(Verdict::Done(None)),
            Self::Answered(Verdict::Found(_)) => Self::Answered(Verdict::Found(AccountPage::default())),
            other => other.clone(),
        }
    }

    /// Whether the request may have been carried out, although the response does not say so.
    pub(crate) fn may_be_carried_out(&self) -> bool {
        let is_uncertain = |verdict: &Verdict| {
            matches!(
                verdict,
                Verdict::InvalidResponse(_) | Verdict::OtherAccount | Verdict::Unavailable { is_uncertain: true, .. }
            )
        };
        matches!(self, Self::Lost(_)) || matches!(self, Self::Answered(verdict) if is_uncertain(verdict))
    }
}

/// A request that was made.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub id: Uuid,
    pub action: &'static str,
    pub outcome: Outcome,
    pub status: Option<u16>,
    pub duration: Duration,
    /// The id that the target gave the request.
    pub reference: Option<String>,
}

/// A page of a list is larger than other responses.
const MAX_LIST_BYTES: usize = 16 * 1024 * 1024;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Headers in which targets return their own id of a request.
const REFERENCE_HEADERS: [&str; 3] = ["x-request-id", "request-id", "x-correlation-id"];
const MAX_REFERENCE_CHARS: usize = 64;
/// The longest text of an error that is kept.
const MAX_DETAIL_CHARS: usize = 300;

impl Sender {
    /// # Errors
    /// See [`SenderError`].
    pub fn new(target: Arc<Target>, secret: SecretString, window: SendWindow) -> Result<Self, SenderError> {
        let dialect = dialects::target_client(&target.dialect)
            .ok_or_else(|| SenderError::UnknownDialect(target.dialect.clone()))?;
        let allowed = target
            .allowed_addresses
            .iter()
            .map(|text| text.parse().map_err(|_| SenderError::InvalidAddress(text.clone())));
        let guard = AddressGuard::new(allowed.collect::<Result<_, _>>()?);
        let roots = parse_certificates(target.ca_certificates.as_deref().unwrap_or_default())?;
        let timeout = Duration::from_secs(target.limits.timeout_seconds.into());
        let limits = HttpLimits {
            connect_timeout: CONNECT_TIMEOUT.min(timeout),
            total_timeout: timeout,
            ..HttpLimits::default()
        };
        let client =
            HttpClient::new(guard, limits, &roots, window.clone()).map_err(|_| SenderError::InvalidCertificates)?;
        let credential = Mutex::new(Credential::new(target.credential.clone(), secret));
        let rules = AccountRules::of_target(&target)?;
        Ok(Self { target, dialect, rules, client, credential, window })
    }

    pub fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn dialect(&self) -> &'static dyn TargetClient {
        self.dialect
    }

    pub(crate) fn rules(&self) -> &AccountRules {
        &self.rules
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.target.limits.timeout_seconds.into())
    }

    /// Whether a request that begins now ends before the window and the deadline do.
    fn can_begin(&self, deadline: Option<Instant>) -> bool {
        let is_early = |deadline: Instant| deadline.saturating_duration_since(Instant::now()) >= self.timeout();
        self.window.remaining() > self.timeout() && deadline.is_none_or(is_early)
    }

    /// Sends a request.
    pub async fn send(&self, operation: &Operation<'_>) -> Exchange {
        self.send_until(operation, None, None).await
    }

    /// Sends a request that ends before the deadline. `idempotency_key` makes targets that know it carry out a create
    /// once.
    pub(crate) async fn send_until(
        &self,
        operation: &Operation<'_>,
        idempotency_key: Option<&str>,
        deadline: Option<Instant>,
    ) -> Exchange {
        let (id, start) = (Uuid::new_v4_from_random(), Instant::now());
        let mut exchange = self.send_once(id, operation, idempotency_key, deadline).await;
        let is_denied = matches!(exchange.outcome, Outcome::Answered(Verdict::Denied));
        if is_denied && matches!(self.target.credential, CredentialKind::ClientCredentials { .. }) {
            // The token may have been revoked: once more with a new one.
            let mut credential = self.credential.lock().await;
            let had_token = credential.has_token();
            credential.forget_token();
            drop(credential);
            if had_token {
                exchange = self.send_once(id, operation, idempotency_key, deadline).await;
            }
        }
        Exchange { duration: start.elapsed(), ..exchange }
    }

    async fn send_once(
        &self,
        id: Uuid,
        operation: &Operation<'_>,
        idempotency_key: Option<&str>,
        deadline: Option<Instant>,
    ) -> Exchange {
        let mut exchange = Exchange {
            id,
            action: operation.as_str(),
            outcome: Outcome::Unsent(String::new()),
            status: None,
            duration: Duration::ZERO,
            reference: None,
        };
        let request = match self.request(id, operation, idempotency_key).await {
            Ok(request) => request,
            Err(outcome) => return Exchange { outcome, ..exchange },
        };
        // Now that it is authenticated, which can take as long as a request.
        if !self.can_begin(deadline) {
            return Exchange { outcome: Outcome::TooLate, ..exchange };
        }
        let sent = match operation {
            Operation::List { .. } => self.client.send_with_limit(request, MAX_LIST_BYTES).await,
            _ => self.client.send(request).await,
        };
        exchange.outcome = match sent {
            Ok(response) => {
                exchange.status = Some(response.status().as_u16());
                if let Some(text) = reference(&response) {
                    exchange.reference = Some(self.redacted(&text, operation, MAX_REFERENCE_CHARS).await);
                }
                let verdict = match self.dialect.judge(operation, &response) {
                    Verdict::Rejected(text) => {
                        Verdict::Rejected(self.redacted(&text, operation, MAX_DETAIL_CHARS).await)
                    }
                    Verdict::NotAllowed(text) => {
                        Verdict::NotAllowed(self.redacted(&text, operation, MAX_DETAIL_CHARS).await)
                    }
                    verdict => verdict,
                };
                Outcome::Answered(verdict)
            }
            Err(error @ HttpError::Forbidden(_)) => Outcome::Forbidden(error.to_string()),
            Err(error) if error.is_unsent() => Outcome::Unsent(error.to_string()),
            Err(error) => Outcome::Lost(error.to_string()),
        };
        exchange
    }

    /// Targets repeat what they got. The credential is removed first: a removed value could be a part of it.
    async fn redacted(&self, text: &str, operation: &Operation<'_>, max_chars: usize) -> String {
        let text = without_values(&self.credential.lock().await.redact(text), operation);
        let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
        words.collect::<Vec<_>>().join(" ").chars().take(max_chars).collect()
    }

    async fn request(
        &self,
        id: Uuid,
        operation: &Operation<'_>,
        idempotency_key: Option<&str>,
    ) -> Result<Request<Bytes>, Outcome> {
        let mut credential = self.credential.lock().await;
        let authorization = credential.authorization(&self.client).await.map_err(Outcome::NoCredential)?;
        let endpoint = Endpoint {
            url: &self.target.url,
            account: self.target.account.as_deref().unwrap_or_default(),
            key: credential.key(),
        };
        let unsendable = || Outcome::Unsent("a value cannot be sent".into());
        let mut request = self.dialect.request(&endpoint, operation).map_err(|_| unsendable())?;
        let headers = request.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("Muster/", env!("CARGO_PKG_VERSION"))));
        headers.extend(authorization.map(|value| (header::AUTHORIZATION, value)));
        if let Ok(value) = HeaderValue::from_str(&id.to_string()) {
            headers.insert("x-request-id", value);
        }
        // The whole exchange is one span (W3C Trace Context).
        let (trace, span) = (id.simple().to_string(), id.as_u64_pair().1);
        if let Ok(value) = HeaderValue::from_str(&format!("00-{trace}-{span:016x}-01")) {
            headers.insert("traceparent", value);
        }
        if let Some(Ok(value)) = idempotency_key.map(|key| HeaderValue::from_str(&format!("\"{key}\""))) {
            headers.insert("idempotency-key", value);
        }
        Ok(request)
    }

    /// Gets a document of the target, such as its configuration.
    pub(crate) async fn get(&self, path: &str) -> Result<Response<Bytes>, HttpError> {
        let mut credential = self.credential.lock().await;
        let authorization = credential.authorization(&self.client).await.ok().flatten();
        let request = Request::builder().uri(format!("{}{path}", self.target.url));
        let request = request.header(header::ACCEPT, "application/scim+json, application/json").body(Bytes::new());
        let mut request = request.map_err(|_| HttpError::InvalidUrl)?;
        request.headers_mut().extend(authorization.map(|value| (header::AUTHORIZATION, value)));
        self.client.send(request).await
    }
}

/// Root certificates in PEM.
///
/// # Errors
/// [`SenderError::InvalidCertificates`]
pub fn parse_certificates(pem: &str) -> Result<Vec<Vec<u8>>, SenderError> {
    let certificates = CertificateDer::pem_slice_iter(pem.as_bytes()).map(|found| found.map(|it| it.to_vec()));
    let certificates: Vec<Vec<u8>> =
        certificates.collect::<Result<_, _>>().map_err(|_| SenderError::InvalidCertificates)?;
    if certificates.is_empty() && !pem.trim().is_empty() {
        Err(SenderError::InvalidCertificates)
    } else {
        Ok(certificates)
    }
}

fn reference(response: &Response<Bytes>) -> Option<String> {
    REFERENCE_HEADERS.iter().find_map(|name| response.headers().get(*name)?.to_str().ok()).map(str::to_owned)
}

impl Exchange {
    /// What it says about the target.
    pub(crate) fn signal(&self) -> Signal {
        match &self.outcome {
            Outcome::Unsent(_) | Outcome::Forbidden(_) => Signal::Unreachable,
            Outcome::Lost(_) | Outcome::NoCredential(CredentialError::Unavailable(_)) => Signal::Fails,
            Outcome::NoCredential(_) => Signal::Denies,
            Outcome::TooLate => Signal::Busy,
            Outcome::Answered(verdict) => match verdict {
                Verdict::Denied => Signal::Denies,
                Verdict::InvalidResponse(_)
                | Verdict::OtherAccount
                | Verdict::Unavailable { is_uncertain: true, retry_after: None } => Signal::Fails,
                // It may concern one user, or the rights of the credential.
                Verdict::Unavailable { .. } | Verdict::NotAllowed(_) => Signal::Busy,
                Verdict::Done(_)
                | Verdict::Found(_)
                | Verdict::NotFound
                | Verdict::Duplicate(_)
                | Verdict::Rejected(_)
                | Verdict::Unsupported => Signal::Works,
            },
        }
    }

    /// A word for metrics and attempts.
    pub(crate) fn outcome_name(&self) -> &'static str {
        match &self.outcome {
            Outcome::Answered(verdict) => verdict.as_str(),
            Outcome::Unsent(_) => "unsent",
            Outcome::Forbidden(_) => "forbidden",
            Outcome::Lost(_) => "lost",
            Outcome::NoCredential(_) => "no-credential",
            Outcome::TooLate => "too-late",
        }
    }

    /// What went wrong, without values of the user.
    pub(crate) fn detail(&self) -> Option<String> {
        let text = match &self.outcome {
            Outcome::Unsent(text)
            | Outcome::Forbidden(text)
            | Outcome::Lost(text)
            | Outcome::Answered(Verdict::Rejected(text) | Verdict::NotAllowed(text)) => text.clone(),
            Outcome::NoCredential(error) => error.to_string(),
            Outcome::Answered(Verdict::InvalidResponse(text)) => format!("the response is {text}"),
            Outcome::Answered(Verdict::Duplicate(Some(key))) => format!("the {} is taken", key.as_str()),
            Outcome::Answered(_) | Outcome::TooLate => String::new(),
        };
        let reference = self.reference.as_ref().map(|id| format!("[{id}]"));
        let parts: Vec<String> =
            [Some(text).filter(|text| !text.is_empty()), reference].into_iter().flatten().collect();
        (!parts.is_empty()).then(|| parts.join(" "))
    }
}

trait RandomId {
    fn new_v4_from_random() -> Self;
}

impl RandomId for Uuid {
    /// Not unique if the machine has no random bytes, which only makes it harder to find in logs.
    fn new_v4_from_random() -> Self {
        let mut bytes = [0; 16];
        let _ = getrandom::fill(&mut bytes);
        uuid::Builder::from_random_bytes(bytes).into_uuid()
    }
}
