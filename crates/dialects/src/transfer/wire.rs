//! Responses as tables; the files are not described here.

use crate::kit::{ObjectSchema, Property, ValueType};

pub(super) static IMPORT: ObjectSchema = ObjectSchema {
    name: "Import",
    description: "An import, its progress and its report",
    properties: &[
        Property::new("id", ValueType::Text, "Id of the import"),
        Property::new("format", ValueType::Text, "`csv`, `ndjson`, `xlsx` or `ldif`"),
        Property::new("status", ValueType::Text, "`queued`, `running`, `done`, `failed` or `calledOff`"),
        Property::new("created", ValueType::Text, "When the import was created (RFC 3339)"),
        Property::new("ended", ValueType::Text, "When it ended (RFC 3339)").nullable(),
        Property::new("dryRun", ValueType::Boolean, "Whether nothing is changed"),
        Property::new("rows", ValueType::Integer, "Number of rows, once the file was read").nullable(),
        Property::new("rowsDone", ValueType::Integer, "Number of processed rows"),
        Property::new("error", ValueType::Text, "Why it failed, with row and column if known").nullable(),
        Property::new("report", ValueType::Object(&REPORT), "The report, once it is available").nullable(),
    ],
};

static REPORT: ObjectSchema = ObjectSchema {
    name: "ImportReport",
    description: "The result of an import",
    properties: &[
        Property::new("people", ValueType::Object(&ROW_COUNTS), "Rows of users"),
        Property::new(
            "items",
            ValueType::Object(&ROW_COUNTS),
            "Rows of groups, folders, organisations, departments and roles",
        ),
        Property::new("made", ValueType::Integer, "Groups and folders that were created because users are in them"),
        Property::new("deactivated", ValueType::Integer, "Users deactivated because they are not in the file"),
        Property::new("created", ValueType::Object(&ROW_NOTES), "Rows that created something"),
        Property::new("changed", ValueType::Object(&ROW_NOTES), "Rows that changed something, with the columns"),
        Property::new("left", ValueType::Object(&ROW_NOTES), "Rows that changed nothing"),
        Property::new("refusals", ValueType::Object(&ROW_NOTES), "The first rejected rows, with the reasons"),
        Property::new("missing", ValueType::Object(&ROW_NOTES), "The first references to users who do not exist"),
        Property::new("missingReferences", ValueType::Integer, "The number of such references"),
        Property::new(
            "ignored",
            ValueType::List("part", &ValueType::Object(&IGNORED)),
            "Parts of the file that are not imported",
        ),
        Property::new("notes", ValueType::List("note", &ValueType::Text), "Further notes"),
    ],
};

static IGNORED: ObjectSchema = ObjectSchema {
    name: "ImportIgnored",
    description: "A part of the file that is not imported",
    properties: &[
        Property::new("part", ValueType::Text, "`sheet`, `entry`, `column`, `attribute` or `user`"),
        Property::new("name", ValueType::Text, "The header, attribute, sheet or object class"),
        Property::new(
            "reason",
            ValueType::Text,
            "`unknown` name, `otherKind` of record, `duplicate` column, `furtherValue` of a single-valued column, `url`, …",
        ),
        Property::new("count", ValueType::Integer, "The number of values, entries or users"),
    ],
};

static ROW_COUNTS: ObjectSchema = ObjectSchema {
    name: "ImportTally",
    description: "Numbers of rows by result",
    properties: &[
        Property::new("created", ValueType::Integer, "Created"),
        Property::new("changed", ValueType::Integer, "Changed"),
        Property::new("left", ValueType::Integer, "Unchanged"),
        Property::new("refused", ValueType::Integer, "Rejected"),
    ],
};

static ROW_RANGE: ValueType = ValueType::List("row", &ValueType::Integer);

static ROW_NOTES: ObjectSchema = ObjectSchema {
    name: "ImportLines",
    description: "Rows with messages",
    properties: &[
        Property::new("rows", ValueType::List("stretch", &ROW_RANGE), "Ranges of rows, each as its first and last row"),
        Property::new("first", ValueType::List("line", &ValueType::Object(&ROW_NOTE)), "The first rows, with messages"),
        Property::new("more", ValueType::Integer, "Number of further messages"),
    ],
};

static ROW_NOTE: ObjectSchema = ObjectSchema {
    name: "ImportLine",
    description: "A row with a message",
    properties: &[
        Property::new("row", ValueType::Integer, "Number of the row; the header is row 1"),
        Property::new("what", ValueType::Text, "The message"),
    ],
};

pub(super) static IMPORTS: ObjectSchema = ObjectSchema {
    name: "Imports",
    description: "Imports, newest first",
    properties: &[Property::new("imports", ValueType::List("import", &ValueType::Object(&IMPORT)), "The imports")],
};

pub(super) static ERROR: ObjectSchema = ObjectSchema {
    name: "TransferError",
    description: "An error",
    properties: &[
        Property::new("error", ValueType::Text, "The error code"),
        Property::new("message", ValueType::Text, "The error message"),
    ],
};
