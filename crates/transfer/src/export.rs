//! Everybody and everything of a tenant into a file, a page at a time: the memory it takes does not depend on how many
//! there are. Each page is as it is when it is read.

use crate::column::{COLUMNS, Column, Kind, What};
use crate::formats::{FileError, Format, Writer};
use crate::person::Shown;
use crate::refer::{Names, each};
use crate::thing;
use directory::{
    Caller, Directory, DirectoryError, ItemKind, ItemPageBoundary, ItemQuery, Page, PageBoundary,
    PasswordHash, SortPosition, User, UserQuery,
};
use serde_json::Value;
use std::collections::HashMap;
use std::sync::Arc;

/// People, and items, read at a time.
const PAGE: u32 = 1_000;

/// What is to be written.
#[derive(Clone, Debug)]
pub struct Options {
    /// In which format.
    pub format: Format,
    /// Only of these kinds.
    pub kinds: Vec<Kind>,
    /// Only these columns, in this order; the usual ones, when nothing is said.
    pub columns: Option<Vec<&'static Column>>,
    /// Stored passwords, too.
    pub with_password_hashes: bool,
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    /// The file does not take it.
    #[error(transparent)]
    File(#[from] FileError),
    /// The directory does not give it.
    #[error("{}", crate::refusal_in_words(.0))]
    Directory(DirectoryError),
}

impl From<DirectoryError> for ExportError {
    fn from(refusal: DirectoryError) -> Self {
        Self::Directory(refusal)
    }
}

/// Writes everything that was asked for; `seen` hears how many rows more are written. How many there were of each kind.
pub async fn run(
    directory: &Arc<Directory>,
    caller: &Caller,
    options: &Options,
    mut to: Box<dyn Writer>,
    mut seen: impl FnMut(u64),
) -> Result<Vec<(Kind, u64)>, ExportError> {
    let names = Names::load(directory, caller).await?;
    let mut counts = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| options.kinds.contains(kind)) {
        let columns = columns(options, kind);
        let headers: Vec<&str> = columns.iter().map(|column| column.name).collect();
        to.begin(Some(kind), &headers)?;
        let mut sheet = Sheet { columns, names: &names, to: &mut *to, seen: &mut seen, count: 0 };
        match kind {
            Kind::User => people(directory, caller, options.with_password_hashes, &mut sheet).await?,
            Kind::Item(kind) => items(directory, caller, kind, &mut sheet).await?,
        }
        counts.push((kind, sheet.count));
    }
    to.finish()?;
    Ok(counts)
}

/// The columns of a kind. In a table that all kinds share, they share them, too.
fn columns(options: &Options, kind: Kind) -> Vec<&'static Column> {
    if let Some(columns) = &options.columns {
        return columns.clone();
    }
    let is_one_table = options.format == Format::Csv;
    let is_alone = options.kinds.len() == 1;
    let has_kind = |column: &Column| match options.format {
        Format::Csv => !is_alone,
        Format::Xlsx => false,
        Format::Ndjson | Format::Ldif => column.what == What::Kind,
    };
    let is_wanted = |column: &&Column| {
        let is_of = if is_one_table {
            options.kinds.iter().any(|kind| column.is_of(*kind))
        } else {
            column.is_of(kind)
        };
        let is_usual = match column.what {
            What::Kind => has_kind(column),
            What::PasswordHash => options.with_password_hashes,
            _ => column.is_usual(),
        };
        is_of && is_usual
    };
    COLUMNS.iter().filter(is_wanted).collect()
}

/// What rows are written to.
struct Sheet<'a> {
    columns: Vec<&'static Column>,
    names: &'a Names,
    to: &'a mut dyn Writer,
    seen: &'a mut dyn FnMut(u64),
    count: u64,
}

impl Sheet<'_> {
    fn row(&mut self, cell: impl Fn(&Column) -> Option<Value>) -> Result<(), FileError> {
        let cells = self.columns.iter().enumerate();
        let cells: Vec<(usize, Value)> =
            cells.filter_map(|(place, column)| Some((place, cell(column)?))).collect();
        self.count += 1;
        self.to.row(&cells)
    }
}

async fn items(
    directory: &Directory,
    caller: &Caller,
    kind: ItemKind,
    sheet: &mut Sheet<'_>,
) -> Result<(), ExportError> {
    let mut bound = None;
    loop {
        let query = ItemQuery { limit: PAGE, boundary: bound, ..ItemQuery::all(kind) };
        let page = directory.items(caller, query).await?;
        let Some(last) = page.rows.last() else { return Ok(()) };
        bound = Some(ItemPageBoundary::After(last.number()));
        for item in &page.rows {
            let names = sheet.names;
            sheet.row(|column| thing::cell(item, column, names))?;
        }
        (sheet.seen)(page.rows.len() as u64);
    }
}

type Read = Result<(Page<User>, HashMap<u32, PasswordHash>), DirectoryError>;

/// A page of people behind a number, with their passwords if they are wanted.
async fn page(directory: Arc<Directory>, caller: Caller, after: u32, with_passwords: bool) -> Read {
    let bound = Some(PageBoundary::After(SortPosition { number: after, ..SortPosition::default() }));
    let page =
        directory.users(&caller, UserQuery { boundary: bound, limit: PAGE, ..UserQuery::default() }).await?;
    let mut passwords = HashMap::new();
    if let (Some(first), Some(last), true) = (page.rows.first(), page.rows.last(), with_passwords) {
        let range = (first.number, last.number);
        passwords.extend(directory.password_hashes(&caller, range).await?);
    }
    Ok((page, passwords))
}

async fn people(
    directory: &Arc<Directory>,
    caller: &Caller,
    with_passwords: bool,
    sheet: &mut Sheet<'_>,
) -> Result<(), ExportError> {
    let begin = |after: u32| tokio::spawn(page(Arc::clone(directory), caller.clone(), after, with_passwords));
    let mut reading = begin(0);
    loop {
        let read =
            reading.await.map_err(|error| DirectoryError::Internal(format!("a read was lost: {error}")))?;
        let (page, passwords) = read?;
        let Some(last) = page.rows.last() else { return Ok(()) };
        // While this page is written, the next one is read.
        reading = begin(last.number);
        for user in &page.rows {
            let shown = Shown { user, names: sheet.names, password: passwords.get(&user.number) };
            sheet.row(|column| if column.is_of(Kind::User) { shown.cell(column) } else { None })?;
        }
        (sheet.seen)(page.rows.len() as u64);
    }
}

/// How many rows an export of these kinds has, or nearly.
pub async fn estimate(directory: &Directory, caller: &Caller, kinds: &[Kind]) -> Result<u64, DirectoryError> {
    let mut total = 0;
    for kind in kinds {
        match kind {
            Kind::User => {
                total += directory.users(caller, UserQuery { limit: 1, ..UserQuery::default() }).await?.total;
            }
            Kind::Item(kind) => each(directory, caller, *kind, |_| total += 1).await?,
        }
    }
    Ok(total)
}
