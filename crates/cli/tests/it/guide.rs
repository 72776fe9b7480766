//! The commands of `docs/guide/calibrate.md`, run from top to bottom.

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

#[test]
fn its_commands_print_what_it_shows() {
    let guide = std::fs::read_to_string(root().join("docs/guide/calibrate.md")).unwrap();
    let folder = Folder::new();
    for name in ["gemm.csv", "gemm.ron", "curve.csv", "scenario.ron"] {
        let path = root().join("fixtures/calibration/example").join(name);
        folder.write(name, std::fs::read(path).unwrap());
    }
    let commands = blocks(&guide, "sh");
    assert!(commands.len() >= 5, "{commands:?}");
    for (command, shown) in commands {
        let args: Vec<&str> = command.split_whitespace().collect();
        assert_eq!(args.first(), Some(&"sglsim"), "{command}");
        let printed = output(folder.path(), &args[1..]);
        if let Some(shown) = shown {
            assert_eq!(words(shown), words(&printed), "{command} prints\n{printed}");
        }
    }
    // The mapping that it quotes is the one in the example.
    let quoted =
        blocks(&guide, "ron").into_iter().any(|(block, _)| folder.read("gemm.ron").contains(block));
    assert!(quoted, "the guide quotes gemm.ron");
}
