//! The table of paths.

use super::{read, wire, write};
use crate::kit::transfers::{PendingUpload, Transfers};
use crate::kit::{
    AppState, DialectRequest, DialectResponse, FILE, MethodSpec, RequestError, RequiredAccess, Route, RouteMethod,
    SuccessResponse, ValueType,
};
use http::StatusCode;

/// Where imports are.
pub(super) const IMPORTS_PATH: &str = "/v1/imports";

const FORMAT_PARAM: (&str, ValueType, &str) = (
    "format",
    ValueType::Enum(&["csv", "ndjson", "xlsx", "ldif"]),
    "The format of the file, where Content-Type does not say it",
);

/// What can be said of an import.
const IMPORT_PARAMS: &[(&str, ValueType, &str)] = &[
    FORMAT_PARAM,
    ("update", ValueType::Boolean, "Change those who are there, too; without it they are left as they are"),
    ("dryRun", ValueType::Boolean, "Say what would happen, and do nothing"),
    ("invite", ValueType::Boolean, "Ask new people in by mail; without it they are active at once"),
    (
        "deactivateMissing",
        ValueType::Boolean,
        "Deactivate active users who are not in the file; users of rejected rows count as in the file",
    ),
    (
        "deactivationLimit",
        ValueType::Integer,
        "The most users to deactivate, in percent of the active ones: 0 to 100, 10 by default. If more are missing, nothing \
         is done",
    ),
    ("yesReally", ValueType::Boolean, "Deactivate missing users although rejected rows name no user who exists"),
    ("match", ValueType::Text, "What people are known by, the surest first; `id,external-id,email` when not said"),
    ("map", ValueType::Text, "What a header means, `HEADER=COLUMN`; may be repeated"),
    ("delimiter", ValueType::Text, "What stands between the cells of CSV, where it is not seen; `tab` for a tab"),
    ("encoding", ValueType::Text, "The encoding of a text file, where it is not seen"),
    ("sheet", ValueType::Text, "The sheet of a workbook"),
    ("emptyClears", ValueType::Boolean, "An empty cell clears what is stored; without it, it says nothing"),
];

const EXPORT_PARAMS: &[(&str, ValueType, &str)] = &[
    (
        "kind",
        ValueType::Text,
        "Only this: `user`, `group`, `folder`, `organisation`, `department` or `role`; may be repeated",
    ),
    ("columns", ValueType::Text, "Only these columns, with commas between"),
    ("excel", ValueType::Boolean, "CSV with a byte order mark and semicolons"),
];

/// The media types of files.
const FILE_MEDIA_TYPES: &[&str] = &["text/csv; charset=utf-8", "application/x-ndjson", super::XLSX, "text/ldif"];

/// Every path.
pub(super) static ROUTES: &[Route] = &[
    Route {
        path: IMPORTS_PATH,
        methods: &[
            RouteMethod {
                name: "POST",
                access: RequiredAccess::Write,
                spec: MethodSpec::new(
                    "Bring people in from a file, which is the body",
                    IMPORT_PARAMS,
                    Some(&FILE),
                    &wire::IMPORT,
                )
                .with_success(SuccessResponse::Accepted(&wire::IMPORT))
                .with_error_statuses(&[StatusCode::INSUFFICIENT_STORAGE]),
                handler: |state, request| Box::pin(async move { create_import(state, request) }),
            },
            RouteMethod {
                name: "GET",
                access: RequiredAccess::Read,
                spec: MethodSpec::new("List imports, newest first", &[], None, &wire::IMPORTS),
                handler: |state, request| {
                    Box::pin(async move {
                        Ok(write::import_list_response(&transfers(state)?.list_imports(request.caller()?)))
                    })
                },
            },
        ],
    },
    Route {
        path: "/v1/imports/{id}",
        methods: &[
            RouteMethod {
                name: "GET",
                access: RequiredAccess::Read,
                spec: MethodSpec::new("How far an import is, and what came of it", &[], None, &wire::IMPORT),
                handler: |state, request| Box::pin(async move { get_import(state, request) }),
            },
            RouteMethod {
                name: "DELETE",
                access: RequiredAccess::Write,
                spec: MethodSpec::new("Call an import off; what it has done stays", &[], None, &wire::IMPORT),
                handler: |state, request| Box::pin(async move { cancel_import(state, request) }),
            },
        ],
    },
    Route {
        path: "/v1/imports/{id}/refused",
        methods: &[RouteMethod {
            name: "GET",
            // They are as they were sent, and may hold passwords in clear.
            access: RequiredAccess::Write,
            spec: MethodSpec::new(
                "The rows that were refused, with the reasons, to be mended and sent again",
                &[],
                None,
                &FILE,
            )
            .with_success(SuccessResponse::File(FILE_MEDIA_TYPES)),
            handler: |state, request| Box::pin(async move { rejected_rows(state, request) }),
        }],
    },
    Route {
        path: "/v1/exports/{file}",
        methods: &[RouteMethod {
            name: "GET",
            access: RequiredAccess::Read,
            spec: MethodSpec::new(
                "Everybody and everything as a file; its name ends with the format, such as `people.csv`",
                EXPORT_PARAMS,
                None,
                &FILE,
            )
            .with_success(SuccessResponse::File(FILE_MEDIA_TYPES)),
            handler: |state, request| Box::pin(async move { export(state, request) }),
        }],
    },
];

fn transfers(state: &AppState) -> Result<&dyn Transfers, RequestError> {
    state.transfers.as_deref().ok_or(RequestError::NoRoute)
}

fn create_import(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let permit = state.concurrency.upload_permit(request.caller()?.tenant)?;
    let media = crate::kit::media_types::content_type(&request.headers);
    let opened =
        transfers(state)?.create_import(request.caller()?, media.as_deref(), &read::params(request, IMPORT_PARAMS)?);
    let (id, resource) = opened.map_err(read::rejection_error)?;
    let mut response = write::import_response(
        StatusCode::ACCEPTED,
        &resource,
        Some(&format!("{}{IMPORTS_PATH}/{id}", request.origin)),
    );
    response.extensions_mut().insert(PendingUpload(id));
    // The response is sent after the upload.
    Ok(response.map(|content| content.with_permits(vec![permit])))
}

fn get_import(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let found = transfers(state)?.get_import(request.caller()?, read::import_id(request)?);
    Ok(write::import_response(StatusCode::OK, &found.ok_or(RequestError::NoRoute)?, None))
}

fn cancel_import(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    if !transfers(state)?.cancel_import(request.caller()?, read::import_id(request)?).map_err(read::rejection_error)? {
        return Err(RequestError::NoRoute);
    }
    get_import(state, request)
}

fn rejected_rows(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let permit = state.concurrency.export_permit(request.caller()?.tenant)?;
    let found = transfers(state)?.rejected_rows(request.caller()?, read::import_id(request)?);
    let (media, content) = found.ok_or(RequestError::NoRoute)?;
    Ok(write::file_response(media, content.with_permits(vec![permit]), "refused"))
}

fn export(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let file = request.path_param(0);
    let permit = state.concurrency.export_permit(request.caller()?.tenant)?;
    let exported = transfers(state)?.export(request.caller()?, file, &read::params(request, EXPORT_PARAMS)?);
    let (media, content) = exported.map_err(read::rejection_error)?;
    let content = content.with_permits(vec![permit]);
    Ok(write::file_response(media, content, file))
}
