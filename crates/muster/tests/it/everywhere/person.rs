//! People by chance, as clients have them: texts of many scripts, marks of markup, blanks, everything optional.

use proptest::prelude::*;

/// A person as some client has it; each dialect sends the part it knows.
#[derive(Clone, Debug)]
pub(super) struct Person {
    pub(super) first: String,
    pub(super) last: String,
    pub(super) prefix: Option<String>,
    pub(super) external_id: Option<String>,
    pub(super) phone: Option<String>,
    pub(super) mobile: Option<String>,
    pub(super) job: Option<String>,
    pub(super) department: Option<String>,
    pub(super) department_number: Option<u8>,
    pub(super) lines: [Option<String>; 5],
    pub(super) photo: Option<String>,
    pub(super) links: Vec<(u8, String, String)>,
    pub(super) secretary: Option<(String, String)>,
    pub(super) bio: Option<String>,
    pub(super) source: Option<String>,
    pub(super) specialities: Option<String>,
    pub(super) role: u32,
    pub(super) licence: Option<String>,
    pub(super) zone: Option<String>,
    pub(super) color: Option<String>,
    pub(super) metadata: Vec<(String, String)>,
    pub(super) in_group: bool,
    pub(super) in_folder: bool,
    pub(super) status: &'static str,
    pub(super) password: bool,
    pub(super) force: bool,
    pub(super) nick: Option<String>,
    pub(super) middle: Option<String>,
    pub(super) home_email: bool,
    pub(super) division: Option<String>,
}

fn words(max: usize) -> impl Strategy<Value = String> {
    // Letters of many scripts, marks of markup, blanks inside, astral characters.
    proptest::collection::vec(
        prop::sample::select(vec![
            "a", "Z", "é", "ß", "日", "ع", "🦀", "<", "&", "'", "\"", "\\", " ", "0", "=", "]]>",
        ]),
        1..max,
    )
    .prop_map(|parts| format!("x{}x", parts.concat()))
    .prop_filter("length", move |text| text.encode_utf16().count() <= max)
}

fn maybe(max: usize) -> impl Strategy<Value = Option<String>> {
    proptest::option::of(words(max))
}

pub(super) fn person() -> impl Strategy<Value = Person> {
    let names = (words(40), words(40), maybe(10), maybe(50), maybe(20), maybe(20), maybe(60));
    let places = (
        maybe(60),
        proptest::option::of(any::<u8>()),
        [maybe(60), maybe(60), maybe(40), maybe(40), maybe(30)],
    );
    let texts = (maybe(80), proptest::option::of(words(20)), maybe(200), maybe(30), maybe(80));
    let links = proptest::collection::vec((0..3_u8, words(20), words(60)), 0..5);
    let more =
        (1..=6_u32, maybe(20), maybe(30), maybe(20), proptest::collection::vec((words(10), words(30)), 0..3));
    let status = prop::sample::select(vec!["active", "suspended", "disable", "archive", "pending"]);
    let flags = (any::<bool>(), any::<bool>(), status, any::<bool>(), any::<bool>());
    let standard = (maybe(40), maybe(40), any::<bool>(), maybe(40));
    (names, places, texts, links, more, flags, standard).prop_map(|(n, p, t, links, m, f, s)| Person {
        first: n.0,
        last: n.1,
        prefix: n.2,
        external_id: n.3,
        phone: n.4,
        mobile: n.5,
        job: n.6,
        department: p.0,
        department_number: p.1,
        lines: p.2,
        photo: t.0,
        secretary: t.1.map(|name| (name, "secretary@example.com".into())),
        bio: t.2,
        source: t.3,
        specialities: t.4,
        links,
        role: m.0,
        licence: m.1,
        zone: m.2,
        color: m.3,
        metadata: m.4,
        in_group: f.0,
        in_folder: f.1,
        status: f.2,
        password: f.3,
        force: f.4,
        nick: s.0,
        middle: s.1,
        home_email: s.2,
        division: s.3,
    })
}
