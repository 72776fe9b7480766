//! What the commands write to files.

use std::path::{Path, PathBuf};

use jiff::civil::Date;
use jiff::tz::TimeZone;

/// A file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", path.display())]
pub(super) struct WriteError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Writes a text to a file.
pub(super) fn write(path: &Path, text: &str) -> Result<(), WriteError> {
    std::fs::write(path, text).map_err(|source| WriteError { path: path.to_owned(), source })
}

/// Refuses a file in a folder that is not there, before long work rather than after it.
pub(super) fn check_folder(path: &Path) -> Result<(), WriteError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let checked = folder.map_or(Ok(()), |folder| std::fs::metadata(folder).map(|_| ()));
    checked.map_err(|source| WriteError { path: path.to_owned(), source })
}

/// The day in UTC. It is a remark in a calibration and has no influence on anything.
pub(super) fn today() -> Date {
    jiff::Timestamp::now().to_zoned(TimeZone::UTC).date()
}
