//! What a dialect needs to be the API of a target: it writes requests and judges the responses. It has no sockets, clock
//! or state, so that tests can treat it as data.

use crate::kit::{Document, Duplicates, Node, Object, OutputValue, TargetAttribute};
use bytes::Bytes;
use directory::{Labels, MatchKey, TargetCapabilities, User, fold, identifier_key};
use http::{HeaderMap, Request, Response, StatusCode, header};
use std::time::Duration;

/// The client for one API of targets.
pub trait TargetClient: Send + Sync {
    /// What a target has as its dialect.
    fn name(&self) -> &'static str;
    /// What a target with this API is assumed to be able to do before it is tested.
    fn default_capabilities(&self) -> TargetCapabilities;
    /// Whether the API needs the number or name of an account (`--company`).
    fn needs_account(&self) -> bool {
        false
    }
    /// Whether the API can delete accounts; otherwise a deletion only archives them.
    fn deletes_accounts(&self) -> bool {
        true
    }
    /// The attribute of the password of a new account.
    fn password_attribute(&self) -> Option<&'static str> {
        None
    }
    /// The attribute that has the values of a key, if it has one value.
    fn key_attribute(&self, _: MatchKey) -> Option<&'static str> {
        None
    }
    /// By which attributes accounts can be searched for.
    fn search_keys(&self) -> &'static [MatchKey] {
        &MatchKey::ALL
    }
    /// Whether the responses of creates prove whose account it is; otherwise it is read at once, if the target can be read.
    fn creates_show_user(&self) -> bool {
        true
    }
    /// The attributes that Muster can set, except those by which it recognizes, activates and deactivates accounts.
    fn attributes(&self, capabilities: &TargetCapabilities) -> Vec<TargetAttribute>;
    /// What the target is to have of a user, before its API is known to be able to hold it.
    fn document(&self, user: &OutgoingUser<'_>, capabilities: &TargetCapabilities) -> Document;
    /// What is still sent of an inactive user some of whose attributes are not valid: nothing may prevent the
    /// deactivation.
    fn without_invalid(&self, document: &mut Document, invalid: &[&str]) {
        document.attributes.retain(|attribute| !invalid.contains(&attribute.name.as_ref()));
    }
    /// The attributes that each request of an update changes, by index. Most APIs need one request.
    fn requests_of_update(&self, _: &Document, changed: &[usize]) -> Vec<Vec<usize>> {
        vec![changed.to_vec()]
    }
    /// Writes a request, without the credentials of its headers.
    ///
    /// # Errors
    /// A value cannot be sent.
    fn request(&self, endpoint: &Endpoint<'_>, operation: &Operation<'_>) -> Result<Request<Bytes>, http::Error>;
    /// Judges the response to a request.
    fn judge(&self, operation: &Operation<'_>, response: &Response<Bytes>) -> Verdict;
    /// Documents in which the target describes its capabilities.
    fn discovery(&self) -> &'static [Discovery] {
        &[]
    }
}

/// A document in which a target describes its capabilities.
pub struct Discovery {
    /// Below the URL of the target.
    pub path: &'static str,
    /// Takes over what the response says.
    pub apply: fn(&Node, &mut TargetCapabilities),
}

/// Where requests are sent, and the account that they are sent for.
#[derive(Clone, Copy)]
pub struct Endpoint<'a> {
    /// Without a slash at the end.
    pub url: &'a str,
    pub account: &'a str,
    /// The key, if the API has it in the body or query; otherwise not used.
    pub key: &'a str,
}

/// A user to be sent.
#[derive(Clone, Copy)]
pub struct OutgoingUser<'a> {
    pub user: &'a User,
    pub labels: &'a Labels,
    /// The id of the manager's account in the target.
    pub manager: Option<&'a str>,
    /// Whether the account is to be active.
    pub is_active: bool,
}

/// A request to a target.
#[derive(Clone, Copy, Debug)]
pub enum Operation<'a> {
    Create(&'a Document),
    Update {
        id: &'a str,
        document: &'a Document,
        /// Indexes of the attributes that differ from what the target has accepted.
        changed: &'a [usize],
        /// Whether the target changes single attributes (PATCH).
        patch: bool,
    },
    Delete {
        id: &'a str,
    },
    Get {
        id: &'a str,
    },
    Find {
        key: MatchKey,
        value: &'a str,
    },
    List {
        /// The number of accounts to skip.
        offset: u64,
        limit: u32,
    },
}

impl Operation<'_> {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Create(_) => "create",
            Self::Update { .. } => "update",
            Self::Delete { .. } => "delete",
            Self::Get { .. } => "get",
            Self::Find { .. } => "find",
            Self::List { .. } => "list",
        }
    }
}

