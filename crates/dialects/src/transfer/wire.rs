//! What travels besides the files themselves.

use crate::kit::{Kind, Member, Record};

pub(super) static IMPORT: Record = Record {
    name: "Import",
    about: "An import, how far it is, and what came of it",
    members: &[
        Member::of("id", Kind::Text, "Its identity"),
        Member::of("format", Kind::Text, "`csv`, `ndjson`, `xlsx` or `ldif`"),
        Member::of("status", Kind::Text, "`queued`, `running`, `done`, `failed` or `calledOff`"),
        Member::of("created", Kind::Text, "When it was taken in (RFC 3339)"),
        Member::of("ended", Kind::Text, "When it ended").nullable(),
        Member::of("dryRun", Kind::Boolean, "Whether nothing is done"),
        Member::of("rows", Kind::Integer, "How many rows the file has, once it was read").nullable(),
        Member::of("rowsDone", Kind::Integer, "How many of them are done"),
        Member::of("error", Kind::Text, "Why it failed, with row and column where there are any").nullable(),
        Member::of("report", Kind::Object(&REPORT), "What came of it").nullable(),
    ],
};

static REPORT: Record = Record {
    name: "ImportReport",
    about: "What came of an import",
    members: &[
        Member::of("people", Kind::Object(&TALLY), "Rows of people"),
        Member::of(
            "items",
            Kind::Object(&TALLY),
            "Rows of groups, folders, organisations, departments and roles",
        ),
        Member::of("made", Kind::Integer, "Groups and folders that nobody had"),
        Member::of("deactivated", Kind::Integer, "People who are not in the file and were switched off"),
        Member::of("created", Kind::Object(&LINES), "The rows of those who are new"),
        Member::of("changed", Kind::Object(&LINES), "The rows of those who were changed, and in what"),
        Member::of("left", Kind::Object(&LINES), "The rows of those who were left as they are"),
        Member::of("refusals", Kind::Object(&LINES), "The first rows that were refused, and why"),
        Member::of("missing", Kind::Object(&LINES), "The first references to users who do not exist"),
        Member::of("missingReferences", Kind::Integer, "The number of such references"),
        Member::of(
            "ignored",
            Kind::List("part", &Kind::Object(&IGNORED)),
            "What the file contains and is not imported",
        ),
        Member::of("notes", Kind::List("note", &Kind::Text), "What else there is to say"),
    ],
};

static IGNORED: Record = Record {
    name: "ImportIgnored",
    about: "A part of the file that is not imported",
    members: &[
        Member::of("part", Kind::Text, "`sheet`, `entry`, `column`, `attribute` or `user`"),
        Member::of("name", Kind::Text, "Its header, attribute, sheet or object class"),
        Member::of(
            "reason",
            Kind::Text,
            "`unknown`, `otherKind`, `duplicate`, `furtherValue`, `url`, `binary`, …",
        ),
        Member::of("count", Kind::Integer, "The number of values, entries or users"),
    ],
};

static TALLY: Record = Record {
    name: "ImportTally",
    about: "How many rows came to what",
    members: &[
        Member::of("created", Kind::Integer, "New"),
        Member::of("changed", Kind::Integer, "Changed"),
        Member::of("left", Kind::Integer, "Left as they are"),
        Member::of("refused", Kind::Integer, "Refused"),
    ],
};

static STRETCH: Kind = Kind::List("row", &Kind::Integer);

static LINES: Record = Record {
    name: "ImportLines",
    about: "Rows and what is said of them",
    members: &[
        Member::of(
            "rows",
            Kind::List("stretch", &STRETCH),
            "Stretches of rows, the first and the last of each",
        ),
        Member::of("first", Kind::List("line", &Kind::Object(&LINE)), "The first of them"),
        Member::of("more", Kind::Integer, "How many more there are"),
    ],
};

static LINE: Record = Record {
    name: "ImportLine",
    about: "A row",
    members: &[
        Member::of("row", Kind::Integer, "The row, as people count it: the header is row 1"),
        Member::of("what", Kind::Text, "What is said of it"),
    ],
};

pub(super) static IMPORTS: Record = Record {
    name: "Imports",
    about: "Imports, newest first",
    members: &[Member::of("imports", Kind::List("import", &Kind::Object(&IMPORT)), "All of them")],
};

pub(super) static ERROR: Record = Record {
    name: "TransferError",
    about: "Why nothing was done",
    members: &[
        Member::of("error", Kind::Text, "For programs"),
        Member::of("message", Kind::Text, "For people"),
    ],
};
