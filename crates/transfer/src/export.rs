//! Export of a tenant's users and items to a file, page by page: memory use does not depend on their number. Each
//! page is read at a different time, so an export is not a snapshot.

use crate::column::{COLUMNS, Column, ColumnKind, RecordKind};
use crate::formats::{FileError, Format, RowWriter};
use crate::item_row;
use crate::reference_resolver::{ItemNames, for_each_item};
use crate::user_row::UserCells;
use directory::{
    Caller, Directory, DirectoryError, ItemKind, ItemPageBoundary, ItemQuery, Page, PageBoundary, PasswordHash,
    SortPosition, User, UserQuery,
};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// Users or items read at a time.
const PAGE_SIZE: u32 = 1_000;

#[derive(Clone, Debug)]
pub struct ExportOptions {
    pub format: Format,
    pub kinds: Vec<RecordKind>,
    /// Only these columns, in this order; `None` for the default columns.
    pub columns: Option<Vec<&'static Column>>,
    pub with_password_hashes: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("{}", crate::error_message(.0))]
    Directory(DirectoryError),
}

impl From<DirectoryError> for ExportError {
    fn from(error: DirectoryError) -> Self {
        Self::Directory(error)
    }
}

/// Exports what `options` select and returns the number of rows of each kind. `on_progress` gets the number of
/// newly written rows.
pub async fn run(
    directory: &Arc<Directory>,
    caller: &Caller,
    options: &ExportOptions,
    mut writer: Box<dyn RowWriter>,
    mut on_progress: impl FnMut(u64),
) -> Result<Vec<(RecordKind, u64)>, ExportError> {
    let names = ItemNames::load(directory, caller).await?;
    let mut counts = Vec::new();
    for kind in RecordKind::ALL.into_iter().filter(|kind| options.kinds.contains(kind)) {
        let columns = columns(options, kind);
        let headers: Vec<&str> = columns.iter().map(|column| column.name).collect();
        writer.begin(Some(kind), &headers)?;
        let mut table =
            TableExport { columns, names: &names, writer: &mut *writer, on_progress: &mut on_progress, row_count: 0 };
        match kind {
            RecordKind::User => {
                export_users(directory, caller, options.with_password_hashes, &mut table).await?;
            }
            RecordKind::Item(kind) => export_items(directory, caller, kind, &mut table).await?,
        }
        counts.push((kind, table.row_count));
    }
    writer.finish()?;
    Ok(counts)
}

/// The columns of a kind. Kinds that share one table share its columns.
fn columns(options: &ExportOptions, kind: RecordKind) -> Vec<&'static Column> {
    if let Some(columns) = &options.columns {
        return columns.clone();
    }
    let is_shared_table = options.format == Format::Csv;
    let is_single_kind = options.kinds.len() == 1;
    let has_kind_column = |column: &Column| match options.format {
        Format::Csv => !is_single_kind,
        Format::Xlsx => false,
        Format::Ndjson | Format::Ldif => column.kind == ColumnKind::RecordKind,
    };
    let is_wanted = |column: &&Column| {
        let applies = if is_shared_table {
            options.kinds.iter().any(|kind| column.applies_to(*kind))
        } else {
            column.applies_to(kind)
        };
        let is_included = match column.kind {
            ColumnKind::RecordKind => has_kind_column(column),
            ColumnKind::PasswordHash => options.with_password_hashes,
            _ => column.is_exported_by_default(),
        };
        applies && is_included
    };
    COLUMNS.iter().filter(is_wanted).collect()
}

struct TableExport<'a> {
    columns: Vec<&'static Column>,
    names: &'a ItemNames,
    writer: &'a mut dyn RowWriter,
    on_progress: &'a mut dyn FnMut(u64),
    row_count: u64,
}

impl TableExport<'_> {
    fn write_row(&mut self, cell: impl Fn(&Column) -> Option<Value>) -> Result<(), FileError> {
        let cells = self.columns.iter().enumerate();
        let cells: Vec<(usize, Value)> = cells.filter_map(|(place, column)| Some((place, cell(column)?))).collect();
        self.row_count += 1;
        self.writer.write_row(&cells)
    }
}

async fn export_items(
    directory: &Directory,
    caller: &Caller,
    kind: ItemKind,
    table: &mut TableExport<'_>,
) -> Result<(), ExportError> {
    let mut bound = None;
    loop {
        let query = ItemQuery { limit: PAGE_SIZE, boundary: bound, ..ItemQuery::all(kind) };
        let page = directory.find_items(caller, query).await?;
        let Some(last) = page.rows.last() else { return Ok(()) };
        bound = Some(ItemPageBoundary::After(last.number()));
        for item in &page.rows {
            let names = table.names;
            table.write_row(|column| item_row::cell(item, column, names))?;
        }
        (table.on_progress)(page.rows.len() as u64);
    }
}

type UserPageResult = Result<(Page<User>, HashMap<u32, PasswordHash>), DirectoryError>;

/// The users after a number, and their password hashes if requested.
async fn read_user_page(directory: Arc<Directory>, caller: Caller, after: u32, with_passwords: bool) -> UserPageResult {
    let bound = Some(PageBoundary::After(SortPosition { number: after, ..SortPosition::default() }));
    let page =
        directory.find_users(&caller, UserQuery { boundary: bound, limit: PAGE_SIZE, ..UserQuery::default() }).await?;
    let mut passwords = HashMap::new();
    if let (Some(first), Some(last), true) = (page.rows.first(), page.rows.last(), with_passwords) {
        passwords.extend(directory.password_hashes(&caller, first.number..=last.number).await?);
    }
    Ok((page, passwords))
}

async fn export_users(
    directory: &Arc<Directory>,
    caller: &Caller,
    with_passwords: bool,
    table: &mut TableExport<'_>,
) -> Result<(), ExportError> {
    let spawn_read =
        |after: u32| tokio::spawn(read_user_page(Arc::clone(directory), caller.clone(), after, with_passwords));
    let mut next_page = spawn_read(0);
    loop {
        let page_read =
            next_page.await.map_err(|error| DirectoryError::Internal(format!("a background read failed: {error}")))?;
        let (page, passwords) = page_read?;
        let Some(last) = page.rows.last() else { return Ok(()) };
        // Read the next page while this one is written.
        next_page = spawn_read(last.number);
        for user in &page.rows {
            let cells = UserCells { user, names: table.names, password: passwords.get(&user.number) };
            table.write_row(|column| if column.applies_to(RecordKind::User) { cells.cell(column) } else { None })?;
        }
        (table.on_progress)(page.rows.len() as u64);
    }
}

/// The approximate number of rows of an export.
pub async fn estimate_rows(
    directory: &Directory,
    caller: &Caller,
    kinds: &[RecordKind],
) -> Result<u64, DirectoryError> {
    let mut total = 0;
    for kind in kinds {
        match kind {
            RecordKind::User => {
                total += directory.find_users(caller, UserQuery { limit: 1, ..UserQuery::default() }).await?.total;
            }
            RecordKind::Item(kind) => for_each_item(directory, caller, *kind, |_| total += 1).await?,
        }
    }
    Ok(total)
}
