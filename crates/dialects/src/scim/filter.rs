//! The filter language (RFC 7644 section 3.4.2.2), read into the core's conditions.
//!
//! A recursive descent over the text, tolerant in case and blanks and exact about where it went wrong. Attributes are
//! looked up in the tables as they are read, so that a comparison an attribute does not have is an error and not
//! an empty list.

use super::schema::{Attribute, Named, find, find_lenient, member_of, record_of};
use super::wire::Resource;
use crate::kit::{Direction, ObjectSchema, Property, ValueType, timestamps};
use directory::{AttributeValue, CompareOp, Comparison, Field, Filter};

/// The longest filter of a query, in characters.
pub(super) const MAX_LENGTH: usize = 2_048;
/// The longest one of a body.
pub(super) const MAX_LENGTH_IN_BODY: usize = 16_384;
/// How deep brackets may nest.
const MAX_DEPTH: usize = 10;

/// What is wrong with a filter or path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    /// Where, counted in characters from 1.
    pub(super) at: usize,
    /// What.
    pub(super) what: String,
    /// Nothing but the name of an attribute that no table has.
    pub(super) is_unknown: bool,
}

impl Wrong {
    /// A sentence for the caller.
    pub(super) fn sentence(&self, of: &str) -> String {
        format!("The {of} is wrong at character {}: {}", self.at, self.what)
    }
}

pub(super) type Read<T> = Result<T, Wrong>;

/// Reads a filter over resources of a type. `longest` is in characters.
pub(super) fn parse(
    text: &str,
    resource: &'static Resource,
    is_strict: bool,
    longest: usize,
) -> Read<Filter> {
    let mut parser = Parser::new(text, Scope::Resource(resource), is_strict, longest)?;
    let filter = parser.or(0)?;
    parser.end()?;
    Ok(filter)
}

/// What names in a filter mean.
#[derive(Clone, Copy)]
pub(super) enum Scope {
    /// Attributes of a resource.
    Resource(&'static Resource),
    /// Parts of one value of a plural.
    Entry(&'static ObjectSchema),
    /// Parts of an attribute that no table has.
    Unknown,
}

/// A text that is being read.
pub(super) struct Parser<'a> {
    text: &'a str,
    pub(super) at: usize,
    pub(super) scope: Scope,
    is_strict: bool,
    /// Whether it is a path, in which an unknown attribute is told only if there is nothing worse.
    pub(super) is_path: bool,
    /// The first unknown attribute of a path.
    pub(super) unknown: Option<Wrong>,
}

impl<'a> Parser<'a> {
    pub(super) fn new(text: &'a str, scope: Scope, is_strict: bool, longest: usize) -> Read<Self> {
        if text.chars().count() > longest {
            let what = format!("it is longer than {longest} characters");
            return Err(Wrong { at: longest + 1, what, is_unknown: false });
        }
        Ok(Self { text, at: 0, scope, is_strict, is_path: false, unknown: None })
    }

    pub(super) fn find(&self, resource: &'static Resource, name: &str) -> Option<Named> {
        if self.is_strict { find(resource, name) } else { find_lenient(resource, name) }
    }

    pub(super) fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn wrong_at(&self, at: usize, what: impl Into<String>) -> Wrong {
        Wrong { at: self.text[..at].chars().count() + 1, what: what.into(), is_unknown: false }
    }

    pub(super) fn wrong(&self, what: impl Into<String>) -> Wrong {
        self.wrong_at(self.at, what)
    }

    pub(super) fn unknown(&self, at: usize, name: &str) -> Wrong {
        if is_name(name) {
            Wrong { is_unknown: true, ..self.wrong_at(at, format!("there is no attribute {name}")) }
        } else {
            self.wrong_at(at, "an attribute is expected")
        }
    }

