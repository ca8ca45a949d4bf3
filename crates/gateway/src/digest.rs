//! What a target has accepted, in a form that does not repeat it: a hash of everything, and a short one per attribute.

use dialects::kit::{Document, json_text};
use ring::digest::{Context, SHA256};

const TOTAL_BYTES: usize = 16;
const ATTRIBUTE_BYTES: usize = 4;

/// The digest of a document: 16 bytes of its hash, then 4 bytes for each attribute, also for those without a value.
pub(crate) fn digest(document: &Document) -> Vec<u8> {
    let mut bytes = vec![0; TOTAL_BYTES];
    let mut total = Context::new(&SHA256);
    for attribute in &document.attributes {
        let mut context = Context::new(&SHA256);
        context.update(attribute.name.as_bytes());
        context.update(&[0, u8::from(attribute.value.is_some())]);
        if let Some(value) = &attribute.value {
            context.update(json_text(value).as_bytes());
        }
        let hash = context.finish();
        total.update(hash.as_ref());
        bytes.extend(hash.as_ref().iter().take(ATTRIBUTE_BYTES));
    }
    let total = total.finish();
    bytes[..TOTAL_BYTES].copy_from_slice(&total.as_ref()[..TOTAL_BYTES]);
    bytes
}

/// Indexes of the attributes of a document that differ from an accepted one; all if nothing or something else was
/// accepted.
pub(crate) fn changed(document: &Document, accepted: Option<&[u8]>) -> Vec<usize> {
    let all = || (0..document.attributes.len()).collect();
    let Some(accepted) = accepted else { return all() };
    let own = digest(document);
    if own == accepted {
        return Vec::new();
    }
    let known: Vec<&[u8]> = accepted.get(TOTAL_BYTES..).unwrap_or_default().chunks(ATTRIBUTE_BYTES).collect();
    let is_known = |hash: &[u8]| known.contains(&hash);
    let hashes = own[TOTAL_BYTES..].chunks(ATTRIBUTE_BYTES);
    let changed: Vec<usize> = hashes.enumerate().filter(|(_, hash)| !is_known(hash)).map(|(index, _)| index).collect();
    // Short hashes can be equal by chance.
    if changed.is_empty() { all() } else { changed }
}

#[cfg(test)]
mod tests {
    use super::*;
    use dialects::kit::{DocumentAttribute, OutputValue};

    fn document(values: &[Option<&'static str>]) -> Document {
        let attribute = |(index, value): (usize, Option<&'static str>)| DocumentAttribute {
            name: format!("a{index}").into(),
            value: value.map(OutputValue::text),
        };
        Document { attributes: values.iter().copied().enumerate().map(attribute).collect(), keys: Vec::new() }
    }

    #[test]
    fn differences_are_found() {
        let first = document(&[Some("x"), None, Some("")]);
        let accepted = digest(&first);
        assert_eq!(accepted.len(), TOTAL_BYTES + 3 * ATTRIBUTE_BYTES);
        assert!(changed(&first, Some(&accepted)).is_empty());
        assert_eq!(changed(&first, None), [0, 1, 2]);
        assert_eq!(changed(&document(&[Some("y"), None, Some("")]), Some(&accepted)), [0]);
        assert_eq!(changed(&document(&[Some("x"), Some(""), None]), Some(&accepted)), [1, 2]);
        // An attribute that a later version adds.
        assert_eq!(changed(&document(&[Some("x"), None, Some(""), None]), Some(&accepted)), [3]);
        // One that a later version does not have: nothing else differs, so everything is sent.
        assert_eq!(changed(&document(&[Some("x"), None]), Some(&accepted)), [0, 1]);
        assert_eq!(changed(&first, Some(b"short")), [0, 1, 2]);
    }
}
