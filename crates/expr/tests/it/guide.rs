//! `docs/guide/formulas-in-python.md`, run from top to bottom.

use std::error::Error;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use sglsim_expr::{Constraint, Context, Module, Sense, Symbol, Values, piecewise};

const GUIDE: &str = include_str!("../../../../docs/guide/formulas-in-python.md");

fn decode() -> Result<Module, Box<dyn Error>> {
    let cx = Context::new();
    let tp =
        cx.symbol(Symbol::int("tp").at_least(1.0).at_most(16.0).doc("tensor parallel ranks"))?;
    let batch =
        cx.symbol(Symbol::int("batch").at_least(1.0).at_most(512.0).doc("requests in a step"))?;
    let hbm = cx.symbol(Symbol::real("hbm").positive().unit("B/s").doc("memory bandwidth"))?;
    let hop = cx.symbol(Symbol::real("hop").non_negative().unit("s").doc("latency of a link"))?;
    let bytes = (1.4e11 + 5e8 * &batch).named("bytes", "B", "read in one step");
    let sync = piecewise([(tp.le(1), 0)], (2 + &tp) * &hop);
    let step = (&bytes / (&tp * &hbm) + sync).named("step", "s", "time of one step");
    let module = Module::new("decode", "throughput per GPU", &batch / &step / &tp)
        .variable(&tp)
        .variable(&batch)
        .constraint(Constraint::new("memory", bytes.le(8e10 * &tp), "fits"))
        .constraint(Constraint::new(
            "latency",
            step.le(0.02),
            "50 tokens per second for each request",
        ))
        .values(&Values::from([("tp", 8.0), ("batch", 64.0), ("hbm", 3.35e12), ("hop", 1e-4)]));
    Ok(module)
}

/// The fenced blocks of the guide: language and text.
fn blocks() -> Vec<(&'static str, &'static str)> {
    GUIDE.split("```").skip(1).step_by(2).filter_map(|block| block.split_once('\n')).collect()
}

#[test]
fn the_guide_builds_this_module() {
    let squeezed = |text: &str| text.split_whitespace().collect::<String>().replace(",)", ")");
    let source = squeezed(include_str!("guide.rs"));
    let (_, rust) = blocks().into_iter().find(|(language, _)| *language == "rust").unwrap();
    let (construction, writing) = rust.split_once("std::fs::write").unwrap();
    assert!(source.contains(&squeezed(construction)), "the guide's module is not the tested one");
    assert!(writing.contains("module.to_numpy()?"));
    assert!(writing.contains("module.to_pyomo(Sense::Maximise)?"));
}

#[test]
fn the_guide_runs() {
    let Some(python) = std::env::var_os("SGLSIM_PYTHON") else {
        println!("skipped: SGLSIM_PYTHON is not set");
        return;
    };
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("guide");
    fs::create_dir_all(&folder).unwrap();
    let module = decode().unwrap();
    fs::write(folder.join("decode_sympy.py"), module.to_sympy().unwrap()).unwrap();
    fs::write(folder.join("decode.py"), module.to_numpy().unwrap()).unwrap();
    let pyomo = module.to_pyomo(Sense::Maximise).unwrap();
    fs::write(folder.join("decode_pyomo.py"), pyomo).unwrap();
    let mut blocks = blocks().into_iter();
    while let Some((language, text)) = blocks.next() {
        if language != "python" {
            continue;
        }
        let (_, want) = blocks.next().unwrap();
        let out = Command::new(&python).arg("-c").arg(text).current_dir(&folder).output().unwrap();
        let errors = String::from_utf8_lossy(&out.stderr);
        if errors.contains("ModuleNotFoundError: No module named") {
            println!("skipped an example: {}", errors.lines().last().unwrap_or_default());
            continue;
        }
        assert!(out.status.success(), "{errors}");
        assert_eq!(String::from_utf8_lossy(&out.stdout), want, "{text}");
    }
}
