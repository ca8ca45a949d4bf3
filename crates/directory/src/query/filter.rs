//! Conditions made of comparisons: the whole of what RFC 7644 section 3.4.2.2 can say, over canonical fields.
//!
//! How a condition is written is a dialect's business, how it is found quickly an engine's; what it *means* is said
//! here once. Texts are compared case-folded unless the test says `exact`; a comparison with a field that is not set
//! does not hold, and `NotEqual` is the opposite of `Equal`.

use crate::query::view::{AttributeSource, AttributeValue, SubAttributes};
use crate::{Field, fold, identifier_key, nfc};
use std::borrow::Cow;
use std::cmp::Ordering;

/// A condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Filter {
    /// All of these hold; nothing to hold always does.
    All(Vec<Filter>),
    /// One of these holds; of nothing none does.
    Any(Vec<Filter>),
    /// It does not hold.
    Not(Box<Filter>),
    /// A comparison.
    Comparison(Comparison),
    /// One and the same value of a plural meets a condition; the tests in it name parts as their fields.
    ValuePath(Field, Box<Filter>),
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// What is compared.
    pub field: Field,
    /// Which part of it, when it is a plural; one value that passes is enough.
    pub sub_attribute: Option<Field>,
    /// How.
    pub op: CompareOp,
    /// With what; without meaning for `PresentUsers`.
    pub value: AttributeValue<'static>,
    /// Whether case counts.
    pub case_exact: bool,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
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
    /// A comparison; a text that is compared in any case is folded here, once.
    pub fn new(field: Field, part: Option<Field>, op: CompareOp, value: AttributeValue<'static>, exact: bool) -> Self {
        let value = match value {
            AttributeValue::Text(text) => AttributeValue::text(op.normalize(&text, exact).into_owned()),
            other => other,
        };
        Self { field, sub_attribute: part, op, value, case_exact: exact }
    }

    fn matches(&self, subject: &dyn AttributeSource) -> bool {
        let negated = self.op == CompareOp::NotEqual;
        let passes = |value: &AttributeValue<'_>| self.matches_value(value);
        // A preference that is not said is none (RFC 7643 section 2.4), though it is not there either.
        let matches_or_default = |value: Option<AttributeValue<'_>>, field: Field| match value {
            None if field == Field::Primary && self.op != CompareOp::Present => passes(&AttributeValue::Bool(false)),
            value => value.as_ref().is_some_and(passes),
        };
        let some = match self.sub_attribute {
            None => matches_or_default(subject.value(self.field), self.field),
            Some(part) => subject.values(self.field).iter().any(|parts| matches_or_default(parts.value(part), part)),
        };
        some != negated
    }

    /// Whether one value passes; `NotEqual` is turned round by the caller, over all values.
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
    /// The form of a text that is compared with this operator.
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
    /// What always holds.
    pub fn always() -> Self {
        Self::All(Vec::new())
    }

    /// What never holds.
    pub fn never() -> Self {
        Self::Any(Vec::new())
    }

    /// Whether the subject meets the condition.
    pub fn matches(&self, subject: &dyn AttributeSource) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.matches(subject)),
            Self::Any(filters) => filters.iter().any(|filter| filter.matches(subject)),
            Self::Not(filter) => !filter.matches(subject),
            Self::Comparison(test) => test.matches(subject),
            Self::ValuePath(field, filter) => subject.values(*field).iter().any(|parts| filter.matches(parts)),
        }
    }

    /// Whether some test in here is about `field`.
    pub fn references_field(&self, field: Field) -> bool {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().any(|filter| filter.references_field(field)),
            Self::Not(filter) => filter.references_field(field),
            Self::Comparison(test) => test.field == field,
            Self::ValuePath(entry, _) => *entry == field,
        }
    }
}

/// One value of a plural, while its parts are looked at.
impl AttributeSource for SubAttributes<'_> {
    fn value(&self, field: Field) -> Option<AttributeValue<'_>> {
        self.iter().find(|(part, _)| *part == field).map(|(_, value)| value.clone())
    }

    fn values(&self, _: Field) -> Vec<SubAttributes<'_>> {
        Vec::new()
    }
}