    /// Notes an unknown attribute of a path, and goes on to see whether its form is good.
    fn note_unknown(&mut self, at: usize, name: &str) -> Read<()> {
        let unknown = self.unknown(at, name);
        if !(self.is_path && unknown.is_unknown) {
            return Err(unknown);
        }
        self.unknown.get_or_insert(unknown);
        Ok(())
    }

    fn blanks(&mut self) {
        self.at = self.text.len() - self.rest().trim_start().len();
    }

    /// Takes `c` if it is next.
    pub(super) fn take(&mut self, c: char) -> bool {
        let is_next = self.rest().starts_with(c);
        if is_next {
            self.at += c.len_utf8();
        }
        is_next
    }

    /// A name, a dotted name, or a URN; empty when there is none.
    pub(super) fn name(&mut self) -> &'a str {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '$' | ':' | '.');
        let end = rest.find(|c: char| !is_part(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// Takes a word in any case if it is next and whole.
    fn word(&mut self, word: &str) -> bool {
        let begun = self.at;
        self.blanks();
        let is_next = self.name().eq_ignore_ascii_case(word);
        if !is_next {
            self.at = begun;
        }
        is_next
    }

    pub(super) fn end(&mut self) -> Read<()> {
        self.blanks();
        if self.rest().is_empty() { Ok(()) } else { Err(self.wrong("`and`, `or` or the end is expected")) }
    }

    fn or(&mut self, depth: usize) -> Read<Filter> {
        let mut filters = vec![self.and(depth)?];
        while self.word("or") {
            filters.push(self.and(depth)?);
        }
        Ok(one_or(filters, Filter::Any))
    }

    fn and(&mut self, depth: usize) -> Read<Filter> {
        let mut filters = vec![self.term(depth)?];
        while self.word("and") {
            filters.push(self.term(depth)?);
        }
        Ok(one_or(filters, Filter::All))
    }

    fn term(&mut self, depth: usize) -> Read<Filter> {
        if depth > MAX_DEPTH {
            return Err(self.wrong(format!("it is nested deeper than {MAX_DEPTH}")));
        }
        self.blanks();
        let begun = self.at;
        let is_not = self.word("not");
        self.blanks();
        if self.take('(') {
            let inner = self.or(depth + 1)?;
            self.blanks();
            if !self.take(')') {
                return Err(self.wrong("`)` is expected"));
            }
            return Ok(if is_not { Filter::Not(Box::new(inner)) } else { inner });
        }
        if is_not {
            self.at = begun;
        }
        self.comparison(depth)
    }

    fn comparison(&mut self, depth: usize) -> Read<Filter> {
        let (from, name) = (self.at, self.name());
        let record = match self.scope {
            Scope::Unknown => return self.of_unknown(from, name),
            Scope::Entry(record) => record,
            Scope::Resource(resource) => {
                let found = self.find(resource, name).ok_or_else(|| self.unknown(from, name))?;
                return match found {
                    Named::Extension(schema) => match self.operator()? {
                        CompareOp::Present => Ok(uses(schema.record)),
                        _ => Err(self.wrong_at(from, "an extension can only be present")),
                    },
                    Named::Attribute(attribute) if self.rest().starts_with('[') => {
                        self.of_value(from, attribute, depth)
                    }
                    Named::Attribute(attribute) => self.of_attribute(from, resource, attribute),
                };
            }
        };
        let Some(member) = member_of(record, name) else { return self.of_unknown(from, name) };
        let field = member.field.filter(|_| !member.characteristics.not_filterable);
        let field = field.ok_or_else(|| self.wrong_at(from, format!("{name} cannot be filtered by")))?;
        let op = self.operator()?;
        self.test(member, field, None, op)
    }

    /// A comparison of an attribute that no table has.
    fn of_unknown(&mut self, from: usize, name: &str) -> Read<Filter> {
        self.note_unknown(from, name)?;
        if self.operator()? != CompareOp::Present {
            self.blanks();
            self.literal(true)?;
        }
        Ok(Filter::never())
    }

    /// `emails[…]`, perhaps with `.value eq "x"` behind it, as Entra sends it.
    fn of_value(&mut self, from: usize, attribute: Attribute, depth: usize) -> Read<Filter> {
        let (filter, sub) = self.value_path(&attribute, depth)?;
        let field = attribute.member.field.ok_or_else(|| self.wrong_at(from, "it has no values"))?;
        let Some(sub) = sub else { return Ok(Filter::ValuePath(field, Box::new(filter))) };
        let part = sub.field.ok_or_else(|| self.wrong_at(from, "it cannot be filtered by"))?;
        let op = self.operator()?;
        // As everywhere, `ne` is the opposite of `eq`: no value that meets the condition is this.
        let (op, is_opposite) =
            if op == CompareOp::NotEqual { (CompareOp::Equal, true) } else { (op, false) };
        let test = self.test(sub, part, None, op)?;
        let found = Filter::ValuePath(field, Box::new(Filter::All(vec![filter, test])));
        Ok(if is_opposite { Filter::Not(Box::new(found)) } else { found })
    }

    /// The condition in brackets and the name of a part behind them.
    pub(super) fn value_path(
        &mut self,
        attribute: &Attribute,
        depth: usize,
    ) -> Read<(Filter, Option<&'static Property>)> {
        let record = match attribute.record() {
            Some(record) if attribute.is_plural() && attribute.sub.is_none() => record,
            _ => return Err(self.wrong("only an attribute with several values takes a condition")),
        };
        let outer = std::mem::replace(&mut self.scope, Scope::Entry(record));
        let filter = self.in_brackets(depth);
        self.scope = outer;
        let filter = filter?;
        if !self.take('.') {
            return Ok((filter, None));
        }
        let (from, name) = (self.at, self.name());
        let sub = member_of(record, name);
        if sub.is_none() {
            self.note_unknown(from, name)?;
        }
        Ok((filter, sub))
    }

    pub(super) fn in_brackets(&mut self, depth: usize) -> Read<Filter> {
        if !self.take('[') {
            return Err(self.wrong("`[` is expected"));
        }
        let filter = self.or(depth + 1)?;
        self.blanks();
        if !self.take(']') {
            return Err(self.wrong("`]` is expected"));
        }
        Ok(filter)
    }

    fn of_attribute(
        &mut self,
        from: usize,
        resource: &'static Resource,
        attribute: Attribute,
    ) -> Read<Filter> {
        let op = self.operator()?;
        let Attribute { member, sub, .. } = attribute;
        match (member.name, sub.map(|sub| sub.name)) {
            ("schemas", None) => return self.of_schemas(resource, op),
            ("meta", Some("resourceType")) => {
                // Known before anybody is looked at.
                let parts = vec![(Field::Kind, AttributeValue::text(resource.name))];
                let holds = self.test(attribute.last(), Field::Kind, None, op)?.matches(&parts);
                return Ok(if holds { Filter::always() } else { Filter::never() });
            }
            _ => {}
        }
        let no_filter = || self.wrong_at(from, format!("{} cannot be filtered by", attribute.last().name));
        if attribute.last().characteristics.not_filterable || attribute.last().direction == Direction::Request
        {
            return Err(no_filter());
        }
        let Some(record) = record_of(member) else {
            return self.test(member, member.field.ok_or_else(no_filter)?, None, op);
        };
        // A complex attribute is compared by its value (RFC 7644 section 3.4.2.2).
        let sub = sub.or_else(|| member_of(record, "value").filter(|_| op != CompareOp::Present));
        let plural = member.field;
        match sub {
            None if op == CompareOp::Present => Ok(Filter::Any(present(record, plural))),
            None => Err(self.wrong_at(from, format!("{} has parts; name one", member.name))),
            Some(sub) => {
                let leaf = sub.field.ok_or_else(no_filter)?;
                let (field, part) = plural.map_or((leaf, None), |plural| (plural, Some(leaf)));
                self.test(sub, field, part, op)
            }
        }
    }

    fn operator(&mut self) -> Read<CompareOp> {
        self.blanks();
        let (from, name) = (self.at, self.name());
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
            _ => return Err(self.wrong_at(from, "one of eq, ne, co, sw, ew, gt, ge, lt, le, pr is expected")),
        })
    }

