//! The README shows what the program really prints.

use crate::program::{output, root};

#[test]
fn the_table_of_the_first_command_is_real() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let table = output(&root(), &["run", "fixtures/scenarios/quickstart.ron"]);
    assert!(
        readme.contains(table.trim_end()),
        "the README shows another table than `sglsim run fixtures/scenarios/quickstart.ron`, which \
         prints\n\n{table}"
    );
}

#[test]
fn the_scenario_in_it_can_be_simulated() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```ron\n").unwrap();
    let (scenario, _) = rest.split_once("```").unwrap();
    let folder = crate::program::Folder::new();
    folder.write("readme.ron", scenario);
    let text = output(folder.path(), &["check", "readme.ron"]);
    assert!(text.ends_with("ok: this can be simulated\n"), "{text}");
}
