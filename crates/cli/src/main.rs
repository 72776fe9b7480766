//! `sglsim`: simulates an SGLang deployment, and gives its metrics as formulas.

#![expect(clippy::print_stderr, reason = "a command line program")]

mod calibrate;
mod check;
mod explain;
mod failure;
mod formula;
mod freeze;
mod number;
mod output;
mod presets;
mod progress;
mod request;
mod run;
mod scenario;
mod sensitivity;
mod svg;
mod sweep;
mod table;
mod workload;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Simulates SGLang serving large language models on many nodes, and gives every metric as a formula.
#[derive(Debug, Parser)]
#[command(name = "sglsim", version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

const EXAMPLES: &str = "\
Examples:
  sglsim check   fixtures/scenarios/quickstart.ron
  sglsim run     fixtures/scenarios/quickstart.ron --set deployment.decode.workers=4
  sglsim run     fixtures/scenarios/mooncake-4p4d.ron --trace mooncake_conversation.jsonl.gz --out day/
  sglsim request fixtures/scenarios/quickstart.ron --worst ttft
  sglsim sweep   fixtures/scenarios/quickstart.ron --pd-workers 8 --slo ttft=500ms,tpot=20ms
  sglsim explain fixtures/scenarios/quickstart.ron --batch decode=128,context=4000 --plot step.svg
  sglsim formula fixtures/scenarios/quickstart.ron --metric output_throughput --to sympy > tp.py
  sglsim sensitivity fixtures/scenarios/quickstart.ron --metric mean_ttft --plot tornado.svg
  sglsim freeze  fixtures/scenarios/quickstart.ron --seeds 5 -o frozen.ron
  sglsim presets gpu";

#[derive(Debug, Subcommand)]
enum Command {
    /// Simulate a scenario and print what its users would feel
    Run(run::Arguments),
    /// Tell the life of one request: where it waited, what for, and how long
    Request(request::Arguments),
    /// Explain what a scenario will simulate, and what in it cannot work, without running it
    Check(check::Arguments),
    /// Show where the time of one step goes, operator by operator, and why
    Explain(explain::Arguments),
    /// Print a metric of a scenario as a formula of its configuration
    Formula(formula::Arguments),
    /// Fit the laws to measurements, and see how far they are from them
    Calibrate(calibrate::Arguments),
    /// Tell what changes a metric of a run, and by how much
    Sensitivity(sensitivity::Arguments),
    /// Simulate a grid of settings: what is best, what limits each
    Sweep(sweep::Arguments),
    /// Measure by simulation what formulas take from runs: hit rates, lengths, batches
    Freeze(freeze::Arguments),
    /// List the GPUs, links and models that are known by name
    Presets(presets::Arguments),
}

fn main() -> ExitCode {
    let done = match Arguments::parse().command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Request(arguments) => request::run(&arguments),
        Command::Check(arguments) => check::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Formula(arguments) => formula::run(&arguments),
        Command::Calibrate(arguments) => calibrate::run(&arguments),
        Command::Sensitivity(arguments) => sensitivity::run(&arguments),
        Command::Sweep(arguments) => sweep::run(&arguments),
        Command::Freeze(arguments) => freeze::run(&arguments),
        Command::Presets(arguments) => presets::run(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprint!("{failure}");
            ExitCode::FAILURE
        }
    }
}
