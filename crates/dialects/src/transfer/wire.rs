//! What travels besides the files themselves.

use crate::kit::{ObjectSchema, Property, ValueType};

pub(super) static IMPORT: ObjectSchema = ObjectSchema {
    name: "Import",
    description: "An import, how far it is, and what came of it",
    properties: &[
        Property::new("id", ValueType::Text, "Its identity"),
        Property::new("format", ValueType::Text, "`csv`, `ndjson`, `xlsx` or `ldif`"),
        Property::new("status", ValueType::Text, "`queued`, `running`, `done`, `failed` or `calledOff`"),
        Property::new("created", ValueType::Text, "When it was taken in (RFC 3339)"),
        Property::new("ended", ValueType::Text, "When it ended").nullable(),
        Property::new("dryRun", ValueType::Boolean, "Whether nothing is done"),
        Property::new("rows", ValueType::Integer, "How many rows the file has, once it was read").nullable(),
        Property::new("rowsDone", ValueType::Integer, "How many of them are done"),
        Property::new("error", ValueType::Text, "Why it failed, with row and column where there are any").nullable(),
        Property::new("report", ValueType::Object(&REPORT), "What came of it").nullable(),
    ],
};

static REPORT: ObjectSchema = ObjectSchema {
    name: "ImportReport",
    description: "What came of an import",
    properties: &[
        Property::new("people", ValueType::Object(&ROW_COUNTS), "Rows of people"),
        Property::new(
            "items",
            ValueType::Object(&ROW_COUNTS),
            "Rows of groups, folders, organisations, departments and roles",
        ),
        Property::new("made", ValueType::Integer, "Groups and folders that nobody had"),
        Property::new("deactivated", ValueType::Integer, "People who are not in the file and were switched off"),
        Property::new("created", ValueType::Object(&ROW_NOTES), "The rows of those who are new"),
        Property::new("changed", ValueType::Object(&ROW_NOTES), "The rows of those who were changed, and in what"),
        Property::new("left", ValueType::Object(&ROW_NOTES), "The rows of those who were left as they are"),
        Property::new("refusals", ValueType::Object(&ROW_NOTES), "The first rows that were refused, and why"),
        Property::new("missing", ValueType::Object(&ROW_NOTES), "The first references to users who do not exist"),
        Property::new("missingReferences", ValueType::Integer, "The number of such references"),
        Property::new(
            "ignored",
            ValueType::List("part", &ValueType::Object(&IGNORED)),
            "What the file contains and is not imported",
        ),
        Property::new("notes", ValueType::List("note", &ValueType::Text), "What else there is to say"),
    ],
};

static IGNORED: ObjectSchema = ObjectSchema {
    name: "ImportIgnored",
    description: "A part of the file that is not imported",
    properties: &[
        Property::new("part", ValueType::Text, "`sheet`, `entry`, `column`, `attribute` or `user`"),
        Property::new("name", ValueType::Text, "Its header, attribute, sheet or object class"),
        Property::new(
            "reason",
            ValueType::Text,
            "`unknown`, `otherKind`, `duplicate`, `furtherValue`, `url`, `binary`, …",
        ),
        Property::new("count", ValueType::Integer, "The number of values, entries or users"),
    ],
};

static ROW_COUNTS: ObjectSchema = ObjectSchema {
    name: "ImportTally",
    description: "How many rows came to what",
    properties: &[
        Property::new("created", ValueType::Integer, "New"),
        Property::new("changed", ValueType::Integer, "Changed"),
        Property::new("left", ValueType::Integer, "Left as they are"),
        Property::new("refused", ValueType::Integer, "Refused"),
    ],
};

static ROW_RANGE: ValueType = ValueType::List("row", &ValueType::Integer);

static ROW_NOTES: ObjectSchema = ObjectSchema {
    name: "ImportLines",
    description: "Rows and what is said of them",
    properties: &[
        Property::new(
            "rows",
            ValueType::List("stretch", &ROW_RANGE),
            "Stretches of rows, the first and the last of each",
        ),
        Property::new("first", ValueType::List("line", &ValueType::Object(&ROW_NOTE)), "The first of them"),
        Property::new("more", ValueType::Integer, "How many more there are"),
    ],
};

static ROW_NOTE: ObjectSchema = ObjectSchema {
    name: "ImportLine",
    description: "A row",
    properties: &[
        Property::new("row", ValueType::Integer, "The row, as people count it: the header is row 1"),
        Property::new("what", ValueType::Text, "What is said of it"),
    ],
};

pub(super) static IMPORTS: ObjectSchema = ObjectSchema {
    name: "Imports",
    description: "Imports, newest first",
    properties: &[Property::new("imports", ValueType::List("import", &ValueType::Object(&IMPORT)), "All of them")],
};

pub(super) static ERROR: ObjectSchema = ObjectSchema {
    name: "TransferError",
    description: "Why nothing was done",
    properties: &[
        Property::new("error", ValueType::Text, "For programs"),
        Property::new("message", ValueType::Text, "For people"),
    ],
};