/// What a response means.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// It was done. The account, as far as the response shows it; a create always has its id.
    Done(Option<Account>),
    /// The accounts that were found or listed.
    Found(AccountPage),
    /// There is no account with this id.
    NotFound,
    /// Another account has one of the keys.
    Duplicate(Option<MatchKey>),
    /// The target rejects the data. What it says can repeat all that was sent (see [`without_values`]).
    Rejected(String),
    /// The credential does not allow it, perhaps only for this user. The text is as for [`Self::Rejected`].
    NotAllowed(String),
    /// It failed for reasons that do not depend on the user.
    Unavailable {
        retry_after: Option<Duration>,
        /// Whether the request may have been carried out nevertheless.
        is_uncertain: bool,
    },
    /// The credentials are not valid, or do not allow it.
    Denied,
    /// The API of the target cannot do it.
    Unsupported,
    /// The response shows another account than the request names.
    OtherAccount,
    /// The response is not one of this API. The request may have been carried out.
    InvalidResponse(&'static str),
}

impl Verdict {
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Done(_) => "done",
            Self::Found(_) => "found",
            Self::NotFound => "not-found",
            Self::Duplicate(_) => "duplicate",
            Self::Rejected(_) => "rejected",
            Self::NotAllowed(_) => "not-allowed",
            Self::Unavailable { .. } => "unavailable",
            Self::Denied => "denied",
            Self::Unsupported => "unsupported",
            Self::OtherAccount => "other-account",
            Self::InvalidResponse(_) => "invalid-response",
        }
    }
}

/// An account as a target shows it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    pub id: String,
    pub external_id: Option<String>,
    pub user_name: Option<String>,
    pub email: Option<String>,
    pub is_active: Option<bool>,
    pub id_proof: IdProof,
}

/// Whether a response names the id of an account a second time, such as in the account's URL.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IdProof {
    #[default]
    None,
    Same,
    Different,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountPage {
    pub accounts: Vec<Account>,
    /// Accounts of all pages, if the target says it.
    pub total: Option<u64>,
}

/// The result of a search for one account.
#[derive(Clone, Debug, PartialEq)]
pub enum Match {
    None,
    One(Box<Account>),
    Several,
    /// The response has accounts that do not show the key, or that have another value: the search cannot be trusted.
    Unusable,
}

impl Account {
    pub fn key(&self, key: MatchKey) -> Option<&str> {
        match key {
            MatchKey::ExternalId => self.external_id.as_deref(),
            MatchKey::UserName => self.user_name.as_deref(),
            MatchKey::Email => self.email.as_deref(),
        }
    }

    pub fn has(&self, key: MatchKey, value: &str) -> bool {
        self.key(key).is_some_and(|own| match key {
            MatchKey::ExternalId => own == value,
            MatchKey::UserName | MatchKey::Email => identifier_key(own) == identifier_key(value),
        })
    }
}

impl AccountPage {
    /// The account that has a key, among the results of a search for it.
    pub fn matching(&self, key: MatchKey, value: &str) -> Match {
        let mut found = self.accounts.iter().filter(|account| account.has(key, value));
        match (found.next(), found.next()) {
            (Some(account), None) => Match::One(Box::new(account.clone())),
            (Some(_), Some(_)) => Match::Several,
            (None, _) if self.accounts.is_empty() && self.total.unwrap_or(0) == 0 => Match::None,
            (None, _) => Match::Unusable,
        }
    }
}

/// What a status means in every API, unless the operation says more. `error` is the error object of the API, if the body
/// has one.
pub(crate) fn judge_status(
    operation: &Operation<'_>,
    response: &Response<Bytes>,
    error: Option<&Object>,
) -> Option<Verdict> {
    let has_id = matches!(operation, Operation::Update { .. } | Operation::Delete { .. } | Operation::Get { .. });
    let writes = matches!(operation, Operation::Create(_) | Operation::Update { .. } | Operation::Delete { .. });
    Some(match response.status().as_u16() {
        300..=399 => Verdict::InvalidResponse("a redirect"),
        // The API does not allow it for this user, such as for a role that the credential must not grant.
        403 if writes && error.is_some() => return None,
        401 | 403 => Verdict::Denied,
        404 | 410 if has_id => Verdict::NotFound,
        404 | 410 => Verdict::InvalidResponse("no such endpoint"),
        405 | 501 => Verdict::Unsupported,
        408 | 500 | 502..=599 => {
            Verdict::Unavailable { retry_after: retry_after(response.headers()), is_uncertain: true }
        }
        425 | 429 => Verdict::Unavailable { retry_after: retry_after(response.headers()), is_uncertain: false },
        200..=299 | 400..=499 => return None,
        _ => Verdict::InvalidResponse("an invalid status"),
    })
}

/// The longest wait that a target can ask for.
pub const MAX_RETRY_AFTER: Duration = Duration::from_hours(6);

/// `Retry-After` in seconds (RFC 9110 section 10.2.3). A date is converted by the `Date` of the response, since clocks
/// differ.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let value = text(header::RETRY_AFTER)?.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        return Some(value.parse().map_or(MAX_RETRY_AFTER, Duration::from_secs).min(MAX_RETRY_AFTER));
    }
    let parse = |text: &str| jiff::fmt::rfc2822::parse(text).ok();
    let (until, now) = (parse(value)?, parse(text(header::DATE)?)?);
    let seconds = until.timestamp().as_second().saturating_sub(now.timestamp().as_second());
    Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)).min(MAX_RETRY_AFTER))
}

