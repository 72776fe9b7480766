//! Writing a report: whole or not at all.

use std::error::Error;
use std::fs;

use std::sync::{Arc, Mutex};

use sglsim_engine::{Oversized, ReportFolder, RequestId, Simulation};

use crate::scenarios::{base, base_with, run};

const FILES: [&str; 3] = ["report.json", "requests.csv", "scenario.ron"];

fn names(folder: &std::path::Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_folder_is_made_and_filled() {
    let folder = tempfile::tempdir().unwrap();
    let deep = folder.path().join("a/b");
    let scenario = base();
    run(&scenario).write_to(&deep, &scenario).unwrap();
    assert_eq!(names(&deep), FILES);
    // What is written can be run again.
    let again = sglsim_engine::Scenario::from_file(deep.join("scenario.ron")).unwrap();
    assert_eq!(again, scenario);
}

#[test]
fn an_old_report_is_replaced_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (base(), base_with(&[("seed", "7"), ("workload.requests", "3")]));
    run(&old).write_to(folder.path(), &old).unwrap();
    run(&new).write_to(folder.path(), &new).unwrap();
    assert_eq!(names(folder.path()), FILES);
    let csv = fs::read_to_string(folder.path().join("requests.csv")).unwrap();
    assert_eq!(csv.lines().count(), 1 + 3);
    let json = fs::read_to_string(folder.path().join("report.json")).unwrap();
    assert!(json.contains("\"seed\": 7"));
}

#[test]
fn a_file_in_place_of_the_folder_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("report");
    fs::write(&place, "mine").unwrap();
    let scenario = base();
    let error = run(&scenario).write_to(&place, &scenario).unwrap_err();
    assert_eq!(error.path(), place);
    assert!(error.source().is_some());
    assert_eq!(fs::read_to_string(&place).unwrap(), "mine");
}

/// The second of three files has its place taken by a folder: neither of the others changes, and
/// nothing is left lying about.
#[test]
fn all_files_change_or_none() {
    let scenario = base();
    for taken in FILES {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join(taken)).unwrap();
        for name in FILES.iter().filter(|name| **name != taken) {
            fs::write(folder.path().join(name), "old").unwrap();
        }
        let error = run(&scenario).write_to(folder.path(), &scenario).unwrap_err();
        assert_eq!(error.path(), folder.path().join(taken));
        assert_eq!(names(folder.path()), FILES, "no temporary file stays");
        for name in FILES.iter().filter(|name| **name != taken) {
            let text = fs::read_to_string(folder.path().join(name)).unwrap();
            assert_eq!(text, "old", "`{name}` did not change");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_report_can_be_read_like_any_other_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let scenario = base();
    fs::write(folder.path().join("plain"), "").unwrap();
    run(&scenario).write_to(folder.path(), &scenario).unwrap();
    let mode =
        |name: &str| fs::metadata(folder.path().join(name)).unwrap().permissions().mode() & 0o777;
    for name in FILES {
        assert_eq!(mode(name), mode("plain"), "{name}");
    }
}

#[cfg(unix)]
#[test]
fn an_unwritable_folder_is_an_error() {
    // Whoever runs this may write everywhere, but nobody can make a file here.
    let scenario = base();
    let folder = std::path::Path::new("/proc/sglsim");
    let error = run(&scenario).write_to(folder, &scenario).unwrap_err();
    assert_eq!(error.path(), folder);
    assert_eq!(error.to_string(), "cannot write `/proc/sglsim`");
}

/// More requests than fit at once, and some that never do.
const LOAD: &str = r#"{"Synthetic": {"arrivals": {"Poisson": {"rate": 30.0}}, "input_len": {"Uniform": {"min": 1,
    "max": 5200}}, "output_len": {"Uniform": {"min": 1, "max": 300}}, "requests": 300}}"#;

/// Records that are written as requests leave make the same files as those that are kept.
#[test]
fn records_written_on_the_way_are_those_that_are_kept() {
    let mut scenario = base_with(&[("workload", LOAD), ("deployment.max_total_tokens", "5000")]);
    scenario.oversized_requests = Oversized::Refuse;
    let kept = run(&scenario);
    assert!(kept.refused > 0 && kept.completed > 200, "{} {}", kept.refused, kept.completed);
    let [one, other] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    kept.write_to(one.path(), &scenario).unwrap();
    let folder = ReportFolder::create(other.path()).unwrap();
    let simulation = Simulation::new(scenario.clone()).unwrap();
    let report = simulation.on_record(folder.records().unwrap()).run().unwrap();
    assert!(report.requests.is_empty());
    assert_eq!(names(other.path()).len(), 1, "no file has its name before the end");
    folder.finish(&report, &scenario).unwrap();
    assert_eq!(names(other.path()), FILES);
    for file in FILES {
        let [one, other] = [&one, &other].map(|folder| fs::read(folder.path().join(file)).unwrap());
        assert!(one == other, "{file}");
    }
}

#[test]
fn a_run_that_fails_leaves_no_folder() {
    let place = tempfile::tempdir().unwrap();
    let folder = ReportFolder::create(&place.path().join("a/b")).unwrap();
    let mut scenario = base_with(&[("deployment.max_total_tokens", "100")]);
    scenario.oversized_requests = Oversized::Error;
    let simulation = Simulation::new(scenario).unwrap();
    simulation.on_record(folder.records().unwrap()).run().unwrap_err();
    drop(folder);
    assert!(names(place.path()).is_empty());
}

/// They come in the order of arrival, each of them complete.
#[test]
fn records_come_in_order() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let taken = Arc::clone(&told);
    let simulation = Simulation::new(base_with(&[("workload", LOAD)])).unwrap();
    let report = simulation
        .on_record(move |id, record| taken.lock().unwrap().push((id, record.finished)))
        .run()
        .unwrap();
    let told = told.lock().unwrap();
    assert!(told.iter().map(|(id, _)| *id).eq((0..300).map(RequestId)));
    assert!(told.iter().all(|(_, finished)| finished.is_some()) && report.completed == 300);
}
