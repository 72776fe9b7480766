//! Compares the drivers of `sglsim-radix`, `sglsim-sched` and `sglsim-router` with answers recorded
//! from SGLang and sglang-router.
//!
//! A folder holds pairs of files: `NAME.jsonl` with operations or scenarios, one JSON object a line,
//! and `NAME[.pageN][.capC][.hostN][.POLICY][.WRITE_POLICY].expected.jsonl` with what the real code
//! answered to them under these settings. Identities of KV slots are not compared, numbers are up to
//! rounding.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Fields that hold identities of slots.
const SLOTS: [&str; 4] = ["values", "indices", "slots", "freed"];

/// Differences that are shown of one file.
const SHOWN: usize = 3;

/// Compares every recording in `folder`.
pub(crate) fn check(root: &Path, folder: &Path) -> Result<(), String> {
    let entries = fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut recordings: Vec<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.to_string_lossy().ends_with(EXPECTED))
        .collect();
    recordings.sort();
    let (mut answers, mut differ) = (0, 0);
    for path in &recordings {
        let (of_file, wrong) = compare(root, path)?;
        answers += of_file;
        differ += wrong;
    }
    println!("{} files, {answers} answers compared, {differ} differ", recordings.len());
    if recordings.is_empty() {
        return Err(format!("{} has no file that ends on {EXPECTED}", folder.display()));
    }
    if differ > 0 { Err(format!("{differ} answers differ")) } else { Ok(()) }
}

const EXPECTED: &str = ".expected.jsonl";

/// Compares one recording; returns how many answers it has and how many of ours differ.
fn compare(root: &Path, recording: &Path) -> Result<(usize, usize), String> {
    let name = recording.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let stem = name.strip_suffix(EXPECTED).unwrap_or(&name);
    let (short, settings) = stem.split_once('.').unwrap_or((stem, ""));
    let input = [stem, short]
        .map(|name| recording.with_file_name(format!("{name}.jsonl")))
        .into_iter()
        .find(|path| path.exists())
        .ok_or_else(|| format!("{}: there is no {short}.jsonl beside it", recording.display()))?;
    let read =
        |path: &Path| fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()));
    let operations = read(&input)?;
    let first = operations.lines().next().unwrap_or_default();
    if first.contains("\"start\"") {
        return compare_routing(root, &name, &input, recording);
    }
    let is_replay = first.contains("\"op\"");
    let (package, example) =
        if is_replay { ("sglsim-radix", "replay") } else { ("sglsim-sched", "admission") };
    let mut cargo = driver(root, package, example);
    for setting in settings.split('.').filter(|setting| !setting.is_empty()) {
        if let Some(page) = setting.strip_prefix("page") {
            cargo.args(["--page-size", page]);
        } else if let Some(capacity) = setting.strip_prefix("cap") {
            cargo.args(["--capacity", capacity]);
        } else if let Some(size) = setting.strip_prefix("host") {
            cargo.args(["--hicache-size", size]);
        } else if setting.starts_with("write_") {
            cargo.args(["--hicache-write-policy", setting]);
        } else {
            cargo.args(["--eviction-policy", setting]);
        }
    }
    let output = cargo
        .arg(fs::canonicalize(&input).map_err(|e| format!("{}: {e}", input.display()))?)
        .output()
        .map_err(|error| format!("cannot start {cargo:?}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    }
    let ours = String::from_utf8_lossy(&output.stdout).into_owned();
    let theirs = read(recording)?;
    let json = |line: &str| -> Result<Value, String> {
        serde_json::from_str(line).map_err(|error| format!("{name}: {error}: {line}"))
    };
    let (mut answers, mut differ) = (0, 0);
    for (at, (ours, theirs)) in ours.lines().zip(theirs.lines()).enumerate() {
        answers += 1;
        if !same(&json(ours)?, &json(theirs)?) {
            differ += 1;
            if differ <= SHOWN {
                println!("{name}, answer {}\n  ours   {ours}\n  theirs {theirs}", at + 1);
            }
        }
    }
    if ours.lines().count() != theirs.lines().count() {
        return Err(format!("{name}: the number of answers differs"));
    }
    Ok((answers, differ))
}

/// The command that runs an example.
fn driver(root: &Path, package: &str, example: &str) -> Command {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(root).args(["run", "--quiet", "--release", "--locked", "-p", package]);
    cargo.args(["--example", example, "--"]);
    cargo
}

/// Compares recorded placements: the driver prints what differs, and last how many answers do.
fn compare_routing(
    root: &Path,
    name: &str,
    input: &Path,
    recording: &Path,
) -> Result<(usize, usize), String> {
    let absolute =
        |path: &Path| fs::canonicalize(path).map_err(|e| format!("{}: {e}", path.display()));
    let mut cargo = driver(root, "sglsim-router", "place");
    let output = cargo
        .arg("--against")
        .args([absolute(recording)?, absolute(input)?])
        .output()
        .map_err(|error| format!("cannot start {cargo:?}: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let (differences, summary) = said.trim_end().rsplit_once('\n').unwrap_or(("", said.trim_end()));
    let counts: Vec<usize> =
        summary.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    let [_, answers, differ] = counts[..] else {
        return Err(format!("{name}: {}", String::from_utf8_lossy(&output.stderr).trim()));
    };
    // A difference takes three lines.
    for line in differences.lines().take(3 * SHOWN) {
        println!("{name}: {line}");
    }
    Ok((answers, differ))
}

/// Whether two answers agree but for identities of slots and rounding.
fn same(ours: &Value, theirs: &Value) -> bool {
    match (ours, theirs) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap_or(f64::NAN), b.as_f64().unwrap_or(f64::NAN));
            (a - b).abs() < 1e-6
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            let compared = |name: &String| !SLOTS.contains(&name.as_str());
            let ours = a.keys().filter(|name| compared(name));
            let theirs = b.keys().filter(|name| compared(name));
            ours.eq(theirs)
                && a.iter().filter(|(name, _)| compared(name)).all(|(k, a)| same(a, &b[k]))
        }
        _ => ours == theirs,
    }
}
