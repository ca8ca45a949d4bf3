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
pub struct Entry {
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

impl Entry {
    /// A value of a kind, with nothing else said of it.
    pub fn of(kind: &str, value: impl Into<String>) -> Self {
        Self { value: value.into(), kind: Some(kind.into()), display: None, primary: None }
    }

    /// The same as the preferred one.
    #[must_use]
    pub fn preferred(self) -> Self {
        Self { primary: Some(true), ..self }
    }

    /// Whether it is the preferred one.
    pub fn is_preferred(&self) -> bool {
        self.primary == Some(true)
    }

    /// Whether it is of that kind, in any case.
    pub fn is(&self, kind: &str) -> bool {
        self.kind.as_deref().is_some_and(|k| k.eq_ignore_ascii_case(kind))
    }
}

/// The place of the preferred entry: the primary one, else the first of `kind`, else the first.
pub(crate) fn preferred(entries: &[Entry], kind: &str) -> Option<usize> {
    let primary = entries.iter().position(Entry::is_preferred);
    let of_kind = || entries.iter().position(|entry| entry.is(kind));
    primary.or_else(of_kind).or(if entries.is_empty() { None } else { Some(0) })
}

/// Puts a value in a place, takes it out, or adds `new` where there is none.
pub(crate) fn put(
    entries: &mut Vec<Entry>,
    place: Option<usize>,
    value: Option<String>,
    new: impl FnOnce(String) -> Entry,
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
macro_rules! compact {
    ($module:ident, $kind:literal) => {
        pub(crate) mod $module {
            use super::{Compact, Deserialize, Deserializer, Entry, Serializer, write};
            pub(crate) fn serialize<S: Serializer>(entries: &[Entry], to: S) -> Result<S::Ok, S::Error> {
                write(entries, $kind, to)
            }
            pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Entry>, D::Error> {
                Ok(match Compact::deserialize(from)? {
                    Compact::Bare(value) => vec![Entry::of($kind, value).preferred()],
                    Compact::Listed(entries) => entries,
                })
            }
        }
    };
}
compact!(work, "work");
compact!(photo, "photo");

fn write<S: Serializer>(entries: &[Entry], kind: &str, to: S) -> Result<S::Ok, S::Error> {
    if let [Entry { value, kind: Some(k), display: None, primary: Some(true) }] = entries
        && k == kind
    {
        return to.serialize_str(value);
    }
    let is_plain = |entry: &Entry| entry.primary.is_none() && entry.display.is_none() && entry.kind.is_some();
    let alone = |entry: &Entry| entries.iter().filter(|other| other.kind == entry.kind).count() == 1;
    if entries.iter().all(|entry| is_plain(entry) && alone(entry)) {
        let mut map = to.serialize_map(Some(entries.len()))?;
        for entry in entries {
            map.serialize_entry(entry.kind.as_deref().unwrap_or_default(), &entry.value)?;
        }
        return map.end();
    }
    to.collect_seq(entries)
}

enum Compact {
    Bare(String),
    Listed(Vec<Entry>),
}

impl<'de> Deserialize<'de> for Compact {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Compact;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, kinds with values, or a list of entries")
    }
    fn visit_str<E: Error>(self, value: &str) -> Result<Compact, E> {
        Ok(Compact::Bare(value.to_owned()))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Compact, A::Error> {
        let mut entries = Vec::new();
        while let Some((kind, value)) = map.next_entry::<String, String>()? {
            entries.push(Entry { value, kind: Some(kind), display: None, primary: None });
        }
        Ok(Compact::Listed(entries))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Compact, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = seq.next_element()? {
            entries.push(entry);
        }
        Ok(Compact::Listed(entries))
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
    pub fn at_work() -> Self {
        Self { kind: Some("work".into()), ..Self::default() }
    }

    /// Whether it is the one at work, which is the one that dialects with a single address show.
    pub fn is_work(&self) -> bool {
        self.kind.as_deref().is_some_and(|kind| kind.eq_ignore_ascii_case("work"))
    }

    /// Whether nothing is said but where it belongs.
    pub(crate) fn is_blank(&self) -> bool {
        Self { kind: None, primary: None, ..self.clone() } == Self::default()
    }
}

/// Addresses as they are stored: a single one at work as itself, everything else as a list.
pub(crate) mod addresses {
    use super::{
        Address, Deserializer, Error, MapAccess, MapAccessDeserializer, SeqAccess, Serializer, Visitor, fmt,
    };
    use serde::{Deserialize as _, Serialize as _};

    pub(crate) fn serialize<S: Serializer>(all: &[Address], to: S) -> Result<S::Ok, S::Error> {
        match all {
            [one] if one.kind.as_deref() == Some("work") => {
                Address { kind: None, ..one.clone() }.serialize(to)
            }
            all => to.collect_seq(all),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Address>, D::Error> {
        from.deserialize_any(Reader)
    }

    struct Reader;

    impl<'de> Visitor<'de> for Reader {
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
    struct Held {
        #[serde(with = "work")]
        entries: Vec<Entry>,
        #[serde(with = "addresses")]
        places: Vec<Address>,
    }

    /// What is stored is read again, whichever short form it was given.
    #[test]
    fn short_forms_lose_nothing() {
        let bare = Entry { value: "x".into(), primary: Some(true), ..Entry::default() };
        let plain = Entry { value: "y".into(), ..Entry::default() };
        let shown = Entry { display: Some("d".into()), ..Entry::of("home", "z") };
        let home = Address { kind: Some("home".into()), primary: Some(true), ..Address::default() };
        let lists: [Vec<Entry>; 8] = [
            vec![],
            vec![Entry::of("work", "x").preferred()],
            vec![Entry::of("home", "x").preferred()],
            vec![Entry::of("work", "1"), Entry::of("mobile", "2")],
            vec![Entry::of("work", "1"), Entry::of("work", "2")],
            vec![bare],
            vec![plain.clone(), shown],
            vec![plain],
        ];
        let places = [vec![], vec![Address::at_work()], vec![home.clone()], vec![home, Address::at_work()]];
        for (entries, places) in lists.into_iter().zip(places.into_iter().cycle()) {
            let held = Held { entries, places };
            let text = serde_json::to_string(&held).unwrap();
            assert_eq!(serde_json::from_str::<Held>(&text).unwrap(), held, "{text}");
        }
        // As an earlier schema wrote them.
        let old = r#"{"entries":{"work":"1","mobile":"2"},"places":{"line1":"l"}}"#;
        let held: Held = serde_json::from_str(old).unwrap();
        assert_eq!(held.entries, [Entry::of("work", "1"), Entry::of("mobile", "2")]);
        assert_eq!(held.places, [Address { line1: Some("l".into()), ..Address::at_work() }]);
    }
}
