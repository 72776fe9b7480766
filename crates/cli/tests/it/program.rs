//! Running the built program.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// What a call of the program left.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

pub(crate) fn command(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sglsim"));
    // Help is as wide as the terminal, and 100 columns without one.
    command.current_dir(folder).args(args).stdin(Stdio::null()).env_remove("COLUMNS");
    command
}

/// Runs the program in `folder`.
pub(crate) fn sglsim(folder: &Path, args: &[&str]) -> Answer {
    let output = command(folder, args).output().unwrap();
    Answer {
        code: output.status.code().expect("it ended by itself"),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// What the program prints when all is well.
#[track_caller]
pub(crate) fn output(folder: &Path, args: &[&str]) -> String {
    let Answer { code, stdout, stderr } = sglsim(folder, args);
    assert_eq!((code, stderr.as_str()), (0, ""), "sglsim {}", args.join(" "));
    stdout
}

/// A small scenario that runs in no time.
pub(crate) const SMALL: &str = r#"(
    model: "Llama-3.1-8B",
    hardware: (gpu: "H100-SXM"),
    deployment: Disaggregated(prefill: (workers: 1), decode: (workers: 1)),
    workload: Synthetic(
        arrivals: Poisson(rate: 5.0),
        input_len: LogNormal(mean: 1000, cv: 1.0, max: 8000),
        output_len: Uniform(min: 1, max: 60),
        requests: 40,
    ),
)"#;

/// A folder that is gone when the test is over.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    /// A folder with `scenario.ron` in it.
    pub(crate) fn new() -> Self {
        let folder = Self(TempDir::new().unwrap());
        folder.write("scenario.ron", SMALL);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path().join(name), content).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path().join(name)).unwrap()
    }

    /// Names in it, sorted.
    pub(crate) fn names(&self, below: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path().join(below)).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// A text of the program with the path of this folder taken out.
    pub(crate) fn redact(&self, text: &str) -> String {
        text.replace(self.path().to_str().unwrap(), "[folder]")
    }
}
