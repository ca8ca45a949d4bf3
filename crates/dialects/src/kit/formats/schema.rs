//! Types on the wire as tables: one row a member, read by the readers, the checks and the OpenAPI document.

use directory::Field;

/// An object on the wire.
#[derive(Debug)]
pub struct ObjectSchema {
    /// Its name; the XML root or JSON member it stands under.
    pub name: &'static str,
    /// What it is.
    pub description: &'static str,
    /// Its members, in the order of the API's own documents.
    pub properties: &'static [Property],
}

/// A body that is a file and has no members.
pub static FILE: ObjectSchema = ObjectSchema { name: "File", description: "A file", properties: &[] };

/// One member.
#[derive(Clone, Copy, Debug)]
pub struct Property {
    /// Its name, as spelled in JSON and XML.
    pub name: &'static str,
    /// The canonical field behind it, where there is just one.
    pub field: Option<Field>,
    /// What it holds.
    pub value_type: ValueType,
    /// The most characters the dialect takes; 0 leaves it to the core.
    pub max_length: usize,
    /// Whether a new one must have it.
    pub required: bool,
    /// Which way it travels.
    pub direction: Direction,
    /// Whether JSON answers have it as `null` where there is nothing.
    pub nullable: bool,
    /// What it means.
    pub description: &'static str,
    /// What a standard says of it besides.
    pub characteristics: Characteristics,
}

/// What RFC 7643 section 2.2 lets a schema say of an attribute, for dialects that publish their schema.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one characteristic of RFC 7643")]
pub struct Characteristics {
    /// Case counts when it is compared.
    pub case_exact: bool,
    /// It is set once and then only removed.
    pub immutable: bool,
    /// No two may share it.
    pub unique: bool,
    /// It is in every answer, whatever was asked for.
    pub always_returned: bool,
    /// It cannot be filtered by.
    pub not_filterable: bool,
    /// It is in an answer only when it is asked for by name.
    pub returned_on_request: bool,
    /// Words that are usual.
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

/// What a member holds.
#[derive(Clone, Copy, Debug)]
pub enum ValueType {
    /// A text.
    Text,
    /// One of these texts.
    Enum(&'static [&'static str]),
    /// Anything that JSON can be.
    Any,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A GUID: 32 digits in JSON, with dashes in XML.
    Guid,
    /// A moment in the dialect's spelling.
    Timestamp,
    /// Where something is: a URI, or of what sorts the thing is.
    Reference(&'static [&'static str]),
    /// Bytes in Base64.
    Binary,
    /// An object.
    Object(&'static ObjectSchema),
    /// One, or several: in JSON an array of them, in XML repeated elements.
    OneOrMore(&'static ValueType),
    /// A list; in XML of elements of that name.
    List(&'static str, &'static ValueType),
}

/// Which way a member travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// In requests only.
    Request,
    /// In answers only.
    Response,
    /// In both.
    Both,
}

impl Property {
    /// An optional text that travels both ways.
    pub const fn text(name: &'static str, field: Field, about: &'static str) -> Self {
        Self::new(name, ValueType::Text, about).field(field)
    }

    /// Anything else that is optional and travels both ways.
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
        }
    }

    /// The same, compared to the letter.
    #[must_use]
    pub const fn case_exact(self) -> Self {
        Self { characteristics: Characteristics { case_exact: true, ..self.characteristics }, ..self }
    }

    /// The same, set once.
    #[must_use]
    pub const fn immutable(self) -> Self {
        Self { characteristics: Characteristics { immutable: true, ..self.characteristics }, ..self }
    }

    /// The same, shared by no two.
    #[must_use]
    pub const fn unique(self) -> Self {
        Self { characteristics: Characteristics { unique: true, ..self.characteristics }, ..self }
    }

    /// The same, in every answer.
    #[must_use]
    pub const fn always_returned(self) -> Self {
        Self { characteristics: Characteristics { always_returned: true, ..self.characteristics }, ..self }
    }

    /// The same, of no use in a filter.
    #[must_use]
    pub const fn not_filterable(self) -> Self {
        Self { characteristics: Characteristics { not_filterable: true, ..self.characteristics }, ..self }
    }

    /// The same, shown when asked for by name.
    #[must_use]
    pub const fn returned_on_request(self) -> Self {
        Self { characteristics: Characteristics { returned_on_request: true, ..self.characteristics }, ..self }
    }

    /// The same with words that are usual.
    #[must_use]
    pub const fn canonical_values(self, words: &'static [&'static str]) -> Self {
        Self { characteristics: Characteristics { canonical_values: words, ..self.characteristics }, ..self }
    }

    /// The same with the field behind it.
    #[must_use]
    pub const fn field(self, field: Field) -> Self {
        Self { field: Some(field), ..self }
    }

    /// The same, limited to so many characters.
    #[must_use]
    pub const fn max_length(self, max: usize) -> Self {
        Self { max_length: max, ..self }
    }

    /// The same, needed in a new one.
    #[must_use]
    pub const fn required(self) -> Self {
        Self { required: true, ..self }
    }

    /// The same, `null` in JSON answers where there is nothing.
    #[must_use]
    pub const fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// The same, in requests only.
    #[must_use]
    pub const fn request_only(self) -> Self {
        Self { direction: Direction::Request, ..self }
    }

    /// The same, in answers only.
    #[must_use]
    pub const fn response_only(self) -> Self {
        Self { direction: Direction::Response, ..self }
    }
}

impl ObjectSchema {
    /// The members that hold one plain text of a user each.
    pub fn text_properties(&self) -> impl Iterator<Item = (&'static Property, Field)> {
        let members: &'static [Property] = self.properties;
        members.iter().filter_map(|member| match (member.value_type, member.field) {
            (ValueType::Text, Some(field)) => Some((member, field)),
            _ => None,
        })
    }

    /// The dialect's name for a canonical field.
    pub fn name_of(&self, field: Field) -> Option<&'static str> {
        self.properties.iter().find(|member| member.field == Some(field)).map(|member| member.name)
    }
}
