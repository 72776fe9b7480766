//! Tables of measurements: CSV, plain or gzipped, with the place of every cell.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use csv::StringRecord;
use flate2::read::MultiGzDecoder;
use sglsim_units::Nearest;

use crate::CalibrateError;

/// A CSV file in memory.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) path: PathBuf,
    pub(crate) columns: Vec<String>,
    /// Line in the file, and cells.
    pub(crate) rows: Vec<(u64, StringRecord)>,
}

/// First bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

impl Table {
    pub(crate) fn read(path: &Path) -> Result<Self, CalibrateError> {
        let unreadable = |source| CalibrateError::Read { path: path.to_owned(), source };
        let bytes = fs::read(path).map_err(unreadable)?;
        let text = if bytes.starts_with(&GZIP) {
            let mut text = Vec::new();
            MultiGzDecoder::new(bytes.as_slice()).read_to_end(&mut text).map_err(unreadable)?;
            text
        } else {
            bytes
        };
        Self::parse(path, &text)
    }

    pub(crate) fn parse(path: &Path, text: &[u8]) -> Result<Self, CalibrateError> {
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text);
        let broken = |error: csv::Error| match error.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => CalibrateError::Ragged {
                path: path.to_owned(),
                line: pos.as_ref().map_or(0, csv::Position::line),
                found: *len,
                expected: *expected_len,
            },
            _ => CalibrateError::Read {
                path: path.to_owned(),
                source: io::Error::new(io::ErrorKind::InvalidData, error),
            },
        };
        let columns: Vec<String> =
            reader.headers().map_err(broken)?.iter().map(str::to_owned).collect();
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(broken)?;
            rows.push((record.position().map_or(0, csv::Position::line), record));
        }
        if rows.is_empty() {
            let header = columns.iter().any(|name| !name.is_empty());
            return Err(CalibrateError::Empty { path: path.to_owned(), header });
        }
        Ok(Self { path: path.to_owned(), columns, rows })
    }

    /// Name of the file without its folder.
    pub(crate) fn file_name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Where a column stands, from 0.
    pub(crate) fn column(&self, name: &str, of: &str) -> Result<usize, CalibrateError> {
        self.columns.iter().position(|column| column == name).ok_or_else(|| {
            CalibrateError::MissingColumn {
                path: self.path.clone(),
                column: name.to_owned(),
                of: of.to_owned(),
                nearest: Nearest::to(name, self.columns.iter().map(String::as_str)),
                known: self.columns.clone(),
            }
        })
    }

    /// The number in a cell.
    pub(crate) fn number(&self, row: usize, column: usize) -> Result<f64, CalibrateError> {
        let text = &self.rows[row].1[column];
        match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value),
            Ok(_) => Err(self.wrong(row, column, "which is not a finite number".to_owned())),
            Err(_) => Err(self.wrong(row, column, not_a_number(text))),
        }
    }

    /// An error at a cell.
    pub(crate) fn wrong(&self, row: usize, column: usize, problem: String) -> CalibrateError {
        let (line, cells) = &self.rows[row];
        CalibrateError::Cell {
            path: self.path.clone(),
            line: *line,
            column: column + 1,
            name: self.columns[column].clone(),
            value: cells[column].to_owned(),
            problem,
        }
    }
}

/// Why a text is not a number: a unit inside a cell is the case that deserves its own words.
fn not_a_number(text: &str) -> String {
    if text.is_empty() {
        return "but it must be a number".to_owned();
    }
    let number = text.trim_end_matches(|c: char| c.is_alphabetic() || c == '/' || c == '%');
    match number.trim().parse::<f64>() {
        Ok(_) if number.len() < text.len() => format!(
            "a number with the unit `{}` of its own; units belong to the column, so that rows \
             cannot mix them",
            text[number.len()..].trim()
        ),
        _ => "which is not a number".to_owned(),
    }
}
