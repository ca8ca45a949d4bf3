//! Parses filters (RFC 7644 section 3.4.2.2) to the core's [`Filter`]. Attributes are looked up during parsing,
//! so that an operator an attribute does not support is an error, not an empty list.

use super::schema::{Attribute, ResolvedName, find, find_lenient, find_property, object_schema_of};
use super::wire::ResourceType;
use crate::kit::{Direction, ObjectSchema, Property, ValueType, timestamps};
use directory::{AttributeValue, CompareOp, Comparison, Field, Filter};

/// Characters, in a query.
pub(super) const MAX_LENGTH: usize = 2_048;
/// Characters, in a body.
pub(super) const MAX_LENGTH_IN_BODY: usize = 16_384;
const MAX_DEPTH: usize = 10;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ParseError {
    /// In characters, from 1.
    pub(super) position: usize,
    pub(super) reason: String,
    /// The syntax is valid, but no schema has the attribute.
    pub(super) is_unknown_attribute: bool,
}

impl ParseError {
    pub(super) fn message(&self, of: &str) -> String {
        format!("Invalid {of} at character {}: {}", self.position, self.reason)
    }
}

pub(super) type ParseResult<T> = Result<T, ParseError>;

pub(super) fn parse(
    text: &str,
    resource: &'static ResourceType,
    is_strict: bool,
    max_length: usize,
) -> ParseResult<Filter> {
    let mut parser = Parser::new(text, Scope::Resource(resource), is_strict, max_length)?;
    let filter = parser.parse_or(0)?;
    parser.expect_end()?;
    Ok(filter)
}

#[derive(Clone, Copy)]
pub(super) enum Scope {
    Resource(&'static ResourceType),
    /// Sub-attributes of one value of a multi-valued attribute.
    ValuePath(&'static ObjectSchema),
    Unknown,
}

pub(super) struct Parser<'a> {
    text: &'a str,
    pub(super) offset: usize,
    pub(super) scope: Scope,
    is_strict: bool,
    /// Paths report syntax errors before unknown attributes.
    pub(super) is_path: bool,
    pub(super) first_unknown: Option<ParseError>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, scope: Scope, is_strict: bool, max_length: usize) -> ParseResult<Self> {
        if text.chars().count() > max_length {
            let what = format!("longer than {max_length} characters");
            return Err(ParseError { position: max_length + 1, reason: what, is_unknown_attribute: false });
        }
        Ok(Self { text, offset: 0, scope, is_strict, is_path: false, first_unknown: None })
    }

