//! The commands of guides, run from top to bottom.

use crate::program::{Folder, output, root};

/// The blocks of a kind and, if it comes next, the `text` block behind each.
fn blocks<'a>(guide: &'a str, kind: &str) -> Vec<(&'a str, Option<&'a str>)> {
    let mut parts = guide.split("\n```").skip(1).step_by(2).peekable();
    let mut found = Vec::new();
    while let Some(part) = parts.next() {
        let Some((word, body)) = part.split_once('\n') else { continue };
        let shown = parts.peek().and_then(|next| next.strip_prefix("text\n"));
        if word == kind {
            found.push((body, shown));
        }
    }
    found
}

/// Words that do not depend on coefficients: numbers change with every law, what they stand for does
/// not.
fn words(text: &str) -> Vec<Vec<&str>> {
    let meaning = |word: &&str| !word.contains(|c: char| c.is_ascii_digit()) && !word.contains('─');
    let lines = text.lines().map(|line| line.split_whitespace().filter(meaning).collect());
    lines.filter(|line: &Vec<&str>| !line.is_empty()).collect()
}

/// Runs the commands of a guide in `folder`; gives the guide.
#[track_caller]
fn run_commands(name: &str, folder: &Folder, least: usize, compared: fn(&str) -> &str) -> String {
    let guide = std::fs::read_to_string(root().join("docs/guide").join(name)).unwrap();
    let commands = blocks(&guide, "sh");
    assert!(commands.len() >= least, "{commands:?}");
    for (command, shown) in commands {
        let args = command.split_whitespace().filter(|word| *word != "\\");
        let args: Vec<&str> = args.map(|word| word.trim_matches('\'')).collect();
        assert_eq!(args.first(), Some(&"sglsim"), "{command}");
        let printed = output(folder.path(), &args[1..]);
        if let Some(shown) = shown {
            let [shown, printed] = [shown, &printed].map(compared);
            assert_eq!(words(shown), words(printed), "{command} prints\n{printed}");
        }
    }
    guide
}

#[test]
fn the_guide_to_calibration_prints_what_it_shows() {
    let folder = Folder::new();
    for name in ["gemm.csv", "gemm.ron", "curve.csv", "scenario.ron"] {
        let path = root().join("fixtures/calibration/example").join(name);
        folder.write(name, std::fs::read(path).unwrap());
    }
    let guide = run_commands("calibrate.md", &folder, 5, |text| text);
    // The mapping that it quotes is the one in the example.
    let quoted =
        blocks(&guide, "ron").into_iter().any(|(block, _)| folder.read("gemm.ron").contains(block));
    assert!(quoted, "the guide quotes gemm.ron");
}

#[test]
fn the_guide_to_sweeps_prints_what_it_shows() {
    let folder = Folder::new();
    let scenario = std::fs::read(root().join("fixtures/scenarios/quickstart.ron")).unwrap();
    folder.write("quickstart.ron", scenario);
    // What limits a point, and which is best, changes with every law.
    run_commands("sweep.md", &folder, 3, head);
}

#[test]
fn the_guide_to_timelines_prints_what_it_shows() {
    let folder = Folder::new();
    let scenario = std::fs::read(root().join("fixtures/scenarios/back-pressure.ron")).unwrap();
    folder.write("back-pressure.ron", scenario);
    run_commands("timeline.md", &folder, 2, head);
}

#[test]
fn the_guide_to_sessions_prints_what_it_shows() {
    let folder = Folder::new();
    let scenario = std::fs::read_to_string(root().join("fixtures/scenarios/agents.ron")).unwrap();
    folder.write("agents.ron", &scenario);
    let guide = std::fs::read_to_string(root().join("docs/guide/sessions.md")).unwrap();
    let (trace, _) = blocks(&guide, "json")[0];
    folder.write("sessions.jsonl", trace);
    run_commands("sessions.md", &folder, 2, head);
    let (quoted, _) = blocks(&guide, "ron")[0];
    assert!(scenario.contains(quoted.trim()), "the guide quotes agents.ron");
}

/// What stands above the rows of a table.
fn head(text: &str) -> &str {
    text.split('─').next().unwrap_or(text)
}

#[test]
fn the_guide_to_many_nodes_runs() {
    let folder = Folder::new();
    for name in ["many-nodes.ron", "faults.ron"] {
        folder.write(name, std::fs::read(root().join("fixtures/scenarios").join(name)).unwrap());
    }
    let guide = run_commands("many-nodes.md", &folder, 5, |text| text);
    // The schedule that it quotes is the one of the scenario.
    let faults = folder.read("faults.ron");
    let quoted = |line: &&str| faults.contains(line.trim());
    let schedule =
        guide.lines().filter(|line| line.contains("(worker: ") || line.contains("(pool: "));
    assert!(schedule.filter(quoted).count() >= 4, "the guide quotes faults.ron");
}
