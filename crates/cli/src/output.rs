//! Standard output and files.

use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Standard output cannot be written, such as a full disk behind `> file`.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to standard output")]
struct OutputError(#[source] io::Error);

/// Writes `text`. A reader that has seen enough, such as `head`, is not an error.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(OutputError(error).into()),
        _ => Ok(()),
    }
}

/// `--out` names a place where no folder can be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the report into `{}`: `{}` {what}", out.display(), place.display())]
struct BadOut {
    out: PathBuf,
    place: PathBuf,
    what: &'static str,
    #[source]
    source: Option<io::Error>,
}

/// A file cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{}`", .0.display())]
struct BadFile(PathBuf, #[source] io::Error);

/// Finds out before a long run, and without leaving a trace, whether its report can be written.
pub(crate) fn check_folder(out: &Path) -> Result<(), Failure> {
    let whole = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    let place = whole.ancestors().find(|place| place.exists()).unwrap_or(Path::new("/"));
    let bad = |what, source| BadOut { out: out.to_owned(), place: place.to_owned(), what, source };
    if !place.is_dir() {
        return Err(bad("is not a folder", None).into());
    }
    match tempfile::tempfile_in(place) {
        Err(error) if error.kind() != ErrorKind::Unsupported => {
            Err(bad("cannot be written", Some(error)).into())
        }
        _ => Ok(()),
    }
}

/// Finds out before a long run whether there is a folder for a file.
pub(crate) fn check_file(path: &Path) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if folder.is_none_or(Path::is_dir) && !path.is_dir() {
        return Ok(());
    }
    let kind = if path.is_dir() { ErrorKind::IsADirectory } else { ErrorKind::NotFound };
    Err(BadFile(path.to_owned(), kind.into()).into())
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(folder).map_err(|error| BadFile(folder.to_owned(), error).into())
}

/// Writes a file.
pub(crate) fn write_file(path: &Path, text: impl AsRef<[u8]>) -> Result<(), Failure> {
    std::fs::write(path, text).map_err(|error| BadFile(path.to_owned(), error).into())
}
