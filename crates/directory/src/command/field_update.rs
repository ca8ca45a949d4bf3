//! The three things a request can say of a field.

/// What a request said of one field: nothing, "make it empty", or a value.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum FieldUpdate<T> {
    /// Not mentioned: what is stored stays.
    #[default]
    Keep,
    /// Mentioned as empty: what is stored goes.
    Clear,
    /// Mentioned with a value: it replaces what is stored.
    Set(T),
}

impl<T> FieldUpdate<T> {
    /// `Value` for `Some`, `Cleared` for `None`.
    pub fn set_or_clear(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }

    /// `Value` for `Some`, `Absent` for `None`.
    pub fn set_or_keep(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }

    /// The value, when there is one.
    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Whether the request mentioned the field at all.
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    /// The same with the value mapped.
    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> FieldUpdate<U> {
        match self {
            Self::Keep => FieldUpdate::Keep,
            Self::Clear => FieldUpdate::Clear,
            Self::Set(value) => FieldUpdate::Set(f(value)),
        }
    }
}
