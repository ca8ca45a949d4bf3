//! Requests and responses as tables.

use crate::kit::{ObjectSchema, Property, ValueType};

pub(super) static REQUEST: ObjectSchema = ObjectSchema {
    name: "SignIn",
    description: "The credentials of a user",
    properties: &[
        Property::new("user", ValueType::Text, "Email or user name, case-insensitive").required(),
        Property::new("password", ValueType::Text, "The password").required(),
        Property::new("tenant", ValueType::Integer, "The tenant's number; by default that of the key"),
        Property::new(
            "address",
            ValueType::Text,
            "The user's IP address as the application sees it; failed attempts from one address are rate-limited",
        ),
    ],
};

pub(super) static RESPONSE: ObjectSchema = ObjectSchema {
    name: "SignedIn",
    description: "The user who signed in",
    properties: &[
        Property::new("user", ValueType::Object(&USER), "The user"),
        Property::new(
            "passwordChangeRequired",
            ValueType::Boolean,
            "Whether the user must change the password on the account page before continuing",
        ),
    ],
};

static USER: ObjectSchema = ObjectSchema {
    name: "SignedInUser",
    description: "A user",
    properties: &[
        Property::new("id", ValueType::Text, "Id, the same in every API"),
        Property::new("number", ValueType::Integer, "Number, unique in the tenant"),
        Property::new("userName", ValueType::Text, "User name"),
        Property::new("email", ValueType::Text, "Primary email"),
        Property::new("externalId", ValueType::Text, "The client's own id of the user"),
        Property::new("givenName", ValueType::Text, "First name"),
        Property::new("familyName", ValueType::Text, "Last name"),
        Property::new("status", ValueType::Text, "`active`"),
        Property::new("groups", ValueType::List("group", &ValueType::Text), "Ids of the user's groups"),
    ],
};

pub(super) static ERROR: ObjectSchema = ObjectSchema {
    name: "SignInError",
    description: "An error",
    properties: &[
        Property::new(
            "error",
            ValueType::Text,
            "The error code; `sign_in_refused` for all rejected credentials, whatever the reason",
        ),
        Property::new("message", ValueType::Text, "The error message"),
    ],
};
