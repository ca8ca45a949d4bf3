//! Query strings. Names are case-insensitive; the first of repeated parameters is used.

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    pairs: Vec<(String, String)>,
}

impl Query {
    /// Parses the text after the `?`; empty pairs (`&&`) are ignored.
    pub fn parse(text: &str) -> Self {
        let pairs = form_urlencoded::parse(text.as_bytes())
            .filter(|(name, _)| !name.is_empty())
            .map(|(name, value)| (name.into_owned(), value.into_owned()))
            .collect();
        Self { pairs }
    }

    /// An empty value counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let named = self.pairs.iter().find(|(n, _)| n.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// All values of a parameter, joined by commas.
    pub fn get_joined(&self, name: &str) -> Option<String> {
        let named = self.pairs.iter().filter(|(n, value)| n.eq_ignore_ascii_case(name) && !value.is_empty());
        named.map(|(_, value)| value.clone()).reduce(|all, value| format!("{all},{value}"))
    }

    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}
