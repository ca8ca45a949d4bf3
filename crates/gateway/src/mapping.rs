//! The mapping of a target: expressions that replace the defaults of single attributes.
//!
//! Expressions are those of minijinja, with a limit on their work. They see the attributes of the user under the names of
//! exports, without passwords, and nothing else.

use dialects::kit::{AttributeKind, Document, OutgoingUser, OutputValue, TargetAttribute};
use directory::{
    ATTRIBUTES, Attribute, AttributeAccess, AttributeMapping, EmptyValue, ItemKind, Labels, MatchKey, Slot, Time,
    TypedValue, User, UserId, builtin_role_name,
};
use minijinja::value::{Object, Value, ValueKind};
use minijinja::{Environment, ErrorKind, Expression, UndefinedBehavior};
use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};
use uuid::Uuid;

/// Why a mapping cannot be used, or has no result for a user. Contains no value of a user.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the mapping of {attribute} {problem}")]
pub struct MappingError {
    pub attribute: String,
    pub problem: String,
}

/// The compiled rows of a target.
#[derive(Default)]
pub(crate) struct Mapping {
    rows: Vec<CompiledRow>,
}

/// The variable with the names of the user's groups.
const GROUPS: &str = "groups";

struct CompiledRow {
    row: AttributeMapping,
    kind: AttributeKind,
    /// By whose values accounts are searched for.
    key: Option<MatchKey>,
    expression: Expression<'static, 'static>,
}

/// The instruction limit of an expression; usual ones need less than a hundred.
const FUEL: u64 = 10_000;
/// The longest expression, in bytes.
const MAX_EXPRESSION_BYTES: usize = 4_096;
/// The longest result, in bytes.
const MAX_RESULT_BYTES: usize = 65_536;

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    environment.set_fuel(Some(FUEL));
    environment.remove_global("debug");
    environment.add_filter("digits", |value: Value| {
        with_text(&value, |text| text.chars().filter(char::is_ascii_digit).collect())
    });
    environment.add_filter("fold", |value: Value| with_text(&value, directory::fold));
    environment
        .add_filter("cut", |value: Value, max: usize| with_text(&value, |text| text.chars().take(max).collect()));
    environment.add_filter("before", |value: Value, separator: String| {
        with_text(&value, |text| text.split_once(&separator).map_or(text, |(before, _)| before).to_owned())
    });
    environment.add_filter("after", |value: Value, separator: String| {
        with_text(&value, |text| text.split_once(&separator).map_or("", |(_, after)| after).to_owned())
    });
    environment
});

/// The result of a filter of texts; no value has none.
fn with_text(value: &Value, change: impl FnOnce(&str) -> String) -> Value {
    match value.as_str() {
        Some(text) => Value::from(change(text)),
        None if value.is_undefined() || value.is_none() => value.clone(),
        None => Value::from(change(&value.to_string())),
    }
}

/// The attributes that expressions can use.
pub fn mapping_variables() -> impl Iterator<Item = &'static Attribute> {
    ATTRIBUTES.iter().filter(|attribute| {
        let is_readable = attribute.access != AttributeAccess::WriteOnly;
        // Members of folders are not followed for this.
        is_readable && !matches!(attribute.slot, Slot::Items(ItemKind::Folder) | Slot::PostalAddresses | Slot::Password)
    })
}

