//! What travels, as the API's own help page has it. Members stand in declared order.

use crate::kit::{Kind, Member, Record, Way};
use directory::Field;

/// The attributes of the root of every model.
pub(super) const NAMESPACE: &str = " xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" xmlns=\"http://schemas.datacontract.org/2004/07/CCSCommercialAPI.Models.Users\"";

/// The XML namespace of a record: errors are in none.
pub(super) fn namespace(record: &Record) -> Option<&'static str> {
    let is_model = record.name != ERROR.name && record.name != MODEL_STATE.name;
    is_model.then_some("http://schemas.datacontract.org/2004/07/CCSCommercialAPI.Models.Users")
}

const ID: Member = Member::of("id", Kind::Integer, "Number of the user").field(Field::Number).only_out();

/// What a POST or PUT sends. Names are as in JSON; XML and error keys begin with a capital.
pub(super) static USER_POST: Record =
    Record { name: "UserPost", about: "A user to be created or changed", members: USER_MEMBERS };

/// What a GET answers.
pub(super) static USER_VIEW: Record = Record { name: "UserView", about: "A user", members: USER_MEMBERS };

const USER_MEMBERS: &[Member] = &[
    ID,
    Member::text("title", Field::HonorificPrefix, "Title").max(10).nullable(),
    Member::text("firstName", Field::GivenName, "First name").max(100).required().nullable(),
    Member::text("lastName", Field::FamilyName, "Last name").max(100).nullable(),
    Member::text("phone", Field::WorkPhone, "Phone").max(20).nullable(),
    Member::text("email", Field::Email, "E-mail").max(250).required().nullable(),
    Member::text("password", Field::Password, "At least 6 characters; left out of a PUT, it stays")
        .max(250)
        .only_in(),
    Member::of("roleId", Kind::Integer, "Number of a role of the catalogue")
        .field(Field::Role)
        .required()
        .nullable(),
    Member::of("departmentId", Kind::Integer, "0 to 255; entered in the catalogue on first use")
        .field(Field::Department)
        .nullable(),
    Member::of("forcePasswordChange", Kind::Boolean, "The password must be changed at next sign-in")
        .field(Field::ForcePasswordChange),
];

/// The members that a body may hold, in declared order.
pub(super) fn sent() -> impl Iterator<Item = &'static Member> {
    USER_POST.members.iter().filter(|member| member.way != Way::Out)
}

/// The name in XML and in error keys: the CLR's, with a capital.
pub(super) fn clr_name(name: &str) -> String {
    let mut chars = name.chars();
    chars.next().map_or_else(String::new, |first| first.to_ascii_uppercase().to_string() + chars.as_str())
}

pub(super) static USER_POST_RESPONSE: Record = Record {
    name: "UserPostResponse",
    about: "The number of the user",
    members: &[Member::of("id", Kind::Integer, "Number of the user")],
};
pub(super) static USER_LIST: Record = Record {
    name: "ArrayOfUserView",
    about: "All users, as a JSON array",
    members: &[Member::of("UserView", Kind::List("UserView", &Kind::Object(&USER_VIEW)), "One each")],
};
static LABEL: Record = Record {
    name: "Label",
    about: "An entry of a catalogue",
    members: &[Member::of("id", Kind::Integer, "Its number"), Member::of("label", Kind::Text, "Its name")],
};
pub(super) static ROLE_LIST: Record = Record {
    name: "ArrayOfRoleView",
    about: "The roles, as a JSON array",
    members: &[Member::of("RoleView", Kind::List("RoleView", &Kind::Object(&LABEL)), "One each")],
};
pub(super) static DEPARTMENT_LIST: Record = Record {
    name: "ArrayOfDepartmentView",
    about: "The departments in use, as a JSON array",
    members: &[Member::of("DepartmentView", Kind::List("DepartmentView", &Kind::Object(&LABEL)), "One each")],
};
pub(super) static ERROR: Record = Record {
    name: "Error",
    about: "What went wrong",
    members: &[
        Member::of("message", Kind::Text, "A sentence"),
        Member::of("modelState", Kind::Object(&MODEL_STATE), "Per member, what is wrong with it"),
    ],
};
static MODEL_STATE: Record =
    Record { name: "ModelState", about: "Lists of sentences under `user.<Member>`", members: &[] };