    /// The rest of a comparison: the value, of the attribute's type.
    fn test(&mut self, member: &Property, field: Field, part: Option<Field>, op: CompareOp) -> Read<Filter> {
        let exact = member.characteristics.case_exact;
        let test = |op, value| Filter::Comparison(Comparison::new(field, part, op, value, exact));
        if op == CompareOp::Present {
            return Ok(test(op, AttributeValue::Bool(true)));
        }
        self.blanks();
        let from = self.at;
        let is_text =
            matches!(member.value_type, ValueType::Text | ValueType::Guid | ValueType::Reference(_));
        let is_bare = matches!(
            op,
            CompareOp::Equal
                | CompareOp::NotEqual
                | CompareOp::Contains
                | CompareOp::StartsWith
                | CompareOp::EndsWith
        );
        let value = self.literal(is_text && is_bare)?;
        if value == Literal::Null {
            let present = test(CompareOp::Present, AttributeValue::Bool(true));
            return match op {
                CompareOp::Equal => Ok(Filter::Not(Box::new(present))),
                CompareOp::NotEqual => Ok(present),
                _ => Err(self.wrong_at(from, "null is only equal or not")),
            };
        }
        let is_text_op = matches!(op, CompareOp::Contains | CompareOp::StartsWith | CompareOp::EndsWith);
        let is_equality = matches!(op, CompareOp::Equal | CompareOp::NotEqual);
        let (scalar, fits) = match (member.value_type, value) {
            (ValueType::Boolean, Literal::Bool(value)) => (AttributeValue::Bool(value), is_equality),
            (ValueType::Boolean, Literal::Text(text)) => {
                let value = text.to_ascii_lowercase().parse();
                (
                    AttributeValue::Bool(
                        value.map_err(|_| self.wrong_at(from, "true or false is expected"))?,
                    ),
                    is_equality,
                )
            }
            (ValueType::Integer, Literal::Number(number)) => {
                let number = number.parse().map_err(|_| self.wrong_at(from, "a whole number is expected"))?;
                (AttributeValue::Integer(number), !is_text_op)
            }
            (ValueType::Timestamp, Literal::Text(text)) => {
                let time = timestamps::parse_timestamp(&text)
                    .ok_or_else(|| self.wrong_at(from, "a date and time is expected"))?;
                (AttributeValue::Time(time), !is_text_op)
            }
            (ValueType::Binary, Literal::Text(text)) => (AttributeValue::text(text), is_equality),
            (ValueType::Boolean, _) => return Err(self.wrong_at(from, "true or false is expected")),
            (ValueType::Integer, _) => return Err(self.wrong_at(from, "a whole number is expected")),
            (ValueType::Timestamp, _) => return Err(self.wrong_at(from, "a date and time is expected")),
            (_, Literal::Text(text) | Literal::Number(text)) => (AttributeValue::text(text), true),
            (_, _) => return Err(self.wrong_at(from, "a text is expected")),
        };
        if !fits {
            return Err(self.wrong_at(from, format!("{} cannot be compared like this", member.name)));
        }
        Ok(test(op, scalar))
    }

