//! Conditions made of comparisons: the whole of what RFC 7644 section 3.4.2.2 can say, over canonical fields.
//!
//! How a condition is written is a dialect's business, how it is found quickly an engine's; what it *means* is said
//! here once. Texts are compared case-folded unless the test says `exact`; a comparison with a field that is not set
//! does not hold, and `NotEqual` is the opposite of `Equal`.

use crate::view::{Parts, Scalar, Subject};
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
    Test(Test),
    /// One and the same value of a plural meets a condition; the tests in it name parts as their fields.
    Entry(Field, Box<Filter>),
}

/// A comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Test {
    /// What is compared.
    pub field: Field,
    /// Which part of it, when it is a plural; one value that passes is enough.
    pub part: Option<Field>,
    /// How.
    pub op: Op,
    /// With what; without meaning for `Present`.
    pub value: Scalar<'static>,
    /// Whether case counts.
    pub exact: bool,
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are the documentation")]
pub enum Op {
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

impl Test {
    /// A comparison; a text that is compared in any case is folded here, once.
    pub fn new(field: Field, part: Option<Field>, op: Op, value: Scalar<'static>, exact: bool) -> Self {
        let value = match value {
            Scalar::Text(text) => Scalar::text(op.comparable(&text, exact).into_owned()),
            other => other,
        };
        Self { field, part, op, value, exact }
    }

    fn holds(&self, subject: &dyn Subject) -> bool {
        let negated = self.op == Op::NotEqual;
        let passes = |value: &Scalar<'_>| self.passes(value);
        // A preference that is not said is none (RFC 7643 section 2.4), though it is not there either.
        let said = |value: Option<Scalar<'_>>, field: Field| match value {
            None if field == Field::Primary && self.op != Op::Present => passes(&Scalar::Bool(false)),
            value => value.as_ref().is_some_and(passes),
        };
        let some = match self.part {
            None => said(subject.scalar(self.field), self.field),
            Some(part) => subject.entries(self.field).iter().any(|parts| said(parts.scalar(part), part)),
        };
        some != negated
    }

    /// Whether one value passes; `NotEqual` is turned round by the caller, over all values.
    fn passes(&self, value: &Scalar<'_>) -> bool {
        match (value, &self.value) {
            _ if self.op == Op::Present => !matches!(value, Scalar::Text(text) if text.is_empty()),
            (Scalar::Text(text), Scalar::Text(wanted)) => {
                let text = self.op.comparable(text, self.exact);
                match self.op {
                    Op::Contains => text.contains(wanted.as_ref()),
                    Op::StartsWith => text.starts_with(wanted.as_ref()),
                    Op::EndsWith => text.ends_with(wanted.as_ref()),
                    op => op.orders(text.as_ref().cmp(wanted.as_ref())),
                }
            }
            (Scalar::Bool(value), Scalar::Bool(wanted)) => self.op.orders(value.cmp(wanted)),
            (Scalar::Integer(value), Scalar::Integer(wanted)) => self.op.orders(value.cmp(wanted)),
            (Scalar::Time(value), Scalar::Time(wanted)) => self.op.orders(value.cmp(wanted)),
            _ => false,
        }
    }
}

impl Op {
    /// The form of a text that is compared with this operator.
    fn comparable(self, text: &str, exact: bool) -> Cow<'_, str> {
        match self {
            _ if exact => nfc(text),
            Self::Equal | Self::NotEqual => Cow::Owned(identifier_key(text)),
            _ => Cow::Owned(fold(text)),
        }
    }

    fn orders(self, order: Ordering) -> bool {
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
    pub fn meets(&self, subject: &dyn Subject) -> bool {
        match self {
            Self::All(filters) => filters.iter().all(|filter| filter.meets(subject)),
            Self::Any(filters) => filters.iter().any(|filter| filter.meets(subject)),
            Self::Not(filter) => !filter.meets(subject),
            Self::Test(test) => test.holds(subject),
            Self::Entry(field, filter) => subject.entries(*field).iter().any(|parts| filter.meets(parts)),
        }
    }

    /// Whether some test in here is about `field`.
    pub fn mentions(&self, field: Field) -> bool {
        match self {
            Self::All(filters) | Self::Any(filters) => filters.iter().any(|filter| filter.mentions(field)),
            Self::Not(filter) => filter.mentions(field),
            Self::Test(test) => test.field == field,
            Self::Entry(entry, _) => *entry == field,
        }
    }
}

/// One value of a plural, while its parts are looked at.
impl Subject for Parts<'_> {
    fn scalar(&self, field: Field) -> Option<Scalar<'_>> {
        self.iter().find(|(part, _)| *part == field).map(|(_, value)| value.clone())
    }

    fn entries(&self, _: Field) -> Vec<Parts<'_>> {
        Vec::new()
    }
}
