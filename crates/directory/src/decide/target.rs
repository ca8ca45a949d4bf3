//! Decides changes of targets.

use super::admin::check_name;
use super::{Decision, DecisionContext, DecisionInput};
use crate::{
    AttributeMapping, CredentialKind, DirectoryError, Field, FieldErrorKind, Mutation, Record, RowWrite, SealedSecret,
    SecretUse, Target, TargetChange, TargetLimits, TargetProgress, TargetState,
};

const MAX_SCOPE_CHARS: usize = 4_000;
const MAX_URL_CHARS: usize = 1_000;
const MAX_CERTIFICATES_BYTES: usize = 64 * 1024;

impl TargetChange {
    /// Whether it allows requests to addresses that were forbidden.
    pub(crate) fn extends_allowed_addresses(&self) -> bool {
        let old = self.before.as_ref().map_or(&[][..], |target| &target.allowed_addresses);
        self.after.allowed_addresses.iter().any(|address| !old.contains(address))
    }

    /// Whether it does nothing but pause the target.
    pub(crate) fn is_pause(&self) -> bool {
        let is_paused = matches!(self.after.state, TargetState::Paused { .. });
        let with_state = |before: &Target| Target { state: self.after.state.clone(), ..before.clone() };
        is_paused && self.secrets.is_empty() && self.before.as_ref().is_some_and(|it| with_state(it) == self.after)
    }

    /// A credential must not be sent to another place than the one it was given for.
    fn changes_destination(&self, before: &Target) -> bool {
        let token_url = |target: &Target| match &target.credential {
            CredentialKind::ClientCredentials { token_url, .. } => Some(token_url.clone()),
            CredentialKind::Bearer | CredentialKind::Key | CredentialKind::Basic { .. } => None,
        };
        before.url != self.after.url
            || std::mem::discriminant(&before.credential) != std::mem::discriminant(&self.after.credential)
            || token_url(before) != token_url(&self.after)
    }
}

pub(super) fn put(
    change: &TargetChange,
    input: &DecisionInput,
    context: &DecisionContext<'_>,
) -> Result<Decision, DirectoryError> {
    let TargetChange { before, after, secrets } = change;
    let mut after = after.clone();
    after.tenant = context.tenant;
    check(&after)?;
    let has_current = secrets.iter().any(|secret| secret.use_ == SecretUse::Current);
    let missing_credential = DirectoryError::for_field(Field::Password, FieldErrorKind::Missing);
    let mut rows = Vec::new();
    match before {
        None => {
            if input.targets.iter().filter(|target| !target.is_removed()).count() >= Target::MAX_PER_TENANT {
                return Err(DirectoryError::for_field(Field::Name, FieldErrorKind::TooLong(Target::MAX_PER_TENANT)));
            }
            if !has_current {
                return Err(missing_credential);
            }
            after.number = input.targets.iter().map(|target| target.number).max().unwrap_or(0) + 1;
            after.version = 1;
            let progress = TargetProgress::new(context.tenant, after.number);
            rows.push(RowWrite::Insert(TargetProgress::table(), progress.to_row().map_err(internal)?));
        }
        Some(before) => {
            let stored = input.targets.iter().find(|target| target.number == before.number);
            // All of it: what may be changed is decided by what was read.
            if stored != Some(before) {
                return Err(DirectoryError::Conflict);
            }
            let is_other = (after.id, after.number, &after.dialect) != (before.id, before.number, &before.dialect);
            if is_other || before.is_removed() || after.limits.shards != before.limits.shards {
                return Err(DirectoryError::for_field(Field::Value, FieldErrorKind::NotAllowed));
            }
            if change.changes_destination(before) && !has_current {
                return Err(missing_credential);
            }
            if after == *before && secrets.is_empty() {
                return Ok(Decision::default());
            }
            after.version = before.version + 1;
            if has_current {
                // They belong to the credential that is replaced.
                let unused = [SecretUse::Next, SecretUse::Previous];
                rows.extend(unused.map(|use_| SealedSecret::deletion_of(after.tenant, before.secret_owner(), use_)));
            }
            let progress = TargetProgress::new(context.tenant, before.number);
            rows.extend(progress.after_change(change.changes_destination(before), after.has_other_accounts(before)));
        }
    }
    for secret in secrets {
        if secret.tenant != context.tenant || secret.owner != after.secret_owner() {
            return Err(DirectoryError::for_field(Field::Password, FieldErrorKind::NotAllowed));
        }
        rows.push(secret.put().map_err(internal)?);
    }
    if after.is_removed() {
        rows = SecretUse::ALL.map(|use_| SealedSecret::deletion_of(after.tenant, after.secret_owner(), use_)).into();
        rows.push(TargetProgress::new(after.tenant, after.number).deletion());
    }
    let (before, after) = (before.clone().map(Box::new), Box::new(after));
    Ok(Decision { mutations: vec![Mutation::PutTarget { before, after, rows }], ..Decision::default() })
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn internal(error: serde_json::Error) -> DirectoryError {
    DirectoryError::Internal(error.to_string())
}

fn check(target: &Target) -> Result<(), DirectoryError> {
    check_name(&target.name)?;
    if target.scope.as_ref().is_some_and(|scope| scope.chars().count() > MAX_SCOPE_CHARS) {
        return Err(DirectoryError::for_field(Field::Value, FieldErrorKind::TooLong(MAX_SCOPE_CHARS)));
    }
    if target.mapping.len() > AttributeMapping::MAX_ROWS {
        return Err(DirectoryError::for_field(Field::Value, FieldErrorKind::TooLong(AttributeMapping::MAX_ROWS)));
    }
    if target.mapping.iter().any(|row| row.bytes() > AttributeMapping::MAX_BYTES) {
        return Err(DirectoryError::for_field(Field::Value, FieldErrorKind::TooLong(AttributeMapping::MAX_BYTES)));
    }
    let malformed = || DirectoryError::for_field(Field::Value, FieldErrorKind::Malformed);
    let token_url = match &target.credential {
        CredentialKind::ClientCredentials { token_url, .. } => Some(token_url),
        CredentialKind::Bearer | CredentialKind::Key | CredentialKind::Basic { .. } => None,
    };
    for url in std::iter::once(&target.url).chain(token_url) {
        if url.chars().count() > MAX_URL_CHARS {
            return Err(DirectoryError::for_field(Field::Value, FieldErrorKind::TooLong(MAX_URL_CHARS)));
        }
        let rest = url.strip_prefix("https://").or_else(|| {
            // Only where the operator allows the address.
            url.strip_prefix("http://").filter(|_| !target.allowed_addresses.is_empty())
        });
        let authority = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let is_url = !authority.is_empty()
            && !authority.contains('@')
            && url.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\' | '"' | '<' | '>'));
        if !is_url {
            return Err(malformed());
        }
    }
    // Paths of the API are appended to it.
    if target.url.ends_with('/') {
        return Err(malformed());
    }
    let TargetLimits { requests_per_minute: _, concurrency, timeout_seconds, shards } = target.limits;
    let in_range = (1..=256).contains(&concurrency)
        && (1..=TargetLimits::MAX_TIMEOUT_SECONDS).contains(&timeout_seconds)
        && (1..=TargetLimits::MAX_SHARDS).contains(&shards);
    let is_account = target.account.as_ref().is_none_or(|account| {
        !account.is_empty() && account.len() <= 100 && account.chars().all(|c| c.is_ascii_graphic())
    });
    let certificates = target.ca_certificates.as_ref().map_or(0, String::len);
    if in_range && is_account && certificates <= MAX_CERTIFICATES_BYTES { Ok(()) } else { Err(malformed()) }
}