/// The longest code of an error.
const MAX_CODE_BYTES: usize = 40;

/// The verdict on a request that the target has rejected, with its codes and message.
pub(crate) fn rejected(status: StatusCode, operation: &Operation<'_>, codes: &[&str], message: &str) -> Verdict {
    let is_code = |code: &&&str| {
        !code.is_empty() && code.len() <= MAX_CODE_BYTES && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    // The message can show the user, and the values to remove are not known.
    let is_shown = !matches!(operation, Operation::Get { .. } | Operation::Delete { .. });
    let message = if is_shown { message } else { "" };
    let parts: Vec<&str> = codes.iter().filter(is_code).copied().chain([message]).collect();
    let text = parts.join(" ");
    if status == StatusCode::FORBIDDEN { Verdict::NotAllowed(text) } else { Verdict::Rejected(text) }
}

/// What a target says, without the values that were sent to it: targets repeat them.
pub fn without_values(text: &str, operation: &Operation<'_>) -> String {
    let mut text = text.to_owned();
    if let Operation::Find { value, .. } = operation {
        text = replace_folded(&text, value);
    }
    if let Operation::Create(document) | Operation::Update { document, .. } = operation {
        let mut values = Vec::new();
        for attribute in &document.attributes {
            if let Some(value) = &attribute.value {
                collect_texts(value, &mut values);
            }
        }
        values.extend(document.keys.iter().map(|(_, value)| value.clone()));
        // Longer values first: they can contain shorter ones.
        values.sort_by_key(|value| std::cmp::Reverse(value.len()));
        for value in values.iter().filter(|value| value.chars().count() >= 3) {
            text = replace_folded(&text, value);
        }
    }
    text
}

/// Replaces a value whatever its case.
pub fn replace_folded(text: &str, value: &str) -> String {
    if value.is_empty() {
        return text.to_owned();
    }
    let text = text.replace(value, "…");
    let (folded_text, folded) = (text.to_lowercase(), value.to_lowercase());
    // Folding can change lengths; then positions do not correspond.
    let has_same_lengths = text.chars().all(|c| c.to_lowercase().map(char::len_utf8).sum::<usize>() == c.len_utf8());
    if !has_same_lengths {
        return text;
    }
    let (mut shown, mut rest) = (String::with_capacity(text.len()), 0);
    for (start, _) in folded_text.match_indices(&folded) {
        if let (Some(before), true) = (text.get(rest..start), text.is_char_boundary(start + folded.len())) {
            shown.push_str(before);
            shown.push('…');
            rest = start + folded.len();
        }
    }
    shown.push_str(text.get(rest..).unwrap_or_default());
    shown
}

fn collect_texts(value: &OutputValue, texts: &mut Vec<String>) {
    match value {
        OutputValue::Text(text) | OutputValue::Link(text) => texts.push(text.clone()),
        OutputValue::List(_, values) | OutputValue::Repeated(values) => {
            for value in values {
                collect_texts(value, texts);
            }
        }
        OutputValue::Object(members) => {
            for (_, value) in members {
                collect_texts(value, texts);
            }
        }
        OutputValue::Null | OutputValue::Integer(_) | OutputValue::Bool(_) => {}
    }
}

/// A member's text, if it is a non-empty text or a number.
pub(crate) fn text_member<'a>(object: &'a Object, name: &str) -> Option<&'a str> {
    match object.get(name, Duplicates::LastWins)? {
        Node::Text(text) | Node::Number(text) => Some(text.as_str()).filter(|text| !text.is_empty()),
        _ => None,
    }
}

/// Whether the body says that it is HTML, as pages for signing in do.
pub(crate) fn is_html(response: &Response<Bytes>) -> bool {
    let media_type = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let start: String = String::from_utf8_lossy(response.body().get(..64).unwrap_or(response.body())).into_owned();
    media_type.is_some_and(|media| fold(media).starts_with("text/html"))
        || fold(start.trim_start()).starts_with("<!doctype html")
        || fold(start.trim_start()).starts_with("<html")
}

/// Parses XML as clients and targets send it; `None` if it is not valid.
pub fn parse_xml(text: &str) -> Option<Node> {
    crate::kit::xml::parse(text).ok().map(|document| document.node)
}

/// Decodes Base64 for URLs without padding (RFC 4648 section 5); `None` if it is not valid.
pub fn decode_base64url(text: &str) -> Option<Vec<u8>> {
    base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).ok()
}

/// Parses JSON as clients and targets send it; `None` if it is not valid.
pub fn parse_json(text: &str) -> Option<Node> {
    crate::kit::json::parse(text).ok()
}

/// A value as JSON.
pub fn json_text(value: &OutputValue) -> String {
    crate::kit::json::write(value)
}

/// A segment of a path.
pub(crate) fn encode_segment(text: &str) -> String {
    // `.` and `..` are removed from paths, so all dots of such a segment are encoded.
    if text.bytes().all(|byte| byte == b'.') {
        return "%2E".repeat(text.len());
    }
    percent_encoding::utf8_percent_encode(text, SEGMENT).to_string()
}

const SEGMENT: &percent_encoding::AsciiSet =
    &percent_encoding::NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');
