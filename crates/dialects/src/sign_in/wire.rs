//! What travels.

use crate::kit::{Kind, Member, Record};

pub(super) static REQUEST: Record = Record {
    name: "SignIn",
    about: "What somebody has shown",
    members: &[
        Member::of("user", Kind::Text, "Their e-mail or user name").required(),
        Member::of("password", Kind::Text, "Their password").required(),
        Member::of("tenant", Kind::Integer, "The number of the tenant; the key's own when left out"),
        Member::of(
            "address",
            Kind::Text,
            "The IP address they come from, as the application sees it: guesses from there are slowed down",
        ),
    ],
};

pub(super) static ANSWER: Record = Record {
    name: "SignedIn",
    about: "Who has signed in",
    members: &[
        Member::of("user", Kind::Object(&USER), "The person"),
        Member::of(
            "passwordChangeRequired",
            Kind::Boolean,
            "They must choose another password before they go on, on their account page",
        ),
    ],
};

static USER: Record = Record {
    name: "SignedInUser",
    about: "A person",
    members: &[
        Member::of("id", Kind::Text, "Their identity, the same in every dialect"),
        Member::of("number", Kind::Integer, "Their number within the tenant"),
        Member::of("userName", Kind::Text, "Their user name"),
        Member::of("email", Kind::Text, "Their preferred e-mail"),
        Member::of("externalId", Kind::Text, "The client's own key for them"),
        Member::of("givenName", Kind::Text, "First name"),
        Member::of("familyName", Kind::Text, "Last name"),
        Member::of("status", Kind::Text, "`active`"),
        Member::of("groups", Kind::List("group", &Kind::Text), "Ids of the groups they are in"),
    ],
};

pub(super) static ERROR: Record = Record {
    name: "SignInError",
    about: "Why nobody has signed in",
    members: &[
        Member::of(
            "error",
            Kind::Text,
            "For programs; `sign_in_refused` whatever is wrong with what was shown",
        ),
        Member::of("message", Kind::Text, "For people"),
    ],
};
