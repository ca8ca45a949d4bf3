//! Streams exports and files of rejected rows: chunks are produced while they are sent.

use super::options::parse_bool;
use bytes::Bytes;
use dialects::kit::transfers::{FileBody, Params};
use dialects::kit::{Chunk, ChunkSource, ResponseBody};
use directory::{BoxFuture, Caller, Directory, DirectoryError};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use transfer::InvalidOption;
use transfer::column::{RecordKind, column_by_name};
use transfer::export::{ExportOptions, run};
use transfer::formats::{CellEscaping, Format, WriteOptions, create_writer};

/// Bytes per chunk, and how many chunks may be queued.
const CHUNK_SIZE: usize = 64 * 1024;
const CHUNK_QUEUE: usize = 8;

/// Chunks from a producer thread. An empty chunk marks the end; without it, the response is incomplete.
struct ChannelChunks(mpsc::Receiver<Result<Bytes, DirectoryError>>);

impl ChunkSource for ChannelChunks {
    fn next_chunk(mut self: Box<Self>) -> BoxFuture<'static, Result<Option<Chunk>, DirectoryError>> {
        Box::pin(async move {
            match self.0.recv().await {
                Some(Ok(bytes)) if bytes.is_empty() => Ok(None),
                Some(Ok(bytes)) => Ok(Some((bytes, self as Box<dyn ChunkSource>))),
                Some(Err(error)) => Err(error),
                None => Err(DirectoryError::Internal("a download ended before it was complete".into())),
            }
        })
    }
}

/// Sends what is written in chunks.
struct ChunkWriter {
    chunks: mpsc::Sender<Result<Bytes, DirectoryError>>,
    buffer: Vec<u8>,
}

impl ChunkWriter {
    fn flush_chunk(&mut self) -> std::io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(CHUNK_SIZE));
        let disconnected = || std::io::Error::new(std::io::ErrorKind::BrokenPipe, "the client has disconnected");
        // This thread is inside `block_on`, where a blocking send would panic.
        tokio::task::block_in_place(|| self.chunks.blocking_send(Ok(full.into()))).map_err(|_| disconnected())
    }
}

impl Write for ChunkWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK_SIZE {
            self.flush_chunk()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.flush_chunk()
    }
}

/// Streams a file unchanged.
pub(super) fn file_content(mut file: File) -> ResponseBody {
    let (sender, receiver) = mpsc::channel(CHUNK_QUEUE);
    std::thread::spawn(move || {
        loop {
            let mut bytes = vec![0; CHUNK_SIZE];
            let read = match file.read(&mut bytes) {
                Ok(read) => read,
                Err(error) => {
                    let _ = sender.blocking_send(Err(DirectoryError::Internal(error.to_string())));
                    return;
                }
            };
            bytes.truncate(read);
            // An empty chunk marks the end.
            if sender.blocking_send(Ok(bytes.into())).is_err() || read == 0 {
                return;
            }
        }
    });
    ResponseBody::streamed(Box::new(ChannelChunks(receiver)))
}

/// Streams an export in the format of the file name, with its media type.
pub(super) fn export(
    directory: &Arc<Directory>,
    caller: &Caller,
    name: &str,
    params: &Params,
) -> Result<FileBody, InvalidOption> {
    let format = Format::from_path(Path::new(name)).ok_or("The file name must end in .csv, .ndjson, .xlsx or .ldif")?;
    let mut options = ExportOptions { format, kinds: Vec::new(), columns: None, with_password_hashes: false };
    let mut writing = WriteOptions { escaping: CellEscaping::Reversible, ..WriteOptions::default() };
    for (name, value) in params {
        match name.as_str() {
            "kind" => {
                let kind = RecordKind::from_word(value).ok_or_else(|| format!("Unknown kind '{value}'"))?;
                options.kinds.push(kind);
            }
            "columns" => {
                let column = |name: &str| column_by_name(name).ok_or_else(|| format!("Unknown column '{name}'"));
                options.columns = Some(value.split(',').map(column).collect::<Result<_, _>>()?);
            }
            _ => writing.excel_compatible = parse_bool(name, value)?,
        }
    }
    writing.check(format)?;
    if options.kinds.is_empty() {
        options.kinds = RecordKind::ALL.to_vec();
    }
    let is_password = |column: &&transfer::Column| column.name.starts_with("password");
    if options.columns.as_ref().is_some_and(|columns| columns.iter().any(is_password)) {
        return Err("Password columns cannot be exported over HTTP. Use `muster export --with-password-hashes`".into());
    }
    let (sender, receiver) = mpsc::channel(CHUNK_QUEUE);
    let (directory, caller) = (Arc::clone(directory), caller.clone());
    let handle = tokio::runtime::Handle::current();
    // Writers block, so they have a thread of their own; it enters the runtime for queries.
    std::thread::spawn(move || {
        let pipe = ChunkWriter { chunks: sender.clone(), buffer: Vec::with_capacity(CHUNK_SIZE) };
        let result = create_writer(format, Box::new(pipe), writing).map_err(transfer::export::ExportError::from);
        let result = result.and_then(|to| handle.block_on(run(&directory, &caller, &options, to, |_| {})));
        let end = match result {
            Ok(_) => Ok(Bytes::new()),
            Err(error) => Err(DirectoryError::Internal(error.to_string())),
        };
        // Fails if the client has disconnected.
        let _ = sender.blocking_send(end);
    });
    Ok(FileBody { media_type: format.media_type(), content: ResponseBody::streamed(Box::new(ChannelChunks(receiver))) })
}
