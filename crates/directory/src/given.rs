//! The three things a request can say of a field.

/// What a request said of one field: nothing, "make it empty", or a value.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum Given<T> {
    /// Not mentioned: what is stored stays.
    #[default]
    Absent,
    /// Mentioned as empty: what is stored goes.
    Cleared,
    /// Mentioned with a value: it replaces what is stored.
    Value(T),
}

impl<T> Given<T> {
    /// `Value` for `Some`, `Cleared` for `None`.
    pub fn replace(value: Option<T>) -> Self {
        value.map_or(Self::Cleared, Self::Value)
    }

    /// `Value` for `Some`, `Absent` for `None`.
    pub fn if_some(value: Option<T>) -> Self {
        value.map_or(Self::Absent, Self::Value)
    }

    /// The value, when there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Value(value) => Some(value),
            Self::Absent | Self::Cleared => None,
        }
    }

    /// Whether the request mentioned the field at all.
    pub fn is_mentioned(&self) -> bool {
        !matches!(self, Self::Absent)
    }

    /// The same with the value mapped.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> Given<U> {
        match self {
            Self::Absent => Given::Absent,
            Self::Cleared => Given::Cleared,
            Self::Value(value) => Given::Value(f(value)),
        }
    }
}
