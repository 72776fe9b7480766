//! Reading RON, and finding a preset by any of its usual spellings.

use std::fs;
use std::path::Path;

use ron::extensions::Extensions;
use serde::de::DeserializeOwned;
use sglsim_units::Nearest;

use crate::HwError;

/// A described thing that can be asked for by name.
pub(crate) trait Described: DeserializeOwned {
    /// What it is called in an error message.
    const KIND: &'static str;
    fn name(&self) -> &str;
    fn aliases(&self) -> &[String];
    fn check(&self) -> Result<(), HwError>;
}

/// The preset called `name`: case, spaces, `-`, `_` and `.` count as nothing.
pub(crate) fn find<'a, T: Described>(presets: &'a [T], name: &str) -> Result<&'a T, HwError> {
    let spellings =
        |it: &'a T| std::iter::once(it.name()).chain(it.aliases().iter().map(String::as_str));
    let wanted = fold(name);
    presets.iter().find(|it| spellings(it).any(|known| fold(known) == wanted)).ok_or_else(|| {
        HwError::UnknownPreset {
            kind: T::KIND,
            name: name.to_owned(),
            nearest: Nearest::to(name, presets.iter().flat_map(spellings)),
            known: presets.iter().map(|it| it.name().to_owned()).collect(),
        }
    })
}

/// Reads and checks one description.
pub(crate) fn from_ron<T: Described>(text: &str) -> Result<T, HwError> {
    let it: T = parse(text)?;
    it.check()?;
    Ok(it)
}

/// Reads and checks the description in a file.
pub(crate) fn from_file<T: Described>(path: &Path) -> Result<T, HwError> {
    fs::read_to_string(path)
        .map_err(HwError::Read)
        .and_then(|text| from_ron(&text))
        .map_err(|problem| HwError::File { path: path.to_owned(), problem: Box::new(problem) })
}

/// Reads RON text, in which `Some(…)` may be left out around an optional value.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, HwError> {
    let options = ron::Options::default().with_default_extension(Extensions::IMPLICIT_SOME);
    let syntax = |error: ron::error::SpannedError, field: String| HwError::Syntax {
        line: error.span.start.line,
        column: error.span.start.col,
        field,
        nearest: hint(&error.code),
        reason: error.code.to_string(),
    };
    let mut reader = ron::Deserializer::from_str_with_options(text, &options)
        .map_err(|error| syntax(error, String::new()))?;
    let it = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        // The reader of paths writes `.` for the whole and `?` for what it could not read.
        let field = error.path().to_string().trim_end_matches(['.', '?']).to_owned();
        syntax(reader.span_error(error.into_inner()), field)
    })?;
    reader.end().map_err(|error| syntax(reader.span_error(error), String::new()))?;
    Ok(it)
}

fn hint(error: &ron::Error) -> Nearest {
    use ron::Error::{NoSuchEnumVariant, NoSuchStructField};
    match error {
        NoSuchStructField { expected, found, .. } | NoSuchEnumVariant { expected, found, .. } => {
            Nearest::to(found, expected.iter().copied())
        }
        _ => Nearest::to("", []),
    }
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}