impl Mapping {
    /// # Errors
    /// A row names an attribute that the API does not have, or its expression is not valid.
    pub(crate) fn compile(
        rows: &[AttributeMapping],
        attributes: &[TargetAttribute],
        keys: &[(MatchKey, &str)],
    ) -> Result<Self, MappingError> {
        let rows = rows.iter().enumerate().map(|(index, row)| {
            let is_repeated = rows.iter().take(index).any(|other| other.attribute == row.attribute);
            let kind = attributes.iter().find(|attribute| attribute.name == row.attribute).map(|it| it.kind);
            let compiled = match kind {
                _ if is_repeated => Err("is there twice".to_owned()),
                None => Err("names an attribute that the target's API does not have, or that only Muster sets".into()),
                Some(AttributeKind::Complex) => Err("is not possible: its values are lists or objects".into()),
                Some(kind) => compile_expression(&row.expression).map(|expression| (kind, expression)),
            };
            let (kind, expression) =
                compiled.map_err(|problem| MappingError { attribute: row.attribute.clone(), problem })?;
            let key = keys.iter().find(|(_, attribute)| *attribute == row.attribute).map(|(key, _)| *key);
            Ok(CompiledRow { row: row.clone(), kind, key, expression })
        });
        Ok(Self { rows: rows.collect::<Result<_, _>>()? })
    }

    pub(crate) fn uses_groups(&self) -> bool {
        self.rows.iter().any(|row| row.expression.undeclared_variables(false).contains(GROUPS))
    }

    /// Replaces the defaults of the mapped attributes. After an error, the others are replaced nevertheless.
    pub(crate) fn apply(&self, outgoing: &OutgoingUser<'_>, document: &mut Document) -> Result<(), MappingError> {
        if self.rows.is_empty() {
            return Ok(());
        }
        let variables = Value::from_object(Variables::of(outgoing));
        let mut result = Ok(());
        for compiled in &self.rows {
            let CompiledRow { row, kind, key, expression } = compiled;
            match evaluate(expression, &variables).and_then(|value| output(value, row, *kind)) {
                Ok(value) => {
                    set_key(document, *key, value.as_ref());
                    if value.is_none() && row.empty == EmptyValue::Omit {
                        document.remove(&row.attribute);
                    } else {
                        document.set(&row.attribute, value);
                    }
                }
                Err(problem) => result = result.and(Err(MappingError { attribute: row.attribute.clone(), problem })),
            }
        }
        result
    }
}

fn compile_expression(text: &str) -> Result<Expression<'static, 'static>, String> {
    if text.len() > MAX_EXPRESSION_BYTES {
        return Err(format!("is longer than {MAX_EXPRESSION_BYTES} bytes"));
    }
    let expression = ENVIRONMENT.compile_expression_owned(text.to_owned());
    let expression = expression.map_err(|error| format!("is not valid: {error}"))?;
    let known: Vec<&str> = mapping_variables().map(|attribute| attribute.name).collect();
    let mut unknown: Vec<String> = expression.undeclared_variables(false).into_iter().collect();
    unknown.retain(|name| !known.contains(&name.as_str()) && !ENVIRONMENT.globals().any(|(global, _)| global == name));
    unknown.sort_unstable();
    if let Some(name) = unknown.first() {
        return Err(format!("uses {name}, which is not an attribute of users"));
    }
    // Names of filters are only looked up when they are used.
    let nobody = User::new(UserId(Uuid::nil()), Time(0));
    let outgoing = OutgoingUser { user: &nobody, labels: &Labels::default(), manager: None, is_active: true };
    match expression.eval(Value::from_object(Variables::of(&outgoing))) {
        Err(error) if is_unknown_name(error.kind()) => Err(format!("is not valid: {error}")),
        _ => Ok(expression),
    }
}

fn is_unknown_name(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::UnknownFilter | ErrorKind::UnknownFunction | ErrorKind::UnknownTest | ErrorKind::UnknownMethod
    )
}

fn evaluate(expression: &Expression<'_, '_>, variables: &Value) -> Result<Value, String> {
    // Messages of errors can contain values.
    expression.eval(variables).map_err(|error| match error.kind() {
        ErrorKind::OutOfFuel => "needs too much work".to_owned(),
        kind => format!("failed: {kind}"),
    })
}

