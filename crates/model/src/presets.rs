//! Reading RON, and finding a preset by any of its usual spellings.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use ron::extensions::Extensions;
use serde::de::DeserializeOwned;
use sglsim_units::Nearest;

use crate::{ModelError, ModelShape};

static PRESETS: LazyLock<Vec<ModelShape>> = LazyLock::new(|| {
    parse(include_str!("../presets/models.ron")).expect("the embedded presets are tested")
});

/// The names of all presets.
pub(crate) fn names() -> impl Iterator<Item = &'static str> {
    PRESETS.iter().map(|shape| shape.name.as_str())
}

/// The preset called `name`: case, punctuation and a Hugging Face organisation count as nothing.
pub(crate) fn find(name: &str) -> Result<ModelShape, ModelError> {
    let spellings = |shape: &'static ModelShape| {
        std::iter::once(&shape.name).chain(&shape.aliases).map(String::as_str)
    };
    let wanted = fold(name.rsplit('/').next().unwrap_or(name));
    PRESETS
        .iter()
        .find(|shape| spellings(shape).any(|known| fold(known) == wanted))
        .cloned()
        .ok_or_else(|| ModelError::UnknownPreset {
            name: name.to_owned(),
            nearest: Nearest::to(name, PRESETS.iter().flat_map(spellings)),
            known: names().map(str::to_owned).collect(),
        })
}

/// Reads a file with `load`, and says which file it was if that fails.
pub(crate) fn read(
    path: &Path,
    load: impl FnOnce(&str) -> Result<ModelShape, ModelError>,
) -> Result<ModelShape, ModelError> {
    fs::read_to_string(path)
        .map_err(ModelError::Read)
        .and_then(|text| load(&text))
        .map_err(|problem| ModelError::File { path: path.to_owned(), problem: Box::new(problem) })
}

/// Reads RON text, in which `Some(…)` and the inner brackets of `Gqa((…))` may be left out.
pub(crate) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, ModelError> {
    let options = ron::Options::default()
        .with_default_extension(Extensions::IMPLICIT_SOME | Extensions::UNWRAP_VARIANT_NEWTYPES);
    let syntax = |error: ron::error::SpannedError, field: String| ModelError::Syntax {
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
