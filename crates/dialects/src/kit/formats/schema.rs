//! Schemas of objects as tables: one row per member, used by the parsers, the checks and the OpenAPI document.

use directory::{AttributeAccess, Field, Slot};

#[derive(Debug)]
pub struct ObjectSchema {
    /// Unique in the dialect; OpenAPI prefixes it. Also the name of the XML root or of the JSON member around it.
    pub name: &'static str,
    pub description: &'static str,
    /// In the order of the API's documentation.
    pub properties: &'static [Property],
}

pub static FILE: ObjectSchema = ObjectSchema { name: "File", description: "A file", properties: &[] };

#[derive(Clone, Copy, Debug)]
pub struct Property {
    pub name: &'static str,
    /// The field of the directory, if there is exactly one.
    pub field: Option<Field>,
    pub value_type: ValueType,
    /// Maximum length of the dialect in UTF-16 units; 0 if only the limits of the directory apply.
    pub max_length: usize,
    pub required: bool,
    pub direction: Direction,
    /// Whether JSON responses contain `null` instead of omitting the member.
    pub nullable: bool,
    pub description: &'static str,
    pub characteristics: Characteristics,
    /// Not stored: only requests or responses have it, such as a key, an option or a link.
    pub is_wire_only: bool,
}

/// Characteristics of an attribute (RFC 7643 section 2.2), for dialects that publish their schema.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one characteristic of RFC 7643")]
pub struct Characteristics {
    /// Comparisons are case-sensitive.
    pub case_exact: bool,
    /// The value is set once and can then only be removed.
    pub immutable: bool,
    pub unique: bool,
    /// Responses contain it whatever attributes were requested.
    pub always_returned: bool,
    /// Filters cannot use it.
    pub not_filterable: bool,
    /// Responses contain it only if it is requested by name.
    pub returned_on_request: bool,
    pub canonical_values: &'static [&'static str],
}

const DEFAULT_CHARACTERISTICS: Characteristics = Characteristics {
    case_exact: false,
    immutable: false,
    unique: false,
    always_returned: false,
    not_filterable: false,
    returned_on_request: false,
    canonical_values: &[],
};

#[derive(Clone, Copy, Debug)]
pub enum ValueType {
    Text,
    Enum(&'static [&'static str]),
    /// Any JSON value.
    Any,
    Integer,
    Boolean,
    /// A GUID: 32 digits in JSON, with dashes in XML.
    Guid,
    /// In the dialect's own format.
    Timestamp,
    /// A URI, with the SCIM `referenceTypes`.
    Reference(&'static [&'static str]),
    /// Base64.
    Binary,
    Object(&'static ObjectSchema),
    /// One value or several: in JSON a single value or an array, in XML repeated elements.
    OneOrMore(&'static ValueType),
    /// A list; in XML, elements of this name.
    List(&'static str, &'static ValueType),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    Request,
    Response,
    Both,
}

impl Property {
    /// An optional text in requests and responses.
    pub const fn text(name: &'static str, field: Field, about: &'static str) -> Self {
        Self::new(name, ValueType::Text, about).field(field)
    }

    /// An optional member of any type in requests and responses.
    pub const fn new(name: &'static str, kind: ValueType, about: &'static str) -> Self {
        Self {
            name,
            field: None,
            value_type: kind,
            max_length: 0,
            required: false,
            direction: Direction::Both,
            nullable: false,
            description: about,
            characteristics: DEFAULT_CHARACTERISTICS,
            is_wire_only: false,
        }
    }

    /// Not stored: only requests or responses have it.
    #[must_use]
    pub const fn wire_only(self) -> Self {
        Self { is_wire_only: true, ..self }
    }

    #[must_use]
    pub const fn case_exact(self) -> Self {
        Self { characteristics: Characteristics { case_exact: true, ..self.characteristics }, ..self }
    }

    #[must_use]
    pub const fn immutable(self) -> Self {
        Self { characteristics: Characteristics { immutable: true, ..self.characteristics }, ..self }
    }

    #[must_use]
    pub const fn unique(self) -> Self {
        Self { characteristics: Characteristics { unique: true, ..self.characteristics }, ..self }
    }

    #[must_use]
    pub const fn always_returned(self) -> Self {
        Self { characteristics: Characteristics { always_returned: true, ..self.characteristics }, ..self }
    }

    #[must_use]
    pub const fn not_filterable(self) -> Self {
        Self { characteristics: Characteristics { not_filterable: true, ..self.characteristics }, ..self }
    }

    #[must_use]
    pub const fn returned_on_request(self) -> Self {
        Self { characteristics: Characteristics { returned_on_request: true, ..self.characteristics }, ..self }
    }

    #[must_use]
    pub const fn canonical_values(self, words: &'static [&'static str]) -> Self {
        Self { characteristics: Characteristics { canonical_values: words, ..self.characteristics }, ..self }
    }

    #[must_use]
    pub const fn field(self, field: Field) -> Self {
        let with_field = Self { field: Some(field), ..self };
        match field.attribute() {
            Some(attribute) if attribute.case_exact => with_field.case_exact(),
            _ => with_field,
        }
    }

    #[must_use]
    pub const fn max_length(self, max: usize) -> Self {
        Self { max_length: max, ..self }
    }

    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    #[must_use]
    pub const fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    #[must_use]
    pub const fn request_only(self) -> Self {
        Self { direction: Direction::Request, ..self }
    }

    #[must_use]
    pub const fn response_only(self) -> Self {
        Self { direction: Direction::Response, ..self }
    }
}