    pub(super) fn find(&self, resource: &'static ResourceType, name: &str) -> Option<ResolvedName> {
        if self.is_strict { find(resource, name) } else { find_lenient(resource, name) }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.offset..]
    }

    fn error_at(&self, at: usize, what: impl Into<String>) -> ParseError {
        ParseError { position: self.text[..at].chars().count() + 1, reason: what.into(), is_unknown_attribute: false }
    }

    pub(super) fn error(&self, what: impl Into<String>) -> ParseError {
        self.error_at(self.offset, what)
    }

    pub(super) fn unknown_attribute(&self, at: usize, name: &str) -> ParseError {
        if is_attribute_name(name) {
            ParseError { is_unknown_attribute: true, ..self.error_at(at, format!("unknown attribute '{name}'")) }
        } else {
            self.error_at(at, "expected an attribute name")
        }
    }

    fn record_unknown(&mut self, at: usize, name: &str) -> ParseResult<()> {
        let unknown = self.unknown_attribute(at, name);
        if !(self.is_path && unknown.is_unknown_attribute) {
            return Err(unknown);
        }
        self.first_unknown.get_or_insert(unknown);
        Ok(())
    }

    fn skip_whitespace(&mut self) {
        self.offset = self.text.len() - self.rest().trim_start().len();
    }

    pub(super) fn consume(&mut self, c: char) -> bool {
        let is_next = self.rest().starts_with(c);
        if is_next {
            self.offset += c.len_utf8();
        }
        is_next
    }

    /// A name, dotted name or URN; empty if there is none.
    pub(super) fn parse_name(&mut self) -> &'a str {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '$' | ':' | '.');
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        self.offset += end;
        &rest[..end]
    }

    fn consume_keyword(&mut self, word: &str) -> bool {
        let start = self.offset;
        self.skip_whitespace();
        let is_next = self.parse_name().eq_ignore_ascii_case(word);
        if !is_next {
            self.offset = start;
        }
        is_next
    }

    pub(super) fn expect_end(&mut self) -> ParseResult<()> {
        self.skip_whitespace();
        if self.rest().is_empty() { Ok(()) } else { Err(self.error("expected `and`, `or` or the end")) }
    }

    fn parse_or(&mut self, depth: usize) -> ParseResult<Filter> {
        let mut filters = vec![self.parse_and(depth)?];
        while self.consume_keyword("or") {
            filters.push(self.parse_and(depth)?);
        }
        Ok(combine(filters, Filter::Any))
    }

    fn parse_and(&mut self, depth: usize) -> ParseResult<Filter> {
        let mut filters = vec![self.parse_term(depth)?];
        while self.consume_keyword("and") {
            filters.push(self.parse_term(depth)?);
        }
        Ok(combine(filters, Filter::All))
    }

    fn parse_term(&mut self, depth: usize) -> ParseResult<Filter> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.skip_whitespace();
        let start = self.offset;
        let is_not = self.consume_keyword("not");
        self.skip_whitespace();
        if self.consume('(') {
            let inner = self.parse_or(depth + 1)?;
            self.skip_whitespace();
            if !self.consume(')') {
                return Err(self.error("expected `)`"));
            }
            return Ok(if is_not { Filter::Not(Box::new(inner)) } else { inner });
        }
        if is_not {
            self.offset = start;
        }
        self.parse_comparison(depth)
    }

    fn parse_comparison(&mut self, depth: usize) -> ParseResult<Filter> {
        let (start, name) = (self.offset, self.parse_name());
        let object_schema = match self.scope {
            Scope::Unknown => return self.parse_unknown_comparison(start, name),
            Scope::ValuePath(object_schema) => object_schema,
            Scope::Resource(resource) => {
                let resolved = self.find(resource, name).ok_or_else(|| self.unknown_attribute(start, name))?;
                return match resolved {
                    ResolvedName::Extension(schema) => match self.parse_operator()? {
                        CompareOp::Present => Ok(extension_present(schema.object_schema)),
                        _ => Err(self.error_at(start, "an extension supports only `pr`")),
                    },
                    ResolvedName::Attribute(attribute) if self.rest().starts_with('[') => {
                        self.parse_value_filter(start, attribute, depth)
                    }
                    ResolvedName::Attribute(attribute) => self.parse_attribute_comparison(start, resource, attribute),
                };
            }
        };
        let Some(property) = find_property(object_schema, name) else {
            return self.parse_unknown_comparison(start, name);
        };
        let field = property.field.filter(|_| !property.characteristics.not_filterable);
        let field = field.ok_or_else(|| self.error_at(start, format!("'{name}' is not filterable")))?;
        let op = self.parse_operator()?;
        self.parse_comparison_value(property, field, None, op)
    }

    fn parse_unknown_comparison(&mut self, start: usize, name: &str) -> ParseResult<Filter> {
        self.record_unknown(start, name)?;
        if self.parse_operator()? != CompareOp::Present {
            self.skip_whitespace();
            self.parse_literal(true)?;
        }
        Ok(Filter::never())
    }

    /// `emails[…]`, optionally followed by `.value eq "x"`, as Entra ID sends it.
    fn parse_value_filter(&mut self, start: usize, attribute: Attribute, depth: usize) -> ParseResult<Filter> {
        let (filter, sub) = self.parse_value_path(&attribute, depth)?;
        let field = attribute.property.field.ok_or_else(|| self.error_at(start, "the attribute is not filterable"))?;
        let Some(sub) = sub else { return Ok(Filter::ValuePath(field, Box::new(filter))) };
        let part = sub.field.ok_or_else(|| self.error_at(start, "the sub-attribute is not filterable"))?;
        let op = self.parse_operator()?;
        // `ne` is the negation of `eq`, as everywhere: no matching value is equal.
        let (op, is_opposite) = if op == CompareOp::NotEqual { (CompareOp::Equal, true) } else { (op, false) };
        let test = self.parse_comparison_value(sub, part, None, op)?;
        let resolved = Filter::ValuePath(field, Box::new(Filter::All(vec![filter, test])));
        Ok(if is_opposite { Filter::Not(Box::new(resolved)) } else { resolved })
    }

    pub(super) fn parse_value_path(
        &mut self,
        attribute: &Attribute,
        depth: usize,
    ) -> ParseResult<(Filter, Option<&'static Property>)> {
        let object_schema = match attribute.object_schema() {
            Some(object_schema) if attribute.is_multi_valued() && attribute.sub.is_none() => object_schema,
            _ => return Err(self.error("only multi-valued attributes can have a filter in brackets")),
        };
        let outer = std::mem::replace(&mut self.scope, Scope::ValuePath(object_schema));
        let filter = self.parse_bracketed(depth);
        self.scope = outer;
        let filter = filter?;
        if !self.consume('.') {
            return Ok((filter, None));
        }
        let (start, name) = (self.offset, self.parse_name());
        let sub = find_property(object_schema, name);
        if sub.is_none() {
            self.record_unknown(start, name)?;
        }
        Ok((filter, sub))
    }

    pub(super) fn parse_bracketed(&mut self, depth: usize) -> ParseResult<Filter> {
        if !self.consume('[') {
            return Err(self.error("expected `[`"));
        }
        let filter = self.parse_or(depth + 1)?;
        self.skip_whitespace();
        if !self.consume(']') {
            return Err(self.error("expected `]`"));
        }
        Ok(filter)
    }

    fn parse_attribute_comparison(
        &mut self,
        start: usize,
        resource: &'static ResourceType,
        attribute: Attribute,
    ) -> ParseResult<Filter> {
        let op = self.parse_operator()?;
        let Attribute { property: member, sub, .. } = attribute;
        match (member.name, sub.map(|sub| sub.name)) {
            ("schemas", None) => return self.parse_schemas_comparison(resource, op),
            ("meta", Some("resourceType")) => {
                // The same for all resources of the type.
                let parts = vec![(Field::Kind, AttributeValue::text(resource.name))];
                let holds = self.parse_comparison_value(attribute.leaf(), Field::Kind, None, op)?.matches(&parts);
                return Ok(if holds { Filter::always() } else { Filter::never() });
            }
            _ => {}
        }
        let no_filter = || self.error_at(start, format!("'{}' is not filterable", attribute.leaf().name));
        if attribute.leaf().characteristics.not_filterable || attribute.leaf().direction == Direction::Request {
            return Err(no_filter());
        }
        let Some(object_schema) = object_schema_of(member) else {
            return self.parse_comparison_value(member, member.field.ok_or_else(no_filter)?, None, op);
        };
        // A complex attribute is compared by its value (RFC 7644 section 3.4.2.2).
        let sub = sub.or_else(|| find_property(object_schema, "value").filter(|_| op != CompareOp::Present));
        let multi_valued = member.field;
        match sub {
            None if op == CompareOp::Present => Ok(Filter::Any(presence_filters(object_schema, multi_valued))),
            None => Err(self.error_at(start, format!("'{}' is complex; specify a sub-attribute", member.name))),
            Some(sub) => {
                let leaf = sub.field.ok_or_else(no_filter)?;
                let (field, part) = multi_valued.map_or((leaf, None), |multi_valued| (multi_valued, Some(leaf)));
                self.parse_comparison_value(sub, field, part, op)
            }
        }
    }

    fn parse_operator(&mut self) -> ParseResult<CompareOp> {
        self.skip_whitespace();
        let (start, name) = (self.offset, self.parse_name());
        Ok(match name.to_ascii_lowercase().as_str() {
            "eq" => CompareOp::Equal,
            "ne" => CompareOp::NotEqual,
            "co" => CompareOp::Contains,
            "sw" => CompareOp::StartsWith,
            "ew" => CompareOp::EndsWith,
            "gt" => CompareOp::Greater,
            "ge" => CompareOp::GreaterOrEqual,
            "lt" => CompareOp::Less,
            "le" => CompareOp::LessOrEqual,
            "pr" => CompareOp::Present,
            _ => {
                return Err(self.error_at(start, "expected eq, ne, co, sw, ew, gt, ge, lt, le or pr"));
            }
        })
    }

    fn parse_comparison_value(
        &mut self,
        property: &Property,
        field: Field,
        part: Option<Field>,
        op: CompareOp,
    ) -> ParseResult<Filter> {
        let exact = property.characteristics.case_exact;
        let test = |op, value| Filter::Comparison(Comparison::new(field, part, op, value, exact));
        if op == CompareOp::Present {
            return Ok(test(op, AttributeValue::Bool(true)));
        }
        self.skip_whitespace();
        let start = self.offset;
        let is_text = matches!(property.value_type, ValueType::Text | ValueType::Guid | ValueType::Reference(_));
        let allows_unquoted = matches!(
            op,
            CompareOp::Equal | CompareOp::NotEqual | CompareOp::Contains | CompareOp::StartsWith | CompareOp::EndsWith
        );
        let value = self.parse_literal(is_text && allows_unquoted)?;
        if value == Literal::Null {
            let present = test(CompareOp::Present, AttributeValue::Bool(true));
            return match op {
                CompareOp::Equal => Ok(Filter::Not(Box::new(present))),
                CompareOp::NotEqual => Ok(present),
                _ => Err(self.error_at(start, "null supports only eq and ne")),
            };
        }
        let is_text_op = matches!(op, CompareOp::Contains | CompareOp::StartsWith | CompareOp::EndsWith);
        let is_equality = matches!(op, CompareOp::Equal | CompareOp::NotEqual);
        let (scalar, fits) = match (property.value_type, value) {
            (ValueType::Boolean, Literal::Bool(value)) => (AttributeValue::Bool(value), is_equality),
            (ValueType::Boolean, Literal::Text(text)) => {
                let value = text.to_ascii_lowercase().parse();
                (AttributeValue::Bool(value.map_err(|_| self.error_at(start, "expected true or false"))?), is_equality)
            }
            (ValueType::Integer, Literal::Number(number)) => {
                let number = number.parse().map_err(|_| self.error_at(start, "expected an integer"))?;
                (AttributeValue::Integer(number), !is_text_op)
            }
            (ValueType::Timestamp, Literal::Text(text)) => {
                let time = timestamps::parse_timestamp(&text)
                    .ok_or_else(|| self.error_at(start, "expected a date and time"))?;
                (AttributeValue::Time(time), !is_text_op)
            }
            (ValueType::Binary, Literal::Text(text)) => (AttributeValue::text(text), is_equality),
            (ValueType::Boolean, _) => return Err(self.error_at(start, "expected true or false")),
            (ValueType::Integer, _) => return Err(self.error_at(start, "expected an integer")),
            (ValueType::Timestamp, _) => return Err(self.error_at(start, "expected a date and time")),
            (_, Literal::Text(text) | Literal::Number(text)) => (AttributeValue::text(text), true),
            (_, _) => return Err(self.error_at(start, "expected a string")),
        };
        if !fits {
            return Err(self.error_at(start, format!("'{}' does not support this operator", property.name)));
        }
        Ok(test(op, scalar))
    }

    /// With `allows_unquoted`, a string needs no quotes unless the profile is strict.
    fn parse_literal(&mut self, allows_unquoted: bool) -> ParseResult<Literal> {
        let (start, rest) = (self.offset, self.rest());
        if rest.starts_with('"') {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                let is_end = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                is_end
            });
            let end = end.map(|(end, _)| end + 1).ok_or_else(|| self.error("unterminated string"))?;
            let text = serde_json::from_str(&rest[..end]);
            self.offset += end;
            return text.map(Literal::Text).map_err(|_| self.error_at(start, "invalid JSON string"));
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ')' | ']')).unwrap_or(rest.len());
        self.offset += end;
        let word = &rest[..end];
        match word.to_ascii_lowercase().as_str() {
            "true" => Ok(Literal::Bool(true)),
            "false" => Ok(Literal::Bool(false)),
            "null" => Ok(Literal::Null),
            _ if serde_json::from_str::<serde_json::Number>(word).is_ok() => Ok(Literal::Number(word.into())),
            _ if allows_unquoted && !self.is_strict && !word.is_empty() && !word.contains(['"', '(', '[']) => {
                Ok(Literal::Text(word.into()))
            }
            _ => Err(self.error_at(start, "expected a quoted string, a number, true, false or null")),
        }
    }

    fn parse_schemas_comparison(&mut self, resource: &'static ResourceType, op: CompareOp) -> ParseResult<Filter> {
        if op == CompareOp::Present {
            return Ok(Filter::always());
        }
        self.skip_whitespace();
        let start = self.offset;
        let (Literal::Text(urn), CompareOp::Equal | CompareOp::NotEqual) = (self.parse_literal(true)?, op) else {
            return Err(self.error_at(start, "schemas supports only eq and ne with a URN"));
        };
        let is = |schema: &super::wire::Schema| schema.urn.eq_ignore_ascii_case(&urn);
        let used = match resource.extensions.iter().find(|schema| is(schema)) {
            Some(extension) => extension_present(extension.object_schema),
            None if is(resource.schema) => Filter::always(),
            None => Filter::never(),
        };
        Ok(if op == CompareOp::NotEqual { Filter::Not(Box::new(used)) } else { used })
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Literal {
    Text(String),
    Number(String),
    Bool(bool),
    Null,
}

fn combine(mut filters: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    match filters.pop() {
        Some(only) if filters.is_empty() => only,
        Some(last) => {
            filters.push(last);
            many(filters)
        }
        None => many(filters),
    }
}

pub(super) fn extension_present(object_schema: &'static ObjectSchema) -> Filter {
    let of_member = |property: &'static Property| match object_schema_of(property) {
        Some(object_schema) => presence_filters(object_schema, property.field),
        None => property.field.into_iter().map(|field| presence_filter(field, None)).collect(),
    };
    // Read-only attributes are always present.
    let settable = object_schema.properties.iter().filter(|property| property.direction != Direction::Response);
    Filter::Any(settable.flat_map(of_member).collect())
}

fn presence_filters(object_schema: &'static ObjectSchema, multi_valued: Option<Field>) -> Vec<Filter> {
    let parts =
        object_schema.properties.iter().filter(|sub| !sub.characteristics.not_filterable && sub.name != "primary");
    let of_part = |part: Field| {
        multi_valued.map_or(presence_filter(part, None), |multi_valued| presence_filter(multi_valued, Some(part)))
    };
    parts.filter_map(|sub| sub.field.map(of_part)).collect()
}

fn presence_filter(field: Field, part: Option<Field>) -> Filter {
    Filter::Comparison(Comparison::new(field, part, CompareOp::Present, AttributeValue::Bool(true), true))
}

/// An attribute name (RFC 7644 section 3.10), optionally with sub-attribute and URN.
pub(super) fn is_attribute_name(text: &str) -> bool {
    let bare = text.rsplit_once(':').map_or(text, |(_, bare)| bare);
    // The URN of an extension alone ends with `2.0:User`.
    let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$');
    let parts: Vec<&str> = bare.split('.').collect();
    parts.len() <= 2 && parts.iter().all(|part| begins(part))
}
