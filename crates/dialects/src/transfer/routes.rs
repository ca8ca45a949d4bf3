//! The routes, and their handlers.

use super::{read, wire, write};
use crate::kit::transfers::{CreatedImport, PendingUpload, Transfers};
use crate::kit::{
    AppState, DialectRequest, DialectResponse, FILE, MethodSpec, Parameter, RequestError, Route, SuccessResponse,
    ValueType, param, route_method, upload_key,
};
use directory::{SecurityEvent, SecurityKind};
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
    param("yesReally", ValueType::Boolean, "Deactivate even if a rejected row that matches no user may be one of them"),
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
            route_method!(
                "POST",
                Write,
                create_import,
                MethodSpec::new(
                    "Import users from a file, which is the body",
                    IMPORT_PARAMS,
                    Some(&FILE),
                    &wire::IMPORT
                )
                .with_success(SuccessResponse::Accepted(&wire::IMPORT))
                .with_error_statuses(&[StatusCode::INSUFFICIENT_STORAGE])
            ),
            route_method!(
                "GET",
                Read,
                list_imports,
                MethodSpec::new("List imports, newest first", &[], None, &wire::IMPORTS)
            ),
        ],
    },
    Route {
        path: "/v1/imports/{id}",
        methods: &[
            route_method!(
                "GET",
                Read,
                get_import,
                MethodSpec::new("Get the progress and report of an import", &[], None, &wire::IMPORT)
            ),
            route_method!(
                "DELETE",
                Write,
                cancel_import,
                MethodSpec::new("Cancel an import; changes made so far remain", &[], None, &wire::IMPORT)
            ),
        ],
    },
    Route {
        path: "/v1/imports/{id}/refused",
        // The rows are as they were sent, and may contain passwords in clear text, so a read-only key cannot get them.
        methods: &[route_method!(
            "GET",
            Write,
            rejected_rows,
            MethodSpec::new("Download the rejected rows with reasons, to fix and import them again", &[], None, &FILE)
                .with_success(SuccessResponse::File(FILE_MEDIA_TYPES))
        )],
    },
    Route {
        path: "/v1/exports/{file}",
        methods: &[route_method!(
            "GET",
            Read,
            export,
            MethodSpec::new(
                "Export all users and items as a file; its name ends with the format, such as `people.csv`",
                EXPORT_PARAMS,
                None,
                &FILE
            )
            .with_success(SuccessResponse::File(FILE_MEDIA_TYPES))
        )],
    },
];

fn transfers(state: &AppState) -> Result<&dyn Transfers, RequestError> {
    state.transfers.as_deref().ok_or(RequestError::NoRoute)
}

async fn create_import(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let permit = state.concurrency.upload_permit(request.caller()?.tenant)?;
    let media = crate::kit::media_types::content_type(&request.headers);
    let params = read::params(request, IMPORT_PARAMS)?;
    let key = upload_key(state, request, format!("{media:?} {params:?}").into_bytes()).await?;
    let opened = transfers(state)?.create_import(request.caller()?, media.as_deref(), &params);
    let CreatedImport { id, resource } = opened.map_err(read::rejection_error)?;
    let url = format!("{}{IMPORTS_PATH}", request.origin);
    let mut response = write::accepted_import(&url, id, &resource);
    response.extensions_mut().insert(PendingUpload { id, url, key });
    // The body holds the permit, so it is kept until the response is sent, after the upload.
    Ok(response.map(|content| content.with_permits(vec![permit])))
}

async fn list_imports(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    Ok(write::import_list_response(&transfers(state)?.list_imports(request.caller()?)))
}

async fn get_import(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let found = transfers(state)?.get_import(request.caller()?, read::import_id(request)?);
    Ok(write::import_response(StatusCode::OK, &found.ok_or(RequestError::NoRoute)?, None))
}

async fn cancel_import(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    transfers(state)?.cancel_import(request.caller()?, read::import_id(request)?).map_err(read::rejection_error)?;
    get_import(state, request).await
}

fn record_download(
    state: &AppState,
    request: &DialectRequest,
    kind: SecurityKind,
    reason: &str,
) -> Result<(), RequestError> {
    let caller = request.caller()?;
    let (source, reason) = (caller.actor.to_string(), reason.to_owned());
    state.directory.record_security_event(SecurityEvent { tenant: caller.tenant, kind, source, reason, user: None });
    Ok(())
}

async fn rejected_rows(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let permit = state.concurrency.export_permit(request.caller()?.tenant)?;
    let found = transfers(state)?.rejected_rows(request.caller()?, read::import_id(request)?);
    let file = found.ok_or(RequestError::NoRoute)?;
    record_download(state, request, SecurityKind::Download, "rejected-rows")?;
    Ok(write::file_response(file.media_type, file.content.with_permits(vec![permit]), "refused"))
}

async fn export(state: &AppState, request: &DialectRequest) -> Result<DialectResponse, RequestError> {
    let name = request.path_param(0);
    let permit = state.concurrency.export_permit(request.caller()?.tenant)?;
    let exported = transfers(state)?.export(request.caller()?, name, &read::params(request, EXPORT_PARAMS)?);
    let file = exported.map_err(read::rejection_error)?;
    record_download(state, request, SecurityKind::Export, "export")?;
    Ok(write::file_response(file.media_type, file.content.with_permits(vec![permit]), name))
}
