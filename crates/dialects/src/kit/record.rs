//! Types on the wire as tables: one row a member, read by the readers, the checks and the OpenAPI document.

use directory::Field;

/// An object on the wire.
#[derive(Debug)]
pub struct Record {
    /// Its name; the XML root or JSON member it stands under.
    pub name: &'static str,
    /// What it is.
    pub about: &'static str,
    /// Its members, in the order of the API's own documents.
    pub members: &'static [Member],
}

/// A body that is a file and has no members.
pub static FILE: Record = Record { name: "File", about: "A file", members: &[] };

/// One member.
#[derive(Clone, Copy, Debug)]
pub struct Member {
    /// Its name, as spelled in JSON and XML.
    pub name: &'static str,
    /// The canonical field behind it, where there is just one.
    pub field: Option<Field>,
    /// What it holds.
    pub kind: Kind,
    /// The most characters the dialect takes; 0 leaves it to the core.
    pub max: usize,
    /// Whether a new one must have it.
    pub required: bool,
    /// Which way it travels.
    pub way: Way,
    /// Whether JSON answers have it as `null` where there is nothing.
    pub nullable: bool,
    /// What it means.
    pub about: &'static str,
    /// What a standard says of it besides.
    pub traits: Traits,
}

/// What RFC 7643 section 2.2 lets a schema say of an attribute, for dialects that publish their schema.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is one characteristic of RFC 7643")]
pub struct Traits {
    /// Case counts when it is compared.
    pub exact: bool,
    /// It is set once and then only removed.
    pub fixed: bool,
    /// No two may share it.
    pub unique: bool,
    /// It is in every answer, whatever was asked for.
    pub always: bool,
    /// It cannot be filtered by.
    pub unfiltered: bool,
    /// It is in an answer only when it is asked for by name.
    pub on_request: bool,
    /// Words that are usual.
    pub words: &'static [&'static str],
}

const PLAIN: Traits = Traits {
    exact: false,
    fixed: false,
    unique: false,
    always: false,
    unfiltered: false,
    on_request: false,
    words: &[],
};

/// What a member holds.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// A text.
    Text,
    /// One of these texts.
    Word(&'static [&'static str]),
    /// Anything that JSON can be.
    Any,
    /// A whole number.
    Integer,
    /// True or false.
    Boolean,
    /// A GUID: 32 digits in JSON, with dashes in XML.
    Guid,
    /// A moment in the dialect's spelling.
    Moment,
    /// Where something is: a URI, or of what sorts the thing is.
    Reference(&'static [&'static str]),
    /// Bytes in Base64.
    Binary,
    /// An object.
    Object(&'static Record),
    /// One, or several: in JSON an array of them, in XML repeated elements.
    OneOrMore(&'static Kind),
    /// A list; in XML of elements of that name.
    List(&'static str, &'static Kind),
}

/// Which way a member travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In requests only.
    In,
    /// In answers only.
    Out,
    /// In both.
    Both,
}

impl Member {
    /// An optional text that travels both ways.
    pub const fn text(name: &'static str, field: Field, about: &'static str) -> Self {
        Self::of(name, Kind::Text, about).field(field)
    }

    /// Anything else that is optional and travels both ways.
    pub const fn of(name: &'static str, kind: Kind, about: &'static str) -> Self {
        Self {
            name,
            field: None,
            kind,
            max: 0,
            required: false,
            way: Way::Both,
            nullable: false,
            about,
            traits: PLAIN,
        }
    }

    /// The same, compared to the letter.
    #[must_use]
    pub const fn exact(self) -> Self {
        Self { traits: Traits { exact: true, ..self.traits }, ..self }
    }

    /// The same, set once.
    #[must_use]
    pub const fn fixed(self) -> Self {
        Self { traits: Traits { fixed: true, ..self.traits }, ..self }
    }

    /// The same, shared by no two.
    #[must_use]
    pub const fn unique(self) -> Self {
        Self { traits: Traits { unique: true, ..self.traits }, ..self }
    }

    /// The same, in every answer.
    #[must_use]
    pub const fn always(self) -> Self {
        Self { traits: Traits { always: true, ..self.traits }, ..self }
    }

    /// The same, of no use in a filter.
    #[must_use]
    pub const fn unfiltered(self) -> Self {
        Self { traits: Traits { unfiltered: true, ..self.traits }, ..self }
    }

    /// The same, shown when asked for by name.
    #[must_use]
    pub const fn on_request(self) -> Self {
        Self { traits: Traits { on_request: true, ..self.traits }, ..self }
    }

    /// The same with words that are usual.
    #[must_use]
    pub const fn words(self, words: &'static [&'static str]) -> Self {
        Self { traits: Traits { words, ..self.traits }, ..self }
    }

    /// The same with the field behind it.
    #[must_use]
    pub const fn field(self, field: Field) -> Self {
        Self { field: Some(field), ..self }
    }

    /// The same, limited to so many characters.
    #[must_use]
    pub const fn max(self, max: usize) -> Self {
        Self { max, ..self }
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
    pub const fn only_in(self) -> Self {
        Self { way: Way::In, ..self }
    }

    /// The same, in answers only.
    #[must_use]
    pub const fn only_out(self) -> Self {
        Self { way: Way::Out, ..self }
    }
}

impl Record {
    /// The members that hold one plain text of a user each.
    pub fn texts(&self) -> impl Iterator<Item = (&'static Member, Field)> {
        let members: &'static [Member] = self.members;
        members.iter().filter_map(|member| match (member.kind, member.field) {
            (Kind::Text, Some(field)) => Some((member, field)),
            _ => None,
        })
    }

    /// The dialect's name for a canonical field.
    pub fn name_of(&self, field: Field) -> Option<&'static str> {
        self.members.iter().find(|member| member.field == Some(field)).map(|member| member.name)
    }
}
