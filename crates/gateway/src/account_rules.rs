//! What a target is to have of a user: whether there is to be an account, and the account: the default of
//! the API, then the target's mapping, as far as the API can hold it.

use crate::digest::changed;
use crate::mapping::{Mapping, MappingError};
use crate::source_user::SourceUser;
use base64::Engine;
use dialects::UserFilter;
use dialects::kit::{Document, Incomplete, OutgoingUser, OutputValue, TargetAttribute, TargetClient};
use directory::{
    DeprovisionPolicy, Deprovisioning, Labels, MatchKey, PasswordPolicy, RemoteUser, Target, TargetCapabilities, User,
};

/// Random bytes of a password.
const PASSWORD_BYTES: usize = 24;

/// Which accounts one target is to have.
pub struct AccountRules {
    client: &'static dyn TargetClient,
    pub capabilities: TargetCapabilities,
    attributes: Vec<TargetAttribute>,
    mapping: Mapping,
    scope: Option<UserFilter>,
    deprovisioning: Deprovisioning,
    /// The attribute that new accounts have a random password in.
    password_attribute: Option<&'static str>,
}

/// What a target is to have of a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Desired<'s> {
    /// The account of a user.
    Account { user: &'s User, is_active: bool },
    /// No account.
    Nothing,
    /// What it has: Muster does not change it any more.
    Unchanged,
}

/// Why no user can be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    #[error(transparent)]
    Mapping(#[from] MappingError),
    #[error("the scope is not valid: {0}")]
    Scope(String),
    #[error("there is no such API")]
    UnknownDialect,
}

/// Why a user cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

impl AccountRules {
    /// By what the target was found to be able to do, or by the default of its API before it was tested.
    ///
    /// # Errors
    /// There is no such API, or the mapping or the scope is not valid.
    pub fn of_target(target: &Target) -> Result<Self, RulesError> {
        let client = dialects::target_client(&target.dialect).ok_or(RulesError::UnknownDialect)?;
        let capabilities = target.capabilities.clone().unwrap_or_else(|| client.default_capabilities());
        Self::new(client, capabilities, target)
    }

    /// # Errors
    /// The mapping or the scope of the target is not valid.
    pub fn new(
        client: &'static dyn TargetClient,
        capabilities: TargetCapabilities,
        target: &Target,
    ) -> Result<Self, RulesError> {
        let attributes = client.attributes(&capabilities);
        let keys: Vec<_> =
            MatchKey::ALL.into_iter().filter_map(|key| Some((key, client.key_attribute(key)?))).collect();
        let mapping = Mapping::compile(&target.mapping, &attributes, &keys)?;
        let scope = target.scope.as_deref().map(UserFilter::parse).transpose().map_err(RulesError::Scope)?;
        let deprovisioning = target.deprovisioning;
        let password_attribute = client.password_attribute().filter(|_| target.passwords == PasswordPolicy::RandomOnce);
        Ok(Self { client, capabilities, attributes, mapping, scope, deprovisioning, password_attribute })
    }

    /// Whether they depend on the groups of users.
    pub fn uses_groups(&self) -> bool {
        self.mapping.uses_groups() || self.scope.as_ref().is_some_and(UserFilter::uses_groups)
    }

    /// Whether the target gets the user.
    pub fn has_in_scope(&self, user: &User, labels: &Labels) -> bool {
        self.scope.as_ref().is_none_or(|scope| scope.matches(user, labels))
    }

    pub fn desired<'s>(&self, source: &'s SourceUser) -> Desired<'s> {
        let Deprovisioning { on_deactivate, out_of_scope, on_delete } = self.deprovisioning;
        let Some(user) = &source.user else {
            // The row of a user who was left alone is deleted before.
            return if on_delete == DeprovisionPolicy::Leave { Desired::Unchanged } else { Desired::Nothing };
        };
        let is_in_scope = self.has_in_scope(user, &source.labels);
        let policy = if !is_in_scope && (!source.is_deleted || out_of_scope == DeprovisionPolicy::Leave) {
            out_of_scope
        } else if source.is_deleted {
            on_delete
        } else if user.status.blocks_sign_in() {
            on_deactivate
        } else {
            return Desired::Account { user, is_active: true };
        };
        match policy {
            DeprovisionPolicy::Deactivate => Desired::Account { user, is_active: false },
            DeprovisionPolicy::Delete => Desired::Nothing,
            DeprovisionPolicy::Leave => Desired::Unchanged,
        }
    }

    /// Whether an account is to be created if there is none. Inactive users get none.
    pub fn is_to_be_created(&self, source: &SourceUser) -> bool {
        matches!(self.desired(source), Desired::Account { is_active: true, .. })
    }

    /// Whether the target has accepted the desired account of a user, as it is now.
    pub fn has_accepted(&self, source: &SourceUser, row: &RemoteUser) -> bool {
        let Desired::Account { user, is_active } = self.desired(source) else { return false };
        let manager = source.manager.as_deref();
        let document = self.document(&OutgoingUser { user, labels: &source.labels, manager, is_active });
        document.is_ok_and(|document| changed(&document, row.digest.as_deref()).is_empty())
    }

    /// The account with a random password, if new accounts get one.
    ///
    /// # Errors
    /// The operating system has no random bytes.
    pub(crate) fn with_password(&self, document: &Document) -> Result<Option<Document>, getrandom::Error> {
        let Some(attribute) = self.password_attribute else { return Ok(None) };
        let mut bytes = [0; PASSWORD_BYTES];
        getrandom::fill(&mut bytes)?;
        // Some targets require a character of each kind.
        let password = format!("{}-aA1", base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes));
        let mut document = document.clone();
        document.set(attribute, Some(OutputValue::Text(password)));
        Ok(Some(document))
    }

    /// Whether responses to creates prove whose account it is.
    pub(crate) fn creates_show_user(&self) -> bool {
        self.client.creates_show_user()
    }

    /// # Errors
    /// The user lacks what the API requires, or has a value that it cannot hold.
    pub fn document(&self, outgoing: &OutgoingUser<'_>) -> Result<Document, DocumentError> {
        let mut document = self.client.document(outgoing, &self.capabilities);
        let mapped = self.mapping.apply(outgoing, &mut document);
        let invalid = document.invalid(&self.attributes);
        if outgoing.is_active {
            mapped?;
            if let Some((_, reason)) = invalid.into_iter().next() {
                return Err(reason.into());
            }
            return Ok(document);
        }
        // Nothing prevents a deactivation.
        let mut names: Vec<&str> = invalid.iter().map(|(name, _)| *name).collect();
        if let Err(error) = &mapped {
            names.push(&error.attribute);
        }
        if !names.is_empty() {
            self.client.without_invalid(&mut document, &names);
        }
        Ok(document)
    }
}
