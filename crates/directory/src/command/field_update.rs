//! What a request does to a field.

#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum FieldUpdate<T> {
    /// Not in the request: the stored value stays.
    #[default]
    Keep,
    /// Empty in the request: the stored value is removed.
    Clear,
    Set(T),
}

impl<T> FieldUpdate<T> {
    /// `Set` for `Some`, `Clear` for `None`.
    pub fn set_or_clear(value: Option<T>) -> Self {
        value.map_or(Self::Clear, Self::Set)
    }

    /// `Set` for `Some`, `Keep` for `None`.
    pub fn set_or_keep(value: Option<T>) -> Self {
        value.map_or(Self::Keep, Self::Set)
    }

    pub fn value(&self) -> Option<&T> {
        match self {
            Self::Set(value) => Some(value),
            Self::Keep | Self::Clear => None,
        }
    }

    /// Whether the request mentions the field.
    pub fn is_change(&self) -> bool {
        !matches!(self, Self::Keep)
    }

    pub fn map<U>(self, f: impl FnOnce(T) -> U) -> FieldUpdate<U> {
        match self {
            Self::Keep => FieldUpdate::Keep,
            Self::Clear => FieldUpdate::Clear,
            Self::Set(value) => FieldUpdate::Set(f(value)),
        }
    }
}
