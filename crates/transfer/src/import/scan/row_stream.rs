//! Reads the rows of a file in batches: a small file at once, a larger one on its own thread.

use crate::formats::{self, FileError, Format, Row};
use crate::import::ImportOptions;
use tokio::sync::mpsc;

/// The largest file that is read without a thread, in bytes.
const SMALL_FILE_BYTES: u64 = 64 << 10;

/// Limits of a batch, and the number of batches in the channel.
const BATCH_ROWS: usize = 1_024;
const BATCH_BYTES: usize = 2 << 20;
const MAX_QUEUED_BATCHES: usize = 4;

pub(crate) struct RowStream {
    batches: mpsc::Receiver<Result<RowBatch, FileError>>,
    has_ended: bool,
}

struct RowBatch {
    rows: Vec<Row>,
    is_last: bool,
}

impl RowStream {
    /// The next rows; `None` at the end.
    ///
    /// # Errors
    /// The file cannot be read to its end.
    pub(crate) async fn recv(&mut self) -> Option<Result<Vec<Row>, FileError>> {
        if self.has_ended {
            return None;
        }
        let batch = self.batches.recv().await;
        // A channel that closes without a last batch means that the thread failed, not that the file ended.
        self.has_ended = !matches!(&batch, Some(Ok(RowBatch { is_last: false, .. })));
        let incomplete = || Err(FileError::new("the file could not be read to its end"));
        Some(batch.unwrap_or_else(incomplete).map(|batch| batch.rows))
    }
}

/// Whether a file is read without a thread. A workbook never is, since it is compressed.
pub fn is_small_file(options: &ImportOptions) -> bool {
    options.format != Format::Xlsx
        && std::fs::metadata(&options.path).is_ok_and(|file| file.is_file() && file.len() <= SMALL_FILE_BYTES)
}

pub(crate) fn stream_rows(options: &ImportOptions) -> RowStream {
    if is_small_file(options) {
        let mut all = Vec::new();
        read(options, &mut |batch| {
            all.push(batch);
            true
        });
        let (sender, batches) = mpsc::channel(all.len().max(1));
        for batch in all {
            drop(sender.try_send(batch));
        }
        return RowStream { batches, has_ended: false };
    }
    let (sender, batches) = mpsc::channel(MAX_QUEUED_BATCHES);
    let options = options.clone();
    std::thread::spawn(move || read(&options, &mut |batch| sender.blocking_send(batch).is_ok()));
    RowStream { batches, has_ended: false }
}

/// Sends the rows in batches, the last one marked, until `send` returns false.
fn read(options: &ImportOptions, send: &mut dyn FnMut(Result<RowBatch, FileError>) -> bool) {
    let (mut rows, mut bytes) = (Vec::with_capacity(BATCH_ROWS), 0);
    let read = formats::read(&options.path, options.format, &options.read_options, &mut |_, row| {
        bytes += row.approximate_size();
        rows.push(row);
        if rows.len() < BATCH_ROWS && bytes < BATCH_BYTES {
            return Ok(());
        }
        bytes = 0;
        let rows = std::mem::replace(&mut rows, Vec::with_capacity(BATCH_ROWS));
        let is_sent = send(Ok(RowBatch { rows, is_last: false }));
        if is_sent { Ok(()) } else { Err(FileError::new("the reader was dropped")) }
    });
    send(read.map(|_| RowBatch { rows, is_last: true }));
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that ends without a last batch is not the end of the file.
    #[test]
    fn a_reader_that_dies_is_an_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for (is_last, ends_well) in [(true, true), (false, false)] {
            let (sender, batches) = mpsc::channel(4);
            assert!(sender.try_send(Ok(RowBatch { rows: Vec::new(), is_last })).is_ok());
            drop(sender);
            let mut reading = RowStream { batches, has_ended: false };
            runtime.block_on(async {
                assert!(reading.recv().await.is_some_and(|rows| rows.is_ok()));
                let next = reading.recv().await;
                assert_eq!(next.is_none(), ends_well);
                assert_eq!(next.is_some_and(|rows| rows.is_err()), !ends_well);
                assert!(reading.recv().await.is_none());
            });
        }
    }
}
