//! Rows as they are read from a file, on a thread of their own.

use super::Options;
use crate::formats::{self, FileError, Row};
use tokio::sync::mpsc;

/// Rows that are handed over at a time, bytes of them, and how many such parcels wait.
const PARCEL: usize = 256;
const PARCEL_BYTES: usize = 2 << 20;
const PARCELS: usize = 4;

/// Rows that arrive in parcels.
pub(super) struct Reading {
    parcels: mpsc::Receiver<Result<Parcel, FileError>>,
    has_ended: bool,
}

struct Parcel {
    rows: Vec<Row>,
    is_last: bool,
}

impl Reading {
    /// The next rows; `None` after the last ones.
    ///
    /// # Errors
    /// The file cannot be read to its end.
    pub(super) async fn recv(&mut self) -> Option<Result<Vec<Row>, FileError>> {
        if self.has_ended {
            return None;
        }
        let parcel = self.parcels.recv().await;
        // A thread that ends without an end marker has failed; that is not the end of the file.
        self.has_ended = !matches!(&parcel, Some(Ok(Parcel { is_last: false, .. })));
        let lost = || Err(FileError::new("it could not be read to its end"));
        Some(parcel.unwrap_or_else(lost).map(|parcel| parcel.rows))
    }
}

/// Starts to read a file.
pub(super) fn reading(options: &Options) -> Reading {
    let (sender, parcels) = mpsc::channel(PARCELS);
    let options = options.clone();
    std::thread::spawn(move || {
        let (mut rows, mut bytes) = (Vec::with_capacity(PARCEL), 0);
        let gone = || FileError::new("nobody reads on");
        let read = formats::read(&options.path, options.format, &options.reading, &mut |_, row| {
            bytes += row.weight();
            rows.push(row);
            if rows.len() < PARCEL && bytes < PARCEL_BYTES {
                return Ok(());
            }
            bytes = 0;
            let rows = std::mem::replace(&mut rows, Vec::with_capacity(PARCEL));
            sender.blocking_send(Ok(Parcel { rows, is_last: false })).map_err(|_| gone())
        });
        // Whoever has gone hears nothing.
        let _ = sender.blocking_send(read.map(|()| Parcel { rows, is_last: true }));
    });
    Reading { parcels, has_ended: false }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A thread that ends without an end marker is not the end of the file.
    #[test]
    fn a_reader_that_dies_is_an_error() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for (is_last, ends_well) in [(true, true), (false, false)] {
            let (sender, parcels) = mpsc::channel(4);
            assert!(sender.try_send(Ok(Parcel { rows: Vec::new(), is_last })).is_ok());
            drop(sender);
            let mut reading = Reading { parcels, has_ended: false };
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
