//! Lines of a plain or gzipped file, with their numbers.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use flate2::bufread::MultiGzDecoder;

use crate::error::{TraceError, TraceErrorKind};

/// Longest line that is read \[B\]: a prompt of 10⁸ tokens in blocks of 16 fits.
const LONGEST_LINE: u64 = 64 << 20;

/// Reads a file line by line. Blank lines are tolerated at the end only.
pub(crate) struct Lines {
    path: PathBuf,
    reader: Box<dyn BufRead>,
    gzip: bool,
    buffer: Vec<u8>,
    line: u64,
}

impl Lines {
    /// Opens `path`; two magic bytes tell whether it is gzipped.
    pub(crate) fn open(path: &Path) -> Result<Self, TraceError> {
        let refuse = |error| TraceError::new(path, None, TraceErrorKind::Io(error));
        let mut file = File::open(path).map_err(refuse)?;
        let mut magic = Vec::new();
        file.by_ref().take(2).read_to_end(&mut magic).map_err(refuse)?;
        let gzip = magic == [0x1f, 0x8b];
        let whole = BufReader::new(io::Cursor::new(magic).chain(file));
        let reader: Box<dyn BufRead> = if gzip {
            Box::new(BufReader::new(MultiGzDecoder::new(whole)))
        } else {
            Box::new(whole)
        };
        Ok(Self { path: path.to_owned(), reader, gzip, buffer: Vec::new(), line: 0 })
    }

    /// An error in the current line.
    pub(crate) fn error(&self, kind: TraceErrorKind) -> TraceError {
        TraceError::new(&self.path, Some(self.line), kind)
    }

    /// The next line without its line break, `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<&str>, TraceError> {
        if !self.fill()? {
            return Ok(None);
        }
        if self.buffer.is_empty() {
            let blank = self.line;
            while self.fill()? {
                if !self.buffer.is_empty() {
                    return Err(TraceError::new(&self.path, Some(blank), TraceErrorKind::Blank));
                }
            }
            return Ok(None);
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(text) => Ok(Some(text)),
            Err(error) => {
                let byte = error.valid_up_to() + 1;
                Err(TraceError::new(&self.path, Some(self.line), TraceErrorKind::NotUtf8 { byte }))
            }
        }
    }

    /// Reads one line into the buffer, trimmed; false at the end of the file.
    fn fill(&mut self) -> Result<bool, TraceError> {
        self.buffer.clear();
        self.line += 1;
        let mut limited = self.reader.by_ref().take(LONGEST_LINE + 1);
        let read = limited.read_until(b'\n', &mut self.buffer).map_err(|error| {
            let damaged = self.gzip
                && matches!(
                    error.kind(),
                    io::ErrorKind::UnexpectedEof
                        | io::ErrorKind::InvalidInput
                        | io::ErrorKind::InvalidData
                );
            let kind = if damaged { TraceErrorKind::Gzip } else { TraceErrorKind::Io };
            TraceError::new(&self.path, Some(self.line), kind(error))
        })?;
        if self.buffer.len() as u64 > LONGEST_LINE {
            return Err(self.error(TraceErrorKind::LineTooLong { limit: LONGEST_LINE }));
        }
        if self.line == 1 && self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.buffer.drain(..3); // The byte order mark that spreadsheets write.
        }
        self.buffer.truncate(self.buffer.trim_ascii_end().len());
        Ok(read > 0)
    }
}
