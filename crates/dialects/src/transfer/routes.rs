//! The table of paths.

use super::{read, wire, write};
use crate::kit::transfers::{Awaited, Transfers};
use crate::kit::{About, Access, Answer, Call, Desk, FILE, Fault, Kind, Route, Success, Verb};
use http::StatusCode;

/// Where imports are.
pub(super) const IMPORTS: &str = "/v1/imports";

const FORMAT: (&str, Kind, &str) = (
    "format",
    Kind::Word(&["csv", "ndjson", "xlsx", "ldif"]),
    "The format of the file, where Content-Type does not say it",
);

/// What can be said of an import.
const IMPORT: &[(&str, Kind, &str)] = &[
    FORMAT,
    ("update", Kind::Boolean, "Change those who are there, too; without it they are left as they are"),
    ("dryRun", Kind::Boolean, "Say what would happen, and do nothing"),
    ("invite", Kind::Boolean, "Ask new people in by mail; without it they are active at once"),
    (
        "deactivateMissing",
        Kind::Boolean,
        "Deactivate active users who are not in the file; users of rejected rows count as in the file",
    ),
    (
        "deactivationLimit",
        Kind::Integer,
        "The most users to deactivate, in percent of the active ones: 0 to 100, 10 by default. If more are missing, nothing \
         is done",
    ),
    ("yesReally", Kind::Boolean, "Deactivate missing users although rejected rows name no user who exists"),
    ("match", Kind::Text, "What people are known by, the surest first; `id,external-id,email` when not said"),
    ("map", Kind::Text, "What a header means, `HEADER=COLUMN`; may be repeated"),
    ("delimiter", Kind::Text, "What stands between the cells of CSV, where it is not seen; `tab` for a tab"),
    ("encoding", Kind::Text, "The encoding of a text file, where it is not seen"),
    ("sheet", Kind::Text, "The sheet of a workbook"),
    ("emptyClears", Kind::Boolean, "An empty cell clears what is stored; without it, it says nothing"),
];

const EXPORT: &[(&str, Kind, &str)] = &[
    (
        "kind",
        Kind::Text,
        "Only this: `user`, `group`, `folder`, `organisation`, `department` or `role`; may be repeated",
    ),
    ("columns", Kind::Text, "Only these columns, with commas between"),
    ("excel", Kind::Boolean, "CSV with a byte order mark and semicolons"),
];

/// The media types of files.
const FILES: &[&str] = &["text/csv; charset=utf-8", "application/x-ndjson", super::XLSX, "text/ldif"];

/// Every path.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: IMPORTS,
        verbs: &[
            Verb {
                method: "POST",
                access: Access::Write,
                about: About::new(
                    "Bring people in from a file, which is the body",
                    IMPORT,
                    Some(&FILE),
                    &wire::IMPORT,
                )
                .with(Success::Accepted(&wire::IMPORT))
                .failing(&[StatusCode::INSUFFICIENT_STORAGE]),
                handler: |desk, call| Box::pin(async move { open(desk, call) }),
            },
            Verb {
                method: "GET",
                access: Access::Read,
                about: About::new("List imports, newest first", &[], None, &wire::IMPORTS),
                handler: |desk, call| {
                    Box::pin(async move { Ok(write::list(&transfers(desk)?.all(call.caller()?))) })
                },
            },
        ],
    },
    Route {
        path: "/v1/imports/{id}",
        verbs: &[
            Verb {
                method: "GET",
                access: Access::Read,
                about: About::new("How far an import is, and what came of it", &[], None, &wire::IMPORT),
                handler: |desk, call| Box::pin(async move { one(desk, call) }),
            },
            Verb {
                method: "DELETE",
                access: Access::Write,
                about: About::new("Call an import off; what it has done stays", &[], None, &wire::IMPORT),
                handler: |desk, call| Box::pin(async move { call_off(desk, call) }),
            },
        ],
    },
    Route {
        path: "/v1/imports/{id}/refused",
        verbs: &[Verb {
            method: "GET",
            // They are as they were sent, and may hold passwords in clear.
            access: Access::Write,
            about: About::new(
                "The rows that were refused, with the reasons, to be mended and sent again",
                &[],
                None,
                &FILE,
            )
            .with(Success::File(FILES)),
            handler: |desk, call| Box::pin(async move { refused(desk, call) }),
        }],
    },
    Route {
        path: "/v1/exports/{file}",
        verbs: &[Verb {
            method: "GET",
            access: Access::Read,
            about: About::new(
                "Everybody and everything as a file; its name ends with the format, such as `people.csv`",
                EXPORT,
                None,
                &FILE,
            )
            .with(Success::File(FILES)),
            handler: |desk, call| Box::pin(async move { export(desk, call) }),
        }],
    },
];

fn transfers(desk: &Desk) -> Result<&dyn Transfers, Fault> {
    desk.transfers.as_deref().ok_or(Fault::NoRoute)
}

fn open(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let permit = desk.concurrency.upload(call.caller()?.tenant)?;
    let media = crate::kit::accept::content_type(&call.headers);
    let opened = transfers(desk)?.open(call.caller()?, media.as_deref(), &read::wishes(call, IMPORT)?);
    let (id, resource) = opened.map_err(read::fault)?;
    let mut answer =
        write::import(StatusCode::ACCEPTED, &resource, Some(&format!("{}{IMPORTS}/{id}", call.origin)));
    answer.extensions_mut().insert(Awaited(id));
    // The response is sent after the upload.
    Ok(answer.map(|content| content.holding(vec![permit])))
}

fn one(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let found = transfers(desk)?.one(call.caller()?, read::id(call)?);
    Ok(write::import(StatusCode::OK, &found.ok_or(Fault::NoRoute)?, None))
}

fn call_off(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    if !transfers(desk)?.call_off(call.caller()?, read::id(call)?).map_err(read::fault)? {
        return Err(Fault::NoRoute);
    }
    one(desk, call)
}

fn refused(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let permit = desk.concurrency.export(call.caller()?.tenant)?;
    let found = transfers(desk)?.refused(call.caller()?, read::id(call)?);
    let (media, content) = found.ok_or(Fault::NoRoute)?;
    Ok(write::file(media, content.holding(vec![permit]), "refused"))
}

fn export(desk: &Desk, call: &Call) -> Result<Answer, Fault> {
    let file = call.named(0);
    let permit = desk.concurrency.export(call.caller()?.tenant)?;
    let exported = transfers(desk)?.export(call.caller()?, file, &read::wishes(call, EXPORT)?);
    let (media, content) = exported.map_err(read::fault)?;
    let content = content.holding(vec![permit]);
    Ok(write::file(media, content, file))
}
