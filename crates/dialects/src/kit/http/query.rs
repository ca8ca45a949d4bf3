//! The query string: names in any case, the first of repeated ones counts.

/// A parsed query string.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Parses what stands after the `?`; empty pairs (`&&`) are let pass.
    pub fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes())
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Self { pairs }
    }

    /// The value under a name; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let named = self.pairs.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values under a name, with commas between.
    pub fn get_joined(&self, name: &str) -> Option<String> {
        let named = self.pairs.iter().filter(|(n, value)| n.eq_ignore_ascii_case(name) && !value.is_empty());
        named.map(|(_, value)| value.clone()).reduce(|all, value| format!("{all},{value}"))
    }

    /// All pairs in the order sent.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
