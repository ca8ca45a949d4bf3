//! Filters: everything that RFC 7644 section 3.4.2.2 can express, over canonical fields.
//!
//! Dialects parse filters and engines evaluate them quickly, but their meaning is defined here. Texts are compared
//! case-folded unless `case_exact` is set. A comparison with an unset field is false, except
//! `NotEqual`, which is always the negation of `Equal`.

use crate::query::view::{AttributeSource, AttributeValue, SubAttributes};
use crate::{Field, fold, identifier_key, nfc};
use std::borrow::Cow;
use std::cmp::Ordering;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// True if empty.
    All(Vec<Filter>),
    /// False if empty.
    Any(Vec<Filter>),
    Not(Box<Filter>),
    Comparison(Comparison),
    /// True if one value of a multi-valued field matches the filter, whose fields are sub-attributes.
    ValuePath(Field, Box<Filter>),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    pub field: Field,
    /// For multi-valued fields; one matching value is enough.
    pub sub_attribute: Option<Field>,
    pub op: CompareOp,
    /// Ignored for [`CompareOp::Present`].
    pub value: AttributeValue<'static>,
    pub case_exact: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CompareOp {
    Equal,
    NotEqual,
    Contains,
    StartsWith,
    EndsWith,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Present,
}

impl Comparison {
    /// Normalizes a text once: to NFC if `exact`, else to [`identifier_key`] for equality, else case-folded.
    pub fn new(
        field: Field,
        sub_attribute: Option<Field>,
        op: CompareOp,
        value: AttributeValue<'static>,
        exact: bool,
    ) -> Self {
        let value = match value {
            AttributeValue::Text(text) => AttributeValue::text(op.normalize(&text, exact).into_owned()),
            other => other,
        };
        Self { field, sub_attribute, op, value, case_exact: exact }
    }

    fn matches(&self, subject: &dyn AttributeSource) -> bool {
        let negated = self.op == CompareOp::NotEqual;
        let passes = |value: &AttributeValue<'_>| self.matches_value(value);
        // An unset `primary` counts as false (RFC 7643 section 2.4), but not as present.
        let matches_or_default = |value: Option<AttributeValue<'_>>, field: Field| match value {
            None if field == Field::Primary && self.op != CompareOp::Present => passes(&AttributeValue::Bool(false)),
            value => value.as_ref().is_some_and(passes),
        };
        let some = match self.sub_attribute {
            None => matches_or_default(subject.value(self.field), self.field),
            Some(sub_attribute) => subject
                .values(self.field)
                .iter()
                .any(|sub_attributes| matches_or_default(sub_attributes.value(sub_attribute), sub_attribute)),
        };
        some != negated
    }

    /// Checks one value. The caller negates the result over all values for `NotEqual`.
    fn matches_value(&self, value: &AttributeValue<'_>) -> bool {
        match (value, &self.value) {
            _ if self.op == CompareOp::Present => !matches!(value, AttributeValue::Text(text) if text.is_empty()),
            (AttributeValue::Text(text), AttributeValue::Text(wanted)) => {
                let text = self.op.normalize(text, self.case_exact);
                match self.op {
                    CompareOp::Contains => text.contains(wanted.as_ref()),
                    CompareOp::StartsWith => text.starts_with(wanted.as_ref()),
                    CompareOp::EndsWith => text.ends_with(wanted.as_ref()),
                    op => op.accepts(text.as_ref().cmp(wanted.as_ref())),
                }
            }
            (AttributeValue::Bool(value), AttributeValue::Bool(wanted)) => self.op.accepts(value.cmp(wanted)),
            (AttributeValue::Integer(value), AttributeValue::Integer(wanted)) => self.op.accepts(value.cmp(wanted)),
            (AttributeValue::Time(value), AttributeValue::Time(wanted)) => self.op.accepts(value.cmp(wanted)),
            _ => false,
        }
    }
}

impl CompareOp {
    fn normalize(self, text: &str, exact: bool) -> Cow<'_, str> {
        match self {
            _ if exact => nfc(text),
            Self::Equal | Self::NotEqual => Cow::Owned(identifier_key(text)),
            _ => Cow::Owned(fold(text)),
        }
    }

    fn accepts(self, order: Ordering) -> bool {
        match self {
            Self::Equal | Self::NotEqual => order.is_eq(),
            Self::Greater => order.is_gt(),
            Self::GreaterOrEqual => order.is_ge(),
            Self::Less => order.is_lt(),
            Self::LessOrEqual => order.is_le(),
            Self::Contains | Self::StartsWith | Self::EndsWith | Self::Present => false,
        }
    }
}

impl Filter {
    pub fn always() -> Self {
        Self::All(Vec::new())
    }

    pub fn never() -> Self {
        Self::Any(Vec::new())
    }

    pub fn matches(&self, subject: &dyn AttributeSource) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(subject)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(subject)),
            Self::Not(filter) => !filter.matches(subject),
            Self::Comparison(comparison) => comparison.matches(subject),
            Self::ValuePath(field, filter) => {
                subject.values(*field).iter().any(|sub_attributes| filter.matches(sub_attributes))
            }
        }
    }

    pub fn references_field(&self, field: Field) -> bool {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().any(|filter| filter.references_field(field)),
            Self::Not(filter) => filter.references_field(field),
            Self::Comparison(comparison) => comparison.field == field,
            Self::ValuePath(entry, _) => *entry == field,
        }
    }
}

impl AttributeSource for SubAttributes<'_> {
    fn value(&self, field: Field) -> Option<AttributeValue<'_>> {
        self.iter().find(|(part, _)| *part == field).map(|(_, value)| value.clone())
    }

    fn values(&self, _: Field) -> Vec<SubAttributes<'_>> {
        Vec::new()
    }
}
