//! Bodies: JSON, XML and forms as one tree, schemas of objects, and formats of values.

mod body;
mod field_aliases;
pub(crate) mod form;
pub(crate) mod json;
pub(crate) mod lenient_json;
mod node;
mod output_value;
mod schema;
pub(crate) mod timestamps;
pub(crate) mod xml;

/// Why a body does not match its media type. For the log only: it may quote the body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyntaxError(pub(crate) String);

impl<T: ToString> From<T> for SyntaxError {
    fn from(error: T) -> Self {
        Self(error.to_string())
    }
}

pub(crate) use body::{BodyUse, check_members, validate_members};
pub use body::{ParsedBody, boolean_of, child_nodes, integer_of, pairs_of, text_of};
pub use field_aliases::field_aliases;
pub use node::{Duplicates, Node, Object};
pub use output_value::OutputValue;
pub use schema::{Direction, FILE, ObjectSchema, Property, ValueType};
pub use timestamps::{parse_timestamp as parse_time, rfc3339};
