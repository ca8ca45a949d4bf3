//! What travels.

use crate::kit::{ObjectSchema, Property, ValueType};

pub(super) static REQUEST: ObjectSchema = ObjectSchema {
    name: "SignIn",
    description: "What somebody has shown",
    properties: &[
        Property::new("user", ValueType::Text, "Their e-mail or user name").required(),
        Property::new("password", ValueType::Text, "Their password").required(),
        Property::new("tenant", ValueType::Integer, "The number of the tenant; the key's own when left out"),
        Property::new(
            "address",
            ValueType::Text,
            "The IP address they come from, as the application sees it: guesses from there are slowed down",
        ),
    ],
};

pub(super) static RESPONSE: ObjectSchema = ObjectSchema {
    name: "SignedIn",
    description: "Who has signed in",
    properties: &[
        Property::new("user", ValueType::Object(&USER), "The person"),
        Property::new(
            "passwordChangeRequired",
            ValueType::Boolean,
            "They must choose another password before they go on, on their account page",
        ),
    ],
};

static USER: ObjectSchema = ObjectSchema {
    name: "SignedInUser",
    description: "A person",
    properties: &[
        Property::new("id", ValueType::Text, "Their identity, the same in every dialect"),
        Property::new("number", ValueType::Integer, "Their number within the tenant"),
        Property::new("userName", ValueType::Text, "Their user name"),
        Property::new("email", ValueType::Text, "Their preferred e-mail"),
        Property::new("externalId", ValueType::Text, "The client's own key for them"),
        Property::new("givenName", ValueType::Text, "First name"),
        Property::new("familyName", ValueType::Text, "Last name"),
        Property::new("status", ValueType::Text, "`active`"),
        Property::new("groups", ValueType::List("group", &ValueType::Text), "Ids of the groups they are in"),
    ],
};

pub(super) static ERROR: ObjectSchema = ObjectSchema {
    name: "SignInError",
    description: "Why nobody has signed in",
    properties: &[
        Property::new(
            "error",
            ValueType::Text,
            "For programs; `sign_in_refused` whatever is wrong with what was shown",
        ),
        Property::new("message", ValueType::Text, "For people"),
    ],
};