/// The result as the target's API has it. Empty texts are no values.
fn output(value: Value, row: &AttributeMapping, kind: AttributeKind) -> Result<Option<OutputValue>, String> {
    let value = if row.values.is_empty() { value } else { translated(&value, &row.values) };
    if value.is_undefined() || value.is_none() || value.as_str() == Some("") {
        return Ok(None);
    }
    let text = text_of(&value).ok_or_else(|| format!("has a {} as its result, not a single value", value.kind()))?;
    if text.len() > MAX_RESULT_BYTES {
        return Err(format!("has a result of more than {MAX_RESULT_BYTES} bytes"));
    }
    match kind {
        AttributeKind::Text => Ok(Some(OutputValue::Text(text))),
        AttributeKind::Integer => {
            text.trim().parse().map(|number| Some(OutputValue::Integer(number))).map_err(|_| "is not an integer".into())
        }
        AttributeKind::Boolean => match text.trim() {
            "true" => Ok(Some(OutputValue::Bool(true))),
            "false" => Ok(Some(OutputValue::Bool(false))),
            _ => Err("is neither true nor false".into()),
        },
        AttributeKind::Complex => Err("is not possible".into()),
    }
}

/// A single value as text.
fn text_of(value: &Value) -> Option<String> {
    match value.kind() {
        ValueKind::String => value.as_str().map(str::to_owned),
        ValueKind::Bool => Some(value.is_true().to_string()),
        ValueKind::Number => Some(value.to_string()),
        _ => None,
    }
}

/// The value that a table of values has; `*` is for all others.
fn translated(value: &Value, values: &BTreeMap<String, String>) -> Value {
    let key = text_of(value).unwrap_or_default();
    values.get(&key).or_else(|| values.get("*")).map(|text| Value::from(text.as_str())).unwrap_or_default()
}

/// Accounts are searched for by what the target has.
fn set_key(document: &mut Document, key: Option<MatchKey>, value: Option<&OutputValue>) {
    let Some(key) = key else { return };
    document.keys.retain(|(known, _)| *known != key);
    if let Some(OutputValue::Text(text)) = value {
        document.keys.push((key, text.clone()));
    }
}

/// The variables of expressions: attributes of one user, made when they are used.
#[derive(Debug)]
struct Variables {
    user: User,
    organization: Option<String>,
    role: Option<String>,
    groups: Vec<String>,
}

impl Object for Variables {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        let attribute = mapping_variables().find(|attribute| attribute.name == name)?;
        self.value(attribute)
    }
}

impl Variables {
    fn of(outgoing: &OutgoingUser<'_>) -> Self {
        let OutgoingUser { user, labels, .. } = outgoing;
        let role_name = |number| match builtin_role_name(number) {
            Some(name) => Some(name.to_owned()),
            None => labels.roles.get(&number).cloned(),
        };
        Self {
            organization: user.organization.and_then(|id| labels.items.get(&id).cloned()),
            role: user.role.and_then(role_name),
            groups: user.groups.iter().filter_map(|id| labels.items.get(id).cloned()).collect(),
            user: (*user).clone(),
        }
    }