    /// A value. Where `is_bare` a text needs no quotes unless the profile is strict.
    fn literal(&mut self, is_bare: bool) -> Read<Literal> {
        let (from, rest) = (self.at, self.rest());
        if rest.starts_with('"') {
            let mut escaped = false;
            let end = rest.char_indices().skip(1).find(|(_, c)| {
                let is_end = *c == '"' && !escaped;
                escaped = *c == '\\' && !escaped;
                is_end
            });
            let end = end.map(|(end, _)| end + 1).ok_or_else(|| self.wrong("the text does not end"))?;
            let text = serde_json::from_str(&rest[..end]);
            self.at += end;
            return text.map(Literal::Text).map_err(|_| self.wrong_at(from, "the text is not as in JSON"));
        }
        let end = rest.find(|c: char| c.is_whitespace() || matches!(c, ')' | ']')).unwrap_or(rest.len());
        self.at += end;
        let word = &rest[..end];
        match word.to_ascii_lowercase().as_str() {
            "true" => Ok(Literal::Bool(true)),
            "false" => Ok(Literal::Bool(false)),
            "null" => Ok(Literal::Null),
            _ if serde_json::from_str::<serde_json::Number>(word).is_ok() => Ok(Literal::Number(word.into())),
            _ if is_bare && !self.is_strict && !word.is_empty() && !word.contains(['"', '(', '[']) => {
                Ok(Literal::Text(word.into()))
            }
            _ => Err(self.wrong_at(from, "a text in quotes, a number, true, false or null is expected")),
        }
    }

