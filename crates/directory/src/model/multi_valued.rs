//! Plural attributes: several values of one sort, such as e-mails (RFC 7643 section 2.4).
//!
//! Most people have one plain e-mail and plain phone numbers, so these are kept short: one plain value is stored as a
//! text, plain values of different kinds as `kind: value`, and only what says more as a list of entries.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize as De, Serialize};
use std::fmt;

/// One value of a plural attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, De)]
pub struct TypedValue {
    /// The value itself: an address, a number, a URL.
    pub value: String,
    /// What sort of value: `work`, `home`, `mobile`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// How to show it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Whether it is the preferred one, where anybody said so; one entry of a list at the most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

impl TypedValue {
    /// A value of a kind, with nothing else said of it.
    pub fn new(kind: &str, value: impl Into<String>) -> Self {
        Self { value: value.into(), kind: Some(kind.into()), display: None, primary: None }
    }

    /// The same as the preferred one.
    #[must_use]
    pub fn with_primary(self) -> Self {
        Self { primary: Some(true), ..self }
    }

    /// Whether it is the preferred one.
    pub fn is_primary(&self) -> bool {
        self.primary == Some(true)
    }

    /// Whether it is of that kind, in any case.
    pub fn has_kind(&self, kind: &str) -> bool {
        self.kind.as_deref().is_some_and(|k| k.eq_ignore_ascii_case(kind))
    }
}

/// The place of the preferred entry: the primary one, else the first of `kind`, else the first.
pub(crate) fn preferred_index(entries: &[TypedValue], kind: &str) -> Option<usize> {
    let primary = entries.iter().position(TypedValue::is_primary);
    let of_kind = || entries.iter().position(|entry| entry.has_kind(kind));
    primary.or_else(of_kind).or(if entries.is_empty() { None } else { Some(0) })
}

/// Puts a value in a place, takes it out, or adds `new` where there is none.
pub(crate) fn set_value_at(
    entries: &mut Vec<TypedValue>,
    place: Option<usize>,
    value: Option<String>,
    new: impl FnOnce(String) -> TypedValue,
) {
    match (place, value) {
        (Some(place), Some(value)) => entries[place].value = value,
        (Some(place), None) => {
            entries.remove(place);
        }
        (None, Some(value)) => entries.push(new(value)),
        (None, None) => {}
    }
}

/// Entries as they are stored; a bare text is the preferred one of the kind `K`.
macro_rules! compact_values {
    ($module:ident, $kind:literal) => {
        pub(crate) mod $module {
            use super::{CompactForm, Deserialize, Deserializer, Serializer, TypedValue, serialize_compact};
            pub(crate) fn serialize<S: Serializer>(entries: &[TypedValue], to: S) -> Result<S::Ok, S::Error> {
                serialize_compact(entries, $kind, to)
            }
            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<TypedValue>, D::Error> {
                Ok(match CompactForm::deserialize(from)? {
                    CompactForm::Single(value) => vec![TypedValue::new($kind, value).with_primary()],
                    CompactForm::List(entries) => entries,
                })
            }
        }
    };
}
compact_values!(work, "work");
compact_values!(photo, "photo");

fn serialize_compact<S: Serializer>(entries: &[TypedValue], kind: &str, to: S) -> Result<S::Ok, S::Error> {
    if let [TypedValue { value, kind: Some(k), display: None, primary: Some(true) }] = entries
        && k == kind
    {
        return to.serialize_str(value);
    }
    let is_plain = |entry: &TypedValue| entry.primary.is_none() && entry.display.is_none() && entry.kind.is_some();
    let alone = |entry: &TypedValue| entries.iter().filter(|other| other.kind == entry.kind).count() == 1;
    if entries.iter().all(|entry| is_plain(entry) && alone(entry)) {
        let mut map = to.serialize_map(Some(entries.len()))?;
        for entry in entries {
            map.serialize_entry(entry.kind.as_deref().unwrap_or_default(), &entry.value)?;
        }
        return map.end();
    }
    to.collect_seq(entries)
}

enum CompactForm {
    Single(String),
    List(Vec<TypedValue>),
}

impl<'de> Deserialize<'de> for CompactForm {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(CompactVisitor)
    }
}

struct CompactVisitor;

