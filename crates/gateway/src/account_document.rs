//! What a target is to have of a user: what its API says, then the target's mapping, as far as the API can hold it.

use crate::mapping::{Mapping, MappingError};
use dialects::kit::{Document, Incomplete, OutgoingUser, TargetAttribute, TargetClient};
use directory::{AttributeMapping, TargetCapabilities};

/// Makes the documents of one target.
pub struct AccountDocuments {
    client: &'static dyn TargetClient,
    pub capabilities: TargetCapabilities,
    attributes: Vec<TargetAttribute>,
    mapping: Mapping,
}

/// Why a user cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DocumentError {
    #[error(transparent)]
    Incomplete(#[from] Incomplete),
    #[error(transparent)]
    Mapping(#[from] MappingError),
}

impl AccountDocuments {
    /// # Errors
    /// The mapping is not valid for the API.
    pub fn new(
        client: &'static dyn TargetClient,
        capabilities: TargetCapabilities,
        mapping: &[AttributeMapping],
    ) -> Result<Self, MappingError> {
        let attributes = client.attributes(&capabilities);
        let mapping = Mapping::compile(mapping, &attributes)?;
        Ok(Self { client, capabilities, attributes, mapping })
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
