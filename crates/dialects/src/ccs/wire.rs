//! Requests and responses as tables, as in the API's help page, with members in declared order.

use crate::kit::{Direction, ObjectSchema, Property, ValueType};
use directory::Field;

/// Attributes of the XML root of every model.
pub(super) const ROOT_ATTRIBUTES: &str = " xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns=\"http://schemas.datacontract.org/2004/07/CCSCommercialAPI.Models.Users\"";

/// The XML namespace of an object: errors have none.
pub(super) fn namespace(object_schema: &ObjectSchema) -> Option<&'static str> {
    let is_model = object_schema.name != ERROR.name && object_schema.name != MODEL_STATE.name;
    is_model.then_some("http://schemas.datacontract.org/2004/07/CCSCommercialAPI.Models.Users")
}

const ID: Property = Property::new("id", ValueType::Integer, "Number of the user").field(Field::Number).response_only();

/// The body of POST and PUT. Names are as in JSON; XML and error keys are capitalized.
pub(super) static USER_POST: ObjectSchema =
    ObjectSchema::of_user("UserPost", "A user to create or change", USER_MEMBERS);

pub(super) static USER_VIEW: ObjectSchema = ObjectSchema::of_user("UserView", "A user", USER_MEMBERS);

const USER_MEMBERS: &[Property] = &[
    ID,
    Property::text("title", Field::HonorificPrefix, "Title").max_length(10).nullable(),
    Property::text("firstName", Field::GivenName, "First name").max_length(100).required().nullable(),
    Property::text("lastName", Field::FamilyName, "Last name").max_length(100).nullable(),
    Property::text("phone", Field::WorkPhone, "Phone").max_length(20).nullable(),
    Property::text("email", Field::Email, "Email").max_length(250).required().nullable(),
    Property::text("password", Field::Password, "At least 6 characters; a PUT without it keeps the password")
        .max_length(250)
        .request_only(),
    Property::new("roleId", ValueType::Integer, "Number of a role").field(Field::Role).required().nullable(),
    Property::new("departmentId", ValueType::Integer, "0 to 255; an unknown number creates a department")
        .field(Field::Department)
        .nullable(),
    Property::new("forcePasswordChange", ValueType::Boolean, "Change the password at the next sign-in")
        .field(Field::ForcePasswordChange),
];

pub(super) fn request_properties() -> impl Iterator<Item = &'static Property> {
    USER_POST.properties.iter().filter(|member| member.direction != Direction::Response)
}

/// The CLR name, which XML and error keys use: capitalized.
pub(super) fn clr_name(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

pub(super) static USER_POST_RESPONSE: ObjectSchema = ObjectSchema {
    name: "UserPostResponse",
    description: "The number of the user",
    properties: &[Property::new("id", ValueType::Integer, "Number of the user")],
};
pub(super) static USER_LIST: ObjectSchema = ObjectSchema {
    name: "ArrayOfUserView",
    description: "All users, as a JSON array",
    properties: &[Property::new("UserView", ValueType::List("UserView", &ValueType::Object(&USER_VIEW)), "The users")],
};
static LABEL: ObjectSchema = ObjectSchema {
    name: "Label",
    description: "A role or department",
    properties: &[
        Property::new("id", ValueType::Integer, "Its number"),
        Property::new("label", ValueType::Text, "Its name"),
    ],
};
pub(super) static ROLE_LIST: ObjectSchema = ObjectSchema {
    name: "ArrayOfRoleView",
    description: "The roles, as a JSON array",
    properties: &[Property::new("RoleView", ValueType::List("RoleView", &ValueType::Object(&LABEL)), "The roles")],
};
pub(super) static DEPARTMENT_LIST: ObjectSchema = ObjectSchema {
    name: "ArrayOfDepartmentView",
    description: "The departments in use, as a JSON array",
    properties: &[Property::new(
        "DepartmentView",
        ValueType::List("DepartmentView", &ValueType::Object(&LABEL)),
        "The departments",
    )],
};
pub(super) static ERROR: ObjectSchema = ObjectSchema {
    name: "Error",
    description: "An error",
    properties: &[
        Property::new("message", ValueType::Text, "The error message"),
        Property::new("modelState", ValueType::Object(&MODEL_STATE), "Errors of each member"),
    ],
};
static MODEL_STATE: ObjectSchema =
    ObjectSchema { name: "ModelState", description: "Lists of error messages by `user.<Member>`", properties: &[] };
