//! The Python environment with the packages that tests compare with.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run;

/// Packages and versions, one reason each in the file.
const REQUIREMENTS: &str = "fixtures/python/requirements.txt";

/// The interpreter of the environment in `.venv`, made first if it is missing or its requirements
/// have changed.
pub(crate) fn environment(root: &Path) -> Result<PathBuf, String> {
    let folder = root.join(".venv");
    let python = folder.join(if cfg!(windows) { "Scripts/python.exe" } else { "bin/python" });
    let requirements = root.join(REQUIREMENTS);
    let wanted = std::fs::read_to_string(&requirements)
        .map_err(|error| format!("cannot read {}: {error}", requirements.display()))?;
    let mark = folder.join("installed.txt");
    if python.exists() && std::fs::read_to_string(&mark).is_ok_and(|have| have == wanted) {
        return Ok(python);
    }
    println!("making the Python environment .venv ({REQUIREMENTS})");
    run(Command::new("python3").args(["-m", "venv"]).arg(&folder))
        .map_err(|error| format!("{error}; a python3 with the venv module is needed"))?;
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements))?;
    std::fs::write(&mark, wanted)
        .map_err(|error| format!("cannot write {}: {error}", mark.display()))?;
    Ok(python)
}
