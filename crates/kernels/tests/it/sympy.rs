//! The law that a solver gets is the law that the simulator runs.

use std::fs;
use std::process::Command;

use sglsim_expr::{Module, Values};
use sglsim_kernels::{RankFeatures, StepFeatures};

use crate::scenario::{law, point, scenarios};

/// Imports each module and prints its objective at its own values.
const SCRIPT: &str = "
import runpy, sys
for path in sys.argv[1:]:
    print(repr(float(runpy.run_path(path)['evaluate']({}))))
";

#[test]
fn sympy_evaluates_the_step_law_to_the_same_number() {
    let Some(python) = std::env::var_os("SGLSIM_PYTHON") else {
        println!("skipped: SGLSIM_PYTHON is not set");
        return;
    };
    let folder = std::env::temp_dir().join(format!("sglsim-kernels-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let mut rank = RankFeatures::default();
    rank.add_extend(1000, 777);
    rank.set_decode(33, 40, 50_000, 2);
    let (mut files, mut expected) = (Vec::new(), Vec::new());
    for (at, (model, plan)) in scenarios().into_iter().enumerate() {
        let law = law(model, plan);
        let step = StepFeatures::of_ranks(&vec![rank; plan.dp_size as usize]);
        let module = law
            .constraints()
            .iter()
            .fold(
                Module::new("step", "step_time", law.step_time().clone()),
                |module, constraint| module.constraint(constraint.clone()),
            )
            .variable(&law.knobs().tp_size)
            .values(&point(&law, &step));
        let file = folder.join(format!("step_{at}.py"));
        fs::write(&file, module.to_sympy().unwrap()).unwrap();
        files.push(file);
        expected.push((model, module.evaluate(&Values::new()).unwrap()));
    }
    let output = Command::new(python).args(["-c", SCRIPT]).args(&files).output().unwrap();
    fs::remove_dir_all(&folder).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let got: Vec<f64> = text.lines().map(|line| line.parse().unwrap()).collect();
    assert_eq!(got.len(), expected.len(), "{text}{errors}");
    for ((model, expected), got) in expected.into_iter().zip(got) {
        assert!((got - expected).abs() <= 1e-12 * expected, "{model}: {got}, expected {expected}");
    }
}
