//! Looks for a wrong value in a million pairs of an expression and a point.
//!
//! `cargo run --release -p sglsim-expr --example fuzz -- [--pairs N] [--seed S]`
//!
//! Every expression is checked against plain arithmetic, its simplified and its reread form, and in
//! every evaluator; see `tests/it/checks.rs`. Prints how often each law was looked at. The first
//! failure is shrunk to a minimal expression and ends the run with exit code 1.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "reports what it found")]
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]
#![expect(dead_code, reason = "the tests use more of the shared modules")]

use std::cell::RefCell;
use std::process::ExitCode;

use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};

#[path = "../tests/it/checks.rs"]
mod checks;
#[path = "../tests/it/plain.rs"]
mod plain;
#[path = "../tests/it/random.rs"]
mod random;

/// Points at which each expression is looked at.
const POINTS: usize = 64;

struct Arguments {
    pairs: u64,
    seed: u64,
}

fn arguments() -> Result<Arguments, String> {
    let mut found = Arguments { pairs: 1_000_000, seed: 1 };
    let mut rest = std::env::args().skip(1);
    while let Some(name) = rest.next() {
        let value = rest.next().and_then(|text| text.replace('_', "").parse().ok());
        let value = value.ok_or_else(|| format!("`{name}` needs a number"))?;
        match name.as_str() {
            "--pairs" => found.pairs = value,
            "--seed" => found.seed = value,
            _ => return Err(format!("unknown option `{name}`; there are --pairs and --seed")),
        }
    }
    Ok(found)
}

struct Progress {
    counts: checks::Counts,
    expressions: u64,
}

fn main() -> ExitCode {
    let Arguments { pairs, seed } = match arguments() {
        Ok(arguments) => arguments,
        Err(problem) => {
            eprintln!("{problem}");
            return ExitCode::from(2);
        }
    };
    let expressions = pairs.div_ceil(POINTS as u64);
    println!("{expressions} expressions at {POINTS} points each, seed {seed}");
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    let config = Config {
        cases: u32::try_from(expressions).unwrap_or(u32::MAX),
        failure_persistence: None,
        ..Config::default()
    };
    let mut runner =
        TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
    let progress = RefCell::new(Progress { counts: checks::Counts::new(), expressions: 0 });
    let step = (expressions / 10).max(1);
    let cases = (random::script(32), prop::collection::vec(random::inputs(), POINTS));
    let outcome = runner.run(&cases, |case| {
        let progress = &mut *progress.borrow_mut();
        checks::check(&case, &mut progress.counts).map_err(TestCaseError::fail)?;
        progress.expressions += 1;
        if progress.expressions.is_multiple_of(step) {
            println!("{:>9} pairs", progress.expressions * POINTS as u64);
        }
        Ok(())
    });
    for (law, count) in &progress.borrow().counts {
        println!("{count:>12}  {law}");
    }
    match outcome {
        Ok(()) => {
            println!("no failure");
            ExitCode::SUCCESS
        }
        Err(TestError::Fail(reason, _)) => {
            println!("FAILED, shrunk to\n{}", reason.message());
            ExitCode::FAILURE
        }
        Err(TestError::Abort(reason)) => {
            println!("gave up: {}", reason.message());
            ExitCode::FAILURE
        }
    }
}