impl Property {
    /// The maximum length of a text: that of the dialect, else that of the directory.
    pub fn max_chars(&self) -> Option<usize> {
        let is_text =
            |field: &Field| field.attribute().is_some_and(|attribute| matches!(attribute.slot, Slot::Text(_)));
        match self.max_length {
            0 => self.field.filter(is_text).map(directory::max_chars),
            own => Some(own),
        }
    }

    /// Does not compile if requests could set the property of a user, and nothing would be stored.
    const fn check_for_user(&self) {
        let Some(field) = self.field else {
            let is_object = matches!(self.value_type, ValueType::Object(_));
            let is_response = matches!(self.direction, Direction::Response);
            assert!(
                is_object || is_response || self.is_wire_only,
                "a property without a field is not stored (add `.field(…)`, `.response_only()` or `.wire_only()`)"
            );
            return;
        };
        let Some(attribute) = field.attribute() else { panic!("the field is not an attribute of users") };
        assert!(
            match attribute.access {
                AttributeAccess::ReadOnly => matches!(self.direction, Direction::Response),
                AttributeAccess::WriteOnly => matches!(self.direction, Direction::Request),
                AttributeAccess::ReadWrite | AttributeAccess::Privileged | AttributeAccess::Assigned => true,
            },
            "the direction of the property contradicts the access to the attribute"
        );
        assert!(
            match attribute.slot {
                Slot::Text(_) | Slot::Status | Slot::Password | Slot::Id => self.value_type.is_text(),
                Slot::Boolean(_) | Slot::Active => matches!(self.value_type, ValueType::Boolean),
                Slot::Timestamp(_) => matches!(self.value_type, ValueType::Timestamp),
                Slot::Number | Slot::Office => matches!(self.value_type, ValueType::Integer),
                Slot::Role | Slot::Department =>
                    self.value_type.is_text() || matches!(self.value_type, ValueType::Integer),
                Slot::Organization => self.value_type.is_text() || matches!(self.value_type, ValueType::Object(_)),
                Slot::Links(_) | Slot::Metadata =>
                    self.value_type.is_text() || matches!(self.value_type, ValueType::Object(_) | ValueType::List(..)),
                Slot::MultiValued(_) | Slot::Roles | Slot::PostalAddresses | Slot::Items(_) =>
                    matches!(self.value_type, ValueType::List(..)),
            },
            "the type of the property is not that of the attribute"
        );
    }
}

impl ValueType {
    const fn is_text(&self) -> bool {
        matches!(self, Self::Text | Self::Enum(_) | Self::Guid | Self::Reference(_))
    }
}

impl ObjectSchema {
    /// A user, or a part of one.
    pub const fn of_user(name: &'static str, description: &'static str, properties: &'static [Property]) -> Self {
        let mut index = 0;
        while index < properties.len() {
            properties[index].check_for_user();
            index += 1;
        }
        Self { name, description, properties }
    }

    /// Whether it or one of its objects has a property for the field.
    pub const fn has_field(&self, field: Field) -> bool {
        let mut index = 0;
        while index < self.properties.len() {
            let property = &self.properties[index];
            let is_found = match (property.field, property.value_type) {
                (Some(own), _) if own as usize == field as usize => true,
                (_, ValueType::Object(inner)) => inner.has_field(field),
                _ => false,
            };
            if is_found {
                return true;
            }
            index += 1;
        }
        false
    }

    /// The members that hold exactly one text field of a user.
    pub fn text_properties(&self) -> impl Iterator<Item = (&'static Property, Field)> {
        let members: &'static [Property] = self.properties;
        members.iter().filter_map(|member| match (member.value_type, member.field) {
            (ValueType::Text, Some(field)) => Some((member, field)),
            _ => None,
        })
    }

    pub fn name_of(&self, field: Field) -> Option<&'static str> {
        self.properties.iter().find(|member| member.field == Some(field)).map(|member| member.name)
    }
}