impl<'de> Visitor<'de> for CompactVisitor {
    type Value = CompactForm;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, kinds with values, or a list of entries")
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<CompactForm, E> {
        Ok(CompactForm::Single(value.to_owned()))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<CompactForm, A::Error> {
        let mut entries = Vec::new();
        while let Some((kind, value)) = map.next_entry::<String, String>()? {
            entries.push(TypedValue { value, kind: Some(kind), display: None, primary: None });
        }
        Ok(CompactForm::List(entries))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<CompactForm, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element()? {
            entries.push(entry);
        }
        Ok(CompactForm::List(entries))
    }
}

/// A postal address (RFC 7643 section 4.1.2).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, De)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub struct Address {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line1: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line2: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub city: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postal_code: Option<String>,
    /// As a name or a code, as given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// All of it as it is written on an envelope, where the client said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formatted: Option<String>,
    /// `work`, `home`, `other`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

impl Address {
    /// An empty one at work.
    pub fn work() -> Self {
        Self { kind: Some("work".into()), ..Self::default() }
    }

    /// Whether it is the one at work, which is the one that dialects with a single address show.
    pub fn is_work(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("work"))
    }

    /// Whether nothing is said but where it belongs.
    pub(crate) fn is_empty(&self) -> bool {
        Self { kind: None, primary: None, ..self.clone() } == Self::default()
    }
}

/// Addresses as they are stored: a single one at work as itself, everything else as a list.
pub(crate) mod addresses {
    use super::{Address, Deserializer, Error, MapAccess, MapAccessDeserializer, SeqAccess, Serializer, Visitor, fmt};
    use serde::{Deserialize as _, Serialize as _};

    pub(crate) fn serialize<S: Serializer>(all: &[Address], to: S) -> Result<S::Ok, S::Error> {
        match all {
            [one] if one.kind.as_deref() == Some("work") => Address { kind: None, ..one.clone() }.serialize(to),
            all => to.collect_seq(all),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Address>, D::Error> {
        from.deserialize_any(CompactVisitor)
    }

    struct CompactVisitor;

    impl<'de> Visitor<'de> for CompactVisitor {
        type Value = Vec<Address>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an address or a list of them")
        }
        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(Vec::new())
        }
        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            let address = Address::deserialize(MapAccessDeserializer::new(map))?;
            Ok(vec![Address { kind: Some("work".into()), ..address }])
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(address) = seq.next_element()? {
                all.push(address);
            }
            Ok(all)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, De)]
    struct Document {
        #[serde(with = "work")]
        entries: Vec<TypedValue>,
        #[serde(with = "addresses")]
        addresses: Vec<Address>,
    }

    /// What is stored is read again, whichever short form it was given.
    #[test]
    fn compact_forms_round_trip() {
        let bare = TypedValue { value: "x".into(), primary: Some(true), ..TypedValue::default() };
        let plain = TypedValue { value: "y".into(), ..TypedValue::default() };
        let shown = TypedValue { display: Some("d".into()), ..TypedValue::new("home", "z") };
        let home = Address { kind: Some("home".into()), primary: Some(true), ..Address::default() };
        let lists: [Vec<TypedValue>; 8] = [
            vec![],
            vec![TypedValue::new("work", "x").with_primary()],
            vec![TypedValue::new("home", "x").with_primary()],
            vec![TypedValue::new("work", "1"), TypedValue::new("mobile", "2")],
            vec![TypedValue::new("work", "1"), TypedValue::new("work", "2")],
            vec![bare],
            vec![plain.clone(), shown],
            vec![plain],
        ];
        let addresses = [vec![], vec![Address::work()], vec![home.clone()], vec![home, Address::work()]];
        for (entries, addresses) in lists.into_iter().zip(addresses.into_iter().cycle()) {
            let held = Document { entries, addresses };
            let text = serde_json::to_string(&held).unwrap();
            assert_eq!(serde_json::from_str::<Document>(&text).unwrap(), held, "{text}");
        }
        // As an earlier schema wrote them.
        let old = r#"{"entries":{"work":"1","mobile":"2"},"addresses":{"line1":"l"}}"#;
        let held: Document = serde_json::from_str(old).unwrap();
        assert_eq!(held.entries, [TypedValue::new("work", "1"), TypedValue::new("mobile", "2")]);
        assert_eq!(held.addresses, [Address { line1: Some("l".into()), ..Address::work() }]);
    }
}
