//! Checks and chores of this workspace: tests, rules, documentation, calibrations.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a command line program")]

mod calibrate;
mod differential;
mod python;
mod tidy;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "\
cargo xtask <command>

  test [cargo test arguments]   all tests; makes the Python environment that some of them compare with
  docs                          writes what the commands of the README and the guides print into them
  tidy                          rules that no compiler checks: crate edges, module docs, invariant ids
  calibrate [GPU ...]           fits fixtures/calibration to the measurements below SGLSIM_DATA
  differential FOLDER           compares the drivers of radix and sched with answers of the real SGLang
";

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let done = match args.next().as_deref() {
        Some("test") => test(&args.collect::<Vec<_>>()),
        Some("docs") => docs(),
        Some("tidy") => tidy::check(&root()),
        Some("calibrate") => calibrate::calibrate(&root(), &args.collect::<Vec<_>>()),
        Some("differential") => match args.next() {
            Some(folder) => differential::check(&root(), Path::new(&folder)),
            None => Err("a FOLDER is missing: cargo xtask differential FOLDER".to_owned()),
        },
        Some("help" | "--help" | "-h") | None => {
            print!("{HELP}");
            Ok(())
        }
        Some(other) => Err(format!("there is no command `{other}`\n\n{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            eprintln!("error: {message}");
            ExitCode::FAILURE
        }
    }
}

/// The root of the workspace.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the root").to_owned()
}

fn test(arguments: &[String]) -> Result<(), String> {
    let python = python::environment(&root())?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root())
        .args(["test", "--workspace", "--all-features", "--locked"])
        .args(arguments)
        .env("SGLSIM_PYTHON", python);
    run(&mut cargo)
}

/// Runs the commands of all pages and replaces the texts and pictures that they show; with measured data
/// below `SGLSIM_DATA` also those of recorded traces.
fn docs() -> Result<(), String> {
    let python = python::environment(&root())?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(root())
        .args(["test", "--release", "--locked", "-p", "sglsim-cli", "--test", "it", "guide::"])
        .env("SGLSIM_PYTHON", python)
        .env("SGLSIM_WRITE_DOCS", "1");
    run(&mut cargo)
}

/// Runs a command to its end and turns a failure into a message.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    let shown = format!("{command:?}");
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("{status}: {shown}")),
        Err(error) => Err(format!("cannot start {shown}: {error}")),
    }
}
