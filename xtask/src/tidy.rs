//! Rules that no compiler checks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// In-tree crates that each crate may depend on. An edge that is not here is an architecture
/// decision: `docs/architecture.md` first.
const EDGES: &[(&str, &[&str])] = &[
    ("units", &[]),
    ("expr", &["units"]),
    ("hw", &["units"]),
    ("model", &["units"]),
    ("kernels", &["units", "expr", "hw", "model"]),
    ("radix", &["units"]),
    ("sched", &["units", "radix"]),
    ("router", &["units", "radix"]),
    ("workload", &["units", "radix"]),
    (
        "engine",
        &["units", "expr", "hw", "model", "kernels", "radix", "sched", "router", "workload"],
    ),
    ("formula", &["units", "expr", "model", "kernels", "workload", "engine"]),
    ("calibrate", &["units", "expr", "hw", "model", "kernels"]),
    (
        "cli",
        &["units", "expr", "hw", "model", "kernels", "workload", "engine", "formula", "calibrate"],
    ),
];

/// Checks every rule and reports everything that breaks one.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let mut broken = Vec::new();
    edges(root, &mut broken)?;
    sources(root, &mut broken)?;
    invariants(root, &mut broken)?;
    reasons(root, &mut broken)?;
    if broken.is_empty() {
        println!("tidy: everything in order");
        return Ok(());
    }
    Err(format!("{} rules are broken:\n  {}", broken.len(), broken.join("\n  ")))
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}

/// Crate edges are those of the table.
fn edges(root: &Path, broken: &mut Vec<String>) -> Result<(), String> {
    let output = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .current_dir(root)
        .args(["metadata", "--no-deps", "--format-version", "1", "--locked"])
        .output()
        .map_err(|error| format!("cannot start cargo metadata: {error}"))?;
    let metadata: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| format!("cargo metadata is not JSON: {error}"))?;
    let allowed: BTreeMap<&str, &[&str]> = EDGES.iter().copied().collect();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let Some(name) = package["name"].as_str().and_then(|name| name.strip_prefix("sglsim-"))
        else {
            continue;
        };
        let Some(known) = allowed.get(name) else {
            broken.push(format!("crate `{name}` is not in the table of crate edges"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let to = dependency["name"].as_str().and_then(|name| name.strip_prefix("sglsim-"));
            let is_dev = dependency["kind"].as_str() == Some("dev");
            if let Some(to) = to
                && !is_dev
                && !known.contains(&to)
            {
                broken.push(format!("crate `{name}` may not depend on `{to}`"));
            }
        }
    }
    Ok(())
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) -> Result<(), String> {
    let entries = fs::read_dir(folder)
        .map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            rust_files(&path, out)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            out.push(path);
        }
    }
    Ok(())
}

/// Every source file says what it is for, is not too long, and hides no unfinished work.
fn sources(root: &Path, broken: &mut Vec<String>) -> Result<(), String> {
    const LONGEST: usize = 800;
    let banned: [String; 4] = [
        "todo".to_owned() + "!(",
        "unimplemented".to_owned() + "!(",
        "#[".to_owned() + "ignore",
        "#[".to_owned() + "should_panic",
    ];
    let mut files = Vec::new();
    rust_files(&root.join("crates"), &mut files)?;
    rust_files(&root.join("xtask"), &mut files)?;
    for file in files {
        let text = read(&file)?;
        let shown = file.strip_prefix(root).unwrap_or(&file).display();
        if !text.starts_with("//!") {
            broken.push(format!("{shown}: does not start with `//!`"));
        }
        let lines = text.lines().count();
        if lines > LONGEST {
            broken.push(format!("{shown}: {lines} lines, allowed are {LONGEST}"));
        }
        for word in &banned {
            if text.contains(word.as_str()) {
                broken.push(format!("{shown}: has `{word}`"));
            }
        }
    }
    Ok(())
}

/// Every invariant id used in the sources is explained in `docs/invariants.md`, and the reverse.
fn invariants(root: &Path, broken: &mut Vec<String>) -> Result<(), String> {
    let documented: BTreeSet<String> = ids(&read(&root.join("docs/invariants.md"))?);
    let mut files = Vec::new();
    rust_files(&root.join("crates"), &mut files)?;
    let mut used = BTreeSet::new();
    for file in files {
        used.extend(ids(&read(&file)?));
    }
    for id in used.difference(&documented) {
        broken.push(format!("`{id}` is used but not in docs/invariants.md"));
    }
    for id in documented.difference(&used) {
        broken.push(format!("`{id}` is in docs/invariants.md but nothing checks it"));
    }
    Ok(())
}

const FAMILIES: [&str; 8] =
    ["CACHE-", "ENGINE-", "FABRIC-", "INV-", "KV-", "POLICY-", "ROUTE-", "SCHED-"];

/// Ids such as `KV-1` in a text.
fn ids(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for family in FAMILIES {
        for (at, _) in text.match_indices(family) {
            let standalone = text[..at].chars().next_back().is_none_or(|c| !c.is_alphanumeric());
            let digits: String =
                text[at + family.len()..].chars().take_while(char::is_ascii_digit).collect();
            if standalone && !digits.is_empty() {
                found.insert(format!("{family}{digits}"));
            }
        }
    }
    found
}

/// Every library in the workspace manifest has its reason beside it.
fn reasons(root: &Path, broken: &mut Vec<String>) -> Result<(), String> {
    let manifest = read(&root.join("Cargo.toml"))?;
    let libraries = manifest.split("[workspace.dependencies]").nth(1).unwrap_or_default();
    for line in libraries.lines().take_while(|line| !line.starts_with('[')) {
        let is_library = line.contains('=') && !line.starts_with('#') && !line.contains("path =");
        if is_library && !line.contains('#') {
            broken.push(format!("Cargo.toml: no reason beside `{line}`"));
        }
    }
    Ok(())
}
