//! The commands of the README and of the guides, run from top to bottom: every text behind one is what
//! it prints, to the letter. `cargo xtask docs` writes the texts anew.

use std::ops::Range;
use std::path::Path;
use std::process::Command;

use crate::program::{Answer, Folder, root, sglsim};

/// A fenced block: its language, its text and where that stands in the page.
struct Block<'a> {
    language: &'a str,
    text: &'a str,
    place: Range<usize>,
}

fn blocks(page: &str) -> Vec<Block<'_>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(start) = page[at..].find("\n```").map(|start| at + start + 4) {
        let line_end = start + page[start..].find('\n').unwrap();
        let end = line_end + page[line_end..].find("\n```").expect("a block has an end");
        let place = line_end + 1..(end + 1);
        let text = &page[place.clone()];
        found.push(Block { language: &page[start..line_end], text, place });
        at = end + 4;
    }
    found
}

/// What the text of a block is printed by; none for what is no command.
fn printed(folder: &Folder, block: &Block<'_>) -> Option<String> {
    if block.language == "python" {
        let python = std::env::var_os("SGLSIM_PYTHON")?;
        let output = Command::new(python)
            .current_dir(folder.path())
            .args(["-c", block.text])
            .output()
            .unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{error}", block.text);
        return Some(String::from_utf8(output.stdout).unwrap());
    }
    let command = block.text.replace("\\\n", " ");
    let command = ["cargo run --release -p sglsim-cli -- ", "sglsim "]
        .iter()
        .find_map(|program| command.trim().strip_prefix(program))
        .expect("a command in `sh` is one of sglsim");
    let (command, file) = match command.split_once(" > ") {
        Some((command, file)) => (command, Some(file)),
        None => (command, None),
    };
    let args = words(command);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let traces = args.iter().filter(|word| word.ends_with(".jsonl.gz"));
    if traces.into_iter().any(|trace| !folder.path().join(trace).exists()) {
        println!("skipped: SGLSIM_DATA is not set: {command}");
        return None;
    }
    let Answer { code, stdout, stderr } = sglsim(folder.path(), &args);
    assert_eq!(code, 0, "{command}\n{stderr}");
    match file {
        Some(file) => {
            folder.write(file, stdout);
            Some(stderr)
        }
        None => {
            assert_eq!(stderr, "", "{command}");
            Some(stdout)
        }
    }
}

/// The words of a command; a part in single quotes is one.
fn words(command: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (at, part) in command.split('\'').enumerate() {
        match at % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// All that a page names: scenarios, the example of a calibration, recorded traces where there are any.
fn folder() -> Folder {
    let folder = Folder::new();
    // Guides name the files of a folder of their own, the README those of a clone.
    for below in ["fixtures/scenarios", "fixtures/calibration/example"] {
        std::fs::create_dir_all(folder.path().join(below)).unwrap();
        for entry in std::fs::read_dir(root().join(below)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let content = std::fs::read(&path).unwrap();
            folder.write(name, &content);
            folder.write(&format!("{below}/{name}"), content);
        }
    }
    if let Some(data) = std::env::var_os("SGLSIM_DATA") {
        let name = "mooncake_conversation.jsonl.gz";
        folder.write(name, std::fs::read(Path::new(&data).join("traces").join(name)).unwrap());
    }
    folder
}

/// Runs all commands of a page, of which there are at least so many; gives the folder.
#[track_caller]
fn run_commands(name: &str, least: usize) -> (String, Folder) {
    let path = root().join(name);
    let page = std::fs::read_to_string(&path).unwrap();
    let folder = folder();
    let blocks = blocks(&page);
    if let Some(trace) = blocks.iter().find(|block| block.language == "json") {
        folder.write("sessions.jsonl", trace.text);
    }
    let (mut written, mut to) = (String::new(), 0);
    let mut count = 0;
    for (at, block) in blocks.iter().enumerate() {
        let shown = blocks.get(at + 1).filter(|next| next.language == "text");
        let runs = block.language == "sh" || (block.language == "python" && shown.is_some());
        if !runs {
            continue;
        }
        let Some(printed) = printed(&folder, block) else { continue };
        count += 1;
        if let Some(shown) = shown {
            written += &page[to..shown.place.start];
            written += &format!("{}\n", printed.trim_end());
            to = shown.place.end;
        }
    }
    written += &page[to..];
    if std::env::var_os("SGLSIM_WRITE_DOCS").is_some() {
        std::fs::write(&path, &written).unwrap();
        for picture in folder.names("").iter().filter(|name| name.ends_with(".svg")) {
            let to = path.parent().unwrap().join(picture);
            if to.exists() {
                std::fs::write(to, folder.read(picture)).unwrap();
            }
        }
        return (written, folder);
    }
    assert!(count >= least, "{count} commands of {name} ran");
    let differs = page.lines().zip(written.lines()).find(|(shown, printed)| shown != printed);
    let message = "`cargo xtask docs` writes what its commands print";
    assert!(
        page == written,
        "{name} shows the first and not the second of\n{differs:#?}\n{message}"
    );
    (page, folder)
}

#[test]
fn the_readme() {
    let (page, folder) = run_commands("README.md", 4);
    let blocks = blocks(&page);
    let scenario = blocks.iter().find(|block| block.language == "ron").unwrap();
    folder.write("readme.ron", scenario.text);
    let answer = sglsim(folder.path(), &["check", "readme.ron"]);
    assert!(answer.stdout.ends_with("ok: this can be simulated\n"), "{answer:?}");
}

#[test]
fn the_guide_to_formulas() {
    run_commands("docs/guide/formulas.md", 3);
}

#[test]
fn the_guide_to_routing() {
    run_commands("docs/guide/routing.md", 2);
}

#[test]
fn the_guide_to_sweeps() {
    run_commands("docs/guide/sweep.md", 3);
}

#[test]
fn the_guide_to_timelines() {
    run_commands("docs/guide/timeline.md", 2);
}

#[test]
fn the_guide_to_calibration() {
    let (page, folder) = run_commands("docs/guide/calibrate.md", 5);
    let quoted = |block: &Block<'_>| {
        block.language == "ron" && folder.read("gemm.ron").contains(block.text.trim_end())
    };
    assert!(blocks(&page).iter().any(quoted), "the guide quotes gemm.ron");
}

#[test]
fn the_guide_to_sessions() {
    let (page, folder) = run_commands("docs/guide/sessions.md", 2);
    let blocks = blocks(&page);
    let quoted = blocks.iter().find(|block| block.language == "ron").unwrap();
    assert!(folder.read("agents.ron").contains(quoted.text.trim()), "the guide quotes agents.ron");
}

#[test]
fn the_guide_to_many_nodes() {
    let (page, folder) = run_commands("docs/guide/many-nodes.md", 5);
    let faults = folder.read("faults.ron");
    let quoted = |line: &&str| faults.contains(line.trim());
    let schedule =
        page.lines().filter(|line| line.contains("(worker: ") || line.contains("(pool: "));
    assert!(schedule.filter(quoted).count() >= 4, "the guide quotes faults.ron");
}
