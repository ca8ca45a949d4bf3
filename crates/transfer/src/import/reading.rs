//! Reading rows of a file: of a small one at once, of a larger one on a thread of its own.

use super::Options;
use crate::formats::{self, FileError, Format, Row};
use tokio::sync::mpsc;

/// The largest file that is read without a thread, in bytes.
const SMALL: u64 = 64 << 10;

/// Rows and bytes of a parcel, and the number of parcels that wait.
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

/// Whether a file is small enough to be read without a thread. A workbook never is: it is compressed.
pub fn is_small(options: &Options) -> bool {
    options.format != Format::Xlsx
        && std::fs::metadata(&options.path).is_ok_and(|file| file.is_file() && file.len() <= SMALL)
}

/// Starts to read a file.
pub(super) fn reading(options: &Options) -> Reading {
    if is_small(options) {
        let mut all = Vec::new();
        read(options, &mut |parcel| {
            all.push(parcel);
            true
        });
        let (sender, parcels) = mpsc::channel(all.len().max(1));
        for parcel in all {
            // The channel has room for all of them.
            drop(sender.try_send(parcel));
        }
        return Reading { parcels, has_ended: false };
    }
    let (sender, parcels) = mpsc::channel(PARCELS);
    let options = options.clone();
    std::thread::spawn(move || read(&options, &mut |parcel| sender.blocking_send(parcel).is_ok()));
    Reading { parcels, has_ended: false }
}

/// Reads a file and passes its rows on, the last parcel marked; until `hand_over` returns false.
fn read(options: &Options, hand_over: &mut dyn FnMut(Result<Parcel, FileError>) -> bool) {
    let (mut rows, mut bytes) = (Vec::with_capacity(PARCEL), 0);
    let read = formats::read(&options.path, options.format, &options.reading, &mut |_, row| {
        bytes += row.weight();
        rows.push(row);
        if rows.len() < PARCEL && bytes < PARCEL_BYTES {
            return Ok(());
        }
        bytes = 0;
        let rows = std::mem::replace(&mut rows, Vec::with_capacity(PARCEL));
        let is_taken = hand_over(Ok(Parcel { rows, is_last: false }));
        if is_taken { Ok(()) } else { Err(FileError::new("the reader was dropped")) }
    });
    hand_over(read.map(|_| Parcel { rows, is_last: true }));
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
