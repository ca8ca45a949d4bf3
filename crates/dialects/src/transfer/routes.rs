//! The routes, and their handlers.

use super::{read, wire, write};
use crate::kit::transfers::{PendingUpload, Transfers};
use crate::kit::{
    AppState, DialectRequest, DialectResponse, FILE, MethodSpec, Parameter, RequestError, RequiredAccess, Route,
    RouteMethod, SuccessResponse, ValueType, param,
};
use http::StatusCode;

pub(super) const IMPORTS_PATH: &str = "/v1/imports";

const FORMAT_PARAM: Parameter = param(
    "format",
    ValueType::Enum(&["csv", "ndjson", "xlsx", "ldif"]),
    "Format of the file, if Content-Type does not specify it",
);

const IMPORT_PARAMS: &[Parameter] = &[
    FORMAT_PARAM,
    param("update", ValueType::Boolean, "Also change existing users; without it, they stay unchanged"),
    param("dryRun", ValueType::Boolean, "Report what would happen without changing anything"),
    param("invite", ValueType::Boolean, "Invite new users by email; without it, they are active at once"),
    param(
        "deactivateMissing",
        ValueType::Boolean,
        "Deactivate active users who are not in the file; users of rejected rows count as in the file",
    ),
    param(
        "deactivationLimit",
        ValueType::Integer,
        "Maximum share of active users to deactivate, in percent: 0 to 100, default 10. If more are missing, nothing \
         is imported",
    ),
    param("yesReally", ValueType::Boolean, "Deactivate missing users even if rejected rows name no existing user"),
    param("match", ValueType::Text, "Keys that identify users, most reliable first; default `id,external-id,email`"),
    param("map", ValueType::Text, "Map a header to a column: `HEADER=COLUMN`; may be repeated"),
    param("delimiter", ValueType::Text, "CSV delimiter, if it is not detected; `tab` for a tab"),
    param("encoding", ValueType::Text, "Encoding of a text file, if it is not detected"),
    param(
        "sheet",
        ValueType::Text,
        "Sheet of a workbook; default: those named after kinds (`Users`, …), else the first",
    ),
    param("emptyClears", ValueType::Boolean, "Empty cells clear stored values; without it, they are ignored"),
];

const EXPORT_PARAMS: &[Parameter] = &[
    param(
        "kind",
        ValueType::Text,
        "Export only this kind: `user`, `group`, `folder`, `organisation`, `department` or `role`; may be repeated",
    ),
    param("columns", ValueType::Text, "Export only these columns, separated by commas"),
    param("excel", ValueType::Boolean, "Write CSV with a byte order mark and semicolons, for Excel"),
];

const FILE_MEDIA_TYPES: &[&str] = &["text/csv; charset=utf-8", "application/x-ndjson", super::XLSX, "text/ldif"];

pub(super) static ROUTES: &[Route] = &[
    Route {
        path: IMPORTS_PATH,
        methods: &[
            RouteMethod {
                name: "POST",
                access: RequiredAccess::Write,
                spec: MethodSpec::new(
                    "Import users from a file, which is the body",
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
                spec: MethodSpec::new("Get the progress and report of an import", &[], None, &wire::IMPORT),
                handler: |state, request| Box::pin(async move { get_import(state, request) }),
            },
            RouteMethod {
                name: "DELETE",
                access: RequiredAccess::Write,
                spec: MethodSpec::new("Cancel an import; changes made so far remain", &[], None, &wire::IMPORT),
                handler: |state, request| Box::pin(async move { cancel_import(state, request) }),
            },
        ],
    },
    Route {
        path: "/v1/imports/{id}/refused",
        methods: &[RouteMethod {
            name: "GET",
            // The rows are as they were sent, and may contain passwords in clear text.
            access: RequiredAccess::Write,
            spec: MethodSpec::new(
                "Download the rejected rows with their reasons, to fix and import them again",
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
                "Export all users and items as a file; its name ends with the format, such as `people.csv`",
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
