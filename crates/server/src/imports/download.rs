//! Files on their way out: made while they are sent, a part at a time.

use super::options::parse_bool;
use bytes::Bytes;
use dialects::kit::transfers::Params;
use dialects::kit::{Chunk, ChunkSource, ResponseBody};
use directory::{BoxFuture, Caller, Directory, DirectoryError};
use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::mpsc;
use transfer::column::{RecordKind, column_by_name};
use transfer::export::{ExportOptions, run};
use transfer::formats::{CellEscaping, Format, WriteOptions, create_writer};

/// Bytes of a part, and how many may be on their way.
const CHUNK_SIZE: usize = 64 * 1024;
const CHUNK_QUEUE: usize = 8;

/// Chunks as they come from whoever makes them. The last word is that all of it was made; without it, it is cut.
struct ChannelChunks(mpsc::Receiver<Result<Bytes, DirectoryError>>);

impl ChunkSource for ChannelChunks {
    fn next_chunk(mut self: Box<Self>) -> BoxFuture<'static, Result<Option<Chunk>, DirectoryError>> {
        Box::pin(async move {
            match self.0.recv().await {
                Some(Ok(bytes)) if bytes.is_empty() => Ok(None),
                Some(Ok(bytes)) => Ok(Some((bytes, self as Box<dyn ChunkSource>))),
                Some(Err(refusal)) => Err(refusal),
                None => Err(DirectoryError::Internal("a file was not made whole".into())),
            }
        })
    }
}

/// Takes what is written and hands it on in parts.
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
        let disconnected = || std::io::Error::new(std::io::ErrorKind::BrokenPipe, "nobody takes it any more");
        // Whoever writes does so in between what it asks the directory, so this thread is the runtime's meanwhile.
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

/// A file as it is.
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
            // An empty part is the end.
            if sender.blocking_send(Ok(bytes.into())).is_err() || read == 0 {
                return;
            }
        }
    });
    ResponseBody::streamed(Box::new(ChannelChunks(receiver)))
}

/// Everybody and everything, as a file of that name would have it.
pub(super) fn export(
    directory: &Arc<Directory>,
    caller: &Caller,
    name: &str,
    params: &Params,
) -> Result<(&'static str, ResponseBody), String> {
    let format = Format::from_path(Path::new(name))
        .ok_or("the file's name ends with what it is to be: .csv, .ndjson, .xlsx or .ldif")?;
    let mut options = ExportOptions { format, kinds: Vec::new(), columns: None, with_password_hashes: false };
    let mut writing = WriteOptions { escaping: CellEscaping::Reversible, ..WriteOptions::default() };
    for (name, value) in params {
        match name.as_str() {
            "kind" => {
                let kind =
                    RecordKind::from_word(value).ok_or_else(|| format!("there is nothing of the kind {value}"))?;
                options.kinds.push(kind);
            }
            "columns" => {
                let column = |name: &str| column_by_name(name).ok_or_else(|| format!("there is no column {name}"));
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
        return Err("passwords do not go over the network; `muster export --with-password-hashes` writes them".into());
    }
    let (sender, receiver) = mpsc::channel(CHUNK_QUEUE);
    let (directory, caller) = (Arc::clone(directory), caller.clone());
    let handle = tokio::runtime::Handle::current();
    // Writers are not made for waiting, so they have a thread; the directory is asked on the runtime.
    std::thread::spawn(move || {
        let pipe = ChunkWriter { chunks: sender.clone(), buffer: Vec::with_capacity(CHUNK_SIZE) };
        let result = create_writer(format, Box::new(pipe), writing).map_err(transfer::export::ExportError::from);
        let result = result.and_then(|to| handle.block_on(run(&directory, &caller, &options, to, |_| {})));
        let end = match result {
            Ok(_) => Ok(Bytes::new()),
            Err(error) => Err(DirectoryError::Internal(error.to_string())),
        };
        // Whoever has gone hears nothing.
        let _ = sender.blocking_send(end);
    });
    Ok((format.media_type(), ResponseBody::streamed(Box::new(ChannelChunks(receiver)))))
}