    /// `schemas eq "urn:…"`: which extensions somebody uses.
    fn of_schemas(&mut self, resource: &'static Resource, op: CompareOp) -> Read<Filter> {
        if op == CompareOp::Present {
            return Ok(Filter::always());
        }
        self.blanks();
        let from = self.at;
        let (Literal::Text(urn), CompareOp::Equal | CompareOp::NotEqual) = (self.literal(true)?, op) else {
            return Err(self.wrong_at(from, "schemas are only equal to a URN or not"));
        };
        let is = |schema: &super::wire::Schema| schema.urn.eq_ignore_ascii_case(&urn);
        let used = match resource.extensions.iter().find(|schema| is(schema)) {
            Some(extension) => uses(extension.record),
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

fn one_or(mut filters: Vec<Filter>, many: fn(Vec<Filter>) -> Filter) -> Filter {
    match filters.pop() {
        Some(only) if filters.is_empty() => only,
        Some(last) => {
            filters.push(last);
            many(filters)
        }
        None => many(filters),
    }
}

/// Whether anything of an extension is set.
pub(super) fn uses(record: &'static ObjectSchema) -> Filter {
    let of_member = |member: &'static Property| match record_of(member) {
        Some(record) => present(record, member.field),
        None => member.field.into_iter().map(|field| is_present(field, None)).collect(),
    };
    // What is always there says nothing.
    let said = record.properties.iter().filter(|member| member.direction != Direction::Response);
    Filter::Any(said.flat_map(of_member).collect())
}

/// Tests for each part of a complex attribute.
fn present(record: &'static ObjectSchema, plural: Option<Field>) -> Vec<Filter> {
    let parts =
        record.properties.iter().filter(|sub| !sub.characteristics.not_filterable && sub.name != "primary");
    let of_part =
        |part: Field| plural.map_or(is_present(part, None), |plural| is_present(plural, Some(part)));
    parts.filter_map(|sub| sub.field.map(of_part)).collect()
}

fn is_present(field: Field, part: Option<Field>) -> Filter {
    Filter::Comparison(Comparison::new(field, part, CompareOp::Present, AttributeValue::Bool(true), true))
}

/// Whether a text is the name of an attribute or of a part of one (RFC 7644 section 3.10), perhaps behind a URN.
pub(super) fn is_name(text: &str) -> bool {
    let bare = text.rsplit_once(':').map_or(text, |(_, bare)| bare);
    // An extension is named by its URN alone, which ends with `2.0:User`.
    let begins = |part: &str| part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '$');
    let parts: Vec<&str> = bare.split('.').collect();
    parts.len() <= 2 && parts.iter().all(|part| begins(part))
}
