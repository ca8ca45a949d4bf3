//! Random users: texts in many scripts, markup characters, spaces, and optional attributes.

use proptest::prelude::*;

/// A user in a client system; each dialect sends the attributes it supports.
#[derive(Clone, Debug)]
pub(super) struct GeneratedUser {
    pub(super) first: String,
    pub(super) last: String,
    pub(super) prefix: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) mobile: Option<String>,
    pub(super) title: Option<String>,
    pub(super) department: Option<String>,
    pub(super) department_number: Option<u8>,
    pub(super) address_lines: [Option<String>; 5],
    pub(super) photo: Option<String>,
    pub(super) links: Vec<(u8, String, String)>,
    pub(super) secretary: Option<(String, String)>,
    pub(super) bio: Option<String>,
    pub(super) source: Option<String>,
    pub(super) specialities: Option<String>,
    pub(super) role: u32,
    pub(super) licence: Option<String>,
    pub(super) time_zone: Option<String>,
    pub(super) color: Option<String>,
    pub(super) metadata: Vec<(String, String)>,
    pub(super) in_group: bool,
    pub(super) in_folder: bool,
    pub(super) status: &'static str,
    pub(super) has_password: bool,
    pub(super) force_password_change: bool,
    pub(super) nick_name: Option<String>,
    pub(super) middle_name: Option<String>,
    pub(super) has_home_email: bool,
    pub(super) division: Option<String>,
}

fn text_up_to(max: usize) -> impl Strategy<Value = String> {
    // Letters of many scripts, markup characters, inner spaces, supplementary characters.
    proptest::collection::vec(
        prop::sample::select(vec![
            "a", "Z", "é", "ß", "日", "ع", "🦀", "<", "&", "'", "\"", "\\", " ", "0", "=", "]]>",
        ]),
        1..max,
    )
    .prop_map(|parts| format!("x{}x", parts.concat()))
    .prop_filter("length", move |text| text.encode_utf16().count() <= max)
}

fn optional_text(max: usize) -> impl Strategy<Value = Option<String>> {
    proptest::option::of(text_up_to(max))
}

pub(super) fn generated_user() -> impl Strategy<Value = GeneratedUser> {
    let names = (
        text_up_to(40),
        text_up_to(40),
        optional_text(10),
        optional_text(50),
        optional_text(20),
        optional_text(20),
        optional_text(60),
    );
    let places = (
        optional_text(60),
        proptest::option::of(any::<u8>()),
        [optional_text(60), optional_text(60), optional_text(40), optional_text(40), optional_text(30)],
    );
    let texts = (
        optional_text(80),
        proptest::option::of(text_up_to(20)),
        optional_text(200),
        optional_text(30),
        optional_text(80),
    );
    let links = proptest::collection::vec((0..3_u8, text_up_to(20), text_up_to(60)), 0..5);
    let more = (
        1..=6_u32,
        optional_text(20),
        optional_text(30),
        optional_text(20),
        proptest::collection::vec((text_up_to(10), text_up_to(30)), 0..3),
    );
    let status = prop::sample::select(vec!["active", "suspended", "disable", "archive", "pending"]);
    let flags = (any::<bool>(), any::<bool>(), status, any::<bool>(), any::<bool>());
    let standard = (optional_text(40), optional_text(40), any::<bool>(), optional_text(40));
    (names, places, texts, links, more, flags, standard).prop_map(|(n, p, t, links, m, f, s)| GeneratedUser {
        first: n.0,
        last: n.1,
        prefix: n.2,
        external_id: n.3,
        phone: n.4,
        mobile: n.5,
        title: n.6,
        department: p.0,
        department_number: p.1,
        address_lines: p.2,
        photo: t.0,
        secretary: t.1.map(|name| (name, "secretary@example.com".into())),
        bio: t.2,
        source: t.3,
        specialities: t.4,
        links,
        role: m.0,
        licence: m.1,
        time_zone: m.2,
        color: m.3,
        metadata: m.4,
        in_group: f.0,
        in_folder: f.1,
        status: f.2,
        has_password: f.3,
        force_password_change: f.4,
        nick_name: s.0,
        middle_name: s.1,
        has_home_email: s.2,
        division: s.3,
    })
}
