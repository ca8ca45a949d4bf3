//! Multi-valued attributes, such as emails (RFC 7643 section 2.4).
//!
//! Most users have one plain email and plain phone numbers, so the stored form is compact: one plain value is a
//! string, plain values of different types are a map from type to value, and everything else is a list of entries.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize as De, Serialize};
use std::fmt;

/// One value of a multi-valued attribute.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, De)]
pub struct TypedValue {
    /// An address, a number, a URL.
    pub value: String,
    /// `work`, `home`, `mobile`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display: Option<String>,
    /// Whether it is the preferred value, if the client specified it; true for at most one entry of a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

impl TypedValue {
    pub fn new(kind: &str, value: impl Into<String>) -> Self {
        Self { value: value.into(), kind: Some(kind.into()), display: None, primary: None }
    }

    #[must_use]
    pub fn with_primary(self) -> Self {
        Self { primary: Some(true), ..self }
    }

    pub fn is_primary(&self) -> bool {
        self.primary == Some(true)
    }

    /// Ignores case.
    pub fn has_kind(&self, kind: &str) -> bool {
        self.kind.as_deref().is_some_and(|k| k.eq_ignore_ascii_case(kind))
    }
}

/// Index of the preferred entry: the primary one, else the first of `kind`, else the first.
pub(crate) fn preferred_index(entries: &[TypedValue], kind: &str) -> Option<usize> {
    let primary = entries.iter().position(TypedValue::is_primary);
    let of_kind = || entries.iter().position(|entry| entry.has_kind(kind));
    primary.or_else(of_kind).or(if entries.is_empty() { None } else { Some(0) })
}

/// Sets or removes the value at an index, or adds `new` if there is no index.
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

/// The stored form of entries; a plain string is the primary value of type `$kind`.
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
        f.write_str("a string, a map from types to values, or a list of entries")
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
    /// A name or a code, as sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub country: Option<String>,
    /// The whole address as on an envelope, if the client sent it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub formatted: Option<String>,
    /// `work`, `home`, `other`.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub primary: Option<bool>,
}

impl Address {
    pub fn work() -> Self {
        Self { kind: Some("work".into()), ..Self::default() }
    }

    /// Dialects with a single address show the work address.
    pub fn is_work(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("work"))
    }

    /// Whether it has neither lines nor a formatted text.
    pub(crate) fn is_empty(&self) -> bool {
        Self { kind: None, primary: None, ..self.clone() } == Self::default()
    }
}

/// The stored form of addresses: a single work address is an object, everything else a list.
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
            f.write_str("an address or a list of addresses")
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
        // Written by an earlier schema.
        let old = r#"{"entries":{"work":"1","mobile":"2"},"addresses":{"line1":"l"}}"#;
        let held: Document = serde_json::from_str(old).unwrap();
        assert_eq!(held.entries, [TypedValue::new("work", "1"), TypedValue::new("mobile", "2")]);
        assert_eq!(held.addresses, [Address { line1: Some("l".into()), ..Address::work() }]);
    }
}
