//! How far the formulas of the steady state are from simulation, on a random design of models, hardware,
//! deployments, knobs and workloads.
//!
//! ```text
//! cargo run --release -p sglsim-formula --example design -- --points 300 --seed 1 --plot design.svg
//! ```
//!
//! Each point is simulated twice: with all requests there at once, and at 30 to 90 % of the rate that
//! it served then, or with users who wait for their answers.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program that prints")]

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

mod plot;
mod point;
mod score;

use point::Point;
use score::{Failure, Kind, Score, score};

struct Arguments {
    points: usize,
    seed: u64,
    plot: Option<String>,
    only: Option<usize>,
    verbose: bool,
}

fn main() -> Result<(), Failure> {
    let arguments = Arguments::read()?;
    let numbers: Vec<usize> = match arguments.only {
        Some(number) => vec![number],
        None => (1..=arguments.points).collect(),
    };
    let scores = all(arguments.seed, &numbers);
    if arguments.verbose {
        for score in &scores {
            println!(
                "{:4} {:22} load {:.2} formula {:>12.6} simulated {:>12.6} {:+6.1} %  {}",
                score.number,
                score.kind.name(),
                score.load,
                score.formula.unwrap_or(f64::NAN),
                score.simulated,
                100.0 * score.error(),
                Point::random(arguments.seed, score.number).words()
            );
        }
    }
    print!("{}", table(&scores));
    if arguments.only.is_none() {
        print!("{}", worst(arguments.seed, &scores));
    }
    if let Some(file) = arguments.plot {
        std::fs::write(file, plot::svg(&scores))?;
    }
    Ok(())
}

impl Arguments {
    fn read() -> Result<Self, Failure> {
        let mut arguments = Self { points: 300, seed: 1, plot: None, only: None, verbose: false };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match word.as_str() {
                "--points" => arguments.points = value()?.parse()?,
                "--seed" => arguments.seed = value()?.parse()?,
                "--plot" => arguments.plot = Some(value()?),
                "--only" => arguments.only = Some(value()?.parse()?),
                "--verbose" => arguments.verbose = true,
                _ => {
                    return Err(format!(
                        "{word}? known: --points, --seed, --plot, --only, --verbose"
                    )
                    .into());
                }
            }
        }
        Ok(arguments)
    }
}

/// Scores all points on all cores, in their order.
fn all(seed: u64, numbers: &[usize]) -> Vec<Score> {
    let (next, found) = (AtomicUsize::new(0), Mutex::new(BTreeMap::new()));
    let work = || {
        while let Some(number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
            let scores = score(&Point::random(seed, *number)).unwrap_or_else(|error| {
                eprintln!("point {number} cannot be: {error}");
                Vec::new()
            });
            let mut found = found.lock().expect("no thread panics with the lock");
            found.insert(*number, scores);
            if found.len().is_multiple_of(10) {
                eprint!("\r{} of {} points", found.len(), numbers.len());
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(work);
        }
    });
    eprint!("\r                        \r");
    found.into_inner().expect("no thread panics with the lock").into_values().flatten().collect()
}

/// The distribution of the errors.
fn table(scores: &[Score]) -> String {
    let mut out = format!(
        "{:34} {:>6} {:>8} {:>8} {:>8} {:>8}\n",
        "|formula / simulation - 1|", "points", "median", "p75", "p90", "worst"
    );
    let mut row = |name: &str, errors: Vec<f64>| {
        let mut errors: Vec<f64> = errors.into_iter().map(f64::abs).collect();
        errors.sort_by(f64::total_cmp);
        let Some(last) = errors.len().checked_sub(1) else { return };
        let at = |percent: usize| 100.0 * errors[last * percent / 100];
        out += &format!(
            "{name:34} {:>6} {:>6.1} % {:>6.1} % {:>6.1} % {:>6.1} %\n",
            errors.len(),
            at(50),
            at(75),
            at(90),
            at(100)
        );
    };
    for kind in Kind::ALL {
        let of = |keep: &dyn Fn(&Score) -> bool| {
            let kept = scores.iter().filter(|score| score.kind == kind && keep(score));
            kept.map(Score::error).collect::<Vec<_>>()
        };
        row(kind.name(), of(&|_| true));
        if kind == Kind::Ttft {
            row("TTFT below 80 % load", of(&|score| score.load < 0.8));
        }
    }
    out
}

/// The points that are furthest off.
fn worst(seed: u64, scores: &[Score]) -> String {
    let mut out = String::new();
    for kind in Kind::ALL {
        let mut of: Vec<&Score> = scores.iter().filter(|score| score.kind == kind).collect();
        of.sort_by(|a, b| b.error().abs().total_cmp(&a.error().abs()));
        out += &format!("\nfurthest off in {}\n", kind.name());
        for score in of.into_iter().take(8) {
            let point = Point::random(seed, score.number);
            out += &format!(
                "{:+6.1} % at load {:.2}, point {}: {}\n",
                100.0 * score.error(),
                score.load,
                score.number,
                point.words()
            );
        }
    }
    out
}