    fn value(&self, attribute: &Attribute) -> Option<Value> {
        let user = &self.user;
        let values = |entries: &[TypedValue]| entries.iter().map(|entry| entry.value.as_str()).collect::<Value>();
        match attribute.slot {
            Slot::Text(_) | Slot::Department => user.text(attribute.field).map(Value::from),
            Slot::Boolean(_) => user.boolean(attribute.field).map(Value::from),
            Slot::Timestamp(read) => read(user).map(|time| Value::from(time.0 / 1_000_000)),
            Slot::MultiValued(slot) => Some(values((slot.read)(user))),
            Slot::Links(kind) => {
                let links = user.links.iter().filter(|link| link.kind == kind);
                Some(Value::from_pairs(links.map(|link| (link.name.clone(), link.value.clone()))))
            }
            Slot::Metadata => {
                Some(Value::from_pairs(user.metadata.iter().map(|entry| (entry.key.clone(), entry.value.clone()))))
            }
            Slot::Id => Some(Value::from(user.id.to_string())),
            Slot::Number => Some(Value::from(user.number)),
            Slot::Organization => self.organization.clone().map(Value::from),
            Slot::Office => user.office.map(Value::from),
            Slot::Role => self.role.clone().map(Value::from),
            Slot::Roles => Some(values(&user.other_roles)),
            Slot::Status => Some(Value::from(user.status.as_str())),
            Slot::Active => Some(Value::from(!user.status.blocks_sign_in())),
            Slot::Items(ItemKind::Group) => Some(self.groups.iter().map(String::as_str).collect()),
            Slot::Items(_) | Slot::PostalAddresses | Slot::Password => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use directory::{MetadataEntry, Status};

    const KEYS: [(MatchKey, &str); 1] = [(MatchKey::Email, "email")];

    fn attributes() -> Vec<TargetAttribute> {
        let attribute =
            |name: &'static str, kind| TargetAttribute { name: name.into(), kind, required: false, max_chars: 0 };
        vec![
            attribute("text", AttributeKind::Text),
            attribute("number", AttributeKind::Integer),
            attribute("flag", AttributeKind::Boolean),
            attribute("email", AttributeKind::Text),
            attribute("list", AttributeKind::Complex),
        ]
    }

    fn user() -> User {
        let mut user = User::new(UserId(uuid::Uuid::from_u128(7)), Time(1));
        user.user_name = "ann@example.com".into();
        user.emails = vec![TypedValue::new("work", "ann@example.com")];
        user.name.given = Some("Änn".into());
        user.phones = vec![TypedValue::new("work", "+44 (20) 123")];
        user.role = Some(3);
        user.status = Status::Active;
        user.metadata = vec![MetadataEntry { key: "team".into(), value: "Blue".into() }];
        user
    }

    fn row(attribute: &str, expression: &str) -> AttributeMapping {
        AttributeMapping { attribute: attribute.into(), expression: expression.into(), ..AttributeMapping::default() }
    }

    fn mapped(row: AttributeMapping) -> Result<Option<OutputValue>, String> {
        let name = row.attribute.clone();
        let mapping = Mapping::compile(&[row], &attributes(), &KEYS).map_err(|error| error.to_string())?;
        let (user, labels, mut document) = (user(), Labels::default(), Document::default());
        let outgoing = OutgoingUser { user: &user, labels: &labels, manager: None, is_active: true };
        mapping.apply(&outgoing, &mut document).map_err(|error| error.to_string())?;
        Ok(document.value(&name).cloned())
    }

    fn assert_text(expression: &str, expected: &str) {
        assert_eq!(mapped(row("text", expression)), Ok(Some(OutputValue::text(expected))));
    }

    #[test]
    fn expressions_make_values_of_the_type_of_the_attribute() {
        assert_text("givenName ~ ' ' ~ (familyName or '?')", "Änn ?");
        assert_text("workPhone|digits", "4420123");
        assert_text("email|before('@')|upper|cut(2)", "AN");
        assert_text("email|after('@')", "example.com");
        assert_text("emails[0]", "ann@example.com");
        assert_eq!(mapped(row("number", "{'Admin': 12}[role]")), Ok(Some(OutputValue::Integer(12))));
        assert_eq!(mapped(row("number", "'17'")), Ok(Some(OutputValue::Integer(17))));
        assert_eq!(mapped(row("flag", "active and role != 'User'")), Ok(Some(OutputValue::Bool(true))));
        assert_eq!(mapped(row("text", "nickName|cut(2)|digits")), Ok(None));
        assert_text("metadata.team", "Blue");
        assert_eq!(mapped(row("text", "metadata.other.name")), Ok(None));
        assert_eq!(mapped(row("number", "role")), Err("the mapping of number is not an integer".into()));
        assert_eq!(mapped(row("flag", "role")), Err("the mapping of flag is neither true nor false".into()));
    }

    #[test]
    fn values_are_translated() {
        let values =
            |entries: &[(&str, &str)]| entries.iter().map(|(from, to)| ((*from).into(), (*to).into())).collect();
        let known = AttributeMapping { values: values(&[("Admin", "12"), ("*", "1")]), ..row("number", "role") };
        assert_eq!(mapped(known), Ok(Some(OutputValue::Integer(12))));
        let others = AttributeMapping { values: values(&[("User", "2"), ("*", "1")]), ..row("number", "role") };
        assert_eq!(mapped(others), Ok(Some(OutputValue::Integer(1))));
        let flag = AttributeMapping { values: values(&[("true", "7")]), ..row("number", "active") };
        assert_eq!(mapped(flag), Ok(Some(OutputValue::Integer(7))));
        let unknown = AttributeMapping { values: values(&[("User", "2")]), ..row("number", "role") };
        assert_eq!(mapped(unknown), Ok(None));
    }

    #[test]
    fn accounts_are_searched_for_by_what_the_target_has() {
        let mapping = Mapping::compile(&[row("email", "'x-' ~ email")], &attributes(), &KEYS).expect("valid");
        let (user, labels) = (user(), Labels::default());
        let outgoing = OutgoingUser { user: &user, labels: &labels, manager: None, is_active: true };
        let keys = vec![(MatchKey::Email, "ann@example.com".to_owned())];
        let mut document = Document { attributes: Vec::new(), keys };
        mapping.apply(&outgoing, &mut document).expect("mapped");
        assert_eq!(document.key(MatchKey::Email), Some("x-ann@example.com"));
    }

    #[test]
    fn an_empty_value_can_leave_out_the_attribute() {
        let omitted = AttributeMapping { empty: EmptyValue::Omit, ..row("text", "nickName") };
        let mapping = Mapping::compile(&[omitted], &attributes(), &KEYS).expect("valid");
        let (user, labels) = (user(), Labels::default());
        let outgoing = OutgoingUser { user: &user, labels: &labels, manager: None, is_active: true };
        let mut document = Document::default();
        document.set("text", Some(OutputValue::text("the default")));
        mapping.apply(&outgoing, &mut document).expect("mapped");
        assert!(document.attributes.is_empty());
    }

    #[test]
    fn invalid_rows_are_rejected_when_they_are_set() {
        let problem = |attribute: &str, expression: &str| mapped(row(attribute, expression)).expect_err("rejected");
        assert!(problem("other", "email").contains("does not have"), "{}", problem("other", "email"));
        let twice = Mapping::compile(&[row("text", "email"), row("text", "email")], &attributes(), &KEYS)
            .err()
            .expect("rejected");
        assert!(twice.to_string().contains("twice"));
        assert!(problem("list", "email").contains("lists or objects"));
        assert!(problem("text", "mailbox").contains("uses mailbox"), "{}", problem("text", "mailbox"));
        assert!(problem("text", "email |").contains("is not valid"));
        assert!(problem("text", "email|nope").contains("is not valid"));
        assert!(problem("text", &"(".repeat(5_000)).contains("longer"));
        assert!(problem("text", &"(".repeat(4_000)).contains("is not valid"));
    }

    #[test]
    fn expressions_cannot_do_much_work_or_see_secrets() {
        for expression in
            ["range(100000)|list|length", "'a' * 1000000000", "[email] * 99999", "email|replace('a', 'aaaa' * 9999)"]
        {
            let error = mapped(row("text", expression)).expect_err(expression);
            assert!(error.len() < 120 && !error.contains("example.com"), "{error}");
        }
        // What only the limit of steps stops.
        let error = mapped(row("text", "range(9000)|map('string')|join|length")).expect_err("too much work");
        assert!(error.contains("too much work"), "{error}");
        assert!(mapped(row("text", "password")).is_err());
        assert!(mapped(row("text", "passwordHash")).is_err());
        // Messages of the engine can contain values.
        let error = mapped(row("text", "email + 1")).expect_err("no sum");
        assert!(!error.contains("example.com"), "{error}");
        let names: Vec<&str> = mapping_variables().map(|attribute| attribute.name).collect();
        assert!(
            !names.iter().any(|name| name.to_lowercase().contains("password") && *name != "forcePasswordChange"),
            "{names:?}"
        );
    }
}
